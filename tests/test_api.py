"""The public API: names and signatures are frozen, and Python's options are those of the command line."""

import inspect
import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

import sparring
from sparring.cli.commands import app
from sparring.cli.reading import Reading, ReadingGroups

FROZEN = Path(__file__).with_name("api.txt")
VERBS = ("load", "describe", "compare", "fit", "classify", "train", "sample", "translate", "judge", "report")


def signatures() -> str:
    """Return one line for each public name: its parameters with their defaults, or what it is."""
    lines = []
    for name in sorted(sparring.__all__):
        thing = getattr(sparring, name)
        if isinstance(thing, type) and issubclass(thing, Exception):
            text = f"({', '.join(base.__name__ for base in thing.__bases__)})"
        elif callable(thing):
            parameters = inspect.signature(thing).parameters.values()
            plain = (p.replace(annotation=p.empty) for p in parameters)
            text = re.sub(r"<function (\w+) at \w+>", r"\1", str(inspect.Signature(list(plain))))
        else:
            text = f": {', '.join(str(getattr(row, 'name', row)) for row in thing)}"
        lines.append(f"{name}{text}")
    return "\n".join(lines) + "\n"


def test_names_and_signatures_are_frozen():
    """Whoever changes the API on purpose runs `python tests/test_api.py` and tells of it in CHANGELOG.md."""
    assert signatures() == FROZEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_says_what_it_takes_returns_and_raises(name):
    text = inspect.getdoc(getattr(sparring, name))
    assert text and text.split("\n")[0].endswith("."), f"sparring.{name} needs a first sentence"
    assert "Raises" in text or "raises" in text


# What a person types and sees, and what only a program can use.
ONLY_TYPED = {
    "json",
    "quiet",
    "verbose",
    "csv",
    "no_monitor",
    "no_watch",
    "sheet",
    "plan",
    "inside",
    "score",
    "seed",
    "report",
    "over_time",
    "html",
    "move_into",
    "undo",
}
ONLY_PYTHON = {"progress", "command", "model", "monitor", "names", "budgets", "alike", "labels", "out"}
# Arguments without a name on the command line.
PLACED = {"data", "source", "model", "images", "real", "fakes", "run", "of", "folder", "run_or_model", "count", "n"}


def typed_options(command: str):
    """Names of the options of a command; a record stands for its fields."""
    for parameter in inspect.signature(app[command].default_command).parameters.values():
        kind = parameter.default.__class__
        yield from (f.name for f in fields(kind)) if is_dataclass(kind) else (parameter.name,)


@pytest.mark.parametrize("name", ["compare", "fit", "train", "judge", "data", "audit", "describe"])
def test_what_reads_labelled_images_takes_the_same_options_everywhere(name):
    """`audit` and `describe` are `data` on the command line."""
    reads = {f.name for f in fields(ReadingGroups if name == "judge" else Reading)}
    assert {"size", "table", "label", "group", "follow_links"} <= reads
    assert reads <= set(typed_options({"audit": "data", "describe": "data"}.get(name, name)))
    if name != "data":
        assert reads <= set(inspect.signature(getattr(sparring, name)).parameters)


@pytest.mark.parametrize("name", ["compare", "fit", "classify", "train", "sample", "translate", "judge", "report"])
def test_options_have_the_same_names_in_python_and_on_the_command_line(name):
    command = set(typed_options(name))
    function = set(inspect.signature(getattr(sparring, name)).parameters)
    # How the images of --nearest and --score are read: Python takes them as `sparring.load` returned them.
    read = {"table", "label", "follow_links"} if name in ("sample", "report", "translate") else set()
    assert command - function <= ONLY_TYPED | PLACED | read, f"only on the command line: {command - function}"
    assert function - command <= ONLY_PYTHON | PLACED | {"trust_code"}, f"only in Python: {function - command}"


def test_misspelt_names_of_tables_are_answered_with_the_nearest():
    for table, wrong, near in (
        (sparring.METHODS, "smv", "svm"),
        (sparring.RECIPES, "dcgn", "dcgan"),
        (sparring.METRICS, "kernal", "kernel"),
    ):
        with pytest.raises(KeyError, match=f"did you mean {near}"):
            table[wrong]
        assert "<table>" in table._repr_html_() and near in repr(table)


def test_a_notebook_of_one_run(tmp_path):
    """Train, sample, judge, fit, classify and report, as a person would call them."""
    run = sparring.train("digits", "mlp", out=tmp_path / "run", images=256, precision="fp32")
    assert isinstance(run, sparring.Run) and run._repr_html_()
    images = sparring.sample(run, 5)
    assert images.shape == (5, 8, 8, 1) and str(images.dtype) == "uint8"
    found = sparring.judge("digits", run, metrics=("kernel",), features="pixels", images=100)
    assert isinstance(found, sparring.Judgement)
    first, *rest = str(found).split("\n")
    assert first.startswith("run: Kernel distance x 1000 ") and "+-" in first
    assert rest and all(line.startswith("run") and line.endswith(".") for line in rest)
    assert sparring.report(found, tmp_path / "judge.html").read_text().startswith("<!doctype html>")
    assert sparring.report(run.folder).name == "report.html"
    fitted = sparring.fit("digits", method="svm", out=tmp_path / "model")
    assert all(p.label for p in sparring.classify(fitted.model, list(sparring.load("digits").images[:2])))


if __name__ == "__main__":
    FROZEN.write_text(signatures(), encoding="utf-8")
