"""Small made films, and what a file is as a player finds it."""

import runpy
from collections.abc import Callable, Sequence
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from conftest import ROOT
from numpy.typing import NDArray
from PIL import Image

import deblur
from deblur.hardware import keep_priority
from deblur.media.video_writer import FEW

COVER = 1 << 10
OWN = {"encoder", "ENCODER", "major_brand", "minor_version", "compatible_brands"}
"""Tags of whoever wrote the file."""
QUIET = {"x265-params": "log-level=error"}
PHOTOS = Path(deblur.__file__).parent / "assets" / "photos"
FILMS = runpy.run_path(str(ROOT / "benchmarks" / "films.py"))
STILL: int = FILMS["STILL"]
"""Columns at the right of a pan that stand still."""
BLURRED = {*FILMS["BLURRED"]}
Pixels = NDArray[Any]


class Film(NamedTuple):
    """What a file is as it is read from its beginning to its end: all of it can be played."""

    codec: str
    profile: str | None
    times: list[Fraction]
    """Of its frames, in seconds."""
    length: int
    """Microseconds, as its head says."""
    interlaced: bool
    light: list[bytes]
    """What the first frame says of HDR."""
    tags: dict[str, str]
    covers: list[bytes]
    streams: list[tuple[str, str]]


def judge(path: Path) -> Film:
    """Read a film as a player does; raise av.FFmpegError for what cannot be played."""
    with av.open(str(path)) as container:
        video, packets = container.streams.best("video"), {}
        frames = []
        for packet in container.demux():
            packets.setdefault(packet.stream.index, bytes(packet))
            if packet.stream.index == video.index:
                frames += packet.decode()
        kinds = ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL")
        covers = [stream for stream in container.streams.video if stream.disposition & COVER]
        return Film(
            video.codec_context.codec.canonical_name,
            video.profile,
            [(f.dts if f.pts is None else f.pts) * f.time_base for f in frames],
            container.duration,
            frames[0].interlaced_frame,
            [bytes(data) for data in frames[0].side_data if data.type.name in kinds],
            {key.lower(): value for key, value in container.metadata.items() if key not in OWN},
            [packets[cover.index] for cover in covers],
            [(one.type, one.codec.canonical_name) for one in container.streams if one.codec],
        )


def ramp(place: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a picture that differs from one place to the next, (H, W, 3)."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    return np.stack([x * 3, y * 4, 0 * x + place % 60 * 4], -1).astype(np.uint8)


def make_film(
    path: Path,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    *,
    count: int = 6,
    rate: int = 25,
    size: tuple[int, int] = (64, 48),
    frames: Sequence[NDArray[np.uint8]] = (),
    options: dict[str, str] = {},
    tags: dict[str, str] = {},
    sound: str | None = None,
    prepare: Callable[[Any, Any], None] = lambda container, stream: None,
) -> Path:
    """Write a film of frames, (H, W, 3), or of so many made ones; sound: its codec."""
    frames = frames or [ramp(place, size) for place in range(count)]
    if codec == "libx265" and not options:
        options = QUIET
    with keep_priority(), av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        container.metadata.update(tags)
        prepare(container, stream)
        audio = container.add_stream(sound, rate=48000, layout="mono") if sound else None
        for place, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = place, Fraction(1, rate)
            container.mux(stream.encode(frame))
        packets = stream.encode()
        if codec == "libx265" and len(frames) <= FEW:
            for packet in packets:
                packet.dts = packet.pts
        container.mux(packets)
        if audio is not None:
            for place in range(48 * len(frames) // rate + 1):
                tone = np.zeros((1, 1024), np.float32 if sound == "aac" else np.int16)
                heard = av.AudioFrame.from_ndarray(
                    tone, format="fltp" if sound == "aac" else "s16", layout="mono"
                )
                heard.sample_rate, heard.pts = 48000, 1024 * place
                container.mux(audio.encode(heard))
            container.mux(audio.encode())
    return path


def pan(photo: str, count: int = 9, *, blurred: set[int] = BLURRED) -> tuple[list[Pixels], ...]:
    """Return the frames of a pan over a photo beside what stands still: as filmed, and sharp."""
    with Image.open(PHOTOS / photo) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    clip = FILMS["pan"](photo, pixels, count=count, blurred=blurred)
    return clip.filmed, clip.sharp


def make_cover() -> bytes:
    """Return a picture's file."""
    file = BytesIO()
    Image.new("RGB", (32, 32), "red").save(file, "JPEG")
    return file.getvalue()


def add_itunes_tags(path: Path, tags: dict[bytes, bytes]) -> None:
    """Add iTunes' tags, by the names of their boxes, to an MP4 file that has some."""
    content = path.read_bytes()
    places = [content.rindex(name) - 4 for name in (b"moov", b"udta", b"meta", b"ilst")]
    end = places[-1] + int.from_bytes(content[places[-1] : places[-1] + 4], "big")
    added = b""
    for name, value in tags.items():
        kind = 13 if name == b"covr" else 21 if len(value) == 1 else 1
        data = b"data" + kind.to_bytes(4, "big") + bytes(4) + value
        data = (4 + len(data)).to_bytes(4, "big") + data
        added += (8 + len(data)).to_bytes(4, "big") + name + data
    changed = bytearray(content)
    for place in places:
        size = int.from_bytes(changed[place : place + 4], "big") + len(added)
        changed[place : place + 4] = size.to_bytes(4, "big")
    changed[end:end] = added
    path.write_bytes(changed)
