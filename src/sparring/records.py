"""Parts: frozen dataclasses that describe something. They hash, compare, print as Python, and go to JSON and back.

Everything in a recipe is a part. JSON may name only classes that carry `@part`; nothing is imported by name.
"""

from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, dataclass_transform

from .errors import FileFormatError, suggestion

PARTS: dict[str, type] = {}


@dataclass_transform(frozen_default=True)
def part(cls):
    """A frozen dataclass that prints only what differs from its defaults, and that JSON may name."""
    if cls.__name__ in PARTS:
        raise ValueError(f"two parts are called {cls.__name__}")
    cls = dataclass(frozen=True, repr=False)(cls)
    cls.__repr__ = written
    PARTS[cls.__name__] = cls
    return cls


def written(self) -> str:
    return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in changed(self))})"


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
    """Every part inside `value`, itself included, outermost first."""
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
    """The inverse of `to_json`. Raises FileFormatError for a class or field that does not exist."""
    if isinstance(data, list):
        return tuple(from_json(item) for item in data)
    if not isinstance(data, dict):
        return data
    kind, rest = data.get("kind"), {name: from_json(value) for name, value in data.items() if name != "kind"}
    if kind not in PARTS:
        raise FileFormatError(
            "unknown-part",
            f"unknown part {kind!r}{suggestion(kind, PARTS)}",
            fix="use a file written by this version of sparring",
        )
    known = [f.name for f in fields(PARTS[kind])]
    if unknown := [name for name in rest if name not in known]:
        raise FileFormatError(
            "unknown-field",
            f"{kind} has no field {unknown[0]!r}{suggestion(unknown[0], known)}; it has {', '.join(known)}",
            fix="use a file written by this version of sparring",
        )
    return PARTS[kind](**rest)
