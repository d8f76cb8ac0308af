"""The command line in a new process that has loaded torch already: a fork of a server that has done nothing else.

A process that starts from nothing takes seconds to load torch. What a command must find in a new process, such as the
classes of no user's file, is as new in a fork.
"""

import multiprocessing
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

LOADED = ["sparring.cli.games", "sparring.runs.driver", "sparring.runs.sampling", "sparring.reporting.verbs"]
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(LOADED)


def command(here: Path, *words: str, code: int = 0) -> str:
    """Return what `sparring WORDS`, run in the folder `here`, writes to both of its streams."""
    with TemporaryDirectory() as place:
        process = SERVER.Process(target=_run, args=(here, words, Path(place) / "said"))
        process.start()
        process.join(240)
        said = (Path(place) / "said").read_text()
    assert process.exitcode == code, said
    return said


def _run(here: Path, words: tuple[str, ...], said: Path) -> None:
    from sparring.cli import main

    with said.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(here)
    sys.path.insert(0, str(here))
    code = main(list(words))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
