"""Files that are whole or not there: atomic writes, durable lines, a lock on a folder, plain words for a full disk.

A file is written aside, synced and renamed (a folder too), so `kill -9` or a power cut leaves the old state or the new
one. A `.jsonl` file grows line by line; a torn last line counts as not written, and the next append removes it.
"""

import csv
import errno
import hashlib
import io
import json
import os
import shutil
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from .errors import FileFormatError, MachineError, UsageError, printable

TEMPORARY = ".tmp-"  # names of what is not whole yet begin with this
LOCK = ".lock"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")  # a cell that begins so is computed by a spreadsheet
JsonObject = dict[str, Any]  # as json.loads returns it: whoever reads a field checks it
_serial = count()


@contextmanager
def as_machine_error(path: Path | str) -> Iterator[None]:
    """OSErrors inside become a MachineError that says in plain words what is wrong with writing `path`."""
    try:
        yield
    except MachineError:
        raise
    except OSError as error:
        raise machine_error(error, path) from error


def machine_error(error: OSError, path: Path | str) -> MachineError:
    """The MachineError for `error` while writing `path`: full, forbidden, or the system's own words."""
    if error.errno in FULL or (error.errno is None and "requested and" in str(error)):  # numpy's words for it
        return MachineError(
            "disk-full",
            f"cannot write {path}: the disk is full{_free(Path(path))}",
            fix="free some space and repeat the same command, or choose another place with --out",
        )
    if error.errno in FORBIDDEN:
        return MachineError(
            "no-permission",
            f"cannot write {path}: permission denied",
            fix="choose a folder that you may write to with --out",
        )
    reason = os.strerror(error.errno) if error.errno else str(error)
    return MachineError("disk", f"cannot write {path}: {reason}", fix="choose another place with --out")


def _free(path: Path) -> str:
    with suppress(OSError):
        there = next(p for p in (path, *path.absolute().parents) if p.exists())
        return f" ({shutil.disk_usage(there).free / 2**20:.0f} MiB free)"
    return ""


def make_folder(folder: Path | str) -> Path:
    """`folder` with its parents; raises MachineError where it cannot be made or written to."""
    folder = Path(folder)
    with as_machine_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "not writable")
    return folder


def _temporary_name(path: Path) -> Path:
    """A name beside `path` that no other process and no other call uses."""
    return path.parent / f"{TEMPORARY}{os.getpid()}-{next(_serial)}"


@contextmanager
def atomic_file(path: Path | str) -> Iterator[Path]:
    """Yields the name of a file to be written; when the block ends well it is synced and takes the place of `path`."""
    path = Path(path)
    temporary = _temporary_name(path)
    with as_machine_error(path):
        try:
            yield temporary
            sync(temporary)
            temporary.replace(path)
            sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Yields a new folder to be filled; when the block ends well it is synced and takes the place of `path`.

    An older `path` is moved away first and deleted last; between the two renames there is no `path` for an instant.
    """
    path = Path(path)
    temporary, old = _temporary_name(path), _temporary_name(path)
    with as_machine_error(path):
        try:
            temporary.mkdir(parents=True)
            yield temporary
            for file in sorted(temporary.rglob("*")):
                sync(file)
            sync(temporary)
            if path.exists():
                path.rename(old)
            try:
                temporary.rename(path)
            except OSError:
                if old.exists():
                    old.rename(path)
                raise
            sync(path.parent)
        finally:
            for left in (temporary, old):
                shutil.rmtree(left, ignore_errors=True)


def sync(path: Path) -> None:
    """Everything written to this file or folder is on the disk when this returns."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems cannot sync a folder
            raise
    finally:
        os.close(handle)


def write_bytes(path: Path | str, data: bytes) -> None:
    """`path` holds either its old content or all of `data`. Raises MachineError."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path | str, text: str) -> None:
    """UTF-8, what cannot be encoded written as `?`; see write_bytes."""
    write_bytes(path, text.encode("utf-8", "replace"))


def write_csv(path: Path | str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table with a line for each row; no cell is a formula to a spreadsheet (`csv_cell`); see write_bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([csv_cell(cell) for cell in row] for row in rows)
    write_text(path, text.getvalue())


def csv_cell(value: object) -> object:
    """Return text on one line, with an apostrophe before it where a spreadsheet would compute it; else the value."""
    if not isinstance(value, str):
        return value
    line = printable(value)
    return f"'{line}" if line.startswith(FORMULA) else line


def write_json(path: Path | str, value: object) -> None:
    """Indented, finite numbers only (a NaN is our mistake and raises ValueError); see write_bytes."""
    write_bytes(path, _written(value, indent=1))


def _written(value: object, **options) -> bytes:
    try:
        return (json.dumps(value, ensure_ascii=False, allow_nan=False, **options) + "\n").encode()
    except UnicodeEncodeError:  # a file name that is not valid UTF-8
        return (json.dumps(value, allow_nan=False, **options) + "\n").encode()


def write_arrays(path: Path | str, **arrays) -> None:
    """A compressed .npz, the same bytes for the same arrays; see write_bytes."""
    import numpy as np

    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_json(path: Path | str) -> Any:
    """Raises FileFormatError when there is no such file or it is not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8", errors="surrogateescape"))
    except (OSError, ValueError) as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise FileFormatError(
            "bad-json",
            f"cannot read {path}: {reason}",
            fix="pass a folder that sparring wrote, or make it anew",
        ) from error


def append_line(path: Path | str, value: JsonObject) -> None:
    """Adds one JSON line, on the disk when this returns; a torn last line is removed, a failed one leaves no trace."""
    path = Path(path)
    line = json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogateescape") + b"\n"
    with as_machine_error(path):
        new = not path.exists()
        with path.open("ab+", buffering=0) as file:
            end = _mend(file)
            try:
                while line:  # a raw write may take only a part
                    line = line[file.write(line) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(end)
                raise
        if new:
            sync(path.parent)


def _mend(file) -> int:
    """Cuts a torn last line off an open file; returns where the next line begins."""
    end = file.seek(0, os.SEEK_END)
    start, tail = end, b""
    while start and tail.count(b"\n", 0, -1) == 0:  # backwards until the last line is complete
        step = min(start, 1 << 16)
        start -= step
        file.seek(start)
        tail = file.read(step) + tail
    cut = tail.rfind(b"\n", 0, -1) + 1
    last = tail[cut:]
    if last and _parsed(last) is None:
        end -= len(last)
        file.truncate(end)
    elif last and not last.endswith(b"\n"):
        end += file.write(b"\n")
    return end


def _parsed(line: bytes) -> JsonObject | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def read_lines(path: Path | str) -> list[JsonObject]:
    """The rows of a .jsonl file, none when it does not exist. A torn last line is left out; else FileFormatError."""
    try:
        lines = Path(path).read_bytes().removesuffix(b"\n").split(b"\n")
    except FileNotFoundError:
        return []
    rows = [_parsed(line) for line in lines] if lines != [b""] else []
    if rows and rows[-1] is None:
        rows.pop()
    for number, row in enumerate(rows, 1):
        if row is None:
            raise FileFormatError(
                "bad-line",
                f"cannot read {path}: line {number} is not a JSON object",
                fix="remove that line; what it held is made again by the same command",
            )
    return [row for row in rows if row is not None]


def sha256_of(data: bytes) -> str:
    """Return the SHA-256 of `data` in hexadecimal digits: what the files of a model or checkpoint are checked by."""
    return hashlib.sha256(data).hexdigest()


def content_hash(*content: Any) -> str:
    """Return 32 hexadecimal digits (BLAKE2b) that stand for arrays, bytes and other values.

    An array counts with its shape and kind, another value with its `repr`.
    """
    digest = hashlib.blake2b(digest_size=16)
    for item in content:
        if hasattr(item, "dtype"):
            digest.update(f"{item.shape} {item.dtype.str} ".encode())
            digest.update(item.data if item.flags.c_contiguous and item.dtype.kind in "biuf" else item.tobytes())
        else:
            data = item if isinstance(item, bytes) else repr(item).encode()
            digest.update(f"({len(data)},) |u1 ".encode() + data)
    return digest.hexdigest()


def remove_leftovers(folder: Path | str) -> None:
    """Removes what killed processes left aside in `folder` and below; only for the holder of its lock."""
    for left in sorted(Path(folder).rglob(f"{TEMPORARY}*")):
        shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path | str) -> Iterator[None]:
    """Let one process at a time in for one folder; the lock dies with its process, even by kill -9.

    Raises MachineError naming the process that holds it. The folder must exist.
    """
    from filelock import FileLock, Timeout

    path = Path(folder) / LOCK
    lock = FileLock(path)
    with as_machine_error(path):
        try:
            # the holder before may remove the file at this moment: a second try makes a new one
            lock.acquire(timeout=0.2, poll_interval=0.05)
        except Timeout:
            raise _in_use(path.parent, _parsed(_holder(path)) or {}) from None
    with suppress(OSError):
        path.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}))
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        lock.release()


def _holder(path: Path) -> bytes:
    with suppress(OSError):
        return path.read_bytes()
    return b""


def _in_use(folder: Path, holder: dict) -> MachineError:
    who = f"process {holder['pid']} on {holder['host']}" if {"pid", "host"} <= holder.keys() else "another process"
    if isinstance(holder.get("since"), int | float):
        who += f" (since {time.strftime('%Y-%m-%d %H:%M', time.localtime(holder['since']))})"
    return MachineError(
        "in-use",
        f"{folder} is in use by {who}",
        fix="wait until it ends, or choose another folder with --out",
    )


# --- where output may go: asked before any work is done; nothing is ever overwritten ----------------------------------


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


def new_file(path: Path | str, *, data: object = None, option: str = "--out") -> Path:
    """`path` if it is not there, or a picture that sparring made before. Raises UsageError or MachineError.

    `option`: of the command line, that names another place.
    """
    path = Path(path)
    if path.is_dir():
        raise UsageError("out-in-use", f"{path} is a folder", fix=f"name a file in it, such as {path / 'picture.png'}")
    if path.exists() and not ours(path):
        raise UsageError("out-in-use", f"{path} exists and was not made by sparring", fix="name another file")
    return writable(apart(path, data, option), option)


def ours(path: Path) -> bool:
    """Whether a file says that sparring made it: near its beginning, as PNG and GIF do, or at its end, as WebP does."""
    with path.open("rb") as file:
        start = file.read(1024)
        file.seek(max(0, path.stat().st_size - 1024))
        return b"sparring" in start + file.read()


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
