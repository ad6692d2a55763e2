"""A network, an objective and a data set defined outside of the package.

    PYTHONPATH=examples python train.py --config-dir examples/conf experiment=mine
    PYTHONPATH=examples python eval.py --config-dir examples/conf trust=mine ckpt=PATH

Their interfaces are described in deblur/pair.py and deblur/losses/adversarial.py.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from deblur.data.crops import Key, locate
from deblur.losses.adversarial import Verdict
from deblur.pair import Pair


class Sharpen(nn.Module):
    """Adds the output of two convolutions to a blurred image (N, 3, H, W) in [-1, 1]."""

    def __init__(self, *, width: int = 16) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 5, padding=2), nn.ReLU(), nn.Conv2d(width, 3, 5, padding=2)
        )

    def forward(self, blur: Tensor) -> Tensor:
        """Restore (N, 3, H, W) in [-1, 1]."""
        return (blur + self.layers(blur)).clamp(-1, 1)


class Hinge:
    """The hinge loss (Lim and Ye, 2017): scores beyond 1 or -1 have no loss."""

    def generator_loss(self, discriminator: nn.Module, restored: Tensor, sharp: Tensor) -> Tensor:
        """Return minus the mean score."""
        return -torch.stack([logits.mean() for logits in discriminator(restored)]).mean()

    def discriminator_loss(
        self, discriminator: nn.Module, restored: Tensor, sharp: Tensor
    ) -> Verdict:
        """Return the discriminator's loss and both mean scores."""
        real, fake = (torch.cat([m.flatten() for m in discriminator(x)]) for x in (sharp, restored))
        loss = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
        return Verdict(loss, real.mean().detach(), fake.mean().detach())


class Stripes(Dataset[Pair]):
    """Stripes of random widths, blurred along their normal."""

    paired = True

    def __init__(self, *, root: str | None, split: str, crop: int, seed: int, size: int) -> None:
        self.crop, self.size = crop, size
        self.start = {"train": seed, "val": 10_000, "test": 20_000}[split]

    def __len__(self) -> int:
        return self.size

    @property
    def scenes(self) -> list[str]:
        """The scene of each pair, for intervals."""
        return [str(index) for index in range(self.size)]

    def __getitem__(self, key: Key) -> Pair:
        epoch, index = locate(key, len(self))
        width = 3 + (self.start + 31 * epoch + index) % 13
        column = torch.arange(self.crop) // width % 2 * 2.0 - 1
        sharp = column.expand(3, self.crop, self.crop).contiguous()
        return Pair(
            F.avg_pool1d(sharp, 5, 1, 2, count_include_pad=False), sharp, f"stripes-{index}"
        )
