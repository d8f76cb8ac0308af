"""Files that hold tables -> a header and rows of text: CSV, JSON lines, and what annotation tools export.

CSV             comma, semicolon, tab or bar; a header in the first line; UTF-8 with or without BOM, or UTF-16
JSON lines      one object a line, such as metadata.jsonl
Label Studio    its JSON (tasks with choices) and its small JSON (a list of objects)
FiftyOne        labels.json beside data/ (classes, labels), and samples.json
COCO            where all objects of an image are of one category
a mapping       {"1.png": "cat", ...}
"""

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import StringIO

from ..errors import DataError

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
OTHER_TABLES = (
    ".txt",
    ".xlsx",
    ".xls",
    ".ods",
    ".mat",
    ".xml",
    ".parquet",
    ".feather",
    ".pkl",
    ".dat",
    ".db",
    ".sqlite",
)
# What a table may hold, so that to look through it takes memory and time in proportion to its file.
MOST_COLUMNS = 10_000
ANY_LINES, BYTES_A_LINE = 200_000, 8  # so many lines in any case; of more, their length on average at least
ANY_CELLS, CELLS_A_VALUE = 5_000_000, 10  # lines times columns in any case; else times what is in them
SEVERAL_CHOICES = '{"choices"'  # how Label Studio begins a label that is several classes


@dataclass(frozen=True)
class RawTable:
    """A table as text. `name` is for messages; `rows` hold the number of the line and the cells."""

    name: str
    header: list[str]
    rows: list[tuple[int, list[str]]]


def raw_table(raw: bytes, name: str, suffix: str = ".csv") -> RawTable:
    """Return the table of a file. Raises DataError with the line."""
    text = _text(raw, name)
    if suffix == ".json":
        return _from_json(text, name)
    _refuse_lines(text.count("\n"), text, name)
    return _from_objects(_json_lines(text, name), name) if suffix in (".jsonl", ".ndjson") else _from_csv(text, name)


def _refuse_lines(lines: int, text: str, name: str, *, least: int = BYTES_A_LINE) -> None:
    """Raise DataError where there are more lines, of `least` characters on average, than such a text can have."""
    if lines > max(ANY_LINES, len(text) // least):
        what = f"{name} has {lines:,} lines or objects in {len(text):,} characters"
        raise DataError("labels-csv", what, fix="write one line file,label for every image")


def _checked(name: str, header: list[str], lines: int, values: int) -> None:
    """Raise DataError for more columns than can be looked through, and for lines that leave most of them empty."""
    wide = len(header) > MOST_COLUMNS
    if wide or lines * len(header) > max(ANY_CELLS, CELLS_A_VALUE * values):
        what = f"{name} has {len(header):,} columns" + ("" if wide else f" and {lines:,} lines, nearly all cells empty")
        raise DataError("labels-csv", what, fix="write a table of two columns: file,label")


def _text(raw: bytes, name: str) -> str:
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


def _from_csv(text: str, name: str) -> RawTable:
    delimiter = max(",;\t|", key=text.partition("\n")[0].count)  # of which the first line has most
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        rows = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise DataError(
            "labels-csv", f"{name}, line {reader.line_num}: {error}", fix="check the quotes in and before this line"
        ) from None
    _checked(name, header, len(rows), sum(len(cells) for _, cells in rows))
    return RawTable(name, header, rows)


def _json_lines(text: str, name: str) -> Iterable[tuple[int, object]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError):
                raise DataError(
                    "labels-json", f"{name}, line {number}: not JSON", fix="write one JSON object a line"
                ) from None


def _from_json(text: str, name: str) -> RawTable:
    """Return the table of what an annotation tool exported. Raises DataError where it is of no known form."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise DataError("labels-json", f"{name}: not JSON", fix="write it again, or use CSV") from None
    if isinstance(found, dict):
        _refuse_lines(len(found), text, name)
    for objects in found.values() if isinstance(found, dict) else (found,):
        if isinstance(objects, list):  # an object with a file and a label is twice as long as a line with them
            _refuse_lines(len(objects), text, name, least=2 * BYTES_A_LINE)
    try:
        table = _known_form(found, name)
    except (TypeError, AttributeError, KeyError, RecursionError):  # it only looks like one of the forms
        table = None
    if table is None:
        raise DataError("labels-json", f"{name} is no table of labels that is known", fix="write it as CSV: file,label")
    return table


def _known_form(found: object, name: str) -> RawTable | None:
    """Return the table of parsed JSON, None where it is of no known form."""
    if isinstance(found, list) and found and all(isinstance(one, dict) for one in found):
        if all("data" in one and ("annotations" in one or "completions" in one) for one in found):
            found = [_label_studio(task) for task in found]
        return _from_objects(enumerate(found, 1), name)
    if isinstance(found, dict):
        if isinstance(found.get("samples"), list):
            return _from_objects(enumerate(map(_fiftyone, found["samples"]), 1), name)
        if isinstance(found.get("labels"), dict):
            classes = found.get("classes") if isinstance(found.get("classes"), list) else None
            return _from_mapping(found["labels"], name, classes)
        if all(isinstance(found.get(key), list) for key in ("images", "annotations", "categories")):
            return _from_coco(found, name)
        if found and not any(isinstance(value, dict | list) for value in found.values()):
            return _from_mapping(found, name)
    return None


def _label_studio(task: dict) -> dict:
    """Return the file and the choice of a task; what was skipped has none."""
    given = task["data"] if isinstance(task["data"], dict) else {}
    paths = [value for value in given.values() if isinstance(value, str) and "/" in value]
    file = next((given[key] for key in ("image", "img") if key in given), paths[0] if paths else "")
    choices: list[str] = []
    for annotation in task.get("annotations") or task.get("completions") or ():
        if isinstance(annotation, dict) and not annotation.get("was_cancelled"):
            for result in annotation.get("result") or ():
                value = result.get("value") if isinstance(result, dict) else None
                choices += (value or {}).get("choices") or []
    different = list(dict.fromkeys(map(str, choices)))
    return {"file": file, "label": {"choices": different} if len(different) > 1 else "".join(different)}


def _fiftyone(sample: object) -> dict:
    """Return the file of a sample, its classifications by their fields, and its tags as the part."""
    given = sample if isinstance(sample, dict) else {}
    labels = {key: value.get("label") for key, value in given.items() if _is_classification(value)}
    tags = given.get("tags")
    part = tags[0] if isinstance(tags, list) and len(tags) == 1 else ""
    return {"filepath": given.get("filepath", ""), **labels, "subset": part}


def _is_classification(value: object) -> bool:
    return isinstance(value, dict) and value.get("_cls") == "Classification"


def _from_coco(found: dict, name: str) -> RawTable:
    """Return the category of each image. Raises DataError where an image holds objects of several."""
    categories = {row.get("id"): row.get("name") for row in found["categories"] if isinstance(row, dict)}
    labels: dict[object, set[str]] = {}
    for row in found["annotations"]:
        if isinstance(row, dict):
            labels.setdefault(row.get("image_id"), set()).add(str(categories.get(row.get("category_id"), "")))
    if several := sum(len(names) > 1 for names in labels.values()):
        raise DataError(
            "labels-several",
            f"{name} names objects of several classes for {several} images",
            fix="write a table with one class an image: file,label",
        )
    images = [row for row in found["images"] if isinstance(row, dict)]
    rows = [{"file": row.get("file_name", ""), "label": "".join(labels.get(row.get("id"), ()))} for row in images]
    return _from_objects(enumerate(rows, 1), name)


def _from_mapping(labels: Mapping[str, object], name: str, classes: list | None = None) -> RawTable:
    """Return file -> label, where labels may be places in `classes` or objects that hold one."""

    def label(value: object) -> object:
        value = value.get("label") if isinstance(value, dict) else value
        if classes and isinstance(value, int) and 0 <= value < len(classes):
            return classes[value]
        return value

    rows = [(number, [file, _cell_text(label(value))]) for number, (file, value) in enumerate(labels.items(), 1)]
    return RawTable(name, ["file", "label"], rows)


def _from_objects(objects: Iterable[tuple[int, object]], name: str) -> RawTable:
    """Return a table of objects that all have about the same keys."""
    columns: dict[str, int] = {}
    held: list[tuple[int, dict]] = []
    for number, given in objects:
        if not isinstance(given, dict):
            raise DataError("labels-json", f"{name}, line {number}: not an object", fix="write one JSON object a line")
        held.append((number, given))
        for key in given:
            columns.setdefault(str(key), len(columns))
    _checked(name, list(columns), len(held), sum(len(given) for _, given in held))
    rows = [(number, [_cell_text(given.get(key)) for key in columns]) for number, given in held]
    return RawTable(name, list(columns), rows)


def _cell_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
