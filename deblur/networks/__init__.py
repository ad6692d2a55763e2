"""The networks, by the names that configs and checkpoints use."""

from deblur.networks.coarse_to_fine import CoarseToFine
from deblur.networks.discriminators import (
    DenseDiscriminator,
    DoubleDiscriminator,
    PatchDiscriminator,
)
from deblur.networks.fpn import FPN
from deblur.networks.maxim import MAXIM
from deblur.networks.multiscale import MultiScale
from deblur.networks.nafnet import NAFNet
from deblur.networks.resnet import ResNet
from deblur.networks.resunet import ResUNet
from deblur.networks.unet import UNet

__all__ = [
    "FPN",
    "MAXIM",
    "CoarseToFine",
    "DenseDiscriminator",
    "DoubleDiscriminator",
    "MultiScale",
    "NAFNet",
    "PatchDiscriminator",
    "ResNet",
    "ResUNet",
    "UNet",
]
