"""What a person who labels is given: a table to fill, a numbered contact sheet, copies of the files."""

import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ... import files
from ...data import ImageSet
from ...data.imageset import FAINT, GAP, INK, MARGIN, NAME, PAPER, SMALL, TITLE, draw_text, tile_size
from ...data.names import CHOSEN
from ...data.tables import in_table
from ...images import as_pillow, encode_png
from .suggestions import LEARN, TEST, NextImage, NextImages

COLUMNS = ("file", "label", "part", "number", "why")
SHEET_WIDTH = 1000  # pixels, about
PART_OF = {LEARN: CHOSEN, TEST: "test"}
FOLDER_OF = {LEARN: "train", TEST: "test"}


def write_labels_table(path: Path | str, found: NextImages) -> None:
    """Write a table of labels to fill: the images to label first, with no label yet, then all that are labelled.

    Its column `part` says which images were chosen, so that no study tests on them. Raises MachineError.
    """
    files.write_csv(path, COLUMNS, labels_table(found))


def labels_table(found: NextImages) -> Iterator[tuple[object, ...]]:
    """Yield the rows of `write_labels_table`."""
    images = found.source
    for one in found:
        yield in_table(one.image), "", PART_OF[one.purpose], one.number, one.why
    for i in np.flatnonzero(images.labelled).tolist():
        yield in_table(images.origins[i]), images.classes[images.labels[i]], str(images.parts[i]), "", ""


def numbered_sheet(found: NextImages) -> np.ndarray:
    """Return a picture uint8 [H,W,3] of the images to label, each with its number below it."""
    images = found.source
    tall, wide = (2 * side if max(images.shape[:2]) > 96 else side for side in tile_size(*images.shape[:2]))
    columns = max(1, min(len(found), SHEET_WIDTH // (wide + GAP)))
    pitch, top = tall + SMALL + 3 * GAP, MARGIN + TITLE + SMALL + 22
    width = max(2 * MARGIN + columns * (wide + GAP), 320)
    sheet = Image.new("RGB", (width, top + math.ceil(len(found) / columns) * pitch + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw_text(draw, (MARGIN, MARGIN), f"{images.name}: to label next", TITLE, INK, width - 2 * MARGIN)
    draw_text(draw, (MARGIN, MARGIN + TITLE + 6), sheet_subtitle(found), SMALL, FAINT, width - 2 * MARGIN)
    resample = Image.Resampling.NEAREST if tall >= images.shape[0] else Image.Resampling.BOX
    for place, one in enumerate(found):
        row, column = divmod(place, columns)
        x, y = MARGIN + column * (wide + GAP), top + row * pitch
        tile = as_pillow(images.images[one.index]).convert("RGB").resize((wide, tall), resample)
        sheet.paste(tile, (x, y))
        text = f"{one.number} test" if one.purpose == TEST else str(one.number)
        draw_text(draw, (x, y + tall + GAP // 2), text, NAME, INK, wide)
    return np.asarray(sheet)


def sheet_subtitle(found: NextImages) -> str:
    learn = sum(one.purpose == LEARN for one in found)
    drawn = f", {len(found) - learn} at random for the test" if learn < len(found) else ""
    return f"{learn} chosen{drawn}, of {found.unlabelled:,} unlabelled images"


def copy_images(found: NextImages, folder: Path | str, data: object = None) -> list[Path]:
    """Copy the images to label into a new folder, and return the copies, named by number and file.

    data: the folder that was read, or None. Files are copied as they are; what is no file becomes a PNG of the size at
    which it was read. Images for the test go to test/ of the folder. Raises UsageError where the folder holds files,
    MachineError where it cannot be written.
    """
    folder = files.new_folder(folder, data=data)
    digits, parts = len(str(len(found))), len({one.purpose for one in found}) > 1
    with files.as_machine_error(folder), files.atomic_folder(folder) as temporary:
        copied = (
            _copied(found.source, one, temporary / (FOLDER_OF[one.purpose] if parts else ""), data, digits)
            for one in found
        )
        return [folder / copy.relative_to(temporary) for copy in copied]


def _copied(images: ImageSet, one: NextImage, folder: Path, data: object, digits: int) -> Path:
    """Copy one image into a folder and return where to."""
    folder.mkdir(exist_ok=True)
    source = file_of(one.image, data)
    stem = Path(one.image).name if source is not None else f"{files.folder_name(Path(one.image).stem)}.png"
    target = folder / f"{one.number:0{digits}d}-{stem}"
    if source is None:
        target.write_bytes(encode_png(images.images[one.index]))
    else:
        shutil.copyfile(source, target)
    return target


def file_of(origin: str, data: object) -> Path | None:
    """Return the file that an image was read from, None where it was none, or lies in an archive."""
    places = [Path(origin)]
    if isinstance(data, str | Path):
        places.insert(0, Path(data) / origin)
    return next((place for place in places if place.is_file()), None)
