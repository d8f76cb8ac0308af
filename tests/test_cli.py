"""The command line: what may be typed, where output goes, exit codes, signals."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import summaries
from bad_inputs import class_folders
from rich.console import Console

import sparring
from sparring import devices
from sparring.classifiers import METHODS
from sparring.cli import main
from sparring.cli.app import stem
from sparring.cli.commands import app
from sparring.cli.drawings import StudyLine, draw_description, draw_summary
from sparring.cli.screen import Screen
from sparring.cli.signals import Interrupted, Stop
from sparring.cli.typed import typed_number
from sparring.data import describe
from sparring.data.imageset import PartCounts
from sparring.files import folder_name
from sparring.runs.sampler import save_samples
from sparring.study.records import Problem, StudyProgress, Trial
from sparring.study.worker import Task


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(capsys, *tokens) -> tuple[int, str, str]:
    code = main([str(token) for token in tokens])
    out, err = capsys.readouterr()
    return code, out, err


def started(*tokens, **options) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "sparring", *map(str, tokens)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options,
    )  # fmt: skip


# What may be typed


@pytest.mark.parametrize(
    ("text", "value"),
    [("200k", 200_000), ("1.5M", 1_500_000), ("1e6", 1e6), ("1_000", 1000), ("7", 7), ("0.5", 0.5), ("2K", 2000)],
)
def test_numbers(text, value):
    assert typed_number(text) == value


@pytest.mark.parametrize("text", ["", "k", "ten", "1,000", "0x10", "5kk"])
def test_what_is_no_number(text):
    with pytest.raises(ValueError):
        typed_number(text)


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (["methds"], r"unknown-command\]: there is no command 'methds', did you mean methods\?"),
        (["methods", "--jso"], r"unknown-option\]: sparring methods has no option --jso, did you mean --json\?"),
        (["methods", "x"], r"too-many\]: sparring methods does not take 'x' as well"),
        (["train"], r"missing\]: sparring train needs DATA"),
        (["translate"], r"missing\]: sparring translate needs MODEL"),
        (["translate", "run"], r"missing\]: there are no images to translate"),
        (["train", "digits", "-r"], r"missing\]: -r needs a value"),
        (["train", "digits", "-r", "dcgn"], r"unknown-recipe\]: unknown recipe 'dcgn', did you mean dcgan\?"),
        (["train", "digits", "-r", "dcgan", "--images", "many"], r"bad-number\]: --images many is not a whole number"),
        (["train", "digits", "-r", "dcgan", "--images", "0"], r"bad-number\]: --images 0 is not a whole number from 1"),
        (["train", "digits", "-r", "dcgan", "--batch", "1"], r"bad-number\]: --batch 1 is not a whole number from 2"),
        (["train", "digits", "-r", "dcgan", "--seed", "1.5"], r"bad-number\]: --seed 1.5 is not a whole number"),
        (["train", "digits", "-r", "dcgan", "--seed", "-1"], r"bad-number\]: --seed -1 is not a whole number"),
        (["train", "digits", "-r", "dcgan", "--minutes", "nan"], r"bad-number\]: --minutes nan is not a number"),
        (["train", "digits", "-r", "dcgan", "--seed", "1", "--seed", "2"], r"given-twice\]: --seed is given twice"),
        (["train", "digits", "-r", "dcgan", "--precision", "fp8"], r"fp8.*fp32"),
        (["sample", "nowhere"], r"not-a-run\]: nowhere holds no training run"),
    ],
)
def test_what_cannot_be_understood(capsys, tokens, said):  # B50
    code, out, err = run(capsys, *tokens)
    assert code in (2, 4) and not out
    assert len(err.splitlines()) == 1 and "Fix: " in err and "Traceback" not in err
    assert re.search(said, err), err


def test_a_batch_of_ones_own(capsys, tmp_path):
    tokens = ["train", "digits", "-r", "mlp", "--images", "64", "--out", str(tmp_path / "run"), "--batch"]
    assert run(capsys, *tokens, "16")[0] == 0
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["recipe"]["batch"] == 16
    code, _, err = run(capsys, *tokens, "32")
    assert code == 2 and "in batches of 16, not 32" in err


def test_errors_as_json(capsys):
    code, _, err = run(capsys, "train", "digits", "-r", "dcgn", "--json")
    told = json.loads(err)
    assert (code, told["id"], told["exit_code"]) == (2, "unknown-recipe", 2)
    assert "dcgan" in told["reason"] and told["fix"]


@pytest.mark.parametrize("way", ["--debug", "SPARRING_DEBUG"])
def test_a_traceback_only_when_asked(capsys, monkeypatch, way):
    if way == "SPARRING_DEBUG":
        monkeypatch.setenv(way, "1")
        way = "--json"
    code, _, err = run(capsys, "sample", "nowhere", way)
    assert code == 4 and "Traceback" in err
    monkeypatch.delenv("SPARRING_DEBUG", raising=False)
    assert "Traceback" not in run(capsys, "sample", "nowhere")[2]


def raising(error):
    def broken(*_, **__):
        raise error

    return broken


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (RuntimeError("odd"), 70, r"internal\]: RuntimeError: odd at test_cli.py:\d+. Fix: this is a bug of sparring"),
        (MemoryError(), 5, r"out-of-memory\]"),
        (RuntimeError("CUDA out of memory. Tried"), 5, r"out-of-memory\]"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), 5, r"out-of-memory\]"),
        (OSError(28, "No space left on device", "x/y.png"), 5, r"disk-full\]: cannot write x/y.png: the disk is full"),
        (PermissionError(13, "denied", "x/y.png"), 5, r"no-permission\]: cannot write x/y.png: permission denied"),
        (KeyboardInterrupt(), 130, r"^interrupted$"),
    ],
)
def test_other_failures(capsys, monkeypatch, error, code, said):
    monkeypatch.setattr(Screen, "__init__", raising(error))
    assert main(["methods"]) == code
    err = capsys.readouterr().err
    assert re.search(said, err.strip()) and len(err.splitlines()) == 1


# What is printed


def test_tables_are_json_too(capsys):
    for command in ("recipes", "methods"):
        code, out, _ = run(capsys, command, "--json")
        rows = json.loads(out)
        assert code == 0 and len(rows) >= 4 and all(row["name"] for row in rows)
        code, table, _ = run(capsys, command)
        assert code == 0 and all(row["name"] in table for row in rows)


def test_every_command_has_help(capsys):
    for name in app:
        if not name.startswith("-"):
            code, out, _ = run(capsys, name, "--help")
            assert code == 0 and f"sparring {name}" in out


def test_help_and_version_are_quick():
    """By processor time, which a busy machine does not stretch as it does the clock."""
    for option, seen in (("--help", "compare"), ("--version", sparring.__version__)):
        seconds = []
        for _ in range(3):
            before = os.times()
            done = subprocess.run(
                [sys.executable, "-m", "sparring", option], capture_output=True, text=True, check=True
            )
            after = os.times()
            seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
            assert seen in done.stdout
        assert min(seconds) < 0.4, "the bar is 0.3 s on the clock of a quiet machine; something heavy is imported"


def test_progress_without_a_terminal_is_an_occasional_line(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("sparring.cli.screen.time.monotonic", lambda: now[0])
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with Screen().progress("comparing") as line:
        for done in range(100):
            now[0] += 1
            line(done, 100, f"cnn {done}")
    lines = sys.stderr.getvalue().splitlines()
    assert len(lines) == 6  # one every 15 seconds
    assert lines[0].startswith("comparing 14 %  cnn 14  ") and lines[0].endswith(
        "1.5 min left"
    )  # 86 at 14 in 15 s: 92 s
    with Screen(quiet=True).progress("comparing") as line:
        now[0] += 1000
        line(1, 2, "x")
    assert len(sys.stderr.getvalue().splitlines()) == 6


def test_prose_breaks_between_words_and_commands_not_at_all(monkeypatch, capsys):
    """On a terminal of 40 columns; a path that is longer stays whole."""
    screen, path = Screen(), "a/very/long/path/that/has/no/room/in/a/line/report.html"
    monkeypatch.setattr(screen, "results", Console(file=sys.stdout, force_terminal=True, width=40, highlight=False))
    screen.line(f"Eight methods learned to tell ten well-known classes apart.\nReport: {path}")
    screen.command(f"sparring compare photos --minutes 30 --out {path}")
    assert capsys.readouterr().out.splitlines() == [
        "Eight methods learned to tell ten",
        "well-known classes apart.",
        "Report:",
        path,
        f"  sparring compare photos --minutes 30 --out {path}",
    ]


def test_the_end_of_a_study(capsys):
    summary = summaries.make_summary(
        methods=("majority", "svm", "cnn"), budgets=("5", "all"), classes=3, repeats=6, test=200,
        failed=[("cnn", "5")], name="photos", seed=0,
    )  # fmt: skip
    summary = replace(summary, folder=Path("out"))
    draw_summary(Screen(), summary, Path("out/report.html"))
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == summary.verdict
    assert "5 labels a class (15 in all)" in lines and "All 800 labels" in lines
    few, many = out.partition("\n")[2].split("All 800 labels")
    assert re.search(r"^cnn +failed$", few, re.M) and re.search(r"^svm +\d", few, re.M)
    best = max((s for s in summary.scores if s.budget == "all"), key=lambda s: s.accuracy.mean)
    first = many.splitlines()[2]
    assert first.split()[0] == best.method and f"{100 * best.accuracy.mean:.1f} %" in first
    assert f"Report: {Path('out/report.html')}" in lines and f"Model:  {Path('out/model')}" in lines
    assert "6 fits failed; the same command with --retry" in err and "sparring classify out/model" in out


def test_a_study_on_its_way(capsys):
    screen = Screen()
    task = Task(Trial("cnn", "5", 0), METHODS["cnn"], Path("train.npy"), np.zeros(3, np.int64), 0, 1)
    row = task.failed(Problem("fit-failed", "it broke", "mend it")).row
    fits = StudyProgress("fits", 1, 4, "4 fits to do", seconds_left=9.0, running=("cnn-5-0",), finished=row)
    with screen.progress("comparing") as line:
        tell = StudyLine(screen, line, on_interim=lambda: Path("out/report.html"))
        tell(StudyProgress("data", message="reading"))
        for _ in range(3):
            tell(fits)
        for _ in range(2):
            tell(StudyProgress("interim"))
        tell(StudyProgress("stopped", 1, 4, "1 of 4 fits are saved"))
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "4 fits to do",
        "cnn failed at 5 labels: it broke",
        "A first answer is on the page out/report.html, which grows as the study does.",
    ]
    assert tell.saved == "1 of 4 fits are saved; "
    assert tell.fits == 3


def test_a_description(capsys):
    about = describe(sparring.load("digits"))
    draw_description(Screen(), about)
    out = capsys.readouterr().out
    assert out.startswith("digits: 1,797 images of 8x8, grey, 10 classes")
    assert re.search(r"^3 +183$", out, re.M) and re.search(r"^bad files +none$", out, re.M)
    names = {f"class {i}\n": 1 for i in range(40)}
    bad, parts = (("a\nb", "empty"),) * 40, {"train": PartCounts(names, 7), "test": PartCounts(names, 0)}
    about = replace(about, classes=tuple(names), unlabelled=7, warnings=("look out",), bad_files=bad, counts=parts)
    draw_description(Screen(), about)
    out = capsys.readouterr().out
    assert re.search(r"^10 smaller classes +10 +10$", out, re.M) and re.search(r"^\(unlabelled\) +7 +0$", out, re.M)
    assert "a\\nb: empty" in out and "... and 10 more" in out and "look out" in out


def test_nobody_reads_on():
    with started("methods", "--json") as process:
        process.stdout.close()
        assert process.stderr.read() == "" and process.wait(30) == 0


# Where output goes


def test_names_for_output():
    assert [stem(s) for s in ("photos/", "a/b.zip/images", "x.tar.npz", "my.py:recipe")] == [
        "photos",
        "b",
        "x.tar",
        "my",
    ]
    names = ["cat", "a/b", "..", ".", "", "../../etc", "über", "a\nb", "猫", "a%2Fb", "C:\\x"]
    made = [folder_name(name) for name in names]
    assert len(set(made)) == len(names)
    assert made[0] == "cat" and not any(set(name) & set("/\\\n") or name in ("", ".", "..") for name in made)


def test_fit_and_classify(capsys, tmp_path):
    images = sparring.load("digits")
    train, test = images.take(slice(0, 300)), images.take(slice(300, 360))
    arrays = {"x_train": train.images, "y_train": train.labels, "x_test": test.images, "y_test": test.labels}
    np.savez("digits.npz", **arrays)
    save_samples(test.images[:5], "new")
    (tmp_path / "new/odd:x:.png").write_text("root:x:0")
    code, out, err = run(capsys, "fit", "digits.npz", "-m", "logistic", "--out", "model")
    assert code == 0 and "fitted on 300 labels, saved in model" in out and "sparring classify model" in err
    model = sparring.load_model("model")
    right = (model.predict(test.images).astype(int) == test.labels).mean()
    assert f"On 60 test images: {right:.1%} right" in out and right > 0.8
    assert f"{right:.1%} right" in (tmp_path / "model/README.md").read_text()
    code, _, err = run(capsys, "fit", "digits.npz", "-m", "logistic", "--out", "model")
    assert code == 2 and "out-in-use" in err

    code, out, err = run(capsys, "classify", "model", "new", "--json")
    rows = json.loads(out)
    proba = model.predict_proba(test.images[:5])
    assert code == 0 and [row["image"] for row in rows] == [*(f"new/0000{i}.png" for i in range(5)), "new/odd:x:.png"]
    for row, p in zip(rows, proba, strict=False):
        assert list(row["probabilities"].values()) == pytest.approx(p.tolist(), abs=1e-6)
        assert row["class"] == str(p.argmax()) and row["confidence"] == pytest.approx(p.max(), abs=1e-6)
    assert rows[5]["error"] == "not an image: starts with 'root:x:0'"
    assert err == "left out new/odd:x:.png: not an image: starts with 'root:x:0'\n"
    code, out, _ = run(capsys, "classify", "model", "new/00003.png", "new/00001.png", "--csv")
    head, *lines = out.splitlines()
    assert head == "image,class,confidence,answer,set,0,1,2,3,4,5,6,7,8,9"
    assert [line.split(",")[:2] for line in lines] == [[r["image"], r["class"]] for r in (rows[3], rows[1])]
    code, out, _ = run(capsys, "classify", "model", "new/00000.png")
    assert re.search(
        rf"^new/00000.png +{rows[0]['class']} +\d+\.\d % +{rows[0]['answer']} +{rows[0]['class']}", out, re.M
    )
    code, out, err = run(capsys, "classify", "model", "new/odd:x:.png")
    assert (code, out) == (
        3,
        "",
    ) and "none of 1 images can be read, such as new/odd:x:.png: not an image" in err.splitlines()[0]


def test_train_and_sample(capsys, tmp_path):
    command = ("train", "digits", "-r", "mlp", "--images", "1k", "--out", "run", "--precision", "fp32")
    code, out, err = run(capsys, *command)
    assert code == 0 and "done" in out and "sparring sample run" in err
    weights = (tmp_path / "run/model/model.safetensors").read_bytes()
    assert run(capsys, *command)[0] == 0 and (tmp_path / "run/model/model.safetensors").read_bytes() == weights
    code, _, err = run(capsys, *command, "--no-watch")
    assert code == 0 and "--no-watch is called --no-monitor now" in err
    code, out, err = run(capsys, *command, "--seed", "1")
    assert code == 2 and "holds a run with seed 0, not 1" in err

    assert run(capsys, "sample", "run", "-n", 9, "--grid", "g.png")[0] == 0
    assert run(capsys, "sample", "run", "-n", 9, "--grid", "g.png")[0] == 0, "our own picture may be made again"
    (tmp_path / "theirs.png").write_bytes(b"\x89PNG not ours")
    code, _, err = run(capsys, "sample", "run", "--grid", "theirs.png")
    assert code == 2 and "was not made by sparring" in err
    assert (tmp_path / "theirs.png").read_bytes() == b"\x89PNG not ours"

    code, out, _ = run(capsys, "sample", "run", "-n", 3, "--out", "files", "--json")
    assert code == 0 and json.loads(out)["images"] == 3 and len(list((tmp_path / "files").iterdir())) == 3
    code, _, err = run(capsys, "sample", "run", "-n", 3, "--out", "files")
    assert code == 2 and "out-in-use" in err
    code, _, err = run(capsys, "sample", "run", "--per-class", 3, "--out", "more")
    assert code == 2 and not (tmp_path / "more").exists()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_study_says_how_to_go_on(capsys, monkeypatch, sent):
    def study(*_, progress, **__):
        progress(StudyProgress("fits", 1, 4, "4 fits to do"))
        try:
            os.kill(os.getpid(), sent)
            time.sleep(10)
        finally:
            progress(StudyProgress("stopped", 1, 4, "1 of 4 saved"))

    monkeypatch.setattr("sparring.study.compare", study)
    monkeypatch.setattr(sys, "argv", ["sparring", "compare", "my photos"])
    before = signal.getsignal(signal.SIGTERM)
    code, out, err = run(capsys, "compare", "my photos")
    assert (code, out) == (128 + sent, "")
    assert err.splitlines()[-1] == "interrupted: 1 of 4 saved; to go on: sparring compare 'my photos'"
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_second_signal_ends_at_once():  # B71
    with pytest.raises(Interrupted) as caught, Stop() as stop:
        assert not stop()  # the work has begun to ask
        os.kill(os.getpid(), signal.SIGINT)
        assert stop()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)
    assert caught.value.exit_code == 130
    with pytest.raises(Interrupted), Stop():  # it has not: there is nothing to save yet
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)


def test_ctrl_c_saves_and_the_same_command_goes_on(tmp_path):
    """In a process of its own. The weights are those of a run without interruption."""
    command = ("train", "digits", "-r", "mlp", "--images", "8k", "--precision", "fp32", "--out")
    log, until = tmp_path / "a/log.jsonl", time.monotonic() + 120
    with started(*command, "a") as process:
        while not (log.exists() and log.read_text().count("\n") > 10) and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "\ninterrupted: " in f"\n{err}" and "saved in a; to go on: sparring train digits" in err
    assert list((tmp_path / "a/checkpoints").iterdir()) and not (tmp_path / "a/model").exists()
    for out in ("a", "b"):
        assert main([*command, out]) == 0
    a, b = ((tmp_path / out / "model/model.safetensors").read_bytes() for out in "ab")
    assert a == b


def test_doctor_says_what_this_machine_has_and_will_use(capsys, monkeypatch):
    monkeypatch.setattr("sparring.games.training.fastest_precision", lambda *_, **__: "fp32")
    code, out, _ = run(capsys, "doctor", "--json")
    found = json.loads(out)
    assert code == 0 and found["versions"]["sparring"] == sparring.__version__
    assert found["versions"]["torch"].startswith("2.") and found["versions"]["python"].startswith("3.")
    assert found["device"] == "cpu" and found["precision"] == "fp32" and found["jobs"] == found["machine"]["cores"]
    assert 1 <= found["machine"]["cores"] <= os.cpu_count() and found["machine"]["cpu"]
    code, out, _ = run(capsys, "doctor")
    assert code == 0 and max(map(len, out.splitlines())) <= 160
    for name in ("processor", "cores", "memory", "device", "precision", "scikit-learn", found["machine"]["cpu"]):
        assert name in out
    assert "bf16 is not faster" in out


def test_doctor_says_what_a_gpu_would_be_used_for(capsys, monkeypatch):
    monkeypatch.setattr("sparring.games.training.fastest_precision", lambda *_, **__: "bf16")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    _, out, _ = run(capsys, "doctor")
    assert "used, because there is one" in out and "fp32 is not faster" in out


# Output that is closed, full or of another encoding; text from data


def shell(command: str, **environment: str) -> tuple[int, str, str]:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command.replace('sparring', f'{sys.executable} -m sparring')}"],
        capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"} | environment, timeout=200,
    )  # fmt: skip
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full")
@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("sparring methods > /dev/full", 5, r"error\[output\]: cannot write the output: no space left on device"),
        ("sparring methods --json > /dev/full", 5, '"id": "output"'),
        ("sparring methods >&-", 5, r"error\[no-output\]: there is nowhere to write results to"),
        ("sparring methods 2>&- >/dev/null", 0, "^$"),
        ("sparring methds 2>&-", 2, "^$"),
        ("sparring methds 2>/dev/full", 2, "^$"),
        ("sparring methods | true", 0, "^$"),
        ("sparring methods | head -1 >/dev/null", 0, "^$"),
        ("sparring methods --json | true", 0, "^$"),
        ("sparring methds 2>&1 >/dev/null | true", 2, "^$"),
    ],
)
def test_exit_codes_of_outputs(command, code, said):
    found, _, err = shell(command)
    assert (found, bool(re.search(said, err.strip()))) == (code, True), err
    assert "Traceback" not in err and "bug" not in err


def test_a_broken_pipe_that_is_not_the_output_is_an_error(capsys, monkeypatch):
    def broken(*_, **__):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("sparring.data.load", broken)
    with open(os.devnull, "w") as sink:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", sink)
        assert main(["data", "digits"]) == 5
    assert "error[output]" in capsys.readouterr().err


def test_work_goes_on_where_nobody_reads_the_notes(tmp_path):
    """`2>&1 | head -1` ends after the first note; the study is made all the same."""
    code, _, _ = shell(
        "sparring compare digits --out out --methods majority --labels 3 --repeats 1 --jobs 0 2>&1 | true"
    )
    assert code == 0 and (tmp_path / "out" / "report.html").exists()


@pytest.mark.parametrize(("encoding", "kind"), [("ascii", ""), ("ascii", "--json"), ("cp1252", "--csv"), ("utf-8", "")])
def test_any_encoding_takes_any_name(tmp_path, encoding, kind):  # B70, S48, S49
    names = "日本", "a\u202eb\x1b[31m", "=1+1"
    for number, name in enumerate(names):
        class_folders(tmp_path / "photos", classes=(name,), each=6 + number)
    assert main(["fit", str(tmp_path / "photos"), "-m", "majority", "--out", str(tmp_path / "model")]) == 0
    code, out, err = shell(f"sparring classify model photos {kind}", PYTHONIOENCODING=encoding)
    assert code == 0, err
    assert "\x1b" not in out + err and "\u202e" not in out + err
    if kind == "--json":
        assert {*json.loads(out)[0]["probabilities"]} == {*names}
    if kind == "--csv":
        assert not re.search(r"(^|,)=", out, re.M) and "'=1+1" in out


def failing(*_, **__):
    raise ValueError("no such luck")


def test_every_fit_failed_is_no_success(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sparring.classifiers.majority.MajorityClassifier._fit", failing)
    code, _, err = run(capsys, "compare", "digits", "--out", "out", "--methods", "majority", "--labels", "3",
                       "--repeats", "1", "--jobs", "0", "--quiet")  # fmt: skip
    assert code == 1 and "error[all-failed]: all 1 fit of out failed: ValueError: no such luck" in err
    assert (tmp_path / "out" / "report.html").exists()


def test_where_some_fits_succeeded_not_all_have_failed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sparring.classifiers.logistic.LogisticClassifier._fit", failing)
    code, out, err = run(capsys, "compare", "digits", "--out", "out", "--methods", "majority,logistic", "--labels", "3",
                         "--repeats", "1", "--jobs", "0", "--quiet")  # fmt: skip
    assert code == 0 and "all-failed" not in err and "failed" in out


def test_what_we_install_has_no_hole_that_a_release_closed():  # S59
    """By the dated list in the repository: nothing is fetched."""
    top = Path(__file__).parents[1]
    pinned = dict(line.split("==") for line in (top / "constraints.txt").read_text().splitlines() if "==" in line)
    floors = tomllib.loads((top / "pyproject.toml").read_text())["project"]
    asked = [*floors["dependencies"], *floors["optional-dependencies"]["encoders"]]
    lowest = dict(line.split(">=") for line in asked if ">=" in line)
    assert {row.package for row in devices.ADVISORIES} <= {*pinned, *lowest}
    for versions in (pinned, lowest):
        assert [row for row in devices.known_holes(versions) if row.fixed] == []
    holes = devices.known_holes({"pillow": "12.3.0", "filelock": "4.2.0", "jinja2": "unknown", "torch": "2.14.1+cpu"})
    assert {row.package for row in holes if row.fixed} == {"pillow", "filelock"}
    assert devices.known_holes({"filelock": "4.0.1", "pyarrow": "0.13.0", "numpy": "0.1"}) == []
    assert {row.fixed for row in devices.known_holes({"pyarrow": "14.0.0"})} == {"14.0.1"}
    date.fromisoformat(devices.ADVISORIES_OF)


def test_doctor_warns_of_packages_with_known_holes(capsys, monkeypatch):
    assert devices.unsafe_packages() == {}
    monkeypatch.setattr(devices, "_version", {"pillow": "12.2.0", "torch": "2.14.1+cpu"}.get)
    monkeypatch.setattr(
        devices, "ADVISORIES", [row for row in devices.ADVISORIES if row.package in ("pillow", "torch")]
    )
    assert devices.unsafe_packages() == {"pillow": "13.0.0"}
    assert not devices._older("unknown", "1.0") and devices._older("3.1.5", "3.1.6")
    monkeypatch.setattr(devices, "unsafe_packages", lambda: {"pillow": "13.0.0"})
    monkeypatch.setattr("sparring.games.training.fastest_precision", lambda *_, **__: "fp32")
    monkeypatch.setattr(devices, "versions", lambda: {"pillow": "12.3.1"})
    _, said, _ = run(capsys, "doctor")
    assert "pip install 'pillow>=13.0.0'" in said
    words = " ".join(said.split())
    assert "pillow, CVE-2026-112403: a JPEG writes beyond its memory" in words and "no release closes it yet" in words
    assert json.loads(run(capsys, "doctor", "--json")[1])["unsafe"] == {"pillow": "13.0.0"}
