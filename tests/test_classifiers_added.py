"""A classifier of one's own: one class and one row of METHODS, and every test of the contract holds for it."""

import inspect
from dataclasses import dataclass

import numpy as np
import pytest
import test_classifiers_contract as contract

from sparring.classifiers import METHODS, Classifier, Method


@dataclass(eq=False, repr=False, kw_only=True)
class NearestMeanClassifier(Classifier):
    """The class whose mean image is nearest, by distances in units of `width`."""

    width: float = 300.0

    def _fit(self, images, labels):
        flat = images.reshape(len(images), -1).astype(np.float64)
        self.means_ = np.stack([flat[labels == k].mean(0) for k in range(len(self.classes_))])

    def _predict_proba(self, images):
        gap = images.reshape(len(images), 1, -1) - self.means_
        return np.exp(-np.sqrt((gap**2).sum(2)) / self.width) + 1e-9


ROW = Method("nearest-mean", "Nearest mean", "The nearest mean image.", "traditional", NearestMeanClassifier, ("ours",))
CONTRACT = {
    name: test
    for name, test in vars(contract).items()
    if name.startswith("test_") and "name" in inspect.signature(test).parameters
}


@pytest.mark.parametrize("test", CONTRACT.values(), ids=CONTRACT)
def test_a_new_row_keeps_to_the_contract(test, monkeypatch, tmp_path):
    monkeypatch.setitem(METHODS, "nearest-mean", ROW)
    have = {"name": "nearest-mean", "monkeypatch": monkeypatch, "tmp_path": tmp_path}
    test(**{name: have[name] for name in inspect.signature(test).parameters})


def test_the_contract_is_walked():
    assert len(CONTRACT) > 15
