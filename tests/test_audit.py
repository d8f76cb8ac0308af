"""The audit of a data set, on planted faults."""

import csv
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from sparring import load
from sparring.cli import main
from sparring.data.properties import Property, greys, image_properties
from sparring.data.shortcuts import Shortcut, class_shortcuts, ranges, shortcut_sentences, shortcut_words
from sparring.errors import FileFormatError, UsageError
from sparring.reporting.audit_page import write_audit_page
from sparring.stats import fisher_p
from sparring.study.audit import Audit, audit
from sparring.study.audit.auditing import less_p, summary_lines, weak_groups
from sparring.study.audit.findings import KINDS
from sparring.study.audit.label_errors import check_labels, label_quality, margins
from sparring.study.audit.pictures import spreads, unusual


def picture(rng: np.random.Generator, kind: int, size: int = 24) -> np.ndarray:
    """Stripes across or down, of random width, on a noisy ground: uint8 [size,size,3]."""
    place = np.arange(size) + rng.uniform(0, 9)
    stripes = 40 * np.sin(place * rng.uniform(0.8, 1.2))
    grey = 120 + (stripes[:, None] if kind else stripes[None]) + rng.normal(0, 12, (size, size))
    return np.clip(grey[..., None] + rng.normal(0, 8, 3), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Class folders with planted faults: flipped labels, odd pictures, odd sizes, a copy."""
    root, rng = tmp_path_factory.mktemp("planted") / "photos", np.random.default_rng(0)
    for kind, name in enumerate(("across", "down")):
        (root / name).mkdir(parents=True)
        for i in range(60):
            shown = 1 - kind if i < 3 else kind
            image = Image.fromarray(picture(rng, shown))
            if (name, i) == ("down", 10):
                image = Image.fromarray(np.full((24, 24, 3), 130, np.uint8))
            if (name, i) == ("down", 11):
                image = Image.fromarray((picture(rng, kind) * 0.2).astype(np.uint8))
            if (name, i) == ("across", 12):
                image = Image.fromarray(215 + picture(rng, kind) // 6)
            if (name, i) == ("across", 13):
                image = image.filter(ImageFilter.GaussianBlur(1.5))
            if (name, i) == ("across", 14):
                image = image.resize((24, 96))
            if (name, i) == ("down", 15):
                image = Image.open(root / "across" / "20.png")
            if (name, i) == ("down", 17):
                image = Image.open(root / "down" / "16.png")
            image.save(root / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def found(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "audit"
    made = audit(str(folder), out=out, pretrained="none")
    assert Audit.read(out).of("label")[0].picture is not None
    return made, out


def origins(made: Audit, kind: str) -> set[str]:
    return {finding.origin for finding in made.of(kind)}


def test_planted_faults_are_found_and_named_once(found):
    made, _ = found
    flipped = {f"{name}/{i}.png" for name in ("across", "down") for i in range(3)}
    assert len(origins(made, "label") & flipped) >= 5 and len(made.of("label")) <= 8
    assert origins(made, "empty") == {"down/10.png"}
    assert origins(made, "dark") == {"down/11.png"}
    assert origins(made, "light") == {"across/12.png"}
    assert origins(made, "blurred") == {"across/13.png"}
    assert origins(made, "odd shape") == {"across/14.png"}
    assert origins(made, "two labels") == {"across/20.png", "down/15.png"}
    assert "down/17.png" in origins(made, "copy")
    assert [f.kind for f in made.found] == sorted((f.kind for f in made.found), key=list(KINDS).index)
    assert not made.shortcuts


def test_the_table_has_a_line_for_each_image_the_most_suspicious_label_first(found):
    made, out = found
    with (out / "audit.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == made.images == 120
    flipped = {f"{name}/{i}.png" for name in ("across", "down") for i in range(3)}
    assert len({row["file"] for row in rows[:12]} & flipped) >= 5
    assert [int(row["label_rank"]) for row in rows] == list(range(1, 121))
    dark = next(row for row in rows if row["file"] == "down/11.png")
    assert "dark" in dark["found"] and float(dark["brightness"]) < 40


def test_the_page_and_the_lines_say_what_was_found(found):
    made, out = found
    page = write_audit_page(out).read_text()
    assert "Labels to check" in page and "across/13.png" in page and "data:image/png" in page
    assert "1 blurred images" not in list(summary_lines(made))
    assert "1 blurred image" in list(summary_lines(made))
    with pytest.raises(FileFormatError):
        write_audit_page(out / "pictures")


def test_the_command_prints_what_it_found(folder, tmp_path, capsys):
    out = tmp_path / "audit"
    assert main(["data", str(folder), "--audit", "--out", str(out), "--pretrained", "none"]) == 0
    said = capsys.readouterr().out
    assert "labels to check" in said and str(out / "audit.html") in said
    with pytest.raises(UsageError):
        audit(str(folder), out=folder / "inside", pretrained="none")
    assert main(["data", str(folder), "--audit", "--plan"]) == 2


def test_json_is_the_record(folder, tmp_path, capsys):
    out = tmp_path / "audit"
    assert main(["data", str(folder), "--audit", "--json", "--out", str(out), "--pretrained", "none"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 120


def test_images_without_labels_are_audited_too(folder, tmp_path):
    made = audit(load(str(folder / "across"), unlabelled=None), pretrained="none")
    assert made.check.checked == 0 and not made.of("label")
    assert origins(made, "blurred") == {"13.png"}


# Properties and shortcuts.


def test_greys_by_hand():
    images = np.zeros((2, 32, 32, 3), np.uint8)
    images[1, 2:-2, 2:-2] = (200, 100, 0)
    measured = greys(images)
    assert measured.border[1] == measured.mean[0] == 0
    assert measured.colour[1] == pytest.approx(200 * 28**2 / 32**2)
    assert measured.light[1] == pytest.approx(200 * 0.299 + 100 * 0.587, abs=1)
    assert measured.edges[0] == 0 < measured.edges[1]


def test_a_brightness_that_is_tied_to_a_class_is_found():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 60)
    bright = Property("brightness", "the mean brightness", rng.normal(0, 1, 600) + 2.5 * (labels == 3))
    chance = Property("contrast", "the contrast", rng.normal(0, 1, 600))
    told = class_shortcuts([chance, bright], labels, [f"class {k}" for k in range(10)], np.arange(600))
    assert [(t.measure, t.group) for t in told if t.surely] == [("brightness", "class 3")]
    assert told[0].right > 0.85 and told[0].typical - told[0].others == pytest.approx(2.5, abs=0.5)


def test_chance_gives_no_class_away():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 5, 80)
        each = [Property(str(i), "it", rng.normal(0, 1, 80)) for i in range(5)]
        assert not any(t.surely for t in class_shortcuts(each, labels, list("abcde"), np.arange(80), seed=seed))


def test_a_file_type_that_is_tied_to_the_test_part_is_found(tmp_path):
    rng = np.random.default_rng(0)
    for part, ending in (("train", "png"), ("test", "jpg")):
        for kind, name in enumerate("ab"):
            (tmp_path / "x" / part / name).mkdir(parents=True)
            for i in range(20):
                Image.fromarray(picture(rng, kind)).save(tmp_path / "x" / part / name / f"{i}.{ending}")
    made = audit(str(tmp_path / "x"), pretrained="none")
    found = next(s for s in made.shortcuts if s.measure == "file type")
    assert (found.of, found.group, found.right, found.typical) == ("part", "test", 1.0, None)
    assert shortcut_words(found) == (
        "the file type tells the test part from the rest: of 100 pairs of images, one of each, 100 are told apart, "
        "50 by guessing"
    )
    assert made.shortcuts[0].what.endswith(" and file type together")


def test_a_property_is_said_once_with_the_class_that_it_tells_best():
    def told(measure, group, of, right):
        return Shortcut(measure, f"the {measure}", group, of, right, 0.6)

    found = [told("size", "a", "class", 0.99), told("size", "b", "class", 0.9), told("border", "b", "class", 0.8)]
    parts = [told("all", "test", "part", 0.98), told("size", "test", "part", 0.97), told("border", "test", "part", 0.7)]
    said = list(shortcut_sentences([*found, *parts], 3))
    assert said == [
        "the size alone tells class a from the others: right in 99 of 100, 50 by guessing (and 1 more class)",
        "the border alone tells class b from the others: right in 80 of 100, 50 by guessing",
        "the all tells the test part from the rest: of 100 pairs of images, one of each, 98 are told apart, 50 by "
        "guessing (size alone 97)",
    ]
    assert list(shortcut_sentences(found, 2))[0].endswith("50 by guessing")


def test_ranges_hold_as_many_values_each_and_equal_ones_stay_together():
    assert np.bincount(ranges(np.arange(300.0))).tolist() == [25] * 12
    assert np.bincount(ranges(np.arange(60.0))).tolist() == [30, 30]
    assert len(set(ranges(np.r_[np.zeros(50), 1, 2])[:50].tolist())) == 1


def test_properties_that_all_images_share_are_left_out(folder):
    images = load(str(folder))
    names = [p.name for p in image_properties(images, greys(images.images))]
    assert "file type" not in names and "size" in names
    arrays = load("digits")
    assert "size" not in [p.name for p in image_properties(arrays, greys(arrays.images))]


# Measures.


def test_what_is_far_from_everything_is_unusual():
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (200, 8)).astype(np.float32)
    x[7] += 12
    far = unusual(x)
    assert far.argmax() == 7 and far[7] > 3 and np.median(far) == pytest.approx(1)
    assert unusual(x[:2]).tolist() == [1, 1]


def test_spreads_are_those_of_a_normal_distribution():
    values = np.exp(np.random.default_rng(0).normal(2, 0.5, 20_000))
    assert np.std(spreads(values)) == pytest.approx(1, abs=0.03)


def test_margins_by_hand():
    assert margins(np.array([0, 1]), np.array([[0.7, 0.2, 0.1], [0.5, 0.1, 0.4]])).tolist() == pytest.approx(
        [0.5, -0.4]
    )


def test_label_quality_by_hand():
    proba = np.array([[0.5, 0.5], [1.0, 0.0], [1.0, 0.0], [0.9, 0.1], [0.6, 0.4]])
    found = label_quality(np.array([0, 0, 1, 1, 1]), proba)
    sure = 1 + (0.9 * np.log(0.9) + 0.1 * np.log(0.1)) / np.log(2)
    assert found[:4].tolist() == pytest.approx([1, 1, 0, 0.1 / sure])  # unsure: nothing against the label
    assert found.argsort().tolist()[:2] == [2, 3] and found[4] == 1


def test_every_checked_label_has_a_quality():
    images = load("digits")
    labels = images.labels.copy()
    labels[::2] = -1
    x = images.images.reshape(len(images), -1).astype(np.float32)
    checked = check_labels(x, labels)
    assert (np.isnan(checked.quality) == (labels < 0)).all()
    assert (checked.said[labels >= 0] == labels[labels >= 0]).mean() == pytest.approx(checked.agreed)


def patients(*, patient=4.0, seed=0):
    """Features of 40 patients, 6 images each, who look more like themselves than like their class; of 4 every label is
    wrong. Returns features, labels, patients, and which labels are wrong."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(40), 6)
    true, wrong = who % 2, who < 4
    x = rng.normal(0, patient, (40, 64))[who] + rng.normal(0, 0.3, (240, 64))
    x[:, :4] = 8.0 * (2 * true - 1)[:, None] + rng.normal(0, 0.3, (240, 4))
    return (x / 100).astype(np.float32), np.where(wrong, 1 - true, true), who, wrong


def test_wrong_labels_of_a_patient_are_found_where_no_other_image_of_the_patient_was_seen():
    x, labels, who, wrong = patients()
    alone, grouped = (check_labels(x, labels, groups=g).errors.index for g in (None, who))
    assert wrong[grouped].all() and len(grouped) == 24
    assert len(alone) < 6


def test_near_duplicates_and_groups_are_held_out_together(monkeypatch):
    from sparring.classifiers import selection

    rng = np.random.default_rng(0)
    pixels = np.stack([picture(rng, k % 2) for k in range(40)])
    pixels = np.repeat(pixels, 2, 0)
    pixels[1::2] = np.clip(pixels[1::2].astype(int) + 4, 0, 255)
    images = load((pixels, np.repeat(np.arange(40) % 2, 2)))
    assert len(images.duplicates.near) == 40
    patient = np.array([f"P{i // 4}" for i in range(80)])
    seen, folds = [], selection.stratified_folds
    monkeypatch.setattr(selection, "stratified_folds", lambda *given: seen.append(folds(*given)) or seen[-1])
    for groups in (None, patient):
        whole = replace(images, groups=groups)
        audit(whole, pretrained="none")
        for train, held in seen[-1]:
            assert not set(whole.clusters[train]) & set(whole.clusters[held])
    assert len(seen) == 2 and len(seen[0]) == len(seen[1]) == 5


def test_a_class_of_two_patients_is_not_checked():
    x, labels, who, _ = patients()
    few = check_labels(x, np.where(np.isin(who, (5, 7, 9)) | (labels == 0), labels, -1), groups=who)
    assert few.checked > 100 and few.left_out == ()
    few = check_labels(x, np.where(np.isin(who, (5, 7)), 2, labels), groups=who)
    assert few.left_out == (2,) and few.checked == 228


def test_a_class_that_is_often_missed_is_a_weak_group(found, folder):
    images = load(str(folder))
    said = images.labels.copy()
    said[:25] = 1 - said[:25]
    seen = SimpleNamespace(images=images, checked=SimpleNamespace(said=said), properties=())
    weak = list(weak_groups(seen))  # pyright: ignore[reportArgumentType]
    assert [w.group for w in weak] == ["class across"]
    assert (weak[0].images, weak[0].others) == (60, 1.0)
    said[:] = images.labels
    assert not list(weak_groups(seen))  # pyright: ignore[reportArgumentType]


def test_a_class_that_some_patients_make_look_weak_is_not_named():
    """Whole patients are told or missed: of few patients a class is missed more often by chance."""
    rng, found = np.random.default_rng(0), np.zeros((300, 2), bool)
    who = np.repeat(np.arange(16), 20)
    for row in found:
        right, here = (rng.random(16) < 0.6)[who], who < 8
        row[:] = less_p(right, here, who) <= 0.05, fisher_p(right[here], right[~here]) <= 0.05
    assert found[:, 0].mean() <= 0.08 and found[:, 1].mean() > 0.25
    worse = np.where(who < 8, rng.random(320) < 0.4, rng.random(320) < 0.9)
    assert less_p(worse, who < 8, who) < 0.001 < 0.9 < less_p(worse, who >= 8, who)
    assert less_p(worse, who < 1, who) == 1
    assert less_p(np.ones(320, bool), np.arange(320) % 2 == 0, who) == 1  # every patient is on both sides, all right


def test_weak_groups_are_judged_by_whole_patients(folder):
    images = load(str(folder))
    said, who = images.labels.copy(), np.array([f"P{i % 60 // 30}{label}" for i, label in enumerate(images.labels)])
    said[:25] = 1 - said[:25]  # most of one patient
    seen = SimpleNamespace(images=replace(images, groups=who), checked=SimpleNamespace(said=said), properties=())
    assert not list(weak_groups(seen))  # pyright: ignore[reportArgumentType]
