import struct
from pathlib import Path

import pytest
from photo_samples import noise
from PIL import Image

from deblur.media.photo import open_photo

NETSCAPE = b"\x21\xff\x0bNETSCAPE2.0\x03\x01"


def plays(path: Path) -> int:
    """Return how often an animation plays, by its bytes: 0 without end."""
    content = path.read_bytes()
    if path.suffix == ".gif":
        place = content.find(NETSCAPE)
        if place < 0:
            return 1
        (repetitions,) = struct.unpack_from("<H", content, place + len(NETSCAPE))
        return repetitions + 1 if repetitions else 0
    if path.suffix == ".png":
        return int(struct.unpack_from(">I", content, content.index(b"acTL") + 8)[0])
    return int(struct.unpack_from("<H", content, content.index(b"ANIM") + 12)[0])


@pytest.mark.parametrize("count", [0, 1, 2, 7, 65535])
@pytest.mark.parametrize("target", ["gif", "png", "webp"])
@pytest.mark.parametrize("ending", ["gif", "png", "webp"])
def test_animations_play_as_often_in_every_format(
    tmp_path: Path, ending: str, target: str, count: int
) -> None:
    frames = [Image.fromarray(noise(1, seed=seed)[..., 0]) for seed in range(3)]
    loop = {"loop": count - (ending == "gif" and count > 0)}
    if ending == "gif" and count == 1:
        loop = {}
    frames[0].save(tmp_path / f"a.{ending}", save_all=True, append_images=frames[1:], **loop)
    assert plays(tmp_path / f"a.{ending}") == count
    photo = open_photo(tmp_path / f"a.{ending}")
    photo.write(tmp_path / f"b.{target}", photo.frames())
    assert plays(tmp_path / f"b.{target}") == count


@pytest.mark.parametrize("target, most", [("gif", 65536), ("webp", 65535), ("png", 70000)])
def test_more_plays_than_a_format_counts_are_its_most(
    tmp_path: Path, target: str, most: int
) -> None:
    frames = [Image.fromarray(noise(seed=seed)) for seed in range(2)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], loop=70000)
    photo = open_photo(tmp_path / "a.png")
    photo.write(tmp_path / f"b.{target}", photo.frames())
    assert plays(tmp_path / f"b.{target}") == most
