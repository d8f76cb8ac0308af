"""Are fakes where real images are, and the reverse? Balls around images that reach to their k-th nearest neighbour.

Precision and recall: Kynkaanniemi et al. 2019, arXiv:1904.06991, eq. 1 and 2 (theirs with k = 3). Density and
coverage: Naeem et al. 2020, arXiv:2002.09797, eq. 3 and 4 (theirs with k = 5).
"""

from typing import NamedTuple

import numpy as np

from ..errors import UsageError
from .estimate import Estimate
from .features import doubles, pair, squares


class Neighbours(NamedTuple):
    precision: Estimate  # share of fakes inside the ball of some real image
    recall: Estimate  # share of real images inside the ball of some fake
    density: Estimate  # balls of real images that hold a fake, on average over fakes, over k; may exceed 1
    coverage: Estimate  # share of real images whose ball holds a fake


def neighbours(real: np.ndarray, fake: np.ndarray, *, k: int = 5) -> Neighbours:
    """Of features [N,F] and [M,F]. Raises DataError, and UsageError where k is not below N and M."""
    real, fake = pair(real, fake)
    if not 1 <= k < min(len(real), len(fake)):
        raise UsageError(
            "neighbours-k",
            f"there is no neighbour number {k} among {min(len(real), len(fake))} images",
            fix="choose k of at least 1 and below the number of images",
        )
    near_real, near_fake = radii(real, k), radii(fake, k)
    held = np.zeros(len(fake))  # in how many balls of real images
    holds, inside = np.zeros(len(real), bool), np.zeros(len(real), bool)
    for rows, x in doubles(real):
        for columns, y in doubles(fake):
            apart = squares(x, y).numpy()
            within = apart <= near_real[rows, None]
            held[columns] += within.sum(0)
            holds[rows] |= within.any(1)
            inside[rows] |= (apart <= near_fake[columns]).any(1)
    fakes = (share(x) for x in (held > 0, held / k))
    reals = (share(x) for x in (inside, holds))
    precision, density = (Estimate(value, fake=influences) for value, influences in fakes)
    recall, coverage = (Estimate(value, real=influences) for value, influences in reals)
    return Neighbours(precision, recall, density, coverage)


def share(each: np.ndarray) -> tuple[float, np.ndarray]:
    return float(each.mean()), each - each.mean()


def radii(features: np.ndarray, k: int) -> np.ndarray:
    """[N]: squared distance to the k-th nearest other row."""
    found = np.empty(len(features))
    for rows, x in doubles(features):
        apart = np.concatenate([squares(x, y).numpy() for _, y in doubles(features)], 1)
        apart[np.arange(len(apart)), np.arange(rows.start, rows.stop)] = -1  # itself is the nearest
        found[rows] = np.partition(apart, k, axis=1)[:, k]
    return found
