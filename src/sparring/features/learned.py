"""The extractor `own`: a small network that learns from the user's own training images. Nothing is downloaded.

With enough labels it learns their classes. Without, it learns the clusters of handcrafted features (ours; the idea is
that of Caron et al. 2018, arXiv:1807.05520, with clusters that do not change). A tenth of the images is held out to
measure how well it learned. The network is kept in the user's cache by the content of what it learned from.

Its features are joined with handcrafted ones, since each misses something. Features that tell classes apart do not
react to noise at all, and less than edges do to copies and blur; edges react less to a dropped class. Both together
react to all of these (benchmarks/results/extractors.md).
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from .. import keyed_random
from ..devices import choose_device, choose_precision, torch_threads
from ..errors import DataError
from ..files import content_hash
from ..games.builders import Recipe
from ..games.heads import Classes
from ..games.losses import Classify
from ..games.nodes import Batch, Discriminated
from ..games.players import AdamW, Discriminator, Player
from ..games.schedules import Linear
from ..games.training import new_state, training
from ..games.views import Weak
from ..images import to_unit
from ..nets.classifiers import SmallCNN, fold_of
from ..nets.layers import DataSpec, channels_last
from ..records import OnProgress, Progress, no_progress
from .cache import Arrays, user_cache
from .extractor import HASH_DIGITS, Extractor, writeable
from .handcrafted import EXTRACTORS, extract
from .shrinking import RESIZE, seen_size, shrunk

OWN_VERSION = 1  # to be raised with any change of how it trains
FEWEST = 30  # images to learn from
EACH = 20  # labelled images a class, on average, that are worth more than clusters
CLUSTERS, CLUSTERED = 50, 10_000  # at most; and images that they are found from, about
HANDMADE = {1: "hog", 3: "hog+colours"}  # by channels
LEAST_DEVIATION = 1 / 3  # of a feature, of the mean of its block
HELD_OUT = 0.1  # share of the images that training does not see
OWN_BATCH = 500  # images whose features are computed at a time

RECIPE = Recipe(
    "ours: cross-entropy on weak views; no mirror images, since of digits and letters they may be another class",
    (
        Player(
            "D",
            (Discriminator("D", SmallCNN(), Classes()),),
            (Classify(of=Discriminated("D", Weak(Batch("x"))), label=Batch("y")),),
            AdamW(Linear(4e-3)),
            average=0.99,
        ),
    ),
    batch=128,
)


@dataclass(frozen=True, eq=False)
class Lesson:
    """What is learned: images uint8 [N,H,W,C], the class of each int64 [N] below `classes`; `held` [N]: held out."""

    x: np.ndarray
    y: np.ndarray
    classes: int
    held: np.ndarray

    @property
    def data_spec(self) -> DataSpec:
        return DataSpec.of(self.x, self.classes)


def own(
    images: np.ndarray,
    labels: np.ndarray | None = None,
    classes: Sequence[str] = (),
    progress: OnProgress = no_progress,
    *,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    length: int | None = None,
) -> Extractor:
    """Return a small network that learned from these training images, from the cache where it did so before.

    images: uint8 [N,H,W,C], of the training part only: it sees all but a tenth. labels: int64 [N], -1 where unlabelled.
    With two classes and EACH labelled images a class it learns `classes`, else clusters, and then has no classes. The
    same images, labels, seed and precision give the same network on the same machine with any number of threads: it
    trains in one. `precision`: of its training, "fp32", "bf16" or "auto" (`choose_precision`); features are computed in
    float32. Over these images their mean is 0 and their mean square 1. `length`: images that training shows, repeats
    counted; None chooses. Raises DataError for fewer than FEWEST images and for images that are all alike.
    """
    _check(images)
    labels, where = _usable(labels), choose_device(device)
    precision = choose_precision(precision, where)
    names = () if labels is None else tuple(classes) or tuple(map(str, range(int(labels.max()) + 1)))
    content = content_hash(images, *(() if labels is None else (labels,)))
    key = ("own", OWN_VERSION, RECIPE, seed, precision, len(names), content, *(() if length is None else (length,)))

    def learn() -> Arrays:
        x = writeable(shrunk(images))
        with torch_threads(1):  # so that the number of threads changes nothing; more were slower on a busy machine
            lesson = by_clusters(x, seed) if labels is None else by_labels(x, labels, len(names), seed)
            return learned(lesson, x, trained(lesson, seed, where, precision, progress, length), where)

    return own_extractor(user_cache().get(key, learn), images.shape[1:], names, where)


def own_extractor(arrays: Arrays, shape: tuple[int, ...], classes: tuple[str, ...], device: str) -> Extractor:
    """Return the extractor with these weights, scale and accuracy."""
    height, width, channels = shape
    net = own_network(DataSpec(channels, *seen_size(height, width), len(arrays["head.classes.bias"])), arrays, device)
    mean, scale = arrays["own/mean"], arrays["own/scale"]

    def compute(chunk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        features, logits = outputs(net, shrunk(chunk), device)
        return (features - mean) / scale, logits

    return Extractor(
        name="own",
        hash=content_hash("own", OWN_VERSION, *(arrays[name] for name in sorted(arrays)))[:HASH_DIGITS],
        resize=RESIZE,
        compute=compute,
        alone=device != "cpu",
        width=len(mean),
        shape=(height, width, channels),
        classes=classes,
        accuracy=float(arrays["own/accuracy"]),
        accuracy_of=f"{int(arrays['own/held']):,} held-out training images, {'classes' if classes else 'clusters'}",
    )


def _check(images: np.ndarray) -> None:
    if len(images) < FEWEST:
        raise DataError(
            "few-images",
            f"the extractor own learns from at least {FEWEST} images, these are {len(images)}",
            fix="add images, or use the extractor hog or pixels",
        )


def _usable(labels: np.ndarray | None) -> np.ndarray | None:
    """Return the labels where there are enough to learn from, else None."""
    if labels is None:
        return None
    known = labels[labels >= 0]
    classes = len(np.unique(known))
    return labels if classes >= 2 and len(known) >= EACH * classes else None


# --- learning --------------------------------------------------------------------------------------------------------


def learned(lesson: Lesson, x: np.ndarray, net: nn.Module, device: str) -> Arrays:
    """Return the weights by name, `own/held` (a count), `own/accuracy`, and `own/mean`, `own/scale` of x."""
    named = outputs(net, lesson.x[lesson.held], device)[1].argmax(1)
    mean, scale = centring(outputs(net, x, device)[0], int(net.head["classes"].in_features))  # type: ignore[index]
    arrays = {name: value.detach().cpu().numpy() for name, value in net.state_dict().items()}
    return arrays | {
        "own/held": np.array(lesson.held.sum()),
        "own/accuracy": np.array((named == lesson.y[lesson.held]).mean()),
        "own/mean": mean,
        "own/scale": scale,
    }


def centring(features: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and scale, float32 [F]: after them columns have mean 0 and equal variance, and the mean square is 1.

    The blocks are the first `width` columns and the others. Every column counts as varying at least LEAST_DEVIATION
    times as much as its block: one that hardly varies in these images must not outweigh the others where fakes differ.
    """
    mean = features.mean(0, dtype=np.float64)
    square = np.einsum("nf,nf->f", features, features, dtype=np.float64)  # casts row by row, no second array
    variance = np.maximum(square / len(features) - np.square(mean), 0)
    blocks = [np.maximum(part, LEAST_DEVIATION**2 * part.mean()) for part in np.split(variance, [width])]
    scale = np.sqrt(np.concatenate(blocks))
    scale[scale == 0] = 1
    scale *= math.sqrt((variance / np.square(scale)).mean()) or 1.0
    return mean.astype(np.float32), scale.astype(np.float32)


def by_labels(x: np.ndarray, labels: np.ndarray, classes: int, seed: int) -> Lesson:
    """Return the labelled images, a tenth of each class held out."""
    known = labels >= 0
    x, y = x[known], labels[known]
    return Lesson(x, y, classes, held_out_images(y, seed))


def by_clusters(x: np.ndarray, seed: int) -> Lesson:
    """Return all images, their classes the clusters of their handcrafted features."""
    from sklearn.cluster import KMeans  # slow to load
    from sklearn.exceptions import ConvergenceWarning

    f = extract(HANDMADE[x.shape[3]], x)
    f = f - f.mean(0)
    f /= np.sqrt(np.square(f).mean()) or 1
    count = max(2, min(CLUSTERS, len(x) // FEWEST))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different images than clusters
        y = KMeans(count, random_state=seed).fit(f[:: max(1, len(f) // CLUSTERED)]).predict(f)
    found, y = np.unique(y, return_inverse=True)
    if len(found) < 2:
        raise DataError(
            "images-alike",
            f"the extractor own cannot learn from {len(x)} images that are all alike",
            fix="use images that differ, or the extractor pixels",
        )
    return Lesson(x, y.astype(np.int64), len(found), held_out_images(y, seed))


def held_out_images(y: np.ndarray, seed: int) -> np.ndarray:
    """Return bool [N]: a random tenth of each class, at least one image of a class of two or more."""
    held = np.zeros(len(y), bool)
    for label in np.unique(y):
        members = np.flatnonzero(y == label)
        order = members[keyed_random.order(keyed_random.key(seed, "held out", int(label)), len(members)).numpy()]
        held[order[: max(1, round(HELD_OUT * len(members))) if len(members) > 1 else 0]] = True
    return held


def training_length(images: int, data_spec: DataSpec) -> int:
    """Return how many images training shows, repeats counted: 25 times 10,000, and more often the fewer there are.

    Less where the network's map is larger than the 16x16 of images of 32x32.
    """
    area = data_spec.height * data_spec.width / fold_of(data_spec) ** 2
    return round(min(400_000, 1000 * images**0.6) / max(1.0, area / 256))


def trained(
    lesson: Lesson, seed: int, device: str, precision: str, progress: OnProgress, length: int | None
) -> nn.Module:
    """Train RECIPE on a lesson; return the averaged classifier, in eval mode."""
    data_spec = lesson.data_spec
    shown = length or training_length(len(lesson.x), data_spec)
    seen = ~lesson.held
    data = {"all": {"x": torch.from_numpy(lesson.x[seen]).to(device), "y": torch.from_numpy(lesson.y[seen]).to(device)}}
    state = new_state(RECIPE, data_spec, seed=seed, device=device)
    for _ in training(RECIPE, state, data, images=shown, seed=seed, precision=precision):
        progress(Progress("images", min(state.round * RECIPE.batch, shown), shown, "training the extractor"))
    return state.best("D").eval()


def own_network(data_spec: DataSpec, arrays: Arrays, device: str) -> nn.Module:
    """Return the network with these weights, in eval mode."""
    with torch.random.fork_rng(devices=[]):
        net = RECIPE.nets["D"].build(data_spec)  # without an optimiser, which loads half of torch
    net.load_state_dict({name: torch.tensor(value) for name, value in arrays.items() if "/" not in name})
    return channels_last(net, device).eval().requires_grad_(False)


@torch.inference_mode()
def outputs(net: nn.Module, x: np.ndarray, device: str) -> tuple[np.ndarray, np.ndarray]:
    """Return features float32 [N,F], the network's and then the handcrafted, and logits [N,K] of uint8 [N,H,W,C]."""
    outs = [net(to_unit(torch.tensor(x[i : i + OWN_BATCH]).to(device))) for i in range(0, len(x), OWN_BATCH)]
    features, logits = (torch.cat([getattr(out, name) for out in outs]) for name in ("features", "logits"))
    both = np.concatenate([features.cpu().numpy(), EXTRACTORS[HANDMADE[x.shape[3]]](x)], axis=1)
    return both, logits.cpu().numpy()
