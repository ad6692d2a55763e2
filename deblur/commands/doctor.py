"""Show this machine's hardware, the settings deblur chooses, and its speed.

deblur doctor
deblur doctor --device cpu --seconds 5

The exit status is 1 if the device computes wrongly.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import deblur
from deblur.commands.numbers import from_zero
from deblur.extras import DISTRIBUTION, install_command, list_misfits

EXTRAS = {
    "video": ("av", "restores videos"),
    "heif": ("pillow_heif", "reads and writes HEIC"),
    "web": ("fastapi", "the page and the service, deblur web and deblur serve"),
    "align": ("cv2", "the protocol realblur"),
    "perceptual": ("stlpips_pytorch", "the protocol st-lpips"),
    "ocr": ("rapidocr_onnxruntime", "the protocol legibility"),
    "export": ("onnxscript", "writes ONNX"),
    "keras": ("h5py", "reads Keras' weights"),
    "timm": ("timm", "fetches weights of InceptionResNetV2"),
    "sweep": ("optuna", "scripts/search.py, hydra/launcher=joblib or submitit_slurm"),
}
"""By the name of the extra: a module that it installs, and what for."""
BOUND = {"float32": 1e-4, "winograd": 1e-3, "bfloat16": 0.05, "int8": 0.05}
"""How far a restored picture may be from the CPU's in float32, on the average of [-1, 1]."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    about = "the longest time for measuring speed (default %(default)s)"
    parser.add_argument("--seconds", type=from_zero, default=20.0, help=about)


def run(options: argparse.Namespace) -> int:
    """Print what was found; return 1 where the device is wrong."""
    import torch

    from deblur.checkpoints.shipped import list_shipped
    from deblur.hardware import free_memory, has_bfloat16, pick_device

    machine = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    print(f"deblur {deblur.__version__}, torch {torch.__version__}, {machine}")
    device = pick_device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    cores = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
    free = free_memory(device) / 1e9
    print(f"device: {device.type}{f' ({name})' if name else ''}, {cores}, {free:.1f} GB free")
    units = has_bfloat16(device)
    _tell_races(device)
    wrong = _check(device, units)
    _measure(device, units, options.seconds)
    print(f"models: {', '.join(list_shipped()) or 'none is bundled; --model FILE'}")
    for extra, (module, use) in EXTRAS.items():
        print(_tell_extra(extra, module, use))
    print(_tell_training())
    return int(wrong)


def _tell_races(device: Any) -> None:
    """Print how fast each arithmetic is, and which one is used."""
    from deblur.checkpoints import load_generator
    from deblur.checkpoints.shipped import DEFAULT, FAST, FASTEST, find_model, list_shipped
    from deblur.hardware import keep_memory
    from deblur.inference import measure
    from deblur.networks import ResNet

    keep_memory()
    networks: dict[str, Any] = {"Li's generator": ResNet().eval()}
    for name in (DEFAULT, FAST, FASTEST):
        if name in list_shipped():
            networks[name] = load_generator(find_model(name)).network
    for name, network in networks.items():
        verdict = measure(network, device)
        print(f"precision: {verdict.winner} for {name} ({verdict.describe()})")


def _tell_training() -> str:
    scripts = Path(deblur.__file__).parent.parent
    if (scripts / "train.py").is_file():
        return f"training: {scripts / 'train.py'}"
    source = f"{DISTRIBUTION.replace('-', '_')}-{deblur.__version__}.tar.gz"
    return (
        "training: not installed: train.py, eval.py and conf/ are not part of the package, but of "
        f"the repository and of the source archive {source} (README.md, Install)"
    )


def _tell_extra(extra: str, module: str, use: str) -> str:
    """Return in one line whether an extra is installed in suitable versions, else the command."""
    if find_spec(module) is None:
        return f"{extra}: not installed ({use}): {install_command(extra)}"
    owners = sorted({*packages_distributions().get(module, [])})
    found = ", ".join(f"{name} {version(name)}" for name in owners) or module
    misfits = list_misfits(extra)
    advice = f", {', '.join(misfits)} out of range: {install_command(extra)}" if misfits else ""
    return f"{extra}: {found} ({use}){advice}"


def _check(device: Any, units: bool) -> bool:
    """Compare networks' output with the CPU's in float32; return whether it is wrong."""
    import torch

    from deblur.inference import has_int8
    from deblur.networks import MAXIM, ResNet
    from deblur.restoration.restorer import Restorer

    torch.manual_seed(0)
    image = torch.rand(3, 96, 128) * 2 - 1
    networks = {
        "Li's generator": ResNet(blocks=2, width=24, dropout=0.0),
        "MAXIM": MAXIM(stages=1, width=16, groups=1, bottlenecks=1, zero_last=False),
    }
    rest = [("winograd", device.type == "cpu"), ("bfloat16", units), ("int8", has_int8(device))]
    wrong = False
    for name, network in networks.items():
        exact = Restorer(network, device="cpu", precision="float32", guard=False).restore(image)
        for precision in ("float32", *(each for each, there in rest if there)):
            if precision in ("winograd", "int8") and name == "MAXIM":
                continue  # this small one has no convolutions for it
            settings: dict[str, Any] = {"device": str(device), "precision": precision}
            restored = Restorer(network, guard=False, **settings).restore(image)
            apart = float((restored - exact).abs().mean())
            right = apart <= BOUND[precision]
            print(
                f"check: {name} in {precision} is {apart:.1g} from the CPU's float32, "
                f"{_judge(right)}"
            )
            wrong = wrong or not right
    return wrong


def _judge(right: bool) -> str:
    return "right" if right else "WRONG: choose another --device or --precision float32"


def _measure(device: Any, units: bool, seconds: float) -> None:
    """Print the rate of matrix products, and the time of Li's generator for a picture."""
    import torch

    from deblur.hardware import keep_memory, synchronize
    from deblur.inference import adapt
    from deblur.networks import ResNet

    keep_memory()

    def best(work: Callable[[], Any], share: float) -> float:
        work()
        times: list[float] = []
        while not times or sum(times) < seconds * share and len(times) < 20:
            start = time.perf_counter()
            work()
            synchronize(device)
            times.append(time.perf_counter() - start)
        return min(times)

    side = 2048
    for dtype in (torch.float32, torch.bfloat16) if units else (torch.float32,):
        matrix = torch.rand(side, side, device=device, dtype=dtype)
        rate = 2 * side**3 / best(lambda: matrix @ matrix, 0.2) / 1e9
        print(f"speed: {rate:,.0f} GFLOP/s of {str(dtype).removeprefix('torch.')} products")
    network = adapt(ResNet(), device)
    image = torch.rand(1, 3, 360, 640, device=device)
    with torch.inference_mode():
        taken = best(lambda: network(image), 0.6)
    print(f"speed: {4 * taken:.2f} s for 1280x720 by Li's generator (from a quarter of it)")
