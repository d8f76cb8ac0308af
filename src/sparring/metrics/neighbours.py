"""Do fakes lie among real images, and real images among fakes? By balls that reach to the k-th nearest neighbour.

Precision and recall: Kynkaanniemi et al. 2019, arXiv:1904.06991, eq. 1 and 2 (with k = 3). Density and coverage: Naeem
et al. 2020, arXiv:2002.09797, eq. 3 and 4 (with k = 5). A point on the rim of a ball counts as inside.
"""

from typing import NamedTuple

import numpy as np

from ..errors import UsageError
from .estimate import Estimate, of_counts
from .features import pair
from .nearest import Entries, Points, entries_below, entries_below_columns, nearest_others, tile_slices


class Neighbours(NamedTuple):
    """Four scores of fakes beside real images.

    precision   share of fakes inside the ball of some real image
    recall      share of real images inside the ball of some fake
    density     number of real images' balls that a fake lies in, mean over fakes, over k; may exceed 1
    coverage    share of real images with a fake in their ball
    """

    precision: Estimate
    recall: Estimate
    density: Estimate
    coverage: Estimate


def neighbours(real: np.ndarray, fake: np.ndarray, *, k: int = 5) -> Neighbours:
    """Return the four scores of features [N,F] and [M,F].

    Each pair is compared once in float32, and again in float64 where rounding could matter. The influences are the
    jackknife's (ours): leaving out centre i deletes its ball, and enlarges the balls that have i among their k nearest.
    A point that several enlarged balls would newly cover is credited to one of them. Raises DataError, and UsageError
    where k is not below N and M.
    """
    real, fake = pair(real, fake)
    if not 1 <= k < min(len(real), len(fake)):
        what = f"there is no neighbour number {k} among {min(len(real), len(fake))} images"
        raise UsageError("neighbours-k", what, fix="choose k of at least 1 and below the number of images")
    frame = Points.frame(real, fake)
    x, y = Points(real, *frame), Points(fake, *frame)
    of_real, of_fake = _Balls(x, y, k), _Balls(y, x, k)
    for rows in tile_slices(len(x)):
        for columns in tile_slices(len(y)):
            tile = x.tile(rows, y, columns)
            of_real.meet(rows, columns, entries_below(tile, of_real.rims(rows)))
            of_fake.meet(columns, rows, entries_below_columns(tile, of_fake.rims(columns)))
    recall = of_fake.share_held()
    recall = Estimate(recall.value, recall.fake, recall.real)
    return Neighbours(of_real.share_held(), recall, of_real.density(), of_real.share_holding())


class _Balls:
    """Balls around n centres to their k-th nearest other centre, rings from there to the next one, and m other points.

    squared        radii [n,2] of each ball and of the ring around it, squared
    near           the k nearest other centres of each, [n,k]
    holds, rings   how many points lie in each ball and in each ring, [n]
    held           in how many balls each point lies, [m]
    guest, holder  sums of the numbers of the points in a ball, [n], and of the balls around a point, [m]: where
                   there is one, the sum is its number
    ring           one ball in whose ring the point lies, [m], or -1
    """

    def __init__(self, centres: Points, others: Points, k: int):
        self.centres, self.others, self.k = centres, others, k
        near = nearest_others(centres, k=min(k + 1, len(centres) - 1))
        self.squared = near.squared[:, [k - 1, -1]]
        self.near = near.index[:, :k]
        self.holds, self.rings = np.zeros(len(centres)), np.zeros(len(centres))
        self.held = np.zeros(len(others))
        self.guest, self.holder = np.zeros(len(centres)), np.zeros(len(others))
        self.ring = np.full(len(others), -1)

    def rims(self, rows: slice) -> np.ndarray:
        """Return float32 [rows]: a pair whose lower bound is not below is outside both ball and ring."""
        found = np.full(rows.stop - rows.start, -np.inf, np.float32)
        outer = self.squared[rows, 1].astype(np.float32)
        found[: len(outer)] = np.nextafter(outer, np.float32(np.inf))
        return found

    def meet(self, rows: slice, columns: slice, entries: Entries) -> None:
        """Count the entries of a tile: number of the centre in rows, of the other point in columns, lower bound."""
        centre, other = entries[0] + rows.start, entries[1] + columns.start
        apart = self.decided(centre, other, entries[2].astype(np.float64))
        inside, within = (apart <= self.squared[centre, i] for i in (0, 1))
        ball, ring = (centre[inside], other[inside]), (centre[within & ~inside], other[within & ~inside])
        self.holds += _counts(ball[0], len(self.centres))
        self.guest += _counts(ball[0], len(self.centres), ball[1])
        self.held += _counts(ball[1], len(self.others))
        self.holder += _counts(ball[1], len(self.others), ball[0])
        self.rings += _counts(ring[0], len(self.centres))
        self.ring[ring[1]] = ring[0]

    def decided(self, centre: np.ndarray, other: np.ndarray, lower: np.ndarray) -> np.ndarray:
        """Return squared distances, in float64 where a radius lies between the lower bound and the upper."""
        slack = 2 * self.centres.rounding * (self.centres.lengths[centre] + self.others.lengths[other])
        radii = self.squared[centre]
        unsure = np.flatnonzero(((radii >= lower[:, None]) & (radii < (lower + slack)[:, None])).any(1))
        lower[unsure] = self.centres.exact(centre[unsure], self.others, other[unsure])
        return lower

    # Scores, with the influences of centres as `real` and of the other points as `fake`.

    def share_held(self) -> Estimate:
        """Return the share of the other points that lie in a ball."""
        n, m = len(self.centres), len(self.others)
        # the centres without any of which the ball would reach out to its ring
        near = self.near[self.ring]
        gained = (self.held == 0) & (self.ring >= 0)
        kept = (self.ring >= 0) & (near == self.holder[:, None]).any(1)
        lost, won = _only(self.held * ~kept, self.holder, n), _counts(near[gained].ravel(), n)
        share = (self.held > 0).mean()
        return Estimate(float(share), (n - 1) / m * of_counts(lost - won, lost + won), (self.held > 0) - share)

    def density(self) -> Estimate:
        """Return the number of balls that a point lies in, mean over points, over k."""
        n, m = len(self.centres), len(self.others)
        won = _counts(self.near.ravel(), n, np.repeat(self.rings, self.k))
        value = self.held.mean() / self.k
        of_centres = (n - 1) / m / self.k * of_counts(self.holds - won, self.holds + won)
        return Estimate(float(value), of_centres, self.held / self.k - value)

    def share_holding(self) -> Estimate:
        """Return the share of balls with one of the other points in them."""
        n, m = len(self.centres), len(self.others)
        gained = _counts(self.near[(self.holds == 0) & (self.rings > 0)].ravel(), n)
        lost = _only(self.holds, self.guest, m)
        share = float((self.holds > 0).mean())
        of_centres = (self.holds > 0) - share - of_counts(gained, gained)
        return Estimate(share, of_centres, (m - 1) / n * of_counts(lost, lost))


def _counts(numbers: np.ndarray, size: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Return float64 [size]: how often each number occurs, or the sum of its weights."""
    return np.bincount(numbers, weights, minlength=size).astype(np.float64)


def _only(found: np.ndarray, sums: np.ndarray, size: int) -> np.ndarray:
    """Return [size]: how often a number is the only one found; `sums` of numbers are that number where one is found."""
    return _counts(sums[found == 1].astype(np.int64), size)
