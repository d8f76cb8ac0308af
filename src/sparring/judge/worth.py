"""What is a generated image worth to a classifier? Train on fakes, test on real images. Ravuri & Vinyals 2019."""

import math
from dataclasses import dataclass

import numpy as np

from ..features import own
from .sides import Side

REPEATS = 3  # classifiers, by seed, from the fakes and from as many real images
PARTS = (1 / 16, 1 / 8, 1 / 4, 1 / 2)  # of the real images, for the learning curve


@dataclass(frozen=True, eq=False)
class Worth:
    """`fakes`, `real`: what classifiers trained on either got right of the labelled real test images, bool [REPEATS,T];
    `count`: images each was trained on; `curve`: (real images, accuracy), most images last.
    """

    fakes: np.ndarray
    real: np.ndarray
    count: int
    curve: tuple[tuple[int, float], ...]

    @property
    def each(self) -> float:
        """So many real images teach as much as one fake; NaN beyond the ends of the curve."""
        return worth(float(self.fakes.mean()), self.curve) / self.count


def measured(seen: Side, held: Side, fake: Side, classes: tuple[str, ...]) -> Worth:
    """Classifiers of the package's own kind, each trained the way `own` is: on fakes, on as many real images of `seen`,
    and on parts of these; all tested on the labelled images of `held`."""
    fake, seen, held = (side.take(np.flatnonzero(side.labels >= 0)) for side in (fake, seen, held))
    count = min(len(fake), len(seen))
    fake, seen = fake.some(count, 0), seen.some(count, 0)
    on_fakes, on_real = (
        np.stack([right(side, held, classes, seed) for seed in range(REPEATS)]) for side in (fake, seen)
    )
    sizes = [size for part in PARTS if (size := round(part * count)) >= 30]
    curve = [(size, float(right(seen.some(size, 1), held, classes, 0).mean())) for size in sizes]
    return Worth(on_fakes, on_real, count, (*curve, (count, float(on_real.mean()))))


def right(training: Side, test: Side, classes: tuple[str, ...], seed: int) -> np.ndarray:
    """bool [T]."""
    named = own(training.images, training.labels, classes, seed=seed).named(test.images, origins=test.origins)
    return np.zeros(len(test), bool) if named is None else named == test.labels


def worth(accuracy: float, curve: tuple[tuple[int, float], ...]) -> float:
    """The number of real images that teaches so much: log error is taken to be straight in log n between points, and
    never to rise. NaN below the curve's beginning; its end where the accuracy is above it."""
    counts = np.log([n for n, _ in curve])
    errors = np.minimum.accumulate([math.log(max(1 - a, 1e-6)) for _, a in curve])
    error = math.log(max(1 - accuracy, 1e-6))
    if error > errors[0]:
        return math.nan
    return float(np.exp(np.interp(-error, -errors, counts)))
