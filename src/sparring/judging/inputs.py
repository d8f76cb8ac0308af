"""What is compared with what: real images in two parts, and the fakes of each generator or folder."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TypeGuard
from unicodedata import normalize
from urllib.parse import unquote

import numpy as np

from .. import keyed_random
from ..data import SMALL, UNLABELLED, ImageSet, load, resized
from ..data.doubts import data_notes
from ..data.groups import first_images
from ..errors import DataError, UsageError
from ..files import content_hash
from ..images import SizeLike, as_size
from ..records import OnProgress, Progress, no_progress
from ..runs.folder import Run, open_generator, read_generator
from ..runs.sampler import Sampler
from ..words import plural


@dataclass(frozen=True, eq=False)
class Fakes:
    """Generated images, with the labels of the real images' classes, and in words where they come from."""

    images: ImageSet
    how: str

    @cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that stand for the images in any order."""
        each = (hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in self.images.images)
        return content_hash(b"".join(sorted(each)))


@dataclass(frozen=True, eq=False)
class RealImages:
    """Real images in two parts.

    train      what an extractor may learn from, and where copies are looked for
    test       what fakes are compared with
    disjoint   whether generators are known not to have been trained on `test`
    how        what was done, in words
    """

    name: str
    classes: tuple[str, ...]
    train: ImageSet
    test: ImageSet
    disjoint: bool
    how: str

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.test.shape

    @cached_property
    def all(self) -> ImageSet:
        """Both parts, `train` first; without what only one of them may have, their groups and the sizes of files."""
        both = (self.train, self.test)
        images, labels, parts = (
            np.concatenate([getattr(images, name) for images in both]) for name in ("images", "labels", "parts")
        )
        origins = self.train.origins + self.test.origins
        return replace(self.train, images=images, labels=labels, parts=parts, origins=origins, classes=self.classes,
                       groups=None, sizes=None)  # fmt: skip


def random_subset(count: int, most: int, seed: int, groups: np.ndarray | None = None) -> np.ndarray:
    """Return the numbers of at most `most` of `count` images, in rising order; whole groups of those with groups."""
    order = keyed_random.order(keyed_random.key(seed, "judge"), count).numpy()
    return np.sort(first_images(order, most, groups))


def at_most(images: ImageSet, most: int, seed: int) -> ImageSet:
    """Return at most so many of the images, the same ones for the same seed."""
    return images if len(images) <= most else images.take(random_subset(len(images), most, seed))


def labelled_as(images: ImageSet, classes: tuple[str, ...]) -> ImageSet:
    """Return the images with labels of these classes, matched by name; unlabelled where a name is not among them."""
    table = np.array([*class_numbers(images.classes, classes), UNLABELLED])
    return replace(images, labels=table[images.labels], classes=classes)


def class_numbers(names: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Return the place of each name among the classes, -1 where it is none of them.

    A name may be in another Unicode form, or as `files.folder_name` spells it for a folder.
    """
    number = {normalize("NFC", name): k for k, name in enumerate(classes)} | {name: k for k, name in enumerate(classes)}
    spelt = ((name, normalize("NFC", name), normalize("NFC", unquote(name))) for name in names)
    return [next((number[form] for form in forms if form in number), UNLABELLED) for forms in spelt]


def _what_loading_did(images: ImageSet) -> list[str]:
    """Return what was left out of the images, converted and doubted, each once."""
    return list(data_notes(images).short)


# --- real images -----------------------------------------------------------------------------------------------------


def read_real(
    source: object,
    *,
    held_out: object = None,
    size: SizeLike = None,
    table: str | Path | None = None,
    label: str | None = None,
    group: object = None,
    most: int,
    seed: int = 0,
    follow_links: bool = False,
    progress: OnProgress = no_progress,
) -> RealImages:
    """Read real images from what `sparring.data.load` takes, or draw them from a generator, and part them.

    With a test part in the source, or with `held_out` (a further source of images that no generator was trained on),
    fakes are compared with these; those that equal a training image, or are of the group of one, are left out.
    Otherwise the images, or their groups, are halved: an extractor learns from one half, and fakes are compared with
    the other, because a network's features of its own training images differ from those of unseen images. table, label:
    of `source`; group: of `held_out`, too. Raises UsageError where all held-out images are among the others, DataError
    where all images are of one group.
    """
    sampler, done = as_generator(source), _reading("real images", progress)
    read = partial(load, follow_links=follow_links, progress=done)
    how_labelled = {"table": table, "label": label, "group": group}
    images = read(source, size=size, limit=SMALL, **how_labelled) if sampler is None else _drawn_by(sampler, most, seed)
    images = resized(images, as_size(size) or images.shape[:2], images.shape[2])
    said, in_test, twins = _what_loading_did(images), images.parts == "test", 0
    disjoint = held_out is not None or bool(in_test.any() and not in_test.all())
    if held_out is not None:
        of_held_out = group if group is None or isinstance(group, str) else "none"
        more = resized(read(held_out, size=images.shape[:2], group=of_held_out), images.shape[:2], images.shape[2])
        test, twins = _without(more, images)
        train, test, how = images, labelled_as(test, images.classes), f"{more.name}, kept apart"
        said += _what_loading_did(more)
    elif disjoint:
        train = images.take(~in_test)
        test, twins = _without(images.take(in_test), train)
        how = "the test part"
    else:
        half = np.zeros(len(images), bool)
        half[random_subset(len(images), len(images) // 2, seed, images.groups)] = True
        if not half.any():
            raise DataError("groups-few", f"all images of {images.name} are of one group: they cannot be halved",
                            fix="give more groups, or --group none")  # fmt: skip
        train, test = images.take(half), images.take(~half)
        how = f"one half{' of the groups' * (images.groups is not None)}; the other is for extractors that learn"
    first = f"compared with {f'{most:,} drawn' if len(test) > most else f'all {len(test):,} images'} of {how}"
    if twins:
        also = ", or are of the group of one," if train.groups is not None and test.groups is not None else ""
        first += f"; {twins:,} more that equal a training image{also} were left out"
    if test.groups is not None:
        said.insert(0, "intervals count images, not groups: for images of new groups they are too narrow")
    return RealImages(
        images.name, images.classes, train, at_most(test, most, seed), disjoint, how="; ".join([first, *said])
    )


def _reading(what: str, progress: OnProgress) -> OnProgress:
    return lambda p: progress(Progress(f"reading {what}", p.done, p.total, news=p.news))


def _without(held_out: ImageSet, training: ImageSet) -> tuple[ImageSet, int]:
    """Return the held-out images that are no training images, nor of a group of these, and how many are."""
    known = set(training.hashes)
    new = np.array([of_image not in known for of_image in held_out.hashes])
    what, fix = "among the training images", "hold out images that no generator was trained on"
    if held_out.groups is not None and training.groups is not None:
        new &= ~np.isin(held_out.groups, training.groups[training.groups != ""])
        what, fix = f"{what}, or of a group of these", f"{fix}, or write --group none"
    if not new.any():
        raise UsageError("held-out", f"all {len(held_out):,} held-out images are {what}", fix=fix)
    return held_out.take(new), int((~new).sum())


def _drawn_by(sampler: Sampler, count: int, seed: int) -> ImageSet:
    """Return images of a generator, classes in turn, to stand for real ones."""
    labels = np.arange(count) % len(sampler.classes) if sampler.spec.labels else np.full(count, UNLABELLED)
    images = sampler.draw(count, labels=labels if sampler.spec.labels else None, seed=seed + 1)
    return _generated(images, labels, sampler.classes, "generated", "generated images")


def _generated(images: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], origin: str, name: str) -> ImageSet:
    origins = tuple(f"{origin}[{i}]" for i in range(len(images)))
    return ImageSet(images, labels, classes, origins, np.full(len(images), "", "<U5"), name)


# --- fakes -----------------------------------------------------------------------------------------------------------


def as_generator(source: object) -> Sampler | None:
    """Return the generator of a Sampler, a run or a model folder; None of anything else.

    Raises UsageError where it needs code of its own that was not run in this process.
    """
    if isinstance(source, Sampler):
        return source
    if isinstance(source, Run):
        return open_generator(source)
    if not is_generator(source):
        return None
    try:
        return read_generator(source)
    except UsageError as error:
        if error.id != "own-code":
            raise
        fix = f"read it, then draw images: sparring sample {source} -n 1000 --out drawn --trust-code, and judge these"
        raise UsageError(error.id, error.problem, fix=fix) from error


def is_generator(source: object) -> TypeGuard[str | Path]:
    """Return whether a path is that of a run or a model folder."""
    names = ("recipe.json", "config.json", "model/config.json")
    return isinstance(source, str | Path) and any((Path(source) / name).is_file() for name in names)


def common_size(samplers: Sequence[Sampler]) -> tuple[int, int] | None:
    """Return the (height, width) that all generators draw; None without any. Raises DataError where they differ."""
    found = {(s.data_spec.height, s.data_spec.width) for s in samplers}
    if len(found) > 1:
        listed = " and ".join(f"{h}x{w}" for h, w in sorted(found))
        raise DataError("sizes", f"these generators draw images of {listed}", fix="give one size for all with --size")
    return next(iter(found), None)


def read_fakes(
    name: str,
    source: object,
    reals: RealImages,
    *,
    seed: int = 0,
    follow_links: bool = False,
    progress: OnProgress = no_progress,
) -> Fakes:
    """Read or draw as many fakes as there are real images to compare with, or all if there are fewer."""
    place = [str(source)] if isinstance(source, str | Path) else []
    most = len(reals.test)
    if (sampler := as_generator(source)) is not None:
        progress(Progress(f"drawing {name}"))
        images, drawn = _sampled(name, sampler, reals, most, seed)
        return Fakes(images, "; ".join([*place, drawn, *_what_loading_did(images)]))
    done = _reading(name, progress)
    loaded = load(source, size=reals.shape[:2], alike=True, follow_links=follow_links, progress=done)
    images = resized(loaded, reals.shape[:2], reals.shape[2])
    count = plural(len(images), "image")
    if repeats := len(images) - len(set(images.hashes)):
        count += f", {repeats:,} of which repeat others"
    if len(images) > most:
        count += f", of which {most:,} were drawn, as many as there are real ones"
    how = "; ".join([*place, count, *_what_loading_did(images), *_unknown_classes(images, reals.classes)])
    return Fakes(at_most(replace(labelled_as(images, reals.classes), name=name), most, seed), how)


def _unknown_classes(images: ImageSet, classes: tuple[str, ...]) -> list[str]:
    """Return what to say of classes that real images do not have."""
    known = zip(images.classes, class_numbers(images.classes, classes), strict=True)
    if not classes or not (names := [name for name, number in known if number == UNLABELLED]):
        return []
    listed = ", ".join(names[:3]) + ", ..." * (len(names) > 3)
    return [f"of their {len(images.classes)} classes {len(names)} ({listed}) are not among the real ones"]


def _sampled(name: str, sampler: Sampler, reals: RealImages, count: int, seed: int) -> tuple[ImageSet, str]:
    """Return images of a generator, and how they were drawn; one that takes labels is asked for classes at random, in
    the proportions of the real images, as new real images would have them."""
    labels, how, chosen = np.full(count, UNLABELLED), f"{count:,} drawn with seed {seed}", None
    if sampler.spec.labels:
        number = {c: k for k, c in enumerate(reals.classes)}
        known = np.array([number.get(c, UNLABELLED) for c in sampler.classes])
        wanted = reals.test.labels[np.isin(reals.test.labels, known[known >= 0])]
        back = {int(k): i for i, k in enumerate(known)}
        if len(wanted):
            at_random = np.random.default_rng([seed, 1]).choice(wanted, count)
            chosen = np.array([back[int(k)] for k in at_random])
            how += ", classes at random in the proportions of the real images"
        else:
            chosen = np.arange(count) % len(sampler.classes)
        labels = known[chosen]
    images = sampler.draw(count, labels=chosen, seed=seed)
    if images.shape[3] != reals.shape[2]:
        theirs, real = ("grey" if channels == 1 else "colour" for channels in (images.shape[3], reals.shape[2]))
        what = f"{name} draws {theirs} images, the real ones are {real}"
        raise DataError("channels", what, fix="judge it against images like those it was trained on")
    made = _generated(images, labels, reals.classes, name, name)
    return resized(made, reals.shape[:2], reals.shape[2]), how
