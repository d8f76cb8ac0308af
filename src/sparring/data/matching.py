"""What a table calls a file -> the image that is meant, where exactly one can be meant, and how it was found.

Paths as seen from the folder, absolute ones, such with folders before them that are elsewhere, bare names, names
without an ending or with another one, numbers without their zeros.
"""

import posixpath
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from urllib.parse import unquote

from ..images.kinds import SUFFIXES
from .trees import Tree, suffix

UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")  # what Label Studio puts before the name of a file
ADDRESS = re.compile(r"^[a-z0-9+.-]+://[^/]*/|^.*[?&]d=", re.IGNORECASE)  # s3://bucket/, /data/local-files/?d=


class Place(IntEnum):
    """How the folders of a name fit those of an image."""

    EXACT = 0
    TAIL = 1  # one is the end of the other
    FOREIGN = 2  # the name has folders that are not here


class Naming(IntEnum):
    """How the last piece of a name fits that of an image."""

    EXACT = 0
    ALIKE = 1  # but for case or Unicode form
    ENDING = 2  # but for the ending, which is another one or missing
    NUMBER = 3  # the same number: 7 and 007


WORDS_OF_PLACE = {Place.TAIL: "by the end of the path", Place.FOREIGN: "by the file name alone"}
WORDS_OF_NAMING = {
    Naming.ALIKE: "in other letters (capitals, accents)",
    Naming.ENDING: "without the ending or with another one",
    Naming.NUMBER: "by the number in the name",
}


@dataclass(frozen=True)
class Match:
    """The images that a name fits best, and how."""

    paths: tuple[str, ...]
    place: Place = Place.EXACT
    naming: Naming = Naming.EXACT

    @property
    def words(self) -> str:
        """How it was found, "" for the path as it is."""
        return " and ".join(filter(None, (WORDS_OF_PLACE.get(self.place), WORDS_OF_NAMING.get(self.naming))))


class ImageFinder:
    """Finds images of a tree by what a table calls them. `table`: the folder of the table, as seen from the tree."""

    def __init__(self, tree: Tree, table: str = "", *, among: Iterable[str] | None = None):
        paths = [*tree.images, *(path for path, _ in tree.bad_files)] if among is None else list(among)
        self.there = set(paths)
        self.top, self.table = Path(tree.top).absolute().as_posix(), table
        self.called: dict[str, list[str]] = {}
        self.lying: dict[tuple[str, str], list[str]] = {}  # the same, by the folder they lie in, too
        for path in paths:
            *around, file = path.split("/")
            self.called.setdefault(_key(file), []).append(path)
            self.lying.setdefault((_caseless(around[-1]) if around else "", _key(file)), []).append(path)
        self.found: dict[str, Match] = {}

    def find(self, name: str) -> Match:
        """Return the images that fit best: none, one, or several where it stays open which is meant."""
        if name not in self.found:
            self.found[name] = self._find(self.local(name))
        return self.found[name]

    def _find(self, name: str) -> Match:
        for path in (name, posixpath.normpath(posixpath.join(self.table, name))) if name else ():
            if path in self.there:
                return Match((path,))
        *folders, last = name.split("/")
        last = last if _key(last) in self.called else unquote(UPLOADED.sub("", last))
        ranked: dict[tuple[Place, int, Naming], list[str]] = {}
        for path in self._candidates(folders, last):
            *around, file = path.split("/")
            place, shared = _folders_fit(folders, around)
            ranked.setdefault((place, -shared, _naming(last, file)), []).append(path)
        if not ranked:
            return Match(())
        best = min(ranked)
        return Match(tuple(ranked[best]), best[0], best[2])

    def _candidates(self, folders: Sequence[str], last: str) -> Iterable[str]:
        """Return the images of this name; where some lie in such a folder or in none, these: others fit less."""
        key = _key(last)
        around = {_caseless(folders[-1]), ""} if folders else ()
        near = [path for folder in sorted(around) for path in self.lying.get((folder, key), ())]
        return near or self.called.get(key, ()) if last else ()

    def local(self, name: str) -> str:
        """Return a name as a path below the top; "" for one that leads out of it."""
        name = ADDRESS.sub("", name.strip()).replace("\\", "/").removeprefix("./")
        name = name.removeprefix(self.top + "/") if name.startswith("/") else name
        if ".." in name.split("/"):
            name = posixpath.normpath(posixpath.join(self.table, name))
            return "" if name.startswith("..") else name
        return name.lstrip("/")


def _caseless(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _without_ending(file: str) -> str:
    return file[: -len(suffix(file))] if suffix(file) in SUFFIXES else file


def _key(file: str) -> str:
    """Return what equal names have in common whatever their ending, case and leading zeros."""
    stem = _caseless(_without_ending(file))
    return str(int(stem)) if stem.isascii() and stem.isdecimal() and len(stem) < 40 else stem


def _naming(name: str, file: str) -> Naming:
    if name == file:
        return Naming.EXACT
    if _caseless(name) == _caseless(file):
        return Naming.ALIKE
    return Naming.ENDING if _caseless(_without_ending(name)) == _caseless(_without_ending(file)) else Naming.NUMBER


def _folders_fit(folders: Sequence[str], around: Sequence[str]) -> tuple[Place, int]:
    """Return how the folders of a name fit those around an image, and how many they share at their end."""
    named, real = [_caseless(f) for f in folders], [_caseless(f) for f in around]
    shorter = min(len(named), len(real))
    shared = next((i for i in range(shorter) if named[-1 - i] != real[-1 - i]), shorter)
    if shared < shorter:
        return Place.FOREIGN, shared
    return Place.EXACT if len(named) == len(real) else Place.TAIL, shared
