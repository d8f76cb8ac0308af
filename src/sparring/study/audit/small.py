"""Small pictures of images, for a page."""

import numpy as np

from ...images import fit_pixels

LARGEST = 160  # pixels of the longer side


def small(image: np.ndarray) -> np.ndarray:
    """Return uint8 [H,W,C] with a longer side of at most LARGEST."""
    height, width = image.shape[:2]
    scale = LARGEST / max(height, width)
    return image if scale >= 1 else fit_pixels(image, (max(1, round(scale * height)), max(1, round(scale * width))))
