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
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sparring
from sparring import files, runs, sample
from sparring.cli import main
from sparring.errors import SparringError

SECONDS = 10  # in which a mistake is told


# Good things to spoil


def picture(path: Path, number: int = 0, *, side: int = 12) -> Path:
    """A grey PNG; its number decides what is on it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (side, side), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def classes(folder: Path, count: int = 12, names: tuple[str, ...] = ("cat", "dog")) -> Path:
    for k, name in enumerate(names):
        for i in range(count):
            picture(folder / name / f"{i:02d}.png", 1000 * k + i)
    return folder


def arrays(**changed) -> dict:
    random = np.random.default_rng(0)
    good = {
        "x_train": random.integers(0, 256, (40, 12, 12), dtype=np.uint8),
        "y_train": np.arange(40) % 2,
        "x_test": random.integers(0, 256, (20, 12, 12), dtype=np.uint8),
        "y_test": np.arange(20) % 2,
    }
    return good | changed


# What is bad about each: a builder that fills the folder `there`


def one_class(there: Path) -> None:
    classes(there, names=("cat",))


def with_bad(count: int, spoil: Callable[[Path], object]) -> Callable[[Path], None]:
    """`count` of 24 images spoilt."""

    def build(there: Path) -> None:
        classes(there)
        for path in sorted(there.rglob("*.png"))[-count:]:
            spoil(path)

    return build


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-60])


def bomb(path: Path) -> None:
    """A PNG of 20,000 x 20,000 black pixels in 50 kB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    side = 20_000
    packer, row, lines = zlib.compressobj(9), bytes(1 + side // 8), []
    for _ in range(side):
        lines.append(packer.compress(row))
    size = side.to_bytes(4, "big") * 2 + bytes([1, 0, 0, 0, 0])
    data = b"".join(lines) + packer.flush()
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def table(text: str) -> Callable[[Path], None]:
    def build(there: Path) -> None:
        for i in range(12):
            picture(there / f"{i}.png", i)
        (there / "labels.csv").write_text(text)

    return build


def saved(**changed) -> Callable[[Path], None]:
    """photos.npz with something wrong in it."""

    def build(there: Path) -> None:
        there.mkdir()
        np.savez(there / "photos.npz", **{k: v for k, v in arrays(**changed).items() if v is not None})

    return build


def broken_zip(there: Path) -> None:
    there.mkdir()
    with zipfile.ZipFile(there / "photos.zip", "w") as archive:
        for i in range(4):
            archive.writestr(f"cat/{i}.png", picture(there / "x.png", i).read_bytes())
    (there / "x.png").unlink()
    whole = (there / "photos.zip").read_bytes()
    (there / "photos.zip").write_bytes(whole[: len(whole) // 2])


def with_output(there: Path) -> None:
    classes(there)
    (there.parent / "theirs").mkdir()
    (there.parent / "theirs" / "thesis.txt").write_text("years of work")
    (there.parent / "afile").write_text("a file")


def holding(name: str, data: bytes) -> Callable[[Path], None]:
    def build(there: Path) -> None:
        there.mkdir()
        (there / name).write_bytes(data)

    return build


@dataclass(frozen=True)
class Bad:
    """`build` makes the folder photos/; `commands` fail with `code` and a sentence that matches `said`."""

    name: str
    build: Callable[[Path], object]
    commands: tuple[str, ...]
    code: int
    said: str


READ = ("data photos", "compare photos --out out", "fit photos -m majority --out out", "train photos -r mlp --out out")
LEARN = ("compare photos --out out", "fit photos -m majority --out out")
NPZ = ("data photos/photos.npz", "compare photos/photos.npz --out out")
FIT = "fit photos -m majority --out"

TABLE = [
    Bad("nothing there", lambda there: classes(there.parent / "photo"), READ, 3, r"photos does not exist, did you mean photo\?"),
    Bad("an empty folder", Path.mkdir, READ, 3, r"data-empty\]: no images in photos: looked for png, .*it is empty"),
    Bad("no images", holding("notes.txt", b"hello"), READ, 3, r"data-empty\]: no images in photos: .*1 \.txt"),
    Bad("one class only", one_class, LEARN, 3, r"class-one\]: .*cat"),
    Bad("too few labels", classes, ("compare photos --labels 50 --out out",), 2, r"too-few-labels\]: class 'cat' has \d+ .*50"),
    Bad("no labels wanted", classes, ("compare photos --labels 0 --out out",), 2, r"label-budget\]: '?0'? labels a class"),
    Bad("labels by half", classes, ("compare photos --labels 1.5 --out out",), 2, r"label-budget\]: '?1.5'? labels"),
    Bad("an empty class", lambda there: (classes(there), (there / "cow").mkdir()), READ, 3, r"class-empty\]: .*photos/cow"),
    Bad("zero-byte files", with_bad(20, lambda p: p.write_bytes(b"")), READ, 3, r"\d+ of 24 .*\.png.*empty"),
    Bad("truncated files", with_bad(20, truncated), READ, 3, r"\d+ of 24 .*\.png.*truncated"),
    Bad("text named .png", with_bad(20, lambda p: p.write_text("<html>no")), READ, 3, r"\d+ of 24 .*\.png.*'<html>"),
    Bad("only a bomb", lambda there: bomb(picture(there / "cat" / "b.png")), READ, 3, r"b\.png.*(20000 x 20000|64 million)"),
    Bad("labels for missing files", table("file,label\n0.png,cat\nlost.png,dog\n"), READ, 3, r"labels\.csv.*lost\.png"),
    Bad("labels without a column", table("name;kind\n0.png;cat\n"), READ, 3, r"labels-columns\]: .*labels\.csv, line 1"),
    Bad("two labels for a file", table("file,label\n0.png,cat\n0.png,dog\n"), READ, 3, r"labels-twice\]: .*line 2.*line 3"),
    Bad("a broken quote", table('file,label\n0.png,"cat\n1.png,dog\n'), READ, 3, r"labels-csv\]: .*labels\.csv, line"),
    Bad("NaN", saved(x_train=np.full((40, 12, 12), np.nan)), NPZ, 3, r"array-nan\]: x_train holds 5760 values NaN"),
    Bad("a wrong shape", saved(x_train=np.zeros((40, 144), np.uint8)), NPZ, 3, r"array-shape\]: x_train has shape \(40, 144\)"),
    Bad("shapes that differ", saved(x_test=np.zeros((20, 16, 16), np.uint8)), NPZ, 3, r"array-shapes\]: .*x_test"),
    Bad("lengths that differ", saved(y_train=np.zeros(7, int)), NPZ, 3, r"array-lengths\]: x_train has 40 images, y_train has 7"),
    Bad("labels that are fractions", saved(y_train=np.linspace(0, 1, 40)), NPZ, 3, r"label-type\]: y_train holds float64"),
    Bad("a pickle inside", saved(x_train=np.array([{}], object)), NPZ, 3, r"npz-pickle\]: x_train in photos/photos\.npz"),
    Bad("other keys", saved(x_train=None, y_train=None, x_test=None, y_test=None, a=np.zeros(3)), NPZ, 3, r"photos.*\ba\b"),
    Bad("all images alike", saved(x_train=np.zeros((40, 12, 12), np.uint8), x_test=np.zeros((20, 12, 12), np.uint8)), NPZ, 3,
        r"no-variation\]: all 60 images of photos are black"),
    Bad("half a zip", broken_zip, ("data photos/photos.zip",), 3, r"photos/photos\.zip"),
    Bad("no zip at all", holding("a.zip", b"hello"), ("data photos/a.zip",), 3, r"data-kind\]: photos/a\.zip is damaged"),
    Bad("a single image", lambda there: picture(there / "a.png"), ("data photos/a.png",), 3, r"data-kind\]: photos/a\.png is a single image"),
    Bad("a bad size", classes, ("data photos --size 0", "compare photos --size 48by64 --out out"), 2, r"image-size\]: size"),
    Bad("an unknown method", classes, ("compare photos --methods majority,svn --out out", "fit photos -m svn --out out"), 2,
        r"unknown-method\]: unknown method 'svn', did you mean svm\?"),
    Bad("an unknown recipe", classes, ("train photos -r dcgn --out out",), 2, r"unknown-recipe\]: unknown recipe 'dcgn', did you mean dcgan\?"),
    Bad("no such recipe file", classes, ("train photos -r my.py:recipe --out out",), 2, r"no-recipe-file\]: there is no file my\.py"),
    Bad("labels wanted, none there", lambda there: [picture(there / f"{i}.png", i) for i in range(9)],
        ("train photos -r classifier --out out",), 3, r"label"),
    Bad("output among others' files", with_output, ("compare photos --out theirs", f"{FIT} theirs", "train photos -r mlp --out theirs"),
        2, r"out-in-use\]: theirs .*thesis\.txt"),
    Bad("output is a file", with_output, ("compare photos --out afile", f"{FIT} afile", "train photos -r mlp --out afile"),
        2, r"out-in-use\]: afile is a file"),
    Bad("output below a file", with_output, ("compare photos --out afile/out", f"{FIT} afile/out"), 5, r"no-folder\]: .*afile is a file"),
    Bad("output inside the data", classes, ("compare photos --out photos/out", "train photos -r mlp --out photos/out"),
        2, r"out-in-data\]: photos/out is inside the data photos"),
    Bad("a model that is none", classes, ("classify photos photos/cat/00.png",), 4, r"photos"),
    Bad("a run that is none", classes, ("sample photos",), 4, r"not-a-run\]: photos holds no training run"),
    Bad("a study that is none", classes, ("report photos",), 4, r"photos"),
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
    settings = dict(zip([w.lstrip("-") for w in words[2::2]], words[3::2], strict=True))
    what, source = words[0], words[1]
    out = settings.pop("out", None)
    if what == "data":
        return lambda: sparring.load(source, size=settings.get("size"))
    if what == "compare":
        lists = {"methods": "methods", "labels": "budgets"}
        settings = {lists.get(k, k): v.split(",") if k in lists else v for k, v in settings.items()}
        return lambda: sparring.compare(source, out, **settings)
    if what == "train":
        return lambda: list(runs.train(source, settings["r"], out))
    if what == "sample":
        return lambda: runs.generator(source)
    if what == "report":
        from sparring.report import write

        return lambda: write(source)
    if what == "classify":
        return lambda: sparring.load_model(source)
    return None  # fit: an estimator and save_model in Python; tested with the classifiers


ROWS = [pytest.param(bad, command, id=f"{bad.name}: {command.split()[0]}") for bad in TABLE for command in bad.commands]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("bad", "command"), ROWS)
def test_bad_input(here, capsys, bad, command):
    bad.build(here / "photos")
    before, begun = everything(here), time.monotonic()
    code = main(shlex.split(command))
    out, err = capsys.readouterr()
    assert (code, out) == (bad.code, ""), err
    assert len(err.splitlines()) <= 3 and "Traceback" not in err
    assert re.search(r"^error\[[a-z0-9-]+\]: .*[.?] Fix: .+\.$", err.strip()), err
    assert re.search(bad.said, err), err
    assert everything(here) == before, "the inputs changed, or something half-made was left"
    call = in_python(command)
    if call is not None:
        with pytest.raises(SparringError) as caught:
            call()
        assert caught.value.exit_code == bad.code and re.search(bad.said, str(caught.value))
        assert everything(here) == before
    assert time.monotonic() - begun < 2 * SECONDS


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
    photos = classes(here / "photos", 60)
    spoilt = {
        "cat/00.png": (lambda p: p.write_bytes(b""), "empty"),
        "cat/01.png": (truncated, "truncated|damaged"),
        "dog/02.png": (lambda p: p.write_text("not a picture"), "not an image"),
        "dog/03.png": (bomb, "20000 x 20000|64 million"),
    }
    for name, (spoil, _) in spoilt.items():
        spoil(photos / name)
    before = everything(photos)
    assert main(["data", "photos", "--json", "--sheet", "sheet.png"]) == 0
    told = json.loads(capsys.readouterr().out)
    listed = dict(map(tuple, told["bad_files"]))
    assert set(listed) == set(spoilt)
    for name, (_, reason) in spoilt.items():
        assert re.search(reason, listed[name]), listed[name]
    assert everything(photos) == before


@pytest.mark.parametrize(
    "name",
    ["naïve 猫.png", "two words.png", "new\nline.png", "tab\t.png", "-dash.png", "%s{0}.png", "🐈.png", "\u202e.png"],
)
def test_odd_names_work_and_are_shown_on_one_line(here, capsys, name):
    photos = classes(here / "photos")
    picture(photos / "cat" / name, 99)
    (photos / "dog" / name).write_bytes(b"")
    assert main(["data", "photos", "--json", "--sheet", "sheet.png"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [bad[0] for bad in told["bad_files"]] == [f"dog/{name}"]
    assert main(["data", "photos", "--sheet", "sheet.png"]) == 0
    out, _ = capsys.readouterr()
    shown = next(line for line in out.splitlines() if "empty" in line)
    assert "dog/" in shown and shown.isprintable()


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
def test_no_write_permission_is_found_before_the_data_are_read(untouchable, capsys, monkeypatch, command):
    monkeypatch.setattr("sparring.data.load", lambda *_, **__: pytest.fail("read the data first"))
    monkeypatch.setattr(runs, "load", lambda *_, **__: pytest.fail("read the data first"))
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


def test_disk_full_at_every_moment_of_a_run(here, capsys, monkeypatch):
    """SQLite's method: the N-th sync fails, then the same command goes on; the weights are those of a clean run."""
    command = "train digits -r mlp --images 512 --precision fp32 --out"
    with monkeypatch.context() as patch:
        calls = failing_at(patch, 0)
        assert main(shlex.split(f"{command} clean")) == 0
    weights = (here / "clean/model/model.safetensors").read_bytes()
    for number in range(1, len(calls) + 1, max(1, len(calls) // 12)):
        capsys.readouterr()
        with monkeypatch.context() as patch:
            failing_at(patch, number)
            assert main(shlex.split(f"{command} out{number}")) == 5, number
        err = capsys.readouterr().err
        assert (
            re.search(r"^error\[disk-full\]: cannot write out\d+/.*: the disk is full .*Fix: ", err)
            and err.count("\n") == 1
        )
        assert not [p for p in (here / f"out{number}").rglob("*") if p.name.startswith(files.ASIDE)]
        assert main(shlex.split(f"{command} out{number}")) == 0, number
        assert (here / f"out{number}/model/model.safetensors").read_bytes() == weights, number


def test_a_disk_that_is_really_full(here, capsys):
    """On a file system of 256 KiB, where one can be mounted."""
    tiny = here / "tiny"
    tiny.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", tiny], capture_output=True).returncode:
        pytest.skip("no small file system can be mounted here")
    try:
        assert main(shlex.split("train digits -r mlp --images 1k --out tiny/run")) == 5
        err = capsys.readouterr().err
        assert re.search(r"^error\[disk-full\]: cannot write tiny/run.*: the disk is full \(\d+ MiB free\)", err), err
        assert not [p for p in tiny.rglob("*") if p.name.startswith(files.ASIDE)]
    finally:
        subprocess.run(["umount", tiny], check=True)


def test_samples_do_not_overwrite(here, capsys):
    (here / "drawn").mkdir()
    (here / "drawn/00000.png").write_bytes(b"theirs")
    images = np.zeros((2, 8, 8, 1), np.uint8)
    sample.save_samples(images, here / "new")
    assert main(shlex.split("sample nowhere --out drawn")) == 2
    assert "out-in-use" in capsys.readouterr().err and (here / "drawn/00000.png").read_bytes() == b"theirs"
