"""What loading left out, converted and doubts: one record that every command says, reports show and JSON holds."""

import html
import json
from pathlib import Path

import numpy as np
import pytest
from bad_inputs import class_folders, pixels, write_image

import sparring
from sparring.cli import main
from sparring.data import load
from sparring.data.doubts import data_news, data_notes
from sparring.data.notes import ClassLoss, DataNotes, LeftOut
from sparring.data.tables import TABLE
from sparring.errors import DataError
from sparring.files import folder_name
from sparring.images import kinds as image_kinds
from sparring.judging.inputs import class_numbers, read_real
from sparring.records import Progress, read_record, to_json

LOSS = "left out: 30 .heic files; cat has 12 of 42 images; pip install 'sparring[heic]' to read HEIC"


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Folders cat, Cat and dog: 30 cats are HEIC, two images lie beside the classes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(image_kinds, "_there", lambda package: False)
    class_folders(Path("photos"), classes=("cat", "Cat", "dog"), each=12)
    for i in range(30):
        Path(f"photos/cat/{i}.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    for i in range(2):
        write_image(Path(f"photos/loose{i}.png"), 900 + i)
    return Path("photos")


MIND = "mind: 2 images beside the class folders, such as loose0.png: taken as unlabelled; classes with nearly the same"


def said(capsys, *tokens) -> tuple[str, list[str]]:
    """Run a command that must succeed; return its output, and what it said on the way of the data."""
    assert main([str(token) for token in tokens]) == 0
    out, err = capsys.readouterr()
    return out, [line for line in err.splitlines() if line.startswith(("left out", "mind", "converted", "ignored"))]


def card(model: str) -> str:
    return html.unescape(Path(model, "README.md").read_text(encoding="utf-8"))


def test_fit_says_it_once_and_json_has_it(photos, capsys):
    _, lines = said(capsys, "fit", photos, "-m", "majority", "--out", "a")
    assert len(lines) == 2 and lines[0] == LOSS and lines[1].startswith(MIND)
    assert "- Of the data: left out: 30 .heic files; cat has 12 of 42 images; " in card("a")
    out, _ = said(capsys, "fit", photos, "-m", "majority", "--out", "b", "--json")
    notes = json.loads(out)["notes"]
    assert notes["left_out"][0]["count"] == 30 and notes["classes"] == [{"name": "cat", "left_out": 30, "kept": 12}]
    assert said(capsys, "fit", photos, "-m", "majority", "--out", "c", "--quiet")[1] == []
    assert said(capsys, "fit", "digits", "-m", "majority", "--out", "d")[1] == [] and "Of the data" not in card("d")


def test_verbose_names_every_file(photos, capsys):
    (photos / "cat/broken.png").write_bytes(b"")
    (photos / ".DS_Store").write_bytes(b"x")
    _, lines = said(capsys, "fit", photos, "-m", "majority", "--out", "a", "--verbose")
    assert "ignored: 1 hidden or system file" in lines and sum(line.startswith("mind: ") for line in lines) == 2
    assert "left out cat/broken.png: empty file (0 bytes)" in lines
    assert sum(line.endswith(".HEIC: a file of another kind") for line in lines) == 30
    short = data_notes(load(photos)).short
    assert short[0].startswith("left out: 30 .heic files and 1 file that cannot be read (cat/broken.png: empty file")
    assert "cat has 12 of 43 images" in short[0]


def test_data_says_which_classes_lost_files(photos, capsys):
    out, lines = said(capsys, "data", photos, "--sheet", "a.png")
    assert LOSS.removeprefix("left out: ") in out and lines == []
    out, _ = said(capsys, "data", photos, "--sheet", "b.png", "--json")
    assert json.loads(out)["notes"]["classes"][0]["name"] == "cat"


def test_a_study_says_it_and_its_report_and_summary_have_it(photos, capsys):
    tokens = ["--methods", "majority", "--labels", "2", "--repeats", "1", "--jobs", "1"]
    _, lines = said(capsys, "compare", photos, *tokens, "--minutes", "1", "--out", "study")
    assert lines[0] == LOSS and lines[1].startswith(MIND) and len(lines) == 2
    notes = read_record(DataNotes, json.loads(Path("study/summary.json").read_text())["data"]["notes"])
    assert notes == data_notes(load(photos))
    page = Path("study/report.html").read_text(encoding="utf-8")
    assert "cat has 12 of 42 images" in page and "beside the class folders" in page
    assert "- Of the data: left out: 30 .heic files; cat has 12 of 42 images; " in card("study/model")


def test_a_run_says_it_and_its_page_has_it(photos, capsys):
    _, lines = said(capsys, "train", photos, "-r", "mlp", "--images", "64", "--out", "run", "--no-monitor")
    assert lines[0] == LOSS and lines[1].startswith(MIND)
    assert sparring.Run.read("run").notes == data_notes(load(photos))
    page = sparring.report("run").read_text(encoding="utf-8")
    assert 'id="data"' in page and "cat has 12 of 42 images" in page and "beside the class folders" in page
    _, lines = said(capsys, "sample", "run", "--nearest", photos, "-n", "4", "--grid", "grid.png")
    assert lines[0] == LOSS
    assert main(["judge", str(photos), "run", "--features", "pixels", "--metrics", "kernel", "--verbose"]) == 3
    assert LOSS in capsys.readouterr().err  # they are too few for a score, and are read before
    assert LOSS in read_real("photos", most=100).how


def test_classify_gives_every_file_a_row_or_a_line(photos, capsys):  # B68
    sparring.fit("photos", method="majority", out="model")
    inbox = photos.with_name("inbox")
    write_image(inbox / "a.png", 1).with_suffix("").write_bytes((inbox / "a.png").read_bytes())
    (inbox / "b.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (inbox / "e.png").symlink_to("gone.png")
    (inbox / "notes.txt").write_text("x")
    outside = write_image(photos.with_name("elsewhere") / "x.png", 5)
    (inbox / "link.png").symlink_to(outside.absolute())
    out, lines = said(capsys, "classify", "model", inbox, "--csv")
    assert [line.split(",")[0] for line in out.splitlines()[1:]] == ["inbox/a", "inbox/a.png"]
    assert [line.split(":")[0] for line in lines] == [
        f"left out inbox/{name}" for name in ("b.HEIC", "e.png", "link.png", "notes.txt")
    ]
    out, lines = said(capsys, "classify", "model", inbox, "--csv", "--follow-links")
    assert "inbox/link.png" in out and len(lines) == 3
    assert main(["classify", "model", "inbox/b.HEIC"]) == 3 and "sparring[heic]" in capsys.readouterr().err


def test_a_class_that_is_called_like_a_column_has_its_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    class_folders(Path("photos"), classes=("class", "confidence", "other"))
    sparring.fit("photos", method="majority", out="model")
    out, _ = said(capsys, "classify", "model", "photos/other/0.png", "--csv")
    names = [
        "image",
        "class",
        "confidence",
        "answer",
        "set",
        "probability of class",
        "probability of confidence",
        "other",
    ]
    assert out.splitlines()[0].split(",") == names


# Links


def test_links_are_said_by_class_and_followed_when_asked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    store = class_folders(tmp_path / "store", each=6)
    class_folders(Path("half"), each=6)
    for name in ("folders", "files"):
        for c in ("cat", "dog"):
            (Path(name) / c).parent.mkdir(parents=True, exist_ok=True)
            if name == "folders":
                (Path(name) / c).symlink_to(store / c)
    for c in ("cat", "dog"):
        Path("files", c).mkdir()
        for i in range(6):
            Path("files", c, f"{i}.png").symlink_to(store / c / f"{i}.png")
            if c == "dog":
                Path("half", c, f"x{i}.png").symlink_to(store / c / f"{i}.png")
    for name, links in {"folders": 2, "files": 12}.items():
        assert main(["data", name]) == 3
        told = capsys.readouterr().err
        assert f"{links} links, such as cat" in told and "Fix: --follow-links" in told
        out, _ = said(capsys, "data", name, "--follow-links", "--json", "--sheet", f"{name}.png")
        assert json.loads(out)["labelled"] == 12
    _, lines = said(capsys, "fit", "half", "-m", "majority", "--out", "a")
    assert lines[0].startswith("left out: 6 links that lead out of the folder; dog has 6 of 12 images; --follow-links")
    assert said(capsys, "fit", "half", "-m", "majority", "--out", "b", "--follow-links")[1] == []
    for path in Path("half/dog").glob("[0-9].png"):
        path.unlink()
    with pytest.raises(DataError, match="dog holds only 6 links that lead out of the folder.*Fix: --follow-links"):
        load("half")


def test_a_study_reads_links_again_as_it_read_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    class_folders(tmp_path / "store", each=10)
    Path("linked").symlink_to(tmp_path / "store")
    Path("photos").mkdir()
    for c in ("cat", "dog"):
        Path("photos", c).symlink_to(tmp_path / "store" / c)
    options = {"methods": ["majority"], "labels": 2, "repeats": 1, "jobs": 0, "minutes": None, "model": False}
    sparring.compare("photos", "study", follow_links=True, **options)
    assert json.loads(Path("study/study.json").read_text())["load"]["follow_links"] is True


# The record


def test_the_short_form_is_three_lines_at_most():
    notes = DataNotes(
        (LeftOut(3, ".heic files"), LeftOut(1, ".txt file"), LeftOut(9, "hidden or system files", expected=True)),
        tuple(ClassLoss(name, 1, 2) for name in "abcde"),
        ("do this",),
        ("x", "y", "z"),
        ("1 image 16 bit: the high byte kept",),
    )
    three = ", ".join(f"{name} has 2 of 3 images" for name in "abc")
    assert notes.short == (
        f"left out: 3 .heic files and 1 .txt file; {three} and 2 more classes; do this",
        "mind: x; y; and 1 more (--verbose)",
        "converted: 1 image 16 bit: the high byte kept",
    )
    assert len(notes.full) == 6 and "e has 2 of 3 images" in notes.full[0]
    assert read_record(DataNotes, json.loads(json.dumps(to_json(notes, kinds=False)))) == notes
    assert DataNotes().short == DataNotes().full == ()


def test_load_tells_its_progress_once(photos):
    told: list[Progress] = []
    found = load(photos, progress=told.append)
    assert [p.news for p in told if p.news.full] == [data_news(found)]


def test_losses_are_counted_in_parts_and_with_further_images(tmp_path, monkeypatch):
    monkeypatch.setattr(image_kinds, "_there", lambda package: False)
    for part in ("train", "test"):
        class_folders(tmp_path / "photos" / part)
        (tmp_path / "photos" / part / "dog/x.dcm").write_bytes(bytes(128) + b"DICM")
    class_folders(tmp_path / "more", classes=("any",))
    (tmp_path / "more/any/y.heic").write_bytes(b"x")
    notes = data_notes(load(tmp_path / "photos", unlabelled=tmp_path / "more"))
    assert notes.classes == (ClassLoss("dog", 2, 8),)
    assert {(one.count, one.what) for one in notes.left_out} == {(2, ".dcm files"), (1, ".heic file")}
    assert len(notes.ways) == 2


# Class names


NAMES = ["кошка", "猫", "T-shirt/top", "100% wool", "a%2Fb", "what?", ".hidden", "x:y*", "end.", "ę ó"]


def test_names_of_classes_are_those_of_folders_where_that_can_be():  # S24
    spelt = [folder_name(name) for name in NAMES]
    assert spelt[:2] == NAMES[:2] and spelt[-1] == NAMES[-1] and len(set(spelt)) == len(NAMES)
    assert not any(set(name) & set('/\\:*?"<>|') or name.startswith(".") or name.endswith(".") for name in spelt)
    assert class_numbers(spelt, NAMES) == list(range(len(NAMES)))
    assert class_numbers(["e\u0301", "%D0%BA", "a%2Fb", "no"], ["a/b", "\u00e9", "\u043a", "a%2Fb"]) == [1, 2, 3, -1]


def test_samples_of_every_class_come_back_with_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = np.stack([pixels(i, 8, 8, 1) for i in range(4 * len(NAMES))])
    labels = np.arange(len(images)) % len(NAMES)
    np.savez("photos.npz", images=images, labels=labels, classes=np.array(NAMES))
    run = sparring.train("photos.npz", "cgan", "run", images=64, monitor=False, precision="fp32")
    sparring.sample(run, per_class=2, out="fakes")
    assert Path("fakes", TABLE).is_file()
    found = load("fakes", alike=True)
    assert sorted(found.classes) == sorted(NAMES) and (np.bincount(found.labels) == 2).all()
    assert len(list(Path("fakes/猫").glob("*.png"))) == 2
