"""What is a generated image worth to a classifier? Train on fakes, test on real images. Ravuri & Vinyals 2019."""

import math
from dataclasses import dataclass

import numpy as np

from ..features import own
from ..features.learned import EACH
from ..stats import Interval
from .inputs import Progress, Side, quiet

REPEATS = 3  # classifiers, by seed, from the fakes and from as many real images
PARTS = (1 / 16, 1 / 8, 1 / 4, 1 / 2)  # of the real images, for the learning curve
Curve = tuple[tuple[int, float], ...]


@dataclass(frozen=True, eq=False)
class Worth:
    """`fakes`, `real`: what classifiers trained on either got right of the labelled real test images, bool [REPEATS,T];
    `count`: images each was trained on; `curve`: (real images, accuracy), most images last; `chance`: the accuracy of
    always naming the most frequent class.
    """

    fakes: np.ndarray
    real: np.ndarray
    count: int
    curve: Curve
    chance: float

    def each(self, accuracy: float) -> float:
        """So many real images teach as much as one fake, by the accuracy that fakes taught; NaN where they taught
        nothing, or less than the curve's fewest images."""
        found = math.nan if accuracy <= self.chance else worth(accuracy, self.curve) / self.count
        return float(np.minimum(found, 1.0))

    def in_words(self, taught: Interval) -> str:
        low, value, high = (self.each(accuracy) for accuracy in (taught.low, taught.mean, taught.high))
        if math.isnan(value):
            least = self.curve[0][0] / self.count
            less = f"one fake is worth less than {least:.2g} real ones"
            return less if taught.mean > self.chance else "the fakes taught nothing"
        if value >= 1:
            return "one fake is worth at least one real one"
        ends = f"{'0' if math.isnan(low) else f'{low:.2g}'} to {'1 or more' if high >= 1 else f'{high:.2g}'}"
        return f"one fake is worth {value:.2g} real ones ({ends})"


def measured(seen: Side, held: Side, fake: Side, classes: tuple[str, ...], progress: Progress = quiet) -> Worth | None:
    """Classifiers of the package's own kind, each trained the way `own` is: on fakes, on as many real images of `seen`,
    and on parts of these; all tested on the labelled images of `held`. None where there are too few labels."""
    fake, seen, held = (side.take(np.flatnonzero(side.labels >= 0)) for side in (fake, seen, held))
    count = min(len(fake), len(seen))
    fake, seen = fake.some(count, 0), seen.some(count, 0)
    kinds = [len(np.unique(side.labels)) for side in (fake, seen, held)]
    if count < EACH * max(kinds) or min(kinds) < 2:
        return None
    parts = [seen.some(size, 1) for part in PARTS if (size := round(part * count)) >= EACH * max(kinds)]
    parts = [part for part in parts if len(np.unique(part.labels)) > 1]
    trainings = [(side, seed) for side in (fake, seen) for seed in range(REPEATS)]
    trainings += [(part, 0) for part in parts]
    found = []
    for number, (side, seed) in enumerate(trainings):
        progress(f"classifier {number + 1} of {len(trainings)}, from {len(side):,} images")
        found.append(right(side, held, classes, seed))
    fakes, real = np.stack(found[:REPEATS]), np.stack(found[REPEATS : 2 * REPEATS])
    curve = [(len(part), float(hits.mean())) for part, hits in zip(parts, found[2 * REPEATS :], strict=True)]
    chance = float(np.bincount(held.labels).max() / len(held))
    return Worth(fakes, real, count, (*curve, (count, float(real.mean()))), chance)


def right(training: Side, test: Side, classes: tuple[str, ...], seed: int) -> np.ndarray:
    """bool [T]."""
    named = own(training.images, training.labels, classes, seed=seed).named(test.images, origins=test.origins)
    assert named is not None, "too few labels"  # `measured` sees to it
    return named == test.labels


def worth(accuracy: float, curve: Curve) -> float:
    """The number of real images that teaches so much: log error is taken to be straight in log n between points, and
    never to rise. NaN below the curve's beginning; its end where the accuracy is above it."""
    counts = np.log([n for n, _ in curve])
    errors = np.minimum.accumulate([math.log(max(1 - a, 1e-6)) for _, a in curve])
    error = math.log(max(1 - accuracy, 1e-6))
    if error > errors[0]:
        return math.nan
    return round(float(np.exp(np.interp(-error, -errors, counts))), 6)
