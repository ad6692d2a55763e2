"""The classical baseline: an unsharp mask, tuned on the given pairs."""

from collections.abc import Iterable
from itertools import product

from kornia.filters import gaussian_blur2d
from torch import Tensor, nn

from deblur.data.folder import PairedFolder
from deblur.metrics import Comparison
from deblur.pair import Pair

SIGMAS = (0.5, 1.0, 1.5, 2.0, 3.0, 5.0)
AMOUNTS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5)


class UnsharpMask(nn.Module):
    """Adds amount times the difference between an image and its Gaussian blur of sigma pixels.

    Takes and returns (N, 3, H, W) in [-1, 1].
    """

    def __init__(self, *, sigma: float, amount: float) -> None:
        super().__init__()
        self.sigma = sigma
        self.amount = amount
        self.label = f"unsharp mask (sigma {sigma}, amount {amount})"

    def forward(self, blur: Tensor) -> Tensor:
        """Sharpen (N, 3, H, W)."""
        size = 2 * round(3 * self.sigma) + 1
        smooth = gaussian_blur2d(blur, size, (self.sigma, self.sigma), "replicate")
        return (blur + self.amount * (blur - smooth)).clamp(-1, 1)


def check_apart(validation: object, test: object) -> None:
    """Raise ValueError if data sets share pairs on disk: a mask would be tuned on test pairs."""
    if isinstance(validation, PairedFolder) and isinstance(test, PairedFolder):
        if shared := {*validation.pairs} & {*test.pairs}:
            raise ValueError(
                f"{len(shared)} validation pairs are also test pairs, as with "
                "data.dataset.whole=true; expected none"
            )


def tune_unsharp_mask(pairs: Iterable[Pair]) -> UnsharpMask:
    """Find the mask with the highest mean PSNR on batches of pairs, over a grid of 36."""
    masks = [UnsharpMask(sigma=s, amount=a) for s, a in product(SIGMAS, AMOUNTS)]
    totals = [0.0] * len(masks)
    for pair in pairs:
        for index, mask in enumerate(masks):
            totals[index] += float(Comparison(mask(pair.blur), pair.sharp).psnr.sum())
    return masks[max(range(len(masks)), key=totals.__getitem__)]
