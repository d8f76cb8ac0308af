"""EfficientNet-Lite0: its arithmetic against a flat script, its weights, sizes and inputs."""

import hashlib

import pytest
import torch
import torch.nn.functional as F

from sparring.errors import FileFormatError, MachineError
from sparring.features import pretrained
from sparring.nets import efficientnet
from sparring.nets.efficientnet import (
    STAGES,
    Body,
    EfficientNetLite0,
    enlarged,
    imagenet_weights,
    seen_at,
    shipped_weights,
)
from sparring.nets.layers import DataSpec


def same_padded(x, weight, stride, groups):
    """A convolution with TensorFlow's "same" padding, written out."""
    kernel = weight.shape[2]
    for axis in (2, 3):
        total = max((-(-x.shape[axis] // stride) - 1) * stride + kernel - x.shape[axis], 0)
        before, after = total // 2, total - total // 2
        x = F.pad(x, (0, 0, before, after) if axis == 2 else (before, after, 0, 0))
    return F.conv2d(x, weight, None, stride, groups=groups)


def flat(shipped, x):
    """The whole network from the shipped tensors, batch norm by its formula, layer after layer."""

    def norm(x, name):
        gain, offset, mean, variance = (
            shipped[f"{name}.{part}"][:, None, None] for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / torch.sqrt(variance + 0.001) * gain + offset

    x = norm(same_padded(x, shipped["_conv_stem.weight"], 2, 1), "_bn0").clamp(0, 6)
    number, channels = 0, 32
    for expansion, width, layers, stage_stride, _ in STAGES:
        for layer in range(layers):
            name, start, stride = f"_blocks.{number}", x, stage_stride if layer == 0 else 1
            if expansion > 1:
                x = norm(F.conv2d(x, shipped[f"{name}._expand_conv.weight"]), f"{name}._bn0").clamp(0, 6)
            depthwise = shipped[f"{name}._depthwise_conv.weight"]
            x = norm(same_padded(x, depthwise, stride, len(depthwise)), f"{name}._bn1").clamp(0, 6)
            x = norm(F.conv2d(x, shipped[f"{name}._project_conv.weight"]), f"{name}._bn2")
            if stride == 1 and channels == width:
                x = x + start
            channels, number = width, number + 1
    return norm(F.conv2d(x, shipped["_conv_head.weight"]), "_bn1").clamp(0, 6)


@pytest.mark.parametrize("size", [(64, 64), (96, 64), (75, 101)])
def test_the_network_computes_what_the_layers_written_out_compute(size):
    body = Body().eval()
    body.load_state_dict(imagenet_weights())
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(body(x), flat(shipped_weights(), x), atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_relu6_within_the_convolution_gives_the_same_values(monkeypatch, dtype):
    body = pretrained.frozen_body().to(dtype).to(memory_format=torch.channels_last)
    x = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0)).to(dtype)
    x = x.contiguous(memory_format=torch.channels_last)
    passes = []
    if efficientnet.ONE_PASS is not None:
        one_pass = efficientnet.ONE_PASS
        monkeypatch.setattr(efficientnet, "ONE_PASS", lambda *given: passes.append(1) or one_pass(*given))
    with torch.inference_mode():
        quick = body(x)
    assert len(passes) in (0, 49)  # of every convolution, where torch has the operator
    with_gradients = body(x)  # the plain way
    torch.testing.assert_close(quick, with_gradients, rtol=1e-2 if dtype == torch.bfloat16 else 1e-4, atol=1e-2)


@pytest.mark.parametrize("size", [(64, 64), (96, 160)])
def test_turned_by_180_degrees_it_computes_the_same(size):
    body, x = pretrained.frozen_body(), torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    maps = body.maps(x)
    for found, turned in zip(maps, efficientnet.turn(body).maps(x.flip(2, 3)), strict=True):
        torch.testing.assert_close(turned.flip(2, 3), found, rtol=1e-4, atol=1e-4)


def test_maps_of_four_depths():
    body = Body().eval()
    shapes = [tuple(found.shape[1:]) for found in body.maps(torch.zeros(1, 3, 64, 64))]
    assert shapes == [(24, 16, 16), (40, 8, 8), (112, 4, 4), (320, 2, 2)]


def test_inputs_are_v_minus_127_over_128():
    values = torch.tensor([0.0, 127.0, 255.0])
    x = enlarged((values / 127.5 - 1).expand(1, 1, 3, 3), (3, 3))
    torch.testing.assert_close(x[0, 0, 0], (values - 127) / 128)
    assert x.shape == (1, 3, 3, 3)


@pytest.mark.parametrize(
    ("size", "seen"),
    [((8, 8), (64, 64)), ((28, 28), (128, 128)), ((32, 32), (128, 128)), ((64, 64), (224, 224)),
     ((224, 224), (224, 224)), ((300, 224), (288, 224)), ((32, 64), (128, 256)), ((500, 400), (288, 224))],
)  # fmt: skip
def test_the_size_at_which_images_are_seen(size, seen):
    assert seen_at(*size) == seen


def test_the_trunk_starts_from_the_weights_of_imagenet_or_not():
    data_spec = DataSpec(1, 32, 32, 3)
    trunk, width = EfficientNetLite0().trunk(data_spec, 1)
    with torch.inference_mode():
        assert trunk(torch.zeros(2, 1, 32, 32)).shape == (2, width) == (2, 1280)
    plain, _ = EfficientNetLite0(pretrained=False).trunk(data_spec, 1)
    wanted = imagenet_weights()["stem.weight"]
    assert torch.equal(trunk.body.stem.weight, wanted) and not torch.equal(plain.body.stem.weight, wanted)


def test_weights_are_read_only_from_the_file_that_is_known(tmp_path, monkeypatch):
    monkeypatch.setattr(efficientnet, "cache_folder", lambda: tmp_path)
    efficientnet.imagenet_weights.cache_clear()
    first = imagenet_weights()
    kept = list((tmp_path / "pretrained").iterdir())
    assert len(kept) == 1 and kept[0].suffix == ".safetensors"
    efficientnet.imagenet_weights.cache_clear()
    monkeypatch.setattr(efficientnet, "SHA256", hashlib.sha256(b"another").hexdigest())
    with pytest.raises(FileFormatError, match=r"is not the file of version 0\.1\.0"):
        imagenet_weights()
    monkeypatch.undo()
    efficientnet.imagenet_weights.cache_clear()
    assert all(torch.equal(first[name], value) for name, value in imagenet_weights().items())


def test_a_missing_package_is_said(monkeypatch):
    monkeypatch.setattr(efficientnet, "PACKAGE", "no_such_package_here")
    with pytest.raises(MachineError, match="--pretrained none"):
        shipped_weights()


def test_depthwise_gradients_in_bf16_are_computed_in_float32(monkeypatch):
    """On a CPU bf16 is many times as slow there. Gradients are those of float32, up to rounding."""
    torch.manual_seed(0)
    layer = efficientnet.Convolution(16, 16, 5, stride=2, groups=16)
    x = torch.randn(2, 16, 9, 9)
    seen = []
    convolve = F.conv2d
    monkeypatch.setattr(F, "conv2d", lambda x, *rest, **more: seen.append(x.dtype) or convolve(x, *rest, **more))
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(x.bfloat16())
        assert out.dtype == torch.bfloat16
        out.float().square().sum().backward()
        with torch.no_grad():
            layer(x.bfloat16())
    assert seen == [torch.float32, torch.bfloat16]
    fast, layer.weight.grad = layer.weight.grad, None
    layer(x).square().sum().backward()
    assert torch.nn.functional.cosine_similarity(fast.flatten(), layer.weight.grad.flatten(), 0) > 0.999
