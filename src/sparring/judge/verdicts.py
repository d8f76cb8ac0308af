"""Two generators against the same real images: which is better, or a tie, or not enough evidence."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from ..metrics import difference
from ..metrics.estimate import NORMAL_95
from ..stats import LEVEL, Verdict, holm, of_mean, t_quantile, t_tail, tost_p
from .scores import Score
from .table import METRICS

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
    sentence: str


class Apart(NamedTuple):
    """A difference a - b, its standard error and the degrees of freedom that this was estimated with."""

    mean: float
    error: float
    df: float = math.inf


Trainings = Sequence[Mapping[str, Score]]  # the scores of each


def compared(generators: Mapping[str, Trainings], images: int) -> list[Compared]:
    """Verdicts on every two generators by the headline scores that both have, of so many images.

    By name the scores of one set of fakes each, and then verdicts are about these sets; or of a generator trained
    several times, and then they are about training it once more. Real images are the same on both sides, so what they
    do to both cancels. better, worse: p <= 1 - LEVEL, adjusted over all scores of all pairs (Holm 1979); tie: surely
    within a margin (two one-sided tests), which is a point for shares and a twentieth of the larger value for
    distances. Nothing is said about a generator that was trained once against one that was trained again.
    """
    rows = []
    for (a, of_a), (b, of_b) in combinations(generators.items(), 2):
        if min(len(of_a), len(of_b)) == 1 < max(len(of_a), len(of_b)):
            continue
        for name, metric in METRICS.items():
            if metric.leads(images) and all(map(known(name), [*of_a, *of_b])):
                sides = [scores[name] for scores in of_a], [scores[name] for scores in of_b]
                what = "images" if len(of_a) == 1 else "trainings"
                rows.append((name, a, b, apart(*sides), margin(name, [*sides[0], *sides[1]]), what))
    ps = [min(1.0, 2 * t_tail(abs(d.mean) / d.error, d.df)) if d.error else 1.0 for *_, d, _, _ in rows]
    return [judged(*row, p=p, p_holm=adjusted) for row, p, adjusted in zip(rows, ps, holm(ps), strict=True)]


def known(name: str) -> Callable[[Mapping[str, Score]], bool]:
    return lambda scores: name in scores and scores[name].estimate is not None


def apart(a: Sequence[Score], b: Sequence[Score]) -> Apart:
    """The difference of two sets of fakes, or of the means of several trainings (Welch 1947), whose own doubt contains
    that of their fakes; what real images do to it is added, with Satterthwaite's degrees of freedom."""
    of_a, of_b = ([score.estimate for score in scores if score.estimate] for scores in (a, b))
    if len(a) == len(b) == 1:
        found = difference(of_a[0], of_b[0])
        return Apart(found.value, found.error or unseen((*a, *b)))
    values = [np.array([estimate.value for estimate in side]) for side in (of_a, of_b)]
    real = np.mean([e.real for e in of_a], 0) - np.mean([e.real for e in of_b], 0)
    parts = [(of_mean(x), len(x) - 1) for x in (*values, real) if len(x)]
    variance = sum(part for part, _ in parts)
    mean = float(values[0].mean() - values[1].mean())
    if not variance:
        return Apart(mean, unseen((*a, *b)))
    return Apart(mean, math.sqrt(variance), variance**2 / sum(part**2 / df for part, df in parts))


def unseen(scores: Iterable[Score]) -> float:
    """The error where no image differs from another, as in two shares of 0: as wide as the widest interval says."""
    return max(((s.high or 0.0) - (s.low or 0.0)) / (2 * NORMAL_95) for s in scores)


def margin(metric: str, scores: Iterable[Score]) -> float:
    if METRICS[metric].times == 100:
        return POINT
    return PART * max(abs(score.value or 0.0) for score in scores)


def judged(metric: str, a: str, b: str, found: Apart, margin: float, what: str, p: float, p_holm: float) -> Compared:
    alpha, lower = 1 - LEVEL, METRICS[metric].better == "lower"
    verdict: Verdict = "not enough evidence"
    if found.error and tost_p(found.mean, found.error, found.df, margin=margin) <= alpha:
        verdict = "tie"
    elif p_holm <= alpha:
        verdict = "better" if (found.mean < 0) == lower else "worse"
    said = {
        "tie": f"{a} and {b} are as good as each other",
        "better": f"{a} is better than {b}",
        "worse": f"{a} is worse than {b}",
        "not enough evidence": f"these {what} do not show whether {a} or {b} is better",
    }[verdict]
    half = t_quantile(found.df) * found.error
    return Compared(metric, a, b, found.mean, half, p, p_holm, margin, verdict, said)


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


def in_words(name: str, scores: Mapping[str, Score]) -> list[str]:
    """What there is to say about one set of fakes, in sentences without full stops."""
    said, (tests, fired) = [], different(scores)
    copies = scores.get("copies")
    if copies and copies.low is not None and copies.value is not None and copies.low > COPIED + twins_of(copies):
        said.append(f"{100 * copies.value:.0f} % of {name} are nearly copies of training images: look at the pairs")
    memorised = scores.get("memorised")
    if memorised and memorised.p is not None and memorised.p <= ALARM:
        said.append(f"{name} lies nearer to the training images than unseen real images do: some are learned by heart")
    if fired:
        said.append(f"{name} can be told from the real images, by {listed([plainly(m) for m in fired])}")
    elif tests:
        said.append(f"no test tells {name} from the real images: {listed([plainly(m) for m in tests])}")
    return said


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
        *(f"Not computed{of}: {', '.join(metrics)}: {why}" for (why, of), metrics in reasons.items()),
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
    return title[0].lower() + title[1:]


def listed(items: Sequence[str]) -> str:
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)
