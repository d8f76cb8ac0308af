"""Are classes as frequent among fakes as among real images? Of the class that each image is taken for, int [N]."""

import numpy as np

from .estimate import Estimate


def balance(real: np.ndarray, fake: np.ndarray, classes: int) -> Estimate:
    """Total variation between the shares of the classes, 0 to 1: the share of fakes that would have to be of another
    class. Its influences are the derivatives: all 0 where the shares are equal."""
    p, q = shares(table(real, fake, classes))
    sign = np.sign(p - q) / 2
    value = float(np.abs(p - q).sum() / 2)
    return Estimate(value, real=sign[real] - sign @ p, fake=sign @ q - sign[fake])


def balance_test(real: np.ndarray, fake: np.ndarray, classes: int, *, divisions: int = 999, seed: int = 0) -> float:
    """p of "both have one distribution of classes", in [1 / (divisions + 1), 1]: Pearson's chi-squared among random
    divisions of all images into as many of each, exact also where classes are rare."""
    counts = table(real, fake, classes)
    total, expected = counts.sum(0), counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
    first = np.random.default_rng(seed).multivariate_hypergeometric(total, len(real), divisions)
    tables = np.concatenate([counts[None], np.stack([first, total - first], 1)])
    there = total > 0
    apart = (np.square(tables - expected)[:, :, there] / expected[:, there]).sum((1, 2))
    return float((apart >= apart[0] * (1 - 1e-9)).mean())


def balance_by_chance(real: np.ndarray, fakes: int, classes: int, *, draws: int = 999, seed: int = 0) -> np.ndarray:
    """Values of `balance`, float64 [draws], of as many images and so many fakes that all have the shares of `real`."""
    random, share = np.random.default_rng(seed), np.bincount(real, minlength=classes) / len(real)
    p, q = (random.multinomial(n, share, draws) / n for n in (len(real), fakes))
    return np.abs(p - q).sum(1) / 2


def table(real: np.ndarray, fake: np.ndarray, classes: int) -> np.ndarray:
    """Counts [2,K]."""
    return np.stack([np.bincount(named, minlength=classes) for named in (real, fake)])


def shares(counts: np.ndarray) -> np.ndarray:
    return counts / counts.sum(1, keepdims=True)
