"""A contact sheet: some images of every class in a row, its name and count beside them."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import printable
from ..images import as_pillow
from .imageset import ImageSet
from .splits import keyed

PAPER, STRIP_COLOUR, INK, FAINT = (255, 255, 255), (222, 226, 232), (24, 28, 36), (108, 116, 128)
MARGIN, GAP, NAME_WIDTH, STRIP = 20, 4, 180, 1000
TITLE, NAME, SMALL = 20, 15, 12  # font sizes
MOST_CLASSES = 40

Row = tuple[str, str, np.ndarray]  # name, what is said below it, indices of images


def contact_sheet(imageset: ImageSet, *, columns: int | None = None) -> np.ndarray:
    """uint8 [H, W, 3]: a row per class, unlabelled images last. Chosen by content, so always the same images."""
    height, width, _ = imageset.shape
    tall, wide = tile_size(height, width)
    columns = columns or max(4, min(16, STRIP // (wide + GAP)))
    rows, left_out = sheet_rows(imageset, columns)
    pitch = max(tall + GAP, NAME + SMALL + 12)
    top = MARGIN + TITLE + SMALL + 22
    size = (
        2 * MARGIN + NAME_WIDTH + columns * (wide + GAP),
        top + len(rows) * pitch + (SMALL + 10 if left_out else 0) + MARGIN,
    )
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    write(draw, (MARGIN, MARGIN), imageset.name, TITLE, INK, size[0] - 2 * MARGIN)
    write(draw, (MARGIN, MARGIN + TITLE + 6), subtitle(imageset), SMALL, FAINT, size[0] - 2 * MARGIN)
    for number, (name, below, chosen) in enumerate(rows):
        y = top + number * pitch
        middle = y + (tall - NAME - SMALL - 5) // 2
        write(draw, (MARGIN, middle), name, NAME, INK, NAME_WIDTH - 12)
        write(draw, (MARGIN, middle + NAME + 5), below, SMALL, FAINT, NAME_WIDTH - 12)
        left = MARGIN + NAME_WIDTH
        draw.rectangle((left - GAP, y - GAP, left + len(chosen) * (wide + GAP) - 1, y + tall + GAP - 1), STRIP_COLOUR)
        for place, i in enumerate(chosen.tolist()):
            filter = Image.Resampling.NEAREST if tall >= height else Image.Resampling.BOX
            tile = as_pillow(imageset.images[i]).convert("RGB").resize((wide, tall), filter)
            sheet.paste(tile, (left + place * (wide + GAP), y))
    if left_out:
        write(draw, (MARGIN, top + len(rows) * pitch + 4), f"and {left_out} more classes", SMALL, FAINT, size[0])
    return np.asarray(sheet)


def tile_size(height: int, width: int) -> tuple[int, int]:
    """Small images are magnified by a whole factor, so that their pixels stay square; large ones shrink to 96."""
    longer = max(height, width)
    zoom = max(1, 64 // longer) if longer <= 96 else 96 / longer
    return max(1, round(height * zoom)), max(1, round(width * zoom))


def sheet_rows(imageset: ImageSet, columns: int) -> tuple[list[Row], int]:
    """(rows, number of classes that found no place). One class alone fills several rows."""
    groups = [(printable(name), np.flatnonzero(imageset.labels == n)) for n, name in enumerate(imageset.classes)]
    if (unlabelled := np.flatnonzero(~imageset.labelled)).size:
        groups = [*groups[:MOST_CLASSES], ("unlabelled", unlabelled)]
    left_out = max(0, len(imageset.classes) - MOST_CLASSES)
    groups = groups[: MOST_CLASSES + 1]
    each = 1 if len(groups) > 4 else 6 // max(1, len(groups))
    rows: list[Row] = []
    for group, members in groups:
        name, chosen = group, drawn(imageset, members, each * columns)
        below = f"{len(members):,} image{'s' if len(members) != 1 else ''}"
        for start in range(0, max(1, len(chosen)), columns):
            rows.append((name, below, chosen[start : start + columns]))
            name, below = "", ""  # said once
    return rows, left_out


def drawn(imageset: ImageSet, members: np.ndarray, count: int) -> np.ndarray:
    """Some of these images, no two of the same picture as long as there are others."""
    ranked = sorted(members.tolist(), key=lambda i: keyed("sheet", imageset.hashes[i]))
    cluster = imageset.duplicates.cluster
    seen: set[int] = set()
    fresh = [i for i in ranked if not (cluster[i] in seen or seen.add(int(cluster[i])))]
    taken = set(fresh)
    return np.array((fresh + [i for i in ranked if i not in taken])[:count], np.int64)


def subtitle(imageset: ImageSet) -> str:
    height, width, channels = imageset.shape
    labelled = int(imageset.labelled.sum())
    parts = [
        f"{len(imageset):,} images {height}x{width} {'grey' if channels == 1 else 'colour'}",
        f"{len(imageset.classes)} classes" if imageset.classes else "no labels",
    ]
    if 0 < labelled < len(imageset):
        parts.append(f"{labelled:,} labelled")
    if bad := len(imageset.notes.bad_files):
        parts.append(f"{bad} bad files left out")
    return "  ·  ".join(parts)


def write(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, colour, room: int) -> None:
    """One line, shortened where it is longer than `room` pixels."""
    font = ImageFont.load_default(size)
    text = printable(text)
    if draw.textlength(text, font=font) > room:
        while text and draw.textlength(text + "...", font=font) > room:
            text = text[:-1]
        text += "..."
    draw.text(at, text, fill=colour, font=font)
