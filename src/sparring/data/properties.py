"""What can be measured of an image without knowing what it shows.

A class that can be told by one of these may be learned by it: then the classifier looks at how pictures were taken, and
fails on pictures that were taken in another way.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from ..images import LUMA_ARRAY, chunk_slices
from .imageset import ImageSet

OF_FILES = "file type", "size", "shape"  # not of pixels
FRAME = 16  # the border is this part of the sides
AT_ONCE = 1 << 24  # values


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
    parts = [measured(images[chunk]) for chunk in chunk_slices(images, most=AT_ONCE)]
    return Greys(*np.concatenate(parts, axis=1)) if parts else Greys(*np.zeros((7, 0)))


def measured(images: np.ndarray) -> np.ndarray:
    """Return the fields of Greys of some images as float64 [7,N]."""
    grey = images[..., 0].astype(np.float32) if images.shape[3] == 1 else images @ LUMA_ARRAY
    flat = grey.reshape(len(grey), -1)
    dark, light = np.percentile(flat, (5, 95), axis=1)
    frame = np.ones(grey.shape[1:], bool)
    high, wide = (max(1, side // FRAME) for side in frame.shape)
    frame[high:-high, wide:-wide] = False
    inner = grey[:, 1:-1, 1:-1]
    laplacian = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:] - 4 * inner
    colour = np.zeros(len(grey))
    if images.shape[3] == 3:
        colour = (images.max(3).astype(np.int16) - images.min(3)).mean((1, 2), dtype=np.float64)
    edges = np.sqrt((laplacian.astype(np.float64) ** 2).mean((1, 2)))
    means = flat.mean(1, dtype=np.float64), flat.std(1, dtype=np.float64)
    return np.stack([*means, dark, light, grey[:, frame].mean(1, dtype=np.float64), edges, colour])


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
