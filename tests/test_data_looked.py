"""`sparring data` a second time: nothing is read where nothing has changed, and every change is seen."""

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from sparring.cli import looked, main
from sparring.data import describe, load
from sparring.data.checks import Description
from sparring.files import files_state, states
from sparring.records import read_record, to_json


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(states, "SETTLED", -1e6)  # files of this moment count as settled
    for i in range(12):
        folder = tmp_path / "photos" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((20, 20 + i % 3), 20 + 10 * i).save(folder / f"{i}.png")
    (tmp_path / "photos" / "a" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    return tmp_path / "photos"


@pytest.fixture
def looks(monkeypatch):
    """How often a data set was read and described."""
    made = []
    real = looked._looked
    monkeypatch.setattr(looked, "_looked", lambda *given: made.append(1) or real(*given))
    return made


def said(capsys, *options):
    assert main(["data", "photos", "--sheet", "sheet.png", *options]) == 0
    sheet = Path("sheet.png").read_bytes()
    Path("sheet.png").unlink()
    return capsys.readouterr().out, sheet


def test_a_second_look_reads_nothing_and_says_the_same(photos, looks, capsys):
    for options in ((), ("--json",), ("--verbose",)):
        first, second = said(capsys, *options), said(capsys, *options)
        assert first == second and "broken.png" in first[0]
    assert len(looks) == 1
    assert json.loads(said(capsys, "--json")[0])["images"] == 12


@pytest.mark.parametrize("change", ["pixels", "name", "more", "fewer", "class", "table", "option", "folder"])
def test_every_change_is_seen(photos, looks, capsys, change):
    said(capsys)
    image, options = photos / "a" / "0.png", []
    if change == "pixels":  # of the same size, with the same time of change
        status, data = image.stat(), bytearray(image.read_bytes())
        data[-20] ^= 1
        image.write_bytes(data)
        os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif change == "name":
        image.rename(photos / "a" / "00.png")
    elif change == "more":
        Image.effect_noise((20, 20), 99).save(photos / "b" / "more.png")
    elif change == "fewer":
        image.unlink()
    elif change == "class":
        shutil.move(image, photos / "b" / "0.png")
    elif change == "table":
        (photos / "notes.txt").write_text("a file of another kind")
    elif change == "option":
        options = ["--size", "16"]
    else:
        photos.rename(photos.with_name("old"))
        shutil.copytree(photos.with_name("old"), photos)
    said(capsys, *options)
    assert len(looks) == 2


def test_files_that_just_changed_are_read_again(photos, looks, capsys, monkeypatch):
    monkeypatch.setattr(states, "SETTLED", 1000.0)
    said(capsys)
    said(capsys)
    assert len(looks) == 2 and files_state([photos]) is None


def test_a_link_to_a_folder_is_never_trusted(photos, tmp_path):
    assert files_state([photos]) == files_state([photos]) is not None
    (photos / "far").symlink_to(tmp_path)
    assert files_state([photos]) is None
    (photos / "far").unlink()
    (photos / "a" / "link.png").symlink_to(tmp_path / "nowhere.png")
    before = files_state([photos])
    Image.new("L", (9, 9)).save(tmp_path / "nowhere.png")
    assert before is not None and files_state([photos]) not in (None, before)


@pytest.mark.parametrize("damage", [b"", b"no npz"])
def test_what_is_kept_and_damaged_is_looked_at_again(photos, looks, capsys, tmp_path, damage):
    first = said(capsys)
    (kept,) = (tmp_path / "cache" / "features").glob("*.npz")
    kept.write_bytes(damage)
    from sparring.features.cache import cache_at

    cache_at.cache_clear()
    assert said(capsys) == first and len(looks) == 2


def test_descriptions_come_back_as_they_were(photos):
    for found in (describe(load("digits")), describe(load(str(photos)))):
        assert read_record(Description, json.loads(json.dumps(to_json(found, kinds=False)))) == found
