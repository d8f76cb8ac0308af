"""Arrays of any kind -> uint8 images. One rule for every source that is arrays, and for `fit` of a classifier.

Pixels may be uint8, bool, other whole numbers 0..255 or 0..65535, or floats 0..1, -1..1 or 0..255, where the values
show which. Where they do not, nothing is guessed. Inputs are never changed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..devices import check_memory
from ..errors import DataError, SparringError
from ..images import MIN_SIDE, as_pillow, chunk_slices, is_source, load_image, on_white
from .formats import LoadOptions
from .groups import FOLDERS, NONE, column_of, group_names
from .imageset import ImageSet
from .labels import number_labels, on_cpu
from .names import PARTS
from .notes import Notes
from .spellings import PART_WORDS, divided, part_of, pool_beginning, words_of
from .storage import room_for

ARRAY_SHAPES = f"[N, H, W], [N, H, W, C] or [N, C, H, W] with C = 1, 3 or 4 and sides of at least {MIN_SIDE}"


LARGE, MOST_RATIO = 1 << 27, 20  # bytes of all arrays of an .npz, and times its size, that it may unpack to
UNLABELLED_PART = "unlabelled"  # of arrays: images that come without labels
POSITIONAL = {"arr_0": "images", "arr_1": "labels"}  # what numpy.savez calls arrays that are given no names
ARRAY_WORDS = {
    "images": frozenset("x image images img imgs data picture pictures pixels".split()),
    "labels": frozenset("y label labels target targets".split()),
    "classes": frozenset("classes classnames".split()),
}
PART_KEYS = frozenset().union(*PART_WORDS.values())


class Scale(Enum):
    """Which values are black and white."""

    BYTE = "0..255"
    BOOL = "false and true"
    UNIT = "0..1"
    SIGNED = "-1..1"
    WORD = "16-bit: the high byte kept"


TO_UINT8: dict[Scale, Callable[[np.ndarray], np.ndarray]] = {
    Scale.BYTE: lambda values: values if values.dtype == np.uint8 else np.rint(values).astype(np.uint8),
    Scale.BOOL: lambda values: values * np.uint8(255),
    Scale.UNIT: lambda values: np.rint(values * 255.0).astype(np.uint8),
    Scale.SIGNED: lambda values: np.rint((values + 1.0) * 127.5).astype(np.uint8),
    Scale.WORD: lambda values: (values >> 8).astype(np.uint8),
}


@dataclass(frozen=True)
class ArrayMeaning:
    """kind  what an array holds: "images", "labels" or "classes" (their names)
    part  of the data set: "train", "test", "val", "unlabelled", "" where its name says nothing
    """

    kind: str
    part: str = ""


@dataclass(frozen=True, eq=False)
class Pixels:
    """images     uint8 [N, H, W, C], C = 1 or 3, contiguous and writeable
    scale      how the values were read
    converted  what was done to them, in words
    """

    images: np.ndarray
    scale: Scale
    converted: tuple[str, ...]


def as_pixels(given: object, key: str = "images", *, scale: Scale | None = None) -> Pixels:
    """Return uint8 images of one array, list or tensor: [N, H, W], [N, H, W, C] or [N, C, H, W] with C = 1, 3 or 4.

    A writeable contiguous uint8 array is not copied. `scale`: that of images seen before, such as those a model was
    fitted to; it decides where these values alone do not. Raises DataError, with `key` as the name of the array.
    """
    return _joined_pixels([(key, given)], scale)


def as_picture(
    given: object, *, size: tuple[int, int] | None = None, channels: int | None = None, scale: Scale | None = None
) -> np.ndarray:
    """Return one image uint8 [H, W, C] of a path, bytes, a file object, a PIL image or an array.

    An array is [H, W], [H, W, C] or [C, H, W]; see `as_pixels` for its values and `scale`. `size` (height, width) and
    `channels` fit it as files are fitted. Raises DataError.
    """
    if not is_source(given):
        array = as_array(given, "the image")[None]
        given = as_pillow(as_pixels(array, "the image", scale=scale).images[0])
    return load_image(given, size=size, channels=channels)


def as_array(given: object, key: str) -> np.ndarray:
    """Return numbers as a NumPy view of arrays, lists, and tensors on any device, with or without gradients."""
    try:
        array = np.asarray(on_cpu(given))
    except ValueError:  # a ragged list
        array = np.empty(0, object)
    if array.dtype.kind not in "buif":
        raise DataError(
            "array-type",
            f"{key} holds {array.dtype} values, not numbers" + (" of one shape" if array.dtype == object else ""),
            fix="give one array of uint8 pixels, all images of one shape",
        )
    return array


def _joined_pixels(given: Sequence[tuple[str, object]], scale: Scale | None = None) -> Pixels:
    """Return the images of several arrays (name, array) of one shape, all read by one scale."""
    converted: list[str] = []
    arrays = [(key, _as_nhwc(as_array(array, key), key, converted)) for key, array in given]
    if len({array.shape[1:] for _, array in arrays}) > 1:
        shapes = ", ".join(f"{key} {array.shape[1:]}" for key, array in arrays)
        raise DataError("array-shapes", f"images of different shapes: {shapes}", fix="make all of one height and width")
    scale, words = _choose_scale(arrays, scale)
    converted += words
    height, width, channels = arrays[0][1].shape[1:]
    if channels == 4:
        converted.append("transparent pixels put on white")
    only = arrays[0][1]
    if len(arrays) == 1 and only.dtype == np.uint8 and channels != 4:
        images = only if only.flags.c_contiguous and only.flags.writeable else np.array(only, order="C")
        return Pixels(images, scale, tuple(converted))
    total = sum(len(array) for _, array in arrays)
    images = room_for(total, (height, width, min(channels, 3)))
    done = 0
    for _, array in arrays:
        for chunk in chunk_slices(array):
            values = TO_UINT8[scale](array[chunk])
            images[done : done + len(values)] = on_white(values) if channels == 4 else values
            done += len(values)
    return Pixels(images, scale, tuple(converted))


def _as_nhwc(array: np.ndarray, key: str, converted: list[str]) -> np.ndarray:
    """Return a view [N, H, W, C]. Sides are at least 8 and channels at most 4: the order of axes is never in doubt."""
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
            f"{key} has shape {shape}; accepted: {ARRAY_SHAPES}, and at least one image",
            fix="add an axis for a single image: images[None]" if one else "reshape or transpose the array",
        )
    return array


def _choose_scale(arrays: Sequence[tuple[str, np.ndarray]], before: Scale | None) -> tuple[Scale, list[str]]:
    """Return the scale of all these arrays, and what to say of it. Raises DataError where the values do not show it."""
    dtypes = {array.dtype for _, array in arrays}
    if dtypes == {np.dtype(np.uint8)}:
        return Scale.BYTE, []
    if dtypes == {np.dtype(bool)}:
        return Scale.BOOL, ["true and false became 255 and 0"]
    low, high = _value_range(arrays)
    whole = all(dtype.kind in "bui" for dtype in dtypes)
    possible = {
        Scale.BYTE: low >= 0 and high <= 255,
        Scale.UNIT: not whole and low >= 0 and high <= 1,
        Scale.SIGNED: not whole and low >= -1 and high <= 1,
        Scale.WORD: whole and low >= 0 and high < 2**16,
    }
    shown = {Scale.BYTE: high >= 128, Scale.UNIT: high > 0, Scale.SIGNED: low < 0 < high, Scale.WORD: high >= 2**15}
    found = next((scale for scale, fits in possible.items() if fits and shown[scale]), None)
    if before is not None and possible.get(before) and (found is None or before in (Scale.UNIT, Scale.SIGNED)):
        found = before
    if found is not None:
        return found, [f"values {low:g}..{high:g} taken as {found.value}"]
    keys = ", ".join(key for key, _ in arrays)
    raise DataError(
        "array-range",
        f"{keys} ({arrays[0][1].dtype}) holds values {low:g}..{high:g}, and black and white cannot be told from that",
        fix=f"scale it to 0..255 yourself, for example (images * (255 / {max(high, 1):g})).astype('uint8')",
    )


def _value_range(arrays: Sequence[tuple[str, np.ndarray]]) -> tuple[float, float]:
    """Return the smallest and largest value; raise DataError for values that are not finite."""
    lows, highs = [], []
    for key, array in arrays:
        bad, first = 0, None
        for chunk in chunk_slices(array):
            values = array[chunk]
            if array.dtype.kind == "f" and not (finite := np.isfinite(values)).all():
                bad += int((~finite).sum())
                image, *place = np.argwhere(~finite)[0].tolist()
                first = first or (chunk.start + image, *place)
                continue
            lows.append(float(values.min()))
            highs.append(float(values.max()))
        if first is not None:
            raise DataError(
                "array-nan",
                f"{key} holds {bad} values NaN or infinite, first at {first} (image, row, column, channel)",
                fix="replace them, or leave these images out",
            )
    return min(lows), max(highs)


# --- sources that are arrays -----------------------------------------------------------------------------------------


def digits() -> ImageSet:
    """Return scikit-learn's digits: 1,797 grey images 8x8 of handwritten digits, 0..16 scaled to 0..255."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = np.round(pixels.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    notes = Notes(source="digits", layout="scikit-learn's digits")
    return _assembled([_Piece("digits", images, labels=labels)], None, "digits", notes)


def from_arrays(images: object, labels: object = None) -> ImageSet:
    """Return images and labels (None: all unlabelled) that are in memory as an ImageSet."""
    notes = Notes(source="arrays", layout="arrays in memory")
    return _assembled([_Piece("images", images, labels=labels)], None, "arrays", notes)


def from_dict(
    found: Mapping[str, object], name: str = "arrays", *, source: str = "arrays", group: str | None = None
) -> ImageSet:
    """Return arrays by name as an ImageSet: {"images", "labels"} or {"x_train", "y_train", "x_test", "y_test"}, and
    "classes" if there are names. `group`: the array of groups, "patient" or "patient_train", "patient_test".

    Other usual names are understood, such as train_images, train_labels, val_images (see `array_meaning`).
    """
    meanings = {key: array_meaning(str(key)) for key in found}
    if not any(meaning and meaning.kind == "images" for meaning in meanings.values()) and set(found) <= set(POSITIONAL):
        meanings = {key: ArrayMeaning(POSITIONAL[key]) for key in found}
    keys = {meaning: [key for key in found if meanings[key] == meaning] for meaning in meanings.values() if meaning}
    parts = [part for part in ("", *PARTS, UNLABELLED_PART) if ArrayMeaning("images", part) in keys]
    if not parts or any(len(several) > 1 for several in keys.values()) or ("" in parts and len(parts) > 1):
        given = ", ".join(list(map(str, found))[:12]) or "none"
        raise DataError(
            "npz-keys",
            f"{source} has the keys {given}{' ...' * (len(found) > 12)}; looked for images, labels or x_train, "
            "y_train, x_test, y_test",
            fix="rename the arrays, for example numpy.savez(path, images=images, labels=labels)",
        )
    pieces, used = [], set[str]()
    for part in parts:
        x, y = (keys.get(ArrayMeaning(kind, part), [None])[0] for kind in ("images", "labels"))
        used |= {key for key in (x, y) if key is not None}
        labels = None if y is None else found[y]
        pieces.append(_Piece(str(x), found[x or ""], str(y), labels, part if part in PARTS else ""))
    names = keys.get(ArrayMeaning("classes"), [None])[0]
    groups = None
    if group not in (None, NONE, FOLDERS):
        groups, more = _groups_of(pieces, found, group, source)
        used |= more
    notes = Notes(
        source=source,
        layout="arrays " + ", ".join(piece.key for piece in pieces),
        ignored={str(key): 1 for key in found if key not in used and key != names},
    )
    return replace(_assembled(pieces, None if names is None else found[names], name, notes), groups=groups)


def array_meaning(key: str) -> ArrayMeaning | None:
    """Return what an array of this name holds: X_train, train_images, images_train, trainX; None where that is open."""
    words = [piece for word in words_of(key) for piece in ((word[0], word[1:]) if word[1:] in PART_KEYS else (word,))]
    words = [piece for word in words for piece in divided(word)]
    pool = pool_beginning(key)
    kinds = [kind for kind, known in ARRAY_WORDS.items() if known & set(words)]
    if pool and kinds[:1] == ["images"]:
        return ArrayMeaning("images", UNLABELLED_PART)
    rest = [word for word in words if not any(word in known for known in ARRAY_WORDS.values())]
    part = part_of(" ".join(rest)) if rest else ""
    if pool or not kinds or (rest and not part):
        return None
    return ArrayMeaning(kinds[0], part)


def read_npy(path: Path, options: LoadOptions) -> ImageSet:
    """Return the images of an .npy file, with the labels that lie beside it: y_train.npy beside x_train.npy."""
    meaning = array_meaning(path.stem) or ArrayMeaning("images")
    wanted = replace(meaning, kind="labels")
    beside = [file for file in sorted(path.parent.glob("*.npy")) if array_meaning(file.stem) == wanted]
    beside = [] if options.unlabelled or meaning.kind != "images" else beside
    labels = _one_array(beside[0]) if len(beside) == 1 else None
    words = [f"labels from {beside[0].name}, which lies beside it"] if len(beside) == 1 else []
    if len(beside) > 1:
        words = [f"several files could hold the labels: {', '.join(file.name for file in beside)}; none was taken"]
    notes = Notes(source=str(path), layout="one array", warnings=tuple(words))
    piece = _Piece(path.name, _one_array(path), beside[0].name if beside else "labels", labels)
    return _assembled([piece], None, path.stem, notes)


def read_array_folder(files: Sequence[Path], top: Path, *, group: str | None = None) -> ImageSet:
    """Return the arrays of a folder of .npy files as `from_dict` does: x_train.npy, train/images.npy."""
    check_memory(sum(file.stat().st_size for file in files), str(top))
    names = [file.relative_to(top).with_suffix("").as_posix().replace("/", "_") for file in files]
    meant = [(name, file) for name, file in zip(names, files, strict=True) if array_meaning(name)]
    found = {name: _one_array(file) for name, file in meant}
    return from_dict(found or dict.fromkeys(names), top.resolve().name, source=str(top), group=group)


def _one_array(path: Path) -> np.ndarray:
    """Return the array of an .npy file. Raises DataError where only pickle can read it."""
    try:
        check_memory(path.stat().st_size, str(path))
        return _readable(np.load(path, allow_pickle=False))
    except SparringError:
        raise
    except Exception as error:  # a damaged header raises almost anything
        if isinstance(error, ValueError) and "allow_pickle" in str(error):
            raise _needs_pickle(str(path)) from None
        raise DataError(
            "bad-npy", f"cannot read {path}: {first_line(error)}", fix="write it again with numpy.save"
        ) from None


def _readable(array: np.ndarray) -> np.ndarray:
    """Return an array as it is. Raises ValueError for text that holds no characters that there are."""
    if array.dtype.kind == "U":
        array.tolist()
    return array


def _needs_pickle(what: str) -> DataError:
    return DataError(
        "npz-pickle",
        f"{what} holds Python objects, which only pickle can read, and pickle can run code",
        fix="save plain arrays: numbers for images, numbers or strings for labels",
    )


def _groups_of(
    pieces: Sequence["_Piece"], found: Mapping[str, object], group: str, source: str
) -> tuple[np.ndarray, set[str]]:
    """Return the group of every image, of one array or one for each part, and the arrays that say it.

    Raises UsageError where there is no such array.
    """
    named, used, groups = {str(key).lower(): key for key in found}, set[str](), []
    for piece in pieces:
        keys = [group, f"{group}_{piece.part}", f"{piece.part}_{group}", f"{group}_{piece.key.removeprefix('x_')}"]
        key = next((key for key in map(str.lower, keys) if key in named), None) or column_of(group, list(named), source)
        used.add(named[key])
        groups.append(group_names(found[named[key]], len(as_array(piece.images, piece.key)), key))
    return np.concatenate(groups), used


def read_npz(path: Path, options: LoadOptions) -> ImageSet:
    """Return the arrays of an .npz file as `from_dict` does. Members that only pickle can read are refused."""
    found: dict[str, object] = {}
    key = ""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            unpacked, packed = sum(entry.file_size for entry in archive.zip.infolist()), path.stat().st_size
            if unpacked > max(LARGE, MOST_RATIO * packed):
                what = f"{path} would unpack {packed / 2**20:,.1f} MiB to {unpacked / 2**20:,.0f} MiB"
                raise DataError("zip-bomb", what, fix="if you trust it, write it without packing: numpy.savez")
            check_memory(unpacked, str(path))
            for key in archive.files:
                found[key] = _readable(archive[key])
    except SparringError:
        raise
    except Exception as error:  # a damaged archive or header raises almost anything
        if key and isinstance(error, ValueError) and "allow_pickle" in str(error):
            raise _needs_pickle(f"{key} in {path}") from None
        raise DataError(
            "bad-npz", f"cannot read {path}: {first_line(error)}", fix="write it again with numpy.savez"
        ) from None
    return from_dict(found, path.stem, source=str(path), group=options.group)


def first_line(error: Exception) -> str:
    """Return what an exception says, on one line and without a full stop."""
    return (str(error).strip() or type(error).__name__).partition("\n")[0].rstrip(".")


class _Piece(NamedTuple):
    """Images of one part of a source, with the names of their arrays."""

    key: str
    images: object
    label_key: str = "labels"
    labels: object = None
    part: str = ""


def _assembled(pieces: Sequence[_Piece], classes: object, name: str, notes: Notes) -> ImageSet:
    """Return one ImageSet of all pieces."""
    arrays = [(piece.key, as_array(piece.images, piece.key)) for piece in pieces]
    pixels, counts = _joined_pixels(arrays), [len(array) for _, array in arrays]
    labels, names, warnings = number_labels([(piece.label_key, piece.labels) for piece in pieces], counts, classes)
    images = pixels.images
    return ImageSet(
        images=images,
        labels=labels,
        classes=names,
        origins=tuple(f"{key}[{i}]" for key, array in arrays for i in range(len(array))),
        parts=np.repeat(np.array([piece.part for piece in pieces], "<U5"), counts),
        name=name,
        notes=replace(
            notes,
            modes={"L" if images.shape[3] == 1 else "RGB": len(images)},
            sizes={images.shape[1:3]: len(images)},
            converted=pixels.converted,
            warnings=(*notes.warnings, *warnings),
        ),
    )
