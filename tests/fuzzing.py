"""Damaged and odd files of every kind that sparring reads, made from whole ones, and what may come of reading them.

Used by test_fuzz.py, a few of each, and by benchmarks/fuzz.py, for as long as one likes.
"""

import io
import json
import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as arrow
from bad_inputs import encoded
from PIL import Image
from pyarrow.parquet import write_table
from safetensors.numpy import save
from summaries import make_summary

from sparring import files
from sparring.artifacts import read_tensors
from sparring.data import load
from sparring.data.tables import read_table
from sparring.data.trees import Tree
from sparring.errors import FileFormatError, SparringError
from sparring.games.recipes import RECIPES
from sparring.images import load_image
from sparring.records import from_json, read_record, to_json
from sparring.study.summary import Summary

ODD_NUMBERS = (0, 1, 2, 7, 8, 127, 128, 255, 256, 32767, 65535, 1 << 31, (1 << 32) - 1, (1 << 63) - 1)
ODD_VALUES = (None, True, 0, -1, 1e308, 1 << 70, "", "x" * 300, "\ud800", "=1+1", [], {}, [[[]]], {"kind": "Adam"})
ODD_WORDS = (b"\0", b"\xff" * 8, b",", b'"', b"\n", b"\r", b"[" * 100, b"{}", b"1e999", b"-1", b"\xef\xbb\xbf", b"NaN")


@dataclass(frozen=True)
class Target:
    """whole  files of a kind that can be read
    change  one of them made odd
    read    may end in any way that is meant: returns, or raises a sentence
    """

    whole: Callable[[], tuple[bytes, ...]]
    change: Callable[[bytes, Random], bytes]
    read: Callable[[bytes], object]


def tried(target: Target, random: Random) -> bytes:
    """An odd file of this kind, after it was read. Raises whatever is not meant to be raised."""
    raw = target.change(random.choice(target.whole()), random)
    try:
        target.read(raw)
    except SparringError as error:
        assert "Fix: " in str(error) and "\n" not in str(error), error
    return raw


# --- how a file becomes odd ------------------------------------------------------------------------------------------


def mutated(raw: bytes, random: Random) -> bytes:
    """The bytes with some changed, left out, repeated, or in another order."""
    data = bytearray(raw)
    for _ in range(random.choice((1, 1, 2, 4, 8))):
        at = random.randrange(len(data) + 1)
        length = min(random.choice((1, 2, 4, 8, 64, 1000)), len(data) - at)
        match random.randrange(7):
            case 0 if length:
                data[at] ^= 1 << random.randrange(8)
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = random.randbytes(length)
            case 3:
                data[at:at] = data[at : at + length] * random.choice((1, 2, 50))
            case 4:
                number, kind = random.choice(ODD_NUMBERS), random.choice(("<H", ">H", "<I", ">I", "<Q"))
                packed = struct.pack(kind, number % (1 << 8 * struct.calcsize(kind)))
                data[at : at + len(packed)] = packed
            case 5:
                data[at:at] = random.choice(ODD_WORDS)
            case 6 if random.random() < 0.3:
                del data[at:]
    return bytes(data)


def odd_tree(raw: bytes, random: Random) -> bytes:
    """JSON with some values, names or lists in it changed; now and then changed as bytes."""
    if random.random() < 0.1:
        return mutated(raw, random)
    tree = json.loads(raw)
    for _ in range(random.choice((1, 1, 2, 5))):
        above = [node for node in _nodes(tree) if node]
        node = random.choice(above)
        key = random.choice(list(node) if isinstance(node, dict) else range(len(node)))
        match random.randrange(4):
            case 0:
                node[key] = deepcopy(random.choice(ODD_VALUES))  # else it may come to hold itself
            case 1:
                del node[key]
            case 2 if isinstance(node, dict):
                node[str(random.choice(ODD_VALUES))] = deepcopy(node[key])
            case 2:
                node *= random.choice((0, 2, 3))
            case 3:
                other = random.choice(above)
                node[key] = json.loads(
                    json.dumps(random.choice(list(other.values() if isinstance(other, dict) else other)))
                )
        if not any(_nodes(tree)):
            break
    return json.dumps(tree).encode("utf-8", "surrogatepass")


def _nodes(tree: object) -> list:
    """All lists and objects in it."""
    found, waiting = [], [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict | list):
            found.append(node)
            waiting += node.values() if isinstance(node, dict) else node
    return found


def inside_npz(raw: bytes, random: Random) -> bytes:
    """An .npz with one of its arrays changed as bytes: the sum of the zip is right again."""
    if random.random() < 0.3:
        return mutated(raw, random)
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as before, zipfile.ZipFile(buffer, "w") as after:
        odd = random.choice(before.namelist())
        for name in before.namelist():
            data = before.read(name)
            after.writestr(name, mutated(data[:150], random) + data[150:] if name == odd else data)
    return buffer.getvalue()


# --- whole files, and what reads them --------------------------------------------------------------------------------


@cache
def pictures() -> tuple[bytes, ...]:
    exif = Image.Exif()
    exif[0x0112] = 6
    noise = np.random.default_rng(0).integers(0, 256, (24, 20, 4), dtype=np.uint8)

    def of(mode: str, kind: str, **options) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(noise).convert(mode).save(buffer, kind, **options)
        return buffer.getvalue()

    deep = io.BytesIO()
    Image.fromarray(noise.view("<u2")[..., 0]).save(deep, "PNG")
    kinds = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "AVIF")
    return (
        *(of("RGB", kind) for kind in kinds),
        of("RGB", "JPEG", progressive=True, exif=exif),
        of("CMYK", "JPEG"),
        of("RGBA", "PNG", exif=exif),
        of("P", "PNG"),
        of("RGBA", "WEBP", lossless=True),
        of("RGB", "TIFF", compression="tiff_lzw"),
        of("RGB", "TIFF", compression="jpeg"),
        of("1", "TIFF", compression="group4"),
        deep.getvalue(),
    )


@cache
def arrays() -> tuple[bytes, ...]:
    images, labels = np.random.default_rng(0).integers(0, 256, (8, 8, 8), np.uint8), np.arange(8) % 2

    def packed(**given) -> bytes:
        buffer = io.BytesIO()
        np.savez(buffer, **given)
        return buffer.getvalue()

    return (
        packed(images=images, labels=labels),
        packed(x_train=images / 255, y_train=np.array(["a", "b"] * 4), x_test=images, y_test=["a", "b"] * 4),
    )


@cache
def parquets() -> tuple[bytes, ...]:
    image = arrow.array([{"bytes": encoded("PNG", i)} for i in range(8)], arrow.struct([("bytes", arrow.binary())]))

    def written(label: list, **options) -> bytes:
        buffer = io.BytesIO()
        write_table(arrow.table({"image": image, "label": label, "patient": ["x", "y"] * 4}), buffer, **options)
        return buffer.getvalue()

    return written([0, 1] * 4), written(["a", "b"] * 4, use_dictionary=False, compression="zstd")


@cache
def tensors() -> tuple[bytes, ...]:
    return (save({"a/b": np.ones((2, 3), np.float32), "c": np.arange(4)}),)


@cache
def records() -> tuple[bytes, ...]:
    recipes = (RECIPES[name] for name in ("dcgan", "cgan", "cyclegan"))
    return (
        json.dumps(to_json(make_summary(), kinds=False)).encode(),
        *(json.dumps(to_json(recipe)).encode() for recipe in recipes),
    )


@cache
def label_tables() -> tuple[bytes, ...]:
    rows = [{"file": f"{'ab'[i % 2]}/{i}.png", "label": "ab"[i % 2], "part": "train"} for i in range(8)]
    lines = "".join(f"{row['file']},{row['label']},{row['part']}\n" for row in rows)
    return (
        f"file,label,part\n{lines}".encode(),
        "\n".join(map(json.dumps, rows)).encode(),
        json.dumps(rows).encode(),
        json.dumps({row["file"]: row["label"] for row in rows}).encode(),
        json.dumps({"classes": ["a", "b"], "labels": {row["file"]: 0 for row in rows}}).encode(),
        json.dumps({
            "images": [{"id": i, "file_name": f"{i}.png"} for i in range(8)],
            "annotations": [{"image_id": i, "category_id": i % 2} for i in range(8)],
            "categories": [{"id": 0, "name": "a"}, {"id": 1, "name": "b"}],
        }).encode(),
    )  # fmt: skip


def read_as(suffix: str) -> Callable[[bytes], object]:
    """What reads a source that is one file."""

    def read(raw: bytes) -> object:
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"x{suffix}"
            path.write_bytes(raw)
            if suffix == ".npz":
                with suppress(FileFormatError):
                    files.read_arrays(path)
            return load(str(path), alike=True)

    return read


def read_safetensors(raw: bytes) -> object:
    try:
        return read_tensors(raw)
    except ValueError:  # its callers say which file it is
        return None


def read_records(raw: bytes) -> object:
    try:
        found = files.parse_json(raw)
    except ValueError:
        return None
    with files.fitting_together(lambda reason: FileFormatError("damaged", reason, fix="none")):
        return from_json(found) if isinstance(found, dict) and "kind" in found else read_record(Summary, found)


def read_labels(raw: bytes) -> object:
    paths = [f"{'ab'[i % 2]}/{i}.png" for i in range(8)]
    for kind in ("csv", "jsonl", "json"):
        tree = Tree(top="photos", name="photos", read=lambda _: raw, images=paths)
        try:
            assert set(read_table(tree, f"labels.{kind}", [])) <= set(paths)
        except SparringError as error:
            assert "Fix: " in str(error)
    return None


TARGETS = {
    "images": Target(pictures, mutated, load_image),
    "npz": Target(arrays, inside_npz, read_as(".npz")),
    "parquet": Target(parquets, mutated, read_as(".parquet")),
    "safetensors": Target(tensors, mutated, read_safetensors),
    "records": Target(records, odd_tree, read_records),
    "tables": Target(
        label_tables,
        lambda raw, random: (odd_tree if raw[:1] in b"[{" and b"\n" not in raw else mutated)(raw, random),
        read_labels,
    ),
}
