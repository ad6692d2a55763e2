"""The protocol `realblur`."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deblur.extras import install_command
from deblur.metrics.alignment import match_gain
from deblur.metrics.comparison import Comparison, Scores
from deblur.metrics.ssim import structure

STEPS = 100
Plane = NDArray[np.float32]


def realblur(pair: Comparison) -> Scores:
    """Score 8-bit RGB images after aligning them with the sharp ones, taken by another camera.

    A restored image is multiplied by the factor that fits best, then warped by the homography that
    OpenCV's ECC finds in 100 steps; pixels from outside of the image are left out.

    psnr: in dB over the three channels of the remaining pixels, in [0, inf].
    ssim: as in `wang-rgb`, over those pixels, in [-1, 1].
    unaligned: 1 if ECC failed, and the image was compared without alignment; else 0.

    Source: Rim et al., "Real-World Blur Dataset for Learning and Benchmarking Deblurring
    Algorithms", ECCV 2020, and its evaluation program. Used for RealBlur and RSBlur. Raises
    ImportError if OpenCV is missing.
    """
    images = zip(pair.seen, pair.truth, pair.broken.flatten())
    rows = [
        torch.tensor([torch.nan, torch.nan, 0.0], dtype=pair.dtype) if broken else _score(x, y)
        for x, y, broken in images
    ]
    psnr, ssim, unaligned = torch.stack(rows, 1)
    return {"psnr": psnr, "ssim": ssim, "unaligned": unaligned}


def _score(seen: Tensor, truth: Tensor) -> Tensor:
    restored = match_gain(seen, truth)
    homography = _homography(restored, truth)
    mask = torch.ones_like(truth[:1])
    if homography is not None:
        restored, mask = _warp(restored, homography), _warp(mask, homography, inside=True)
    restored, truth = restored * mask, truth * mask
    error = (restored - truth).square().sum() / (3 * mask.sum())
    ssim = structure(restored[None], truth[None], mask[None]).wang[0]
    failed = torch.tensor(homography is None, dtype=truth.dtype)
    return torch.stack([-10 * error.log10(), ssim, failed.to(ssim.device)])


def _homography(restored: Tensor, truth: Tensor) -> Plane | None:
    """Return the homography (3, 3) from truth's pixels to restored's; None if ECC fails."""
    cv2 = _opencv()
    greys = [cv2.cvtColor(_picture(image), cv2.COLOR_RGB2GRAY) for image in (truth, restored)]
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, STEPS, 0)
    start = np.eye(3, dtype=np.float32)
    try:
        _, found = cv2.findTransformECC(
            *greys, start, cv2.MOTION_HOMOGRAPHY, criteria, inputMask=None, gaussFiltSize=5
        )
    except cv2.error:
        return None
    homography: Plane = found
    return homography if np.isfinite(homography).all() else None


def _warp(image: Tensor, homography: Plane, *, inside: bool = False) -> Tensor:
    """Warp (C, H, W) by a homography; with `inside`, warp a mask, with 0 outside of the image."""
    cv2 = _opencv()
    height, width = image.shape[1:]
    kind, border = (
        (cv2.INTER_NEAREST, cv2.BORDER_CONSTANT)
        if inside
        else (cv2.INTER_CUBIC, cv2.BORDER_REFLECT)
    )
    flags = kind | cv2.WARP_INVERSE_MAP
    moved = cv2.warpPerspective(
        _picture(image), homography, (width, height), flags=flags, borderMode=border, borderValue=0
    )
    return torch.from_numpy(moved.reshape(height, width, -1)).permute(2, 0, 1).to(image)


def _picture(image: Tensor) -> Plane:
    picture: Plane = image.permute(1, 2, 0).float().cpu().contiguous().numpy()
    return picture


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            f"the protocol realblur requires OpenCV: {install_command('align')}"
        ) from error
    return cv2
