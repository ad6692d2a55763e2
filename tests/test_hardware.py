import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from conftest import fill

from deblur.hardware import (
    check_mps,
    find_cache_folder,
    has_bfloat16,
    keep_priority,
    pick_device,
    place,
)
from deblur.networks import ResNet

CPU = torch.device("cpu")


def test_auto_finds_a_device_and_an_absent_one_is_refused() -> None:
    assert pick_device().type in ("cpu", "cuda", "mps")
    assert pick_device("cpu") == CPU
    absent = next(kind for kind in ("cuda", "mps") if not getattr(torch, kind).is_available())
    with pytest.raises(ValueError, match=f"device={absent}"):
        pick_device(absent)


def test_mps_is_float32_and_contiguous_and_wants_a_new_torch() -> None:
    mps = torch.device("mps")
    assert not has_bfloat16(mps)
    check_mps("2.14.0+git")
    with pytest.raises(ValueError, match="2.13.1.*MPS"):
        check_mps("2.13.1")


@pytest.mark.skipif(sys.platform != "linux", reason="not Linux")
def test_an_encoder_that_changes_the_priority_leaves_it_as_it_was() -> None:
    before = os.sched_getscheduler(0)
    with keep_priority():
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    assert os.sched_getscheduler(0) == before != os.SCHED_BATCH


def test_other_devices_get_channels_last() -> None:
    network = place(ResNet(blocks=1, width=4), CPU)
    weight = next(network.parameters())
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_bfloat16_autocast_stays_near_float32() -> None:
    network = place(fill(ResNet(blocks=2, width=8, dropout=0)), CPU)
    blur = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        exact = network(blur)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = network(blur)
    assert (exact - blur).abs().mean() > 0.02
    assert (rounded - exact).abs().mean() < 0.02 * (exact - blur).abs().mean()


def test_the_peak_memory_is_that_of_the_time_inside() -> None:
    program = (
        "import torch; from deblur.hardware import PeakMemory\n"
        "with PeakMemory(torch.device('cpu')) as small: torch.zeros(10)\n"
        "with PeakMemory(torch.device('cpu')) as large: torch.ones(50_000_000)\n"
        "print(small.peak, large.peak)"
    )  # in a process of its own: where the peak cannot be reset, what was before counts, too
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    if "None" in said.stdout:
        pytest.skip("peak memory unknown")
    small, large = map(int, said.stdout.split())
    assert large - small > 100e6


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not Linux")
@pytest.mark.parametrize("kept", [True, False])
def test_memory_can_be_kept(kept: bool) -> None:
    program = (
        "import resource, torch; from deblur.hardware import keep_memory\n"
        "def count(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "before = count()\n"
        f"if {kept}: keep_memory()\n"
        "for _ in range(40): torch.ones(9 << 20)\n"  # 9,216 pages each
        "print(count() - before)"  # 74,000 where it is kept, else 369,000
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (int(said.stdout) < 200_000) == kept


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not Linux")
def test_there_is_a_cache_folder_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", fail)
    monkeypatch.setenv("DEBLUR_CACHE", "here")
    assert find_cache_folder() == Path("here")
    monkeypatch.delenv("DEBLUR_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert find_cache_folder() == Path(tempfile.gettempdir(), ".cache", "deblur")


def test_memory_can_be_released() -> None:
    program = (
        "import torch; from deblur.hardware import keep_memory, release_memory\n"
        "def read(): return int(open('/proc/self/statm').read().split()[1])\n"
        "keep_memory(); before = read(); torch.ones(50 << 20); kept = read(); release_memory()\n"
        "print(kept - before, read() - before)"  # pages of 4 KB
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    kept, left = map(int, said.stdout.split())
    assert kept > 40_000 and left < 10_000
