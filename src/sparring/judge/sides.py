"""The two sides of a judgement: real images, and the fakes of each generator or folder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import draws
from ..data import ImageSet, load, resized
from ..errors import DataError
from ..runs import generator
from ..sample import Sampler

UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class Side:
    """Images uint8 [N,H,W,C], their class by the real images' numbering int64 [N] (-1: none), where each came from."""

    name: str
    images: np.ndarray
    labels: np.ndarray
    origins: tuple[str, ...]
    how: str = ""

    def __len__(self) -> int:
        return len(self.images)

    def take(self, index: np.ndarray) -> "Side":
        origins = tuple(self.origins[i] for i in np.arange(len(self))[index].tolist())
        return replace(self, images=self.images[index], labels=self.labels[index], origins=origins)

    def some(self, most: int, seed: int) -> "Side":
        """At most so many, drawn once for all."""
        return self if len(self) <= most else self.take(drawn(len(self), most, seed))


@dataclass(frozen=True, eq=False)
class Reals:
    """Real images in two parts. `seen`: what an extractor may learn from, and where copies are looked for. `held`: what
    fakes are compared with. `apart`: whether generators are known not to have been trained on `held`."""

    name: str
    classes: tuple[str, ...]
    fingerprint: str
    seen: Side
    held: Side
    apart: bool
    how: str

    @property
    def all(self) -> Side:
        """Both parts, `seen` first."""
        images, labels = (
            np.concatenate([getattr(s, name) for s in (self.seen, self.held)]) for name in ("images", "labels")
        )
        return Side(self.name, images, labels, self.seen.origins + self.held.origins)

    @property
    def shape(self) -> tuple[int, int, int]:
        height, width, channels = self.held.images.shape[1:]
        return height, width, channels


def drawn(count: int, most: int, seed: int) -> np.ndarray:
    """Numbers of `most` of `count` images, in rising order."""
    return np.sort(draws.order(draws.key(seed, "judge"), count)[:most].numpy())


def side(name: str, images: ImageSet, how: str = "") -> Side:
    return Side(name, images.images, images.labels, images.origins, how)


def read_real(source: Any, *, held: Any = None, size: Any = None, most: int, seed: int = 0, progress=None) -> Reals:
    """The real images of any source that `sparring.data.load` takes, parted.

    With a test part in the source, or with `held`, a further source of images that no generator was trained on, fakes
    are compared with these. Without, an extractor learns from one half and fakes are compared with the other, for a
    network treats images that it learned from as no others.
    """
    opened = open_fake(source) if is_generator(source) else load(source, size=size, progress=progress)
    images = drawn_by(opened, most, seed) if isinstance(opened, Sampler) else opened
    test = images.parts == "test"
    if held is not None:
        more = resized(load(held, progress=progress), images.shape[:2], images.shape[2])
        parts, apart = (side(images.name, images), matched(more, images.classes)), True
        how = "compared with {} of " + f"{more.name}, kept apart"
    elif test.any() and not test.all():
        parts, apart = (side(images.name, images.take(~test)), side(images.name, images.take(test))), True
        how = "compared with {} of the test part"
    else:
        half = np.zeros(len(images), bool)
        half[drawn(len(images), len(images) // 2, seed)] = True
        parts, apart = (side(images.name, images.take(half)), side(images.name, images.take(~half))), False
        how = "compared with {} of one half, an extractor learned from the other"
    seen, other = parts
    how = how.format(f"{most:,} drawn" if len(other) > most else f"all {len(other):,} images")
    return Reals(images.name, images.classes, images.fingerprint, seen, other.some(most, seed), apart, how)


def is_generator(source: Any) -> bool:
    """A Sampler, a run or a model folder?"""
    names = ("recipe.json", "config.json", "model/config.json")
    return isinstance(source, Sampler) or (
        isinstance(source, str | Path) and any((Path(source) / name).is_file() for name in names)
    )


def open_fake(source: Any) -> Sampler | ImageSet:
    """A generator, of a run or a model folder, or images."""
    if isinstance(source, Sampler):
        return source
    return generator(source) if is_generator(source) else load(source)


def drawn_by(sampler: Sampler, count: int, seed: int) -> ImageSet:
    """Images of a generator in the place of real ones, classes in turn."""
    labels = np.arange(count) % len(sampler.classes) if sampler.spec.labels else np.full(count, UNKNOWN)
    images = sampler.draw(count, labels=labels if sampler.spec.labels else None, seed=seed + 1)
    origins = tuple(f"generated[{i}]" for i in range(count))
    return ImageSet(images, labels, sampler.classes, origins, np.full(count, "", "<U5"), "generated images")


def sizes(fakes: Sequence[Sampler | ImageSet]) -> tuple[int, int] | None:
    """The size that generators draw at: real images are fitted to it. Raises DataError where they differ."""
    found = {(s.facts.height, s.facts.width) for s in fakes if isinstance(s, Sampler)}
    if len(found) > 1:
        listed = " and ".join(f"{h}x{w}" for h, w in sorted(found))
        raise DataError("sizes", f"these generators draw images of {listed}", fix="judge them one by one")
    return next(iter(found), None)


def read_fake(name: str, source: Sampler | ImageSet, reals: Reals, *, most: int, seed: int = 0) -> Side:
    """As many fakes as there are real images to compare with, or all of a folder, at most `most`."""
    if isinstance(source, Sampler):
        return sampled(name, source, reals, min(most, max(len(reals.held), 1000)), seed)
    height, width, channels = source.shape
    fitted = matched(resized(source, reals.shape[:2], reals.shape[2]), reals.classes)
    how = f"{len(source):,} images"
    if (height, width) != tuple(reals.shape[:2]):
        how += f", fitted from {height}x{width} to {reals.shape[0]}x{reals.shape[1]}, antialiased, as the real ones are"
    if channels != reals.shape[2]:
        how += ", made grey" if channels == 3 else ", grey made colour"
    return replace(fitted, name=name, how=how).some(most, seed)


def matched(images: ImageSet, classes: tuple[str, ...]) -> Side:
    """Labels by the numbers of `classes`, matched by name; -1 for a name that is not among them."""
    number = {name: k for k, name in enumerate(classes)}
    table = np.array([number.get(name, UNKNOWN) for name in images.classes] + [UNKNOWN])
    return replace(side(images.name, images), labels=table[images.labels])


def sampled(name: str, sampler: Sampler, reals: Reals, count: int, seed: int) -> Side:
    """Drawn by a generator; of one that takes labels, in the proportions of the real images."""
    labels, how = np.full(count, UNKNOWN), f"{count:,} drawn with seed {seed}"
    chosen = None
    if sampler.spec.labels:
        number = {c: k for k, c in enumerate(reals.classes)}
        known = np.array([number.get(c, UNKNOWN) for c in sampler.classes])
        wanted = np.isin(reals.held.labels, known[known >= 0])
        back = {int(k): i for i, k in enumerate(known)}
        if wanted.any():
            chosen = np.resize(np.array([back[int(k)] for k in reals.held.labels[wanted]]), count)
            how += ", classes as among the real images"
        else:
            chosen = np.arange(count) % len(sampler.classes)
        labels = known[chosen]
    images = sampler.draw(count, labels=chosen, seed=seed)
    if images.shape[3] != reals.shape[2]:
        raise DataError(
            "channels",
            f"{name} draws {kind(images.shape[3])} images, the real ones are {kind(reals.shape[2])}",
            fix="judge it against images like those it was trained on",
        )
    return Side(name, images, labels, tuple(f"{name}[{i}]" for i in range(count)), how)


def kind(channels: int) -> str:
    return "grey" if channels == 1 else "colour"
