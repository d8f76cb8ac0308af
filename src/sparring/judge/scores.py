"""Two sides, an extractor and the metrics meet: scores with intervals."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy import special

from .. import metrics
from ..errors import UsageError
from ..features import Extractor, fingerprint, user_cache
from ..metrics import Estimate
from ..metrics.estimate import NORMAL_95
from ..stats import share_interval, wilson
from .sides import Reals, Side
from .table import FEW, METRICS, SOME
from .worth import measured

VERSION = 3  # of the scores: another number, and what was kept before is computed anew
DIVISIONS = 400  # of the kernel test: p of 1 / 401 at least
NEIGHBOURS = 5  # k of precision, recall, density and coverage
COPIES_SHOWN = 12
Progress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Score:
    """A metric's value, None where it could not be had (`note` says why), with its interval at 95 %.

    `p`: of "these fakes are no different from real images", where the metric has such a test. `estimate`: what a
    comparison with another generator needs. `shows`: what a picture of it is drawn from, by name.
    """

    metric: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    note: str = ""
    estimate: Estimate | None = None
    shows: Mapping[str, np.ndarray] = field(default_factory=dict)

    def to_json(self) -> dict:
        plain = {name: finite(getattr(self, name)) for name in PLAIN}
        return plain | {"shows": {name: array.tolist() for name, array in self.shows.items()}}


PLAIN = ("metric", "value", "low", "high", "p", "note")


def finite(value):
    return None if isinstance(value, float) and not math.isfinite(value) else value


def of(metric: str, estimate: Estimate, *, p: float | None = None, note: str = "") -> Score:
    """A score as an estimate has it."""
    return Score(metric, estimate.value, *METRICS[metric].within(*estimate.interval), p, note, estimate)


def share(metric: str, hits: np.ndarray, note: str = "") -> Score:
    """The share of fakes for which something holds, bool [M], with Wilson's interval."""
    found = wilson(int(hits.sum()), len(hits))
    return Score(metric, *found, note=note, estimate=Estimate(found.mean, fake=hits - found.mean))


@dataclass(frozen=True, eq=False)
class Pair:
    """Fakes beside the real images that they are compared with; what several scores need is computed once."""

    reals: Reals
    fake: Side
    extractor: Extractor

    @cached_property
    def key(self) -> tuple:
        """What its scores depend on."""
        sides = (self.reals.seen, self.reals.held, self.fake)
        return (self.extractor.hash, self.reals.apart, *(fingerprint(side.images, side.labels) for side in sides))

    @cached_property
    def real_features(self) -> np.ndarray:
        return self.extractor.features(self.reals.held.images, origins=self.reals.held.origins)

    @cached_property
    def fake_features(self) -> np.ndarray:
        return self.extractor.features(self.fake.images, origins=self.fake.origins)

    @cached_property
    def seen_features(self) -> np.ndarray:
        return self.extractor.features(self.reals.seen.images, origins=self.reals.seen.origins)

    @cached_property
    def fake_logits(self) -> np.ndarray:
        logits = self.extractor.logits(self.fake.images, origins=self.fake.origins)
        assert logits is not None  # asked only of extractors that name classes
        return logits

    @cached_property
    def real_named(self) -> np.ndarray:
        named = self.extractor.named(self.reals.held.images, origins=self.reals.held.origins)
        assert named is not None
        return named

    @cached_property
    def neighbours(self) -> metrics.Neighbours:
        return metrics.neighbours(self.real_features, self.fake_features, k=NEIGHBOURS)

    @cached_property
    def copies(self) -> metrics.Copies:
        return metrics.copies(self.seen_features, self.real_features, self.fake_features)

    @cached_property
    def near_copies(self) -> tuple[np.ndarray, np.ndarray, float]:
        """How near each fake is to a training image, [M], below 1 a near copy, to which of `reals.all`, int64 [M], and
        which share of real images is as near to others.

        Where nothing says that generators were not trained on the held images too, copies of these count.
        """
        apart, nearest, twins = self.copies.apart, self.copies.nearest, self.copies.twins
        if not self.reals.apart:
            other = metrics.copies(self.real_features, self.seen_features, self.fake_features)
            nearest = np.where(other.apart < apart, other.nearest + len(self.reals.seen), nearest)
            apart, twins = np.minimum(apart, other.apart), twins + other.twins
        return apart, nearest, twins

    def within(self, k: int) -> "Pair":
        """Of one class."""
        real, fake = (np.flatnonzero(side.labels == k) for side in (self.reals.held, self.fake))
        reals = Reals(self.reals.name, self.reals.classes, "", self.reals.seen, self.reals.held.take(real),
                      self.reals.apart, "")  # fmt: skip
        part = Pair(reals, self.fake.take(fake), self.extractor)
        vars(part).update(real_features=self.real_features[real], fake_features=self.fake_features[fake])
        if self.extractor.classes:
            vars(part).update(fake_logits=self.fake_logits[fake])
        return part


# --- one function a metric -------------------------------------------------------------------------------------------


def kernel(pair: Pair) -> Score:
    p = metrics.kernel_test(pair.real_features, pair.fake_features, permutations=DIVISIONS)
    return of("kernel", metrics.kernel_distance(pair.real_features, pair.fake_features), p=p)


def frechet(pair: Pair) -> Score:
    few = min(len(pair.reals.held), len(pair.fake))
    note = f"of {few:,} images: too large, and no headline below {FEW:,}; trust the kernel distance" * (few < FEW)
    estimate = metrics.frechet_distance(pair.real_features, pair.fake_features)
    return of("frechet", estimate, note=note)


def frechet_infinity(pair: Pair) -> Score:
    try:
        return of("frechet-infinity", metrics.frechet_at_infinity(pair.real_features, pair.fake_features))
    except UsageError as few:  # how many it takes depends on the features
        return Score("frechet-infinity", note=f"{few.problem}; {few.fix}")


def neighbour(name: str) -> Callable[[Pair], Score]:
    return lambda pair: of(name, getattr(pair.neighbours, name))


def diversity(pair: Pair) -> Score:
    return of("diversity", metrics.diversity(pair.real_features, pair.fake_features))


def inception(pair: Pair) -> Score:
    return of("inception", metrics.inception_score(special.softmax(pair.fake_logits.astype(np.float64), axis=1)))


def classes(pair: Pair) -> Score:
    """Total variation between the shares of the classes as the extractor names them, and Pearson's test."""
    named = (pair.real_named, pair.fake_logits.argmax(1))
    counts = np.array([np.bincount(n, minlength=len(pair.extractor.classes)) for n in named])
    p, q = counts / counts.sum(1, keepdims=True)
    sign = np.sign(p - q) / 2
    value = float((sign * (p - q)).sum())
    estimate = Estimate(value, real=sign[named[0]] - sign @ p, fake=sign @ q - sign[named[1]])
    return of("classes", estimate, p=homogeneous(counts))


def homogeneous(counts: np.ndarray) -> float:
    """p of "both rows of this table [2,K] are of one distribution", Pearson's chi-squared."""
    counts = counts[:, counts.sum(0) > 0]
    expected = counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
    return float(special.chdtrc(counts.shape[1] - 1, (np.square(counts - expected) / expected).sum()))


def fidelity(pair: Pair) -> Score:
    known = pair.fake.labels >= 0
    about = pair.extractor
    note = f"real images {100 * about.accuracy:.1f} % ({about.accuracy_of})" if about.accuracy is not None else ""
    return share("fidelity", (pair.fake_logits.argmax(1) == pair.fake.labels)[known], note)


def class_frechet(pair: Pair) -> Score:
    """Mean over the classes that have SOME images on both sides."""
    parts = [pair.within(k) for k in shared_classes(pair)]
    found = [metrics.frechet_distance(part.real_features, part.fake_features) for part in parts]
    if not found:
        return Score("class-frechet", note=f"needs {SOME} real images and fakes of a class")
    half = NORMAL_95 * math.sqrt(sum(e.error**2 for e in found)) / len(found)
    value = float(np.mean([e.value for e in found]))
    note = f"of {len(found)} classes, from {min(len(part.fake) for part in parts):,} fakes each"
    return Score("class-frechet", value, *METRICS["class-frechet"].within(value - half, value + half), note=note)


def spectrum(pair: Pair) -> Score:
    real, fake = pair.reals.held.images, pair.fake.images
    shows = {"real": metrics.spectrum(real).mean(0), "fake": metrics.spectrum(fake).mean(0)}
    return replace(of("spectrum", metrics.spectrum_distance(real, fake)), shows=shows)


def copies(pair: Pair) -> Score:
    """`shows`: the nearest pairs, near copies or not, of a fake and an image of `reals.all`, int64 [P,2]."""
    apart, nearest, twins = pair.near_copies
    first = np.argsort(apart, kind="stable")[:COPIES_SHOWN]
    found = share("copies", apart < 1, note=f"{100 * twins:.1f} % of real images are as near to others")
    return replace(found, shows={"pairs": np.stack([first, nearest[first]], 1), "twins": np.array([twins])})


def authentic(pair: Pair) -> Score:
    return of("authentic", pair.copies.authentic)


def memorised(pair: Pair) -> Score:
    estimate = pair.copies.memorised
    p = float(special.ndtr(-estimate.value / estimate.error)) if estimate.error else None
    c_t = pair.copies.c_t
    return of("memorised", estimate, p=p, note=f"C_T {c_t:.1f}" if math.isfinite(c_t) else "too few images for C_T")


def train_on_generated(pair: Pair) -> Score:
    """With what as many real images teach, and how many real images one fake is worth."""
    found = measured(pair.reals.seen, pair.reals.held, pair.fake, pair.reals.classes)
    each = found.fakes.mean(0)
    interval, real = share_interval(found.fakes), share_interval(found.real)
    worth = "less than a sixteenth of a real one" if math.isnan(found.each) else f"{found.each:.2g} real ones"
    note = f"{found.count:,} real images teach {100 * real.mean:.1f} %; one fake is worth {worth}"
    estimate = Estimate(interval.mean, real=each - each.mean())
    return Score("train-on-generated", *interval, note=note, estimate=estimate, shows={"curve": np.array(found.curve)})


SCORERS: dict[str, Callable[[Pair], Score]] = {
    "kernel": kernel,
    "frechet": frechet,
    "frechet-infinity": frechet_infinity,
    **{name: neighbour(name) for name in ("precision", "recall", "density", "coverage")},
    "diversity": diversity,
    "inception": inception,
    "classes": classes,
    "fidelity": fidelity,
    "class-frechet": class_frechet,
    "spectrum": spectrum,
    "copies": copies,
    "authentic": authentic,
    "memorised": memorised,
    "train-on-generated": train_on_generated,
}


# --- all of them -----------------------------------------------------------------------------------------------------


def lacking(name: str, pair: Pair) -> str:
    """Why a score cannot be had, or nothing."""
    metric, real, fake = METRICS[name], len(pair.reals.held), len(pair.fake)
    if min(real, fake) < metric.least:
        return f"needs {metric.least:,} images on each side: there are {real:,} real ones and {fake:,} fakes"
    if metric.needs in ("classes", "labels") and not pair.extractor.classes:
        return f"needs an extractor that names classes: {pair.extractor.name} names none"
    if metric.needs == "labels" and not (pair.fake.labels >= 0).any():
        return "needs fakes whose class is known"
    if metric.needs == "held" and not pair.reals.apart:
        return "needs real images that the generator never saw: a test part, or --held-out"
    return ""


def scored(pair: Pair, names: Iterable[str], progress: Progress = lambda text: None) -> dict[str, Score]:
    """The scores with these names, in their order; one that cannot be had has no value, and a note."""
    found = {}
    for name in names:
        progress(f"{pair.fake.name}: {METRICS[name].title}")
        why = lacking(name, pair)
        found[name] = Score(name, note=why) if why else kept(name, pair)
    return found


def kept(name: str, pair: Pair) -> Score:
    """A score from the user's cache, or computed: it depends on nothing but the pair's content."""
    arrays = user_cache().get(("score", VERSION, name, pair.key), lambda: packed(SCORERS[name](pair)))
    about = json.loads(arrays["about"].tobytes())
    estimate = Estimate(arrays["value"].item(), arrays["real"], arrays["fake"]) if "value" in arrays else None
    shows = {name.removeprefix("shows/"): array for name, array in arrays.items() if name.startswith("shows/")}
    return Score(**about, estimate=estimate, shows=shows)


def packed(score: Score) -> dict[str, np.ndarray]:
    about = {name: finite(getattr(score, name)) for name in PLAIN}
    arrays = {"about": np.frombuffer(json.dumps(about).encode(), np.uint8).copy()}
    if score.estimate is not None:
        arrays |= {"value": np.array(score.estimate.value), "real": score.estimate.real, "fake": score.estimate.fake}
    return arrays | {f"shows/{name}": array for name, array in score.shows.items()}


def shared_classes(pair: Pair) -> list[int]:
    """Classes of which there are SOME images on both sides."""
    counts = (
        np.bincount(side.labels[side.labels >= 0], minlength=len(pair.reals.classes))
        for side in (pair.reals.held, pair.fake)
    )
    return np.flatnonzero(np.minimum(*counts) >= SOME).tolist()


EACH = ("kernel", "frechet", "precision", "coverage", "diversity", "fidelity")  # scores of one class


def per_class(pair: Pair, whole: Mapping[str, Score]) -> dict[str, dict[str, Score]]:
    """Scores within each class that has SOME images on both sides, by class name; `whole`: those over all classes."""
    found, taught = {}, whole.get("train-on-generated")
    for k in shared_classes(pair):
        part = pair.within(k)
        row = {name: kept(name, part) for name in EACH if not lacking(name, part)}
        if taught and taught.estimate:
            row["train-on-generated"] = taught_in(k, taught, taught.estimate, pair.reals.held.labels)
        found[pair.reals.classes[k]] = row
    return found


def taught_in(k: int, score: Score, estimate: Estimate, labels: np.ndarray) -> Score:
    """The share of the real images of class k that classifiers trained on fakes got right."""
    each = score.value + estimate.real[labels[labels >= 0] == k]
    return Score("train-on-generated", *wilson(float(each.sum()), len(each)))
