"""What an image would be without some of its pixels: what is hidden continues what is around it."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

VALUES_AT_ONCE = 1 << 24  # of images that are changed and looked at together
FLOATS_AT_ONCE = 1 << 22


def without(image: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Return uint8 [M,H,W,C]: the image [H,W,C] with each set of pixels hidden, bool [M,H,W].

    Hidden pixels become a smooth continuation of the others, so that no edge and no colour of theirs is left (pull and
    push: Gortler et al. 1996, doi:10.1145/237170.237200, section 3.3). Where all are hidden they are the mean colour.
    """
    x = torch.tensor(image).permute(2, 0, 1).float()
    step, out = max(1, FLOATS_AT_ONCE // image.size), np.empty((len(hidden), *image.shape), np.uint8)
    for start in range(0, len(hidden), step):
        part = torch.from_numpy(hidden[start : start + step])
        known = (~part[:, None]).float()
        filled = _pulled_and_pushed(x.expand(len(part), *x.shape) * known, known, x.mean((1, 2))[:, None, None])
        kept = torch.where(part[:, None], filled, x)
        out[start : start + step] = kept.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    return out


def _pulled_and_pushed(values: Tensor, weight: Tensor, otherwise: Tensor) -> Tensor:
    """Return [M,C,H,W]: values [M,C,H,W] times weight [M,1,H,W], filled from coarser levels where that is below 1.

    otherwise: the value where nothing is known at all.
    """
    known = values / weight.clamp_min(1e-6)
    height, width = values.shape[2:]
    if height == width == 1:
        return weight * known + (1 - weight) * otherwise
    # pull: the mean of 2 x 2 pixels; one that is known is enough for the coarser pixel to be
    mean = F.avg_pool2d(weight, 2, ceil_mode=True, count_include_pad=False)
    coarse_weight = (4 * mean).clamp_max(1)
    coarse = F.avg_pool2d(values, 2, ceil_mode=True, count_include_pad=False) / mean.clamp_min(1e-6) * coarse_weight
    # push: what is not known here is what the coarser level says
    below = _pulled_and_pushed(coarse, coarse_weight, otherwise)
    return weight * known + (1 - weight) * F.interpolate(below, (height, width), mode="bilinear", align_corners=False)


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    """Return uint8 [H,W,C] after a Gaussian blur of so many pixels, the edge repeated."""
    return smoothed(image.astype(np.float32).transpose(2, 0, 1), sigma).transpose(1, 2, 0).round().astype(np.uint8)


def smoothed(maps: np.ndarray, sigma: float) -> np.ndarray:
    """Return float32 [...,H,W] after a Gaussian blur of so many pixels, the edge repeated; nothing changes for 0."""
    from scipy.ndimage import gaussian_filter

    steps = [0.0] * (maps.ndim - 2) + [sigma, sigma]
    return gaussian_filter(maps.astype(np.float32), steps, mode="nearest") if sigma > 0 else maps.astype(np.float32)
