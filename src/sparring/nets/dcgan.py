"""DCGAN: the convolutional architecture that made GANs stable. Radford et al. 2016, arXiv:1511.06434, from 8x8 up."""

import math

from torch import nn

from ..records import record
from .layers import Architecture, Crop, DataSpec, ImageTies, normal_weights


@record
class DCGAN(Architecture):
    """Strided 4x4 convolutions; the number of channels doubles from `width` whenever the size halves.

    28x28 gives 7x7 as the smallest map, 32x32 and powers of two give 4x4. `batchnorm`: as in the paper; a trunk under a
    penalty per image must do without (Gulrajani et al. 2017, section 4). `full_until`: pixels of the shorter side;
    beyond it `width` halves with each doubling, so that a step takes about as long; 0: never. Ours.
    """

    width: int = 64
    batchnorm: bool = True
    full_until: int = 0

    @property
    def image_ties(self) -> ImageTies:
        return ImageTies.BATCH_NORM if self.batchnorm else ImageTies.NOTHING

    def generator(self, data_spec: DataSpec, z: int, condition: int = 0) -> nn.Module:
        halvings, widths = self._plan(data_spec)
        height, width = (math.ceil(side / 2**halvings) for side in (data_spec.height, data_spec.width))
        first = widths[-1] * height * width
        layers = [
            nn.Linear(z + condition, first, bias=not self.batchnorm),
            nn.Unflatten(1, (widths[-1], height, width)),
        ]
        layers += [self._norm(widths[-1]), nn.ReLU()]
        for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True):
            layers += [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=not self.batchnorm), self._norm(b), nn.ReLU()]
        layers += [nn.ConvTranspose2d(widths[0], data_spec.channels, 4, 2, 1), nn.Tanh()]
        return normal_weights(nn.Sequential(*layers, Crop(data_spec.height, data_spec.width)))

    def trunk(self, data_spec: DataSpec, channels: int) -> tuple[nn.Module, int]:
        halvings, widths = self._plan(data_spec)
        layers: list[nn.Module] = [nn.Conv2d(channels, widths[0], 4, 2, 1), nn.LeakyReLU(0.2)]
        for a, b in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(a, b, 4, 2, 1, bias=not self.batchnorm), self._norm(b), nn.LeakyReLU(0.2)]
        height, width = data_spec.height >> halvings, data_spec.width >> halvings
        return normal_weights(nn.Sequential(*layers, nn.Flatten())), widths[-1] * height * width

    def _plan(self, data_spec: DataSpec) -> tuple[int, list[int]]:
        """Return how often the size halves, and the channels after each halving."""
        halvings, width = data_spec.halvings, self.width
        if self.full_until:
            width >>= max(0, round(math.log2(min(data_spec.height, data_spec.width) / self.full_until)))
        return halvings, [max(1, width) * min(2**i, 8) for i in range(halvings)]

    def _norm(self, channels: int) -> nn.Module:
        return nn.BatchNorm2d(channels) if self.batchnorm else nn.Identity()
