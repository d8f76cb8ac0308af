"""What the judge looks through: the interface, hand-made extractors, and the network that learns from the images."""

import re
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits

from sparring.devices import choose_precision
from sparring.errors import DataError, UsageError
from sparring.features import EXTRACTORS, Extractor, extract, handmade, hog, learned, own, pixels, seen_size, shrunk
from sparring.features.cache import cache_at
from sparring.games.nodes import Batch
from sparring.games.views import View
from sparring.records import Progress, walk


@pytest.fixture(autouse=True)
def new_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def forget():
    """As a new process: what is not on the disk is gone."""
    cache_at.cache_clear()


def counting(width=4, **more):
    """An extractor of sums, and the sizes of the chunks that it was given."""
    sizes = []

    def see(images):
        sizes.append(len(images))
        sums = images.reshape(len(images), -1).sum(1, dtype=np.float32)
        return np.repeat(sums[:, None], width, 1), None

    return Extractor(name="sums", hash="0" * 12, resize="", compute=see, **more), sizes


def test_features_come_in_chunks_once_and_then_from_the_disk():
    extractor, sizes = counting(batch=3)
    images, reported = noise(8, 5, 6, 3), []
    features = extractor.features(images, reported.append)
    assert sizes == [3, 3, 2] and reported == [Progress("images", n, 8, "features sums") for n in (3, 6, 8)]
    assert features.dtype == np.float32 and (features[:, 0] == images.sum((1, 2, 3))).all()
    for _ in range(2):
        assert (extractor.features(images) == features).all() and len(sizes) == 3
        forget()
    with pytest.raises(ValueError, match="read-only"):
        features[0] = 0
    other = counting(batch=8)
    object.__setattr__(other[0], "hash", "1" * 12)
    other[0].features(images)
    assert other[1] == [8]  # another hash: other features
    extractor.features(images[:7])
    assert len(sizes) == 6  # other images


def test_several_threads_give_the_same_features_in_order():
    images, before = noise(300, 16, 16, 3), torch.get_num_threads()
    names = set()

    def see(chunk):
        names.add(threading.get_ident())
        assert torch.get_num_threads() == 1
        return hog(chunk, cell=4), None

    extractor = Extractor(name="threads", hash="3" * 12, resize="", compute=see, batch=10)
    try:
        torch.set_num_threads(3)
        reported, threads = [], []
        found = extractor._computed(images, reported.append, ())["features"]
        later = threading.Thread(target=lambda: threads.append(torch.get_num_threads()))
        later.start()
        later.join()
        assert threads == [3]  # threads that begin later are as before
        assert torch.get_num_threads() == 3 and names and threading.get_ident() not in names
    finally:
        torch.set_num_threads(before)
    assert np.allclose(found, hog(images, cell=4), atol=1e-6)
    assert [progress.done for progress in reported] == list(range(10, 301, 10))


def test_read_only_images_are_as_good():
    images = noise(40, 12, 12, 1)
    images.flags.writeable = False
    for extractor in (handmade("hog"), own(images, precision="fp32", length=128)):
        assert len(extractor.features(images)) == 40 and not images.flags.writeable


def test_large_images_come_in_smaller_chunks():
    extractor, sizes = counting()
    extractor.features(noise(40, 256, 256, 1))
    assert sizes == [16, 16, 8]
    sizes.clear()
    extractor.features(noise(1100, 32, 32, 1))
    assert sizes == [512, 512, 76]


@pytest.mark.parametrize(("origins", "name"), [((), "image 5"), (tuple(f"cat/{n}.png" for n in range(9)), "cat/5.png")])
def test_features_that_are_not_finite_name_the_image(origins, name):
    def see(images):
        features = np.zeros((len(images), 2), np.float32)
        features[images[:, 0, 0, 0] == 5, 1] = np.nan
        return features, None

    images = np.arange(9, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8)
    extractor = Extractor(name="broken", hash="2" * 12, resize="", compute=see, batch=4)
    for _ in range(2):  # and nothing was kept
        with pytest.raises(DataError, match=f"features of {name} by the extractor broken are not finite"):
            extractor.features(images, origins=origins)


@pytest.mark.parametrize("images", [np.zeros((2, 8, 8), np.uint8), np.zeros((2, 8, 8, 2), np.uint8),
                                    np.zeros((0, 8, 8, 1), np.uint8), np.zeros((2, 8, 8, 1))])  # fmt: skip
def test_only_images_are_looked_at(images):
    with pytest.raises(DataError, match=re.escape(f"{images.dtype} of shape {images.shape}")):
        counting()[0].features(images)


# Hand-made


def test_handmade_extractors_are_the_functions_of_that_name():
    images = noise(20, 28, 28, 1)
    assert (handmade("pixels").features(images) == pixels(images)).all()
    assert (handmade("hog").features(images) == extract("hog", images)).all()
    assert (handmade("hog").features(images) == hog(images, cell=7)).all()
    assert handmade("hog").logits(images) is None and handmade("hog").named(images) is None
    assert handmade("hog").hash == handmade("hog").hash != handmade("pixels").hash
    assert re.fullmatch("[0-9a-f]{12}", handmade("hog").hash)
    with pytest.raises(UsageError, match="did you mean pixels"):
        handmade("pixel")


def test_a_change_of_a_handmade_extractor_needs_a_new_version():
    """If this fails, raise HANDMADE_VERSION and write the new sums: kept features are known by it."""
    from sparring.features.extractor import HANDMADE_VERSION

    images = noise(50, 16, 16, 3)
    sums = {name: float(np.square(handmade(name).features(images)).sum()) for name in ("pixels", "hog", "hog+colours")}
    assert HANDMADE_VERSION == 2
    assert sums == pytest.approx({"pixels": 12834.33, "hog": 2205.091, "hog+colours": 2816.676}, rel=1e-4)


# The network that learns from the images


def digits(count=600):
    """Embedded handwritten digits, uint8 [N,8,8,1] from 0 to 255, and their classes."""
    found = load_digits()
    return (found.images[:count] * 15.9).astype(np.uint8)[..., None], found.target[:count].astype(np.int64)


NAMES = tuple("zero one two three four five six seven eight nine".split())


def test_it_learns_the_classes_of_its_images_and_says_how_well():
    x, y = digits(1000)
    reported = []
    extractor = own(x[:800], y[:800], NAMES, reported.append, precision="fp32", length=8_000)
    fresh = (extractor.named(x[800:]) == y[800:]).mean()
    assert fresh > 0.85  # chance: 0.1
    held = learned.held_out_images(y[:800], 0)
    assert extractor.accuracy == (extractor.named(x[:800])[held] == y[:800][held]).mean()
    assert abs(extractor.accuracy - fresh) < 0.08
    assert extractor.accuracy_of == f"{held.sum()} held-out training images, classes" and 70 < held.sum() < 90
    assert extractor.classes == NAMES and extractor.logits(x[:5]).shape == (5, 10)
    features = extractor.features(x[:800])
    assert features.shape == (800, extractor.width) and np.square(features).mean() == pytest.approx(1, abs=1e-3)
    assert reported[-1] == Progress("images", 8_000, 8_000, "training the extractor") and len(reported) == 63


def test_held_out_images_are_not_learned_from(monkeypatch):
    x, y = digits(200)
    seen = {}
    monkeypatch.setattr(learned, "training", lambda recipe, state, data, **more: seen.update(data["all"]) or iter(()))
    own(x, y, precision="fp32", length=8_000)
    held = learned.held_out_images(y, 0)
    assert (seen["x"].numpy() == x[~held]).all() and (seen["y"].numpy() == y[~held]).all()
    assert all(held[y == k].sum() == round((y == k).sum() / 10) for k in range(10))


def test_the_same_images_give_the_same_network_once(monkeypatch):
    x, y = digits(250)
    first = own(x, y, precision="fp32", length=8_000)
    forget()
    monkeypatch.setattr(learned, "trained", None)  # a second training would fail
    again = own(x, y, precision="fp32", length=8_000)
    assert again.hash == first.hash and (again.features(x) == first.features(x)).all()
    monkeypatch.undo()


def test_training_again_gives_the_same_network_and_another_seed_another(monkeypatch, tmp_path):
    x, y = digits(250)
    hashes = []
    for place, seed in (("a", 0), ("b", 0), ("c", 1)):
        monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / place))
        hashes.append(own(x, y, precision="fp32", length=1000, seed=seed).hash)
    assert hashes[0] == hashes[1] != hashes[2]


def test_no_stopwatch_decides_the_network(monkeypatch, tmp_path):
    """From a cold cache it is always the same, whatever was faster at that moment."""
    x, y = digits(250)
    hashes = []
    for place, precision in (("a", "auto"), ("b", "auto"), ("c", choose_precision("auto"))):
        monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / place))
        monkeypatch.setattr("sparring.games.training.fastest_precision", None)
        hashes.append(own(x, y, precision=precision, length=500).hash)
    assert len(set(hashes)) == 1
    trained = []
    monkeypatch.setattr(learned, "trained", lambda *given: trained.append(given[3]) or 1 / 0)
    monkeypatch.setattr(learned, "choose_precision", lambda *_: "bf16")
    with pytest.raises(ZeroDivisionError):
        own(x, y, precision="auto", length=501)
    assert trained == ["bf16"]


def test_nothing_but_the_images_content_decides():
    x, y = digits(250)
    first = own(x, y, precision="fp32", length=128).hash
    other = x.copy()
    other[3, 3, 3] ^= 1
    assert own(other, y, precision="fp32", length=128).hash != first
    assert own(x, y[::-1].copy(), precision="fp32", length=128).hash != first
    assert own(x.copy(), y.copy(), precision="fp32", length=128).hash == first


def test_without_labels_it_tells_clusters_apart():
    x, y = digits(900)
    extractor = own(x, precision="fp32", length=8_000)
    assert extractor.classes == () and extractor.logits(x) is None and extractor.named(x) is None
    assert extractor.accuracy > 0.3 and extractor.accuracy_of.endswith("held-out training images, clusters")
    features = extractor.features(x)
    assert np.square(features).mean() == pytest.approx(1, abs=1e-3)
    apart = cdist(features, features) + np.diag(np.full(len(x), np.inf))
    assert (y[apart.argmin(1)] == y).mean() > 0.85  # the nearest image is mostly of the same class


@pytest.mark.parametrize(("known", "classes"), [(0, 10), (199, 10), (600, 1)])
def test_too_few_labels_count_as_none(known, classes):
    _, y = digits()
    labels = np.where(np.arange(600) < known, y % classes, -1)
    assert learned._usable(labels) is None


def test_enough_labels_are_used_and_those_without_left_out():
    x, y = digits()
    labels = np.where(np.arange(600) < 200, y, -1)
    assert learned._usable(labels) is labels
    assert own(x, labels, NAMES, precision="fp32", length=128).accuracy_of.startswith("20 held-out")
    assert own(x, labels, precision="fp32", length=128).classes == tuple("0123456789")


@pytest.mark.parametrize("shape", [(40, 9, 33, 3), (40, 130, 90, 1), (40, 28, 28, 1)])
def test_any_size_and_colour(shape):
    images = noise(*shape)
    extractor = own(images, precision="fp32", length=256)
    features = extractor.features(images)
    assert np.isfinite(features).all() and len(features) == 40
    alone = np.concatenate([extractor.compute(images[i : i + 1])[0] for i in range(40)])
    assert np.allclose(features, alone, atol=1e-3)  # an image's features do not depend on those beside it
    other = noise(4, shape[1], shape[2] + 1, shape[3])
    with pytest.raises(DataError, match=re.escape(f"{shape[1]} x {shape[2] + 1} x {shape[3]}, the extractor own")):
        extractor.features(other)


def test_what_cannot_be_learned_from_is_said():
    with pytest.raises(DataError, match="own learns from at least 30 images, these are 29"):
        own(noise(29, 8, 8, 1))
    with pytest.raises(DataError, match="40 images that are all alike"):
        own(np.full((40, 8, 8, 1), 9, np.uint8))


def test_large_images_are_shrunk_as_pillow_does_it():
    assert seen_size(64, 64) == (64, 64) and seen_size(128, 96) == (64, 48)
    assert seen_size(1000, 20) == (64, 8) and seen_size(5, 200) == (5, 64)
    images = noise(3, 150, 100, 3)
    for image, small in zip(images, shrunk(images), strict=True):
        wanted = np.asarray(Image.fromarray(image).resize((43, 64), Image.Resampling.BILINEAR)).astype(int)
        assert abs(small - wanted).max() <= 1
    assert shrunk(images[:, :64, :64]).shape == (3, 64, 64, 3)
    index = np.array([2, 0, 2])
    for some in (images, images[:, :64, :64]):
        assert (shrunk(some, index) == shrunk(some)[index]).all()


def test_handcrafted_features_are_those_of_the_shrunk_images():
    images = noise(20, 150, 100, 1)
    small = shrunk(images)
    assert small.shape == (20, 64, 43, 1)
    for name in EXTRACTORS:
        assert (extract(name, images) == extract(name, small)).all()
        assert (handmade(name).features(images) == extract(name, small)).all()
    assert extract("pixels", images).shape == (20, 64 * 43) and "shrunk to 64" in handmade("hog").resize
    assert shrunk(small) is small


def test_no_image_is_mirrored():
    views = [view for view in walk(learned.RECIPE) if isinstance(view, View)]
    assert views and all(view.of == Batch("x") and not view.flip for view in views)


def test_training_grows_more_slowly_than_the_data_and_has_an_end():
    from sparring.nets.layers import DataSpec

    shown = [learned.training_length(n, DataSpec(3, 32, 32, 10)) for n in (100, 1000, 10_000, 100_000)]
    assert shown[2] == pytest.approx(251_189, rel=0.01) and shown[3] == 400_000
    assert shown[0] < shown[1] < shown[2] and shown[0] / 100 > shown[1] / 1000 > shown[2] / 10_000
    assert learned.training_length(10_000, DataSpec(3, 47, 47, 10)) < shown[2] / 2


def test_the_global_random_state_is_left_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    x, y = digits(250)
    own(x, y, precision="fp32", length=128).features(x)
    assert (torch.random.get_rng_state() == before).all()


def test_centred_features_vary_alike_but_what_hardly_varies_stays_small():
    random = np.random.default_rng(0)
    features = (random.normal(3, 1, (4000, 6)) * [1, 2, 4, 0.001, 10, 0]).astype(np.float32)
    mean, scale = learned.centring(features, 4)
    found = (features - mean) / scale
    assert abs(found.mean(0)).max() < 1e-4 and np.square(found).mean() == pytest.approx(1, rel=1e-4)
    spread = found.std(0)
    assert spread[1] == pytest.approx(spread[2], rel=1e-4) == pytest.approx(spread[4], rel=1e-4)
    block = features.astype(np.float64)[:, :4].std(0)
    floor = np.sqrt(np.square(block).mean()) / 3  # 0.76: below the first column's 1
    assert spread[0] == pytest.approx(spread[1], rel=1e-4)
    assert spread[3] / spread[1] == pytest.approx(block[3] / floor, rel=1e-3) and spread[5] == 0
    assert (learned.centring(np.zeros((5, 3), np.float32), 2)[1] == 1).all()


def test_the_number_of_threads_does_not_change_the_network(monkeypatch, tmp_path):
    images, before, found = noise(60, 32, 32, 3), torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / str(threads)))
            torch.set_num_threads(threads)
            found.append(own(images, precision="fp32", length=600).hash)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]
