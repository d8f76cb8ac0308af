"""The verb `sample`: images from a trained generator, and strips along its noise, classes, codes and directions."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TypedDict

import numpy as np

from ..data.tables import TABLE
from ..errors import UsageError
from ..files import folder_name, write_text
from ..images import save_animation
from ..records import OnProgress, no_progress
from . import latent_views
from .folder import Run, open_generator
from .pools import real_images
from .sampler import Sampler, per_class_samples, save_grid, save_samples

PIXELS_SHOWN = 1 << 24  # of all samples, where their number is not given
# of these pictures one at a time
PICTURES = ("per_class", "interpolate", "walk", "directions", "nearest")


@dataclass(frozen=True)
class SampleOptions:
    """What to draw, by the names of the options of `sparring sample`; see `sample`."""

    count: int | None = None
    per_class: int | None = None
    classes: str | None = None
    code: int | None = None
    truncation: Sequence[float] = ()
    interpolate: int | None = None
    walk: str | None = None
    directions: int | None = None
    nearest: object = None
    seed: int = 0
    columns: int | None = None

    @property
    def picture(self) -> str:
        """Which picture this is. Raises UsageError where it is two."""
        named = [name for name in PICTURES if getattr(self, name) is not None]
        named += ["truncation"] * (len(self.truncation) > 1)
        if len(named) > 1:
            first, second = (f"--{name.replace('_', '-')}" for name in named[:2])
            what = f"{first} and {second} are two pictures"
            raise UsageError("two-pictures", what, fix="ask for one, or for all with --inside alone")
        if named == ["walk"] and self.classes is not None:
            raise UsageError("two-pictures", "--walk names its classes itself", fix="leave out --class")
        return named[0] if named else "samples"


class _Chosen(TypedDict, total=False):
    labels: np.ndarray
    codes: np.ndarray


@dataclass(frozen=True)
class Neighbour:
    """A sample, by its number, and the real image that is nearest to it."""

    image: int
    nearest: str
    distance: float


@dataclass(frozen=True)
class Samples:
    """Images uint8 [N,H,W,C], or strips uint8 [rows,steps,H,W,C]; with what is nearest to them, where it was asked.

    `closeness`: how far samples are from real images, in distances of real images to each other; near 0: copies.
    """

    images: np.ndarray
    neighbours: tuple[Neighbour, ...] = ()
    closeness: float | None = None


def sample(
    run: Run | Sampler | Path | str,
    count: int | None = None,
    *,
    grid: Path | str | None = None,
    out: Path | str | None = None,
    per_class: int | None = None,
    classes: str | None = None,
    code: int | None = None,
    truncation: float | Sequence[float] | None = None,
    interpolate: int | None = None,
    walk: str | None = None,
    directions: int | None = None,
    nearest: object = None,
    animate: Path | str | None = None,
    seed: int = 0,
    columns: int | None = None,
    trust_code: bool = False,
) -> np.ndarray:
    """Draw images from a trained generator: uint8 [count,H,W,C], 64 of them (fewer large ones) without `count`.

    run: what `train` returned, its folder, or a model folder.
    grid, out, animate: also write one picture, a PNG file per image, a .webp or .gif film of strips.
    per_class: so many of every class, [classes * per_class,H,W,C].
    classes, code: only this class, or this code of a generator that found codes itself.
    truncation: keep noise within this limit. Several limits: a row for each.
    interpolate, walk, directions: strips [rows,steps,H,W,C] of so many images from one to another; from class to class
    such as "3:8"; along so many directions of noise that change images most.
    nearest: a data set; under each sample its nearest images, [1 + 3,count,H,W,C].
    seed: another number, other images; image i is always the same.

    Raises UsageError for what this generator cannot do, FileFormatError where there is no generator.
    """
    limits = () if truncation is None else (truncation,) if isinstance(truncation, int | float) else tuple(truncation)
    options = SampleOptions(
        count, per_class, classes, code, limits, interpolate, walk, directions, nearest, seed, columns
    )
    sampler = run if isinstance(run, Sampler) else open_generator(run, trust_code=trust_code)
    if per_class and out:
        save_classes(sampler, per_class, Path(out), seed=seed)
    found = draw_samples(sampler, options)
    write_samples(found.images, grid=grid, out=None if per_class else out, film=animate, columns=columns)
    return found.images


def draw_samples(sampler: Sampler, options: SampleOptions, progress: OnProgress = no_progress) -> Samples:
    """Return the picture that the options ask for; `progress`: of reading the images of `nearest`."""
    picture, seed, columns, count = options.picture, options.seed, options.columns, options.count
    label = None if options.classes is None else sampler.label(options.classes)
    code = None if options.code is None else sampler.code(options.code)
    limit = options.truncation[0] if options.truncation else None

    def chosen(number: int) -> _Chosen:
        picked: _Chosen = {} if label is None else {"labels": np.full(number, label)}
        return picked if code is None else {**picked, "codes": np.full(number, code)}

    if options.interpolate is not None:
        steps = options.interpolate
        rows = max(1, (count or 8 * steps) // steps)
        return Samples(latent_views.interpolation(sampler, rows, steps, seed=seed, truncation=limit, **chosen(rows)))
    if options.walk is not None:
        steps, (a, b) = columns or 9, walk_ends(sampler, options.walk)
        rows = max(1, (count or 54) // steps)
        return Samples(latent_views.class_walk(sampler, a, b, rows, steps, seed=seed, truncation=limit))
    if options.directions is not None:
        steps, picked = columns or 9, chosen(1)
        return Samples(
            latent_views.direction_strips(sampler, options.directions, steps, seed=seed, truncation=limit, **picked)
        )
    if picture == "truncation":
        count = count or 10
        return Samples(latent_views.truncations(sampler, options.truncation, count, seed=seed, **chosen(count)))
    if options.per_class is not None:
        drawn = [images for _, images in per_class_samples(sampler, options.per_class, seed=seed)]
        return Samples(np.concatenate(drawn))
    count = count or sampler.at_once(10 if picture == "nearest" else 64, PIXELS_SHOWN)
    images = sampler.draw(count, seed=seed, truncation=limit, **chosen(count))
    return Samples(images) if options.nearest is None else _with_neighbours(images, options.nearest, progress)


def walk_ends(sampler: Sampler, text: str) -> tuple[int, int]:
    """Return two classes from 3:8; a name may hold a colon itself."""
    sampler.takes(labels=True)
    pairs = [(text[:i], text[i + 1 :]) for i, letter in enumerate(text) if letter == ":"]
    for a, b in pairs:
        if a in sampler.classes and b in sampler.classes:
            return sampler.label(a), sampler.label(b)
    if not pairs:
        raise UsageError("walk", f"--walk {text} names no two classes", fix="write two with a colon, such as 3:8")
    return sampler.label(pairs[0][0]), sampler.label(pairs[0][1])


def _with_neighbours(images: np.ndarray, source: object, progress: OnProgress) -> Samples:
    """Return strips of samples and of what is nearest to them, and the nearest by name."""
    found = real_images(source, images.shape[1:], progress)
    index, distance = latent_views.nearest_images(images, found.images, 3)
    neighbours = tuple(
        Neighbour(i, found.origins[k[0]], float(d[0]))
        for i, (k, d) in enumerate(zip(index.tolist(), distance.tolist(), strict=True))
    )
    return Samples(
        latent_views.under(images, found.images[index]), neighbours, latent_views.closeness(images, found.images)
    )


def save_classes(sampler: Sampler, count: int, out: Path, *, seed: int) -> None:
    """Write `count` images of every class, a folder for each; where a folder cannot have the name of its class, a
    labels.csv says which it is."""
    rows = [("file", "label")]
    for name, images in per_class_samples(sampler, count, seed=seed):
        folder = folder_name(name)
        rows += [(f"{folder}/{path.name}", name) for path in save_samples(images, out / folder)]
    if any(folder_name(name) != name for name in sampler.classes):
        text = StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        write_text(out / TABLE, text.getvalue())


def write_samples(
    images: np.ndarray,
    *,
    grid: Path | str | None = None,
    out: Path | str | None = None,
    film: Path | str | None = None,
    columns: int | None = None,
) -> None:
    """Write images [N,H,W,C] or strips [rows,steps,H,W,C] as one picture, as files, as a film."""
    flat = images.reshape(-1, *images.shape[-3:])
    if out:
        save_samples(flat, out)
    if grid:
        save_grid(flat, grid, columns=images.shape[1] if images.ndim == 5 else columns)
    if film:
        strips = images if images.ndim == 5 else images[None]
        save_animation(film, latent_views.film_frames(strips), seconds=0.1, hold=0.1, generated=True)
