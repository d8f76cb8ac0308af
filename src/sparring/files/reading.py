"""Reading what sparring wrote, or says that it wrote: plain files of a limited size, JSON without surprises.

A folder may come from a stranger, or be damaged. No link in it is followed and no pipe or device is opened; what a file
declares is compared with what it holds before memory is taken; every fault is one FileFormatError.
"""

import hashlib
import json
import math
import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import FileFormatError, MachineError, SparringError, printable

if TYPE_CHECKING:
    import numpy as np

JsonObject = dict[str, Any]  # as json.loads returns it: whoever reads a field checks it
LARGEST_JSON = 1 << 26  # bytes
LARGEST_LINES = 1 << 28  # bytes of a .jsonl file
MOST_LINES = 200_000  # of such a file: a run of 200 million images has written fewer
LARGEST_ARRAYS = 1 << 30  # bytes of all arrays in one .npz
DEEPEST = 64  # lists and objects inside each other
OURS = "pass a folder that sparring wrote, or make it anew"
PLAIN = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))  # where the system has them
SEAL_OF_JSON = "sha256"  # the field that holds the hash of all others


# --- plain files -----------------------------------------------------------------------------------------------------


def opened(path: Path | str, flags: int = os.O_RDONLY, mode: int = 0o666) -> int:
    """Open a file and return its descriptor. It must be a file itself: no link, pipe, socket or device.

    Raises FileFormatError where it is none, OSError where it cannot be opened.
    """
    _refuse_special(path, missing_ok=True)
    # between the look and the opening it may have become another: no link is followed, no pipe is waited for
    handle = os.open(path, flags | PLAIN, mode)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _not_plain(path, "not a file")
    return handle


def _refuse_special(path: Path | str, *, missing_ok: bool = False) -> None:
    try:
        kind = os.lstat(path).st_mode
    except FileNotFoundError:
        if missing_ok:
            return
        raise
    if stat.S_ISLNK(kind):
        raise _not_plain(path, "a link, and sparring follows none in its own folders")
    if stat.S_ISDIR(kind):
        raise _not_plain(path, "a folder, not a file")
    if not stat.S_ISREG(kind):
        raise _not_plain(path, "a pipe, a socket or a device, not a file")


def _not_plain(path: Path | str, what: str) -> FileFormatError:
    fix = "remove it, or put the file itself in its place"
    return FileFormatError("not-a-file", f"{path} is {what}", fix=fix)


def refuse_links(folder: Path | str) -> None:
    """Raise FileFormatError where anything below one of our folders is a link, a pipe, a socket or a device."""
    waiting = [os.fspath(folder)]
    while waiting:
        try:
            entries = sorted(os.scandir(waiting.pop()), key=lambda entry: entry.name)
        except OSError:  # not there, or not readable: said where it is needed
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            elif not entry.is_file(follow_symlinks=False):
                _refuse_special(entry.path)


def inside(folder: Path, name: object) -> Path:
    """Return folder/name for a name that a file gives. Raises FileFormatError where it leads out of the folder."""
    text = name if isinstance(name, str) else ""
    parts = text.split("/")
    if not text or "\\" in text or ":" in text or "\0" in text or {"", ".", ".."} & set(parts):
        raise FileFormatError("bad-path", f"{folder} names a file {name!r:.80}, which is not in it", fix=OURS)
    return folder.joinpath(*parts)


def read_bytes(path: Path | str, *, most: int = LARGEST_JSON) -> bytes:
    """Return what a plain file holds. Raises FileFormatError for another thing or more bytes, OSError."""
    with os.fdopen(opened(path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise FileFormatError("file-too-large", f"{path} has more than {most >> 20:,} MiB", fix=OURS)
        return file.read(size)  # what was there: another process may be adding lines


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


# --- JSON ------------------------------------------------------------------------------------------------------------


def parse_json(data: bytes) -> Any:
    """Return what JSON bytes say. Raises ValueError for what is not JSON, nested too deeply, or says a key twice.

    File names that are not UTF-8 come as lone surrogates; NaN and infinity are not JSON.
    """
    try:
        text = data.decode("utf-8", "surrogateescape")
        value = json.loads(text, parse_constant=_no_number, object_pairs_hook=_each_once)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    level = [value]
    for _ in range(DEEPEST):
        level = [
            item
            for outer in level
            if isinstance(outer, dict | list)
            for item in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return value
    raise ValueError("it is nested too deeply")


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


def _each_once(pairs: list[tuple[str, Any]]) -> JsonObject:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def read_json(path: Path | str) -> Any:
    """Return what a JSON file says. Raises FileFormatError when there is no such file or it is not JSON."""
    try:
        return parse_json(read_bytes(path))
    except FileFormatError:
        raise
    except (OSError, ValueError) as error:
        raise FileFormatError("bad-json", f"cannot read {path}: {_reason(error)}", fix=OURS) from error


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)


def read_object(path: Path | str) -> JsonObject:
    """Return the object that a JSON file holds; where it is sealed, its hash is checked. Raises FileFormatError."""
    found = read_json(path)
    if not isinstance(found, dict):
        raise FileFormatError("bad-json", f"{path} holds no JSON object", fix=OURS)
    if SEAL_OF_JSON in found and found[SEAL_OF_JSON] != hash_of_json(found):
        what = f"{path} is damaged: it does not have the hash that was written with it"
        raise FileFormatError("bad-json", what, fix="restore the file, or make the folder anew")
    return found


def hash_of_json(value: JsonObject) -> str:
    """Return the SHA-256 of everything in a JSON object but its own hash."""
    rest = {key: item for key, item in value.items() if key != SEAL_OF_JSON}
    return sha256_of(json.dumps(rest, sort_keys=True).encode())


def parsed_line(line: bytes) -> JsonObject | None:
    """Return the object that a line of a .jsonl file holds, None where it holds none."""
    try:
        value = parse_json(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def read_lines(path: Path | str, *, most: int | None = None) -> list[JsonObject]:
    """The rows of a .jsonl file, none when it does not exist. A torn last line is left out; else FileFormatError.

    most: lines that are read, by default MOST_LINES.
    """
    most = most or MOST_LINES
    try:
        lines = read_bytes(path, most=LARGEST_LINES).removesuffix(b"\n").split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise FileFormatError("bad-line", f"cannot read {path}: {_reason(error)}", fix=OURS) from error
    if len(lines) > most:
        raise FileFormatError("bad-line", f"{path} has {len(lines):,} lines, and at most {most:,} are read", fix=OURS)
    rows = [parsed_line(line) for line in lines] if lines != [b""] else []
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


@contextmanager
def fitting_together(damaged: Callable[[str], SparringError]) -> Iterator[None]:
    """Whatever breaks inside, because content that was read is not what it should be, becomes damaged(reason).

    For the step from content whose form was checked to objects: what a stranger may write there has no end.
    """
    try:
        yield
    except (FileFormatError, MachineError):
        raise
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, StopIteration, TypeError, ValueError) as error:
        said = error.problem if isinstance(error, SparringError) else str(error)
        reason = printable(said)[:200] or type(error).__name__
        raise damaged(f"its content does not fit together ({reason})") from error


# --- arrays ----------------------------------------------------------------------------------------------------------


def read_arrays(path: Path | str, *, most: int = LARGEST_ARRAYS) -> "dict[str, np.ndarray]":
    """Return the arrays of an .npz file by name. Raises FileFormatError where it cannot be read, or holds more bytes.

    The shape that an array declares is compared with the bytes that are there first.
    """
    from numpy.lib import format as npy

    found = {}
    try:
        with os.fdopen(opened(path), "rb") as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > most:
                raise ValueError(f"it holds more than {most >> 20:,} MiB")
            for member in members:
                with archive.open(member) as content:
                    _check_declared(content, member.file_size)
                with archive.open(member) as content:
                    found[member.filename.removesuffix(".npy")] = npy.read_array(content, allow_pickle=False)
                    if content.read(1):
                        raise ValueError("an array is followed by more bytes")
    except FileFormatError:
        raise
    except Exception as error:  # of zipfile, zlib and numpy, which have no common parent
        raise FileFormatError("bad-arrays", f"cannot read {path}: {_reason(error)}", fix=OURS) from error
    return found


def _check_declared(content: Any, size: int) -> None:
    """Raise ValueError where the header of a .npy file of so many bytes declares another number of them."""
    from numpy.lib import format as npy

    version = npy.read_magic(content)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"an array has version {version} of the format")
    shape, _, kind = readers[version](content)
    if kind.hasobject or kind.names:
        raise ValueError("an array holds objects")
    if math.prod(shape) * kind.itemsize != size - content.tell():
        raise ValueError(f"an array declares the shape {shape}, which is not what it holds")
