"""`fit` and `classify`: one classifier on a data set, and what it says of new images."""

import io

import numpy as np
import pytest
from toys import striped

from sparring.classifiers import LogisticClassifier, classify, fit, load_model
from sparring.data import ImageSet
from sparring.errors import DataError, MissingData, UnknownName, UsageError
from sparring.images import save_png

NAMES = ("stripe", "band", "line")


def images(count=90, test=30):
    """Striped images in names; the first `test` are the test part."""
    x, y = (tensor.numpy() for tensor in striped(count))
    parts = np.where(np.arange(count) < test, "test", "").astype("<U5")
    return ImageSet(x, y, NAMES, tuple(f"{i}.png" for i in range(count)), parts, "stripes")


def test_a_model_is_fitted_scored_on_the_test_part_and_saved(tmp_path):
    told = []
    data = images()
    found = fit(data, method="logistic", out=tmp_path / "model", progress=told.append)
    assert isinstance(found.model, LogisticClassifier) and found.model.record_.labels == 60
    right = (found.model.predict(data.take(slice(0, 30))) == np.array(NAMES)[data.labels[:30]]).mean()
    assert found.test.images == 30 and found.test.accuracy == right > 0.9 and found.test.low < right <= found.test.high
    assert f"{right:.1%} right" in str(found.test) and str(found.test) in (tmp_path / "model/README.md").read_text()
    assert "fitting logistic" in [progress.message for progress in told]
    loaded = load_model(found.folder)
    assert (loaded.predict_proba(data) == found.model.predict_proba(data)).all()
    again = fit(data, method="logistic", seed=0)
    assert again.folder is None and (again.model.predict_proba(data) == found.model.predict_proba(data)).all()
    assert fit(data.take(slice(30, 90)), method="majority").test is None


def test_what_cannot_be_fitted_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(UnknownName, match="did you mean svm"):
        fit(tmp_path / "nothing", method="smv")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").touch()
    with pytest.raises(UsageError, match="not empty"):
        fit(tmp_path / "nothing", method="svm", out=tmp_path / "out")


def test_images_in_any_form_are_classified_in_their_order(tmp_path):
    data = images()
    model = fit(data, method="logistic", out=tmp_path / "model").model
    folder = tmp_path / "new"
    folder.mkdir()
    for i in range(3):
        save_png(folder / f"{i}.png", data.images[i])
    (folder / "odd.png").write_text("root:x:0")
    found = classify(tmp_path / "model", [folder, data.images[5], io.BytesIO((folder / "1.png").read_bytes())])
    assert [p.image for p in found] == [
        *(str(folder / f"{n}.png") for n in ("0", "1", "2", "odd")),
        "image 1",
        "image 2",
    ]
    proba = model.predict_proba(data.images[:3])
    for p, row in zip(found, proba, strict=False):
        assert list(p.probabilities) == model.class_names_ and p.label == model.class_names_[row.argmax()]
        assert list(p.probabilities.values()) == pytest.approx(row.tolist(), abs=1e-6)
        assert p.confidence == max(p.probabilities.values()) and not p.problem
    assert found[3].label is None and found[3].problem == "not an image: starts with 'root:x:0'"
    assert found[5].probabilities == pytest.approx(found[1].probabilities, abs=1e-6)
    assert classify(model, data.images[0][..., 0])[0].label == found[0].label
    with pytest.raises(DataError, match=r"none of 1 images can be read, such as .*odd.png: not an image"):
        classify(model, folder / "odd.png")
    with pytest.raises(MissingData, match="does not exist"):
        classify(model, tmp_path / "no.png")
    with pytest.raises(DataError, match="no images to classify"):
        classify(model, [])
