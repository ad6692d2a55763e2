"""FFmpeg's encoders: which stand in for which, and how each keeps what a frame says of itself."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from deblur.media.video import import_av

INTERLACED = {"libx264", "mpeg2video", "prores_ks"}
"""Encoders that keep the two fields of a frame apart, as their read-back frames say."""
PROFILES = {
    "prores": dict(zip(("Proxy", "LT", "Standard", "HQ", "4444", "XQ"), "012345")),
    "dnxhd": {
        **{f"DNXHR {name}": f"dnxhr_{name.lower()}" for name in ("LB", "SQ", "HQ", "HQX", "444")},
        "DNXHD": "dnxhd",
    },
}
"""FFmpeg's options for the profiles that set a codec's size, by codec and the profile's name."""
COLOUR, LUMINANCE = 50_000, 10_000
"""How many units of mastering data make a chromaticity of 1, and a candela per square metre."""


class Encoder(NamedTuple):
    """An encoder of FFmpeg's."""

    name: str
    crf: int | None = None
    """The constant rate factor that looks like libx264's 18; None for encoders that have none."""
    options: dict[str, str] = {}

    def settings(self, quality: int) -> dict[str, str]:
        """Return its options for a quality of 1 to 100; 80 is 18 of libx264."""
        crf = 10 + (100 - quality) * 0.4
        if self.crf is not None:
            return {**self.options, "crf": str(round(crf * self.crf / 18))}
        # x264's own relation to the quantizers of older codecs.
        quantizer = min(31, max(1, round(0.85 * 2 ** ((crf - 12) / 6))))
        # Held at both ends, or each frame's would be the one that it was decoded with.
        limits = {"qmin": str(quantizer), "qmax": str(quantizer)}
        flags = {"flags": "+qscale", "global_quality": str(118 * quantizer)}
        return {**self.options, **flags, **limits}


ENCODERS = {
    "h264": [Encoder("libx264", 18), Encoder("libx264rgb", 18)],
    "hevc": [Encoder("libx265", 18, {"x265-params": "log-level=error"})],
    "vp9": [Encoder("libvpx-vp9", 22, {"b": "0", "cpu-used": "5", "row-mt": "1"})],
    "av1": [Encoder("libsvtav1", 22, {"preset": "8"})],
    "vp8": [Encoder("libvpx", 10, {"b": "50M", "cpu-used": "4"})],
    "mpeg4": [Encoder("mpeg4")],
    "mpeg2video": [Encoder("mpeg2video")],
}
"""Encoders by codec, in the order in which they replace an unusable one."""
OWN = {"prores": Encoder("prores_ks")}
"""Encoders that replace no other, by codec."""


def list_encoders(codec: str, pixels: Any) -> list[tuple[Encoder, str]]:
    """List encoders with the pixel format that each would store; first those that lose nothing."""
    av = import_av()
    others = [encoder for encoders in ENCODERS.values() for encoder in encoders]
    wanted = "rgba" if pixels.has_palette else pixels.name.replace("yuvj", "yuv")
    found = []
    for encoder in [*ENCODERS.get(codec, [OWN.get(codec, Encoder(codec))]), *others]:
        try:
            formats = av.Codec(encoder.name, "w").video_formats
        except ValueError:
            continue
        names = [format.name for format in formats or () if not format.has_palette] or [wanted]
        best, loss = av.codec.codec.find_best_pix_fmt_of_list(names, wanted, has_alpha(wanted))
        # What it has in excess is no loss.
        found.append((loss & 0x3F != 0, encoder, best.name.replace("yuvj", "yuv")))
    return [(encoder, stored) for _, encoder, stored in sorted(found, key=lambda each: each[0])]


def has_alpha(pixels: str) -> bool:
    """Return whether a pixel format has transparency."""
    return any(component.is_alpha for component in import_av().VideoFormat(pixels).components)


def keep_properties(encoder: str, settings: dict[str, str], video: Any, first: Any) -> None:
    """Add to an encoder's settings what keeps a source's profile, fields and HDR mastering data.

    video: the source's main stream. first: its first frame.
    """
    codec = import_av().Codec(encoder, "w").canonical_name
    if codec == video.codec_context.codec.canonical_name:
        if option := PROFILES.get(codec, {}).get(video.profile):
            settings["profile"] = option
    if first.interlaced_frame and encoder in INTERLACED:
        settings["flags"] = settings.get("flags", "") + "+ildct+ilme"
    lights = dict(_describe_light(first))
    names = {
        "libx264": ("x264-params", "mastering-display", "cll"),
        "libx265": ("x265-params", "master-display", "max-cll"),
        "libsvtav1": ("svtav1-params", "mastering-display", "content-light"),
    }
    if encoder not in names or not lights:
        return
    key, display, level = names[encoder]
    given = [settings[key]] if key in settings else []
    if "MASTERING_DISPLAY_METADATA" in lights:
        scales = (1, 1) if encoder == "libsvtav1" else (COLOUR, LUMINANCE)
        told = _write_display(lights["MASTERING_DISPLAY_METADATA"], *scales)
        given += [f"{display}={told}"] if told else []
    if "CONTENT_LIGHT_LEVEL" in lights:
        most, mean = np.frombuffer(lights["CONTENT_LIGHT_LEVEL"], np.uint32)[:2]
        given.append(f"{level}={most},{mean}")
    settings[key] = ":".join(given)


def _describe_light(frame: Any) -> Iterator[tuple[str, bytes]]:
    """Yield what a frame says of the display on which a video was mastered, and of its light."""
    for data in frame.side_data:
        if data.type.name in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"):
            yield data.type.name, bytes(data)


def _write_display(data: bytes, colour: int, luminance: int) -> str:
    """Write FFmpeg's AVMasteringDisplayMetadata as encoders read it; "" where a part is missing.

    colour, luminance: the encoder's units, 1 for decimal fractions.
    """
    numbers = np.frombuffer(data, np.int32)
    if len(numbers) < 22 or not numbers[20] or not numbers[21] or 0 in numbers[1:20:2]:
        return ""
    parts = [Fraction(int(top), int(bottom)) for top, bottom in numbers[:20].reshape(10, 2)]

    def write(value: Fraction, unit: int) -> str:
        return f"{float(value):.5f}" if unit == 1 else str(round(value * unit))

    red, green, blue, white = (
        ",".join(write(part, colour) for part in parts[at : at + 2]) for at in (0, 2, 4, 6)
    )
    low, high = (write(part, luminance) for part in parts[8:10])
    return f"G({green})B({blue})R({red})WP({white})L({high},{low})"
