"""What can be measured of an image without knowing what it shows.

A class that can be told by one of these may be learned by it: then the classifier looks at how pictures were taken, and
fails on pictures that were taken in another way.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from ..devices import cores
from ..images import LUMA_ARRAY, chunk_slices
from .imageset import ImageSet

OF_FILES = "file type", "size", "shape"  # not of pixels
FRAME = 16  # the border is this part of the sides
AT_ONCE = 1 << 19  # values: what a thread measures stays near the processor


@dataclass(frozen=True, eq=False)
class Property:
    """A property of every image: float64 [N], or, where `names` are given, int64 [N] that count through them."""

    name: str
    what: str  # in words
    values: np.ndarray
    names: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Greys:
    """Grey levels of images, each float64 [N] from 0 to 255: mean, deviation, percentiles 5 and 95, mean of the border,
    and `edges`: the root of the mean squared Laplacian, which is small in a blurred image."""

    mean: np.ndarray
    deviation: np.ndarray
    dark: np.ndarray
    light: np.ndarray
    border: np.ndarray
    edges: np.ndarray
    colour: np.ndarray  # mean difference of the largest and the smallest of the three colours


def greys(images: np.ndarray) -> Greys:
    """Measure uint8 images [N,H,W,C]."""
    with ThreadPoolExecutor(cores()) as threads:
        parts = list(threads.map(lambda chunk: measured(images[chunk]), chunk_slices(images, most=AT_ONCE)))
    return Greys(*np.concatenate(parts, axis=1)) if parts else Greys(*np.zeros((7, 0)))


def measured(images: np.ndarray) -> np.ndarray:
    """Return the fields of Greys of some images as float64 [7,N]."""
    grey = luma(images)
    count, height, width = grey.shape
    dark, light = levels(grey, (0.05, 0.95))
    frame = np.ones((height, width), bool)
    high, wide = max(1, height // FRAME), max(1, width // FRAME)
    frame[high:-high, wide:-wide] = False
    inner = grey[:, 1:-1, 1:-1]
    laplacian = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1]
    laplacian += grey[:, 1:-1, :-2]
    laplacian += grey[:, 1:-1, 2:]
    laplacian -= 4 * inner
    colour = np.zeros(count)
    if images.shape[3] == 3:
        red, green, blue = np.moveaxis(images, 3, 0)
        most, least = (furthest(furthest(red, green), blue) for furthest in (np.maximum, np.minimum))
        colour = (most - least).mean((1, 2), dtype=np.float64)
    edges = np.sqrt(np.einsum("nhw,nhw->n", laplacian, laplacian, dtype=np.float64) / inner[0].size)
    flat = grey.reshape(count, -1)
    means = flat.mean(1, dtype=np.float64), flat.std(1, dtype=np.float64)
    return np.stack([*means, dark, light, grey[:, frame].mean(1, dtype=np.float64), edges, colour])


def luma(images: np.ndarray) -> np.ndarray:
    """Return the grey levels of uint8 images [N,H,W,C], float32 [N,H,W]."""
    if images.shape[3] == 1:
        return images[..., 0].astype(np.float32)
    return (images.reshape(-1, 3).astype(np.float32) @ LUMA_ARRAY).reshape(images.shape[:3])


def levels(grey: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Return the grey level below which each share of the pixels of an image lies, to one level: float64 [shares,N]."""
    rounded = (grey.reshape(len(grey), -1) + 0.5).astype(np.uint8)
    below = np.cumsum([np.bincount(each, minlength=256) for each in rounded], axis=1)
    wanted = np.multiply.outer(shares, below[:, -1])
    return (below[None] < wanted[:, :, None]).sum(2).astype(np.float64)


def image_properties(imageset: ImageSet, grey: Greys) -> list[Property]:
    """Return the properties of a data set of which not all images have the same."""
    found = [
        Property("brightness", "the mean brightness", grey.mean),
        Property("contrast", "the contrast", grey.deviation),
        Property("sharpness", "the sharpness", grey.edges / np.maximum(grey.deviation, 1.0)),
        Property("border", "the brightness of the border", grey.border),
        Property("colour", "how colourful it is", grey.colour),
        Property("file type", "the file type", *file_types(imageset.origins)),
    ]
    if imageset.sizes is not None:
        height, width = imageset.sizes.T.astype(np.float64)
        found += [
            Property("size", "the number of pixels of the file", np.sqrt(height * width)),
            Property("shape", "the ratio of width to height", width / height),
        ]
    return [each for each in found if len(each.values) and np.ptp(each.values) > 1e-9]


def file_types(origins: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the endings of the files, as numbers int64 [N] and names."""
    endings = [PurePosixPath(origin).suffix.lower() or "none" for origin in origins]
    names, place = np.unique(endings, return_inverse=True)
    return place.astype(np.int64), tuple(names.tolist())
