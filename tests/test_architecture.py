"""The rules of the layout, checked on the source: imports point to earlier chapters, start is light, files short."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "sparring"
CHAPTERS = """
    errors files devices images records keyed_random artifacts words stats data nets metrics games runs
    features judging classifiers explaining study reporting webapp cli __main__
""".split()
FILES = sorted(SOURCE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
LONG_FILES: dict[str, str] = {}  # "name.py": why one file reads better than two
LONG_FUNCTIONS: dict[str, str] = {"games.training.training": "the one loop, read from top to bottom"}


def chapter(path: Path) -> str:
    """The chapter a source file belongs to: its folder below src/sparring, or its own name."""
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def imported(path: Path):
    """Chapters that this file imports, wherever in the file."""
    package = ("sparring", *path.relative_to(SOURCE).with_suffix("").parts)[:-1]
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            base += node.module.split(".") if node.module else []
            names = [[*base, alias.name] for alias in node.names]
        else:
            continue
        yield from (name[1] for name in names if name[0] == "sparring" and len(name) > 1)


def functions(tree: ast.AST):
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def named(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


@pytest.mark.parametrize("path", FILES, ids=named)
def test_imports_point_to_earlier_chapters(path):
    if path.name == "__init__.py" and path.parent == SOURCE:
        return
    here = chapter(path)
    assert here in CHAPTERS, f"{named(path)} belongs to no chapter: give it a place in the order"
    for other in set(imported(path)) - {here}:
        assert other in CHAPTERS, f"{named(path)} imports sparring.{other}, which is no chapter"
        assert CHAPTERS.index(other) < CHAPTERS.index(here), f"{named(path)} imports the later chapter {other}"


def first_line(name: str) -> str:
    """Of the docstring of a chapter."""
    path = SOURCE / f"{name}.py" if (SOURCE / f"{name}.py").exists() else SOURCE / name / "__init__.py"
    return (ast.get_docstring(TREES[path]) or "").split("\n")[0]


def test_contributing_lists_the_chapters_as_they_are():
    rows = [f"| `{name}` | {first_line(name)} |" for name in CHAPTERS if name != "__main__"]
    table = "\n".join(["| chapter | what it holds |", "|---|---|", *rows])
    text = (SOURCE.parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert f"<!-- chapters -->\n{table}\n<!-- /chapters -->" in text, f"put this table into CONTRIBUTING.md:\n{table}"


def test_metrics_import_nothing_of_ours_but_errors():
    for path in FILES:
        if chapter(path) == "metrics":
            assert set(imported(path)) <= {"metrics", "errors"}, named(path)


def test_public_names_are_lazy_and_known_to_editors():
    import sparring

    block = next(node for node in TREES[SOURCE / "__init__.py"].body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert seen == sparring.PUBLIC
    assert set(sparring.PUBLIC) == set(sparring.__all__) <= set(dir(sparring))
    for name, chapter_name in sparring.PUBLIC.items():
        assert name not in CHAPTERS, f"sparring.{name} would hide the chapter of that name"
        if (SOURCE / f"{chapter_name}.py").exists() or (SOURCE / chapter_name).exists():
            assert getattr(sparring, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        sparring.nothing  # noqa: B018


def modules_after(code: str) -> set[str]:
    found = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in found.stdout.split()}


@pytest.mark.parametrize("code", ["import sparring", "import sparring.errors", "import sparring.cli"])
def test_start_is_light(code):
    heavy = {"torch", "sklearn", "scipy", "matplotlib", "pyarrow", "PIL", "numpy", "jinja2"}
    assert not heavy & modules_after(code)


def test_the_report_needs_no_torch():
    assert "torch" not in modules_after("import sparring.reporting")


@pytest.mark.parametrize("path", FILES, ids=named)
def test_nothing_below_the_command_line_prints_or_reads_it(path):
    if chapter(path) in ("cli", "__main__"):
        return
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("print", "input", "breakpoint"), f"{named(path)}:{node.lineno}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            place = (node.value.id, node.attr)
            assert place not in {("sys", "argv"), ("sys", "stdout"), ("sys", "stderr")}, f"{named(path)}:{node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=named)
def test_sizes(path):
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= 500 or named(path) in LONG_FILES, f"{lines} lines: one idea or two?"
    for node in functions(TREES[path]):
        body = node.body[1:] if ast.get_docstring(node) and node.body[1:] else node.body
        length = node.end_lineno - body[0].lineno + 1  # the signature and the docstring are not counted
        name = f"{named(path)[:-3].replace('/', '.')}.{node.name}"
        assert length <= 60 or name in LONG_FUNCTIONS, f"{name} has {length} lines"


@pytest.mark.parametrize("path", FILES, ids=named)
def test_names_say_something(path):
    empty = {"utils", "util", "misc", "helper", "helpers", "common", "cfg", "args", "opt"}
    assert path.stem not in empty
    for node in functions(TREES[path]):
        given = {argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}
        assert not given & empty, f"{named(path)}:{node.lineno}: {given & empty}"


SHIPPED_WEIGHTS = "efficientnet.py"  # reads the one pickle that a package ships, after its hash was found right


@pytest.mark.parametrize("path", FILES, ids=named)
def test_no_pickle(path):  # S04
    """A pickle runs code when it is read. Processes of one study may send each other objects; files never hold one."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            assert not names & {"pickle", "dill", "shelve", "marshal"}, f"{named(path)}:{node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            call = ast.unparse(node.func)
            tensors_only = "weights_only=True" in map(ast.unparse, node.keywords) and path.name == SHIPPED_WEIGHTS
            found = re.fullmatch(r"(torch|joblib)\.(save|load|dump)", call)
            assert not found or tensors_only, f"{named(path)}:{node.lineno}"
            allowed = [k for k in node.keywords if k.arg == "allow_pickle" and ast.unparse(k.value) != "False"]
            assert not allowed, f"{named(path)}:{node.lineno}"


def raised_for_users():
    from sparring import errors

    ours = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    for path in FILES:
        for node in ast.walk(TREES[path]):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ours:
                yield pytest.param(node, id=f"{named(path)}:{node.lineno}")


@pytest.mark.parametrize("call", list(raised_for_users()))
def test_errors_follow_the_grammar(call):
    """id, what is wrong, fix=what to do; the class adds the full stops."""
    if any(isinstance(argument, ast.Starred) for argument in call.args) or any(k.arg is None for k in call.keywords):
        return
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    texts = [*call.args, *keywords.values()]
    assert len(texts) == 3 and "fix" in keywords, "an error has an id, a problem and fix="
    if isinstance(texts[0], ast.Constant):
        assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", texts[0].value), texts[0].value
    for text in texts[1:]:
        end = text.values[-1] if isinstance(text, ast.JoinedStr) and text.values else text
        if isinstance(end, ast.Constant):
            assert not str(end.value).endswith((".", "\n")), f"no full stop at the end: {end.value!r}"


# --- what benchmarks/structure.py counts ------------------------------------------------------------------------------

LIMITS = {
    "circles": 0,
    "floors": 13,
    "entries": 25,  # 23 until there were the page (webapp) and explanations, each a part that may be left out
    "bare-dicts": 10,
    "any": 50,
    "gets": 15,
    "names": 25,
    "long-files": 0,
}


@pytest.fixture(scope="module")
def structure():
    spec = importlib.util.spec_from_file_location("structure", SOURCE.parents[1] / "benchmarks" / "structure.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["structure"] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def our_source(structure):
    return structure.Source("src/sparring", SOURCE)


@pytest.mark.parametrize("count", LIMITS)
def test_the_structure_stays(structure, our_source, count):
    places = structure.COUNTS[count][1](our_source)
    assert len(places) <= LIMITS[count], f"python benchmarks/structure.py --list {count}:\n" + "\n".join(places)


def test_the_counts_notice_what_they_count(structure, tmp_path):
    for name, text in {
        "a.py": "from .b import g\ndef f() -> dict: return g()\n",
        "b.py": "from typing import Any\nfrom .a import f\ndef g(x: Any) -> dict[str, Any]: return f()\ndef f(): ...\n",
        "__init__.py": "",
    }.items():
        (tmp_path / name).write_text(text)
    source = structure.Source("made up", tmp_path)
    found = {count: len(structure.COUNTS[count][1](source)) for count in LIMITS}
    assert found == LIMITS | {"circles": 1, "floors": 1, "entries": 3, "bare-dicts": 2, "any": 2, "gets": 0, "names": 1}


# --- no sentence steers the program -----------------------------------------------------------------------------------


def sentences_compared(tree: ast.AST):
    """Yield (line, text) where code compares a value with words, or looks for words in it, or cuts them off."""

    def words(node: ast.AST) -> str:
        text = node.value if isinstance(node, ast.Constant) else None
        return text if isinstance(text, str) and re.search(r"[A-Za-z]{2,} [A-Za-z]", text) else ""

    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            for side in (node.left, *node.comparators):
                each = side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else [side]
                yield from ((node.lineno, words(one)) for one in each if words(one))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            parts = (
                "startswith",
                "endswith",
                "partition",
                "rpartition",
                "removesuffix",
                "removeprefix",
                "find",
                "count",
            )
            if node.func.attr in parts:
                yield from ((node.lineno, words(one)) for one in node.args if words(one))
        if isinstance(node, ast.MatchValue) and words(node.value):
            yield node.lineno, words(node.value)


OTHERS_WORDS = {
    "requested and": "numpy's only sign of a full disk",
    "model name": "a line of /proc/cpuinfo",
}


@pytest.mark.parametrize("path", FILES, ids=named)
def test_no_sentence_steers_the_program(path):
    found = [(line, text) for line, text in sentences_compared(TREES[path]) if text not in OTHERS_WORDS]
    assert not found, f"{named(path)}: use a field or an enum instead of {found}"


def test_sentences_that_steer_are_noticed():
    code = "if 'halved in' in a: pass\nif why == 'more augmentation': pass\nrule.partition(' fitted to')\nx == 'svm'"
    assert [line for line, _ in sentences_compared(ast.parse(code))] == [1, 2, 3]
