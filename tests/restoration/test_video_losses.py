"""Nothing of a film is lost in silence: small made films, judged by what a player reads."""

from pathlib import Path
from typing import Any

import pytest
from film_samples import QUIET, add_itunes_tags, judge, make_cover, make_film
from numpy.typing import NDArray

from deblur.media.video_encoding import Encoding
from deblur.restoration.video import restore_video


def same(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels.copy()


def interrupt(pixels: NDArray[Any]) -> NDArray[Any]:
    raise KeyboardInterrupt


def restore_twice(source: Path, target: Path) -> list[str]:
    """Restore a film after an interruption, and the restored film again; return the notes."""
    with pytest.raises(KeyboardInterrupt):
        restore_video(source, target, interrupt)
    assert not target.exists()
    notes = restore_video(source, target, same)
    again = target.with_name(f"again{target.suffix}")
    restore_video(target, again, same)
    first, second = judge(target), judge(again)
    assert second == first
    return notes


@pytest.mark.parametrize(("count", "rate"), [(49, 24), (3, 1), (1, 25), (2, 25)])
@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("mp4", "libx264"),
        ("mov", "libx264"),
        ("mp4", "libx265"),
        ("mkv", "libx265"),
        ("mp4", "mpeg4"),
        ("webm", "libvpx-vp9"),
    ],
)
def test_no_frame_is_lost(tmp_path: Path, name: str, codec: str, count: int, rate: int) -> None:
    source = make_film(tmp_path / f"a.{name}", codec, count=count, rate=rate)
    assert restore_twice(source, tmp_path / f"out.{name}") == []
    before, after = judge(source), judge(tmp_path / f"out.{name}")
    assert after.times == before.times and len(after.times) == count
    assert abs(after.length - before.length) <= 1000  # Matroska's clock has milliseconds


def test_sound_that_is_shorter_or_longer_stays(tmp_path: Path) -> None:
    source = make_film(tmp_path / "a.mp4", count=60, sound="aac")
    assert restore_twice(source, tmp_path / "out.mp4") == []
    assert judge(tmp_path / "out.mp4").times == judge(source).times
    assert judge(tmp_path / "out.mp4").length == judge(source).length


TAGS = {"title": "A film", "artist": "Somebody", "comment": "none"}
BOXES = {b"rtng": b"\x02", b"catg": b"Home", b"sonm": b"film", b"soar": b"body", b"\xa9xyz": b"+1"}


@pytest.mark.parametrize("ending", ["mp4", "m4v", "mov"])
def test_mp4_keeps_its_cover_and_all_tags(tmp_path: Path, ending: str) -> None:
    source = make_film(tmp_path / "a.mp4", tags=TAGS, sound="aac")
    add_itunes_tags(source, {**BOXES, b"covr": make_cover()})
    before = judge(source)
    assert before.tags["rating"] == "2" and before.tags["sort_name"] == "film"
    assert before.covers == [make_cover()]
    assert restore_twice(source, tmp_path / f"out.{ending}") == []
    after = judge(tmp_path / f"out.{ending}")
    assert after.tags == before.tags
    assert after.covers == before.covers and after.streams == before.streams


def test_a_cover_goes_to_matroska_and_back(tmp_path: Path) -> None:
    source = make_film(tmp_path / "a.mp4", tags=TAGS)
    add_itunes_tags(source, {b"covr": make_cover()})
    assert restore_twice(source, tmp_path / "out.mkv") == []
    assert judge(tmp_path / "out.mkv").covers == [make_cover()]
    assert restore_twice(tmp_path / "out.mkv", tmp_path / "back.mp4") == []
    assert judge(tmp_path / "back.mp4").covers == [make_cover()]
    (note,) = restore_video(source, tmp_path / "out.webm", same)[1:]
    assert note.startswith("left out the cover (mjpeg)")


def test_tags_that_cannot_be_kept_are_named(tmp_path: Path) -> None:
    source = make_film(tmp_path / "a.mkv", tags={"title": "A film", "mood": "glad"})
    (note,) = restore_video(source, tmp_path / "out.mp4", same)
    assert note.startswith("left out the tags MOOD: ")
    assert judge(tmp_path / "out.mp4").tags["title"] == "A film"


@pytest.mark.parametrize(
    ("codec", "pixels", "holds"),
    [
        ("libsvtav1", "yuv420p", False),
        ("libvpx-vp9", "yuv420p", False),
        ("ffv1", "yuv420p", False),
        ("prores_ks", "yuv422p10le", False),
        ("libx264", "yuv420p", True),
        ("mpeg2video", "yuv420p", True),
    ],
)
@pytest.mark.parametrize("ending", ["ts", "mpg"])
def test_streams_hold_what_can_be_played(
    tmp_path: Path, codec: str, pixels: str, holds: bool, ending: str
) -> None:
    source = make_film(tmp_path / "a.mkv", codec, pixels, count=24)
    notes = restore_video(source, tmp_path / f"out.{ending}", same)
    before, after = judge(source), judge(tmp_path / f"out.{ending}")
    assert len(after.times) == 24
    holds = holds and (ending, codec) != ("mpg", "libx264")  # which has no times there
    assert any(f"encoded it as {after.codec}: {before.codec}" in note for note in notes) != holds
    assert (after.codec == before.codec) == holds


def test_sound_that_a_stream_cannot_hold_is_named(tmp_path: Path) -> None:
    source = make_film(tmp_path / "a.mkv", count=24, sound="pcm_s16le")
    notes = restore_video(source, tmp_path / "out.ts", same)
    assert any(note.startswith("left out the audio (pcm_s16le)") for note in notes)
    assert judge(tmp_path / "out.ts").streams == [("video", "h264")]


def test_what_nothing_can_be_written_to_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(encoding: Encoding, file: str) -> None:
        raise ValueError

    monkeypatch.setattr(Encoding, "create", refuse)
    source = make_film(tmp_path / "a.mp4")
    with pytest.raises(ValueError, match=r"out.mkv: .*matroska.*h264"):
        restore_video(source, tmp_path / "out.mkv", interrupt)


def test_a_picture_is_no_video_whatever_its_name(tmp_path: Path) -> None:
    for ending in ("mp4", "mkv"):
        source = tmp_path / f"picture.{ending}"
        source.write_bytes(make_cover())
        with pytest.raises(ValueError, match=f"picture.{ending}"):
            restore_video(source, tmp_path / f"out.{ending}", same)
        assert not (tmp_path / f"out.{ending}").exists()


@pytest.mark.parametrize(("ending", "share"), [("mp4", 0.97), ("mkv", 0.6), ("avi", 0.8)])
def test_a_film_that_is_cut_off_is_told(tmp_path: Path, ending: str, share: float) -> None:
    def put_the_head_in_front(container: Any, stream: Any) -> None:
        if ending == "mp4":
            container.options["movflags"] = "faststart"

    source = tmp_path / f"a.{ending}"
    make_film(source, "mpeg4", count=100, prepare=put_the_head_in_front)
    content = source.read_bytes()
    source.write_bytes(content[: int(len(content) * share)])
    notes = restore_video(source, tmp_path / f"out.{ending}", same)
    assert any("it should" in note for note in notes)
    assert 20 < len(judge(tmp_path / f"out.{ending}").times) < 100


LIGHT = (
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    ":max-cll=1000,400"
)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_hdr_mastering_data_stays(tmp_path: Path, ending: str) -> None:
    settings = {"x265-params": f"log-level=error:transfer=smpte2084:{LIGHT}"}
    source = make_film(tmp_path / "a.mkv", "libx265", "yuv420p10le", options=settings)
    notes = restore_twice(source, tmp_path / f"out.{ending}")
    assert notes == ["it is HDR: restored as its PQ curve stores it"]
    assert judge(tmp_path / f"out.{ending}").light == judge(source).light
    assert len(judge(source).light) == 2


def test_hdr_mastering_data_that_is_lost_is_named(tmp_path: Path) -> None:
    settings = {"x265-params": f"log-level=error:{LIGHT}"}
    source = make_film(tmp_path / "a.mkv", "libx265", options=settings)
    notes = restore_video(source, tmp_path / "out.webm", same)  # VP9, which cannot say it
    assert any("mastering display metadata, content light level" in note for note in notes)


@pytest.mark.parametrize("profile", ["Proxy", "LT", "Standard", "HQ"])
def test_prores_keeps_its_profile(tmp_path: Path, profile: str) -> None:
    number = ("Proxy", "LT", "Standard", "HQ").index(profile)
    options = {"profile": str(number)}
    source = make_film(tmp_path / "a.mov", "prores_ks", "yuv422p10le", options=options)
    assert judge(source).profile == profile
    assert restore_twice(source, tmp_path / "out.mov") == []
    assert judge(tmp_path / "out.mov").profile == profile


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {"x264-params": "interlaced=1:tff=1"}),
        ("a.mpg", "mpeg2video", {"flags": "+ildct+ilme"}),
        ("a.mov", "prores_ks", {"flags": "+ildct"}),
    ],
)
def test_interlaced_films_stay_interlaced(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    pixels = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
    source = make_film(tmp_path / name, codec, pixels, options=options)
    target = tmp_path / f"out{source.suffix}"
    notes = restore_twice(source, target)
    assert judge(source).interlaced and judge(target).interlaced
    assert notes[0] == "it is interlaced: both fields were restored as one frame"


def test_fields_that_are_no_longer_told_are_noted(tmp_path: Path) -> None:
    options = {"x264-params": "interlaced=1:tff=1"}
    source = make_film(tmp_path / "a.mp4", options=options)
    notes = restore_video(source, tmp_path / "out.webm", same)
    assert any("vp9 does not say that they are two" in note for note in notes)
    assert not judge(tmp_path / "out.webm").interlaced


def test_an_unfinished_film_is_not_called_finished(tmp_path: Path) -> None:
    def stop(pixels: NDArray[Any]) -> NDArray[Any]:
        nonlocal left
        left -= 1
        if not left:
            raise KeyboardInterrupt
        return pixels

    left = 5
    source, target = make_film(tmp_path / "a.mp4", count=9), tmp_path / "out.mp4"
    for _ in range(2):
        left = 5
        with pytest.raises(KeyboardInterrupt):
            restore_video(source, target, stop)
        part = tmp_path / "out.mp4.part"
        assert not target.exists() and len(judge(part).times) == 4
    assert restore_video(source, target, same) == []
    assert judge(target).times == judge(source).times
    assert {file.name for file in tmp_path.iterdir()} == {"a.mp4", "out.mp4"}


def test_hevc_films_of_one_frame_are_alike_each_time(tmp_path: Path) -> None:
    source = make_film(tmp_path / "a.mp4", "libx265", count=1, options=QUIET)
    for place in range(5):
        assert restore_video(source, tmp_path / f"{place}.mp4", same) == []
        assert judge(tmp_path / f"{place}.mp4").times == [0]
