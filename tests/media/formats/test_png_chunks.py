from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from deblur.media.formats.png_chunks import PIXELS, find_plain_depth, read_chunks, walk_chunks


def png(mode: str = "RGB", **settings: object) -> BytesIO:
    file = BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8)
    Image.fromarray(noise).convert(mode).save(file, "PNG", **settings)
    return file


def test_chunks_are_walked_in_their_order_to_the_end_of_the_picture() -> None:
    file = png(dpi=(72, 72))
    size = len(file.getvalue())
    file.seek(0, 2)
    file.write(b"more")
    kinds = [kind for kind, _ in walk_chunks(file)]
    assert file.tell() == size
    assert [*dict.fromkeys(kinds)] == [b"IHDR", b"pHYs", b"IDAT", b"IEND"]
    assert kinds.count(b"IDAT") > 1
    chunks = read_chunks(file)
    assert [chunk.kind for chunk in chunks] == [b"IHDR", b"pHYs", b"IDAT"]
    assert chunks[2] == PIXELS and len(chunks[0].data) == 13


@pytest.mark.parametrize("size", [0, 7, 8, 20, 40])
def test_a_file_that_is_cut_off_has_the_chunks_before(size: int) -> None:
    cut = BytesIO(png().getvalue()[:size])
    assert len(read_chunks(cut)) == (size > 8)
    assert find_plain_depth(cut) == (8 if size > 26 else 0)


def test_the_depth_of_plain_files_alone_is_found() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert find_plain_depth(png()) == 8
    assert [find_plain_depth(file) for file in (png("RGBA"), png("L"), png(exif=exif))] == [0, 0, 0]
    animated = png(save_all=True, append_images=[Image.new("RGB", (200, 300))])
    assert find_plain_depth(animated) == find_plain_depth(BytesIO(b"no PNG")) == 0
