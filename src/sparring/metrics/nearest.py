"""Exact nearest neighbours from float32 products, a tile of pairs at a time.

A tile holds lower bounds of squared distances: |a|^2 + |b|^2 - 2 a.b of centred features in float32, less the bound on
rounding. One matrix product gives them. Few pairs of a tile matter; they are found by the minima of groups of 16 rows
or columns, so the tile is read once. Pairs that may be near enough are computed again in float64 from the features as
they are, so results are those of float64. The bound is that of a dot product (Higham 2002, Accuracy and Stability of
Numerical Algorithms, section 3.1); the rest is ours.

scikit-learn's NearestNeighbors(algorithm="brute") finds the same neighbours in 1.2 to 2.2 times the processor time, and
has nothing for balls of different radii: see benchmarks/results/judge.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .features import row_chunks

TILE, GROUP = 2048, 16  # rows and columns of a tile; entries of a group
SPARE = 3  # candidates beyond the neighbours asked for, as rounding can change their order
NEVER = np.float32(1e30)  # stands for infinity: the distance to itself, and to rows that only fill a group
# of a tile: the row (or column) that neighbours are sought for, the other, the value
Entries = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Points:
    """Features [N,F], and what float32 products need of them.

    That is rows centred and scaled by a power of 2, with two more columns, and empty rows up to a multiple of GROUP.
    Sets that are compared have one `centre` [F] and one `scale`.
    """

    features: np.ndarray
    centre: np.ndarray
    scale: float

    @staticmethod
    def frame(features: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, float]:
        """Return a centre and a scale for these sets: the mean of the first; the largest entries come near 1."""
        largest = max(float(np.abs(part[rows]).max()) for part in (features, *others) for rows in row_chunks(len(part)))
        return features.mean(0, dtype=np.float64), float(2.0 ** -np.ceil(np.log2(max(2 * largest, 1e-300))))

    def __len__(self) -> int:
        return len(self.features)

    @property
    def rounding(self) -> float:
        """The bound of |float32 result - squared distance| over |a|^2 + |b|^2."""
        return (2 * self.features.shape[1] + 16) * 2.0**-24

    @cached_property
    def lengths(self) -> np.ndarray:
        """Squared lengths of the centred and scaled rows, float64 [N]."""
        return np.concatenate([np.square(self.scaled(rows)).sum(1) for rows in row_chunks(len(self))])

    def scaled(self, rows: slice | np.ndarray) -> np.ndarray:
        return (self.features[rows] - self.centre) * self.scale

    @cached_property
    def left(self) -> np.ndarray:
        """The left factor of a tile, float32 [N',F+2]: x, |x|^2 less rounding, 1."""
        width = self.features.shape[1]
        found = np.zeros((-(-len(self) // GROUP) * GROUP, width + 2), np.float32)
        for rows in row_chunks(len(self)):
            found[rows, :width] = self.scaled(rows)
        found[:, width] = NEVER
        found[: len(self), width] = self.lengths * (1 - self.rounding)
        found[:, width + 1] = 1
        return found

    def right(self, rows: slice) -> np.ndarray:
        """Return the right factor of a tile, float32 [rows,F+2]: -2 x, 1, |x|^2 less rounding."""
        found = self.left[rows] * np.float32(-2)
        found[:, -2], found[:, -1] = 1, self.left[rows, -2]
        return found

    @cached_property
    def room(self) -> np.ndarray:
        return np.empty(TILE * TILE, np.float32)

    def tile(self, rows: slice, others: "Points", columns: slice) -> np.ndarray:
        """Return lower bounds of squared distances, float32 [rows,columns]. The next tile overwrites them."""
        shape = rows.stop - rows.start, columns.stop - columns.start
        tile = self.room[: shape[0] * shape[1]].reshape(shape)
        return np.matmul(self.left[rows], others.right(columns).T, out=tile)

    def exact(self, rows: np.ndarray, others: "Points", columns: np.ndarray) -> np.ndarray:
        """Return squared distances of pairs (rows[i], columns[i]) of the scaled features, float64."""
        found = np.empty(len(rows))
        for part in row_chunks(len(rows), max(1, 2**20 // self.features.shape[1])):
            apart = self.features[rows[part]].astype(np.float64)
            apart -= others.features[columns[part]]
            apart *= self.scale
            found[part] = np.einsum("ij,ij->i", apart, apart)
        return found


def tile_slices(count: int) -> Iterator[slice]:
    return row_chunks(-(-count // GROUP) * GROUP, TILE)


def minima(parts: np.ndarray) -> np.ndarray:
    """Return the minima [R,groups] of [R,GROUP,groups]; `min(1)` is five times slower."""
    found = parts[:, 0].copy()
    for i in range(1, GROUP):
        np.minimum(found, parts[:, i], out=found)
    return found


def entries_below(tile: np.ndarray, bounds: np.ndarray) -> Entries:
    """Return rows, columns and values of the entries of a tile [R,C] below the bound of their row [R]; by rows."""
    groups = tile.shape[1] // GROUP
    parts = tile.reshape(-1, GROUP, groups)
    rows, group = np.divmod(np.flatnonzero(minima(parts) < bounds[:, None]), groups)
    members = parts[rows, :, group]
    some, place = np.divmod(np.flatnonzero(members < bounds[rows, None]), GROUP)
    return rows[some], place * groups + group[some], members[some, place]


def entries_below_columns(tile: np.ndarray, bounds: np.ndarray) -> Entries:
    """Return columns, rows and values of the entries that are below the bound of their column [C]; by columns."""
    groups = tile.shape[0] // GROUP
    parts = tile.reshape(GROUP, groups, -1)
    columns, group = np.divmod(np.flatnonzero((parts.min(0) < bounds).T), groups)
    members = parts[:, group, columns].T
    some, place = np.divmod(np.flatnonzero(members < bounds[columns, None]), GROUP)
    return columns[some], place * groups + group[some], members[some, place]


class Candidates:
    """The `keep` smallest entries that were met so far for each of `count` rows, and their columns."""

    def __init__(self, count: int, keep: int):
        self.values = np.full((count, keep), 2 * NEVER)
        self.places = np.zeros((count, keep), np.int64)

    def bounds(self, rows: slice, tile: np.ndarray) -> np.ndarray:
        """Return [rows]: entries of a tile that are not below are no candidates.

        While there are fewer than `keep` candidates, the bound is the `keep`-th smallest minimum of the tile's groups.
        """
        found, groups, keep = self.values[rows].max(1), tile.shape[1] // GROUP, self.values.shape[1]
        if found[0] < NEVER or groups < keep:
            return found
        least = minima(tile.reshape(-1, GROUP, groups))
        return np.nextafter(np.partition(least, keep - 1, axis=1)[:, keep - 1], np.float32(np.inf))

    def add(self, rows: slice, start: int, entries: Entries) -> None:
        """Take in the entries of a tile, by rows; its first column is column `start`."""
        row, column, value = entries
        if not len(row):
            return
        count, keep = self.values[rows].shape
        each = np.bincount(row, minlength=count)
        place = np.arange(len(row)) - (each.cumsum() - each)[row] + keep
        values = np.full((count, keep + each.max()), 2 * NEVER)
        places = np.zeros(values.shape, np.int64)
        values[:, :keep], places[:, :keep] = self.values[rows], self.places[rows]
        values[row, place], places[row, place] = value, column + start
        found = np.argpartition(values, keep - 1, axis=1)[:, :keep]
        self.values[rows], self.places[rows] = taken(values, found), taken(places, found)


def taken(array: np.ndarray, index: np.ndarray) -> np.ndarray:
    return np.take_along_axis(array, index, axis=1)


@dataclass(frozen=True, eq=False)
class Nearest:
    """The k nearest of each row, nearest first: squared distances of the scaled features, float64 [N,k], and which they
    are, int64 [N,k]."""

    squared: np.ndarray
    index: np.ndarray


def nearest_points(queries: Points, points: Points, *, k: int) -> Nearest:
    """Return the k nearest of the M points for each query; k of at most M."""
    found = Candidates(len(queries.left), min(k + SPARE, len(points)))
    for rows in tile_slices(len(queries)):
        for columns in tile_slices(len(points)):
            tile = queries.tile(rows, points, columns)
            found.add(rows, columns.start, entries_below(tile, found.bounds(rows, tile)))
    return settled(queries, points, found, k, itself=False)


def nearest_others(points: Points, *, k: int) -> Nearest:
    """Return the k nearest other rows of each row; k below N. A tile serves its rows and its columns."""
    found = Candidates(len(points.left), min(k + SPARE, len(points) - 1))
    for rows in tile_slices(len(points)):
        tile = points.tile(rows, points, rows)
        np.fill_diagonal(tile, NEVER)
        found.add(rows, rows.start, entries_below(tile, found.bounds(rows, tile)))
        for columns in tile_slices(rows.start):
            tile = points.tile(rows, points, columns)
            found.add(rows, columns.start, entries_below(tile, found.bounds(rows, tile)))
            found.add(columns, rows.start, entries_below_columns(tile, found.bounds(columns, tile.T)))
    return settled(points, points, found, k, itself=True)


def settled(queries: Points, points: Points, found: Candidates, k: int, *, itself: bool) -> Nearest:
    """Return the k nearest of the candidates by float64, and search all points for rows that are not settled.

    A row is settled when its k-th neighbour is no farther than the lower bound of all points that are no candidates.
    """
    values, places = found.values[: len(queries)], found.places[: len(queries)]
    rows = np.repeat(np.arange(len(queries)), places.shape[1])
    apart = queries.exact(rows, points, places.ravel()).reshape(places.shape)
    order = np.argsort(apart, axis=1, kind="stable")
    apart, index = taken(apart, order), taken(places, order)
    if places.shape[1] < len(points) - itself:
        unsettled = np.flatnonzero((apart[:, k - 1] > values.max(1)) & (apart[:, k - 1] > 0))
        for part in (unsettled[rows] for rows in row_chunks(len(unsettled), 256)):
            least, most = wide_bounds(queries, points, part, itself)
            for i, row in enumerate(part):
                some = np.flatnonzero(least[i] <= np.partition(most[i], k - 1)[k - 1])
                exact = queries.exact(np.full(len(some), row), points, some)
                order = np.argsort(exact, kind="stable")[:k]
                apart[row, :k], index[row, :k] = exact[order], some[order]
    return Nearest(apart[:, :k], index[:, :k])


def wide_bounds(queries: Points, points: Points, rows: np.ndarray, itself: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return lower and upper bounds of the squared distances of some rows to all points, float64 [rows,M] twice."""
    x = queries.scaled(rows)
    found, lengths = np.empty((len(rows), len(points))), queries.lengths[rows, None] + points.lengths
    for columns in row_chunks(len(points)):
        found[:, columns] = lengths[:, columns] - 2 * x @ points.scaled(columns).T
    if itself:
        found[np.arange(len(rows)), rows] = np.inf
    lengths *= points.rounding * 2.0**-29
    return found - lengths, found + lengths
