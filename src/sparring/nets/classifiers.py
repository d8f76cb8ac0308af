"""A small network that classifies: the trunk of all network classifiers here, alone or as a discriminator."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, pixel_unshuffle

from ..records import record
from .layers import Architecture, DataSpec, ImageTies

# Pixels: large images are folded into channels as long as their shorter side stays at least this long.
MAP = 12


@record
class SmallCNN(Architecture):
    """3x3 convolutions with batch norm and ReLU; the third halves the map; average and maximum pooling joined.

    Large images are first folded into channels, 2x2 pixels or more into one (the inverse of the layer of Shi et al.
    2016, arXiv:1609.05158), so that the work does not grow with the resolution: 28x28 becomes 14x14 with 4 channels,
    64x64 becomes 16x16 with 16, 8x8 stays. Any size, square or not. The default has 170,000 weights in few layers: on
    CPUs the time of a small network is that of its many small operations.
    """

    widths: tuple[int, ...] = (32, 32, 64, 96, 96)

    @property
    def image_ties(self) -> ImageTies:
        return ImageTies.BATCH_NORM

    def trunk(self, data_spec: DataSpec, channels: int) -> tuple[nn.Module, int]:
        fold = fold_of(data_spec)
        layers: list[nn.Module] = [Fold(fold)]
        before = channels * fold**2
        for number, width in enumerate(self.widths):
            stride = 2 if number == 2 else 1
            layers += [nn.Conv2d(before, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            before = width
        return nn.Sequential(*layers, AverageAndMaximum()), 2 * before


def fold_of(data_spec: DataSpec) -> int:
    """Return how many pixels of a side SmallCNN folds into one: 2 of 28, 4 of 64."""
    return 2 ** max(0, int(math.log2(min(data_spec.height, data_spec.width) / MAP)))


class Fold(nn.Module):
    """`by` x `by` pixels -> channels, the edge repeated where a side is no multiple; channels last in memory."""

    def __init__(self, by: int):
        super().__init__()
        self.by = by

    def forward(self, x: Tensor) -> Tensor:
        below, right = -x.shape[2] % self.by, -x.shape[3] % self.by
        x = pad(x, (0, right, 0, below), mode="replicate") if below or right else x
        return pixel_unshuffle(x, self.by).contiguous(memory_format=torch.channels_last)


class AverageAndMaximum(nn.Module):
    """[N,C,H,W] -> [N,2C]."""

    def forward(self, x: Tensor) -> Tensor:
        # Over a view whose last axis is channels, so that gradients stay channels last as well.
        x = x.permute(0, 2, 3, 1).flatten(1, 2)
        return torch.cat([x.mean(1), x.amax(1)], 1)


@record
class DeepCNN(Architecture):
    """Residual 3x3 convolutions with batch norm, for a GPU: 6.5 million weights in 8 layers by default.

    Each width but the first is a convolution and a halving; the second and the last are followed by a residual block of
    two convolutions (He et al. 2016, arXiv:1512.03385). Images over 48 pixels are folded into channels first.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)

    @property
    def image_ties(self) -> ImageTies:
        return ImageTies.BATCH_NORM

    def trunk(self, data_spec: DataSpec, channels: int) -> tuple[nn.Module, int]:
        fold = 2 ** max(0, int(math.log2(min(data_spec.height, data_spec.width) / 24)))
        layers: list[nn.Module] = [Fold(fold)]
        before = channels * fold**2
        for number, width in enumerate(self.widths):
            layers += convolution(before, width)
            if number:
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
            if number in (1, len(self.widths) - 1):
                layers.append(Residual(*convolution(width, width), *convolution(width, width)))
            before = width
        return nn.Sequential(*layers, AverageAndMaximum()), 2 * before


def convolution(before: int, width: int) -> list[nn.Module]:
    return [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]


class Residual(nn.Sequential):
    """x + layers(x)."""

    def forward(self, input: Tensor) -> Tensor:
        return input + super().forward(input)
