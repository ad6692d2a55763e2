"""Compare all systems with the same data, protocol and training time.

python benchmarks/systems.py runs/systems [--minutes 5] [--experiments deblurgan,unet]

Each experiment is trained for some minutes on crops of the built-in photos, then measured on the 64
test crops under wang-rgb. The table has its gain, its parameters, its multiplications at 256x256
and 1280x720 (torch's own counter: convolutions and matrix products), and the time and memory of a
1280x720 frame in float32, with the network as it is written. Finished trainings are kept, and an
interrupted one is resumed by the same command; a folder that holds anything else is refused.
Systems that require VGG19 are trained with VGG16, and labelled so.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from omegaconf import OmegaConf
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from deblur.checkpoints import Generator, load_generator
from deblur.checkpoints.shipped import list_shipped
from deblur.evaluation.tables import markdown
from deblur.hardware import PeakMemory, pick_device, place, synchronize
from deblur.jobs import run_status

ROOT = Path(__file__).resolve().parent.parent
FRAME, SQUARE = (720, 1280), (256, 256)
SCALE = "model.content.perceptual.scale"
WITH_VGG16 = {
    "deblurgan": ["model/content=vgg16", f"{SCALE}=null"],
    "deblurgan_code": ["model/content=vgg16", f"{SCALE}=460"],  # its layer has none in the file
    "deblurgan_v2": ["model/content=[mse,vgg16]", f"{SCALE}=null"],
    "deblurgan_v2_code": ["model/content=[mse,vgg16]", f"{SCALE}=null"],
}
HEAD = [
    *("system", "parameters", "GMACs at 256x256", "GMACs at 1280x720", "s a frame", "MB"),
    *("images seen", "PSNR (dB)", "gain", "SSIM", "gain"),
]


def main() -> None:
    """Train what is missing, measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("out", type=Path, help="the folder for the runs")
    parser.add_argument("--minutes", type=int, default=5, help="for each (default %(default)s)")
    parser.add_argument(
        "--experiments",
        help="separated by commas (default all, except those that start from weights by init= and "
        "those by which bundled models were trained)",
    )
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--batch", type=int, default=4)
    options = parser.parse_args()
    chosen = options.experiments.split(",") if options.experiments else list_systems()
    for name in chosen:  # before hours of training
        plan(name, options)
    rows = [row(name, options) for name in chosen]
    print(markdown(HEAD, rows))


def list_systems() -> list[str]:
    """List the experiments that start without weights, except the bundled models' own."""
    paths = sorted((ROOT / "conf" / "experiment").glob("*.yaml"))
    bundled = list_shipped()
    return [p.stem for p in paths if p.stem not in bundled and "init" not in OmegaConf.load(p)]


def plan(name: str, options: argparse.Namespace) -> list[str]:
    """Return the settings that begin or resume a training, [] if it is finished.

    Exits if its folder holds anything else.
    """
    folder: Path = options.out / name
    if (folder / "generator.safetensors").is_file():
        return []
    settings = [
        *(f"experiment={name}", *WITH_VGG16.get(name, [])),
        *("data=photos", "blur=pinned", f"data.crop={options.crop}", "minutes=null"),
        *(f"data.batch_size={options.batch}", "data.dataset.size=400"),
        *(f"+trainer.max_time=00:00:{options.minutes:02}:00", "trainer.max_epochs=10000"),
    ]
    try:
        before = run_status.read(folder)
    except ValueError as error:
        sys.exit(f"error: {error}")
    if before and before.overrides == settings:
        return [*settings, "ckpt=last"]
    if folder.is_dir() and {*os.listdir(folder)} - {run_status.LOCK}:
        sys.exit(f"error: {folder}: holds no run of this command: name another folder, or move it")
    return settings


def row(name: str, options: argparse.Namespace) -> list[str]:
    """Train and measure one system."""
    folder: Path = (options.out / name).resolve()
    weights = folder / "generator.safetensors"
    if settings := plan(name, options):
        run("train.py", *settings, f"hydra.run.dir={folder}")
    if not (folder / "eval" / "metrics.json").is_file():
        run("eval.py", f"ckpt={weights}", "unsharp=false", f"hydra.run.dir={folder / 'eval'}")
    metrics = json.loads((folder / "eval" / "metrics.json").read_text())
    found = metrics["protocols"]["wang-rgb"]["results"]
    psnr, ssim = (found["restored"][figure]["mean"] for figure in ("psnr", "ssim"))
    before = [found["blurry input"][figure]["mean"] for figure in ("psnr", "ssim")]
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    batches = checkpoint["loops"]["fit_loop"]["epoch_loop.state_dict"]["_batches_that_stepped"]
    model = load_generator(weights)
    seconds, memory = time_frame(model.network)
    return [
        name + "+vgg16" * (name in WITH_VGG16),
        f"{sum(p.numel() for p in model.network.parameters()) / 1e6:.2f}M",
        *(f"{multiplications(model, size) / 1e9:.1f}" for size in (SQUARE, FRAME)),
        f"{seconds:.2f}",
        f"{memory / 1e6:.0f}" if memory else "",
        f"{batches * options.batch:,}",
        *(f"{psnr:.2f}", f"{psnr - before[0]:+.2f}", f"{ssim:.4f}", f"{ssim - before[1]:+.4f}"),
    ]


def run(script: str, *overrides: str) -> None:
    """Run train.py or eval.py, and exit if it fails."""
    print(script, *overrides, file=sys.stderr)
    command = [sys.executable, script, *overrides]
    if status := subprocess.run(command, cwd=ROOT, stdout=sys.stderr).returncode:
        sys.exit(f"error: {script} has ended with status {status}: {overrides[-1]}")


def multiplications(model: Generator, size: tuple[int, int]) -> float:
    """Count a network's multiplications for an image, without computing any."""
    network = model.network.to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, 3, *size, device="meta"))
    return counter.get_total_flops() / 2


def time_frame(network: nn.Module) -> tuple[float, int | None]:
    """Return the median seconds of three frames after a first one, and the peak memory."""
    device = pick_device()
    place(network, device)
    frame = torch.rand(1, 3, *FRAME, device=device) * 2 - 1
    taken = []
    with torch.inference_mode(), PeakMemory(device) as memory:
        for _ in range(4):
            start = time.perf_counter()
            network(frame)
            synchronize(device)
            taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:]), memory.peak


if __name__ == "__main__":
    main()
