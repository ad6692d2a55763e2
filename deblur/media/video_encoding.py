"""How a restored video is encoded: as close to its source as its container lets it."""

import re
from contextlib import suppress
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deblur.media.video import COVER, assume_tags, import_av

MOV = {"mp4", "mov", "ipod", "3gp", "3g2"}
TELLING = {*MOV, "matroska", "webm"}
"""Containers that have chapters, and say how a picture is turned."""
TAGS = ("color_range", "colorspace", "color_primaries", "color_trc")
CURVES = {16: "PQ", 18: "HLG"}
STALE = re.compile(
    r"encoder|\w+_brands?|minor_version|rotate|alpha_mode|duration.*|bps.*|number_of_.*"
    r"|_statistics_.*",
    re.I,
)
"""Tags that are untrue of what is encoded anew."""
UNTOLD = {
    *("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL", "DYNAMIC_HDR_PLUS", "DOVI_METADATA"),
    *("SPHERICAL", "STEREO3D", "ICC_PROFILE"),
}
"""What a frame may say of itself that PyAV cannot write."""


class Encoder(NamedTuple):
    """An encoder of FFmpeg's."""

    name: str
    crf: int | None = None
    """What looks like libx264's constant rate factor 18; None for encoders that have none."""
    options: dict[str, str] = {}

    def settings(self, quality: int) -> dict[str, str]:
        """Give its options for a quality of 1 to 100; 80 is 18 of libx264."""
        crf = 10 + (100 - quality) * 0.4
        if self.crf is not None:
            return {**self.options, "crf": str(round(crf * self.crf / 18))}
        # x264's own relation to the quantizers of older codecs.
        quantizer = min(31, max(1, round(0.85 * 2 ** ((crf - 12) / 6))))
        # Held at both ends, or each frame's would be the one that it was decoded with.
        limits = {"qmin": str(quantizer), "qmax": str(quantizer)}
        return {"flags": "+qscale", "global_quality": str(118 * quantizer), **limits}


ENCODERS = {
    "h264": [Encoder("libx264", 18), Encoder("libx264rgb", 18)],
    "hevc": [Encoder("libx265", 18, {"x265-params": "log-level=error"})],
    "vp9": [Encoder("libvpx-vp9", 22, {"b": "0", "cpu-used": "5", "row-mt": "1"})],
    "av1": [Encoder("libsvtav1", 22, {"preset": "8"})],
    "vp8": [Encoder("libvpx", 10, {"b": "50M", "cpu-used": "4"})],
    "mpeg4": [Encoder("mpeg4")],
    "mpeg2video": [Encoder("mpeg2video")],
}
"""By codec, and in the order in which they stand in for one that cannot be used."""


class Encoding(NamedTuple):
    """What a restored video's file is to be."""

    format: str
    """The container's, as FFmpeg calls it."""
    encoder: Encoder
    stored: str
    """The pixel format."""
    tick: Fraction
    """Seconds that a frame's time counts in."""
    rate: Fraction
    quality: int
    film: Any
    video: Any
    """The source, and its main stream."""
    first: Any
    """The first frame."""
    copies: tuple[Any, ...] = ()
    """The source's streams that are copied."""

    @property
    def turns(self) -> int:
        """Quarter turns to be made, against the clock, where the container cannot tell players."""
        return 0 if self.format in TELLING else round(self.first.rotation / 90) % 4

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        size = self.first.width, self.first.height
        return size[::-1] if self.turns % 2 else size

    def create(self, file: str | BytesIO) -> tuple[Any, Any, dict[int, Any]]:
        """Give a container with its head written, its main stream, and its copied streams."""
        # What is written of a file can be played. MOV's are fragments until the end, and plain
        # then; their head waits for the first packets, or could not say where the time begins.
        options = {"flush_packets": "1"}
        if self.format in MOV:
            options["movflags"] = "+hybrid_fragmented+delay_moov"
            options["frag_duration"] = "2000000"
            if any("." in key for key in self.film.metadata):
                options["movflags"] += "+use_metadata_tags"  # com.apple.quicktime.location ...
        elif self.format in TELLING:
            options["cluster_time_limit"] = "2000"
        container = import_av().open(
            file,
            "w",
            format=self.format,
            container_options=options,
            metadata_errors="surrogateescape",
        )
        stream = self._add_stream(container)
        copies = {}
        for old in self.copies:
            new = copies[old.index] = container.add_stream_from_template(old, opaque=True)
            new.metadata.update(old.metadata)
            new.disposition = old.disposition
        container.metadata.update(_current(self.film.metadata))
        if self.format in TELLING:
            container.set_chapters(self.film.chapters())
        container.start_encoding()
        return container, stream, copies

    def _add_stream(self, container: Any) -> Any:
        width, height = self.size
        stream = container.add_stream(
            self.encoder.name,
            rate=self.rate,
            options=self.encoder.settings(self.quality),
            width=width,
            height=height,
            pix_fmt=self.stored,
            time_base=self.tick,
        )
        context = stream.codec_context
        for tag in TAGS:
            setattr(context, tag, getattr(self.first, tag))
        if aspect := self.video.sample_aspect_ratio:
            context.sample_aspect_ratio = 1 / aspect if self.turns % 2 else aspect
        if self.encoder.name == "libx265" and self.format in MOV:
            context.codec_tag = "hvc1"  # else Apple's players refuse it
        if not _has_times(self.format):
            context.max_b_frames = 0
        stream.metadata.update(_current(self.video.metadata))
        stream.disposition = self.video.disposition
        if self.format in TELLING and (matrix := _find_matrix(self.first)) is not None:
            stream.set_display_matrix(matrix)
        return stream

    def fits(self) -> bool:
        """Try, in memory, whether such a file can be begun."""
        try:
            container, _, _ = self.create(BytesIO())
        except (import_av().FFmpegError, ValueError):
            return False
        with suppress(import_av().FFmpegError):
            container.close()
        return True


def plan_encoding(
    film: Any, video: Any, first: Any, target: Path, quality: int
) -> tuple[Encoding, list[str]]:
    """Choose what stays closest to a source, and say where it does not.

    film, video: the source's container and main stream. first: its first frame. quality: 1 to 100.
    Raises ValueError ("PATH: reason") where nothing can be written.
    """
    format = import_av().open(str(target), "w").format.name
    rate = video.average_rate or video.guessed_rate or Fraction(25)
    if rate > 240 and first.duration:  # often that of the clock
        rate = 1 / (first.duration * first.time_base)
    # Some containers and codecs know whole frames only.
    ticks = [video.time_base, 1 / rate] if _has_times(format) else [1 / rate]
    codec = video.codec_context.codec.canonical_name
    encodings = (
        Encoding(format, encoder, stored, tick, rate, quality, film, video, first)
        for encoder, stored in _list_encoders(codec, first.format)
        for tick in ticks
    )
    encoding = next((encoding for encoding in encodings if encoding.fits()), None)
    if encoding is None:
        raise ValueError(f"{target}: there is no encoder for such a file")
    notes = _describe(encoding, codec)
    if first.format.is_rgb and not import_av().VideoFormat(encoding.stored).is_rgb:
        assume_tags(first)
    encoding, more = _add_copies(encoding)
    return encoding, notes + more


def _add_copies(encoding: Encoding) -> tuple[Encoding, list[str]]:
    """Add the other streams, as far as the container can hold them."""
    notes = []
    has_times = _has_times(encoding.format)
    for stream in encoding.film.streams:
        # Chapters are a stream, too, that no one shall read.
        if stream.index == encoding.video.index or stream.discard.name == "all":
            continue
        cover = stream.type == "video" and stream.disposition & COVER
        name = f"{'cover' if cover else stream.type} ({getattr(stream, 'name', None)})"
        more = encoding._replace(copies=(*encoding.copies, stream))
        # Other containers would take a cover for a film, or a film's times for a count of frames.
        able = encoding.format in MOV or stream.type != "video" or not cover and has_times
        if not able or not more.fits():
            notes.append(f"left out the {name}: {encoding.format} cannot hold it")
            continue
        encoding = more
        if stream.type == "video" and not cover:
            notes.append(f"copied another {name} as it is")
    return encoding, notes


def _describe(encoding: Encoding, codec: str) -> list[str]:
    """Say what becomes of the main stream."""
    notes = []
    first, format = encoding.first, encoding.format
    encoded = import_av().Codec(encoding.encoder.name, "w").canonical_name
    if encoded != codec:
        notes.append(f"encoded it as {encoded}: {codec} cannot be written to {format} here")
    if encoding.stored != first.format.name.replace("yuvj", "yuv"):
        notes.append(f"stored its pixels as {encoding.stored} instead of {first.format.name}")
    if encoding.video.metadata.get("alpha_mode") == "1":
        notes.append("left out its transparency")
    if encoding.turns:
        notes.append(f"turned it upright: {format} cannot say how it is turned")
    if encoding.film.chapters() and format not in TELLING:
        notes.append(f"left out the chapters: {format} cannot hold them")
    if first.interlaced_frame:
        notes.append("it is interlaced: both fields were restored as one frame, and stay one")
    if first.color_trc in CURVES:
        notes.append(f"it is HDR: restored as its {CURVES[first.color_trc]} curve stores it")
    kinds = [data.type.name for data in first.side_data]
    if untold := [kind.lower().replace("_", " ") for kind in kinds if kind in UNTOLD]:
        notes.append(f"left out what its frames say of {', '.join(untold)}")
    return notes


def _list_encoders(codec: str, pixels: Any) -> list[tuple[Encoder, str]]:
    """List encoders with the pixel format that each would store; first those that lose nothing."""
    av = import_av()
    others = [encoder for encoders in ENCODERS.values() for encoder in encoders]
    wanted = "rgba" if pixels.has_palette else pixels.name.replace("yuvj", "yuv")
    found = []
    for encoder in [*ENCODERS.get(codec, [Encoder(codec)]), *others]:
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
    """Say whether a pixel format has transparency."""
    return any(component.is_alpha for component in import_av().VideoFormat(pixels).components)


def _has_times(format: str) -> bool:
    """Say whether a container gives each frame a time of its own."""
    av = import_av()
    return format in MOV or bool(
        av.ContainerFormat(format, "w").flags & av.format.Flags.variable_fps.value
    )


def _current(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if not STALE.fullmatch(key)}


def _find_matrix(frame: Any) -> list[int] | None:
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            return [int(each) for each in np.frombuffer(data, np.int32)]
    return None
