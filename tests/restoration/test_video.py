import os
import re
import shutil
import sys
import wave
import weakref
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any

import av
import numpy as np
import pytest
from film_samples import make_film
from numpy.typing import NDArray

from deblur.atomic import hide
from deblur.extras import install_command
from deblur.hardware import keep_priority
from deblur.media.video_writer import VideoWriter
from deblur.restoration.video import Progress, name_part, restore_video

UNEVEN = [0, 40, 85, 120, 165, 200, 300, 310, 345, 400, 440, 480]
"""Milliseconds."""
EVEN = list(range(0, 480, 40))
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (200, 120, 60)]
LIMITED, FULL, UNTOLD = 1, 2, 0
TAGS = ("color_range", "colorspace", "color_primaries", "color_trc")
SUBTITLES = "1\n00:00:00,100 --> 00:00:00,200\nHello\n\n2\n00:00:00,300 --> 00:00:00,400\nWorld\n"


def same(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels.copy()


def ramps(count: int, size: tuple[int, int]) -> list[NDArray[np.uint16]]:
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    levels = [
        np.stack([x * 900, y * 1200, 0 * x + place % 60 * 1000], -1) for place in range(count)
    ]
    return [level.astype(np.uint16) for level in levels]


@pytest.fixture
def clip(tmp_path: Path) -> Callable[..., Path]:
    """Give a function that encodes a video, with what else is asked for."""

    def write(
        name: str = "clip.mp4",
        codec: str = "libx264",
        pixels: str = "yuv420p",
        *,
        size: tuple[int, int] = (64, 48),
        times: Sequence[int] = UNEVEN,
        frames: Sequence[Any] = (),
        sounds: Sequence[str] = (),
        subtitles: bool = False,
        options: dict[str, str] = {},
        head_first: bool = False,
        prepare: Callable[[Any, Any], None] = lambda container, stream: None,
    ) -> Path:
        flags = {"movflags": "faststart"} if head_first else {}
        film = str(tmp_path / name)
        with keep_priority(), av.open(film, "w", container_options=flags) as container:
            stream = container.add_stream(codec, rate=25, options=options)
            (stream.width, stream.height), stream.pix_fmt = size, pixels
            stream.codec_context.time_base = unit = Fraction(1, 25 if "avi" in name else 1000)
            prepare(container, stream)
            extras = [add_sound(container, sound) for sound in sounds]
            if subtitles:
                extras.append(add_subtitles(container, tmp_path))
            packets = []
            for time, pixel in zip(times, frames or ramps(len(times), size)):
                given = isinstance(pixel, av.VideoFrame)
                frame = pixel if given else av.VideoFrame.from_ndarray(pixel, format="rgb48le")
                frame.pts, frame.time_base = round(Fraction(time, 1000) / unit), unit
                packets += stream.encode(frame)
            packets += stream.encode()
            for extra in extras:
                packets += extra()
            container.mux(sorted(packets, key=lambda packet: packet.dts * packet.time_base))
        return tmp_path / name

    return write


def add_sound(container: Any, codec: str) -> Callable[[], list[Any]]:
    stream = container.add_stream(codec, rate=48000, layout="mono")
    stream.metadata["language"] = "ger"

    def encode() -> list[Any]:
        packets = []
        for place in range(23):
            tone = np.sin(np.arange(1024)[None] / (20 + place)) * 0.3
            samples, format = tone.astype(np.float32), "flt" if codec == "libopus" else "fltp"
            if codec == "pcm_s16le":
                samples, format = (tone * 9000).astype(np.int16), "s16"
            frame = av.AudioFrame.from_ndarray(samples, format=format, layout="mono")
            frame.sample_rate, frame.pts = 48000, 1024 * place
            packets += stream.encode(frame)
        return packets + list(stream.encode())

    return encode


def add_subtitles(container: Any, folder: Path) -> Callable[[], list[Any]]:
    (folder / "text.srt").write_text(SUBTITLES)
    with av.open(str(folder / "text.srt")) as text:
        stream = container.add_stream_from_template(text.streams[0], opaque=True)
        packets = [packet for packet in text.demux() if packet.dts is not None]
    for packet in packets:
        packet.stream = stream
    return lambda: packets


def decode(file: Path) -> list[Any]:
    with av.open(str(file)) as container:
        return list(container.decode(container.streams.best("video")))


def times(file: Path) -> list[Fraction]:
    return [(f.dts if f.pts is None else f.pts) * f.time_base for f in decode(file)]


def others(file: Path) -> dict[str, list[tuple[Fraction, bytes]]]:
    """Give the packets of a file's other streams, by type and place."""
    with av.open(str(file)) as container:
        streams = [stream for stream in container.streams if stream.type in ("audio", "subtitle")]
        found: dict[str, list[tuple[Fraction, bytes]]] = {}
        for packet in container.demux(streams):
            if packet.dts is not None:
                key = f"{packet.stream.type} {streams.index(packet.stream)}"
                found.setdefault(key, []).append((packet.pts * packet.time_base, bytes(packet)))
        return found


def planes(frame: Any) -> list[NDArray[Any]]:
    kind = "<u2" if frame.format.components[0].bits > 8 else "u1"
    views = [np.frombuffer(plane, kind).reshape(plane.height, -1) for plane in frame.planes]
    return [view[:, : plane.width].astype(int) for view, plane in zip(views, frame.planes)]


def describe(file: Path) -> dict[str, Any]:
    """Say what a video is."""
    with av.open(str(file)) as container:
        stream, chapters = container.streams.best("video"), container.chapters()
        frame = next(container.decode(stream))
        return {
            "codec": stream.codec_context.codec.canonical_name,
            "size": (frame.width, frame.height),
            "pixels": frame.format.name,
            "aspect": stream.sample_aspect_ratio,
            "turn": frame.rotation,
            "tags": [getattr(frame, tag) for tag in TAGS],
            "title": container.metadata.get("title"),
            "language": stream.metadata.get("language"),
            "chapters": [(c["start"] * c["time_base"], c["metadata"]) for c in chapters],
        }


def make_rich(container: Any, stream: Any) -> None:
    stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
    for tag, value in zip(TAGS, (LIMITED, 1, 1, 1)):
        setattr(stream.codec_context, tag, value)
    stream.set_display_rotation(-90)
    stream.metadata["language"] = "ice"
    container.metadata["title"] = "Þingvellir"
    unit = Fraction(1, 1000)
    container.set_chapters(
        [
            {"id": 1, "start": 0, "end": 200, "time_base": unit, "metadata": {"title": "one"}},
            {"id": 2, "start": 200, "end": 480, "time_base": unit, "metadata": {"title": "two"}},
        ]
    )


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "sound"),
    [
        ("clip.mp4", "libx264", "yuv420p", "aac"),
        ("clip.mov", "libx264", "yuv422p10le", "pcm_s16le"),
        ("clip.mp4", "libx265", "yuv420p10le", "aac"),
        ("clip.mkv", "libx264", "yuv444p", "pcm_s16le"),
        ("clip.webm", "libvpx-vp9", "yuv420p", "libopus"),
        ("clip.mkv", "libsvtav1", "yuv420p10le", "aac"),
    ],
)
def test_all_but_the_pixels_stays(
    clip: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    codec: str,
    pixels: str,
    sound: str,
) -> None:
    monkeypatch.setenv("SVT_LOG", "1")
    quiet = {"x265-params": "log-level=error"} if codec == "libx265" else {}
    source = clip(name, codec, pixels, sounds=[sound], options=quiet, prepare=make_rich)
    target, told = tmp_path / f"out{source.suffix}", []
    assert restore_video(source, target, same, watch=told.append) == []
    assert times(target) == times(source)
    assert others(target) == others(source)
    assert describe(target) == describe(source)
    assert [progress.done for progress in told] == list(range(1, 13))
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([source.name, target.name])


def chart(pixels: str, space: int, full: bool, told: int) -> Any:
    """Give a frame of flat patches, with their numbers by the book."""
    red, blue = {1: (0.2126, 0.0722), 6: (0.299, 0.114)}[space]
    r, g, b = np.array(COLOURS).T / 255
    light = red * r + (1 - red - blue) * g + blue * b
    values = light, (b - light) / (2 - 2 * blue), (r - light) / (2 - 2 * red)
    top = 1023 if "10" in pixels else 255
    scales = [(0, 1), (128 / 255, 1), (128 / 255, 1)] if full else [(16 / 255, 219 / 255)]
    scales += [] if full else 2 * [(128 / 255, 224 / 255)]
    if top == 1023 and not full:
        scales = [(64 / 1023, 876 / 1023), *2 * [(512 / 1023, 896 / 1023)]]
    frame = av.VideoFrame(96, 48, pixels)
    kind = np.uint16 if top > 255 else np.uint8
    for plane, value, (low, span) in zip(frame.planes, values, scales):
        patch = np.clip(np.round((low + span * value) * top), 0, top).astype(kind)
        row = np.repeat(patch, plane.width // len(COLOURS))
        lines = np.zeros((plane.height, plane.line_size // kind().itemsize), kind)
        lines[:, : plane.width] = row
        plane.update(lines)
    for tag, number in zip(TAGS, (told, space, 1, 1)):
        setattr(frame, tag, number)
    return frame


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize(
    ("space", "told"), [(1, LIMITED), (6, LIMITED), (1, FULL), (6, FULL), (1, UNTOLD)]
)
def test_colours_are_read_and_written_by_their_tags(
    clip: Callable[..., Path], tmp_path: Path, pixels: str, space: int, told: int
) -> None:
    def tell(_: Any, stream: Any) -> None:
        stream.codec_context.color_range, stream.codec_context.colorspace = told, space

    frames = [chart(pixels, space, told == FULL, told)]
    source = clip("c.mkv", "ffv1", pixels, size=(96, 48), times=[0], frames=frames, prepare=tell)
    seen = []
    restore_video(source, tmp_path / "out.mkv", lambda rgb: seen.append(rgb.copy()) or rgb)
    centres = slice(8, None, 16)
    unit = 257 if "10" in pixels else 1
    assert seen[0].dtype == (np.uint16 if "10" in pixels else np.uint8)
    assert np.abs(seen[0][24, centres] / unit - COLOURS).max() <= 1.5
    for before, after in zip(planes(decode(source)[0]), planes(decode(tmp_path / "out.mkv")[0])):
        middle = slice(before.shape[1] // 12, None, before.shape[1] // 6)
        row = before.shape[0] // 2
        assert np.abs(before - after)[row, middle].max() <= (2 if "10" in pixels else 1)
    assert describe(tmp_path / "out.mkv")["tags"][:2] == [told, space]


def test_nothing_drifts(clip: Callable[..., Path], tmp_path: Path) -> None:
    source = clip("c.mkv", "ffv1")
    for place in range(3):
        restore_video(source, tmp_path / f"{place}.mkv", same)
        source = tmp_path / f"{place}.mkv"
    for first, last in zip(decode(tmp_path / "c.mkv"), decode(source)):
        for before, after in zip(planes(first), planes(last)):
            assert np.abs(before - after).mean() < 0.5
            assert abs((before - after).mean()) < 0.3


def test_a_change_is_seen(clip: Callable[..., Path], tmp_path: Path) -> None:
    restore_video(clip("c.mkv", "ffv1"), tmp_path / "out.mkv", lambda rgb: 255 - rgb)
    before, after = planes(decode(tmp_path / "c.mkv")[3])[0], planes(
        decode(tmp_path / "out.mkv")[3]
    )
    assert np.abs(251 - before - after[0]).mean() < 1


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("clip.mkv", "ffv1", "yuv420p"),
        ("clip.webm", "libvpx-vp9", "yuv420p"),
        ("clip.avi", "mpeg4", "yuv420p"),
        ("clip.mov", "png", "rgba"),
        ("clip.mkv", "ffv1", "gray"),
        ("clip.avi", "mjpeg", "yuvj422p"),
    ],
)
def test_odd_sizes_and_odd_pixels_stay(
    clip: Callable[..., Path], tmp_path: Path, name: str, codec: str, pixels: str
) -> None:
    source = clip(name, codec, pixels, size=(65, 49), times=EVEN)
    target = tmp_path / f"out{source.suffix}"
    assert restore_video(source, target, same) == []
    assert describe(target) == describe(source)
    assert describe(target)["size"] == (65, 49)
    assert times(target) == times(source)


def test_transparency_stays(clip: Callable[..., Path], tmp_path: Path) -> None:
    clear = np.random.default_rng(0).integers(0, 256, (48, 64, 4), np.uint8)
    frames = [av.VideoFrame.from_ndarray(clear, format="rgba")]
    source = clip("clip.mov", "png", "rgba", times=[0], frames=frames)
    seen = []

    def darken(pixels: NDArray[Any]) -> NDArray[Any]:
        seen.append(pixels.copy())
        return pixels // 2

    restore_video(source, tmp_path / "out.mov", darken)
    assert np.array_equal(seen[0], clear)  # with alpha, so that hidden colours can be told
    found = decode(tmp_path / "out.mov")[0].to_ndarray()
    assert np.array_equal(found[..., 3], clear[..., 3])
    assert np.array_equal(found[..., :3], clear[..., :3] // 2)


def test_what_the_container_cannot_hold_is_left_out_and_said(
    clip: Callable[..., Path], tmp_path: Path
) -> None:
    source = clip("clip.mkv", sounds=["aac", "pcm_s16le"], subtitles=True, prepare=make_rich)
    assert restore_video(source, tmp_path / "out.mkv", same) == []
    assert others(tmp_path / "out.mkv") == others(source)
    assert [key[:5] for key in others(source)] == ["audio", "audio", "subti"]

    notes = restore_video(source, tmp_path / "out.mp4", same)
    assert notes == ["left out the subtitle (srt): mp4 cannot hold it"]
    assert [key[:5] for key in others(tmp_path / "out.mp4")] == ["audio", "audio"]
    assert describe(tmp_path / "out.mp4")["turn"] == -90

    notes = restore_video(source, tmp_path / "out.webm", same)
    assert "encoded it as vp9: h264 cannot be written to webm here" in notes
    assert "left out the audio (aac): webm cannot hold it" in notes
    assert times(tmp_path / "out.webm") == times(source)


def test_where_a_turn_cannot_be_told_the_picture_is_turned(
    clip: Callable[..., Path], tmp_path: Path
) -> None:
    def turn(_: Any, stream: Any) -> None:
        stream.set_display_rotation(-90)

    source = clip("clip.mp4", times=EVEN, prepare=turn)
    notes = restore_video(source, tmp_path / "out.avi", same)
    assert notes == ["turned it upright: avi cannot say how it is turned"]
    upright, stored = decode(tmp_path / "out.avi")[5], decode(source)[5]
    assert (upright.width, upright.height, upright.rotation) == (48, 64, 0)
    assert np.abs(np.rot90(planes(stored)[0], -1) - planes(upright)[0]).mean() < 2


def test_times_are_whole_frames_where_there_is_no_other_time(
    clip: Callable[..., Path], tmp_path: Path
) -> None:
    source = clip("clip.mp4", times=[0, 40, 85, 120, 160, 200])
    notes = restore_video(source, tmp_path / "out.avi", same)
    assert notes[0].startswith("moved frames to multiples of")
    assert len(decode(tmp_path / "out.avi")) == 6
    assert restore_video(tmp_path / "out.avi", tmp_path / "again.avi", same) == []
    assert times(tmp_path / "again.avi") == times(tmp_path / "out.avi")


def test_hdr_is_kept_and_said(clip: Callable[..., Path], tmp_path: Path) -> None:
    def tell(_: Any, stream: Any) -> None:
        for tag, value in zip(TAGS, (LIMITED, 9, 9, 16)):
            setattr(stream.codec_context, tag, value)

    source = clip("clip.mp4", pixels="yuv420p10le", prepare=tell)
    notes = restore_video(source, tmp_path / "out.mp4", same)
    assert notes == ["it is HDR: restored as its PQ curve stores it"]
    assert describe(tmp_path / "out.mp4") == describe(source)


def test_quality_is_size(clip: Callable[..., Path], tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 65536, (12, 48, 64, 3), np.uint16)
    for name, codec in (("c.mp4", "libx264"), ("c.avi", "mpeg4")):
        source = clip(name, codec, frames=list(noise), times=EVEN)
        sizes = []
        for quality in (30, 80, 95):
            target = tmp_path / f"{quality}{source.suffix}"
            restore_video(source, target, same, quality=quality)
            sizes.append(target.stat().st_size)
        assert sizes == sorted(sizes) and sizes[0] < 0.7 * sizes[2]
    with pytest.raises(ValueError, match="quality"):
        restore_video(source, tmp_path / "out.mp4", same, quality=0)


def test_a_long_video_takes_no_more_memory_than_a_short_one(
    clip: Callable[..., Path], tmp_path: Path
) -> None:
    source = clip("clip.mkv", "mpeg4", times=range(0, 24000, 40), sounds=["aac"])
    alive, most = 0, 0

    def restore(pixels: NDArray[Any]) -> NDArray[Any]:
        nonlocal alive, most
        restored = pixels.copy()
        for array in (pixels, restored):
            alive += 1
            weakref.finalize(array, die)
        most = max(most, alive)
        return restored

    def die() -> None:
        nonlocal alive
        alive -= 1

    restore_video(source, tmp_path / "out.mkv", restore)
    assert len(decode(tmp_path / "out.mkv")) == 600
    assert most <= 4


class Stopping:
    """Restores some frames, and then is interrupted."""

    def __init__(self, after: int, error: type[BaseException]) -> None:
        self.left, self.error = after, error

    def __call__(self, pixels: NDArray[Any]) -> NDArray[Any]:
        if not self.left:
            raise self.error
        self.left -= 1
        return pixels


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_ctrl_c_leaves_what_was_done(
    clip: Callable[..., Path], tmp_path: Path, ending: str
) -> None:
    source = clip(f"clip.{ending}", sounds=["aac"])
    target = tmp_path / f"out.{ending}"
    with pytest.raises(KeyboardInterrupt):
        restore_video(source, target, Stopping(7, KeyboardInterrupt))
    part = tmp_path / f"out.{ending}.part"
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([source.name, part.name])
    assert part == name_part(target)
    assert times(part) == times(source)[:7]
    heard = others(part)["audio 0"]
    assert heard == others(source)["audio 0"][: len(heard)] and len(heard) > 5
    assert restore_video(source, target, same) == []
    assert times(target) == times(source) and not part.exists()


@pytest.mark.parametrize(("after", "error"), [(0, KeyboardInterrupt), (7, RuntimeError)])
def test_an_error_leaves_nothing(
    clip: Callable[..., Path], tmp_path: Path, after: int, error: type[BaseException]
) -> None:
    source = clip()
    with pytest.raises(error):
        restore_video(source, tmp_path / "out.mp4", Stopping(after, error))
    assert [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_what_a_killed_process_leaves_can_be_played(
    clip: Callable[..., Path], tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = clip(f"clip.{ending}", times=range(0, 12000, 40))

    def watch(progress: Progress) -> None:
        if progress.done == 250:
            (part,) = {*tmp_path.glob(f".deblur-*.{ending}")} - {old}
            shutil.copy(part, tmp_path / f"left.{ending}")

    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 1 << 30)  # of no process
        old = hide(tmp_path / f"out.{ending}", f".{ending}")
    old.touch()
    restore_video(source, tmp_path / f"out.{ending}", same, watch=watch)
    assert len(decode(tmp_path / f"left.{ending}")) > 50
    assert not old.exists()


def test_frames_that_are_broken_are_left_out(clip: Callable[..., Path], tmp_path: Path) -> None:
    source = clip("clip.mov", "png", "rgb24")
    content = source.read_bytes()
    start = content.index(b"IDAT", len(content) // 2)
    source.write_bytes(content[:start] + bytes(50) + content[start + 50 :])
    notes = restore_video(source, tmp_path / "out.mov", same)
    assert notes[0] == "left out frames that cannot be decoded: 1"
    kept = times(tmp_path / "out.mov")
    assert len(kept) == 11
    assert {float(time) for time in kept} < {time / 1000 for time in UNEVEN}


def test_a_file_that_breaks_off_is_restored_as_far_as_it_goes(
    clip: Callable[..., Path], tmp_path: Path
) -> None:
    front = clip("clip.mp4", times=range(0, 4000, 40), head_first=True)
    content = front.read_bytes()
    front.write_bytes(content[: len(content) * 3 // 4])
    (note,) = restore_video(front, tmp_path / "out.mp4", same)
    assert note.startswith("it should have 100 frames, and has ")
    assert 20 < len(decode(tmp_path / "out.mp4")) < 100


def test_what_is_no_video_is_named(clip: Callable[..., Path], tmp_path: Path) -> None:
    source, target = tmp_path / "a.mp4", tmp_path / "out.mp4"
    source.write_bytes(b"not a video")
    with pytest.raises(ValueError, match="a.mp4"):
        restore_video(source, target, same)
    with wave.open(str(tmp_path / "a.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(1600))
    with pytest.raises(ValueError, match="a.wav"):
        restore_video(tmp_path / "a.wav", target, same)
    whole = clip(head_first=True).read_bytes()
    source.write_bytes(whole[: whole.index(b"mdat") + 8])
    with pytest.raises(ValueError, match="a.mp4: not a readable video .*frames"):
        restore_video(source, target, same)
    assert not target.exists()


def test_what_cannot_be_written_is_named(clip: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="out.png"):
        restore_video(clip(), tmp_path / "out.png", same)
    with pytest.raises(OSError, match="out.mp4"):
        restore_video(clip(), tmp_path / "nowhere" / "out.mp4", same)


def test_without_pyav_it_says_what_to_install(
    clip: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = clip()
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=re.escape(install_command("video"))):
        restore_video(source, tmp_path / "out.mp4", same)


def test_frames_are_decoded_and_encoded_while_others_are_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The third frame is decoded while the first is restored, and that is encoded while the second
    # is: each waits for the other, and would fail if one thread did all.
    events = {"unpack": Event(), "write": Event()}
    left = {"unpack": 3, "write": 1}

    def watch(name: str) -> None:
        method = getattr(VideoWriter, name)

        def call(writer: Any, *arguments: Any) -> Any:
            result = method(writer, *arguments)
            left[name] -= writer.file.stem != "beginning"  # which is tried before
            if left[name] == 0:
                events[name].set()
            return result

        monkeypatch.setattr(VideoWriter, name, call)

    watch("unpack")
    watch("write")
    waits = iter([events["unpack"], events["write"]])

    def restore(pixels: NDArray[Any]) -> NDArray[Any]:
        if (event := next(waits, None)) is not None:
            assert event.wait(60)
        return pixels

    restore_video(make_film(tmp_path / "a.mkv", "ffv1"), tmp_path / "b.mkv", restore)
    assert next(waits, None) is None
