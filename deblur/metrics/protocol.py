"""The protocols, by name: which part of a frame is scored, and how."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from deblur.metrics import views
from deblur.metrics.comparison import Comparison, Scores
from deblur.metrics.floats import float_rgb
from deblur.metrics.gamma import gopro_gamma
from deblur.metrics.kohler import kohler
from deblur.metrics.legacy import deblurgan_legacy
from deblur.metrics.legibility import legibility
from deblur.metrics.li import li_2024
from deblur.metrics.luma import y
from deblur.metrics.matlab import matlab_rgb
from deblur.metrics.perceptual import dists, lpips, st_lpips
from deblur.metrics.realblur import realblur
from deblur.metrics.ssim import SIZE
from deblur.metrics.wang import wang_rgb


@dataclass(frozen=True)
class Protocol:
    """A way to score restored images, defined by the docstring of `score`."""

    name: str
    title: str
    score: Callable[[Comparison], Scores]
    figures: tuple[str, ...] = ("psnr", "ssim")
    """The names of the figures that `score` returns."""
    view: views.View = views.whole
    extra: bool = False
    """Whether it requires more than two pictures: weights, a package, or other pictures."""
    least: int = SIZE
    """The least pixels of a picture's shorter side; by default the window of SSIM."""


class Figure(NamedTuple):
    """How a figure is displayed."""

    title: str
    digits: int
    higher_is_better: bool = True
    may_be_absent: bool = False
    """Whether NaN means that an image has no such figure, and is left out of its mean."""


FIGURES = {
    "psnr": Figure("PSNR (dB)", 2),
    "psnr_pooled": Figure("pooled PSNR (dB)", 2),
    "psnr_overflowed": Figure("overflowed PSNR (dB)", 2),
    "ssim": Figure("SSIM", 4),
    "cw_ssim": Figure("CW-SSIM", 4),
    "lpips": Figure("LPIPS", 4, False),
    "dists": Figure("DISTS", 4, False),
    "st_lpips": Figure("ST-LPIPS", 4, False),
    "legibility": Figure("legibility", 3, may_be_absent=True),
    "unaligned": Figure("unaligned", 0, False),
    "seconds": Figure("seconds", 3, False),
}
"""`unaligned` is counted, not averaged."""

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("wang-rgb", "8-bit RGB, SSIM of each channel, whole frames", wang_rgb),
        Protocol("matlab-rgb", "8-bit RGB, MATLAB's SSIM of a volume, whole frames", matlab_rgb),
        Protocol("float-rgb", "RGB before rounding, whole frames", float_rgb),
        Protocol("y", "BT.601 luma of 8-bit RGB, whole frames", y),
        Protocol(
            "deblurgan-legacy",
            "RGB truncated to 8 bits, complex-wavelet SSIM, whole frames",
            deblurgan_legacy,
            ("psnr", "cw_ssim"),
            least=1,
        ),
        Protocol(
            "deblurgan-legacy-half",
            "RGB truncated to 8 bits, complex-wavelet SSIM, frames halved by Pillow's bicubic",
            deblurgan_legacy,
            ("psnr", "cw_ssim"),
            views.halve,
            least=2,
        ),
        Protocol(
            "li-2024-squash",
            "8-bit RGB, frames squashed to 256x256 by Pillow's bicubic",
            li_2024,
            ("psnr", "psnr_overflowed", "ssim"),
            views.squash,
            least=1,
        ),
        Protocol(
            "li-2024-crop",
            "8-bit RGB, centre crops of 256x256",
            li_2024,
            ("psnr", "psnr_overflowed", "ssim"),
            views.centre,
            least=views.SIDE,
        ),
        Protocol(
            "realblur",
            "after ECC alignment and one gain, masked, SSIM of each channel",
            realblur,
            ("psnr", "ssim", "unaligned"),
            extra=True,
        ),
        Protocol("gopro-gamma", "wang-rgb on GoPro's folder blur_gamma", gopro_gamma, extra=True),
        Protocol(
            "kohler",
            "the best over the ground truths, aligned and with one gain",
            kohler,
            extra=True,
            least=15,
        ),
        Protocol("lpips", "learned distance on AlexNet", lpips, ("lpips",), extra=True, least=31),
        Protocol(
            "dists",
            "structure and texture distance on VGG16",
            dists,
            ("dists",),
            extra=True,
            least=1,
        ),
        Protocol(
            "st-lpips",
            "shift-tolerant LPIPS on its own AlexNet",
            st_lpips,
            ("st_lpips",),
            extra=True,
            least=21,
        ),
        Protocol(
            "legibility",
            "share of the sharp picture's text that OCR reads",
            legibility,
            ("legibility",),
            extra=True,
            least=1,
        ),
    )
}
"""The protocols, by name."""
GROUPS = {
    "li-2024": ["li-2024-squash", "li-2024-crop"],
    "all": [name for name, protocol in PROTOCOLS.items() if not protocol.extra],
}
"""Names for groups: Li's two readings, and all protocols that require only two pictures."""


def choose(names: str | Iterable[str]) -> list[Protocol]:
    """Return protocols by their names, or those of groups; raise ValueError for unknown names.

    names: one, several separated by commas, or a list.
    """
    listed = names.split(",") if isinstance(names, str) else list(names)
    asked = [one for name in listed for one in GROUPS.get(name.strip(), [name.strip()])]
    for name in asked:
        if name not in PROTOCOLS:
            known = ", ".join([*PROTOCOLS, *GROUPS])
            raise ValueError(f"no protocol {name!r}, expected some of {known}")
    if not asked:
        raise ValueError(f"no protocol was chosen, expected some of {', '.join(PROTOCOLS)}")
    return [PROTOCOLS[name] for name in dict.fromkeys(asked)]


def check_size(protocols: Sequence[Protocol], size: tuple[int, int], name: object) -> None:
    """Raise ValueError if a picture is too small for some of the protocols.

    size: its width and height. name: its name in the message.
    """
    width, height = size
    if small := [one for one in protocols if min(size) < one.least]:
        needs = ", ".join(f"{one.name} ({one.least} pixels a side)" for one in small)
        others = ",".join(one.name for one in protocols if one not in small)
        rest = f"; without them: protocol {others}" if others else ""
        raise ValueError(f"{name}: {width}x{height}, too small for {needs}{rest}")
