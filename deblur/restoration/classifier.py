"""A small network that tells from a picture's spectra and edges how it is blurred.

First the direction in which the picture is smoothest, by filters that are the same for all
directions; then, with spectra and edges turned to that direction, what blurred it and how far. It
was trained on synthetic blur by scripts/train_look.py.
"""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from deblur.restoration import edges, spectra

WEIGHTS = Path(__file__).parent.parent / "assets" / "look" / "classifier.safetensors"
KINDS = ("sharp", "motion", "defocus")
MEMBERS, HIDDEN = 3, 32
QUARTER = edges.DIRECTIONS // 2 + 1
"""The number of directions from along the smear to across it."""
FEATURES = 6 * QUARTER * spectra.RADII // 2 + 9 * QUARTER * len(edges.LAGS)
LOW = slice(0, 8)
"""The low frequencies, with whose power that of all is compared."""


class Features(NamedTuple):
    """What the network sees of pictures."""

    spectra: Tensor
    """(N, 6, ANGLES, RADII)."""
    edges: Tensor
    """(N, 9, DIRECTIONS, LAGS)."""


class Said(NamedTuple):
    """What the network says of pictures."""

    shares: Tensor
    """(N, 3), the likelihood of each of KINDS."""
    lengths: Tensor
    """(N,), the length of the smear, or the diameter of the defocus, in pixels."""
    directions: Tensor
    """(N,), degrees counter-clockwise from the horizontal, in [0, 180)."""


class Classifier(nn.Module):
    """The network: two filters for the direction, and the mean of a few small perceptrons."""

    def __init__(self) -> None:
        super().__init__()
        self.spectral = nn.Conv1d(6 * spectra.RADII, 1, 5)
        self.edged = nn.Conv1d(9 * len(edges.LAGS), 1, 3)
        self.mean = nn.Buffer(torch.zeros(FEATURES))
        self.deviation = nn.Buffer(torch.ones(FEATURES))
        self.hidden = nn.ModuleList(nn.Linear(FEATURES, HIDDEN) for _ in range(MEMBERS))
        self.last = nn.ModuleList(nn.Linear(HIDDEN, len(KINDS) + 1) for _ in range(MEMBERS))

    def forward(self, features: Features) -> Said:
        """Classify pictures."""
        logits = self.find_direction(features)
        turned = self.turn(features, logits.argmax(1))
        told = [last(F.silu(hidden(turned))) for hidden, last in zip(self.hidden, self.last)]
        shares = torch.stack([one[:, :-1].softmax(1) for one in told]).mean(0)
        lengths = torch.stack([one[:, -1] for one in told]).mean(0).exp()
        return Said(shares, lengths, mean_direction(logits))

    def find_direction(self, features: Features) -> Tensor:
        """Return the logits of the directions, (N, ANGLES)."""
        spectral, edged = (
            (part - part.mean(2, keepdim=True)).transpose(2, 3).flatten(1, 2) for part in features
        )
        fine = self.spectral(F.pad(spectral, (2, 2), mode="circular"))[:, 0]
        coarse = self.edged(F.pad(edged, (1, 1), mode="circular"))
        twice = F.interpolate(F.pad(coarse, (1, 1), mode="circular"), scale_factor=2, mode="linear")
        logits: Tensor = fine + twice[:, 0, 2:-2]
        return logits

    def turn(self, features: Features, angles: Tensor) -> Tensor:
        """Rotate features to the pictures' directions, and standardize them: (N, FEATURES)."""
        spectral, edged = features
        spectral = _fold(spectral, angles)
        along, rest = spectral[:, :, :1], spectral[:, :, 1:]
        spectral = torch.cat([along, (rest[:, :, ::2] + rest[:, :, 1::2]) / 2], 2)
        spectral = (spectral[..., ::2] + spectral[..., 1::2]) / 2
        both = torch.cat([spectral.flatten(1), _fold(edged, angles // 2).flatten(1)], 1)
        standard: Tensor = (both - self.mean) / self.deviation
        return standard


def mean_direction(logits: Tensor) -> Tensor:
    """Return the mean direction of logits, (N, ANGLES): (N,), in degrees, in [0, 180)."""
    doubled = torch.arange(spectra.ANGLES) * (2 * torch.pi / spectra.ANGLES)
    shares = logits.softmax(1)
    up, across = (shares * doubled.sin()).sum(1), (shares * doubled.cos()).sum(1)
    return torch.rad2deg(torch.atan2(up, across)) / 2 % 180


def measure_features(windows: Tensor) -> Features:
    """Measure the spectra and edges of a picture's windows, see `cut_windows`: N is 1."""
    levels = (255 * windows[: edges.WINDOWS]).round().to(torch.uint8).numpy()
    return Features(
        _summarize_spectra(spectra.measure_spectra(windows))[None],
        edges.summarize_edges(edges.measure_edges([*levels]))[None],
    )


@lru_cache(1)
def load_classifier() -> Classifier:
    """Load the bundled weights."""
    classifier = Classifier()
    classifier.load_state_dict(load_file(WEIGHTS))
    return classifier.eval()


def _summarize_spectra(power: Tensor) -> Tensor:
    """Summarize the windows' spectra, (N, ANGLES, RADII): (6, ANGLES, RADII)."""
    whole = (10**power).mean(0).clamp(min=spectra.FLOOR).log10()
    shape = power - power[..., LOW].mean((1, 2), keepdim=True)
    level = torch.stack([whole, power.amax(0), power[0]])
    return torch.cat(
        [(level + 4) / 1.5, torch.stack([shape.amax(0), shape.mean(0), shape.amin(0)]) + 1.5]
    )


def _fold(values: Tensor, angles: Tensor) -> Tensor:
    """Turn (N, C, A, R) so that an angle comes first; average it with its mirror image.

    Returns (N, C, A / 2 + 1, R), from along the angle to across it.
    """
    count = values.shape[2]
    places = (torch.arange(count) + angles[:, None]) % count
    index = places[:, None, :, None].expand(-1, values.shape[1], -1, values.shape[3])
    turned = values.gather(2, index)
    mirrored = turned.flip(2).roll(1, 2)
    return ((turned + mirrored) / 2)[:, :, : count // 2 + 1]
