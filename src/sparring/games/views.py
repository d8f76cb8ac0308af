"""Views: cells that show the same image as it might as well have been seen: turned, bent, moved, in another light.

All that is geometry is one batched `grid_sample`: where each pixel is read from is a matrix product of a few drawn
numbers per image with a fixed basis, so a view of 256 images of 28x28 costs about 3 ms. The numbers are keyed by the
image's index: an image's view does not depend on the rest of its batch.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

from ..records import record
from .nodes import Batch, Node

PLACE, LIGHT, HOLE = 8, 4, 3  # how many numbers a view draws for each image, beside those of its knots


@record
class View(Node):
    """Each image seen anew; with all amounts 0, exactly as it is. Values stay in [-1,1].

    Amounts are the largest change, drawn uniformly up to it and in both directions: `rotation` in degrees, `scale` and
    `shear` relative (scale as a power of e), `shift` as a share of the side, `bend` the displacement of knots 1/5 of a
    side apart (coarse elastic deformation; Simard et al. 2003), a standard deviation in half sides. `light` changes
    brightness and contrast, `colour` each colour's share. `hole` is the side, as a share, of a square set to grey (for
    black-and-white drawings grey is a mark: leave it 0). `flip` mirrors left and right with probability 1/2, and is
    never on unless asked for: a mirrored 2 is no 2. Pixels beyond the edge repeat it.
    """

    of: Node = Batch()
    rotation: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    bend: float = 0.0
    light: float = 0.0
    colour: float = 0.0
    hole: float = 0.0
    flip: bool = False

    def __call__(self, context) -> Tensor:
        x = context[self.of]
        return seen(x, context.uniform(self, len(x), count(*x.shape[2:])), self)


@record
class Weak(View):
    """Hardly moved: what a teacher is asked about."""

    rotation: float = 4.0
    scale: float = 0.04
    shear: float = 0.04
    shift: float = 0.02
    bend: float = 0.015


@record
class Strong(View):
    """Turned, scaled, sheared, moved and bent as handwriting differs: what a student learns from."""

    rotation: float = 12.0
    scale: float = 0.12
    shear: float = 0.12
    shift: float = 0.07
    bend: float = 0.05


def count(height: int, width: int) -> int:
    """How many numbers a view of one image draws."""
    return PLACE + LIGHT + HOLE + 2 * knots(height, width) ** 2


def seen(x: Tensor, u: Tensor, view: View) -> Tensor:
    """`view` of images [N,C,H,W] in [-1,1], by numbers u [N, count(H, W)] in [0,1)."""
    u = u.to(x.dtype)
    place, light, hole, bend = u.split([PLACE, LIGHT, HOLE, u.shape[1] - PLACE - LIGHT - HOLE], 1)
    if view.rotation or view.scale or view.shear or view.shift or view.bend or view.flip:
        x = grid_sample(x, where(place, bend, view, *x.shape[2:]), padding_mode="border", align_corners=False)
    if view.light or view.colour:
        x = lit(x, 2 * light - 1, view)
    if view.hole:
        x = x.masked_fill(square(hole, view.hole, *x.shape[2:]), 0.0)
    return x


def where(place: Tensor, bend: Tensor, view: View, height: int, width: int) -> Tensor:
    """Where each pixel is read from, [N,H,W,2] as (x, y) in [-1,1]."""
    p = 2 * place - 1
    angle = p[:, 0] * math.radians(view.rotation)
    wide, high = (p[:, 1] * view.scale).exp(), (p[:, 2] * view.scale).exp()
    if view.flip:
        wide = torch.where(place[:, 6] < 0.5, -wide, wide)
    cos, sin, lean, ratio = angle.cos(), angle.sin(), p[:, 3] * view.shear, height / width
    x = torch.stack([cos * wide, (lean - sin) * high * ratio, p[:, 4] * 2 * view.shift], 1)
    y = torch.stack([sin * wide / ratio, cos * high, p[:, 5] * 2 * view.shift], 1)
    moves = (2 * bend - 1) * (view.bend * math.sqrt(3))  # uniform, of standard deviation view.bend
    numbers = torch.cat([moves.view(len(p), 2, -1), torch.stack([x, y], 1)], 2)
    grid = numbers.flatten(0, 1) @ basis(height, width).to(p)
    return grid.view(-1, 2, height, width).permute(0, 2, 3, 1).contiguous()


def knots(height: int, width: int) -> int:
    """Knots along each side: 6, fewer on tiny images, whose pixels should not part."""
    return min(6, max(2, min(height, width) // 3))


@lru_cache(maxsize=16)
def basis(height: int, width: int) -> Tensor:
    """What one unit of each number moves: a smooth bump per knot (bicubic), then x, y and 1. [knots^2 + 3, H*W]."""
    k = knots(height, width)
    bumps = interpolate(torch.eye(k * k).view(-1, 1, k, k), (height, width), mode="bicubic", align_corners=True)
    y = (2 * torch.arange(height) + 1) / height - 1
    x = (2 * torch.arange(width) + 1) / width - 1
    y, x = torch.meshgrid(y, x, indexing="ij")
    return torch.cat([bumps.flatten(1), torch.stack([x.flatten(), y.flatten(), torch.ones(height * width)])])


def lit(x: Tensor, u: Tensor, view: View) -> Tensor:
    """Contrast about the image's own mean, brightness, and the share of each colour; u [N,4] in [-1,1)."""
    u = u[:, :, None, None]
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * (u[:, :1] * view.light).exp() + mean + u[:, 1:2] * view.light / 2
    if view.colour and x.shape[1] == 3:
        grey = x.mean(1, keepdim=True)
        x = grey + (x - grey) * (u[:, 2:3] * view.colour).exp() + tint(u[:, 3]) * view.colour / 4
    return x.clamp(-1, 1)


def tint(u: Tensor) -> Tensor:
    """A direction of colour of mean 0 for each number in [-1,1): [N,1,1] -> [N,3,1,1]."""
    turns = torch.arange(3, device=u.device, dtype=u.dtype) * (2 * math.pi / 3)
    return (math.pi * u[:, None] + turns[None, :, None, None]).cos()


def square(u: Tensor, share: float, height: int, width: int) -> Tensor:
    """bool [N,1,H,W], true in a square of up to `share` of the shorter side, and at least half that; u [N,3]."""
    half = share * min(height, width) * (0.5 + u[:, 2] / 2) / 2
    y, x = (torch.arange(side, device=u.device) + 0.5 for side in (height, width))
    inside_y = (y - u[:, :1] * height).abs() < half[:, None]
    inside_x = (x - u[:, 1:2] * width).abs() < half[:, None]
    return (inside_y[:, :, None] & inside_x[:, None, :])[:, None]
