"""What users call images -> uint8 [N,H,W,C]: data sets, arrays, and files as paths, bytes, open files or PIL images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..data import ImageSet
from ..data.arrays import as_array, as_nhwc, to_uint8
from ..errors import DataError
from ..images import load_image


def as_pixels(X: Any, shape: Sequence[int] | None = None) -> np.ndarray:
    """Return uint8 [N,H,W,C] of an ImageSet, an array or tensor as `sparring.load` takes it, a file, or a list.

    A file is a path, bytes, an open file or a PIL image; a list holds files or arrays. `shape` (H, W, C): images of
    another size or number of channels are fitted to it, by the rule of files (images.FIT_RULE), and an array [H,W] or
    [H,W,C] is one image. Without it all images must be of one size. Raises DataError.
    """
    if isinstance(X, ImageSet):
        pixels = X.images
    elif is_file(X):
        pixels = _loaded([X], shape)
    elif isinstance(X, list | tuple) and (any(map(is_file, X)) or len({np.shape(item) for item in X}) > 1):
        pixels = _loaded(X, shape)
    else:
        array = as_array(X, "images")
        if shape is not None and _is_one_image(array, shape):
            array = array[None]
        pixels = to_uint8([("images", as_nhwc(array, "images", []))], [])
    if shape is not None and pixels.shape[1:] != tuple(shape):
        pixels = np.stack([_fitted_to(image, shape) for image in pixels])
    return np.require(pixels, requirements=["C", "W"])  # torch warns about read-only memory, as in joblib's workers


def is_file(item: Any) -> bool:
    """Return whether this is one image file: a path, its bytes, an open file or a PIL image."""
    return isinstance(item, str | bytes | Path | Image.Image) or hasattr(item, "read")


def size_text(shape: Sequence[int]) -> str:
    """Return "28 x 28 grey" for (H, W, C)."""
    height, width, channels = shape
    return f"{height} x {width} {'grey' if channels == 1 else 'colour'}"


def _is_one_image(array: np.ndarray, shape: Sequence[int]) -> bool:
    # Rows of flattened images, [N, H*W*C], are a mistake that must not pass for one wide image.
    if array.ndim == 2:
        return array.shape[1] != np.prod(shape)
    return array.ndim == 3 and array.shape[2] in (1, 3, 4)


def _loaded(items: Sequence[Any], shape: Sequence[int] | None) -> np.ndarray:
    if shape is not None:
        return np.stack([_fitted_to(item, shape) for item in items])
    images = [_fitted_to(item) for item in items]
    if len({image.shape[:2] for image in images}) > 1:
        raise DataError(
            "image-shape",
            "images have several sizes",
            fix="fit them to one size first, for example sparring.load(folder, size=64)",
        )
    channels = max(image.shape[2] for image in images)
    return np.stack([np.broadcast_to(image, (*image.shape[:2], channels)) for image in images])


def _fitted_to(item: Any, shape: Sequence[int] | None = None) -> np.ndarray:
    if not is_file(item):
        array = as_array(item, "an image")
        array = array[..., None] if array.ndim == 2 else array
        item = to_uint8([("an image", as_nhwc(array[None], "an image", []))], [])[0]
    if shape is None:
        return load_image(item)
    return load_image(item, size=(shape[0], shape[1]), channels=shape[2])
