"""Records: frozen dataclasses that describe something. They hash, compare, print as Python, and go to JSON and back.

Everything in a recipe is a record. JSON may name only classes that carry `@record`; nothing is imported by name.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from enum import StrEnum
from functools import cache, partial
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    NamedTuple,
    NoReturn,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from .errors import FileFormatError, suggestion

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Class = TypeVar("Class", bound=type)
Value = TypeVar("Value")
_OTHER_VERSION = "use a file written by this version of sparring"
RECORDS: dict[str, type] = {}  # name -> class
FORMER: dict[str, type] = {}  # the name that a class had before -> class


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: Class, /) -> Class: ...
@overload
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(*, was: str = "", renamed: Mapping[str, str] | None = None) -> Callable[[Class], Class]: ...
def record(
    cls: Class | None = None, /, *, was: str = "", renamed: Mapping[str, str] | None = None
) -> Class | Callable[[Class], Class]:
    """Make a frozen dataclass that prints only what differs from its defaults, and that JSON may name.

    `was`, `renamed` (new field name -> first one): how the class and its fields were first called. Files that were
    written then can still be read, and random numbers that are keyed by the record stay what they were. A user may
    define a class again, as in a notebook cell that runs twice. Raises ValueError for the name of a class of this
    package.
    """

    def made(cls: Class) -> Class:
        there = RECORDS.get(cls.__name__)
        if there is not None and there.__module__.split(".")[0] == "sparring" and cls.__module__ != there.__module__:
            raise ValueError(f"sparring has a record called {cls.__name__}: choose another name")
        dataclass(frozen=True, repr=False)(cls)
        first_fields = {**_first_fields(cls), **(renamed or {})}
        added = {"__repr__": vars(cls).get("__repr__", _as_call), "first_name": was or cls.__name__}
        for name, value in (added | {"first_fields": first_fields}).items():
            setattr(cls, name, value)
        RECORDS[cls.__name__] = cls
        if was:
            FORMER[was] = cls
        return cls

    return made if cls is None else made(cls)


class News(NamedTuple):
    """What was found on the way and is to stay in sight: in a few lines, and in full."""

    short: tuple[str, ...] = ()
    full: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """How far long work has come. Functions that take `on_progress` call it with one of these.

    `done` of `total` things of the kind `what` ("images", "fits", ...); `total` is 0 while it is not known. `news`:
    what loading saw, left out, converted and doubts, once.
    """

    what: str
    done: int = 0
    total: int = 0
    message: str = ""
    seconds_left: float | None = None
    news: News = News()


OnProgress = Callable[[Progress], None]


def no_progress(progress: Progress) -> None:
    """Show nothing: the default of `on_progress`."""


def _first_fields(cls: type) -> dict[str, str]:
    """Return new name -> first name of the fields of a class that were renamed."""
    return getattr(cls, "first_fields", {})


def _as_call(self: "DataclassInstance") -> str:
    return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in _changed(self))})"


def _changed(value: "DataclassInstance | type[DataclassInstance]") -> list[tuple[str, object]]:
    """Return (name, value) of the fields that are not at their defaults."""
    pairs = ((f, getattr(value, f.name)) for f in fields(value))
    return [(f.name, inner) for f, inner in pairs if inner != f.default or f.default is MISSING]


def identity(value: object) -> str:
    """Return the text that random numbers are keyed by: `repr(value)`, with the first names of classes and fields."""
    if is_dataclass(value):
        first = _first_fields(type(value))
        inner = ", ".join(f"{first.get(name, name)}={identity(field)}" for name, field in _changed(value))
        return f"{getattr(value, 'first_name', type(value).__name__)}({inner})"
    if isinstance(value, tuple):
        return f"({', '.join(map(identity, value))}{',' if len(value) == 1 else ''})"
    return repr(value)


def pretty(value: object, *, width: int = 100, indent: int = 0, name: str = "") -> str:
    """Return `repr(value)` on several lines, each at most `width` long where that can be."""
    start = " " * indent + name
    if indent + len(name) + len(repr(value)) < width or not (is_dataclass(value) or isinstance(value, tuple)):
        return start + repr(value)
    inner = [("", item) for item in value] if isinstance(value, tuple) else [(f"{n}=", v) for n, v in _changed(value)]
    opening = "(" if isinstance(value, tuple) else f"{type(value).__name__}("
    lines = [pretty(item, width=width, indent=indent + 4, name=label) + "," for label, item in inner]
    return "\n".join([start + opening, *lines, " " * indent + ")"])


def as_python(value: object, name: str, *, width: int = 100) -> str:
    """Return Python that defines `name` as this record when it is run: the imports that it needs, then the record."""
    homes: dict[str, set[str]] = {}

    def visit(inner: object) -> None:
        if is_dataclass(inner):
            homes.setdefault(type(inner).__module__, set()).add(type(inner).__name__)
            inner = tuple(field for _, field in _changed(inner))
        for item in inner if isinstance(inner, tuple) else ():
            visit(item)

    visit(value)
    imports = [f"from {module} import {', '.join(sorted(homes[module]))}" for module in sorted(homes)]
    return "\n".join([*imports, "", pretty(value, width=width, name=f"{name} = ")])


def walk(value: object) -> Iterator[object]:
    """Yield every record inside `value`, itself included, outermost first."""
    if is_dataclass(value):
        yield value
        for f in fields(value):
            yield from walk(getattr(value, f.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from walk(item)


def to_json(value: object, *, kinds: bool = True) -> Any:
    """Return JSON for records, tuples, mappings and plain values; `from_json` or `read_record` reads it.

    A record becomes {"kind": class name, field: value, ...}. All fields, so a later change of a default changes no
    file. With `kinds` False it is {field: value, ...}: for `read_record`, which knows the class. There a trailing
    underscore of a field is not written (`class_` is "class"), nor is a field with metadata {"written": False}.
    """
    if is_dataclass(value):
        if kinds:
            return {"kind": type(value).__name__} | {f.name: to_json(getattr(value, f.name)) for f in fields(value)}
        kept = (f for f in fields(value) if f.metadata.get("written", True))
        return {f.name.removesuffix("_"): to_json(getattr(value, f.name), kinds=False) for f in kept}
    if isinstance(value, Mapping):
        return {str(name): to_json(item, kinds=kinds) for name, item in value.items()}
    return [to_json(item, kinds=kinds) for item in value] if isinstance(value, tuple | list) else value


def from_json(data: object) -> Any:
    """Return the record that `to_json` made this of, also from a file with former names.

    Raises FileFormatError for a class or field that does not exist, a field that is missing, and a value that does not
    fit its annotation.
    """
    if isinstance(data, list):
        return tuple(from_json(item) for item in data)
    if not isinstance(data, dict):
        return data
    kind, rest = str(data.get("kind")), {name: from_json(value) for name, value in data.items() if name != "kind"}
    cls: Any = RECORDS.get(kind, FORMER.get(kind))
    if cls is None:
        raise FileFormatError(
            "unknown-record", f"unknown record {kind!r}{suggestion(kind, RECORDS)}", fix=_OTHER_VERSION
        )
    known, now = [f.name for f in fields(cls)], {first: name for name, first in _first_fields(cls).items()}
    rest = {str(name if name in known else now.get(name, name)): value for name, value in rest.items()}
    if unknown := [name for name in rest if name not in known]:
        problem = f"{kind} has no field {unknown[0]!r}{suggestion(unknown[0], known)}; it has {', '.join(known)}"
        raise FileFormatError("unknown-field", problem, fix=_OTHER_VERSION)
    for name, hint in hints_of(cls).items():
        if name in rest and not may_be(rest[name], hint):
            problem = f"{kind} has the {name} {rest[name]!r:.60}, which is not of its type"
            raise FileFormatError("bad-field", problem, fix=_OTHER_VERSION)
    try:
        return cls(**rest)
    except TypeError as error:  # a field is missing
        raise FileFormatError("bad-field", f"{kind}: {error}", fix=_OTHER_VERSION) from error


@cache
def hints_of(cls: type) -> dict[str, Any]:
    """Return field -> its annotation; nothing of a class whose annotations name what is imported for editors only."""
    try:
        return get_type_hints(cls)
    except NameError:
        return {}


def may_be(value: object, hint: Any) -> bool:
    """Return whether a value fits an annotation, as far as that can be seen from the value alone."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint in SIMPLE:
        return SIMPLE[hint][1](value)
    if origin is Literal:
        return value in inner
    if origin in (Union, UnionType):
        return any(may_be(value, each) for each in inner)
    if origin is tuple and isinstance(value, tuple):
        each = [inner[0]] * len(value) if inner[-1] is ... else inner
        return len(each) == len(value) and all(map(may_be, value, each))
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return value in set(hint)
    kind = origin if isinstance(origin, type) else hint
    if not isinstance(kind, type) or getattr(kind, "_is_protocol", False):
        return True
    if not isinstance(value, kind):
        return False
    if isinstance(value, Mapping) and len(inner) == 2:
        return all(may_be(name, inner[0]) and may_be(item, inner[1]) for name, item in value.items())
    return not isinstance(value, list) or len(inner) != 1 or all(may_be(item, inner[0]) for item in value)


@record
class CurveName:
    """What a curve of a training is called.

    `key`: its name in logs. `player`: "discriminator", "generator", ..., or "" where there is one player only. `title`:
    what is drawn. `of`: the images it is about, "real" or "generated", where it is drawn beside those of the other
    kind, else "". `share`: its values are shares in [0,1].
    """

    key: str
    player: str
    title: str
    of: str = ""
    share: bool = False

    @property
    def panel(self) -> str:
        """The title of its picture; curves of real and of generated images have one picture."""
        return f"{self.player}: {self.title}" if self.player and not self.of else self.title


def read_record(cls: type[Value], data: object, *, name: str = "the file") -> Value:
    """Return the record of class `cls` that `to_json(record, kinds=False)` wrote, also under former names of fields.

    Every value is checked against the annotation of its field. Raises FileFormatError for a field that does not exist
    or is missing and for a value of another type; `name` says in which file.
    """
    try:
        return _reader(cls)(data)
    except _Misfit as error:
        place = f"{name}: {error.place.removeprefix('.')}: " if error.place else f"{name}: "
        raise FileFormatError(error.id, f"{place}{error}", fix=_OTHER_VERSION) from None


class _Misfit(ValueError):
    """A value that does not fit its annotation; `place` says where, such as `.scores[3].accuracy`."""

    def __init__(self, problem: str, place: str = "", id: str = "bad-field"):
        super().__init__(problem)
        self.place, self.id = place, id


_LARGEST = sys.float_info.max  # JSON can say 1e999, and whole numbers that no float holds

SIMPLE: dict[object, tuple[str, Callable[[object], bool]]] = {
    str: ("text", lambda v: isinstance(v, str)),
    bool: ("true or false", lambda v: isinstance(v, bool)),
    int: ("a whole number", lambda v: isinstance(v, int) and not isinstance(v, bool)),
    float: ("a number", lambda v: isinstance(v, int | float) and not isinstance(v, bool) and abs(v) <= _LARGEST),
    type(None): ("null", lambda v: v is None),
    object: ("anything", lambda v: True),
    Any: ("anything", lambda v: True),
}


@cache
def _reader(kind: object) -> Callable[[object], Any]:
    """Return a function that turns JSON into a value of the annotation `kind`, or raises _Misfit."""
    origin, inner = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        return _record_reader(kind)
    if origin is tuple:
        each = _reader(inner[0])
        items = partial(_of_type, kind=(list, tuple), what="a list")
        return lambda data: tuple(_read_at(f"[{i}]", each, item) for i, item in enumerate(items(data)))
    if origin is Mapping:
        each = _reader(inner[1])
        entries = partial(_of_type, kind=Mapping, what="an object")
        return lambda data: {name: _read_at(f"[{name!r}]", each, item) for name, item in entries(data).items()}
    if origin is Literal:
        return lambda data: _of_type(data, str, "text") if data in inner else _refuse(data, " or ".join(inner))
    if origin in (Union, UnionType):
        return lambda data: _first_that_fits(data, [_reader(one) for one in inner])
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return lambda data: kind(data) if data in set(kind) else _refuse(data, " or ".join(kind))
    what, fits = SIMPLE[kind]
    return lambda data: data if fits(data) else _refuse(data, what)


def _record_reader(cls: "type[DataclassInstance]") -> Callable[[object], object]:
    hints = get_type_hints(cls)
    known = {f.name.removesuffix("_"): f for f in fields(cls) if f.metadata.get("written", True)}
    former = {old: name for name, old in _first_fields(cls).items()}
    readers = {name: _reader(hints[f.name]) for name, f in known.items()}
    needed = [n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING]

    def read(data: object) -> object:
        if isinstance(data, cls):
            return data
        written = _of_type(data, dict, "an object")
        given = {str(name if name in known else former.get(name, name)): value for name, value in written.items()}
        if unknown := [name for name in given if name not in known]:
            said = f"{cls.__name__} has no field {unknown[0]!r}{suggestion(unknown[0], known)}"
            raise _Misfit(f"{said}; it has {', '.join(known)}", id="unknown-field")
        if lacking := [name for name in needed if name not in given]:
            raise _Misfit(f"{cls.__name__} lacks the field {lacking[0]!r}", id="unknown-field")
        made = {known[name].name: _read_at(f".{name}", readers[name], value) for name, value in given.items()}
        try:
            return cls(**made)
        except ValueError as error:
            raise _Misfit(str(error)) from None

    return read


def _read_at(place: str, read: Callable[[object], object], data: object) -> object:
    try:
        return read(data)
    except _Misfit as error:
        raise _Misfit(str(error), place + error.place, error.id) from None


def _first_that_fits(data: object, readers: list[Callable[[object], object]]) -> object:
    last = _Misfit("")
    for reader in readers:
        try:
            return reader(data)
        except _Misfit as error:
            last = error if not last.place or error.place else last
    raise last


def _of_type(data: object, kind: type[Value] | tuple[type[Value], ...], what: str) -> Value:
    return data if isinstance(data, kind) else _refuse(data, what)


def _refuse(data: object, what: str) -> NoReturn:
    raise _Misfit(f"{data!r:.60} is not {what}")
