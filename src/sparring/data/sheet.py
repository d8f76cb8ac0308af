"""A contact sheet: some images of every class in a row, its name and count beside them."""

import base64
from typing import NamedTuple, Protocol

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import printable
from ..images import as_pillow, encode_png, fit_pixels
from .notes import Notes

PAPER, STRIP_COLOUR, INK, FAINT = (255, 255, 255), (222, 226, 232), (24, 28, 36), (108, 116, 128)
MARGIN, GAP, NAME_WIDTH, STRIP = 20, 4, 180, 1000
TITLE, NAME, SMALL = 20, 15, 12  # font sizes
SHEET_CLASSES = 40
INLINE_BYTES = 225_000  # of a PNG in a page; as text it is a third longer


class SheetSource(Protocol):
    """What a contact sheet needs of an ImageSet, which is defined later."""

    @property
    def images(self) -> np.ndarray: ...
    @property
    def labels(self) -> np.ndarray: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def name(self) -> str: ...
    @property
    def notes(self) -> Notes: ...
    def by_content(self, index: np.ndarray, *, distinct: bool = True) -> np.ndarray: ...


class SheetRow(NamedTuple):
    """The images of one row, by their indices, with a name and a line below it."""

    name: str
    below: str
    chosen: np.ndarray


def contact_sheet(
    imageset: SheetSource, *, columns: int | None = None, classes: int = SHEET_CLASSES, distinct: bool = True
) -> np.ndarray:
    """Return a picture uint8 [H, W, 3] with a row for each class, unlabelled images last.

    The images are chosen by content, so they are always the same. `classes`: of more than these the rest is only
    counted. `distinct`: show near duplicates last, which have to be found first.
    """
    height, width = imageset.images.shape[1:3]
    tall, wide = tile_size(height, width)
    columns = columns or max(4, min(16, STRIP // (wide + GAP)))
    rows = _sheet_rows(imageset, columns, classes, distinct)
    left_out = max(0, len(imageset.classes) - classes)
    pitch = max(tall + GAP, NAME + SMALL + 12)
    top = MARGIN + TITLE + SMALL + 22
    size = (
        2 * MARGIN + NAME_WIDTH + columns * (wide + GAP),
        top + len(rows) * pitch + (SMALL + 10 if left_out else 0) + MARGIN,
    )
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    _draw_text(draw, (MARGIN, MARGIN), imageset.name, TITLE, INK, size[0] - 2 * MARGIN)
    _draw_text(draw, (MARGIN, MARGIN + TITLE + 6), _subtitle(imageset), SMALL, FAINT, size[0] - 2 * MARGIN)
    resample = Image.Resampling.NEAREST if tall >= height else Image.Resampling.BOX
    for number, row in enumerate(rows):
        y = top + number * pitch
        middle = y + (tall - NAME - SMALL - 5) // 2
        _draw_text(draw, (MARGIN, middle), row.name, NAME, INK, NAME_WIDTH - 12)
        _draw_text(draw, (MARGIN, middle + NAME + 5), row.below, SMALL, FAINT, NAME_WIDTH - 12)
        left = MARGIN + NAME_WIDTH
        right = left + len(row.chosen) * (wide + GAP)
        draw.rectangle((left - GAP, y - GAP, right - 1, y + tall + GAP - 1), STRIP_COLOUR)
        for place, i in enumerate(row.chosen.tolist()):
            tile = as_pillow(imageset.images[i]).convert("RGB").resize((wide, tall), resample)
            sheet.paste(tile, (left + place * (wide + GAP), y))
    if left_out:
        more = f"and {left_out} more classes"
        _draw_text(draw, (MARGIN, top + len(rows) * pitch + 4), more, SMALL, FAINT, size[0])
    return np.asarray(sheet)


def sheet_tag(imageset: SheetSource) -> str:
    """Return a contact sheet as an <img> tag of at most 300 KB."""
    picture = contact_sheet(imageset, columns=8, classes=10, distinct=False)
    while len(png := encode_png(picture)) > INLINE_BYTES:
        picture = fit_pixels(picture, (picture.shape[0] // 2, picture.shape[1] // 2))
    return f'<img alt="contact sheet" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def tile_size(height: int, width: int) -> tuple[int, int]:
    """Return (height, width) of an image on the sheet.

    Small images are magnified by a whole factor, so that their pixels stay square; large ones shrink to 96 pixels.
    """
    longer = max(height, width)
    zoom = max(1, 64 // longer) if longer <= 96 else 96 / longer
    return max(1, round(height * zoom)), max(1, round(width * zoom))


def _sheet_rows(imageset: SheetSource, columns: int, classes: int, distinct: bool) -> list[SheetRow]:
    """Return the rows of the first classes and of unlabelled images. Of few classes each fills several rows."""
    members = [(name, np.flatnonzero(imageset.labels == n)) for n, name in enumerate(imageset.classes[:classes])]
    if (unlabelled := np.flatnonzero(imageset.labels < 0)).size:
        members.append(("unlabelled", unlabelled))
    each = 1 if len(members) > 4 else 6 // max(1, len(members))
    rows: list[SheetRow] = []
    for name, index in members:
        chosen = imageset.by_content(index, distinct=distinct)[: each * columns]
        below = f"{len(index):,} image{'s' if len(index) != 1 else ''}"
        for start in range(0, max(1, len(chosen)), columns):
            first = start == 0
            rows.append(SheetRow(name if first else "", below if first else "", chosen[start : start + columns]))
    return rows


def _subtitle(imageset: SheetSource) -> str:
    count, height, width, channels = imageset.images.shape
    labelled = int((imageset.labels >= 0).sum())
    items = [
        f"{count:,} images {height}x{width} {'grey' if channels == 1 else 'colour'}",
        f"{len(imageset.classes)} classes" if imageset.classes else "no labels",
    ]
    if 0 < labelled < count:
        items.append(f"{labelled:,} labelled")
    if bad := len(imageset.notes.bad_files):
        items.append(f"{bad} bad files left out")
    return "  ·  ".join(items)


def _draw_text(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, colour, room: int) -> None:
    """Draw one line, shortened where it is longer than `room` pixels."""
    font = ImageFont.load_default(size)
    text = printable(text)
    if draw.textlength(text, font=font) > room:
        while text and draw.textlength(text + "...", font=font) > room:
            text = text[:-1]
        text += "..."
    draw.text(at, text, fill=colour, font=font)
