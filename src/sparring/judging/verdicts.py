"""Two generators against the same real images: which is better, or a tie, or not enough evidence."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple, get_args

import numpy as np

from ..metrics import Estimate, difference
from ..metrics.estimate import NORMAL_95, variance_of_mean
from ..stats import LEVEL, Verdict, holm, of_mean, t_quantile, t_tail, tost_p
from ..words import listed
from .catalogue import METRICS
from .results import ExtractorUsed, GeneratorComparison
from .scores import MetricScore

POINT = 0.01  # shares that differ by less do not matter
TWENTIETH = 0.05  # distances that differ by less than this part of the larger do not matter


class WithError(NamedTuple):
    """A value with its standard error, and the degrees of freedom that this was estimated with."""

    value: float
    error: float
    df: float = math.inf

    @property
    def half(self) -> float:
        """Half the interval at 95 %."""
        return t_quantile(self.df) * self.error


Trainings = Sequence[Mapping[str, MetricScore]]  # the scores of each


def compare_generators(
    generators: Mapping[str, Trainings], images: int, same: Collection[Collection[str]] = ()
) -> tuple[GeneratorComparison, ...]:
    """Return verdicts on every two generators by the headline scores that both have, of so many images.

    Each name stands for the scores of one set of fakes, and then verdicts are about these sets; or for those of a
    generator trained several times, and then verdicts are about training it once more. Both sides are compared with the
    same real images, so what these do to both cancels.

    better, worse: p <= 1 - LEVEL, adjusted over all scores of all pairs (Holm 1979). tie: surely within a margin by two
    one-sided tests; the margin is a point for shares and a twentieth of the larger value for distances. There is no
    verdict on a generator that was trained once against one that was trained again, nor on two that are the `same`.
    """
    found: list[GeneratorComparison] = []
    for (a, of_a), (b, of_b) in combinations(generators.items(), 2):
        if min(len(of_a), len(of_b)) == 1 < max(len(of_a), len(of_b)) or {a, b} in map(set, same):
            continue
        everyone = [*of_a, *of_b]
        for name, metric in METRICS.items():
            if metric.is_headline(images) and all(name in s and s[name].estimate is not None for s in everyone):
                found.append(_compare(name, a, b, [s[name] for s in of_a], [s[name] for s in of_b]))
    adjusted = holm([one.p for one in found])
    return tuple(_decided(one, p_holm) for one, p_holm in zip(found, adjusted, strict=True))


def _compare(
    name: str, a: str, b: str, of_a: Sequence[MetricScore], of_b: Sequence[MetricScore]
) -> GeneratorComparison:
    """Return the comparison of two generators by one score, a tie where that is sure, else open."""
    found = _difference(of_a, of_b)
    margin = POINT if METRICS[name].times == 100 else TWENTIETH * max(abs(_mean(of_a)), abs(_mean(of_b)))
    p = min(1.0, 2 * t_tail(abs(found.value) / found.error, found.df)) if found.error else 1.0
    tie = found.error and tost_p(found.value, found.error, found.df, margin=margin) <= 1 - LEVEL
    verdict: Verdict = "tie" if tie else "not enough evidence"
    return GeneratorComparison(name, a, b, found.value, found.half, p, p, margin, verdict)


def _decided(one: GeneratorComparison, p_holm: float) -> GeneratorComparison:
    if one.verdict == "tie" or p_holm > 1 - LEVEL:
        return replace(one, p_holm=p_holm)
    lower_is_better = METRICS[one.metric].better == "lower"
    return replace(one, p_holm=p_holm, verdict="better" if (one.mean < 0) == lower_is_better else "worse")


def _values(scores: Sequence[MetricScore]) -> np.ndarray:
    return np.array([score.value for score in scores if score.value is not None])


def _mean(scores: Sequence[MetricScore]) -> float:
    return float(_values(scores).mean())


def _difference(a: Sequence[MetricScore], b: Sequence[MetricScore]) -> WithError:
    """Return the difference of two sets of fakes, or of the means of several trainings (Welch 1947)."""
    of_a, of_b = ([score.estimate for score in scores if score.estimate] for scores in (a, b))
    if len(a) == len(b) == 1:
        found = difference(of_a[0], of_b[0])
        return WithError(found.value, found.error or _fallback_error((*a, *b)))
    return _with_error(_mean(a) - _mean(b), (a, b), _real_influences(of_a) - _real_influences(of_b))


def mean_over_trainings(scores: Sequence[MetricScore]) -> WithError:
    """Return the mean of a score over trainings of one generator, for other trainings and other images."""
    estimates = [score.estimate for score in scores if score.estimate]
    real = _real_influences(estimates) if len(estimates) == len(scores) else np.zeros(0)
    return _with_error(_mean(scores), (scores,), real)


def _real_influences(estimates: Sequence[Estimate]) -> np.ndarray:
    """Return the influences of real images [N] on the mean of these estimates."""
    return np.mean([estimate.real for estimate in estimates], 0)


def _with_error(value: float, sides: Sequence[Sequence[MetricScore]], real: np.ndarray) -> WithError:
    """Return a value that is made of the means over the trainings of each side, with its error.

    The variance is that between trainings, at least the sampling variance of their fakes, plus that due to the real
    images that they share (`real`: influences [N]). Degrees of freedom are Satterthwaite's.
    """
    parts = [(max(of_mean(_values(side)), _variance_of_fakes(side)), len(side) - 1) for side in sides]
    parts += [(of_mean(real), len(real) - 1)] if len(real) else []
    variance = sum(part for part, _ in parts)
    if not variance:
        return WithError(value, _fallback_error([score for side in sides for score in side]))
    return WithError(value, math.sqrt(variance), variance**2 / sum(part**2 / df for part, df in parts))


def _variance_of_fakes(trainings: Sequence[MetricScore]) -> float:
    """Return the variance of the mean over trainings that the choice of their fakes alone brings."""
    each = [variance_of_mean(score.estimate.fake) for score in trainings if score.estimate]
    return float(np.mean(each)) / len(trainings) if each else 0.0


def _fallback_error(scores: Iterable[MetricScore]) -> float:
    """Return a standard error where every influence is 0, as of two shares of 0 %: half the widest 95 % interval over
    its normal quantile."""
    return max(((s.high or 0.0) - (s.low or 0.0)) / (2 * NORMAL_95) for s in scores)


# --- in words --------------------------------------------------------------------------------------------------------

TESTS = ("kernel", "classes", "spectrum", "fidelity")  # scores with a test of "no different from real images"
ALARM = 0.01  # p below which fakes are called different: the question is asked again and again
MANY_COPIES = 0.02  # share of near-copies, beyond that of real images, that is worth a sentence


def tests_of_difference(scores: Mapping[str, MetricScore]) -> tuple[list[str], list[str]]:
    """Return which tests there are of whether these fakes are real images, and which say that they are not.

    A test says so at ALARM after Holm's correction.
    """
    tests = [name for name in TESTS if name in scores and scores[name].p is not None]
    adjusted = holm([scores[name].p or 0.0 for name in tests])
    return tests, [name for name, p in zip(tests, adjusted, strict=True) if p <= ALARM]


def sentences_about(name: str, trainings: Trainings) -> list[str]:
    """Return what there is to say about the fakes of a generator, of one training or several; without full stops."""
    copied = [100 * value for scores in trainings if (value := share_of_copies(scores)) is not None]
    memorised = [scores["memorised"].p for scores in trainings if "memorised" in scores]
    nearer = [p for p in memorised if p is not None and p <= ALARM]
    tested = [each for scores in trainings if (each := tests_of_difference(scores))[0]]
    told_apart = [fired for _, fired in tested if fired]
    said = []
    if copied:
        share = f"{min(copied):.0f} %" if max(copied) - min(copied) < 1 else f"{min(copied):.0f} to {max(copied):.0f} %"
        of = _in_how_many(copied, trainings)
        said.append(f"{share} of {name} are nearly copies of training images{of}: look at the pairs")
    if nearer:
        than = f"than unseen real images do{_in_how_many(nearer, trainings)}"
        said.append(f"{name} lies nearer to the training images {than}: some are learned by heart")
    if told_apart:
        by = _titles([m for m in TESTS if any(m in fired for fired in told_apart)])
        said.append(f"{name} can be told from the real images{_in_how_many(told_apart, trainings)}, by {by}")
    elif tested:
        tests = _titles([m for m in TESTS if any(m in tests for tests, _ in tested)])
        said.append(f"no test tells {name} from the real images: {tests}")
    return said


def _titles(metrics: Iterable[str]) -> str:
    return listed([METRICS[name].in_sentence for name in metrics])


def _in_how_many(of: Sequence, trainings: Trainings) -> str:
    return f" in {len(of)} of {len(trainings)} trainings" if len(of) < len(trainings) else ""


def share_of_copies(scores: Mapping[str, MetricScore]) -> float | None:
    """Return the share of near copies, if it is worth a sentence."""
    copies = scores.get("copies")
    if copies is None or copies.low is None:
        return None
    among_real = float(copies.shows["twins"][0]) if "twins" in copies.shows else 0.0
    return copies.value if copies.low > MANY_COPIES + among_real else None


def remarks(scores: Mapping[str, Mapping[str, MetricScore]]) -> list[str]:
    """Return the notes of scores, by name of the set of fakes: on which sets where not on all, and why some scores
    could not be had; without full stops."""
    said: dict[tuple[str, str], list[str]] = {}
    lacking: dict[tuple[str, str], list[str]] = {}
    for name, each in scores.items():
        for metric, score in each.items():
            if score.note:
                (lacking if score.value is None else said).setdefault((metric, score.note), []).append(name)
    reasons: dict[tuple[str, str], list[str]] = {}
    for (metric, why), names in lacking.items():
        reasons.setdefault((why, _of_which(names, scores)), []).append(metric)
    return [
        *(f"{METRICS[metric].title}{_of_which(names, scores)}: {note}" for (metric, note), names in said.items()),
        *(f"Not computed{of}: {_titles(metrics)}: {why}" for (why, of), metrics in reasons.items()),
    ]


def about_features(extractor: ExtractorUsed) -> list[str]:
    """Return what is to be known about features that learned from other images, [] of others; without full stops.

    Kynkaanniemi et al. 2023, arXiv:2203.06026: a generator that was pretrained on ImageNet had the Frechet distance of
    a better one, through features of ImageNet.
    """
    if not extractor.learned_from:
        return []
    words = (
        f"The features {extractor.name} come from {extractor.learned_from}: a generator that was trained with the help "
        "of such a network may look better through them than it is (arXiv:2203.06026). Judge with own features, too"
    )
    return [words]


def _of_which(names: Sequence[str], everyone: Collection[str]) -> str:
    return "" if len(names) == len(everyone) else f" of {listed(names)}"


def sentence_on_two(
    a: str, b: str, verdicts: Sequence[GeneratorComparison], trainings: tuple[int, int] = (1, 1)
) -> str:
    """Return one sentence over all headline scores of a and b; without full stop."""
    if min(trainings) == 1 < max(trainings):
        once, again = (a, b) if trainings[0] == 1 else (b, a)
        return f"{once} was trained once: whether {again} is better when trained again cannot be said"
    over = f"over {trainings[0]} and {trainings[1]} trainings, " if max(trainings) > 1 else ""
    by = {kind: _titles([v.metric for v in verdicts if v.verdict == kind]) for kind in get_args(Verdict)}
    ties = f"they tie in {by['tie']}" if by["tie"] else ""
    if not verdicts:
        found = f"{a} and {b} have no headline score in common"
    elif by["better"] and by["worse"]:
        found = f"{a} is better than {b} in {by['better']}, worse in {by['worse']}"
    elif by["better"] or by["worse"]:
        first, second, of = (a, b, by["better"]) if by["better"] else (b, a, by["worse"])
        found = f"{first} is better than {second} in {of}" + f"; {ties}" * bool(ties)
    else:
        nothing = by["not enough evidence"] and f"nothing shows which is better in {by['not enough evidence']}"
        found = f"{a} and {b}: " + "; ".join(filter(None, (ties, nothing)))
    return over + found
