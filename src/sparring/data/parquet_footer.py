"""How large the columns of a Parquet file are, from its footer: Thrift's compact protocol, of which little is kept.

pyarrow tells it too, and ends the whole process where a damaged histogram stands beside the sizes: a C++ exception that
no code of ours can catch. https://github.com/apache/parquet-format and thrift/doc/specs/thrift-compact-protocol.md.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

MAGIC = b"PAR1"
DEEPEST = 64  # structs in structs
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT, UUID = range(1, 14)
FIXED = {TRUE: 0, FALSE: 0, BYTE: 1, DOUBLE: 8, UUID: 16}  # bytes after the header of a field

# What is wanted, by the numbers of the fields of parquet.thrift; a list of one is every element of a list.
SIZES = {3: True, 6: True, 7: True}  # ColumnMetaData: path_in_schema, total_uncompressed_size, total_compressed_size
WANTED = {4: [{1: [{3: SIZES}]}]}  # FileMetaData.row_groups, RowGroup.columns, ColumnChunk.meta_data

Fields = Mapping[int, object]  # of a struct, by their numbers


class ColumnSize(NamedTuple):
    """Bytes of a column in one row group, as the footer declares them; `path` as in `label` or `image.bytes`."""

    path: str
    packed: int
    unpacked: int


def column_sizes(path: Path) -> list[ColumnSize]:
    """Return the sizes of all columns of all row groups. Raises ValueError for a footer that cannot be read so."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 8))
        end = file.read(8)
        length = int.from_bytes(end[:4], "little")
        if end[4:] != MAGIC or length > size - 8:
            raise ValueError("no footer")
        file.seek(size - 8 - length)
        footer = CompactThrift(file.read(length))
    found = []
    for group in _as_list(footer.struct(WANTED, 0).get(4)):
        for column in _as_list(_as_fields(group).get(1)):
            about = _as_fields(_as_fields(column).get(3))
            parts, unpacked, packed = (about.get(field) for field in (3, 6, 7))
            if not (isinstance(unpacked, int) and isinstance(packed, int)):
                raise ValueError("a column without a size")
            names = (part.decode("utf-8", "replace") for part in _as_list(parts) if isinstance(part, bytes))
            found.append(ColumnSize(".".join(names), packed, unpacked))
    return found


def _as_fields(value: object) -> Fields:
    return value if isinstance(value, dict) else {}


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


class CompactThrift:
    """Values of the compact protocol, one after the other."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def taken(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise ValueError("it ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self) -> int:
        value, shift = 0, 0
        while shift < 70:
            (byte,) = self.taken(1)
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise ValueError("a number is too long")

    def value(self, kind: int, wanted: object = None, depth: int = 0) -> Fields | list[object] | bytes | int | None:
        """Return what is `wanted` of the next value, of a struct a mapping from fields; None of what is not."""
        if depth > DEEPEST:
            raise ValueError("it is nested too deeply")
        if kind in FIXED:
            self.taken(FIXED[kind])
        elif kind in (I16, I32, I64):
            number = self.varint()
            return (number >> 1) ^ -(number & 1) if wanted else None
        elif kind == BINARY:
            text = self.taken(self.varint())
            return text if wanted else None
        elif kind in (LIST, SET):
            return self.elements(wanted, depth)
        elif kind == MAP:
            self.entries(depth)
        elif kind == STRUCT:
            return self.struct(wanted if isinstance(wanted, dict) else {}, depth)
        else:
            raise ValueError("a value of no known type")
        return None

    def struct(self, wanted: Fields, depth: int) -> Fields:
        found, field = dict[int, object](), 0
        while True:
            (head,) = self.taken(1)
            if head == 0:
                return found
            if head >> 4:
                field += head >> 4
            else:
                number = self.varint()
                field = (number >> 1) ^ -(number & 1)
            value = self.value(head & 15, wanted.get(field), depth + 1)
            if field in wanted:
                found[field] = value

    def elements(self, wanted: object, depth: int) -> list[object]:
        (head,) = self.taken(1)
        count, kind = head >> 4 if head >> 4 < 15 else self.varint(), head & 15
        each = wanted[0] if isinstance(wanted, list) else wanted
        found = []
        for _ in range(count):  # ends with the data: each takes a byte at least
            value = self.value(BYTE if kind in (TRUE, FALSE) else kind, each, depth + 1)
            if each:
                found.append(value)
        return found

    def entries(self, depth: int) -> None:
        if count := self.varint():
            (kinds,) = self.taken(1)
            for _ in range(count):
                for kind in (kinds >> 4, kinds & 15):
                    self.value(BYTE if kind in (TRUE, FALSE) else kind, None, depth + 1)
