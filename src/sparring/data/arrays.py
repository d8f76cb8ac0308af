"""Sources that are arrays already: Python arrays, .npz files, scikit-learn's digits -> ImageSet.

Pixels may be uint8, bool, other whole numbers 0..255 or 0..65535, or floats 0..1, -1..1 or 0..255, where that can be
told from the values; where it cannot, nothing is guessed. Inputs are never changed.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..devices import check_memory
from ..errors import DataError, SparringError, suggestion
from .imageset import UNLABELLED, ImageSet, Notes
from .names import ordered

MIN_SIDE = 8
CHUNK = 64 << 20  # bytes worked on at a time

PARTS = ("train", "test", "val", "unlabelled")
SHAPES = "[N, H, W], [N, H, W, C] or [N, C, H, W] with C = 1, 3 or 4 and sides of at least 8"


def digits() -> ImageSet:
    """scikit-learn's digits: 1,797 grey images 8x8 of handwritten digits, 0..16 scaled to 0..255. No download."""
    from sklearn.datasets import load_digits

    data: Any = load_digits()
    images = np.round(data.images * (255 / 16)).astype(np.uint8)[..., None]
    count = len(images)
    return ImageSet(
        images=images,
        labels=data.target.astype(np.int64),
        classes=tuple(str(name) for name in data.target_names),
        origins=tuple(f"digits[{i}]" for i in range(count)),
        parts=np.full(count, "", "<U5"),
        name="digits",
        notes=Notes(source="digits", layout="scikit-learn's digits", modes={"L": count}, sizes={(8, 8): count}),
    )


def from_npz(path: Path, name: str) -> ImageSet:
    """Keys x_train y_train x_test y_test, or images labels; optional classes. Pickled members are refused."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            check_memory(sum(entry.file_size for entry in archive.zip.infolist()), str(path))
            found = {key: member(archive, key, path) for key in archive.files}
    except SparringError:
        raise
    except Exception as error:  # a damaged archive or header raises almost anything
        raise DataError(
            "bad-npz", f"cannot read {path}: {first_line(error)}", fix="write it again with numpy.savez"
        ) from None
    return from_dict(found, name, source=str(path))


def member(archive, key: str, path: Path) -> np.ndarray:
    try:
        return archive[key]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise DataError(
            "npz-pickle",
            f"{key} in {path} holds Python objects, which only pickle can read, and pickle can run code",
            fix="save plain arrays: numbers for images, numbers or strings for labels",
        ) from None


def first_line(error: Exception) -> str:
    """What an exception says, on one line and without a full stop."""
    return (str(error).strip() or type(error).__name__).partition("\n")[0].rstrip(".")


def from_dict(found: Mapping, name: str, *, source: str = "arrays") -> ImageSet:
    """Arrays by name: {"images", "labels"} or {"x_train", "y_train", "x_test", "y_test"}, and "classes" if wanted."""
    known = {str(key).lower().replace("unlabeled", "unlabelled"): key for key in found}
    pieces = [("images", "labels", "")] if "images" in known else []
    pieces += [(f"x_{part}", f"y_{part}", part) for part in PARTS if f"x_{part}" in known]
    if not pieces or (len(pieces) > 1 and pieces[0][0] == "images"):
        keys = ", ".join(map(str, found)) or "none"
        raise DataError(
            "npz-keys",
            f"{source} has the keys {keys}; looked for images, labels or x_train, y_train, x_test, y_test",
            fix="rename the arrays, for example numpy.savez(path, images=images, labels=labels)",
        )
    used = {key for x, y, _ in pieces for key in (x, y)} | {"classes"}
    ignored = {str(key): 1 for lower, key in known.items() if lower not in used}
    images = [(x, as_array(found[known[x]], x)) for x, _, _ in pieces]
    labels = [(y, found[known[y]] if y in known else None) for _, y, _ in pieces]
    return assembled(
        images,
        labels,
        ["" if part == "unlabelled" else part for _, _, part in pieces],
        classes=found[known["classes"]] if "classes" in known else None,
        name=name,
        notes=Notes(source=source, layout="arrays " + ", ".join(x for x, _, _ in pieces), ignored=ignored),
    )


def from_arrays(images, labels=None, *, name: str = "arrays", classes=None) -> ImageSet:
    """Images and labels (or None: all unlabelled) from Python."""
    return assembled(
        [("images", as_array(images, "images"))],
        [("labels", labels)],
        [""],
        classes=classes,
        name=name,
        notes=Notes(source="arrays", layout="arrays in memory"),
    )


def assembled(images, labels, parts, *, classes, name, notes) -> ImageSet:
    """One ImageSet from named arrays of images [(name, array)], labels [(name, array or None)] and part names."""
    converted: list[str] = []
    shaped = [(key, as_nhwc(array, key, converted)) for key, array in images]
    sizes = {array.shape[1:] for _, array in shaped}
    if len(sizes) > 1:
        shapes = ", ".join(f"{key} {array.shape[1:]}" for key, array in shaped)
        raise DataError("array-shapes", f"images of different shapes: {shapes}", fix="make all of one height and width")
    for (key, array), (label_key, given) in zip(shaped, labels, strict=True):
        if given is not None and len(given) != len(array):
            raise DataError(
                "array-lengths",
                f"{key} has {len(array)} images, {label_key} has {len(given)} labels",
                fix="give one label per image (-1 for unlabelled images)",
            )
    counts = [len(array) for _, array in shaped]
    pixels = to_uint8(shaped, converted)
    numbers, names, warnings = to_labels(labels, counts, classes)
    return ImageSet(
        images=pixels,
        labels=numbers,
        classes=names,
        origins=tuple(f"{key}[{i}]" for (key, _), count in zip(shaped, counts, strict=True) for i in range(count)),
        parts=np.repeat(np.array(parts, "<U5"), counts),
        name=name,
        notes=Notes(
            source=notes.source,
            layout=notes.layout,
            modes={"L" if pixels.shape[3] == 1 else "RGB": len(pixels)},
            sizes={pixels.shape[1:3]: len(pixels)},
            ignored=notes.ignored,
            converted=tuple(converted),
            warnings=tuple(warnings),
        ),
    )


def as_array(given, key: str) -> np.ndarray:
    """NumPy view of arrays, lists, and tensors on any device, gradients or not."""
    if hasattr(given, "detach"):
        given = given.detach().cpu().numpy()
    try:
        array = np.asarray(given)
    except ValueError:  # a ragged list
        array = np.empty(0, object)
    if array.dtype.kind not in "buif":
        raise DataError(
            "array-type",
            f"{key} holds {array.dtype} values, not numbers" + (" of one shape" if array.dtype == object else ""),
            fix="give one array of uint8 pixels, all images of one shape",
        )
    return array


def as_nhwc(array: np.ndarray, key: str, converted: list[str]) -> np.ndarray:
    """A view [N, H, W, C]. Sides are at least 8 and channels at most 4, so the order of the axes is never in doubt."""
    shape = array.shape
    if array.ndim == 3 and shape[2] >= MIN_SIDE:
        array = array[..., None]
    elif array.ndim == 4 and shape[3] not in (1, 3, 4) and shape[1] in (1, 3, 4):
        array = array.transpose(0, 2, 3, 1)
        converted.append(f"{key}: channels moved from the second to the last axis")
    if array.ndim != 4 or array.shape[3] not in (1, 3, 4) or min(array.shape[1:3]) < MIN_SIDE or not len(array):
        one = array.ndim == 3 and 1 <= shape[2] <= 4
        raise DataError(
            "array-shape",
            f"{key} has shape {shape}; accepted: {SHAPES}, and at least one image",
            fix="add an axis for a single image: images[None]" if one else "reshape or transpose the array",
        )
    return array


def to_uint8(shaped: list, converted: list[str]) -> np.ndarray:
    """uint8 [N, H, W, C] of all arrays, in chunks; no copy where one writable contiguous uint8 array comes in."""
    arrays = [array for _, array in shaped]
    scales = scale_of(shaped, converted)
    if any(array.shape[3] == 4 for array in arrays):
        converted.append("transparent pixels put on white")
    only = arrays[0]
    if len(arrays) == 1 and only.dtype == np.uint8 and only.shape[3] != 4:
        return only if only.flags.c_contiguous and only.flags.writeable else np.array(only, order="C")
    channels = min(arrays[0].shape[3], 3)
    total = sum(map(len, arrays))
    check_memory(total * int(np.prod(arrays[0].shape[1:3])) * channels, "the images")
    pixels = np.empty((total, *arrays[0].shape[1:3], channels), np.uint8)
    at = 0
    for array in arrays:
        step = max(1, CHUNK // max(1, array[0].size * 8))
        for start in range(0, len(array), step):
            piece = scales(array[start : start + step])
            pixels[at : at + len(piece)] = on_white(piece) if piece.shape[3] == 4 else piece
            at += len(piece)
    return pixels


def on_white(rgba: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W, 3] of uint8 [N, H, W, 4]: colour x alpha + white x (1 - alpha), rounded."""
    alpha = rgba[..., 3:].astype(np.uint32)
    return ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def scale_of(shaped: list, converted: list[str]):
    """The function that makes uint8 of every array's values; all arrays are scaled alike."""
    kinds = {array.dtype.kind + (str(array.dtype.itemsize) if array.dtype.kind == "u" else "") for _, array in shaped}
    if kinds == {"u1"}:
        return lambda piece: piece
    if kinds == {"b"}:
        converted.append("true and false became 255 and 0")
        return lambda piece: piece * np.uint8(255)
    low, high = value_range(shaped)
    whole = all(array.dtype.kind in "bui" for _, array in shaped)
    seen = f"{low:g}..{high:g}"
    if low >= 0 and 128 <= high <= 255:
        converted.append(f"values {seen} taken as 0..255")
        return lambda piece: np.rint(piece).astype(np.uint8)
    if not whole and low >= 0 and 0 < high <= 1:
        converted.append(f"values {seen} taken as 0..1")
        return lambda piece: np.rint(piece * 255.0).astype(np.uint8)
    if not whole and -1 <= low < 0 < high <= 1:
        converted.append(f"values {seen} taken as -1..1")
        return lambda piece: np.rint((piece + 1.0) * 127.5).astype(np.uint8)
    if whole and low >= 0 and 2**15 <= high < 2**16:
        converted.append(f"values {seen} taken as 16-bit: the high byte kept")
        return lambda piece: (piece >> 8).astype(np.uint8)
    keys = ", ".join(key for key, _ in shaped)
    raise DataError(
        "array-range",
        f"{keys} ({shaped[0][1].dtype}) holds values {seen}, and black and white cannot be told from that",
        fix=f"scale it to 0..255 yourself, for example (images * (255 / {max(high, 1):g})).astype('uint8')",
    )


def value_range(shaped: list) -> tuple[float, float]:
    """Smallest and largest value; refuses values that are not finite."""
    lows, highs = [], []
    for key, array in shaped:
        step = max(1, CHUNK // max(1, array[0].nbytes))
        bad, first = 0, None
        for start in range(0, len(array), step):
            piece = array[start : start + step]
            if array.dtype.kind == "f" and not (finite := np.isfinite(piece)).all():
                bad += int((~finite).sum())
                first = first or (start + int(np.argwhere(~finite)[0][0]), *np.argwhere(~finite)[0][1:].tolist())
                continue
            lows.append(float(piece.min()))
            highs.append(float(piece.max()))
        if first is not None:
            raise DataError(
                "array-nan",
                f"{key} holds {bad} values NaN or infinite, first at {first} (image, row, column, channel)",
                fix="replace them, or leave these images out",
            )
    return min(lows), max(highs)


def to_labels(labels: list, counts: list[int], classes) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    """int64 [N], class names and warnings of labels that are whole numbers or strings, -1 or "" = unlabelled."""
    given = [(key, label_array(array, key)) for key, array in labels if array is not None]
    if {array.dtype.kind for _, array in given} >= {"U", "i"}:
        raise DataError("label-type", "some labels are numbers, some are strings", fix="use one kind in all parts")
    text = bool(given) and given[0][1].dtype.kind == "U"
    blank, kind = ("", np.str_) if text else (UNLABELLED, np.int64)
    everything = np.concatenate(
        [np.full(n, blank, kind) if array is None else label_array(array, key) for (key, array), n in
         zip(labels, counts, strict=True)]
    )  # fmt: skip
    used = [value for value in np.unique(everything).tolist() if value != blank]
    if not text and used and used[0] < 0:
        raise DataError(
            "label-negative", f"label {used[0]}: below -1", fix="use 0, 1, 2 ... for classes and -1 for unlabelled"
        )
    names = class_names(classes, used, text)
    if text:
        used = ordered(used) if classes is None else list(names)
        lookup = {value: number for number, value in enumerate(used)}
        if strange := [v for v in np.unique(everything).tolist() if v != blank and v not in lookup]:
            raise unknown_class(strange[0], names)
        numbers = np.array([lookup.get(value, UNLABELLED) for value in everything.tolist()], np.int64)
        return numbers, names, []
    if classes is not None or used == list(range(len(used))):
        return everything.astype(np.int64), names, []
    numbers = np.searchsorted(np.array(used, np.int64), everything).astype(np.int64)
    numbers[everything == UNLABELLED] = UNLABELLED
    return numbers, names, [f"labels {used[0]}..{used[-1]} numbered anew 0..{len(used) - 1}"]


def unknown_class(value, names) -> DataError:
    return DataError(
        "label-unknown",
        f"label {value!r} is not among the {len(names)} classes{suggestion(value, names)}",
        fix="add it to classes, or correct the label",
    )


def class_names(classes, used: list, text: bool) -> tuple[str, ...]:
    if classes is None:
        return tuple(ordered(used)) if text else tuple(str(value) for value in used)
    names = tuple(unicodedata.normalize("NFC", str(c)) for c in np.asarray(classes).ravel().tolist())
    if len(set(names)) < len(names):
        raise DataError("classes-repeated", "a class name comes twice in classes", fix="give each class its own name")
    if not text and used and used[-1] >= len(names):
        raise unknown_class(used[-1], names)
    return names


def label_array(given: Sequence | np.ndarray, key: str) -> np.ndarray:
    """int64 or str [N]."""
    if hasattr(given, "detach"):
        given = given.detach().cpu().numpy()  # type: ignore[union-attr]
    array = np.asarray(given)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(
            "label-shape",
            f"{key} has shape {array.shape}; accepted: [N], one label per image",
            fix="for one-hot rows pass labels.argmax(1)",
        )
    if array.dtype.kind == "b" or (array.dtype.kind in "ui" and array.dtype.itemsize <= 8):
        if array.dtype.kind == "u" and array.size and int(array.max()) >= 2**63:
            raise DataError("label-type", f"{key} holds {array.max()}", fix="use 0, 1, 2 ... for classes")
        return array.astype(np.int64)
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    if array.dtype == object and all(isinstance(value, str) for value in array.tolist()):
        array = array.astype(np.str_)
    if array.dtype.kind == "U":
        return np.char.strip(array) if array.size else array
    raise DataError(
        "label-type",
        f"{key} holds {array.dtype} values; accepted: whole numbers or strings",
        fix="use 0, 1, 2 ... or names for classes, and -1 or an empty string for unlabelled images",
    )
