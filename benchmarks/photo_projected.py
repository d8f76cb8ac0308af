"""A discriminator that looks through a frozen, pretrained network. Sauer et al. 2021, arXiv:2111.01007, section 3.

Tried by photo_gans.py; no recipe uses it. The frozen network is no part of the trunk's state: one copy for each device
and precision serves every network of the process, no checkpoint holds it, and no optimiser sees it.
"""

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.features import pretrained
from sparring.nets.efficientnet import DEPTHS, Body, enlarged
from sparring.nets.layers import Architecture, DataSpec, channels_last
from sparring.records import record

MIXING = 0x5EED  # of the random mixing: the same in every network, so that it is no state either
SMALLEST_MAP = 4  # pixels of a side: small discriminators halve larger maps


@record
class Projected(Architecture):
    """Small discriminators on the maps of EfficientNet-Lite0 at four depths -> [N, F], their features side by side.

    Images are seen `enlarged` times as large, by multiples of 32 pixels. The maps are mixed at random and for good:
    across channels by 1x1 kernels to `width` channels, and, from the deepest to the first, across scales (section 3.2).
    Each mixed map has a small discriminator of `width` channels. `mixed`: False leaves the maps as they are.
    """

    width: int = 64
    enlarged: float = 1.0
    mixed: bool = True
    depths: int = 4

    def trunk(self, data_spec: DataSpec, channels: int) -> tuple[nn.Module, int]:
        trunk = ProjectedTrunk(self, data_spec)
        return trunk, trunk.features


def size_seen(data_spec: DataSpec, times: float) -> tuple[int, int]:
    """Return the (height, width) at which the frozen network is shown images: multiples of 32 pixels."""
    height, width = (32 * max(1, round(side * times / 32)) for side in (data_spec.height, data_spec.width))
    return height, width


class ProjectedTrunk(nn.Module):
    """See Projected."""

    def __init__(self, spec: Projected, data_spec: DataSpec):
        super().__init__()
        self.size = size_seen(data_spec, spec.enlarged)
        widths = list(DEPTHS.values())[: spec.depths]
        self.mixing = Mixing(widths, spec.width) if spec.mixed else None
        sides = [tuple(side // 4 // 2**depth for side in self.size) for depth in range(len(widths))]
        before = [spec.width] * len(widths) if spec.mixed else widths
        self.small = nn.ModuleList(
            small_discriminator(a, spec.width, side) for a, side in zip(before, sides, strict=True)
        )
        self.features = sum(spec.width * math.prod(map_after(side)) for side in sides)

    def forward(self, x: Tensor) -> Tensor:
        maps = frozen_maps(enlarged(x, self.size))[: len(self.small)]
        maps = self.mixing(maps) if self.mixing else maps
        return torch.cat([net(m).flatten(1) for net, m in zip(self.small, maps, strict=True)], 1)


def map_after(side: tuple[int, ...]) -> tuple[int, ...]:
    """Return the size of the map of a small discriminator: halved down to SMALLEST_MAP."""
    while min(side) > SMALLEST_MAP:
        side = tuple(s // 2 for s in side)
    return side


def small_discriminator(before: int, width: int, side: tuple[int, ...]) -> nn.Module:
    """Return a network of maps [N, before, h, w] -> [N, width, h', w']: 4x4 with stride 2 while large, then 3x3."""
    layers: list[nn.Module] = []
    while min(side) > SMALLEST_MAP:
        layers += [nn.Conv2d(before, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        side, before = tuple(s // 2 for s in side), width
    return nn.Sequential(*layers, nn.Conv2d(before, width, 3 if min(side) > 1 else 1, 1, "same"), nn.LeakyReLU(0.2))


class Mixing(nn.Module):
    """Random mixing of maps, deepest last -> as many maps of `width` channels. Sauer et al. 2021, section 3.2."""

    def __init__(self, widths: list[int], width: int):
        super().__init__()
        draw = torch.Generator().manual_seed(MIXING)
        for number, before in enumerate(widths):
            across = torch.randn(width, before, 1, 1, generator=draw) * math.sqrt(2 / before)
            scales = torch.randn(width, width, 3, 3, generator=draw) * math.sqrt(1 / (9 * width))
            self.register_buffer(f"across{number}", across, persistent=False)
            self.register_buffer(f"scales{number}", scales, persistent=False)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        found: list[Tensor] = []
        for number in reversed(range(len(maps))):
            kernel = self.get_buffer(f"across{number}")
            x = F.conv2d(maps[number].to(kernel.dtype), kernel)
            if found:
                x = (x + F.interpolate(found[0], x.shape[2:], mode="nearest")) / math.sqrt(2)
            found.insert(0, F.conv2d(x, self.get_buffer(f"scales{number}"), padding=1))
        return found


# --- the frozen network ----------------------------------------------------------------------------------------------


def frozen_maps(x: Tensor) -> list[Tensor]:
    """Return the maps of four depths of images as the body takes them; in bf16 where autocast is on."""
    kind = x.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
    with torch.autocast(kind, enabled=False):
        return body_on(str(x.device), dtype).maps(x.to(dtype))


@cache
def body_on(device: str, dtype: torch.dtype) -> Body:
    """Return EfficientNet-Lite0 with the weights of ImageNet, its constants multiplied out; no gradient reaches it."""
    with torch.random.fork_rng(devices=[]):
        return channels_last(pretrained.frozen_body(), device, dtype)
