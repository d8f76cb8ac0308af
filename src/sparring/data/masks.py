"""Masks beside images: pictures of two values that belong to another image. They are left out, with a line.

A mask is called like its image and mask, seg, gt or label (1_mask.png), or lies in a folder of masks under the image's
own name. What is called so and shows more than two values is an image.
"""

from collections import Counter
from dataclasses import replace

import numpy as np

from ..images import BadImage, opened_image, quiet_decoders
from .spellings import mask_folder, mask_stem
from .trees import Tree

JPEG_NOISE, JPEG_SHARE = 0.15, 0.98  # so near to black or white are so many pixels of a mask that is a JPEG


def without_masks(tree: Tree, warnings: list[str]) -> Tree:
    """Return the tree without the masks of other images in it, which are counted in a warning."""
    likely = _called_like_masks(tree)
    if not likely:
        return tree
    with quiet_decoders():
        masks = {path for path in likely if _two_values(tree, path)}
    if masks:
        first = next(path for path in tree.images if path in masks)
        warnings.append(f"{len(masks)} masks beside the images, such as {first}: left out")
    if rest := [path for path in likely if path not in masks]:
        warnings.append(
            f"{len(rest)} images are called like masks but show more than two values, such as {rest[0]}: kept"
        )
    ignored = tree.ignored + Counter({"masks of images": len(masks)})
    images = [path for path in tree.images if path not in masks]
    emptied = {path.rpartition("/")[0] for path in masks} - {path.rpartition("/")[0] for path in images}
    folders = [folder for folder in tree.folders if folder not in emptied]
    return replace(tree, images=images, folders=folders, ignored=ignored)


def _called_like_masks(tree: Tree) -> list[str]:
    """Return the images that are called like masks of others that are there."""
    stems = {path.rpartition(".")[0] for path in tree.images}
    found, folders = [], dict[str, set[str]]()
    for path in tree.images:
        folder, slash, file = path.rpartition("/")
        stem = file.rpartition(".")[0]
        folders.setdefault(folder, set()).add(stem)
        image = mask_stem(stem)
        if image is not None and folder + slash + image in stems:
            found.append(path)
    beside = {folder for folder in folders if mask_folder(folder.rpartition("/")[2])}
    images = [names for folder, names in folders.items() if folder not in beside]
    for folder in sorted(beside):
        if any(_belong(folders[folder], names) for names in images):
            found += [path for path in tree.images if path.rpartition("/")[0] == folder]
    return list(dict.fromkeys(found))


def _belong(masks: set[str], images: set[str]) -> bool:
    """Return whether at least half of the masks are called like images, with or without a word for masks."""
    return sum(stem in images or mask_stem(stem) in images for stem in masks) >= len(masks) / 2


def _two_values(tree: Tree, path: str) -> bool:
    """Return whether an image shows at most two values or colours; of a JPEG, nearly two."""
    try:
        with opened_image(tree.read(path)) as image:
            pixels, lossy = np.asarray(image), image.format == "JPEG"
    except BadImage:
        return False
    flat = pixels.reshape(-1, pixels.shape[2]) if pixels.ndim == 3 else pixels.reshape(-1, 1)
    if lossy:
        low, high = int(flat.min()), int(flat.max())
        nearest = np.minimum(flat - low, high - flat)
        return bool((nearest <= JPEG_NOISE * (high - low)).mean() >= JPEG_SHARE)
    differ = (flat != flat[0]).any(axis=1)
    return not differ.any() or bool((flat[differ] == flat[np.argmax(differ)]).all())
