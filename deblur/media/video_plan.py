"""How a restored video is encoded: as close to its source as its container lets it.

What a container can hold is tried: the source's beginning is written and read back, as a player
would.
"""

from collections import Counter
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from deblur.media.video import COVER, assume_tags, import_av, open_video
from deblur.media.video_encoders import PROFILES, list_encoders
from deblur.media.video_encoding import MOV, TELLING, Attachment, Encoding, has_times
from deblur.media.video_tags import has_itunes_tags
from deblur.media.video_writer import VideoWriter

CURVES = {16: "PQ", 18: "HLG"}
TOLD = {
    *("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL", "DYNAMIC_HDR_PLUS", "DOVI_METADATA"),
    *("SPHERICAL", "STEREO3D", "ICC_PROFILE", "A53_CC"),
}
"""What a frame may say of itself that encoders may leave out."""
MIMETYPES = {"mjpeg": "image/jpeg", "png": "image/png"}
FRAMES, FRAMES_OF_STREAM, PACKETS = 3, 16, 500
"""The most frames tried of a source's beginning; the most of a transport stream, which fewer do not
identify; and the number of packets after which other streams are not awaited."""


class Beginning(NamedTuple):
    """The beginning of a file, as it was read back."""

    streams: Counter[tuple[str, str | None]]
    """The number of streams of each type and codec, the main stream among them."""
    profile: str | None
    first: Any
    """The first frame."""
    frames: int
    """The number of the main stream's frames."""
    timecode: str | None
    """The time of the first frame that the main stream tells."""


def plan_encoding(
    source: Path, container: Any, video: Any, first: Any, target: Path, quality: int
) -> tuple[Encoding, list[str]]:
    """Choose the encoding that stays closest to a source, and note where it differs.

    container, video: the source's container and main stream. first: its first frame. quality: 1 to
    100. Raises ValueError ("PATH: reason") where nothing can be written.
    """
    format = import_av().open(str(target), "w").format.name
    rate = video.average_rate or video.guessed_rate or Fraction(25)
    if rate > 240 and first.duration:  # often that of the clock
        rate = 1 / (first.duration * first.time_base)
    # Some containers and codecs know whole frames only.
    ticks = [video.time_base, 1 / rate] if has_times(format) else [1 / rate]
    codec = video.codec_context.codec.canonical_name
    for encoder, stored in list_encoders(codec, first.format):
        for tick in ticks:
            encoding = Encoding(
                format, encoder, stored, tick, rate, quality, container, video, first
            )
            if (beginning := _try(source, target, encoding)) is not None:
                break
        else:
            continue
        break
    else:
        raise ValueError(f"{target}: {format} holds neither {codec} nor what it could be made")
    notes = _describe(encoding, codec, beginning)
    if first.format.is_rgb and not import_av().VideoFormat(encoding.stored).is_rgb:
        assume_tags(first)
    encoding, more = _add_others(source, target, encoding, beginning.timecode)
    return encoding, notes + more


def _try(source: Path, target: Path, encoding: Encoding) -> Beginning | None:
    """Write a source's beginning elsewhere, and read it back; return None where that fails."""
    av = import_av()
    writer = None
    with TemporaryDirectory(prefix="deblur-") as folder:
        file = Path(folder, f"beginning{target.suffix}")
        try:
            writer = VideoWriter(file, encoding)
            with open_video(source) as (container, video):
                _write_beginning(writer, container, video)
            writer.finish()
            beginning = _read_beginning(file)
        except (av.FFmpegError, ValueError):
            return None
        finally:
            if writer is not None:
                with suppress(av.FFmpegError, ValueError):
                    writer.container.close()
    wanted = Counter(map(_identify, encoding.copies))
    wanted["video", av.Codec(encoding.encoder.name, "w").canonical_name] += 1
    if beginning is None or beginning.frames != writer.count or wanted - beginning.streams:
        return None
    return beginning


def _write_beginning(writer: VideoWriter, container: Any, video: Any) -> None:
    most = FRAMES_OF_STREAM if writer.encoding.format == "mpegts" else FRAMES
    waiting = {*writer.copies}
    streams = [video, *(container.streams[index] for index in waiting)]
    for count, packet in enumerate(container.demux(streams)):
        if packet.stream.index != video.index:
            waiting.discard(packet.stream.index)
            writer.copy(packet)
        elif writer.count < most:
            with suppress(import_av().FFmpegError):
                for frame in packet.decode()[: most - writer.count]:
                    writer.write(frame)
        elif not waiting or count > PACKETS:
            return


def _read_beginning(file: Path) -> Beginning | None:
    with import_av().open(str(file)) as container:
        video = container.streams.best("video")
        if video is None:
            return None
        frames = [*container.decode(video)]
        if any(frame.pts is None and frame.dts is None for frame in frames):
            return None
        if not frames:
            return None
        streams = Counter(one for one in map(_identify, container.streams) if one[1])
        timecode = _find_timecode(video)
        return Beginning(streams, video.profile, frames[0], len(frames), timecode)


def _identify(stream: Any) -> tuple[str, str | None]:
    """Return a stream's type and codec; an attachment's name; None for what has no known codec."""
    if stream.codec_context is None:
        return stream.type, getattr(stream, "name", None)
    return stream.type, stream.codec.canonical_name


def _add_others(
    source: Path, target: Path, encoding: Encoding, timecode: str | None
) -> tuple[Encoding, list[str]]:
    """Add the other streams, as far as the container can hold them.

    timecode: that of the main stream, as it was read back.
    """
    encoding, streams, notes = _add_covers(source, encoding)
    for stream in encoding.source.streams:
        # Chapters are a stream, too, that no one shall read.
        if stream.index == encoding.video.index or stream.discard.name == "all":
            continue
        if _is_cover(stream):
            continue
        if _is_timecode(stream):
            # FFmpeg makes the track anew, or keeps the main stream's tag.
            if _find_timecode(stream) != timecode:
                notes.append(_say_left_out(stream, encoding.format))
            continue
        # Other containers would take a video's times for a count of frames.
        if stream.type == "video" and not has_times(encoding.format):
            notes.append(_say_left_out(stream, encoding.format))
        else:
            streams.append(stream)
    whole = encoding._replace(copies=tuple(streams))
    if _try(source, target, whole) is None:
        whole = encoding
        for stream in streams:
            more = whole._replace(copies=(*whole.copies, stream))
            if _try(source, target, more) is None:
                notes.append(_say_left_out(stream, encoding.format))
            else:
                whole = more
    others = [one for one in whole.copies if one.type == "video" and not _is_cover(one)]
    return whole, notes + [f"copied another {_name(one)} as it is" for one in others]


def _add_covers(source: Path, encoding: Encoding) -> tuple[Encoding, list[Any], list[str]]:
    """Add cover art: an attachment of Matroska's, a stream of MOV's or one of its tags."""
    streams, notes = [], []
    for cover in filter(_is_cover, encoding.source.streams):
        if encoding.format in MOV:
            if not has_itunes_tags(source):  # which have it, and are taken over as they are
                streams.append(cover)
            continue
        mimetype = MIMETYPES.get(cover.codec.canonical_name)
        if encoding.format != "matroska" or mimetype is None:
            notes.append(_say_left_out(cover, encoding.format))
            continue
        name = cover.metadata.get("filename") or f"cover.{mimetype[6:].replace('jpeg', 'jpg')}"
        attachment = Attachment(name, mimetype, _read_cover(source, cover.index))
        encoding = encoding._replace(attachments=(*encoding.attachments, attachment))
    return encoding, streams, notes


def _is_cover(stream: Any) -> bool:
    return stream.type == "video" and bool(stream.disposition & COVER)


def _is_timecode(stream: Any) -> bool:
    return stream.type == "data" and _find_timecode(stream) is not None


def _find_timecode(stream: Any) -> str | None:
    tags = {key.lower(): value for key, value in stream.metadata.items()}  # Matroska's are capitals
    return tags.get("timecode")


def _read_cover(source: Path, index: int) -> bytes:
    with open_video(source) as (container, _):
        return bytes(next(container.demux(container.streams[index])))


def _name(stream: Any) -> str:
    if _is_timecode(stream):
        return "timecode"
    kind = "cover" if _is_cover(stream) else stream.type
    return f"{kind} ({getattr(stream, 'name', None)})"


def _say_left_out(stream: Any, format: str) -> str:
    return f"left out the {_name(stream)}: {format} cannot hold it"


def _describe(encoding: Encoding, codec: str, beginning: Beginning) -> list[str]:
    """Return notes on how the main stream changes. beginning: its start, read back."""
    notes = []
    first, format, video = encoding.first, encoding.format, encoding.video
    encoded = import_av().Codec(encoding.encoder.name, "w").canonical_name
    if encoded != codec:
        notes.append(f"encoded it as {encoded}: {codec} cannot be written to {format} here")
    elif codec in PROFILES and beginning.profile != video.profile:
        notes.append(f"encoded it in the profile {beginning.profile} instead of {video.profile}")
    if encoding.stored != first.format.name.replace("yuvj", "yuv"):
        notes.append(f"stored its pixels as {encoding.stored} instead of {first.format.name}")
    if video.metadata.get("alpha_mode") == "1":
        notes.append("left out its transparency")
    if encoding.turns:
        notes.append(f"turned it upright: {format} cannot say how it is turned")
    if encoding.source.chapters() and format not in TELLING:
        notes.append(f"left out the chapters: {format} cannot hold them")
    if first.interlaced_frame:
        kept = beginning.first.interlaced_frame
        end = "" if kept else f", and {encoded} does not say that they are two"
        notes.append(f"it is interlaced: both fields were restored as one frame{end}")
    if first.color_trc in CURVES:
        notes.append(f"it is HDR: restored as its {CURVES[first.color_trc]} curve stores it")
    kept_kinds = {data.type.name for data in beginning.first.side_data}
    kinds = [data.type.name for data in first.side_data if data.type.name not in kept_kinds]
    if untold := [kind.lower().replace("_", " ") for kind in kinds if kind in TOLD]:
        notes.append(f"left out what its frames say of {', '.join(untold)}")
    return notes
