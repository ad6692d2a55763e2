"""MAXIM: U-Nets of multi-axis gated MLPs (Tu et al., CVPR 2022, arXiv 2201.02973)."""

from typing import NamedTuple

from torch import Tensor, nn

from deblur.networks.argument_checks import LONGEST, WIDEST, check_choice, check_range
from deblur.networks.arguments import find_config, keep_arguments
from deblur.networks.initialization import zero
from deblur.networks.layout import to_pixels, to_planes
from deblur.networks.maxim_stage import Stage, State
from deblur.networks.multi_axis import GELU
from deblur.networks.padding import pad_to_stride


class Tiling(NamedTuple):
    """The tiles of a large picture on which a network works best, in pixels."""

    side: int
    """The side of a square tile."""
    overlap: int


@keep_arguments
class MAXIM(nn.Module):
    """Restores a blurred image by one to three U-Nets of gated MLPs, each refining the last result.

    Takes and returns (N, 3, H, W) in [-1, 1], of any size; `pyramid` returns every stage's images
    at three resolutions, for losses at each. The first stages of a network work without the others
    (`shorten`).

    | part | published | here |
    |---|---|---|
    | values of 1, 2 and 3 stages | 6.34M, 14.38M, 22,207,605 | 6,139,561, 14,176,178, 22,212,795 |
    | layers that feed a next stage | in the last stage, too | not in the last stage |
    | heads of the last stage's coarser images | in training only, not in the weights | kept |
    | pixels | [0, 1] | the same inside, [-1, 1] outside |
    | padding to multiples of 64 | reflected, on all sides | reflected, below and on the right |
    | output | x + f | clamp(x + f, -1, 1); not clamped between stages, as published |

    Args:
        stages: The number of U-Nets, 1 to 3.
        width: Channels at full resolution, a multiple of 4.
        groups: Pairs of a gated MLP and a convolution block at each level of the encoder and the
            decoder, and in each bottleneck.
        bottlenecks: Blocks below the lowest level.
        gelu: "tanh", the approximation that the published weights were trained with, or "erf", the
            exact one, which takes a fifth of its time on a CPU in training.
        zero_last: Start each head at zero: every output then equals its input.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        *,
        stages: int = 3,
        width: int = 32,
        groups: int = 2,
        bottlenecks: int = 2,
        gelu: GELU = "tanh",
        zero_last: bool = True,
    ) -> None:
        super().__init__()
        check_range("stages", stages, 1, 3)
        check_range("width", width, 4, WIDEST)
        if width % 4:
            raise ValueError(f"width must be a multiple of 4, got {width}")
        check_range("groups", groups, 1, LONGEST)
        check_range("bottlenecks", bottlenecks, 0, LONGEST)
        check_choice("gelu", gelu, "tanh", "erf")
        self.stride = 64
        # In training the grid spanned crops of 256 pixels; here it spans a whole tile.
        self.tiling = Tiling(side=512, overlap=64)
        self.stages = nn.ModuleList(
            Stage(width, groups, bottlenecks, gelu, first=k == 0, last=k == stages - 1)
            for k in range(stages)
        )
        if zero_last:
            for head in (head for stage in self._stages() for head in stage.heads):
                zero(head)

    def forward(self, blur: Tensor) -> Tensor:
        """Restore (N, 3, H, W) in [-1, 1]."""
        *before, last = self._stages()
        images = self.enter(blur)
        state: State | None = None
        for stage in before:
            state = stage.refine(images, state)
        _, decoded = last(images, state)
        restored: Tensor = last.heads[0](decoded[0]) + images[0]
        return self.leave(restored, blur)

    def pyramid(self, blur: Tensor) -> list[Tensor]:
        """Restore (N, 3, H, W) in [-1, 1] at every stage and scale; the last equals `forward`'s.

        Each stage's three images are (N, 3, ceil(H / s), ceil(W / s)) for s = 4, 2, 1, in [-1, 1];
        their targets are the means of the sharp image's s x s pixels.
        """
        images = self.enter(blur)
        state: State | None = None
        outputs: list[Tensor] = []
        for stage in self._stages():
            state = stage.refine(images, state)
            restored = zip(state.restored, (1, 2, 4))
            outputs += [self.leave(image, blur, shrink) for image, shrink in [*restored][::-1]]
        return outputs

    def shorten(self, stages: int) -> None:
        """Drop all but the first `stages` stages; raise ValueError if there are fewer."""
        if not 1 <= stages <= len(self.stages):
            raise ValueError(f"stages must be 1 to {len(self.stages)} here, got {stages}")
        del self.stages[stages:]
        del self._stages()[-1].attention[:]
        if config := find_config(self):  # a subclass has none
            setattr(self, "config", {**config, "stages": stages})

    def _stages(self) -> list[Stage]:
        return [stage for stage in self.stages if isinstance(stage, Stage)]

    def enter(self, blur: Tensor) -> list[Tensor]:
        """Return the image at three scales, (N, H, W, 3) in [0, 1], H and W multiples of 64."""
        whole = to_pixels(pad_to_stride((blur + 1) / 2, self.stride, least=self.stride))
        # The pixel after the middle: the nearest neighbour used with the published weights.
        return [whole, whole[:, 1::2, 1::2], whole[:, 2::4, 2::4]]

    def leave(self, image: Tensor, blur: Tensor, shrink: int = 1) -> Tensor:
        """Convert (N, H, W, 3) in [0, 1] to (N, 3, h, w) in [-1, 1], of blur's size and type."""
        height, width = (-(-side // shrink) for side in blur.shape[-2:])
        cropped = to_planes(image)[..., :height, :width]
        return (2 * cropped.to(blur.dtype) - 1).clamp(-1, 1)
