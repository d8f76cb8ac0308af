"""Tables of labels: which file has which label, and optionally which part.

A table has a header with a column of files and one of labels, optionally one of parts (train, test, val, or chosen, as
`sparring next` writes it), in any order and under the usual names (see spellings.py), or one column of 0 and 1 for each
class. Its files may be called in any way that fits exactly one image (see matching.py). Labels are strings, never
numbers; an empty label means unlabelled. One more column may say the group of each image (see groups.py).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError, MissingData, suggestion
from ..files import csv_cell
from ..images import BadImage
from .groups import FOLDERS, NONE, column_of, group_name, named_like_groups, said_of_columns
from .labels import BLANK_LABELS
from .matching import ImageFinder, Match, Naming, Place
from .names import CHOSEN, ready
from .spellings import (
    BESIDE_COLUMNS,
    FILE_COLUMNS,
    LABEL_COLUMNS,
    PART_COLUMNS,
    column_word,
    named_parts,
)
from .table_files import SEVERAL_CHOICES, RawTable, raw_table
from .trees import Tree, suffix

TABLE = "labels.csv"  # the name that sparring itself gives
TABLE_LIMIT = 1 << 28  # bytes
TABLE_COLUMNS = {"file": FILE_COLUMNS, "label": LABEL_COLUMNS, "part": PART_COLUMNS}
PLAIN_LABELS = ("label", "labels")  # where a column is called so, others that could be the label are only mentioned
SAMPLED = 200  # rows that show which column names the files
MOST_NUMBERS = 30  # different numbers in a column that may be the label


class TableRow(NamedTuple):
    """The label of a file, None where it has none, its part and its group, "" where none is named."""

    label: str | None
    part: str = ""
    group: str = ""


@dataclass(eq=False)
class LabelTable:
    """A table and what its columns are. `columns`: file, label, part and group -> place; `one_hot`: class -> place.

    `of_groups`: it has no labels and says the groups alone.
    """

    raw: RawTable
    columns: dict[str, int]
    one_hot: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def of_groups(self) -> bool:
        return "label" not in self.columns and not self.one_hot

    def label(self, cells: Sequence[str], line: int) -> str | None:
        """Return the label of a row, None where it has none. Raises DataError for several classes at once."""
        if self.one_hot:
            return next((name for name, place in self.one_hot.items() if _is_one(cells[place])), None)
        if self.of_groups:
            return None
        label = cells[self.columns["label"]].strip()
        if label.startswith(SEVERAL_CHOICES):
            raise DataError(
                "labels-several",
                f"{self.raw.name}, line {line}: several classes for one image: {label[:80]}",
                fix="give each image one class, or leave those with several out of the table",
            )
        return None if label in BLANK_LABELS else label


def read_table(
    tree: Tree, table: Path | str, warnings: list[str], *, label: str = "", group: str | None = None
) -> dict[str, TableRow]:
    """Return path -> label, part and group of a tree's images, from a table elsewhere (a Path) or in the tree (a str).

    Of a table without labels the labels are None, and the groups are those that were asked for.
    `label`: the column of the labels, else it is found. `group`: that of the groups; None warns of one that looks like
    it. Raises DataError with the line, UsageError where there is no such column.
    """
    raw = table_in(tree, table)
    finder = finder_for(tree, table)
    if (file := file_column(raw, finder, label)) is None or headless(raw, finder):
        raise no_columns(raw, ("file", "label"))
    found = labels_or_groups(raw, file, tree, warnings, label=label, group=group)
    return table_rows(found, finder, tree, warnings)


def table_in(tree: Tree, table: Path | str) -> RawTable:
    """Return the text of a table. Raises DataError and MissingData."""
    name = str(table) if isinstance(table, Path) else f"{tree.top}/{table}"
    return raw_table(_table_bytes(tree, table), name, suffix(str(table)))


def finder_for(tree: Tree, table: Path | str, among: Iterable[str] | None = None) -> ImageFinder:
    """Return what finds the images that a table names. Paths may start at its own folder, where that is in the tree."""
    place = table.rpartition("/")[0] if isinstance(table, str) else ""
    return ImageFinder(tree, place, among=among)


def _table_bytes(tree: Tree, table: Path | str) -> bytes:
    if isinstance(table, str):
        try:
            source = tree.read(table)
        except BadImage as error:  # of a zip
            raise DataError("labels-csv", f"{tree.top}/{table}: {error.reason}", fix="make the zip again") from None
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


# --- which column is what --------------------------------------------------------------------------------------------


def file_column(raw: RawTable, finder: ImageFinder, label: str = "") -> int | None:
    """Return the column whose cells name images that are there, else one that is called so, else None."""
    known = {word: rank for rank, word in enumerate(FILE_COLUMNS)}
    step = max(1, len(raw.rows) // SAMPLED)
    sample = [cells for _, cells in raw.rows[::step]]
    best: tuple[bool, bool, int, float] | None = None
    chosen = None
    for place, name in enumerate(raw.header):
        word = column_word(name)
        if name == label or (word in LABEL_COLUMNS and word not in known):
            continue
        named = [cells[place] for cells in sample if len(cells) > place and cells[place].strip()]
        there = [match for cell in named if (match := finder.find(cell)).paths]
        share = len(there) / max(1, len(named))
        if share < (0.5 if word not in known else 1e-9) and not (word in known and word not in ("name", "id")):
            continue
        weak = all(match.naming == Naming.NUMBER for match in there)
        rank = (share == 0, weak, known.get(word, len(known)), -share)
        if best is None or rank < best:
            best, chosen = rank, place
    return chosen


def names_images(raw: RawTable, file: int | None, finder: ImageFinder) -> bool:
    """Return whether any cell of this column names an image that is there."""
    return file is not None and any(finder.find(cells[file]).paths for _, cells in raw.rows if len(cells) > file)


def headless(raw: RawTable, finder: ImageFinder) -> bool:
    """Return whether the first line names an image, so that it is no header."""
    return any(match.paths and match.naming == Naming.EXACT for match in map(finder.find, raw.header))


def label_table(
    raw: RawTable, file: int, tree: Tree, *, label: str = "", group: str | None = None, guess: bool = True
) -> LabelTable:
    """Return the table with its columns. Raises DataError where none can be the label, or several can.

    `guess`: whether a column that is not called like a label may be taken for one by its values. `group`: as in
    `read_table`.
    """
    beside = group_table(raw, file, tree, group)
    columns, warnings, words = beside.columns, beside.warnings, list(map(column_word, raw.header))
    part = next((i for i, word in enumerate(words) if word in PART_COLUMNS and i != file), None)
    if part is not None and (words[part] in ("part", "split") or parts_in(raw, part)):
        columns["part"] = part
    if label:
        if label not in raw.header:
            raise DataError(
                "labels-columns",
                f"{raw.name} has no column {label}{suggestion(label, raw.header)}; it has {_shown(raw.header)}",
                fix="name one of these columns",
            )
        return LabelTable(raw, columns | {"label": raw.header.index(label)}, warnings=warnings)
    order = {word: rank for rank, word in enumerate(LABEL_COLUMNS)}
    called = [i for i, word in enumerate(words) if word in order and i not in columns.values()]
    called.sort(key=lambda i: order[words[i]])
    found = called or (_like_labels(raw, columns.values()) if guess else [])
    if not called and (one_hot := _one_hot(raw, found, columns.values()) if guess else {}):
        return LabelTable(raw, columns, one_hot, warnings)
    if not found:
        raise no_columns(raw, ("label",))
    rivals = [i for i in found[1:] if not _same_groups(raw, found[0], i)]
    names = [raw.header[i] for i in (found[0], *rivals)]
    if rivals and column_word(names[0]) not in PLAIN_LABELS:
        raise several_labels(raw.name, names, tree.top)
    if rivals:
        warnings.append(
            f"{raw.name}: the labels are column {names[0]!r}; {_shown(names[1:])} could be, too: --label {names[1]}"
        )
    elif not called:
        warnings.append(f"{raw.name}: column {names[0]!r} taken as the label")
    return LabelTable(raw, columns | {"label": found[0]}, warnings=warnings)


def labels_or_groups(
    raw: RawTable, file: int, tree: Tree, warnings: list[str], *, label: str, group: str | None, guess: bool = True
) -> LabelTable:
    """Return the table with its columns, as `label_table` does; of one without labels those of its groups alone, where
    these were asked for, which is said. What looks like groups is pointed out where they were not."""
    try:
        return label_table(raw, file, tree, label=label, group=group, guess=guess)
    except DataError as error:
        if error.id != "labels-columns" or label:
            raise
        table = group_table(raw, file, tree, group)
        if "group" not in table.columns:
            warnings += table.warnings
            raise
    warnings.append(f"{Path(raw.name).name} has no column of labels: only its groups, in column {group}, are used")
    return table


def group_table(raw: RawTable, file: int, tree: Tree, group: str | None) -> LabelTable:
    """Return the table with its columns of files and groups alone. Raises UsageError where there is no such column.

    `group` is None where none was asked for: then a column that looks like it is pointed out.
    """
    columns, warnings = {"file": file}, list[str]()
    if group is None:
        unread = {name: _cells(raw, i) for i, name in enumerate(raw.header) if i != file and named_like_groups(name)}
        warnings += said_of_columns(unread, Path(raw.name).name, tree.top)
    elif group not in (NONE, FOLDERS):
        columns["group"] = raw.header.index(column_of(group, raw.header, raw.name))
    return LabelTable(raw, columns, warnings=warnings)


def several_labels(name: str, columns: Sequence[str], source: str) -> DataError:
    """Return the error for several columns that could be the label, with a command for each."""
    return DataError(
        "label-column",
        f"several columns of {name} could be the label: {_shown(columns)}",
        fix=f"choose one: {ready(*((source, '--label', column) for column in columns[:4]))}",
    )


def no_columns(raw: RawTable, lost: Sequence[str]) -> DataError:
    """Return the error for a table without a column of files or labels."""
    fix = "let the first line be file,label or file,label,part, or name the column of the labels with --label"
    columns = f"no column {' and '.join(lost)}; the columns are {_shown(raw.header)}"
    return DataError("labels-columns", f"{raw.name}, line 1: {columns}", fix=fix)


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return (", ".join(repr(name) for name in names[:12]) or "nothing") + more


def _cells(raw: RawTable, place: int) -> list[str]:
    return [cells[place].strip() for _, cells in raw.rows if len(cells) > place]


def parts_in(raw: RawTable, place: int) -> dict[str, str]:
    """Return the values of a column that are parts, with the part that each says."""
    values = _column_values(raw, place)
    return named_parts(values) | {value: CHOSEN for value in values if value.lower() == CHOSEN}


def in_table(origin: str) -> str:
    """Return the name of an image as a table may hold it: no formula to a spreadsheet, and found again."""
    return origin if csv_cell(origin) == origin else f"./{origin}"


def _column_values(raw: RawTable, place: int) -> Counter[str]:
    """Return how often a column holds what; not what is blank."""
    found = Counter(_cells(raw, place))
    for blank in BLANK_LABELS:
        found.pop(blank, None)
    return found


def _like_labels(raw: RawTable, taken: Iterable[int]) -> list[int]:
    """Return the columns whose values come again and again, as classes do: texts, or few different whole numbers."""
    likely = []
    for place, name in enumerate(raw.header):
        if place in taken or column_word(name) in BESIDE_COLUMNS:
            continue
        found = _column_values(raw, place)
        numbers = [value for value in found if _number(value) is not None]
        fractions = any(not (_number(value) or 0.0).is_integer() for value in numbers)
        if len(found) < 2 or found.total() < 1.5 * len(found) or (numbers and len(numbers) == len(found) and (
            fractions or len(found) > MOST_NUMBERS
        )):  # fmt: skip
            continue
        likely.append(place)
    return likely


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _is_one(cell: str) -> bool:
    return _number(cell) == 1


def _one_hot(raw: RawTable, likely: Sequence[int], taken: Iterable[int]) -> dict[str, int]:
    """Return class -> column where columns of 0 and 1 say together which one class a row is of; else nothing."""
    values = {i: _column_values(raw, i) for i in range(len(raw.header)) if i not in taken}
    zero_one = [i for i, found in values.items() if found and all(_number(value) in (0, 1) for value in found)]
    if len(zero_one) < 2 or set(likely) - set(zero_one):
        return {}
    ones = [sum(_is_one(cells[i]) for i in zero_one) for _, cells in raw.rows if len(cells) > zero_one[-1]]
    if several := sum(count > 1 for count in ones):
        raise DataError(
            "labels-several",
            f"{raw.name} gives {several} images several classes at once ({_shown([raw.header[i] for i in zero_one])})",
            fix="give each image one class, or name one column with --label",
        )
    return {raw.header[i]: i for i in zero_one}


def _same_groups(raw: RawTable, first: int, second: int) -> bool:
    """Return whether two columns divide the rows alike, such as a number and a name of each class."""
    pairs = {(cells[first].strip(), cells[second].strip()) for _, cells in raw.rows if len(cells) > max(first, second)}
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


# --- the rows of a table ---------------------------------------------------------------------------------------------


def table_rows(table: LabelTable, finder: ImageFinder, tree: Tree, warnings: list[str]) -> dict[str, TableRow]:
    """Return path -> label and part. Raises DataError for files that are not there, or that fit several images."""
    raw, file = table.raw, table.columns["file"]
    known = {*(path for path, _ in tree.bad_files), *tree.links, *tree.others}  # they are there, and counted elsewhere
    whole = [(line, cells, finder.find(cells[file])) for line, cells in _whole_rows(table)]
    matched = [row for row in whole if row[2].paths or finder.local(row[1][file]) not in known]
    matched = _settled(matched, raw.name, file, tree)
    rows: dict[str, TableRow] = {}
    lines: dict[str, int] = {}
    ways: Counter[str] = Counter()
    parts = parts_in(raw, table.columns["part"]) if "part" in table.columns else {}
    for line, cells, match in matched:
        (path,) = match.paths
        group = group_name(cells[table.columns["group"]]) if "group" in table.columns else ""
        row = TableRow(table.label(cells, line), _part(table, cells, line, parts), group)
        if path in known:
            continue
        if path in rows and rows[path] != row:
            raise DataError(
                "labels-twice",
                f"{raw.name} labels {path} as {rows[path].label!r} in line {lines[path]} and as {row.label!r} in line "
                f"{line}",
                fix="keep one of the two lines",
            )
        rows[path], lines[path] = row, line
        ways[match.words] += 1
    if not rows:
        raise DataError("labels-csv", f"{raw.name} labels no image", fix="write one line file,label for every image")
    warnings += table.warnings
    warnings += [f"{count} files of {raw.name} were found {words}" for words, count in ways.items() if words]
    if not table.of_groups and (blank := sum(row.label is None for row in rows.values())):
        warnings.append(f"{blank} lines of {raw.name} have an empty label or -1: taken as unlabelled")
    return rows


def _whole_rows(table: LabelTable) -> Iterable[tuple[int, list[str]]]:
    """Yield the rows that have all cells that are needed. Raises DataError for others."""
    needed = max(*table.columns.values(), *table.one_hot.values(), 0) + 1
    for line, cells in table.raw.rows:
        if len(cells) < needed:
            raise DataError(
                "labels-csv",
                f"{table.raw.name}, line {line}: {len(cells)} cells where {needed} are needed: {cells[:4]}",
                fix="give every line a file and a label; put a label that holds the separator in quotes",
            )
        yield line, cells


def _settled(
    matched: list[tuple[int, list[str], Match]], name: str, file: int, tree: Tree
) -> list[tuple[int, list[str], Match]]:
    """Return the rows with one image each. Raises DataError for files that are not there or fit several images."""
    certain = any(m.paths and m.place != Place.FOREIGN and "/" in cells[file] for _, cells, m in matched)
    missing = [(n, c[file].strip()) for n, c, m in matched if not m.paths or (m.place == Place.FOREIGN and certain)]
    if missing:
        first = "; ".join(f"line {line}: {path}" for line, path in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        near = suggestion(missing[0][1], tree.images[:2000])
        raise DataError(
            "labels-missing",
            f"{name} names {len(missing)} files that are not there ({first}{more}){near}",
            fix="write the paths as seen from the folder of the images, or remove these lines",
        )
    unclear = [(line, cells, match) for line, cells, match in matched if len(match.paths) > 1]
    if not unclear:
        return matched
    common = set.intersection(*(_folders_with(match) for _, _, match in matched))
    if len(common) == 1:  # the only folder that has all of them
        found = [[path for path in match.paths if path.rpartition("/")[0] in common] for _, _, match in matched]
        if all(len(paths) == 1 for paths in found):
            return [
                (line, cells, replace(match, paths=tuple(paths)))
                for (line, cells, match), paths in zip(matched, found, strict=True)
            ]
    line, cells, match = unclear[0]
    raise DataError(
        "labels-open",
        f"{len(unclear)} files of {name} fit several images each (line {line}: {cells[file].strip()} fits "
        f"{' and '.join(match.paths[:3])})",
        fix="write the paths as seen from the folder of the images, or pass the folder that is meant: "
        + ready(*((f"{tree.top}/{folder}", "--table", name) for folder in sorted(_folders_with(match))[:2])),
    )


def _folders_with(match: Match) -> set[str]:
    return {path.rpartition("/")[0] for path in match.paths}


def _part(table: LabelTable, cells: Sequence[str], line: int, parts: dict[str, str]) -> str:
    part = cells[table.columns["part"]].strip() if "part" in table.columns else ""
    if part and part not in parts:
        raise DataError(
            "labels-part",
            f"{table.raw.name}, line {line}: part {part!r}",
            fix="use train, test, val or chosen, or leave it empty",
        )
    return parts.get(part, "")
