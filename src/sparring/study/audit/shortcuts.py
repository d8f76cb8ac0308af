"""Properties that give a class away, or tell the test part from the training part.

For every property and class a rule "has the class, or not" is learned from four fifths of the images and tried on the
others: the property is cut into ranges with as many images each, and a range belongs to the class where it holds a
larger share of its images than of the others. By guessing, half of both are right.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .properties import Property

BINS, IN_A_BIN = 12, 25  # fewer ranges where there are not so many images for each
FOLDS = 5
FEWEST = 10  # images that a class needs for this
TOLD = 0.75  # share that must be right, the mean over images with and without the class
ORDERS, ERRORS = 30, 5  # random orders of the classes, and how far above what they give it must be, in their deviations


@dataclass(frozen=True)
class Told:
    """How well a property tells the images of a group from the others.

    `right`: of the images of both, the mean share that the rule names rightly when it did not see them, 0.5 by
    guessing; `chance`: what classes in random order give, and ERRORS deviations more. `typical`, `others`: medians of
    the property, in and out of the group.
    """

    measure: str
    what: str
    group: str
    right: float
    chance: float
    typical: float
    others: float

    @property
    def surely(self) -> bool:
        """Whether this is a shortcut worth a warning."""
        return self.right >= max(TOLD, self.chance)


def shortcuts(
    properties: Sequence[Property], groups: np.ndarray, names: Sequence[str], *, seed: int = 0
) -> tuple[Told, ...]:
    """Return how well each property tells each group from the others, the best told first.

    groups int64 [N], -1 = belongs to none and is left out; names of the groups. Groups of fewer than FEWEST images, and
    those that all images belong to, are left out.
    """
    place = np.flatnonzero(groups >= 0)
    y = groups[place]
    counts = np.bincount(y, minlength=len(names))
    wanted = [k for k in range(len(names)) if FEWEST <= counts[k] <= len(y) - FEWEST]
    if not wanted:
        return ()
    fold = folds(y, seed)
    fold, rng = folds(y, seed), np.random.default_rng(seed)
    orders = [rng.permutation(len(y)) for _ in range(ORDERS)]
    found = [told for each in properties for told in told_by(each, each.values[place], y, fold, orders, wanted, names)]
    return tuple(sorted(found, key=lambda told: -told.right))


def folds(groups: np.ndarray, seed: int) -> np.ndarray:
    """Return the fold of each image, int64 [N]: every group is spread over all folds."""
    order = np.random.default_rng(seed).permutation(len(groups))
    order = order[np.argsort(groups[order], kind="stable")]
    fold = np.empty(len(groups), np.int64)
    fold[order] = np.arange(len(groups)) % FOLDS
    return fold


def told_by(
    found: Property,
    values: np.ndarray,
    y: np.ndarray,
    fold: np.ndarray,
    orders: Sequence[np.ndarray],
    wanted: Sequence[int],
    names: Sequence[str],
) -> Iterator[Told]:
    """Yield how well one property tells each wanted group."""
    cells = values.astype(np.int64) if found.names else ranges(values)
    right = rightly_told(cells, y, fold, len(names))
    # The cells are shuffled, not the classes: these are spread over the folds.
    null = np.array([rightly_told(cells[order], y, fold, len(names)) for order in orders])
    chance = null.mean(0) + ERRORS * null.std(0, ddof=1)
    for k in wanted:
        here = y == k
        medians = float(np.median(values[here])), float(np.median(values[~here]))
        yield Told(found.name, found.what, names[k], round(float(right[k]), 4), round(float(chance[k]), 4), *medians)


def rightly_told(cells: np.ndarray, y: np.ndarray, fold: np.ndarray, groups: int) -> np.ndarray:
    """Return the share that is named rightly by the range, the mean of a group and the rest: float64 [groups]."""
    counts = np.zeros((FOLDS, int(cells.max()) + 1, groups))  # images by fold, range and group
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
