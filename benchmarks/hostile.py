"""Inputs of at most 10 MB that somebody made to take all memory or hours: what does each command do with them?

    python benchmarks/hostile.py [--only WORDS] [--harmless FOLDER]

Each runs in a process of its own under a limit of 120 seconds and 12 GiB. MB above base: the peak resident memory of
the command, less that of the same command with a harmless input of the same kind. Seconds: of the whole command, with
its imports; beside them those of the processor.
"""

import argparse
import io
import json
import multiprocessing
import os
import re
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as arrow
from PIL import Image
from pyarrow.parquet import write_table

from sparring import files

LARGEST, SECONDS, ADDRESSES = 10_000_000, 120, 12 << 30
SIDE = 8000  # pixels: 64 million are the most that an image may have
MOST_MB, MOST_SECONDS = 500, 20


@dataclass(frozen=True)
class Hostile:
    """`build` writes into an empty folder and returns the command; `base` names the harmless command."""

    kind: str
    build: Callable[[Path], list[str]]
    base: str = "data"


# --- images ----------------------------------------------------------------------------------------------------------


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(side: int, bits: int, colour: int, bands: int, more: bytes = b"") -> bytes:
    """A PNG that is all zeros."""
    line, packer, data = bytes(1 + side * bits * bands // 8), zlib.compressobj(9), b""
    for _ in range(side):
        data += packer.compress(line)
    head = struct.pack(">IIBBBBB", side, side, bits, colour, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + more
    return start + chunk(b"IDAT", data + packer.flush()) + chunk(b"IEND", b"")


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def blank(mode: str, kind: str, side: int = SIDE, **options) -> bytes:
    return saved(Image.new(mode, (side, side)), kind, **options)


def many_scans(side: int, most: int) -> bytes:
    """A progressive JPEG with its last scan as often as there is room."""
    raw = blank("RGB", "JPEG", side, progressive=True, subsampling=0)
    last = raw.rindex(b"\xff\xda")
    return raw[:last] + raw[last:-2] * min(1500, (most - last) // (len(raw) - 2 - last)) + raw[-2:]


def run_length_bmp(side: int) -> bytes:
    """A BMP that ends its lines without a pixel."""
    data = b"\0\0" * side + b"\0\1"
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(data), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 1024 + len(data), 0, 0, 54 + 1024) + head + bytes(1024) + data


def many_tags(size: int) -> bytes:
    """A TIFF with 60,000 tags that each hold the same bytes."""
    raw = bytearray(blank("L", "TIFF", 16))
    at = struct.unpack("<I", raw[4:8])[0]
    count = struct.unpack("<H", raw[at : at + 2])[0]
    own = [bytes(raw[at + 2 + 12 * i : at + 14 + 12 * i]) for i in range(count)]
    place = len(raw) + 2 + 12 * (count + 60_000) + 4
    tags = own + [struct.pack("<HHII", 1000 + i, 7, size, place) for i in range(60_000)]
    tags.sort(key=lambda tag: struct.unpack("<H", tag[:2])[0])
    raw[4:8] = struct.pack("<I", len(raw))
    return bytes(raw) + struct.pack("<H", len(tags)) + b"".join(tags) + bytes(4 + size)


def text_chunks() -> bytes:
    packed = zlib.compress(bytes(60_000_000), 9)
    return b"".join(chunk(b"zTXt", b"k%d\0\0" % i + packed) for i in range(150))


def photos(top: Path) -> Path:
    """Two classes of four harmless pictures."""
    for i in range(8):
        pixels = np.random.default_rng(i).integers(0, 256, (16, 16), dtype=np.uint8)
        path = top / "photos" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return top / "photos"


def beside(name: str, raw: Callable[[], bytes], count: int = 1) -> Callable[[Path], list[str]]:
    """So many of these pictures beside the harmless ones."""

    def build(top: Path) -> list[str]:
        data = raw()
        for i in range(count):
            (photos(top) / "a" / f"{i}-{name}").write_bytes(data)
        return ["data", "photos"]

    return build


def several(name: str, raw: Callable[[], bytes], count: int, *, archive: bool) -> Callable[[Path], list[str]]:
    """Nothing but such pictures, in class folders or in a zip."""

    def build(top: Path) -> list[str]:
        data = raw()
        names = [f"photos/{'ab'[i % 2]}/{i}-{name}" for i in range(count)]
        if archive:
            zipped(top, dict.fromkeys(names, data))
            return ["data", "x.zip"]
        for path in names:
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top / path).write_bytes(data)
        return ["data", "photos"]

    return build


def many_frames(side: int) -> bytes:
    """A GIF of so many pixels a side with 600,000 frames of one."""
    frame = b"," + struct.pack("<4HB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + struct.pack("<2H3B", side, side, 0x80, 0, 0) + bytes(6) + 600_000 * frame + b";"


def many_pages(pages: int) -> bytes:
    """A TIFF of so many pages, all of the same pixels."""
    tags = ((256, 8), (257, 8), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 8), (279, 64))
    parts, place = [struct.pack("<2sHI", b"II", 42, 72) + bytes(range(64))], 72
    entries = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    for page in range(pages):
        place += len(entries) + 4
        parts.append(entries + struct.pack("<I", place if page < pages - 1 else 0))
    return b"".join(parts)


def framed(name: str, raw: Callable[[], bytes], frames: str) -> Callable[[Path], list[str]]:
    """One file beside the harmless ones, of which frames are taken."""
    build = beside(name, raw)
    return lambda top: [*build(top), "--frames", frames]


def images() -> Iterator[Hostile]:
    one = {
        "PNG, RGBA of 16 bits": ("x.png", lambda: png(SIDE, 16, 6, 4)),
        "PNG, grey and alpha of 16 bits": ("x.png", lambda: png(SIDE, 16, 4, 2)),
        "PNG, RGBA of 16 bits, 59 million": ("x.png", lambda: png(7680, 16, 6, 4)),
        "PNG, RGB of 16 bits": ("x.png", lambda: png(SIDE, 16, 2, 3)),
        "PNG, grey of 16 bits": ("x.png", lambda: png(SIDE, 16, 0, 1)),
        "PNG, RGB": ("x.png", lambda: png(SIDE, 8, 2, 3)),
        "PNG, 65,000 a side, 1 bit": ("x.png", lambda: png(65_000, 1, 0, 1)),
        "PNG, text chunks of 9 GB": ("x.png", lambda: png(16, 8, 0, 1, text_chunks())),
        "JPEG, 1,500 scans": ("x.jpg", lambda: many_scans(2000, LARGEST)),
        "JPEG, progressive": ("x.jpg", lambda: blank("RGB", "JPEG", progressive=True, subsampling=0)),
        "JPEG, progressive CMYK": ("x.jpg", lambda: blank("CMYK", "JPEG", progressive=True, subsampling=0)),
        "JPEG, CMYK": ("x.jpg", lambda: blank("CMYK", "JPEG", subsampling=0)),
        "GIF": ("x.gif", lambda: blank("P", "GIF")),
        "WebP": ("x.webp", lambda: blank("RGB", "WEBP", lossless=True)),
        "WebP, RGBA": ("x.webp", lambda: saved(Image.new("RGBA", (SIDE,) * 2, (9, 9, 9, 9)), "WEBP", lossless=True)),
        "WebP, 29 million": ("x.webp", lambda: blank("RGB", "WEBP", 5400, lossless=True)),
        "AVIF": ("x.avif", lambda: blank("RGB", "AVIF", speed=10, subsampling="4:4:4")),
        "AVIF, 26 million": ("x.avif", lambda: blank("RGB", "AVIF", 5150, speed=10, subsampling="4:4:4")),
        "TIFF, deflate": ("x.tif", lambda: blank("RGB", "TIFF", compression="tiff_deflate")),
        "TIFF, CMYK": ("x.tif", lambda: blank("CMYK", "TIFF", compression="tiff_deflate")),
        "TIFF, 60,000 tags of one text": ("x.tif", lambda: many_tags(9_000_000)),
        "BMP, run lengths": ("x.bmp", lambda: run_length_bmp(SIDE)),
    }
    for kind, (name, raw) in one.items():
        yield Hostile(
            f"{kind}" if "million" in kind or "tags" in kind else f"{kind}, 64 million pixels", beside(name, raw)
        )
    yield Hostile("250 WebP of 64 million pixels", several("x.webp", one["WebP"][1], 250, archive=False))
    yield Hostile("zip of 40,000 WebP of 64 million pixels", several("x.webp", one["WebP"][1], 40_000, archive=True))
    yield Hostile(
        "zip of 100 PNG of 64 million grey pixels", several("x.png", lambda: png(SIDE, 8, 0, 1), 100, archive=True)
    )
    yield Hostile("12 PNG of 64 million pixels", several("x.png", lambda: png(SIDE, 8, 2, 3), 12, archive=False))
    yield Hostile("frames, GIF of 600,000", framed("x.gif", lambda: many_frames(8), "3"))
    yield Hostile("frames, GIF of 600,000 of 64 million pixels", framed("x.gif", lambda: many_frames(SIDE), "3"))
    yield Hostile("frames, TIFF of 2,000 pages, all of them", framed("x.tif", lambda: many_pages(2000), "all"))
    yield Hostile("frames, TIFF of 20,000 pages", framed("x.tif", lambda: many_pages(20_000), "3"))
    yield Hostile("40 BMP, run lengths", several("x.bmp", lambda: run_length_bmp(SIDE), 40, archive=False))


# --- archives and arrays ---------------------------------------------------------------------------------------------


def zipped(top: Path, members: dict[str, bytes], name: str = "x.zip") -> None:
    with zipfile.ZipFile(top / name, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for member, data in members.items():
            archive.writestr(member, data)


def with_pictures(**more: bytes) -> dict[str, bytes]:
    picture = [saved(Image.fromarray(np.full((16, 16), 9 * i, np.uint8)), "PNG") for i in range(8)]
    return {f"{'ab'[i % 2]}/{i}.png": data for i, data in enumerate(picture)} | more


def zip_of(**members: Callable[[], bytes]) -> Callable[[Path], list[str]]:
    def build(top: Path) -> list[str]:
        zipped(top, with_pictures(**{name: data() for name, data in members.items()}))
        return ["data", "x.zip"]

    return build


def zip_named(name: str, count: int = 1) -> Callable[[Path], list[str]]:
    def build(top: Path) -> list[str]:
        zipped(top, with_pictures(**{f"{name}{i}/1.png": b"" for i in range(count)}))
        return ["data", "x.zip"]

    return build


def overlapping(top: Path) -> list[str]:
    """A zip whose 3,000 members are the same bytes."""
    zipped(top, {"a/1.bmp": b"BM" + bytes(50_000_000)})
    raw = (top / "x.zip").read_bytes()
    at = raw.rindex(b"PK\x01\x02")
    end = raw.rindex(b"PK\x05\x06")
    entry, count = raw[at:end], 3000
    tail = raw[end : end + 8] + struct.pack("<HHIIH", count, count, len(entry) * count, at, 0)
    (top / "x.zip").write_bytes(raw[:at] + entry * count + tail)
    return ["data", "x.zip"]


def packed_arrays(count: int) -> Callable[[Path], list[str]]:
    def build(top: Path) -> list[str]:
        np.savez_compressed(top / "x.npz", images=np.zeros((count, 32, 32), np.uint8), labels=np.arange(count) % 2)
        return ["data", "x.npz"]

    return build


def forged_array(kind: str, shape: str, name: str) -> Callable[[Path], list[str]]:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(118) + b"\n"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(64)

    def build(top: Path) -> list[str]:
        if name.endswith(".npz"):
            zipped(top, {"images.npy": data, "labels.npy": data}, name)
        else:
            (top / name).write_bytes(data)
        return ["data", name]

    return build


def parquet(kind: str) -> Callable[[Path], list[str]]:
    """A kilobyte: one value of 4 MB, 600 times."""

    def build(top: Path) -> list[str]:
        places = arrow.array([0, 1] * 300, arrow.int32())
        long = arrow.DictionaryArray.from_arrays(places, arrow.array([b"a" * 4_000_000, b"b"]))
        text = arrow.DictionaryArray.from_arrays(places, arrow.array(["a" * 4_000_000, "b"]))
        pictures = [saved(Image.fromarray(np.full((16, 16), i % 256, np.uint8)), "PNG") for i in range(600)]
        columns = {
            "image": lambda: {"image": long, "label": [0, 1] * 300},
            "label": lambda: {"image": pictures, "label": text},
            "group": lambda: {"image": pictures, "label": [0, 1] * 300, "patient": text},
            "unknown": lambda: {"image": pictures, "note": text},
            "large": lambda: {"image": pictures, "label": text.cast(arrow.large_string())},
            "unpacked": lambda: {"image": [bytes(300_000_000)]},
            "rows": lambda: {"image": [b"x"] * 3_000_000, "label": [1] * 3_000_000},
        }[kind]()
        options = {"dictionary_pagesize_limit": 1 << 30, "compression": "zstd", "store_schema": kind == "large"}
        write_table(arrow.table(columns), top / "x.parquet", **options)
        return ["data", "x.parquet"]

    return build


def archives() -> Iterator[Hostile]:
    yield Hostile(
        "zip, 10 BMP of 1 GB", zip_of(**{f"a/x{i}.bmp": lambda: b"BM" + bytes(100_000_000) for i in range(10)})
    )
    yield Hostile("zip, one BMP of 250 MB", zip_of(**{"a/x.bmp": lambda: b"BM" + bytes(250_000_000)}))
    yield Hostile(
        "zip, one BMP that packs ten times",
        zip_of(**{"a/x.bmp": lambda: b"BM" + np.random.default_rng(0).bytes(8_000_000) + bytes(150_000_000)}),
    )
    yield Hostile("zip, a table of 250 MB", zip_of(**{"labels.csv": lambda: b"file,label\n" + b"a\n" * 125_000_000}))
    yield Hostile("zip in a zip", zip_of(**{"inner.zip": lambda: b"PK\x03\x04" + bytes(100_000_000)}))
    yield Hostile("zip, 70,000 members", zip_named("", 70_000))
    yield Hostile("zip, names of 60,000 characters", zip_named("_" * 60_000, 75))
    yield Hostile("zip, a folder in 5,000 folders", zip_named("a/" * 5000, 100))
    yield Hostile("zip, members on the same bytes", overlapping)
    yield Hostile("npz, 300 MB of zeros", packed_arrays(300_000))
    yield Hostile("npz, 4 GB of zeros", packed_arrays(4_000_000))
    yield Hostile("npz, 120 MB of zeros", packed_arrays(117_000))
    for shape in ("(1000000000000,)", "(100000, 1000, 1000)", "(-5, 8, 8)"):
        yield Hostile(f"npz, forged shape {shape}", forged_array("|u1", shape, "x.npz"))
        yield Hostile(f"npy, forged shape {shape}", forged_array("|u1", shape, "x.npy"))
    yield Hostile("npz, text of 4 GB", forged_array("<U1000000000", "(1,)", "x.npz"))
    for kind in ("image", "label", "group", "unknown", "large", "unpacked", "rows"):
        yield Hostile(f"Parquet, {kind}", parquet(kind))


# --- tables ----------------------------------------------------------------------------------------------------------


def table(name: str, text: Callable[[], str]) -> Callable[[Path], list[str]]:
    def build(top: Path) -> list[str]:
        photos(top)
        (top / name).write_text(text())
        return ["data", "photos", "--table", name]

    return build


def tables() -> Iterator[Hostile]:
    head = "file,label\n"
    found = {
        "a cell of 4 MB": ("x.csv", lambda: head + f"a/0.png,{'a' * 4_000_000}\nb/1.png,b\n"),
        "a quoted cell of 9 MB": ("x.csv", lambda: head + f'a/0.png,"{"a" * 9_000_000}\n'),
        "5 million columns": ("x.csv", lambda: "," * 5_000_000 + "\na,b\n"),
        "9,000 columns, 1,000,000 lines": ("x.csv", lambda: "," * 9000 + "\n" + "a,b,c,d\n" * 1_000_000),
        "9,000 columns, 500 lines": (
            "x.csv",
            lambda: ",".join(map(str, range(9000))) + ("\n" + "0," * 8999 + "0") * 500,
        ),
        "2.4 million lines": ("x.csv", lambda: head + "1,a\n" * 2_400_000),
        "1.2 million lines": ("x.csv", lambda: head + "a/0.png,a\n" * 990_000),
        "900,000 files that are not there": ("x.csv", lambda: head + "".join(f"{i:07},a\n" for i in range(900_000))),
        "900,000 classes": ("x.csv", lambda: head + "".join(f"0,{i}\n" for i in range(900_000))),
        "nothing but quotes": ("x.csv", lambda: '"' * 9_000_000),
        "a label of 4 MB": ("x.jsonl", lambda: json.dumps({"file": "a/0.png", "label": "a" * 4_000_000})),
        "another key in each line": ("x.jsonl", lambda: "\n".join(f'{{"k{i}":1}}' for i in range(600_000))),
        "empty objects": ("x.jsonl", lambda: "{}\n" * 3_000_000),
        "lists in lists": ("x.json", lambda: "[" * 5_000_000 + "]" * 5_000_000),
        "3 million empty lists": ("x.json", lambda: f"[{'[],' * 3_000_000}[]]"),
        "3 million empty objects": ("x.json", lambda: f"[{'{},' * 3_000_000}{{}}]"),
        "1.2 million small objects": (
            "x.json",
            lambda: f"[{','.join(['{' + chr(34) + 'a' + chr(34) + ':1}'] * 1_200_000)}]",
        ),
        "a mapping of 900,000 names": ("x.json", lambda: json.dumps({str(i): 0 for i in range(700_000)})),
        "objects of COCO": (
            "x.json",
            lambda: json.dumps({"images": [{}] * 2_000_000, "annotations": [], "categories": []}),
        ),
        "a number of 9 million digits": ("x.json", lambda: '{"a/0.png": ' + "9" * 9_000_000 + "}"),
    }
    for kind, (name, text) in found.items():
        yield Hostile(f"{name.partition('.')[2].upper()}, {kind}", table(name, text))


# --- models, runs and studies ----------------------------------------------------------------------------------------


def resealed(path: Path, change: Callable[[dict], object]) -> None:
    """A sealed file changed by somebody who knows how it is sealed."""
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(files.sealed({k: v for k, v in found.items() if k != "sha256"})))


def tensors(change: Callable[[Path], bytes]) -> Callable[[Path], None]:
    """Another model.safetensors, with the hash that fits it."""

    def write(model: Path) -> None:
        data = change(model / "model.safetensors")
        (model / "model.safetensors").write_bytes(data)
        resealed(model / "config.json", lambda c: c["hashes"].update({"model.safetensors": files.sha256_of(data)}))

    return write


def header(text: bytes, length: int | None = None, rest: bytes = b"") -> Callable[[Path], None]:
    return tensors(lambda path: struct.pack("<Q", len(text) if length is None else length) + text + rest)


def on_same_bytes(count: int) -> bytes:
    tensor = {"dtype": "F32", "shape": [250_000], "data_offsets": [0, 1_000_000]}
    return json.dumps({f"t{i}": tensor for i in range(count)}).encode()


def text_in(name: str, text: Callable[[], str]) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text()) and None


def set_in(*keys: object, value: object) -> Callable[[Path], None]:
    def change(config: dict) -> None:
        *above, last = keys
        inner = config
        for key in above:
            inner = inner[key]
        inner[last] = value

    return lambda model: resealed(model / "config.json", change)


DEEP = lambda: "[" * 5_000_000  # noqa: E731
LINES = lambda: '{"a":1}\n' * 850_000  # noqa: E731
GENERATORS = {
    "a header of 2^63 bytes": header(b"", 1 << 63),
    "a header of 9 MB": header(b" " * 9_000_000),
    "a header of nested lists": header(b"[" * 4_000_000),
    "100,000 tensors on the same bytes": header(on_same_bytes(100_000), rest=bytes(1_000_000)),
    "a shape beyond all memory": header(
        b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4]}}', rest=bytes(4)
    ),
    "widths of a billion": set_in("generator", "net", "widths", value=[10**9]),
    "100,000 layers": set_in("generator", "net", "widths", value=[16] * 100_000),
    "images of 4096 a side": set_in("facts", "height", value=4096),
    "3 million classes": set_in("facts", "classes", value=3_000_000),
    "config.json of lists in lists": text_in("config.json", DEEP),
    "config.json of 9 MB": text_in("config.json", lambda: json.dumps({"kind": "generator", "a": [[]] * 1_500_000})),
}
RUNS = {
    "recipe.json of lists in lists": text_in("recipe.json", DEEP),
    "data.json of 9 MB": text_in("data.json", lambda: json.dumps({"a": [[]] * 1_500_000})),
    "log.jsonl of 200,000 lines": text_in("log.jsonl", lambda: '{"a":1}\n' * 200_000),
    "events.jsonl of 200,000 lines": text_in("events.jsonl", lambda: '{"a":1}\n' * 200_000),
    "log.jsonl of 850,000 lines": text_in("log.jsonl", LINES),
    "events.jsonl of 850,000 lines": text_in("events.jsonl", LINES),
    "log.jsonl of one line": text_in("log.jsonl", lambda: '{"a": "' + "a" * 7_000_000 + '"}\n'),
    "judged.jsonl of lists": text_in("judged.jsonl", lambda: "[]\n" * 2_000_000),
}
STUDIES = {
    "study.json of lists in lists": text_in("study.json", DEEP),
    "summary.json of 9 MB": text_in("summary.json", lambda: json.dumps({"a": [[]] * 1_500_000})),
    "results.jsonl of 850,000 lines": text_in("results.jsonl", LINES),
    "a name of 2 MB": lambda study: (
        (study / "summary.json").write_text(
            (study / "summary.json").read_text().replace('"digits"', json.dumps("a" * 3_000_000))
        )
        and None
    ),
}


def changed(kind: str, change: Callable[[Path], None], command: list[str]) -> Callable[[Path], list[str]]:
    def build(top: Path) -> list[str]:
        shutil.copytree(HARMLESS / kind, top / kind)
        change(top / kind)
        photos(top)
        return command

    return build


def folders() -> Iterator[Hostile]:
    for what, change in GENERATORS.items():
        yield Hostile(f"generator, {what}", changed("model", change, COMMANDS["sample"]), "sample")
    for what, change in GENERATORS.items():
        if "generator" not in what and "tensors" in what or "header" in what or "config" in what:
            yield Hostile(f"classifier, {what}", changed("classifier", change, COMMANDS["classify"]), "classify")
    for what, change in RUNS.items():
        yield Hostile(f"run, {what}", changed("run", change, COMMANDS["report run"]), "report run")
    for what, change in STUDIES.items():
        yield Hostile(f"study, {what}", changed("study", change, COMMANDS["report study"]), "report study")


# --- measuring -------------------------------------------------------------------------------------------------------

FORK = multiprocessing.get_context("fork")
PLACE = tempfile.TemporaryDirectory(prefix="sparring-hostile-")
HARMLESS = Path(PLACE.name) / "harmless"
COMMANDS = {
    "data": ["data", "photos"],
    "sample": ["sample", "model", "--grid", "grid.png"],
    "classify": ["classify", "classifier", "photos"],
    "report run": ["report", "run"],
    "report study": ["report", "study"],
}
MADE = (
    ["train", "digits", "-r", "mlp", "--images", "2k", "--out", "run", "--quiet"],
    ["fit", "photos", "-m", "logistic", "--out", "classifier", "--quiet"],
    "compare digits --methods majority,logistic --labels 5 --repeats 2 --out study --quiet".split(),
)  # fmt: skip


@dataclass(frozen=True)
class Measured:
    code: int
    seconds: float
    busy: float
    mb: float
    said: str


def measured(command: list[str], folder: Path) -> Measured:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))

    start = time.perf_counter()
    with (folder / "said").open("w+b") as said:
        words = [sys.executable, "-m", "sparring", *command]
        child = subprocess.Popen(words, cwd=folder, stdout=said, stderr=said, preexec_fn=limited)  # noqa: PLW1509
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        lines = said.read().decode("utf-8", "replace").split("\n")
    line = next((line for line in lines if line.startswith("error[")), "") or next(
        (line for line in lines if "left out" in line or "would" in line), lines[0]
    )
    busy = used.ru_utime + used.ru_stime
    return Measured(child.returncode, time.perf_counter() - start, busy, used.ru_maxrss / 1000, line)


def made(folder: Path) -> None:
    """Make the harmless inputs: pictures, a run, its model, a classifier, a study."""
    folder.mkdir()
    photos(folder)
    for command in MADE:
        if (code := measured(command, folder).code) != 0:
            raise SystemExit(f"{' '.join(command)} ended with {code}")
    shutil.copytree(folder / "run" / "model", folder / "model")


def apart(build: Callable[[Path], list[str]], top: Path) -> list[str]:
    """Build an input in a process of its own: what this one takes would count as that of the command."""
    told = FORK.SimpleQueue()
    child = FORK.Process(target=lambda: told.put(build(top)))
    child.start()
    command = told.get()
    child.join()
    return command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only kinds that match this regular expression")
    parser.add_argument(
        "--harmless", type=Path, help="a folder for the harmless inputs, which are made where it is new"
    )
    given = parser.parse_args()
    rows: list[tuple[str, str, Measured]] = []
    with PLACE as name:
        if given.harmless and given.harmless.exists():
            shutil.copytree(given.harmless, HARMLESS)
        else:
            made(HARMLESS)
            if given.harmless:
                shutil.copytree(HARMLESS, given.harmless)
        base: dict[str, Measured] = {}
        print("| kind | command | exit | seconds | of the processor | MB above base | what was said |")
        print("|---|---|---|---|---|---|---|")
        for each in (*images(), *archives(), *tables(), *folders()):
            if not re.search(given.only, each.kind):
                continue
            if each.base not in base:
                base[each.base] = measured(COMMANDS[each.base], HARMLESS)
            top = Path(name) / "hostile"
            top.mkdir()
            command = apart(each.build, top)
            size = sum(path.stat().st_size for path in top.rglob("*") if path.is_file())
            assert size <= 1.1 * LARGEST, (each.kind, size)
            found = measured(command, top)
            above = Measured(found.code, found.seconds, found.busy, found.mb - base[each.base].mb, found.said)
            rows.append((each.kind, " ".join(command), above))
            said = above.said.replace("|", "\\|").replace(str(top), "")[:150]
            print(f"| {each.kind} | `{' '.join(command)}` | {above.code} | {above.seconds:.1f} | {above.busy:.1f} | "
                  f"{above.mb:.0f} | {said} |", flush=True)  # fmt: skip
            shutil.rmtree(top)
    print(f"\nBase: {', '.join(f'`{kind}` {each.mb:.0f} MB and {each.busy:.1f} s' for kind, each in base.items())}.")
    largest, longest = max(rows, key=lambda row: row[2].mb), max(rows, key=lambda row: row[2].busy)
    print(f"Most memory: {largest[0]}, {largest[2].mb:.0f} MB. Most time: {longest[0]}, {longest[2].busy:.1f} s of the "
          f"processor. Limits: {MOST_MB} MB, {MOST_SECONDS} s.")  # fmt: skip
    over = [kind for kind, _, each in rows if each.mb > MOST_MB or each.busy > MOST_SECONDS]
    odd = [kind for kind, _, each in rows if each.code not in (0, 2, 3, 4, 5)]
    print(f"Beyond the limits: {', '.join(over) or 'none'}. Ended with another code than 0 and 2 to 5: "
          f"{', '.join(odd) or 'none'}.")  # fmt: skip


if __name__ == "__main__":
    main()
