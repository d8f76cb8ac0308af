"""Fully connected networks, as in the first GAN. Goodfellow et al. 2014, section 5."""

import math
from itertools import pairwise

from torch import nn

from ..records import record
from .layers import Architecture, DataSpec


@record
class MLP(Architecture):
    """Layers of `widths`, in this order in the trunk and in the reverse order in the generator."""

    widths: tuple[int, ...] = (256,)

    def generator(self, data_spec: DataSpec, z: int, condition: int = 0) -> nn.Module:
        sizes = (z + condition, *reversed(self.widths))
        layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.LeakyReLU(0.2))]
        last = nn.Linear(sizes[-1], math.prod(data_spec.shape))
        return nn.Sequential(*layers, last, nn.Tanh(), nn.Unflatten(1, data_spec.shape))

    def trunk(self, data_spec: DataSpec, channels: int) -> tuple[nn.Module, int]:
        sizes = (channels * data_spec.height * data_spec.width, *self.widths)
        layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.LeakyReLU(0.2))]
        return nn.Sequential(nn.Flatten(), *layers), sizes[-1]
