"""Two image sets that belong together: the images to make, and those to make them from."""

from dataclasses import replace
from pathlib import PurePosixPath

from ..errors import DataError
from ..images import colour_channels
from .imageset import ImageSet
from .notes import size_words


def paired(targets: ImageSet, sources: ImageSet) -> tuple[ImageSet, ImageSet]:
    """Return the images of both sets whose files have the same name, whatever its ending, in the order of `targets`.

    What has no partner is counted and named in the warnings of the first set. Raises DataError when no names match, or
    the shapes differ.
    """
    of_target, of_source = (_by_name(images) for images in (targets, sources))
    both = [name for name in of_target if name in of_source]
    if not both:
        first = f"{next(iter(of_target), 'nothing')} and {next(iter(of_source), 'nothing')}"
        raise DataError(
            "no-pairs",
            f"no image of {sources.name} has the name of one of {targets.name}: they hold, for example, {first}",
            fix="give each source the file name of its target",
        )
    words = unpaired(targets, sources)
    targets, sources = targets.take([of_target[n] for n in both]), sources.take([of_source[n] for n in both])
    notes = replace(targets.notes, warnings=(*targets.notes.warnings, *words))
    return replace(targets, notes=notes), matching_channels(sources, targets)


def _by_name(images: ImageSet) -> dict[str, int]:
    """Return name -> the first image whose file is called so, whatever its ending."""
    names: dict[str, int] = {}
    for i, origin in enumerate(images.origins):
        names.setdefault(str(PurePosixPath(origin).with_suffix("")), i)
    return names


def unpaired(targets: ImageSet, sources: ImageSet) -> list[str]:
    """Return a sentence for either set whose images have no partner in the other one: how many, and the first."""
    words = []
    for images, other in ((targets, sources), (sources, targets)):
        mine, theirs = _by_name(images), _by_name(other)
        used = {i for name, i in mine.items() if name in theirs}
        if alone := [origin for i, origin in enumerate(images.origins) if i not in used]:
            first = ", ".join(alone[:5]) + " ..." * (len(alone) > 5)
            words.append(f"{len(alone)} of {len(images)} images of {images.name} have no partner: left out ({first})")
    return words


def matching_channels(images: ImageSet, others: ImageSet) -> ImageSet:
    """Return the images with as many channels as `others`.

    Raises DataError when sizes differ, or colour would be lost.
    """
    if images.shape[:2] != others.shape[:2]:
        here, there = size_words(images.shape), size_words(others.shape)
        fix = f"use --size {there}, which fits both to one size"
        raise DataError("size", f"{images.name} has images {here} (height x width), {others.name} {there}", fix=fix)
    if images.shape[2] == others.shape[2]:
        return images
    if others.shape[2] == 1:
        raise DataError(
            "channels",
            f"{images.name} has colour images and {others.name} grey ones: their colours would be lost",
            fix="convert the sources to grey first",
        )
    return replace(images, images=colour_channels(images.images, 3))
