"""What a few bytes may not ask for: memory, work, and names without end. See also test_data_hostile.py."""

import io
import json
import struct
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pytest
from bad_inputs import class_folders, encoded, png_header
from PIL import Image
from pyarrow.parquet import write_table

from sparring import images
from sparring.data import contact_sheet, load, matching
from sparring.data.labels import encode_labels
from sparring.data.matching import ImageFinder
from sparring.data.spellings import divided, mask_stem, words_of
from sparring.data.trees import Tree
from sparring.errors import DataError, SparringError, UsageError, suggestion
from sparring.images import BadImage, limits, load_image

LONG = "a" * 4_000_000


# --- one image -------------------------------------------------------------------------------------------------------

WEBP_OF_64_MILLION_PIXELS = bytes.fromhex("524946461c00000057454250 5650384c0f0000002f3fdfcf070710fd8ffe0722a2ff0100")


@pytest.mark.parametrize(
    ("raw", "takes"),
    [
        (png_header(8000, 8000, bits=16, colour=6), 512),  # red, green, blue and alpha
        (png_header(8000, 8000, bits=16, colour=4), 512),  # grey and alpha
        (WEBP_OF_64_MILLION_PIXELS, 1024),
    ],
    ids=["rgba-16", "grey-alpha-16", "webp"],
)
def test_an_image_that_takes_too_much_memory_is_refused(raw, takes):  # S26
    with pytest.raises(BadImage, match=rf"8000 x 8000 pixels of \w+ take {takes:,} MB to decode, more than the limit"):
        load_image(raw)


@pytest.mark.parametrize(
    ("bits", "colour"), [(8, 2), (8, 0), (16, 0), (8, 3)], ids=["rgb", "grey", "grey-16", "palette"]
)
def test_other_images_of_64_million_pixels_are_not_refused_for_their_size(bits, colour):
    with pytest.raises(BadImage, match="truncated|damaged|palette"):
        load_image(png_header(8000, 8000, bits=bits, colour=colour))


def progressive(scans: int, side: int = 16) -> bytes:
    """A JPEG with its last scan many times."""
    raw = encoded_jpeg(side)
    last = raw.rindex(limits.SCAN)
    return raw[:last] + raw[last:-2] * (scans - raw[:last].count(limits.SCAN)) + raw[-2:]


def encoded_jpeg(side: int, mode: str = "RGB", **options) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (side, side)).save(buffer, "JPEG", progressive=True, **options)
    return buffer.getvalue()


def test_a_jpeg_of_very_many_scans_is_refused():  # S26
    assert load_image(progressive(limits.SCAN_LIMIT)).shape == (16, 16, 3)
    with pytest.raises(BadImage, match="a JPEG of 1,500 scans, more than the limit of 100"):
        load_image(progressive(1500))


def test_the_coefficients_of_a_progressive_jpeg_count_at_its_full_size(monkeypatch):
    """Decoded at an eighth it takes hardly any memory beside them."""
    raw = encoded_jpeg(800, "CMYK", subsampling=0)
    needed = 2 * 4 * 800 * 800 + 8 * 100 * 100
    monkeypatch.setattr(limits, "MEMORY_LIMIT", needed)
    assert load_image(raw, size=(16, 16)).shape == (16, 16, 3)
    monkeypatch.setattr(limits, "MEMORY_LIMIT", needed - 1)
    with pytest.raises(BadImage, match="800 x 800 pixels of JPEG take 5 MB to decode"):
        load_image(raw, size=(16, 16))


def test_turning_an_image_upright_takes_a_second_copy(monkeypatch):
    turned, buffer = Image.Exif(), io.BytesIO()
    turned[0x0112] = 6
    Image.new("RGB", (100, 50)).save(buffer, "PNG", exif=turned)
    monkeypatch.setattr(limits, "MEMORY_LIMIT", 2 * 4 * 100 * 50)
    assert load_image(buffer.getvalue()).shape == (100, 50, 3)
    monkeypatch.setattr(limits, "MEMORY_LIMIT", 2 * 4 * 100 * 50 - 1)
    with pytest.raises(BadImage, match="100 x 50 pixels"):
        load_image(buffer.getvalue())


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_tile_by_tile_is_as_at_once(monkeypatch, mode, channels):
    noise = np.random.default_rng(0).integers(0, 256, (50, 70, 4), dtype=np.uint8)
    image = Image.fromarray(noise, "RGBA")
    if mode == "I;16":
        image = Image.fromarray(noise.view("<u2")[..., 0])
    elif mode == "P":
        image = Image.fromarray(noise[..., 0], "P")
        image.putpalette(noise.reshape(-1)[:768].tolist())
        image.info["transparency"] = 7
    else:
        image = image.convert(mode)
    whole = load_image(image, channels=channels)
    monkeypatch.setattr(images, "TILE", 16)
    assert (load_image(image, channels=channels) == whole).all()


def photograph() -> tuple[bytes, bytes]:
    """A photograph that says where it was taken, and the same without all that it says."""
    image, exif, buffer = Image.fromarray(np.full((32, 32, 3), 90, np.uint8)), Image.Exif(), io.BytesIO()
    exif[0x010F] = "Camera of Anna"
    exif.get_ifd(0x8825).update({1: "N", 2: (47.0, 22.0, 33.0)})
    image.save(buffer, "JPEG", exif=exif, comment=b"at home", icc_profile=b"profile of Anna")
    plain = io.BytesIO()
    image.save(plain, "JPEG")
    return buffer.getvalue(), plain.getvalue()


def test_what_a_photograph_says_of_itself_is_in_nothing_that_is_written(tmp_path):  # S60
    raw, plain = photograph()
    assert (load_image(raw) == load_image(plain)).all()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for i in range(2):
            (tmp_path / folder / f"{i}.jpg").write_bytes(raw)
    images.save_png(tmp_path / "sheet.png", contact_sheet(load(str(tmp_path), alike=True)), text={"Title": "x"})
    written = (tmp_path / "sheet.png").read_bytes()
    assert b"Anna" in raw and not any(word in written for word in (b"Anna", b"at home", b"eXIf", b"iCCP"))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["profile", "tags", "loop"])
def test_what_a_photograph_says_of_itself_costs_nothing(kind):  # S28
    """A profile of 4 MB, 60,000 tags that all hold the same 2 MB, a list of tags that leads to itself."""
    image, buffer = Image.fromarray(np.full((32, 32, 3), 90, np.uint8)), io.BytesIO()
    tags = b"".join(struct.pack("<HHII", 1000 + i, 7, 2_000_000, 8) for i in range(60_000))
    many = b"II*\0" + struct.pack("<I", 2_000_000) + bytes(1_999_992) + struct.pack("<H", 60_000) + tags + bytes(4)
    loop = b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x8769, 4, 1, 8, 8)
    options = {"profile": {"icc_profile": bytes(4_000_000)}, "tags": {"exif": b"Exif\0\0" + many},
               "loop": {"exif": b"Exif\0\0" + loop}}[kind]  # fmt: skip
    image.save(buffer, "JPEG" if kind == "profile" else "PNG", **options)
    tracemalloc.start()
    assert abs(load_image(buffer.getvalue()).astype(int) - 90).max() <= 1
    assert tracemalloc.get_traced_memory()[1] < 40 << 20
    tracemalloc.stop()


# --- many images -----------------------------------------------------------------------------------------------------


def test_images_that_unpack_to_very_much_are_refused_together(tmp_path, monkeypatch):  # S22
    """Thousands of large pictures of one colour in a small zip would take hours."""
    monkeypatch.setattr(limits, "ANY_VALUES", 1_000_000)
    blank = io.BytesIO()
    Image.new("RGB", (800, 800)).save(blank, "PNG")
    for archive in (False, True):
        source = str(tmp_path / ("x.zip" if archive else "photos"))
        if archive:
            with zipfile.ZipFile(source, "w") as file:
                for i in range(8):
                    file.writestr(f"{'ab'[i % 2]}/{i}.png", blank.getvalue())
        else:
            for path in class_folders(Path(source)).glob("*/*.png"):
                path.write_bytes(blank.getvalue())
        with pytest.raises(DataError, match=r"image-bomb\]: images in .*(x.zip|photos) would unpack 0.0 MiB to 2 MiB"):
            load(source)
    monkeypatch.setattr(limits, "VALUES_A_BYTE", 10_000)
    assert len(load(str(tmp_path / "photos"), alike=True)) == 8


def test_a_member_of_a_zip_that_unpacks_to_very_much_is_left_out(tmp_path):  # S22
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(24):
            archive.writestr(f"{'ab'[i % 2]}/{i}.png", encoded("PNG", i))
        archive.writestr("a/big.bmp", b"BM" + bytes(70_000_000))
        archive.writestr("index.csv", "file,label\n" + "0.png,cat\n" * 1_000_000)
    found = load(str(tmp_path / "x.zip"))
    assert found.notes.bad_files == (("a/big.bmp", "67 MiB when unpacked, limit 64 MiB"),)
    assert [why for path, why in found.notes.unread if path.endswith("index.csv")] == [
        "10 MiB when unpacked, limit 8 MiB"
    ]


def test_arrays_that_unpack_to_very_much_are_not_unpacked(tmp_path):  # S22
    path = tmp_path / "x.npz"
    np.savez_compressed(path, images=np.zeros((140_000, 32, 32), np.uint8), labels=np.arange(140_000) % 2)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"zip-bomb\]: .*x.npz would unpack 0.\d MiB to 13\d MiB. .*numpy.savez"):
        load(str(path))
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()


# --- names -----------------------------------------------------------------------------------------------------------


def named(top: Path, kind: str, long: str, *, column: str = "label") -> str:
    """Eight images of two classes, or groups, one of which has this name."""
    names = [("b", long)[i % 2] for i in range(8)]
    pictures = [encoded("PNG", i) for i in range(8)]
    if kind == "npz":
        np.savez(top / "x.npz", images=np.stack([np.full((8, 8), 9 * i, np.uint8) for i in range(8)]), labels=names)
        return str(top / "x.npz")
    if kind in ("parquet", "large parquet"):
        text = arrow.array(names, arrow.large_string() if kind == "large parquet" else arrow.string())
        write_table(arrow.table({"image": pictures, column: text}), top / "x.parquet")
        return str(top / "x.parquet")
    rows = [{"file": f"{i}.png", column: name} for i, name in enumerate(names)]
    table = "\n".join(map(json.dumps, rows)) if kind == "jsonl" else json.dumps(rows)
    if kind == "csv":
        table = "file,label\n" + "\n".join(f"{row['file']},{row[column]}" for row in rows)
    with zipfile.ZipFile(top / "x.zip", "w") as archive:
        for i, picture in enumerate(pictures):
            archive.writestr(f"{names[i]}/{i}.png" if kind == "folders" else f"{i}.png", picture)
        if kind != "folders":
            archive.writestr(f"labels.{kind}", table)
    return str(top / "x.zip")


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", ["npz", "parquet", "large parquet", "jsonl", "json", "csv"])
def test_a_class_has_a_name_of_a_length_that_can_be_shown(tmp_path, kind):  # B30
    assert max(map(len, load(named(tmp_path, kind, "a" * 255)).classes)) == 255
    with pytest.raises(
        DataError, match=r"name-long\]: a class in .* has a name of more than 255 characters: 'aaa"
    ) as no:
        load(named(tmp_path, kind, "a" * 20_000))
    assert len(str(no.value)) < 400


@pytest.mark.parametrize("kind", ["parquet", "large parquet"])
def test_a_group_has_a_name_of_a_length_that_can_be_shown(tmp_path, kind):
    with pytest.raises(DataError, match=r"name-long\]: a group has a name of more than 255 characters: 'aaa"):
        load(named(tmp_path, kind, "a" * 20_000, column="patient"), group="patient")


@pytest.mark.timeout(30)
def test_long_names_of_files_and_folders_take_no_time(tmp_path):
    """To divide a name into known words, and to find the end of it, must not take the power or square of its length."""
    assert divided("a" * 60) == ("a" * 60,) and divided("set" * 19 + "x") and divided("trainset") == ("train", "set")
    assert words_of("a " * 1_000_000) == ["a"] * 128 and mask_stem("_" * 60_000) is None
    assert len(load(named(tmp_path, "folders", "a" * 255)).classes) == 2
    found = load(named(tmp_path, "folders", "_" * 60_000))
    assert found.notes.bad_files[0] == ("_" * 255, "its name is longer than files may have")


def test_a_long_label_does_not_make_all_labels_long():
    """An array of a fixed width would give each of 300,000 labels the room of the longest: 306 MB."""
    given = ["a" * 255] + ["b", "c"] * 150_000
    tracemalloc.start()
    found = encode_labels(given)
    assert tracemalloc.get_traced_memory()[1] < 30 << 20
    tracemalloc.stop()
    assert found.names == ["a" * 255, "b", "c"] and found.codes[:3].tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="name of more than 255 characters"):
        encode_labels([LONG] + ["b"] * 1000)


@pytest.mark.parametrize("column", ["patient", "note"])
def test_a_text_that_repeats_in_another_column_is_not_held_many_times(tmp_path, column):
    """Columns are looked through for labels and groups though nobody asked. 600 times 4 MB would be 2.4 GB."""
    text = arrow.DictionaryArray.from_arrays(arrow.array([0, 1] * 300, arrow.int32()), arrow.array([LONG, "b"]))
    table = arrow.table({"image": [encoded("PNG", i) for i in range(600)], column: text})
    write_table(table, tmp_path / "x.parquet", store_schema=False, dictionary_pagesize_limit=1 << 30)
    tracemalloc.start()
    with suppress(DataError):  # it may be taken for the label
        load(str(tmp_path / "x.parquet"))
    assert tracemalloc.get_traced_memory()[1] < 60 << 20
    tracemalloc.stop()


def test_too_many_classes_are_no_classes():
    with pytest.raises(DataError, match=r"classes-many\]: y has 70,000 classes"):
        encode_labels([f"class {i}" for i in range(70_000)])


def test_long_names_are_compared_with_none_and_not_shown_whole():
    assert suggestion(LONG, [LONG + "b"]) == "" and suggestion("cta", [LONG, "cat"]) == ", did you mean cat?"
    said = str(UsageError("x", f"{LONG} is unknown", fix="shorten it"))
    assert len(said) < 2100 and said.endswith("aaa .... Fix: shorten it.")


# --- tables ----------------------------------------------------------------------------------------------------------


def tables():
    yield "columns", "csv", "," * 20_000 + "\na,b\n", "20,001 columns"
    yield "lines", "csv", "f,l\n" + "a\n" * 3_000_000, "3,000,001 lines or objects in 6,000,004 characters"
    yield (
        "ragged",
        "csv",
        "," * 9_000 + "\n" + "a,b,c,d,e\n" * 1000,
        "9,001 columns and 1,000 lines, nearly all cells empty",
    )
    yield "keys", "jsonl", "\n".join(f'{{"k{i}": 1}}' for i in range(5000)), "5,000 columns and 5,000 lines, nearly all"
    yield "objects", "json", f"[{'{},' * 1_000_000}{{}}]", "1,000,001 lines or objects in 3,000,004 characters"
    yield (
        "coco",
        "json",
        f'{{"images": [{"{}," * 1_000_000}{{}}]}}',
        "1,000,001 lines or objects in 3,000,016 characters",
    )


@pytest.mark.parametrize(("name", "kind", "text", "said"), [pytest.param(*row, id=row[0]) for row in tables()])
def test_a_table_is_looked_through_in_proportion_to_its_size(tmp_path, name, kind, text, said):  # S50
    class_folders(tmp_path / "photos")
    (tmp_path / f"labels.{kind}").write_text(text)
    with pytest.raises(DataError, match=rf"labels-csv\]: .*labels\.{kind} has {said}"):
        load(str(tmp_path / "photos"), table=tmp_path / f"labels.{kind}")


def test_json_that_is_nested_deeply_is_no_table(tmp_path):  # S12
    class_folders(tmp_path / "photos")
    for depth in (900, 100_000):
        (tmp_path / "labels.json").write_text('{"0.png": ' + "[" * depth + "]" * depth + "}")
        with pytest.raises(SparringError, match="labels-"):
            load(str(tmp_path / "photos"), table=tmp_path / "labels.json")


def test_names_in_other_folders_are_found_without_a_look_at_all_images(monkeypatch):
    """A thousand folders that each hold a 1.png, and a table whose paths start elsewhere."""
    there = [f"p{i}/1.png" for i in range(1000)]
    looks, fit = [], matching._folders_fit
    monkeypatch.setattr(matching, "_folders_fit", lambda *folders: looks.append(folders) or fit(*folders))
    finder = ImageFinder(Tree(top="photos", name="photos", read=str, images=there))
    assert [finder.find(f"data/{path}").paths for path in there * 2] == [(path,) for path in there * 2]
    assert len(looks) == 1000
    assert len(finder.find("elsewhere/1.png").paths) == 1000
