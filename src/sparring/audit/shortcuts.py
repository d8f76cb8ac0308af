"""Properties that give a class away, or tell the test part from the training part.

For every property and class a rule "has the class, or not" is learned from four fifths of the images and tried on the
others: the property is cut into BINS ranges with as many images each, and a range belongs to the class where it holds a
larger share of its images than of the others. By guessing, half of both are right.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .properties import Property

BINS = 12
FOLDS = 5
FEWEST = 10  # images that a class needs for this
TOLD = 0.75  # share that must be right, the mean over images with and without the class
SURELY = 0.65  # lower end of its 95 % interval


@dataclass(frozen=True)
class Told:
    """How well a property tells the images of a group from the others.

    `right`: of the images of both, the mean share that the rule names rightly when it did not see them, 0.5 by
    guessing; `low`: the lower end of its 95 % interval. `typical`, `others`: medians of the property, in and out of it.
    """

    measure: str
    what: str
    group: str
    right: float
    low: float
    typical: float
    others: float

    @property
    def surely(self) -> bool:
        """Whether this is a shortcut worth a warning."""
        return self.right >= TOLD and self.low >= SURELY


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
    found = [told for each in properties for told in told_by(each, each.values[place], y, fold, wanted, names)]
    return tuple(sorted(found, key=lambda told: -told.right))


def folds(groups: np.ndarray, seed: int) -> np.ndarray:
    """Return the fold of each image, int64 [N]: every group is spread over all folds."""
    order = np.random.default_rng(seed).permutation(len(groups))
    order = order[np.argsort(groups[order], kind="stable")]
    fold = np.empty(len(groups), np.int64)
    fold[order] = np.arange(len(groups)) % FOLDS
    return fold


def told_by(
    found: Property, values: np.ndarray, y: np.ndarray, fold: np.ndarray, wanted: Sequence[int], names: Sequence[str]
) -> list[Told]:
    """Return how well one property tells each wanted group."""
    cells = values.astype(np.int64) if found.names else ranges(values)
    size = (FOLDS, int(cells.max()) + 1, len(names))
    counts = np.zeros(size)  # images by fold, range and group
    np.add.at(counts, (fold, cells, y), 1)
    total = counts.sum(2, keepdims=True)
    seen, seen_total = counts.sum(0) - counts, total.sum(0) - total
    share = seen / seen.sum(1, keepdims=True).clip(1)
    rest = (seen_total - seen) / (seen_total - seen).sum(1, keepdims=True).clip(1)
    belongs = share > rest
    inside = (counts * belongs).sum((0, 1)) / counts.sum((0, 1)).clip(1)
    outside = ((total - counts) * ~belongs).sum((0, 1)) / (total - counts).sum((0, 1)).clip(1)
    told = []
    for k in wanted:
        here = y == k
        n, m, a, b = here.sum(), (~here).sum(), float(inside[k]), float(outside[k])
        error = np.sqrt(a * (1 - a) / n + b * (1 - b) / m) / 2
        medians = (float(np.median(values[here])), float(np.median(values[~here])))
        right = (a + b) / 2
        told.append(Told(found.name, found.what, names[k], round(right, 4), round(right - 1.96 * error, 4), *medians))
    return told


def ranges(values: np.ndarray) -> np.ndarray:
    """Return the range of each value, int64 [N]: BINS of them with about as many values each; equal values share."""
    cuts = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    return np.searchsorted(cuts, values, side="right")
