"""Fetching an encoder: only where it is asked for, only what is read, from a hub on the loopback interface."""

import html
import json
import shutil
import socket

import numpy as np
import pytest
import torch
from hub import hub
from PIL import Image

from sparring.classifiers import fit, load_model
from sparring.cli import main
from sparring.data import ImageSet
from sparring.errors import FileFormatError, MachineError, UsageError
from sparring.features import encoder, encoders, imagenet
from sparring.features.encoder_files import fetched, hub_folder
from sparring.features.encoders import encoders_of, names_of, place_of, same_encoder
from sparring.study import compare

huggingface_hub = pytest.importorskip("huggingface_hub")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """A tiny network as it lies on the hub, beside files that nobody should fetch."""
    import transformers

    folder = tmp_path_factory.mktemp("published")
    torch.manual_seed(0)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    transformers.Dinov2Model(transformers.Dinov2Config(**small)).save_pretrained(folder)
    prepare = {"size": {"height": 28, "width": 28}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(prepare))
    (folder / "pytorch_model.bin").write_bytes(b"PK")
    (folder / "modeling_tiny.py").write_text("raise SystemExit")
    (folder / "README.md").write_text("# Tiny")
    return folder


@pytest.fixture
def offline(monkeypatch):
    """Whoever opens a socket fails, and no variable of the environment keeps anyone from it."""

    def refuse(*_):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_a_model_is_fetched_once_and_only_what_is_read(published, tmp_path, monkeypatch):
    with hub({"someone/tiny": published}, monkeypatch, tmp_path / "hub") as asked:
        with pytest.raises(FileFormatError, match=r"no model of that name in the hub's cache.*--download"):
            encoder("dinov2", "someone/tiny")
        assert not asked
        said = []
        folder = fetched("someone/tiny", said.append)
        assert said[0].message == "fetching someone/tiny from the hub"
        assert {path.name for path in folder.iterdir()} == {
            "config.json", "model.safetensors", "preprocessor_config.json"
        }  # fmt: skip
        names = {line.rpartition("/")[2] for line in asked if "/resolve/" in line}
        assert names == {"config.json", "model.safetensors", "preprocessor_config.json"}
        count = len(asked)
        assert fetched("someone/tiny") == folder == hub_folder("someone/tiny")  # without asking again
        images = np.random.default_rng(0).integers(0, 256, (3, 20, 20, 3), dtype=np.uint8)
        found, local = encoder("dinov2", "someone/tiny"), encoder("dinov2", published)
        assert found.hash == local.hash and (found.features(images) == local.features(images)).all()
        assert len(asked) == count


def test_a_folder_is_not_asked_for(published, tmp_path, monkeypatch):
    with hub({}, monkeypatch, tmp_path / "hub") as asked:
        assert fetched(str(published)) == published and not asked


def test_what_cannot_be_fetched_is_said(published, tmp_path, monkeypatch):
    pickled = tmp_path / "pickled"
    shutil.copytree(published, pickled)
    (pickled / "model.safetensors").unlink()
    with hub({"someone/pickled": pickled}, monkeypatch, tmp_path / "hub") as asked:
        with pytest.raises(FileFormatError, match="the hub has no model someone/other that may be read from here"):
            fetched("someone/other")
        with pytest.raises(FileFormatError, match=r"holds no model\.safetensors"):
            fetched("someone/pickled")
        assert not [line for line in asked if line.endswith(".bin")]
    with pytest.raises(MachineError, match=r"someone/tiny cannot be fetched from http://127\.0\.0\.1.*name its folder"):
        fetched("someone/tiny")  # the hub is gone
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(MachineError, match="HF_HUB_OFFLINE is set, which forbids it"):
        fetched("someone/tiny")


def test_nothing_connects_without_being_asked(published, offline):  # S41
    encoder("dinov2", published)
    with pytest.raises(FileFormatError, match="no model of that name"):
        encoder("dinov2", "someone/tiny")


# --- a classifier that asks for it -----------------------------------------------------------------------------------


def toys(count=24):
    """Noise, whose class is its colour."""
    y = np.arange(count) % 3
    x = np.random.default_rng(0).integers(0, 200, (count, 16, 16, 3), dtype=np.uint8)
    x[np.arange(count), :, :, y] += 50
    return ImageSet(x, y, ("a", "b", "c"), tuple(map(str, range(count))), np.full(count, "", "<U5"), "toys")


def test_fit_fetches_only_where_it_is_asked_to(published, tmp_path, monkeypatch, capsys):
    with hub({"someone/tiny": published}, monkeypatch, tmp_path / "hub") as asked:
        with pytest.raises(FileFormatError, match="no model of that name in the hub's cache"):
            fit(toys(), method="probe", pretrained="someone/tiny")
        assert not asked
        made = fit(toys(), method="probe", pretrained="someone/tiny", download=True, out=tmp_path / "model")
        assert [line for line in asked if line.endswith("model.safetensors")]
        count = len(asked)
        fit(toys(), method="probe", pretrained="efficientnet-lite0,someone/tiny")
        assert len(asked) == count
    assert made.model.encoder_ == "someone/tiny" and made.model.record_.pretrained == "someone/tiny: features"
    card = (tmp_path / "model" / "README.md").read_text()
    assert "- Started from: someone/tiny: features" in card and "a licence of their own: tiny." in card
    shown = toys().images[:3]
    wanted = made.model.predict_proba(shown)
    assert (load_model(tmp_path / "model").predict_proba(shown) == wanted).all()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "another"))
    with pytest.raises(FileFormatError, match="sees images through the encoder someone/tiny, and there is no folder"):
        load_model(tmp_path / "model")
    moved = load_model(tmp_path / "model", pretrained=str(published))  # the same files elsewhere
    assert (moved.predict_proba(shown) == wanted).all()


def test_a_model_folder_refuses_another_encoder(published, tmp_path, monkeypatch, capsys):
    place = tmp_path / "encoders" / "mine"
    shutil.copytree(published, place)
    monkeypatch.chdir(place.parent)
    fit(toys(), method="probe", pretrained="mine", out=tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    picture = tmp_path / "one.png"
    Image.fromarray(toys().images[0]).save(picture)
    assert main(["classify", str(tmp_path / "model"), str(picture), "--json"]) == 0  # found from another folder
    assert json.loads(capsys.readouterr().out)[0]["pretrained"] == "mine: features"
    config = json.loads((place / "preprocessor_config.json").read_text())
    (place / "preprocessor_config.json").write_text(json.dumps({**config, "image_mean": [0.4] * 3}))
    assert main(["classify", str(tmp_path / "model"), str(picture)]) == 4
    assert "what has that name here has the hash" in capsys.readouterr().err
    shutil.rmtree(place)
    assert main(["classify", str(tmp_path / "model"), str(picture)]) == 4
    assert "--pretrained FOLDER" in capsys.readouterr().err
    assert main(["classify", str(tmp_path / "model"), str(picture), "--pretrained", str(published)]) == 0
    with pytest.raises(UsageError, match="has no encoder"):
        fit(toys(), method="majority", out=tmp_path / "plain")
        load_model(tmp_path / "plain", pretrained=str(published))


def test_a_model_of_the_built_in_network_says_so(tmp_path):
    made = fit(toys(), method="probe", out=tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text()
    assert (
        "- Started from: efficientnet-lite0: features" in card
        and "ImageNet-1k" in card
        and "Apache-2.0" in card
        and "ImageNet-1k" in card
    )
    assert made.model.record_.pretrained in html.unescape(card)
    fit(toys(), method="svm", out=tmp_path / "svm")
    card = (tmp_path / "svm" / "README.md").read_text()
    assert "- Started from: nothing: no other images were used" in card and "ImageNet" not in card


def test_compare_fetches_and_competes(published, tmp_path, monkeypatch):
    with hub({"someone/tiny": published}, monkeypatch, tmp_path / "hub") as asked:
        given = {"methods": ["majority", "probe"], "labels": 3, "repeats": 1, "jobs": 0, "model": False}
        both = "efficientnet-lite0,someone/tiny"
        compare(toys(60), tmp_path / "study", pretrained=both, download=True, **given)
        count = len(asked)
        assert count
        compare(toys(60), tmp_path / "study", pretrained=both, **given)  # goes on, offline
        assert len(asked) == count
    with pytest.raises(UsageError, match="no-pretrained|pretrained"):
        compare(toys(60), tmp_path / "study", pretrained="none", **given)


def test_fit_and_compare_open_no_socket(tmp_path, offline):
    with pytest.raises(FileFormatError, match="no model of that name"):
        encoders_of("someone/tiny")
    fit(toys(), method="probe", pretrained="efficientnet-lite0")
    compare(toys(60), tmp_path / "study", methods=["majority", "probe"], labels=3, repeats=1, jobs=0, model=False)


# --- the setting -----------------------------------------------------------------------------------------------------


def test_the_setting_names_encoders(published, tmp_path, monkeypatch):
    assert names_of("none") == () == encoders_of("none")
    assert names_of("efficientnet-lite0") == ("efficientnet-lite0",)
    assert names_of(f"efficientnet-lite0, {published}") == ("efficientnet-lite0", str(published))
    first, second = encoders_of(f"efficientnet-lite0,{published}", device="cpu")
    assert first is imagenet(device="cpu") and second.name == published.name
    assert second.hash == encoder("dinov2", published).hash  # the judge sees through the same
    assert "dinov2" in second.learned_from and second.weights[:12] in second.learned_from
    monkeypatch.chdir(published.parent)
    assert encoders_of(published.name)[0].name == published.name
    assert place_of(published.name) == str(published) and place_of("someone/tiny") == "someone/tiny"
    assert place_of("efficientnet-lite0") == "efficientnet-lite0"
    for place in ("a/same", "b/same", "efficientnet-lite0"):
        shutil.copytree(published, tmp_path / place)
    both = [str(tmp_path / place) for place in ("a/same", "b/same")]
    assert [one.name for one in encoders_of(",".join(both))] == both  # of two with one name
    assert encoders_of(str(tmp_path / "efficientnet-lite0"))[0].name == str(tmp_path / "efficientnet-lite0")
    (tmp_path / "with,comma").mkdir()
    assert names_of(str(tmp_path / "with,comma")) == (str(tmp_path / "with,comma"),)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("", "has an empty name"),
        ("efficientnet-lite0,", "has an empty name"),
        ("none,efficientnet-lite0", "is none and more"),
        ("someone/tiny,someone/tiny", "names someone/tiny twice"),
        ("efficientnet-lite", "no encoder efficientnet-lite, did you mean efficientnet-lite0"),
        ("non", "did you mean none"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(setting, said):
    with pytest.raises(UsageError, match=said):
        names_of(setting)


def test_a_model_is_loaded_when_features_are_first_computed_and_once(published, tmp_path, monkeypatch):
    loaded = []
    real = encoders.loaded_model
    monkeypatch.setattr(encoders, "loaded_model", lambda folder: loaded.append(folder) or real(folder))
    folder, images = tmp_path / "copy", np.zeros((2, 20, 20, 3), np.uint8)
    shutil.copytree(published, folder)
    for _ in range(2):
        (found,) = encoders_of(str(folder))
        found.features(images)
    assert len(loaded) == 1
    (folder / "config.json").write_text(json.dumps({**json.loads((folder / "config.json").read_text()), "x": 1}))
    (other,) = encoders_of(str(folder))
    assert other.hash != found.hash  # changed files are seen
    assert len(loaded) == 1


def test_a_model_finds_the_encoder_that_it_learned_with(published, tmp_path):
    (found,) = encoders_of(str(published))
    assert same_encoder(str(published), found.hash).hash == found.hash
    with pytest.raises(
        FileFormatError, match=rf"sees images through the encoder .* with the hash {'0' * 12}, and what "
    ):
        same_encoder(str(published), "0" * 12)
    with pytest.raises(
        FileFormatError, match=r"through the encoder someone/gone, and there is no folder .*--pretrained"
    ):
        same_encoder("someone/gone", found.hash)
