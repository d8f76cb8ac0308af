"""Features of the built-in pretrained network: against the network itself, whatever the precision, from the cache."""

import numpy as np
import pytest
import torch

from sparring.errors import DataError, MachineError
from sparring.features import imagenet, pretrained, pretrained_features
from sparring.images import to_unit
from sparring.nets.efficientnet import Body, enlarged, imagenet_weights


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    yield
    pretrained._imagenet.cache_clear()


def photos(count, height=24, width=20, channels=3, seed=0):
    """Smooth random images: noise alone is like nothing that the network has seen."""
    random = np.random.default_rng(seed)
    small = torch.from_numpy(random.uniform(0, 255, (count, channels, 4, 4)).astype(np.float32))
    large = torch.nn.functional.interpolate(small, (height, width), mode="bilinear")
    return np.ascontiguousarray(large.permute(0, 2, 3, 1).numpy().astype(np.uint8))


def test_small_images_are_enlarged_five_times():
    assert [pretrained.features_at(side, side)[0] for side in (8, 28, 32, 64, 300)] == [64, 128, 160, 224, 224]


def at_precision(precision, monkeypatch):
    monkeypatch.setattr(pretrained, "choose_precision", lambda _: precision)
    pretrained._imagenet.cache_clear()
    return imagenet(device="cpu")


@torch.inference_mode()
def wanted(images, size):
    """Means of the last layer and of four depths of the network as it is trained, one image after the other."""
    body, rows = Body().eval(), []
    body.load_state_dict(imagenet_weights())
    for image in images:
        x = enlarged(to_unit(torch.from_numpy(image[None])), size)
        rows.append(torch.cat([found.mean((2, 3))[0] for found in (body(x), *body.maps(x))]))
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("channels", [1, 3])
def test_features_are_the_means_of_the_networks_layers(channels, monkeypatch):
    images = photos(5, channels=channels)  # 24 x 20 is seen at 128 x 96
    monkeypatch.setattr(pretrained, "SEEN_AT_ONCE", 2 * 128 * 96)  # chunks of 2
    found = at_precision("fp32", monkeypatch).features(images)
    assert found.shape == (5, 1280 + 24 + 40 + 112 + 320) and found.dtype == np.float32
    size = pretrained.features_at(24, 20)
    np.testing.assert_allclose(found, wanted(images, size), atol=2e-4, rtol=1e-3)


def test_bf16_gives_nearly_the_same_is_cached_apart_and_has_the_same_hash(monkeypatch):
    images = photos(4)
    exact, rounded = (at_precision(precision, monkeypatch) for precision in ("fp32", "bf16"))
    assert exact.hash == rounded.hash and exact.rounding != rounded.rounding
    a, b = exact.features(images), rounded.features(images)
    assert not np.array_equal(a, b)
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert (cosine > 0.995).all()


def test_features_come_from_the_disk_the_second_time(monkeypatch):
    images, reported = photos(3), []
    first = pretrained_features(images, device="cpu", progress=reported.append)
    assert [(said.done, said.total) for said in reported] == [(3, 3)] and not first.flags.writeable
    monkeypatch.setattr(pretrained, "all_depths", None)  # cannot be computed any more
    np.testing.assert_array_equal(pretrained_features(images, device="cpu"), first)
    with pytest.raises(TypeError):
        pretrained_features(photos(3, seed=1), device="cpu")


def test_training_the_network_does_not_change_the_features():
    before = imagenet_weights()["stem.weight"].clone()
    body = pretrained.frozen_body()
    assert not any(p.requires_grad for p in body.parameters()) and not body.training
    assert torch.equal(imagenet_weights()["stem.weight"], before) and not torch.equal(body.stem.weight, before)


def test_what_is_no_image_and_what_is_no_device_are_refused():
    with pytest.raises(DataError, match=r"uint8 \[N,H,W,C\]"):
        pretrained_features(np.zeros((2, 8, 8, 2), np.uint8))
    with pytest.raises(MachineError, match="no device 'tpu'"):
        pretrained_features(photos(1), device="tpu")
