"""The probe: against scikit-learn step by step, what it refuses, what it says of itself, and its model folder."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from toys import striped

from sparring.classifiers import METHODS, ProbeClassifier, load_model, save_model
from sparring.errors import FileFormatError, UsageError
from sparring.features import imagenet, pretrained_features
from sparring.features.extractor import Extractor


def images_and_labels(count=40, labelled=24):
    """Striped images 12 x 10 of 3 classes, the first `labelled` with their labels."""
    x, y = (tensor.numpy() for tensor in striped(count, 12, 10, 1))
    hidden = y.copy()
    hidden[labelled:] = -1
    return x, hidden, y


def test_the_probe_is_logistic_regression_on_the_roots_of_the_networks_features():
    x, hidden, _ = images_and_labels()
    made = ProbeClassifier(C=3.0).fit(x, hidden)
    last, earlier = np.split(pretrained_features(x), [1280], axis=1)
    parts = [np.sign(part) * np.abs(part) ** 0.5 for part in (last, earlier)]
    parts = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts]
    points = np.hstack([parts[0], 0.7 * parts[1]]) if made.earlier_ else parts[0]
    model = LogisticRegression(C=3.0, class_weight="balanced", tol=1e-8, max_iter=5000).fit(points[:24], hidden[:24])
    wanted = softmax(model.decision_function(points) / made.temperature_, axis=1)
    np.testing.assert_allclose(made.predict_proba(x), wanted, atol=5e-3)


def test_unlabelled_images_change_nothing():
    x, hidden, _ = images_and_labels()
    with_them, without = ProbeClassifier().fit(x, hidden), ProbeClassifier().fit(x[:24], hidden[:24])
    np.testing.assert_allclose(with_them.weights_, without.weights_, atol=1e-3 * np.abs(without.weights_).max())


def test_it_is_nothing_without_a_pretrained_network():
    x, hidden, _ = images_and_labels()
    with pytest.raises(UsageError, match="probe is nothing without a pretrained network"):
        ProbeClassifier(pretrained="none").fit(x, hidden)


def test_the_record_says_what_was_learned_elsewhere():
    x, hidden, _ = images_and_labels()
    record = ProbeClassifier(device="cpu").fit(x, hidden).record_
    assert record.pretrained == "efficientnet-lite0: features" and record.trunk is None and record.device
    assert record.size == "64x64"  # 12 x 10: the shorter side would be 50, at least 64 is seen
    assert METHODS["probe"].needs_pretrained


def test_the_best_encoder_on_held_out_labels_is_taken(monkeypatch):
    x, hidden, y = images_and_labels()
    y = y.astype(np.float32)

    def extractor(name, values):
        return Extractor(name=name, hash=name, resize="", compute=lambda images: (values(images), None))

    blind = extractor("blind", lambda images: np.zeros((len(images), 4), np.float32))
    good = extractor("good", lambda images: images.reshape(len(images), -1).astype(np.float32))
    both = {"blind": blind, "good": good}
    monkeypatch.setattr("sparring.classifiers.probe.encoders_of", lambda names, device: tuple(both.values()))
    monkeypatch.setattr("sparring.classifiers.probe.same_encoder", lambda name, hash, device: both[name])
    made = ProbeClassifier(pretrained="blind,good").fit(x, hidden)
    assert made.encoder_ == "good" and made.record_.pretrained == "good: features"
    assert (made.predict(x[24:]) == y[24:]).mean() > 0.8


def test_a_model_holds_weights_only_and_asks_for_the_same_network(tmp_path, monkeypatch):
    x, hidden, _ = images_and_labels()
    made = ProbeClassifier().fit(x, hidden)
    folder = save_model(made, tmp_path / "model")
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert size < 4 * 3 * 1776 + 20_000
    np.testing.assert_array_equal(load_model(folder).predict_proba(x), made.predict_proba(x))
    other = Extractor(**{**vars(imagenet()), "hash": "another"})
    monkeypatch.setattr("sparring.features.encoders.named_encoder", lambda *_, **__: other)
    with pytest.raises(FileFormatError, match="efficientnet-lite0 with the hash .* has the hash another"):
        load_model(folder)
