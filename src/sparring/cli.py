"""Commands: read what was typed, call the chapter that does it, draw what it says. Nothing below this file prints.

Exit codes: 0 done, 2 usage, 3 data, 4 model or run files, 5 machine, 6 diverged, 70 a bug of ours, 130 and 143
interrupted after saving.
"""

import json as jsons
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.exceptions import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from . import __version__
from .errors import MachineError, SparringError, UsageError, suggestion
from .terminal import Screen

BUG, INTERRUPTED, TERMINATED = 70, 130, 143


# What may be typed for a number


def number(text: str) -> float:
    """200k, 1.5M, 1e6, 1_000. Raises ValueError."""
    scale = {"k": 1e3, "m": 1e6}.get(text[-1:].lower(), 1)
    return float(text[:-1] if scale > 1 else text) * scale


def between(low: float, high: float, *, whole: bool):
    """A converter for an option that takes a number from `low` to `high`; refuses by a sentence, rounds nothing."""
    kind = "a whole number" if whole else "a number"

    def convert(_, tokens):
        name, text = tokens[0].keyword or "value", tokens[0].value
        try:
            value = number(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high or (whole and value != int(value)):
            raise UsageError(
                "bad-number",
                f"{name} {text} is not {kind} from {low:g} to {high:g}",
                fix=f"give {name} {kind}, such as {name} {max(low, 1):g} (200k and 1.5M are understood)",
            )
        return int(value) if whole else value

    return convert


Count = Annotated[int, Parameter(converter=between(1, 1e12, whole=True))]
Seed = Annotated[int, Parameter(converter=between(0, 2**53, whole=True))]
Minutes = Annotated[float, Parameter(converter=between(0.01, 1e6, whole=False))]
Flag = Annotated[bool, Parameter(negative="")]

app = App(
    name="sparring",
    help="Two networks spar: one makes images, one judges them. Does that help to classify images when labels are few?",
    help_epilogue="Start here: sparring compare digits. Errors with a traceback: --debug, or SPARRING_DEBUG=1.",
    version=__version__,
    help_format="plaintext",
    default_parameter=Parameter(negative=""),
    suppress_keyboard_interrupt=False,
)


# Tables


@app.command
def recipes(*, json: bool = False):
    """The games that `train` knows.

    Args:
        json: print JSON.
    """
    from .recipes import RECIPES

    screen = Screen(as_json=json)
    rows = [{"name": name, "players": len(recipe.players), "source": recipe.source} for name, recipe in RECIPES.items()]
    if json:
        screen.show_json(rows)
    else:
        screen.table(("recipe", "players", "source"), [tuple(row.values()) for row in rows], right="players")
        screen.note("\nTrain one: sparring train DATA -r dcgan. Your own: sparring train DATA -r my.py:recipe.")


@app.command
def methods(*, json: bool = False):
    """The classifiers that `compare` sets against each other.

    Args:
        json: print JSON.
    """
    from .classify import METHODS

    screen = Screen(as_json=json)
    names = ("name", "family", "title", "what", "cites")
    if json:
        screen.show_json([{name: getattr(method, name) for name in names} for method in METHODS.values()])
    else:
        screen.table(("method", "family", "what it is"), [(m.name, m.family, m.what) for m in METHODS.values()])


# From what was typed to an exit code


class Terminated(KeyboardInterrupt):
    """SIGTERM: ends like Ctrl-C, with its own exit code."""


@contextmanager
def terminable():
    """Inside, SIGTERM raises Terminated where it is possible to set that (in the main thread)."""

    def end(*_):
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def understood(error: CycloptsError) -> UsageError:
    """The same in our grammar: what was typed, what is near, where to look."""
    if isinstance(error, CoercionError) and isinstance(error.__cause__, UsageError):
        return error.__cause__
    command = " ".join(("sparring", *(error.command_chain or ())))
    fix = f"see {command} --help"
    if isinstance(error, UnknownOptionError):
        name = error.token.keyword or error.token.value
        known = [name for argument in error.argument_collection for name in argument.names if name.startswith("--")]
        return UsageError("unknown-option", f"{command} has no option {name}{suggestion(name, known)}", fix=fix)
    if isinstance(error, UnknownCommandError) and error.unused_tokens:
        names = [name for name in app if not name.startswith("-")]
        name = error.unused_tokens[0]
        return UsageError(
            "unknown-command",
            f"there is no command {name!r}{suggestion(name, names)}",
            fix=f"choose one of {', '.join(names)}",
        )
    if isinstance(error, MissingArgumentError) and error.argument:
        name = error.keyword or error.argument.name
        what = (
            f"{name} needs a value"
            if error.keyword
            else f"{command} needs {name.lstrip('-') if name.isupper() else name}"
        )
        return UsageError("missing", what, fix=fix)
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return UsageError("too-many", f"{command} does not take {' '.join(error.unused_tokens)!r} as well", fix=fix)
    if isinstance(error, RepeatArgumentError):
        return UsageError("given-twice", f"{error.token.keyword} is given twice", fix=f"keep one; {fix}")
    text = " ".join(str(error).split()).rstrip(".")
    return UsageError("usage", text[:1].lower() + text[1:], fix=fix)


def bug(error: BaseException) -> SparringError:
    """Our own mistake, in the same grammar, with the place of it."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return SparringError(
        "internal",
        f"{type(error).__name__}: {error}{where}",
        fix="this is a bug of sparring: please report it with what the same command prints with --debug",
    )


def explained(error: BaseException) -> SparringError:
    """Any error as one of ours."""
    if isinstance(error, SparringError):
        return error
    if isinstance(error, CycloptsError):
        return understood(error)
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return MachineError(
            "out-of-memory",
            f"the memory does not suffice: {error or 'allocation failed'}",
            fix="use smaller images with --size, or fewer jobs with --jobs 1",
        )
    if isinstance(error, OSError) and error.errno and error.filename:
        from .files import plain

        return plain(error, os.fsdecode(error.filename))
    return bug(error)


def main(tokens: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code. Errors are one line on stderr, with a traceback only under --debug."""
    typed = list(sys.argv[1:] if tokens is None else tokens)
    debug = "--debug" in typed or bool(os.environ.get("SPARRING_DEBUG"))
    typed = [token for token in typed if token != "--debug"]
    try:
        with terminable(), warnings.catch_warnings():
            if not (debug or sys.warnoptions or "PYTEST_VERSION" in os.environ):
                warnings.simplefilter("ignore")  # what a library wants its programmers to know
            app(typed, exit_on_error=False, print_error=False, result_action="return_value")
            sys.stdout.flush()
        return 0
    except BrokenPipeError:  # whoever read our output had enough, as in `sparring methods | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt as error:
        sys.stderr.write("interrupted: what was finished is saved; the same command goes on from there\n")
        return TERMINATED if isinstance(error, Terminated) else INTERRUPTED
    except Exception as error:
        if debug:
            traceback.print_exc()
        told = explained(error)
        if "--json" in typed:
            sys.stderr.write(jsons.dumps(told.to_json(), ensure_ascii=False) + "\n")
        else:
            sys.stderr.write(f"{told}\n")
        return told.exit_code
