"""Two generators against the same real images: which is better, or a tie, or not enough evidence."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from ..metrics import Estimate, difference
from ..metrics.estimate import NORMAL_95, variance_of_mean
from ..stats import LEVEL, Verdict, holm, of_mean, t_quantile, t_tail, tost_p
from .catalogue import METRICS
from .scores import Score

POINT = 0.01  # shares that differ by less do not matter
PART = 0.05  # distances that differ by less than this part of the larger do not matter


@dataclass(frozen=True)
class Compared:
    """One score of generator a against b's: a - b, half its interval at 95 %, and what may be said. `verdict` is about
    a."""

    metric: str
    a: str
    b: str
    mean: float
    half: float
    p: float
    p_holm: float
    margin: float
    verdict: Verdict


class Spread(NamedTuple):
    """A value with its standard error, and the degrees of freedom that this was estimated with."""

    mean: float
    error: float
    df: float = math.inf

    @property
    def half(self) -> float:
        """Of the interval at 95 %."""
        return t_quantile(self.df) * self.error


Trainings = Sequence[Mapping[str, Score]]  # the scores of each


def compared(
    generators: Mapping[str, Trainings], images: int, same: Collection[Collection[str]] = ()
) -> list[Compared]:
    """Verdicts on every two generators by the headline scores that both have, of so many images.

    By name the scores of one set of fakes each, and then verdicts are about these sets; or of a generator trained
    several times, and then they are about training it once more. Real images are the same on both sides, so what they
    do to both cancels. better, worse: p <= 1 - LEVEL, adjusted over all scores of all pairs (Holm 1979); tie: surely
    within a margin (two one-sided tests), which is a point for shares and a twentieth of the larger value for
    distances. Nothing is said about a generator that was trained once against one that was trained again, nor about two
    that are the `same`.
    """
    rows = []
    for (a, of_a), (b, of_b) in combinations(generators.items(), 2):
        if min(len(of_a), len(of_b)) == 1 < max(len(of_a), len(of_b)) or {a, b} in map(set, same):
            continue
        for name, metric in METRICS.items():
            if metric.leads(images) and all(map(known(name), [*of_a, *of_b])):
                sides = [scores[name] for scores in of_a], [scores[name] for scores in of_b]
                rows.append((name, a, b, apart(*sides), margin(name, *map(mean, sides))))
    ps = [min(1.0, 2 * t_tail(abs(d.mean) / d.error, d.df)) if d.error else 1.0 for *_, d, _ in rows]
    return [judged(*row, p=p, p_holm=adjusted) for row, p, adjusted in zip(rows, ps, holm(ps), strict=True)]


def known(name: str) -> Callable[[Mapping[str, Score]], bool]:
    return lambda scores: name in scores and scores[name].estimate is not None


def values(scores: Sequence[Score]) -> np.ndarray:
    return np.array([score.value for score in scores if score.value is not None])


def mean(scores: Sequence[Score]) -> float:
    return float(values(scores).mean())


def apart(a: Sequence[Score], b: Sequence[Score]) -> Spread:
    """The difference of two sets of fakes, or of the means of several trainings (Welch 1947)."""
    of_a, of_b = ([score.estimate for score in scores if score.estimate] for scores in (a, b))
    if len(a) == len(b) == 1:
        found = difference(of_a[0], of_b[0])
        return Spread(found.value, found.error or unseen((*a, *b)))
    return summed(mean(a) - mean(b), (a, b), real_part(of_a) - real_part(of_b))


def over_trainings(scores: Sequence[Score]) -> Spread:
    """The mean of a score over trainings of one generator, for other trainings and other images."""
    estimates = [score.estimate for score in scores if score.estimate]
    return summed(mean(scores), (scores,), real_part(estimates) if len(estimates) == len(scores) else np.zeros(0))


def real_part(estimates: Sequence[Estimate]) -> np.ndarray:
    """What real images do to the mean of these: influences [N]."""
    return np.mean([estimate.real for estimate in estimates], 0)


def summed(value: float, sides: Sequence[Sequence[Score]], real: np.ndarray) -> Spread:
    """The doubt of trainings, which contains that of their fakes and is never taken for less, and of the real images
    that they share, with Satterthwaite's degrees of freedom."""
    parts = [(max(of_mean(values(side)), of_fakes(side)), len(side) - 1) for side in sides]
    parts += [(of_mean(real), len(real) - 1)] if len(real) else []
    variance = sum(part for part, _ in parts)
    if not variance:
        return Spread(value, unseen([score for side in sides for score in side]))
    return Spread(value, math.sqrt(variance), variance**2 / sum(part**2 / df for part, df in parts))


def of_fakes(trainings: Sequence[Score]) -> float:
    """What the choice of fakes alone does to the variance of the mean over trainings."""
    each = [variance_of_mean(score.estimate.fake) for score in trainings if score.estimate]
    return float(np.mean(each)) / len(trainings) if each else 0.0


def unseen(scores: Iterable[Score]) -> float:
    """The error where no image differs from another, as in two shares of 0: as wide as the widest interval says."""
    return max(((s.high or 0.0) - (s.low or 0.0)) / (2 * NORMAL_95) for s in scores)


def margin(metric: str, a: float, b: float) -> float:
    """The largest difference that does not matter."""
    return POINT if METRICS[metric].times == 100 else PART * max(abs(a), abs(b))


def judged(metric: str, a: str, b: str, found: Spread, margin: float, p: float, p_holm: float) -> Compared:
    alpha, lower = 1 - LEVEL, METRICS[metric].better == "lower"
    verdict: Verdict = "not enough evidence"
    if found.error and tost_p(found.mean, found.error, found.df, margin=margin) <= alpha:
        verdict = "tie"
    elif p_holm <= alpha:
        verdict = "better" if (found.mean < 0) == lower else "worse"
    return Compared(metric, a, b, found.mean, found.half, p, p_holm, margin, verdict)


# --- in words --------------------------------------------------------------------------------------------------------

TESTS = ("kernel", "classes", "spectrum", "fidelity")  # scores with a test of "no different from real images"
ALARM = 0.01  # p below which fakes are called different: the question is asked again and again
COPIED = 0.02  # share of near-copies, beyond that of real images, that is worth a sentence


def different(scores: Mapping[str, Score]) -> tuple[list[str], list[str]]:
    """Which tests there are of whether these fakes are real images, and which of them tell the two apart at ALARM after
    Holm's correction."""
    tests = [name for name in TESTS if name in scores and scores[name].p is not None]
    adjusted = holm([scores[name].p or 0.0 for name in tests])
    return tests, [name for name, p in zip(tests, adjusted, strict=True) if p <= ALARM]


def in_words(name: str, trainings: Trainings) -> list[str]:
    """What there is to say about the fakes of a generator, of one training or of several, in sentences without full
    stops."""
    copied = [100 * value for scores in trainings if (value := copies_of(scores)) is not None]
    heart = [scores for scores in trainings if by_heart(scores)]
    tested = [each for scores in trainings if (each := different(scores))[0]]
    told = [fired for _, fired in tested if fired]
    said = []
    if copied:
        share = f"{min(copied):.0f} %" if max(copied) - min(copied) < 1 else f"{min(copied):.0f} to {max(copied):.0f} %"
        of = some(copied, trainings)
        said.append(f"{share} of {name} are nearly copies of training images{of}: look at the pairs")
    if heart:
        than = f"than unseen real images do{some(heart, trainings)}"
        said.append(f"{name} lies nearer to the training images {than}: some are learned by heart")
    if told:
        by = listed([plainly(m) for m in TESTS if any(m in fired for fired in told)])
        said.append(f"{name} can be told from the real images{some(told, trainings)}, by {by}")
    elif tested:
        tests = listed([plainly(m) for m in TESTS if any(m in tests for tests, _ in tested)])
        said.append(f"no test tells {name} from the real images: {tests}")
    return said


def some(of: Sequence, trainings: Trainings) -> str:
    return f" in {len(of)} of {len(trainings)} trainings" if len(of) < len(trainings) else ""


def copies_of(scores: Mapping[str, Score]) -> float | None:
    """The share of near copies, if it is worth a sentence."""
    copies = scores.get("copies")
    return copies.value if copies and copies.low is not None and copies.low > COPIED + twins_of(copies) else None


def by_heart(scores: Mapping[str, Score]) -> bool:
    score = scores.get("memorised")
    return score is not None and score.p is not None and score.p <= ALARM


def twins_of(copies: Score) -> float:
    """The share of near copies among real images."""
    return float(copies.shows["twins"][0]) if "twins" in copies.shows else 0.0


def remarks(scores: Mapping[str, Mapping[str, Score]]) -> list[str]:
    """What scores have to say, by set of fakes: of which sets where not of all, and why some could not be had."""
    said: dict[tuple[str, str], list[str]] = {}
    lacking: dict[tuple[str, str], list[str]] = {}
    for name, each in scores.items():
        for metric, score in each.items():
            if score.note:
                (lacking if score.value is None else said).setdefault((metric, score.note), []).append(name)
    reasons: dict[tuple[str, str], list[str]] = {}
    for (metric, why), names in lacking.items():
        reasons.setdefault((why, whose(names, scores)), []).append(metric)
    return [
        *(f"{METRICS[metric].title}{whose(names, scores)}: {note}" for (metric, note), names in said.items()),
        *(
            f"Not computed{of}: {listed([plainly(m) for m in metrics])}: {why}"
            for (why, of), metrics in reasons.items()
        ),
    ]


def whose(names: Sequence[str], everyone: Collection[str]) -> str:
    return "" if len(names) == len(everyone) else f" of {listed(names)}"


def ranked(a: str, b: str, verdicts: Sequence[Compared], trainings: tuple[int, int] = (1, 1)) -> str:
    """One sentence over all headline scores of a and b."""
    if min(trainings) == 1 < max(trainings):
        once, again = (a, b) if trainings[0] == 1 else (b, a)
        return f"{once} was trained once: whether {again} is better when trained again cannot be said"
    over = f"over {trainings[0]} and {trainings[1]} trainings, " if max(trainings) > 1 else ""
    return over + in_one(a, b, verdicts)


def in_one(a: str, b: str, verdicts: Sequence[Compared]) -> str:
    ways = {v: [plainly(c.metric) for c in verdicts if c.verdict == v] for v in ORDER}
    ties = f"they tie in {listed(ways['tie'])}" if ways["tie"] else ""
    if not ways["better"] and not ways["worse"]:
        open_ = listed(ways["not enough evidence"])
        rest = f"{'; ' * bool(ties)}nothing shows which is better in {open_}" if open_ else ""
        return f"{a} and {b}: {ties}{rest}" if verdicts else f"{a} and {b} have no headline score in common"
    if ways["better"] and ways["worse"]:
        return f"{a} is better than {b} in {listed(ways['better'])}, worse in {listed(ways['worse'])}"
    first, second, of = (a, b, ways["better"]) if ways["better"] else (b, a, ways["worse"])
    return f"{first} is better than {second} in {listed(of)}" + f"; {ties}" * bool(ties)


ORDER: tuple[Verdict, ...] = ("better", "worse", "tie", "not enough evidence")


def plainly(metric: str) -> str:
    """Its title inside a sentence."""
    title = METRICS[metric].title.removesuffix(" x 1000")
    return title if title.startswith("Frechet") else title[0].lower() + title[1:]


def listed(items: Sequence[str]) -> str:
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)
