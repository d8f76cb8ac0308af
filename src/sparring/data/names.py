"""Names of classes and files: their order, how they are shown, which are of no interest."""

import os
import re
import unicodedata
from collections.abc import Iterable

PARTS = ("train", "test", "val")  # of a data set, in the order of listings
PART_NAMES = {"train": "train", "training": "train", "test": "test", "testing": "test"}  # as users write them
PART_NAMES |= {"val": "val", "valid": "val", "validation": "val"}
SYSTEM = {"__macosx", "thumbs.db", "desktop.ini", "lost+found", "$recycle.bin", "@eadir", "system volume information"}


def ordered(names: Iterable[str]) -> list[str]:
    """Sorted with numbers by their value: 2 before 10, img2 before img10."""
    return sorted(names, key=natural)


def natural(name: str) -> tuple:
    """A key to sort by: pieces of digits as numbers, before pieces of other characters."""
    pieces = re.split(r"([0-9]{1,18})", name)
    return tuple((0, int(p), p) if p.isdecimal() and p.isascii() else (1, 0, p) for p in pieces if p), name


def hidden(name: str) -> bool:
    """Files and folders that a system or tool leaves behind: .DS_Store, ._x.jpg, __MACOSX, Thumbs.db."""
    return name.startswith(".") or name.lower() in SYSTEM


def shown(path: str) -> str:
    """The name as valid Unicode: bytes that are none are written as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def alike(name: str) -> str:
    """Equal for names that a person would not tell apart: case, blanks, Unicode form, leading zeros."""
    text = unicodedata.normalize("NFKC", name).casefold().strip()
    return str(int(text)) if text.isdecimal() and text.isascii() and len(text) < 20 else " ".join(text.split())
