import numpy as np
import torch

from deblur.media.image_grid import error_map, strips


def test_strips_put_pictures_side_by_side() -> None:
    black, white = torch.zeros(3, 5, 6, dtype=torch.uint8), torch.full((3, 5, 6), 255)
    strip = strips([[black, white.byte()], [white.byte(), black]])
    assert strip[0, 0, 0] == 0 and strip[0, 0, 12] == 255
    assert strip[0, 10, 0] == 255 and strip[0, 10, 12] == 0


def test_an_error_map_is_black_where_pictures_are_equal() -> None:
    sharp = torch.zeros(3, 4, 5, dtype=torch.uint8)
    restored = sharp.clone()
    restored[:, 0, 0], restored[:, 1, 1] = 200, 20
    drawn = np.asarray(error_map(restored, sharp)).astype(int)
    assert drawn.shape == (4, 5, 3)
    assert drawn[3, 3].sum() < drawn[1, 1].sum() < drawn[0, 0].sum() > 600
