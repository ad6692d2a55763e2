"""This machine's devices, memory and cache folder."""

import ctypes
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

import torch
from torch import nn

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Parameters of glibc's mallopt."""
MEMORY = Path("/proc/meminfo")
"""Linux' description of the memory."""


def pick_device(asked: str = "auto") -> torch.device:
    """Choose a device: the requested one, or for "auto" the fastest kind that is available."""
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
    """Return whether a device has hardware for products of bfloat16 matrices.

    It need not be faster than float32: see `deblur.inference.race`.
    """
    if device.type == "cpu":
        # On Arm macOS the check is true, but Accelerate is faster in float32.
        return platform.system() != "Darwin" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def place(network: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to a device, in the memory format that is fast and correct there.

    That is channels last, except on MPS, where it makes batch norm's gradients wrong
    (pytorch#175189).
    """
    network.to(device)
    if device.type != "mps":
        network.to(memory_format=torch.channels_last)
    return network


def check_mps(version: str) -> None:
    """Raise ValueError for versions of torch whose MPS kernels compute wrong results."""
    if tuple(int(part) for part in version.split(".")[:2]) < (2, 14):
        raise ValueError(
            f"torch {version} has wrong convolutions on MPS (fixed in 2.14, "
            "pytorch#192212): pip install 'torch>=2.14', or choose trainer=cpu"
        )


def keep_memory() -> None:
    """Make glibc keep the memory that this process frees; do nothing on other systems.

    Otherwise each large feature is in new pages, and getting those takes as long as computing the
    features. Only programs should call this, not libraries: it affects the whole process.
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


@contextmanager
def keep_priority() -> Iterator[None]:
    """Give all threads of this process the caller's scheduling afterwards; only on Linux.

    Run by root, SVT-AV1 makes itself and its caller real-time: all else on the machine would wait.
    """
    if sys.platform != "linux":
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for thread in Path("/proc/self/task").iterdir():
            with suppress(OSError):  # a thread that has ended
                os.sched_setscheduler(int(thread.name), policy, parameters)


def synchronize(device: torch.device) -> None:
    """Wait until a device has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)  # by default it waits for the current one alone
    elif device.type != "cpu":
        getattr(torch, device.type).synchronize()


class PeakMemory:
    """A context that measures the peak memory, in bytes, as `peak`.

    On CUDA it is this process' peak of the device's memory, on MPS its device memory at the end, on
    a CPU the peak of the process' memory (on other systems than Linux, since its start). None if
    the system does not report it.
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
        pass  # not Linux, or not allowed: the peak is that since the process' start


def _high_water() -> int | None:
    if STATUS.exists():
        return _read_sizes(STATUS).get("VmHWM")
    try:
        import resource
    except ImportError:
        return None
    peak: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _read_sizes(table: Path) -> dict[str, int]:
    """Read a table of the kernel: the sizes in bytes, by name."""
    rows = (line.split() for line in table.read_text().splitlines() if line.endswith(" kB"))
    return {name.rstrip(":"): int(size) * 1024 for name, size, _ in rows}


def find_cache_folder() -> Path:
    """Return the folder for cached results: DEBLUR_CACHE, or one in the user's cache folder."""
    if own := os.environ.get("DEBLUR_CACHE"):
        return Path(own)
    try:
        home = Path.home()
    except RuntimeError:  # a container's user may have none
        home = Path(tempfile.gettempdir())
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache", "deblur")


def free_memory(device: torch.device) -> int:
    """Return the free bytes of a device, as far as it reports them; of a CPU, the machine's."""
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    if MEMORY.exists():
        return _read_sizes(MEMORY)["MemAvailable"]
    return 4 << 30


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that a device, or this machine, has no memory left."""
    text = str(error).lower()
    return (
        isinstance(error, (MemoryError, torch.OutOfMemoryError))
        or "out of memory" in text
        or "can't allocate memory" in text
    )
