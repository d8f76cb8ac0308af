"""How the source is built: counts over its syntax trees, one column for each tree, so that two can be compared.

    python benchmarks/structure.py [[NAME=]PATH ...] [--json] [--list COUNT]

PATH is a package folder, such as src/sparring (the default: this one's); NAME heads its column. `--list any` prints
file:line of everything that `any` counts. Nothing is imported or run. What counts as what:

lines           Every line of a .py file is one of four: docstring (blank lines inside it too), comment (nothing else on
                the line), blank, code.
bare dict       A return annotation that says dict, not what is in it: `dict`, `Mapping`, or either with values `Any`,
                `object` or a bare dict; also a list or sequence of such, and `| None`. Without an annotation: a
                function that returns a dict display, `dict(...)`, or `|` of one. Anywhere: in a tuple or iterator too.
Any             Each use of the name outside imports; not inside quotes.
.get(           Calls of a method `get` in the folder report or reporting; in its .html files, each text `.get(`.
two files       Names defined at the top of more than one file, also under `if` and `try`. Constants are names that are
                assigned, `__all__` among them.
circles         Files that import each other, by any import: at the top, in a function, under TYPE_CHECKING. A package's
                __init__.py is a file as any other; the outermost one is left out, for it names the public names of all
                and loads them late. What is passed without an import (`run: Any`) cannot be seen.
floors          The longest chain of imports, a circle as one floor; a chapter is what stands directly in the folder.
functions       Each `def`, nested ones too, from `def` to its last line. Parameters: all but self and cls. Public: no
                name on the way begins with _, and not inside a function.
"""

import argparse
import ast
import io
import json
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

HERE = Path(__file__).parents[1] / "src" / "sparring"
LONG_FILE = 500  # lines
DICTS = {"dict", "Dict", "Mapping", "MutableMapping", "defaultdict", "OrderedDict"}
MANY = {"list", "List", "Sequence", "Optional"}
REPORTS = ("reporting", "report")
DEF = (ast.FunctionDef, ast.AsyncFunctionDef)
DEF_OR_CLASS = (*DEF, ast.ClassDef)
Graph = dict[str, set[str]]


@dataclass(frozen=True, eq=False)
class Source:
    """The files of one package."""

    name: str
    folder: Path

    @cached_property
    def texts(self) -> dict[str, str]:
        """File -> text, by its path in the package."""
        files = sorted(path for path in self.folder.rglob("*.py") if "__pycache__" not in path.parts)
        return {path.relative_to(self.folder).as_posix(): path.read_text(encoding="utf-8") for path in files}

    @cached_property
    def trees(self) -> dict[str, ast.Module]:
        return {file: ast.parse(text, file) for file, text in self.texts.items()}

    @cached_property
    def functions(self) -> list["Function"]:
        return [function for file, tree in self.trees.items() for function in functions(file, tree)]

    @cached_property
    def imports(self) -> Graph:
        """File -> the files of this package that it imports, without the outermost __init__.py."""
        files = {module(file): file for file in self.trees}
        found = {file: imported(file, self.trees[file], files, self.folder.name) - {file} for file in self.trees}
        return {file: others - {"__init__.py"} for file, others in found.items() if file != "__init__.py"}

    @cached_property
    def chapters(self) -> Graph:
        """The same for what stands directly in the folder."""
        found: Graph = {chapter(file): set() for file in self.imports}
        for file, others in self.imports.items():
            found[chapter(file)] |= {chapter(other) for other in others} - {chapter(file)}
        return found


@dataclass(frozen=True, eq=False)
class Function:
    """A `def` and where it stands."""

    file: str
    path: tuple[str, ...]  # names of classes and functions around it, and its own
    node: ast.FunctionDef | ast.AsyncFunctionDef
    around: ast.AST  # module, class or function

    @property
    def lines(self) -> int:
        return (self.node.end_lineno or 0) - self.node.lineno + 1

    @property
    def place(self) -> str:
        return f"{self.file}:{self.node.lineno} {'.'.join(self.path)}"

    @property
    def public(self) -> bool:
        return not isinstance(self.around, DEF) and not any(name.startswith("_") for name in self.path)

    @property
    def unannotated(self) -> list[str]:
        """Parameters without a type."""
        given = self.node.args
        named = [*given.posonlyargs, *given.args]
        static = any(ast.unparse(decorator) == "staticmethod" for decorator in self.node.decorator_list)
        if isinstance(self.around, ast.ClassDef) and not static:
            named = named[1:]
        named += [*given.kwonlyargs, *(extra for extra in (given.vararg, given.kwarg) if extra)]
        return [argument.arg for argument in named if argument.annotation is None]


def functions(
    file: str, node: ast.AST, path: tuple[str, ...] = (), around: ast.AST | None = None
) -> Iterator[Function]:
    """All functions below a node."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, DEF_OR_CLASS):
            inside = (*path, child.name)
            if isinstance(child, DEF):
                yield Function(file, inside, child, around or node)
            yield from functions(file, child, inside, child)
        else:
            yield from functions(file, child, path, around or node)


# --- lines -----------------------------------------------------------------------------------------------------------


@cache
def kinds(text: str) -> tuple[str, ...]:
    """What each line is: code, docstring, comment or blank."""
    lines = text.splitlines()
    found = ["code" if line.strip() else "blank" for line in lines]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip():
            found[token.start[0] - 1] = "comment"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (*DEF_OR_CLASS, ast.Module)) and ast.get_docstring(node, clean=False) is not None:
            said = node.body[0]
            found[said.lineno - 1 : said.end_lineno] = ["docstring"] * (said.end_lineno - said.lineno + 1)
    return tuple(found)


def lines_of(*wanted: str):
    """A count: the lines of these kinds."""

    def places(source: Source) -> list[str]:
        return [
            f"{file}:{number} {kind}"
            for file, text in source.texts.items()
            for number, kind in enumerate(kinds(text), 1)
            if kind in wanted
        ]

    return places


# --- dicts, Any, .get( -----------------------------------------------------------------------------------------------


def last_name(node: ast.AST) -> str:
    """`Any` of `Any` and of `typing.Any`."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def bare(node: ast.AST | None) -> bool:
    """Whether an annotation says dict, and not what is in it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return bare(ast.parse(node.value, mode="eval").body)
    if isinstance(node, ast.BinOp):
        return bare(node.left) or bare(node.right)
    if isinstance(node, ast.Subscript):
        values = node.slice.elts[-1] if isinstance(node.slice, ast.Tuple) else node.slice
        if last_name(node.value) in DICTS:
            return last_name(values) in ("Any", "object") or bare(values)
        return last_name(node.value) in MANY and bare(values)
    return last_name(node) in DICTS if node else False


def dict_anywhere(node: ast.AST | None) -> bool:
    """The same, inside tuples and iterators too; `dict[str, int]` is no bare dict because `dict` stands in it."""
    if bare(node):
        return True
    if isinstance(node, ast.Subscript):
        return dict_anywhere(node.slice)
    return any(dict_anywhere(child) for child in ast.iter_child_nodes(node)) if node else False


def dict_made(node: ast.AST | None) -> bool:
    """Whether an expression is a dict as it is written."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return dict_made(node.left) or dict_made(node.right)
    called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict"
    return called or isinstance(node, (ast.Dict, ast.DictComp))


def returned(node: ast.AST) -> Iterator[ast.expr | None]:
    """What the return statements of a function give, without those of functions inside it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Return):
            yield child.value
        elif not isinstance(child, (*DEF_OR_CLASS, ast.Lambda)):
            yield from returned(child)


def bare_dicts(source: Source) -> list[str]:
    return [
        f"{f.place} -> {ast.unparse(f.node.returns) if f.node.returns else 'a dict, unannotated'}"
        for f in source.functions
        if (bare(f.node.returns) if f.node.returns else any(map(dict_made, returned(f.node))))
    ]


def bare_dicts_anywhere(source: Source) -> list[str]:
    within = [
        f for f in source.functions if f.node.returns and dict_anywhere(f.node.returns) and not bare(f.node.returns)
    ]
    return sorted(bare_dicts(source) + [f"{f.place} -> {ast.unparse(f.node.returns)}" for f in within])


def uses_of_any(source: Source) -> list[str]:
    return [
        f"{file}:{node.lineno}"
        for file, tree in source.trees.items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.Name, ast.Attribute)) and last_name(node) == "Any"
    ]


def report_folder(source: Source) -> Path | None:
    return next((path for name in REPORTS for path in sorted(source.folder.rglob(name)) if path.is_dir()), None)


def gets_in_python(source: Source) -> list[str]:
    folder = report_folder(source)
    start = f"{folder.relative_to(source.folder).as_posix()}/" if folder else "no report"
    return [
        f"{file}:{node.lineno} {ast.unparse(node.func)}"
        for file, tree in source.trees.items()
        for node in ast.walk(tree)
        if file.startswith(start) and isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if node.func.attr == "get"
    ]


def gets_in_templates(source: Source) -> list[str]:
    folder = report_folder(source)
    return [
        f"{path.relative_to(source.folder).as_posix()}:{number}"
        for path in (sorted(folder.rglob("*.html")) if folder else ())
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for _ in range(line.count(".get("))
    ]


def gets(source: Source) -> list[str]:
    return gets_in_python(source) + gets_in_templates(source)


# --- names -----------------------------------------------------------------------------------------------------------


def targets(node: ast.AST) -> Iterator[str]:
    """Names that an assignment gives a value."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, (ast.Tuple, ast.List)):
        for element in node.elts:
            yield from targets(element)


def defined(body: Iterable[ast.AST], *, constants: bool) -> Iterator[tuple[str, int]]:
    """(name, line) of what stands at the top of a file."""
    for node in body:
        if isinstance(node, DEF_OR_CLASS):
            yield node.name, node.lineno
        elif isinstance(node, (ast.Assign, ast.AnnAssign)) and constants:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                yield from ((name, node.lineno) for name in targets(target))
        elif isinstance(node, (ast.If, ast.Try)):
            yield from defined([*node.body, *node.orelse], constants=constants)


def defined_twice(*, constants: bool):
    """A count: names that more than one file defines."""

    def places(source: Source) -> list[str]:
        where: dict[str, dict[str, int]] = defaultdict(dict)
        for file, tree in source.trees.items():
            for name, line in defined(tree.body, constants=constants):
                where[name].setdefault(file, line)
        several = sorted((name, files) for name, files in where.items() if len(files) > 1)
        return [f"{name}: {', '.join(f'{file}:{line}' for file, line in files.items())}" for name, files in several]

    return places


# --- imports ---------------------------------------------------------------------------------------------------------


def module(file: str) -> str:
    """`data.splits` of data/splits.py, `data` of data/__init__.py, nothing of the outermost one."""
    return file.removesuffix(".py").removesuffix("__init__").strip("/").replace("/", ".")


def chapter(file: str) -> str:
    return file.split("/")[0].removesuffix(".py")


def imported(file: str, tree: ast.Module, files: dict[str, str], package: str) -> set[str]:
    """Files of the package that this one imports, wherever in it."""
    here = [package, *file.split("/")[:-1]]  # the packages around it, the outermost first
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            base = base + (node.module.split(".") if node.module else [])
            names = [[*base, alias.name] for alias in node.names]
        else:
            continue
        for outer, *inner in names:
            if outer == package:  # the longest part of the name that is a file
                ends = range(len(inner), -1, -1)
                found.add(next(files[name] for end in ends if (name := ".".join(inner[:end])) in files))
    return found


def reached(graph: Graph) -> Graph:
    """What can be reached from each node in one step or more."""
    found: Graph = {}
    for start in graph:
        found[start], left = set(), [start]
        while left:
            for other in graph[left.pop()] - found[start]:
                found[start].add(other)
                left.append(other)
    return found


def circles(graph: Graph) -> list[list[str]]:
    """Sets of nodes that reach each other, largest first."""
    found = reached(graph)
    rings = {frozenset(other for other in found[node] if node in found[other]) for node in graph if node in found[node]}
    return sorted((sorted(ring) for ring in rings), key=lambda ring: (-len(ring), ring))


def floors(graph: Graph) -> list[list[str]]:
    """The longest chain, lowest first; a circle is one floor."""
    ring = {node: (node,) for node in graph} | {node: tuple(ring) for ring in circles(graph) for node in ring}

    @cache
    def below(floor: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        under = sorted({ring[other] for node in floor for other in graph[node]} - {floor})
        return (*max(map(below, under), key=len, default=()), floor)

    return [list(floor) for floor in max(map(below, sorted(set(ring.values()))), key=len, default=())]


def joined(groups: list[list[str]]) -> list[str]:
    return [" + ".join(group) for group in groups]


def entries(source: Source) -> list[str]:
    names = (path.name for path in source.folder.iterdir())
    return sorted(name for name in names if name != "__pycache__" and not name.startswith("."))


# --- functions -------------------------------------------------------------------------------------------------------


def longest(source: Source) -> list[str]:
    """Each line of the longest function is a place, so that the number is its length."""
    found = max(source.functions, key=lambda f: f.lines, default=None)
    return [f"{found.file}:{found.node.lineno + n} {'.'.join(found.path)}" for n in range(found.lines)] if found else []


def long_files(source: Source) -> list[str]:
    lengths = {file: len(text.splitlines()) for file, text in source.texts.items()}
    return [f"{file}: {length} lines" for file, length in lengths.items() if length > LONG_FILE]


COUNTS = {  # name -> (what the row says, source -> a place for each that is counted)
    "lines": ("lines of .py files", lines_of("code", "docstring", "comment", "blank")),
    "code": ("- code", lines_of("code")),
    "docstrings": ("- docstrings", lines_of("docstring")),
    "comments": ("- comments", lines_of("comment")),
    "blank": ("- blank", lines_of("blank")),
    "bare-dicts": ("functions that return a bare dict", bare_dicts),
    "bare-dicts-anywhere": ("- or one anywhere in what they return", bare_dicts_anywhere),
    "any": ("uses of `Any`", uses_of_any),
    "gets": ("`.get(` in the report", gets),
    "gets-python": ("- in its Python", gets_in_python),
    "gets-templates": ("- in its templates", gets_in_templates),
    "names": ("names of functions and classes defined in two files", defined_twice(constants=False)),
    "names-constants": ("- of constants too", defined_twice(constants=True)),
    "circles": ("circles of files that import each other", lambda source: joined(circles(source.imports))),
    "floors": ("floors of the imports, by chapter", lambda source: joined(floors(source.chapters))),
    "file-floors": ("- by file", lambda source: joined(floors(source.imports))),
    "entries": ("entries directly in the folder", entries),
    "files": (".py files", lambda source: list(source.texts)),
    "long-files": (f"- of more than {LONG_FILE} lines", long_files),
    "functions": ("functions", lambda source: [f"{f.place} ({f.lines} lines)" for f in source.functions]),
    "longest": ("lines of the longest one", longest),
    "parameters": (
        "parameters without annotation",
        lambda source: [f"{f.place}({name})" for f in source.functions for name in f.unannotated],
    ),
    "returns": (
        "functions without return annotation",
        lambda source: [f.place for f in source.functions if f.node.returns is None],
    ),
    "undocumented": (
        "public functions without docstring",
        lambda source: [f.place for f in source.functions if f.public and ast.get_docstring(f.node) is None],
    ),
}


def source_of(text: str) -> Source:
    """A package folder from PATH or NAME=PATH."""
    name, _, path = text.rpartition("=") if "=" in text and not Path(text).exists() else ("", "", text)
    folder = Path(path)
    if not (folder / "__init__.py").is_file():
        raise SystemExit(f"{folder} is no package folder: it has no __init__.py")
    return Source(name or path, folder.resolve())


def table(sources: list[Source]) -> Iterator[str]:
    """Markdown: a row for each count, a column for each source; then what circles and floors there are."""
    yield f"| | {' | '.join(source.name for source in sources)} | --list |"
    yield f"|---|{'---:|' * len(sources)}---|"
    for name, (what, places) in COUNTS.items():
        yield f"| {what} | {' | '.join(f'{len(places(source)):,}' for source in sources)} | {name} |"
    for source in sources:
        yield f"\nCircles in {source.name}: {'; '.join(joined(circles(source.imports))) or 'none'}."
        yield f"Floors of {source.name}, lowest first: {', '.join(joined(floors(source.chapters)))}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*", type=source_of, metavar="[NAME=]PATH")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--list", choices=COUNTS, metavar="COUNT", help=f"one of {', '.join(COUNTS)}")
    options = parser.parse_args()
    sources = options.sources or [source_of(f"src/sparring={HERE}")]
    if options.list:
        for source in sources:
            for place in COUNTS[options.list][1](source):
                print(f"{source.name}: {place}" if len(sources) > 1 else place)
    elif options.json:
        found = {
            source.name: {name: len(places(source)) for name, (_, places) in COUNTS.items()}
            | {"circles_are": circles(source.imports), "floors_are": floors(source.chapters)}
            for source in sources
        }
        print(json.dumps(found, indent=1))
    else:
        print("\n".join(table(sources)))


if __name__ == "__main__":
    main()
