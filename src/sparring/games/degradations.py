"""Degradations: cells that take something from an image, for a translator to give back. Keyed by image index."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..records import record
from .nodes import Batch, Node


@record
class Degradation(Node):
    """Takes something from images [N,C,H,W], by `numbers` drawn for each image."""

    of: Node = Batch()

    numbers = 0

    def __call__(self, context) -> Tensor:
        x = context[self.of]
        return self.degraded(x, context.uniform(self, len(x), self.numbers) if self.numbers else x.new_zeros(len(x), 0))

    def degraded(self, x: Tensor, u: Tensor) -> Tensor:
        """u: [N, numbers] in [0,1)."""
        raise NotImplementedError


@record
class Hole(Degradation):
    """A random rectangle is missing: [N,C+1,H,W], the image with 0 (grey) there, and a mask that is 1 there, else 0.

    Each side is drawn between `least` and `most` of the image's, the place uniformly.
    """

    least: float = 0.25
    most: float = 0.5

    numbers = 4

    def degraded(self, x: Tensor, u: Tensor) -> Tensor:
        return holed(x, rectangle(u, self.least, self.most, *x.shape[2:]))


@record
class Shrunk(Degradation):
    """Shrunk `factor` times by averaging and blown up again bicubically, [N,C,H,W]: the source of super-resolution.

    Sides that `factor` does not divide are shrunk to the next smaller whole number: 30 pixels by 4.3 to 7.
    """

    factor: int = 2

    def degraded(self, x: Tensor, u: Tensor) -> Tensor:
        return blown_up(shrunk(x, self.factor), *x.shape[2:])


@record
class Grey(Degradation):
    """Without colour: luma (ITU-R BT.601) in every channel, [N,C,H,W]."""

    def degraded(self, x: Tensor, u: Tensor) -> Tensor:
        return greyed(x)


def holed(x: Tensor, missing: Tensor) -> Tensor:
    """Images [N,C,H,W] and a mask bool [N,1,H,W] -> [N,C+1,H,W]."""
    return torch.cat([x.masked_fill(missing, 0.0), missing.to(x.dtype)], 1)


def rectangle(u: Tensor, least: float, most: float, height: int, width: int) -> Tensor:
    """bool [N,1,H,W], true in one rectangle per image; u [N,4] in [0,1) says how large and where."""
    inside = []
    for side, size, place in ((height, u[:, 0], u[:, 2]), (width, u[:, 1], u[:, 3])):
        long = ((least + (most - least) * size) * side).round().clamp(1, side)
        first = (place * (side - long + 1)).floor()
        at = torch.arange(side, device=u.device)
        inside.append((at >= first[:, None]) & (at < (first + long)[:, None]))
    return (inside[0][:, :, None] & inside[1][:, None, :])[:, None]


def shrunk(x: Tensor, factor: int) -> Tensor:
    """[N,C,H,W] -> [N,C,H // factor,W // factor], each pixel the mean of those that it stands for."""
    return interpolate(x, (x.shape[2] // factor, x.shape[3] // factor), mode="area")


def blown_up(x: Tensor, height: int, width: int) -> Tensor:
    """Bicubic, kept in [-1,1]."""
    return interpolate(x, (height, width), mode="bicubic", align_corners=False).clamp(-1, 1)


def greyed(x: Tensor) -> Tensor:
    if x.shape[1] == 1:
        return x
    luma = torch.tensor([0.299, 0.587, 0.114], dtype=x.dtype, device=x.device)[:, None, None]
    return (x * luma).sum(1, keepdim=True).expand_as(x)
