"""Records: frozen dataclasses that describe something. They hash, compare, print as Python, and go to JSON and back.

Everything in a recipe is a record. JSON may name only classes that carry `@record`; nothing is imported by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any, TypeVar, dataclass_transform, overload

from .errors import FileFormatError, suggestion

Class = TypeVar("Class", bound=type)
RECORDS: dict[str, type] = {}  # name -> class
FORMER: dict[str, type] = {}  # the name that a class had before -> class


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: Class, /) -> Class: ...
@overload
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(*, was: str = "", renamed: Mapping[str, str] | None = None) -> Callable[[Class], Class]: ...
def record(cls=None, /, *, was: str = "", renamed: Mapping[str, str] | None = None):
    """Make a frozen dataclass that prints only what differs from its defaults, and that JSON may name.

    `was`, `renamed` (new field name -> first one): how the class and its fields were first called. Files that were
    written then can still be read, and random numbers that are keyed by the record stay what they were. A user may
    define a class again, as in a notebook cell that runs twice. Raises ValueError for the name of a class of this
    package.
    """

    def made(cls):
        there = RECORDS.get(cls.__name__)
        if there is not None and there.__module__.split(".")[0] == "sparring" and cls.__module__ != there.__module__:
            raise ValueError(f"sparring has a record called {cls.__name__}: choose another name")
        cls = dataclass(frozen=True, repr=False)(cls)
        cls.__repr__ = written
        cls.first_name = was or cls.__name__
        cls.first_fields = {**getattr(cls, "first_fields", {}), **(renamed or {})}
        RECORDS[cls.__name__] = cls
        if was:
            FORMER[was] = cls
        return cls

    return made if cls is None else made(cls)


@dataclass(frozen=True)
class Progress:
    """Where long work stands. Whoever wants to know passes a function that takes one of these.

    `done` of `total` things of the kind `what` ("images", "fits", ...); `total` is 0 while it is not known.
    """

    what: str
    done: int = 0
    total: int = 0
    message: str = ""
    seconds_left: float | None = None


OnProgress = Callable[[Progress], None]


def no_progress(progress: Progress) -> None:
    """Take a progress and show nothing: the default of whoever reports it."""


def written(self) -> str:
    return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in changed(self))})"


def identity(value) -> str:
    """Return the text that random numbers are keyed by: `repr(value)`, with the first names of classes and fields."""
    if is_dataclass(value):
        kind: Any = type(value)
        inner = (f"{kind.first_fields.get(name, name)}={identity(field)}" for name, field in changed(value))
        return f"{kind.first_name}({', '.join(inner)})"
    if isinstance(value, tuple):
        return f"({', '.join(map(identity, value))}{',' if len(value) == 1 else ''})"
    return repr(value)


def changed(value) -> list[tuple[str, Any]]:
    """The fields that are not at their defaults."""
    pairs = ((f, getattr(value, f.name)) for f in fields(value))
    return [(f.name, field) for f, field in pairs if field != f.default or f.default is MISSING]


def pretty(value, *, width: int = 100, indent: int = 0, name: str = "") -> str:
    """The same Python on several lines, each at most `width` long where that can be."""
    start = " " * indent + name
    if indent + len(name) + len(repr(value)) < width or not (is_dataclass(value) or isinstance(value, tuple)):
        return start + repr(value)
    inner = [("", item) for item in value] if isinstance(value, tuple) else [(f"{n}=", v) for n, v in changed(value)]
    opening = "(" if isinstance(value, tuple) else f"{type(value).__name__}("
    lines = [pretty(item, width=width, indent=indent + 4, name=label) + "," for label, item in inner]
    return "\n".join([start + opening, *lines, " " * indent + ")"])


def walk(value):
    """Every record inside `value`, itself included, outermost first."""
    if is_dataclass(value):
        yield value
        for f in fields(value):
            yield from walk(getattr(value, f.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from walk(item)


def to_json(value) -> Any:
    """{"kind": class name, field: value, ...}. All fields, so a later change of a default changes no file."""
    if is_dataclass(value):
        return {"kind": type(value).__name__} | {f.name: to_json(getattr(value, f.name)) for f in fields(value)}
    return [to_json(item) for item in value] if isinstance(value, tuple) else value


def from_json(data) -> Any:
    """The inverse of `to_json`, also of a file with former names.

    Raises FileFormatError for a class or field that does not exist.
    """
    if isinstance(data, list):
        return tuple(from_json(item) for item in data)
    if not isinstance(data, dict):
        return data
    kind, rest = str(data.get("kind")), {name: from_json(value) for name, value in data.items() if name != "kind"}
    cls: Any = RECORDS.get(kind, FORMER.get(kind))
    if cls is None:
        raise FileFormatError(
            "unknown-record",
            f"unknown record {kind!r}{suggestion(kind, RECORDS)}",
            fix="use a file written by this version of sparring",
        )
    known, now = [f.name for f in fields(cls)], {first: name for name, first in cls.first_fields.items()}
    rest = {name if name in known else now.get(name, name): value for name, value in rest.items()}
    if unknown := [name for name in rest if name not in known]:
        raise FileFormatError(
            "unknown-field",
            f"{kind} has no field {unknown[0]!r}{suggestion(unknown[0], known)}; it has {', '.join(known)}",
            fix="use a file written by this version of sparring",
        )
    return cls(**rest)


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
