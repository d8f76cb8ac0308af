"""The statistics of a verdict: intervals, paired tests, verdicts. Pure functions of arrays.

`right` (bool [R,T]) says which of T test images are named correctly in each of R repeats. It varies with the repeat
(which images were labelled, the seed) and with the test image. The variance of its mean is estimated as

    V = s_r^2 / R  +  s_t^2 / T  -  s_rt^2 / (R T)

where s_r^2 is the variance of the repeats' means, s_t^2 that of the images' means, and s_rt^2 that of the interaction,
which both contain. These are two-way random effects (Searle, Casella & McCulloch 1992, chapter 4). V is never taken
to be less than its first or its second term.

Of few repeats s_r^2 is badly known. Where a study compares several methods, half of it is the mean of all comparisons
(moderated, as in Smyth 2004, doi:10.2202/1544-6115.1027), and the degrees of freedom (Satterthwaite 1946) are reckoned
as if it were twice as large. Satterthwaite's formula alone gave a false "better" in 10 % of simulated studies in which
label draws matter much, and this way at most 5 % in every kind of study tried.

Intervals and verdicts therefore speak about new label draws **and** new test images of the same kind, and not about
other data or settings.

Where images come in groups (patients, slides, videos), the test images of one are not independent, and new groups are
what intervals speak about. Then s_t^2 / T is the jackknife over groups (MacKinnon, Nielsen & Webb 2023,
doi:10.1016/j.jeconom.2022.04.001): with S_g the sum of the residuals of a group of n_g images, (G - 1) / G times the
sum of (S_g / (T - n_g))^2; s_rt^2 / (R T) likewise; and T becomes, in degrees of freedom, the effective number of
groups, T^2 over the sum of n_g^2. With one image a group all are what they are above.

A test over repeats alone would call 2 more images of 360 "better" as soon as every repeat shows
them. In simulated studies of four equal methods it did so in 4 to 23 % of studies, this test in at most 5 %.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

from ..records import record
from ..words import points
from .variance import CAUTION, MeanVariance, Spread, of_class_means, of_mean, spread_of, summed, units_of

LEVEL = 0.95  # of every interval; 1 - LEVEL is the risk of a false "better" in a whole study
ALPHA = 1 - LEVEL + 1e-12  # with room for rounding
NORMAL_QUANTILE = 1.959963984540054  # the normal quantile of LEVEL: ndtri((1 + LEVEL) / 2)
ENOUGH = 6  # paired repeats before a difference may be called real
MAIN_SHARE = 0.8  # of that risk: what comparisons at the largest number of labels have
MARGIN = 0.005  # differences below this (half a point) do not matter
UNEVEN = 3  # times as many images in the largest class as in the smallest, from which on balanced accuracy leads
ORDERS = 2000  # of the true classes, in the test against guessing
BEHIND = 0.02  # accuracy that a method must surely lack before it stops early

Verdict = Literal["better", "worse", "tie", "not enough evidence"]


@record
class Interval:
    """A mean with its LEVEL interval."""

    mean: float
    low: float
    high: float

    @property
    def triple(self) -> tuple[float, float, float]:
        """Mean, low, high."""
        return self.mean, self.low, self.high

    def __iter__(self) -> Iterator[float]:
        return iter(self.triple)


@record
class RepeatedInterval(Interval):
    """The mean over repeats, with the value of each."""

    each: tuple[float, ...]


@record
class Difference(RepeatedInterval):
    """The mean of a - b over repeats on the same labels and images, with the difference in each."""

    def reversed(self) -> "Difference":
        """Return b - a."""
        return Difference(-self.mean, -self.high, -self.low, tuple(-d for d in self.each))


def opposite(verdict: Verdict) -> Verdict:
    """Return the verdict about b where `verdict` is about a."""
    return "worse" if verdict == "better" else "better" if verdict == "worse" else verdict


# scipy.special instead of scipy.stats in this file: it loads in a tenth of the time, and tests hold every p against
# scipy.stats. It is loaded where it is needed: the report reads the records above and computes nothing.


def t_tail(t: float, df: float) -> float:
    """Return P(T > t) of Student's t."""
    from scipy import special

    return float(special.stdtr(df, -t))


def t_quantile(df: float, level: float = LEVEL) -> float:
    """Return the t with P(-t < T < t) = level."""
    from scipy import special

    return float(special.stdtrit(df, (1 + level) / 2))


def wilson(right: float, of: float, *, z: float | None = None) -> Interval:
    """Return a share with its interval (Wilson 1927), which holds at 0 and 1 too; NaN for `of` = 0.

    `right` and `of` need not be whole numbers. `z`: how many standard errors wide; None for LEVEL.
    """
    if of <= 0:
        return Interval(math.nan, math.nan, math.nan)
    share, z = right / of, NORMAL_QUANTILE if z is None else z
    centre = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return Interval(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def share_interval(right: np.ndarray, groups: np.ndarray | None = None) -> Interval:
    """Return the accuracy of `right` (bool [R,T]) with its interval for new label draws and new test images.

    groups [T]: then for new groups. Wilson's interval at the effective number of images, that is the number of
    independent images that would have the same variance (Korn & Graubard 1998). It is never more than T: at 100 % the
    interval is Wilson's for T of T, and for G of G groups.
    """
    right = np.asarray(right, float)
    share = float(right.mean())
    terms = of_mean(right.mean(1)), of_mean(right.mean(0), groups)
    return _as_wilson(share, share * (1 - share), *terms, right, groups)


def _as_wilson(
    share: float, binomial: float, of_repeats: float, of_images: float, right: np.ndarray, groups: np.ndarray | None
) -> Interval:
    (repeats, images), units = right.shape, units_of(groups, right.shape[1])
    if groups is not None:
        # Never narrower than of as many independent images. Of groups that are all alike nobody knows how alike the
        # images of one are: then each counts as one image.
        if units == 1 or of_images == 0:
            return wilson(share * units, units)
        of_images = max(of_images, binomial / images - of_repeats)
        # One group more, half right, as far as the images of a group are alike: else the variance is too small where
        # nearly all groups are right, because those that are not were not drawn.
        of_images += min(1.0, of_images * units / binomial) * (share - 0.5) ** 2 / (units + 1) ** 2
    variance = of_repeats + of_images
    if groups is None and (variance * images <= binomial or variance == 0):
        return wilson(share * images, images)
    effective = binomial / variance
    # Each part of the variance has its own t. With Satterthwaite's degrees of freedom instead, the coverage in
    # simulations was 2 points lower where label draws matter most.
    parts = (math.sqrt(v) * t_quantile(n - 1) for v, n in ((of_repeats, repeats), (of_images, units)) if v > 0)
    return wilson(share * effective, effective, z=math.hypot(*parts) / math.sqrt(variance))


def recalls(right: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """Return recall [R,K] from `right` [R,T] and the true classes [T]; NaN for a class without test images."""
    counts = np.bincount(truth, minlength=classes)
    sums = np.stack([np.bincount(truth, weights=row, minlength=classes) for row in np.asarray(right, float)])
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)


def balanced_interval(right: np.ndarray, truth: np.ndarray, classes: int, groups: np.ndarray | None = None) -> Interval:
    """Return the balanced accuracy (mean recall over the classes in the test part) with its interval.

    As in `share_interval`, but the variance over test images is that of the recalls.
    """
    recall, counts = recalls(right, truth, classes), np.bincount(truth, minlength=classes)
    there = counts > 0
    recall, counts = recall[:, there], counts[there]
    each = recall.mean(1)
    # One right and one wrong image more for each class: else a class with a handful of test images would look certain.
    smooth = (recall.mean(0) * counts + 1) / (counts + 2)
    of_images = float((smooth * (1 - smooth) / counts).sum() / len(counts) ** 2)
    if groups is not None:
        jackknife, alone = of_class_means(np.asarray(right, float).mean(0), truth, groups)
        single = (recall.mean(0)[np.isin(np.flatnonzero(there), alone)] + 1) / 3  # its class counts as one image
        of_images = max(of_images, jackknife + float((single * (1 - single)).sum()) / len(counts) ** 2)
    typical = float(smooth.mean())
    terms = typical * (1 - typical), of_mean(each), of_images, np.asarray(right), groups
    return _as_wilson(float(each.mean()), *terms)


# Against guessing.


def guess_p(said: np.ndarray, truth: np.ndarray, *, weights: np.ndarray | None = None) -> float:
    """Return the one-sided p of "what was said has nothing to do with the true classes": int [R,T] and [T].

    The share of the orders of the true classes in which as many answers would be right, averaged over repeats (Fisher's
    permutation test). It holds for any number of images, however few a class has. Drawn are ORDERS orders, with a fixed
    seed, the observed one included. Beyond ORDERS images the normal distribution stands for them, with the exact mean
    and variance (Hoeffding 1951, doi:10.1214/aoms/1177729545, theorem 2). weights: of the images, as in `paired_test`.
    """
    _, place, counts = np.unique(truth, return_inverse=True, return_counts=True)
    first = np.unique(place, return_index=True)[1]
    worth = np.ones(len(counts)) if weights is None else np.asarray(weights)[first]
    gain = np.stack([(said == truth[i]).mean(0) * w for i, w in zip(first, worth, strict=True)], 1)  # [T,K]
    images = np.arange(len(truth))
    seen = gain[images, place].sum()
    if len(truth) <= ORDERS:
        sums = gain[images, place[orders(len(truth))]].sum(1)
        return float(1 + (sums >= seen - 1e-9).sum()) / ORDERS
    apart = gain - gain.mean(0) - ((gain - gain.mean(0)) @ counts / len(truth))[:, None]
    deviation = math.sqrt(float((apart**2 @ counts).sum()) / (len(truth) - 1))
    return 1.0 if deviation < 1e-9 else t_tail((seen - float(gain.mean(0) @ counts)) / deviation, math.inf)


@lru_cache(maxsize=2)
def orders(count: int) -> np.ndarray:
    """Return ORDERS - 1 random orders of range(count), always the same, int32 [ORDERS - 1, count]."""
    rows = np.tile(np.arange(count, dtype=np.int32), (ORDERS - 1, 1))
    return np.random.default_rng(count).permuted(rows, axis=1)


# Paired tests.


def sign_flip_p(differences: Sequence[float] | np.ndarray) -> float:
    """Return the exact two-sided p: the share of the 2^n sign flips with a mean at least as far from 0 (Fisher 1935).

    Above n = 20 it is estimated from 100,000 random flips with a fixed seed, the observed one included.
    """
    d = np.asarray(differences, float)
    n = len(d)
    if n == 0 or not d.any():
        return 1.0
    if n <= 20:
        # The sign of the first is kept, because flipping all signs changes nothing two-sided.
        half = np.zeros(1)
        for value in d[1:]:
            half = np.concatenate([half + value, half - value])
        sums = half + d[0]
        return float((np.abs(sums) >= abs(d.sum()) * (1 - 1e-9)).mean())
    signs = np.random.default_rng(n).integers(0, 2, (100_000, n), dtype=np.int8) * 2 - 1
    return float((1 + (np.abs(signs @ d) >= abs(d.sum()) * (1 - 1e-9)).sum()) / 100_001)


def smallest_p(n: int) -> float:
    """Return the smallest two-sided p that n paired repeats can reach: 2 / 2^n."""
    return min(1.0, 2.0 ** (1 - n))


def holm(ps: Sequence[float]) -> list[float]:
    """Return the adjusted p-values of a family (Holm 1979).

    If all with adjusted p <= alpha are rejected, the probability of any false rejection is at most alpha.
    """
    order = np.argsort(ps, kind="stable")
    adjusted, worst = np.empty(len(ps)), 0.0
    for rank, index in enumerate(order):
        worst = max(worst, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = worst
    return adjusted.tolist()


def mcnemar_p(right_a: np.ndarray, right_b: np.ndarray) -> float:
    """Return the exact two-sided p for one trained pair on one test set [T] (McNemar 1947, binomial form)."""
    from scipy import special

    a, b = np.asarray(right_a, bool), np.asarray(right_b, bool)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    return min(1.0, 2 * float(special.bdtr(min(only_a, only_b), only_a + only_b, 0.5))) if only_a + only_b else 1.0


def fisher_p(right_a: np.ndarray, right_b: np.ndarray) -> float:
    """Return the exact one-sided p of "a is right at least as often as b" on other images each, [n] and [m].

    Fisher 1935; the hypergeometric tail by logarithms of the gamma function.
    """
    from scipy import special

    n, m, hits = len(right_a), len(right_b), int(np.sum(right_a) + np.sum(right_b))
    k = np.arange(max(0, hits - m), int(np.sum(right_a)) + 1)
    ways = [special.gammaln(of + 1) - special.gammaln(some + 1) - special.gammaln(of - some + 1)
            for of, some in ((n, k), (m, hits - k), (n + m, hits))]  # fmt: skip
    return min(1.0, float(np.exp(ways[0] + ways[1] - ways[2]).sum()))


@dataclass(frozen=True)
class Paired:
    """The test of a against b on the same repeats and test images. Differences are a - b (0.01 = one point)."""

    repeats: int
    images: int
    difference: Difference
    p: float  # t-test, for new label draws and new test images
    p_sign_flip: float  # over repeats, exact
    p_tost: float  # of "differ by MARGIN or more"
    p_mcnemar: float | None  # with one repeat only, of images without groups
    p_holm: float = math.nan
    verdict: Verdict = "not enough evidence"
    sentence: str = ""
    spread: Spread = Spread(0.0, 0.0, 0.0, 1, 1)  # of the difference
    groups: int | None = None  # of the images, where they come in groups


def paired_test(
    right_a: np.ndarray,
    right_b: np.ndarray,
    *,
    margin: float = MARGIN,
    weights: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> Paired:
    """Compare what two methods get right, bool [R,T] each, on the same labels and images in each repeat.

    weights: of the images, float [T] with mean 1; `class_weights` makes the difference one of balanced accuracies.
    groups: int [T], equal for images that are not independent. The verdict is not decided here: see `with_verdicts`.
    """
    difference = np.asarray(right_a, float) - np.asarray(right_b, float)
    spread, each = _difference_spread(difference, weights, groups)
    found = Paired(
        repeats=len(difference),
        images=difference.shape[1],
        difference=Difference(float(each.mean()), 0.0, 0.0, tuple(each.tolist())),
        p=1.0,
        p_sign_flip=sign_flip_p(each),
        p_tost=1.0,
        p_mcnemar=mcnemar_p(right_a[0], right_b[0]) if len(difference) == 1 and groups is None else None,
        spread=spread,
        groups=None if groups is None else len(np.unique(groups)),
    )
    return _tested(found, spread.variance(), margin)


def _tested(pair: Paired, spread: MeanVariance, margin: float) -> Paired:
    """Return a comparison with interval and p-values by this variance of its mean."""
    mean, error = pair.difference.mean, math.sqrt(spread.variance)
    half = t_quantile(spread.df) * error
    return replace(
        pair,
        difference=Difference(mean, mean - half, mean + half, pair.difference.each),
        p=min(1.0, 2 * t_tail(abs(mean) / error, spread.df)),
        p_tost=tost_p(mean, error, spread.df, margin=margin),
    )


def _difference_spread(
    difference: np.ndarray, weights: np.ndarray | None, groups: np.ndarray | None
) -> tuple[Spread, np.ndarray]:
    """Return the spread of the mean of a difference [R,T], and the mean of each repeat [R]."""
    weighted = difference if weights is None else difference * weights
    # Two more images, one that only a gets right and one that only b does (Bonett & Price 2012). So equal predictions
    # on 40 images do not prove a tie.
    return spread_of(weighted, (1.0, -1.0), groups), weighted.mean(1)


def moderated(family: Sequence[Paired], *, margin: float = MARGIN) -> list[Paired]:
    """Return the comparisons of one budget with the variance between repeats drawn towards that of all of them.

    m methods have m - 1 independent variances, of which m - 2 are of others: so much of the weight the mean has.
    """
    if not family:
        return []
    methods = (1 + math.sqrt(1 + 8 * len(family))) / 2
    shared = float(np.mean([pair.spread.of_repeats for pair in family]))
    share = (methods - 2) / (methods - 1)
    return [_tested(pair, pair.spread.variance(shared, share * max(pair.repeats - 1, 0)), margin) for pair in family]


class ChangeTest(NamedTuple):
    """new - old with its interval, p, and p of "differ by the margin or more"."""

    difference: Interval
    p: float
    p_tost: float


def change_test(
    new: np.ndarray,
    old: np.ndarray,
    *,
    margin: float = MARGIN,
    weights: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> ChangeTest:
    """Compare what two studies get right on the same test images, bool [R,T] and [S,T]; the rest as in `paired_test`.

    Each study has repeats of its own (other label draws), so these are not paired: V = s_new^2 / R + s_old^2 / S +
    s_t^2 / T, with the variances of both studies' repeat means and that of the images' differences of means, and
    Satterthwaite's degrees of freedom (Welch 1947), for which those between repeats count CAUTION times. V is too large
    where both studies draw the same labels.
    """
    scale = 1.0 if weights is None else weights
    new, old = np.asarray(new, float) * scale, np.asarray(old, float) * scale
    # two more images, as in _difference_spread
    over_images = spread_of((new.mean(0) - old.mean(0))[None], (1.0, -1.0), groups)
    repeats = [(of_mean(right.mean(1)), len(right)) for right in (new, old)]
    of_images = (over_images.of_images, over_images.images)
    df = summed(*((CAUTION * variance, n) for variance, n in repeats), of_images).df
    mean, error = float(new.mean() - old.mean()), math.sqrt(summed(*repeats, of_images).variance)
    half = t_quantile(df) * error
    p = min(1.0, 2 * t_tail(abs(mean) / error, df))
    return ChangeTest(Interval(mean, mean - half, mean + half), p, tost_p(mean, error, df, margin=margin))


def class_weights(truth: np.ndarray) -> np.ndarray:
    """Return weights [T] with mean 1 that make a mean over images [T] one over classes."""
    classes, place, counts = np.unique(truth, return_inverse=True, return_counts=True)
    return len(truth) / (len(classes) * counts[place])


def uneven(truth: np.ndarray) -> bool:
    """Return whether classes differ so much in size that balanced accuracy should lead: more than UNEVEN times."""
    counts = np.unique(truth, return_counts=True)[1]
    return len(counts) > 1 and counts.max() > UNEVEN * counts.min()


def clearly_behind(
    right: np.ndarray, best: np.ndarray, *, weights: np.ndarray | None = None, groups: np.ndarray | None = None
) -> bool:
    """Return whether a method is so far behind that more repeats would not help it, bool [k,T] each, k >= 3.

    The 99 % interval of the difference ends more than BEHIND below 0. Nothing is concluded from it but that time is
    better spent elsewhere: what it ends carries no verdict.
    """
    difference = np.asarray(right, float) - np.asarray(best, float)
    spread, each = _difference_spread(difference, weights, groups)
    variance, df = spread.variance()
    return len(difference) > 2 and each.mean() + t_quantile(df, 0.99) * math.sqrt(variance) < -BEHIND


def tost_p(mean: float, error: float, df: float, *, margin: float = MARGIN) -> float:
    """Return p of two one-sided tests (Schuirmann 1987): small when a difference is surely within +-margin."""
    if error == 0:
        return 0.0 if abs(mean) < margin else 1.0
    return max(t_tail((margin - mean) / error, df), t_tail((margin + mean) / error, df))


def with_verdicts(family: Sequence[Paired], *, margin: float = MARGIN, share: float = 1.0) -> list[Paired]:
    """Return a family of comparisons with adjusted p-values, verdicts and their sentences.

    tie: surely within +-margin (TOST), also where a difference that small is real. better, worse: p, adjusted by Holm
    and divided by the `share` of the study's risk that this family has, <= 1 - LEVEL. Fewer than ENOUGH repeats: not
    enough evidence.
    """
    family = moderated(family, margin=margin)
    adjusted = holm([pair.p for pair in family])
    return [_with_verdict(pair, min(1.0, p / share), margin) for pair, p in zip(family, adjusted, strict=True)]


def _with_verdict(pair: Paired, p_holm: float, margin: float) -> Paired:
    verdict = judged(pair.difference.mean, p_holm, pair.p_tost, repeats=pair.repeats)
    pair = replace(pair, p_holm=p_holm, verdict=verdict)
    return replace(pair, sentence=_sentence(pair, p_holm <= ALPHA, margin))


def judged(mean: float, p_holm: float, p_tost: float, *, repeats: int) -> Verdict:
    """Return the verdict about a difference: see `with_verdicts`."""
    if repeats >= ENOUGH and p_tost <= ALPHA:
        return "tie"
    if repeats >= ENOUGH and p_holm <= ALPHA:
        return "better" if mean > 0 else "worse"
    return "not enough evidence"


def without_verdict(pair: Paired, reason: str) -> Paired:
    """Return a comparison that is described and from which nothing is concluded."""
    mean, low, high = map(points, pair.difference)
    sentence = f"{mean} points ({low} to {high}): no verdict, {reason}"
    return replace(pair, p_holm=1.0, sentence=sentence)


def p_text(p: float) -> str:
    return f"p = {p:.2g}" if p >= 0.001 else "p < 0.001"


def _sentence(pair: Paired, real: bool, margin: float) -> str:
    mean, low, high = map(points, pair.difference)
    interval = f"{mean} points ({low} to {high})"
    if pair.repeats == 1:
        alone = f"; on these {pair.images} images and this draw alone McNemar's {p_text(pair.p_mcnemar or 0.0)}"
        alone = "" if pair.p_mcnemar is None else alone
        return f"{interval} on one label draw: cannot be significant with n = 1{alone}"
    if pair.repeats < ENOUGH:
        return (
            f"{interval}: cannot be significant with n = {pair.repeats} (the smallest sign-flip p is "
            f"{smallest_p(pair.repeats):.2g}; {ENOUGH} repeats are needed)"
        )
    if pair.verdict == "tie":
        real_too = "; the difference is real but too small to matter" if real else ""
        return f"{interval}: a tie, within {points(margin)} points either way{real_too}"
    if pair.verdict in ("better", "worse"):
        return f"{interval}: {pair.verdict}, {p_text(pair.p_holm)} after Holm"
    if pair.p_sign_flip <= 1 - LEVEL and pair.p > 1 - LEVEL:
        of = f" of {pair.groups} groups" if pair.groups else ""
        return f"{interval}: not enough evidence, the repeats agree but {pair.images} test images{of} are too few"
    if pair.p <= 1 - LEVEL:
        return f"{interval}: not enough evidence, {p_text(pair.p)} alone but {pair.p_holm:.2g} among all comparisons"
    return f"{interval}: not enough evidence for a difference or for a tie"
