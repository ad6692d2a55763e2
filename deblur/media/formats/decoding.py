"""Pixels out of Pillow, upright: grey or RGB, 8 or 16 bits, alpha beside them.

Pillow has no colour of 16 bits: of such a PNG or TIFF it takes each sample's high byte. Asked to
read the samples in the other byte order it takes the low one, so asking twice gives both. That
reads whatever Pillow reads (interlaced PNG, TIFF with LZW or tiles), and needs no other library.
"""

import re
import sys
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from deblur.media.formats.frame import ROWS, Frame

Note = Callable[[str], None]
OTHER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
"""The other byte order; N is the machine's own."""
DEEP = re.compile(r"(?!I)\w+;16[BLN]")
"""Raw modes of colour with 16 bits a sample; without a byte order (BMP's BGR;16) a pixel has 16."""
CHANNELS = {"L": 1, "LA": 1, "I;16": 1, "I;16B": 1, "RGB": 3, "RGBA": 3}
"""The number of colour channels, without alpha, of the modes used as they are."""
CONVERTED = {
    "1": ("L", "1-bit pixels were converted to 8-bit grey"),
    "La": ("LA", None),
    "RGBa": ("RGBA", None),
    "RGBX": ("RGB", None),
    "PA": ("RGBA", "the palette was converted to RGB with alpha"),
    "YCbCr": ("RGB", None),
    "LAB": ("RGB", "Lab was converted to RGB"),
}
"""What other modes are converted to, and the note on that, if there is any."""


def is_deep(picture: ImageFile.ImageFile) -> bool:
    """Return whether a picture has 12 or 16 bits a sample, of which Pillow's `convert` loses some.

    Raises ValueError where Pillow would mistake the samples.
    """
    if DEEP.fullmatch(_raw_mode(picture)):
        return picture.mode in CHANNELS
    return picture.mode.startswith("I;16")


def decode(
    picture: ImageFile.ImageFile,
    again: Callable[[], ImageFile.ImageFile],
    orientation: int,
    note: Note,
) -> Frame:
    """Decode the frame that a picture is at.

    again: opens the picture anew, at the same frame. orientation: how the stored pixels lie, 1 to
    8 as EXIF counts. Raises ValueError for pixels of other than 8 or 16 bits.
    """
    raw, white = _raw_mode(picture), _white(picture)
    key = _key(picture, raw)
    if DEEP.fullmatch(raw):
        still = picture.format == "TIFF" or getattr(picture, "n_frames", 1) == 1
        if still and picture.mode in CHANNELS:
            return _keyed(_scaled(_decode_deep(again, raw, orientation), white), key)
        # Of an animation, Pillow puts 8 bits together; CMYK it converts by 8.
        note("16 bits were read as 8")
    if white > 255 and picture.mode == "RGB":
        note(f"{white.bit_length()} bits were rounded to 8: PPM as text is read so")
    image = _convert(picture, note)
    deep = image.mode.startswith("I")
    frame = _canvas(image.size, CHANNELS.get(image.mode, 1), "A" in image.mode, deep, orientation)
    _pour(image, _as_stored(frame, orientation))
    return _keyed(_levels(picture, raw, frame, note), key)


def _decode_deep(again: Callable[[], ImageFile.ImageFile], raw: str, orientation: int) -> Frame:
    """Decode 16 bits: a pass for the high bytes, another for the low ones."""
    bands, order = raw.split(";16")
    plain = "RGBA" if bands == "RGBa" else bands
    passes = [(f"{plain};16{order}", 8), (f"{plain};16{OTHER[order]}", 0)]
    if bands == "LA":
        # Its four bytes a pixel pass for RGBA.
        passes = [("RGBA", 0)]
    frame = None
    for raw, shift in passes:
        picture = again()
        picture.tile = [_retiled(tile, raw) for tile in picture.tile]
        picture.load()
        if frame is None:
            channels, alpha = (1 if bands == "LA" else 3), picture.mode == "RGBA"
            frame = _canvas(picture.size, channels, alpha, True, orientation)
        _pour(picture, _as_stored(frame, orientation), shift=shift, pairs=bands == "LA")
    assert frame is not None
    return _divided(frame) if bands == "RGBa" else frame


def _raw_mode(picture: ImageFile.ImageFile) -> str:
    """Return the raw mode that Pillow takes samples for; raise ValueError where it is mistaken."""
    if picture.mode == "RGB" and _white(picture) > 255 and picture.tile[0].codec_name == "ppm":
        return "RGB;16B"
    tags = getattr(picture, "tag_v2", {})
    if tags.get(284) == 2 and max(tags.get(258, (8,))) > 8:
        raise ValueError("16-bit samples in planes of their own, expected them interleaved")
    if not picture.tile:
        return picture.mode
    args: Any = picture.tile[0].args
    return str(args if isinstance(args, str) else args[0])


def _white(picture: ImageFile.ImageFile) -> int:
    """Return which sample is white in a PPM whose samples Pillow scales; 0 for other pictures."""
    args: Any = picture.tile[0].args if picture.format == "PPM" and picture.tile else ()
    return int(args[1]) if isinstance(args, tuple) and len(args) == 2 else 0


def _retiled(tile: Any, raw: str) -> Any:
    if tile.codec_name == "ppm":
        return tile._replace(codec_name="raw", args=raw)
    return tile._replace(args=raw if isinstance(tile.args, str) else (raw, *tile.args[1:]))


def _convert(picture: ImageFile.ImageFile, note: Note) -> Image.Image:
    """Load a picture in one of the modes that are used as they are."""
    picture.load()
    mode = picture.mode
    if mode in CHANNELS or (mode == "I" and picture.format == "PPM"):
        return picture
    if mode == "CMYK":
        return from_cmyk(picture, note)
    if mode == "P":
        return _from_palette(picture, note)
    if mode not in CONVERTED:
        raise ValueError(f"pixels of mode {mode}, expected 8 or 16 bits")
    becomes, said = CONVERTED[mode]
    if said:
        note(said)
    return picture.convert(becomes)


def _from_palette(picture: ImageFile.ImageFile, note: Note) -> Image.Image:
    palette = picture.getpalette("RGB")
    if palette is None:
        raise ValueError("colours behind a grey frame, which Pillow mixes up: make it a WebP first")
    colours = np.array(palette).reshape(-1, 3)
    # An animation's frames are all to be of a kind, and later ones have colour from Pillow.
    still = getattr(picture, "n_frames", 1) == 1
    # A profile of RGB is none for grey, which PNG forbids.
    coloured = (picture.info.get("icc_profile") or b"")[16:20] == b"RGB "
    grey = still and not coloured and not np.ptp(colours, -1).any()
    clear = picture.has_transparency_data
    if picture.format != "GIF":
        note("the palette was converted to " + ("grey" if grey else "RGB") + " with alpha" * clear)
    return picture.convert(("LA" if clear else "L") if grey else ("RGBA" if clear else "RGB"))


def from_cmyk(picture: Image.Image, note: Note) -> Image.Image:
    """Convert a CMYK picture to RGB, by its colour profile where it has one."""
    from PIL import ImageCms

    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(picture.info.get("icc_profile") or b""))
        screen = ImageCms.createProfile("sRGB")
        image = ImageCms.profileToProfile(picture, profile, screen, outputMode="RGB")
        assert image is not None
        note("CMYK was converted to RGB by its colour profile")
        return image
    except (ImportError, OSError, ImageCms.PyCMSError):  # no Little CMS, no profile or a broken one
        note("CMYK was converted to RGB without a colour profile")
        return picture.convert("RGB")


def _canvas(
    size: tuple[int, int], channels: int, alpha: bool, deep: bool, orientation: int
) -> Frame:
    height, width = size if orientation > 4 else size[::-1]
    kind = np.uint16 if deep else np.uint8
    pixels = np.zeros((height, width, channels), kind)
    return Frame(pixels, np.zeros((height, width), kind) if alpha else None)


def _as_stored(frame: Frame, orientation: int) -> Frame:
    """Return a view of an upright frame in the order in which its pixels are stored."""

    rows = -1 if orientation in (3, 4, 6, 7) else 1
    columns = -1 if orientation in (2, 3, 7, 8) else 1

    def view(upright: NDArray[Any]) -> NDArray[Any]:
        turned = upright.swapaxes(0, 1) if orientation > 4 else upright
        return turned[::rows, ::columns]

    return Frame(view(frame.pixels), None if frame.alpha is None else view(frame.alpha))


def _pour(image: Image.Image, frame: Frame, *, shift: int = 0, pairs: bool = False) -> None:
    """Add an image's samples, shifted, to a frame of zeros; pairs of bytes may be a sample."""
    pixels, alpha = frame
    channels = pixels.shape[2]
    for top in range(0, image.height, ROWS):
        bottom = min(top + ROWS, image.height)
        part = np.asarray(image.crop((0, top, image.width, bottom)))
        part = part.view(">u2") if pairs else part
        part = part.reshape(bottom - top, image.width, -1).astype(pixels.dtype) << shift
        pixels[top:bottom] |= part[..., :channels]
        if alpha is not None:
            alpha[top:bottom] |= part[..., channels]


def _levels(picture: ImageFile.ImageFile, raw: str, frame: Frame, note: Note) -> Frame:
    """Widen 12 bits to 16, and invert 16-bit grey whose 0 is white: Pillow leaves both."""
    pixels = frame.pixels
    if raw == "I;12":
        note("12 bits were widened to 16")
        pixels = pixels << 4 | pixels >> 8
    if pixels.dtype == np.uint16 and getattr(picture, "tag_v2", {}).get(262) == 0:
        pixels = ~pixels
    return frame._replace(pixels=pixels)


def _key(picture: ImageFile.ImageFile, raw: str) -> tuple[int, ...] | None:
    """Return the transparent colour of a picture without alpha and palette, if it has one."""
    key = picture.info.get("transparency")
    if key is None or picture.mode not in ("1", "L", "I;16", "RGB"):
        return None
    # The key of grey of 2 or 4 bits is not widened as its pixels are.
    scale = {"L;2": 85, "L;4": 17}.get(raw, 1)
    return tuple(key) if isinstance(key, tuple) else (int(key) * scale,)


def _keyed(frame: Frame, key: tuple[int, ...] | None) -> Frame:
    """Return a frame with alpha: 0 where its pixels have the key's colour."""
    if key is None or frame.alpha is not None or len(key) != frame.pixels.shape[2]:
        return frame
    kind = frame.pixels.dtype
    alpha = np.full(frame.pixels.shape[:2], np.iinfo(kind).max, kind)
    alpha[(frame.pixels == key).all(-1)] = 0
    return Frame(frame.pixels, alpha)


def _scaled(frame: Frame, white: int) -> Frame:
    """Scale 16-bit pixels so that white is 65535; 0 leaves them."""
    if white in (0, 65535):
        return frame
    for top in range(0, len(frame.pixels), ROWS):
        rows = slice(top, top + ROWS)
        wide = np.minimum(frame.pixels[rows], white).astype(np.uint32) * 65535
        frame.pixels[rows] = (wide + white // 2) // white
    return frame


def _divided(frame: Frame) -> Frame:
    """Undo the multiplication of 16-bit pixels by their alpha."""
    assert frame.alpha is not None
    for top in range(0, len(frame.pixels), ROWS):
        rows = slice(top, top + ROWS)
        alpha = np.maximum(frame.alpha[rows, :, None].astype(np.uint32), 1)
        wide = (frame.pixels[rows].astype(np.uint32) * 65535 + alpha // 2) // alpha
        frame.pixels[rows] = np.minimum(wide, 65535)
    return frame
