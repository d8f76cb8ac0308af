"""What is a generated image worth to a classifier? Train on fakes, test on real images. Ravuri & Vinyals 2019."""

import math
from dataclasses import dataclass

import numpy as np

from ..data import ImageSet
from ..features import own
from ..features.learned import EACH
from ..records import OnProgress, Progress, no_progress
from ..stats import Interval
from .inputs import RealImages, at_most

TRAININGS = 3  # classifiers, by seed, from the fakes and from as many real images
CURVE_SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)  # of the real images, for the learning curve
LearningCurve = tuple[tuple[int, float], ...]


@dataclass(frozen=True, eq=False)
class Worth:
    """What classifiers trained on fakes and on real images got right of the labelled real test images.

    fakes, real   bool [TRAININGS,T]
    count         images that each was trained on
    curve         (real images, accuracy), most images last
    chance        the accuracy of always naming the most frequent class
    """

    fakes: np.ndarray
    real: np.ndarray
    count: int
    curve: LearningCurve
    chance: float

    def of_one_fake(self, accuracy: float) -> float:
        """Return how many real images teach as much as one fake, at most 1, where fakes taught this accuracy.

        NaN where they taught nothing, or less than the curve's fewest images.
        """
        found = math.nan if accuracy <= self.chance else images_worth(accuracy, self.curve) / self.count
        return float(np.minimum(found, 1.0))

    def in_words(self, taught: Interval) -> str:
        """Return what one fake is worth, where `taught` is the accuracy that fakes taught."""
        low, value, high = map(self.of_one_fake, (taught.low, taught.mean, taught.high))
        if math.isnan(value):
            least = self.curve[0][0] / self.count
            less = f"one fake is worth less than {least:.2g} real ones"
            return less if taught.mean > self.chance else "the fakes taught nothing"
        if value >= 1:
            return "one fake is worth at least one real one"
        ends = f"{'0' if math.isnan(low) else f'{low:.2g}'} to {'1 or more' if high >= 1 else f'{high:.2g}'}"
        return f"one fake is worth {value:.2g} real ones ({ends})"


def measure_worth(reals: RealImages, fake: ImageSet, progress: OnProgress = no_progress) -> Worth | None:
    """Train classifiers the way the extractor `own` is trained, and test them on the labelled images of the test part.

    They learn from the fakes, from as many images of the training part, and from parts of these. Returns None where
    there are too few labels.
    """
    fake, train, test = (images.take(images.labelled) for images in (fake, reals.train, reals.test))
    count = min(len(fake), len(train))
    fake, train = at_most(fake, count, 0), at_most(train, count, 0)
    kinds = [len(np.unique(images.labels)) for images in (fake, train, test)]
    if count < EACH * max(kinds) or min(kinds) < 2:
        return None
    sizes = (round(share * count) for share in CURVE_SHARES)
    fewer = [at_most(train, size, 1) for size in sizes if size >= EACH * max(kinds)]
    fewer = [images for images in fewer if len(np.unique(images.labels)) > 1]
    trainings = [(images, seed) for images in (fake, train) for seed in range(TRAININGS)]
    trainings += [(images, 0) for images in fewer]
    found = []
    for number, (images, seed) in enumerate(trainings):
        progress(Progress(f"classifier from {len(images):,} images", number, len(trainings)))
        found.append(_right(images, test, reals.classes, seed))
    fakes, real = np.stack(found[:TRAININGS]), np.stack(found[TRAININGS : 2 * TRAININGS])
    of_fewer = zip(fewer, found[2 * TRAININGS :], strict=True)
    curve = (*((len(images), float(hits.mean())) for images, hits in of_fewer), (count, float(real.mean())))
    return Worth(fakes, real, count, curve, chance=float(np.bincount(test.labels).max() / len(test)))


def _right(training: ImageSet, test: ImageSet, classes: tuple[str, ...], seed: int) -> np.ndarray:
    """Return which test images a classifier trained on `training` names right, bool [T]."""
    named = own(training.images, training.labels, classes, seed=seed).named(test.images, origins=test.origins)
    assert named is not None, "too few labels"  # measure_worth sees to it
    return named == test.labels


def images_worth(accuracy: float, curve: LearningCurve) -> float:
    """Return the number of real images that teach this accuracy; NaN below the curve's beginning, at most its end.

    Between its points log error is taken to be straight in log n, and never to rise.
    """
    counts = np.log([n for n, _ in curve])
    errors = np.minimum.accumulate([math.log(max(1 - a, 1e-6)) for _, a in curve])
    error = math.log(max(1 - accuracy, 1e-6))
    if error > errors[0]:
        return math.nan
    return round(float(np.exp(np.interp(-error, -errors, counts))), 6)
