"""Images that come twice: the same pixels, or the same picture encoded, exposed or resized in another way.

Equal pixels have equal hashes. Near duplicates are found in two passes. The first finds candidates: thumbnails of at
most 8 x 8 grey pixels, of which brightness and contrast are removed, are projected on their 8 main axes; a k-d tree
then finds the nearest neighbours within a small radius (about N log N). The second compares every candidate pair pixel
by pixel at up to 32 x 32.

The comparison is of edges (differences of adjacent pixels): 0 = the same, 1 = unrelated. How near is near depends on
the images: two different handwritten ones are more alike than two shots of one textured tile. So a pair counts only if
it is far nearer than its neighbourhood. With b the median distance to the 17th to 32nd neighbour, the rule is
distance <= 0.4 b^2. It is our own, fitted on four data sets (benchmarks/results/near_duplicates.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..images import LUMA_ARRAY, chunk_slices

if TYPE_CHECKING:
    from scipy.spatial import KDTree

THUMB = 8
DETAIL = 32  # side at which pairs are compared
KEPT = 1 << 26  # values of images at that size that are remembered
AXES = 8
CANDIDATES = 5  # looked at per image
BACKGROUND = 32  # neighbours that say how alike the images around are
NEARNESS, POWER = 0.4, 2
RADIUS = 0.35  # of the typical distance to the 32nd neighbour
FLAT = 4.0  # grey levels of standard deviation below which contrast is not stretched further


@dataclass(frozen=True, eq=False)
class Duplicates:
    """exact: groups of images with equal pixels. near: groups of the same picture, those of `exact` included.

    cluster: int64 [N], equal within a group of `near`; an image on its own is its own cluster.
    """

    exact: tuple[tuple[int, ...], ...]
    near: tuple[tuple[int, ...], ...]
    cluster: np.ndarray


def find_duplicates(images: np.ndarray, hashes: Sequence[str]) -> Duplicates:
    """Return all duplicates among uint8 images [N, H, W, C] with these content hashes.

    It takes about 400 bytes of memory an image.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(images)
    if not count:
        return Duplicates((), (), np.empty(0, np.int64))
    first, place = np.unique(np.array(hashes, np.str_), return_index=True, return_inverse=True)[1:]
    original = first[place].astype(np.int64)
    pairs = near_pairs(images, np.flatnonzero(original == np.arange(count)))
    a, b = np.concatenate([pairs, np.stack([np.arange(count), original], axis=1)]).T
    component = connected_components(coo_array((np.ones(len(a), bool), (a, b)), (count, count)), directed=False)[1]
    first, place = np.unique(component, return_index=True, return_inverse=True)[1:]
    cluster = first[place].astype(np.int64)
    return Duplicates(exact=_groups(original), near=_groups(cluster), cluster=cluster)


def _groups(keys: np.ndarray) -> tuple[tuple[int, ...], ...]:
    """Return the indices with equal keys, where there are two or more, in the order of their first."""
    order = np.argsort(keys, kind="stable")
    cuts = np.flatnonzero(np.diff(keys[order])) + 1
    return tuple(tuple(group.tolist()) for group in np.split(order, cuts) if len(group) > 1)


def near_pairs(images: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return int64 [M, 2]: pairs among images[index] that show the same picture."""
    from scipy.spatial import KDTree

    thumbs = np.concatenate([_thumbnails(images[index[chunk]]) for chunk in chunk_slices(images, len(index))])
    kept = np.flatnonzero((thumbs != 0).any(axis=1))  # an even surface shows nothing
    index = index[kept]
    if len(index) < 3:
        return np.empty((0, 2), np.int64)
    points = _projected(thumbs[kept])
    tree = KDTree(points, balanced_tree=False, compact_nodes=False)
    around = min(BACKGROUND, len(index) // 2)
    sample = np.unique(np.linspace(0, len(index) - 1, 500).astype(int))
    radius = RADIUS * float(np.median(np.asarray(tree.query(points[sample], k=around + 1)[0])[:, -1]))
    pairs = _candidate_pairs(tree, points, radius)
    details = Details(images)
    distance = edge_distance(details, index[pairs[:, 0]], index[pairs[:, 1]])
    promising = distance <= NEARNESS
    pairs, distance = pairs[promising], distance[promising]
    members, places = np.unique(pairs, return_inverse=True)
    usual = _background_distance(details, index, tree, points, members, around)
    near = distance <= NEARNESS * usual[places.reshape(pairs.shape)].min(axis=1, initial=1) ** POWER
    return index[pairs[near]]


def _candidate_pairs(tree: "KDTree", points: np.ndarray, radius: float) -> np.ndarray:
    """Return int64 [M, 2]: every point with its nearest neighbours within the radius, each pair once."""
    count = len(points)
    k = min(CANDIDATES + 1, count)
    found = tree.query(points, k=k, distance_upper_bound=radius)[1].reshape(count, k)
    a, b = np.repeat(np.arange(count), k), found.ravel()
    real = (b < count) & (a != b)
    pairs = np.sort(np.stack([a[real], b[real]], axis=1), axis=1)
    return np.unique(pairs, axis=0) if len(pairs) else pairs


def _background_distance(
    details: "Details", index: np.ndarray, tree: "KDTree", points: np.ndarray, members: np.ndarray, around: int
) -> np.ndarray:
    """Return float [len(members)]: the median distance of each to neighbours that are too far to be its copies."""
    if not len(members):
        return np.empty(0)
    neighbours = np.asarray(tree.query(points[members], k=around + 1)[1])
    chosen = neighbours[:, around // 2 + 1 :: 2] if around > 3 else neighbours[:, -1:]
    columns = [edge_distance(details, index[members], index[chosen[:, c]]) for c in range(chosen.shape[1])]
    return np.median(np.stack(columns), axis=0)


def _shrunk_grey(images: np.ndarray, side: int) -> np.ndarray:
    """Return float32 [N, min(H, side), min(W, side)]: area means of the luma of uint8 [N, H, W, C]."""
    pictures = images[..., 0].astype(np.float32) if images.shape[3] == 1 else images @ LUMA_ARRAY
    for axis in (1, 2):
        length = pictures.shape[axis]
        if length > side:
            edges = np.round(np.linspace(0, length, side + 1)).astype(int)
            shape = [1, 1, 1]
            shape[axis] = side
            pictures = np.add.reduceat(pictures, edges[:-1], axis=axis) / np.diff(edges).reshape(shape).astype("f4")
    return pictures


def _standardised(pictures: np.ndarray) -> np.ndarray:
    """Return pictures of mean 0 and standard deviation 1, or less where there is next to no contrast."""
    pictures = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    return pictures / np.maximum(pictures.std(axis=(1, 2), keepdims=True), FLAT)


def _thumbnails(images: np.ndarray) -> np.ndarray:
    """Return float32 [N, at most 64]; the distance of two is at most 2."""
    flat = _standardised(_shrunk_grey(images, THUMB)).reshape(len(images), -1)
    return flat / np.float32(np.sqrt(flat.shape[1]))


def _projected(thumbs: np.ndarray) -> np.ndarray:
    """Return float64 [N, 8]: the main axes, along which two points are never further apart than they are."""
    sample = thumbs[:: max(1, len(thumbs) // 5000)]
    centre = sample.mean(axis=0)
    axes = np.linalg.svd(sample - centre, full_matrices=False)[2][:AXES]
    return ((thumbs - centre) @ axes.T).astype(np.float64)


class Details:
    """Images shrunk to DETAIL pixels a side, of mean 0 and deviation 1: each made once, as long as there is room."""

    def __init__(self, images: np.ndarray):
        self.images = images
        self.made: dict[int, np.ndarray] = {}

    def of(self, index: np.ndarray) -> np.ndarray:
        """Return float32 [M,h,w] of images[index]."""
        values = min(self.images.shape[1], DETAIL) * min(self.images.shape[2], DETAIL)
        if (len(self.made) + len(index)) * values > KEPT:
            self.made.clear()
        new = np.array([i for i in dict.fromkeys(index.tolist()) if i not in self.made], int)
        if len(new):
            self.made.update(zip(new.tolist(), _standardised(_shrunk_grey(self.images[new], DETAIL)), strict=True))
        return np.stack([self.made[i] for i in index.tolist()])


def edge_distance(details: Details, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return float [M]: |da - db|^2 / (|da|^2 + |db|^2), with d the horizontal and vertical differences of adjacent
    pixels of images a and b."""
    found: list[np.ndarray] = [np.empty(0, np.float32)]
    for chunk in chunk_slices(details.images, len(a), most=1 << 22):
        both = details.of(np.concatenate([a[chunk], b[chunk]]))
        one, two = both[: len(both) // 2], both[len(both) // 2 :]
        found.append(_edge_energy(one - two) / np.maximum(_edge_energy(one) + _edge_energy(two), 1e-6))
    return np.concatenate(found)


def _edge_energy(pictures: np.ndarray) -> np.ndarray:
    return np.add(*((np.diff(pictures, axis=axis) ** 2).sum(axis=(1, 2)) for axis in (1, 2)))
