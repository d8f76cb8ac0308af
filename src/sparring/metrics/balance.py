"""Are classes as frequent among fakes as among real images? From the class that each image is named as, int [N]."""

import numpy as np

from .estimate import Estimate


def balance(real: np.ndarray, fake: np.ndarray, classes: int) -> Estimate:
    """Return the total variation between the shares of the classes, 0 to 1.

    It is the share of fakes that would have to be of another class. Its influences are its derivatives, all 0 where the
    shares are equal.
    """
    counts = _class_counts(real, fake, classes)
    p, q = counts / counts.sum(1, keepdims=True)
    sign = np.sign(p - q) / 2
    value = float(np.abs(p - q).sum() / 2)
    return Estimate(value, real=sign[real] - sign @ p, fake=sign @ q - sign[fake])


def balance_test(real: np.ndarray, fake: np.ndarray, classes: int, *, divisions: int = 999, seed: int = 0) -> float:
    """Return p of "both have one distribution of classes", in [1 / (divisions + 1), 1].

    It is the rank of Pearson's chi-squared among random divisions of all images into two sets of the same sizes, so it
    is exact even where classes are rare.
    """
    counts = _class_counts(real, fake, classes)
    total, expected = counts.sum(0), counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
    first = np.random.default_rng(seed).multivariate_hypergeometric(total, len(real), divisions)
    tables = np.concatenate([counts[None], np.stack([first, total - first], 1)])
    there = total > 0
    apart = (np.square(tables - expected)[:, :, there] / expected[:, there]).sum((1, 2))
    return float((apart >= apart[0] * (1 - 1e-9)).mean())


def balance_by_chance(real: np.ndarray, fakes: int, classes: int, *, draws: int = 999, seed: int = 0) -> np.ndarray:
    """Return values of `balance`, float64 [draws], where both sides are drawn by the shares of classes in `real`."""
    random, share = np.random.default_rng(seed), np.bincount(real, minlength=classes) / len(real)
    p, q = (random.multinomial(n, share, draws) / n for n in (len(real), fakes))
    return np.abs(p - q).sum(1) / 2


def _class_counts(real: np.ndarray, fake: np.ndarray, classes: int) -> np.ndarray:
    """Return how many images of each class there are, [2,K]."""
    return np.stack([np.bincount(named, minlength=classes) for named in (real, fake)])
