"""Images to images. Ronneberger et al. 2015 (arXiv:1505.04597); Isola et al. 2017, section 3.2.1. Any size."""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from ..records import record
from .layers import Architecture, DataSpec


@record
class UNet(Architecture):
    """Halves the map `halvings` times and doubles it again, joining the map of the same size on the way back.

    Each level is two 3x3 convolutions with leaky ReLU. No norm: an image's result must depend on no other image, and a
    norm would remove the brightness that often is to be restored. Sides that do not divide by 2^halvings are padded by
    repeating the edge, and cropped afterwards. `width` doubles when the map halves.
    """

    width: int = 32
    halvings: int = 2

    def translator(self, data_spec: DataSpec, channels: int) -> nn.Module:
        return UNetBody(channels, data_spec.channels, self.width, self.halvings)


class UNetBody(nn.Module):
    """See UNet. `by`: sides are padded to multiples of it."""

    def __init__(self, channels: int, made: int, width: int, halvings: int):
        super().__init__()
        widths = [width * 2**i for i in range(halvings + 1)]
        self.by = 2**halvings
        self.down = nn.ModuleList(double(a, b) for a, b in zip([channels, *widths], widths, strict=False))
        self.up = nn.ModuleList(double(a + b, a) for a, b in zip(widths[-2::-1], widths[:0:-1], strict=True))
        self.last = nn.Conv2d(width, made, 1)
        # The first outputs are grey, or the source itself where a difference is computed.
        for p in self.last.parameters():
            nn.init.zeros_(p)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        x = pad(x, (0, -width % self.by, 0, -height % self.by), mode="replicate")
        maps = []
        for number, step in enumerate(self.down):
            x = step(nn.functional.avg_pool2d(x, 2) if number else x)
            maps.append(x)
        for step, beside in zip(self.up, maps[-2::-1], strict=True):
            x = step(torch.cat([beside, interpolate(x, scale_factor=2.0, mode="nearest")], 1))
        return self.last(x)[:, :, :height, :width]


def double(a: int, b: int) -> nn.Module:
    """Return two 3x3 convolutions from `a` to `b` channels, each with a leaky ReLU."""
    activation = nn.LeakyReLU(0.2, inplace=True)
    return nn.Sequential(nn.Conv2d(a, b, 3, 1, 1), activation, nn.Conv2d(b, b, 3, 1, 1), activation)


@record
class PatchGAN(Architecture):
    """A trunk that gives a map, for a head that scores patches. Isola et al. 2017, section 3.2.2.

    `halvings` 4x4 convolutions of stride 2 and a 3x3 one, no norm: with 2, and the 3x3 of the head, patches are 26
    pixels wide.
    """

    width: int = 48
    halvings: int = 2

    gives_maps = True

    def trunk(self, data_spec: DataSpec, channels: int) -> tuple[nn.Module, int]:
        widths = [channels, *(self.width * 2**i for i in range(self.halvings))]
        layers: list[nn.Module] = []
        for a, b in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(a, b, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        layers += [nn.Conv2d(widths[-1], widths[-1], 3, 1, 1), nn.LeakyReLU(0.2, inplace=True)]
        return nn.Sequential(*layers), widths[-1]
