"""Run folders: what they hold, that they go on exactly, and what they refuse."""

import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_training import THIN
from toys import striped

from sparring import files
from sparring.data import load
from sparring.errors import DataError, Diverged, FileFormatError, MachineError, UsageError
from sparring.games.augment import LateDiffAugment
from sparring.games.builders import augmented, gan
from sparring.games.losses import LeastSquares
from sparring.games.players import Adam, Discriminator
from sparring.games.training import new_state
from sparring.images import load_image
from sparring.nets.layers import DataSpec
from sparring.runs import defaults, driver, pools
from sparring.runs.checkpoints import load_state, save_state
from sparring.runs.driver import TrainOptions
from sparring.runs.folder import KEEP, Run, read_generator
from sparring.runs.history import EventKind, read_events
from sparring.runs.sampler import draw
from sparring.runs.translator import load_translators


def arrays(count=150, seed=0):
    x, y = striped(count=count, seed=seed)
    return x.numpy(), y.numpy()


def train(out, recipe=THIN["cgan"], *, images=20 * 64, data=None, **kwargs):
    loop = {name: kwargs.pop(name) for name in ("stop", "save_seconds") if name in kwargs}
    options = TrainOptions(**{"images": images, "augment": "none", "precision": "fp32"} | kwargs)
    return list(driver.train_steps(data or arrays(), recipe, out, options, **loop))


def weights(run):
    return (Run.read(run).checkpoints[-1] / "state.safetensors").read_bytes()


def test_a_run_folder_holds_what_it_says(tmp_path):
    steps = train(tmp_path / "run")
    run = Run.read(tmp_path / "run")
    assert steps[-1].done and steps[-1].images == 20 * 64
    assert run.recipe == THIN["cgan"] and run.classes == ("0", "1", "2")
    lines = files.read_lines(run.folder / "log.jsonl")
    assert [line["round"] for line in lines] == list(range(1, 21))
    assert set(lines[0]["means"]) == {
        "D/NonSaturating", "D/FractionReal/real", "D/FractionReal/fake", "G/NonSaturating"
    }  # fmt: skip
    assert 0 <= lines[0]["means"]["D/FractionReal/real"] <= 1
    assert not any(".." in p or p.startswith("/") for p in json.dumps(lines).split('"'))
    samples = sorted((run.folder / "samples").glob("*.png"))
    assert samples[0].name == "images-000000000.png" and samples[-1].name == "images-000001280.png"
    assert load_image(samples[0]).shape[:2] != (0, 0)
    with np.load(samples[-1].with_suffix(".npz"), allow_pickle=False) as tiles:
        labels = np.repeat(np.arange(3), 8)
        drawn = draw(run.newest()[0].averages["G"], read_generator(run.folder).spec, 24, labels=labels, key="preview")
        assert tiles["images"].shape == (3, 8, 12, 10, 1)
        assert np.array_equal(tiles["images"].reshape(drawn.shape), drawn)


def test_the_last_progress_tells_the_truth(tmp_path):
    steps = train(tmp_path / "run")
    before, last = steps[-2:]
    line = files.read_lines(tmp_path / "run" / "log.jsonl")[-1]
    assert last == replace(before, done=True, why="done", saved=None)
    assert last.seconds > 0 and last.images_per_second > 0 and last.seconds_left == 0
    assert (last.images, last.total) == (20 * 64, 20 * 64) and last.sample.name == "images-000001280.png"
    assert {name: round(value, 6) for name, value in last.means.items()} == line["means"] != {}
    (again,) = train(tmp_path / "run")
    assert again.done and again.means == line["means"] and again.seconds == pytest.approx(last.seconds)
    assert again.images_per_second == line["images_per_second"] and again.images == last.images


def test_train_in_python_trains_and_returns_the_run(tmp_path):
    seen = []
    run = driver.train(
        arrays(), THIN["cgan"], tmp_path / "run", images=64, augment="none", precision="fp32", progress=seen.append
    )
    assert run.newest()[0].round == 1 and seen[-1].done
    assert run.settings == Run.read(tmp_path / "run").settings and run.settings.images == 64
    assert np.array_equal(run.sample(5, seed=2), read_generator(run.folder).draw(5, seed=2))
    assert run.sample(3, classes="2").shape == (3, 12, 10, 1)
    html = run._repr_html_()
    assert "own on memory: done" in html.replace(run.settings.source, "memory") and "data:image/png;base64," in html


def test_the_same_command_does_nothing_more_when_it_is_done(tmp_path):
    train(tmp_path / "run")
    before = weights(tmp_path / "run")
    steps = train(tmp_path / "run")
    assert [s.done for s in steps] == [True] and weights(tmp_path / "run") == before


def test_a_longer_run_is_the_shorter_one_continued(tmp_path):
    train(tmp_path / "short", images=10 * 64)
    train(tmp_path / "short", images=20 * 64)
    train(tmp_path / "long", images=20 * 64)
    assert weights(tmp_path / "short") == weights(tmp_path / "long")


@pytest.mark.parametrize("recipe", ["cgan", "classifier"])
def test_stopping_anywhere_changes_nothing(tmp_path, recipe):  # R06
    whole = train(tmp_path / "whole", THIN[recipe])
    for stop_at in (1, 7, 13, 19):
        asked = iter(range(100))
        first = train(tmp_path / str(stop_at), THIN[recipe], stop=lambda asked=asked, n=stop_at: next(asked) >= n)
        assert first[-1].why == "stopped" and first[-1].images == (stop_at + 1) * 64 and not first[-1].done
        assert train(tmp_path / str(stop_at), THIN[recipe])[-1].done
        assert weights(tmp_path / str(stop_at)) == weights(tmp_path / "whole")
    logs = [files.read_lines(tmp_path / d / "log.jsonl") for d in ("whole", "7")]
    assert [line["means"] for line in logs[0]] == [line["means"] for line in logs[1]]
    assert whole[-1].done


KILLED = """
import sys; sys.path[:0] = [{tests!r}]
from test_runs import train, THIN
print("go", flush=True)
train({out!r}, THIN["mlp"], images=400 * 64, save_seconds=0.05)
print("done", flush=True)
"""


@pytest.mark.parametrize("wanted", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_kill_9_at_random_moments_changes_nothing(tmp_path, wanted):  # R11
    code = KILLED.format(tests=str(Path(__file__).parent), out=str(tmp_path / "killed"))
    moments, kills = random.Random(wanted), 0
    for _ in range(40):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert child.stdout.readline() == "go\n"
        if kills < wanted:
            time.sleep(moments.uniform(0.05, 0.5))
            child.send_signal(signal.SIGKILL)
        rest = child.communicate()[0]
        if rest == "done\n":
            break
        kills += 1
    assert kills == wanted
    train(tmp_path / "whole", THIN["mlp"], images=400 * 64)
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    rounds = [line["round"] for line in files.read_lines(tmp_path / "killed" / "log.jsonl")]
    assert rounds == list(range(1, 401))
    assert not list((tmp_path / "killed").rglob(".tmp-*"))


def test_a_damaged_checkpoint_is_walked_back_over(tmp_path):
    train(tmp_path / "whole")
    asked = iter(range(100))
    train(tmp_path / "run", stop=lambda: next(asked) >= 9, save_seconds=0)
    newest = Run.read(tmp_path / "run").checkpoints[-1] / "state.safetensors"
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    train(tmp_path / "run")
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_only_the_newest_checkpoints_are_kept(tmp_path):
    train(tmp_path / "run", save_seconds=0)
    assert len(Run.read(tmp_path / "run").checkpoints) == KEEP


# --- refusals --------------------------------------------------------------------------------------------------------


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match="is not empty: it holds thesis.txt"):
        train(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"recipe": THIN["mlp"]}, UsageError, "holds a run with recipe"),
        ({"seed": 1}, UsageError, "holds a run with seed 0, not 1"),
        ({"images": 64}, UsageError, "holds a run with 1,280 images, not 64"),
        ({"data": arrays(seed=1)}, DataError, "not those that"),
    ],
)
def test_a_run_refuses_to_go_on_otherwise(tmp_path, change, error, sentence):  # B64
    train(tmp_path / "run")
    before = weights(tmp_path / "run")
    with pytest.raises(error, match=sentence):
        train(tmp_path / "run", **change)
    assert weights(tmp_path / "run") == before


def test_a_scheduled_run_cannot_change_its_length(tmp_path):
    train(tmp_path / "run", THIN["classifier"])
    with pytest.raises(UsageError, match="1,280 images, not 1,920"):
        train(tmp_path / "run", THIN["classifier"], images=30 * 64)


def test_two_processes_never_train_in_one_folder(tmp_path):  # B65
    options = TrainOptions(images=20 * 64, precision="fp32", augment="none")
    first = driver.train_steps(arrays(), THIN["mlp"], tmp_path / "run", options)
    next(first)
    with pytest.raises(MachineError, match="in use by process"):
        train(tmp_path / "run", THIN["mlp"])
    first.close()


def test_another_augmentation_is_another_run(tmp_path):
    train(tmp_path / "run", images=64)
    with pytest.raises(UsageError, match="holds a run with recipe own, set up otherwise"):
        train(tmp_path / "run", images=64, augment="ada")


def test_a_batch_of_ones_own(tmp_path):
    *_, last = train(tmp_path / "run", images=64, batch=16)
    assert (last.images, Run.read(tmp_path / "run").recipe) == (64, replace(THIN["cgan"], batch=16))
    state, _ = Run.read(tmp_path / "run").newest()
    assert state.round == 4
    whole = weights(tmp_path / "run")
    train(tmp_path / "cut", images=32, batch=16)
    train(tmp_path / "cut", images=64, batch=16)
    assert weights(tmp_path / "cut") == whole
    with pytest.raises(UsageError, match="in batches of 16, not 64"):
        train(tmp_path / "run", images=64)
    with pytest.raises(UsageError, match="at least two images, not 1"):
        train(tmp_path / "other", images=64, batch=1)
    assert not (tmp_path / "other" / "recipe.json").exists()


def test_few_images_are_augmented_and_the_run_says_so(tmp_path):
    steps = train(tmp_path / "run", images=64, augment="auto")
    (news,) = {words for step in steps for words in step.news}
    assert news == "150 images are few, so after 20 epochs D sees them moved, cut and in other light"
    assert Run.read(tmp_path / "run").recipe == augmented(THIN["cgan"], LateDiffAugment(after=3000))


def test_images_without_a_label_do_not_count_for_a_game_of_labels(tmp_path, monkeypatch):
    """D of cgan sees the labelled ones only: these are few."""
    monkeypatch.setattr(defaults, "FEW", 100)
    x, y = arrays()
    for name, changed in (("cgan", True), ("dcgan", False)):
        steps = train(
            tmp_path / name, THIN[name], data=(x, np.where(np.arange(150) < 60, y, -1)), images=64, augment="auto"
        )
        assert bool(steps[0].news) is changed


def test_without_a_recipe_one_is_chosen_and_the_run_says_why(tmp_path):
    steps = train(tmp_path / "run", "auto", images=64)
    assert steps[0].news == (
        "recipe projection: there are 3 classes with 50 labelled images or more, and the images are grey",
    )
    assert Run.read(tmp_path / "run").settings.recipe_name == "projection"


@pytest.mark.parametrize("name", ["pix2pix", "cyclegan", "inpaint"])
def test_translators_train_show_and_export(tmp_path, name):
    """The same command goes on exactly, with sources as well."""
    x, _ = striped(count=60, height=12, width=12)
    data, kind = load(x.numpy()), THIN[name]
    source = None if name == "inpaint" else load(255 - x.numpy())
    train(tmp_path / "a", kind, data=data, source=source, images=6 * kind.batch)
    for images in (3, 6):
        train(tmp_path / "b", kind, data=data, source=source, images=images * kind.batch)
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert load_image(sorted((tmp_path / "a" / "samples").glob("*.png"))[-1]).shape[0] > 24
    made = load_translators(tmp_path / "a").translate(x[0].numpy(), mask=np.ones((12, 12), bool))
    assert made.shape == (12, 12, 1)
    with pytest.raises(UsageError if name == "inpaint" else DataError, match="--source"):
        train(tmp_path / "c", kind, data=data, source=None if source else data, images=64)


def test_grey_images_have_no_colour_to_give_back(tmp_path):
    with pytest.raises(DataError, match="the images are grey already"):
        train(tmp_path / "run", "restyle")


def test_training_that_is_not_finite_ends_with_a_sentence(tmp_path):
    wild = gan(
        "ours", LeastSquares(), discriminator=Discriminator(net=THIN["mlp"].players[0].nets[0].net), optim=Adam(1e18)
    )
    with pytest.raises(Diverged, match="steps were not finite, after 2 new attempts; it was never healthy"):
        train(tmp_path / "run", wild, images=100 * 64)


def test_recipes_are_found_by_name_or_in_a_file(tmp_path):
    (tmp_path / "mine.py").write_text("from sparring import RECIPES\nmine = RECIPES['mlp']\nother = 3\n")
    assert defaults.find_recipe(f"{tmp_path}/mine.py:mine")[1] == defaults.find_recipe("mlp")[1]
    with pytest.raises(UsageError, match="did you mean wgan-gp"):
        defaults.find_recipe("wgan_gp")
    for name in ("mine.py:other", "none.py:mine"):
        with pytest.raises(UsageError, match="file.py:name"):
            defaults.find_recipe(f"{tmp_path}/{name}")


# --- using what was trained ------------------------------------------------------------------------------------------


def test_the_exported_generator_draws_what_the_run_draws(tmp_path):
    train(tmp_path / "run")
    run = Run.read(tmp_path / "run")
    exported = read_generator(run.folder)
    state, _ = run.newest()
    labels = np.arange(10) % 3
    mine = draw(state.averages["G"], exported.spec, 10, labels=labels, key=0)
    assert np.array_equal(exported.draw(10), mine) and mine.dtype == np.uint8 and mine.shape == (10, 12, 10, 1)
    assert np.array_equal(exported.draw(4), exported.draw(10)[:4])
    assert np.array_equal(exported.draw(3, first=4), exported.draw(10)[4:7])
    assert not np.array_equal(exported.draw(10, seed=1), exported.draw(10))
    with pytest.raises(UsageError, match="unknown class"):
        exported.label("cat")


def test_an_unfinished_run_can_be_sampled_and_a_classifier_cannot(tmp_path):
    asked = iter(range(100))
    train(tmp_path / "half", stop=lambda: next(asked) >= 2)
    assert read_generator(tmp_path / "half").draw(2).shape == (2, 12, 10, 1)
    train(tmp_path / "classifier", THIN["classifier"])
    with pytest.raises(FileFormatError, match="has none"):
        read_generator(tmp_path / "classifier")
    with pytest.raises(FileFormatError, match="holds no training run"):
        read_generator(tmp_path)


def test_a_damaged_generator_is_refused(tmp_path):
    train(tmp_path / "run")
    path = tmp_path / "run" / "model" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FileFormatError, match="damaged"):
        read_generator(tmp_path / "run")


def test_a_generator_of_the_format_before_is_read(tmp_path):
    """Format 3: no hash of config.json itself, and the hash of the tensors stood alone."""
    train(tmp_path / "run")
    before, path = read_generator(tmp_path / "run").draw(4), tmp_path / "run" / "model" / "config.json"
    config = files.read_json(path)
    config |= {"format": 3, "sha256": config.pop("hashes")["model.safetensors"]}
    del config["version"], config["sparring"]
    files.write_json(path, config)
    assert np.array_equal(read_generator(tmp_path / "run").draw(4), before)
    files.write_json(path, config | {"sha256": "0" * 64})
    with pytest.raises(FileFormatError, match="model.safetensors does not have the hash.* Fix: train it again"):
        read_generator(tmp_path / "run")


def test_a_run_of_the_version_before_goes_on(tmp_path):
    """Its names of fields, events that are sentences, and a recipe without the description that came later."""
    run = tmp_path / "run"
    for out in (run, tmp_path / "whole"):
        train(out, images=10 * 64)
    path = run / "recipe.json"
    recipe = files.read_json(path)
    del recipe["curves"], recipe["recipe"]["about"], recipe["sha256"]
    files.write_json(path, recipe | {"python": "Recipe(...)"})
    for path in run.rglob("state.json"):
        state = files.read_json(path)
        state |= {"format": 1, "sha256": state.pop("hashes")["state.safetensors"]}
        state["watch"] = state.pop("monitor")
        state["watch"]["told"] = state["watch"].pop("warned")
        files.write_json(path, state)
    for path in run.glob("samples/*.npz"):
        path.unlink()
    with (run / "events.jsonl").open("a") as file:
        file.write('{"time": 1.5, "event": "5 minutes are over", "images": 640}\n')
        file.write(
            '{"time": 1.5, "event": "warning", "round": 3, "images": 192, "signal": "leak", "words": "it leaks"}\n'
        )
    assert [(e.event, e.words, e.signals) for e in read_events(run)[-2:]] == [
        (EventKind.TIME_OVER, "5 minutes are over", ()),
        (EventKind.WARNING, "it leaks", ("leak",)),
    ]
    for out in (run, tmp_path / "whole"):
        assert train(out, images=20 * 64)[-1].done
    assert weights(run) == weights(tmp_path / "whole")


def test_a_full_disk_leaves_the_older_checkpoint(tmp_path, monkeypatch):
    asked = iter(range(100))
    train(tmp_path / "run", stop=lambda: next(asked) >= 4)
    before = weights(tmp_path / "run")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("sparring.files.writing.sync", full)
        with pytest.raises(MachineError, match="the disk is full"):
            train(tmp_path / "run")
    assert weights(tmp_path / "run") == before
    train(tmp_path / "run")
    train(tmp_path / "whole")
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_a_disk_that_returns_other_bytes_is_noticed_before_the_rename(tmp_path, monkeypatch):
    state = new_state(THIN["mlp"], DataSpec(1, 12, 10, 3))
    with monkeypatch.context() as patch:
        patch.setattr("sparring.files.sync", lambda path: path.write_bytes(b"x") if path.is_file() else None)
        with pytest.raises(MachineError, match="does not read back as it was written"):
            save_state(state, THIN["mlp"], tmp_path / "c")
    assert not list(tmp_path.iterdir())


def test_the_data_pools_leave_out_the_test_part():
    x, y = arrays(30)
    imageset = load((x, y))
    parts = np.array(["test"] * 10 + ["train"] * 20)
    labels = imageset.labels.copy()
    labels[20:] = -1
    data = pools.pools(replace(imageset, parts=parts, labels=labels))
    assert len(data["all"]["x"]) == 20 and len(data["labelled"]["x"]) == 10
    assert (data["labelled"]["y"] >= 0).all()
    assert "labelled" not in pools.pools(replace(imageset, labels=np.full(30, -1)))


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path):  # B63
    state = new_state(THIN["mlp"], DataSpec(1, 12, 10, 3))
    save_state(state, THIN["mlp"], tmp_path / "c")
    with pytest.raises(FileFormatError, match="another recipe"):
        load_state(THIN["dcgan"], tmp_path / "c")
