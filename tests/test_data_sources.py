"""The same twelve images, written in every layout, give the same ImageSet; what is done to odd ones is said."""

import io
import json
import re
import zipfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from bad_inputs import class_folders, npz, pixels, write_image
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sparring import devices
from sparring.data import OWN_SIZE, SMALL, ImageSet, SizeRule, describe, load, storage
from sparring.data.names import natural, ordered
from sparring.errors import DataError, MissingData, SparringError, UsageError
from sparring.images import decoded as as_before

CLASSES = ("bird", "cat", "dog")
IMAGES = np.stack([pixels(i, 12, 10, 3) for i in range(12)])
LABELS = np.arange(12) // 4
PARTS = np.array(["train", "train", "train", "test"] * 3)


# Layouts: each writes the twelve images and says whether it can tell parts, and names


def name(i: int) -> str:
    return f"{CLASSES[LABELS[i]]}/{i:02d}.png"


def write_all(top: Path, *, parts: bool = False, flat: bool = False) -> Path:
    for i in range(12):
        path = top / (f"{i:02d}.png" if flat else f"{PARTS[i]}/{name(i)}" if parts else name(i))
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(IMAGES[i]).save(path)
    return top


def zipped(folder: Path, *, under: str = "") -> str:
    file = folder.parent / "photos.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, f"{under}{path.relative_to(folder)}")
    return str(file)


def table(top: Path, *, delimiter=",", bom=False, parts=False, columns=("file", "label"), reverse=False) -> str:
    folder = write_all(top / "photos", flat=True)
    rows = [[f"{i:02d}.png", CLASSES[LABELS[i]], PARTS[i]][: 3 if parts else 2] for i in range(12)]
    rows = [[*columns, "part"][: 3 if parts else 2], *rows]
    text = "\n".join(delimiter.join(row[::-1] if reverse else row) for row in rows)
    (folder / "labels.csv").write_bytes((b"\xef\xbb\xbf" if bom else b"") + text.encode())
    return str(folder)


def windows_zip(top: Path) -> str:
    file = top / "photos.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for i in range(12):
            archive.writestr(name(i).replace("/", "\\"), encode(i))
    return str(file)


def encode(i: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(IMAGES[i]).save(buffer, "PNG")
    return buffer.getvalue()


def parquet_file(
    path: Path, rows, *, names: bool = True, text: bool = False, plain: bool = False, groups: int = 5
) -> str:
    import pyarrow as arrow
    from pyarrow.parquet import write_table

    images = [encode(i) if plain else {"bytes": encode(i), "path": f"{i}.png"} for i in rows]
    labels = [CLASSES[LABELS[i]] if text else int(LABELS[i]) for i in rows]
    held = arrow.table({"image": images, "label": labels})
    if names:
        label = {"names": list(CLASSES), "_type": "ClassLabel"}
        features = {"info": {"features": {"image": {"_type": "Image"}, "label": label}}}
        held = held.replace_schema_metadata({"huggingface": json.dumps(features)})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(held, path, row_group_size=groups)
    return str(path)


def parquet_folder(top: Path) -> str:
    for part in ("train", "test"):
        rows = np.flatnonzero(part == PARTS)
        half = len(rows) // 2
        parquet_file(top / "set" / "data" / f"{part}-00000-of-00002.parquet", rows[:half])
        parquet_file(top / "set" / "data" / f"{part}-00001-of-00002.parquet", rows[half:])
    (top / "set" / "README.md").write_text("a data card")
    return str(top / "set")


def npz_parts(top: Path) -> str:
    train, test = PARTS == "train", PARTS == "test"
    arrays = {"x_train": IMAGES[train], "y_train": LABELS[train], "x_test": IMAGES[test], "y_test": LABELS[test]}
    return npz(top / "set.npz", **arrays, classes=np.array(CLASSES))


def tensors(_: Path):
    import torch

    images = torch.from_numpy(IMAGES.copy()).permute(0, 3, 1, 2).float().div(255).requires_grad_()
    return images, torch.from_numpy(LABELS)


LAYOUTS = {  # id -> (builder, has parts, has names)
    "folders": (lambda top: write_all(top / "photos"), False, True),
    "wrapped folders": (lambda top: write_all(top / "a" / "b").parent, False, True),
    "parts": (lambda top: write_all(top / "photos", parts=True), True, True),
    "table": (table, False, True),
    "table with parts": (lambda top: table(top, parts=True), True, True),
    "table of semicolons": (lambda top: table(top, delimiter=";", bom=True), False, True),
    "table of tabs": (lambda top: table(top, delimiter="\t", columns=("Filename", "Class"), reverse=True), False, True),
    "zip": (lambda top: zipped(write_all(top / "photos")), False, True),
    "zip of parts": (lambda top: zipped(write_all(top / "photos", parts=True), under="photos/"), True, True),
    "zip of a table": (lambda top: zipped(Path(table(top, parts=True))), True, True),
    "zip/folder": (lambda top: zipped(write_all(top / "photos"), under="deep/images/") + "/deep/images", False, True),
    "zip/folder/": (lambda top: zipped(write_all(top / "photos"), under="x/") + "/x/", False, True),
    "zip from Windows": (windows_zip, False, True),
    "npz": (lambda top: npz(top / "set.npz", images=IMAGES, labels=LABELS, classes=CLASSES), False, True),
    "npz of parts": (npz_parts, True, True),
    "npz of names": (lambda top: npz(top / "set.npz", images=IMAGES, labels=np.array(CLASSES)[LABELS]), False, True),
    "parquet": (lambda top: parquet_file(top / "set.parquet", range(12)), False, True),
    "parquet of names": (lambda top: parquet_file(top / "s.parquet", range(12), names=False, text=True), False, True),
    "parquet of bytes": (lambda top: parquet_file(top / "s.parquet", range(12), plain=True), False, True),
    "parquet of numbers": (lambda top: parquet_file(top / "s.parquet", range(12), names=False), False, False),
    "parquet folder": (parquet_folder, True, True),
    "arrays": (lambda _: (IMAGES, LABELS), False, False),
    "arrays and names": (lambda _: (IMAGES, np.array(CLASSES)[LABELS]), False, True),
    "dict": (lambda _: {"images": IMAGES, "labels": LABELS, "classes": CLASSES}, False, True),
    "dict of parts": (lambda top: dict(np.load(npz_parts(top))), True, True),
    "tensors": (tensors, False, False),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_images(layout, tmp_path):
    build, parts, names = LAYOUTS[layout]
    source = build(tmp_path)
    got = load(source)
    assert isinstance(got, ImageSet)
    assert got.images.dtype == np.uint8 and got.images.flags.c_contiguous
    assert got.classes == (CLASSES if names else ("0", "1", "2"))
    found = {
        image.tobytes(): (label, part) for image, label, part in zip(got.images, got.labels, got.parts, strict=True)
    }
    want = {IMAGES[i].tobytes(): (LABELS[i], PARTS[i] if parts else "") for i in range(12)}
    assert found == want
    assert len(set(got.origins)) == len(got) == 12
    assert got.notes.bad_files == () and got.notes.warnings == ()
    assert sum(got.notes.sizes.values()) == sum(got.notes.modes.values()) == 12
    json.dumps(asdict(describe(got)), allow_nan=False)
    again = load(source)
    assert again.fingerprint == got.fingerprint and again.origins == got.origins


def test_fingerprint_is_one_for_all_layouts_in_the_same_order(tmp_path):
    same = [load(LAYOUTS[name][0](tmp_path / name[:3] / "x")) for name in ("folders", "arrays and names")]
    zip_set = load(zipped(write_all(tmp_path / "zip" / "photos")))
    assert same[0].fingerprint == same[1].fingerprint == zip_set.fingerprint


def test_fingerprint_sees_every_change():
    base = load((IMAGES, LABELS))
    changed = [IMAGES.copy() for _ in range(2)]
    changed[0][11, 11, 9, 2] ^= 1
    prints = {
        base.fingerprint,
        load((changed[0], LABELS)).fingerprint,
        load((IMAGES, (LABELS + 1) % 3)).fingerprint,
        load((IMAGES[::-1], LABELS[::-1])).fingerprint,
        load({"images": IMAGES, "labels": LABELS, "classes": ("a", "b", "c")}).fingerprint,
        load({"x_train": IMAGES, "y_train": LABELS}).fingerprint,
        load((IMAGES[:11], LABELS[:11])).fingerprint,
        load((IMAGES.transpose(0, 2, 1, 3), LABELS)).fingerprint,
    }
    assert len(prints) == 8


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    got, want = load("digits"), load_digits()
    assert got.images.shape == (1797, 8, 8, 1)
    assert (got.images[..., 0] == np.round(want.images * 255 / 16)).all()
    assert (got.labels == want.target).all()
    assert got.classes == tuple("0123456789")
    assert got.fingerprint == load("digits").fingerprint


def test_an_imageset_comes_back_as_it_is():
    got = load("digits")
    assert load(got) is got
    assert load(got, size=16).shape == (16, 16, 1)


def test_take():
    got = load((IMAGES, LABELS)).take(np.array([5, 2]))
    assert got.origins == ("images[5]", "images[2]")
    assert (got.images == IMAGES[[5, 2]]).all() and (got.labels == LABELS[[5, 2]]).all()
    assert len(got.take(got.labels == 0)) == 1
    assert len(got.take(slice(0, 0))) == 0


# Unlabelled images


def test_unlabelled_folder_beside_the_classes(tmp_path):
    folder = class_folders(tmp_path / "photos")
    write_image(folder / "unlabelled" / "deep" / "1.png", 900)
    write_image(folder / "Unlabeled" / "2.png", 901)
    got = load(folder)
    assert got.classes == ("cat", "dog")
    assert (got.labels == -1).sum() == 2
    assert got.notes.warnings == ()


def test_unlabelled_folder_beside_parts(tmp_path):
    for part in ("train", "valid", "test"):
        class_folders(tmp_path / "photos" / part)
    write_image(tmp_path / "photos" / "unlabelled" / "1.png", 900)
    write_image(tmp_path / "photos" / "train" / "unlabelled" / "1.png", 901)
    got = load(tmp_path / "photos")
    assert {part: int((got.parts == part).sum()) for part in ("train", "val", "test", "")} == {
        "train": 9, "val": 8, "test": 8, "": 1}  # fmt: skip
    assert (got.labels == -1).sum() == 2


def test_unlabelled_from_elsewhere(tmp_path):
    folder = class_folders(tmp_path / "photos")
    more = tmp_path / "more"
    for i in range(8):
        write_image(more / "xy"[i % 2] / f"{i}.png", 700 + i)
    write_image(more / "loose.png", 950)
    got = load(folder, unlabelled=more)
    assert len(got) == 8 + 9 and (got.labels == -1).sum() == 9 and got.classes == ("cat", "dog")
    assert all(str(more) in origin for origin in got.origins[8:])
    arrays = load({"images": got.images[:8], "labels": got.labels[:8]}, unlabelled=more)
    assert (arrays.images == got.images).all() and (arrays.labels == got.labels).all()
    extra = npz(tmp_path / "extra.npz", images=IMAGES, labels=LABELS)
    assert (load(folder, unlabelled=extra).labels[8:] == -1).all()
    assert load(folder, unlabelled=extra).shape == (12, 10, 1)
    with_labels = load(folder, unlabelled=parquet_file(tmp_path / "x.parquet", range(12)))
    assert (with_labels.labels[8:] == -1).all() and with_labels.classes == ("cat", "dog")


def test_unlabelled_images_change_the_size_rule_like_others(tmp_path):
    folder = class_folders(tmp_path / "photos")
    for i in range(30):
        write_image(tmp_path / "more" / f"{i}.png", 500 + i, height=40, width=24)
    assert load(folder, unlabelled=tmp_path / "more").shape == (40, 24, 1)


def test_loose_images_are_unlabelled_and_said(tmp_path):
    folder = class_folders(tmp_path / "photos")
    write_image(folder / "loose.png", 900)
    got = load(folder)
    assert (got.labels == -1).sum() == 1
    assert "1 images beside the class folders, such as loose.png: taken as unlabelled" in got.notes.warnings


def test_images_without_any_label(tmp_path):
    for i in range(5):
        write_image(tmp_path / "photos" / f"{i}.png", i)
    for source in (tmp_path / "photos", IMAGES, [tmp_path / "photos" / f"{i}.png" for i in range(5)]):
        got = load(source)
        assert (got.labels == -1).all() and got.classes == ()


def test_train_and_test_without_classes(tmp_path):
    for part in ("train", "test"):
        write_image(tmp_path / "photos" / part / "1.png", len(part))
        write_image(tmp_path / "photos" / part / "2.png", len(part) + 20)
    got = load(tmp_path / "photos")
    assert sorted(got.parts) == ["test", "test", "train", "train"] and (got.labels == -1).all()


def test_train_may_be_a_class(tmp_path):
    got = load(class_folders(tmp_path / "photos", classes=("bus", "train")))
    assert got.classes == ("bus", "train") and (got.parts == "").all()


def test_a_list_of_files_and_folders(tmp_path):
    folder = class_folders(tmp_path / "photos", each=2)
    single = write_image(tmp_path / "one.png", 5)
    got = load([single, str(folder)])
    assert len(got) == 5 and got.origins[0] == str(single)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"")
    assert load([single, folder, broken]).notes.bad_files == ((str(broken), "empty file (0 bytes)"),)


# Tables


def test_table_elsewhere_and_images_without_a_line(tmp_path):  # B35
    folder = write_all(tmp_path / "photos", flat=True)
    (tmp_path / "my.csv").write_text("label,file,extra\ncat,./00.png,1\ndog,01.png,2\n,02.png,3\n")
    got = load(folder, labels=tmp_path / "my.csv")
    assert got.classes == ("cat", "dog") and got.labels.tolist() == [0, 1] + [-1] * 10
    said = "\n".join(got.notes.warnings)
    assert "9 images are not in the table of labels: taken as unlabelled" in said
    assert "1 lines of" in said and "empty label" in said
    assert (load(folder, table=tmp_path / "my.csv").labels == got.labels).all()
    with pytest.raises(MissingData, match="cannot read .*none.csv"):
        load(folder, table=tmp_path / "none.csv")
    with pytest.raises(UsageError, match="a table of labels goes with a folder or a zip"):
        load(IMAGES, table=tmp_path / "my.csv")


def test_table_labels_are_never_numbers(tmp_path):
    folder = write_all(tmp_path / "photos", flat=True)
    labels = ["1", "01", "1.0", " 1 ", "NaN", "None", '"a,b"', "10", "9", "ä", "", "1"]
    (folder / "labels.csv").write_text("file,label\n" + "".join(f"{i:02d}.png,{x}\n" for i, x in enumerate(labels)))
    got = load(folder)
    assert set(got.classes) == {"1", "01", "1.0", "NaN", "None", "a,b", "10", "9", "ä"}
    assert got.classes.index("9") < got.classes.index("10")
    assert (got.labels == got.classes.index("1")).sum() == 3
    assert any("'1', '01'" in w or "'01', '1'" in w for w in got.notes.warnings)


def test_table_beside_parts_takes_the_parts_of_the_folders(tmp_path):
    folder = write_all(tmp_path / "photos", parts=True)
    rows = "".join(f"{PARTS[i]}/{name(i)},L{LABELS[i]}\n" for i in range(12))
    (folder / "labels.csv").write_text("file,label\n" + rows)
    got = load(folder)
    assert got.classes == ("L0", "L1", "L2") and (got.parts == "test").sum() == 3


def test_table_of_one_part_each(tmp_path):
    for part in ("train", "test"):
        for i in range(4):
            write_image(tmp_path / "photos" / part / f"{i}.png", i + 10 * len(part))
        rows = "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(4))
        (tmp_path / "photos" / part / "labels.csv").write_text("file,label\n" + rows)
    got = load(tmp_path / "photos")
    assert got.classes == ("a", "b") and (got.parts == "test").sum() == 4 and (got.labels >= 0).all()


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_bytes_as_a_table_end_in_rows_or_a_sentence(tmp_path_factory, raw):
    from sparring.data.tables import read_table
    from sparring.data.trees import Tree

    tree = Tree(top="photos", name="photos", read=lambda _: raw, images=["0.png"])
    try:
        rows = read_table(tree, "labels.csv", [])
        assert set(rows) == {"0.png"}
    except DataError:
        pass


# Zips


def test_zip_is_read_without_touching_the_disk(tmp_path):
    file = tmp_path / "photos.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for i in range(12):
            archive.writestr(name(i), encode(i))
        for bad in ("../evil.png", "/etc/evil.png", "cat/../../evil.png", "..\\evil.png"):
            archive.writestr(bad, encode(0))
        archive.writestr("__MACOSX/._x.png", b"x")
        archive.writestr("nested.zip", b"PK")
    before = sorted(tmp_path.iterdir())
    got = load(file)
    assert sorted(tmp_path.iterdir()) == before
    assert len(got) == 12
    assert {reason for _, reason in got.notes.bad_files} == {"its name leads outside the archive"}
    assert len(got.notes.bad_files) == 4
    assert got.notes.ignored == {"hidden or system files": 1, ".zip files": 1}


def test_zip_bomb_is_not_unpacked(tmp_path, monkeypatch):  # S22
    from sparring.data import trees

    file = tmp_path / "photos.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(12):
            archive.writestr(name(i), encode(i))
        archive.writestr("cat/zeros.png", bytes(30 << 20))
        archive.writestr("cat/huge.png", b"\x89PNG\r\n\x1a\n" + bytes(30 << 20))
    monkeypatch.setattr(trees, "FILE_LIMIT", 20 << 20)
    got = load(file)
    assert dict(got.notes.bad_files) == {
        "cat/zeros.png": "30 MiB when unpacked, limit 20 MiB",
        "cat/huge.png": "30 MiB when unpacked, limit 20 MiB",
    }
    monkeypatch.setattr(trees, "FILE_LIMIT", 1 << 29)
    reasons = dict(load(file).notes.bad_files)
    assert reasons["cat/zeros.png"].startswith("not an image: starts with the bytes 00 00")
    info = zipfile.ZipFile(file).getinfo("cat/zeros.png")
    with zipfile.ZipFile(file) as archive:
        assert len(trees.zip_member(archive, info)) == 32  # no more was unpacked than says that it is no image


def test_a_damaged_member_is_a_bad_file(tmp_path):  # S25
    file = Path(zipped(write_all(tmp_path / "photos")))
    raw = bytearray(file.read_bytes())
    at = raw.find(b"bird/00.png") + 40
    raw[at : at + 20] = bytes(20)
    file.write_bytes(bytes(raw))
    got = load(file)
    assert [origin for origin, _ in got.notes.bad_files] == ["bird/00.png"]
    assert "damaged in the zip" in got.notes.bad_files[0][1]


# Parquet


def test_parquet_unlabelled_rows_and_absent_classes(tmp_path):
    import pyarrow as arrow
    from pyarrow.parquet import write_table

    features = {"info": {"features": {"label": {"names": ["a", "b", "never"], "_type": "ClassLabel"}}}}
    held = arrow.table({"img": [{"bytes": encode(i)} for i in range(4)], "label": [0, 1, -1, None], "id": [1, 2, 3, 4]})
    held = held.replace_schema_metadata({"huggingface": json.dumps(features)})
    write_table(held, tmp_path / "x.parquet")
    got = load(tmp_path / "x.parquet")
    assert got.labels.tolist() == [0, 1, -1, -1] and got.classes == ("a", "b", "never")
    assert got.notes.ignored == {"column id": 1}


def test_parquet_reads_rows_in_any_order(tmp_path, monkeypatch):
    from sparring.data import parquet
    from sparring.data.parquet import list_parquet

    monkeypatch.setattr(parquet, "ROWS_HELD", 4)
    path = Path(parquet_file(tmp_path / "x.parquet", range(12), groups=5))
    listing = list_parquet([path], path)
    for row in (0, 11, 3, 3, 7, 0):
        assert listing.read(row) == encode(row)


def test_parquet_rows_that_are_bad(tmp_path):
    import pyarrow as arrow
    from pyarrow.parquet import write_table

    images = [{"bytes": encode(i)} for i in range(6)] + [{"bytes": None}, {"bytes": b"<html>"}]
    write_table(arrow.table({"image": images, "label": ["a", "b"] * 4}), tmp_path / "x.parquet")
    got = load(tmp_path / "x.parquet")
    assert got.notes.bad_files == (
        ("x.parquet[6]", "empty file (0 bytes)"),
        ("x.parquet[7]", "not an image: starts with '<html>'"),
    )


@pytest.mark.parametrize(
    ("file", "part"),
    [("train-00000-of-00001.parquet", "train"), ("test.parquet", "test"), ("validation-0.parquet", "val"),
     ("data/test/0000.parquet", "test"), ("plain_text/train-0.parquet", "train"), ("set.parquet", "")],
)  # fmt: skip
def test_parquet_part_of_a_file_name(file, part):
    from sparring.data.parquet import part_in

    assert part_in(file) == part


def test_parquet_label_beyond_the_names(tmp_path):
    import pyarrow as arrow
    from pyarrow.parquet import write_table

    features = {"info": {"features": {"label": {"names": ["a"], "_type": "ClassLabel"}}}}
    held = arrow.table({"image": [{"bytes": encode(0)}], "label": [3]})
    write_table(held.replace_schema_metadata({"huggingface": json.dumps(features)}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"label 3 in .*x.parquet: the classes are 0..0"):
        load(tmp_path / "x.parquet")


@pytest.mark.parametrize("layout", ["zip", "npz", "npz of parts", "parquet", "parquet of names"])
def test_damaged_archives_and_tables_end_in_a_sentence(layout, tmp_path):
    path = Path(LAYOUTS[layout][0](tmp_path / "x"[: layout == "zip"]))
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    rng = np.random.default_rng(7)
    refused = 0
    for attempt in range(40):
        bent = whole.copy()
        places = rng.integers(0 if attempt % 2 else max(0, len(bent) - 1500), len(bent), rng.integers(1, 8))
        bent[places] = rng.integers(0, 256, len(places))
        path.write_bytes(bent[: rng.integers(1, len(bent)) if attempt % 5 == 0 else None].tobytes())
        try:
            assert len(load(path)) <= 12
        except SparringError:
            refused += 1
    assert refused >= 8


# Sizes, modes and channels


def test_mixed_sizes_follow_the_stated_rule(tmp_path):  # B22
    for i, (height, width) in enumerate([(200, 100), (220, 110), (100, 100), (210, 105), (300, 140)]):
        write_image(tmp_path / "photos" / "cat" / f"{i}.png", i, height=height, width=width)
    from sparring.images import load_image

    path = tmp_path / "photos" / "cat" / "2.png"
    for limit, size, words in (
        (OWN_SIZE, (208, 104), "the shorter side at most 224"),
        (SMALL, (64, 32), "the longer side at most 64"),
    ):
        got = load(tmp_path / "photos", limit=limit)
        assert got.shape == (*size, 1)
        assert got.notes.sizes[(200, 100)] == 1 and len(got.notes.sizes) == 5
        assert got.notes.size_rule.words.startswith(
            f"5 sizes from 100x100 to 300x140 fitted to {size[0]}x{size[1]} (the median height and width, {words}, "
            "rounded to eights): resized"
        )
        assert (got.images[2] == load_image(path, size=size)).all()


@given(st.lists(st.tuples(st.integers(8, 3000), st.integers(8, 3000)), min_size=1, max_size=20))
def test_sizes_are_settled_within_the_limit(sizes):
    middle = np.median(np.array(sizes), axis=0)
    for limit, most, side in ((OWN_SIZE, 224, min), (SMALL, 64, max)):
        rule = SizeRule.of(sizes, None, limit)
        if rule.how == "kept":
            assert rule.target == sizes[0] and (side(sizes[0]) <= most or limit is SMALL)
            continue
        assert side(rule.target) <= most and min(rule.target) >= 8 and not any(n % 8 for n in rule.target)
        assert side(rule.target) >= min(most, side(middle)) - 4
        assert rule.how == ("median" if len(set(sizes)) > 1 else "shrunk")


def test_large_images_of_one_size_are_shrunk_unless_a_size_is_asked_for(tmp_path):
    for i in range(3):
        write_image(tmp_path / "photos" / f"{i}.png", i, height=480, width=640)
    arrays = np.stack([np.asarray(Image.open(tmp_path / "photos" / f"{i}.png")) for i in range(3)])
    for source in (tmp_path / "photos", arrays):
        got = load(source)
        assert got.shape == (224, 296, 1) and got.notes.size_rule.how == "shrunk"
        assert (
            got.notes.size_rule.short == "480x640 fitted to 224x296 (the shorter side at most 224, rounded to eights)"
        )
        assert load(source, limit=SMALL).shape == (480, 640, 1)
        assert load(source, size=(480, 640)).shape == (480, 640, 1)
    asked = load(tmp_path / "photos", size=300)
    assert load(asked).shape == (300, 300, 1)
    assert load(got).images is got.images and load(got, limit=SMALL).images is got.images


def test_images_that_were_settled_are_small_for_those_who_want_them_small(tmp_path):
    for i in range(4):
        write_image(tmp_path / "photos" / f"{i}.png", i, height=200 + 20 * i, width=300)
    own = load(tmp_path / "photos")
    assert own.shape == (224, 296, 1)
    small = load(own, limit=SMALL)
    assert small.shape == load(tmp_path / "photos", limit=SMALL).shape == (48, 64, 1)


@pytest.mark.parametrize("odd", [(12, 10, 3), (20, 10, 1), (300, 400, 1)])
@pytest.mark.parametrize("side", [12, 100])
def test_nothing_is_decoded_twice(odd, side, tmp_path, monkeypatch):
    """One image differs from the others: the first, one in the middle, or the last."""
    from sparring.data import decode
    from sparring.images import load_image

    seen = []
    monkeypatch.setattr(decode, "decoded", lambda image, *how: seen.append(image.fp.name) or as_before(image, *how))
    for place in (0, 5, 9):
        folder = tmp_path / f"photos{place}"
        for i in range(10):
            height, width, channels = odd if i == place else (side, side, 1)
            write_image(folder / f"{i}.png", i, height=height, width=width, channels=channels)
        seen.clear()
        got = load(folder)
        assert sorted(seen) == sorted(str(folder / f"{i}.png") for i in range(10))
        height, width, channels = got.shape
        for i in range(10):
            alone = load_image(folder / f"{i}.png", size=(height, width), channels=channels)
            assert (got.images[i] == alone).all()


def test_size_is_obeyed_for_all_kinds(tmp_path):  # B23
    folder = write_all(tmp_path / "photos")
    for source in (folder, (IMAGES, LABELS), parquet_file(tmp_path / "x.parquet", range(12))):
        got = load(source, size=(16, 24))
        assert got.shape == (16, 24, 3)
        assert got.notes.size_rule.short == "12x10 fitted to 16x24"
    a, b = (load(source, size=(16, 24)) for source in (folder, (IMAGES, LABELS)))
    assert (a.images == b.images).all()
    assert (load(folder, size="12x10").images == load(folder).images).all()
    assert any(
        "12 images are smaller than 16x24 and were enlarged" in w for w in load(folder, size=(16, 24)).notes.warnings
    )


def test_grey_and_colour_together_are_colour(tmp_path):
    folder = class_folders(tmp_path / "photos")
    write_image(folder / "cat" / "colour.png", 70, channels=3)
    got = load(folder)
    assert got.shape == (12, 10, 3)
    assert got.notes.modes == {"L": 8, "RGB": 1}
    assert "8 grey images among colour ones: three equal channels" in got.notes.converted
    assert (got.images[got.origins.index("dog/1.png")] == pixels(101)[..., None]).all()


def test_grey_stored_as_colour_keeps_one_channel(tmp_path):
    for i in range(4):
        path = write_image(tmp_path / "photos" / "cat" / f"{i}.png", i)
        Image.fromarray(pixels(i)).convert("RGB").save(path)
    got = load(tmp_path / "photos")
    assert got.shape == (12, 10, 1) and (got.images[1, ..., 0] == pixels(1)).all()
    assert any("grey though stored as colour" in said for said in got.notes.converted)


def test_modes_and_conversions_are_counted(tmp_path):  # B21
    folder = class_folders(tmp_path / "photos", classes=("cat",), each=5)
    Image.fromarray(pixels(50)).convert("1").save(folder / "cat" / "bit.png")
    Image.fromarray(pixels(51)).convert("LA").save(folder / "cat" / "alpha.png")
    Image.fromarray(pixels(52).astype(np.uint16) * 257).save(folder / "cat" / "deep.png")
    frames = [Image.fromarray(pixels(i)) for i in (53, 54)]
    frames[0].save(folder / "cat" / "film.gif", save_all=True, append_images=frames[1:])
    got = load(folder)
    assert got.shape[2] == 1 and got.notes.modes == {"L": 5, "1": 1, "LA": 1, "I;16": 1, "P": 1}
    said = " | ".join(got.notes.converted)
    for words in ("1 images 1 bit", "1 images grey with transparency", "1 images 16 bit", "1 images of several frames"):
        assert words in said


def test_dark_16_bit_images_are_doubted(tmp_path):
    for i in range(4):
        path = write_image(tmp_path / "photos" / "cat" / f"{i}.png", i)
        Image.fromarray(pixels(i).astype(np.uint16) * 8).save(path)  # 11 bits used
    assert any("16-bit images use less than an eighth" in w for w in load(tmp_path / "photos").notes.warnings)


def test_aspect_ratios_are_doubted(tmp_path):
    write_image(tmp_path / "photos" / "cat" / "1.png", 1, height=20, width=50)
    write_image(tmp_path / "photos" / "cat" / "2.png", 2, height=40, width=20)
    assert any("width : height goes from 0.5 to 2.5" in w for w in load(tmp_path / "photos").notes.warnings)


def test_one_large_image_among_small_ones_needs_no_room_for_all_to_be_large(tmp_path, monkeypatch):

    folder = class_folders(tmp_path / "photos")
    write_image(folder / "cat" / "00.png", 70, height=400, width=400)
    monkeypatch.setattr(devices, "free_memory", lambda: 500_000)
    assert load(folder).shape == (16, 8, 1) or load(folder).shape == (8, 8, 1)


def test_what_does_not_fit_into_memory_is_mapped_and_what_does_not_fit_on_the_disk_is_refused(tmp_path, monkeypatch):
    from sparring.errors import MachineError

    folder = class_folders(tmp_path / "photos")
    there = load(folder)
    monkeypatch.setattr(devices, "free_memory", lambda: 1000)
    got = load(folder)
    assert (got.images == there.images).all() and got.fingerprint == there.fingerprint
    monkeypatch.setattr(storage, "free_disk", lambda folder: 3 << 30)
    words = "8 images of 12x10 needs 0.0 GiB of memory or disk; 0.0 GiB of memory and 3.0 GiB of disk are free"
    monkeypatch.setattr(storage, "DISK_LEFT", 4 << 30)
    assert (load(folder).images == there.images).all()
    monkeypatch.setattr(devices, "free_memory", lambda: 900)
    with pytest.raises(MachineError, match=re.escape(words)):
        load(folder)


def test_progress(tmp_path):
    told = []
    folder = class_folders(tmp_path / "photos", each=60)
    load(folder, progress=lambda p: told.append((p.done, p.total)))
    assert told[-1] == (120, 120) and told[0] == (0, 120)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    told.clear()
    write_image(folder / "cat" / "x.png", 1, height=20)
    load(folder, progress=lambda p: told.append(p.done / p.total))
    assert told == sorted(told) and told[-1] == 1


# Arrays


def variants():
    base = IMAGES
    big = np.zeros((24, 12, 10, 3), np.uint8)
    big[::2] = base
    read_only = base.copy()
    read_only.flags.writeable = False
    return {
        "strided": big[::2],
        "negative strides": base[::-1][::-1],
        "read-only": read_only,
        "Fortran": np.asfortranarray(base),
        "big-endian": base.astype(">u2"),
        "int64": base.astype(np.int64),
        "float 0..255": base.astype(np.float32),
        "float 0..1": base / 255.0,
        "float -1..1": (base / 127.5 - 1).astype(np.float32),
        "16 bit": base.astype(np.uint16) * 257,
        "channels first": base.transpose(0, 3, 1, 2),
        "list": base.tolist(),
        "opaque": np.concatenate([base, np.full_like(base[..., :1], 255)], axis=3),
    }


@pytest.mark.parametrize("kind", variants())
def test_arrays_of_all_kinds(kind):  # B44, B47
    given_images = variants()[kind]
    before = np.array(given_images)
    got = load((given_images, LABELS))
    assert (got.images == IMAGES).all()
    assert got.images.flags.c_contiguous and got.images.flags.writeable
    assert (np.array(given_images) == before).all()


def test_one_good_array_is_not_copied():
    assert np.shares_memory(load((IMAGES, LABELS)).images, IMAGES)


def test_a_memory_mapped_array(tmp_path):
    np.save(tmp_path / "x.npy", IMAGES)
    assert (load((np.load(tmp_path / "x.npy", mmap_mode="r"), LABELS)).images == IMAGES).all()


def test_bool_images():
    assert set(np.unique(load(IMAGES[..., 0] > 127).images)) == {0, 255}


def test_transparent_arrays_are_put_on_white():
    rgba = np.concatenate([IMAGES, IMAGES[..., :1]], axis=3)
    alpha = IMAGES[..., :1] / 255
    assert np.abs(load(rgba).images - (IMAGES * alpha + 255 * (1 - alpha))).max() <= 0.5 + 1e-9


def test_scales_are_shared_by_all_parts():
    dark = {"x_train": IMAGES / 255.0, "x_test": IMAGES[:2] / 2550.0}
    got = load(dark)
    assert np.abs(got.images[12:] - IMAGES[:2] / 10).max() <= 0.5 + 1e-9


def test_keys_that_do_not_fit_together():
    with pytest.raises(DataError, match="images of different shapes"):
        load({"x_train": IMAGES, "x_test": IMAGES[:, :9]})
    with pytest.raises(DataError, match="some labels are numbers, some are strings"):
        load({"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES, "y_test": np.array(CLASSES)[LABELS]})
    with pytest.raises(UsageError, match="labels were given, and the source has its own"):
        load((IMAGES, LABELS), labels=LABELS)
    assert load({"x_train": IMAGES, "y_train": LABELS, "id": [1]}).notes.ignored == {"id": 1}
    assert (load({"x_train": IMAGES[:6], "y_train": LABELS[:6], "x_unlabeled": IMAGES[6:]}).labels[6:] == -1).all()
    assert (load(IMAGES, labels=LABELS).labels == LABELS).all()


# Names


def test_natural_order():
    assert ordered(["10", "9", "img10", "img2", "a", "B", "img2b"]) == ["9", "10", "B", "a", "img2", "img2b", "img10"]
    assert ordered(["9" * 5000, "1"]) == ["1", "9" * 5000]


@given(st.lists(st.text(max_size=8), max_size=8, unique=True))
@settings(max_examples=30, deadline=None)
def test_order_does_not_depend_on_the_order_given(names):
    assert ordered(names) == ordered(names[::-1]) == sorted(names, key=natural)


def test_home_is_understood(tmp_path, monkeypatch):
    class_folders(tmp_path / "photos")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(load("~/photos")) == 8
    monkeypatch.chdir(tmp_path / "photos")
    assert load(".").name == "photos"


def test_images_that_are_decoded_by_several_threads_keep_their_places(tmp_path, monkeypatch):
    """Of all sizes, so that they are fitted; some are broken, and with two locks as with none the order stays."""
    from sparring.data import decode as decoding

    rng = np.random.default_rng(0)
    for i in range(60):
        folder = tmp_path / "photos" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        size = tuple(rng.integers(20, 200, 2).tolist())
        Image.fromarray(np.full((*size, 3), 4 * i, np.uint8)).save(folder / f"{i:02}.png")
        if i % 20 == 7:  # the header is whole, the pixels are not
            whole = (folder / f"{i:02}.png").read_bytes()
            (folder / f"{i:02}.png").write_bytes(whole[: len(whole) // 2])
    found = []
    for threads, large in ((1, 1 << 30), (4, 1 << 30), (4, 0)):
        monkeypatch.setattr(decoding, "THREADS", threads)
        monkeypatch.setattr(decoding, "AT_A_TIME", large)
        monkeypatch.setattr(decoding, "cores", lambda: 4)
        found.append(load(tmp_path / "photos"))
    assert len({images.fingerprint for images in found}) == 1 and len(found[0].notes.bad_files) == 3
    for image, origin in zip(found[0].images, found[0].origins, strict=True):
        assert (image == 4 * int(origin[2:4])).all()
