"""Fetching an encoder: only where it is asked for, only what is read, from a hub on the loopback interface."""

import json
import shutil
import socket

import numpy as np
import pytest
import torch
from hub import hub

from sparring.errors import FileFormatError, MachineError
from sparring.features.encoder_files import fetched, hub_folder
from sparring.features.encoders import encoder

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


def test_nothing_connects_without_being_asked(published, tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    encoder("dinov2", published)
    with pytest.raises(FileFormatError, match="no model of that name"):
        encoder("dinov2", "someone/tiny")
