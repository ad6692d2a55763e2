"""Local statistics at test time, for networks that were trained with the statistics of small crops.

A mean over a whole image differs from the means over crops that a network saw in training. Chu,
Chen, Chen and Lu, "Improving Image Restoration by Revisiting Global Information Aggregation" (ECCV
2022, arXiv 2112.04491) use a window around each pixel instead, 1.5 times as wide as a crop, without
any further training ("TLC").
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PROBE = 1024
"""The side, in pixels, of the image used to find strides: a multiple of every network's stride."""


def local_mean(features: Tensor, window: int) -> Tensor:
    """Average (..., H, W), with 3 or 4 axes, over a window x window square around each pixel.

    A side that the window covers is averaged as a whole and has length 1 in the result: a window as
    large as the feature returns its global mean, (..., 1, 1). Windows lie inside the feature: a
    pixel near the border gets the nearest window's mean. An even window has one more pixel below
    and on the right.

    Running sums (an integral image, one axis at a time) make the time independent of the window.
    They are computed after subtracting the mean, in float32 or better, also under autocast. In
    float32, as measured on CPUs, the error is below 1e-6 + 2e-7 * side / window of the largest
    distance from the mean, besides the mean's own rounding. Takes floats of any type and returns
    the same type.

    Raises ValueError for a window below one.
    """
    if window < 1:
        raise ValueError(f"window must be positive, got {window}")
    if torch.compiler.is_exporting():
        return _gather_means(features, window)
    height, width = features.shape[-2:]
    wide = _widen(features)
    center = wide.mean((-2, -1), keepdim=True)
    if window >= max(height, width):
        return center.to(features.dtype)
    inside = _slide(_slide(wide - center, window, -1), window, -2)
    rim = ((window - 1) // 2, window // 2)
    rims = [*(rim if window < width else (0, 0)), *(rim if window < height else (0, 0))]
    return (F.pad(inside, rims, mode="replicate") + center).to(features.dtype)


class LocalMean(nn.Module):
    """Pools (N, C, H, W) by its global mean, (N, C, 1, 1), or by local means in evaluation mode.

    Local means are those of `local_mean`: a side that the window covers has length 1.

    window: its side in pixels, at the feature's own resolution; None for global pooling.
    beyond: use local means only if a side is larger than this; None for the window's side.

    Raises ValueError for a window below one.
    """

    def __init__(self, window: int | None = None, beyond: int | None = None) -> None:
        super().__init__()
        if window is not None and window < 1:
            raise ValueError(f"window must be positive or None, got {window}")
        self.window = window
        self.beyond = beyond

    def forward(self, features: Tensor) -> Tensor:
        """Average (N, C, H, W)."""
        window, beyond = None if self.training else self.window, self.beyond or 0
        if window is not None and torch.compiler.is_exporting():
            return _gather_means(features, window, beyond)
        if window is None or max(features.shape[-2:]) <= beyond:
            return _widen(features).mean((-2, -1), keepdim=True).to(features.dtype)
        return local_mean(features, window)


class LocalInstanceNorm2d(nn.InstanceNorm2d):
    """Instance norm by local means and variances in evaluation mode.

    In training, without a window, with running statistics, or if the window covers the whole
    feature, it equals nn.InstanceNorm2d. Variances are E[d^2] - E[d]^2 of the distances d from the
    channel's mean, in float32 or better.

    Args:
        channels: The number of channels.
        window: Its side in pixels, at the feature's own resolution; None for instance norm.
        eps, affine: As in nn.InstanceNorm2d.

    Raises:
        ValueError: The window is below one.
    """

    window: int | None = None

    def __init__(
        self,
        channels: int,
        *,
        window: int | None = None,
        eps: float = 1e-5,
        affine: bool = False,
    ) -> None:
        super().__init__(channels, eps=eps, affine=affine)
        if window is not None and window < 1:
            raise ValueError(f"window must be positive or None, got {window}")
        self.window = window

    def forward(self, features: Tensor) -> Tensor:
        """Normalize (N, C, H, W) or (C, H, W)."""
        window = self.window
        if self.training or window is None or self.track_running_stats:
            return super().forward(features)
        if not torch.compiler.is_exporting() and window >= max(features.shape[-2:]):
            return super().forward(features)
        wide = _widen(features)
        wide = wide - wide.mean((-2, -1), keepdim=True)
        mean = local_mean(wide, window)
        # Rounding can make the variance of a flat region negative.
        variance = (local_mean(wide.square(), window) - mean.square()).clamp(min=0)
        normal = (wide - mean) * (variance + self.eps).rsqrt()
        if self.weight is not None:
            normal = normal * self.weight[:, None, None] + self.bias[:, None, None]
        return normal.to(features.dtype)


def localize(network: nn.Module, crop: int | None) -> int:
    """Switch a network to local statistics in evaluation mode; return the number of changed layers.

    Every `LocalMean` (NAFNet's attention) and every nn.InstanceNorm2d without running statistics
    gets a window of 1.5 * crop pixels of the image, scaled by its feature's stride and rounded
    down. A layer that is used at several strides gets the largest window. Results for images up to
    the window's size do not change if the window is a multiple of the network's stride. The network
    is changed in place; its parameters and the keys of its state dict stay the same.

    network: takes (N, 3, H, W); its strides are found by a pass without data.
    crop: the side of a training crop in pixels; None switches back to global statistics.

    Raises ValueError for a crop below one.
    """
    if crop is not None and crop < 1:
        raise ValueError(f"crop must be positive or None, got {crop}")
    switched = 0
    sides = {} if crop is None else _measure(network)
    for layer in network.modules():
        if not _is_switchable(layer):
            continue
        if type(layer) is nn.InstanceNorm2d:
            # Changing the class keeps the object, with its parameters, hooks and all references.
            layer.__class__ = LocalInstanceNorm2d
        assert isinstance(layer, LocalMean | LocalInstanceNorm2d)
        if isinstance(layer, LocalMean):
            layer.beyond = None
        if crop is None:
            layer.window = None
        elif layer in sides:
            layer.window = max(1, crop * 3 // 2 * sides[layer] // PROBE)
        switched += 1
    return switched


def _is_switchable(layer: nn.Module) -> bool:
    """Return whether `localize` can switch a layer."""
    if isinstance(layer, LocalMean):
        return True
    known = type(layer) in (nn.InstanceNorm2d, LocalInstanceNorm2d)
    return known and not layer.track_running_stats


def _measure(network: nn.Module) -> dict[nn.Module, int]:
    """Return the longer side of each switchable layer's features, for an image of PROBE pixels."""
    sides: dict[nn.Module, int] = {}

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        sides[layer] = max(sides.get(layer, 0), *inputs[0].shape[-2:])

    layers = [layer for layer in network.modules() if _is_switchable(layer)]
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    # The meta device has only shapes: nothing is computed, and no statistics change.
    state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    dtype = next((p.dtype for p in network.parameters()), torch.float32)
    image = torch.empty(1, 3, PROBE, PROBE, dtype=dtype, device="meta")
    try:
        with torch.no_grad():
            outline = {name: value.to("meta") for name, value in state.items()}
            torch.func.functional_call(network, outline, (image,))
    finally:
        for hook in hooks:
            hook.remove()
    return sides


def _gather_means(features: Tensor, window: int, beyond: int = 0) -> Tensor:
    """Compute local means by indices, so that an exported graph is correct for every size.

    As `local_mean`, but a side that the window covers keeps its length, and a feature without a
    side larger than `beyond` counts as covered.
    """
    height, width = features.shape[-2:]
    wide = _widen(features)
    center = wide.mean((-2, -1), keepdim=True)
    longer = wide.new_full((), torch.sym_max(height, width), dtype=torch.int64)
    means = wide - center
    for dim, size in ((-1, width), (-2, height)):
        whole = torch.full_like(longer, size)
        side = torch.where(longer > beyond, whole.clamp(max=window), whole)
        starts = torch.arange(size, device=wide.device) - (side - 1) // 2
        starts = torch.minimum(starts.clamp(min=0), whole - side)
        sums = F.pad(means.cumsum(dim), (1, 0) if dim == -1 else (0, 0, 1, 0))
        ends = sums.index_select(dim, starts + side)
        means = (ends - sums.index_select(dim, starts)) / side
    return (means + center).to(features.dtype)


def _widen(values: Tensor) -> Tensor:
    """Convert half-precision floats to float32; return others as they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def _slide(values: Tensor, window: int, dim: int) -> Tensor:
    """Average along an axis of n values: n - window + 1 means, or one if the window covers it."""
    size = values.shape[dim]
    if window >= size:
        return values.mean(dim, keepdim=True)
    sums = values.cumsum(dim)
    ends = sums.narrow(dim, window - 1, size - window + 1)
    starts = F.pad(sums.narrow(dim, 0, size - window), (1, 0) if dim == -1 else (0, 0, 1, 0))
    return (ends - starts) / window
