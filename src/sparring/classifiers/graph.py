"""The neighbour graph of a set of images, and how labels spread along it.

A graph depends on the images alone, not on labels. So one graph, cached by content, serves every label draw of a study.
"""

from dataclasses import dataclass, fields

import numpy as np
import scipy.sparse
import torch
import torch.nn.functional as F
from torch import Tensor

from ..features import Extractor, deskew, extract, gradients, shrunk
from ..features.cache import CACHE
from ..files import content_hash
from .probe import of_length

NEIGHBOURS = 8  # kept of each image
CANDIDATES = 12  # nearest by features, from which the distortion distance picks the neighbours
DIMENSIONS = 96  # principal components of the features
DISTORTED_SIDE = 32  # pixels; larger images are shrunk before they are distorted
AFFORDABLE = 3e10  # pixel comparisons of all distortions together, about a minute on two cores
SETTINGS = (NEIGHBOURS, CANDIDATES, DIMENSIONS, DISTORTED_SIDE, AFFORDABLE)
PAIRS_AT_ONCE = 96  # pairs of images distorted at a time: what fits in a processor's cache


@dataclass(frozen=True, eq=False)
class Graph:
    """Neighbours of N images, and what is needed to find those of a new one.

    `mean` [F] of the features and their principal `directions` [F,D]; `points` float32 [N,D], the features along these.
    `index` int32 [N,k]: neighbours, the nearest first; `distance` float32 [N,k]: squared, by features or after
    distortion.
    """

    mean: np.ndarray
    directions: np.ndarray
    points: np.ndarray
    index: np.ndarray
    distance: np.ndarray

    @property
    def scale(self) -> np.ndarray:
        """Return the distance to the last neighbour [N] (Zelnik-Manor & Perona 2004)."""
        return local_scale(self.distance)


def neighbour_graph(images: np.ndarray, features: str | Extractor) -> Graph:
    """Return the graph of uint8 images [N,H,W,C], from the cache where it has been built before.

    features: a name of `features.EXTRACTORS`, or an encoder, which sees images in their own size.
    """
    images = shrunk(images) if isinstance(features, str) else images
    key = ("graph", 3, SETTINGS, key_of(features), content_hash(images))
    return Graph(**CACHE.get(key, lambda: built_graph(images, features)))


def built_graph(images: np.ndarray, features: str | Extractor) -> dict[str, np.ndarray]:
    seen = features_of(features, images)
    mean, directions = principal(seen)
    points = projected(seen, mean, directions)
    distort = distorts(images, features)
    index, distance = nearest_by_features(points, points, CANDIDATES if distort else NEIGHBOURS, same=True)
    if distort:
        prepared = distortable(images, str(features))
        index, distance = reranked(prepared, prepared, index)
    arrays = Graph(mean, directions, points, index.astype(np.int32), distance)
    return {field.name: getattr(arrays, field.name) for field in fields(Graph)}


def new_neighbours(
    graph: Graph, known: np.ndarray, images: np.ndarray, features: str | Extractor
) -> tuple[np.ndarray, np.ndarray]:
    """Return index [M,k] and squared distance [M,k] of new images' neighbours among the `known` ones of the graph."""

    def compute() -> dict[str, np.ndarray]:
        points = projected(features_of(features, images), graph.mean, graph.directions)
        distort = distorts(known, features)
        index, distance = nearest_by_features(points, graph.points, CANDIDATES if distort else NEIGHBOURS)
        if distort:
            seen, candidates = (distortable(given, str(features)) for given in (images, known))
            index, distance = reranked(seen, candidates, index)
        return {"index": index, "distance": distance}

    key = ("neighbours", 2, SETTINGS, key_of(features), content_hash(known), content_hash(images))
    found = CACHE.get(key, compute)
    return found["index"], found["distance"]


def features_of(features: str | Extractor, images: np.ndarray) -> np.ndarray:
    """Return the features [N,F] by which images are near each other: of the built-in network its last layer."""
    return extract(features, images) if isinstance(features, str) else nearness(features, features.features(images))


def nearness(encoder: Extractor, features: np.ndarray) -> np.ndarray:
    """Return of an encoder's features what tells how near two images are: roots of the last layer, of length 1.

    Earlier layers, standardising and whitening made neighbours worse (benchmarks/results/pretrained_sizes.md).
    """
    return of_length(features if encoder.last is None else features[:, : encoder.last], 1.0)


def key_of(features: str | Extractor) -> object:
    return features if isinstance(features, str) else (features.name, features.hash, features.rounding)


# --- nearest by features


def principal(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean [F] and directions [F,D] of the largest variance, from at most 20,000 rows spread over all."""
    x = torch.tensor(features[:: max(1, len(features) // 20_000)])
    mean = x.mean(0)
    x -= mean
    # In float32, or with far fewer images than features, eigh may return NaN without a word.
    fewer = len(x) < x.shape[1]
    values, vectors = torch.linalg.eigh((x @ x.T if fewer else x.T @ x).double())
    kept = min(DIMENSIONS, int((values > 1e-6 * values[-1]).sum()) or 1)
    values, vectors = values[-kept:], vectors[:, -kept:]
    if fewer:
        vectors = x.T.double() @ vectors / values.clamp_min(1e-30).sqrt()
    return mean.numpy(), vectors.float().contiguous().numpy()


def projected(features: np.ndarray, mean: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Return float32 [N,D]: the features along the directions."""
    chunks = (torch.tensor(features[start : start + 4096]) for start in range(0, len(features), 4096))
    return torch.cat([(chunk - torch.tensor(mean)) @ torch.tensor(directions) for chunk in chunks]).numpy()


def nearest_by_features(
    queries: np.ndarray, points: np.ndarray, count: int, *, same: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return index int64 [M,k] and squared distance float32 [M,k] of the nearest points, nearest first, exact.

    `same`: queries are the points themselves, and none is its own neighbour. k is `count`, or as many as there are.
    """
    # NearestNeighbors(algorithm="brute") of scikit-learn takes as long (0.9 to 1.3 times, from 5,000 x 64 to 60,000 x
    # 96). But it rounds otherwise: one image in 10,000 gets its neighbours in another order, so results would change.
    known = torch.tensor(points)
    half, count = known.square().sum(1) / 2, min(count, len(points) - same)
    indices, distances = [], []
    step = max(16, min(512, (1 << 25) // len(points)))
    for start in range(0, len(queries), step):
        chunk = torch.tensor(queries[start : start + step])
        nearness = torch.addmm(half, chunk, known.T, beta=-1)  # x.y - y.y/2
        if same:
            own = torch.arange(len(chunk))
            nearness[own, own + start] = -torch.inf
        best, index = nearness.topk(count, dim=1)
        indices.append(index)
        distances.append((chunk.square().sum(1, keepdim=True) - 2 * best).clamp_min(0))
    return torch.cat(indices).numpy(), torch.cat(distances).numpy()


# --- nearest after distortion


def distorts(images: np.ndarray, features: str | Extractor = "hog") -> bool:
    """Return whether to compare every image with its candidates under distortion: of grey images, if affordable.

    Never where an encoder says which images are near.
    """
    # Of colour images it made no difference: on CIFAR-10 with 40 labels a class 40.2 % were right with it and without.
    if images.shape[3] != 1 or not isinstance(features, str):
        return False
    height, width = distorted_size(images)
    shifts = (2 * patch_shift(height, width) + 1) ** 2
    return len(images) * CANDIDATES * height * width * shifts <= AFFORDABLE


def distorted_size(images: np.ndarray) -> tuple[int, int]:
    """Return the (height, width) at which images are compared under distortion."""
    height, width = images.shape[1:3]
    shrink = -(-min(height, width) // DISTORTED_SIDE)
    return height // shrink, width // shrink


def patch_shift(height: int, width: int) -> int:
    """Return how far a patch may move, in pixels: 2 of 28."""
    return max(1, round(min(height, width) / 14))


def distortable(images: np.ndarray, extractor: str) -> np.ndarray:
    """Return uint8 [N,h,w,C] for the distortion distance: deskewed if the features are, shrunk if large."""
    size = distorted_size(images)
    key = ("prepared", extractor.startswith("deskewed"), size, content_hash(images))

    def compute() -> dict[str, np.ndarray]:
        upright = deskew(images) if extractor.startswith("deskewed") else images
        if size == images.shape[1:3]:
            return {"images": upright.copy()}
        chunks = (torch.tensor(upright[start : start + 512]) for start in range(0, len(upright), 512))
        planes = (chunk.permute(0, 3, 1, 2).float() for chunk in chunks)
        small = [F.adaptive_avg_pool2d(x, size).round().byte().permute(0, 2, 3, 1) for x in planes]
        return {"images": torch.cat(small).contiguous().numpy()}

    return CACHE.get(key, compute)["images"]


def reranked(queries: np.ndarray, known: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return those NEIGHBOURS of `index` [M,c] into `known` that are nearest after distortion, and their distances."""
    found = np.empty(index.shape, np.float32)
    step = max(1, PAIRS_AT_ONCE // index.shape[1])
    for start in range(0, len(index), step):
        rows = index[start : start + step]
        x = gradient_pair(queries[start : start + step]).repeat_interleave(rows.shape[1], 0)
        found[start : start + step] = distortion(x, gradient_pair(known[rows.ravel()])).numpy().reshape(rows.shape)
    order = np.argsort(found, axis=1, kind="stable")[:, :NEIGHBOURS]
    return np.take_along_axis(index, order, 1), np.take_along_axis(found, order, 1)


def gradient_pair(images: np.ndarray) -> Tensor:
    return torch.stack(gradients(torch.tensor(images)), dim=1)


def distortion(x: Tensor, y: Tensor) -> Tensor:
    """Return squared distances [N] of gradient images [N,2,H,W], every 3x3 patch of `x` at its best place in `y`.

    The image distortion model of Keysers et al. 2007 (doi:10.1109/TPAMI.2007.1153): each patch moves on its own, by up
    to `patch_shift` pixels. Patches lie at every second pixel of images larger than 16.
    """
    _, _, height, width = x.shape
    step, stride = patch_shift(height, width), 2 if min(height, width) > 16 else 1
    padded, best = F.pad(y, (step, step, step, step)), None
    for dy in range(2 * step + 1):
        for dx in range(2 * step + 1):
            gap = (x - padded[:, :, dy : dy + height, dx : dx + width]).square_()
            patches = patch_sums(gap[:, 0].add_(gap[:, 1]), stride)
            best = patches if best is None else torch.minimum(best, patches)
    assert best is not None
    return best.flatten(1).sum(1)


def patch_sums(x: Tensor, stride: int) -> Tensor:
    """Return the sums over 3x3 patches inside images [N,H,W], every `stride` pixels."""
    height, width = x.shape[1:]
    rows = x[:, 0 : height - 2 : stride] + x[:, 1 : height - 1 : stride] + x[:, 2:height:stride]
    return rows[:, :, 0 : width - 2 : stride] + rows[:, :, 1 : width - 1 : stride] + rows[:, :, 2:width:stride]


# --- along the graph


def local_scale(distance: np.ndarray) -> np.ndarray:
    """Return the distance to the last neighbour [N], at least 0.001 of its median: duplicates are at distance 0."""
    widths = np.sqrt(distance[:, -1].astype(np.float64))
    return np.maximum(widths, 1e-3 * max(float(np.median(widths)), 1e-9))


def edge_weights(distance: np.ndarray, own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return exp(-d^2 / (own * other)), the self-tuned weights of Zelnik-Manor & Perona 2004, at least 1e-6."""
    return np.maximum(np.exp(-distance / (own[:, None] * others)), 1e-6)


def affinity(graph: Graph) -> scipy.sparse.csr_array:
    """Return symmetric float32 [N,N]: D^-1/2 W D^-1/2, the normalised weights between neighbours."""
    count, kept = graph.index.shape
    weights = edge_weights(graph.distance, graph.scale, graph.scale[graph.index])
    ends = np.arange(0, count * kept + 1, kept)
    W = scipy.sparse.csr_array((weights.ravel(), graph.index.ravel(), ends), shape=(count, count))
    W = ((W + W.T) / 2).tocoo()
    degree = np.sqrt(W.sum(1))
    scaled = W.data / (degree[W.row] * degree[W.col])
    return scipy.sparse.csr_array((scaled.astype(np.float32), (W.row, W.col)), shape=W.shape)


def spread_labels(S: scipy.sparse.csr_array, sources: np.ndarray, alpha: float) -> np.ndarray:
    """Return (I - alpha S)^-1 sources, float32 [N,M] (Zhou et al. 2004), by conjugate gradients."""
    x, r = np.zeros_like(sources), sources.copy()
    p, length = r.copy(), (r * r).sum(0)
    enough = 1e-8 * length
    for _ in range(500):
        if (length <= enough).all():
            break
        q = p - np.float32(alpha) * (S @ p)
        step = length / np.maximum((p * q).sum(0), 1e-30)
        x += step * p
        r -= step * q
        new = (r * r).sum(0)
        p = r + (new / np.maximum(length, 1e-30)) * p
        length = new
    return np.maximum(x, 0)


def class_shares(density: np.ndarray, base: np.ndarray, strength: float) -> np.ndarray:
    """Return the shares [K] of the mixture of K densities [N,K] (columns sum to 1) that explains N images best.

    By expectation maximisation, with a Dirichlet prior around `base` that counts as `strength` times all images.
    """
    shares = base.copy()
    for _ in range(500):
        belief = density * shares
        belief /= belief.sum(1, keepdims=True)
        new = (belief.mean(0) + strength * base) / (1 + strength)
        if np.abs(new - shares).max() < 1e-7:
            break
        shares = new
    return shares
