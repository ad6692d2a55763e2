"""The feature pyramid of DeblurGAN-v2 (Kupyn, Martyniuk, Wu and Wang, ICCV 2019)."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.networks.argument_checks import check_choice
from deblur.networks.arguments import keep_arguments
from deblur.networks.backbones import BACKBONES, CHANNELS, build_backbone
from deblur.networks.initialization import zero
from deblur.networks.padding import pad_to_stride

WIDTHS = {"mobilenet": 128, "inception": 256}
"""Channels of the pyramid's maps."""
LEAST = {"mobilenet": 64, "inception": 128}
"""The least pixels of a side, so that norms have two values and reflection enough pixels."""
RIMS = {
    "mobilenet": ((0, 0, 0, 0),) * 5,
    "inception": ((0, 1, 0, 1), (1, 1, 1, 1), (1, 2, 1, 2), (1, 1, 1, 1), (1, 1, 1, 1)),
}
"""Pixels that unpadded convolutions remove in each stage: left, right, above and below."""


@keep_arguments
class FPN(nn.Module):
    """Restores a blurred image by five stages of a backbone and a feature pyramid above them.

    The generator of DeblurGAN-v2 (arXiv 1908.03826). Takes and returns (N, 3, H, W) in [-1, 1], of
    any size; the restored image is clamp(x + tanh(f), -1, 1).

    | part | source | mobilenet | inception |
    |---|---|---|---|
    | parameters in use | the same | 2,106,627 | 35,840,099 |
    | in the published files | with unused layers | 3,312,707 | 60,929,291 |
    | trainable while the backbone is frozen | its first 3 epochs | 1,088,835 | 5,085,827 |
    | channels of the pyramid, of its heads | the same | 128, 64 | 256, 128 |
    | smallest side inside | the same | 64 | 128 |
    | borders | one more block of gray, below and on the right | `padding` | the same |
    | start of `final` | PyTorch's | zero: the identity | the same |

    Parameters have the names in the published files, without `module.`, without the backbone's
    second names (it is fpn.enc0 to fpn.enc4) and without the unused running statistics of instance
    norms; inside MobileNetV2's blocks they have torchvision's names. The attribute `weights_used`
    names the source of the backbone's weights.

    Args:
        backbone: "mobilenet" is MobileNetV2, "inception" InceptionResNetV2.
        weights: The backbone's weights, as in `build_backbone`.
        statistics: Of the backbone's norms. "image" uses each picture's own, in training and in
            evaluation, as in published training with batches of one and in published inference.
            "running" is ordinary batch norm, with running statistics in evaluation. The pyramid's
            norms always use the picture's own.
        padding: Below and on the right, to multiples of 32: "reflect", or "gray" as in published
            inference (1 to 32 pixels of gray, even if the size is a multiple). The padding affects
            the picture's statistics.
        zero_last: Start the last convolution at zero: the network is then the identity.

    Raises:
        ValueError: A choice is not listed, or the weights are not available or do not fit.
        FileNotFoundError: There is no such file of weights.
    """

    stride = 32

    def __init__(
        self,
        *,
        backbone: BACKBONES = "mobilenet",
        weights: str | None = None,
        statistics: Literal["image", "running"] = "image",
        padding: Literal["reflect", "gray"] = "reflect",
        zero_last: bool = True,
    ) -> None:
        super().__init__()
        check_choice("backbone", backbone, *WIDTHS)
        check_choice("statistics", statistics, "image", "running")
        check_choice("padding", padding, "reflect", "gray")
        self.padding = padding
        width = WIDTHS[backbone]
        half = width // 2
        self.least = LEAST[backbone]
        self.fpn = Pyramid(backbone, width, weights, statistics == "image")
        self.weights_used = self.fpn.weights_used
        self.head1 = Head(width, half)
        self.head2 = Head(width, half)
        self.head3 = Head(width, half)
        self.head4 = Head(width, half)
        self.smooth = _smooth(4 * half, half)
        self.smooth2 = _smooth(half, half // 2)
        self.final = nn.Conv2d(half // 2, 3, 3, padding=1)
        if zero_last:
            zero(self.final)

    def forward(self, blur: Tensor) -> Tensor:
        """Restore (N, 3, H, W) in [-1, 1]."""
        height, width = blur.shape[-2:]
        maps = self.fpn(self._pad(blur))
        heads = (self.head4(maps[4]), self.head3(maps[3]), self.head2(maps[2]), self.head1(maps[1]))
        quarter = torch.cat([_enlarge(head, 2**k) for head, k in zip(heads, (3, 2, 1, 0))], dim=1)
        middle = self.smooth2(_enlarge(self.smooth(quarter), 2) + maps[0])
        change: Tensor = self.final(_enlarge(middle, 2)).tanh()[..., :height, :width]
        return (blur + change.to(blur.dtype)).clamp(-1, 1)

    def _pad(self, blur: Tensor) -> Tensor:
        """Pad (N, 3, H, W) below and on the right."""
        if self.padding == "gray":
            height, width = blur.shape[-2:]
            blur = F.pad(blur, (0, 32 - width % 32, 0, 32 - height % 32))
        return pad_to_stride(blur, self.stride, self.least)

    def freeze_backbone(self, frozen: bool) -> None:
        """Exclude the backbone's weights from training, or include them again.

        Its norms' statistics are never frozen, as in the source's first epochs.
        """
        for name, parameter in self.fpn.named_parameters():
            if name.startswith("enc"):
                parameter.requires_grad_(not frozen)


class Pyramid(nn.Module):
    """A backbone's five stages, and maps of equal width, merged from the coarsest up."""

    def __init__(self, backbone: BACKBONES, width: int, weights: str | None, image: bool) -> None:
        super().__init__()
        norm = ImageNorm if image else nn.BatchNorm2d
        stages, self.weights_used = build_backbone(backbone, norm, weights)
        for name, stage in stages.items():
            self.add_module(name, stage)
        for step in (1, 2, 3):
            self.add_module(f"td{step}", _smooth(width, width))
        for level, channels in enumerate(CHANNELS[backbone]):
            outputs = width if level else width // 2
            self.add_module(f"lateral{level}", nn.Conv2d(channels, outputs, 1, bias=False))
        self.rims = RIMS[backbone]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return five maps, from H / 2 to H / 32, of (N, 3, H, W), H and W multiples of 32."""
        laterals: list[Tensor] = []
        features = image
        for level, rim in enumerate(self.rims):
            features = self.get_submodule(f"enc{level}")(features)
            lateral = self.get_submodule(f"lateral{level}")(features)
            laterals.append(F.pad(lateral, rim, mode="reflect") if any(rim) else lateral)
        maps = [laterals[4]]
        for step in (1, 2, 3):
            merged = laterals[4 - step] + _enlarge(maps[0], 2)
            maps.insert(0, self.get_submodule(f"td{step}")(merged))
        return [laterals[0], *maps]


class ImageNorm(nn.BatchNorm2d):
    """Batch norm by each picture's own statistics, in training and in evaluation.

    For a single picture it equals batch norm in training. Training updates the running statistics,
    as means over a batch's pictures, but they are not used.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Normalize (N, C, H, W), with H * W at least two."""
        momentum = 0.1 if self.momentum is None else self.momentum
        mean, var = (self.running_mean, self.running_var) if self.training else (None, None)
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        # Both are equal for a single picture, but batch norm is faster with channels last. An
        # exported graph must work for any number of pictures.
        single = not torch.compiler.is_exporting() and len(features) == 1
        norm = F.batch_norm if single else F.instance_norm
        return norm(features, mean, var, self.weight, self.bias, True, momentum, self.eps)


class Head(nn.Module):
    """Two convolutions without biases, each with a ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.block0 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.block1 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W)."""
        rectified: Tensor = self.block1(self.block0(features).relu()).relu()
        return rectified


def _smooth(inputs: int, outputs: int) -> nn.Sequential:
    """Build a 3x3 convolution, its instance norm and a ReLU."""
    conv = nn.Conv2d(inputs, outputs, 3, padding=1)
    return nn.Sequential(conv, nn.InstanceNorm2d(outputs), nn.ReLU(inplace=True))


def _enlarge(features: Tensor, times: int) -> Tensor:
    """Enlarge features by repeating pixels."""
    return features if times == 1 else F.interpolate(features, scale_factor=float(times))
