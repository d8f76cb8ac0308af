"""Where output may go: asked before any work is done, and nothing of anybody's is ever overwritten."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .errors import MachineError, UsageError


def new_folder(out: Path | str, *, ours: Sequence[str] = (), data: object = None) -> Path:
    """`out` if it can be made, is empty, or is one of ours to go on with.

    `ours`: the first name is there in every folder of ours, the others may be there before it. `data`: what is read;
    output never goes inside it. Raises UsageError or MachineError; makes nothing.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise UsageError("out-in-use", f"{out} is a file", fix="name a folder with --out")
    inside = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    foreign = [name for name in inside if not name.startswith(".") and name not in ours]
    if foreign and not (ours and ours[0] in inside):
        raise UsageError(
            "out-in-use", f"{out} is not empty: it holds {foreign[0]}", fix="name another folder with --out"
        )
    return writable(apart(out, data))


def new_file(path: Path | str, *, data: object = None) -> Path:
    """`path` if it is not there, or a picture that sparring made before. Raises UsageError or MachineError."""
    path = Path(path)
    if path.is_dir():
        raise UsageError("out-in-use", f"{path} is a folder", fix=f"name a file in it, such as {path / 'picture.png'}")
    if path.exists() and not ours(path):
        raise UsageError("out-in-use", f"{path} exists and was not made by sparring", fix="name another file")
    return writable(apart(path, data))


def ours(path: Path) -> bool:
    """Whether a file says that sparring made it: near its beginning, as PNG and GIF do, or at its end, as WebP does."""
    with path.open("rb") as file:
        start = file.read(1024)
        file.seek(max(0, path.stat().st_size - 1024))
        return b"sparring" in start + file.read()


def writable(path: Path) -> Path:
    """`path`, if the folder it would be made in takes new entries."""
    there = next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())
    folder = there.parent if there.is_file() and there == path.absolute() else there
    if not folder.is_dir():
        raise MachineError("no-folder", f"cannot write {path}: {there} is a file", fix="name another place with --out")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise MachineError(
            "no-permission",
            f"cannot write {path}: permission denied for {folder}",
            fix="name a place that you may write to with --out",
        )
    return path


def apart(path: Path, data: object) -> Path:
    """`path`, if it is not inside the data that is read: inputs are never changed."""
    read = Path(data) if isinstance(data, str | Path) and str(data).strip() else None
    if read and read.is_dir() and read.resolve() in (path.resolve(), *path.resolve().parents):
        raise UsageError("out-in-data", f"{path} is inside the data {data}", fix="name a place outside it with --out")
    return path


def cache_folder() -> Path:
    """Where what can be computed again is kept from one command to the next; nothing is made.

    $SPARRING_CACHE, or a folder `sparring` where this system keeps such things: $XDG_CACHE_HOME or ~/.cache on Linux,
    ~/Library/Caches on a Mac, %LOCALAPPDATA% on Windows.
    """
    if own := os.environ.get("SPARRING_CACHE"):
        return Path(own)
    home = {"win32": os.environ.get("LOCALAPPDATA"), "darwin": Path.home() / "Library" / "Caches"}.get(sys.platform)
    return Path(home or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sparring"
