"""What all few-label classifiers share: what `X` and `y` may be, class names, and probabilities from one place.

A method is a dataclass that derives from `Classifier` and has two methods of its own, `learn` and `judge`; both see
nothing but checked arrays. Conventions are scikit-learn's: `__init__` only stores, `fit` learns, sets attributes with a
trailing underscore and returns self, `-1` means unlabelled.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from ..errors import DataError

UNLABELLED = -1
SMALLEST_SIDE = 4  # pixels


@dataclass(eq=False, repr=False, kw_only=True)
class Classifier(ClassifierMixin, BaseEstimator):
    """Base of the estimators in this folder.

    After `fit`: `classes_` [K] (int or str), `class_names_` (K strings), `image_shape_` (H, W, C), `record_` (what a
    report needs, JSON-able) and `pictures_` ({name: uint8 [N,H,W,C]}).
    """

    random_state: int | np.random.RandomState | None = 0  # None draws a new seed at every fit

    # What a method writes.

    def learn(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Learns from uint8 images [N,H,W,C] and labels int64 [N] in 0..K-1 or -1; every class has a labelled image."""
        raise NotImplementedError

    def judge(self, images: np.ndarray) -> np.ndarray:
        """Probabilities [N,K] of uint8 images [N,H,W,C]; rows need not sum to one exactly."""
        raise NotImplementedError

    def state_(self) -> dict[str, Any]:
        """What a model folder holds: arrays, numbers, strings, parts, and lists and dicts of these. Networks give
        their recipe (a part) and their tensors by name, and rebuild themselves in `restore_`."""
        return {n: v for n, v in vars(self).items() if n.endswith("_") and not n.startswith("_") and n != "pictures_"}

    def restore_(self, state: dict[str, Any]) -> None:
        """The inverse of `state_`, on an estimator with the same parameters that was never fitted."""
        vars(self).update(state)

    # What a user calls.

    def fit(self, X, y=None, unlabelled=None) -> Self:
        """Learns from images and labels.

        X: uint8 [N,H,W] or [N,H,W,C] with C 1 or 3, an ImageSet, or a list of paths. y: N labels, int or str, -1 where
        unlabelled; left out for an ImageSet that has its own, which then gives class names. `unlabelled`: more images
        without labels. Raises DataError for anything else.
        """
        start = time.perf_counter(), time.process_time()
        images = as_images(X)
        labels, classes = as_labels(own_labels(X) if y is None else y, len(images))
        names = names_of(X, classes)
        if unlabelled is not None:
            more = as_images(unlabelled, shape=images.shape[1:])
            images = np.concatenate([images, more])
            labels = np.concatenate([labels, np.full(len(more), UNLABELLED)])
        self.forget()
        self.classes_, self.class_names_, self.image_shape_ = classes, names, tuple(images.shape[1:])
        self.record_: dict[str, Any] = {"labels": int((labels >= 0).sum()), "unlabelled": int((labels < 0).sum())}
        self.pictures_: dict[str, np.ndarray] = {}
        try:
            self.learn(images, labels)
        except BaseException:  # Ctrl-C too: nothing half-made
            self.forget()
            raise
        for name, value in vars(self).items():  # a saved model comes back in this order, and rounds the same
            if isinstance(value, np.ndarray):
                setattr(self, name, np.ascontiguousarray(value))
        seconds = {"fit": time.perf_counter() - start[0], "fit_cpu": time.process_time() - start[1]}
        seconds = {name: round(value, 4) for name, value in seconds.items()}
        self.record_["seconds"] = {**self.record_.get("seconds", {}), **seconds}
        return self

    def forget(self) -> None:
        """Removes what an earlier fit learned."""
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)

    def predict_proba(self, X) -> np.ndarray:
        """Probabilities float64 [N,K], columns as in `classes_`. Raises DataError for images of another shape."""
        check_is_fitted(self, "classes_")
        images = as_images(X, shape=self.image_shape_)
        proba = np.asarray(self.judge(images), np.float64)
        return proba / proba.sum(1, keepdims=True)

    def predict(self, X) -> np.ndarray:
        """The most probable class of each image, as in `classes_`."""
        best = self.predict_proba(X).argmax(1)
        return self.classes_[best]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True
        return tags

    def seed(self) -> int:
        """The number that all randomness of one fit starts from."""
        if self.random_state is None:
            return int(np.random.SeedSequence().generate_state(1)[0])
        if isinstance(self.random_state, np.random.RandomState):  # noqa: NPY002 scikit-learn allows it
            return int(self.random_state.randint(2**31))
        return int(self.random_state)


def own_labels(X) -> np.ndarray:
    """The labels of an ImageSet, as names."""
    if not is_image_set(X):
        raise DataError("labels-missing", "fit got images without labels", fix="pass y, with -1 for unlabelled images")
    names = np.array([*map(str, X.classes), None], object)  # labels of -1 take the last
    return names[X.labels]


def names_of(X, classes: np.ndarray) -> list[str]:
    """Class names: an ImageSet's where classes are its numbers, else the classes themselves."""
    if is_image_set(X) and classes.dtype.kind in "iu" and 0 <= classes[0] <= classes[-1] < len(X.classes):
        return [str(X.classes[k]) for k in classes]
    return [str(k) for k in classes]


def is_image_set(X) -> bool:
    return hasattr(X, "images") and hasattr(X, "labels") and hasattr(X, "classes")


def as_images(X, *, shape: Sequence[int] | None = None) -> np.ndarray:
    """uint8 [N,H,W,C] from whatever a user calls images; files are fitted to `shape` (H, W, C), arrays must have it."""
    if is_image_set(X):
        X = X.images
    if isinstance(X, str | Path):
        X = [X]
    if isinstance(X, list | tuple) and X and all(isinstance(item, str | Path) for item in X):
        images = from_files(X, shape)
    else:
        images = from_array(X)
    if len(images) == 0:
        raise DataError("data-empty", "no images: the array is empty", fix="pass at least one image")
    if min(images.shape[1:3]) < SMALLEST_SIDE:
        raise DataError(
            "image-small",
            f"images are {size_of(images.shape[1:])}",
            fix=f"pass images of at least {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels",
        )
    if shape is not None and tuple(images.shape[1:]) != tuple(shape):
        raise DataError(
            "image-shape",
            f"images are {size_of(images.shape[1:])}, the classifier learned from {size_of(shape)}",
            fix="pass images of the size and colour it learned from, or paths of files, which are fitted to it",
        )
    return np.require(images, requirements=["C", "W"])  # torch warns about read-only memory, as in joblib's workers


def size_of(shape: Sequence[int]) -> str:
    height, width, channels = shape
    return f"{height} x {width} {'grey' if channels == 1 else 'colour'}"


def from_array(X) -> np.ndarray:
    try:
        images = np.asarray(X)
    except ValueError:  # arrays of several shapes
        raise DataError("image-shape", "images have several shapes", fix="resize them to one size first") from None
    if images.dtype != np.uint8:
        whole = images.dtype.kind in "iu" and images.size and images.min() >= 0 and images.max() <= 255
        if not whole:
            raise DataError(
                "image-dtype",
                f"images are {images.dtype}{' and hold NaN' if has_nan(images) else ''}, not uint8 from 0 to 255",
                fix="convert them first, for example (255 * images).round().astype('uint8') if they run from 0 to 1",
            )
        images = images.astype(np.uint8)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        raise DataError(
            "image-shape",
            f"images are an array of shape {np.shape(X)}, not [N,H,W], [N,H,W,1] or [N,H,W,3]",
            fix="reshape the array, for example images.reshape(-1, height, width)",
        )
    return images


def has_nan(images: np.ndarray) -> bool:
    return images.dtype.kind == "f" and bool(np.isnan(images).any())


def from_files(paths: Sequence[str | Path], shape: Sequence[int] | None) -> np.ndarray:
    """Files as one array; without a shape they must be of one size."""
    from ..images import load_image

    if shape is None:
        images = [load_image(path) for path in paths]
        channels = max(image.shape[2] for image in images)
        return from_array([np.broadcast_to(image, (*image.shape[:2], channels)) for image in images])
    return np.stack([load_image(path, size=(shape[0], shape[1]), channels=shape[2]) for path in paths])


def as_labels(y, images: int) -> tuple[np.ndarray, np.ndarray]:
    """(codes int64 [N] in 0..K-1 or -1, classes [K]) from labels int, bool or str; None, "" and "-1" are unlabelled."""
    y = np.asarray(y, object if isinstance(y, list | tuple) and any(label is None for label in y) else None)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise DataError("label-shape", f"y has shape {y.shape}", fix="pass one label per image")
    if len(y) != images:
        raise DataError("label-count", f"{images} images but {len(y)} labels", fix="pass one label per image")
    y, unlabelled = as_names_or_numbers(y)
    classes, codes = np.unique(y[~unlabelled], return_inverse=True)
    if len(classes) < 2:
        found = f"only the class {str(classes[0])!r}" if len(classes) else "no labelled image"
        raise DataError("class-one", f"y holds {found}", fix="label images of at least two classes")
    labels = np.full(len(y), UNLABELLED, np.int64)
    labels[~unlabelled] = codes
    return labels, classes


def as_names_or_numbers(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(labels as one kind, True where unlabelled)."""
    if y.dtype.kind in "OUST":
        unlabelled = np.array([label is None or str(label) in ("", "-1") for label in y], bool)
        if any(isinstance(label, str) for label in y[~unlabelled]):
            return np.array([str(label) for label in y]), unlabelled
        y = np.array([UNLABELLED if hidden else label for label, hidden in zip(y, unlabelled, strict=True)])
    if y.dtype.kind == "f" and np.isfinite(y).all() and (y == np.round(y)).all():
        y = y.astype(np.int64)
    if y.dtype.kind == "b":
        return y, np.zeros(len(y), bool)
    if y.dtype.kind not in "iu":
        raise DataError("label-kind", f"labels are {y.dtype}", fix="pass whole numbers or strings, -1 where unlabelled")
    if y.dtype.kind == "i" and (y < UNLABELLED).any():
        raise DataError("label-negative", f"a label is {y.min()}", fix="number classes from 0, -1 means unlabelled")
    return y, y == UNLABELLED if y.dtype.kind == "i" else np.zeros(len(y), bool)
