"""A study of patients: no leak is left, and what its folder says can be read again."""

from dataclasses import replace

import numpy as np
import pytest

from sparring.data import ImageSet, load
from sparring.errors import DataError
from sparring.study import compare, mistakes, summarise
from sparring.study.plan import Study


def patients(count=30, images=8, seed=0) -> ImageSet:
    """Digits of 0 and 1 by patients: the class is a coin for each patient, whose images share a texture."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(count), images)
    digits = load("digits").images[rng.permutation(1797)[: count * images]]
    texture = rng.integers(0, 120, (count, 8, 8, 1))[patient]
    pixels = np.clip(0.3 * digits + texture + rng.normal(0, 6, digits.shape), 0, 255).astype(np.uint8)
    coin = rng.permutation(np.arange(count) % 2)[patient]
    origins, parts = tuple(f"{i}.png" for i in range(len(pixels))), np.full(len(pixels), "", "<U5")
    names = np.array([f"P{p}" for p in patient])
    return ImageSet(pixels, coin.astype(np.int64), ("ill", "well"), origins, parts, "patients", groups=names)


def test_of_thirty_planted_patients_no_leak_is_left(tmp_path, monkeypatch):
    given, check = [], mistakes.check_labels
    monkeypatch.setattr(mistakes, "check_labels", lambda *a, **k: given.append(k["groups"]) or check(*a, **k))
    images, asked = patients(), {"methods": ["svm"], "labels": [20], "repeats": 4, "jobs": 0, "model": False}
    leaking = compare(replace(images, groups=None), tmp_path / "a", test=0.4, **asked).scores[0].accuracy
    found = compare(images, tmp_path / "b", test=0.4, **asked)
    honest = found.scores[0].accuracy
    assert leaking.low > 0.5 and leaking.mean > 0.65
    assert honest.low < 0.5 and honest.mean < leaking.mean and honest.high - honest.low > leaking.high - leaking.low
    assert found.data.groups is not None and found.data.groups.train + found.data.groups.test == 30
    assert "whole groups" in found.data.split and "new groups" in found.covers
    definition = Study.read(tmp_path / "b").definition
    assert definition.test.grouped is not None and len(definition.test.groups) == found.test.images
    assert "P1" not in (tmp_path / "b" / "study.json").read_text()  # groups may be people
    assert summarise(tmp_path / "b", images=images).scores == found.scores
    assert [len(set(groups)) > 30 for groups in given] == [True, False, False]  # labels are checked by whole patients
    assert len(set(given[1])) == found.data.groups.train


def test_groups_that_were_given_as_values_are_kept_as_numbers(tmp_path):
    """Going on, and the lists that need the images again, work without giving them once more."""
    images = patients(12, 6)
    np.savez(tmp_path / "p.npz", images=images.images, labels=images.labels)
    path, asked = tmp_path / "p.npz", {"methods": ["majority"], "labels": [5], "jobs": 0, "model": False}
    first = compare(path, tmp_path / "a", group=images.groups, repeats=1, **asked)
    kept = (tmp_path / "a" / "study.json").read_text()
    assert "P1" not in kept and first.data.groups is not None and first.suspects is not None
    (tmp_path / "a" / "mistakes.json").unlink()
    assert summarise(tmp_path / "a").files == first.files and (tmp_path / "a" / "mistakes.json").exists()
    renamed = [f"Q{name}" for name in images.groups.tolist()]
    for group, repeats in ((None, 2), (renamed, 3)):
        found = compare(path, tmp_path / "a", group=group, repeats=repeats, **asked)
        assert found.scores[0].n == repeats and found.test == replace(first.test, looks=found.test.looks)
        assert found.scores[0].accuracy.each[:1] == first.scores[0].accuracy.each
    joined = np.where(images.groups == "P1", "P0", images.groups)
    for group, words in ((joined, "12 groups then, 11 groups now"), ("none", "12 groups then, none now")):
        with pytest.raises(DataError, match=f"in other groups: {words}.*give the same groups"):
            compare(path, tmp_path / "a", group=group, repeats=3, **asked)


def test_a_method_of_ones_own_gets_groups_where_it_takes_them(tmp_path):
    from sklearn.dummy import DummyClassifier

    from sparring.classifiers import Method

    given = []

    class Taking(DummyClassifier):
        def fit(self, X, y, groups=None):
            given.append(groups)
            return super().fit(X[y >= 0], y[y >= 0])

    class Other(DummyClassifier):
        def fit(self, X, y):
            return super().fit(X[y >= 0], y[y >= 0])

    class Row:
        title, what, family, cites = "mine", "Mine.", "floor", ()

        def __init__(self, estimator):
            self.estimator = estimator

        def make(self, **settings):
            return self.estimator()

    images = patients()
    rows = {"taking": Row(Taking), "other": Row(Other)}
    summary = compare(images, tmp_path / "a", methods=rows, labels=[5], repeats=1, jobs=0, model=False)
    assert not summary.errors and len(given) == 1
    assert len(set(given[0])) == summary.data.groups.train and Method is not None


def test_few_groups_in_the_test_part_are_said(tmp_path):
    asked = {"methods": ["logistic"], "labels": [5], "repeats": 1, "jobs": 0, "model": False}
    found = compare(patients(count=12), tmp_path / "a", **asked)
    assert any(
        w.startswith("the test part holds 2 groups: intervals about new ones are wide") for w in found.data.warnings
    )
    assert not any("groups" in w for w in compare(patients(60, 3), tmp_path / "b", **asked).data.warnings)
