"""One function a metric: from real images, fakes and an extractor to a score with its interval.

The functions know no metric's name and cut no interval: `scoring.compute` does both.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy import special

from .. import metrics
from ..data import ImageSet
from ..devices import SPARRING_VERSION
from ..features import Extractor
from ..features.extractor import handmade
from ..features.learned import EACH, HANDMADE
from ..metrics import Estimate
from ..metrics.estimate import NORMAL_95
from ..metrics.frechet import IMAGES_PER_FEATURE, POINTS_OF_LINE
from ..records import OnProgress, no_progress
from ..stats import fisher_p, share_interval, wilson
from .inputs import RealImages, random_subset
from .results import HEADLINE_FROM, LEAST_IMAGES, ScoreResult
from .train_on_generated import measure_worth

# Random divisions of the kernel test, and of tests that take less time: p of 1 / 401 and 1 / 1000 at least. Fewer than
# 400 and one of verdicts.TESTS alone could never fire at ALARM after Holm's correction.
DIVISIONS, MORE_DIVISIONS = 400, 999
NEIGHBOUR_COUNT = 5  # k of precision, recall, density and coverage
COPIES_SHOWN = 12
# images of the training and the test part that are compared, and the p below which they are of two sources
COMPARED_PARTS, UNLIKE = 1000, 0.003
WEAK = 0.8  # accuracy below which what an extractor says of classes is doubtful


@dataclass(frozen=True, eq=False)
class MetricScore:
    """A metric's value, None where it could not be had (`note` says why), with its interval at 95 %.

    `p`: of "these fakes are no different from real images", where the metric has such a test. `estimate`: what a
    comparison with another generator needs. `shows`: what a figure of it is drawn from, by name.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    note: str = ""
    estimate: Estimate | None = None
    shows: Mapping[str, np.ndarray] = field(default_factory=dict)

    def row(self, metric: str) -> ScoreResult:
        """Return the record of this score of `metric`; what is not finite is None there."""
        value, low, high, p = map(finite, (self.value, self.low, self.high, self.p))
        shows = {
            name: tuple(tuple(item) if isinstance(item, list) else item for item in array.tolist())
            for name, array in self.shows.items()
        }
        return ScoreResult(metric, value, low, high, p, self.note, shows)


def finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def from_estimate(estimate: Estimate, *, p: float | None = None, note: str = "") -> MetricScore:
    """Return a score with the interval of its estimate."""
    return MetricScore(estimate.value, *estimate.interval, p, note, estimate)


def proportion(estimate: Estimate) -> MetricScore:
    """Return a share whose images are correlated with Wilson's interval at the effective sample size.

    That is n = p (1 - p) / error^2 (Korn & Graubard 1998), and no more than the images of the smaller side. At a share
    of 0 or 1 the error is 0, and n is the smaller side.
    """
    value, error = estimate.value, estimate.error
    fewest = min(count for count in (len(estimate.real), len(estimate.fake)) if count)
    smooth = value if 0 < value < 1 else (value * fewest + 1) / (fewest + 2)
    effective = max(1.0, min(smooth * (1 - smooth) / error**2, fewest)) if error else fewest
    return MetricScore(*wilson(value * effective, effective).triple, estimate=estimate)


def share_of_fakes(hits: np.ndarray, note: str = "") -> MetricScore:
    """Return the share of fakes for which something holds, bool [M], with Wilson's interval."""
    found = wilson(int(hits.sum()), len(hits))
    return MetricScore(*found.triple, note=note, estimate=Estimate(found.mean, fake=hits - found.mean))


@dataclass(frozen=True, eq=False)
class Pair:
    """Fakes and the real images that they are compared with; what several scores need is computed once."""

    reals: RealImages
    fake: ImageSet
    extractor: Extractor
    progress: OnProgress = no_progress

    @cached_property
    def key(self) -> tuple:
        """All that its scores depend on."""
        looks = (self.extractor.hash, self.unlearned.hash)
        sides = (self.reals.train, self.reals.test, self.fake)
        prints = (side.fingerprint for side in sides)
        return (SPARRING_VERSION, *looks, self.reals.disjoint, self.reals.classes, *prints)

    @cached_property
    def real_features(self) -> np.ndarray:
        return self.extractor.features(self.reals.test.images, origins=self.reals.test.origins)

    @cached_property
    def fake_features(self) -> np.ndarray:
        return self.extractor.features(self.fake.images, origins=self.fake.origins)

    @cached_property
    def fake_logits(self) -> np.ndarray:
        logits = self.extractor.logits(self.fake.images, origins=self.fake.origins)
        assert logits is not None  # asked only of extractors that name classes
        return logits

    @cached_property
    def real_named(self) -> np.ndarray:
        named = self.extractor.named(self.reals.test.images, origins=self.reals.test.origins)
        assert named is not None
        return named

    @cached_property
    def neighbours(self) -> metrics.Neighbours:
        return metrics.neighbours(self.real_features, self.fake_features, k=NEIGHBOUR_COUNT)

    @cached_property
    def unlearned(self) -> Extractor:
        """What copies are looked for with. A network's features of its own training images differ from those of unseen
        images, so `own` gives way to its hand-made part."""
        return handmade(HANDMADE[self.reals.shape[2]]) if self.extractor.name == "own" else self.extractor

    @cached_property
    def three(self) -> list[np.ndarray]:
        """Features of the training part, the test part and the fakes, for copies."""
        sides = (self.reals.train, self.reals.test, self.fake)
        return [self.unlearned.features(side.images, origins=side.origins) for side in sides]

    @cached_property
    def copies(self) -> metrics.Copies:
        train, test, fake = self.three
        return metrics.copies(train, test, fake)

    @cached_property
    def real_parts_differ(self) -> float | None:
        """p of the kernel test of the training part against the test part; None where they may be of one source."""
        train, test, _ = (features[random_subset(len(features), COMPARED_PARTS, 0)] for features in self.three)
        p = metrics.kernel_test(train, test, permutations=DIVISIONS)
        return p if p <= UNLIKE else None

    @cached_property
    def near_copies(self) -> tuple[np.ndarray, np.ndarray, float]:
        """How near each fake is to a training image, [M], below 1 a near copy; to which of `reals.all`, int64 [M]; and
        the share of real images that are as near to others.

        Where generators may have been trained on the test part, copies of its images count, too.
        """
        distance, nearest, twins = self.copies.relative_distance, self.copies.nearest, self.copies.twins
        if not self.reals.disjoint:
            train, test, fake = self.three
            further, others, also = metrics.near_copies(test, train, fake)
            nearest = np.where(further < distance, others + len(self.reals.train), nearest)
            distance, twins = np.minimum(distance, further), twins + also
        return distance, nearest, twins

    def of_class(self, k: int) -> "Pair":
        """Return the pair of the images of class k."""
        real, fake = (np.flatnonzero(side.labels == k) for side in (self.reals.test, self.fake))
        reals = replace(self.reals, test=self.reals.test.take(real))
        part = Pair(reals, self.fake.take(fake), self.extractor)
        vars(part).update(real_features=self.real_features[real], fake_features=self.fake_features[fake])
        if self.extractor.classes:
            vars(part).update(real_named=self.real_named[real], fake_logits=self.fake_logits[fake])
        return part


# --- one function a metric -------------------------------------------------------------------------------------------


def score_kernel(pair: Pair) -> MetricScore:
    p = metrics.kernel_test(pair.real_features, pair.fake_features, permutations=DIVISIONS)
    return from_estimate(metrics.kernel_distance(pair.real_features, pair.fake_features), p=p)


def score_frechet(pair: Pair) -> MetricScore:
    few = min(len(pair.reals.test), len(pair.fake))
    why = f"of {few:,} images: too large, and no headline below {HEADLINE_FROM:,}; trust the kernel distance"
    estimate = metrics.frechet_distance(pair.real_features, pair.fake_features)
    return from_estimate(estimate, note=why * (few < HEADLINE_FROM))


def score_frechet_infinity(pair: Pair) -> MetricScore:
    width, few = pair.real_features.shape[1], min(len(pair.reals.test), len(pair.fake))
    if few < (least := POINTS_OF_LINE * IMAGES_PER_FEATURE * width):
        return MetricScore(note=f"needs {least:,} images on each side, as there are {width} features")
    return from_estimate(metrics.frechet_at_infinity(pair.real_features, pair.fake_features))


def score_diversity(pair: Pair) -> MetricScore:
    return from_estimate(metrics.diversity(pair.real_features, pair.fake_features))


def score_inception(pair: Pair) -> MetricScore:
    return from_estimate(metrics.inception_score(special.softmax(pair.fake_logits.astype(np.float64), axis=1)))


def score_class_balance(pair: Pair) -> MetricScore:
    """Return how far the classes that the extractor names in fakes are from the balance in real images.

    `shows`: "chance", the mean value of two sets of real images.
    """
    both, k = (pair.real_named, pair.fake_logits.argmax(1)), len(pair.extractor.classes)
    score = from_estimate(metrics.balance(*both, k), p=metrics.balance_test(*both, k, divisions=MORE_DIVISIONS))
    by_chance = metrics.balance_by_chance(pair.real_named, len(pair.fake), k)
    # Where all shares are equal, every influence is 0: the interval then ends at the 95 % quantile of chance.
    if score.estimate and not score.estimate.error:
        score = replace(score, high=float(np.quantile(by_chance, 0.95)))
    return replace(score, shows={"chance": by_chance.mean(keepdims=True)})


def score_fidelity(pair: Pair) -> MetricScore:
    """Return the share of fakes that the extractor names as the class they were asked for.

    p: Fisher's exact test of "fakes are named right as often as real images".
    """
    right = _named_right(pair.fake, pair.fake_logits.argmax(1))
    found, real = share_of_fakes(right), _named_right(pair.reals.test, pair.real_named)
    known = f"of the {len(right):,} fakes whose class is known" * (len(right) < len(pair.fake))
    if not len(real):
        return replace(found, note=known)
    weak = f"the extractor names only {100 * real.mean():.1f} % of real images right: read it beside that"
    note = "; ".join(filter(None, (known, weak * bool(real.mean() < WEAK))))
    return replace(found, p=fisher_p(right, real), note=note)


def _named_right(images: ImageSet, named: np.ndarray) -> np.ndarray:
    """Return which of the images whose class is known are named right, bool [n]."""
    return (named == images.labels)[images.labelled]


def shared_classes(pair: Pair) -> list[int]:
    """Return the classes of which there are LEAST_IMAGES on both sides."""
    counts = (
        np.bincount(images.labels[images.labelled], minlength=len(pair.reals.classes))
        for images in (pair.reals.test, pair.fake)
    )
    return np.flatnonzero(np.minimum(*counts) >= LEAST_IMAGES).tolist()


def score_class_frechet(pair: Pair) -> MetricScore:
    """Return the mean Frechet distance over the classes that have LEAST_IMAGES images on both sides."""
    classes, of_all = shared_classes(pair), len(pair.reals.classes)
    parts = [pair.of_class(k) for k in classes]
    found = [metrics.frechet_distance(part.real_features, part.fake_features) for part in parts]
    if not found:
        return MetricScore(note=f"needs {LEAST_IMAGES} real images and fakes of a class")
    half = NORMAL_95 * math.sqrt(sum(e.error**2 for e in found)) / len(found)
    value = float(np.mean([e.value for e in found]))
    every = f"all {of_all}" if len(found) == of_all else f"{len(found)} of {of_all}"
    note = f"of {every} classes, from {min(len(part.fake) for part in parts):,} fakes or more of each"
    return MetricScore(value, value - half, value + half, note=note, shows={"classes": np.array(classes)})


def score_spectrum(pair: Pair) -> MetricScore:
    real, fake = (metrics.spectrum(side.images) for side in (pair.reals.test, pair.fake))
    p, shows = metrics.spectrum_test(real, fake, divisions=MORE_DIVISIONS), {"real": real.mean(0), "fake": fake.mean(0)}
    return replace(from_estimate(metrics.spectrum_distance(real, fake), p=p), shows=shows)


def score_copies(pair: Pair) -> MetricScore:
    """Return the share of near copies.

    `shows`: "pairs", int64 [P,2], the nearest pairs of a fake and an image of `reals.all`, copies or not; and "twins",
    the share of real images that are as near to others.
    """
    distance, nearest, twins = pair.near_copies
    first = np.argsort(distance, kind="stable")[:COPIES_SHOWN]
    shows = {"pairs": np.stack([first, nearest[first]], 1), "twins": np.array([twins])}
    return replace(share_of_fakes(distance < 1), shows=shows)


def score_authentic(pair: Pair) -> MetricScore:
    """Return the authenticity beside the training part, or beside both parts where generators may know them."""
    train, test, fake = pair.three
    train = train if pair.reals.disjoint else np.concatenate([train, test])
    return proportion(metrics.authenticity(train, fake))


def score_memorised(pair: Pair) -> MetricScore:
    """Return the share of fakes that lie nearer to training images than unseen real images explain."""
    found, unlike = pair.copies, pair.real_parts_differ
    if unlike is not None:
        return MetricScore(note=f"training and held-out images differ (p = {unlike:.2g}): nearness says nothing")
    note = f"C_T {found.c_t:.1f}" if math.isfinite(found.c_t) else "too few images for C_T"
    score = from_estimate(found.memorised, p=found.p, note=note)
    if found.memorised.error:
        return score
    # Every influence is 0: the interval comes from Wilson's of r, the share of fakes nearest to a training image.
    expected = len(pair.reals.train) / (len(pair.reals.train) + len(pair.reals.test))
    nearer = (found.memorised.value * (1 - expected) + expected) * len(pair.fake)
    _, low, high = wilson(nearer, len(pair.fake)).triple
    return replace(score, low=(low - expected) / (1 - expected), high=(high - expected) / (1 - expected))


def score_train_on_generated(pair: Pair) -> MetricScore:
    """Return the accuracy on real images of classifiers that were trained on fakes.

    The note says what as many real images teach, and how many real images one fake is worth.
    """
    found = measure_worth(pair.reals, pair.fake, pair.progress)
    if found is None:
        return MetricScore(note=f"needs {EACH} labelled fakes and training images a class, of two classes or more")
    each, real = found.fakes.mean(0), found.real.mean(0)
    interval, of_real = share_interval(found.fakes), share_interval(found.real)
    note = f"{found.count:,} real images teach {100 * of_real.mean:.1f} %; {found.in_words(interval)}"
    estimate = Estimate(interval.mean, real=each - each.mean())
    shows = {"curve": np.array(found.curve), "real": real}
    return MetricScore(*interval.triple, note=note, estimate=estimate, shows=shows)
