"""Every bad input ends in one sentence that names it and says what to do, quickly, and leaves it as it was."""

import hashlib
import os
import pickle
import re
import time
from pathlib import Path

import numpy as np
import pytest
from bad_inputs import BAD_INPUTS, class_folders, encoded, png_header, write_image

from sparring.data import load
from sparring.errors import SparringError


def tree_hash(top: Path) -> str:
    """Of names, sizes, times and contents of all plain files."""
    total = hashlib.sha256()
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        total.update(repr((str(path), status.st_mode, status.st_size, status.st_mtime_ns)).encode())
        if path.is_file():
            total.update(path.read_bytes())
    return total.hexdigest()


@pytest.mark.parametrize("row", BAD_INPUTS, ids=lambda row: row.id)
def test_bad_input(row, tmp_path):
    source = row.build(tmp_path)
    before, start = tree_hash(tmp_path), time.perf_counter()
    with pytest.raises(SparringError) as caught:
        load(source, **row.options)
    assert caught.value.exit_code == row.exit_code
    said = str(caught.value)
    assert re.search(row.says, said), said
    assert re.fullmatch(r"error\[[a-z-]+\]: [^\n]+[.?] Fix: [^\n]+[.?]", said)
    assert str(pickle.loads(pickle.dumps(caught.value))) == said  # it may come from a worker process
    assert tree_hash(tmp_path) == before
    assert time.perf_counter() - start < 10


def test_ids_are_unique():
    assert len({row.id for row in BAD_INPUTS}) == len(BAD_INPUTS)


# What is odd but fine


@pytest.fixture
def photos(tmp_path):
    return class_folders(tmp_path / "photos", each=6)


def test_two_bad_files_in_a_small_folder_are_listed_and_left_out(photos):
    (photos / "cat" / "7.png").write_bytes(b"")
    (photos / "dog" / "7.jpg").write_bytes(b"<html>")
    got = load(photos)
    assert len(got) == 12
    assert got.notes.bad_files == (
        ("cat/7.png", "empty file (0 bytes)"),
        ("dog/7.jpg", "not an image: starts with '<html>'"),
    )
    assert not any("7." in origin for origin in got.origins)


def test_a_vanished_file_is_listed(photos, monkeypatch):  # B20
    from sparring.data import sources
    from sparring.data.formats import LoadOptions

    listing = sources.find_source(photos, LoadOptions())
    (photos / "cat" / "0.png").unlink()
    got = sources.read_source(listing, None)
    assert got.notes.bad_files == (("cat/0.png", "there is no such file"),)
    assert len(got) == 11


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_listed(photos):  # B15
    (photos / "cat" / "0.png").chmod(0)
    assert load(photos).notes.bad_files == (("cat/0.png", "permission denied"),)


def test_links_and_pipes(photos, tmp_path):  # B16, B17
    outside = write_image(tmp_path / "elsewhere" / "x.png", 77)
    (photos / "cat" / "loop").symlink_to(photos / "cat")
    (photos / "cat" / "out.png").symlink_to(outside)
    (photos / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (photos / "cat" / "within.png").symlink_to(photos / "dog" / "0.png")
    os.mkfifo(photos / "cat" / "pipe.png")
    got = load(photos)
    assert dict(got.notes.bad_files) == {
        "cat/loop": "a link to a folder that is already in here",
        "cat/gone.png": "a link that leads nowhere",
    }
    assert got.notes.links == ("cat/out.png",)
    assert got.notes.ignored == {"pipes, sockets and devices": 1}
    assert len(got) == 13
    assert len(load(photos, follow_links=True)) == 14


def test_a_folder_that_is_a_link(photos, tmp_path):
    (tmp_path / "link").symlink_to(photos)
    assert len(load(tmp_path / "link")) == 12


NAMES = (
    "a b'\"%.png",
    "\N{GRINNING FACE}.png",
    "new\nline.png",
    "tab\t.png",
    "-x.png",
    "\u202ertl.png",
    "x" * 250 + ".png",
)


def test_names_of_all_kinds(tmp_path):  # B30
    for i, name in enumerate(NAMES):
        write_image(tmp_path / "photos" / "na\nme" / name, i)
    raw = os.fsencode(tmp_path / "photos" / "na\nme") + b"/\xff\xfe.png"
    Path(os.fsdecode(raw)).write_bytes(encoded("PNG", 50))
    got = load(tmp_path / "photos")
    assert got.classes == ("na\nme",)
    assert {origin.partition("/")[2] for origin in got.origins} == {*NAMES, "\\xff\\xfe.png"}
    assert "\n" not in str(SparringError("x", got.origins[0], fix="y"))
    assert got.notes.bad_files == ()
    "".join(got.origins).encode()  # no lone surrogates: reports and JSON can hold them


def test_names_that_look_alike_are_kept_apart(tmp_path):  # B31, B37
    names = ("cat", "Cat", "caf\u00e9", "cafe\u0301", "1", "01", "NaN")
    for i, name in enumerate(names):
        for j in range(2):
            write_image(tmp_path / "photos" / name / f"{j}.png", 10 * i + j)
    got = load(tmp_path / "photos")
    assert set(got.classes) == set(names)
    said = "\n".join(got.notes.warnings)
    assert "'Cat', 'cat'" in said or "'cat', 'Cat'" in said
    assert "'01', '1'" in said or "'1', '01'" in said
    assert "'caf\u00e9'" in said and "(the same letters in two Unicode forms)" in said
    assert "a class is called 'NaN'" in said


def test_system_files_are_ignored_and_counted(photos):  # B32
    write_image(photos / ".ipynb_checkpoints" / "0.png", 1)
    write_image(photos / "__MACOSX" / "cat" / "0.png", 1)
    (photos / "cat" / "._0.png").write_bytes(b"x")
    (photos / "cat" / "Thumbs.db").write_bytes(b"x")
    (photos / ".DS_Store").write_bytes(b"x")
    (photos / "cat" / "read me.txt").write_bytes(b"x")
    (photos / "LICENSE").write_bytes(b"x")
    got = load(photos)
    assert got.classes == ("cat", "dog")
    assert got.notes.ignored == {"hidden or system files": 5, ".txt files": 1, "no suffix files": 1}
    assert got.notes.bad_files == ()


def test_content_decides_not_the_name(photos):  # B14
    (photos / "cat" / "really.jpg").write_bytes(encoded("PNG", 60))
    got = load(photos)
    assert got.notes.bad_files == ()
    assert (got.images[got.origins.index("cat/really.jpg"), ..., 0] == np.random.default_rng(60).integers(
        0, 256, (12, 10), dtype=np.uint8)).all()  # fmt: skip


def test_a_bomb_costs_neither_memory_nor_time(photos):  # B18, S26
    for bits, colour in ((1, 0), (8, 2), (16, 6)):
        (photos / "cat" / f"bomb{bits}.png").write_bytes(png_header(65_000, 65_000, bits=bits, colour=colour))
    start = time.process_time()
    got = load(photos)
    assert len(got.notes.bad_files) == 3
    assert all("more than the limit of 64 million" in reason for _, reason in got.notes.bad_files)
    assert time.process_time() - start < 2


def test_truncation_is_seen_at_every_length(tmp_path):  # S29
    from sparring.images import BadImage, load_image

    for kind in ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP"):
        whole = encoded(kind, 1, height=24, width=24)
        want = load_image(whole)
        silent = 0
        for cut in range(1, 100):
            try:
                got = load_image(whole[: len(whole) * cut // 100])
            except BadImage:
                continue
            silent += not np.array_equal(got, want)  # all pixels may be there before the last bytes
        assert silent == 0, kind


def test_truncation_is_seen_though_another_library_allows_it():
    from PIL import ImageFile

    from sparring.images import BadImage, load_image

    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        with pytest.raises(BadImage, match="truncated"):
            load_image(encoded("PNG")[:90])
        assert ImageFile.LOAD_TRUNCATED_IMAGES
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def test_mutated_files_never_do_more_than_fail():  # S35
    from sparring.images import BadImage, load_image

    rng = np.random.default_rng(5)
    outcomes = {"read": 0, "refused": 0}
    for kind in ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP"):
        whole = np.frombuffer(encoded(kind, 2, height=16, width=16), np.uint8)
        for _ in range(100):
            bent = whole.copy()
            places = rng.integers(0, len(bent), rng.integers(1, 6))
            bent[places] = rng.integers(0, 256, len(places))
            try:
                got = load_image(bent.tobytes())
                assert got.dtype == np.uint8 and got.shape[2] in (1, 3)
                outcomes["read"] += 1
            except BadImage:
                outcomes["refused"] += 1
    assert min(outcomes.values()) > 20
