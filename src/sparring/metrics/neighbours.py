"""Are fakes where real images are, and the reverse? Balls around images that reach to their k-th nearest neighbour.

Precision and recall: Kynkaanniemi et al. 2019, arXiv:1904.06991, eq. 1 and 2 (theirs with k = 3). Density and
coverage: Naeem et al. 2020, arXiv:2002.09797, eq. 3 and 4 (theirs with k = 5). A ball holds what lies on its rim.
"""

from typing import NamedTuple

import numpy as np

from ..errors import UsageError
from .estimate import Estimate, of_counts
from .features import pair
from .nearest import Entries, Points, nearest_others, tiles, under, under_columns


class Neighbours(NamedTuple):
    precision: Estimate  # share of fakes inside the ball of some real image
    recall: Estimate  # share of real images inside the ball of some fake
    density: Estimate  # balls of real images that hold a fake, on average over fakes, over k; may exceed 1
    coverage: Estimate  # share of real images whose ball holds a fake


def neighbours(real: np.ndarray, fake: np.ndarray, *, k: int = 5) -> Neighbours:
    """Of features [N,F] and [M,F]. Raises DataError, and UsageError where k is not below N and M.

    Each pair is looked at once, in float32, and decided again in float64 where rounding could matter. The influences
    are the jackknife's (ours): without an image its ball is gone, and the balls of its neighbours reach to the next
    one. Of the balls that reach an image for the first time then, one is counted.
    """
    real, fake = pair(real, fake)
    if not 1 <= k < min(len(real), len(fake)):
        raise UsageError(
            "neighbours-k",
            f"there is no neighbour number {k} among {min(len(real), len(fake))} images",
            fix="choose k of at least 1 and below the number of images",
        )
    frame = Points.frame(real, fake)
    x, y = Points(real, *frame), Points(fake, *frame)
    of_real, of_fake = Balls(x, y, k), Balls(y, x, k)
    for rows in tiles(len(x)):
        for columns in tiles(len(y)):
            tile = x.tile(rows, y, columns)
            of_real.meet(rows, columns, under(tile, of_real.rims(rows)))
            of_fake.meet(columns, rows, under_columns(tile, of_fake.rims(columns)))
    recall = of_fake.share_held()
    return Neighbours(
        of_real.share_held(),
        Estimate(recall.value, recall.fake, recall.real),
        of_real.density(),
        of_real.share_holding(),
    )


class Balls:
    """Around n centres, to their k-th neighbours, and the rings from there to the next one; m other points in them."""

    def __init__(self, centres: Points, others: Points, k: int):
        self.centres, self.others, self.k = centres, others, k
        near = nearest_others(centres, k=min(k + 1, len(centres) - 1))
        self.squared = near.squared[:, [k - 1, -1]]  # [n,2] radius, and of the next one
        self.near = near.index[:, :k]
        self.holds, self.rings = np.zeros(len(centres)), np.zeros(len(centres))  # points in the ball, in the ring
        self.held = np.zeros(len(others))  # in how many balls
        self.guest, self.holder = np.zeros(len(centres)), np.zeros(len(others))  # sums of numbers: the only one's
        self.ring = np.full(len(others), -1)  # one ball in whose ring it lies

    def rims(self, rows: slice) -> np.ndarray:
        """float32 [rows] from which on no lower bound of a tile means a point of the ball or the ring."""
        found = np.full(rows.stop - rows.start, -np.inf, np.float32)
        outer = self.squared[rows, 1].astype(np.float32)
        found[: len(outer)] = np.nextafter(outer, np.float32(np.inf))
        return found

    def meet(self, rows: slice, columns: slice, entries: Entries) -> None:
        """Entries of a tile: number of the centre in rows, of the other point in columns, lower bound."""
        centre, other = entries[0] + rows.start, entries[1] + columns.start
        apart = self.decided(centre, other, entries[2].astype(np.float64))
        inside, within = (apart <= self.squared[centre, i] for i in (0, 1))
        ball, ring = (centre[inside], other[inside]), (centre[within & ~inside], other[within & ~inside])
        self.holds += counts(ball[0], len(self.centres))
        self.guest += counts(ball[0], len(self.centres), ball[1])
        self.held += counts(ball[1], len(self.others))
        self.holder += counts(ball[1], len(self.others), ball[0])
        self.rings += counts(ring[0], len(self.centres))
        self.ring[ring[1]] = ring[0]

    def decided(self, centre: np.ndarray, other: np.ndarray, lower: np.ndarray) -> np.ndarray:
        """Squared distances, in float64 where a radius lies between the lower bound and the upper."""
        slack = 2 * self.centres.rounding * (self.centres.lengths[centre] + self.others.lengths[other])
        radii = self.squared[centre]
        unsure = np.flatnonzero(((radii >= lower[:, None]) & (radii < (lower + slack)[:, None])).any(1))
        lower[unsure] = self.centres.exact(centre[unsure], self.others, other[unsure])
        return lower

    # Scores, with the influences of centres under `real` and of the other points under `fake`.

    def share_held(self) -> Estimate:
        """Of the other points, in at least one ball."""
        n, m = len(self.centres), len(self.others)
        near = self.near[self.ring]  # whose balls' absence brings the point into the ball of its ring
        gained = (self.held == 0) & (self.ring >= 0)
        kept = (self.ring >= 0) & (near == self.holder[:, None]).any(1)
        lost, won = only(self.held * ~kept, self.holder, n), counts(near[gained].ravel(), n)
        share = (self.held > 0).mean()
        return Estimate(float(share), (n - 1) / m * of_counts(lost - won, lost + won), (self.held > 0) - share)

    def density(self) -> Estimate:
        n, m = len(self.centres), len(self.others)
        won = counts(self.near.ravel(), n, np.repeat(self.rings, self.k))
        value = self.held.mean() / self.k
        of_centres = (n - 1) / m / self.k * of_counts(self.holds - won, self.holds + won)
        return Estimate(float(value), of_centres, self.held / self.k - value)

    def share_holding(self) -> Estimate:
        """Of balls, with at least one of the other points in them."""
        n, m = len(self.centres), len(self.others)
        gained = counts(self.near[(self.holds == 0) & (self.rings > 0)].ravel(), n)
        lost = only(self.holds, self.guest, m)
        share = float((self.holds > 0).mean())
        of_centres = (self.holds > 0) - share - of_counts(gained, gained)
        return Estimate(share, of_centres, (m - 1) / n * of_counts(lost, lost))


def counts(numbers: np.ndarray, size: int, weights: np.ndarray | None = None) -> np.ndarray:
    """float64 [size]: how often each number is there."""
    return np.bincount(numbers, weights, minlength=size).astype(np.float64)


def only(found: np.ndarray, sums: np.ndarray, size: int) -> np.ndarray:
    """[size]: how often a number is the only one found; where one is found the sum of numbers is its number."""
    return counts(sums[found == 1].astype(np.int64), size)
