"""Histograms of oriented gradients, and the weighted cells that handcrafted features share."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SOFTEN = 0.05  # gradients far below this (of 1 = black to white) count as noise in a cell's norm
CACHED_PIXELS = 1 << 17  # worked on at a time: what fits in a processor's cache


def hog(images: np.ndarray, *, cell: int, stride: int | None = None, orientations: int = 8) -> np.ndarray:
    """Return dense histograms of oriented gradients (Dalal & Triggs 2005), signed, with soft bins in angle and place.

    images uint8 [N,H,W,C] -> float32 [N, orientations * rows * columns]. Cells of `cell` pixels (triangular weights)
    lie every `stride` pixels (a ninth of the shorter side when left out). Each is divided by its own length, softened
    by SOFTEN. Of several colour channels each pixel takes the one with the strongest gradient. scikit-image's hog takes
    one image at a time, and its orientations are unsigned, without soft bins.
    """
    _, height, width, _ = images.shape
    stride = stride or max(1, round(min(height, width) / 9))
    rows, columns = triangle_windows(height, cell, stride), triangle_windows(width, cell, stride)
    out = np.empty((len(images), orientations * len(rows) * len(columns)), np.float32)
    done = 0
    for chunk in cached_chunks(images, copies=orientations):
        maps = orientation_maps(torch.from_numpy(chunk), orientations)
        cells = rows @ maps @ columns.T  # [n, orientations, rows, columns]
        cells /= (cells.square().sum(1, keepdim=True) + SOFTEN**2).sqrt()
        out[done : done + len(chunk)] = cells.flatten(1).numpy()
        done += len(chunk)
    return out


def orientation_maps(images: Tensor, orientations: int) -> Tensor:
    """Return gradient strength float32 [N,orientations,H,W], shared between the two nearest orientations."""
    gx, gy = gradients(images)
    strength = torch.hypot(gx, gy)
    angle = torch.atan2(gy, gx) * (orientations / (2 * torch.pi)) % orientations  # in bins
    centre = torch.arange(orientations, dtype=torch.float32)[:, None, None]
    gap = (angle[:, None] - centre).abs_()
    gap = torch.minimum(gap, orientations - gap)
    return gap.neg_().add_(1).clamp_min_(0).mul_(strength[:, None])


def gradients(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return central differences float32 [N,H,W] in x and y, black to white = 1, of the strongest channel."""
    x = F.pad(images.permute(0, 3, 1, 2).float() / 255, (1, 1, 1, 1), mode="replicate")
    gx = (x[:, :, 1:-1, 2:] - x[:, :, 1:-1, :-2]) / 2
    gy = (x[:, :, 2:, 1:-1] - x[:, :, :-2, 1:-1]) / 2
    if images.shape[3] == 1:
        return gx[:, 0], gy[:, 0]
    channel = (gx.square() + gy.square()).argmax(1, keepdim=True)
    return gx.gather(1, channel)[:, 0], gy.gather(1, channel)[:, 0]


def triangle_windows(side: int, cell: int, stride: int) -> Tensor:
    """Return the weights float32 [cells, side] of pixels in each cell along a side: triangles, centred as a whole."""
    cell = min(cell, side)
    starts = torch.arange(0, side - cell + 1, stride)
    centres = starts + (side - cell - int(starts[-1])) / 2 + (cell - 1) / 2
    weights = (1 - (torch.arange(side) - centres[:, None]).abs() / ((cell + 1) / 2)).clamp_min(0)
    return weights / weights.sum(1, keepdim=True)


def box_windows(side: int, count: int) -> Tensor:
    """Return the weights [count, side] of `count` equal boxes that tile one side; a box may take part of a pixel."""
    edges = torch.linspace(0, side, count + 1)
    left, right = torch.arange(side).float(), torch.arange(1, side + 1).float()
    overlap = (torch.minimum(right, edges[1:, None]) - torch.maximum(left, edges[:-1, None])).clamp_min(0)
    return overlap / overlap.sum(1, keepdim=True)


def cached_chunks(images: np.ndarray, copies: int = 1) -> Iterator[np.ndarray]:
    """Yield views of so many images that `copies` floats for each pixel fit in a processor's cache."""
    step = max(1, CACHED_PIXELS // (images.shape[1] * images.shape[2] * copies) * 8)
    return (images[start : start + step] for start in range(0, len(images), step))
