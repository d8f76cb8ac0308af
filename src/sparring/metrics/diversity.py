"""How far samples are from each other. A generator that has collapsed makes images that are alike."""

import numpy as np

from .estimate import Estimate
from .features import checked, doubles, pair, squares


def mean_distance(features: np.ndarray) -> Estimate:
    """Mean Euclidean distance of two different rows of [N,F], N of at least 2; the influences stand under `fake`.
    Raises DataError."""
    features = checked(features, least=2, what="the")
    sums = np.zeros(len(features))
    for rows, x in doubles(features):
        sums[rows] += squares(x, x).fill_diagonal_(0).sqrt_().sum(1).numpy()
        for columns, y in doubles(features[: rows.start]):
            apart = squares(x, y).sqrt_()
            sums[rows] += apart.sum(1).numpy()
            sums[columns] += apart.sum(0).numpy()
    each = sums / (len(features) - 1)
    return Estimate(float(each.mean()), fake=2 * (each - each.mean()))


def diversity(real: np.ndarray, fake: np.ndarray) -> Estimate:
    """Mean distance between fakes over that between real images: 1 as diverse, 0 all the same, not a number where all
    real images are the same. Features [N,F] and [M,F]. The influences are those of a ratio. Raises DataError."""
    real, fake = pair(real, fake)
    a, b = mean_distance(real), mean_distance(fake)
    if not a.value:
        return Estimate(float("nan"))
    ratio = b.value / a.value
    return Estimate(ratio, -ratio / a.value * a.fake, b.fake / a.value)
