"""Measure how fast generators restore a frame, compared with the same networks in plain PyTorch.

python benchmarks/inference.py [--networks resnet nafnet unet maxim-gopro ...] [--rounds 3]
python benchmarks/inference.py --networks runs/.../generator.safetensors --engines
OMP_NUM_THREADS=1 python benchmarks/inference.py --clock cpu    # on a busy machine

Plain is float32 in the default layout, warmed up; ours is `deblur` in each arithmetic that this
machine supports. All run in turn in this process: ours with memory kept (`keep_memory`), plain with
it ("kept") and, as programs usually run, without. GFLOP are the plain network's; the share is that
of the best product of matrices, 4096 cubed or of the network's own shapes. The last column compares
ours with float32, for trained networks, on bundled examples. The last line tells the choice of
precision=auto, by its own race, and how much slower than the best it is; int8 is among its choices
only for bundled models. --engines adds torch.compile, AOTInductor, and onnxruntime and OpenVINO if
they are installed.
"""

import argparse
import ctypes
import logging
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from deblur.checkpoints import load_generator
from deblur.checkpoints.shipped import find_model, list_shipped
from deblur.hardware import has_bfloat16, keep_memory, pick_device, synchronize
from deblur.inference import adapt, has_int8, measure
from deblur.inference.integers import Quantized
from deblur.inference.streamline import Autocast
from deblur.inference.verdicts import name_processor
from deblur.inference.winograd import Winograd
from deblur.media.images import read
from deblur.pair import encode

LARGE = 4096, 4096, 4096
EXAMPLES = sorted(Path("deblur/assets/examples").glob("*.jpg"))
DEFAULTS = {-4: 65536, -3: 32 << 20, -1: 64 << 20}
"""Parameters of mallopt: the values that glibc itself reaches after a few large blocks."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    names = [*list_shipped(), "resnet", "nafnet", "fpn_mobilenet", "unet"]
    parser.add_argument(
        "--networks", nargs="+", default=names, help="names in conf/, bundled models, or files"
    )
    parser.add_argument("--size", type=int, nargs=2, default=(1280, 720))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu: processor time of all threads",
    )
    parser.add_argument("--engines", action="store_true")
    options = parser.parse_args()
    logging.disable()
    device = pick_device()
    dtype = torch.bfloat16 if has_bfloat16(device) else torch.float32
    width, height = options.size
    threads = torch.get_num_threads()
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    processor = f"{name_processor()}, {device}, {options.clock} seconds"
    print(f"{width}x{height}, {threads} threads, torch {torch.__version__}, {processor}:\n")
    print("| network | way | s | ratio | GFLOP/s | share | PSNR to float32 (dB) |")
    print("|---|---|---:|---:|---:|---:|---:|", flush=True)
    torch.manual_seed(0)
    image = torch.rand(1, 3, height, width, device=device) * 2 - 1
    with torch.inference_mode():
        for name in options.networks:
            network = _build(name).to(device)
            ours = {f"ours, {name}": net for name, net in _list_ours(network, device)}
            ways: dict[str, Callable[[Tensor], Any]] = {"plain": network, "plain, kept": network}
            ways |= {**ours, **(_engines(network, image) if options.engines else {})}
            seconds = _time(ways, image, options.rounds, clock)
            flop = _count(network, image)
            rate = _matrix_rate(network, image, dtype, clock)
            for way, taken in seconds.items():
                trained = way in ours and _is_trained(name)
                close = _compare(network, ours[way], device) if trained else ""
                speed = flop / taken / 1e9
                print(
                    f"| {name} | {way} | {taken:.3f} | {seconds['plain'] / taken:.2f} "
                    f"| {speed:,.0f} | {speed / rate:.0%} | {close} |",
                    flush=True,
                )
            print(f"| {name} | {_tell_pick(network, device, seconds)} | | | | | |", flush=True)


def _list_ours(network: nn.Module, device: torch.device) -> Iterator[tuple[str, nn.Module]]:
    """Adapt a network to each arithmetic that the device supports."""
    yield "float32", adapt(network, device, "float32")
    if device.type == "cpu":
        swift = adapt(network, device, "winograd")
        if any(isinstance(part, Winograd) for part in swift.modules()):
            yield "winograd", swift
    if has_bfloat16(device):
        yield "bfloat16", adapt(network, device, "bfloat16")
    if has_int8(device):
        swift = adapt(network, device, "int8")
        if any(isinstance(part, Quantized) for part in swift.modules()):
            yield "int8", swift


def _tell_pick(network: nn.Module, device: torch.device, seconds: dict[str, float]) -> str:
    """Return the choice of "auto", and how much slower it is than the best one."""
    verdict = measure(network, device)
    taken = {name: seconds[f"ours, {name.split()[0]}"] for name in verdict.seconds}
    slower = taken[verdict.winner] / min(taken.values()) - 1 if taken else 0.0
    return f"auto: {verdict.winner}, {slower:.0%} slower than the best"


def _is_trained(name: str) -> bool:
    return Path(name).exists() or name in list_shipped()


def _build(name: str) -> nn.Module:
    if _is_trained(name):
        return load_generator(find_model(name)).network.eval()
    with initialize_config_dir(str(Path("conf").absolute()), version_base="1.3"):
        cfg = compose("train", ["experiment=unet", f"model/generator={name}"])
    network: nn.Module = instantiate(cfg.model.generator, _convert_="all")
    return network.eval()


def _time(
    ways: dict[str, Callable[[Tensor], Any]],
    image: Tensor,
    rounds: int,
    clock: Callable[[], float],
) -> dict[str, float]:
    """Return the median seconds of each way, run in turn; the first run of each turn warms up."""
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            _give_memory_back() if way == "plain" else keep_memory()
            run(image)
            for _ in range(1 if "plain" in way else 3):
                start = clock()
                run(image)
                synchronize(image.device)
                seconds[way].append(clock() - start)
    return {way: statistics.median(values) for way, values in seconds.items()}


def _give_memory_back() -> None:
    """Reverse `keep_memory`."""
    try:
        libc = ctypes.CDLL("libc.so.6")
        for what, value in DEFAULTS.items():
            libc.mallopt(what, value)
        libc.malloc_trim(0)
    except (OSError, AttributeError):
        pass


def _count(network: nn.Module, image: Tensor) -> float:
    counter = FlopCounterMode(display=False)
    with counter:
        network(image)
    return float(counter.get_total_flops())


def _matrix_rate(
    network: nn.Module, image: Tensor, dtype: torch.dtype, clock: Callable[[], float]
) -> float:
    """Return the best GFLOP/s of products of matrices, by the clock of the network's own rate."""
    shapes: dict[tuple[int, int, int], int] = {}

    def note(conv: Any, _: Any, output: Tensor) -> None:
        if conv.groups == 1:
            rows, inner = output[0, 0].numel(), conv.weight[0].numel()
            shape = rows, inner, conv.out_channels
            shapes[shape] = shapes.get(shape, 0) + math.prod(shape)

    hooks = [m.register_forward_hook(note) for m in network.modules() if isinstance(m, nn.Conv2d)]
    network(image)
    for hook in hooks:
        hook.remove()
    largest = sorted(shapes, key=lambda shape: shapes[shape])[-2:]
    rates = []
    for rows, inner, columns in [LARGE, *largest]:
        left = torch.rand(rows, inner, device=image.device, dtype=dtype)
        right = torch.rand(inner, columns, device=image.device, dtype=dtype)
        for _ in range(5):
            start = clock()
            left @ right
            synchronize(image.device)
            rates.append(2 * rows * inner * columns / (clock() - start) / 1e9)
    return max(rates)


def _compare(network: nn.Module, swift: nn.Module, device: torch.device) -> str:
    """Return the PSNR of ours to float32, with a range of 2, over the examples."""
    errors = []
    for path in EXAMPLES:
        blur = encode(torch.from_numpy(read(path)).permute(2, 0, 1)[None]).to(device)
        errors.append((swift(blur) - network(blur)).clamp(-2, 2).square().mean())
    return f"{10 * math.log10(4 / max(1e-12, float(torch.stack(errors).mean()))):.1f}"


def _engines(network: nn.Module, image: Tensor) -> dict[str, Callable[[Tensor], Any]]:
    """Return other ways to run a network, as far as they work here."""
    found: dict[str, Callable[[Tensor], Any]] = {}
    last = deepcopy(network).to(memory_format=torch.channels_last)
    compiled = torch.compile(last, mode="max-autotune" if image.is_cuda else None)

    def compiled_bfloat16(image: Tensor) -> Tensor:
        with torch.autocast(image.device.type, torch.bfloat16):
            restored: Tensor = compiled(image)
        return restored

    found["torch.compile, bfloat16"] = compiled_bfloat16
    for engine in (_aotinductor, _onnxruntime, _openvino):
        for name, run in engine(network, image):
            found[name] = run
    return found


def _aotinductor(
    network: nn.Module, image: Tensor
) -> Iterator[tuple[str, Callable[[Tensor], Any]]]:
    from torch._inductor import aoti_compile_and_package, aoti_load_package

    last = Autocast(deepcopy(network), image.device, torch.bfloat16)
    program = torch.export.export(last.to(memory_format=torch.channels_last), (image,))
    path = aoti_compile_and_package(program, package_path=f"{tempfile.mkdtemp()}/network.pt2")
    yield "AOTInductor, bfloat16", aoti_load_package(path)


def _onnxruntime(
    network: nn.Module, image: Tensor
) -> Iterator[tuple[str, Callable[[Tensor], Any]]]:
    try:
        import onnxruntime
    except ImportError:
        return
    session = onnxruntime.InferenceSession(_export(network, image))
    name = session.get_inputs()[0].name
    yield "onnxruntime, float32", lambda image: session.run(None, {name: image.numpy()})


def _openvino(network: nn.Module, image: Tensor) -> Iterator[tuple[str, Callable[[Tensor], Any]]]:
    try:
        import openvino
    except ImportError:
        return
    core = openvino.Core()
    for precision in ("f32", "bf16"):
        settings = {"INFERENCE_PRECISION_HINT": precision}
        model = core.compile_model(_export(network, image), "CPU", settings)
        yield f"OpenVINO, {precision}", lambda image, model=model: model([image.numpy()])


def _export(network: nn.Module, image: Tensor) -> str:
    path = Path(tempfile.mkdtemp()) / "network.onnx"
    torch.onnx.export(network, (image,), path, dynamo=True, verbose=False)
    return str(path)


if __name__ == "__main__":
    main()
