"""Sharp photographs that could be taken for blurred ones: bokeh, fog, and much sky.

Each takes linear light, (3, H, W), and returns the light of the same scene, sharp where it is in
focus; what is drawn is drawn from `rng` alone.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from deblur.blur.defocus import disc
from deblur.blur.light import expose

Scene = Callable[[Tensor, np.random.Generator], Tensor]
RADIUS = (4.0, 20.0)
"""Pixels: of the discs that bokeh is made of."""
CLEAR = (0.1, 0.6)
"""Share of the light that comes through fog where it is thickest."""
LAND = (0.2, 0.45)
"""Share of a picture's height that is not sky."""


def in_bokeh(light: Tensor, rng: np.random.Generator) -> Tensor:
    """Leave an ellipse of a twelfth to a third of the picture in focus, and blur all around it."""
    height, width = light.shape[-2:]
    kernel = torch.from_numpy(disc(rng.uniform(*RADIUS)))
    reach = len(kernel) // 2
    around = F.pad(light[None], (reach,) * 4, mode="reflect")
    soft = expose(around, kernel[None])[0]
    across, down = rng.uniform(0.17, 0.32, 2) * (width, height)
    x, y = rng.uniform(0.3, 0.7, 2) * (width, height)
    rows, columns = np.ogrid[:height, :width]
    distance = np.hypot((columns - x) / across, (rows - y) / down)
    focused = _as_light(np.clip((1.15 - distance) / 0.15, 0, 1))
    return soft + (light - soft) * focused


def in_fog(light: Tensor, rng: np.random.Generator) -> Tensor:
    """Lay fog over the picture, thicker towards its top."""
    thick, thin = rng.uniform(*CLEAR), rng.uniform(0.5, 0.9)
    clear = np.linspace(min(thick, thin), thin, light.shape[-2])[:, None]
    haze = rng.uniform(0.5, 0.85)
    share = _as_light(np.broadcast_to(clear, light.shape[-2:]))
    return light * share + haze * (1 - share)


def under_sky(light: Tensor, rng: np.random.Generator) -> Tensor:
    """Put a sky, a smooth gradient with faint clouds, above the lowest part of the picture."""
    height, width = light.shape[-2:]
    land = int(height * rng.uniform(*LAND))
    top, bottom = rng.uniform(0.15, 0.5, 3), rng.uniform(0.4, 0.9, 3)
    down = np.linspace(0, 1, height)[:, None, None]
    clouds = torch.from_numpy(rng.normal(size=(1, 1, 5, 7)).astype(np.float32))
    faint = F.interpolate(clouds, (height, width), mode="bicubic")[0, 0]
    sky = _as_light((top + (bottom - top) * down).transpose(2, 0, 1))
    whole = (sky + 0.03 * faint).clamp(0, 1)
    mixed = whole.expand(3, height, width).clone()
    mixed[:, height - land :] = light[:, height - land :]
    return mixed


def _as_light(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float32))
