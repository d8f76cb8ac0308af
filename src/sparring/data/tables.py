"""labels.csv: which file has which label, and optionally which part.

Columns `file` and `label`, optional `part` (train, test, val), in any order, with a header. Comma, semicolon, tab or
bar; UTF-8 with or without BOM. Labels are strings, never numbers; an empty label means unlabelled. One more column
may say the group of each image (groups.py).
"""

import csv
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError, MissingData, suggestion
from .groups import FOLDERS, NONE, column_of, group_name, named_like_groups, said_of_columns
from .labels import BLANK_LABELS
from .names import PART_NAMES
from .trees import Tree

TABLE = "labels.csv"
TABLE_LIMIT = 1 << 28  # bytes
TABLE_COLUMNS = {
    "file": ("file", "filename", "file_name", "path", "filepath", "image", "img"),
    "label": ("label", "class", "class_name", "category", "target"),
    "part": ("part", "split", "subset", "set"),
}


class TableRow(NamedTuple):
    """The label of a file, None where it has none, its part and its group, "" where none is named."""

    label: str | None
    part: str = ""
    group: str = ""


def find_table(tree: Tree) -> bool:
    """Return whether the tree has a labels.csv at its top."""
    return TABLE in tree.others


def read_table(tree: Tree, table: Path | None, warnings: list[str], group: str | None = None) -> dict[str, TableRow]:
    """Return path -> label, part and group of a tree's images, from its own labels.csv or from `table`.

    group: the column of groups; None warns of a column that looks like one. Raises DataError with the line, UsageError
    where there is no such column.
    """
    name = str(table) if table else f"{tree.top}/{TABLE}"
    text = _table_text(_table_bytes(tree, table), name)
    delimiter = max(",;\t|", key=text.partition("\n")[0].count)  # of which the first line has most
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: dict[str, TableRow] = {}
    lines: dict[str, int] = {}
    missing: list[tuple[int, str]] = []
    there, known = set(tree.images), {path for path, _ in tree.bad_files}
    try:
        header = next(reader, [])
        columns = _columns(header, name, group)
        places = {cell.strip(): place for place, cell in enumerate(header) if place not in columns.values()}
        unread = {cell: list[str]() for cell in places if named_like_groups(cell)}
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            path, row = _table_row(cells, columns, reader.line_num, name)
            if path not in there:
                missing += [(reader.line_num, path)] if path not in known else []
                continue
            if path in rows and rows[path] != row:
                raise DataError(
                    "labels-twice",
                    f"{name} labels {path} as {rows[path].label!r} in line {lines[path]} and as {row.label!r} in line "
                    f"{reader.line_num}",
                    fix="keep one of the two lines",
                )
            rows[path], lines[path] = row, reader.line_num
            for cell in unread:
                unread[cell] += cells[places[cell] : places[cell] + 1]
    except csv.Error as error:
        raise DataError(
            "labels-csv", f"{name}, line {reader.line_num}: {error}", fix="check the quotes in and before this line"
        ) from None
    if missing:
        first = "; ".join(f"line {line}: {path}" for line, path in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        near = suggestion(missing[0][1], tree.images[:2000])
        raise DataError(
            "labels-missing",
            f"{name} names {len(missing)} files that are not there ({first}{more}){near}",
            fix="write the paths as seen from the folder of the images, or remove these lines",
        )
    if not rows:
        raise DataError("labels-csv", f"{name} labels no image", fix="write one line file,label for every image")
    if blank := sum(row.label is None for row in rows.values()):
        warnings.append(f"{blank} lines of {name} have an empty label or -1: taken as unlabelled")
    if group is None:
        warnings += said_of_columns(unread, Path(name).name, tree.top)
    return rows


def _table_bytes(tree: Tree, table: Path | None) -> bytes:
    if table is None:
        source = tree.read(TABLE)
        if isinstance(source, bytes):
            return source
        table = Path(source)
    try:
        if table.stat().st_size > TABLE_LIMIT or not table.is_file():
            raise DataError("labels-csv", f"{table} is not a table of at most 256 MiB", fix="pass a .csv file")
        return table.read_bytes()
    except OSError as error:
        raise MissingData(
            "no-labels", f"cannot read {table}: {error.strerror}", fix="pass an existing .csv file"
        ) from None


def _table_text(raw: bytes, name: str) -> str:
    encoding = "utf-16" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DataError("labels-csv", f"{name}, line {line}: not UTF-8", fix="save the table as UTF-8") from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DataError("labels-csv", f"{name}, line {line}: not a text file", fix="save the table as CSV in UTF-8")
    return text


def _columns(cells: list[str], name: str, group: str | None = None) -> dict[str, int]:
    """Return the place of the columns file, label, part and group. Raises DataError where one of the first two is
    missing, UsageError where there is no such `group`."""
    found = [cell.strip().lower() for cell in cells]
    named = {what: next((name for name in names if name in found), None) for what, names in TABLE_COLUMNS.items()}
    columns = {what: found.index(name) for what, name in named.items() if name is not None}
    if group not in (None, NONE, FOLDERS):
        columns["group"] = cells.index(column_of(group, cells, name))
    if {"file", "label"} <= columns.keys():
        return columns
    shown = ", ".join(repr(cell) for cell in cells[:8]) or "nothing"
    lost = " and ".join(what for what in ("file", "label") if what not in columns)
    fix = "let the first line be file,label or file,label,part"
    raise DataError("labels-columns", f"{name}, line 1: no column {lost}; the columns are {shown}", fix=fix)


def _table_row(cells: list[str], columns: dict[str, int], line: int, name: str) -> tuple[str, TableRow]:
    """Return the path of one line, and its label and part."""
    if len(cells) <= max(columns.values()):
        raise DataError(
            "labels-csv",
            f"{name}, line {line}: {len(cells)} cells where {max(columns.values()) + 1} are needed: {cells[:4]}",
            fix="give every line a file and a label; put a label that holds the separator in quotes",
        )
    path = cells[columns["file"]].strip().replace("\\", "/").removeprefix("./")
    label = cells[columns["label"]].strip()
    part = cells[columns["part"]].strip().lower() if "part" in columns else ""
    if part and part not in PART_NAMES:
        raise DataError(
            "labels-part", f"{name}, line {line}: part {part!r}", fix="use train, test or val, or leave it empty"
        )
    group = group_name(cells[columns["group"]]) if "group" in columns else ""
    return path, TableRow(None if label in BLANK_LABELS else label, PART_NAMES.get(part, ""), group)
