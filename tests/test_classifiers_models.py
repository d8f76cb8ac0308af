"""Model folders: what is in them, and that nothing damaged, changed or foreign is ever loaded."""

import json
import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save
from sklearn.utils.validation import check_is_fitted
from toys import striped

from sparring.classifiers import METHODS, load_model, models, network, save_model
from sparring.classifiers.base import Classifier
from sparring.errors import FileFormatError, UsageError
from sparring.features import shrunk
from sparring.files import hash_of_json, sha256_of

NAMES = np.array(["stripe", "<b>|*`\nb", "líne"])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """(a fitted machine, its folder)."""
    x, y = (tensor.numpy() for tensor in striped(60))
    made = METHODS["svm"].make(random_state=0).fit(x, NAMES[y])
    folder = tmp_path_factory.mktemp("models") / "model"
    save_model(made, folder, data="photos <i>", measured="accuracy 0.9", trained_on="all of it", fingerprint="abc")
    return made, folder


@pytest.fixture
def folder(written, tmp_path):
    return Path(shutil.copytree(written[1], tmp_path / "model"))


def refused(folder, sentence):
    with pytest.raises(FileFormatError, match=sentence) as caught:
        load_model(folder)
    assert caught.value.exit_code == 4


def rewritten(folder, change, *, honest=True):
    """Changes config.json in place; `honest` puts the right hash on it, as someone with bad intent would."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    change(config)
    if honest:
        config["sha256"] = hash_of_json(config)
    path.write_text(json.dumps(config), encoding="utf-8")


def test_the_folder_holds_four_plain_files(written):
    made, folder = written
    assert sorted(p.name for p in folder.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "preprocess.json",
    ]
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["method"] == "svm" and config["state"]["class_names_"] == sorted(NAMES.tolist())
    preprocess = json.loads((folder / "preprocess.json").read_text(encoding="utf-8"))
    assert (preprocess["height"], preprocess["width"], preprocess["colour"]) == (12, 10, "grey")
    arrays = load((folder / "model.safetensors").read_bytes())
    assert (arrays["state/vectors_"] == made.vectors_).all()


def test_the_card_tells_where_it_is_from_and_takes_names_as_text(written):
    card = (written[1] / "README.md").read_text(encoding="utf-8")
    for told in ("accuracy 0.9", "all of it", "abc", "60 labels", "12 x 10 grey", "- stripe", "- líne", "Cortes"):
        assert told in card
    assert "photos &#60;i&#62;" in card and "<b>" not in card and "<i>" not in card
    assert "- &#60;b&#62;&#124;&#42;&#96;&#92;nb\n" in card
    assert "holds every image" not in card


def test_a_spreading_model_says_that_it_holds_the_images(tmp_path):
    x, y = (tensor.numpy() for tensor in striped(20))
    save_model(METHODS["spreading"].make().fit(x, y), tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "holds every image" in card and "not measured" in card


def large(each=8):
    """Return grey images of 100 x 72, uint8 [2*each,100,72,1], dark above or below, and their classes."""
    x, y = np.random.default_rng(0).integers(100, 256, (2 * each, 100, 72, 1), dtype=np.uint8), np.arange(2 * each) % 2
    x[y == 0, :50] //= 4
    x[y == 1, 50:] //= 4
    return x, y


@pytest.mark.parametrize("name", ["logistic", "svm", "spreading", "cnn", "gan-augment"])
def test_large_images_are_shrunk_once_and_the_model_says_so(name, tmp_path, monkeypatch):
    monkeypatch.setattr(network, "measure_norms", partial(network.measure_norms, images=32))
    x, y = large()
    y[12:] = -1
    settings = {"random_state": 0, "steps": 1} | ({"gan_images": 1} if name == "gan-augment" else {})
    small, made = (METHODS[name].make(**settings).fit(images, y) for images in (shrunk(x), x))
    assert made.record_.size == small.record_.size == "64x46"
    assert (made.predict_proba(x) == small.predict_proba(shrunk(x))).all()
    save_model(made, tmp_path / "model")
    assert "the method sees them at 64x46 pixels" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert (load_model(tmp_path / "model").predict_proba(x) == made.predict_proba(x)).all()
    assert sum(array.nbytes for array in load((tmp_path / "model" / "model.safetensors").read_bytes()).values()) < 4e6


def test_models_that_saw_large_images_in_full_are_refused(tmp_path):
    def forget(config):
        del config["state"]["record_"]["size"]

    for name, (x, y) in (("svm", large()), ("svm", (shrunk(large()[0]), large()[1])), ("majority", large())):
        folder = tmp_path / f"{name}{x.shape[1]}"
        made = METHODS[name].make().fit(x, y)
        save_model(made, folder)
        if name == "majority":
            assert made.record_.size is None and "sees them at" not in (folder / "README.md").read_text(
                encoding="utf-8"
            )
            load_model(folder)
            continue
        rewritten(folder, forget)
        if x.shape[1] == 100:
            refused(
                folder, "earlier version and saw images of 100x72 in full, where svm now sees 64x46. Fix: fit it again"
            )
        else:
            load_model(folder)


def test_names_come_back(written):
    made, folder = written
    loaded = load_model(folder)
    assert loaded.classes_.tolist() == sorted(NAMES.tolist())
    x, _ = striped(9)
    assert loaded.predict(x.numpy()).tolist() == made.predict(x.numpy()).tolist()
    check_is_fitted(loaded)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "preprocess.json"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_truncated_files_are_refused(folder, name, share):
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: int(share * len(data))])
    refused(folder, "is damaged")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "preprocess.json"])
def test_missing_files_are_refused(folder, name):
    (folder / name).unlink()
    refused(folder, "holds no model" if name == "config.json" else "cannot be read")


def test_one_bit_anywhere_is_noticed(folder):
    rng = np.random.default_rng(0)
    for name in ("config.json", "model.safetensors", "preprocess.json"):
        whole = (folder / name).read_bytes()
        for place in rng.integers(0, len(whole), 30):
            mutated = bytearray(whole)
            mutated[place] ^= 1 << int(rng.integers(8))
            if name == "config.json":
                with suppress(ValueError):
                    if json.loads(mutated) == json.loads(whole):  # a bit that JSON does not see, as in a space
                        continue
            (folder / name).write_bytes(mutated)
            with pytest.raises(FileFormatError):
                load_model(folder)
        (folder / name).write_bytes(whole)
    load_model(folder)


def test_what_is_not_a_model_is_refused(tmp_path):
    refused(tmp_path / "nothing", "there is no model folder")
    refused(tmp_path, "holds no model")
    (tmp_path / "config.json").write_text('{"architectures": ["Bert"]}')
    refused(tmp_path, "not written by sparring")
    (tmp_path / "config.json").write_text("[" * 100_000)
    refused(tmp_path, "not JSON")


def test_a_later_version_is_named(folder):
    rewritten(folder, lambda config: config.update(version=3, sparring="9.1"))
    refused(folder, "version 3 of the format.*use sparring 9.1")


def test_a_folder_of_the_version_before_is_read(written, folder):
    def older(config):
        del config["kind"]
        config["version"] = 1

    rewritten(folder, older)
    x = striped(9)[0].numpy()
    assert (load_model(folder).predict_proba(x) == written[0].predict_proba(x)).all()


def test_a_hand_made_change_is_noticed(folder):
    rewritten(folder, lambda config: config["state"].update(temperature_=2.0), honest=False)
    refused(folder, "config.json does not have the hash")


HOSTILE = {
    "another class": lambda config: config.update(method="os:system"),
    "another method's parameter": lambda config: config["parameters"].update(alpha=0.5),
    "a private attribute": lambda config: config["state"].update(__class__="x"),
    "a method's name": lambda config: config["state"].update(predict="x"),
    "an unknown part": lambda config: config["parameters"].update(C={"$part": {"kind": "Popen"}}),
    "a missing array": lambda config: config["state"].update(vectors_={"$array": "state/nothing"}),
    "no classes": lambda config: config["state"].pop("classes_"),
    "a state that is a list": lambda config: config.update(state=[]),
    "one class name too few": lambda config: config["state"]["class_names_"].pop(),
    "a huge image": lambda config: config["state"].update(image_shape_={"$tuple": [10**6, 10**6, 1]}),
    "a text for a number": lambda config: config["state"].update(gamma_="wide"),
    "a larger image": lambda config: config["state"].update(image_shape_={"$tuple": [4096, 4096, 3]}),
    "a class name twice": lambda config: config["state"].update(class_names_=["a", "a", "b"]),
    "a class name that is no text": lambda config: config["state"].update(class_names_=["a", "b", 3]),
    "a parameter that is text": lambda config: config["parameters"].update(C="x"),
    "a parameter that is a list": lambda config: config["parameters"].update(C=[1]),
    "an unknown extractor": lambda config: config["state"].update(extractor_="nothing"),
    "not a number": lambda config: config["state"].update(temperature_={"$float": "nan"}),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_changed_model_with_right_hashes_is_refused_when_it_does_not_fit(folder, change):
    rewritten(folder, change)
    with pytest.raises(FileFormatError):
        load_model(folder)


def test_arrays_of_another_shape_are_refused(folder):
    arrays = load((folder / "model.safetensors").read_bytes())
    arrays["state/vectors_"] = arrays["state/vectors_"][:, :5].copy()
    data = save(arrays)
    (folder / "model.safetensors").write_bytes(data)
    rewritten(folder, lambda config: config["hashes"].update({"model.safetensors": sha256_of(data)}))
    refused(folder, "does not fit together")


def test_what_cannot_be_saved(tmp_path, folder):
    made = METHODS["majority"].make()
    with pytest.raises(UsageError, match="was not fitted"):
        save_model(made, tmp_path / "a")
    x, y = (tensor.numpy() for tensor in striped(20))
    made.fit(x, y)
    before = sorted((p.name, p.read_bytes()) for p in folder.iterdir())
    with pytest.raises(UsageError, match="holds files"):
        save_model(made, folder)
    assert sorted((p.name, p.read_bytes()) for p in folder.iterdir()) == before

    class Mine(Classifier):
        pass

    with pytest.raises(UsageError, match="not one of the methods"):
        save_model(Mine(), tmp_path / "a")
    made.odd_ = object()
    with pytest.raises(TypeError, match="state/odd_ is a object"):
        save_model(made, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_an_empty_folder_is_filled_and_a_random_state_is_left_out(tmp_path):
    x, y = (tensor.numpy() for tensor in striped(20))
    made = METHODS["majority"].make(random_state=np.random.RandomState(3)).fit(x, y)  # noqa: NPY002
    (tmp_path / "model").mkdir()
    assert save_model(made, tmp_path / "model") == tmp_path / "model"
    assert load_model(tmp_path / "model").random_state is None


def test_trees_come_back():
    arrays = {}
    tree = {
        "a": [1, 2.5, None, True, "x"],
        "b": (1, (2, 3)),
        "c": {"d": np.arange(3), "e": np.array(["p", "q"]), "f": float("inf")},
        "g": np.float32(0.5),
        "h": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    }
    back = models.tree_from_json(
        json.loads(json.dumps(models.tree_to_json(tree, "t", arrays), allow_nan=False)), arrays
    )
    assert back["a"] == tree["a"] and back["b"] == tree["b"] and back["g"] == 0.5 and back["c"]["f"] == float("inf")
    assert (back["c"]["d"] == np.arange(3)).all() and back["c"]["e"].tolist() == ["p", "q"]
    assert (back["h"] == tree["h"]).all()


FORMER = {
    "graph_directions_": "graph_turn_",
    "discriminator_": "judge_",
    "data_spec_": "facts_",
}


@pytest.mark.parametrize("name", ["spreading", "cnn"])
def test_models_with_former_names_are_read(tmp_path, name):
    x, y = (tensor.numpy() for tensor in striped(40))
    made = METHODS[name].make(steps=2, threads=1).fit(x, y)
    save_model(made, tmp_path / "model")

    def back(config):
        config["state"] = {FORMER.get(key, key): value for key, value in config["state"].items()}
        del config["state"]["pixel_scale_"]

    rewritten(tmp_path / "model", back)
    assert (load_model(tmp_path / "model").predict_proba(x) == made.predict_proba(x)).all()
