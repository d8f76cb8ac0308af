"""Folders and zip archives as one thing: a tree of files, of which images are read one at a time.

A zip is read member by member in memory; nothing is written to disk, so a name cannot lead anywhere. Of a folder only
regular files are opened. Links may not leave it unless asked for, a loop of links ends, FIFOs and devices stay closed.
"""

import os
import stat
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from ..errors import DataError, MachineError, MissingData, suggestion
from ..images import BadImage, Source
from ..images.kinds import (
    FILE_LIMIT,
    FILM,
    LOOKED_FOR,
    START,
    SUFFIXES,
    begins_as_image,
    extra_kind,
    is_image_name,
    looks_like_image,
    suffix,
)
from ..images.reasons import file_start
from .names import hidden, natural, shown_path

HIDDEN = "hidden or system files"
LINK_OUT = "a link that leads out of the folder, not followed"
FOLLOW_LINKS = "--follow-links follows the links (in Python follow_links=True)"
NOWHERE = "links that lead nowhere"
LONGEST, DEEPEST = 255, 100  # characters of a name, and folders around it
MOST_MEMBERS = 1_000_000  # of a zip
# bytes of one member of a zip when unpacked, and times its packed size: of an image and of a table
LARGE_IMAGE, LARGE_TABLE, MEMBER_RATIO = 1 << 26, 1 << 23, 20
LARGE_TOTAL, MOST_RATIO = 1 << 28, 100  # bytes of all members unpacked, and times the size of the zip
SPECIAL = "pipes, sockets and devices"


@dataclass(eq=False)
class Tree:
    """A tree of files. `images`, `others` and `links` are paths below the top, with "/", valid Unicode, sorted.

    images  files that are named like an image, or have no ending and begin like one; with `films` also films
    others  all other files
    links   files and folders that links name which lead out of the tree, and are not followed
    """

    top: str
    name: str
    read: Callable[[str], Source]
    films: bool = False
    images: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    ignored: Counter = field(default_factory=Counter)
    bad_files: list[tuple[str, str]] = field(default_factory=list)

    def add(self, path: str, start: Callable[[], bytes]) -> None:
        """Add a file; `start` gives its first bytes, which tell where its name has no ending."""
        named = is_image_name(path) or (self.films and suffix(path) in FILM.suffixes)
        named = named or (not suffix(path) and begins_as_image(start()))
        (self.images if named else self.others).append(path)

    def sort(self) -> "Tree":
        for paths in (self.images, self.others, self.folders, self.links):
            paths.sort(key=natural)
        self.bad_files.sort()
        return self


def folder_tree(top: Path, *, follow_links: bool = False, films: bool = False) -> Tree:
    """Return everything below a folder. Raises MachineError when it may not be read."""
    raw: dict[str, str] = {}  # only names that are not valid Unicode are kept under another
    tree = Tree(str(top), top.resolve().name or "images", lambda path: str(top / raw.get(path, path)), films)
    real = os.path.realpath(top)
    seen: set[tuple[int, int]] = set()
    waiting, linked = [""], []
    while waiting or linked:  # real folders first, so that a link to one of them adds nothing
        here = waiting.pop() if waiting else linked.pop(0)
        try:
            with os.scandir(top / here) as entries:
                status = (top / here).stat()
                if (status.st_dev, status.st_ino) in seen:
                    tree.bad_files.append((shown_path(here), "a link to a folder that is already in here"))
                    continue
                seen.add((status.st_dev, status.st_ino))
                found = sorted(entries, key=lambda entry: entry.name)
        except PermissionError:
            if not here:
                raise MachineError("no-permission", f"cannot read {top}: permission denied", fix="chmod it") from None
            tree.bad_files.append((shown_path(here), "permission denied"))
            continue
        if here:
            tree.folders.append(shown_path(here))
        for entry in found:
            path = f"{here}/{entry.name}" if here else entry.name
            if shown_path(path) != path:
                raw[shown_path(path)] = path
            _place(tree, entry, path, real, waiting, linked, follow_links)
    return tree.sort()


def _place(tree: Tree, entry: os.DirEntry, path: str, real: str, waiting: list, linked: list, follow: bool) -> None:
    """Put one entry of a folder where it belongs in the tree."""
    if hidden(entry.name):
        tree.ignored[HIDDEN] += 1
    elif entry.is_symlink():
        try:
            status = entry.stat()
        except OSError:
            if is_image_name(path) or not suffix(path):
                tree.bad_files.append((shown_path(path), "a link that leads nowhere"))
            else:
                tree.ignored[NOWHERE] += 1
            return
        target = os.path.realpath(entry.path)
        if not follow and target != real and not target.startswith(real + os.sep):
            tree.links.append(shown_path(path))
        elif stat.S_ISDIR(status.st_mode):
            linked.append(path)
        elif stat.S_ISREG(status.st_mode):
            tree.add(shown_path(path), partial(file_start, entry.path))
        else:
            tree.ignored[SPECIAL] += 1
    elif entry.is_dir():
        waiting.append(path)
    elif entry.is_file():
        tree.add(shown_path(path), partial(file_start, entry.path))
    else:
        tree.ignored[SPECIAL] += 1


def zip_tree(file: Path, inside: str, *, films: bool = False) -> Tree:
    """Return the members of a zip below the folder `inside` ("" for all). Raises DataError and MissingData."""
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DataError("bad-zip", f"cannot read {file}: {error}", fix="make the zip again") from None
    _refuse_bomb(file, archive)
    members: dict[str, zipfile.ZipInfo] = {}
    name = shown_path(f"{file}/{inside}" if inside else str(file))
    tree = Tree(name, file.stem, lambda path: zip_member(archive, members[path]), films)
    prefix = inside + "/" if inside else ""
    folders: set[str] = set()
    for info in archive.infolist():
        path = shown_path(info.filename.replace("\\", "/"))
        pieces = path.rstrip("/").split("/")
        if path.startswith("/") or ".." in pieces or ":" in pieces[0] or "\0" in path:
            tree.bad_files.append((path, "its name leads outside the archive"))
            continue
        if max(map(len, pieces)) > LONGEST or len(pieces) > DEEPEST:
            tree.bad_files.append((path[:LONGEST], "its name is longer than files may have"))
            continue
        if not path.startswith(prefix):
            continue
        below = path[len(prefix) :]
        pieces = [piece for piece in below.rstrip("/").split("/") if piece not in ("", ".")]
        if any(hidden(piece) for piece in pieces):
            tree.ignored[HIDDEN] += not info.is_dir()
            continue
        folders.update("/".join(pieces[:depth]) for depth in range(1, len(pieces) + info.is_dir()))
        if info.is_dir() or path.endswith("/"):
            continue
        below = "/".join(pieces)
        if below in members:
            tree.ignored["names that come twice"] += 1
        else:
            tree.add(below, partial(_member_start, archive, info))
        members[below] = info
    tree.folders = sorted(folders - {""})
    if inside and not tree.images and not tree.others and inside not in _folders(archive):
        raise MissingData(
            "no-data",
            f"there is no folder {inside} in {file}{suggestion(inside, _folders(archive))}",
            fix=f"name one of {', '.join(sorted(_folders(archive))[:8]) or 'its folders'}",
        )
    return tree.sort()


def _member_start(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(info) as file:
            return file.read(START)
    except Exception:  # as in zip_member
        return b""


def _refuse_bomb(file: Path, archive: zipfile.ZipFile) -> None:
    """Raise DataError for a zip that would unpack to very much more than it is, or holds too many members."""
    members, packed = archive.infolist(), file.stat().st_size
    total = sum(member.file_size for member in members)
    if len(members) > MOST_MEMBERS or (total > LARGE_TOTAL and total > MOST_RATIO * packed):
        what = f"{file} would unpack {packed / 2**20:,.1f} MiB to {len(members):,} files of {total / 2**20:,.0f} MiB"
        raise DataError("zip-bomb", what, fix="if you trust it, unpack it and pass the folder")


def _folders(archive: zipfile.ZipFile) -> set[str]:
    names = [name.replace("\\", "/").rstrip("/") for name in archive.namelist()]
    return {"/".join(n.split("/")[:depth]) for n in names for depth in range(1, n.count("/") + 1)}


def zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Return one member, in memory; never more than its stated size, which is limited. Raises BadImage."""
    if info.flag_bits & 1:
        raise BadImage("encrypted")
    image = suffix(info.filename) in SUFFIXES
    limit = min(FILE_LIMIT, max(LARGE_IMAGE if image else LARGE_TABLE, MEMBER_RATIO * info.compress_size))
    if info.file_size > limit:
        raise BadImage(f"{info.file_size / 2**20:,.0f} MiB when unpacked, limit {limit / 2**20:,.0f} MiB")
    try:
        if image:
            with archive.open(info) as file:
                start = file.read(32)
            if not looks_like_image(start):
                return start  # enough to say what it is instead
        return archive.read(info)
    except Exception as error:  # BadZipFile, OSError, zlib.error, lzma.LZMAError ... have no common parent
        raise BadImage(f"damaged in the zip: {error}") from None


def below(tree: Tree, folder: str) -> Tree:
    """Return what lies under one of the tree's folders; paths then start there."""
    prefix = folder + "/"
    cut = {
        key: [path[len(prefix) :] for path in getattr(tree, key) if path.startswith(prefix)]
        for key in ("images", "others", "folders", "links")
    }
    return replace(tree, top=f"{tree.top}/{folder}", read=lambda path: tree.read(prefix + path), **cut)


def kinds_of(others: Sequence[str]) -> Counter[str]:
    """Return how many files of each kind there are, such as ".txt files", to be told of."""
    return Counter(f"{suffix(path) or 'no suffix'} files" for path in others)


@dataclass
class NamedFiles:
    """Image files, in the order in which they or their folders were named, and what else lies in these folders.

    `left_out`: (path, reason).
    """

    images: list[Path] = field(default_factory=list)
    left_out: list[tuple[Path, str]] = field(default_factory=list)


def image_files(named: Sequence[str | Path], *, follow_links: bool = False) -> NamedFiles:
    """Return the files that are named, and of folders the images in them. Raises MissingData and DataError."""
    found = NamedFiles()
    for path in map(Path, named):
        if path.is_dir():
            tree = folder_tree(path, follow_links=follow_links)
            found.images += [Path(os.fsdecode(tree.read(image))) for image in tree.images]  # names may not be Unicode
            reasons = [(other, _why_no_image(other)) for other in tree.others] + tree.bad_files
            reasons += [(link, LINK_OUT) for link in tree.links]
            found.left_out += [(path / other, reason) for other, reason in sorted(reasons)]
        elif path.exists():
            found.images.append(path)
        else:
            raise MissingData("no-data", f"{path} does not exist", fix="name image files or folders")
    if not found.images and not found.left_out:
        raise DataError("data-empty", f"no images in {named[0]}", fix="name image files or folders that hold some")
    return found


def _why_no_image(path: str) -> str:
    """Return why a file of another kind is left out."""
    kind = extra_kind(suffix(path))
    if kind:
        return f"{kind.name} is not read here; {kind.advice}"
    film = suffix(path) in FILM.suffixes
    return "a film, not an image" if film else f"not an image; looked for {LOOKED_FOR}"
