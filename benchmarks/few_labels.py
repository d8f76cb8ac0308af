"""Training images of the data sets on which few-label methods are developed, and draws of labels. No test part."""

from functools import cache

import numpy as np
from scoring import DATA
from sklearn.datasets import load_digits

from sparring.data import load, split

POOL, HELD = 2000, 1000  # training images of a draw; those beside them on which accuracy is measured
Draw = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@cache
def training_part(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 [N,H,W,C] and their classes [N]; of data without a test part, 70 % of the images."""
    if name == "digits":
        return np.rint(load_digits().images * 15.9).astype(np.uint8)[..., None], load_digits().target.astype(np.int64)
    files = {"mnist": "mnist.npz", "cifar10": "cifar10", "tiles": "magnetic-tile.zip/images", "clothes": "clothes.zip"}
    found = load(str(DATA / files[name]))
    kept = found.parts == "train" if (found.parts == "train").any() else split(found, test=0.3).train
    return found.images[kept], found.labels[kept]


def draw(name: str, labels: int, seed: int) -> Draw:
    """Return images, labels (-1 where unlabelled; at most `labels` of a class), held-out images and their classes.

    Images are the same for every seed, so that features are computed once; which are labelled differs.
    """
    x, y = training_part(name)
    order = np.random.default_rng(0).permutation(len(x))
    held = order[: min(HELD, len(x) // 3)]
    pool = order[len(held) :][:POOL]
    shown = np.full(len(pool), -1)
    for label in np.unique(y[pool]):
        members = np.flatnonzero(y[pool] == label)
        shown[np.random.default_rng([seed, label]).permutation(members)[:labels]] = label
    return x[pool], shown, x[held], y[held]


def balanced(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean recall of the classes, in percent."""
    return 100 * float(np.mean([(predicted[truth == label] == label).mean() for label in np.unique(truth)]))
