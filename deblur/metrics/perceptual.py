"""The protocols `lpips`, `dists` and `st-lpips`: distances between features of networks."""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deblur.extras import install_command
from deblur.metrics.comparison import Comparison, Scores

FILES = {"lpips": "alexnet-owt-7be5be79.pth", "dists": "vgg16-397923af.pth"}
"""The ImageNet weights that a distance requires, with torchvision's file names."""
SITE = "https://download.pytorch.org/models"


def lpips(pair: Comparison) -> Scores:
    """Score 8-bit RGB images by LPIPS on AlexNet, version 0.1.

    lpips: the distance of normalized features, with weights fitted to people's judgements; from 0,
    for identical images, to below 1 in practice. Computed by torchmetrics. Raises FileNotFoundError
    without the weights.

    Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric",
    CVPR 2018. Used by DeblurGAN-v2's successors and most papers on generative restoration.
    """
    return {"lpips": _distances(_torchmetrics("lpips"), pair)}


def dists(pair: Comparison) -> Scores:
    """Score 8-bit RGB images by DISTS on VGG16.

    dists: one minus the similarity of the features' means (texture) and correlations (structure),
    in [0, 1], 0 for identical images. Computed by torchmetrics. Raises FileNotFoundError without
    the weights.

    Source: Ding et al., "Image Quality Assessment: Unifying Structure and Texture Similarity",
    IEEE TPAMI 2020. Used beside LPIPS by recent papers.
    """
    return {"dists": _distances(_torchmetrics("dists"), pair)}


def st_lpips(pair: Comparison) -> Scores:
    """Score 8-bit RGB images by ST-LPIPS, which hardly changes by a shift of a pixel or two.

    st_lpips: as `lpips`, but with an AlexNet of its own, so that the two cannot be compared. Raises
    ImportError if the package stlpips-pytorch, which holds the weights, is missing.

    Source: Ghildyal and Liu, "Shift-tolerant Perceptual Similarity Metric", ECCV 2022. Used by few
    so far.
    """
    return {"st_lpips": _distances(_shift_tolerant(), pair)}


@torch.inference_mode()
def _distances(network: Any, pair: Comparison) -> Tensor:
    """Return each image's distance, computed in float32, NaN for a broken one: (N,)."""
    network = network.to(pair.sharp.device)
    seen, truth = (image.float() for image in (pair.seen, pair.truth))
    with torch.autocast(seen.device.type, enabled=False):
        values = [
            torch.tensor(torch.nan) if broken else network(x[None], y[None]).flatten()[0].cpu()
            for x, y, broken in zip(seen, truth, pair.broken.flatten())
        ]
    return torch.stack(values).to(pair.dtype)


@cache
def _torchmetrics(name: str) -> Any:
    """Build a distance of torchmetrics, which would try to download missing weights for minutes."""
    file = Path(torch.hub.get_dir(), "checkpoints", FILES[name])
    if not file.is_file():
        raise FileNotFoundError(
            f"the protocol {name} requires the weights {file}: download {SITE}/{file.name}"
        )
    if name == "lpips":
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

        return LearnedPerceptualImagePatchSimilarity("alex", normalize=True).eval()
    # torchmetrics' function builds this network again for each image, so it is used directly.
    from torchmetrics.functional.image.dists import DISTSNetwork

    return DISTSNetwork().eval()


@cache
def _shift_tolerant() -> nn.Module:
    try:
        from stlpips_pytorch import stlpips
    except ImportError as error:
        raise ImportError(
            f"the protocol st-lpips requires {error.name}: {install_command('perceptual')}"
        ) from error
    network: nn.Module = stlpips.LPIPS(net="alex", variant="shift_tolerant", verbose=False)
    return _FromUnit(network.eval())


class _FromUnit(nn.Module):
    """Wraps a network for images in [-1, 1] to take them in [0, 1]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, restored: Tensor, truth: Tensor) -> Tensor:
        distance: Tensor = self.network(restored * 2 - 1, truth * 2 - 1)
        return distance
