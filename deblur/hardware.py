"""What this machine computes best with."""

import logging
import platform

import torch
from torch import nn

log = logging.getLogger(__name__)


def pick_device(asked: str = "auto") -> torch.device:
    """Choose a device: the one asked for, or for "auto" the fastest kind that is there."""
    found = [kind for kind in ("cuda", "mps") if getattr(torch, kind).is_available()] + ["cpu"]
    device = torch.device(found[0] if asked == "auto" else asked)
    if device.type not in found:
        raise ValueError(f"device={asked}, but this machine has only {', '.join(found)}")
    if device.type == "mps":
        check_mps(torch.__version__)
    return device


def has_bfloat16(device: torch.device) -> bool:
    """Say whether a device multiplies bfloat16 matrices in units made for it."""
    if device.type == "cpu":
        # On Arm macOS the check is true, but Accelerate is faster in float32.
        return platform.system() != "Darwin" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def pick_precision(device: torch.device) -> str:
    """Choose Lightning's training precision for a device, and log the choice and its reason."""
    if has_bfloat16(device):
        log.info(
            "precision: bfloat16 autocast, channels last (%s has bfloat16 units; "
            "trainer.precision=32-true turns it off)",
            device.type,
        )
        return "bf16-mixed"
    reason = {
        "cpu": "this processor has no bfloat16 units",
        "cuda": "this GPU has no bfloat16 units",
        "mps": "MPS is trusted in float32 alone",
    }[device.type]
    layout = "contiguous" if device.type == "mps" else "channels last"
    log.info("precision: float32, %s (%s)", layout, reason)
    return "32-true"


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
