"""The judge's own extractor: a small network that learns from the user's own training images. Nothing is downloaded.

With enough labels it learns to name their classes; without, to name the clusters that hand-made features fall into
(ours; the idea is that of Caron et al. 2018, arXiv:1807.05520, with clusters that stay). Either way it is one player
in the one loop, a tenth of the images is held out to say how well it learned, and the network is kept in the user's
cache by the content of what it learned from.

Its features stand beside hand-made ones. What tells classes apart does not see noise at all, and sees copies and blur
less than edges do; edges see a dropped class less. Both together see each of these (benchmarks/results/extractors.md).
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from .. import keyed_random
from ..devices import choose_device, torch_threads
from ..errors import DataError
from ..games.builders import Recipe
from ..games.heads import Classes
from ..games.losses import Classify
from ..games.nodes import Batch, Discriminated
from ..games.players import AdamW, Discriminator, Player
from ..games.schedules import Linear
from ..games.training import fastest_precision, new_state, training
from ..games.views import Weak
from ..images import to_unit
from ..nets.classifiers import SmallCNN
from ..nets.layers import DataSpec, channels_last
from .cache import Arrays, fingerprint, user_cache
from .extractor import Extractor, Progress, hash_of, writeable
from .handcrafted import EXTRACTORS, extract
from .preprocessing import resized

VERSION = 1  # of what follows: another one trains other networks
LARGEST_SIDE, SMALLEST_SIDE = 64, 8  # pixels
FEWEST = 30  # images to learn from
EACH = 20  # labelled images a class, on average, that are worth more than clusters
CLUSTERS, CLUSTERED = 50, 10_000  # at most; and images that they are found from, about
HANDMADE = {1: "hog", 3: "hog+colours"}  # by channels
LEAST = 1 / 3
HELD = 0.1  # share of the images that training does not see
CHUNK = 500

RESIZE = (
    f"images with a side over {LARGEST_SIDE} pixels are shrunk to {LARGEST_SIDE} (bilinear, antialiased, the aspect "
    f"ratio kept, no side under {SMALLEST_SIDE}), others are looked at in their own size"
)
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
    """What is learned: images uint8 [N,H,W,C], the class of each, int64 [N] below `classes`, and which are held out."""

    x: np.ndarray
    y: np.ndarray
    classes: int
    held: np.ndarray  # bool [N]

    @property
    def data_spec(self) -> DataSpec:
        return DataSpec.of(self.x, self.classes)


def own(
    images: np.ndarray,
    labels: np.ndarray | None = None,
    classes: Sequence[str] = (),
    progress: Progress | None = None,
    *,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
) -> Extractor:
    """A small network that learned from these training images, or the one that did so before.

    images: uint8 [N,H,W,C]; only the training part, for it sees them all but a tenth. labels: int64 [N], -1 where
    unlabelled; with two classes and EACH labelled images a class it learns to name `classes`, else to tell clusters
    apart, and then names none. The same images, labels, seed and precision give the same network on the same machine,
    whatever the number of threads: it trains in one. It is kept in the user's cache (places.cache_folder).
    `precision`: of its training, "fp32", "bf16" or "auto" for what is faster here; features are always computed in
    float32. Over these images their mean is 0 and their mean square 1. Raises DataError for fewer than FEWEST images
    and for images that are all alike.
    """
    check(images)
    labels, where = usable(labels), choose_device(device)
    names = () if labels is None else tuple(classes) or tuple(map(str, range(int(labels.max()) + 1)))
    content = fingerprint(images, *(() if labels is None else (labels,)))
    key = ("own", VERSION, RECIPE, seed, precision, len(names), content)

    def learn() -> Arrays:
        x = writeable(shrunk(images))
        with torch_threads(1):  # so that the number of threads changes nothing; more were slower on a busy machine
            lesson = by_clusters(x, seed) if labels is None else by_labels(x, labels, len(names), seed)
            return learned(lesson, x, trained(lesson, seed, where, precision, progress), where)

    return extractor_of(user_cache().get(key, learn), images.shape[1:], names, where)


def extractor_of(arrays: Arrays, shape: tuple[int, ...], classes: tuple[str, ...], device: str) -> Extractor:
    """The extractor whose weights, scale and accuracy these are."""
    height, width, channels = shape
    net = network(DataSpec(channels, *fitting(height, width), len(arrays["head.classes.bias"])), arrays, device)
    mean, scale = arrays["own/mean"], arrays["own/scale"]

    def see(chunk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        features, logits = judged(net, shrunk(chunk), device)
        return (features - mean) / scale, logits

    return Extractor(
        name="own",
        hash=hash_of("own", VERSION, *(arrays[name] for name in sorted(arrays))),
        resize=RESIZE,
        see=see,
        alone=device != "cpu",
        width=len(mean),
        shape=(height, width, channels),
        classes=classes,
        accuracy=float(arrays["own/accuracy"]),
        accuracy_of=f"{int(arrays['own/held']):,} held-out training images, {'classes' if classes else 'clusters'}",
    )


def check(images: np.ndarray) -> None:
    if len(images) < FEWEST:
        raise DataError(
            "few-images",
            f"the extractor own learns from at least {FEWEST} images, these are {len(images)}",
            fix="add images, or use the extractor hog or pixels",
        )


def usable(labels: np.ndarray | None) -> np.ndarray | None:
    """The labels, where there are enough to learn from."""
    if labels is None:
        return None
    known = labels[labels >= 0]
    classes = len(np.unique(known))
    return labels if classes >= 2 and len(known) >= EACH * classes else None


# --- learning --------------------------------------------------------------------------------------------------------


def learned(lesson: Lesson, x: np.ndarray, net: nn.Module, device: str) -> Arrays:
    """The weights by name; `own/held`, `own/accuracy` from the held-out images; `own/mean`, `own/scale` from all, x."""
    named = judged(net, lesson.x[lesson.held], device)[1].argmax(1)
    mean, scale = centring(judged(net, x, device)[0], int(net.head["classes"].in_features))  # type: ignore[index]
    arrays = {name: value.detach().cpu().numpy() for name, value in net.state_dict().items()}
    return arrays | {
        "own/held": np.array(lesson.held.sum()),
        "own/accuracy": np.array((named == lesson.y[lesson.held]).mean()),
        "own/mean": mean,
        "own/scale": scale,
    }


def centring(features: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """(mean, scale), float32 [F], after which all columns have mean 0 and vary alike, with mean square 1 over all.

    A column that hardly varies in these images is not to drown the others where fakes differ: none is taken to vary
    less than LEAST times as much as its block does, the first `width` columns or the others.
    """
    mean = features.mean(0, dtype=np.float64)
    square = np.einsum("nf,nf->f", features, features, dtype=np.float64)  # casts row by row, no second array
    variance = np.maximum(square / len(features) - np.square(mean), 0)
    blocks = [np.maximum(part, LEAST**2 * part.mean()) for part in np.split(variance, [width])]
    scale = np.sqrt(np.concatenate(blocks))
    scale[scale == 0] = 1
    scale *= math.sqrt((variance / np.square(scale)).mean()) or 1.0
    return mean.astype(np.float32), scale.astype(np.float32)


def by_labels(x: np.ndarray, labels: np.ndarray, classes: int, seed: int) -> Lesson:
    """The labelled images, a tenth of each class held out."""
    known = labels >= 0
    x, y = x[known], labels[known]
    return Lesson(x, y, classes, held_out(y, seed))


def by_clusters(x: np.ndarray, seed: int) -> Lesson:
    """All images, by the cluster that their hand-made features are in."""
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
    return Lesson(x, y.astype(np.int64), len(found), held_out(y, seed))


def held_out(y: np.ndarray, seed: int) -> np.ndarray:
    """bool [N]: at random a tenth of each class, at least one image of a class of two or more."""
    held = np.zeros(len(y), bool)
    for label in np.unique(y):
        members = np.flatnonzero(y == label)
        order = members[keyed_random.order(keyed_random.key(seed, "held out", int(label)), len(members)).numpy()]
        held[order[: max(1, round(HELD * len(members))) if len(members) > 1 else 0]] = True
    return held


def shown_for(images: int, data_spec: DataSpec) -> int:
    """How many images training shows, repeats counted: 25 times 10,000, and more often the fewer there are.

    Less where the network's map is larger than the 16x16 of images of 32x32.
    """
    side = min(data_spec.height, data_spec.width)
    fold = 2 ** max(0, int(math.log2(side / 12)))
    area = data_spec.height * data_spec.width / fold**2
    return round(min(400_000, 1000 * images**0.6) / max(1.0, area / 256))


def trained(lesson: Lesson, seed: int, device: str, precision: str, progress: Progress | None) -> nn.Module:
    """The averaged classifier of RECIPE after a lesson, in eval mode."""
    data_spec, shown = lesson.data_spec, shown_for(len(lesson.x), lesson.data_spec)
    seen = ~lesson.held
    data = {"all": {"x": torch.from_numpy(lesson.x[seen]).to(device), "y": torch.from_numpy(lesson.y[seen]).to(device)}}
    if precision == "auto":
        precision = fastest_precision(RECIPE, data_spec, device=device)
    state = new_state(RECIPE, data_spec, seed=seed, device=device)
    for _ in training(RECIPE, state, data, images=shown, seed=seed, precision=precision):
        if progress:
            progress(min(state.round * RECIPE.batch, shown), shown, "training the extractor")
    return state.best("D").eval()


def network(data_spec: DataSpec, arrays: Arrays, device: str) -> nn.Module:
    """The network with these weights, in eval mode."""
    with torch.random.fork_rng(devices=[]):
        net = RECIPE.nets["D"].build(data_spec)  # without an optimiser, which loads half of torch
    net.load_state_dict({name: torch.tensor(value) for name, value in arrays.items() if "/" not in name})
    return channels_last(net, device).eval().requires_grad_(False)


@torch.inference_mode()
def judged(net: nn.Module, x: np.ndarray, device: str) -> tuple[np.ndarray, np.ndarray]:
    """Features float32 [N,F], the network's and then the hand-made ones, and logits [N,K] of uint8 [N,H,W,C]."""
    verdicts = [net(to_unit(torch.tensor(x[i : i + CHUNK]).to(device))) for i in range(0, len(x), CHUNK)]
    features, logits = (torch.cat([getattr(v, part) for v in verdicts]) for part in ("features", "logits"))
    both = np.concatenate([features.cpu().numpy(), EXTRACTORS[HANDMADE[x.shape[3]]](x)], axis=1)
    return both, logits.cpu().numpy()


# --- sizes -----------------------------------------------------------------------------------------------------------


def fitting(height: int, width: int) -> tuple[int, int]:
    """(height, width) after RESIZE."""
    scale = min(1.0, LARGEST_SIDE / max(height, width))
    return tuple(min(side, max(SMALLEST_SIDE, round(side * scale))) for side in (height, width))  # type: ignore


def shrunk(images: np.ndarray) -> np.ndarray:
    """uint8 [N,H,W,C] by RESIZE."""
    size = fitting(*images.shape[1:3])
    if size == images.shape[1:3]:
        return images
    parts = (resized(images[i : i + CHUNK], size, "bilinear") for i in range(0, len(images), CHUNK))
    return np.concatenate([part.permute(0, 2, 3, 1).numpy() for part in parts])
