"""What this machine computes best with, and what it takes."""

import ctypes
import os
import platform
import sys
from pathlib import Path
from types import TracebackType

import torch
from torch import nn

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Of glibc's mallopt."""
MEMORY = Path("/proc/meminfo")
"""Where Linux tells it."""


def pick_device(asked: str = "auto") -> torch.device:
    """Choose a device: the one asked for, or for "auto" the fastest kind that is there."""
    found = [kind for kind in ("cuda", "mps") if getattr(torch, kind).is_available()] + ["cpu"]
    try:
        device = torch.device(found[0] if asked == "auto" else asked)
    except RuntimeError as error:
        raise ValueError(f"device={asked}, expected auto or one of {', '.join(found)}") from error
    if device.type not in found:
        raise ValueError(f"device={asked}, but this machine has only {', '.join(found)}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device={asked}, but the last one is {torch.cuda.device_count() - 1}")
    if device.type == "mps":
        check_mps(torch.__version__)
    return device


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device multiplies bfloat16 matrices in units made for it.

    Whether that is faster than float32 is another question: see `deblur.inference.race`.
    """
    if device.type == "cpu":
        # On Arm macOS the check is true, but Accelerate is faster in float32.
        return platform.system() != "Darwin" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def place(network: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to a device, in the layout that is fast and right there.

    That is channels last but on MPS, where batch norm has wrong gradients then (pytorch#175189).
    """
    network.to(device)
    if device.type != "mps":
        network.to(memory_format=torch.channels_last)
    return network


def check_mps(version: str) -> None:
    """Refuse versions of torch whose MPS kernels give wrong results."""
    if tuple(int(part) for part in version.split(".")[:2]) < (2, 14):
        raise ValueError(
            f"torch {version} has wrong convolutions on MPS (fixed in 2.14, "
            "pytorch#192212): pip install 'torch>=2.14', or choose trainer=cpu"
        )


def keep_memory() -> None:
    """Let this process keep the memory that it frees, where that is glibc's choice.

    Else each large feature is of new pages, which take as long to get as features to compute.
    This is for programs, not for libraries: it holds for all of the process.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(MMAP_MAX, 0)
    mallopt(TRIM_THRESHOLD, -1)  # never


def release_memory() -> None:
    """Return to the system what this process has freed, where that is glibc's choice.

    Features of pictures of many sizes leave gaps in which those of the next do not fit: a server
    would grow with each size. This takes milliseconds, and more where much was freed.
    """
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        pass


def synchronize(device: torch.device) -> None:
    """Wait until a device has done what it was given."""
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()


class PeakMemory:
    """Measures the most memory that was in use while it was entered, in bytes, as `peak`.

    That is the device's memory of this process on CUDA and, at the end, on MPS; else the memory of
    the whole process. None where the machine does not tell (off Linux it tells what the process
    ever had).
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.peak: int | None = None

    def __enter__(self) -> "PeakMemory":
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        elif self.device.type == "cpu":
            _reset_high_water()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        synchronize(self.device)
        if self.device.type == "cuda":
            self.peak = torch.cuda.max_memory_allocated(self.device)
        elif self.device.type == "mps":
            self.peak = torch.mps.driver_allocated_memory()
        else:
            self.peak = _high_water()


STATUS = Path("/proc/self/status")


def _reset_high_water() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass  # not Linux, or not allowed: the peak is that of the process's life


def _high_water() -> int | None:
    if STATUS.exists():
        lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024 if "VmHWM" in lines else None
    try:
        import resource
    except ImportError:
        return None
    peak: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def find_cache_folder() -> Path:
    """Return where programs keep what they need not measure again: DEBLUR_CACHE, or the user's."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("DEBLUR_CACHE") or Path(caches, "deblur"))


def free_memory(device: torch.device) -> int:
    """Give the bytes that a device has free, as far as it tells; a CPU's are the machine's."""
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    if MEMORY.exists():
        lines = dict(line.split(":", 1) for line in MEMORY.read_text().splitlines() if ":" in line)
        return int(lines["MemAvailable"].split()[0]) * 1024
    return 4 << 30


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error is that of a device, or of this machine, which has no memory left."""
    text = str(error).lower()
    return (
        isinstance(error, (MemoryError, torch.OutOfMemoryError))
        or "out of memory" in text
        or "can't allocate memory" in text
    )
