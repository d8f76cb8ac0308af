"""Published encoders, from small folders with random weights that the real library writes."""

import hashlib
import importlib
import importlib.util
import json
import re
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file

from sparring.errors import FileFormatError, MachineError, SparringError, UsageError
from sparring.features import encoder, encoders
from sparring.features.encoder_files import hub_folder, weight_files
from sparring.features.inception import SIDE, Inception, block_a, block_d, block_e
from sparring.features.preprocessing import Preparation, preparation_of

PREPROCESSOR = {
    "do_resize": True, "size": {"shortest_edge": 32}, "resample": 3, "do_center_crop": True,
    "crop_size": {"height": 28, "width": 28}, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
    "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
    "image_processor_type": "BitImageProcessor",
}  # fmt: skip


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def tiny(name):
    """A small model with random weights."""
    transformers = pytest.importorskip("transformers")
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = {**small, "intermediate_size": 64, "image_size": 28, "patch_size": 7}
    text = {**small, "intermediate_size": 64, "vocab_size": 64, "bos_token_id": 0, "eos_token_id": 1}
    torch.manual_seed(0)
    match name:
        case "dinov2":
            return transformers.Dinov2Model(transformers.Dinov2Config(**small, image_size=28, patch_size=14))
        case "clip-vision":
            return transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**vision))
        case "clip":
            config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)
            return transformers.CLIPModel(config)
        case "siglip":
            del text["bos_token_id"], text["eos_token_id"]
            config = transformers.SiglipConfig(text_config={**text, "projection_size": 32}, vision_config=vision)
            return transformers.SiglipModel(config)
        case "vit":  # a classifier, as many are published: without the layer that pools
            return transformers.ViTForImageClassification(transformers.ViTConfig(**vision))
        case "resnet":
            config = transformers.ResNetConfig(
                embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"
            )
            return transformers.ResNetModel(config)
    raise KeyError(name)


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """name -> a folder as save_pretrained writes it, made when first asked for."""
    root, made = tmp_path_factory.mktemp("encoders"), {}

    def folder(name):
        if name not in made:
            tiny(name).save_pretrained(root / name)
            (root / name / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
            made[name] = root / name
        return made[name]

    return folder


def expected_features(folder, images, pool):
    """By the library's own image processor and model."""
    transformers = importlib.import_module("transformers")
    with encoders.quiet_transformers(transformers):
        model = transformers.AutoModel.from_pretrained(folder, local_files_only=True).eval()
        process = transformers.AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    x = process([Image.fromarray(image) for image in images], return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        return pool(model, x).numpy()


@pytest.mark.parametrize(
    ("name", "called", "pool"),
    [
        ("dinov2", "dinov2", lambda model, x: model(x).last_hidden_state[:, 0]),
        ("clip-vision", "clip", lambda model, x: model(x).pooler_output),
        ("clip", "clip", lambda model, x: model.visual_projection(model.vision_model(x).pooler_output)),
        ("siglip", "encoder", lambda model, x: model.vision_model(x).pooler_output),
        ("vit", "encoder", lambda model, x: model(x).last_hidden_state[:, 0]),
        ("resnet", "encoder", lambda model, x: model(x).last_hidden_state.mean((2, 3))),
    ],
)
def test_features_are_those_of_the_library(folders, name, called, pool):
    folder, images = folders(name), noise(5, 40, 48, 3)
    found = encoder(called, folder)
    features = found.features(images)
    wanted = expected_features(folder, images, pool)
    assert features.shape == wanted.shape == (5, found.width) and features.dtype == np.float32
    assert abs(features - wanted).max() < 0.02 * wanted.std()  # rounding of resized pixels may differ by one level
    assert found.weights == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert "shorter side is resized to 32 pixels (bicubic, antialiased), the middle 28 x 28" in found.resize
    grey = noise(3, 40, 40, 1)
    assert np.allclose(found.features(grey), found.features(np.repeat(grey, 3, axis=3)), atol=1e-5)


def test_the_hash_follows_weights_and_preparation(folders, tmp_path):
    first = encoder("dinov2", folders("dinov2"))
    other = tmp_path / "other"
    shutil.copytree(folders("dinov2"), other)
    assert encoder("dinov2", other).hash == first.hash
    assert encoder("dinov2", other / "model.safetensors").hash == first.hash
    (other / "preprocessor_config.json").write_text(json.dumps({**PREPROCESSOR, "resample": 2}))
    assert encoder("dinov2", other).hash != first.hash and encoder("dinov2", other).weights == first.weights
    (other / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "transformers_version": "0"}))
    assert encoder("dinov2", other).hash == first.hash
    (other / "config.json").write_text(json.dumps({**config, "hidden_act": "relu"}))
    assert encoder("dinov2", other).hash != first.hash  # the same weights in another network
    weights = load_file(other / "model.safetensors")
    weights["layernorm.bias"] += 1
    save_file(weights, other / "model.safetensors", {"format": "pt"})
    assert encoder("dinov2", other).weights != first.weights


def test_weights_other_than_expected_are_refused_with_both_hashes(folders):
    found = encoder("dinov2", folders("dinov2")).weights
    assert encoder("dinov2", folders("dinov2"), expected=found.upper()).weights == found
    assert encoder("dinov2", folders("dinov2"), expected=found[:8]).weights == found
    with pytest.raises(FileFormatError, match=rf"have the sha256 {found}, expected was 0123456789"):
        encoder("dinov2", folders("dinov2"), expected="0123456789")
    with pytest.raises(UsageError, match="'abc' has 3 digits"):
        encoder("dinov2", folders("dinov2"), expected="abc")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pth"])
def test_a_pickle_is_refused_with_the_reason(folders, tmp_path, name):  # S01
    folder = tmp_path / "pickled"
    shutil.copytree(folders("dinov2"), folder)
    (folder / "model.safetensors").rename(folder / name)
    for source in (folder, folder / name):
        with pytest.raises(FileFormatError, match=rf"{name} is not read: a pickle .* runs whatever code"):
            encoder("dinov2", source)


@pytest.mark.parametrize("raw", [b"\x80\x04\x95\x10" + bytes(50), (1 << 62).to_bytes(8, "little"), b"PK"])
def test_a_header_that_is_too_long_is_called_so(folders, tmp_path, raw):  # S02, S06
    folder = tmp_path / "odd"
    shutil.copytree(folders("dinov2"), folder)
    (folder / "model.safetensors").write_bytes(raw)
    with pytest.raises(FileFormatError, match=rf"odd/model\.safetensors is no safetensors file, of {len(raw)} bytes"):
        encoder("dinov2", folder)


def test_no_name_leads_out_of_a_model(tmp_path):  # S15, S16
    (tmp_path / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "../../secret.safetensors", "b": "/etc/passwd", "c": "x/../../../y"}})
    )
    assert {path.parent for path in weight_files(tmp_path)} == {tmp_path}
    for name in ("../../etc", "a/../b", "/etc", "http://example.com/x", "me:secret@host/x", "x@y"):
        with pytest.raises(SparringError, match="encoder"):
            hub_folder(name)


def test_what_is_missing_is_named(folders, tmp_path):
    with pytest.raises(FileFormatError, match=r"no folder .*nowhere, and no model of that name in the hub's cache"):
        encoder("dinov2", tmp_path / "nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(FileFormatError, match=r"empty holds no model\.safetensors"):
        encoder("dinov2", empty)
    folder = tmp_path / "folder"
    shutil.copytree(folders("dinov2"), folder)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(FileFormatError, match=r"no preprocessor_config\.json, which says how"):
        encoder("dinov2", folder)
    with pytest.raises(UsageError, match="did you mean dinov2"):
        encoder("dino2", folder)
    with pytest.raises(UsageError, match="of type 'dinov2', not clip"):
        encoder("clip", folders("dinov2"))


def test_weights_that_the_model_needs_are_never_made_up(folders, tmp_path):
    folder = tmp_path / "folder"
    shutil.copytree(folders("dinov2"), folder)
    weights = load_file(folder / "model.safetensors")
    del weights["layernorm.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        FileFormatError, match=r"lacks 1 weights that its config\.json asks for, such as layernorm\.weight"
    ):
        encoder("dinov2", folder)
    (folder / "model.safetensors").write_bytes((folders("dinov2") / "model.safetensors").read_bytes()[:5000])
    with pytest.raises(FileFormatError, match="does not work as an image model"):
        encoder("dinov2", folder)


def test_a_model_in_several_files(folders, tmp_path):
    folder = tmp_path / "parts"
    tiny("dinov2").save_pretrained(folder, max_shard_size="20KB")
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    assert len(list(folder.glob("*.safetensors"))) > 1
    whole, parts, images = encoder("dinov2", folders("dinov2")), encoder("dinov2", folder), noise(2, 32, 32, 3)
    assert (whole.features(images) == parts.features(images)).all() and whole.weights != parts.weights
    next(folder.glob("*.safetensors")).unlink()
    with pytest.raises(FileFormatError, match="cannot read .*safetensors: No such file"):
        encoder("dinov2", folder)


def test_a_name_is_found_in_the_hubs_cache(folders, tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    model = tmp_path / "hub" / "models--someone--tiny"
    shutil.copytree(folders("dinov2"), model / "snapshots" / ("a" * 40))
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("a" * 40)
    assert encoder("dinov2", "someone/tiny").hash == encoder("dinov2", folders("dinov2")).hash
    with pytest.raises(FileFormatError, match="hf download someone/other"):
        encoder("dinov2", "someone/other")


def test_an_absent_library_is_said_plainly(folders, monkeypatch):
    folder, find = folders("dinov2"), importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "transformers" else find(name))
    with pytest.raises(
        MachineError, match=r"transformers, which is not installed.*install -c constraints.txt '.\[encoders\]'"
    ):
        encoder("dinov2", folder)


def test_a_broken_torchvision_is_said_plainly(folders, tmp_path, monkeypatch):
    folder = folders("dinov2")
    if importlib.util.find_spec("torchvision"):
        pytest.skip("there is a torchvision")
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("raise RuntimeError('operator nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MachineError, match=r"torchvision cannot be imported .*operator nms.*pip uninstall torchvision"):
        encoder("dinov2", folder)


# Inception


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A file of random weights, named as the usual copies name them."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("inception") / "inception-2015-12-05.safetensors"
    state = Inception().state_dict()
    for name, tensor in state.items():
        if name.endswith("running_mean"):
            tensor.normal_(0, 0.1)
    save_file({name: t for name, t in state.items() if "num_batches" not in name}, file)
    return file


def test_inception_has_the_published_size_and_names():
    net = Inception()
    # torchvision's inception_v3 has 27,161,264 weights, 3,326,696 of them in the auxiliary classifier; ours names 1,008
    assert sum(p.numel() for p in net.parameters()) == 27_161_264 - 3_326_696 + 8 * 2049
    names = set(net.state_dict())
    assert sum(name.endswith(".conv.weight") for name in names) == 94
    assert {"Mixed_5b.branch3x3dbl_3.bn.running_var", "Mixed_6e.branch7x7dbl_5.conv.weight"} <= names
    assert {"Mixed_7a.branch7x7x3_4.bn.bias", "Mixed_7c.branch3x3dbl_3b.conv.weight", "fc.weight"} <= names
    pools = {name: layer.chains[-1][0] for name, layer in net.named_children() if name.startswith("Mixed")}
    assert [name for name, pool in pools.items() if pool == "max"] == ["Mixed_7c"]
    assert [name for name, pool in pools.items() if pool == "half"] == ["Mixed_6a", "Mixed_7a"]
    sides = {}
    for name, layer in net.named_children():
        layer.register_forward_hook(lambda module, given, out, name=name: sides.update({name: tuple(out.shape[1:])}))
    with torch.inference_mode():
        assert net.eval()(torch.zeros(1, 3, SIDE, SIDE)).shape == (1, 2048)
    assert (
        sides["Mixed_5d"] == (288, 35, 35) and sides["Mixed_6e"] == (768, 17, 17) and sides["Mixed_7c"] == (2048, 8, 8)
    )


def flat(block, x, name, **how):
    """One layer of a block, written out."""
    layer = getattr(block, name)
    x = F.conv2d(x, layer.conv.weight, **how)
    return F.relu(
        F.batch_norm(x, layer.bn.running_mean, layer.bn.running_var, layer.bn.weight, layer.bn.bias, eps=1e-3)
    )


@torch.no_grad()
def test_the_blocks_of_inception_are_those_of_the_paper():
    torch.manual_seed(0)
    x, a, d, e = torch.randn(2, 16, 9, 9), block_a(16, 8).eval(), block_d(16).eval(), block_e(16, "max").eval()
    for block in (a, d, e):
        for module in block.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_()
    ones = F.conv2d(torch.ones(1, 1, 9, 9), torch.ones(1, 1, 3, 3), padding=1)  # pixels there are under a window
    mean = F.conv2d(x, torch.ones(16, 1, 3, 3), padding=1, groups=16) / ones
    double = flat(a, flat(a, flat(a, x, "branch3x3dbl_1"), "branch3x3dbl_2", padding=1), "branch3x3dbl_3", padding=1)
    five = flat(a, flat(a, x, "branch5x5_1"), "branch5x5_2", padding=2)
    wanted = torch.cat([flat(a, x, "branch1x1"), five, double, flat(a, mean, "branch_pool")], 1)
    assert torch.allclose(a(x), wanted, atol=1e-5)

    once = flat(d, flat(d, x, "branch3x3_1"), "branch3x3_2", stride=2)
    row = flat(d, flat(d, x, "branch7x7x3_1"), "branch7x7x3_2", padding=(0, 3))
    twice = flat(d, flat(d, row, "branch7x7x3_3", padding=(3, 0)), "branch7x7x3_4", stride=2)
    assert torch.allclose(d(x), torch.cat([once, twice, F.max_pool2d(x, 3, 2)], 1), atol=1e-5)

    h = flat(e, x, "branch3x3_1")
    once = [flat(e, h, "branch3x3_2a", padding=(0, 1)), flat(e, h, "branch3x3_2b", padding=(1, 0))]
    h = flat(e, flat(e, x, "branch3x3dbl_1"), "branch3x3dbl_2", padding=1)
    twice = [flat(e, h, "branch3x3dbl_3a", padding=(0, 1)), flat(e, h, "branch3x3dbl_3b", padding=(1, 0))]
    pooled = flat(e, F.max_pool2d(x, 3, 1, 1), "branch_pool")
    assert torch.allclose(e(x), torch.cat([flat(e, x, "branch1x1"), *once, *twice, pooled], 1), atol=1e-5)


def test_inception_from_a_file(weights):
    found, images = encoder("inception", weights), noise(2, 32, 32, 3)
    assert found.weights == hashlib.sha256(weights.read_bytes()).hexdigest() and found.width == 2048
    assert (
        found.resize
        == "images are resized to 299 x 299 (bilinear, antialiased), mean 0.5/0.5/0.5, deviation 0.5/0.5/0.5"
    )
    net = Inception()
    net.load_state_dict(load_file(weights), strict=False)
    large = [np.asarray(Image.fromarray(image).resize((299, 299), Image.Resampling.BILINEAR)) for image in images]
    with torch.no_grad():
        wanted = net.eval()(torch.tensor(np.stack(large)).permute(0, 3, 1, 2) / 127.5 - 1).numpy()
    assert abs(found.features(images) - wanted).max() < 0.02 * wanted.std()
    with pytest.raises(FileFormatError, match="expected was 00000000"):
        encoder("inception", weights, expected="00000000")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: {"fc.bias": torch.zeros(1000)}, "names 1,000 classes"),
        (
            lambda t: {name: v for name, v in t.items() if "7b.branch1x1" not in name},
            "5 tensors are missing or too many",
        ),
        (lambda t: t | {"Mixed_7b.branch1x1.bn.bias": torch.zeros(3)}, "size mismatch"),
    ],
)
def test_other_networks_are_not_taken_for_inception(weights, tmp_path, change, said):
    tensors = load_file(weights)
    save_file(change(tensors), tmp_path / "other.safetensors")
    with pytest.raises(FileFormatError, match=f"does not hold Inception as Frechet distances use it: .*{said}"):
        encoder("inception", tmp_path / "other.safetensors")


def test_files_that_are_no_weights_are_refused(tmp_path, folders):
    (tmp_path / "inception.pt").write_bytes(b"PK")
    with pytest.raises(FileFormatError, match="a TorchScript file runs whatever code is in it"):
        encoder("inception", tmp_path / "inception.pt")
    (tmp_path / "weights.onnx").write_bytes(b"")
    with pytest.raises(UsageError, match=r"weights\.onnx is no \.safetensors file"):
        encoder("inception", tmp_path / "weights.onnx")
    shutil.copy(folders("dinov2") / "model.safetensors", tmp_path / "other.safetensors")
    with pytest.raises(UsageError, match=r"other\.safetensors is no model\.safetensors"):
        encoder("dinov2", tmp_path / "other.safetensors")


# How images are prepared


@pytest.mark.parametrize("shape", [(40, 56), (56, 40), (20, 24), (32, 32)])
@pytest.mark.parametrize(("number", "filter"), [(2, Image.Resampling.BILINEAR), (3, Image.Resampling.BICUBIC)])
def test_resizing_is_antialiased_as_pillow_does_it(shape, number, filter):
    images = noise(3, *shape, 3)
    prepare = preparation_of({**PREPROCESSOR, "resample": number, "do_normalize": False}, "here")
    found = prepare(images, "cpu").numpy() * 255
    height, width = prepare.target(*shape)
    assert min(height, width) == 32 and abs(height / width - shape[0] / shape[1]) < 0.05
    for image, row in zip(images, found, strict=True):
        whole = np.asarray(Image.fromarray(image).resize((width, height), filter)).astype(float)
        top, left = (height - 28) // 2, (width - 28) // 2
        apart = abs(row.transpose(1, 2, 0) - whole[top : top + 28, left : left + 28])
        assert apart.max() <= 1.001 and apart.mean() < 0.2


@pytest.mark.parametrize(
    "config",
    [
        {"image_processor_type": "ViTImageProcessor", "size": 24, "resample": 2},
        {"image_processor_type": "CLIPImageProcessor", "size": 24, "crop_size": 20, "do_center_crop": True},
        {"image_processor_type": "SiglipImageProcessor", "size": {"height": 24, "width": 20}, "resample": 2},
        {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 24}, "crop_pct": 0.875},
        {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 384}, "crop_pct": 0.875},
    ],
    ids=lambda config: f"{config['image_processor_type']}-{config['size']}",
)
def test_published_preparations_are_followed_as_the_library_does(config, tmp_path):
    transformers = pytest.importorskip("transformers")
    config = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "resample": 3, **config}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    process = transformers.AutoImageProcessor.from_pretrained(tmp_path, local_files_only=True)
    images = noise(2, 40, 56, 3)
    wanted = process([Image.fromarray(image) for image in images], return_tensors="pt")["pixel_values"]
    found = preparation_of(config, "here")(images, "cpu")
    assert found.shape == wanted.shape and abs(found - wanted).mean() < 0.02 * wanted.std()


def test_preparations_that_are_written_otherwise():
    plain = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3}
    square = preparation_of({**plain, "size": {"height": 8, "width": 12}}, "here")
    assert square(noise(2, 30, 30, 1), "cpu").shape == (2, 3, 8, 12)
    images = noise(2, 9, 9, 3)
    same = preparation_of({**plain, "do_resize": False}, "here")
    assert np.allclose(same(images, "cpu").permute(0, 2, 3, 1), (images / 255 - 0.5) / 0.25, atol=1e-6)
    assert same.rule.startswith("images are looked at in their own size")
    assert preparation_of({**plain, "size": 16}, "here").shorter == 16
    small = Preparation((0.0,) * 3, (1.0,) * 3, crop=(12, 11))(np.full((1, 8, 8, 1), 255, np.uint8), "cpu")
    assert small.shape == (1, 3, 12, 11) and small.sum() == 3 * 64 and small[0, 0, 2:10, 1:9].min() == 1


@pytest.mark.parametrize(
    "change",
    [{"resample": 0}, {"rescale_factor": 1}, {"size": {"longest_edge": 32}}, {"crop_pct": 0.9}, {"image_mean": 1}],
)
def test_preparations_that_cannot_be_followed_are_refused(change):
    with pytest.raises(FileFormatError, match=re.escape("here asks for what is not supported")):
        preparation_of({**PREPROCESSOR, **change}, "here")
