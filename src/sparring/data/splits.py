"""Which images may be used for fitting, which are kept for the test, and which labels a method gets to see.

Random numbers are keyed by (seed, content of the image): nothing depends on the order or the names of files, and one
image more does not shuffle all others.
"""

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

from ..errors import DataError, FileFormatError, UsageError
from .checks import require_classes
from .imageset import ImageSet
from .labels import UNLABELLED

ROLES = ("train", "test", "out")
CONTRADICTIONS = 0.05  # of the labelled images: more are refused


@dataclass(frozen=True, eq=False)
class Split:
    """A part for fitting and a part for the test, with no picture on both sides.

    train   int64 indices of images that may be used for fitting, labelled and unlabelled
    test    int64 indices of labelled images that are only for the test
    moved   what was decided by duplicates and not by chance: {"origin", "twin", "what"}
    how     the rule, as a sentence
    hashes  content hash of every image of the set
    """

    train: np.ndarray
    test: np.ndarray
    moved: tuple[dict, ...]
    how: str
    hashes: tuple[str, ...]

    def to_json(self) -> dict:
        """JSON-able, keyed by content: which image of the set has which role, in order."""
        roles = np.full(len(self.hashes), ROLES.index("out"))
        roles[self.train], roles[self.test] = ROLES.index("train"), ROLES.index("test")
        images = [[name, ROLES[role]] for name, role in zip(self.hashes, roles.tolist(), strict=True)]
        return {"format": 1, "how": self.how, "moved": list(self.moved), "images": images}

    @classmethod
    def from_json(cls, data: dict, imageset: ImageSet) -> "Split":
        """The stored split for a set of the same images, in whatever order. Raises DataError where they changed."""
        try:
            stored = [(str(name), ROLES.index(role)) for name, role in data["images"]]
            moved, how = tuple(dict(item) for item in data["moved"]), str(data["how"])
        except (KeyError, TypeError, ValueError):
            raise FileFormatError("bad-split", "this is not a stored split", fix="make the split anew") from None
        hashes = imageset.hashes
        if Counter(name for name, _ in stored) != Counter(hashes):
            raise changed(Counter(name for name, _ in stored), Counter(hashes))
        if [name for name, _ in stored] == list(hashes):
            roles = np.array([role for _, role in stored], np.int64)
        else:
            waiting = defaultdict(list)
            for name, role in reversed(stored):
                waiting[name].append(role)
            roles = np.array([waiting[name].pop() for name in hashes], np.int64)
        return cls(np.flatnonzero(roles == 0), np.flatnonzero(roles == 1), moved, how, hashes)


def changed(before: Counter, now: Counter) -> DataError:
    added, removed = (now - before).total(), (before - now).total()
    return DataError(
        "data-changed",
        f"the images are not those of the stored split: {added} new or edited, {removed} gone",
        fix="restore the data, or start anew with another --out",
    )


def split(imageset: ImageSet, *, seed: int = 0, test: float = 0.2) -> Split:
    """The source's own test part, or a stratified, seeded one of `test` x the labelled images of each class.

    Near duplicates are kept on one side. Raises UsageError for `test` outside (0, 1), DataError for sets that cannot be
    split: fewer than two classes, a class too small, labels that contradict each other.
    """
    if isinstance(test, bool) or not isinstance(test, int | float) or not 0 < test < 1:
        raise UsageError("test-share", f"test share {test!r}", fix="give a number between 0 and 1, such as 0.2")
    require_classes(imageset)
    refuse_contradictions(imageset)
    labelled = imageset.labelled
    for part in ("test", "val"):
        if (labelled & (imageset.parts == part)).any():
            made = split_given(imageset, part)
            break
    else:
        made = split_drawn(imageset, seed=seed, share=test)
    require_all_classes(imageset, made)
    return made


def split_given(imageset: ImageSet, part: str) -> Split:
    """The test (or validation) part as it is, less the images that show what an image outside it shows."""
    inside = imageset.parts == part
    cluster = imageset.duplicates.cluster
    twin = dict(zip(cluster[~inside].tolist(), np.flatnonzero(~inside).tolist(), strict=True))
    outside = ~inside & (imageset.parts != "test")  # unlabelled images of a test part are not for training either
    test, moved = [], []
    for i in np.flatnonzero(inside & imageset.labelled).tolist():
        if (other := twin.get(int(cluster[i]))) is None:
            test.append(i)
        else:
            moved.append(note(imageset, i, other, "left out of the test part"))
    unused = int((inside & ~imageset.labelled).sum())
    said = f"the source's {part} part" + (
        ", its val part used for training" if part == "test" and has_val(imageset) else ""
    )
    said += f", {len(moved)} images left out of it that show the same as an image outside" if moved else ""
    said += f", {unused} unlabelled images of it not used" if unused else ""
    return Split(np.flatnonzero(outside), np.array(test, np.int64), tuple(moved), said, imageset.hashes)


def has_val(imageset: ImageSet) -> bool:
    return bool((imageset.parts == "val").any())


def note(imageset: ImageSet, i: int, other: int, what: str) -> dict:
    return {"origin": imageset.origins[i], "twin": imageset.origins[other], "what": what}


def split_drawn(imageset: ImageSet, *, seed: int, share: float) -> Split:
    """Whole clusters of near duplicates are drawn; those of several classes or with unlabelled images go to train.

    `moved`: the images that a draw of single images would have put into the test while a twin was in train.
    """
    usable = imageset.parts != "test"  # only unlabelled ones can be there
    cluster, rank = imageset.duplicates.cluster, [keyed("split", seed, name) for name in imageset.hashes]
    mixed = mixed_clusters(imageset)
    chosen, plain = np.zeros(len(imageset), bool), np.zeros(len(imageset), bool)
    for number in range(len(imageset.classes)):
        members = np.flatnonzero(imageset.labels == number).tolist()
        members.sort(key=lambda i: (rank[i], i))
        wanted = min(max(1, round(share * len(members))), len(members) - 1)
        plain[members[:wanted]] = True
        groups: dict[int, list[int]] = {}
        for i in members:
            groups.setdefault(int(cluster[i]), []).append(i)
        for group in fitting([group for name, group in groups.items() if name not in mixed], wanted, len(members)):
            chosen[group] = True
    said = f"{share:g} of the labelled images of each class, seed {seed}"
    if unused := int((~usable).sum()):
        said += f", {unused} unlabelled images of the test part not used"
    return drawn_split(imageset, chosen, plain, usable, said)


def fitting(groups: list[list[int]], wanted: int, total: int) -> list[list[int]]:
    """Groups in their order as long as they fit into `wanted`; where none does the smallest, if that leaves others."""
    taken = []
    for group in groups:
        if len(group) <= wanted:
            taken.append(group)
            wanted -= len(group)
    if not taken and groups and len(smallest := min(groups, key=len)) < total:
        return [smallest]
    return taken


def drawn_split(imageset: ImageSet, chosen, plain, usable, rule: str) -> Split:
    """With the notes on what plain chance would have torn apart."""
    cluster, moved = imageset.duplicates.cluster, []
    train_twin = {int(cluster[i]): i for i in np.flatnonzero(~plain & usable).tolist()}
    for i in np.flatnonzero(plain).tolist():
        if (other := train_twin.get(int(cluster[i]))) is not None:
            side = "kept together in the test part" if chosen[i] else "moved to the training part"
            moved.append(note(imageset, i, other, side))
    said = rule + (
        f", near duplicates kept on one side ({len(moved)} image{'s' * (len(moved) > 1)} concerned)" if moved else ""
    )
    return Split(np.flatnonzero(~chosen & usable), np.flatnonzero(chosen), tuple(moved), said, imageset.hashes)


def mixed_clusters(imageset: ImageSet) -> set[int]:
    """Clusters that are not of one class."""
    mixed = set()
    for group in imageset.duplicates.near:
        if len(set(imageset.labels[list(group)].tolist())) > 1:
            mixed.add(int(imageset.duplicates.cluster[group[0]]))
    return mixed


def refuse_contradictions(imageset: ImageSet) -> None:
    """Many equal images under two classes: then the labels are wrong, not a few of them."""
    clashing = []
    for group in imageset.duplicates.exact:
        labels = set(imageset.labels[list(group)].tolist()) - {UNLABELLED}
        if len(labels) > 1:
            clashing.append([i for i in group if imageset.labels[i] >= 0])
    count = sum(map(len, clashing))
    if count <= CONTRADICTIONS * imageset.labelled.sum():
        return
    pairs = "; ".join(
        " and ".join(f"{imageset.origins[i]} ({imageset.classes[imageset.labels[i]]})" for i in group[:2])
        for group in clashing[:5]
    )
    raise DataError(
        "two-classes",
        f"{count} images of {imageset.name} lie with equal pixels in several classes: {pairs}",
        fix="decide on one class for each, and remove the copies",
    )


def require_all_classes(imageset: ImageSet, made: Split) -> None:
    """Every class of the test part must be known from training, and a test part that we drew must have every class."""
    train = Counter(imageset.labels[made.train].tolist())
    test = Counter(imageset.labels[made.test].tolist())
    for number, name in enumerate(imageset.classes):
        total = int((imageset.labels == number).sum())
        if test[number] and not train[number]:
            raise DataError(
                "class-unknown",
                f"class {name!r} is in the test part ({test[number]} images) and not in the training part",
                fix="put some of its images into the training part, or remove the class",
            )
        if total and not test[number] and "source's" not in made.how:
            why = (
                "near duplicates of each other or of another class"
                if total > 1
                else "at least two are needed, one of them for the test"
            )
            raise DataError(
                "class-small",
                f"class {name!r} has {total} labelled image{'s' if total != 1 else ''}: {why}",
                fix="add images to this class, remove it, or give the data a test part of its own",
            )
    if not len(made.test):
        raise DataError(
            "test-empty", f"no image is left for the test of {imageset.name}", fix="give test/ images of its own"
        )


def keyed(*names) -> int:
    """64 random bits that depend on the names only."""
    return int.from_bytes(hashlib.blake2b(repr(names).encode(), digest_size=8).digest(), "little")


def label_draw(
    labels, budget: int | str, *, seed: int, repeat: int, classes: tuple[str, ...] | None = None
) -> np.ndarray:
    """int64 [N]: `labels` with all but `budget` per class hidden as -1.

    Stratified, the same for every method, and nested: of one repeat, the smaller draw is part of the larger. "all"
    hides nothing. Raises UsageError naming the class where there are too few; `classes`: names for that sentence.
    """
    labels = np.array(labels, np.int64)
    if budget == "all":
        return labels
    count = as_budget(budget)
    drawn = np.full_like(labels, UNLABELLED)
    for number in np.unique(labels[labels >= 0]).tolist():
        members = np.flatnonzero(labels == number)
        if len(members) < count:
            name = classes[number] if classes and number < len(classes) else str(number)
            raise UsageError(
                "too-few-labels",
                f"class {name!r} has {len(members)} labelled training images, {count} requested",
                fix=f"ask for at most {len(members)} labels a class, or for all",
            )
        order = np.argsort(stream(keyed("labels", seed, repeat, number), len(members)), kind="stable")
        drawn[members[order[:count]]] = number
    return drawn


def as_budget(budget) -> int:
    """A whole number from 1 up. Raises UsageError."""
    text = str(budget).strip()
    if isinstance(budget, bool) or not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise UsageError("label-budget", f"{budget!r} labels a class", fix="give a whole number from 1 up, or all")
    return int(text)


def stream(key: int, count: int) -> np.ndarray:
    """uint64 [count]: SplitMix64 (Steele, Lea & Flood 2014) started at `key`."""
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(key)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
