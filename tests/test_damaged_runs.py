"""Damaged and hostile runs and model folders: one sentence, or walked back over with a line. Never silence."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load as arrays_of
from safetensors.numpy import save as bytes_of
from test_runs import THIN, arrays, train

from sparring import files
from sparring.cli import main
from sparring.errors import DamageWarning, FileFormatError, SparringError, UsageError
from sparring.reporting.run_page import read_run
from sparring.runs.checkpoints import load_state, tensors
from sparring.runs.folder import Run, read_generator
from sparring.runs.history import EventKind, read_events
from sparring.runs.sampler import load_generator
from sparring.runs.translator import load_translators

OLD = Path(__file__).parent / "fixtures" / "run-format-1"  # written by version 0.1.0 before states were sealed
ONE_LINE = re.compile(r"^error\[[a-z0-9-]+\]: [^\n]+[.?] Fix: [^\n]+\.$")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of a few rounds with three checkpoints, done."""
    out = tmp_path_factory.mktemp("trained") / "run"
    train(out, THIN["mlp"], images=6 * 64, save_seconds=0)
    return out


@pytest.fixture
def run(trained, tmp_path):
    return Path(shutil.copytree(trained, tmp_path / "run"))


def flipped(path: Path, bit: int) -> bytes:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    return bytes(data)


def same(a, b) -> bool:
    mine, other = tensors(a), tensors(b)
    return mine.keys() == other.keys() and all(torch.equal(mine[name], other[name]) for name in mine)


# --- bits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["state.json", "state.safetensors"])
def test_no_flipped_bit_of_a_checkpoint_is_silent(run, name):  # B62, R02
    """44 bits of each file, over all of it: the checkpoint before is taken, and a line says so."""
    read = Run.read(run)
    newest, before = read.checkpoints[-1], load_state(read.recipe, read.checkpoints[-2])[0]
    path = newest / name
    whole = path.read_bytes()
    for bit in np.linspace(0, 8 * len(whole) - 1, 44).astype(int).tolist():
        path.write_bytes(flipped(path, bit))
        lines: list[str] = []
        state, _ = read.newest(on_damage=lines.append)
        assert len(lines) == 1 and newest.name in lines[0] and f"goes on from {read.checkpoints[-2].name}" in lines[0]
        assert state.round == before.round and same(state, before)
        path.write_bytes(whole)
    assert read.newest()[0].round == before.round + 1


@pytest.mark.parametrize("name", ["recipe.json", "data.json"])
def test_no_flipped_bit_of_a_description_is_silent(run, name):
    read, path = Run.read(run), run / name
    whole = path.read_bytes()
    for bit in np.linspace(0, 8 * len(whole) - 1, 60).astype(int).tolist():
        path.write_bytes(flipped(path, bit))
        for look in (Run.read, read_run):
            try:
                found = look(run)
            except FileFormatError as error:
                assert ONE_LINE.match(str(error)) and "run" in str(error)
            else:  # e of 1e-05 became E
                assert look is read_run or found == read
        path.write_bytes(whole)


@pytest.mark.parametrize("part", ["config.json", "model.safetensors"])
def test_no_flipped_bit_of_a_model_is_silent(run, part):
    path, before = run / "model" / part, load_generator(run / "model").draw(3)
    whole = path.read_bytes()
    for bit in np.linspace(0, 8 * len(whole) - 1, 40).astype(int).tolist():
        path.write_bytes(flipped(path, bit))
        try:
            assert np.array_equal(load_generator(run / "model").draw(3), before)
        except FileFormatError as error:
            assert ONE_LINE.match(str(error))
        path.write_bytes(whole)


# --- checkpoints -----------------------------------------------------------------------------------------------------


def test_a_run_that_walks_back_says_so_and_loses_nothing(run, tmp_path, trained):  # R12
    newest = Run.read(run).checkpoints[-1]
    (newest / "state.json").write_text("{}")
    news = [line for step in train(run, THIN["mlp"], images=6 * 64) for line in step.news]
    assert [line for line in news if newest.name in line and "has format None" in line]
    assert same(Run.read(run).newest()[0], Run.read(trained).newest()[0])


def test_python_is_warned_of_a_damaged_checkpoint(run, capsys):
    shutil.rmtree(run / "model")
    (Run.read(run).checkpoints[-1] / "state.safetensors").write_bytes(b"")
    with pytest.warns(DamageWarning, match="state.safetensors does not have the hash"):
        read_generator(run)
    assert main(["sample", str(run), "--grid", str(run / "grid.png")]) == 0
    assert re.search(r"^note: .* is damaged: .*the run goes on from step-\d+$", capsys.readouterr().err, re.M)


def test_all_checkpoints_damaged_is_an_error_with_the_way_out(run):
    for checkpoint in Run.read(run).checkpoints:
        (checkpoint / "state.safetensors").write_bytes(b"")
    before = (run / "log.jsonl").read_bytes()
    with pytest.raises(
        FileFormatError, match=r"bad-checkpoints\]: none of the 3 checkpoints of .*delete .*checkpoints"
    ):
        train(run, THIN["mlp"], images=6 * 64)
    assert (run / "log.jsonl").read_bytes() == before
    shutil.rmtree(run / "checkpoints")
    assert train(run, THIN["mlp"], images=6 * 64)[-1].done


def resealed(path: Path, change) -> None:
    """state.json changed by somebody who knows how it is sealed."""
    rest = files.read_json(path)
    change(rest)
    path.write_text(json.dumps(files.sealed(rest)))


def test_what_lies_beside_a_checkpoint_is_not_read(run):  # S03
    """A file of random numbers, as other programs keep it, is a pickle and runs what is in it."""
    newest = Run.read(run).checkpoints[-1]
    before, mark = load_state(THIN["mlp"], newest)[0], run / "was-run"
    for name in ("rng_state.pth", "state.pkl", "optimizer.pt"):
        (newest / name).write_bytes(b"cos\nsystem\n(S'touch %s'\ntR." % os.fsencode(mark))
    assert same(load_state(THIN["mlp"], newest)[0], before)
    train(run, THIN["mlp"], images=7 * 64)
    assert not mark.exists()


NEEDED = ("round", "skipped", "attempt", "extra", "ease", "dtype", "facts", "recipe", "hashes")


@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.parametrize("value", ["missing", None, -1, "x", [], True, 1e999, {}])
def test_every_field_of_a_state_is_checked(run, name, value):  # R08
    newest = Run.read(run).checkpoints[-1]
    resealed(newest / "state.json", lambda rest: rest.pop(name) if value == "missing" else rest.update({name: value}))
    if (name, value) == ("ease", {}):
        return  # nothing is eased
    with pytest.raises(FileFormatError) as refused:
        load_state(THIN["mlp"], newest)
    assert ONE_LINE.match(str(refused.value))
    assert value != "missing" or name in str(refused.value)


@pytest.mark.parametrize("number", [0, 3, 99, "2", None, 2.5, []])
def test_another_format_is_refused(run, number):  # B54
    resealed(Run.read(run).checkpoints[-1] / "state.json", lambda rest: rest.update(format=number))
    with pytest.raises(FileFormatError, match=r"checkpoint-version\]: .* has format .*, this version reads 1 and 2"):
        load_state(THIN["mlp"], Run.read(run).checkpoints[-1])
    for name in ("recipe.json", "data.json"):
        whole = (run / name).read_bytes()
        resealed(run / name, lambda data: data.update(format=99))
        with pytest.raises(FileFormatError, match=f"{name} has format 99"):
            Run.read(run)
        (run / name).write_bytes(whole)


def test_tensors_that_do_not_fit_are_refused(run):
    newest = Run.read(run).checkpoints[-1]
    whole = arrays_of((newest / "state.safetensors").read_bytes())
    weight = next(name for name in whole if name.startswith("nets/G/"))
    slot = next(name for name in whole if name.startswith("optimisers/G/") and name.endswith("exp_avg"))
    changes = {
        "missing": {n: a for n, a in whole.items() if n != weight},
        "shape": {**whole, weight: whole[weight][:1].copy()},
        "kind": {**whole, weight: whole[weight].astype(np.int64)},
        "nan": {**whole, weight: np.full_like(whole[weight], np.nan)},
        "slot": {n: a for n, a in whole.items() if n != slot},
        "no slots": {n: a for n, a in whole.items() if not n.startswith("optimisers/G/")},
        "odd slot": {**whole, "optimisers/G/999/exp_avg": np.zeros(1, np.float32)},
        "odder slot": {**whole, "optimisers/G/x": np.zeros(1, np.float32)},
        "unknown slot": whole | {n.replace("exp_avg", "evil"): a for n, a in whole.items() if n.endswith("/exp_avg")},
    }
    for what, changed in changes.items():
        data = bytes_of(changed)
        (newest / "state.safetensors").write_bytes(data)
        resealed(
            newest / "state.json", lambda rest, d=data: rest.update(hashes={"state.safetensors": files.sha256_of(d)})
        )
        with pytest.raises(FileFormatError) as refused:
            load_state(THIN["mlp"], newest)
        assert ONE_LINE.match(str(refused.value)), what


def test_a_run_of_the_format_before_goes_on(tmp_path):  # R17
    run = Path(shutil.copytree(OLD, tmp_path / "run"))
    read = Run.read(run)
    state, rest = read.newest()
    assert (state.round, rest["format"]) == (2, 1) and read.recipe == THIN["mlp"]
    x, y = arrays_8x8()
    assert train(run, THIN["mlp"], images=4 * 64, data=(x, y), monitor=False)[-1].done
    assert [json.loads((c / "state.json").read_text())["format"] for c in Run.read(run).checkpoints] == [1, 2]
    assert EventKind.RESUMED in [event.event for event in read_events(run)]


def arrays_8x8():
    from toys import striped

    x, y = striped(count=60, height=8, width=8)
    return x.numpy(), y.numpy()


# --- links -----------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "place",
    [".sparring-lock", "events.jsonl", "log.jsonl", "checkpoints", "copies", "model", "samples", "own", "inside"],
)
def test_no_link_in_a_run_is_followed(run, tmp_path, place, capsys):  # S17
    """A run that somebody sent: what it links to stays as it is, and nothing of it is shown."""
    theirs = tmp_path / "theirs"
    for name in ("step-00000001", "step-00000002", ".tmp-sparring-1-2"):
        (theirs / name).mkdir(parents=True)
    (theirs / "file").write_text('{"round": 900}\nhalf a line')
    if (run / place).is_dir():
        shutil.rmtree(run / place)
    (run / place).unlink(missing_ok=True)
    (run / place).symlink_to(theirs / "file" if "." in place else theirs)
    before = {path: path.read_bytes() if path.is_file() else None for path in sorted(theirs.rglob("*"))}
    for look in (Run.read, read_generator, lambda run: train(run, THIN["mlp"], images=6 * 64)):
        with pytest.raises(FileFormatError, match=rf"not-a-file\]: .*{re.escape(place)} is a link"):
            look(run)
    assert main(["report", str(run)]) == 4 and "is a link" in capsys.readouterr().err
    assert before == {path: path.read_bytes() if path.is_file() else None for path in sorted(theirs.rglob("*"))}


def test_hidden_files_of_the_user_stay(tmp_path):
    hidden = {".tmp-report.docx": "years", ".work/thesis.txt": "of", ".lock": "work", ".tmp-1-0/x": "!"}
    for name, text in hidden.items():
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).write_text(text)
    train(tmp_path / "run", THIN["mlp"], images=64)
    assert {name: (tmp_path / "run" / name).read_text() for name in hidden} == hidden


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("-n 0", r"bad-number\]: -n 0 is not"),
        ("-n -3", r"error\["),
        ("-n x", r"error\["),
        ("--class dragon", r"error\["),
        ("--truncation 1000", r"bad-number\]: --truncation 1000 is not"),
        ("--seed -1", r"error\["),
    ],
)
def test_odd_wishes_for_samples_are_refused(run, tmp_path, capsys, options, said):  # B67
    assert main(["sample", str(run), *options.split(), "--out", str(tmp_path / "out")]) in (2, 5)
    assert re.search(said, capsys.readouterr().err) and not (tmp_path / "out").exists()


# --- model folders ---------------------------------------------------------------------------------------------------


def remade(folder: Path, change, change_arrays=lambda arrays: arrays) -> None:
    """A model folder changed by somebody who knows how it is sealed."""
    config = files.read_json(folder / "config.json")
    data = bytes_of(change_arrays(arrays_of((folder / "model.safetensors").read_bytes())))
    (folder / "model.safetensors").write_bytes(data)
    config["hashes"] = {"model.safetensors": files.sha256_of(data)}
    change(config)
    (folder / "config.json").write_text(json.dumps(files.sealed(config)))


def put(*path, value):
    def change(config):
        for key in path[:-1]:
            config = config[key]
        config[path[-1]] = value

    return change


def first_changed(change):
    return lambda arrays: {name: change(array) if not i else array for i, (name, array) in enumerate(arrays.items())}


def nothing(config):
    pass


GENERATORS = {
    "no generator": (lambda config: config.pop("generator"), None),
    "no facts": (lambda config: config.pop("facts"), None),
    "no classes": (lambda config: config.pop("classes"), None),
    "classes that are a number": (put("classes", value=3), None),
    "a class too many": (lambda config: config["classes"].append("x"), None),
    "a class twice": (put("classes", value=["0", "0", "1"]), None),
    "classes that are no text": (put("classes", value=[0, 1, 2]), None),
    "a list": (put("generator", value=[]), None),
    "another record": (put("generator", value={"kind": "Adam"}), None),
    "an unknown record": (put("generator", value={"kind": "Popen"}), None),
    "an unknown field": (put("generator", "_target_", value="os.system"), None),
    "text for a number": (put("generator", "z", value="x"), None),
    "half a number": (put("generator", "z", value=1.5), None),
    "no noise": (put("generator", "z", value=-1), None),
    "much noise": (put("generator", "z", value=10**12), None),
    "wide": (put("generator", "net", "widths", value=[10**9]), None),
    "wide beyond numbers": (put("generator", "net", "widths", value=[10**30]), None),
    "deep": (put("generator", "net", "widths", value=[16] * 100_000), None),
    "negative": (put("generator", "net", "widths", value=[-4]), None),
    "no net": (put("generator", "net", value=None), None),
    "a base net": (put("generator", "net", value={"kind": "Architecture"}), None),
    "a name with a path": (put("generator", "name", value="../G"), None),
    "huge images": (put("facts", "height", value=10**9), None),
    "no images": (put("facts", "width", value=0), None),
    "channels": (put("facts", "channels", value=10**6), None),
    "many classes": (put("facts", "classes", value=3 * 10**6), None),
    "own code": (put("own", value={"file": "../../x.py", "sha256": "0"}), None),
    "own code that is a list": (put("own", value=[1]), None),
    "another kind": (put("kind", value="translator"), None),
    "no hashes": (lambda config: config.pop("hashes"), None),
    "another file": (lambda config: config["hashes"].update({"/etc/passwd": "0"}), None),
    "not numbers": (nothing, first_changed(lambda a: np.full_like(a, np.nan))),
    "infinite": (nothing, first_changed(lambda a: np.full_like(a, np.inf))),
    "whole numbers": (nothing, first_changed(lambda a: a.astype(np.int64))),
    "half precision": (nothing, first_changed(lambda a: a.astype(np.float16))),
    "another shape": (nothing, first_changed(lambda a: a[:1].copy())),
    "a tensor too few": (nothing, lambda arrays: dict(list(arrays.items())[1:])),
    "a tensor too many": (nothing, lambda arrays: {**arrays, "G/x": np.zeros(1, np.float32)}),
    "another network": (nothing, lambda arrays: {**arrays, "D/x": np.zeros(1, np.float32)}),
    "nothing": (nothing, lambda arrays: {}),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("what", GENERATORS)
def test_a_hostile_generator_is_one_sentence(run, what, capsys):  # S09, S10, S11, S14
    change, change_arrays = GENERATORS[what]
    remade(run / "model", change, change_arrays or (lambda arrays: arrays))
    with pytest.raises(FileFormatError) as refused:
        load_generator(run / "model")
    assert ONE_LINE.match(str(refused.value)), refused.value
    assert main(["sample", str(run / "model"), "--grid", str(run / "x.png")]) == 4
    assert ONE_LINE.match(capsys.readouterr().err.strip()) and not (run / "x.png").exists()


ONE_NUMBER = b'{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
HEADERS = {
    "header of 2^63": (1 << 63).to_bytes(8, "little"),
    "no header": bytes(8),
    "header beyond the file": (1000).to_bytes(8, "little") + b"{}",
    "not JSON": (4).to_bytes(8, "little") + b"nope",
    "negative": b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}',
    "a huge shape": b'{"a":{"dtype":"F32","shape":[1099511627776,1099511627776],"data_offsets":[0,4]}}',
    "a hole": b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
    "an unknown kind": b'{"a":{"dtype":"F128","shape":[1],"data_offsets":[0,4]}}',
    "a kind numpy lacks": b'{"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}}',
    "a pickle": b"\x80\x04\x95\x10",
    "nested": b'{"a":' * 1000,
    "twice": b'{"a":%s,"a":%s}' % (ONE_NUMBER, ONE_NUMBER),
    "on the same bytes": b'{"a":%s,"b":%s}' % (ONE_NUMBER, ONE_NUMBER),
}
NO_SAFETENSORS = ("header of 2^63", "header beyond the file", "a pickle")


@pytest.mark.parametrize("what", HEADERS)
def test_odd_safetensors_are_one_sentence(run, what):  # S07, S08
    data = HEADERS[what]
    data = len(data).to_bytes(8, "little") + data + bytes(4) if data.startswith(b"{") else data
    for folder, name, sealed in (
        (run / "model", "model.safetensors", "config.json"),
        (Run.read(run).checkpoints[-1], "state.safetensors", "state.json"),
    ):
        (folder / name).write_bytes(data)
        resealed(folder / sealed, lambda config, n=name: config.update(hashes={n: files.sha256_of(data)}))
    for look in (lambda: load_generator(run / "model"), lambda: load_state(THIN["mlp"], Run.read(run).checkpoints[-1])):
        with pytest.raises(FileFormatError) as refused:
            look()
        assert ONE_LINE.match(str(refused.value))
        assert ("no safetensors file" in str(refused.value)) == (what in NO_SAFETENSORS)  # S02, S06


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    out = tmp_path_factory.mktemp("translator") / "run"
    train(out, THIN["inpaint"], images=64, batch=16)
    return out


TRANSLATORS = {
    "no translators": lambda config: config.pop("translators"),
    "an empty table": put("translators", value={}),
    "a list": put("translators", value=[]),
    "another record": put("translators", "G", value={"kind": "Adam"}),
    "no sources": lambda config: config.pop("sources"),
    "other sources": put("sources", value={"H": {"kind": "Adam"}}),
    "a source that is none": put("sources", "G", value=3),
    "wide": put("translators", "G", "net", "width", value=10**7),
    "no facts": lambda config: config.pop("facts"),
    "huge images": put("facts", "width", value=10**9),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("what", TRANSLATORS)
def test_a_hostile_translator_is_one_sentence(translator, tmp_path, what):
    model = Path(shutil.copytree(translator / "model", tmp_path / "model"))
    load_translators(model)
    remade(model, TRANSLATORS[what])
    with pytest.raises(FileFormatError) as refused:
        load_translators(model)
    assert ONE_LINE.match(str(refused.value))


# --- descriptions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["recipe.json", "data.json", "events.jsonl", "log.jsonl", "scores.json", "inside/views.json"]
)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "3",
        "{}",
        '{"recipe": 3, "settings": 3, "facts": 3}',
        "[" * 9999,
        '{"round": "x", "time": 1e999}',
        "\0",
        "[3, {}, null]",
    ],
)
def test_a_damaged_file_of_a_run_is_one_sentence(run, name, text, capsys):
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).write_text(text)
    for look in (Run.read, read_run):
        try:
            look(run)
        except SparringError as error:
            assert ONE_LINE.match(str(error)) and not isinstance(error, UsageError)
    assert main(["report", str(run)]) in (0, 4)
    told = capsys.readouterr().err.strip()
    assert "Traceback" not in told and "bug of sparring" not in told


def test_the_card_of_a_generator_shows_names_as_text(tmp_path):
    x, y = arrays(60)
    names = np.array(["<script>alert(1)</script>", "a|b\x1b[31m", "[x](http://x)"])
    train(tmp_path / "run", THIN["cgan"], images=64, data=(x, names[y]))
    card = (tmp_path / "run" / "model" / "README.md").read_text()
    assert "<script>" not in card and "\x1b" not in card and "](http" not in card and "&#60;script&#62;" in card


def test_a_private_lock_is_no_link(tmp_path):
    """What the lock would have been written through."""
    (tmp_path / "out").mkdir()
    (tmp_path / "victim.txt").write_text("theirs")
    (tmp_path / "out" / ".lock").symlink_to("../victim.txt")
    (tmp_path / "out" / ".sparring-lock").symlink_to("../victim.txt")
    with pytest.raises(FileFormatError, match="is a link"):
        train(tmp_path / "out", THIN["mlp"], images=64)
    assert (tmp_path / "victim.txt").read_text() == "theirs"
