"""ImageSet: images, labels, class names, and where each image came from; and the contact sheet that shows one."""

import base64
import hashlib
import html
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .. import keyed_random
from ..errors import printable
from ..images import as_pillow, encode_png, fit_pixels
from .duplicates import Duplicates, find_duplicates
from .groups import components
from .names import CHOSEN, PARTS
from .notes import Notes
from .storage import selected

PAPER, STRIP_COLOUR, INK, FAINT = (255, 255, 255), (222, 226, 232), (24, 28, 36), (108, 116, 128)
MARGIN, GAP, NAME_WIDTH, STRIP = 20, 4, 180, 1000
TITLE, NAME, SMALL = 20, 15, 12  # font sizes
SHEET_CLASSES = 40
INLINE_BYTES = 225_000  # of a PNG in a page; as text it is a third longer


@dataclass(frozen=True)
class PartCounts:
    """How many images one part has of each class, and without a label."""

    classes: Mapping[str, int]
    unlabelled: int


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with what is known about them. Treat the arrays as read-only.

    images   uint8 [N, H, W, C], C = 1 (grey) or 3 (RGB)
    labels   int64 [N], -1 = unlabelled
    classes  names, index = label
    origins  where each image came from: "cat/001.png", "x_train[17]"
    parts    str [N]: "train", "test", "val" as the source says, "" where it says nothing; "chosen" for images whose
             labels were asked for because they help most (`sparring next`): no random sample, so never for a test
    groups   str [N]: the patient, slide, animal or burst that each image is of, "" where none is known; None where
             the images have no groups
    sizes    int64 [N,2]: height and width that the file of each image had; None where they were not files
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    origins: tuple[str, ...]
    parts: np.ndarray
    name: str
    notes: Notes = field(default_factory=Notes)
    groups: np.ndarray | None = None
    sizes: np.ndarray | None = None

    def __post_init__(self):
        count = len(self.images)
        good = self.images.dtype == np.uint8 and self.images.ndim == 4 and self.images.shape[3] in (1, 3)
        good &= self.labels.dtype == np.int64 and self.labels.shape == self.parts.shape == (count,)
        good &= len(self.origins) == count
        good &= self.sizes is None or self.sizes.shape == (count, 2)
        good &= self.groups is None or (self.groups.dtype.kind == "U" and self.groups.shape == (count,))
        good = good and (count == 0 or -1 <= self.labels.min() <= self.labels.max() < len(self.classes))
        if not good:  # sources check what users give; this catches our own mistakes
            raise TypeError(
                f"not an ImageSet: images {self.images.dtype} {self.images.shape}, labels {self.labels.shape}"
            )

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        height, width, channels = self.shape
        return (
            f"<ImageSet {self.name}: {len(self)} images {height}x{width}x{channels}, {int(self.labelled.sum())} "
            f"labelled, {len(self.classes)} classes>"
        )

    def _repr_html_(self) -> str:
        """Return a table of counts and a small contact sheet, for notebooks."""
        counts = self.counts
        shown = self.classes[:20]
        rows: list[tuple[object, ...]] = [(name, *(part.classes[name] for part in counts.values())) for name in shown]
        if len(shown) < len(self.classes):
            rows.append((f"... {len(self.classes) - len(shown)} more classes", *("" for _ in counts)))
        if not self.labelled.all():
            rows.append(("unlabelled", *(part.unlabelled for part in counts.values())))
        cells = "".join(
            f"<tr><th>{html.escape(printable(str(name)))}</th>{''.join(f'<td>{n}</td>' for n in numbers)}</tr>"
            for name, *numbers in rows
        )
        return (
            f"<p>{html.escape(printable(repr(self)))}</p><table><tr><th>class</th>"
            f"{''.join(f'<th>{part}</th>' for part in counts)}</tr>{cells}</table>"
            f"{sheet_tag(self) if len(self) else ''}"
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        _, height, width, channels = self.images.shape
        return height, width, channels

    @property
    def labelled(self) -> np.ndarray:
        """bool [N]."""
        return self.labels >= 0

    @property
    def counts(self) -> dict[str, PartCounts]:
        """Images of every part; the part is "all" where the source names none, "no part" beside named ones."""
        table = {}
        for part in (*PARTS, CHOSEN, ""):
            here = self.parts == part
            if here.any():
                numbers = np.bincount(self.labels[here] + 1, minlength=len(self.classes) + 1).tolist()
                name = part or ("all" if here.all() else "no part")
                table[name] = PartCounts(dict(zip(self.classes, numbers[1:], strict=True)), numbers[0])
        return table

    def take(self, index) -> "ImageSet":
        """Return the images at `index` (whole numbers, a mask or a slice), in that order; classes and notes stay.

        Images that follow each other are not copied.
        """
        index = np.arange(len(self))[index]
        return replace(
            self,
            images=selected(self.images, index),
            labels=self.labels[index],
            origins=tuple(self.origins[i] for i in index.tolist()),
            parts=self.parts[index],
            groups=None if self.groups is None else self.groups[index],
            sizes=None if self.sizes is None else self.sizes[index],
        )

    def by_content(self, index: np.ndarray, *, distinct: bool = True) -> np.ndarray:
        """Return these indices in a random order that is keyed by content, so always the same.

        `distinct`: the second and further of near duplicates come last; finding them may take long.
        """
        ranked = sorted(index.tolist(), key=lambda i: keyed_random.key("sheet", self.hashes[i]) % 2**64)
        if distinct:
            first: dict[int, int] = {}
            for i in ranked:
                first.setdefault(int(self.duplicates.cluster[i]), i)
            fresh = set(first.values())
            ranked.sort(key=lambda i: i not in fresh)
        return np.array(ranked, np.int64)

    @cached_property
    def hashes(self) -> tuple[str, ...]:
        """One content hash per image: 32 hexadecimal digits of BLAKE2b over height, width, channels and pixels."""
        shape = np.array(self.shape, "<i8").tobytes()
        return tuple(
            hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16, key=shape).hexdigest()
            for image in self.images
        )

    @cached_property
    def duplicates(self) -> Duplicates:
        """Equal and nearly equal images, found when first asked for."""
        return find_duplicates(self.images, self.hashes)

    @cached_property
    def clusters(self) -> np.ndarray:
        """int64 [N], equal for images that stay on one side of every split: near duplicates, and images of a group.

        Where a near duplicate joins two groups, they are one.
        """
        cluster = self.duplicates.cluster
        return cluster if self.groups is None else components(cluster, self.groups)

    @cached_property
    def fingerprint(self) -> str:
        """64 hexadecimal digits that change with any pixel, label, part, class name, or the order of images, and with
        which images are of one group, but not with the names of groups."""
        total = hashlib.sha256(repr((len(self), self.shape, self.classes)).encode())
        total.update(self.labels.astype("<i8").tobytes())
        total.update("\n".join(self.parts.tolist()).encode())
        total.update("".join(self.hashes).encode())
        if self.groups is not None:
            total.update(components(self.groups).astype("<i8").tobytes())
        return total.hexdigest()


# --- contact sheet ---------------------------------------------------------------------------------------------------


class SheetRow(NamedTuple):
    """The images of one row, by their indices, with a name and a line below it."""

    name: str
    below: str
    chosen: np.ndarray


def contact_sheet(
    imageset: ImageSet, *, columns: int | None = None, classes: int = SHEET_CLASSES, distinct: bool = True
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
    draw_text(draw, (MARGIN, MARGIN), imageset.name, TITLE, INK, size[0] - 2 * MARGIN)
    draw_text(draw, (MARGIN, MARGIN + TITLE + 6), _subtitle(imageset), SMALL, FAINT, size[0] - 2 * MARGIN)
    resample = Image.Resampling.NEAREST if tall >= height else Image.Resampling.BOX
    for number, row in enumerate(rows):
        y = top + number * pitch
        middle = y + (tall - NAME - SMALL - 5) // 2
        draw_text(draw, (MARGIN, middle), row.name, NAME, INK, NAME_WIDTH - 12)
        draw_text(draw, (MARGIN, middle + NAME + 5), row.below, SMALL, FAINT, NAME_WIDTH - 12)
        left = MARGIN + NAME_WIDTH
        right = left + len(row.chosen) * (wide + GAP)
        draw.rectangle((left - GAP, y - GAP, right - 1, y + tall + GAP - 1), STRIP_COLOUR)
        for place, i in enumerate(row.chosen.tolist()):
            tile = as_pillow(imageset.images[i]).convert("RGB").resize((wide, tall), resample)
            sheet.paste(tile, (left + place * (wide + GAP), y))
    if left_out:
        more = f"and {left_out} more classes"
        draw_text(draw, (MARGIN, top + len(rows) * pitch + 4), more, SMALL, FAINT, size[0])
    return np.asarray(sheet)


def sheet_tag(imageset: ImageSet) -> str:
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


def _sheet_rows(imageset: ImageSet, columns: int, classes: int, distinct: bool) -> list[SheetRow]:
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


def _subtitle(imageset: ImageSet) -> str:
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


def draw_text(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, colour, room: int) -> None:
    """Draw one line, shortened where it is longer than `room` pixels."""
    font = ImageFont.load_default(size)
    text = printable(text)
    if draw.textlength(text, font=font) > room:
        while text and draw.textlength(text + "...", font=font) > room:
            text = text[:-1]
        text += "..."
    draw.text(at, text, fill=colour, font=font)
