"""Bad data, one row each: what the user passes, and what the error must say. The same rows go through the library and
the command line.

A builder makes the input below an empty folder and returns what is to be passed as DATA.
"""

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

Builder = Callable[[Path], str]


@dataclass(frozen=True)
class BadInput:
    """`says`: a regular expression found in the error; `options`: further options of `load` (and of the command)."""

    id: str
    build: Builder
    says: str
    exit_code: int = 3
    options: dict = field(default_factory=dict)


def pixels(seed: int, height: int = 12, width: int = 10, channels: int = 1) -> np.ndarray:
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write_image(path: Path, seed: int, **kinds) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(seed, **kinds)).save(path)
    return path


def class_folders(top: Path, *, classes=("cat", "dog"), each: int = 4) -> Path:
    for number, name in enumerate(classes):
        for i in range(each):
            write_image(top / name / f"{i}.png", 100 * number + i)
    return top


def png_header(width: int, height: int, *, bits: int = 8, colour: int = 2) -> bytes:
    """A PNG that claims any size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def encoded(kind: str, seed: int = 0, **kinds) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels(seed, **kinds)).save(buffer, kind)
    return buffer.getvalue()


def npz(path: Path, **arrays) -> str:
    np.savez(path, **arrays)
    return str(path)


# Paths


def missing(top: Path) -> str:
    class_folders(top / "photos")
    return str(top / "photo")


def missing_inside(top: Path) -> str:
    class_folders(top / "photos")
    return str(top / "photos" / "cast")


def file_as_folder(top: Path) -> str:
    return str(write_image(top / "one.png", 0) / "cat")


def single_image(top: Path) -> str:
    return str(write_image(top / "one.png", 0))


def text_file(top: Path) -> str:
    (top / "notes.txt").write_text("hello")
    return str(top / "notes.txt")


def fifo(top: Path) -> str:
    os.mkfifo(top / "pipe")
    return str(top / "pipe")


# Folders


def empty_folder(top: Path) -> str:
    (top / "photos").mkdir()
    return str(top / "photos")


def other_files(top: Path) -> str:
    folder = Path(empty_folder(top))
    for name in ("a.txt", "b.txt", "c.docx"):
        (folder / name).write_text("text")
    return str(folder)


def archive_in_folder(top: Path) -> str:
    folder = Path(empty_folder(top))
    np.savez(folder / "data.npz", images=np.zeros((2, 8, 8), np.uint8))
    return str(folder)


def too_deep(top: Path) -> str:
    class_folders(top / "photos" / "images")
    class_folders(top / "photos" / "masks")
    return str(top / "photos")


def parts_and_others(top: Path) -> str:
    class_folders(top / "photos" / "train")
    class_folders(top / "photos" / "test")
    class_folders(top / "photos", classes=("extra",))
    return str(top / "photos")


def empty_class(top: Path) -> str:
    folder = class_folders(top / "photos")
    (folder / "bird").mkdir()
    return str(folder)


def heic_class(top: Path) -> str:
    folder = Path(empty_class(top))
    (folder / "bird" / "1.heic").write_bytes(b"\0\0\0\x18ftypheic")
    return str(folder)


def folder_each(top: Path) -> str:
    for i in range(30):
        write_image(top / "photos" / f"person{i}" / "1.png", i)
    return str(top / "photos")


# Files


def mostly(broken: bytes, name: str = "broken.png") -> Builder:
    """Two good images and four that are not."""

    def build(top: Path) -> str:
        folder = class_folders(top / "photos", each=1)
        for i in range(4):
            (folder / "cat" / f"{i}{name}").write_bytes(broken)
        return str(folder)

    return build


def many_broken(top: Path) -> str:
    """22 of 200: under half, above the limit all the same."""
    folder = class_folders(top / "photos", each=89)
    for i in range(22):
        (folder / "cat" / f"broken{i}.png").write_bytes(b"")
    return str(folder)


def class_of_broken(top: Path) -> str:
    folder = class_folders(top / "photos", each=5)
    write_image(folder / "bird" / "1.png", 7).write_bytes(b"")
    return str(folder)


def identical(top: Path) -> str:
    for i in range(6):
        write_image(top / "photos" / "cat" / f"{i}.png", 1)
    return str(top / "photos")


def black(top: Path) -> str:
    for i in range(6):
        path = write_image(top / "photos" / "cat" / f"{i}.png", 1)
        Image.fromarray(np.zeros((12, 10), np.uint8)).save(path)
    return str(top / "photos")


def tiny(top: Path) -> str:
    for i in range(6):
        write_image(top / "photos" / "cat" / f"{i}.png", i, height=6, width=6)
    return str(top / "photos")


# labels.csv


def labelled_by(text: str | bytes, files: int = 3) -> Builder:
    def build(top: Path) -> str:
        for i in range(files):
            write_image(top / "photos" / f"{i}.png", i)
        (top / "photos" / "labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(top / "photos")

    return build


# Archives and tables


def zip_file(top: Path) -> str:
    with zipfile.ZipFile(top / "photos.zip", "w") as archive:
        for path in sorted(class_folders(top / "photos").rglob("*.png")):
            archive.write(path, path.relative_to(top))
    return str(top / "photos.zip")


def zip_inside_missing(top: Path) -> str:
    return zip_file(top) + "/photo"


def broken_zip(top: Path) -> str:
    path = Path(zip_file(top))
    path.write_bytes(path.read_bytes()[:300])
    return str(path)


def not_a_zip(top: Path) -> str:
    (top / "photos.zip").write_text("<html>404</html>")
    return str(top / "photos.zip")


def unsafe_zip(top: Path) -> str:
    with zipfile.ZipFile(top / "photos.zip", "w") as archive:
        for name in ("../x.png", "/abs.png", "a/../../y.png", "..\\z.png", "C:\\w.png"):
            archive.writestr(name, encoded("PNG"))
    return str(top / "photos.zip")


def encrypted_zip(top: Path) -> str:
    path = Path(zip_file(top))
    raw = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # sets the bit that says "encrypted"
        at = raw.find(mark)
        while at >= 0:
            raw[at + place] |= 1
            at = raw.find(mark, at + 4)
    path.write_bytes(bytes(raw))
    return str(path)


def object_npz(top: Path) -> str:
    return npz(top / "data.npz", images=np.array([pixels(0), "x"], dtype=object), labels=np.array([0, 1]))


def zeros(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)


def labels_of(labels, images: int = 6) -> Builder:
    return lambda top: npz(top / "data.npz", images=zeros(images, 8, 8), labels=np.array(labels))


def images_of(make: Callable[[], np.ndarray]) -> Builder:
    def build(top: Path) -> str:
        images = make()
        return npz(top / "data.npz", images=images, labels=np.arange(len(images)) % 2)

    return build


def with_nan() -> np.ndarray:
    images = np.random.default_rng(0).random((6, 8, 8))
    images[2, 3, 4] = np.nan
    images[5, 0, 0] = np.inf
    return images


def parquet(top: Path, columns: dict) -> str:
    import pyarrow as arrow
    from pyarrow.parquet import write_table

    write_table(arrow.table(columns), top / "train.parquet")
    return str(top / "train.parquet")


def cut_parquet(top: Path) -> str:
    path = Path(parquet(top, {"image": [{"bytes": encoded("PNG")}], "label": [0]}))
    path.write_bytes(path.read_bytes()[:-20])
    return str(path)


BAD_INPUTS = (
    BadInput("B01-missing", missing, r"photo does not exist, did you mean photos\? Fix: name digits, a folder"),
    BadInput("B01-missing-inside", missing_inside, r"cast does not exist, did you mean cat\?"),
    BadInput("B01-empty-name", lambda _: "", r"'' is not a path"),
    BadInput("B01-nul-in-name", lambda _: "a\0b", r"is not a path"),
    BadInput("B02-file-as-folder", file_as_folder, r"one.png is a file, not a folder"),
    BadInput("B02-single-image", single_image, r"one.png is a single image. Fix: pass its folder"),
    BadInput("B02-text-file", text_file, r"notes.txt is a .txt file, which holds no images"),
    BadInput("B02-fifo", fifo, r"pipe is neither a file nor a folder"),
    BadInput("B03-empty-folder", empty_folder, r"no images in .*photos: looked for png, jpg, .*; it is empty"),
    BadInput("B04-other-files", other_files, r"found 3 other files \(2 .txt, 1 .docx\)"),
    BadInput("B04-archive-inside", archive_in_folder, r"Fix: pass .*photos/data.npz, if that is meant\.$"),
    BadInput("B05-too-deep", too_deep, r"which folder is the class\? Fix: pass .*photos/images or .*photos/masks"),
    BadInput("B05-parts-and-others", parts_and_others, r"beside train/ and test/ .* holds extra/"),
    BadInput("B09-empty-class", empty_class, r"class folder .*photos/bird holds no images"),
    BadInput("B09-heic-class", heic_class, r"bird holds only .heic files; looked for png"),
    BadInput("B10-folder-each", folder_each, r"30 classes for 30 labelled images, about one image a class"),
    BadInput("B11-zero-bytes", mostly(b""), r"4 of 6 images .*cat/0broken.png \(empty file \(0 bytes\)\)"),
    BadInput("B12-truncated-png", mostly(encoded("PNG")[:90]), r"0broken.png \(truncated\)"),
    BadInput("B12-truncated-jpeg", mostly(encoded("JPEG", height=64, width=64)[:900], ".jpg"), r"0.jpg \(truncated\)"),
    BadInput("B12-damaged-header", mostly(encoded("PNG")[:20]), r"0broken.png \(truncated\)"),
    BadInput("B13-web-page", mostly(b"<html><body>404</body></html>"), r"not an image: starts with '<html><body>404"),
    BadInput("B13-photoshop", mostly(b"8BPS" + bytes(40)), r"Photoshop is not supported"),
    BadInput("B13-bytes", mostly(bytes(range(200, 240))), r"starts with the bytes c8 c9"),
    BadInput("B11-many-broken", many_broken, r"22 of 200 images .* and 17 more"),
    BadInput("B11-class-of-broken", class_of_broken, r"no image of class 'bird' can be read: bird/1.png"),
    BadInput("B18-bomb", mostly(png_header(20_000, 20_000)), r"0broken.png \(.*pixels, more than the limit of 64 mill"),
    BadInput("B18-bomb-9000", mostly(png_header(9_000, 9_000)), r"9000 x 9000 pixels, more than the limit"),
    BadInput("B24-tiny", tiny, r"6x6 pixels; sides from 8 up are needed"),
    BadInput("B24-flat", mostly(encoded("PNG", height=1, width=3000)), r"1x3000 pixels; sides from 8 up"),
    BadInput("B26-identical", identical, r"all 6 images of photos are the same"),
    BadInput("B26-black", black, r"all 6 images of photos are black"),
    BadInput(
        "B33-no-header", labelled_by("0.png,cat\n1.png,dog\n"), r"line 1: no column file and label.*'0.png', 'cat'"
    ),
    BadInput("B33-no-label", labelled_by("file,name\n0.png,cat\n"), r"no column label; the columns are 'file', 'name'"),
    BadInput("B33-short-line", labelled_by("file,label\n0.png,cat\n1.png\n"), r"line 3: 1 cells where 2 are needed"),
    BadInput("B33-quotes", labelled_by('file,label\n0.png,"cat\n1.png,dog\n'), r"line 3: unexpected end of data"),
    BadInput("B33-not-utf8", labelled_by(b"file,label\n0.png,caf\xe9\n"), r"line 2: not UTF-8"),
    BadInput("B33-nul", labelled_by(b"file,label\n0.png,\0\n"), r"line 2: not a text file"),
    BadInput("B33-empty", labelled_by(""), r"line 1: no column file and label; the columns are nothing"),
    BadInput("B33-no-rows", labelled_by("file,label\n"), r"labels no image"),
    BadInput("B33-part", labelled_by("file,label,part\n0.png,cat,exam\n"), r"line 2: part 'exam'"),
    BadInput(
        "B34-missing-files", labelled_by("file,label\n0.png,a\n7.png,b\n"), r"1 files .*\(line 3: 7.png\), did you"
    ),
    BadInput("B34-outside", labelled_by("file,label\n../0.png,cat\n"), r"line 2: ../0.png"),
    BadInput(
        "B36-twice",
        labelled_by("file,label\n0.png,a\n1.png,a\n0.png,b\n"),
        r"0.png as 'a' in line 2 and as 'b' in line 4",
    ),
    BadInput("B38-negative", labels_of([0, 1, -5, 0, 1, 2]), r"label -5: below -1"),
    BadInput("B38-float", labels_of([0.0, 1.0, 1.5, 0, 1, 0]), r"labels holds float64 values; accepted: whole numbers"),
    BadInput("B38-one-hot", labels_of(np.eye(6, dtype=int)), r"labels has shape \(6, 6\).*argmax"),
    BadInput("B43-nan", images_of(with_nan), r"images holds 2 values NaN or infinite, first at \(2, 3, 4"),
    BadInput(
        "B44-range", images_of(lambda: zeros(6, 8, 8) % 17 * 1.0), r"holds values 0..16, and black and white cannot"
    ),
    BadInput("B44-complex", images_of(lambda: zeros(6, 8, 8) * 1j), r"images holds complex128 values, not numbers"),
    BadInput("B44-text", images_of(lambda: np.full((4, 8, 8), "a")), r"images holds <U1 values, not numbers"),
    BadInput("B45-rank", images_of(lambda: zeros(6, 64)), r"images has shape \(6, 64\); accepted: \[N, H, W\]"),
    BadInput("B45-two-channels", images_of(lambda: zeros(6, 8, 8, 2)), r"shape \(6, 8, 8, 2\)"),
    BadInput("B45-one-image", images_of(lambda: zeros(32, 32, 3)), r"shape \(32, 32, 3\).*images\[None\]"),
    BadInput("B45-none", images_of(lambda: zeros(0, 8, 8)), r"shape \(0, 8, 8\).*at least one image"),
    BadInput("B45-small", images_of(lambda: zeros(6, 7, 7)), r"sides of at least 8"),
    BadInput("B46-lengths", labels_of([0, 1, 0], images=6), r"labels has 3 labels for 6 images"),
    BadInput(
        "B48-keys", lambda top: npz(top / "d.npz", a=zeros(2, 8, 8)), r"has the keys a; looked for images, labels"
    ),
    BadInput("B48-pickle", object_npz, r"images in .*data.npz holds Python objects, which only pickle can read"),
    BadInput("S21-unsafe-zip", unsafe_zip, r"no images in .*photos.zip.*5 entries could not be read"),
    BadInput("S25-encrypted-zip", encrypted_zip, r"8 of 8 images .*\(encrypted\)"),
    BadInput("S25-broken-zip", broken_zip, r"cannot read .*photos.zip: File is not a zip file"),
    BadInput("S25-not-a-zip", not_a_zip, r"photos.zip is damaged: it does not start like a .zip file"),
    BadInput("zip-inside-missing", zip_inside_missing, r"no folder photo in .*photos.zip, did you mean photos\?"),
    BadInput("parquet-cut", cut_parquet, r"cannot read .*train.parquet: "),
    BadInput("parquet-columns", lambda top: parquet(top, {"a": [1], "b": ["x"]}), r"its columns are a \(int64\), b \("),
    BadInput("size-small", lambda top: str(class_folders(top / "photos")), r"size 4 is not", 2, {"size": 4}),
)
