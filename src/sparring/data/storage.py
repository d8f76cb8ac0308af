"""Room for images: in memory, or beyond a share of what is free in a temporary file that is mapped into memory.

The file has no name from the start, or loses it when it is closed (Windows). So it is gone when the process ends,
however it ends. The system keeps in memory what is used of it, and takes that back where memory is needed elsewhere.
"""

import errno
import mmap
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np

from .. import devices
from ..errors import MachineError
from ..files import cache_folder, make_folder
from ..images import chunk_slices
from .notes import size_words

MEMORY_SHARE = 0.25  # of the free memory that one set of images may take
MOST_UNKNOWN = 2 << 30  # bytes, where the system does not say how much is free
DISK_LEFT = 1 << 30  # bytes of the disk that are left to others
COPIED = 32 << 20  # values copied at a time


def room_for(count: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return a writeable uint8 [count, *shape] for images (H, W, C), its values not set.

    Raises MachineError where neither memory nor disk holds it.
    """
    needed, free = count * int(np.prod(shape)), devices.free_memory()
    if needed <= (MOST_UNKNOWN if free >= devices.UNKNOWN_MEMORY else MEMORY_SHARE * free):
        return np.empty((count, *shape), np.uint8)
    folders = (cache_folder(), Path(tempfile.gettempdir()))
    for folder in folders:
        with suppress(OSError):
            return np.frombuffer(mapped(needed, folder), np.uint8).reshape(count, *shape)
    if needed <= free:
        return np.empty((count, *shape), np.uint8)
    disk = max(free_disk(folder) for folder in folders)
    raise MachineError(
        "memory",
        f"{count} images of {size_words(shape)} needs {needed / 2**30:,.1f} GiB of memory or disk; "
        f"{free / 2**30:,.1f} GiB of memory and {disk / 2**30:,.1f} GiB of disk are free",
        fix="ask for smaller images (size=64) or fewer of them, or let SPARRING_CACHE name a folder on a larger disk",
    )


def mapped(size: int, folder: Path) -> mmap.mmap:
    """Return so many bytes of a nameless file in a folder. Raises OSError where the disk has no room for them."""
    make_folder(folder)
    if free_disk(folder) < size + DISK_LEFT:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with tempfile.TemporaryFile(dir=folder, prefix="sparring-images-") as file:
        _reserve(file, size)
        return mmap.mmap(file.fileno(), size)  # it keeps the file open


def _reserve(file: IO[bytes], size: int) -> None:
    """Make a file so long, with all of its blocks: writing to a mapped file on a full disk would kill the process."""
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except (AttributeError, OSError) as error:  # there is none on a Mac or on Windows, and not every disk can do it
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        block = bytes(1 << 20)
        for start in range(0, size, len(block)):
            file.write(block[: size - start])
        file.flush()


def free_disk(folder: Path) -> int:
    """Return the bytes that are free on the disk of a folder, or of the nearest one above it that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


def selected(images: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return images[index] for whole numbers from 0; a view where these follow each other, else a copy."""
    if len(index) and (np.diff(index) == 1).all():
        return images[index[0] : index[-1] + 1]
    found = room_for(len(index), images.shape[1:])
    for chunk in chunk_slices(images, len(index), most=COPIED):
        found[chunk] = images[index[chunk]]
    return found


def joined(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return uint8 [N+M,H,W,C] of both."""
    both = room_for(len(first) + len(second), first.shape[1:])
    both[: len(first)], both[len(first) :] = first, second
    return both
