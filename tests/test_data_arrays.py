"""Arrays of any kind to pixels and labels: one rule for `load` and for `fit`."""

import io

import numpy as np
import pytest
from bad_inputs import pixels
from PIL import Image

from sparring.data import load
from sparring.data.arrays import ArrayMeaning, Scale, array_meaning, as_picture, as_pixels
from sparring.data.labels import encode_labels, number_labels
from sparring.errors import DataError

IMAGES = np.stack([pixels(i, 12, 10, 3) for i in range(12)])
LABELS = np.arange(12) // 4
CLASSES = ("bird", "cat", "dog")


# Labels


KINDS = [  # labels, codes, distinct values
    ([3, 7, 3, -1], [0, 1, 0, -1], [3, 7]),
    ([10, 9, 10, 9], [1, 0, 1, 0], [9, 10]),
    (["b", "a", "", "b"], [1, 0, -1, 1], ["a", "b"]),
    (["b", "a", "-1", "b"], [1, 0, -1, 1], ["a", "b"]),
    (["b", "a", None, "b"], [1, 0, -1, 1], ["a", "b"]),
    ([b"b", b"a", b"", b"b"], [1, 0, -1, 1], ["a", "b"]),
    (np.array(["b", "a", float("nan"), "b"], object), [1, 0, -1, 1], ["a", "b"]),
    (np.array(["2", 10, None, -1], object), [1, 0, -1, -1], ["10", "2"]),  # one string: all are names
    (["x10", "x9", "x9 ", "x10"], [0, 1, 1, 0], ["x10", "x9"]),
    ([True, False, True, False], [1, 0, 1, 0], [False, True]),
    ([True, False, None, False], [1, 0, -1, 0], [0, 1]),
    ([[1], [0], [1], [0]], [1, 0, 1, 0], [0, 1]),
    ([1.0, 0.0, -1.0, float("nan")], [1, 0, -1, -1], [0, 1]),
    (np.array([0, 1, 2, 0], np.uint8), [0, 1, 2, 0], [0, 1, 2]),
    (np.array([3, None, -1, 5], object), [0, -1, -1, 1], [3, 5]),
    ([-1, -1, -1, -1], [-1] * 4, []),
    ([None] * 4, [-1] * 4, []),
]


@pytest.mark.parametrize(("labels", "codes", "values"), KINDS)
def test_labels_of_all_kinds(labels, codes, values):
    found = encode_labels(labels)
    assert found.codes.tolist() == codes and found.codes.dtype == np.int64
    assert found.values.tolist() == values
    if isinstance(labels, list) and labels[0] not in (b"b",) and None not in labels and labels[0] != [1]:
        again = encode_labels(np.array(labels))
        assert again.codes.tolist() == codes and again.values.dtype == found.values.dtype


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([0.5, 1], "y holds float64 values; accepted: whole numbers or strings"),
        ([0, np.inf], "y holds float64 values"),
        ([1j, 2], "y holds complex128 values"),
        ([0, -2], "label -2: below -1"),
        (np.array([0, -2, None], object), "label -2: below -1"),
        (np.array([2**63], np.uint64), "y holds 9223372036854775808"),
        (np.eye(3), r"y has shape \(3, 3\); accepted: \[N\].*argmax"),
        ([[1], [1, 2]], r"y has shape"),
        (np.array([{}, 1], object), "y holds object values"),
    ],
)
def test_labels_that_are_refused(labels, says):
    with pytest.raises(DataError, match=says):
        encode_labels(labels)


def test_a_tensor_of_labels():
    import torch

    assert encode_labels(torch.tensor([5, -1, 2])).codes.tolist() == [1, -1, 0]


@pytest.mark.parametrize(
    ("labels", "want", "classes"),
    [
        ([10, 9, 10, -1], [1, 0, 1, -1], ("9", "10")),
        (["x10", "x9", "x9 ", ""], [1, 0, 0, -1], ("x9", "x10")),  # natural order
        ([True, False, True, False], [1, 0, 1, 0], ("0", "1")),
        (None, [-1] * 4, ()),
    ],
)
def test_labels_become_numbers_and_names(labels, want, classes):
    numbers, names, _ = number_labels([("labels", labels)], [4])
    assert numbers.tolist() == want and numbers.dtype == np.int64
    assert names == classes


def test_labels_of_several_parts_are_numbered_together():
    parts = [("y_train", ["b", "c"]), ("y_test", None), ("y_val", ["a", "", "c"])]
    numbers, names, warnings = number_labels(parts, [2, 3, 3])
    assert numbers.tolist() == [1, 2, -1, -1, -1, 0, -1, 2] and names == ("a", "b", "c") and not warnings


def test_labels_renumbered_are_said():
    assert load((IMAGES, LABELS * 5 + 2)).notes.warnings == ("labels 2..12 numbered anew 0..2",)


def test_labels_and_given_classes():
    got = load({"images": IMAGES, "labels": LABELS, "classes": ["a", "b", "c", "d"]})
    assert got.classes == ("a", "b", "c", "d")
    with pytest.raises(DataError, match="label 2 is not among the 2 classes"):
        load({"images": IMAGES, "labels": LABELS, "classes": ["a", "b"]})
    with pytest.raises(DataError, match="label 'dgo' is not among the 3 classes, did you mean dog"):
        load({"images": IMAGES, "labels": ["cat"] * 11 + ["dgo"], "classes": CLASSES})
    with pytest.raises(DataError, match="a class name comes twice"):
        load({"images": IMAGES, "labels": LABELS, "classes": ["a", "a", "b"]})


# Arrays by name


@pytest.mark.parametrize(
    ("name", "kind", "part"),
    [
        ("images", "images", ""), ("labels", "labels", ""), ("X", "images", ""), ("y", "labels", ""),
        ("data", "images", ""), ("target", "labels", ""), ("classes", "classes", ""), ("x_train", "images", "train"),
        ("X_train", "images", "train"), ("Xtrain", "images", "train"), ("trainX", "images", "train"),
        ("train_images", "images", "train"), ("train_labels", "labels", "train"), ("val_images", "images", "val"),
        ("images_test", "images", "test"), ("y_valid", "labels", "val"), ("testY", "labels", "test"),
        ("x_unlabeled", "images", "unlabelled"), ("unlabelled_images", "images", "unlabelled"),
    ],
)  # fmt: skip
def test_names_of_arrays(name, kind, part):
    assert array_meaning(name) == ArrayMeaning(kind, part)


@pytest.mark.parametrize("name", ["id", "mean", "train_ids", "image_ids", "masks", "x_mask", "arr_0", "foo_images"])
def test_names_of_arrays_that_say_nothing(name):
    assert array_meaning(name) is None


def by_name(tmp_path, images: str, labels: str) -> dict:
    """Two parts, as `images` and `labels` call them, such as "{}_images"."""
    cut = {"train": slice(0, 8), "test": slice(8, 12)}
    return {images.format(part): IMAGES[cut[part]] for part in cut} | {
        labels.format(part): LABELS[cut[part]][:, None] for part in cut
    }


@pytest.mark.parametrize(("images", "labels"), [
    ("{}_images", "{}_labels"), ("X_{}", "y_{}"), ("x_{}", "y_{}"), ("{}X", "{}Y"), ("images_{}", "labels_{}"),
])  # fmt: skip
def test_parts_of_arrays_by_any_usual_name(images, labels, tmp_path):
    arrays = by_name(tmp_path, images, labels)
    np.savez(tmp_path / "set.npz", **arrays)
    (tmp_path / "folder").mkdir()
    for name, array in arrays.items():
        np.save(tmp_path / "folder" / f"{name}.npy", array)
    for source in (arrays, tmp_path / "set.npz", tmp_path / "folder"):
        got = load(source)
        order = [8, 9, 10, 11] if got.parts[0] == "test" else list(range(8))
        assert (got.images[: len(order)] == IMAGES[order]).all() and (got.labels[: len(order)] == LABELS[order]).all()
        assert got.parts.tolist() == ["train"] * 8 + ["test"] * 4 and got.notes.ignored == {}


def test_medmnist_with_its_validation_part(tmp_path):
    arrays = by_name(tmp_path, "{}_images", "{}_labels") | {"val_images": IMAGES[:2], "val_labels": LABELS[:2, None]}
    np.savez(tmp_path / "pathmnist.npz", **arrays)
    got = load(tmp_path / "pathmnist.npz")
    assert {part: int((got.parts == part).sum()) for part in ("train", "val", "test")} == {
        "train": 8,
        "val": 2,
        "test": 4,
    }
    assert got.classes == ("0", "1", "2") and (got.labels >= 0).all()


def test_arrays_that_were_given_no_names(tmp_path):
    np.savez(tmp_path / "set.npz", IMAGES, LABELS)
    assert (load(tmp_path / "set.npz").labels == LABELS).all()


def test_arrays_that_both_could_be_the_images_are_refused():
    for names in (("images", "data"), ("images", "x_train"), ("x_train", "train_images")):
        with pytest.raises(DataError, match=f"has the keys {', '.join(names)}; looked for"):
            load(dict.fromkeys(names, IMAGES))


def test_a_single_array_and_the_labels_beside_it(tmp_path):
    for name, array in {"X_train": IMAGES, "y_train": LABELS, "X_test": IMAGES[:3], "faces": IMAGES}.items():
        np.save(tmp_path / f"{name}.npy", array)
    got = load(tmp_path / "X_train.npy")
    assert (got.labels == LABELS).all() and (got.images == IMAGES).all()
    assert "labels from y_train.npy, which lies beside it" in got.notes.warnings
    assert load(tmp_path / "X_test.npy").classes == () and load(tmp_path / "faces.npy").classes == ()
    assert (load((IMAGES[:4], LABELS[:4]), unlabelled=tmp_path / "X_train.npy").labels[4:] == -1).all()
    np.save(tmp_path / "objects.npy", np.array([{}, 1], object), allow_pickle=True)
    with pytest.raises(DataError, match="objects.npy holds Python objects, which only pickle can read"):
        load(tmp_path / "objects.npy")
    (tmp_path / "cut.npy").write_bytes((tmp_path / "faces.npy").read_bytes()[:300])
    with pytest.raises(DataError, match="cannot read .*cut.npy"):
        load(tmp_path / "cut.npy")


def test_a_folder_of_arrays_that_say_nothing_is_refused(tmp_path):
    for i in range(20):
        np.save(tmp_path / f"{i}.npy", IMAGES[0])
    with pytest.raises(DataError, match=r"has the keys 0, 1, 2, .* \.\.\.; looked for images, labels or x_train"):
        load(tmp_path)


# Pixels


def test_the_scale_of_earlier_images_decides_where_values_do_not():
    floats = IMAGES / 255.0
    assert as_pixels(floats).scale is Scale.UNIT
    bright = 0.5 + floats / 2  # also the upper half of -1..1
    assert (as_pixels(bright, scale=Scale.SIGNED).images == np.rint((bright + 1) * 127.5)).all()
    dark = (IMAGES // 16).astype(np.int64)
    with pytest.raises(DataError, match="black and white cannot be told"):
        as_pixels(dark)
    assert (as_pixels(dark, scale=Scale.BYTE).images == dark).all()
    assert (as_pixels(floats, scale=Scale.BYTE).images == IMAGES).all()  # 0..1 can be nothing else
    assert (as_pixels(IMAGES, scale=Scale.UNIT).images == IMAGES).all()
    with pytest.raises(DataError, match="black and white"):
        as_pixels(np.full((2, 8, 8), 300), scale=Scale.BYTE)


def test_a_picture_may_be_anything(tmp_path):
    image, path = Image.fromarray(IMAGES[3]), tmp_path / "x.png"
    image.save(path)
    kinds = [path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes()), image, IMAGES[3], IMAGES[3] / 255.0]
    kinds.append(IMAGES[3].transpose(2, 0, 1))
    for given in kinds:
        assert (as_picture(given) == IMAGES[3]).all(), type(given)
    want = as_picture(path, size=(16, 24), channels=1)
    assert want.shape == (16, 24, 1)
    for given in kinds:
        assert (as_picture(given, size=(16, 24), channels=1) == want).all(), type(given)
    assert as_picture(IMAGES[3][..., 0]).shape == (12, 10, 1)
    assert (as_picture(IMAGES[3][..., 0], channels=3) == IMAGES[3][..., :1]).all()
    with path.open("rb") as file:
        as_picture(file)
        assert not file.closed
    with pytest.raises(DataError, match="cannot read image: not an image"):
        as_picture(b"abc")
