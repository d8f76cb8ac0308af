"""ImageSet: what it shows of itself in a notebook."""

import base64
import re

import numpy as np
import pytest
from bad_inputs import pixels
from PIL import Image

from sparring.data import ImageSet, load
from sparring.images import load_image

SHEET = re.compile(r'src="data:image/png;base64,([^"]+)"')


def noise(count: int, classes: int, side: int = 96, unlabelled: int = 0) -> ImageSet:
    """Images that cannot be compressed."""
    labels = np.arange(count, dtype=np.int64) % classes
    labels[count - unlabelled :] = -1
    images = np.stack([pixels(i, side, side, 3) for i in range(count)])
    names = tuple(f"class {i}" for i in range(classes))
    return ImageSet(images, labels, names, tuple(map(str, range(count))), np.full(count, "", "<U5"), "noise")


def test_html_has_counts_and_a_contact_sheet():
    page = noise(30, 3, side=16, unlabelled=5)._repr_html_()
    for row in ("class 0</th><td>9", "class 1</th><td>8", "class 2</th><td>8", "unlabelled</th><td>5"):
        assert row in page
    picture = load_image(base64.b64decode(SHEET.findall(page)[0]))
    assert picture.ndim == 3 and len(np.unique(picture)) > 50
    assert load("digits")._repr_html_().count("<tr>") == 11


@pytest.mark.parametrize("classes", [1, 12, 60])
def test_html_stays_small(classes):
    page = noise(120, classes)._repr_html_()
    assert len(page) < 310_000 and SHEET.search(page)
    assert page.count("<tr>") <= 22


def test_names_are_escaped():
    data = noise(4, 2, side=16)
    odd = ImageSet(data.images, data.labels, ("<script>", "a\n&b"), data.origins, data.parts, "<b>x</b>")
    page = odd._repr_html_()
    assert "&lt;script&gt;" in page and "&lt;b&gt;x" in page and "\n" not in page and "&amp;b" in page
    assert "<script>" not in page and "<b>" not in page


def test_html_of_no_image_has_no_picture():
    empty = load("digits").take(slice(0, 0))
    assert "<img" not in empty._repr_html_() and empty.duplicates.exact == ()


def test_a_picture_is_not_searched_for_duplicates(monkeypatch):
    monkeypatch.setattr("sparring.data.imageset.find_duplicates", lambda *_: pytest.fail("that may take a minute"))
    load("digits")._repr_html_()


def test_repr_is_one_short_line():
    assert repr(load("digits")) == "<ImageSet digits: 1797 images 8x8x1, 1797 labelled, 10 classes>"


def test_sheets_are_images():
    page = noise(4, 2, side=16)._repr_html_()
    import io

    assert Image.open(io.BytesIO(base64.b64decode(SHEET.findall(page)[0]))).mode == "RGB"
