"""Augmentation: random changes of every image that the discriminator is given, real or generated.

The changes are the same for both, so that G need not make them: Zhao et al. 2020 (arXiv:2006.10738) and Karras et al.
2020 (arXiv:2006.06676). They are ours and not a library's, because everything must be differentiable twice (for
penalties on the gradient of D) and computed from keyed numbers of each image. Mirrored and rotated images are given
only if asked for: G learns to make whatever D is given, and a mirrored 2 is no 2.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor

from ..nets.layers import DataSpec
from ..records import record
from .measures import Loss


@record(was="Memory", renamed={"reading": "gauge"})
class TrackedBuffer:
    """A buffer of a discriminator that follows the mean of a measure, `reading`, from step to step."""

    name: str
    reading: Loss

    def initial(self, data_spec: DataSpec) -> Tensor:
        """Return the buffer before the first step."""
        raise NotImplementedError

    def update(self, buffer: Tensor, mean: Tensor) -> None:
        """Change `buffer` in place; `mean`: of the measure over the batch."""
        raise NotImplementedError


@record(was="AsIs", renamed={"buffers": "memories"})
class NoAugment:
    """No augmentation. `numbers`: random numbers for each image. `needs_buffer`: it does nothing without a buffer."""

    buffers: tuple[TrackedBuffer, ...] = ()

    numbers: ClassVar[int] = 0
    needs_buffer: ClassVar[bool] = False

    def apply(self, x: Tensor, u: Tensor, p: Tensor | None = None) -> Tensor:
        """Return images [N,C,H,W] changed by numbers u [N, numbers] in [0,1), with probability p if it is given."""
        return x


@record
class DiffAugment(NoAugment):
    """Brightness and colour, a shift by up to an eighth of a side, half of both sides cut out. Zhao et al. 2020."""

    light: bool = True
    shift: float = 0.125
    cut: float = 0.5

    numbers = 7

    def apply(self, x: Tensor, u: Tensor, p: Tensor | None = None) -> Tensor:
        u = u.to(x.dtype)[:, :, None, None]
        if self.light:
            x = x + (u[:, 0:1] - 0.5)
            if x.shape[1] > 1:
                x = away_from(x, x.mean(1, keepdim=True), 2 * u[:, 1:2])
            x = away_from(x, x.mean((1, 2, 3), keepdim=True), 0.5 + u[:, 2:3])
        if self.shift:
            x = shifted_by_pixels(x, ((2 * u[:, 3:5, 0, 0] - 1) * self.shift))
        return x * ~cut_out(u[:, 5:7, 0, 0], self.cut, *x.shape[2:]) if self.cut else x


@record
class Onset(TrackedBuffer):
    """A probability that is 0 for `steps` steps and then rises to 1 in as many; below 0 it counts what is left."""

    name: str = "p"
    reading: Loss = Loss()
    steps: int = 1

    def initial(self, data_spec: DataSpec) -> Tensor:
        return -torch.ones(())

    def update(self, buffer: Tensor, mean: Tensor) -> None:
        buffer.add_(1 / self.steps).clamp_(max=1.0)


@record
class LateDiffAugment(DiffAugment):
    """DiffAugment that begins when `after` images were shown, and changes every image after twice as many. Ours.

    D cannot know by heart what it has seen a few times only, and in a short training, changes are one thing more that
    G's images must go through. `builders.augmented` adds the buffer that holds the probability.
    """

    after: int = 0
    buffers: tuple[TrackedBuffer, ...] = ()

    numbers = 8
    needs_buffer = True

    def apply(self, x: Tensor, u: Tensor, p: Tensor | None = None) -> Tensor:
        if p is None or (p.device.type == "cpu" and p <= 0):
            return x
        now = (u[:, 7] < p)[:, None, None, None]
        return torch.where(now, super().apply(x, u[:, :7]), x)


@record
class Probability(TrackedBuffer):
    """ADA's p: up by `step` while the measure is above `target`, else down. Karras et al. 2020, section 3.1."""

    name: str = "p"
    reading: Loss = Loss()
    target: float = 0.6
    step: float = 0.001
    most: float = 0.8

    def initial(self, data_spec: DataSpec) -> Tensor:
        return torch.zeros(())

    def update(self, buffer: Tensor, mean: Tensor) -> None:
        buffer.add_(self.step * (mean - self.target).sign()).clamp_(0, self.most)


@record
class ADA(NoAugment):
    """Each kind of change with probability p, adapted so that a measure of D's overfitting stays near a target.

    Kinds: shift, scale, rotation by up to `rotation` degrees, stretching; brightness, contrast, colour; a rectangle cut
    out. `flip`, `quarter_turns`: only where they change no class. p is at most 0.8: above that, augmentations appear in
    samples (Karras et al. 2020, section 2.2). `builders.augmented` adds the buffer that holds p, which goes from 0 to 1
    in 64,000 images at the fastest.
    """

    buffers: tuple[TrackedBuffer, ...] = ()
    rotation: float = 20.0
    flip: bool = False
    quarter_turns: bool = False

    numbers = 26
    needs_buffer = True

    def apply(self, x: Tensor, u: Tensor, p: Tensor | None = None) -> Tensor:
        u = u.to(x.dtype)
        happens = (u[:, :10] < (0.0 if p is None else p)).to(x.dtype)
        amount = u[:, 10:]
        x = read_at(x, self.affine(happens, amount, x.shape[2] / x.shape[3]))
        deviations = x.new_tensor([0.2, 0.5 * math.log(2), math.log(2)])
        light = happens[:, 6:9] * normal_from_uniform(amount[:, 8:11]) * deviations
        brightness, contrast, colour = light[:, :, None, None, None].unbind(1)
        x = away_from(x + brightness, 0.0, contrast.exp())
        if x.shape[1] > 1:
            x = away_from(x, x.mean(1, keepdim=True), colour.exp())
        return x * ~(cut_out(amount[:, 11:13], 0.5, *x.shape[2:]) & (happens[:, 9] > 0)[:, None, None, None])

    def affine(self, happens: Tensor, amount: Tensor, tall: float) -> Tensor:
        """Return where to read each image, affine [N,2,3] in units of half a side; `tall`: height / width."""
        n, doubled = len(amount), math.log(2) * 0.2
        scale = (happens[:, 0] * doubled * normal_from_uniform(amount[:, 0])).exp()
        ratio = (happens[:, 1] * doubled * normal_from_uniform(amount[:, 1])).exp()
        angle = happens[:, 2] * (2 * amount[:, 2] - 1) * math.radians(self.rotation)
        if self.quarter_turns:
            angle = angle + happens[:, 3] * (4 * amount[:, 3]).floor() * (math.pi / 2)
        mirror = 1 - 2 * happens[:, 4] * (amount[:, 4] < 0.5) if self.flip else torch.ones_like(angle)
        offset = happens[:, 5:6] * (2 * amount[:, 5:7] - 1) * 0.25
        cos, sin = angle.cos() * scale, angle.sin() * scale
        entries = [cos * ratio * mirror, -sin / ratio * tall, offset[:, 0]]
        entries += [sin * ratio * mirror / tall, cos / ratio, offset[:, 1]]
        return torch.stack(entries, 1).view(n, 2, 3)


def away_from(x: Tensor, centre: Tensor | float, factor: Tensor) -> Tensor:
    """Return x with its distance from `centre` multiplied by `factor`."""
    return (x - centre) * factor + centre


def normal_from_uniform(u: Tensor) -> Tensor:
    """Return standard normal numbers from uniform ones in [0,1)."""
    return torch.special.ndtri(u.clamp(1e-6, 1 - 1e-6))


def cut_out(u: Tensor, share: float, height: int, width: int) -> Tensor:
    """Return bool [N,1,H,W], true in a rectangle of `share` of both sides around a random point, cut at the edge."""
    inside = []
    for side, place in ((height, u[:, :1]), (width, u[:, 1:2])):
        at = torch.arange(side, device=u.device)
        first = (place * side).floor() - round(share * side) // 2
        inside.append((at >= first) & (at < first + round(share * side)))
    return (inside[0][:, :, None] & inside[1][:, None, :])[:, None]


def shifted_by_pixels(x: Tensor, by: Tensor) -> Tensor:
    """Return each image shifted by whole pixels, `by` [N,2] as shares of height and width; 0 comes in from outside."""
    n, _, height, width = x.shape
    dy, dx = (by[:, 0] * height).round().long(), (by[:, 1] * width).round().long()
    rows = (torch.arange(height, device=x.device)[None] - dy[:, None])[:, :, None].expand(n, height, width)
    columns = (torch.arange(width, device=x.device)[None] - dx[:, None])[:, None, :].expand(n, height, width)
    return pixels_at(x, rows, columns, edge=False)


def read_at(x: Tensor, affine: Tensor) -> Tensor:
    """Return images read where `affine` [N,2,3] says, between pixels linearly, beyond the edge mirrored."""
    # Not torch's grid_sample: it has no second derivative, which penalties on the gradient of D need.
    n, _, height, width = x.shape
    ys = (2 * torch.arange(height, device=x.device) + 1) / height - 1
    xs = (2 * torch.arange(width, device=x.device) + 1) / width - 1
    y, at = torch.meshgrid(ys, xs, indexing="ij")
    grid = affine @ torch.stack([at, y, torch.ones_like(y)]).flatten(1).to(affine.dtype)  # [N,2,H*W] as (x, y)
    across = ((grid[:, 0] + 1) * width / 2 - 0.5).view(n, height, width)
    down = ((grid[:, 1] + 1) * height / 2 - 0.5).view(n, height, width)
    left, top = across.floor(), down.floor()
    right_share, low_share = (across - left)[:, None], (down - top)[:, None]
    left, top = left.long(), top.long()
    upper = pixels_at(x, top, left).lerp(pixels_at(x, top, left + 1), right_share)
    lower = pixels_at(x, top + 1, left).lerp(pixels_at(x, top + 1, left + 1), right_share)
    return upper.lerp(lower, low_share)


def pixels_at(x: Tensor, rows: Tensor, columns: Tensor, edge: bool = True) -> Tensor:
    """Return x[n, :, rows[n], columns[n]], [N,C,H,W]; beyond the edge mirrored, or 0 if not `edge`."""
    n, _, height, width = x.shape
    image = torch.arange(n, device=x.device)[:, None, None]
    if edge:
        out = x.permute(0, 2, 3, 1)[image, mirrored_index(rows, height), mirrored_index(columns, width)]
        return out.permute(0, 3, 1, 2)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    out = x.permute(0, 2, 3, 1)[image, rows.clamp(0, height - 1), columns.clamp(0, width - 1)]
    return (out * inside[..., None]).permute(0, 3, 1, 2)


def mirrored_index(index: Tensor, side: int) -> Tensor:
    """Return pixel numbers folded back into 0 .. side - 1: ... 1 0 | 0 1 2 ... 2 | 2 1 ..."""
    index = index.remainder(2 * side)
    return torch.minimum(index, 2 * side - 1 - index)
