"""What a restored video's file is to be, and how it is begun."""

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from deblur.hardware import keep_priority
from deblur.media.video import import_av
from deblur.media.video_encoders import Encoder, keep_properties
from deblur.media.video_tags import current_tags

MOV = {"mp4", "mov", "ipod", "3gp", "3g2"}
TELLING = {*MOV, "matroska", "webm"}
"""Containers that have chapters, and say how a picture is turned."""
TAGS = ("color_range", "colorspace", "color_primaries", "color_trc")


class Attachment(NamedTuple):
    """A file in the head of a container."""

    name: str
    mimetype: str
    content: bytes


class Encoding(NamedTuple):
    """What a restored video's file is to be."""

    format: str
    """The container's name in FFmpeg."""
    encoder: Encoder
    stored: str
    """The pixel format that is stored."""
    tick: Fraction
    """The unit of frames' times, in seconds."""
    rate: Fraction
    quality: int
    source: Any
    video: Any
    """The source, and its main stream."""
    first: Any
    """The first frame."""
    copies: tuple[Any, ...] = ()
    """The source's streams that are copied."""
    attachments: tuple[Attachment, ...] = ()

    @property
    def turns(self) -> int:
        """Quarter turns to be made, against the clock, where the container cannot tell players."""
        return 0 if self.format in TELLING else round(self.first.rotation / 90) % 4

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        size = self.first.width, self.first.height
        return size[::-1] if self.turns % 2 else size

    def create(self, file: str) -> tuple[Any, Any, dict[int, Any]]:
        """Return a container with its head written, its main stream, and its copied streams."""
        # What is written of a file can be played. MOV's are fragments until the end, and plain
        # then; their head waits for the first packets, or could not say where the time begins.
        # A fragment starts at a key frame: FFmpeg takes the end of the last one for the video's.
        options = {"flush_packets": "1"}
        if self.format in MOV:
            options["movflags"] = "+hybrid_fragmented+delay_moov+frag_keyframe"
            options["min_frag_duration"] = "2000000"
            if any("." in key for key in self.source.metadata):
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
        for attachment in self.attachments:
            container.add_attachment(*attachment)
        container.metadata.update(current_tags(self.source.metadata))
        if self.format in TELLING:
            container.set_chapters(self.source.chapters())
        with keep_priority():
            container.start_encoding()
        return container, stream, copies

    def _add_stream(self, container: Any) -> Any:
        width, height = self.size
        settings = self.encoder.settings(self.quality)
        keep_properties(self.encoder.name, settings, self.video, self.first)
        stream = container.add_stream(
            self.encoder.name,
            rate=self.rate,
            options=settings,
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
        if not has_times(self.format):
            context.max_b_frames = 0
        if "+ildct" in settings.get("flags", ""):
            context.field_order = self.video.codec_context.field_order
        # Else packets have no duration, and MP4 loses the last frame.
        context.flags |= import_av().codec.context.Flags.frame_duration
        stream.metadata.update(current_tags(self.video.metadata))
        stream.disposition = self.video.disposition
        if self.format in TELLING and (matrix := _find_matrix(self.first)) is not None:
            stream.set_display_matrix(matrix)
        return stream


def has_times(format: str) -> bool:
    """Return whether a container stores a time for each frame."""
    av = import_av()
    return format in MOV or bool(
        av.ContainerFormat(format, "w").flags & av.format.Flags.variable_fps.value
    )


def _find_matrix(frame: Any) -> list[int] | None:
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            return [int(each) for each in np.frombuffer(data, np.int32)]
    return None
