"""PIL images in memory, made ready to restore: upright, in one of a few modes, with their info."""

from io import BytesIO
from typing import Any

from PIL import Image, ImageOps

from deblur.media.formats.decoding import from_cmyk
from deblur.media.formats.metadata import (
    EXIF_HEAD,
    ORIENTATION,
    SIDEWAYS,
    fitting_profile,
    upright_exif,
    upright_xmp,
)
from deblur.media.formats.tiff import exif_of

MODES = ("L", "LA", "RGB", "RGBA", "I;16")
"""Modes that need no conversion."""
BECOMES = {"1": "L", "La": "LA", "PA": "RGBA", "RGBa": "RGBA"}
BECOMES |= dict.fromkeys(("P", "CMYK", "YCbCr", "LAB", "HSV", "RGBX"), "RGB")
CLEAR = {"L": "LA", "RGB": "RGBA"}
"""The mode with alpha, for pictures with a transparent colour."""


def make_upright(image: Image.Image) -> Image.Image:
    """Return an image of one of MODES, as its orientation says that it is to be seen.

    Its `info` says of the returned image what the given one's says of that: EXIF, XMP, ICC profile,
    density. Raises ValueError for other modes, such as of floats.
    """
    side = getattr(image, "tag_v2", {}).get(ORIENTATION)  # forgotten as a TIFF is loaded
    image.load()
    turned = (side or image.getexif().get(ORIENTATION)) in SIDEWAYS
    mode = BECOMES.get(image.mode, image.mode)
    if mode not in MODES:
        raise ValueError(f"cannot restore an image of mode {image.mode}")
    if "transparency" in image.info:
        mode = CLEAR.get(mode, mode)
    upright = ImageOps.exif_transpose(image)
    if image.mode == "CMYK":
        upright = from_cmyk(upright, lambda note: None)
    elif image.mode != mode:
        upright = upright.convert(mode)
    upright.info = _tell(image, turned)
    icc = image.info.get("icc_profile") or b""
    if icc := fitting_profile(icc, 1 if mode in ("L", "LA", "I;16") else 3):
        upright.info["icc_profile"] = icc
    return upright


def _tell(image: Image.Image, turned: bool) -> dict[Any, Any]:
    """Return an image's info, as the upright one's. turned: whether the image lies on its side."""
    info = dict(image.info)
    for key in ("transparency", "icc_profile", "Raw profile type exif"):
        info.pop(key, None)
    exif = info.get("exif")
    if isinstance(exif, bytes) and exif:
        head = EXIF_HEAD if exif.startswith(EXIF_HEAD) else b""
        info["exif"] = head + upright_exif(exif.removeprefix(head))
    elif tags := image.getexif():  # of a TIFF, or of a PNG's text
        info["exif"] = exif_of(BytesIO(tags.tobytes().removeprefix(EXIF_HEAD)), turned)
    for key in ("dpi", "jfif_density", "resolution"):
        if turned and isinstance(info.get(key), tuple):
            info[key] = info[key][::-1]
    for key in ("xmp", "XML:com.adobe.xmp"):
        packet = info.get(key)
        if isinstance(packet, bytes):
            info[key] = upright_xmp(packet)
        elif isinstance(packet, str):
            info[key] = upright_xmp(packet.encode()).decode()
    return info
