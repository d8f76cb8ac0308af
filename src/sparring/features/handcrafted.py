"""Features without learned weights, by name: uint8 [N,H,W,C] -> float32 [N,F].

None is fitted to data, so none can carry information from test images to training images. All see images of more than
64 pixels shrunk to that (shrinking.RESIZE).
"""

from collections.abc import Callable

import numpy as np
import torch

from ..errors import pick
from ..files import content_hash
from .cache import CACHE
from .deskewing import deskew
from .gradient_histograms import box_windows, cached_chunks, hog
from .histograms import colour_histograms, local_binary_patterns
from .shrinking import shrunk


def extract(name: str, images: np.ndarray) -> np.ndarray:
    """Return the features called `name` of uint8 images [N,H,W,C], float32 [N,F], read-only because cached."""
    compute, images = pick(EXTRACTORS, name, "extractor"), shrunk(images)
    return CACHE.get(("features", name, content_hash(images)), lambda: {"features": compute(images)})["features"]


def pixels(images: np.ndarray) -> np.ndarray:
    """Return grey or colour values from 0 to 1, float32 [N, H*W*C]."""
    return images.reshape(len(images), -1).astype(np.float32) / 255


def colours(images: np.ndarray) -> np.ndarray:
    """Return the mean colour of the cells of a 4 x 4 grid, float32 [N, 16*C] from 0 to 1."""
    _, height, width, _ = images.shape
    rows, columns = box_windows(height, 4), box_windows(width, 4)
    parts = [
        (rows @ torch.from_numpy(chunk).permute(0, 3, 1, 2).float() @ columns.T).flatten(1) / 255
        for chunk in cached_chunks(images)
    ]
    return torch.cat(parts).numpy()


def coarse_hog(images: np.ndarray) -> np.ndarray:
    """Return `hog` with cells of a quarter of the shorter side: 7 pixels at 28."""
    return hog(images, cell=cell_size(images, 4))


def fine_hog(images: np.ndarray) -> np.ndarray:
    """Return `hog` with cells of a sixth of the shorter side: 5 pixels at 28."""
    return hog(images, cell=cell_size(images, 6))


def cell_size(images: np.ndarray, parts: int) -> int:
    side = min(images.shape[1:3])
    return max(3 if parts <= 4 else 2, round(side / parts))


def _joined(*extractors: Callable) -> Callable[[np.ndarray], np.ndarray]:
    return lambda images: np.concatenate([compute(images) for compute in extractors], axis=1)


def _seen(compute: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda images: compute(shrunk(images))


EXTRACTORS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "pixels": _seen(pixels),
    "hog": _seen(coarse_hog),
    "fine-hog": _seen(fine_hog),
    "hog+colours": _seen(_joined(coarse_hog, colours)),
    "lbp": _seen(local_binary_patterns),
    "colour-histogram": _seen(colour_histograms),
    "deskewed pixels": _seen(lambda images: pixels(deskew(images))),
    "deskewed hog": _seen(lambda images: coarse_hog(deskew(images))),
    "deskewed fine-hog": _seen(lambda images: fine_hog(deskew(images))),
}

GREY = ("hog", "deskewed hog", "hog & lbp", "lbp", "pixels", "deskewed pixels")
COLOUR = (
    "hog & lbp & colour-histogram",
    "hog & lbp",
    "hog",
    "lbp & colour-histogram",
    "colour-histogram",
    "pixels",
)


def candidate_features(shape: tuple[int, ...]) -> tuple[str, ...]:
    """Return the names of the features worth trying on images of this shape (H, W, C), the usual best first.

    Deskewing is for grey images, colours are for colour images. Several blocks have " & " between them (`blocks_of`).
    """
    return GREY if shape[-1] == 1 else COLOUR


def blocks_of(name: str) -> tuple[str, ...]:
    """Return the names of the extractors of features such as "hog & lbp", which count alike. Raises UsageError."""
    names = tuple(name.split(" & "))
    for each in names:
        pick(EXTRACTORS, each, "extractor")
    return names
