"""Two generators against the same real images: which is better, or a tie, or not enough evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy import special

from ..metrics import difference
from ..stats import LEVEL, Verdict, holm
from .scores import Score
from .table import METRICS

POINT = 0.01  # shares that differ by less do not matter
PART = 0.05  # distances that differ by less than this part of the larger do not matter


@dataclass(frozen=True)
class Compared:
    """One score of generator a against b's: a - b, its standard error, and what may be said. `verdict` is about a."""

    metric: str
    a: str
    b: str
    mean: float
    error: float
    p: float
    p_holm: float
    margin: float
    verdict: Verdict
    sentence: str


def compared(name_a: str, a: Mapping[str, Score], name_b: str, b: Mapping[str, Score], images: int) -> list[Compared]:
    """Verdicts on the headline scores that both have, of so many images; p-values adjusted over them (Holm 1979).

    Real images are the same on both sides, so what they do to both cancels. better, worse: adjusted p <= 1 - LEVEL;
    tie: surely within a margin (two one-sided tests), which is a point for shares and a twentieth of the larger value
    for distances. They speak about these two sets of fakes, not about training the same recipe again.
    """
    names = [name for name, metric in METRICS.items() if metric.leads(images) and both(a.get(name), b.get(name))]
    differences = [difference(a[name].estimate, b[name].estimate) for name in names]  # type: ignore[arg-type]
    errors = [d.error or unseen(a[name], b[name]) for name, d in zip(names, differences, strict=True)]
    ps = [2 * float(special.ndtr(-abs(d.value) / e)) if e else 1.0 for d, e in zip(differences, errors, strict=True)]
    return [
        judged(name, name_a, name_b, d.value, error, p, adjusted, margin(a[name], b[name]))
        for name, d, error, p, adjusted in zip(names, differences, errors, ps, holm(ps), strict=True)
    ]


def both(a: Score | None, b: Score | None) -> bool:
    return a is not None and b is not None and a.estimate is not None and b.estimate is not None


def unseen(a: Score, b: Score) -> float:
    """The error where no image differs from another, as in two shares of 0: as wide as the wider interval says."""
    return max(((s.high or 0.0) - (s.low or 0.0)) / 3.92 for s in (a, b))


def margin(a: Score, b: Score) -> float:
    if METRICS[a.metric].times == 100:
        return POINT
    return PART * max(abs(a.value or 0.0), abs(b.value or 0.0))


def judged(metric: str, a: str, b: str, mean: float, error: float, p: float, p_holm: float, margin: float) -> Compared:
    alpha, lower = 1 - LEVEL, METRICS[metric].better == "lower"
    within = max(special.ndtr((mean - margin) / error), special.ndtr((-mean - margin) / error)) if error else 1.0
    verdict: Verdict = "not enough evidence"
    if within <= alpha:
        verdict = "tie"
    elif p_holm <= alpha:
        verdict = "better" if (mean < 0) == lower else "worse"
    said = {
        "tie": f"{a} and {b} are as good as each other",
        "better": f"{a} is better than {b}",
        "worse": f"{a} is worse than {b}",
        "not enough evidence": f"these images do not show whether {a} or {b} is better",
    }[verdict]
    return Compared(metric, a, b, mean, error, p, p_holm, margin, verdict, said)


# --- in words --------------------------------------------------------------------------------------------------------

ALARM = 0.01  # p below which fakes are called different: the question is asked again and again
COPIED = 0.02  # share of near-copies that is worth a sentence: data sets hold some twins of their own


def different(scores: Mapping[str, Score]) -> tuple[bool | None, list[str]]:
    """Whether the tests tell these fakes from real images at ALARM after Holm's correction, None without a test, and
    which of them do."""
    tests = [name for name in ("kernel", "classes") if name in scores and scores[name].p is not None]
    adjusted = holm([scores[name].p or 0.0 for name in tests])
    fired = [name for name, p in zip(tests, adjusted, strict=True) if p <= ALARM]
    return (bool(fired) if tests else None), fired


def in_words(name: str, scores: Mapping[str, Score]) -> list[str]:
    """What there is to say about one set of fakes, in sentences without full stops."""
    said, (differ, fired) = [], different(scores)
    if differ:
        said.append(f"{name} can be told from the real images, by {listed([plainly(m) for m in fired])}")
    elif differ is not None:
        said.append(f"no test tells {name} from the real images")
    copies = scores.get("copies")
    if copies and copies.low is not None and copies.value is not None and copies.low > COPIED:
        said.append(f"{100 * copies.value:.0f} % of them are nearly copies of training images: look at the pairs")
    memorised = scores.get("memorised")
    if memorised and memorised.p is not None and memorised.p < ALARM:
        said.append("they lie nearer to the training images than unseen real images do: it learned some by heart")
    return said


def ranked(a: str, b: str, verdicts: Sequence[Compared]) -> str:
    """One sentence over all headline scores of a and b."""
    ways = {v: [plainly(c.metric) for c in verdicts if c.verdict == v] for v in ORDER}
    if not ways["better"] and not ways["worse"]:
        return f"{a} and {b}: no headline score tells which is better"
    if ways["better"] and ways["worse"]:
        return f"{a} is better than {b} in {listed(ways['better'])}, worse in {listed(ways['worse'])}"
    first, second, of = (a, b, ways["better"]) if ways["better"] else (b, a, ways["worse"])
    rest = f"; they tie in {listed(ways['tie'])}" if ways["tie"] else ""
    return f"{first} is better than {second} in {listed(of)}{rest}"


ORDER: tuple[Verdict, ...] = ("better", "worse", "tie", "not enough evidence")


def plainly(metric: str) -> str:
    """Its title inside a sentence."""
    title = METRICS[metric].title.removesuffix(" x 1000")
    return title[0].lower() + title[1:]


def listed(items: Sequence[str]) -> str:
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)
