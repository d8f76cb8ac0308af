"""Properties that give a class away, or tell the test part from the rest, without a look at what the images show.

For every property and class a rule "has the class, or not" is learned from four fifths of the images and tried on the
others: the property is cut into ranges with as many images each, and a range belongs to the class where it holds a
larger share of its images than of the others. By guessing, half of both are right. Parts are told apart by a small
decision tree on one property, or on all of them. Groups and near duplicates are never on both sides.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..records import record
from ..words import listed, plural
from .properties import Property

BINS, IN_A_BIN = 12, 25  # fewer ranges where there are not so many images for each
FOLDS = 5
FEWEST = 10  # images that a class, or a part, needs for this
TOLD = 0.75  # share that must be right, the mean over images with and without the class
APART = 0.65  # share of pairs, one image of each part, in which the parts are told apart
ORDERS, ERRORS = 30, 5  # random orders of the classes, and how far above what they give it must be, in their deviations
TOGETHER = "all of these"


@record
class Shortcut:
    """How well a property tells the images of a class or a part from the others, on images that were held out.

    `of`: "class" or "part". `right`, 0.5 by guessing: of a class, the mean share of images with and without it that are
    named rightly; of a part, the share of pairs, one image of it and one of the rest, that are told apart. `chance`:
    the most that chance may give. `typical`, `others`: medians in and out of the group, where the property is a number.
    """

    measure: str
    what: str
    group: str
    of: str
    right: float
    chance: float
    typical: float | None = None
    others: float | None = None

    @property
    def surely(self) -> bool:
        """Whether a class is told well enough for a warning."""
        return self.right >= max(TOLD, self.chance)


# Classes.


def class_shortcuts(
    properties: Sequence[Property], labels: np.ndarray, names: Sequence[str], clusters: np.ndarray, *, seed: int = 0
) -> tuple[Shortcut, ...]:
    """Return how well each property tells each class from the others, the best told first.

    labels int64 [N], -1 = unlabelled and left out; names of the classes; clusters int64 [N]: images that are of one
    group, or nearly the same. Classes of fewer than FEWEST images, and those that all images belong to, are left out.
    """
    place = np.flatnonzero(labels >= 0)
    y = labels[place]
    counts = np.bincount(y, minlength=len(names))
    wanted = [k for k in range(len(names)) if FEWEST <= counts[k] <= len(y) - FEWEST]
    if not wanted:
        return ()
    fold, rng = folds(y, clusters[place], seed), np.random.default_rng(seed)
    orders = [rng.permutation(len(y)) for _ in range(ORDERS)]
    known = [replace(each, values=each.values[place]) for each in properties]
    wider = np.sqrt(images_alike(clusters[place]))
    found = [told for each in known for told in told_by(each, y, fold, orders, wider, wanted, names)]
    return tuple(sorted(found, key=lambda told: -told.right))


def folds(y: np.ndarray, clusters: np.ndarray, seed: int) -> np.ndarray:
    """Return the fold of each image, int64 [N]: clusters stay whole, and those of each class are over all folds."""
    _, first, cluster = np.unique(clusters, return_index=True, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(first))
    order = order[np.argsort(y[first][order], kind="stable")]
    fold = np.empty(len(first), np.int64)
    fold[order] = np.arange(len(first)) % FOLDS
    return fold[cluster]


def images_alike(clusters: np.ndarray) -> float:
    """Return the size of the cluster of an image, the mean over images: what they count for less (Kish 1965)."""
    sizes = np.unique(clusters, return_counts=True)[1]
    return float((sizes**2).sum() / sizes.sum())


def told_by(
    found: Property,
    y: np.ndarray,
    fold: np.ndarray,
    orders: Sequence[np.ndarray],
    wider: float,
    wanted: Sequence[int],
    names: Sequence[str],
) -> Iterator[Shortcut]:
    """Yield how well one property tells each wanted class; chance varies `wider` times as much as in these orders."""
    cells = found.values.astype(np.int64) if found.names else ranges(found.values)
    right = rightly_told(cells, y, fold, len(names))
    # The cells are shuffled, not the classes: these are spread over the folds.
    null = np.array([rightly_told(cells[order], y, fold, len(names)) for order in orders])
    chance = null.mean(0) + ERRORS * wider * null.std(0, ddof=1)
    for k in wanted:
        here = y == k
        yield Shortcut(
            found.name, found.what, names[k], "class", round(float(right[k]), 4), round(float(chance[k]), 4),
            *medians(found, here),
        )  # fmt: skip


def medians(found: Property, here: np.ndarray) -> tuple[float, ...]:
    if found.names:
        return ()
    return float(np.median(found.values[here])), float(np.median(found.values[~here]))


def rightly_told(cells: np.ndarray, y: np.ndarray, fold: np.ndarray, classes: int) -> np.ndarray:
    """Return the share that is named rightly by the range, the mean of a class and the rest: float64 [classes]."""
    counts = np.zeros((FOLDS, int(cells.max()) + 1, classes))  # images by fold, range and class
    np.add.at(counts, (fold, cells, y), 1)
    total = counts.sum(2, keepdims=True)
    seen, seen_total = counts.sum(0) - counts, total.sum(0) - total
    share = seen / seen.sum(1, keepdims=True).clip(1)
    rest = (seen_total - seen) / (seen_total - seen).sum(1, keepdims=True).clip(1)
    belongs = share > rest
    inside = (counts * belongs).sum((0, 1)) / counts.sum((0, 1)).clip(1)
    outside = ((total - counts) * ~belongs).sum((0, 1)) / (total - counts).sum((0, 1)).clip(1)
    return (inside + outside) / 2


def ranges(values: np.ndarray) -> np.ndarray:
    """Return the range of each value, int64 [N]: as many values each, at least IN_A_BIN; equal values share one."""
    bins = max(2, min(BINS, len(values) // IN_A_BIN))
    cuts = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.searchsorted(cuts, values, side="right")


# Parts.


def part_shortcuts(
    properties: Sequence[Property], here: np.ndarray, name: str, clusters: np.ndarray
) -> tuple[Shortcut, ...]:
    """Return the properties that surely tell the part `here`, bool [N], from the rest, the best first.

    The first is all of them together; where these do not tell the part, nothing does.
    """
    if not properties or min(here.sum(), (~here).sum()) < FEWEST:
        return ()
    split = held_out_folds(here.astype(int), clusters)
    chance = round(pairs_by_chance(here, clusters), 4)

    def told(measure: str, what: str, values: np.ndarray, *typical: float) -> Shortcut:
        right = round(pairs_in_order(here, tree_says(values, here.astype(int), split)), 4)
        return Shortcut(measure, what, name, "part", right, chance, *typical)

    names = f"{listed([p.name for p in properties])} together"
    together = told(TOGETHER, names, np.stack([each.values for each in properties], 1).astype(float))
    if together.right < max(APART, chance):
        return ()
    each = [told(p.name, p.what, p.values[:, None].astype(float), *medians(p, here)) for p in properties]
    each = sorted((one for one in each if one.right >= max(APART, chance)), key=lambda one: -one.right)
    return (together, *each)


def pairs_in_order(here: np.ndarray, score: np.ndarray) -> float:
    """Return the share of pairs, one image in and one out of `here` bool [N], of which the first scores higher."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(here, score))


def pairs_by_chance(here: np.ndarray, clusters: np.ndarray) -> float:
    """Return the most that chance gives of this share: 4 standard errors (Mann & Whitney 1947) above a half."""
    inside, outside = (len(np.unique(clusters[side])) for side in (here, ~here))
    return 0.5 + 4 * float(np.sqrt((inside + outside + 1) / (12 * inside * outside)))


def held_out_folds(y: np.ndarray, clusters: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (train, held out) of folds that keep clusters whole; [] where there are too few."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    units = len(np.unique(clusters))
    count = min(FOLDS, int(np.bincount(y).min()), units)
    if count < 2:
        return []
    if units == len(y):  # the same, and faster
        return list(StratifiedKFold(count, shuffle=True, random_state=0).split(y, y))
    found = StratifiedGroupKFold(count, shuffle=True, random_state=0).split(y, y, clusters)
    return [fold for fold in found if all(map(len, fold))]


def tree_says(values: np.ndarray, y: np.ndarray, split: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return the probability [N] of y = 1 of held-out values [N,F] by a small decision tree."""
    from sklearn.tree import DecisionTreeClassifier

    score = np.full(len(y), 0.5)
    for train, held in split:
        tree = DecisionTreeClassifier(max_depth=6, min_samples_leaf=5, class_weight="balanced", random_state=0)
        tree.fit(values[train], y[train])
        proba = np.asarray(tree.predict_proba(values[held]))
        score[held] = proba @ tree.classes_
    return score


# In words.


def shortcut_words(told: Shortcut) -> str:
    """Return what a property gives away, as a sentence."""
    if told.of == "part":
        return (
            f"{told.what} tell{'s' * (told.measure != TOGETHER)} the {told.group} part from the rest: of 100 pairs of "
            f"images, one of each, {100 * told.right:.0f} are told apart, 50 by guessing"
        )
    return (
        f"{told.what} alone tells class {told.group} from the others: right in {100 * told.right:.0f} of 100, 50 by "
        "guessing"
    )


def shortcut_sentences(found: Iterable[Shortcut], classes: int) -> Iterator[str]:
    """Yield a sentence for each property, about the one of these `classes` that it tells best, and one for each part.

    found: the best told first, and of a part all properties together, as the functions above return them.
    """
    by_what: dict[tuple[str, str], list[Shortcut]] = {}
    for told in found:
        by_what.setdefault((told.of, told.measure if told.of == "class" else told.group), []).append(told)
    for (of, _), each in by_what.items():
        more = ""
        if of == "part" and len(each) > 1:
            more = f" ({each[1].measure} alone {100 * each[1].right:.0f})"
        elif of == "class" and len(each) > 1 and classes > 2:
            more = f" (and {plural(len(each) - 1, 'more class', 'more classes')})"
        yield shortcut_words(each[0]) + more
