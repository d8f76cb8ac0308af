"""Two sides, an extractor and the metrics meet: scores with intervals."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy import special

from .. import metrics
from ..devices import SPARRING_VERSION
from ..features import Extractor, user_cache
from ..features.extractor import handmade
from ..features.learned import EACH, HANDMADE
from ..metrics import Estimate
from ..metrics.estimate import NORMAL_95
from ..metrics.frechet import LEAST, PARTS
from ..stats import fisher_p, share_interval, wilson
from .catalogue import FEW, METRICS, SOME
from .inputs import Progress, Reals, Side, drawn, quiet
from .train_on_generated import measured

VERSION = 3  # of the scores: another number, and what was kept before is computed anew
# Random divisions of the kernel test, and of tests that take less time: p of 1 / 401 and 1 / 1000 at least. Fewer than
# 400 and one of verdicts.TESTS alone could never fire at ALARM after Holm's correction.
DIVISIONS, MORE = 400, 999
NEIGHBOURS = 5  # k of precision, recall, density and coverage
COPIES_SHOWN = 12
MOST_ALIKE, UNLIKE = 1000, 0.003  # images of training and held-out parts that are compared, and p that tells them apart
WEAK = 0.8  # accuracy of an extractor below which its word on classes is doubtful


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


def proportion(metric: str, estimate: Estimate) -> Score:
    """A share of images that are not independent: Wilson's interval for as many as would give its error (Korn &
    Graubard 1998), where all or none counts for as many as there are of the fewer."""
    value, error = estimate.value, estimate.error
    fewest = min(count for count in (len(estimate.real), len(estimate.fake)) if count)
    smooth = value if 0 < value < 1 else (value * fewest + 1) / (fewest + 2)
    worth = max(1.0, min(smooth * (1 - smooth) / error**2, fewest)) if error else fewest
    return Score(metric, *wilson(value * worth, worth).triple, estimate=estimate)


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
    progress: Progress = quiet

    @cached_property
    def key(self) -> tuple:
        """What its scores depend on."""
        looks = (self.extractor.hash, self.unlearned.hash)
        sides = (self.reals.seen, self.reals.held, self.fake)
        return (SPARRING_VERSION, *looks, self.reals.apart, self.reals.classes, *(side.fingerprint for side in sides))

    @cached_property
    def real_features(self) -> np.ndarray:
        return self.extractor.features(self.reals.held.images, origins=self.reals.held.origins)

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
        named = self.extractor.named(self.reals.held.images, origins=self.reals.held.origins)
        assert named is not None
        return named

    @cached_property
    def neighbours(self) -> metrics.Neighbours:
        return metrics.neighbours(self.real_features, self.fake_features, k=NEIGHBOURS)

    @cached_property
    def unlearned(self) -> Extractor:
        """What copies are looked for with: a network sees the images that it learned from as no others."""
        return handmade(HANDMADE[self.reals.shape[2]]) if self.extractor.name == "own" else self.extractor

    @cached_property
    def three(self) -> list[np.ndarray]:
        """Features of training images, held-out images and fakes for copies."""
        sides = (self.reals.seen, self.reals.held, self.fake)
        return [self.unlearned.features(side.images, origins=side.origins) for side in sides]

    @cached_property
    def copies(self) -> metrics.Copies:
        seen, held, fake = self.three
        return metrics.copies(seen, held, fake)

    @cached_property
    def real_parts_differ(self) -> float | None:
        """p of the kernel test of training images against held-out ones, where they are surely not of one source."""
        seen, held, _ = (features[drawn(len(features), MOST_ALIKE, 0)] for features in self.three)
        p = metrics.kernel_test(seen, held, permutations=DIVISIONS)
        return p if p <= UNLIKE else None

    @cached_property
    def near_copies(self) -> tuple[np.ndarray, np.ndarray, float]:
        """How near each fake is to a training image, [M], below 1 a near copy, to which of `reals.all`, int64 [M], and
        which share of real images is as near to others.

        Where nothing says that generators were not trained on the held images too, copies of these count.
        """
        apart, nearest, twins = self.copies.apart, self.copies.nearest, self.copies.twins
        if not self.reals.apart:
            seen, held, fake = self.three
            further, others, also = metrics.near_copies(held, seen, fake)
            nearest = np.where(further < apart, others + len(self.reals.seen), nearest)
            apart, twins = np.minimum(apart, further), twins + also
        return apart, nearest, twins

    def within(self, k: int) -> "Pair":
        """Of one class."""
        real, fake = (np.flatnonzero(side.labels == k) for side in (self.reals.held, self.fake))
        reals = replace(self.reals, held=self.reals.held.take(real))
        part = Pair(reals, self.fake.take(fake), self.extractor)
        vars(part).update(real_features=self.real_features[real], fake_features=self.fake_features[fake])
        if self.extractor.classes:
            vars(part).update(real_named=self.real_named[real], fake_logits=self.fake_logits[fake])
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
    width, few = pair.real_features.shape[1], min(len(pair.reals.held), len(pair.fake))
    if few < (least := PARTS * LEAST * width):
        return Score("frechet-infinity", note=f"needs {least:,} images on each side, as there are {width} features")
    return of("frechet-infinity", metrics.frechet_at_infinity(pair.real_features, pair.fake_features))


def neighbour(name: str) -> Callable[[Pair], Score]:
    make = proportion if METRICS[name].times == 100 else of
    return lambda pair: make(name, getattr(pair.neighbours, name))


def diversity(pair: Pair) -> Score:
    return of("diversity", metrics.diversity(pair.real_features, pair.fake_features))


def inception(pair: Pair) -> Score:
    return of("inception", metrics.inception_score(special.softmax(pair.fake_logits.astype(np.float64), axis=1)))


def classes(pair: Pair) -> Score:
    """As the extractor names them; `shows`: what chance alone makes of two sets of real images."""
    both, k = (pair.real_named, pair.fake_logits.argmax(1)), len(pair.extractor.classes)
    score = of("classes", metrics.balance(*both, k), p=metrics.balance_test(*both, k, divisions=MORE))
    by_chance = metrics.balance_by_chance(pair.real_named, len(pair.fake), k)
    if score.estimate and not score.estimate.error:  # equal shares: no image is seen to matter
        score = replace(score, high=float(np.quantile(by_chance, 0.95)))
    return replace(score, shows={"chance": by_chance.mean(keepdims=True)})


def fidelity(pair: Pair) -> Score:
    """With Fisher's exact test of "fakes are named right as often as real images"."""
    right = right_of(pair.fake, pair.fake_logits.argmax(1))
    found, real = share("fidelity", right), right_of(pair.reals.held, pair.real_named)
    known = f"of the {len(right):,} fakes whose class is known" * (len(right) < len(pair.fake))
    if not len(real):
        return replace(found, note=known)
    weak = f"the extractor names only {100 * real.mean():.1f} % of real images right: read it beside that"
    note = "; ".join(filter(None, (known, weak * bool(real.mean() < WEAK))))
    return replace(found, p=fisher_p(right, real), note=note)


def right_of(side: Side, named: np.ndarray) -> np.ndarray:
    """Of the images whose class is known, which are named right: bool [n]."""
    known = side.labels >= 0
    return (named == side.labels)[known]


def class_frechet(pair: Pair) -> Score:
    """Mean over the classes that have SOME images on both sides."""
    classes, of_all = shared_classes(pair), len(pair.reals.classes)
    parts = [pair.within(k) for k in classes]
    found = [metrics.frechet_distance(part.real_features, part.fake_features) for part in parts]
    if not found:
        return Score("class-frechet", note=f"needs {SOME} real images and fakes of a class")
    half = NORMAL_95 * math.sqrt(sum(e.error**2 for e in found)) / len(found)
    value = float(np.mean([e.value for e in found]))
    every = f"all {of_all}" if len(found) == of_all else f"{len(found)} of {of_all}"
    note = f"of {every} classes, from {min(len(part.fake) for part in parts):,} fakes or more of each"
    ends, shows = METRICS["class-frechet"].within(value - half, value + half), {"classes": np.array(classes)}
    return Score("class-frechet", value, *ends, note=note, shows=shows)


def spectrum(pair: Pair) -> Score:
    real, fake = (metrics.spectrum(side.images) for side in (pair.reals.held, pair.fake))
    p, shows = metrics.spectrum_test(real, fake, divisions=MORE), {"real": real.mean(0), "fake": fake.mean(0)}
    return replace(of("spectrum", metrics.spectrum_distance(real, fake), p=p), shows=shows)


def copies(pair: Pair) -> Score:
    """`shows`: the nearest pairs, near copies or not, of a fake and an image of `reals.all`, int64 [P,2], and the share
    of real images that are as near to others."""
    apart, nearest, twins = pair.near_copies
    first = np.argsort(apart, kind="stable")[:COPIES_SHOWN]
    shows = {"pairs": np.stack([first, nearest[first]], 1), "twins": np.array([twins])}
    return replace(share("copies", apart < 1), shows=shows)


def authentic(pair: Pair) -> Score:
    """Beside all real images, where nothing says that generators were not trained on the held ones too."""
    seen, held, fake = pair.three
    train = seen if pair.reals.apart else np.concatenate([seen, held])
    return proportion("authentic", metrics.authenticity(train, fake))


def memorised(pair: Pair) -> Score:
    """Where no image differs from another, its error is that of Wilson's interval of the share that it is made of."""
    found, unlike = pair.copies, pair.real_parts_differ
    if unlike is not None:
        return Score("memorised", note=f"training and held-out images differ (p = {unlike:.2g}): nearness says nothing")
    note = f"C_T {found.c_t:.1f}" if math.isfinite(found.c_t) else "too few images for C_T"
    score = of("memorised", found.memorised, p=found.p, note=note)
    if found.memorised.error:
        return score
    expected = len(pair.reals.seen) / (len(pair.reals.seen) + len(pair.reals.held))
    count = len(pair.fake)
    nearer = (found.memorised.value * (1 - expected) + expected) * count
    _, low, high = wilson(nearer, count)
    return replace(score, low=(low - expected) / (1 - expected), high=(high - expected) / (1 - expected))


def train_on_generated(pair: Pair) -> Score:
    """With what as many real images teach, and how many real images one fake is worth."""
    found = measured(pair.reals.seen, pair.reals.held, pair.fake, pair.reals.classes, pair.progress)
    if found is None:
        why = f"needs {EACH} labelled fakes and training images a class, of two classes or more"
        return Score("train-on-generated", note=why)
    each, real = found.fakes.mean(0), found.real.mean(0)
    interval, of_real = share_interval(found.fakes), share_interval(found.real)
    note = f"{found.count:,} real images teach {100 * of_real.mean:.1f} %; {found.in_words(interval)}"
    estimate = Estimate(interval.mean, real=each - each.mean())
    shows = {"curve": np.array(found.curve), "real": real}
    return Score("train-on-generated", *interval, note=note, estimate=estimate, shows=shows)


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
    if name in ("copies", "authentic", "memorised") and len(pair.reals.seen) < SOME:
        return f"needs {SOME} training images: there are {len(pair.reals.seen)}"
    if min(real, fake) < metric.least:
        return f"needs {metric.least:,} images on each side: there are {real:,} real ones and {fake:,} fakes"
    if metric.needs in ("classes", "labels") and not pair.extractor.classes:
        return f"needs an extractor that names classes: {pair.extractor.name} names none"
    if metric.needs == "labels" and not (pair.fake.labels >= 0).any():
        return "needs fakes whose class is known, by the names of the real images' classes"
    if metric.needs == "held" and not pair.reals.apart:
        return "needs real images that the generator never saw: a test part, or --held-out"
    return ""


def scored(pair: Pair, names: Iterable[str]) -> dict[str, Score]:
    """The scores with these names, in their order; one that cannot be had has no value, and a note."""
    found = {}
    for name in names:
        pair.progress(f"{pair.fake.name}: {METRICS[name].title}")
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


WITHIN = ("kernel", "frechet", "precision", "recall", "coverage", "diversity", "fidelity")  # scores of one class


def per_class(pair: Pair, whole: Mapping[str, Score]) -> dict[str, dict[str, Score]]:
    """Scores within each class that has SOME images on both sides, by class name; `whole`: those over all classes."""
    found, taught = {}, whole.get("train-on-generated")
    for k in shared_classes(pair):
        part = pair.within(k)
        row = {name: replace(kept(name, part), note="") for name in WITHIN if not lacking(name, part)}
        if taught and taught.estimate:
            row["train-on-generated"] = taught_in(k, taught, taught.estimate, pair.reals.held.labels)
        found[pair.reals.classes[k]] = row
    return found


def taught_in(k: int, score: Score, estimate: Estimate, labels: np.ndarray) -> Score:
    """The share of the real images of class k that classifiers trained on fakes got right."""
    here = labels[labels >= 0] == k
    each = score.value + estimate.real[here]
    note = f"as many real images teach {100 * score.shows['real'][here].mean():.1f} %"
    return Score("train-on-generated", *wilson(float(each.sum()), len(each)), note=note)
