"""Names of classes and files: their order, how they are shown, which are of no interest."""

import os
import re
import shlex
import unicodedata
from collections.abc import Iterable, Sequence

PARTS = ("train", "test", "val")  # of a data set, in this order wherever they are listed
CHOSEN = "chosen"  # the part of images that were chosen for labelling: for training, never for a test
SYSTEM = {"__macosx", "thumbs.db", "desktop.ini", "lost+found", "$recycle.bin", "@eadir", "system volume information"}


def ordered(names: Iterable[str]) -> list[str]:
    """Return names sorted, with numbers by their value: 2 before 10, img2 before img10."""
    return sorted(names, key=natural)


def natural(name: str) -> tuple:
    """Return a key to sort by: pieces of digits as numbers, before pieces of other characters."""
    pieces = re.split(r"([0-9]{1,18})", name)
    return tuple((0, int(p), p) if p.isdecimal() and p.isascii() else (1, 0, p) for p in pieces if p), name


def hidden(name: str) -> bool:
    """Return whether a system or tool left this file or folder behind: .DS_Store, ._x.jpg, __MACOSX, Thumbs.db."""
    return name.startswith(".") or name.lower() in SYSTEM


def shown_path(path: str) -> str:
    """Return the name as valid Unicode; bytes that are not are written as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def typed_alike(name: str) -> str:
    """Return a text that is equal for names that differ in case, blanks, Unicode form or leading zeros only."""
    text = unicodedata.normalize("NFKC", name).casefold().strip()
    return str(int(text)) if text.isdecimal() and text.isascii() and len(text) < 20 else " ".join(text.split())


def ready(*choices: Sequence[str]) -> str:
    """Return commands to choose from, each ready to be typed: `sparring data` with these words."""
    commands = [shlex.join(["sparring", "data", *words]) for words in choices]
    return " or ".join(commands) + " (compare, fit and train take the same)"
