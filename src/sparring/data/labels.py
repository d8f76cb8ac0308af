"""Labels of any kind -> numbers. One rule for every source of images and for `fit` of a classifier.

A label is a whole number (also True, False and 3.0) or a string; blanks around a string do not count. None, NaN, an
empty string, -1 and "-1" mean that an image is unlabelled. A folder's name is a class, whatever it says.
"""

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DataError, cut, suggestion
from .names import ordered

UNLABELLED = -1
LONGEST_NAME = 255  # characters of a class or a group: as many as a folder's name can have
MOST_CLASSES = 1 << 16
BLANK_LABELS = ("", "-1", "<NA>")  # strings that mean unlabelled; the last is what pandas calls a missing one


@dataclass(frozen=True, eq=False)
class EncodedLabels:
    """codes   int64 [N]: where each label stands in `values`, -1 = unlabelled
    values  [K]: the distinct labels in rising order; int64, bool or str
    """

    codes: np.ndarray
    values: np.ndarray

    @property
    def text(self) -> bool:
        """Whether the labels are strings."""
        return self.values.dtype.kind == "U"

    @property
    def names(self) -> list[str]:
        """The distinct labels as strings; of False and True "0" and "1"."""
        return [str(value if self.text else int(value)) for value in self.values.tolist()]


def on_cpu(given: object) -> object:
    """Return a tensor of any device as a NumPy array, anything else as it is."""
    detach = getattr(given, "detach", None)
    return given if detach is None else detach().cpu().numpy()


def encode_labels(given: object, key: str = "y") -> EncodedLabels:
    """Return the codes and the distinct values of N labels: an array, a list or a tensor, [N] or [N, 1].

    Raises DataError, with `key` as the name of the labels, for another shape, for values that are neither whole numbers
    nor strings, for numbers below -1, and for names that are too long or too many.
    """
    labels = _one_column(given, key)
    if labels.dtype.kind in "OUST":
        items = [_stripped(label) for label in labels.tolist()]
        labelled = np.array([label is not None for label in items], bool)
        known = [str(label) for label in items if label is not None]
        if not known or any(isinstance(label, str) for label in items):
            names = checked_names(sorted(set(known)), key)
            place = {name: code for code, name in enumerate(names)}
            # an array of all labels would give each the room of the longest
            return _encoded(np.array([place[name] for name in known], np.int64), labelled, np.array(names, np.str_))
        labels = np.array([UNLABELLED if label is None else label for label in items])
    labels = _whole_numbers(labels, key)
    labelled = labels != UNLABELLED if labels.dtype.kind == "i" else np.ones(len(labels), bool)
    values, codes = np.unique(labels[labelled], return_inverse=True)
    return _encoded(codes, labelled, values)


def checked_names(names: Sequence[str], where: str) -> Sequence[str]:
    """Return names of classes. Raises DataError for a name that is too long, and for too many."""
    refuse_long(names, f"class in {where}")
    if len(names) > MOST_CLASSES:
        what = f"{where} has {len(names):,} classes, and at most {MOST_CLASSES:,} are taken"
        raise DataError("classes-many", what, fix="name the column that holds the classes, or leave the labels out")
    return names


def refuse_long(names: Iterable[str], what: str) -> None:
    """Raise DataError for a name that is too long to be one; `what` it names, such as "group"."""
    if long := next((name for name in names if len(name) > LONGEST_NAME), None):
        said = f"a {what} has a name of more than {LONGEST_NAME} characters: {cut(long, 40)!r}"
        raise DataError("name-long", said, fix="shorten it, or name the column that is meant")


def _encoded(codes: np.ndarray, labelled: np.ndarray, values: np.ndarray) -> EncodedLabels:
    every = np.full(len(labelled), UNLABELLED, np.int64)
    every[labelled] = codes
    return EncodedLabels(every, values)


def _one_column(given: object, key: str) -> np.ndarray:
    given = on_cpu(given)
    try:
        texts = isinstance(given, list | tuple) and any(one is None or isinstance(one, str | bytes) for one in given)
        labels = np.asarray(given, object if texts else None)
    except ValueError:  # a ragged list
        labels = np.empty((0, 0), object)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        fix = "for one-hot rows pass labels.argmax(1)"
        raise DataError("label-shape", f"{key} has shape {labels.shape}; accepted: [N], one label per image", fix=fix)
    return labels


def _stripped(label: object) -> object:
    """Return a label without blanks around it, None for what means unlabelled."""
    label = label.decode("utf-8", "replace") if isinstance(label, bytes) else label
    label = label.rstrip("\0").strip() if isinstance(label, str) else label
    missing = label is None or str(label) in BLANK_LABELS or (isinstance(label, float) and math.isnan(label))
    return None if missing else label


def _whole_numbers(labels: np.ndarray, key: str) -> np.ndarray:
    """Return bool or int64 labels, or raise DataError."""
    kind = labels.dtype.kind
    if kind == "f":
        labels = np.where(np.isnan(labels), UNLABELLED, labels)
    whole = kind in "biu" or (kind == "f" and np.isfinite(labels).all() and (labels == np.round(labels)).all())
    if not whole:
        fix = "use 0, 1, 2 ... or names for classes, and -1 or an empty string for unlabelled images"
        raise DataError("label-type", f"{key} holds {labels.dtype} values; accepted: whole numbers or strings", fix=fix)
    if labels.size and kind in "uf" and labels.max() >= 2**63:
        raise DataError("label-type", f"{key} holds {labels.max()}", fix="use 0, 1, 2 ... for classes")
    if labels.size and kind != "b" and labels.min() < UNLABELLED:
        fix = "use 0, 1, 2 ... for classes and -1 for unlabelled images"
        raise DataError("label-negative", f"label {labels.min()}: below -1", fix=fix)
    return labels if kind == "b" else labels.astype(np.int64)


def number_labels(
    given: Sequence[tuple[str, object]], counts: Sequence[int], classes: object = None
) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    """Return labels int64 [N] of several parts together, the class names, and warnings.

    `given`: (name, labels or None) of each part, `counts`: its number of images. `classes`: names; numbers are then
    places among them. Without, strings are numbered in their natural order and numbers in theirs. Raises DataError as
    `encode_labels` does, for another number of labels than of images, for numbers in one part and strings in another,
    and for a label that is not among `classes`.
    """
    none = np.empty(0, np.int64)
    found = [
        EncodedLabels(np.full(count, UNLABELLED, np.int64), none) if labels is None else encode_labels(labels, key)
        for (key, labels), count in zip(given, counts, strict=True)
    ]
    for (key, _), part, count in zip(given, found, counts, strict=True):
        if len(part.codes) != count:
            fix = "give one label per image (-1 for unlabelled images)"
            raise DataError("label-count", f"{key} has {len(part.codes)} labels for {count} images", fix=fix)
    filled = [part for part in found if len(part.values)]
    if len({part.text for part in filled}) > 1:
        raise DataError("label-type", "some labels are numbers, some are strings", fix="use one kind in all parts")
    values = np.unique(np.concatenate([part.values for part in filled])) if filled else none
    # the last row of the table is what a code of -1 takes
    rows = [np.searchsorted(values, part.values) if len(part.values) else none for part in found]
    codes = [np.append(row, UNLABELLED)[part.codes] for row, part in zip(rows, found, strict=True)]
    every = EncodedLabels(np.concatenate(codes), values)
    names = tuple(ordered(every.names)) if classes is None else _given_classes(classes)
    if every.text or classes is None:
        place = {name: number for number, name in enumerate(names)}
        numbers = [place.get(name, UNLABELLED) for name in every.names]
    else:
        numbers = [int(value) if value < len(names) else UNLABELLED for value in values.tolist()]
    for value, number in zip(values.tolist(), numbers, strict=True):
        if number == UNLABELLED:
            raise DataError(
                "label-unknown",
                f"label {value!r} is not among the {len(names)} classes{suggestion(value, names)}",
                fix="add it to classes, or correct the label",
            )
    renumbered = classes is None and not every.text and every.names != [str(number) for number in range(len(names))]
    warnings = [f"labels {names[0]}..{names[-1]} numbered anew 0..{len(names) - 1}"] if renumbered else []
    return np.append(np.array(numbers, np.int64), UNLABELLED)[every.codes], names, warnings


def _given_classes(classes: object) -> tuple[str, ...]:
    given = np.asarray(classes, object if isinstance(classes, list | tuple) else None).ravel().tolist()
    names = tuple(checked_names([unicodedata.normalize("NFC", str(name)) for name in given], "classes"))
    if len(set(names)) < len(names):
        raise DataError("classes-repeated", "a class name comes twice in classes", fix="give each class its own name")
    return names
