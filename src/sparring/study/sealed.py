"""Test labels under seal: methods never get them, and every opening is counted.

The seal prevents accidents, not malice: whoever has the data has its labels. While methods are fitted there is no
array, pickle, copy or readable file of the test labels, and a fit that asks for them fails.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np

from .. import files
from ..errors import FileFormatError, UsageError

DIGEST = 16  # bytes


class Sealed:
    """Labels int64 [T] that refuse to be indexed, iterated, compared, converted, copied and pickled until `opened`."""

    __slots__ = ("_count", "_key", "_masked")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, masked: bytes, key: str):
        self._masked, self._key, self._count = masked, key, (len(masked) - DIGEST) // 8

    @classmethod
    def of(cls, labels: np.ndarray, key: str) -> "Sealed":
        plain = np.ascontiguousarray(labels, "<i8").tobytes()
        return cls(_masked(plain, key) + _digest(plain, key), key)

    @classmethod
    def read(cls, path: Path, key: str) -> "Sealed":
        """Raises FileFormatError when the file is not there or not what was sealed with this key."""
        try:
            sealed = cls(files.read_bytes(path), key)
            sealed._plain()
        except FileFormatError:
            raise
        except (OSError, ValueError) as error:
            raise FileFormatError(
                "bad-seal", f"cannot read the sealed test labels {path}: {error}", fix="repeat the study elsewhere"
            ) from error
        return sealed

    def write(self, path: Path) -> None:
        files.write_bytes(path, self._masked)

    def opened(self, count_look: Callable[[], None]) -> np.ndarray:
        """Return the labels, after `count_look` has counted this look on the disk."""
        count_look()
        return np.frombuffer(self._plain(), "<i8").astype(np.int64)

    def _plain(self) -> bytes:
        plain = _masked(self._masked[:-DIGEST], self._key)
        if self._masked[-DIGEST:] != _digest(plain, self._key):
            raise ValueError("it is damaged or belongs to another study")
        return plain

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"<{len(self)} sealed test labels>"

    def _refuse(self, *_, **__) -> NoReturn:
        raise UsageError(
            "test-sealed",
            "test labels are sealed while methods are fitted",
            fix="fit on the training part only; the summary opens the seal once, when all fits are done",
        )

    __getitem__ = __iter__ = __contains__ = __eq__ = __ne__ = __lt__ = __array__ = _refuse
    __reduce__ = __reduce_ex__ = __getstate__ = __copy__ = __deepcopy__ = __buffer__ = __dlpack__ = _refuse


def _masked(data: bytes, key: str) -> bytes:
    """`data` xor a stream of hashes of the key; its own inverse."""
    stream = hashlib.shake_256(f"sealed test labels {key}".encode()).digest(len(data))
    return (np.frombuffer(data, np.uint8) ^ np.frombuffer(stream, np.uint8)).tobytes()


def _digest(plain: bytes, key: str) -> bytes:
    return hashlib.blake2b(plain, digest_size=DIGEST, key=key.encode()[:64]).digest()
