"""Pages of a TIFF, frames of an animation or a film -> image files, which every command reads.

Elsewhere only the first page or frame is taken, and films are left out. As files one can look at them and throw some
away. All pictures of a file lie in a folder of their own: pictures of the same scan or film belong together, and such
folders below the classes are groups (groups.py), so that no split parts them.
"""

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError, SparringError, UsageError
from ..files import atomic_folder, new_folder, write_csv
from ..images import BadImage, Source, encode_png
from ..images.frames import frames_of, has_several
from ..images.kinds import suffix
from ..records import OnProgress, Progress, no_progress
from .folders import list_tree, read_folder, read_zip
from .formats import LoadOptions
from .listing import ListedImage, Listing
from .trees import folder_tree

TABLE = "labels.csv"
DIGITS = 4  # of the numbers of pictures, at least


@dataclass(frozen=True)
class Extracted:
    """What was written: so many `images` from `files` into `folder`, and (file, reason) of those left out.

    `table`: labels.csv is there, because the folders do not say labels, parts and groups.
    """

    folder: Path
    images: int
    files: int
    table: bool
    left_out: tuple[tuple[str, str], ...] = ()


def extract_frames(
    source: str | Path,
    out: str | Path,
    frames: int | None = None,
    *,
    table: str | Path | None = None,
    label: str | None = None,
    group: str | None = None,
    follow_links: bool = False,
    progress: OnProgress = no_progress,
) -> Extracted:
    """Write the pages and frames of all files of a folder or zip as PNG files into the new folder `out`.

    frames   of a file with more, so many, evenly spread; None: all
    table, label, group, follow_links: as `sparring.load` takes them. Files of one picture are copied as they are.

    Raises UsageError, MissingData, DataError, MachineError; nothing is left behind then.
    """
    if frames is not None and frames < 1:
        raise UsageError("frames", f"{frames} frames of a file", fix="take 1 or more, or all")
    path = Path(source).expanduser()
    options = LoadOptions(
        table=None if table is None else Path(table).expanduser(),
        label=label or "",
        follow_links=follow_links,
        group=group,
        films=True,
    )
    found = read_folder(path, options) if path.is_dir() else read_zip(path, options) if path.is_file() else None
    if not isinstance(found, Listing):
        raise UsageError("frames", f"{source} is no folder or zip of files", fix="name one")
    out = new_folder(out, data=source)
    rows: list[ListedImage] = []
    left_out: list[tuple[str, str]] = list(found.bad_files)
    with atomic_folder(out) as folder:
        names = own_folders([item.origin for item in found.items])
        for i, (item, name) in enumerate(zip(found.items, names, strict=True)):
            progress(Progress("files", i, len(names)))
            try:
                written = _write_pictures(found.read(i), folder, item.origin, name, frames)
            except BadImage as error:
                left_out.append((item.origin, error.reason))
                continue
            rows += [ListedImage(path, item.label, item.part, item.group or name) for path in written]
        if not rows:
            raise DataError("bad-images", f"nothing in {source} can be read", fix="look at the files")
        progress(Progress("files", len(names), len(names)))
        told = _told_by_folders(folder, rows)
        if not told:
            columns = ("file", "label", "split", "group")
            write_csv(folder / TABLE, columns, [(row.origin, row.label or "", row.part, row.group) for row in rows])
    return Extracted(out, len(rows), len(names) - len(left_out) + len(found.bad_files), not told, tuple(left_out))


def own_folders(origins: Sequence[str]) -> list[str]:
    """Return the folder for the pictures of each file: its name without the ending where no other has the same."""
    stems = [origin[: -len(suffix(origin))] if suffix(origin) else origin for origin in origins]
    taken = Counter(stems) + Counter(set(origins))
    return [origin if taken[stem] > 1 else stem for origin, stem in zip(origins, stems, strict=True)]


def _write_pictures(source: Source, folder: Path, origin: str, name: str, most: int | None) -> list[str]:
    """Write the pictures of a file into a folder of its own, or copy it if it has one; return the paths below."""
    if not has_several(source):
        copy = folder / origin
        copy.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source, bytes):
            copy.write_bytes(source)
        else:
            shutil.copyfile(source, copy)
        return [origin]
    written = []
    for number, pixels in frames_of(source, most):
        path = f"{name}/{number:0{DIGITS}d}.png"
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(encode_png(pixels))
        written.append(path)
    return written


def _told_by_folders(folder: Path, rows: Sequence[ListedImage]) -> bool:
    """Return whether the labels, parts and groups of these files are those that their folders say."""
    try:
        told = {item.origin: item for item in list_tree(folder_tree(folder)).items}
    except SparringError:  # in doubt
        return False
    if any((row.label, row.part) != told[row.origin][1:3] for row in rows):
        return False
    both = {(row.group, told[row.origin].group or row.origin) for row in rows}
    return len(both) == len({ours for ours, _ in both}) == len({theirs for _, theirs in both})
