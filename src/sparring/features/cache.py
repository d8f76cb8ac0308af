"""Arrays kept by the content that they were computed from: in memory, and in a folder for other processes."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from ..errors import MachineError
from ..files import aside


def fingerprint(*arrays: np.ndarray) -> str:
    """32 hexadecimal digits that stand for these arrays' shapes, kinds and contents."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype.str} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


class Cache:
    """Arrays by key, the most recently used kept in memory up to `limit` bytes; in `folder` too where one is set.

    A study sets `folder`, so that its processes compute features and graphs once. Files are .npz without pickle,
    written whole or not at all; one that cannot be read is computed again.
    """

    def __init__(self, limit: int = 1 << 29):
        self.limit, self.folder = limit, None
        self.kept: OrderedDict[str, dict[str, np.ndarray]] = OrderedDict()
        self.lock = threading.Lock()

    folder: Path | None

    def get(self, key: tuple, compute: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """What `compute` gives, or gave for the same key; arrays are read-only."""
        name = hashlib.blake2b(repr((1, key)).encode(), digest_size=16).hexdigest()
        with self.lock:
            if name in self.kept:
                self.kept.move_to_end(name)
                return self.kept[name]
        arrays = self.read(name)
        if arrays is None:
            arrays = compute()
            self.write(name, arrays)
        for array in arrays.values():
            array.flags.writeable = False
        self.keep(name, arrays)
        return arrays

    def keep(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        with self.lock:
            self.kept[name] = arrays
            while (
                len(self.kept) > 1 and sum(a.nbytes for kept in self.kept.values() for a in kept.values()) > self.limit
            ):
                self.kept.popitem(last=False)

    def read(self, name: str) -> dict[str, np.ndarray] | None:
        path = self.folder / f"{name}.npz" if self.folder else None
        if path is None or not path.exists():
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return {key: arrays[key] for key in arrays.files}
        except (OSError, ValueError, EOFError, KeyError, BadZipFile):
            return None

    def write(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        if self.folder is None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with aside(self.folder / f"{name}.npz") as temporary, temporary.open("wb") as file:
                np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
        except (MachineError, OSError):
            pass  # a cache that cannot be written is only slower

    def clear(self) -> None:
        with self.lock:
            self.kept.clear()


CACHE = Cache()
