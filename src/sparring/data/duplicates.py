"""Images that come twice: the same pixels, or the same picture encoded, exposed or resized in another way.

Equal pixels have equal hashes. Near duplicates are found in two passes. First candidates: thumbnails of at most 8 x 8
grey pixels, brightness and contrast taken out, projected on their 8 main axes, and the nearest neighbours within a
small radius (a k-d tree: about N log N). Then every candidate pair is compared pixel by pixel at up to 32 x 32.

The comparison is of edges (differences of adjacent pixels): 0 = the same, 1 = unrelated. How near is near depends on
the images: two different handwritten ones are more alike than two shots of one textured tile. So a pair counts only if
it is far nearer than the images around it are to each other, b being the distance to the 17th to 32nd neighbour:
distance <= 0.4 b^2, a rule of our own, fitted on four data sets (benchmarks/results/near_duplicates.md).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..images import LUMA

if TYPE_CHECKING:
    from .imageset import ImageSet

THUMB = 8
DETAIL = 32  # side at which pairs are compared
AXES = 8
NEIGHBOURS = 5  # looked at per image
BACKGROUND = 32  # neighbours that say how alike the images around are
NEARNESS, POWER = 0.4, 2
RADIUS = 0.35  # of the typical distance to the 32nd neighbour
FLAT = 4.0  # grey levels of standard deviation below which contrast is not stretched further
CHUNK = 1 << 23  # pixels worked on at a time


@dataclass(frozen=True, eq=False)
class Duplicates:
    """exact: groups of images with equal pixels. near: groups of the same picture, those of `exact` included.

    cluster: int64 [N], equal within a group of `near`; an image on its own is its own cluster.
    """

    exact: tuple[tuple[int, ...], ...]
    near: tuple[tuple[int, ...], ...]
    cluster: np.ndarray


def find_duplicates(imageset: "ImageSet") -> Duplicates:
    """All duplicates of a set, within and across its parts. Memory: some 400 bytes an image."""
    first: dict[str, int] = {}
    original = np.array([first.setdefault(name, i) for i, name in enumerate(imageset.hashes)], np.int64)
    unique = np.flatnonzero(original == np.arange(len(original)))
    cluster = original.copy()
    for a, b in near_pairs(imageset.images, unique).tolist():
        join(cluster, a, b)
    cluster = np.array([root(cluster, i) for i in range(len(cluster))], np.int64)
    return Duplicates(exact=groups(original), near=groups(cluster), cluster=cluster)


def groups(keys: np.ndarray) -> tuple[tuple[int, ...], ...]:
    """Indices with equal keys, where there are two or more, in the order of their first."""
    order = np.argsort(keys, kind="stable")
    cuts = np.flatnonzero(np.diff(keys[order])) + 1
    return tuple(tuple(group.tolist()) for group in np.split(order, cuts) if len(group) > 1)


def root(parent: np.ndarray, i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = int(parent[i])
    return i


def join(parent: np.ndarray, a: int, b: int) -> None:
    a, b = root(parent, a), root(parent, b)
    parent[max(a, b)] = min(a, b)


def near_pairs(images: np.ndarray, index: np.ndarray) -> np.ndarray:
    """int64 [M, 2]: pairs among images[index] that show the same picture."""
    from scipy.spatial import KDTree

    thumbs = np.concatenate([thumbnails(images[rows]) for rows in chunks(index, images)]) if len(index) else index
    kept = np.flatnonzero((thumbs != 0).any(axis=1)) if len(index) else index  # an even surface shows nothing
    index = index[kept]
    if len(index) < 3:
        return np.empty((0, 2), np.int64)
    points = projected(thumbs[kept])
    tree = KDTree(points, balanced_tree=False, compact_nodes=False)
    around = min(BACKGROUND, len(index) // 2)
    sample = np.unique(np.linspace(0, len(index) - 1, 500).astype(int))
    radius = RADIUS * float(np.median(tree.query(points[sample], k=around + 1)[0][:, -1]))
    pairs = candidates(tree, points, radius)
    distance = edge_distance(images, index[pairs[:, 0]], index[pairs[:, 1]])
    promising = distance <= NEARNESS
    pairs, distance = pairs[promising], distance[promising]
    members, places = np.unique(pairs, return_inverse=True)
    usual = background(images, index, tree, points, members, around)
    near = distance <= NEARNESS * usual[places.reshape(pairs.shape)].min(axis=1, initial=1) ** POWER
    return index[pairs[near]]


def candidates(tree, points: np.ndarray, radius: float) -> np.ndarray:
    """int64 [M, 2]: every point with its nearest neighbours within the radius, each pair once."""
    count = len(points)
    k = min(NEIGHBOURS + 1, count)
    found = tree.query(points, k=k, distance_upper_bound=radius)[1].reshape(count, k)
    a, b = np.repeat(np.arange(count), k), found.ravel()
    real = (b < count) & (a != b)
    pairs = np.sort(np.stack([a[real], b[real]], axis=1), axis=1)
    return np.unique(pairs, axis=0) if len(pairs) else pairs


def background(images, index, tree, points, members: np.ndarray, around: int) -> np.ndarray:
    """float [len(members)]: the median distance of each to neighbours that are too far down to be its copies."""
    if not len(members):
        return np.empty(0)
    neighbours = tree.query(points[members], k=around + 1)[1]
    chosen = neighbours[:, around // 2 + 1 :: 2] if around > 3 else neighbours[:, -1:]
    columns = [edge_distance(images, index[members], index[chosen[:, c]]) for c in range(chosen.shape[1])]
    return np.median(np.stack(columns), axis=0)


def chunks(index: np.ndarray, images: np.ndarray) -> list[np.ndarray]:
    step = max(1, CHUNK // int(np.prod(images.shape[1:])))
    return [index[start : start + step] for start in range(0, len(index), step)]


def grey(images: np.ndarray) -> np.ndarray:
    """float32 [N, H, W] of uint8 [N, H, W, C]."""
    return images[..., 0].astype(np.float32) if images.shape[3] == 1 else images @ np.array(LUMA, np.float32)


def shrunk(pictures: np.ndarray, side: int) -> np.ndarray:
    """Area means: float32 [N, min(H, side), min(W, side)]."""
    for axis in (1, 2):
        length = pictures.shape[axis]
        if length > side:
            edges = np.round(np.linspace(0, length, side + 1)).astype(int)
            shape = [1, 1, 1]
            shape[axis] = side
            pictures = np.add.reduceat(pictures, edges[:-1], axis=axis) / np.diff(edges).reshape(shape).astype("f4")
    return pictures


def evened(pictures: np.ndarray) -> np.ndarray:
    """Mean 0 and standard deviation 1, or less where there is next to no contrast."""
    pictures = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    return pictures / np.maximum(pictures.std(axis=(1, 2), keepdims=True), FLAT)


def thumbnails(images: np.ndarray) -> np.ndarray:
    """float32 [N, at most 64], the distance of two being at most 2."""
    flat = evened(shrunk(grey(images), THUMB)).reshape(len(images), -1)
    return flat / np.float32(np.sqrt(flat.shape[1]))


def projected(thumbs: np.ndarray) -> np.ndarray:
    """float64 [N, 8]: the main axes, which never put two points further apart than they are."""
    sample = thumbs[:: max(1, len(thumbs) // 5000)]
    centre = sample.mean(axis=0)
    axes = np.linalg.svd(sample - centre, full_matrices=False)[2][:AXES]
    return ((thumbs - centre) @ axes.T).astype(np.float64)


def edge_distance(images: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float [M]: |da - db|^2 / (|da|^2 + |db|^2) over horizontal and vertical differences d of images[a], images[b]."""
    found: list[np.ndarray] = [np.empty(0, np.float32)]
    step = max(1, CHUNK // int(np.prod(images.shape[1:])) // 2)
    for start in range(0, len(a), step):
        one = evened(shrunk(grey(images[a[start : start + step]]), DETAIL))
        two = evened(shrunk(grey(images[b[start : start + step]]), DETAIL))
        apart = energy(one - two)
        found.append(apart / np.maximum(energy(one) + energy(two), 1e-6))
    return np.concatenate(found)


def energy(pictures: np.ndarray) -> np.ndarray:
    return sum((np.diff(pictures, axis=axis) ** 2).sum(axis=(1, 2)) for axis in (1, 2))  # type: ignore[return-value]
