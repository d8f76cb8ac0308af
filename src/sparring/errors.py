"""Errors for people: `error[data-empty]: no images in photos/: looked for png, jpg. Fix: pass a folder with images.`

One grammar for the command line and for Python: what is wrong, where, what came, what to do. Every error is also the
built-in exception that a Python user would expect (ValueError, FileNotFoundError and so on).
"""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Generic, TypeVar

Row = TypeVar("Row")
LONGEST = 2000  # characters of what is wrong, which may hold names that a stranger chose
NEAR = 100  # characters of a name for which a near one is looked for: the search takes the square of them


class SparringError(Exception):
    """What is wrong, and after "Fix:" what to do. `exit_code` is the command line's."""

    exit_code = 70

    def __init__(self, id: str, problem: str, *, fix: str):
        super().__init__(id, problem, fix)
        self.id, self.problem, self.fix = id, problem, fix

    def __str__(self) -> str:
        problem = printable(cut(self.problem, LONGEST))
        return f"error[{self.id}]: {problem}{'' if problem.endswith('?') else '.'} Fix: {printable(self.fix)}."

    def __reduce__(self) -> tuple[Callable[..., "SparringError"], tuple[object, ...]]:
        return _again, (type(self), *self.args)  # errors of worker processes reach their caller


def _again(kind: type[SparringError], id: str, problem: str, fix: str) -> SparringError:
    return kind(id, problem, fix=fix)


class UsageError(SparringError, ValueError):
    """An option, name or combination that cannot work."""

    exit_code = 2


class UnknownName(UsageError, KeyError):
    """A name that is not in a table; the sentence suggests the nearest."""


class DataError(SparringError, ValueError):
    """Images or labels that cannot be used."""

    exit_code = 3


class MissingData(DataError, FileNotFoundError):
    """Data that is not there."""


class FileFormatError(SparringError, ValueError):
    """A run, checkpoint or model that cannot be read."""

    exit_code = 4


class MachineError(SparringError, OSError):
    """Disk, permission, memory or device."""

    exit_code = 5


class NothingFitted(SparringError, RuntimeError):
    """Every fit of a study failed: there is a report, and nothing in it."""

    exit_code = 1


class Diverged(SparringError, ArithmeticError):
    """Training could not be saved; it stopped at its best state."""

    exit_code = 6


class DamageWarning(UserWarning):
    """Something of a run or study is damaged and was walked back over; what was lost is made again."""


def warn_of_damage(words: str) -> None:
    """Warn with one line; the command line prints it as a note."""
    warnings.warn(printable(words), DamageWarning, stacklevel=3)


def printable(text: str) -> str:
    """One line: newlines, tabs and other control characters of file names are shown escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def cut(text: str, most: int) -> str:
    """Return the beginning of a text that has more than so many characters, with a sign of it."""
    return text if len(text) <= most else f"{text[: most - 4]} ..."


def suggestion(name: object, known: Iterable[str]) -> str:
    """`, did you mean wgan-gp?`, or nothing when no known name is near."""
    if len(str(name)) > NEAR:
        return ""
    close = get_close_matches(str(name).lower(), [str(k) for k in known if len(str(k)) <= NEAR], n=1, cutoff=0.5)
    return f", did you mean {close[0]}?" if close else ""


def pick(table: Mapping[str, Row], name: str, what: str) -> Row:
    """Return table[name]. Raises UnknownName, a UsageError and KeyError, which suggests the nearest name."""
    if name in table:
        return table[name]
    fix = f"choose one of {', '.join(table)}"
    raise UnknownName(f"unknown-{what}", f"unknown {what} {name!r}{suggestion(name, table)}", fix=fix)


class Table(dict[str, Row], Generic[Row]):
    """Rows by name, such as the methods or the recipes. `table["smv"]` raises UnknownName, which suggests `svm`.

    `what` is one row ("method"); `columns` are the attributes of a row that are shown beside its name.
    """

    def __init__(self, what: str, rows: Mapping[str, Row], *, columns: Sequence[str] = ()):
        super().__init__(rows)
        self.what, self.columns = what, tuple(columns)

    def __missing__(self, name: str) -> Row:
        return pick(self, name, self.what)

    def _lines(self) -> list[tuple[str, ...]]:
        return [(name, *(str(getattr(row, column)) for column in self.columns)) for name, row in self.items()]

    def __repr__(self) -> str:
        lines = self._lines()
        widths = [max(map(len, texts)) for texts in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )

    def _repr_html_(self) -> str:
        from html import escape

        def line(texts: Iterable[str], tag: str) -> str:
            return f"<tr>{''.join(f'<{tag}>{escape(text)}</{tag}>' for text in texts)}</tr>"

        body = "".join(line(texts, "td") for texts in self._lines())
        return f"<table>{line((self.what, *self.columns), 'th')}{body}</table>"
