"""Exact nearest neighbours from float32 products, a tile of pairs at a time.

A tile holds lower bounds of squared distances, |a|^2 + |b|^2 - 2 a.b of centred features in float32 less all that
rounding can do; one matrix product gives them. Few pairs of a tile matter, and they are found by the minima of groups
of 16 columns or rows, which costs one look at the tile. What may be near enough by its bound is computed in float64
from the features as they are, so the results are those of float64. The bound is that of a dot product (Higham 2002,
Accuracy and Stability of Numerical Algorithms, section 3.1); the rest is ours.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from .features import chunks

TILE, GROUP = 2048, 16  # rows and columns of a tile; entries of a group
SPARE = 3  # more candidates than neighbours asked for, for what rounding puts in another order
NEVER = 1e30  # stands for infinity: the distance to itself, and to rows that only fill a group


@dataclass(frozen=True, eq=False)
class Points:
    """Features [N,F] beside what float32 products need: their rows centred and scaled by a power of 2, with two more
    columns, and empty rows up to a multiple of GROUP. `centre` [F] and `scale` are the same for sets to be compared."""

    features: np.ndarray
    centre: np.ndarray
    scale: float

    @staticmethod
    def frame(features: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, float]:
        """Centre and scale for these sets: the mean of the first, and largest entries near 1."""
        largest = max(float(np.abs(part[rows]).max()) for part in (features, *others) for rows in chunks(len(part)))
        return features.mean(0, dtype=np.float64), float(2.0 ** -np.ceil(np.log2(max(2 * largest, 1e-300))))

    def __len__(self) -> int:
        return len(self.features)

    @property
    def rounding(self) -> float:
        """Bound of |float32 result - squared distance| over |a|^2 + |b|^2."""
        return (2 * self.features.shape[1] + 16) * 2.0**-24

    @cached_property
    def lengths(self) -> torch.Tensor:
        """float64 [N]: squared, of the centred and scaled rows."""
        found = torch.empty(len(self), dtype=torch.float64)
        for rows in chunks(len(self)):
            found[rows] = torch.from_numpy(np.square(self.scaled(rows)).sum(1))
        return found

    def scaled(self, rows: slice) -> np.ndarray:
        return (self.features[rows] - self.centre) * self.scale

    @cached_property
    def left(self) -> torch.Tensor:
        """float32 [N',F+2]: x, |x|^2 less rounding, 1."""
        width = self.features.shape[1]
        found = torch.zeros(-(-len(self) // GROUP) * GROUP, width + 2)
        for rows in chunks(len(self)):
            found[rows, :width] = torch.from_numpy(self.scaled(rows)).float()
        found[:, width] = NEVER
        found[: len(self), width] = (self.lengths * (1 - self.rounding)).float()
        found[:, width + 1] = 1
        return found

    def right(self, rows: slice) -> torch.Tensor:
        """float32 [rows,F+2]: -2 x, 1, |x|^2 less rounding."""
        found = self.left[rows] * -2
        found[:, -2], found[:, -1] = 1, self.left[rows, -2]
        return found

    @cached_property
    def room(self) -> torch.Tensor:
        return torch.empty(TILE * TILE)

    def tile(self, rows: slice, others: "Points", columns: slice) -> torch.Tensor:
        """float32 [rows,columns]: lower bounds of squared distances. The next tile takes its place."""
        shape = rows.stop - rows.start, columns.stop - columns.start
        tile = self.room[: shape[0] * shape[1]].view(shape)
        np.matmul(
            self.left[rows].numpy(), others.right(columns).numpy().T, out=tile.numpy()
        )  # as fast as torch, or more
        return tile

    def exact(self, rows: torch.Tensor, others: "Points", columns: torch.Tensor) -> torch.Tensor:
        """float64 squared distances of pairs, by the scale."""
        found = torch.empty(len(rows), dtype=torch.float64)
        for part in chunks(len(rows), max(1, 2**21 // self.features.shape[1])):
            apart = self.features[rows[part].numpy()].astype(np.float64)
            apart -= others.features[columns[part].numpy()]
            found[part] = torch.from_numpy(np.einsum("ij,ij->i", apart, apart))
        return found * self.scale**2


def tiles(count: int):
    return chunks(-(-count // GROUP) * GROUP, TILE)


def under(tile: torch.Tensor, bounds: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows, columns and values of the entries of a tile [R,C] that are below the bound of their row [R]; by rows."""
    groups = tile.shape[1] // GROUP
    parts = tile.view(-1, GROUP, groups)
    rows, group = (parts.amin(1) < bounds[:, None]).nonzero(as_tuple=True)
    members = parts[rows, :, group]
    some, place = (members < bounds[rows, None]).nonzero(as_tuple=True)
    return rows[some], place * groups + group[some], members[some, place]


def under_columns(tile: torch.Tensor, bounds: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Columns, rows and values of the entries that are below the bound of their column [C]; by columns."""
    groups = tile.shape[0] // GROUP
    parts = tile.view(GROUP, groups, -1)
    columns, group = (parts.amin(0) < bounds).T.nonzero(as_tuple=True)
    members = parts[:, group, columns].T
    some, place = (members < bounds[columns, None]).nonzero(as_tuple=True)
    return columns[some], place * groups + group[some], members[some, place]


class Candidates:
    """The `keep` smallest entries that each of `count` rows has met, and where."""

    def __init__(self, count: int, keep: int):
        self.values = torch.full((count, keep), 2 * NEVER)
        self.places = torch.zeros((count, keep), dtype=torch.int64)

    def bounds(self, rows: slice, tile: torch.Tensor) -> torch.Tensor:
        """[rows]: entries of a tile that are not below have no place. Of rows that have met too few, from the tile:
        as many of its groups as have a place have minima up to there."""
        found, groups = self.values[rows].amax(1), tile.shape[1] // GROUP
        if found[0] < NEVER or groups < self.values.shape[1]:
            return found
        minima = tile.view(-1, GROUP, groups).amin(1)
        return torch.nextafter(minima.kthvalue(self.values.shape[1]).values, torch.tensor(torch.inf))

    def add(self, rows: slice, start: int, entries: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
        """Entries of a tile, by rows, whose first column is column `start`."""
        row, column, value = entries
        if not len(row):
            return
        count, keep = self.values[rows].shape
        each = torch.bincount(row, minlength=count)
        place = torch.arange(len(row)) - (each.cumsum(0) - each)[row] + keep
        values = torch.full((count, keep + int(each.max())), 2 * NEVER)
        places = torch.zeros(values.shape, dtype=torch.int64)
        values[:, :keep], places[:, :keep] = self.values[rows], self.places[rows]
        values[row, place], places[row, place] = value, column + start
        self.values[rows], found = values.topk(keep, dim=1, largest=False, sorted=False)
        self.places[rows] = places.gather(1, found)


@dataclass(frozen=True, eq=False)
class Nearest:
    """The k nearest of each row, nearest first."""

    squared: np.ndarray  # float64 [N,k], by the scale
    index: np.ndarray  # int64 [N,k]


def nearest(queries: Points, points: Points, *, k: int) -> Nearest:
    """Of each query among the points; k of at most M."""
    found = Candidates(len(queries.left), min(k + SPARE, len(points)))
    for rows in tiles(len(queries)):
        for columns in tiles(len(points)):
            tile = queries.tile(rows, points, columns)
            found.add(rows, columns.start, under(tile, found.bounds(rows, tile)))
    return settled(queries, points, found, k, itself=False)


def nearest_others(points: Points, *, k: int) -> Nearest:
    """Of each row among the other rows; k below N. Half of the tiles are computed: each serves its rows and columns."""
    found = Candidates(len(points.left), min(k + SPARE, len(points) - 1))
    for rows in tiles(len(points)):
        tile = points.tile(rows, points, rows).fill_diagonal_(NEVER)
        found.add(rows, rows.start, under(tile, found.bounds(rows, tile)))
        for columns in tiles(rows.start):
            tile = points.tile(rows, points, columns)
            found.add(rows, columns.start, under(tile, found.bounds(rows, tile)))
            found.add(columns, rows.start, under_columns(tile, found.bounds(columns, tile.T)))
    return settled(points, points, found, k, itself=True)


def settled(queries: Points, points: Points, found: Candidates, k: int, *, itself: bool) -> Nearest:
    """Candidates in float64. A row is settled when its k-th neighbour is no farther than any row outside can be."""
    values, places = found.values[: len(queries)], found.places[: len(queries)]
    rows = torch.arange(len(queries)).repeat_interleave(places.shape[1])
    apart = queries.exact(rows, points, places.flatten()).view(places.shape)
    apart, order = apart.sort(1)
    index = places.gather(1, order)
    complete = places.shape[1] == len(points) - itself
    open_rows = (apart[:, k - 1] > values.amax(1)) & (apart[:, k - 1] > 0)
    if not complete and open_rows.any():
        for row in open_rows.nonzero().flatten().split(256):
            apart[row, :k], index[row, :k] = searched(queries, points, row, k, itself)
    return Nearest(apart[:, :k].numpy(), index[:, :k].numpy())


def searched(queries: Points, points: Points, rows: torch.Tensor, k: int, itself: bool):
    """The k nearest of some rows by float64 products with all points."""
    x = queries.features[rows.numpy()] - queries.centre
    found = np.empty((len(rows), len(points)))
    for columns in chunks(len(points)):
        y = points.features[columns] - points.centre
        found[:, columns] = np.square(x).sum(1)[:, None] - 2 * x @ y.T + np.square(y).sum(1)
    if itself:
        found[np.arange(len(rows)), rows.numpy()] = np.inf
    index = torch.from_numpy(np.argpartition(found, k - 1, axis=1)[:, :k])
    apart = queries.exact(rows.repeat_interleave(k), points, index.flatten()).view(index.shape)
    apart, order = apart.sort(1)
    return apart, index.gather(1, order)
