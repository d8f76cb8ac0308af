"""What a classifier promises of its answers, by its held-out answers: and what it says of new images by that."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...features import imagenet
from ...words import listed, percent, plural
from ..base import Classifier
from ..described import handmade_description
from ..probe import directions
from .conformal import COVERAGE, fewest, prediction_sets, score_limits, unit_weights, with_best
from .record import Doubt, HeldOutAnswers
from .selective import PRECISION, Threshold, threshold
from .unlikeness import REFUSED

OLD = "this model carries no promise, as it was not saved by `sparring fit` or `compare` of this version: fit it again"
HOW = {
    "folds": "held out in turn by cross-validation",
    "fifth": "hidden from one more fit",
    "study": "of the study's test part",
}


@dataclass(frozen=True, eq=False)
class DoubtedAnswers:
    """What is said of N images, beside their probabilities [N,K]. None where nothing can be said.

    unsure bool [N]: not sure enough for the stated precision. sets bool [N,K]: the classes in each set. typical float64
    [N]: the share of images of the classes that look at least as unlike what was learned. unlike bool [N]: of less than
    REFUSED of them.
    """

    proba: np.ndarray
    unsure: np.ndarray | None
    sets: np.ndarray | None
    typical: np.ndarray | None

    @property
    def unlike(self) -> np.ndarray | None:
        return None if self.typical is None else self.typical <= REFUSED


@dataclass(frozen=True, eq=False)
class Promise:
    """What a classifier promises: `precision` of the answers that it gives, `coverage` of its sets of classes, for each
    class (`per_class`) or for all images; `class_names` in the order of probabilities."""

    doubt: Doubt
    class_names: tuple[str, ...]
    precision: float = PRECISION
    coverage: float = COVERAGE
    per_class: bool = False

    @cached_property
    def threshold(self) -> Threshold | None:
        """Return the confidence from which answers are given; None where no label was held out."""
        held = self.doubt.held_out
        if held is None:
            return None
        right = held.proba.argmax(1) == held.labels
        return threshold(held.proba.max(1), right, self.precision, held.groups)

    @cached_property
    def limits(self) -> np.ndarray | None:
        """Return the limits of sets, float64 [K]; None where nothing can be promised."""
        held = self.doubt.held_out
        if held is None:
            return None
        found = score_limits(held.proba, held.labels, self.coverage, per_class=self.per_class, groups=held.groups)
        return None if np.isnan(found).any() else found

    @property
    def judges_unlike(self) -> bool:
        """Return whether enough images were held out to say of a new one that it is unlike all of them."""
        like = self.doubt.familiar
        return like is not None and 1 / (1 + float(like.unlikeness.weights.sum())) <= REFUSED

    def answers(self, proba: np.ndarray, features: np.ndarray | None) -> DoubtedAnswers:
        """Return what is said of images: probabilities [N,K] of the classifier, and the features [N,F] by which images
        are compared (`seen_features`), None where they are not."""
        proba = self.doubt.answers(proba)
        unsure = sets = typical = None
        if self.threshold is not None:
            least = self.threshold.confidence
            unsure = np.ones(len(proba), bool) if least is None else proba.max(1) < least
        if self.limits is not None:
            sets = with_best(prediction_sets(proba, self.limits), proba)
        if self.doubt.familiar is not None and features is not None and self.judges_unlike:
            typical = self.doubt.familiar.unlikeness.typical(features)
        return DoubtedAnswers(proba, unsure, sets, typical)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Return what is promised, and what is not, for people."""
        held = self.doubt.held_out
        if held is None:
            return (f"no promise about its answers: {self.doubt.why}", *self._of_unlike()) if self.doubt.why else (OLD,)
        return (self._of_answers(held), self._of_sets(held), *self._of_unlike())

    def _of_answers(self, held: HeldOutAnswers) -> str:
        found, of = self.threshold, f"{plural(len(held.labels), 'label')} {HOW[held.how]}"
        stated = percent(self.precision, 0)
        if found is None or found.confidence is None or found.right is None:
            right = percent(float((held.proba.argmax(1) == held.labels).mean()), 0)
            few = round(float(unit_weights(held.groups, len(held.labels)).sum())) < fewest(self.precision)
            why = f"that takes at least {fewest(self.precision)} that are all right" if few else f"{right} are right"
            return f"no answer can be promised to be right in {stated}: of {of} {why}, so every answer is called unsure"
        return (
            f"answers of at least {percent(found.confidence)} confidence are given, the others called unsure: of {of} "
            f"that is {percent(found.answered, 0)}, of which {percent(found.right.mean)} are right "
            f"({percent(found.right.low)} to {percent(found.right.high)}; {stated} was asked for)"
        )

    def _of_sets(self, held: HeldOutAnswers) -> str:
        stated, of = percent(self.coverage, 0), "of the images of each class" if self.per_class else "of images"
        if self.limits is not None:
            return f"sets of classes hold the true one in {stated} {of} like the labelled ones, or more"
        least = fewest(self.coverage)
        if not self.per_class:
            return f"cannot promise sets that hold the true class in {stated}: that takes {least} held-out labels"
        units = [
            round(float(unit_weights(None if held.groups is None else held.groups[mine], int(mine.sum())).sum()))
            for mine in (held.labels == k for k in range(len(self.class_names)))
        ]
        short = [name for name, count in zip(self.class_names, units, strict=True) if count < least]
        shown = listed(short[:6]) + (f" and {len(short) - 6} more" if len(short) > 6 else "")
        return f"cannot promise {stated} {of}: that takes {least} held-out labels each, which {shown} lack"

    def _of_unlike(self) -> tuple[str, ...]:
        if self.judges_unlike:
            return (
                f"images are called unlike where fewer than {percent(REFUSED, 0)} of the images of its classes are as "
                "far from those it learned from",
            )
        return ("too few labelled images to say of another one that it is unlike them",)


def promise_of(
    model: Classifier, precision: float = PRECISION, coverage: float = COVERAGE, *, per_class: bool = False
) -> Promise:
    """Return what a fitted or loaded classifier promises: `precision` of the answers it gives, `coverage` of its sets,
    both from 0 to 1."""
    return Promise(model.doubt_, tuple(model.class_names_), precision, coverage, per_class)


def seen_features(doubt: Doubt, images: np.ndarray, device: str = "auto") -> np.ndarray | None:
    """Return the features float32 [N,F] by which uint8 images [N,H,W,C] are compared with those that were learned from.

    None where they are not compared, or the network of this version has other features than that of the fit. Raises
    MachineError where the built-in network is not on this machine.
    """
    if doubt.familiar is None:
        return None
    if doubt.familiar.features == "handmade":
        return handmade_description(images)[1]
    encoder = imagenet(device=device)
    return directions(encoder, images) if encoder.hash == doubt.familiar.hash else None
