"""The two sides of a judgement: real images, and the fakes of each generator or folder."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .. import keyed_random
from ..data import ImageSet, load, resized
from ..errors import DataError, UsageError
from ..features import fingerprint
from ..images import as_size
from ..records import OnProgress
from ..runs.folder import read_generator
from ..runs.sampler import Sampler

UNKNOWN = -1
Progress = Callable[[str], None]


def quiet(text: str) -> None:
    pass


def counting(what: str, progress: Progress) -> OnProgress:
    return lambda p: progress(f"reading {what} {100 * p.done // max(1, p.total)} %")


@dataclass(frozen=True, eq=False)
class Side:
    """Images uint8 [N,H,W,C], their class by the real images' numbering int64 [N] (-1: none), where each came from."""

    name: str
    images: np.ndarray
    labels: np.ndarray
    origins: tuple[str, ...]
    how: str = ""

    @cached_property
    def fingerprint(self) -> str:
        """Of the images in their order, with their labels."""
        return fingerprint(self.images, self.labels)

    @cached_property
    def content(self) -> str:
        """A fingerprint of the images in any order."""
        each = sorted(hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in self.images)
        return fingerprint(np.frombuffer(b"".join(each), np.uint8))

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
    fakes are compared with. `apart`: whether generators are known not to have been trained on `held`. `how`: what was
    done, in words."""

    name: str
    classes: tuple[str, ...]
    seen: Side
    held: Side
    apart: bool
    how: str

    @cached_property
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
    return np.sort(keyed_random.order(keyed_random.key(seed, "judge"), count)[:most].numpy())


def side(name: str, images: ImageSet, how: str = "") -> Side:
    return Side(name, images.images, images.labels, images.origins, how)


def done(images: ImageSet) -> list[str]:
    """What loading did to them, in words."""
    notes = images.notes
    said = [f"{notes.size_rule.short}, antialiased"] if notes.size_rule and notes.size_rule.short else []
    said += notes.converted
    if bad := len(notes.bad_files):
        said.append(f"{bad} unreadable file{'s' * (bad > 1)} left out, such as {notes.bad_files[0][0]}")
    return said


# --- real images -----------------------------------------------------------------------------------------------------


def read_real(
    source: Any, *, held: Any = None, size: Any = None, most: int, seed: int = 0, progress: Progress = quiet
) -> Reals:
    """The real images of any source that `sparring.data.load` takes, or of a generator in their place, parted.

    With a test part in the source, or with `held`, a further source of images that no generator was trained on, fakes
    are compared with these; those that equal a training image are left out. Without, an extractor learns from one half
    and fakes are compared with the other, for a network treats images that it learned from as no others. Raises
    UsageError where all held-out images are among the others.
    """
    sampler = generator_of(source)
    counted = counting("real images", progress)
    images = load(source, size=size, progress=counted) if sampler is None else drawn_by(sampler, most, seed)
    images = resized(images, as_size(size) or images.shape[:2], images.shape[2])
    said, test = done(images), images.parts == "test"
    apart = held is not None or bool(test.any() and not test.all())
    if held is not None:
        more = resized(load(held, size=images.shape[:2], progress=counted), images.shape[:2], images.shape[2])
        other, twins = without(more, images)
        parts = side(images.name, images), matched(other, images.classes)
        how = f"{more.name}, kept apart"
        said += done(more)
    elif apart:
        other, twins = without(images.take(test), images.take(~test))
        parts = side(images.name, images.take(~test)), side(images.name, other)
        how = "the test part"
    else:
        half = np.zeros(len(images), bool)
        half[drawn(len(images), len(images) // 2, seed)] = True
        parts, twins = (side(images.name, images.take(half)), side(images.name, images.take(~half))), 0
        how = "one half; the other is for extractors that learn"
    seen, other = parts
    first = f"compared with {f'{most:,} drawn' if len(other) > most else f'all {len(other):,} images'} of {how}"
    if twins:
        first += f"; {twins:,} more that equal a training image were left out"
    how = "; ".join([first, *said])
    return Reals(images.name, images.classes, seen, other.some(most, seed), apart, how)


def without(held: ImageSet, training: ImageSet) -> tuple[ImageSet, int]:
    """Held-out images without those that are also training images, and how many these are."""
    known = set(training.hashes)
    new = np.array([of_image not in known for of_image in held.hashes])
    if not new.any():
        raise UsageError("held-out", f"all {len(held):,} held-out images are among the training images",
                         fix="hold out images that no generator was trained on")  # fmt: skip
    return held.take(new), int((~new).sum())


def drawn_by(sampler: Sampler, count: int, seed: int) -> ImageSet:
    """Images of a generator in the place of real ones, classes in turn."""
    labels = np.arange(count) % len(sampler.classes) if sampler.spec.labels else np.full(count, UNKNOWN)
    images = sampler.draw(count, labels=labels if sampler.spec.labels else None, seed=seed + 1)
    origins = tuple(f"generated[{i}]" for i in range(count))
    return ImageSet(images, labels, sampler.classes, origins, np.full(count, "", "<U5"), "generated images")


# --- fakes -----------------------------------------------------------------------------------------------------------


def generator_of(source: Any) -> Sampler | None:
    """The generator of a Sampler, a run or a model folder; None of anything else."""
    if isinstance(source, Sampler):
        return source
    return read_generator(source) if is_generator(source) else None


def is_generator(source: Any) -> bool:
    names = ("recipe.json", "config.json", "model/config.json")
    there = isinstance(source, str | Path) and any((Path(source) / name).is_file() for name in names)
    return there or isinstance(source, Sampler)


def sizes(samplers: Sequence[Sampler]) -> tuple[int, int] | None:
    """The size that generators draw at: real images are fitted to it. Raises DataError where they differ."""
    found = {(s.data_spec.height, s.data_spec.width) for s in samplers}
    if len(found) > 1:
        listed = " and ".join(f"{h}x{w}" for h, w in sorted(found))
        raise DataError("sizes", f"these generators draw images of {listed}", fix="give one size for all with --size")
    return next(iter(found), None)


def read_fake(name: str, source: Any, reals: Reals, *, seed: int = 0, progress: Progress = quiet) -> Side:
    """As many fakes as there are real images to compare with, or all if there are fewer."""
    sampler = generator_of(source)
    if sampler is not None:
        progress(f"drawing {name}")
        made = sampled(name, sampler, reals, len(reals.held), seed)
        return replace(made, how="; ".join([*place(source), made.how]))
    loaded = load(source, size=reals.shape[:2], alike=True, progress=counting(name, progress))
    images = resized(loaded, reals.shape[:2], reals.shape[2])
    count = f"{len(images):,} image{'s' * (len(images) > 1)}"
    if repeats := len(images) - len(set(images.hashes)):
        count += f", {repeats:,} of which repeat others"
    if len(images) > len(reals.held):
        count += f", of which {len(reals.held):,} were drawn, as many as there are real ones"
    how = "; ".join([*place(source), count, *done(images), *strangers(images, reals.classes)])
    return replace(matched(images, reals.classes), name=name, how=how).some(len(reals.held), seed)


def place(source: Any) -> list[str]:
    """Where fakes come from, if that has a name."""
    return [str(source)] if isinstance(source, str | Path) else []


def matched(images: ImageSet, classes: tuple[str, ...]) -> Side:
    """Labels by the numbers of `classes`, matched by name; -1 for a name that is not among them."""
    number = {name: k for k, name in enumerate(classes)}
    table = np.array([number.get(name, UNKNOWN) for name in images.classes] + [UNKNOWN])
    return replace(side(images.name, images), labels=table[images.labels])


def strangers(images: ImageSet, classes: tuple[str, ...]) -> list[str]:
    """What to say of classes that real images do not have."""
    if not classes or not (names := [name for name in images.classes if name not in classes]):
        return []
    listed = ", ".join(names[:3]) + ", ..." * (len(names) > 3)
    return [f"of their {len(images.classes)} classes {len(names)} ({listed}) are not among the real ones"]


def sampled(name: str, sampler: Sampler, reals: Reals, count: int, seed: int) -> Side:
    """Drawn by a generator; of one that takes labels, in the proportions of the real images."""
    labels, how = np.full(count, UNKNOWN), f"{count:,} drawn with seed {seed}"
    chosen = None
    if sampler.spec.labels:
        number = {c: k for k, c in enumerate(reals.classes)}
        known = np.array([number.get(c, UNKNOWN) for c in sampler.classes])
        wanted = reals.held.labels[np.isin(reals.held.labels, known[known >= 0])]
        back = {int(k): i for i, k in enumerate(known)}
        if len(wanted):
            at_random = np.random.default_rng([seed, 1]).choice(wanted, count)  # as new real images would have them
            chosen = np.array([back[int(k)] for k in at_random])
            how += ", classes at random in the proportions of the real images"
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
    origins = tuple(f"{name}[{i}]" for i in range(count))
    made = ImageSet(images, labels, reals.classes, origins, np.full(count, "", "<U5"), name)
    fitted = resized(made, reals.shape[:2], reals.shape[2])
    return side(name, fitted, "; ".join([how, *done(fitted)]))


def kind(channels: int) -> str:
    return "grey" if channels == 1 else "colour"
