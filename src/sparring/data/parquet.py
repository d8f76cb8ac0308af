"""Parquet files in the Hugging Face image layout: a column of struct {bytes, path}, a column of labels.

Class names come from the schema's `huggingface` metadata (ClassLabel) where labels are whole numbers; labels that are
strings name their classes. Files called train-*, test-*, validation-* (or in folders of these names) are the parts.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError
from ..images import Source
from .arrays import first_line
from .formats import LoadOptions
from .groups import FOLDERS, NONE, column_of, group_name, named_like_groups, said_of_columns
from .labels import UNLABELLED, encode_labels
from .listing import ListedImage, Listing
from .names import PART_NAMES, PARTS, natural, shown_path

if TYPE_CHECKING:
    import pyarrow

IMAGE_COLUMNS = ("image", "img", "picture", "jpg", "png")
LABEL_COLUMNS = ("label", "labels", "class", "target", "category", "fine_label")
ROWS_HELD = 512  # rows held encoded at a time


def read_parquet(file: Path, options: LoadOptions) -> Listing:
    """Return the images of one file."""
    return list_parquet([file], file, options)


def list_parquet(files: list[Path], top: Path, options: LoadOptions = LoadOptions()) -> Listing:  # noqa: B008 frozen
    """Return the images of one or several files of the same columns. Raises DataError where they are not as above."""
    tables = sorted((_ParquetFile(file, top) for file in files), key=lambda t: (t.order, natural(t.name)))
    names, group = _schema_classes(tables), None if options.group in (NONE, FOLDERS) else options.group
    listing = Listing(
        name=top.stem if len(files) == 1 else top.resolve().name,
        source=shown_path(str(top)),
        layout=f"Parquet, images in column {tables[0].image!r}",
        items=[
            ListedImage(f"{table.name}[{row}]", label, table.part, of)
            for table in tables
            for row, (label, of) in enumerate(zip(table.labels(names), table.groups(group), strict=True))
        ],
        read=_ParquetImages(tables).read,
        classes=names or [],
        ignored=Counter({f"column {name}": 1 for table in tables for name in table.others}),
    )
    if not len(listing):
        raise DataError("data-empty", f"{listing.source} has no rows", fix="pass a file with images")
    if options.group is None:
        columns = [name for name in tables[0].others if named_like_groups(name)]
        values = {name: [value for table in tables for value in table.values(name)] for name in columns}
        listing.warnings += said_of_columns(values, tables[0].name, listing.source)
    return listing


@contextmanager
def _named_error(path: Path) -> Iterator[None]:
    """Turn what Arrow raises inside into a DataError that names the file."""
    import pyarrow as arrow

    try:
        yield
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise DataError("bad-parquet", f"cannot read {path}: {first_line(error)}", fix="get the file anew") from None


class _ParquetFile:
    """One Parquet file, and which of its columns hold images and labels."""

    def __init__(self, path: Path, top: Path):
        from pyarrow.parquet import ParquetFile

        self.path = path
        self.name = shown_path(path.relative_to(top).as_posix() if path != top else path.name)
        with _named_error(path):
            self.file = ParquetFile(path)
        self.schema, self.rows = self.file.schema_arrow, self.file.metadata.num_rows
        self.image = self.pick_image()
        self.label = next((name for name in LABEL_COLUMNS if name in self.schema.names), None)
        self.others = [name for name in self.schema.names if name not in (self.image, self.label)]
        self.part = part_of(self.name)
        self.order = PARTS.index(self.part) if self.part else 0

    def pick_image(self) -> str:
        """Return the column that holds encoded images: a struct with bytes, or bytes alone. Raises DataError."""
        from pyarrow import types

        def holds_bytes(kind: "pyarrow.DataType") -> bool:
            if types.is_struct(kind):
                return any(kind.field(i).name == "bytes" for i in range(kind.num_fields))
            return types.is_binary(kind) or types.is_large_binary(kind)

        fitting = [field.name for field in self.schema if holds_bytes(field.type)]
        named = [name for name in IMAGE_COLUMNS if name in fitting]
        if named or len(fitting) == 1:
            return (named or fitting)[0]
        columns = ", ".join(f"{field.name} ({field.type})" for field in self.schema)
        raise DataError(
            "parquet-columns",
            f"{self.path} has no column of encoded images; its columns are {columns or 'none'}",
            fix="give it a column image: struct {bytes, path}, and a column label",
        )

    def metadata_names(self) -> list[str] | None:
        """Return the class names of the label column as `datasets` writes them, or None."""
        try:
            features = json.loads((self.schema.metadata or {})[b"huggingface"])["info"]["features"]
            names = features[self.label]["names"]
        except (KeyError, TypeError, ValueError):
            return None
        unique = isinstance(names, list) and len(set(map(str, names))) == len(names)
        return [str(name) for name in names] if unique else None

    def values(self, column: str) -> list[object]:
        """Return a column, of as many None where the file has none of this name."""
        if column not in self.schema.names:
            return [None] * self.rows
        with _named_error(self.path):
            return self.file.read(columns=[column]).column(0).to_pylist()

    def groups(self, column: str | None) -> list[str]:
        """Return the group of every row, "" where it has none. Raises UsageError for a column that is not there."""
        if column is None:
            return [""] * self.rows
        return [group_name(value) for value in self.values(column_of(column, self.schema.names, str(self.path)))]

    def labels(self, names: list[str] | None) -> list[str | None]:
        """Return the class of every row, None where unlabelled. Raises DataError for labels beyond the names."""
        if self.label is None:
            return [None] * self.rows
        with _named_error(self.path):
            values = self.file.read(columns=[self.label]).column(0).to_pylist()
        found = encode_labels(values, f"column {self.label} in {self.path}")
        if not found.text and names and (wrong := next((v for v in found.values.tolist() if v >= len(names)), None)):
            raise DataError(
                "label-unknown",
                f"label {wrong} in {self.path}: the classes are 0..{len(names) - 1}",
                fix="correct the labels",
            )
        shown = [names[int(value)] for value in found.values] if names and not found.text else found.names
        return [None if code == UNLABELLED else shown[code] for code in found.codes.tolist()]


class _ParquetImages:
    """Random access to encoded images, fast where it goes row by row: a few hundred rows are held at a time."""

    def __init__(self, tables: list[_ParquetFile]):
        self.tables = tables
        self.restart()

    def restart(self) -> None:
        self.start, self.held = 0, list[bytes | None]()
        self.batches = self.batched()

    def batched(self) -> Iterator[list[bytes | None]]:
        for table in self.tables:
            with _named_error(table.path):
                for batch in table.file.iter_batches(batch_size=ROWS_HELD, columns=[table.image]):
                    column = batch.column(0)
                    yield (column.field("bytes") if hasattr(column, "field") else column).to_pylist()

    def read(self, row: int) -> Source:
        if row < self.start:
            self.restart()
        while row >= self.start + len(self.held):
            self.start += len(self.held)
            self.held = next(self.batches)
        return self.held[row - self.start] or b""


def _schema_classes(tables: list[_ParquetFile]) -> list[str] | None:
    """Return the class names, which must be the same in all files that have any. Raises DataError."""
    found = [names for table in tables if (names := table.metadata_names()) is not None]
    if any(names != found[0] for names in found):
        fix = "load them one by one, or write them with the same features"
        raise DataError("parquet-classes", f"the files in {tables[0].path.parent} name different classes", fix=fix)
    return found[0] if found else None


def part_of(name: str) -> str:
    """Return the part that a file's path names, or "": train-00000-of-00001.parquet, data/validation.parquet."""
    *folders, file = name.lower().split("/")
    for piece in (file.removesuffix(".parquet").partition("-")[0].partition("_")[0], *reversed(folders)):
        if piece in PART_NAMES:
            return PART_NAMES[piece]
    return ""
