"""Where output may go: asked before any work is done; nothing is ever overwritten."""

import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import MachineError, UsageError
from .reading import refuse_links
from .writing import as_machine_error

PICTURES_BEGIN = (b"\x89PNG", b"GIF8", b"RIFF")  # of the kinds that sparring writes


def new_folder(out: Path | str, *, ours: Sequence[str] = (), data: object = None) -> Path:
    """`out` if it can be made, is empty, or is one of ours to go on with.

    `ours`: the first name is there in every folder of ours, the others may be there before it. Hidden files of the user
    may be there too, and stay; without `ours` the folder will be replaced and must be empty. `data`: what is read;
    output never goes inside it. Raises UsageError, MachineError, or FileFormatError for one of ours with a link in it;
    makes nothing.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise UsageError("out-in-use", f"{out} is a file", fix="name a folder with --out")
    if out.is_symlink() and not out.exists():
        raise UsageError("out-in-use", f"{out} is a link that leads nowhere", fix="name a folder with --out")
    with as_machine_error(out):
        inside = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    foreign = [name for name in inside if name not in ours and not (ours and name.startswith("."))]
    if foreign and not (ours and ours[0] in inside):
        raise UsageError(
            "out-in-use", f"{out} is not empty: it holds {foreign[0]}", fix="name another folder with --out"
        )
    if set(ours) & set(inside):
        refuse_links(out)
    return writable(apart(out, data))


def new_file(path: Path | str, *, data: object = None, option: str = "--out") -> Path:
    """`path` if it is not there, or a picture that sparring made before. Raises UsageError or MachineError.

    `option`: of the command line, that names another place.
    """
    path = Path(path)
    if path.is_dir():
        raise UsageError("out-in-use", f"{path} is a folder", fix=f"name a file in it, such as {path / 'picture.png'}")
    if path.exists() and not (path.is_file() and ours(path)):
        raise UsageError("out-in-use", f"{path} exists and was not made by sparring", fix="name another file")
    return writable(apart(path, data, option), option)


def ours(path: Path) -> bool:
    """Whether a picture says that sparring made it: near its beginning, as PNG and GIF do, or at its end, as WebP."""
    with as_machine_error(path), path.open("rb") as file:
        start = file.read(1024)
        file.seek(max(0, path.stat().st_size - 1024))
        return start.startswith(PICTURES_BEGIN) and b"sparring" in start + file.read()


def writable(path: Path, option: str = "--out") -> Path:
    """`path`, if the folder it would be made in takes new entries."""
    there = next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())
    folder = there.parent if there.is_file() and there == path.absolute() else there
    if not folder.is_dir():
        raise MachineError(
            "no-folder", f"cannot write {path}: {there} is a file", fix=f"name another place with {option}"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise MachineError(
            "no-permission",
            f"cannot write {path}: permission denied for {folder}",
            fix=f"name a place that you may write to with {option}",
        )
    return path


def apart(path: Path, data: object, option: str = "--out") -> Path:
    """`path`, if it is not inside the data that is read: inputs are never changed."""
    read = Path(data) if isinstance(data, str | Path) and str(data).strip() else None
    if read and read.is_dir() and read.resolve() in (path.resolve(), *path.resolve().parents):
        raise UsageError(
            "out-in-data", f"{path} is inside the data {data}", fix=f"name a place outside it with {option}"
        )
    return path


def folder_name(name: str) -> str:
    """Return a class name as a folder name: it never leaves its parent, and no two names collide.

    Letters of all scripts stay; what some file system does not take is written as %2F and the like.
    """
    from unicodedata import normalize
    from urllib.parse import quote

    composed, last = normalize("NFC", name) == name, len(name) - 1

    def kept(place: int, c: str) -> bool:
        at_an_end = (place == 0 and c == ".") or (place == last and c in ". ")  # hidden, or dropped by some systems
        return (c.isascii() or composed) and c.isprintable() and c not in '%/\\:*?"<>|' and not at_an_end

    spelt = (c if kept(i, c) else "%2E" if c == "." else quote(c, safe="", errors="surrogatepass")
             for i, c in enumerate(name))  # fmt: skip
    return "".join(spelt) or "%00"


def cache_folder() -> Path:
    """Return where results that can be computed again are kept from one command to the next; make nothing.

    $SPARRING_CACHE, or a folder `sparring` where this system keeps such things: $XDG_CACHE_HOME or ~/.cache on Linux,
    ~/Library/Caches on a Mac, %LOCALAPPDATA% on Windows.
    """
    if own := os.environ.get("SPARRING_CACHE"):
        return Path(own)
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("sparring", appauthor=False))
