"""Two image sets side by side: the images to make, and those to make them from."""

from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np

from ..errors import DataError
from .imageset import ImageSet


def paired(targets: ImageSet, sources: ImageSet) -> tuple[ImageSet, ImageSet]:
    """The images of both sets whose files have the same name, ending aside, in the order of `targets`.

    Raises DataError when no names match, or the shapes differ.
    """
    of_target, of_source = (
        {without_suffix(origin): i for i, origin in enumerate(s.origins)} for s in (targets, sources)
    )
    both = [name for name in of_target if name in of_source]
    if not both:
        first = f"{next(iter(of_target), 'nothing')} and {next(iter(of_source), 'nothing')}"
        raise DataError(
            "no-pairs",
            f"no image of {sources.name} has the name of one of {targets.name}: they hold, for example, {first}",
            fix="give each source the file name of its target",
        )
    targets, sources = targets.take([of_target[n] for n in both]), sources.take([of_source[n] for n in both])
    return targets, alike(sources, targets)


def alike(images: ImageSet, others: ImageSet) -> ImageSet:
    """The images with as many channels as `others`; raises DataError when sizes differ, or colour would be lost."""
    if images.shape[:2] != others.shape[:2]:
        (height, width), (high, wide) = images.shape[:2], others.shape[:2]
        raise DataError(
            "size",
            f"{images.name} has images {height}x{width} (height x width), {others.name} {high}x{wide}",
            fix=f"use --size {high}x{wide}, which fits both to one size",
        )
    if images.shape[2] == others.shape[2]:
        return images
    if others.shape[2] == 1:
        raise DataError(
            "channels",
            f"{images.name} has colour images and {others.name} grey ones: their colours would be lost",
            fix="convert the sources to grey first",
        )
    return replace(images, images=np.repeat(images.images, 3, axis=3))


def without_suffix(origin: str) -> str:
    return str(PurePosixPath(origin).with_suffix(""))
