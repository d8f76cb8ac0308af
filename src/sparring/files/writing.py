"""Files that are whole or not there: atomic writes, durable lines, a lock on a folder, plain words for a full disk.

A file is written aside, synced and renamed (a folder too), so `kill -9` or a power cut leaves the old state or the new
one. A `.jsonl` file grows line by line; a torn last line counts as not written, and the next append removes it.
"""

import csv
import errno
import io
import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from ..errors import FileFormatError, MachineError, printable
from .reading import (
    LARGEST_LINES,
    SEAL_OF_JSON,
    JsonObject,
    hash_of_json,
    opened,
    parsed_line,
    read_bytes,
    refuse_links,
)

# Names that no file of a user has: what bears one may be removed.
TEMPORARY = ".tmp-sparring-"  # names of what is not whole yet begin with this
LOCK = ".sparring-lock"
PRIVATE, PRIVATE_FOLDER = 0o600, 0o700  # for what only its owner may read: other people's images
FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")  # a cell that begins so is computed by a spreadsheet
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
    if error.errno == errno.EFBIG:
        what = f"cannot write {path}: it would be larger than a file of this process, or of this disk, may be"
        return MachineError("file-limit", what, fix="raise the limit (ulimit -f), or choose another place with --out")
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


def make_folder(folder: Path | str, *, mode: int = 0o777) -> Path:
    """`folder` with its parents; raises MachineError where it cannot be made or written to. `mode`: of a new one."""
    folder = Path(folder)
    with as_machine_error(folder):
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "not writable")
    return folder


def _temporary_name(path: Path) -> Path:
    """A name beside `path` that no other process and no other call uses."""
    return path.parent / f"{TEMPORARY}{os.getpid()}-{next(_serial)}-{secrets.token_hex(4)}"


@contextmanager
def atomic_file(path: Path | str, *, mode: int = 0o666) -> Iterator[Path]:
    """Yields the name of a file to be written; when the block ends well it is synced and takes the place of `path`.

    The file is there already, empty, with the permissions `mode`. A `path` that is a link is replaced, not followed.
    """
    path = Path(path)
    temporary = _temporary_name(path)
    with as_machine_error(path):
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
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

    An older `path` is moved away first and deleted last; between the two renames there is no `path` for an instant. Of
    a `path` that is a link the folder that it leads to is replaced.
    """
    path = Path(os.path.realpath(path)) if Path(path).is_symlink() else Path(path)
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


def write_sealed(path: Path | str, value: JsonObject) -> None:
    """A JSON object with the hash of itself, which `read_object` checks; see write_json."""
    write_json(path, sealed(value))


def sealed(value: JsonObject) -> JsonObject:
    """Return a JSON object with the hash of itself."""
    return {**value, SEAL_OF_JSON: hash_of_json(value)}


def _written(value: object, indent: int | None = None) -> bytes:
    try:
        return (json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent) + "\n").encode()
    except UnicodeEncodeError:  # a file name that is not valid UTF-8
        return (json.dumps(value, allow_nan=False, indent=indent) + "\n").encode()


def write_arrays(path: Path | str, **arrays) -> None:
    """A compressed .npz, the same bytes for the same arrays; see write_bytes."""
    import numpy as np

    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def append_line(path: Path | str, value: JsonObject) -> None:
    """Adds one JSON line, on the disk when this returns; a torn last line is removed, a failed one leaves no trace."""
    path = Path(path)
    line = _written(value)
    with as_machine_error(path):
        new = not path.exists()
        with os.fdopen(opened(path, os.O_RDWR | os.O_CREAT | os.O_APPEND), "ab+", buffering=0) as file:
            if os.fstat(file.fileno()).st_size > LARGEST_LINES:
                what, fix = f"{path} has more than {LARGEST_LINES >> 20} MiB", "choose another folder with --out"
                raise FileFormatError("file-too-large", what, fix=fix)
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
    start, tail, step = end, b"", 1 << 15
    while start and tail.count(b"\n", 0, -1) == 0:  # backwards until the last line is complete
        step = min(start, 2 * step)
        start -= step
        file.seek(start)
        tail = file.read(step) + tail
    cut = tail.rfind(b"\n", 0, -1) + 1
    last = tail[cut:]
    if last and parsed_line(last) is None:
        end -= len(last)
        file.truncate(end)
    elif last and not last.endswith(b"\n"):
        end += file.write(b"\n")
    return end


def remove_leftovers(folder: Path | str) -> None:
    """Removes what killed processes left aside in `folder` and below; only for the holder of its lock."""
    for left in sorted(Path(folder).rglob(f"{TEMPORARY}*")):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path | str) -> Iterator[None]:
    """Let one process at a time in for one folder; the lock dies with its process, even by kill -9.

    Raises MachineError naming the process that holds it, FileFormatError where the folder holds a link: whoever writes
    into a folder holds its lock, so nothing is written or removed through one. The folder must exist.
    """
    from filelock import FileLock, Timeout

    path = Path(folder) / LOCK
    refuse_links(folder)
    lock = FileLock(path)
    with as_machine_error(path):
        try:
            # the holder before may remove the file at this moment: a second try makes a new one
            lock.acquire(timeout=0.2, poll_interval=0.05)
        except Timeout:
            raise _in_use(path.parent, parsed_line(_holder(path)) or {}) from None
    with suppress(OSError), os.fdopen(opened(path, os.O_WRONLY | os.O_TRUNC), "wb") as file:
        file.write(_written({"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}))
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        lock.release()


def _holder(path: Path) -> bytes:
    with suppress(OSError):
        return read_bytes(path)
    return b""


def _in_use(folder: Path, holder: JsonObject) -> MachineError:
    who = f"process {holder['pid']} on {holder['host']}" if {"pid", "host"} <= holder.keys() else "another process"
    with suppress(KeyError, TypeError, ValueError, OverflowError, OSError):
        who += f" (since {time.strftime('%Y-%m-%d %H:%M', time.localtime(holder['since']))})"
    return MachineError(
        "in-use",
        f"{folder} is in use by {who}",
        fix="wait until it ends, or choose another folder with --out",
    )
