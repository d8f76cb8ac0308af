"""What users call images -> uint8 [N,H,W,C]: data sets, arrays, and files as paths, bytes, open files or PIL images."""

from collections.abc import Sequence
from typing import TypeGuard

import numpy as np

from ..data import ImageSet
from ..data.arrays import Scale, as_array, as_picture, as_pixels
from ..errors import DataError
from ..images import is_source


def images_to_fit(X: object) -> tuple[np.ndarray, Scale]:
    """Return uint8 [N,H,W,C] and how values were read, of an ImageSet, array, tensor, file, or list of one size.

    Arrays are what `sparring.load` takes; a file is a path, bytes, an open file or a PIL image. Raises DataError.
    """
    if isinstance(X, ImageSet):
        return X.images, Scale.BYTE
    if not _is_list_of_images(X):
        pixels = as_pixels(X)
        return pixels.images, pixels.scale
    pictures = [as_picture(item) for item in ([X] if is_source(X) else X)]
    sizes = sorted({picture.shape[:2] for picture in pictures})
    if len(sizes) > 1:
        raise DataError(
            "image-shape",
            f"images have several sizes, such as {' and '.join(f'{height} x {width}' for height, width in sizes[:2])}",
            fix="fit them to one size first, for example sparring.load(folder)",
        )
    channels = max(picture.shape[2] for picture in pictures)
    return np.stack([np.broadcast_to(picture, (*sizes[0], channels)) for picture in pictures]), Scale.BYTE


def images_like(X: object, shape: Sequence[int], scale: Scale) -> np.ndarray:
    """Return uint8 [N,H,W,C] of all that `images_to_fit` takes, and of images of any size, fitted to `shape` (H, W, C).

    Other sizes and colours are fitted by the rule of files (images.FIT_RULE). An array [H,W] or [H,W,C] is one image.
    `scale`: that of the images of `fit`, where the values do not show theirs. Raises DataError.
    """
    if isinstance(X, ImageSet):
        images = X.images
    elif _is_list_of_images(X):
        images = [X] if is_source(X) else X
    else:
        array = as_array(X, "images")
        # Rows of flattened images, [N, H*W*C], are a mistake that must not pass for one wide image.
        one = array.shape[1] != np.prod(shape) if array.ndim == 2 else array.ndim == 3 and array.shape[2] in (1, 3, 4)
        images = as_pixels(array[None, ..., None] if one and array.ndim == 2 else array[None] if one else array,
                           scale=scale).images  # fmt: skip
    if not isinstance(images, np.ndarray) or images.shape[1:] != tuple(shape):
        height, width, channels = shape
        pictures = [as_picture(item, size=(height, width), channels=channels, scale=scale) for item in images]
        images = np.stack(pictures)
    return np.require(images, requirements=["C", "W"])  # torch warns about read-only memory, as in joblib's workers


def size_text(shape: Sequence[int]) -> str:
    """Return "28 x 28 grey" for (H, W, C)."""
    height, width, channels = shape
    return f"{height} x {width} {'grey' if channels == 1 else 'colour'}"


def _is_list_of_images(X: object) -> TypeGuard[Sequence[object]]:
    if is_source(X):
        return True
    return (
        isinstance(X, list | tuple)
        and len(X) > 0
        and (any(map(is_source, X)) or len({np.shape(item) for item in X}) > 1)
    )
