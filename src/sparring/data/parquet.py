"""Parquet files in the Hugging Face image layout: a column of struct {bytes, path}, a column of labels.

The label is the column of that name (LABEL_COLUMNS), or the only one that the schema's `huggingface` metadata call a
ClassLabel; else `--label` names it. Class names come from the same metadata where labels are whole numbers; labels that
are strings name their classes. Files called train-*, test-*, validation-* (or in folders of these names) are the parts.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError, suggestion
from ..files import parse_json
from ..images import Source
from .arrays import first_line
from .formats import LoadOptions
from .groups import FOLDERS, NONE, column_of, group_name, named_like_groups, said_of_columns
from .labels import LONGEST_NAME, UNLABELLED, encode_labels
from .listing import ListedImage, Listing
from .names import PARTS, natural, shown_path
from .parquet_footer import column_sizes
from .spellings import BESIDE_COLUMNS, column_word, part_of
from .tables import several_labels

if TYPE_CHECKING:
    import pyarrow

IMAGE_COLUMNS = ("image", "img", "picture", "jpg", "png")
LABEL_COLUMNS = ("label", "labels", "class", "target", "category")
MOST_CLASSES = 30  # different numbers in a column that may be the label though nothing says so
ROWS_HELD = 512  # rows held encoded at a time, at most
NARROW_ROWS = 1 << 14  # of numbers, and of texts of which each is held once
# What a file declares of itself is believed within these limits; a few bytes can ask for any memory.
BYTES_HELD = 1 << 26  # of these rows
BYTES_A_ROW = 16  # of a file, on average: a PNG of one pixel has 67
FEW_ROWS = 10_000  # so many may have less
LARGE, PACKED = 1 << 26, 20  # bytes of a column unpacked, and times its packed size: encoded images hardly pack


def read_parquet(file: Path, options: LoadOptions) -> Listing:
    """Return the images of one file."""
    label = "" if options.unlabelled else options.label
    return list_parquet([file], file, label=label, labelled=not options.unlabelled, group=options.group)


def holds_images(file: Path) -> bool:
    """Return whether a file is Parquet with a column of encoded images."""
    try:
        return bool(_ParquetFile(file, file).image)
    except DataError:
        return False


def list_parquet(
    files: list[Path], top: Path, *, label: str = "", labelled: bool = True, group: str | None = None
) -> Listing:
    """Return the images of one or several files of the same columns.

    `label`, `group`: the columns of these. Raises DataError where the files are not as above, and where several columns
    can be the label.
    """
    tables = sorted((_ParquetFile(file, top) for file in files), key=lambda t: (t.order, natural(t.name)))
    warnings: list[str] = []
    if labelled:
        _choose_label(tables, top, label, warnings)
    names, column = _schema_classes(tables), None if group in (NONE, FOLDERS) else group
    listing = Listing(
        name=top.stem if len(files) == 1 else top.resolve().name,
        source=shown_path(str(top)),
        layout=f"Parquet, images in column {tables[0].image!r}",
        items=[
            ListedImage(f"{table.name}[{row}]", label, table.part, of)
            for table in tables
            for row, (label, of) in enumerate(zip(table.labels(names), table.groups(column), strict=True))
        ],
        read=_ParquetImages(tables).read,
        classes=names or [],
        ignored=Counter({f"column {name}": 1 for table in tables for name in table.others}),
        warnings=warnings,
    )
    if not len(listing):
        raise DataError("data-empty", f"{listing.source} has no rows", fix="pass a file with images")
    if group is None:
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
    except (arrow.ArrowException, MemoryError, OSError, ValueError) as error:
        raise DataError("bad-parquet", f"cannot read {path}: {first_line(error)}", fix="get the file anew") from None


class _ParquetFile:
    """One Parquet file, and which of its columns hold images and labels."""

    def __init__(self, path: Path, top: Path):
        from pyarrow.parquet import ParquetFile

        self.path = path
        self.name = shown_path(path.relative_to(top).as_posix() if path != top else path.name)
        with _named_error(path):
            self.file, self.sizes = ParquetFile(path), column_sizes(path)
        self.schema, self.rows = self.file.schema_arrow, self.file.metadata.num_rows
        self.refuse_forged()
        self.image = self.pick_image()
        self.label: str | None = None
        self.part = part_in(self.name)
        self.order = PARTS.index(self.part) if self.part else 0

    @property
    def others(self) -> list[str]:
        """The columns that are not read."""
        return [name for name in self.schema.names if name not in (self.image, self.label)]

    @property
    def class_columns(self) -> list[str]:
        """The columns that the file's own features call a ClassLabel."""
        features = self.features()
        labels = [
            name for name, kind in features.items() if isinstance(kind, dict) and kind.get("_type") == "ClassLabel"
        ]
        return [name for name in labels if name in self.schema.names]

    def features(self) -> dict:
        """Return what the file says of its columns, as `datasets` writes it."""
        try:
            found = parse_json((self.schema.metadata or {})[b"huggingface"])["info"]["features"]
        except (KeyError, TypeError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def like_labels(self) -> list[str]:
        """Return the columns of texts or whole numbers that come again and again, as classes do."""
        from pyarrow import types

        found = []
        for field in self.schema:
            fits = types.is_integer(field.type) or types.is_string(field.type) or types.is_large_string(field.type)
            fits |= types.is_dictionary(field.type)
            if field.name == self.image or not fits or column_word(field.name) in BESIDE_COLUMNS:
                continue
            values = [value for value in self.values(field.name) if value is not None]
            different = len(set(values))
            if 2 <= different <= len(values) / 1.5 and (different <= MOST_CLASSES or isinstance(values[0], str)):
                found.append(field.name)
        return found

    def pick_image(self) -> str:
        """Return the column that holds encoded images: a struct with bytes, or bytes alone. Raises DataError."""
        from pyarrow import types

        def holds_bytes(kind: "pyarrow.DataType") -> bool:
            if types.is_struct(kind):
                # of one kind only: text in its place would be taken for the path of a file
                inner = [kind.field(i) for i in range(kind.num_fields) if kind.field(i).name == "bytes"]
                return len(inner) == 1 and is_bytes(inner[0].type)
            return is_bytes(kind)

        def is_bytes(kind: "pyarrow.DataType") -> bool:
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
        kind = self.features().get(self.label or "")
        names = kind.get("names") if isinstance(kind, dict) else None
        if not isinstance(names, list) or len(set(map(str, names))) < len(names):
            return None
        return [str(name) for name in names]

    def values(self, column: str) -> list[object]:
        """Return a column, of as many None where the file has none of this name, or none of single values.

        A text that is too long to name anything is cut one character after that.
        """
        from pyarrow import types

        if column not in self.schema.names or types.is_nested(self.schema.field(column).type):
            return [None] * self.rows
        values = list[object]()
        with _named_error(self.path):
            for held, places in self.batches(column):
                short = [one[: LONGEST_NAME + 1] if isinstance(one, str | bytes) else one for one in held]
                values += short if places is None else [None if at is None else short[at] for at in places]
        if len(values) != self.rows:
            raise self.forged(f"it says that it has {self.rows:,} rows, and {len(values):,} in column {column}")
        return values

    def batches(self, column: str) -> Iterator[tuple[list, list[int | None] | None]]:
        """Yield the values of some rows at a time; of texts that may repeat each once, and where they stand."""
        from pyarrow import DictionaryArray, array, types
        from pyarrow.parquet import ParquetFile

        kind = self.schema.field(column).type
        text = types.is_string(kind) or types.is_binary(kind)
        file = ParquetFile(self.path, read_dictionary=[column]) if text else self.file
        rows = NARROW_ROWS if text or types.is_primitive(kind) else self.rows_held(column)
        for batch in file.iter_batches(batch_size=rows, columns=[column]):
            found = batch.column(0)
            if not isinstance(found, DictionaryArray):
                yield found.to_pylist(), None
                continue
            places = found.indices.to_pylist()
            used = sorted(set(places) - {None})
            held = found.dictionary.take(array(used, "int64")).to_pylist()
            number = {place: at for at, place in enumerate(used)}
            yield held, [None if place is None else number[place] for place in places]

    def groups(self, column: str | None) -> list[str]:
        """Return the group of every row, "" where it has none. Raises UsageError for a column that is not there."""
        if column is None:
            return [""] * self.rows
        return [group_name(value) for value in self.values(column_of(column, self.schema.names, str(self.path)))]

    def labels(self, names: list[str] | None) -> list[str | None]:
        """Return the class of every row, None where unlabelled. Raises DataError for labels beyond the names."""
        from pyarrow import types

        if self.label is None:
            return [None] * self.rows
        if types.is_nested(kind := self.schema.field(self.label).type):
            what = f"column {self.label} in {self.path} holds {kind}; accepted: whole numbers or strings"
            raise DataError("label-type", what, fix="name the column of the classes with --label")
        values = self.values(self.label)
        found = encode_labels(values, f"column {self.label} in {self.path}")
        if not found.text and names and (wrong := next((v for v in found.values.tolist() if v >= len(names)), None)):
            raise DataError(
                "label-unknown",
                f"label {wrong} in {self.path}: the classes are 0..{len(names) - 1}",
                fix="correct the labels",
            )
        shown = [names[int(value)] for value in found.values] if names and not found.text else found.names
        return [None if code == UNLABELLED else shown[code] for code in found.codes.tolist()]

    # --- what a file declares of itself ---

    def forged(self, what: str) -> DataError:
        return DataError("bad-parquet", f"cannot read {self.path}: {what}", fix="get the file anew")

    def refuse_forged(self) -> None:
        """Raise DataError where what the file declares cannot be true, or would fill the memory."""
        about = self.file.metadata
        groups = [about.row_group(i) for i in range(about.num_row_groups)]
        if self.rows != sum(group.num_rows for group in groups) or any(group.num_rows < 0 for group in groups):
            raise self.forged(f"it says that it has {self.rows:,} rows, and its parts say otherwise")
        size = self.path.stat().st_size
        if self.rows > max(FEW_ROWS, size // BYTES_A_ROW):
            raise self.forged(f"it says that it has {self.rows:,} rows, in {size:,} bytes")
        if twice := [name for name, count in Counter(self.schema.names).items() if count > 1]:
            raise self.forged(f"it has two columns {twice[0]!r}")
        for path, packed, unpacked in self.sizes:
            if min(packed, unpacked) < 0 or (unpacked > LARGE and unpacked > PACKED * packed):
                raise self.forged(f"column {path} would unpack {packed:,} bytes to {unpacked:,}")

    def rows_held(self, column: str) -> int:
        """Return how many rows of a column may be read at once: each of them may be its largest value."""
        sizes = [unpacked for path, _, unpacked in self.sizes if f"{path}.".startswith(f"{column}.")]
        return max(1, min(ROWS_HELD, BYTES_HELD // max(1, *sizes, 1)))


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
            rows = 0
            with _named_error(table.path):
                for batch in table.file.iter_batches(batch_size=table.rows_held(table.image), columns=[table.image]):
                    column = batch.column(0)
                    rows += len(column)
                    yield (column.field("bytes") if hasattr(column, "field") else column).to_pylist()
            if rows != table.rows:
                raise table.forged(f"it says that it has {table.rows:,} rows, and has fewer images")

    def read(self, row: int) -> Source:
        if row < self.start:
            self.restart()
        while row >= self.start + len(self.held):
            self.start += len(self.held)
            self.held = next(self.batches)
        return self.held[row - self.start] or b""


def _choose_label(tables: list[_ParquetFile], top: Path, asked: str, warnings: list[str]) -> None:
    """Settle the column of the labels, one for all files. Raises DataError where none or several can be it."""
    names = [name for name in tables[0].schema.names if name != tables[0].image]
    own = tables[0].class_columns
    called = [name for name in LABEL_COLUMNS if name in names]
    if asked and asked not in names:
        raise DataError(
            "label-column",
            f"{tables[0].path} has no column {asked}{suggestion(asked, names)}; its columns are {', '.join(names)}",
            fix="name one of these columns",
        )
    chosen = asked or next(iter(called), "") or (own[0] if len(own) == 1 else "")
    likely = own if chosen or own else tables[0].like_labels()
    if not chosen and len(likely) > 1:
        raise several_labels(str(tables[0].path), likely, str(top))
    if not chosen and likely:
        chosen = likely[0]
        warnings.append(f"column {chosen!r} taken as the label")
    elif not asked and (rest := [name for name in own if name != chosen]):
        words = " and ".join(map(repr, rest))
        warnings.append(f"the labels are column {chosen!r}; {words} could be, too: --label {rest[0]}")
    for table in tables:
        table.label = chosen if chosen in table.schema.names else None


def _schema_classes(tables: list[_ParquetFile]) -> list[str] | None:
    """Return the class names, which must be the same in all files that have any. Raises DataError."""
    found = [names for table in tables if (names := table.metadata_names()) is not None]
    if any(names != found[0] for names in found):
        fix = "load them one by one, or write them with the same features"
        raise DataError("parquet-classes", f"the files in {tables[0].path.parent} name different classes", fix=fix)
    return found[0] if found else None


def part_in(name: str) -> str:
    """Return the part that a file's path names, or "": train-00000-of-00001.parquet, data/validation.parquet."""
    *folders, file = name.split("/")
    stem = file.removesuffix(".parquet")
    pieces = (stem, stem.partition("-")[0], stem.partition("_")[0], *reversed(folders))
    return next((part for piece in pieces if (part := part_of(piece))), "")
