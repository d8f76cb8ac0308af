"""Moves image files into folders by what a classifier says of them, and back. Nothing is ever overwritten or lost."""

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ... import files
from ...errors import UsageError

if TYPE_CHECKING:
    from ..fitting import Prediction

MOVED = "moved.jsonl"  # a line for each file: where it was, and where it is, written before it is moved
UNSURE, UNLIKE = "unsure", "unlike"


def move_into(folder: str | Path, predictions: Sequence["Prediction"]) -> list[Path]:
    """Move the files of predictions into folder/CLASS, folder/unsure and folder/unlike; return where they are now.

    A file whose name is taken gets a number. What cannot be read stays where it is. folder/moved.jsonl says where each
    file came from, and `move_back` moves them back. Raises UsageError, before anything is moved, for images that are
    no files, for a folder that holds something else, or that lies in one with the images; MachineError where a file
    cannot be moved.
    """
    said = {p.image: p for p in predictions if not p.problem}
    if strange := [name for name in said if not Path(name).is_file()]:
        what = f"{strange[0]} is no file, so it cannot be moved"
        raise UsageError("not-a-file", what, fix="classify image files or folders of them")
    names = {name for p in said.values() for name in p.probabilities or ()}
    special = {name: name if name not in names else f"{name} images" for name in (UNSURE, UNLIKE)}
    folder = files.new_folder(folder, ours=(MOVED,))
    for name in said:
        if Path(name).resolve().parent.is_relative_to(folder.resolve()):
            what = f"{name} is in {folder} already"
            raise UsageError("out-in-data", what, fix="name another folder with --move-into")
    files.make_folder(folder)
    moved = []
    with files.as_machine_error(folder):
        for name, p in said.items():
            kind = special[p.answer] if p.answer in special else files.folder_name(p.label or "")
            moved.append(_moved(Path(name), folder, kind))
    return moved


def move_back(folder: str | Path) -> list[Path]:
    """Move what `move_into` moved back to where it was, and return where that is.

    A file that is gone, or whose old name is taken, stays; moved.jsonl then says which, and else is removed with the
    folders that are empty. Raises UsageError where there is no moved.jsonl, MachineError where a file cannot be moved.
    """
    folder = Path(folder)
    if not (folder / MOVED).is_file():
        what = f"{folder} holds no {MOVED}, so nothing was moved into it"
        raise UsageError("nothing-moved", what, fix="name the folder that --move-into filled")
    back, left = [], []
    with files.as_machine_error(folder):
        for line in reversed(files.read_lines(folder / MOVED)):
            source, target = Path(str(line["from"])), folder / str(line["to"])
            inside = target.resolve().parent.is_relative_to(folder.resolve())
            if not inside or not os.path.lexists(target):
                continue
            if os.path.lexists(source) and not target.stat().st_size:  # stopped before it was moved
                target.unlink()
                continue
            if os.path.lexists(source) or not source.parent.is_dir():
                left.append(line)
                continue
            _replace(target, source)
            back.append(source)
        if left:
            files.write_text(folder / MOVED, "")
            for line in reversed(left):
                files.append_line(folder / MOVED, line)
        else:
            (folder / MOVED).unlink()
            for empty in (*(path for path in folder.iterdir() if path.is_dir()), folder):
                if not any(empty.iterdir()):
                    empty.rmdir()
    return back


def _moved(source: Path, folder: Path, kind: str) -> Path:
    """Move a file into a folder of this kind, and return where it is."""
    (folder / kind).mkdir(exist_ok=True)
    number, target = 1, folder / kind / source.name
    while True:
        try:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))  # the name is ours from here on
            break
        except FileExistsError:
            number += 1
            target = folder / kind / f"{source.stem}-{number}{source.suffix}"
    line = {"from": str(source.absolute()), "to": f"{kind}/{target.name}"}
    files.append_line(folder / MOVED, line)
    _replace(source, target)
    return target


def _replace(source: Path, target: Path) -> None:
    """Move a file to a name that is free or ours, also to another disk."""
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # only to another disk a file has to be copied
            raise
        with files.atomic_file(target) as temporary:
            shutil.copy2(source, temporary)
        source.unlink()
