"""Residual networks: SNGAN's (Miyato et al. 2018, arXiv:1802.05957), SAGAN's (Zhang et al. 2019, arXiv:1805.08318) with
attention, and BigGAN's (Brock et al. 2019, arXiv:1809.11096), whose noise and labels reach every block.
"""

import math
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu

from ..records import record
from .layers import Architecture, Attention, Crop, DataSpec

# The size of the embedding of a class that all blocks share.
SHARED = 64


@record
class ResNet(Architecture):
    """Blocks of two 3x3 convolutions beside a shortcut, one for each halving of the size.

    `width`: channels; 32 suit minutes on a CPU, the papers have 64 to 256. The generator has batch norm, the trunk has
    none. `attention`: one attention layer, where the map is half as wide as the image. `layered` (BigGAN): the noise is
    cut into pieces. The first layer gets one of them, and so does each block. In a block, its piece and the embedding
    of the label together set the scale and shift of the norms.
    """

    width: int = 32
    attention: bool = False
    layered: bool = False

    def generator(self, data_spec: DataSpec, z: int, condition: int = 0) -> nn.Module:
        return ResNetGenerator(self, data_spec, z, condition)

    def trunk(self, data_spec: DataSpec, channels: int) -> tuple[nn.Module, int]:
        layers: list[nn.Module] = []
        for number in range(data_spec.halvings):
            layers.append(Down(channels, self.width, first=number == 0))
            channels = self.width
            if self.attention and number == 0:
                layers.append(Attention(self.width))
        return nn.Sequential(*layers, Same(self.width), SumPool()), self.width


class ResNetGenerator(nn.Module):
    """[N, z + condition] -> images; see ResNet."""

    def __init__(self, spec: ResNet, data_spec: DataSpec, z: int, condition: int):
        super().__init__()
        blocks, width = data_spec.halvings, spec.width
        self.shape = [math.ceil(side / 2**blocks) for side in (data_spec.height, data_spec.width)]
        self.pieces = [z, condition]
        per_block = 0
        if spec.layered:
            piece = z // (blocks + 1)
            self.pieces = [z - blocks * piece, *[piece] * blocks, condition]
            per_block = piece + (SHARED if condition else 0)
            self.shared = nn.Linear(condition, SHARED, bias=False) if condition else None
            if self.shared is not None:
                # The embedding then has as large a norm as a piece of noise.
                nn.init.normal_(self.shared.weight, 0.0, math.sqrt(piece / SHARED))
        self.first = nn.Linear(self.pieces[0] + (0 if spec.layered else condition), width * math.prod(self.shape))
        self.ups = nn.ModuleList(Up(width, width, per_block) for _ in range(blocks))
        self.attention = Attention(width) if spec.attention else nn.Identity()
        self.norm, self.last = nn.BatchNorm2d(width), nn.Conv2d(width, data_spec.channels, 3, 1, 1)
        self.layered, self.crop = spec.layered, Crop(data_spec.height, data_spec.width)

    def forward(self, x: Tensor) -> Tensor:
        first, *rest = x.split(self.pieces, 1) if self.layered else (x,)
        conditions: list[Tensor | None] = [None] * len(self.ups)
        if self.layered:
            label = [self.shared(rest[-1])] if self.shared is not None else []
            conditions = [torch.cat([piece, *label], 1) for piece in rest[:-1]]
        h = self.first(first).unflatten(1, (-1, *self.shape))
        h = h.contiguous(memory_format=torch.channels_last)
        for number, (up, condition) in enumerate(zip(self.ups, conditions, strict=True)):
            h = up(h, condition)
            h = self.attention(h) if number == len(self.ups) - 2 or len(self.ups) == 1 else h
        return self.crop(self.last(relu(self.norm(h))).tanh())


class ConditionedNorm(nn.Module):
    """Batch norm whose scale and shift are linear in numbers [N,F]; ordinary batch norm without them."""

    def __init__(self, channels: int, numbers: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=numbers == 0)
        self.scale = nn.Linear(numbers, channels, bias=False) if numbers else None
        self.shift = nn.Linear(numbers, channels, bias=False) if numbers else None

    def forward(self, x: Tensor, numbers: Tensor | None) -> Tensor:
        x = self.norm(x)
        if self.scale is None or self.shift is None:
            return x
        return x * (1 + self.scale(numbers)[:, :, None, None]) + self.shift(numbers)[:, :, None, None]


class Up(nn.Module):
    """Twice the size: norm, ReLU, larger, 3x3, norm, ReLU, 3x3, beside a 1x1 shortcut. Miyato et al. 2018, figure 7."""

    def __init__(self, a: int, b: int, numbers: int):
        super().__init__()
        self.norm1, self.norm2 = ConditionedNorm(a, numbers), ConditionedNorm(b, numbers)
        self.conv1, self.conv2 = nn.Conv2d(a, b, 3, 1, 1), nn.Conv2d(b, b, 3, 1, 1)
        self.shortcut = nn.Conv2d(a, b, 1)

    def forward(self, x: Tensor, numbers: Tensor | None) -> Tensor:
        larger = partial(interpolate, scale_factor=2.0, mode="nearest")
        h = larger(relu(self.norm1(x, numbers)))
        h = self.conv2(relu(self.norm2(self.conv1(h), numbers)))
        return h + larger(self.shortcut(x))


class Down(nn.Module):
    """Half the size; the first block of a trunk starts from pixels and has no ReLU before them."""

    def __init__(self, a: int, b: int, *, first: bool):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(a, b, 3, 1, 1), nn.Conv2d(b, b, 3, 1, 1)
        self.shortcut, self.first = nn.Conv2d(a, b, 1), first

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(relu(self.conv1(x if self.first else relu(x))))
        return avg_pool2d(h, 2) + self.shortcut(avg_pool2d(x, 2))


class Same(nn.Module):
    """A residual block that keeps the size."""

    def __init__(self, width: int):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(width, width, 3, 1, 1), nn.Conv2d(width, width, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(relu(self.conv1(relu(x))))


class SumPool(nn.Module):
    """[N,C,H,W] -> [N,C]: ReLU, then the sum over the map."""

    def forward(self, x: Tensor) -> Tensor:
        return relu(x).sum((2, 3))
