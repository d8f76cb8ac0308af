"""A user's own recipe file, with classes of its own: it trains and is used again in new processes, with consent."""

import json
import shutil
import subprocess
import sys
from importlib import reload
from pathlib import Path

import numpy as np
import pytest
from new_process import command

from sparring.errors import FileFormatError, UsageError
from sparring.judging.inputs import as_generator
from sparring.runs.defaults import find_recipe
from sparring.runs.driver import train
from sparring.runs.folder import Run

LOSS = """
import pathlib
from sparring.games.builders import gan
from sparring.games.losses import NonSaturating
from sparring.games.players import Discriminator, Generator
from sparring.nets.mlp import MLP
from sparring.records import record

with pathlib.Path("executed.txt").open("a") as file:
    file.write("x")

@record
class Louder(NonSaturating):
    loudness: float = 2.0

    def g(self, real, fake):
        return self.loudness * super().g(real, fake)

SMALL = MLP(widths=(16,))
recipe = gan("ours", Louder(), discriminator=Discriminator(net=SMALL), generator=Generator(net=SMALL))
"""
NET = LOSS.replace("generator=Generator(net=SMALL)", "generator=Generator(net=Wide(widths=(16,)))").replace(
    "SMALL =", "@record\nclass Wide(MLP):\n    pass\n\nSMALL ="
)
TRAIN = ("train", "digits", "-r", "mine.py:recipe", "--out", "run")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with mine.py and a run of it, trained in two processes."""
    here = tmp_path_factory.mktemp("own")
    (here / "mine.py").write_text(LOSS)
    command(here, *TRAIN, "--images", "640", "--no-monitor")
    assert (here / "executed.txt").read_text() == "x", "the file ran more than once in a process"
    command(here, *TRAIN, "--images", "1280", "--no-monitor")
    return here


@pytest.fixture
def here(trained, tmp_path):
    return Path(shutil.copytree(trained, tmp_path / "here"))


def test_the_run_keeps_a_copy_of_the_file_and_its_hash(here):
    own = json.loads((here / "run" / "recipe.json").read_text())["own"]
    assert "from mine import Louder" in json.loads((here / "run" / "recipe.json").read_text())["python"]
    assert own["file"] == "mine.py" and (here / "run" / "own" / "mine.py").read_text() == LOSS
    assert json.loads((here / "run" / "model" / "config.json").read_text()).get("own") is None


def test_a_report_and_the_exported_generator_run_no_code(here):
    (here / "executed.txt").unlink()
    command(here, "report", "run")
    assert "Louder" in (here / "run" / "report.html").read_text()
    command(here, "sample", "run", "-n", "4", "--grid", "grid.png")
    command(here, "sample", "run/model", "-n", "4", "--grid", "grid2.png")
    assert not (here / "executed.txt").exists()


def test_a_checkpoint_is_read_with_consent_only(here):
    shutil.rmtree(here / "run" / "model")
    (here / "executed.txt").unlink()
    said = command(here, "sample", "run", "-n", "4", "--grid", "grid.png", code=2)
    assert "error[own-code]: run was trained with code of its own, run/own/mine.py" in said
    assert "Fix: read it, then repeat with --trust-code" in said and not (here / "executed.txt").exists()
    command(here, "sample", "run", "-n", "4", "--grid", "grid.png", "--trust-code")
    assert (here / "grid.png").is_file() and (here / "executed.txt").exists()


def test_a_changed_copy_is_refused_even_with_consent(here):
    shutil.rmtree(here / "run" / "model")
    (here / "run" / "own" / "mine.py").write_text(LOSS + "\nprint('more')\n")
    said = command(here, "sample", "run", "-n", "4", "--grid", "grid.png", "--trust-code", code=4)
    assert "run/own/mine.py is not the code that run was trained with: its hash differs" in said


def test_an_edited_file_is_another_run(here):
    (here / "mine.py").write_text(LOSS + "\n")
    said = command(here, *TRAIN, "--images", "1280", code=2)
    assert "error[other-run]: run holds a run with mine.py, in another version" in said
    said = command(here, "train", "digits", "-r", "mlp", "--out", "run", code=2)
    assert "error[other-run]: run holds a run with mine.py" in said


def test_the_same_file_from_another_place_goes_on(here):
    (here / "elsewhere").mkdir()
    (here / "mine.py").rename(here / "elsewhere" / "mine.py")
    words = [word.replace("mine.py", "elsewhere/mine.py") for word in TRAIN]
    said = command(here, *words, "--images", "1280")
    assert "done" in said


def test_a_generator_of_ones_own_needs_consent_wherever_it_is_read(tmp_path):
    (tmp_path / "mine.py").write_text(NET)
    command(tmp_path, *TRAIN, "--images", "128", "--no-monitor")
    sample = ("sample", "run", "-n", "4", "--grid", "grid.png")
    assert "error[own-code]" in command(tmp_path, *sample, code=2)
    assert "4 images" in command(tmp_path, *sample, "--trust-code")
    command(tmp_path, "report", "run")  # without what is inside the generator


def test_a_run_that_the_clock_stopped_is_reported_sampled_and_read_in_new_processes(tmp_path):
    (tmp_path / "mine.py").write_text(LOSS)
    said = command(tmp_path, *TRAIN, "--images", "1e9", "--minutes", "0.01")
    assert "0.01 minutes are over" in said and (tmp_path / "executed.txt").read_text() == "x"
    command(tmp_path, "report", "run")
    page = (tmp_path / "run" / "report.html").read_text()
    assert "What it draws now" in page and "Louder" in page
    assert "4 images" in command(tmp_path, "sample", "run", "-n", "4", "--trust-code", "--grid", "grid.png")
    fix = "Fix: read it, then draw images: sparring sample .*run -n 1000 --out drawn --trust-code, and judge these"
    with pytest.raises(UsageError, match=fix):
        as_generator(tmp_path / "run")
    (tmp_path / "run" / "own" / "mine.py").unlink()
    with pytest.raises(FileFormatError, match="cannot read .*run/own/mine.py, the code of this run. Fix: restore it"):
        Run.read(tmp_path / "run", trust_code=True)


def test_python_asks_for_consent_too(here):
    code = """
import sys
from sparring.errors import UsageError
from sparring.runs.folder import Run
try:
    Run.read("run")
    sys.exit("was not refused")
except UsageError as error:
    assert error.id == "own-code" and "trust_code=True" in str(error)
run = Run.read("run", trust_code=True)
assert type(run.recipe.players[1].losses[0]).__name__ == "Louder"
assert run.newest()[0].round == 20
"""
    subprocess.run([sys.executable, "-c", code], cwd=here, check=True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("recipe = (\n", r"mine.py cannot be run: line 1: SyntaxError: '\(' was never closed"),
        ("x = 1\nrecipe = 1 / 0\n", "mine.py cannot be run: line 2: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit('no')\n", "mine.py cannot be run: line 2: SystemExit: no"),
        ("import nothing_there\n", "line 1: ModuleNotFoundError: No module named 'nothing_there'"),
    ],
)
def test_a_file_that_cannot_be_run_is_a_sentence(tmp_path, content, said):
    (tmp_path / "mine.py").write_text(content)
    with pytest.raises(UsageError, match=rf"recipe-file.*{said}"):
        find_recipe(f"{tmp_path}/mine.py:recipe")


def test_two_files_may_define_classes_of_the_same_name(tmp_path, monkeypatch):
    """What is read from JSON is of the class of its own file, whichever was run last."""
    monkeypatch.chdir(tmp_path)
    runs = {}
    for name, loud in (("a", "2.0"), ("b", "3.0")):
        (tmp_path / f"{name}.py").write_text(LOSS.replace("float = 2.0", f"float = {loud}"))
        runs[name] = train("digits", f"{name}.py:recipe", tmp_path / name, images=64, monitor=False, precision="fp32")
    for name, loud in (("a", 2.0), ("b", 3.0), ("a", 2.0)):
        loss = Run.read(tmp_path / name).recipe.players[1].losses[0]
        assert type(loss)().loudness == loud and type(loss) is type(runs[name].recipe.players[1].losses[0])


def test_a_class_defined_again_as_in_a_notebook_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "notebook_cell.py").write_text(LOSS)
    import notebook_cell

    x = (np.random.default_rng(0).integers(0, 256, (64, 12, 12, 1)).astype(np.uint8), np.arange(64) % 2)
    options = {"monitor": False, "precision": "fp32", "augment": "none"}
    old = notebook_cell.recipe
    train(x, old, "run", images=64, **options)
    reload(notebook_cell)
    assert notebook_cell.recipe != old  # its class is another one now
    for recipe in (notebook_cell.recipe, old):
        assert train(x, recipe, "run", images=128, **options).newest()[0].round == 2


def test_classes_that_no_file_keeps_are_named(tmp_path, monkeypatch):
    """Defined in an imported module: whoever reads the run has to import it first."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "helper.py").write_text(LOSS)
    code = "import sys; sys.path.insert(0, '.')\nimport helper\nfrom sparring.runs.driver import train\n"
    code += "train('digits', helper.recipe, 'run', images=64, monitor=False, precision='fp32')"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    with pytest.raises(FileFormatError, match="defined outside sparring.*Fix: import the module that defines"):
        from sparring.records import RECORDS

        RECORDS.pop("Louder", None)
        Run.read(tmp_path / "run")


def test_classes_of_a_notebook_are_to_be_defined_first(tmp_path, monkeypatch):
    """A cell defines them in __main__, which nobody can import."""
    monkeypatch.chdir(tmp_path)
    cell = LOSS.replace("class Louder", "class Cell").replace("Louder()", "Cell()")
    train_it = "import numpy as np\nfrom sparring.runs.driver import train\n"
    train_it += "x = np.random.default_rng(0).integers(0, 256, (64, 12, 12, 1)).astype(np.uint8)\n"
    train_it += "for _ in range(2):\n    exec(cell)\n    train(x, recipe, 'run', images=64, precision='fp32')"
    subprocess.run([sys.executable, "-c", f"cell = {cell!r}\n{train_it}"], cwd=tmp_path, check=True)
    with pytest.raises(FileFormatError, match="Fix: run the cells or lines that define them first; of a recipe file"):
        Run.read(tmp_path / "run")
