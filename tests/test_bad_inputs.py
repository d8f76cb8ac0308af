"""Bad input: one table, run through the command line and through Python. The sentence, the exit code, nothing half-made."""

import errno
import json
import os
import re
import shlex
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from bad_inputs import BAD_INPUTS, class_folders, encoded, png_header, write_image

import sparring
from sparring import files
from sparring.cli import main
from sparring.errors import SparringError
from sparring.runs import driver, folder, sampler

SECONDS = 10  # in which a mistake is told


# What is bad beside the data themselves, whose rows are in bad_inputs.py


def photos(top: Path) -> None:
    class_folders(top / "photos", each=12)


def one_class(top: Path) -> None:
    class_folders(top / "photos", classes=("cat",), each=12)


def unlabelled(top: Path) -> None:
    for i in range(12):
        write_image(top / "photos" / f"{i}.png", i)


def with_output(top: Path) -> None:
    photos(top)
    (top / "theirs").mkdir()
    (top / "theirs" / "thesis.txt").write_text("years of work")
    (top / "afile").write_text("a file")


@dataclass(frozen=True)
class Bad:
    """`build` makes files in an empty folder; `commands` fail there with `code` and a sentence that matches `said`."""

    name: str
    build: Callable[[Path], object]
    commands: tuple[str, ...]
    code: int
    said: str


FIT = "fit photos -m majority --out"
COMPARE, TRAIN = "compare photos --out", "train photos -r mlp --out"
TABLE = [
    Bad("one class only", one_class, (f"{COMPARE} out", f"{FIT} out"), 3, r"class-one\]: .*cat"),
    Bad("no labels at all", unlabelled, (f"{COMPARE} out", f"{FIT} out", "train photos -r classifier --out out"), 3, r"label"),
    Bad("too few labels", photos, (f"{COMPARE} out --labels 50",), 2, r"too-few-labels\]: class 'cat' has \d+ .*50"),
    Bad("no labels wanted", photos, (f"{COMPARE} out --labels 0",), 2, r"label-budget\]: '?0'? labels a class"),
    Bad("labels by half", photos, (f"{COMPARE} out --labels 1.5",), 2, r"label-budget\]: '?1.5'? labels"),
    Bad("a bad size", photos, ("data photos --size 0", f"{COMPARE} out --size 48by64", f"{TRAIN} out --size 5000"), 2, r"image-size\]: size"),
    Bad("no further images", photos, (f"{COMPARE} out --unlabelled more", f"{TRAIN} out --unlabelled more"), 3, r"no-data\]: more does not exist"),
    Bad("an unknown method", photos, (f"{COMPARE} out --methods majority,svn", "fit photos -m svn --out out"), 2,
        r"unknown-method\]: unknown method 'svn', did you mean svm\?"),
    Bad("an unknown recipe", photos, ("train photos -r dcgn --out out",), 2, r"unknown-recipe\]: unknown recipe 'dcgn', did you mean dcgan\?"),
    Bad("no such recipe file", photos, ("train photos -r my.py:recipe --out out",), 2, r"no-recipe-file\]: there is no file my\.py"),
    Bad("a device that is not there", photos, (f"{TRAIN} out --device cuda:99",), 5, r"no-device\]: there is no device 'cuda:99'"),
    Bad("output among others' files", with_output, (f"{COMPARE} theirs", f"{FIT} theirs", f"{TRAIN} theirs"), 2, r"out-in-use\]: theirs .*thesis\.txt"),
    Bad("output is a file", with_output, (f"{COMPARE} afile", f"{FIT} afile", f"{TRAIN} afile"), 2, r"out-in-use\]: afile is a file"),
    Bad("output below a file", with_output, (f"{COMPARE} afile/out", f"{FIT} afile/out", f"{TRAIN} afile/out"), 5, r"no-folder\]: .*afile is a file"),
    Bad("output inside the data", photos, (f"{COMPARE} photos/out", f"{FIT} photos/out", f"{TRAIN} photos/out"), 2,
        r"out-in-data\]: photos/out is inside the data photos"),
    Bad("a model that is none", photos, ("classify photos photos/cat/0.png",), 4, r"photos"),
    Bad("nothing to classify", photos, ("classify model", "classify model --csv"), 2, r"missing\]: there are no images to classify"),
    Bad("a run that is none", photos, ("sample photos",), 4, r"not-a-run\]: photos holds no training run"),
    Bad("an earlier study that is none", photos, (f"{COMPARE} out --against photos",), 4, r"not-a-study\]: photos holds no study\.json"),
    Bad("a study that is none", photos, ("report photos",), 4, r"photos"),
]  # fmt: skip


# How each is run


def everything(folder: Path) -> dict[str, object]:
    """What is in a folder: kinds, modes, contents, of every name."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        kind = stat.S_IFMT(state.st_mode)
        content = (
            path.read_bytes() if kind == stat.S_IFREG else os.fsencode(path.readlink()) if kind == stat.S_IFLNK else b""
        )
        found[os.fspath(path)] = (state.st_mode, content)
    return found


def in_python(command: str):
    """What the command line does, as calls that a Python user writes."""
    words = shlex.split(command)
    if words[0] == "classify":
        return (lambda: sparring.load_model(words[1])) if len(words) > 2 and words[1] == "photos" else None
    settings = dict(zip([w.lstrip("-") for w in words[2::2]], words[3::2], strict=True))
    what, source = words[0], words[1]
    out = settings.pop("out", None)
    if what == "data":
        return lambda: sparring.load(source, size=settings.get("size"))
    if what == "compare":
        settings = {k: v.split(",") if k in ("methods", "labels") else v for k, v in settings.items()}
        return lambda: sparring.compare(source, out, **settings)
    if what == "train":
        recipe = settings.pop("r")
        return lambda: driver.train(source, recipe, out, **settings)
    if what == "sample":
        return lambda: folder.read_generator(source)
    if what == "report":
        from sparring.reporting import write

        return lambda: write(source)
    return None  # fit: an estimator and save_model in Python; tested with the classifiers


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(folder: Path, capsys, tokens: list[str], code: int, said: str) -> str:
    """Runs a command that must fail as this table says, and leave `folder` as it is; returns the sentence."""
    before, begun = everything(folder), time.monotonic()
    got = main(tokens)
    out, err = capsys.readouterr()
    assert (got, out) == (code, ""), err
    assert len(err.splitlines()) <= 3 and "Traceback" not in err
    assert re.fullmatch(r"error\[[a-z0-9-]+\]: [^\n]+[.?] Fix: [^\n]+[.?]\n", err), err
    assert re.search(said, err), err
    assert everything(folder) == before, "the inputs changed, or something half-made was left"
    assert time.monotonic() - begun < SECONDS
    return err


@pytest.mark.parametrize(("bad", "command"), [
    pytest.param(bad, command, id=f"{bad.name}: {command.split()[0]}") for bad in TABLE for command in bad.commands
])  # fmt: skip
def test_bad_command(here, capsys, bad, command):  # B06, B41, B55, B59
    bad.build(here)
    refused(here, capsys, shlex.split(command), bad.code, bad.said)
    call = in_python(command)
    if call is not None:
        before = everything(here)
        with pytest.raises(SparringError) as caught:
            call()
        assert caught.value.exit_code == bad.code and re.search(bad.said, str(caught.value))
        assert everything(here) == before


@pytest.mark.parametrize("command", ["data", "compare --out out", "train -r mlp --out out"])
@pytest.mark.parametrize("row", BAD_INPUTS, ids=lambda row: row.id)
def test_bad_data(here, capsys, row, command):
    """The rows of test_data_bad_inputs.py, which run them in Python, through the command line."""
    name, *rest = command.split()
    options = [f"--{option}={value}" for option, value in row.options.items()]
    err = refused(here, capsys, [name, row.build(here), *rest, *options], row.exit_code, row.says)
    assert err.strip() == same_in_python(here, row)


def same_in_python(here: Path, row) -> str:
    source = Path(here / "again")
    source.mkdir()
    with pytest.raises(SparringError) as caught:
        sparring.load(row.build(source), **row.options)
    return str(caught.value).replace("/again", "")


@pytest.mark.parametrize("command", ["data photos", "compare photos --out out", "train photos -r dcgn --out out"])
def test_bad_input_in_a_process_of_its_own(here, command):
    (here / "photos").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "sparring", *shlex.split(command)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode in (2, 3) and not done.stdout
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("error[") and "Fix: " in done.stderr
    assert sorted(p.name for p in here.iterdir()) == ["photos"]


# Bad files among good ones: listed and left out


def test_a_few_bad_files_are_listed_and_left_out(here, capsys):
    folder = class_folders(here / "photos", each=60)
    (folder / "cat/0.png").write_bytes(b"")
    (folder / "cat/1.png").write_bytes(encoded("PNG")[:90])
    (folder / "dog/2.png").write_text("not a picture")
    (folder / "dog/new\nline.png").write_bytes(png_header(20_000, 20_000))
    before = everything(folder)
    assert main(["data", "photos", "--json", "--sheet", "sheet.png"]) == 0
    told = dict(map(tuple, json.loads(capsys.readouterr().out)["bad_files"]))
    wanted = {
        "cat/0.png": "empty",
        "cat/1.png": "truncated",
        "dog/2.png": "not an image",
        "dog/new\nline.png": "64 mill",
    }
    assert set(told) == set(wanted) and all(reason in told[name] for name, reason in wanted.items())
    assert main(["data", "photos", "--sheet", "sheet.png"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^bad files +4, left out$", out, re.M) and "dog/new\\nline.png: " in out
    assert everything(folder) == before


# The machine


@pytest.fixture
def untouchable(here):
    """A folder that may not be written to, for root too."""
    folder = here / "locked"
    folder.mkdir()
    if os.geteuid():
        folder.chmod(0o500)
        yield folder
        folder.chmod(0o700)
        return
    if subprocess.run(["chattr", "+i", folder], capture_output=True).returncode:
        pytest.skip("root may write anywhere here: neither permissions nor chattr +i hold it back")
    yield folder
    subprocess.run(["chattr", "-i", folder], check=True)


@pytest.mark.parametrize(
    "command",
    [
        "compare digits --out locked/out",
        "train digits -r mlp --out locked/out",
        "fit digits -m majority --out locked/out",
    ],
)
def test_no_write_permission_is_found_before_the_data_are_read(untouchable, capsys, monkeypatch, command):  # B56, R23
    monkeypatch.setattr("sparring.data.load", lambda *_, **__: pytest.fail("read the data first"))
    monkeypatch.setattr(driver, "load", lambda *_, **__: pytest.fail("read the data first"))
    assert main(shlex.split(command)) == 5
    err = capsys.readouterr().err
    assert re.search(r"no-permission\]: cannot write locked/out: permission denied", err) and "Fix: " in err
    assert not list(untouchable.iterdir())


@pytest.mark.parametrize(
    "command", ["compare digits --methods majority --jobs 0 --out out", "train digits -r mlp --images 1k --out out"]
)
def test_output_in_use_by_another_process(here, capsys, command):
    """The holder is a live process; when it dies the folder is free."""
    assert main(shlex.split(command)) == 0
    hold = "import sys, time; from sparring.files import locked\nwith locked('out'): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        before = everything(here)
        capsys.readouterr()
        assert main(shlex.split(command)) == 5
        err = capsys.readouterr().err
        assert re.search(rf"in-use\]: out is in use by process {holder.pid} on ", err) and "Fix: " in err
        assert everything(here) == before
        holder.kill()
    assert main(shlex.split(command)) == 0


def failing_at(monkeypatch, number: int) -> list[int]:
    """The `number`-th sync from now on finds the disk full; returns a list that grows with every sync."""
    real, calls = os.fsync, []

    def fsync(handle):
        calls.append(handle)
        if len(calls) == number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    return calls


def test_disk_full_at_every_moment_of_a_run(here, capsys, monkeypatch):  # B57, R21
    """SQLite's method: the N-th sync fails, then the same command goes on; the weights are those of a clean run."""
    command = "train digits -r mlp --augment none --images 256 --precision fp32 --out"
    with monkeypatch.context() as patch:
        calls = failing_at(patch, 0)
        assert main(shlex.split(f"{command} clean")) == 0
    weights = (here / "clean/model/model.safetensors").read_bytes()
    for number in range(1, len(calls) + 1, max(1, len(calls) // 5)):
        capsys.readouterr()
        with monkeypatch.context() as patch:
            failing_at(patch, number)
            assert main(shlex.split(f"{command} out{number}")) == 5, number
        err = capsys.readouterr().err
        assert (
            re.search(r"^error\[disk-full\]: cannot write out\d+/.*: the disk is full .*Fix: ", err)
            and err.count("\n") == 1
        )
        assert not [p for p in (here / f"out{number}").rglob("*") if p.name.startswith(files.TEMPORARY)]
        assert main(shlex.split(f"{command} out{number}")) == 0, number
        assert (here / f"out{number}/model/model.safetensors").read_bytes() == weights, number


def test_a_disk_that_is_really_full(here, capsys):  # R09
    """On a file system of 256 KiB, where one can be mounted."""
    tiny = here / "tiny"
    tiny.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", tiny], capture_output=True).returncode:
        pytest.skip("no small file system can be mounted here")
    try:
        assert main(shlex.split("train digits -r mlp --augment none --images 1k --out tiny/run")) == 5
        err = capsys.readouterr().err
        assert re.search(r"^error\[disk-full\]: cannot write tiny/run.*: the disk is full \(\d+ MiB free\)", err), err
        assert not [p for p in tiny.rglob("*") if p.name.startswith(files.TEMPORARY)]
    finally:
        subprocess.run(["umount", tiny], check=True)


def test_samples_do_not_overwrite(here, capsys):  # B55
    (here / "drawn").mkdir()
    (here / "drawn/00000.png").write_bytes(b"theirs")
    images = np.zeros((2, 8, 8, 1), np.uint8)
    sampler.save_samples(images, here / "new")
    assert main(shlex.split("sample nowhere --out drawn")) == 2
    assert "out-in-use" in capsys.readouterr().err and (here / "drawn/00000.png").read_bytes() == b"theirs"
