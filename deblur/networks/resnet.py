"""The ResNet generator of DeblurGAN, in Li's and in Kupyn's variant."""

from typing import Literal

from torch import Tensor, nn

from deblur.networks.argument_checks import LONGEST, WIDEST, check_choice, check_norm, check_range
from deblur.networks.arguments import keep_arguments
from deblur.networks.initialization import Scheme, initialize, zero
from deblur.networks.padding import Doubled, ReflectionPad, SameConv, pad_to_stride


@keep_arguments
class ResNet(nn.Module):
    """Restores a blurred image: 24 convolutions, nine residual blocks, a global skip.

    With the defaults it has Li's 11,388,675 trainable values and 10,496 running statistics
    (arXiv 2412.19479, section 3); with norm="instance", upsample="transposed" and init="normal" it
    is Kupyn's, with 11,378,179 (DeblurGAN, arXiv 1711.07064, Figure 3, and its code).
    Takes and returns (N, 3, H, W) in [-1, 1], of any size.

    Args:
        blocks: Residual blocks.
        width: Channels of the first layer; the residual blocks have four times as many.
        dropout: The share of features, 0 to 0.99, dropped in each residual block.
        skip: "residual" returns clamp(x + f). "average" returns (x + f) / 2, as in the Keras
            project that Li's counts suggest; there a zero f halves the contrast, and pure black and
            white cannot be reached.
        norm: "batch", or "instance", which has neither weights nor running statistics.
        upsample: "nearest" repeats pixels and convolves, "transposed" is a transposed convolution.
        padding: Of the stride-2 convolutions: "symmetric" as in PyTorch or "same" as in Keras.
        init: "torch" (PyTorch's own), "glorot" (Keras': Glorot uniform, zero biases) or "normal"
            (Kupyn's N(0, 0.02)).
        zero_last: Start the last convolution at zero: the identity with a residual skip.
        norm_eps: Added to the batch norms' variances; Keras has 1e-3.
        norm_momentum: The batch norms' momentum; Keras has 0.01 in PyTorch's definition.

    Raises:
        ValueError: A value is out of its range, or a choice is not listed.
    """

    stride = 4

    def __init__(
        self,
        *,
        blocks: int = 9,
        width: int = 64,
        dropout: float = 0.5,
        skip: Literal["residual", "average"] = "residual",
        norm: Literal["batch", "instance"] = "batch",
        upsample: Literal["nearest", "transposed"] = "nearest",
        padding: Literal["symmetric", "same"] = "symmetric",
        init: Scheme = "torch",
        zero_last: bool = False,
        norm_eps: float = 1e-5,
        norm_momentum: float = 0.1,
    ) -> None:
        super().__init__()
        check_range("blocks", blocks, 0, LONGEST)
        check_range("width", width, 1, WIDEST)
        check_range("dropout", dropout, 0, 0.99)
        check_norm(norm_eps, norm_momentum)
        check_choice("skip", skip, "residual", "average")
        check_choice("norm", norm, "batch", "instance")
        check_choice("upsample", upsample, "nearest", "transposed")
        check_choice("padding", padding, "symmetric", "same")
        self.skip = skip

        def normalize(channels: int) -> nn.Module:
            if norm == "instance":
                return nn.InstanceNorm2d(channels, eps=norm_eps)
            return nn.BatchNorm2d(channels, eps=norm_eps, momentum=norm_momentum)

        def down(channels: int) -> list[nn.Module]:
            conv: nn.Module = (
                SameConv(channels, 2 * channels, 3, stride=2)
                if padding == "same"
                else nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)
            )
            return [conv, normalize(2 * channels), nn.ReLU(inplace=True)]

        def up(channels: int) -> list[nn.Module]:
            half = channels // 2
            convs: list[nn.Module] = (
                [nn.ConvTranspose2d(channels, half, 3, stride=2, padding=1, output_padding=1)]
                if upsample == "transposed"
                else [Doubled(), nn.Conv2d(channels, half, 3, padding=1)]
            )
            return [*convs, normalize(half), nn.ReLU(inplace=True)]

        def block(channels: int) -> nn.Module:
            return Residual(
                ReflectionPad(1),
                nn.Conv2d(channels, channels, 3),
                normalize(channels),
                nn.ReLU(inplace=True),
                nn.Dropout(dropout),
                ReflectionPad(1),
                nn.Conv2d(channels, channels, 3),
                normalize(channels),
            )

        last = nn.Conv2d(width, 3, 7)
        self.layers = nn.Sequential(
            ReflectionPad(3),
            nn.Conv2d(3, width, 7),
            normalize(width),
            nn.ReLU(inplace=True),
            *down(width),
            *down(2 * width),
            *(block(4 * width) for _ in range(blocks)),
            *up(4 * width),
            *up(2 * width),
            ReflectionPad(3),
            last,
            nn.Tanh(),
        )
        initialize(self, init)
        if zero_last:
            zero(last)

    def forward(self, blur: Tensor) -> Tensor:
        """Restore (N, 3, H, W) in [-1, 1]."""
        height, width = blur.shape[-2:]
        # Reflection inside the blocks requires features of at least 2x2, hence 8 pixels.
        padded: Tensor = self.layers(pad_to_stride(blur, self.stride, least=8))
        change = padded[..., :height, :width]
        if self.skip == "average":
            return (blur + change) / 2
        return (blur + change).clamp(-1, 1)


class Residual(nn.Module):
    """Adds its input to the output of its layers; nothing follows the sum."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        change: Tensor = self.layers(features)
        return features + change
