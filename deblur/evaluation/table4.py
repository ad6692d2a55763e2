"""The figures that the paper compares itself with (Table 4), and how they were measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A row of the paper's Table 4."""

    system: str
    psnr: float
    """In dB, as printed by Li."""
    ssim: float
    """As printed, whatever kind of SSIM it is."""
    seconds: float
    """Per image, on the authors' own machine, at a size of their choice."""
    protocol: str
    """The named protocol that is closest to how it was measured."""
    data: str
    """The data, by the name of its config, or of a variant of its blurred pictures."""
    pairs: int | None
    """The number of pairs; None if unknown."""
    measured: str
    """How it was measured, as far as is known; docs/errata.md has the sources."""


TABLE4 = (
    Published(
        "DeblurGAN (Kupyn et al., 2018)",
        28.7,
        0.958,
        0.85,
        "deblurgan-legacy-half",
        "gopro",
        1111,
        "CW-SSIM; frames of 640x360, since its only weights reach 25.20 dB at full size",
    ),
    Published(
        "DeblurGAN-v2 (Kupyn et al., 2019)",
        29.55,
        0.934,
        0.35,
        "deblurgan-legacy",
        "gopro_3840fps",
        1111,
        "CW-SSIM; GoPro re-made from interpolated frames",
    ),
    Published(
        "DeepDeblur (Nah et al., 2017)",
        28.93,
        0.91,
        4.33,
        "matlab-rgb",
        "gopro_gamma",
        1111,
        "MATLAB's SSIM; its own paper also has 29.23 and 29.08 dB",
    ),
    Published(
        "Li, 2024",
        29.16,
        0.746,
        4.69,
        "li-2024-squash",
        "gopro_light",
        None,
        "256x256; the PSNR fits an 8-bit overflow",
    ),
)
