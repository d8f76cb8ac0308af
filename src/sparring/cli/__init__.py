"""The command line: from what was typed to an exit code.

0 done, 2 usage, 3 data, 4 model or run files, 5 machine, 6 diverged, 70 a bug of ours, 130 and 143 interrupted after
saving. Results go to stdout, everything else to stderr; an error is one line.
"""

import json
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path

from cyclopts.exceptions import CycloptsError

from ..errors import MachineError, SparringError
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
            app(typed, exit_on_error=False, print_error=False, result_action="return_value")
            sys.stdout.flush()
        return 0
    except BrokenPipeError:  # whoever read our output had enough, as in `sparring methods | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt as error:
        ended = error if isinstance(error, Interrupted) else Interrupted()
        sys.stderr.write(f"interrupted{ended.text and ': '}{ended.text}\n")
        return ended.exit_code
    except Exception as error:
        if debug:
            traceback.print_exc()
        told = explained(error)
        if "--json" in typed:
            fields = {"id": told.id, "reason": told.problem, "fix": told.fix, "exit_code": told.exit_code}
            sys.stderr.write(json.dumps(fields, ensure_ascii=False) + "\n")
        else:
            sys.stderr.write(f"{told}\n")
        return told.exit_code
