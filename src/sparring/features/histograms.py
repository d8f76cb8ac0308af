"""Histograms of what HOG does not see: textures and colours.

They are roots of shares: Euclidean distances between these are Hellinger's.
"""

from itertools import product

import numpy as np
import torch
from torch import Tensor

from .gradient_histograms import cached_chunks

BRIGHTER = 2  # of 255: by how much a neighbour is brighter, more than most noise
CIRCLE = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))  # neighbours: (down, right)
PATTERNS = 59  # the 58 uniform ones, and all others
LEVELS = 5  # of each of the three opponent colours
STRETCH = 1.6  # of the two differences of colours, which are small in photographs


def local_binary_patterns(images: np.ndarray, *, cells: int = 3) -> np.ndarray:
    """Return the roots of the shares of local binary patterns in cells x cells boxes, float32 [N, cells^2 * 59].

    images uint8 [N,H,W,C], H and W at least 3; colours count as their mean. A pattern says which of a pixel's 8
    neighbours are brighter, by at least BRIGHTER. Each with at most two changes around the circle has a bin, all others
    share one (uniform patterns; Ojala et al. 2002, here without interpolation, and not made equal under rotation).
    """
    height, width = images.shape[1] - 2, images.shape[2] - 2
    first_bin = PATTERNS * box_numbers(height, width, cells)
    bins, parts = torch.from_numpy(uniform_bins()), []
    for chunk in cached_chunks(images, copies=4):
        grey = torch.from_numpy(chunk).sum(3, dtype=torch.int32)  # whole numbers: no rounding decides
        enough = grey[:, 1:-1, 1:-1] + BRIGHTER * chunk.shape[3]
        code = torch.zeros(enough.shape, dtype=torch.int64)
        for bit, (down, right) in enumerate(CIRCLE):
            code += (grey[:, 1 + down :, 1 + right :][:, :height, :width] >= enough).long() << bit
        found = (first_bin + bins[code]).flatten(1)
        parts.append(counted(found, torch.ones(found.shape), PATTERNS * cells**2))
    counts = torch.cat(parts).view(len(images), -1, PATTERNS)
    return (counts / counts.sum(2, keepdim=True).clamp_min(1)).sqrt().flatten(1).numpy()


def uniform_bins() -> np.ndarray:
    """Return the bin int64 [256] of each pattern of 8 bits: 0 to 57 by value if it is uniform, else 58."""
    codes = np.arange(256)
    changes = sum(((codes >> bit) ^ (codes >> (bit + 1) % 8)) & 1 for bit in range(8))
    return np.where(changes <= 2, np.cumsum(changes <= 2) - 1, PATTERNS - 1)


def colour_histograms(images: np.ndarray) -> np.ndarray:
    """Return the roots of the shares of colours in a whole image and in its quarters, float32 [N, 5 * LEVELS^3].

    images uint8 [N,H,W,1 or 3]. A colour is (brightness, red - green, yellow - blue), each of LEVELS levels, and shared
    between the 8 nearest ones. Whole and quarters count alike (a pyramid, as in Lazebnik et al. 2006, ours in weights).
    """
    _, height, width, _ = images.shape
    size, first_bin = LEVELS**3, LEVELS**3 * box_numbers(height, width, 2).flatten()
    parts = []
    for chunk in cached_chunks(images, copies=8):
        place = opponent_colours(torch.from_numpy(chunk)).flatten(1, 2) * (LEVELS - 1)  # [n, H*W, 3]
        low = place.long().clamp_max(LEVELS - 2)
        share = place - low
        counts = torch.zeros(len(chunk), 4 * size)
        for corner in product((0, 1), repeat=3):
            up = torch.tensor(corner)
            weight = torch.where(up == 1, share, 1 - share).prod(2)
            code = (low + up) @ torch.tensor([LEVELS**2, LEVELS, 1])
            counts += counted(first_bin + code, weight, 4 * size)
        parts.append(counts)
    quarters = torch.cat(parts).view(len(images), 4, size)
    whole = quarters.sum(1, keepdim=True)
    shares = torch.cat([whole / (height * width), quarters / quarters.sum(2, keepdim=True) / 4], 1)
    return shares.sqrt().flatten(1).numpy()


def opponent_colours(images: Tensor) -> Tensor:
    """Return brightness, red - green and yellow - blue of uint8 [N,H,W,1 or 3], float32 [N,H,W,3] in [0,1].

    The differences are stretched about 0.5, what is beyond is clipped.
    """
    red, green, blue = (images.float() / 255).expand(*images.shape[:3], 3).unbind(3)
    differences = torch.stack([red - green, (red + green) / 2 - blue], 3) / 2
    brightness = (red + green + blue) / 3
    return torch.cat([brightness[..., None], (0.5 + STRETCH * differences).clamp(0, 1)], 3)


def box_numbers(height: int, width: int, count: int) -> Tensor:
    """Return the number int64 [H,W] of the box that a pixel lies in: count x count boxes, row by row."""
    rows, columns = (torch.arange(side) * count // side for side in (height, width))
    return rows[:, None] * count + columns


def counted(bins: Tensor, weight: Tensor, size: int) -> Tensor:
    """Return the sums float32 [N, size] of weights [N,P] by bin, int64 [N,P]."""
    return torch.zeros(len(bins), size).scatter_add_(1, bins, weight)
