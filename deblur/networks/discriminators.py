"""The discriminators; each returns a list of logit maps."""

from typing import Literal

from torch import Tensor, nn

from deblur.networks.argument_checks import DEEPEST, WIDEST, check_choice, check_norm, check_range
from deblur.networks.initialization import Scheme, initialize
from deblur.networks.padding import SameConv


class DenseDiscriminator(nn.Module):
    """Judges a whole image of a fixed size: Li's discriminator (arXiv 2412.19479, section 3).

    Six 4x4 convolutions, then 1024 tanh units and one logit (the sigmoid belongs to the
    objective). At 256 pixels it has 3,096,450 trainable values and 1,920 running statistics.
    Takes (N, 3, crop, crop) in [-1, 1], returns [(N, 1)].

    Args:
        crop: The side of the images, a multiple of 16, up to 4096.
        width: Channels of the first layer.
        init: As in `ResNet`.
        norm_eps: As in `ResNet`.
        norm_momentum: As in `ResNet`.

    Raises:
        ValueError: A value is out of its range, `crop` is not a multiple of 16, or `init` is not
            listed.
    """

    def __init__(
        self,
        *,
        crop: int = 256,
        width: int = 64,
        init: Scheme = "torch",
        norm_eps: float = 1e-5,
        norm_momentum: float = 0.1,
    ) -> None:
        super().__init__()
        check_range("width", width, 1, WIDEST)
        check_norm(norm_eps, norm_momentum)
        if not 16 <= crop <= 4096 or crop % 16:
            raise ValueError(
                f"crop must be a multiple of 16, got {crop} (data.crop; model/discriminator=patch "
                "accepts any)"
            )
        self.crop = crop
        layers: list[nn.Module] = [SameConv(3, width, 4, stride=2), nn.LeakyReLU(0.2, inplace=True)]
        # The second convolution keeps the width, as in the Keras project (its loop starts one step
        # early); otherwise the count would differ from the paper's 3.10M.
        for inputs, outputs, stride in [(1, 1, 2), (1, 2, 2), (2, 4, 2), (4, 8, 1)]:
            layers += [
                SameConv(inputs * width, outputs * width, 4, stride=stride),
                nn.BatchNorm2d(outputs * width, eps=norm_eps, momentum=norm_momentum),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.layers = nn.Sequential(
            *layers,
            SameConv(8 * width, 1, 4),
            nn.Flatten(),
            nn.Linear((crop // 16) ** 2, 1024),
            nn.Tanh(),
            nn.Linear(1024, 1),
        )
        initialize(self, init)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Judge (N, 3, crop, crop) in [-1, 1]."""
        if image.shape[-2:] != (self.crop, self.crop):
            raise ValueError(
                f"crop is {self.crop}: built for {self.crop}x{self.crop} images, got "
                f"{tuple(image.shape)}"
            )
        return [self.layers(image)]


class PatchDiscriminator(nn.Module):
    """Judges overlapping patches of an image of any size: the PatchGAN of pix2pix.

    4x4 convolutions padded by 2: `layers` with stride 2, one with stride 1, and one to a logit; all
    but the first and the last are normalized. With three layers the receptive field of a logit is
    70x70 pixels and there are 2,764,737 values (DeblurGAN, arXiv 1711.07064); with five it is
    286x286, and there are 11,154,369. Takes (N, 3, H, W) in [-1, 1], returns [(N, 1, H', W')].

    Args:
        layers: Convolutions with stride 2.
        width: Channels of the first layer; they double in each further layer, up to eightfold.
        norm: "instance" (without weights), or "none".
        init: As in `ResNet`.

    Raises:
        ValueError: A value is out of its range, or a choice is not listed.
    """

    def __init__(
        self,
        *,
        layers: int = 3,
        width: int = 64,
        norm: Literal["instance", "none"] = "instance",
        init: Scheme = "normal",
    ) -> None:
        super().__init__()
        check_range("layers", layers, 1, DEEPEST)
        check_range("width", width, 1, WIDEST)
        check_choice("norm", norm, "instance", "none")
        channels = [width * min(2**layer, 8) for layer in range(layers + 1)]
        stack: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 2), nn.LeakyReLU(0.2, inplace=True)]
        for layer, (inputs, outputs) in enumerate(zip(channels, channels[1:]), 1):
            stack.append(nn.Conv2d(inputs, outputs, 4, 2 if layer < layers else 1, 2))
            if norm == "instance":
                stack.append(nn.InstanceNorm2d(outputs))
            stack.append(nn.LeakyReLU(0.2, inplace=True))
        self.layers = nn.Sequential(*stack, nn.Conv2d(channels[-1], 1, 4, 1, 2))
        initialize(self, init)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Judge (N, 3, H, W) in [-1, 1]."""
        return [self.layers(image)]


class DoubleDiscriminator(nn.Module):
    """DeblurGAN-v2's discriminator of small and large patches (arXiv 1908.03826, section 3.2).

    Two patch discriminators of three and five layers, both on the whole image: 13,919,106 values.
    Takes (N, 3, H, W) in [-1, 1], returns two maps, (N, 1, H', W') each.

    Args:
        width: Of both, as in `PatchDiscriminator`.
        norm: Of both, as in `PatchDiscriminator`.
        init: Of both, as in `ResNet`.

    Raises:
        ValueError: The width is out of its range, or a choice is not listed.
    """

    def __init__(
        self,
        *,
        width: int = 64,
        norm: Literal["instance", "none"] = "instance",
        init: Scheme = "normal",
    ) -> None:
        super().__init__()
        self.patch = PatchDiscriminator(layers=3, width=width, norm=norm, init=init)
        self.full = PatchDiscriminator(layers=5, width=width, norm=norm, init=init)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Judge (N, 3, H, W) in [-1, 1]."""
        return [*self.patch(image), *self.full(image)]
