"""What every few-label classifier keeps to, walked over METHODS: a new row is tested the moment it exists."""

import inspect
import io
import subprocess
import sys
from dataclasses import fields, replace
from functools import cache

import numpy as np
import pytest
from PIL import Image
from sklearn.base import BaseEstimator, ClassifierMixin, clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from toys import striped

from sparring.classifiers import METHODS, ensemble, load_model, looks, save_model, selection
from sparring.classifiers.fit_record import FitRecord
from sparring.data import load
from sparring.errors import DataError
from sparring.images import load_image, save_png

LEARNERS = [name for name in METHODS if METHODS[name].family != "floor"]
QUICK = [name for name in METHODS if METHODS[name].family in ("traditional", "pretrained")]
FAMILIES = ("floor", "traditional", "pretrained", "network", "gan", "ensemble")


def make(name, steps=4, **settings):
    """An estimator small enough for a test."""
    row = METHODS[name]
    if row.family in ("network", "gan"):
        from sparring.nets.classifiers import SmallCNN

        length = (16 if name == "finetune" else 64) * steps  # a step of the pretrained network is dear
        small = {"images": length, "threads": 1, "precision": "fp32", "net": SmallCNN((8, 8, 12))}
        settings = small | ({"gan_images": 64 * 3} if name == "gan-augment" else {}) | settings
    if name == "ensemble":
        settings = {"members": "svm,spreading"} | settings
    return row.make(**{"random_state": 3} | settings)


@cache
def data(count=90, labelled=30, height=12, width=10, channels=1):
    """(images, labels with -1, true labels): striped images, the first `labelled` of them labelled."""
    x, y = (tensor.numpy() for tensor in striped(count, height, width, channels))
    hidden = y.copy()
    hidden[labelled:] = -1
    for array in (x, y, hidden):
        array.flags.writeable = False  # shared by the tests, and as joblib's workers get them
    return x, hidden, y


@cache
def fitted(name):
    x, y, _ = data()
    return make(name).fit(x, y)


# The table


def test_the_table_is_light_and_in_order():
    families = [FAMILIES.index(row.family) for row in METHODS.values()]
    assert families == sorted(families) and set(families) == set(range(len(FAMILIES)))
    code = "import sys; from sparring.classifiers import METHODS; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "sklearn", "numpy"} & {name.split(".")[0] for name in loaded}


@pytest.mark.parametrize("name", METHODS)
def test_a_row_tells_what_it_is(name):
    row = METHODS[name]
    assert row.name == name and row.title and row.what.endswith(".") and "\n" not in row.what
    assert row.cites or row.family == "floor"
    assert row.estimator_class().__name__.endswith("Classifier")
    made = row.make(random_state=5, minutes=1.5, threads=1)
    assert made.random_state == 5
    with pytest.raises(TypeError, match="colour"):
        row.make(colour="red")


def test_estimators_can_be_imported():
    from sparring import classifiers

    for row in METHODS.values():
        cls = row.estimator_class()
        if isinstance(row.estimator, str):
            assert getattr(classifiers, cls.__name__) is cls and cls.__name__ in classifiers.__all__
    with pytest.raises(AttributeError, match="no attribute 'SVM'"):
        _ = classifiers.SVM


@pytest.mark.parametrize("name", METHODS)
def test_what_shows_is_for_the_user(name):
    """Beside scikit-learn's own there are parameters, and of networks `seconds_for`; all else has an underscore."""

    class Bare(ClassifierMixin, BaseEstimator):
        pass

    cls = METHODS[name].estimator_class()
    shown = {attribute for attribute in dir(cls) if not attribute.startswith("_")} - set(dir(Bare))
    theirs = {"fit", "predict", "predict_proba", "seconds_for", "set_fit_request"}  # the last is scikit-learn's
    assert shown - {field.name for field in fields(cls)} <= theirs
    assert list(inspect.signature(cls).parameters) == [field.name for field in fields(cls)]


# Groups


@pytest.mark.parametrize("name", LEARNERS)
def test_whatever_is_held_out_holds_out_whole_groups(name, monkeypatch):
    """Groups are of one class and hold labelled and unlabelled images, so that misplaced ones would be seen."""
    x, y, true = data()
    groups = np.array([f"{k}-{i % 4}" for i, k in enumerate(true)])
    first = [np.flatnonzero(groups == group)[0] for group in groups]
    seen = []

    def spied(labels, groups, *given):
        folds = grouped_folds(labels, groups, *given)
        seen.extend((labels, groups, train, held) for train, held in folds)
        return folds

    def refused(*args, **kwargs):
        raise AssertionError("folds that part groups")

    grouped_folds = selection.grouped_folds
    monkeypatch.setattr(selection, "grouped_folds", spied)
    monkeypatch.setattr(selection, "StratifiedKFold", refused)
    estimator = make(name).fit(x, y, groups=groups)
    assert (seen or name not in LEARNERS) and "_groups" not in vars(estimator)
    for labels, given, train, held in seen:
        assert (true[given] == labels).all() and set(given) <= set(first)
        assert not set(given[train]) & set(given[held])
        assert len(set(labels[train])) == 3


def test_standard_errors_that_choose_are_those_of_groups(monkeypatch):
    x, y, true = data()
    groups, seen = np.array([f"{k}-{i % 4}" for i, k in enumerate(true)]), []

    def spied(values, weight, groups=None):
        seen.append(groups)
        return measured(values, weight, groups)

    measured = selection.mean_and_error
    for module in (selection, looks):
        monkeypatch.setattr(module, "mean_and_error", spied)
    mixture = ensemble.mixture
    monkeypatch.setattr(ensemble, "mixture", lambda *given: mixture(*given[:4], seen.append(given[4]) or given[4]))
    make("logistic").fit(x, y, groups=groups)
    alone = len(seen)
    looks.look_for(x, y, groups=groups)
    looked = len(seen)
    make("ensemble", members="majority,logistic").fit(x, y, groups=groups)
    assert 0 < alone < looked < len(seen) and all(given is not None for given in seen)


def test_groups_come_with_an_image_set_and_count_for_more_unlabelled_images():
    x, y, true = data()
    groups = np.array([f"{k}-{i % 4}" for i, k in enumerate(true)])
    images = replace(load((x, y)), groups=groups)
    alone = make("svm").fit(images).record_.cross_validation
    assert alone == make("svm").fit(x, y, groups=images.clusters).record_.cross_validation
    assert alone == make("svm").fit(x[:45], y[:45], x[45:], groups[:45]).record_.cross_validation
    with pytest.raises(DataError, match=r"groups has shape \(3,\) for 90 images"):
        make("svm").fit(x, y, groups=[1, 2, 3])


def test_where_groups_cannot_be_held_out_settings_are_the_usual_ones():
    x, y, true = data()
    found = make("logistic").fit(x, y, groups=np.where(true == 0, "one", np.arange(90).astype(str)))
    usual = make("logistic").fit(x, np.where(np.arange(90) < 3, true, -1) if len(set(true[:3])) == 3 else y)
    assert found.record_.cross_validation.accuracy is None
    assert found.record_.chosen["C"] == usual.record_.chosen["C"]


def test_the_gate_says_where_groups_cannot_be_halved():
    x, y, true = data()
    gate = make("gan-augment").fit(x, y, groups=true).record_.gate
    assert not gate.passed and gate.sentence.endswith("the labelled images of a class are of too few groups to halve.")


def test_settings_are_chosen_by_patients_that_were_not_seen():
    """Patients look alike and the class does not show: held-out images of known patients would look easy."""
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(20), 6)
    x = np.clip(rng.integers(40, 216, (20, 1, 1, 3))[patient] + rng.normal(0, 12, (120, 12, 12, 3)), 0, 255)
    x, y = x.astype(np.uint8), patient % 2
    alone, grouped = (make("svm").fit(x, y, groups=g).record_.cross_validation.accuracy for g in (None, patient))
    assert alone > 0.9 and grouped < 0.75


# scikit-learn's contract


@pytest.mark.parametrize("name", METHODS)
def test_init_stores_and_nothing_else(name):
    made = make(name)
    assert set(vars(made)) == set(made.get_params(deep=False))
    twin = clone(made)
    assert twin is not made and repr(twin) == repr(made)
    assert made.set_params(random_state=11) is made and made.random_state == 11
    assert is_classifier(made)
    with pytest.raises(NotFittedError):
        made.predict(data()[0])


@pytest.mark.parametrize("name", METHODS)
def test_fit_gives_what_a_classifier_has(name):
    made = fitted(name)
    x, y, _ = data()
    assert make(name).fit(x, y) is not made
    assert made.classes_.tolist() == [0, 1, 2] and made.class_names_ == ["0", "1", "2"]
    assert made.image_shape_ == (12, 10, 1)
    assert made.record_.labels == 30 and made.record_.unlabelled == 60
    assert made.record_.seconds["fit"] > 0
    proba = made.predict_proba(x)
    assert proba.dtype == np.float64 and proba.shape == (90, 3) and (proba >= 0).all()
    assert np.allclose(proba.sum(1), 1, atol=1e-12)
    assert (made.predict(x) == proba.argmax(1)).all()
    assert vars(made).keys() >= set(made.get_params(deep=False))  # parameters are still what they were
    assert repr(clone(made)) == repr(make(name))


@pytest.mark.parametrize("name", METHODS)
def test_the_record_and_pictures_are_for_a_report(name):
    import json

    made = fitted(name)
    written = json.loads(json.dumps(made.record_.to_json(), allow_nan=False))
    assert FitRecord.from_json(written) == made.record_ and None not in written.values()
    for picture in made.pictures_.values():
        assert picture.dtype == np.uint8 and picture.ndim == 4 and picture.shape[3] in (1, 3)


@pytest.mark.parametrize("name", METHODS)
def test_the_same_random_state_gives_the_same_result(name):
    x, y, _ = data()
    again = make(name).fit(x, y)
    assert (again.predict_proba(x) == fitted(name).predict_proba(x)).all()
    assert np.isfinite(make(name, random_state=None).fit(x, y).predict_proba(x)).all()


@pytest.mark.parametrize("name", METHODS)
def test_fitting_again_forgets(name):
    x, y, _ = data()
    colour, z, _ = data(count=40, labelled=20, height=16, width=16, channels=3)
    made = make(name, steps=2).fit(colour, z)
    assert made.image_shape_ == (16, 16, 3)
    made.left_over_ = 1
    made.set_params(**make(name).get_params(deep=False)).fit(x, y)
    assert not hasattr(made, "left_over_")
    assert (made.predict_proba(x) == fitted(name).predict_proba(x)).all()


# Learning


@pytest.mark.parametrize("name", LEARNERS)
def test_learns_an_easy_problem(name):
    x, y, true = data()
    made = fitted(name) if METHODS[name].family == "traditional" else make(name, steps=60).fit(x, y)
    assert (made.predict(x)[30:] == true[30:]).mean() > 0.9
    new, new_true = (tensor.numpy() for tensor in striped(60, 12, 10, seed=9))
    assert (made.predict(new) == new_true).mean() > 0.9


def test_majority_says_the_most_frequent_label():
    x, y, true = data()
    skewed = np.where((true == 2) & (np.arange(90) > 40), -1, y)
    skewed[30:40] = 1
    shares = np.bincount(skewed[skewed >= 0]) / (skewed >= 0).sum()
    made = make("majority").fit(x, skewed)
    assert (made.predict(x) == 1).all() and np.allclose(made.predict_proba(x), shares)


@pytest.mark.parametrize("name", METHODS)
def test_survives_one_label_a_class(name):
    x, _, true = data()
    y = np.full(90, -1)
    y[:3] = true[:3]
    proba = make(name).fit(x, y).predict_proba(x)
    assert np.isfinite(proba).all()


@pytest.mark.parametrize("name", METHODS)
def test_nothing_but_the_labels_given_is_known(name):
    """Labels hidden as -1 cannot matter, whatever they were; nor does how -1 is written."""
    x, y, _ = data()
    written = [None if label < 0 else int(label) for label in y]
    assert (make(name).fit(x, written).predict_proba(x) == fitted(name).predict_proba(x)).all()
    half = len(x) // 2
    apart = make(name).fit(x[:half], y[:half], unlabelled=x[half:])
    assert (apart.predict_proba(x) == fitted(name).predict_proba(x)).all()


@pytest.mark.parametrize("name", METHODS)
def test_what_it_is_given_is_never_changed(name):
    x, y = data()[0].copy(), data()[1].copy()
    made = make(name, steps=2).fit(x, y)
    made.predict_proba(x)
    assert (x == data()[0]).all() and (y == data()[1]).all() and x.flags.writeable


@pytest.mark.parametrize("name", METHODS)
def test_labels_may_be_names(name):
    x, y, _ = data()
    names = np.array(["stripe", "band", "line", ""])[y]  # sorted: band, line, stripe
    made = make(name).fit(x, names)
    assert made.classes_.tolist() == ["band", "line", "stripe"]
    assert set(made.predict(x)) <= {"band", "line", "stripe"}
    if METHODS[name].family == "traditional":
        assert (made.predict(x)[:30] == names[:30]).mean() > 0.9


@pytest.mark.parametrize("name", METHODS)
def test_gaps_between_labels_and_two_classes(name):
    x, y, true = data()
    two = np.where(true == 2, -1, np.where(y < 0, -1, y * 5 + 2))
    made = make(name).fit(x, two)
    assert made.classes_.tolist() == [2, 7] and made.predict_proba(x).shape == (90, 2)
    if METHODS[name].family == "traditional":
        assert (made.predict(x)[true < 2] == true[true < 2] * 5 + 2).mean() > 0.9


@pytest.mark.parametrize("name", METHODS)
def test_all_images_labelled(name):
    x, _, true = data()
    assert make(name).fit(x[:45], true[:45]).predict_proba(x[45:]).shape == (45, 3)


# Model folders


@pytest.mark.parametrize("name", METHODS)
def test_a_model_folder_gives_the_same_bits(name, tmp_path):
    made, x = fitted(name), data()[0]
    save_model(made, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert type(loaded) is type(made) and repr(loaded) == repr(made)
    assert (loaded.predict_proba(x) == made.predict_proba(x)).all()
    assert (loaded.predict_proba(x[:7]) == made.predict_proba(x[:7])).all()
    assert loaded.record_ == made.record_ and loaded.class_names_ == made.class_names_


# What images may be


@pytest.mark.parametrize("name", QUICK)
def test_files_and_image_sets_are_images_too(name, tmp_path):
    from sparring.data import ImageSet

    x, y, true = data()
    paths = []
    for k, image in enumerate(x[:45]):
        paths.append(tmp_path / f"{k}.png")
        save_png(paths[-1], image)
    expected = make(name).fit(x[:45], y[:45]).predict_proba(x[:45])
    assert (make(name).fit(paths, y[:45]).predict_proba(paths) == expected).all()
    parts = np.full(45, "", "<U5")
    images = ImageSet(x[:45], y[:45], ("a", "b", "c"), tuple(map(str, paths)), parts, "stripes")
    made = make(name).fit(images)
    assert (made.predict_proba(images) == expected).all()
    assert made.class_names_ == made.classes_.tolist() == ["a", "b", "c"]
    assert set(made.predict(images)) <= {"a", "b", "c"}
    numbered = make(name).fit(images, y[:45])
    assert numbered.classes_.tolist() == [0, 1, 2] and numbered.class_names_ == ["a", "b", "c"]
    assert (true[:45] == numbered.predict(str(paths[0]))[0]).any()


def refused(X, y, sentence, **more):
    made = make("majority")
    with pytest.raises(DataError, match=sentence) as caught:
        made.fit(X, y, **more)
    assert not hasattr(made, "classes_") and isinstance(caught.value, ValueError)


X, Y = data()[0][:6], [0, 1, 2, 0, 1, -1]


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        (X, [0] * 6, "only the class '0'"),
        (X, [-1] * 6, "no labelled image"),
        (X, Y[:5], "6 images but 5 labels"),
        (X, [0.5] * 6, "y holds float64 values"),
        (X, [-2, 0, 1, 0, 1, 0], "label -2: below -1"),
        (X, np.eye(6), r"y has shape \(6, 6\)"),
        (X, None, "without labels"),
        (X[:0], [], "at least one image"),
        (np.full((6, 8, 8), np.nan), Y, "values NaN"),
        (X.astype(int) + 300, Y, "black and white cannot be told"),
        (X.reshape(6, -1), Y, r"shape \(6, 120\)"),
        (np.zeros((6, 8, 8, 2), np.uint8), Y, r"shape \(6, 8, 8, 2\)"),
        (np.zeros((6, 3, 8), np.uint8), Y, r"shape \(6, 3, 8\)"),
        ([np.zeros((8, 8), np.uint8), np.zeros((9, 8), np.uint8)], [0, 1], "several sizes, such as 8 x 8 and 9 x 8"),
        (["missing.png", "missing2.png"], [0, 1], "there is no such file"),
        (np.array([[["a"] * 8] * 8] * 6), Y, "holds <U1 values"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_by_a_sentence(images, labels, sentence):
    refused(images, labels, sentence)


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (X[:3].reshape(3, -1), r"shape \(3, 120\)"),  # rows of flattened images are not one wide image
        (b"no image", "cannot read image"),
        (["missing.png"], "cannot read missing.png: there is no such file"),
        (np.zeros((2, 8, 8, 2), np.uint8), r"shape \(2, 8, 8, 2\)"),
        (np.full((12, 10), np.inf), "values NaN or infinite"),
    ],
)
def test_what_is_no_image_is_refused_by_a_sentence(images, sentence):
    with pytest.raises(DataError, match=sentence):
        fitted("majority").predict(images)


def test_what_load_takes_fit_takes():
    """Floats, tensors, true and false, channels first: as `sparring.load` reads them."""
    import torch

    from sparring.data import load

    x, y, _ = data()
    colour = x.repeat(3, axis=3)
    colour[..., 1] //= 2
    floats = colour / np.float32(255)
    signed = torch.from_numpy(floats * 2 - 1).permute(0, 3, 1, 2)
    expected = make("logistic").fit(colour, y).predict_proba(colour)
    for images in (floats, floats.tolist(), signed, colour.astype(np.int64)):
        assert (load(images).images == colour).all()
        made = make("logistic").fit(images, y)
        assert (made.predict_proba(images) == expected).all()
    made = make("logistic").fit(floats, y)
    dark = floats[:3] / 255  # alone these might as well be bytes: the scale is that of `fit`
    assert (made.predict_proba(dark) == made.predict_proba(np.rint(dark * 255).astype(np.uint8))).all()


@pytest.mark.parametrize("name", METHODS)
def test_one_picture_in_any_form_gives_the_same_probabilities(name, tmp_path):
    made = fitted(name)
    random = np.random.default_rng(0)
    for size in [(12, 10), (12, 10, 3), (31, 17, 3), (9, 40), (60, 50, 4)]:
        picture = random.integers(0, 256, size).astype(np.uint8)
        path = tmp_path / "picture.png"
        Image.fromarray(picture).save(path)
        expected = made.predict_proba([path])
        fitted_image = load_image(path, size=(12, 10), channels=1)
        assert fitted_image.shape == (12, 10, 1) and (made.predict_proba(fitted_image[None]) == expected).all()
        with path.open("rb") as file, Image.open(path) as opened:
            forms = [str(path), path.read_bytes(), file, opened, picture, picture[None], picture / np.float64(255)]
            for form in forms:
                assert (made.predict_proba(form) == expected).all()
        forms = [path, path.read_bytes(), io.BytesIO(path.read_bytes()), Image.open(path), picture]
        assert np.allclose(made.predict_proba(forms), expected, rtol=1e-3)  # a batch of five rounds otherwise
        assert made.predict(picture)[0] == made.classes_[expected[0].argmax()]


def test_grey_pictures_and_another_size_for_a_model_of_colours(tmp_path):
    x, y, _ = data(count=40, labelled=20, height=16, width=16, channels=3)
    made = make("logistic").fit(x, y)
    grey = data()[0][0]
    save_png(tmp_path / "grey.png", grey)
    assert (made.predict_proba(grey[..., 0]) == made.predict_proba(tmp_path / "grey.png")).all()
    small = make("majority").fit(X, Y, unlabelled=np.zeros((2, 20, 20, 3), np.uint8))
    assert small.record_.unlabelled == 3 and small.image_shape_ == (12, 10, 1)


def test_whole_numbers_and_grey_without_an_axis_are_taken():
    made = make("logistic").fit(X[..., 0].astype(np.int64), Y)
    assert (made.predict_proba(X) == made.predict_proba(X[..., 0])).all()
    assert make("majority").fit(X, np.array([0.0, 1, 2, 0, 1, -1])).classes_.dtype == np.int64
    assert make("majority").fit(X, np.array([True, False] * 3)).classes_.tolist() == [False, True]


@pytest.mark.parametrize("name", ["majority", *QUICK])
def test_a_fit_that_fails_leaves_nothing(name, monkeypatch):
    x, y, _ = data()
    made = make(name).fit(x, y)
    monkeypatch.setattr(type(made), "_fit", lambda self, images, labels: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        made.fit(x, y)
    with pytest.raises(NotFittedError):
        made.predict(x)


# Inside scikit-learn


@pytest.mark.parametrize("name", QUICK)
def test_works_in_cross_validation(name):
    x, _, true = data()
    assert cross_val_score(make(name), x[..., 0], true, cv=3).mean() > 0.9
    assert cross_val_score(make(name), x, true, cv=3, scoring="neg_log_loss").min() > -0.5


def test_works_in_a_grid_search_and_in_calibration():
    x, _, true = data()
    search = GridSearchCV(make("svm"), {"C": [1.0, 10.0], "features": ["hog", "pixels"]}, cv=StratifiedKFold(2))
    assert search.fit(x, true).best_score_ > 0.9
    calibrated = CalibratedClassifierCV(make("logistic"), cv=2).fit(x, true)
    assert (calibrated.predict(x) == true).mean() > 0.9
    network = cross_val_score(make("cnn", steps=2), x, true, cv=2)
    assert len(network) == 2 and np.isfinite(network).all()
