"""Views: nodes that change an image at random without changing what it shows: rotation, bending, shift, brightness.

All geometry is one batched `grid_sample`. Where each pixel is read from is a matrix product of a few random numbers
per image with a fixed basis, so a view of 256 images of 28x28 takes about 3 ms. The numbers are keyed by the image's
index: an image's view does not depend on the rest of its batch.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

from ..records import record
from .nodes import Batch, Node, StepContext

# Random numbers of each image for its geometry, its light and its hole, beside those of its knots.
PLACE, LIGHT, HOLE = 8, 4, 3


@record
class View(Node[Tensor]):
    """A randomly changed copy of each image [N,C,H,W]; with all amounts 0 the image itself. Values stay in [-1,1].

    An amount is the largest change, drawn uniformly in both directions. `rotation`: degrees. `scale`, `shear`: relative
    (scale as a power of e). `shift`: share of the side. `bend`: standard deviation, in half sides, of the displacement
    of knots 1/5 of a side apart (coarse elastic deformation; Simard et al. 2003). `light`: brightness and contrast.
    `colour`: each colour's share. `hole`: the side, as a share, of a square set to grey; leave it 0 for black-and-white
    drawings, where grey is a mark. `flip` mirrors left and right, `flip_vertical` top and bottom, each with probability
    1/2; both are off by default, since a mirrored 2 is no 2. `quarter_turns`: by 0, 90, 180 or 270 degrees; what is not
    square is stretched to fit. Pixels beyond the edge repeat it.
    """

    of: Node[Tensor] = Batch()
    rotation: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    bend: float = 0.0
    light: float = 0.0
    colour: float = 0.0
    hole: float = 0.0
    flip: bool = False
    flip_vertical: bool = False
    quarter_turns: bool = False

    @property
    def moves(self) -> bool:
        """Whether pixels change their places."""
        amounts = (self.rotation, self.scale, self.shear, self.shift, self.bend)
        return any(amounts) or self.flip or self.flip_vertical or self.quarter_turns

    def __call__(self, context: StepContext) -> Tensor:
        x = context[self.of]
        return viewed(x, context.uniform(self, len(x), view_numbers(*x.shape[2:])), self)


@record
class Weak(View):
    """Small changes: for a teacher's predictions."""

    rotation: float = 4.0
    scale: float = 0.04
    shear: float = 0.04
    shift: float = 0.02
    bend: float = 0.015


@record
class Strong(View):
    """Changes as large as between handwritings: for what a student learns from."""

    rotation: float = 12.0
    scale: float = 0.12
    shear: float = 0.12
    shift: float = 0.07
    bend: float = 0.05


def view_numbers(height: int, width: int) -> int:
    """Return how many random numbers a view of one image takes."""
    return PLACE + LIGHT + HOLE + 2 * knots(height, width) ** 2


def viewed(x: Tensor, u: Tensor, view: View) -> Tensor:
    """Return the `view` of images [N,C,H,W] in [-1,1], by numbers u [N, view_numbers(H, W)] in [0,1)."""
    u = u.to(x.dtype)
    place, light, hole, bend = u.split([PLACE, LIGHT, HOLE, u.shape[1] - PLACE - LIGHT - HOLE], 1)
    if view.moves:
        x = grid_sample(x, read_from(place, bend, view, *x.shape[2:]), padding_mode="border", align_corners=False)
    if view.light or view.colour:
        x = relit(x, 2 * light - 1, view)
    if view.hole:
        x = x.masked_fill(square_mask(hole, view.hole, *x.shape[2:]), 0.0)
    return x


def read_from(place: Tensor, bend: Tensor, view: View, height: int, width: int) -> Tensor:
    """Return where each pixel is read from, [N,H,W,2] as (x, y) in [-1,1]."""
    p = 2 * place - 1
    angle = p[:, 0] * math.radians(view.rotation)
    wide, high = (p[:, 1] * view.scale).exp(), (p[:, 2] * view.scale).exp()
    if view.flip:
        wide = torch.where(place[:, 6] < 0.5, -wide, wide)
    if view.flip_vertical:
        high = torch.where(place[:, 7] * 8 % 2 < 1, -high, high)
    cos, sin, lean, ratio = angle.cos(), angle.sin(), p[:, 3] * view.shear, height / width
    x = torch.stack([cos * wide, (lean - sin) * high * ratio, p[:, 4] * 2 * view.shift], 1)
    y = torch.stack([sin * wide / ratio, cos * high, p[:, 5] * 2 * view.shift], 1)
    bends = (2 * bend - 1) * (view.bend * math.sqrt(3))  # uniform, of standard deviation view.bend
    numbers = torch.cat([bends.view(len(p), 2, -1), torch.stack([x, y], 1)], 2)
    if view.quarter_turns:
        numbers = turned(numbers, (place[:, 7] * 4).long())
    grid = numbers.flatten(0, 1) @ basis(height, width, p.device, p.dtype)
    return grid.view(-1, 2, height, width).permute(0, 2, 3, 1).contiguous()


def turned(numbers: Tensor, quarters: Tensor) -> Tensor:
    """Return where pixels are read from, [N,2,M] as (x, y) about the centre, after so many quarter turns [N]."""
    x, y = numbers.unbind(1)
    turns = torch.stack([torch.stack([x, y], 1), torch.stack([-y, x], 1), -numbers, torch.stack([y, -x], 1)], 1)
    return turns[torch.arange(len(quarters), device=quarters.device), quarters]


def knots(height: int, width: int) -> int:
    """Return the knots along each side: 6, or fewer on tiny images, so that neighbouring pixels stay neighbours."""
    return min(6, max(2, min(height, width) // 3))


@lru_cache(maxsize=16)
def basis(height: int, width: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the displacement per unit of each number, [knots^2 + 3, H*W]: a bicubic bump per knot, then x, y and 1."""
    k = knots(height, width)
    bumps = interpolate(torch.eye(k * k).view(-1, 1, k, k), (height, width), mode="bicubic", align_corners=True)
    y = (2 * torch.arange(height) + 1) / height - 1
    x = (2 * torch.arange(width) + 1) / width - 1
    y, x = torch.meshgrid(y, x, indexing="ij")
    rows = [bumps.flatten(1), torch.stack([x.flatten(), y.flatten(), torch.ones(height * width)])]
    return torch.cat(rows).to(device, dtype)


def relit(x: Tensor, u: Tensor, view: View) -> Tensor:
    """Return images with other contrast about their own mean, brightness, and shares of colours; u [N,4] in [-1,1)."""
    u = u[:, :, None, None]
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * (u[:, :1] * view.light).exp() + mean + u[:, 1:2] * view.light / 2
    if view.colour and x.shape[1] == 3:
        grey = x.mean(1, keepdim=True)
        x = grey + (x - grey) * (u[:, 2:3] * view.colour).exp() + tint(u[:, 3]) * view.colour / 4
    return x.clamp(-1, 1)


def tint(u: Tensor) -> Tensor:
    """Return a direction of colour of mean 0, [N,3,1,1], for each number in [-1,1), [N,1,1]."""
    thirds = torch.arange(3, device=u.device, dtype=u.dtype) * (2 * math.pi / 3)
    return (math.pi * u[:, None] + thirds[None, :, None, None]).cos()


def square_mask(u: Tensor, share: float, height: int, width: int) -> Tensor:
    """Return bool [N,1,H,W], true in a square of up to `share` of the shorter side, and at least half that; u [N,3]."""
    half = share * min(height, width) * (0.5 + u[:, 2] / 2) / 2
    y, x = (torch.arange(side, device=u.device) + 0.5 for side in (height, width))
    inside_y = (y - u[:, :1] * height).abs() < half[:, None]
    inside_x = (x - u[:, 1:2] * width).abs() < half[:, None]
    return (inside_y[:, :, None] & inside_x[:, None, :])[:, None]
