"""Cut films, films that do not start at 0, and timecodes."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from film_samples import judge, make_film
from numpy.typing import NDArray

from deblur.media.video import open_frames
from deblur.restoration.video import Progress, restore_video

START = Fraction(5)


def same(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels.copy()


def shift(source: Path, target: Path, *seconds: Fraction, **options: str) -> Path:
    """Copy a film with its streams' times shifted by seconds."""
    with av.open(str(source)) as old, av.open(str(target), "w", options=options) as new:
        streams = {each.index: new.add_stream_from_template(each) for each in old.streams}
        for packet in old.demux():
            if packet.dts is not None:
                apart = round(seconds[packet.stream.index] / packet.time_base)
                packet.pts, packet.dts = packet.pts + apart, packet.dts + apart
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
    return target


def count_hidden(film: Path) -> int:
    with av.open(str(film)) as container:
        return int(container.streams.video[0].frames) - len(judge(film).times)


@pytest.mark.parametrize("frames", [4, 10, 17])  # within, at and behind a key frame
@pytest.mark.parametrize("ending", ["mp4", "mov"])
def test_frames_that_a_cut_hides_are_not_missed(tmp_path: Path, ending: str, frames: int) -> None:
    whole = make_film(tmp_path / f"whole.{ending}", count=30, options={"g": "10"})
    source = shift(whole, tmp_path / f"a.{ending}", Fraction(-frames, 25))
    assert count_hidden(source) == frames
    told: list[Progress] = []
    assert restore_video(source, tmp_path / f"out.{ending}", same, watch=told.append) == []
    assert told[-1] == Progress(30 - frames, 30 - frames)
    assert judge(tmp_path / f"out.{ending}").times == judge(source).times
    assert open_frames(source).count == 30 - frames


def test_a_cut_film_that_breaks_off_is_told(tmp_path: Path) -> None:
    whole = make_film(tmp_path / "whole.mp4", "mpeg4", count=100)
    source = shift(whole, tmp_path / "a.mp4", Fraction(-2, 5), movflags="faststart")
    content = source.read_bytes()
    source.write_bytes(content[: int(len(content) * 0.8)])
    (note,) = restore_video(source, tmp_path / "out.mp4", same)
    assert note.startswith("it should have 90 frames, and has ")


@pytest.mark.parametrize("sound", [None, "aac"])
@pytest.mark.parametrize("ending", ["mkv", "mp4"])
def test_a_film_may_start_late(tmp_path: Path, sound: str | None, ending: str) -> None:
    whole = make_film(tmp_path / "whole.mp4", count=25, sound=sound)
    source = shift(whole, tmp_path / "a.mkv", START, START - Fraction(1, 5))
    with av.open(str(source)) as container:
        start = START - Fraction(1, 5) if sound else START
        assert abs(container.start_time / 1_000_000 - start) < 0.03
        assert container.duration > 5_900_000
    told: list[Progress] = []
    target = tmp_path / f"out.{ending}"
    assert restore_video(source, target, same, watch=told.append) == []
    assert judge(target).times == judge(source).times
    assert told[-1].total is not None and 25 <= told[-1].total <= 32


def test_a_film_that_starts_late_and_breaks_off_is_told(tmp_path: Path) -> None:
    whole = make_film(tmp_path / "whole.mp4", "mpeg4", count=100)
    source = shift(whole, tmp_path / "a.mkv", START)
    content = source.read_bytes()
    source.write_bytes(content[: int(len(content) * 0.6)])
    (note,) = restore_video(source, tmp_path / "out.mkv", same)
    assert note.startswith("it should last 4.00 s, and ends after 2.")


@pytest.fixture
def timed(tmp_path: Path) -> Callable[[str], Path]:
    """Give a function that makes a film with a timecode."""

    def make(ending: str) -> Path:
        def tell(container: Any, stream: Any) -> None:
            stream.metadata["timecode"] = "01:02:03:04"

        return make_film(tmp_path / f"a.{ending}", prepare=tell)

    return make


def read_timecodes(film: Path) -> list[tuple[str, str]]:
    """Give the type and timecode of each stream that has one."""
    with av.open(str(film)) as container:
        return [
            (stream.type, value)
            for stream in container.streams
            for key, value in stream.metadata.items()
            if key.lower() == "timecode"
        ]


@pytest.mark.parametrize("source", ["mov", "mp4"])
@pytest.mark.parametrize("target", ["mov", "mp4", "mkv"])
def test_a_timecode_stays(
    timed: Callable[[str], Path], tmp_path: Path, source: str, target: str
) -> None:
    film = timed(source)
    assert [kind for kind, _ in read_timecodes(film)] == ["video", "data"]
    assert restore_video(film, tmp_path / f"out.{target}", same) == []
    kinds = ["video"] if target == "mkv" else ["video", "data"]
    assert read_timecodes(tmp_path / f"out.{target}") == [(kind, "01:02:03:04") for kind in kinds]


@pytest.mark.parametrize("target", ["m4v", "avi", "ts", "flv"])
def test_a_timecode_that_is_lost_is_named(
    timed: Callable[[str], Path], tmp_path: Path, target: str
) -> None:
    (note,) = restore_video(timed("mov"), tmp_path / f"out.{target}", same)
    assert note.startswith("left out the timecode: ")
    assert read_timecodes(tmp_path / f"out.{target}") == []


def test_a_matroska_films_attachments_stay(tmp_path: Path) -> None:
    def attach(container: Any, stream: Any) -> None:
        container.add_attachment("a.ttf", "font/ttf", b"letters")

    source = make_film(tmp_path / "a.mkv", prepare=attach)
    assert restore_video(source, tmp_path / "out.mkv", same) == []
    with av.open(str(tmp_path / "out.mkv")) as container:
        (found,) = [each for each in container.streams if each.type == "attachment"]
        assert (found.name, found.mimetype, bytes(found.data)) == ("a.ttf", "font/ttf", b"letters")


def read_data(film: Path) -> list[bytes]:
    with av.open(str(film)) as container:
        packets = container.demux([one for one in container.streams if one.type == "data"])
        return [bytes(packet) for packet in packets if packet.size]


def test_a_cameras_measurements_stay_where_they_can(tmp_path: Path) -> None:
    source, unit = tmp_path / "a.ts", Fraction(1, 90_000)
    with av.open(str(make_film(tmp_path / "whole.mp4"))) as old, av.open(str(source), "w") as new:
        video = new.add_stream_from_template(old.streams.video[0])
        data = new.add_data_stream("klv")
        data.time_base = unit
        for place, packet in enumerate(old.demux()):
            if packet.dts is not None:
                measured = av.Packet(b"\x06\x0e\x2b\x34" + bytes([place] * 28))
                measured.pts = measured.dts = place * 3600
                measured.stream, measured.time_base = data, unit
                packet.stream = video
                new.mux([packet, measured])
    assert restore_video(source, tmp_path / "out.ts", same) == []
    assert read_data(tmp_path / "out.ts") == read_data(source)
    assert len(read_data(source)) == 6
    notes = restore_video(source, tmp_path / "out.avi", same)
    assert "left out the data (klv): avi cannot hold it" in notes
