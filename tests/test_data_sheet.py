"""The contact sheet shows real images of every class beside its name, whatever the set."""

import numpy as np
import pytest
from PIL import Image

from sparring.data import ImageSet, contact_sheet, load
from sparring.data.imageset import tile_size


def some(
    count: int, classes: int, *, height: int = 16, width: int = 12, channels: int = 3, unlabelled: int = 0
) -> ImageSet:
    images = np.random.default_rng(0).integers(0, 256, (count, height, width, channels), dtype=np.uint8)
    labels = np.arange(count) % max(1, classes)
    labels[count - unlabelled :] = -1
    names = tuple(f"class {i}" for i in range(classes))
    origins = tuple(f"{i}" for i in range(count))
    return ImageSet(images, labels.astype(np.int64), names, origins, np.full(count, "", "<U5"), "some")


def contains(sheet: np.ndarray, tile: np.ndarray) -> bool:
    height, width = tile.shape[:2]
    rows = np.lib.stride_tricks.sliding_window_view(sheet[..., 0], (1, 8))[:, :, 0]
    starts = np.argwhere((rows == tile[0, :8, 0]).all(axis=2)).tolist()
    return any(np.array_equal(sheet[y : y + height, x : x + width], tile) for y, x in starts)


def test_tiles_on_the_sheet_are_the_images():
    data = some(8, 2, height=64, width=64)
    sheet = contact_sheet(data, columns=4)
    for i in range(8):
        assert contains(sheet, data.images[i])


def test_the_same_sheet_every_time_whatever_the_order():
    data = load("digits")
    order = np.random.default_rng(1).permutation(len(data))
    assert (contact_sheet(data) == contact_sheet(data)).all()
    assert (contact_sheet(data) == contact_sheet(data.take(order))).all()


@pytest.mark.parametrize(
    "data",
    [
        some(30, 3, unlabelled=10),
        some(5, 1, channels=1),
        some(4, 0, unlabelled=4),
        some(120, 60),
        some(4, 2, height=8, width=300),
        some(4, 2, height=200, width=200),
    ],
    ids=["unlabelled", "one class", "no class", "many classes", "wide", "large"],
)
def test_sheets_of_all_kinds(data):
    sheet = contact_sheet(data)
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3
    assert sheet.shape[0] < 4200 and 300 < sheet.shape[1] < 1500
    assert (sheet[0] == 255).all()
    assert len(np.unique(sheet)) > 20


def test_a_long_or_strange_name_stays_in_its_column():
    data = some(6, 2)
    plain = contact_sheet(data)
    named = ImageSet(data.images, data.labels, ("x" * 300, "a\nb\u202e"), data.origins, data.parts, "y" * 500)
    sheet = contact_sheet(named)
    assert sheet.shape == plain.shape
    assert (sheet[70:, 200:] == plain[70:, 200:]).all()


def test_names_are_drawn():
    data = some(6, 2)
    other = ImageSet(data.images, data.labels, ("fox", "owl"), data.origins, data.parts, data.name)
    difference = (contact_sheet(data) != contact_sheet(other)).any(axis=2)
    assert difference.any() and not difference[:, 200:].any()


def test_copies_are_shown_last():
    images = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 1), dtype=np.uint8)
    images[10:] = images[0]
    labels = np.zeros(20, np.int64)
    data = ImageSet(images, labels, ("a",), tuple(map(str, range(20))), np.full(20, "", "<U5"), "some")
    assert len(np.unique(images[data.by_content(np.arange(20))[:10]].reshape(10, -1), axis=0)) == 10
    assert sorted(data.by_content(np.arange(20))) == list(range(20))


def test_tile_sizes():
    assert tile_size(8, 8) == (64, 64) and tile_size(28, 28) == (56, 56) and tile_size(64, 56) == (64, 56)
    assert tile_size(200, 100) == (96, 48) and tile_size(8, 1000) == (1, 96)


def test_it_can_be_saved(tmp_path):
    from sparring.images import save_png

    sheet = contact_sheet(some(6, 2))
    assert (np.asarray(Image.open(save_png(tmp_path / "a.png", sheet))) == sheet).all()
