"""A choice of motions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deblur.blur import Motion
from deblur.blur.light import trim


class AnyOf:
    """Draws one of several motions for each picture.

    Args:
        motions: The motions, by name.
        shares: How often each is drawn, by name; they need not sum to 1.

    Raises:
        ValueError: `shares` does not have a number for each motion, one is negative, or all are
            zero.
    """

    def __init__(self, *, motions: Mapping[str, Motion], shares: Mapping[str, float]) -> None:
        if (
            not shares
            or set(shares) != set(motions)
            or not min(shares.values()) >= 0 < sum(shares.values())
        ):
            raise ValueError(
                f"shares is {dict(shares)}, expected a number for each of {', '.join(motions)}, "
                "not negative and not all zero"
            )
        self.motions = [motions[name] for name in shares]
        self.shares = np.array(list(shares.values())) / sum(shares.values())
        self.margin = max(motion.margin for motion in self.motions)

    def draw(self, rng: np.random.Generator, size: Sequence[int]) -> tuple[int, Any]:
        """Draw a motion, as its index, and its parameters."""
        which = int(rng.choice(len(self.shares), p=self.shares))
        return which, self.motions[which].draw(rng, size)

    def expose(self, light: Tensor, plans: Sequence[tuple[int, Any]]) -> tuple[Tensor, Tensor]:
        """Blur (N, C, H, W) linear light; see `deblur.blur.Motion`."""
        sharp = trim(light, self.margin).clone()
        blurred = torch.empty_like(sharp)
        for which in {which for which, _ in plans}:
            motion = self.motions[which]
            own = [index for index, plan in enumerate(plans) if plan[0] == which]
            window = trim(light[own], self.margin - motion.margin)
            blurred[own], sharp[own] = motion.expose(window, [plans[index][1] for index in own])
        return blurred, sharp
