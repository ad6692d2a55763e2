"""The networks, by the names that configs and checkpoints use."""

from deblur.networks.discriminators import DenseDiscriminator
from deblur.networks.resnet import ResNet

__all__ = ["DenseDiscriminator", "ResNet"]
