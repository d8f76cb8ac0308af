"""Degradations: nodes that take something from an image, for a translator to give back. Keyed by image index."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..errors import UsageError
from ..images import LUMA
from ..records import record
from .nodes import Batch, Node, StepContext


@record
class Degradation(Node[Tensor]):
    """Takes something from images [N,C,H,W]. A new one is a class with `degraded`, and `apply` where it is not enough.

    `numbers`: random numbers for each image. `needs_colour`: it makes no sense for grey images.
    """

    of: Node[Tensor] = Batch()

    numbers: ClassVar[int] = 0
    needs_colour: ClassVar[bool] = False

    def __call__(self, context: StepContext) -> Tensor:
        x = context[self.of]
        return self.degraded(x, context.uniform(self, len(x), self.numbers) if self.numbers else x.new_zeros(len(x), 0))

    def degraded(self, x: Tensor, u: Tensor) -> Tensor:
        """Return intact images [N,C,H,W] degraded as in training, by numbers u [N, numbers] in [0,1)."""
        raise NotImplementedError

    def apply(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return what a translator is fed for a user's images [N,C,H,W], from which something is missing already.

        `mask`: bool [H,W], true where a translator that fills holes is to fill. Raises UsageError where one is needed
        and there is none, or one of another size.
        """
        return x

    def baseline(self, degraded: Tensor) -> Tensor:
        """Return the best restoration [N,C,H,W] of degraded images without a network."""
        return degraded


@record
class Hole(Degradation):
    """A random rectangle is missing: [N,C+1,H,W], the image with 0 (grey) there, and a mask that is 1 there, else 0.

    Each side is drawn between `least` and `most` of the image's, the place uniformly.
    """

    least: float = 0.25
    most: float = 0.5

    numbers = 4

    def degraded(self, x: Tensor, u: Tensor) -> Tensor:
        return with_holes(x, rectangle(u, self.least, self.most, *x.shape[2:]))

    def apply(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None or mask.shape != x.shape[2:]:
            what = "no mask" if mask is None else f"a mask of {mask.shape[1]}x{mask.shape[0]} pixels"
            size = f"{x.shape[3]}x{x.shape[2]}"
            raise UsageError("mask", f"an image of {size} pixels came with {what}", fix="pass a mask of its size")
        return with_holes(x, mask.expand(len(x), 1, *mask.shape))

    def baseline(self, degraded: Tensor) -> Tensor:
        return mean_filled(degraded[:, :-1], degraded[:, -1:])


@record
class Shrunk(Degradation):
    """Averaged to 1/`factor` of the size and enlarged again bicubically, [N,C,H,W]: the source of super-resolution.

    Sides that `factor` does not divide are shrunk to the next smaller whole number: 30 pixels by 4.3 to 7.
    """

    factor: int = 2

    def degraded(self, x: Tensor, u: Tensor) -> Tensor:
        return enlarged(averaged_down(x, self.factor), *x.shape[2:])

    def apply(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return enlarged(x, self.factor * x.shape[2], self.factor * x.shape[3])


@record
class Grey(Degradation):
    """Without colour: luma (ITU-R BT.601) in every channel, [N,C,H,W]."""

    needs_colour = True

    def degraded(self, x: Tensor, u: Tensor) -> Tensor:
        return without_colour(x)

    def apply(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return without_colour(x)


def with_holes(x: Tensor, missing: Tensor) -> Tensor:
    """Return [N,C+1,H,W] from images [N,C,H,W] and a mask bool [N,1,H,W]."""
    return torch.cat([x.masked_fill(missing, 0.0), missing.to(x.dtype)], 1)


def rectangle(u: Tensor, least: float, most: float, height: int, width: int) -> Tensor:
    """Return bool [N,1,H,W], true in one rectangle per image; u [N,4] in [0,1) says how large and where."""
    inside = []
    for side, size, place in ((height, u[:, 0], u[:, 2]), (width, u[:, 1], u[:, 3])):
        long = ((least + (most - least) * size) * side).round().clamp(1, side)
        first = (place * (side - long + 1)).floor()
        at = torch.arange(side, device=u.device)
        inside.append((at >= first[:, None]) & (at < (first + long)[:, None]))
    return (inside[0][:, :, None] & inside[1][:, None, :])[:, None]


def averaged_down(x: Tensor, factor: int) -> Tensor:
    """Return [N,C,H // factor,W // factor], each pixel the mean of those in its place."""
    return interpolate(x, (x.shape[2] // factor, x.shape[3] // factor), mode="area")


def enlarged(x: Tensor, height: int, width: int) -> Tensor:
    """Return images [N,C,H,W] enlarged bicubically, clamped to [-1,1]."""
    return interpolate(x, (height, width), mode="bicubic", align_corners=False).clamp(-1, 1)


def without_colour(x: Tensor) -> Tensor:
    """Return luma in every channel, [N,C,H,W]; grey images as they are."""
    if x.shape[1] == 1:
        return x
    luma = torch.tensor(LUMA, dtype=x.dtype, device=x.device)[:, None, None]
    return (x * luma).sum(1, keepdim=True).expand_as(x)


def mean_filled(x: Tensor, missing: Tensor) -> Tensor:
    """Return images [N,C,H,W] whose holes (1 in `missing` [N,1,H,W], else 0) have the mean colour of the rest."""
    known = 1 - missing
    mean = (x * known).sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True).clamp(min=1)
    return torch.where(missing > 0, mean, x)
