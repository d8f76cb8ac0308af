"""The application that commands join, and what they share."""

import re
import shlex
import sys
from pathlib import Path

from cyclopts import App, Group, Parameter

from ..data.formats import file_suffixes
from ..devices import SPARRING_VERSION
from ..words import from_home

studies = Group("Which method is better", sort_key=0)
games = Group("Games", sort_key=1)
tables = Group("Tables", sort_key=2)
options = Group("Options", sort_key=3)

app = App(
    name="sparring",
    help="Two networks spar: one makes images, one judges them. Does that help to classify images when labels are few?",
    help_epilogue="Start here: sparring compare digits        For a traceback of an error: --debug",
    version=SPARRING_VERSION,
    help_format="plaintext",
    default_parameter=Parameter(negative=""),
    suppress_keyboard_interrupt=False,
)


def stem(source: str | Path) -> str:
    """A short name for output, from what was typed: photos/, my.zip/images -> photos, my."""
    path = Path(source)
    inside = next((p for p in (path, *path.parents) if p.suffix in (*file_suffixes(), ".py")), path)
    name = inside.stem.split(":")[0] if inside.name not in ("", "..") else Path.cwd().name
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "images"


def go_on() -> str:
    """The command that was typed, to be typed again."""
    return f"to go on: {typed()}"


def typed() -> str:
    """The command line as it was typed, with ~ for the home folder."""
    words = ["sparring", *map(from_home, sys.argv[1:])]
    return " ".join(f"~/{shlex.quote(word[2:])}" if word.startswith("~/") else shlex.quote(word) for word in words)
