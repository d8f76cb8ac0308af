"""Do new images look like those that a model learned from? Shares, tests and one sentence.

Compared are the features by which images are called unlike, what the model says, and properties such as brightness. The
test of the features is that of Gretton et al. 2012 (JMLR 13:723-773): the maximum mean discrepancy with a Gaussian
kernel, whose width is the median distance, and its rank among PERMUTATIONS random divisions of all images into two.
The p of all comparisons are adjusted together (Holm). Images that are not independent, as those of one burst, count as
if they were: then a difference is called real too easily.
"""

from dataclasses import replace

import numpy as np
from scipy import stats as tests

from ...data import ImageSet
from ...data.arrays import Scale
from ...errors import UsageError
from ...records import record
from ...stats import holm
from ...words import listed, number, percent
from ..base import Classifier
from ..image_inputs import images_like
from .measuring import properties_of
from .promises import promise_of, seen_features
from .unlikeness import REFUSED

MOST = 1000  # images of each side in the test of the features
PERMUTATIONS = 999
RISK = 0.05  # of calling any difference real where there is none
MUCH = 0.2  # share of unlike images that is much


@record
class Shift:
    """Something that is compared: its mean, or share, among `known` images and among `new` ones, and p after Holm."""

    what: str
    known: float
    new: float
    p: float


@record
class Drift:
    """How new images differ from those that a model learned from.

    `unlike`: the share called unlike, of which REFUSED is expected; `features`: the squared discrepancy of the features
    and its p. `classes`: shares of the classes, as the model says of held-out labelled images and of the new ones.
    `verdict`: one sentence; `same`: whether no difference is real.
    """

    model: str
    images: int
    known: int
    unlike: Shift
    features: Shift
    classes: tuple[Shift, ...]
    properties: tuple[Shift, ...]
    same: bool
    verdict: str


def drift(
    model: Classifier, images: ImageSet, *, name: str = "the model", device: str = "auto", seed: int = 0
) -> Drift:
    """Return how images differ from those that a fitted or loaded model learned from.

    Raises UsageError for a model that kept nothing to compare with: one of an earlier version, or of a few labels.
    """
    promise, like = promise_of(model), model.doubt_.familiar
    pixels = images_like(images, model.image_shape_, Scale.BYTE)
    features = seen_features(model.doubt_, pixels, device)
    if like is None or features is None:
        what = f"{name} kept nothing that new images can be compared with"
        raise UsageError("no-promise", what, fix="fit it again with this version, with two labels a class or more")
    unlike = like.unlikeness.typical(features) <= REFUSED
    p_unlike = float(tests.binom.sf(int(unlike.sum()) - 1, len(unlike), REFUSED))
    squared, p_features = discrepancy(like.unlikeness.known.points, features, seed)
    said = np.bincount(promise.doubt.answers(model.predict_proba(pixels)).argmax(1), minlength=len(model.class_names_))
    held = promise.doubt.held_out
    before = None if held is None else np.bincount(held.proba.argmax(1), minlength=len(said))
    p_classes = 1.0 if before is None else shares_p(before, said)
    values = properties_of(pixels, images.sizes, np.arange(len(images)))
    shared = [each for each in like.properties if each in values]
    ps = [ks_p(like.properties[each], values[each]) for each in shared]
    unlike_p, features_p, classes_p, *adjusted = holm([p_unlike, p_features, p_classes, *ps])
    shares = () if before is None else zip(model.class_names_, before / before.sum(), said / said.sum(), strict=True)
    found = Drift(
        name,
        len(images),
        len(like.unlikeness.held_out),
        Shift("unlike", REFUSED, float(unlike.mean()), unlike_p),
        Shift("features", 0.0, squared, features_p),
        tuple(Shift(each, float(a), float(b), classes_p) for each, a, b in shares),
        tuple(
            Shift(each, float(like.properties[each].mean()), float(values[each].mean()), p)
            for each, p in zip(shared, adjusted, strict=True)
        ),
        min(unlike_p, features_p, classes_p, *adjusted) > RISK,
        "",
    )
    return _judged_shift(found)


def _judged_shift(found: Drift) -> Drift:
    if found.same:
        said = f"no difference from the {found.known:,} images that {found.model} learned from was shown"
        return replace(found, verdict=f"{said}: {percent(found.unlike.new)} look unlike them")
    reasons = [f"{percent(found.unlike.new)} look unlike them (about {percent(REFUSED, 0)} would)"]
    reasons += [f"{s.what} {number(s.new, 2)} against {number(s.known, 2)}" for s in found.properties if s.p <= RISK]
    for s in sorted(found.classes, key=lambda s: -abs(s.new - s.known))[:2]:
        if s.p <= RISK:
            reasons.append(f"{percent(s.new, 0)} called {s.what} against {percent(s.known, 0)}")
    much = found.unlike.new >= MUCH
    first = "many of these images are not what" if much else "these images differ from those that"
    after = " learned from, and its answers to them deserve little trust" if much else " learned from"
    return replace(found, verdict=f"{first} {found.model}{after}: {listed(reasons)}")


def ks_p(before: np.ndarray, after: np.ndarray) -> float:
    """Return p of "both are drawn from the same", of values [n] and [m]: Kolmogorov and Smirnov."""
    return float(tests.ks_2samp(before, after)[1])  # pyright: ignore[reportArgumentType]


def shares_p(before: np.ndarray, after: np.ndarray) -> float:
    """Return p of "classes have the same shares" for counts [K] and [K]: chi-squared, of classes that were named."""
    there = before + after > 0
    if there.sum() < 2:
        return 1.0
    return float(tests.chi2_contingency(np.stack([before[there], after[there]]))[1])  # pyright: ignore


def discrepancy(a: np.ndarray, b: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Return the squared maximum mean discrepancy of features [n,F] and [m,F], unbiased, and its permutation p."""
    rng = np.random.default_rng(seed)
    a, b = (x[rng.permutation(len(x))[:MOST]] for x in (a, b))
    both, n, m = np.concatenate([a, b]).astype(np.float64), len(a), len(b)
    if min(n, m) < 2:
        return 0.0, 1.0
    lengths = np.square(both).sum(1)
    squared = np.maximum(lengths[:, None] + lengths - 2 * both @ both.T, 0)
    kernel = np.exp(-squared / max(float(np.median(squared[np.triu_indices(n + m, 1)])), 1e-12))
    np.fill_diagonal(kernel, 0)
    sides = np.zeros((n + m, 1 + PERMUTATIONS))
    sides[:n, 0] = 1  # first as it is
    for column in range(1, 1 + PERMUTATIONS):
        sides[rng.permutation(n + m)[:n], column] = 1
    inside = kernel @ sides
    ones = (sides * inside).sum(0)
    across = inside.sum(0) - ones
    zeros = kernel.sum() - ones - 2 * across
    found = ones / (n * (n - 1)) + zeros / (m * (m - 1)) - 2 * across / (n * m)
    return float(found[0]), float((found >= found[0] - 1e-12).mean())
