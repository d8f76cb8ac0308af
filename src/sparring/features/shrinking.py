"""The size at which networks from scratch and handcrafted features see images: at most 64 pixels of the longer side."""

import numpy as np

from ..images import chunk_slices
from .preprocessing import antialiased

LARGEST_SEEN, SMALLEST_SEEN = 64, 8  # pixels
AT_ONCE = 1 << 24  # values that are shrunk at a time
RESIZE = (
    f"images with a side over {LARGEST_SEEN} pixels are shrunk to {LARGEST_SEEN} (bilinear, antialiased, the aspect "
    f"ratio kept, no side under {SMALLEST_SEEN}), others are looked at in their own size"
)


def seen_size(height: int, width: int) -> tuple[int, int]:
    """Return (height, width) after RESIZE."""
    scale = min(1.0, LARGEST_SEEN / max(height, width))
    return tuple(min(side, max(SMALLEST_SEEN, round(side * scale))) for side in (height, width))  # type: ignore


def shrunk(images: np.ndarray, index: np.ndarray | None = None) -> np.ndarray:
    """Return uint8 [N,h,w,C] after RESIZE of uint8 [N,H,W,C]; the same array where there is nothing to shrink.

    `index`: int64 of those that are wanted; of large images no copies are made. About 3,000 images of 224 x 300 a
    second and core, as many as are hashed in that time. So what is cached by content is keyed by the shrunk images, and
    who needs them twice keeps them.
    """
    size = seen_size(*images.shape[1:3])
    if size == images.shape[1:3]:
        return images if index is None else images[index]
    small = np.empty((len(images) if index is None else len(index), *size, images.shape[3]), np.uint8)
    for chunk in chunk_slices(images, len(small), most=AT_ONCE):
        large = images[chunk if index is None else index[chunk]]
        small[chunk] = antialiased(large, size, "bilinear").permute(0, 2, 3, 1).numpy()
    return small
