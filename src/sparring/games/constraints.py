"""Constraints: how a network is kept from changing too fast in its input."""

from typing import ClassVar

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ..records import record


@record(was="Free")
class NoConstraint:
    """No constraint.

    `lipschitz`: it bounds the slope of the network. `counts_passes`: it changes with every forward pass, so a batch
    cannot be spread over micro-batches. `divides_weights`: a weight of zero makes it divide by zero.
    """

    lipschitz: ClassVar[bool] = False
    counts_passes: ClassVar[bool] = False
    divides_weights: ClassVar[bool] = False

    def prepare(self, net: nn.Module) -> None:
        """Change the network when it is built."""

    def enforce(self, net: nn.Module) -> None:
        """Change its weights after each of its steps."""


@record
class WeightClip(NoConstraint):
    """Every weight within +-bound. Arjovsky et al. 2017, algorithm 1."""

    bound: float = 0.01

    lipschitz = True

    def enforce(self, net: nn.Module) -> None:
        with torch.no_grad():
            for p in net.parameters():
                p.clamp_(-self.bound, self.bound)


@record
class SpectralNorm(NoConstraint):
    """Every matrix and kernel divided by its largest singular value, from one power iteration per forward pass.

    Miyato et al. 2018, algorithm 1. Kernels are read as matrices [outputs, the rest], as there.
    """

    lipschitz = True
    counts_passes = True
    divides_weights = True

    def prepare(self, net: nn.Module) -> None:
        for module in list(net.modules()):
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.Embedding)):
                spectral_norm(module)
