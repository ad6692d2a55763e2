"""The discriminators. Each gives a list of logit maps, one here."""

from torch import Tensor, nn

from deblur.networks.initialization import Scheme, initialize
from deblur.networks.padding import SameConv


class DenseDiscriminator(nn.Module):
    """Judges a whole image of a fixed size: Li's discriminator (arXiv 2412.19479, section 3).

    Six 4x4 convolutions, then 1024 tanh units and one logit (the sigmoid belongs to the
    objective). At 256 pixels it has 3,096,450 trainable values and 1,920 running statistics.
    Takes (N, 3, crop, crop) in [-1, 1], gives [(N, 1)].

    crop: the side of the images, a multiple of 16. width: channels of the first layer.
    init, norm_eps, norm_momentum: as in `ResNet`.
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
        if crop < 16 or crop % 16:
            raise ValueError(f"crop must be a multiple of 16, got {crop}")
        if width < 1:
            raise ValueError(f"width must be positive, got {width}")
        self.crop = crop
        layers: list[nn.Module] = [SameConv(3, width, 4, stride=2), nn.LeakyReLU(0.2, inplace=True)]
        # The second convolution keeps the width: an oddity of the Keras project (its loop starts
        # one step early), without which the count would not be the paper's 3.10M.
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
            raise ValueError(f"built for {self.crop}x{self.crop} images, got {tuple(image.shape)}")
        return [self.layers(image)]
