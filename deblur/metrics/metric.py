"""A protocol as a torchmetrics metric."""

import torch
from torch import Tensor
from torchmetrics import Metric

from deblur.metrics.comparison import Comparison
from deblur.metrics.protocol import FIGURES, choose


class ProtocolMetric(Metric):
    """The means of a protocol's per-image figures, and the pooled PSNR.

    protocol: a name in `deblur.metrics.protocol`, which has its definition, range and source.
    compute() returns {figure: scalar}: "psnr", "ssim" and so on, and "psnr_pooled" if there is a
    PSNR. `legibility` is the mean over the images whose sharp one has text, NaN if none has. States
    are summed over devices.
    """

    full_state_update = False
    higher_is_better = True
    images: Tensor
    pixels: Tensor
    error: Tensor

    def __init__(self, protocol: str = "wang-rgb") -> None:
        super().__init__()
        (self.protocol,) = choose(protocol)
        counts = [f"{name}_count" for name in self.protocol.figures]
        for name in ("images", "pixels", "error", *self.protocol.figures, *counts):
            self.add_state(name, torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, restored: Tensor, sharp: Tensor) -> None:
        """Add images (N, 3, H, W) in [-1, 1]; N may be 0."""
        if not len(sharp):
            return
        restored, sharp = self.protocol.view(restored), self.protocol.view(sharp)
        scores = self.protocol.score(Comparison(restored, sharp))
        added = {"images": torch.tensor(len(sharp))}
        for name, values in scores.items():
            if FIGURES[name].may_be_absent:
                values = values[~values.isnan()]
            added[name], added[f"{name}_count"] = values.sum(), torch.tensor(len(values))
        if "psnr" in scores:
            pixels = sharp.shape[-2] * sharp.shape[-1]
            added["pixels"] = pixels * added["images"]
            added["error"] = pixels * (10 ** (-scores["psnr"] / 10)).sum()
        for name, value in added.items():
            # Not in place: spawned processes share the memory of their initial state.
            setattr(self, name, getattr(self, name) + value.to(self.images))

    def compute(self) -> dict[str, Tensor]:
        """Return the means; raise ValueError if no image was added."""
        if self.images == 0:
            raise ValueError("no image was scored")
        means = {
            name: getattr(self, name) / getattr(self, f"{name}_count")
            for name in self.protocol.figures
        }
        if "psnr" in means:
            means["psnr_pooled"] = -10 * (self.error / self.pixels).log10()
        return means
