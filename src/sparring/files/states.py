"""Whether files are still those that they were, without reading them."""

import hashlib
import os
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

SETTLED = 2.0  # seconds after which another change gives a file another time, on every file system


def files_state(places: Iterable[Path]) -> str | None:
    """Return a hash of what the files at and below these places are: names, sizes, numbers and times, not contents.

    None where a change need not show in it: a file changed within the last SETTLED seconds, a link leads to a folder,
    or something cannot be looked at.
    """
    found, latest = hashlib.blake2b(digest_size=16), time.time() - SETTLED
    try:
        for path, status in _files(places):
            if status is None or max(status.st_mtime, status.st_ctime) > latest:
                return None
            parts = status.st_mode, status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns
            found.update(repr((path, parts)).encode("utf-8", "surrogateescape"))
    except OSError:
        return None
    return found.hexdigest()


def _files(places: Iterable[Path]) -> Iterator[tuple[str, os.stat_result | None]]:
    """Yield every file and folder; with None a link to a folder."""
    for place in places:
        waiting = [os.path.realpath(place)]
        while waiting:
            here = waiting.pop()
            status = os.stat(here)  # noqa: PTH116 quicker: there may be very many
            yield here, status
            if stat.S_ISDIR(status.st_mode):
                with os.scandir(here) as entries:
                    for entry in sorted(entries, key=lambda entry: entry.name):
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
                        elif entry.is_symlink():
                            yield f"{entry.path} -> {os.readlink(entry.path)}", _target(entry)  # noqa: PTH115
                        else:
                            yield entry.path, entry.stat()


def _target(link: os.DirEntry[str]) -> os.stat_result | None:
    """Return what a link leads to, where that is no folder; the link itself, where it leads nowhere."""
    try:
        found = link.stat()
    except OSError:
        return link.stat(follow_symlinks=False)
    return None if stat.S_ISDIR(found.st_mode) else found
