"""Which images may be used for fitting, which are kept for the test, and which labels a method gets to see.

Random numbers are keyed by (seed, content of the image). So nothing depends on the order or the names of files, and one
more image does not shuffle all others.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .. import keyed_random
from ..errors import DataError, UsageError
from ..words import plural
from .checks import contradictions, require_classes, with_classes
from .imageset import ImageSet
from .labels import UNLABELLED
from .names import CHOSEN

CONTRADICTIONS = 0.05  # of the labelled images: more are refused


@dataclass(frozen=True)
class MovedImage:
    """An image whose side a duplicate, or its group, decided: where it comes from, its twin, and what was done."""

    origin: str
    twin: str
    what: str


@dataclass(frozen=True, eq=False)
class Split:
    """A part for fitting and a part for the test, with no picture and no group on both sides.

    train  int64 indices of images that may be used for fitting, labelled and unlabelled
    test   int64 indices of labelled images that are only for the test
    moved  the images whose side a duplicate decided, not chance
    part   the source's own part that is the test, "" where images were chosen at random
    how    the rule, as a sentence
    """

    train: np.ndarray
    test: np.ndarray
    moved: tuple[MovedImage, ...]
    part: str
    how: str


@dataclass(frozen=True)
class EarlierParts:
    """What an earlier study did with which images, by their hashes (`ImageSet.hashes`).

    test    its test part
    labels  the training images whose labels it had; None where that is not known: then it may have had all others
    """

    test: frozenset[str]
    labels: frozenset[str] | None = None


def split(imageset: ImageSet, *, seed: int = 0, test: float = 0.2, earlier: EarlierParts | None = None) -> Split:
    """Return the source's own test part, or a stratified, seeded one of `test` x the labelled images of each class.

    Near duplicates and groups are kept on one side. Images that were chosen for labelling, which are no random sample,
    are never for the test. `earlier`: of a source without a test part, what was for the test before is for the test
    again, and what had its label learned from is not. Raises UsageError for `test` outside (0, 1), DataError for sets
    that cannot be split: fewer than two classes, a class or its groups too few, labels that contradict each other, a
    class of chosen images only.
    """
    if isinstance(test, bool) or not isinstance(test, int | float) or not 0 < test < 1:
        raise UsageError("test-share", f"test share {test!r}", fix="give a number between 0 and 1, such as 0.2")
    require_classes(imageset)
    _refuse_contradictions(imageset)
    labelled = imageset.parts[imageset.labelled]
    part = next((part for part in ("test", "val") if part in labelled), "")
    if CHOSEN in labelled and not part:
        _refuse_only_chosen(imageset)
    if part:
        made = _source_split(imageset, part)
    elif earlier is None and imageset.groups is not None:
        made = _group_split(imageset, seed=seed, share=test)
    elif earlier is None:
        made = _random_split(imageset, seed=seed, share=test)
    else:
        made = _split_again(imageset, earlier, seed=seed, share=test)
    if chosen := int((labelled == CHOSEN).sum()):
        made = replace(made, how=f"{made.how}, {plural(chosen, 'image')} chosen for labelling kept for training")
    _require_all_classes(imageset, made)
    return made


def _source_split(imageset: ImageSet, part: str) -> Split:
    """Return the test (or validation) part as it is, less the images that show what an image outside it shows, or are
    of the group of one."""
    inside = imageset.parts == part
    cluster = imageset.clusters
    twin = dict(zip(cluster[~inside].tolist(), np.flatnonzero(~inside).tolist(), strict=True))
    outside = ~inside & (imageset.parts != "test")  # unlabelled images of a test part are not for training either
    test, moved = [], []
    for i in np.flatnonzero(inside & imageset.labelled).tolist():
        if (other := twin.get(int(cluster[i]))) is None:
            test.append(i)
        else:
            moved.append(MovedImage(imageset.origins[i], imageset.origins[other], "left out of the test part"))
    unused = int((inside & ~imageset.labelled).sum())
    how = f"the source's {part} part"
    how += ", its val part used for training" if part == "test" and "val" in imageset.parts else ""
    why = "show the same as an image outside" + (", or are of its group" if imageset.groups is not None else "")
    how += f", {len(moved)} images left out of it that {why}" if moved else ""
    how += f", {unused} unlabelled images of it not used" if unused else ""
    return Split(np.flatnonzero(outside), np.array(test, np.int64), tuple(moved), part, how)


def _random_split(imageset: ImageSet, *, seed: int, share: float) -> Split:
    """Return a split that takes whole clusters of near duplicates at random.

    Clusters of several classes, with unlabelled or with chosen images go to train.
    `moved`: the images that chance, image by image, would have put into the test while a twin was in train.
    """
    usable = imageset.parts != "test"  # only unlabelled ones can be there
    cluster, labels = imageset.duplicates.cluster, imageset.labels
    several = _for_training(imageset)
    chosen, by_chance = np.zeros(len(imageset), bool), np.zeros(len(imageset), bool)
    for number in range(len(imageset.classes)):
        members = _shuffled(imageset, np.flatnonzero(labels == number), seed)
        wanted = min(max(1, round(share * len(members))), len(members) - 1)
        by_chance[members[:wanted]] = True
        groups = _by_cluster(cluster, members)
        for group in _fitting([group for name, group in groups.items() if name not in several], wanted, len(members)):
            chosen[group] = True
    moved = []
    train_twin = {int(cluster[i]): i for i in np.flatnonzero(~by_chance & usable).tolist()}
    for i in np.flatnonzero(by_chance).tolist():
        if (other := train_twin.get(int(cluster[i]))) is not None:
            what = "kept together in the test part" if chosen[i] else "moved to the training part"
            moved.append(MovedImage(imageset.origins[i], imageset.origins[other], what))
    how = f"{share:g} of the labelled images of each class, seed {seed}"
    if unused := int((~usable).sum()):
        how += f", {unused} unlabelled images of the test part not used"
    if moved:
        how += f", near duplicates kept on one side ({len(moved)} image{'s' * (len(moved) > 1)} concerned)"
    return Split(np.flatnonzero(~chosen & usable), np.flatnonzero(chosen), tuple(moved), "", how)


def _group_split(imageset: ImageSet, *, seed: int, share: float) -> Split:
    """Return a split that takes whole clusters at random, groups with their near duplicates, as many as fit.

    A cluster may hold several classes. Where none fits that has a class, the smallest does that leaves every class in
    training. Unlabelled images of a cluster that is for the test are for nothing.
    """
    labels, usable = imageset.labels, imageset.parts != "test"  # only unlabelled ones can be in such a part
    first, place = np.unique(imageset.clusters, return_inverse=True)
    counts = np.zeros((len(first), len(imageset.classes)), np.int64)
    np.add.at(counts, (place[imageset.labelled], labels[imageset.labelled]), 1)
    total = counts.sum(0)
    wanted = np.clip(np.round(share * total), np.minimum(total, 1), np.maximum(total - 1, 0)).astype(int)
    content = [""] * len(first)  # of the image whose hash comes first: large clusters have no better chance
    for cluster, name in zip(place.tolist(), imageset.hashes, strict=True):
        content[cluster] = min(content[cluster] or name, name)
    rank = [keyed_random.key("split", seed, name) % 2**64 for name in content]
    closed = np.zeros(len(first), bool)
    closed[place[imageset.parts == CHOSEN]] = True
    order = [c for c in sorted(range(len(first)), key=lambda c: (rank[c], c)) if counts[c].any() and not closed[c]]
    taken = _fitting_clusters(counts, order, wanted)
    if taken.sum() == 1:  # of several classes; two at least are for the test, where there are others
        taken = _fitting_clusters(counts, [c for c in order if not taken[c]], wanted)
    inside = taken[place]
    test, train = inside & imageset.labelled, ~inside & usable
    of_test, of_all = len(set(place[test].tolist())), int(counts.any(1).sum())
    how = f"{share:g} of the labelled images of each class, seed {seed}, "
    how += f"whole groups: {of_test} of {of_all} in the test part"
    if unused := int((~test & ~train).sum()):
        how += f", {unused} unlabelled images of the test part or of its groups not used"
    return Split(np.flatnonzero(train), np.flatnonzero(test), (), "", how)


def _fitting_clusters(counts: np.ndarray, order: list[int], wanted: np.ndarray) -> np.ndarray:
    """Return bool [M]: clusters, in their order, whose counts [M,K] fit into `wanted` [K] of each class together.

    Of a class of which none fits, the smallest cluster that leaves every class one outside.
    """
    total, taken, inside = counts.sum(0), np.zeros(len(counts), bool), np.zeros_like(wanted)

    def fits(c: int, most: np.ndarray) -> bool:
        return bool((inside + counts[c] <= most)[counts[c] > 0].all())

    for c in order:
        if fits(c, wanted):
            taken[c], inside = True, inside + counts[c]
    for number in np.argsort((counts > 0).sum(0), kind="stable").tolist():
        if not inside[number]:
            possible = [c for c in order if counts[c, number] and fits(c, total - 1)]
            if possible:  # else `_require_all_classes` says that there is none
                c = min(possible, key=lambda c: counts[c].sum())
                taken[c], inside = True, inside + counts[c]
    return taken


def _split_again(imageset: ImageSet, earlier: EarlierParts, *, seed: int, share: float) -> Split:
    """Return a split in which the images of an earlier test part are for the test, and others where these are too few.

    A cluster with an image of that test part is for the test as a whole, without what has no label; nothing of it is
    for training. Where a label of the cluster was learned from, its images of that test part are left out instead.
    A class without any other image for the test takes some whose label was learned from.
    """
    cluster, labels, hashes = imageset.clusters, imageset.labels, imageset.hashes
    tested = np.array([name in earlier.test for name in hashes], bool)
    held = np.isin(cluster, cluster[tested])
    known = earlier.labels
    learned = ~held if known is None else np.array([name in known for name in hashes], bool)
    seen = np.isin(cluster, cluster[learned])
    chosen = held & ~seen & imageset.labelled
    out = (held & ~seen & ~imageset.labelled) | (held & seen & tested)
    kept, closed = int(chosen.sum()), _for_training(imageset)
    for number in range(len(imageset.classes)):
        members = _shuffled(imageset, np.flatnonzero((labels == number) & ~out), seed)
        wanted = min(max(1, round(share * len(members))), len(members) - 1) - int(chosen[members].sum())
        groups = _by_cluster(cluster, [i for i in members if not chosen[i]])
        free = [group for name, group in groups.items() if name not in closed]
        fresh = [group for group in free if not seen[group[0]]]
        small = [group for group in fresh if len(group) <= wanted]
        choices = [small] if chosen[members].any() else [fresh, free]
        for group in next((found for some in choices if (found := _fitting(some, wanted, len(members)))), []):
            chosen[group] = True
    moved = []
    for i in np.flatnonzero(out & imageset.labelled).tolist():
        twin = int(np.flatnonzero(learned & (cluster == cluster[i]))[0])
        moved.append(MovedImage(imageset.origins[i], imageset.origins[twin], "left out of both parts"))
    how = f"{kept} images of an earlier study's test part or alike, and {int(chosen.sum()) - kept} more"
    how += f" up to {share:g} of the labelled images of each class, seed {seed}"
    how += f", {int(out.sum())} images left out of both parts" if out.any() else ""
    how += ", none that may have been in its training part" if known is None else ""
    rest = ~chosen & ~out & (imageset.parts != "test")  # only unlabelled ones can be in such a part
    return Split(np.flatnonzero(rest), np.flatnonzero(chosen), tuple(moved), "", how)


def _for_training(imageset: ImageSet) -> set[int]:
    """Return the clusters that have several classes, images without a label, or images chosen for labelling."""
    pairs = np.unique(np.stack([imageset.clusters, imageset.labels]), axis=1)[0]
    return {*pairs[:-1][pairs[1:] == pairs[:-1]].tolist(), *imageset.clusters[imageset.parts == CHOSEN].tolist()}


def _shuffled(imageset: ImageSet, members: np.ndarray, seed: int) -> list[int]:
    """Return these images in the random order of the seed and of their content."""
    rank = {i: keyed_random.key("split", seed, imageset.hashes[i]) % 2**64 for i in members.tolist()}
    return sorted(rank, key=lambda i: (rank[i], i))


def _by_cluster(cluster: np.ndarray, members: Sequence[int]) -> dict[int, list[int]]:
    """Return the members of each cluster, in their order."""
    groups: dict[int, list[int]] = {}
    for i in members:
        groups.setdefault(int(cluster[i]), []).append(i)
    return groups


def _fitting(groups: list[list[int]], wanted: int, total: int) -> list[list[int]]:
    """Return groups in their order as long as they fit into `wanted`; where none does, the smallest if some remain."""
    taken = []
    for group in groups:
        if len(group) <= wanted:
            taken.append(group)
            wanted -= len(group)
    if not taken and groups and len(smallest := min(groups, key=len)) < total:
        return [smallest]
    return taken


def _refuse_contradictions(imageset: ImageSet) -> None:
    """Raise DataError for many equal images under two classes: then the labels are wrong, not a few of them."""
    clashes = contradictions(imageset)
    count = sum(map(len, clashes))
    if count <= CONTRADICTIONS * imageset.labelled.sum():
        return
    pairs = "; ".join(" and ".join(with_classes(imageset, group[:2])) for group in clashes[:5])
    raise DataError(
        "two-classes",
        f"{count} images of {imageset.name} lie with equal pixels in several classes: {pairs}",
        fix="decide on one class for each, and remove the copies",
    )


def _refuse_only_chosen(imageset: ImageSet) -> None:
    """Raise DataError where all labelled images of a class were chosen for labelling: none may be tested on."""
    chosen = imageset.parts == CHOSEN
    for number, name in enumerate(imageset.classes):
        members = imageset.labels == number
        if (members & chosen).any() and not (members & ~chosen).any():
            raise DataError(
                "test-chosen",
                f"all {int(members.sum())} labelled images of class {name!r} were chosen for labelling: they are no "
                "random sample, so nothing can be tested on them",
                fix="label some random images as a test part, which sparring next DATA --test 50 draws, or use "
                "sparring fit, which tests nothing",
            )


def _require_all_classes(imageset: ImageSet, made: Split) -> None:
    """Raise DataError where a class of the test part is not in training, or a random test part lacks a class."""
    train = Counter(imageset.labels[made.train].tolist())
    test = Counter(imageset.labels[made.test].tolist())
    grouped = imageset.groups is not None
    for number, name in enumerate(imageset.classes):
        total = int((imageset.labels == number).sum())
        if test[number] and not train[number]:
            raise DataError(
                "class-unknown",
                f"class {name!r} is in the test part ({test[number]} images) and not in the training part",
                fix="put some of its images into the training part, or remove the class",
            )
        if total and not test[number] and not made.part:
            why = "near duplicates of each other or of another class"
            why = "they are of one group, or of groups that other classes need" if grouped else why
            why = why if total > 1 else "at least two are needed, one of them for the test"
            raise DataError(
                "class-small",
                f"class {name!r} has {total} labelled image{'s' if total != 1 else ''}: {why}",
                fix=f"add {'groups' if grouped else 'images'} to this class, remove it, or give the data a test part "
                "of its own",
            )
    if not len(made.test):
        why = ": its groups have images in the training part, too" if grouped and made.moved else ""
        raise DataError(
            "test-empty",
            f"no image is left for the test of {imageset.name}{why}",
            fix="give test/ images of its own" + (", or no parts, so that whole groups are drawn" if why else ""),
        )
    if grouped and len(np.unique(imageset.clusters[made.test])) < 2:
        raise DataError(
            "groups-few",
            f"all images of the test part of {imageset.name} are of one group: nothing can be said about new groups",
            fix="give more groups, or a larger share for the test",
        )


def label_draw(
    labels: np.ndarray | Sequence[int],
    budget: int | str,
    *,
    seed: int,
    repeat: int,
    classes: Sequence[str] | None = None,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """Return int64 [N]: `labels` with all but `budget` of each class hidden as -1.

    Stratified, the same for every method, and nested: of one repeat, the smaller draw is part of the larger. "all"
    hides nothing. groups [N]: equal for images of one group; the images of a class come from as many groups as there
    are, the second of one after the first of every other. Raises UsageError with the class that has too few; `classes`:
    names for that sentence.
    """
    labels = np.array(labels, np.int64)
    asked = as_budget(budget)
    if asked == "all":
        return labels
    count = int(asked)
    kept = np.full_like(labels, UNLABELLED)
    for number in np.unique(labels[labels >= 0]).tolist():
        members = np.flatnonzero(labels == number)
        if len(members) < count:
            name = classes[number] if classes and number < len(classes) else str(number)
            raise UsageError(
                "too-few-labels",
                f"class {name!r} has {len(members)} labelled training images, {count} requested",
                fix=f"ask for at most {len(members)} labels a class, or for all",
            )
        key = keyed_random.key("labels", seed, repeat, number)
        order = np.argsort(keyed_random.random_integers(key, len(members)), kind="stable")
        if groups is not None:
            order = order[np.argsort(_turns(groups[members[order]]), kind="stable")]
        kept[members[order[:count]]] = number
    return kept


def _turns(groups: np.ndarray) -> np.ndarray:
    """Return int64 [N]: how many of the same group come before each."""
    seen: Counter = Counter()
    turns = np.empty(len(groups), np.int64)
    for place, group in enumerate(groups.tolist()):
        turns[place], seen[group] = seen[group], seen[group] + 1
    return turns


def as_budget(budget: object) -> str:
    """Return labels per class as text, a whole number from 1 up or "all". Raises UsageError."""
    text = str(budget).strip() if isinstance(budget, int | str | np.integer) and not isinstance(budget, bool) else ""
    if text == "all" or (text.isascii() and text.isdecimal() and int(text) > 0):
        return text if text == "all" else str(int(text))
    table = " (a file of labels is table=)" if str(budget).endswith(".csv") else ""
    shown = str(budget) if isinstance(budget, Path) else budget
    raise UsageError("label-budget", f"{shown!r} labels a class", fix=f"give a whole number from 1 up, or all{table}")
