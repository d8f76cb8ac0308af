"""All scores of one set of fakes: computed or kept from before, over all images and within each class."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from ..features import user_cache
from ..metrics import Estimate
from ..records import Progress
from ..stats import wilson
from .catalogue import METRICS
from .results import LEAST_IMAGES
from .scores import MetricScore, Pair, finite, shared_classes

SCORES_VERSION = 3  # another number, and what was kept before is computed anew


def why_not(name: str, pair: Pair) -> str:
    """Return why a score cannot be had, or nothing."""
    metric, real, fake = METRICS[name], len(pair.reals.test), len(pair.fake)
    if metric.of_training and len(pair.reals.train) < LEAST_IMAGES:
        return f"needs {LEAST_IMAGES} training images: there are {len(pair.reals.train)}"
    if min(real, fake) < metric.least:
        return f"needs {metric.least:,} images on each side: there are {real:,} real ones and {fake:,} fakes"
    if metric.needs in ("classes", "labels") and not pair.extractor.classes:
        return f"needs an extractor that names classes: {pair.extractor.name} names none"
    if metric.needs == "labels" and not pair.fake.labelled.any():
        return "needs fakes whose class is known, by the names of the real images' classes"
    if metric.needs == "held" and not pair.reals.disjoint:
        return "needs real images that the generator never saw: a test part, or --held-out"
    return ""


def compute_scores(pair: Pair, names: Iterable[str]) -> dict[str, MetricScore]:
    """Return the scores with these names, in their order; one that cannot be had has no value, and a note."""
    found = {}
    for name in names:
        pair.progress(Progress(f"{pair.fake.name}: {METRICS[name].title}"))
        why = why_not(name, pair)
        found[name] = MetricScore(note=why) if why else _kept(name, pair)
    return found


def _kept(name: str, pair: Pair) -> MetricScore:
    """Return a score from the user's cache, or compute it: it depends on nothing but the pair's content."""
    metric = METRICS[name]
    arrays = user_cache().get(("score", SCORES_VERSION, name, pair.key), lambda: _packed(metric.score(pair)))
    score = _unpacked(arrays)
    if score.low is None or score.high is None:
        return score
    low, high = metric.cut(score.low, score.high)
    return replace(score, low=low, high=high)


def _packed(score: MetricScore) -> dict[str, np.ndarray]:
    plain = {"note": score.note} | {name: finite(getattr(score, name)) for name in ("value", "low", "high", "p")}
    arrays = {"plain": np.frombuffer(json.dumps(plain).encode(), np.uint8).copy()}
    if score.estimate is not None:
        arrays |= {"value": np.array(score.estimate.value), "real": score.estimate.real, "fake": score.estimate.fake}
    return arrays | {f"shows/{name}": array for name, array in score.shows.items()}


def _unpacked(arrays: Mapping[str, np.ndarray]) -> MetricScore:
    plain = json.loads(arrays["plain"].tobytes())
    estimate = Estimate(arrays["value"].item(), arrays["real"], arrays["fake"]) if "value" in arrays else None
    shows = {name.removeprefix("shows/"): array for name, array in arrays.items() if name.startswith("shows/")}
    return MetricScore(**plain, estimate=estimate, shows=shows)


def scores_per_class(pair: Pair, whole: Mapping[str, MetricScore]) -> dict[str, dict[str, MetricScore]]:
    """Return scores within each class that has LEAST_IMAGES on both sides, by class name.

    `whole`: the scores over all classes.
    """
    found, taught = {}, whole.get("train-on-generated")
    names = [name for name, metric in METRICS.items() if metric.per_class]
    for k in shared_classes(pair):
        part = pair.of_class(k)
        row = {name: replace(_kept(name, part), note="") for name in names if not why_not(name, part)}
        if taught and taught.estimate:
            row["train-on-generated"] = _taught_in(k, taught, taught.estimate, pair.reals.test.labels)
        found[pair.reals.classes[k]] = row
    return found


def _taught_in(k: int, score: MetricScore, estimate: Estimate, labels: np.ndarray) -> MetricScore:
    """Return the share of the real images of class k that classifiers trained on fakes got right."""
    here = labels[labels >= 0] == k
    each = estimate.value + estimate.real[here]
    note = f"as many real images teach {100 * score.shows['real'][here].mean():.1f} %"
    return MetricScore(*wilson(float(each.sum()), len(each)).triple, note=note)
