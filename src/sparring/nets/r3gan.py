"""The residual networks of R3GAN, written from the paper. Huang et al. 2024, arXiv:2501.05441, section 3.

No norm at all. Blocks are inverted bottlenecks with grouped convolutions, sizes change bilinearly, and the sum that a
block adds starts at zero, so that activations are as large at any depth.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from ..records import record
from .layers import Architecture, Crop, DataSpec

# The gain of a leaky ReLU with slope 0.2: He et al. 2015.
GAIN = math.sqrt(2 / (1 + 0.2**2))


@record
class R3GAN(Architecture):
    """`blocks` residual blocks at each size, from 4x4 (28x28: from 7x7) up to the image's own.

    `width` channels at the image's size, twice as many with each halving, at most 8 times. Convolutions in the middle
    of a block have groups of `group` channels. Labels enter the generator beside the noise, D by its head.
    """

    width: int = 16
    blocks: int = 1
    group: int = 16

    starts_at_zero = True

    def generator(self, data_spec: DataSpec, z: int, condition: int = 0) -> nn.Module:
        return R3Generator(self, data_spec, z + condition)

    def trunk(self, data_spec: DataSpec, channels: int) -> tuple[nn.Module, int]:
        widths = self.widths(data_spec)
        layers: list[nn.Module] = [scaled(nn.Conv2d(channels, widths[0], 1), 1.0)]
        for a, b in zip(widths, widths[1:], strict=False):
            layers += [*self.stage(a, len(widths)), nn.Upsample(scale_factor=0.5, mode="bilinear")]
            layers.append(scaled(nn.Conv2d(a, b, 1, bias=False), 1.0))
        height, width = (side >> len(widths) - 1 for side in (data_spec.height, data_spec.width))
        last = nn.Conv2d(widths[-1], 2 * widths[-1], (height, width), groups=widths[-1], bias=False)
        return nn.Sequential(
            *layers, *self.stage(widths[-1], len(widths)), scaled(last, 1.0), nn.Flatten()
        ), 2 * widths[-1]

    def widths(self, data_spec: DataSpec) -> list[int]:
        """Return the channels at each size, from the image's own down to the smallest."""
        return [self.width * min(2**i, 8) for i in range(data_spec.halvings + 1)]

    def stage(self, width: int, stages: int) -> list[nn.Module]:
        """Return the blocks of one size; `stages`: how many sizes there are."""
        return [R3Block(width, self.group, self.blocks * stages) for _ in range(self.blocks)]


class R3Generator(nn.Module):
    """[N, inputs] -> images: the noise scales the channels of a learnt map, from which blocks make the image."""

    def __init__(self, spec: R3GAN, data_spec: DataSpec, inputs: int):
        super().__init__()
        widths = spec.widths(data_spec)[::-1]
        height, width = (math.ceil(side / 2 ** (len(widths) - 1)) for side in (data_spec.height, data_spec.width))
        self.start = nn.Parameter(torch.empty(1, widths[0], height, width))
        nn.init.normal_(self.start)
        self.first = scaled(nn.Linear(inputs, widths[0], bias=False), 1.0)
        layers = spec.stage(widths[0], len(widths))
        for a, b in zip(widths, widths[1:], strict=False):
            layers += [scaled(nn.Conv2d(a, b, 1, bias=False), 1.0), nn.Upsample(scale_factor=2.0, mode="bilinear")]
            layers += spec.stage(b, len(widths))
        last = scaled(nn.Conv2d(widths[-1], data_spec.channels, 1), 1.0)
        self.body = nn.Sequential(*layers, last, Crop(data_spec.height, data_spec.width))

    def forward(self, x: Tensor) -> Tensor:
        h = self.start * self.first(x)[:, :, None, None]
        return self.body(h.contiguous(memory_format=torch.channels_last))


class R3Block(nn.Module):
    """1x1 to twice the channels, grouped 3x3, 1x1 back; the last starts at 0 and the others small (Zhang et al. 2019,
    arXiv:1901.09321, section 3).
    """

    def __init__(self, width: int, group: int, depth: int):
        super().__init__()
        inside, gain = 2 * width, GAIN * depth ** (-1 / 4)
        self.widen = scaled(nn.Conv2d(width, inside, 1, bias=False), gain)
        groups = inside // math.gcd(group, inside)
        self.mix = scaled(nn.Conv2d(inside, inside, 3, 1, 1, groups=groups, bias=False), gain)
        self.narrow = scaled(nn.Conv2d(inside, width, 1, bias=False), 0.0)
        self.bias1, self.bias2 = (nn.Parameter(torch.zeros(inside, 1, 1)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        h = leaky_relu(self.widen(x) + self.bias1, 0.2)
        h = leaky_relu(self.mix(h) + self.bias2, 0.2)
        return x + self.narrow(h)


def scaled(layer: nn.Conv2d | nn.Linear, gain: float) -> nn.Conv2d | nn.Linear:
    """Draw weights of variance gain^2 / inputs, set biases to 0; return the layer."""
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
