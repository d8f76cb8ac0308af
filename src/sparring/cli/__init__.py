"""The command line: from what was typed to an exit code.

0 done, 1 every fit failed, 2 usage, 3 data, 4 model or run files, 5 machine, 6 diverged, 70 a bug of ours, 130 and 143
interrupted after saving. Results go to stdout, everything else to stderr; an error is one line. Whoever reads the
results may stop (`sparring methods | head -1`): that is no error.
"""

import json
import os
import select
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from cyclopts.exceptions import CycloptsError

from ..errors import DamageWarning, MachineError, SparringError
from .commands import app
from .signals import Interrupted, handled, interrupt
from .typed import understood

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")  # as torch says it, by machine


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
        return understood(error, app)
    if isinstance(error, MemoryError) or any(words in str(error).lower() for words in OUT_OF_MEMORY):
        return MachineError(
            "out-of-memory",
            f"the memory does not suffice: {error or 'allocation failed'}",
            fix="use smaller images with --size, a smaller --batch, or fewer jobs with --jobs 1",
        )
    if isinstance(error, OSError) and error.errno and error.filename:
        from ..files import machine_error

        return machine_error(error, os.fsdecode(error.filename))
    if isinstance(error, OSError) and error.errno:  # of what was open already, as the output is
        what = f"cannot write the output: {os.strerror(error.errno).lower()}"
        return MachineError("output", what, fix="free some space, or send the output elsewhere")
    return bug(error)


def main(tokens: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code. Errors are one line on stderr, with a traceback only under --debug."""
    typed = list(sys.argv[1:] if tokens is None else tokens)
    debug = "--debug" in typed or bool(os.environ.get("SPARRING_DEBUG"))
    typed = [token for token in typed if token != "--debug"]
    try:
        with handled(interrupt, signal.SIGINT, signal.SIGTERM), warnings.catch_warnings():
            if not (debug or sys.warnoptions or "PYTEST_VERSION" in os.environ):
                warnings.simplefilter("ignore")  # what a library wants its programmers to know
            warnings.filterwarnings("always", category=DamageWarning)
            warnings.showwarning = told(warnings.showwarning)
            ready_output()
            app(typed, exit_on_error=False, print_error=False, result_action="return_value")
            sys.stdout.flush()
        return 0
    except KeyboardInterrupt as error:
        ended = error if isinstance(error, Interrupted) else Interrupted()
        say(f"interrupted{ended.text and ': '}{ended.text}")
        return ended.exit_code
    except Exception as error:
        if isinstance(error, BrokenPipeError) and gone(sys.stdout):
            return 0  # whoever read our output had enough
        if debug:
            traceback.print_exc()
        told_error = explained(error)
        if "--json" in typed:
            fields = {"id": told_error.id, "reason": told_error.problem, "fix": told_error.fix}
            say(json.dumps({**fields, "exit_code": told_error.exit_code}))
        else:
            say(str(told_error))
        return told_error.exit_code
    finally:
        let_go(sys.stdout)


def ready_output() -> None:
    """Let names that the output's encoding lacks be escaped. Raises MachineError where there is no output."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 for as long as the process runs
    if sys.stdout is None:
        what = "there is nowhere to write results to: standard output is closed"
        raise MachineError("no-output", what, fix="open it, or send results to a file: sparring ... > results.txt")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def told(otherwise: Callable[..., object]) -> Callable[..., None]:
    """Return a function that shows warnings: of damage that was walked back over as one line, others as before."""

    def show(message: Warning | str, category: type[Warning], *rest: object, **named: object) -> None:
        if issubclass(category, DamageWarning):
            say(f"note: {message}")
        else:
            otherwise(message, category, *rest, **named)

    return show


def say(line: str) -> None:
    """Write a line to stderr, if somebody reads it."""
    with suppress(OSError):
        sys.stderr.write(f"{line}\n")


def gone(stream: TextIO) -> bool:
    """Return whether nobody reads this output any more. Not every broken pipe is that of our results."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):  # Windows has no poll
        return True


def let_go(stream: TextIO | None) -> None:
    """Write what is left; where that fails, leave it: Python would try again at its end, and change the exit code."""
    try:
        if stream is not None:
            stream.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno() if stream else 1)
