"""What all few-label classifiers share: their parameters, `fit`, `predict_proba`, class names and what a fit records.

A method is a dataclass that derives from `Classifier` and writes two functions, `_fit` and `_predict_proba`; both get
checked arrays. Conventions are scikit-learn's: `__init__` only stores, `fit` sets attributes with a trailing underscore
and returns self, -1 means unlabelled.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from ..data import UNLABELLED, ImageSet
from ..data.arrays import Scale
from ..data.groups import components, group_names
from ..data.labels import encode_labels
from ..data.notes import size_words
from ..data.storage import joined
from ..errors import DataError
from ..features import seen_size
from .doubt.record import Doubt
from .fit_record import FitRecord
from .image_inputs import images_like, images_to_fit

APART = {"pictures_", "doubt_"}  # of what a fit sets, not part of the state of a model


@dataclass(eq=False, repr=False, kw_only=True)
class Classifier(ClassifierMixin, BaseEstimator):
    """Base of the estimators in this folder.

    After `fit`: `classes_` [K] (int or str), `class_names_` (K strings), `image_shape_` (H, W, C), `record_` (a
    FitRecord), `doubt_` (a Doubt: what was said of labelled images that were held out) and `pictures_` ({name: uint8
    [N,H,W,C]}).
    """

    random_state: int | np.random.RandomState | None = 0  # None draws a new seed at every fit

    _limits: ClassVar[tuple[str, ...]] = ()  # sentences for the model card
    _groups = None  # int64 [N] during `fit`: equal for images of one group, which no held-out choice parts

    # --- what a method writes ---

    def _fit(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Learn from uint8 [N,H,W,C] and int64 labels [N] in 0..K-1 or -1; every class has a labelled image.

        A method that does not see images at `features.seen_size` notes its `size`.
        """
        raise NotImplementedError

    def _predict_proba(self, images: np.ndarray) -> np.ndarray:
        """Return probabilities [N,K] of uint8 images [N,H,W,C]; rows need not sum to one exactly."""
        raise NotImplementedError

    def _state(self) -> Mapping[str, object]:
        """Return what a model folder holds: arrays, numbers, strings, records, and lists and dicts of these."""
        state = {n: v for n, v in vars(self).items() if n.endswith("_") and n[0] != "_" and n not in APART}
        return state | {"record_": self.record_.to_json()}

    def _restore(self, state: dict[str, object]) -> None:
        """Take on what `_state` gave; self has the same parameters and was never fitted."""
        state = {"pixel_scale_": Scale.BYTE.value} | state  # models of version 0.1 have none
        vars(self).update(state, record_=FitRecord.from_json(state["record_"]), pictures_={}, doubt_=Doubt())

    # --- what a user calls ---

    def fit(self, X: object, y: object = None, unlabelled: object = None, groups: object = None) -> Self:
        """Learn from images and labels, and return self.

        X: images of one size, as an ImageSet, an array or tensor as `sparring.load` takes it, or a list of paths,
        bytes, open files, PIL images or arrays. y: N labels, whole numbers or strings, -1 or "" where unlabelled; left
        out for an ImageSet, whose class names are learned. `unlabelled`: more images, fitted to the size of X. groups:
        N names or numbers, equal for images of one patient, slide or video, -1 or "" for an image on its own; where
        labels are held out to choose settings, images of a group are held out together. An ImageSet has its own.
        Raises DataError for anything else.
        """
        start = time.perf_counter(), time.process_time()
        images, scale = images_to_fit(X)
        labels, classes = _checked_labels(_names_of(X) if y is None else y, len(images))
        names = [str(name) for name in classes]
        if isinstance(X, ImageSet) and classes.dtype.kind == "i" and classes[-1] < len(X.classes):
            names = [str(X.classes[k]) for k in classes]
        grouped = _checked_groups(X, groups, len(images))
        if unlabelled is not None:
            more = images_like(unlabelled, images.shape[1:], scale)
            images = joined(images, more)
            labels = np.concatenate([labels, np.full(len(more), UNLABELLED)])
            if grouped is not None:
                grouped = np.concatenate([grouped, np.arange(len(grouped), len(labels))])
        self._reset()
        self.classes_, self.class_names_ = classes, names
        self.image_shape_, self.pixel_scale_ = tuple(images.shape[1:]), scale.value
        seen = size_words(seen_size(*images.shape[1:3]))
        self.record_ = FitRecord(int((labels >= 0).sum()), int((labels < 0).sum()), size=seen)
        self.pictures_: dict[str, np.ndarray] = {}
        self._groups = grouped
        try:
            self._fit(images, labels)
        except BaseException:  # Ctrl-C too: nothing half-made
            self._reset()
            raise
        finally:
            del self._groups
        for name, value in vars(self).items():  # a saved model comes back in this order, and rounds the same
            if isinstance(value, np.ndarray):
                setattr(self, name, np.ascontiguousarray(value))
        self.doubt_ = Doubt()
        seconds = {"fit": time.perf_counter() - start[0], "fit_cpu": time.process_time() - start[1]}
        self._note(
            seconds={**(self.record_.seconds or {}), **{name: round(value, 4) for name, value in seconds.items()}}
        )
        return self

    def predict_proba(self, X: object) -> np.ndarray:
        """Return probabilities float64 [N,K], columns as in `classes_`.

        X: as `fit` takes it, or a single image; images of any size and colour are fitted to those of `fit`, by the rule
        of files (images.FIT_RULE). Raises DataError for what is no image.
        """
        check_is_fitted(self, "classes_")
        proba = np.asarray(self._predict_proba(images_like(X, self.image_shape_, Scale(self.pixel_scale_))), np.float64)
        return proba / proba.sum(1, keepdims=True)

    def predict(self, X: object) -> np.ndarray:
        """Return the most probable class of each image [N], as in `classes_`; see `predict_proba`."""
        best = self.predict_proba(X).argmax(1)
        return self.classes_[best]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True
        return tags

    # --- what methods share ---

    def _note(self, **changes: Any) -> None:
        """Add fields to the record. Raises TypeError for a field that a FitRecord does not have."""
        self.record_ = replace(self.record_, **changes)

    def _reset(self) -> None:
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)

    def _seed(self) -> int:
        """Return the number that all randomness of one fit starts from."""
        if self.random_state is None:
            return int(np.random.SeedSequence().generate_state(1)[0])
        if isinstance(self.random_state, np.random.RandomState):  # noqa: NPY002 scikit-learn allows it
            return int(self.random_state.randint(2**31))
        return int(self.random_state)


def _names_of(X: object) -> np.ndarray:
    """Return the labels of an ImageSet as names [N], None where unlabelled."""
    if not isinstance(X, ImageSet):
        raise DataError("labels-missing", "fit got images without labels", fix="pass y, with -1 for unlabelled images")
    return np.array([*map(str, X.classes), None], object)[X.labels]  # a label of -1 takes the last


def _checked_groups(X: object, groups: object, images: int) -> np.ndarray | None:
    """Return int64 [N], equal for images of one group: of those that were given, or of an ImageSet; None where there
    are none. Raises DataError for another number of groups than images."""
    if groups is None:
        return X.clusters if isinstance(X, ImageSet) and X.groups is not None else None
    return components(group_names(groups, images, "groups"))


def _checked_labels(y: object, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Return codes int64 [N], -1 where unlabelled, and the classes [K]. Raises DataError."""
    encoded = encode_labels(y)
    if len(encoded.codes) != images:
        raise DataError("label-count", f"{images} images but {len(encoded.codes)} labels", fix="pass one per image")
    if len(encoded.values) < 2:
        found = f"only the class {encoded.names[0]!r}" if len(encoded.values) else "no labelled image"
        raise DataError("class-one", f"y holds {found}", fix="label images of at least two classes")
    return encoded.codes, encoded.values
