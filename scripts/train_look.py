"""Train the network behind `deblur look`, on made blur of free photos:

python scripts/fetch_photos.py
python scripts/train_look.py make datasets/photos features.safetensors --count 2700
python scripts/train_look.py fit features.safetensors

`make` blurs photos and measures them, in about 0.25 s of one core each; the built-in photos, on
which benchmarks/looking.py checks, must not be among them. `fit` takes minutes, and writes
deblur/assets/look/classifier.safetensors; of the photos a fifth is held out for the figures that it
prints first. Photos that are not sharp themselves are left out by name (SOFT): by eye, among those
of which a first network, fitted without them, called half of the sharp crops blurred.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from deblur.blur.labelled import SCENES, Kind, make_labelled
from deblur.media.images import list_pictures, read
from deblur.restoration import spectra
from deblur.restoration.classifier import (
    KINDS,
    MEMBERS,
    WEIGHTS,
    Classifier,
    Features,
    measure_features,
)
from deblur.restoration.diagnosis import to_luma

SIDE = 512
SHARES = {"sharp": 0.4, "motion": 0.42, "defocus": 0.18}
LEAST, MOST = {"motion": 3.5, "defocus": 4.0}, {"motion": 64.0, "defocus": 28.0}
"""Pixels: of the path, and of the disc's diameter."""
SOFT = {
    *("gcompris-qt-data-castleClinton", "gcompris-qt-data-narwhal", "kphotoalbum-spiff_2"),
    *("lomiri-wallpapers-16.04-Wine_by_Jakkub_Mede", "psychopy-face01", "psychopy-panImg-1"),
    *("lomiri-wallpapers-20.04-Kleiber_by_Lukas_Baubkus", "plasma-workspace-wallpapers-BytheWater"),
    *("plasma-workspace-wallpapers-DarkestHour", "plasma-workspace-wallpapers-summer_1am"),
    *("psychopy-panImg-4", "psychopy-swimming", "tuxpaint-data-jellyfish"),
    "tuxpaint-data-ocean_splash",
}
EPOCHS, BATCH = 40, 64


def main() -> None:
    """Make features, or fit the network to them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    verbs = parser.add_subparsers(dest="verb", required=True)
    make = verbs.add_parser("make")
    make.add_argument("photos", type=Path)
    make.add_argument("features", type=Path)
    make.add_argument("--count", type=int, default=2700)
    make.add_argument("--seed", type=int, default=7)
    fit = verbs.add_parser("fit")
    fit.add_argument("features", type=Path)
    fit.add_argument("-o", "--out", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    if options.verb == "make":
        photos = [path for path in list_pictures(options.photos) if path.stem not in SOFT]
        save_file(make_features(photos, options.count, options.seed), options.features)
        return
    data = load_file(options.features)
    held = data["photo"] % 5 == 0
    trial = fit_classifier({name: value[~held] for name, value in data.items()})
    report(trial, {name: value[held] for name, value in data.items()})
    options.out.parent.mkdir(parents=True, exist_ok=True)
    weights = fit_classifier(data).state_dict()
    save_file({name: value.half() for name, value in weights.items()}, options.out)
    options.out.chmod(0o644)


def make_features(photos: list[Path], count: int, seed: int) -> dict[str, Tensor]:
    """Make pictures, and measure them; labels are kind, length, width, direction and photo."""
    rows: dict[str, list[Tensor]] = {}
    cache: dict[int, NDArray[np.uint8]] = {}
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        index = int(rng.integers(len(photos)))
        photo = cache.setdefault(index, read(photos[index]))
        kind: Kind = rng.choice(list(SHARES), p=list(SHARES.values()))
        calm = [0.4, 0.2, 0.2, 0.2] if kind == "sharp" else [0.75, 0.0, 0.12, 0.13]
        scene = str(rng.choice(list(SCENES), p=calm))
        low, high = np.log(LEAST.get(kind, 1.0)), np.log(MOST.get(kind, 1.0))
        extent = float(np.exp(rng.uniform(low, high)))
        margin = int(0.9 * extent) + 16
        height, width = (min(side, SIDE + 2 * margin) for side in photo.shape[:2])
        if min(height, width) < 2 * margin + 200:
            continue
        top, left = (
            int(rng.integers(all_ - part + 1)) for all_, part in zip(photo.shape, (height, width))
        )
        crop = np.ascontiguousarray(photo[top : top + height, left : left + width])
        made = make_labelled(crop, rng, kind=kind, scene=scene, extent=extent)
        features = measure_features(spectra.cut_windows(to_luma(made.pixels[:SIDE, :SIDE])))
        numbers = torch.tensor([KINDS.index(kind), *made.smear])
        row = {"spectra": features.spectra[0].half(), "edges": features.edges[0].half()}
        row |= {"label": numbers, "photo": torch.tensor(index)}
        for name, value in row.items():
            rows.setdefault(name, []).append(value)
        if number % 100 == 0:
            print(f"{number} of {count}", file=sys.stderr)
    return {name: torch.stack(values) for name, values in rows.items()}


def fit_classifier(data: dict[str, Tensor]) -> Classifier:
    """Fit the filters for the direction, and then the perceptrons."""
    torch.manual_seed(0)
    features = Features(data["spectra"].float(), data["edges"].float())
    kinds, lengths, widths, directions = data["label"].T
    classifier = Classifier()
    for filters in (classifier.spectral, classifier.edged):
        torch.nn.init.zeros_(filters.weight)
        torch.nn.init.zeros_(filters.bias)
    straight = (kinds == 1) & (lengths >= 4) & (widths < 0.5 * lengths)
    _fit_direction(
        classifier, Features(*(part[straight] for part in features)), directions[straight]
    )
    with torch.no_grad():
        turned = classifier.turn(features, classifier.find_direction(features).argmax(1))
    classifier.mean.copy_(turned.mean(0))
    classifier.deviation.copy_(turned.std(0) + 0.05)
    _fit_perceptrons(classifier, (turned - classifier.mean) / classifier.deviation, kinds, lengths)
    return classifier.eval()


def _fit_direction(classifier: Classifier, features: Features, directions: Tensor) -> None:
    parameters = [*classifier.spectral.parameters(), *classifier.edged.parameters()]
    optimizer = torch.optim.AdamW(parameters, 3e-3, weight_decay=0.3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    angles = torch.arange(spectra.ANGLES) * (180 / spectra.ANGLES)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(directions)).split(2 * BATCH):
            apart = (angles - directions[batch, None] + 90) % 180 - 90
            wanted = (-0.5 * (apart / 7) ** 2).softmax(1)
            logits = classifier.find_direction(Features(*(part[batch] for part in features)))
            loss = F.cross_entropy(logits, wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()


def _fit_perceptrons(
    classifier: Classifier, turned: Tensor, kinds: Tensor, lengths: Tensor
) -> None:
    """Fit to kinds, and to lengths where there is blur; between sharp and blurred little counts."""
    slight, unclear = (kinds == 1) & (lengths < 2.5), (kinds == 1) & (lengths < 4.5)
    wanted = kinds.long().masked_fill(slight, 0)
    weights = torch.where(unclear & ~slight, 0.2, 1.0)
    smeared = ((kinds == 1) & (lengths >= 3)) | (kinds == 2)
    logs = lengths.clamp(min=1).log()
    for member in range(MEMBERS):
        hidden, last = classifier.hidden[member], classifier.last[member]
        parameters = [*hidden.parameters(), *last.parameters()]
        optimizer = torch.optim.AdamW(parameters, 2e-3, weight_decay=0.3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
        for _ in range(EPOCHS):
            for batch in torch.randperm(len(kinds)).split(BATCH):
                seen = turned[batch]
                seen = F.dropout(seen + 0.15 * torch.randn_like(seen), 0.2)
                told = last(F.dropout(F.silu(hidden(seen)), 0.3))
                losses = F.cross_entropy(
                    told[:, :-1], wanted[batch], reduction="none", label_smoothing=0.03
                )
                blurred = smeared[batch]
                loss = (losses * weights[batch]).mean()
                loss = loss + F.smooth_l1_loss(told[blurred, -1], logs[batch][blurred], beta=0.2)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            schedule.step()


@torch.no_grad()
def report(classifier: Classifier, data: dict[str, Tensor]) -> None:
    """Print how much of held-out pictures is told right, at a few thresholds."""
    said = classifier(Features(data["spectra"].float(), data["edges"].float()))
    kinds, lengths, widths, directions = data["label"].T
    sharp, motion = kinds == 0, (kinds == 1) & (lengths >= 8)
    for least in (0.5, 0.6, 0.7, 0.8, 0.9):
        blurred = said.shares[:, 0] < 1 - least
        moved = blurred & (said.shares[:, 1] > said.shares[:, 2])
        found = motion & moved
        errors = (said.lengths[found] / lengths[found] - 1).abs()
        straight = found & (widths < 0.4 * lengths)
        turns = ((said.directions - directions + 90) % 180 - 90).abs()[straight]
        print(
            f"blurred from {least}: sharp {blurred[sharp].float().mean():.3f}, motion "
            f"{found.sum() / motion.sum():.3f}, or blurred {blurred[motion].float().mean():.3f}, "
            f"length {errors.median():.3f}, direction {turns.median():.1f} degrees"
        )


if __name__ == "__main__":
    main()
