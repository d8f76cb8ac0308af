"""Label spreading along the graph of an encoder: chosen by held-out labels, kept in model folders, asked in pieces."""

import numpy as np
import pytest
from toys import striped

from sparring.classifiers import SpreadingClassifier, load_model, save_model, spreading
from sparring.classifiers.graph import neighbour_graph
from sparring.errors import FileFormatError
from sparring.features import imagenet
from sparring.features.cache import CACHE
from sparring.features.extractor import Extractor


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    CACHE.clear()


def images_and_labels(count=60, labelled=24, channels=3):
    x, y = (tensor.numpy() for tensor in striped(count, 12, 10, channels))
    hidden = y.copy()
    hidden[labelled:] = -1
    return x, hidden, y


def knowing(x, y):
    """An encoder that knows the class of each of these images, and how many images it was shown at a time."""
    known, shown = {image.tobytes(): label for image, label in zip(x, y, strict=True)}, []

    def compute(images):
        shown.append(len(images))
        codes = [known.get(image.tobytes(), 0) for image in images]
        noise = np.random.default_rng(len(images)).normal(0, 0.05, (len(images), 8))
        return (np.eye(8)[codes] + noise).astype(np.float32), None

    return Extractor(name="efficientnet-lite0", hash="0" * 12, resize="", compute=compute), shown


def with_encoder(monkeypatch, encoder):
    monkeypatch.setattr(spreading, "encoders_of", lambda names, device: (encoder,) if names != "none" else ())
    monkeypatch.setattr("sparring.features.encoders.named_encoder", lambda name, device: encoder)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_graph_of_an_encoder_is_used_where_it_tells_classes_apart(channels, monkeypatch, tmp_path):
    x, hidden, y = images_and_labels(channels=channels)
    random = np.random.default_rng(0).integers(0, 256, x.shape, dtype=np.uint8)  # HOG sees nothing
    encoder, _ = knowing(random, y)
    with_encoder(monkeypatch, encoder)
    made = SpreadingClassifier().fit(random, hidden)
    assert (made.predict(random) == y).all()
    assert made.encoder_ == made.record_.chosen["features"] == "efficientnet-lite0"
    assert made.record_.pretrained == "efficientnet-lite0: neighbour graph" and made.record_.device
    folder = save_model(made, tmp_path / "model")
    some = random[[3, 30, 40]]
    np.testing.assert_array_equal(load_model(folder).predict_proba(some), made.predict_proba(some))
    with_encoder(monkeypatch, Extractor(**{**vars(encoder), "hash": "another"}))
    with pytest.raises(FileFormatError, match="has the hash another"):
        load_model(folder)


def test_hog_is_used_where_it_is_as_good_and_the_other_images_are_not_shown_to_the_encoder(monkeypatch):
    x, hidden, y = images_and_labels(channels=1)
    encoder, shown = knowing(x, np.zeros_like(y))  # blind
    with_encoder(monkeypatch, encoder)
    made = SpreadingClassifier().fit(x, hidden)
    assert shown == [24]  # the labelled ones
    assert "encoder_" not in vars(made) and made.record_.pretrained is None
    without = SpreadingClassifier(pretrained="none").fit(x, hidden)
    np.testing.assert_array_equal(made.predict_proba(x), without.predict_proba(x))


def test_with_one_label_a_class_colour_images_are_seen_by_the_encoder_and_grey_ones_by_hog():
    for channels, name in ((1, "hog"), (3, "efficientnet-lite0")):
        x, hidden, y = images_and_labels(channels=channels)
        hidden[:] = -1
        first = [int(np.flatnonzero(y == k)[0]) for k in range(3)]
        hidden[first] = [0, 1, 2]
        assert SpreadingClassifier(device="cpu").fit(x, hidden).record_.chosen["features"] == name


def test_neighbours_are_nearest_by_roots_of_the_last_layer():
    x, _, _ = images_and_labels(30)
    graph = neighbour_graph(x, imagenet(device="cpu"))
    last = np.sqrt(imagenet(device="cpu").features(x)[:, :1280].astype(np.float64))
    last /= np.linalg.norm(last, axis=1, keepdims=True)
    distance = ((last[:, None] - last) ** 2).sum(2)
    np.fill_diagonal(distance, np.inf)
    np.testing.assert_allclose(graph.distance, np.sort(distance, axis=1)[:, :8], atol=1e-4)
