"""Fully connected networks, as in the first GAN. Goodfellow et al. 2014, section 5."""

import math
from itertools import pairwise

from torch import nn

from ..records import part
from .layers import Facts, Family


@part
class MLP(Family):
    """Layers of `widths`, in this order in the trunk and in the reverse order in the generator."""

    widths: tuple = (256,)

    def generator(self, facts: Facts, z: int, about: int = 0) -> nn.Module:
        sizes = (z + about, *reversed(self.widths))
        layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.LeakyReLU(0.2))]
        last = nn.Linear(sizes[-1], math.prod(facts.shape))
        return nn.Sequential(*layers, last, nn.Tanh(), nn.Unflatten(1, facts.shape))

    def trunk(self, facts: Facts, channels: int) -> tuple[nn.Module, int]:
        sizes = (channels * facts.height * facts.width, *self.widths)
        layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.LeakyReLU(0.2))]
        return nn.Sequential(nn.Flatten(), *layers), sizes[-1]
