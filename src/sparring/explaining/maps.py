"""Heat maps: which pixels an answer depends on. Pure functions of a score and an image.

`score` is a function of uint8 images [N,H,W,C] -> float64 [N], such as the log-odds of a class.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .hiding import VALUES_AT_ONCE, without

Score = Callable[[np.ndarray], np.ndarray]
Differentiable = Callable[[Tensor], Tensor]  # [N,C,H,W] -> [N]

WINDOWS = (6, 3)  # of a square image as large, how many of the windows that are hidden lie side by side
STEPS = 32  # of the path from the baseline to the image


class Square(NamedTuple):
    """A square of pixels."""

    top: int
    left: int
    side: int

    @property
    def place(self) -> tuple[slice, slice]:
        return slice(self.top, self.top + self.side), slice(self.left, self.left + self.side)


def windows(height: int, width: int) -> list[Square]:
    """Return the windows that `occlusion` hides: squares of two sizes, each half over the next."""
    found = []
    for parts in WINDOWS:
        side = min(height, width, max(1, math.ceil(math.sqrt(height * width) / parts)))
        tops, lefts = ({*range(0, length - side, max(1, side // 2)), length - side} for length in (height, width))
        found += [Square(top, left, side) for top in sorted(tops) for left in sorted(lefts)]
    return found


def hidden_by(squares: Sequence[Square], height: int, width: int) -> np.ndarray:
    """Return bool [M,H,W]: the pixels of each window."""
    hidden = np.zeros((len(squares), height, width), bool)
    for mask, window in zip(hidden, squares, strict=True):
        mask[window.place] = True
    return hidden


def spread_over(squares: Sequence[Square], falls: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return float32 [H,W]: the weighted mean of `falls` [M] over the windows that a pixel lies in.

    A window weighs most in its middle (a pyramid). With equal weights the hottest pixel lay beside a planted mark in
    half of the images, with these on it in all (benchmarks/results/explain.md).
    """
    total, weights = np.zeros((height, width)), np.zeros((height, width))
    for window, fall in zip(squares, falls, strict=True):
        up = np.minimum(np.arange(1, window.side + 1), np.arange(window.side, 0, -1)) / window.side**2
        total[window.place] += fall * up[:, None] * up
        weights[window.place] += up[:, None] * up
    return (total / weights).astype(np.float32)


def occlusion(score: Score, image: np.ndarray) -> np.ndarray:
    """Return float32 [H,W]: by how much the score falls when a window over the pixel is hidden.

    image uint8 [H,W,C]. Zeiler & Fergus 2014, doi:10.1007/978-3-319-10590-1_53, section 4.2; a hidden window continues
    what is around it (`hiding.without`) where theirs is grey.
    """
    height, width = image.shape[:2]
    squares = windows(height, width)
    falls = score(image[None])[0] - scores_without(score, image, hidden_by(squares, height, width))
    return spread_over(squares, falls, height, width)


def scores_without(score: Score, image: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Return float64 [M]: the score of the image [H,W,C] without each set of pixels, bool [M,H,W]."""
    step = max(1, VALUES_AT_ONCE // image.size)
    return np.concatenate([score(without(image, hidden[i : i + step])) for i in range(0, len(hidden), step)])


def integrated_gradients(score: Differentiable, x: Tensor, baseline: Tensor, *, steps: int = STEPS) -> Tensor:
    """Return [C,H,W]: what each number of x [C,H,W] adds to the score on the straight way from the baseline [C,H,W].

    The sum is score(x) - score(baseline), up to the error of `steps` midpoints (completeness: Sundararajan et al. 2017,
    arXiv:1703.01365, eq. 1 and proposition 1).
    """
    total = torch.zeros_like(x)
    for part in ((torch.arange(steps, device=x.device) + 0.5) / steps).split(16):
        points = (baseline + part[:, None, None, None] * (x - baseline)).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(score(points).sum(), points)
        total += gradient.sum(0)
    return total / steps * (x - baseline)


def grad_cam(activations: Tensor, gradient: Tensor, size: tuple[int, int]) -> Tensor:
    """Return [H,W] of a size: the channels [C,h,w], each weighted by the mean of its gradient, their sum above zero.

    Selvaraju et al. 2017, arXiv:1610.02391, eq. 1 and 2; enlarged bilinearly.
    """
    weights = gradient.mean((1, 2))
    heat = torch.tensordot(weights, activations, 1).clamp_min(0)
    return F.interpolate(heat[None, None], size, mode="bilinear", align_corners=False)[0, 0]
