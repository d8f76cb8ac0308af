"""How far samples are from each other. A generator that has collapsed makes images that are alike."""

import numpy as np

from .estimate import Estimate
from .features import checked_features, doubles, pair, squares


def mean_distance(features: np.ndarray) -> Estimate:
    """Return the mean Euclidean distance of two different rows of [N,F], N of at least 2, with influences as `fake`.

    Raises DataError.
    """
    features = checked_features(features, least=2, what="the")
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
    """Return the mean distance between fakes [M,F] over that between real images [N,F], with influences of a ratio.

    1 where both are as diverse, 0 where all fakes are the same, NaN where all real images are. Raises DataError.
    """
    real, fake = pair(real, fake)
    a, b = mean_distance(real), mean_distance(fake)
    if not a.value:
        return Estimate(float("nan"))
    ratio = b.value / a.value
    return Estimate(ratio, -ratio / a.value * a.fake, b.fake / a.value)
