"""Deskewing: drawings that lean are stood upright."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .gradient_histograms import cached_chunks


def deskew(images: np.ndarray) -> np.ndarray:
    """Return grey images uint8 [N,H,W,1] sheared until the drawing is upright, and centred.

    The drawing is what differs from the border's median grey. The shear is the regression of columns on rows, weighted
    by that difference, at most 45 degrees; what becomes free is filled with that grey.
    Raises ValueError for colour images.
    """
    if images.shape[3] != 1:
        raise ValueError(f"deskew takes grey images, got {images.shape[3]} channels")
    return np.concatenate([_sheared(torch.from_numpy(chunk[..., 0])).numpy() for chunk in cached_chunks(images)])[
        ..., None
    ]


def _sheared(images: Tensor) -> Tensor:
    _, height, width = images.shape
    border = torch.cat([images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1]], dim=1)
    ground = border.median(dim=1).values.float()[:, None, None]
    ink = images.float() - ground
    weight = ink.abs()
    y, x = torch.arange(height).float()[:, None] - (height - 1) / 2, torch.arange(width).float() - (width - 1) / 2
    mass = weight.sum((1, 2)).clamp_min(1e-6)
    cy, cx = ((weight * axis).sum((1, 2)) / mass for axis in (y, x))
    dy, dx = y - cy[:, None, None], x - cx[:, None, None]
    slope = (weight * dx * dy).sum((1, 2)) / (weight * dy * dy).sum((1, 2)).clamp_min(1e-6)
    slope = slope.clamp(-1, 1)[:, None, None]
    grid = torch.stack(
        (
            (x + slope * y + cx[:, None, None]) / ((width - 1) / 2),
            (y + cy[:, None, None]).expand(-1, -1, width) / ((height - 1) / 2),
        ),
        dim=-1,
    )
    moved = F.grid_sample(ink[:, None], grid, align_corners=True)[:, 0]
    return (moved + ground).round().clamp(0, 255).byte()
