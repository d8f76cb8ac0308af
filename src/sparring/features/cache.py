"""A cache of arrays by the content that they were computed from: in memory, and in a folder for other processes."""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from ..errors import FileFormatError, MachineError
from ..files import (
    PRIVATE,
    PRIVATE_FOLDER,
    TEMPORARY,
    atomic_file,
    cache_folder,
    content_hash,
    make_folder,
    read_arrays,
)

Arrays = dict[str, np.ndarray]

DISK_LIMIT = 4 << 30  # bytes that the user's cache may take on the disk
SEAL = "sparring-seal"  # the array of a file that says what belongs into it
ABANDONED = 3600.0  # seconds after which a half-written file belongs to a process that is dead


class Cache:
    """Arrays by key, the most recently used kept in memory up to `limit` bytes; in `folder` too where one is set.

    A study sets `folder`, so that its processes compute features and graphs once. Files are .npz without pickle, for
    their owner alone, written whole or not at all, so several processes may read and write at once. Each has a hash of
    its key and its content: what is damaged, or lies under another key, is computed again.
    Processes that ask for the same at once compute it once: the first does, the others wait for it.
    `disk`: bytes that the folder may hold; beyond them the files that were not used for longest are dropped.
    """

    def __init__(self, limit: int = 1 << 29, *, folder: Path | None = None, disk: int | None = None):
        self.limit, self.folder, self.disk = limit, folder, disk
        self.kept: OrderedDict[str, Arrays] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, key: tuple, compute: Callable[[], Arrays]) -> Arrays:
        """Return what `compute` gives, or gave for the same key; arrays are read-only."""
        found = self.peek(key)
        if found is not None:
            return found
        if (passing := _PASSING.get()) is not None and passing is not self:
            return passing.get(key, compute)
        name = _name(key)
        with self._alone(name):
            arrays = self._read(name)  # another process may have computed it meanwhile
            if arrays is None:
                arrays = compute()
                self._write(name, arrays)
        return self._kept(name, arrays)

    def peek(self, key: tuple) -> Arrays | None:
        """Return what is kept under the key, None where nothing is."""
        name = _name(key)
        with self.lock:
            if name in self.kept:
                self.kept.move_to_end(name)
                return self.kept[name]
        arrays = self._read(name)
        return None if arrays is None else self._kept(name, arrays)

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Let one process at a time compute what has this name: the others wait, and then read it."""
        lock = None
        if self.folder is not None:
            with suppress(OSError):  # a MachineError is one
                make_folder(self.folder, mode=PRIVATE_FOLDER)
                lock = FileLock(self.folder / f"{name}.lock")
                with suppress(Timeout):
                    lock.acquire(timeout=ABANDONED)
        try:
            yield
        finally:
            if lock is not None and lock.is_locked:
                with suppress(OSError):
                    Path(lock.lock_file).unlink()  # who waits has it open, and goes on when it is released
                lock.release()

    def _kept(self, name: str, arrays: Arrays) -> Arrays:
        for array in arrays.values():
            array.flags.writeable = False
        with self.lock:
            self.kept[name] = arrays
            while (
                len(self.kept) > 1 and sum(a.nbytes for kept in self.kept.values() for a in kept.values()) > self.limit
            ):
                self.kept.popitem(last=False)
        return arrays

    def _read(self, name: str) -> Arrays | None:
        """Return what the file of this name holds; None where there is none, or it holds something else."""
        path = self.folder / f"{name}.npz" if self.folder else None
        if path is None or not path.exists():
            return None
        try:
            found = read_arrays(path, most=DISK_LIMIT)
        except (FileFormatError, OSError):
            return None
        seal = found.pop(SEAL, None)
        if seal is None or seal.tobytes().decode("ascii", "replace") != _sealed(name, found):
            return None
        with suppress(OSError):
            path.touch()  # used now: the last to be dropped
        return found

    def _write(self, name: str, arrays: Arrays) -> None:
        if self.folder is None:
            return
        seal = np.frombuffer(_sealed(name, arrays).encode("ascii"), np.uint8)
        try:
            make_folder(self.folder, mode=PRIVATE_FOLDER)
            place = self.folder / f"{name}.npz"
            with atomic_file(place, mode=PRIVATE) as temporary, temporary.open("wb") as file:
                np.savez(file, **{SEAL: seal}, **arrays)  # pyright: ignore[reportArgumentType]
            self._shrink(name)
        except (MachineError, OSError):
            pass  # a cache that cannot be written is only slower

    def _shrink(self, newest: str) -> None:
        """Drop the files that were not used for longest until the folder holds at most `disk` bytes."""
        if self.folder is None or self.disk is None:
            return
        files, now = [], time.time()
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):  # another process dropped it first
                state = path.stat()
                if path.name.startswith(TEMPORARY):
                    if now - state.st_mtime > ABANDONED:
                        path.unlink()
                elif path.suffix == ".npz":
                    files.append((path.stem == newest, state.st_mtime_ns, state.st_size, path))
        total = sum(size for _, _, size, _ in files)
        for _, _, size, path in sorted(files):
            if total <= self.disk:
                return
            path.unlink(missing_ok=True)
            total -= size

    def clear(self) -> None:
        with self.lock:
            self.kept.clear()


_PASSING: ContextVar[Cache | None] = ContextVar("passing", default=None)


@contextmanager
def passing_cache() -> Iterator[None]:
    """Let no cache keep what is computed inside for longer than that: of images that nobody will ask for again."""
    token = _PASSING.set(_PASSING.get() or Cache())
    try:
        yield
    finally:
        _PASSING.reset(token)


def _name(key: tuple) -> str:
    return hashlib.blake2b(repr((2, key)).encode(), digest_size=16).hexdigest()


def _sealed(name: str, arrays: Arrays) -> str:
    return content_hash(name, *(part for key in sorted(arrays) for part in (key, arrays[key])))


CACHE = Cache()


@lru_cache
def cache_at(folder: Path) -> Cache:
    return Cache(folder=folder, disk=DISK_LIMIT)


def user_cache() -> Cache:
    """Return the cache that outlives this process: `features` in the user's cache folder, at most DISK_LIMIT bytes."""
    return cache_at(cache_folder() / "features")
