"""Groups: read from columns and folders, said, and kept on one side of every split and spread over label draws."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sparring.data import ImageSet, describe, label_draw, load, split
from sparring.data.groups import components, named_like_groups
from sparring.data.leaks import leaks
from sparring.errors import DataError, UsageError


def grouped(labels, groups, *, parts=None, images=None) -> ImageSet:
    """Noise with these labels and groups, no two images alike."""
    labels, count = np.asarray(labels, np.int64), len(labels)
    noise = np.random.default_rng(0).integers(0, 256, (count, 12, 12, 3), dtype=np.uint8)
    return ImageSet(
        images=noise if images is None else images,
        labels=labels,
        classes=tuple("abcdef"[: labels.max() + 1]),
        origins=tuple(f"{i}.png" for i in range(count)),
        parts=np.full(count, "", "<U5") if parts is None else np.asarray(parts, "<U5"),
        name="some",
        groups=None if groups is None else np.asarray(groups, np.str_),
    )


def write_images(top, paths):
    """Noise at each of these paths below `top`."""
    rng = np.random.default_rng(len(paths))
    for path in paths:
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(top / path)
    return top


def with_table(top, header, rows, name="labels.csv"):
    write_images(top, [row[0] for row in rows])
    with (top / name).open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return top


def sides(images, made):
    """The groups of both parts."""
    return [set(images.groups[index].tolist()) - {""} for index in (made.train, made.test)]


ROWS = [(f"{i}.png", "ill" if i // 4 % 2 else "well", f"P{i // 4}") for i in range(40)]


# Where groups come from


def test_a_column_of_the_table_is_read_and_one_that_looks_like_it_is_pointed_out(tmp_path):
    top = with_table(tmp_path / "t", ("file", "label", "patient_id"), ROWS)
    plain = load(top)
    assert plain.groups is None and len(plain.notes.warnings) == 1
    said = plain.notes.warnings[0]
    assert "column patient_id of labels.csv has 10 values for 40 images" in said
    assert f"sparring compare {top} --group patient_id" in said and "--group none" in said
    assert said in describe(plain).warnings
    assert load(top, group="none").notes.warnings == () and load(top, group="none").groups is None
    images = load(top, group="Patient_ID")
    assert images.groups.tolist() == [f"P{int(origin[:-4]) // 4}" for origin in images.origins]
    assert images.notes.warnings == ()
    with pytest.raises(UsageError, match=r"no column 'patient', did you mean patient_id\?"):
        load(top, group="patient")


@pytest.mark.parametrize(
    ("column", "looks"),
    [("patient_id", True), ("PatientID", True), ("Subject", True), ("case", True), ("slide_name", True),
     ("video", True), ("lesion_id", True), ("animal ID", True), ("burst", True), ("clip-no", True),
     ("image_id", False), ("diagnosis", False), ("age", False), ("showcase", False), ("url", False)],
)  # fmt: skip
def test_which_columns_look_like_groups(column, looks):
    assert named_like_groups(column) is looks


@pytest.mark.parametrize("values", [["P1"] * 40, [f"P{i}" for i in range(40)], [""] * 40])
def test_a_column_without_repeats_or_with_one_value_is_no_group(tmp_path, values):
    rows = [(name, label, value) for (name, label, _), value in zip(ROWS, values, strict=True)]
    assert load(with_table(tmp_path / "t", ("file", "label", "patient"), rows)).notes.warnings == ()


def test_of_two_columns_the_one_that_holds_the_other_is_named(tmp_path):
    rows = [(name, label, f"S{i // 2}", patient) for i, (name, label, patient) in enumerate(ROWS)]
    said = load(with_table(tmp_path / "t", ("file", "label", "slide", "patient"), rows)).notes.warnings
    assert len(said) == 1 and "--group patient " in said[0]


PATIENTS = [(f"{'cat' if i < 20 else 'dog'}/{i}.png", f"P{i // 4}") for i in range(40)]  # beside class folders


@pytest.mark.parametrize("around", ["", "photos/"])
@pytest.mark.parametrize("parts", ["", "train/", "no part/"])
def test_a_table_of_groups_beside_class_folders_is_read(tmp_path, around, parts):
    """With the path of each image from the top, by its bare name, or with the table in the folder of the classes."""
    rows = [(f"{around}{parts if parts != 'no part/' else ''}{path}", who) for path, who in PATIENTS]
    if parts == "train/":
        rows += [(f"{around}test/{kind}/{kind}{i}.png", f"Q{i // 2}") for kind in ("cat", "dog") for i in range(6)]
    top = with_table(tmp_path / "t", ("image", "patient_id"), rows, name="patients.csv")
    if parts == "no part/":
        rows = [(path.rpartition("/")[2], who) for path, who in rows]
        (top / "patients.csv").unlink()
        with (top / around / "patients.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("image", "patient_id"), *rows])
    plain = load(top)
    assert plain.classes == ("cat", "dog") and plain.groups is None
    assert any("column patient_id of patients.csv has" in said for said in plain.notes.warnings)
    images = load(top, group="Patient_id")
    assert images.classes == ("cat", "dog") and (images.labels == plain.labels).all()
    who = {path.rpartition("/")[2]: name for path, name in rows}
    assert images.groups.tolist() == [who[origin.rpartition("/")[2]] for origin in images.origins]
    said = images.notes.warnings
    assert any(line.startswith("patients.csv has no column of labels: only its groups") for line in said)
    assert not any("was not used" in line for line in said)
    if parts == "train/":
        assert {*images.parts} == {"train", "test"}
    assert load(top, group="none").groups is None
    with pytest.raises(UsageError, match=r"patients.csv has no column 'patient', did you mean patient_id"):
        load(top, group="patient")


def test_a_table_of_groups_elsewhere_and_one_beside_a_table_of_labels(tmp_path):
    top = with_table(tmp_path / "t", ("file", "patient"), PATIENTS, name="p.csv")
    elsewhere = (top / "p.csv").rename(tmp_path / "p.csv")
    images = load(top, table=elsewhere, group="patient")
    assert images.classes == ("cat", "dog") and images.groups.tolist() == [dict(PATIENTS)[o] for o in images.origins]
    flat = with_table(tmp_path / "flat", ("file", "label"), [row[:2] for row in ROWS])
    with (flat / "who.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "slide", "note"), *((row[0], row[2], "") for row in ROWS)])
    images = load(flat, group="slide")
    assert images.classes == ("ill", "well") and images.notes.layout == "images and a table of labels, who.csv"
    assert images.groups.tolist() == [f"P{int(origin[:-4]) // 4}" for origin in images.origins]


def test_groups_for_some_images_only_leave_the_others_on_their_own(tmp_path):
    top = with_table(tmp_path / "t", ("file", "patient"), PATIENTS, name="p.csv")
    lines = (top / "p.csv").read_text().splitlines()
    (top / "p.csv").write_text("\n".join(lines[:21]))
    images = load(top, group="patient")
    assert sum(images.groups == "") == 20 and images.groups[0] == "P0"


def test_folders_below_classes_are_groups(tmp_path):
    paths = [f"{'ill' if p % 2 else 'well'}/P{p:02d}/{i}.png" for p in range(6) for i in range(3)]
    top = write_images(tmp_path / "t", paths)
    images = load(top)
    assert images.classes == ("ill", "well")
    assert images.groups.tolist() == [origin.split("/")[1] for origin in images.origins]
    assert (
        len(images.notes.warnings) == 1
        and "6 folders below the classes (P00, P01, P02 ...)" in images.notes.warnings[0]
    )
    assert "--group none" in images.notes.warnings[0]
    off = load(top, group="none")
    assert off.groups is None and off.classes == ("ill", "well") and off.notes.warnings == ()
    asked = load(top, group="folders")
    assert asked.groups.tolist() == images.groups.tolist() and asked.notes.warnings == ()
    with pytest.raises(UsageError, match="has no table of labels, so it has no column 'patient'"):
        load(top, group="patient")


def test_where_every_class_has_the_same_folders_it_is_asked(tmp_path):
    top = write_images(
        tmp_path / "t", [f"{a}/{b}/{i}.png" for a in ("2019", "2020") for b in ("cat", "dog") for i in "12"]
    )
    with pytest.raises(DataError, match=r"which folder is the class\?.*--group folders"):
        load(top)
    images = load(top, group="folders")
    assert images.classes == ("2019", "2020") and sorted(set(images.groups)) == ["cat", "dog"]


def test_one_folder_in_a_class_is_no_group(tmp_path):
    paths = ["cat/1.png", "cat/2.png", "cat/more/3.png", "dog/1.png", "dog/a/2.png", "dog/b/3.png"]
    images = load(write_images(tmp_path / "t", paths))
    assert images.groups is None and images.classes == ("cat", "dog") and images.notes.warnings == ()


def test_images_beside_the_folders_of_a_class_are_on_their_own(tmp_path):
    paths = [f"{c}/{c}{g}/{i}.png" for c in ("cat", "dog") for g in "12" for i in "12"] + ["cat/9.png"]
    images = load(write_images(tmp_path / "t", paths))
    assert images.groups[list(images.origins).index("cat/9.png")] == "" and len(set(images.groups)) == 5


def test_folders_below_the_classes_of_parts_are_groups(tmp_path):
    train = [f"train/{c}/{c}{p}/{i}.png" for c in ("cat", "dog") for p in range(3) for i in range(3)]
    test = [f"test/{c}/{c}{p}/{i}.png" for c in ("cat", "dog") for p in (2, 3, 4) for i in range(3)]
    images = load(write_images(tmp_path / "t", train + test))
    assert sorted(set(images.groups)) == sorted(f"{c}{p}" for c in ("cat", "dog") for p in range(5))
    made = split(images)
    assert sides(images, made)[1] == {"cat3", "cat4", "dog3", "dog4"} and len(made.moved) == 6
    assert "6 images left out of it that show the same as an image outside, or are of its group" in made.how


def test_groups_of_parquet_npz_and_arrays(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import io

    from pyarrow import parquet

    images = grouped([0, 0, 1, 1] * 3, list("ppqqrrssttuu"))
    cells = []
    for image in images.images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        cells.append({"bytes": buffer.getvalue(), "path": None})
    owner = [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, None, 6]
    table = pa.table({"image": cells, "label": [f"c{k}" for k in images.labels], "subject": owner})
    parquet.write_table(table, tmp_path / "a.parquet")
    expected = [str(v) if v else "" for v in owner]
    assert load(tmp_path / "a.parquet", group="subject").groups.tolist() == expected
    assert "--group subject" in load(tmp_path / "a.parquet").notes.warnings[0]
    with pytest.raises(UsageError, match="no column 'patient'"):
        load(tmp_path / "a.parquet", group="patient")
    np.savez(tmp_path / "a.npz", images=images.images, labels=images.labels, subject=np.array(expected))
    assert load(tmp_path / "a.npz", group="subject").groups.tolist() == expected
    parts = {"x_train": images.images[:8], "y_train": images.labels[:8], "x_test": images.images[8:]}
    parts |= {"y_test": images.labels[8:], "who_train": expected[:8], "who_test": expected[8:]}
    assert load(parts, group="who").groups.tolist() == expected
    assert load((images.images, images.labels), group=owner).groups.tolist() == expected
    for source in ({"images": images.images, "labels": images.labels}, (images.images, images.labels), "digits"):
        with pytest.raises(UsageError, match="no column 'who'"):
            load(source, group="who")
    with pytest.raises(DataError, match=r"group has shape \(3,\) for 12 images"):
        load((images.images, images.labels), group=[1, 2, 3])


def test_groups_go_with_images():
    images = grouped([0, 0, 1, 1], ["p", "p", "", "q"])
    assert images.take([3, 0]).groups.tolist() == ["q", "p"]
    assert images.clusters.tolist() == [0, 0, 2, 3]
    other = grouped([0, 0, 1, 1], ["p", "p", "q", "q"])
    assert len({images.fingerprint, other.fingerprint, grouped([0, 0, 1, 1], None).fingerprint}) == 3
    assert images.fingerprint == grouped([0, 0, 1, 1], ["r", "r", "s", "t"]).fingerprint


def test_near_duplicates_join_groups():
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, (40, 12, 12, 3), dtype=np.uint8)
    pixels[39] = pixels[0]
    groups = [f"P{i // 4}" for i in range(40)]
    images = grouped([i // 4 % 2 for i in range(40)], groups, images=pixels)
    assert images.clusters[0] == images.clusters[39] == images.clusters[36] and images.clusters[4] != images.clusters[0]
    for seed in range(10):
        made = split(images, seed=seed)
        assert not {*images.clusters[made.train]} & {*images.clusters[made.test]}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30))
def test_components_are_those_of_a_search(pairs):
    first, second = np.array(pairs).T
    names = np.array([f"g{k}" if k else "" for k in second], np.str_)
    found = components(first.astype(np.int64), names)
    for i in range(len(pairs)):
        reached, new = set(), {i}
        while new:
            reached |= new
            new = {j for j in range(len(pairs)) for k in reached
                   if first[j] == first[k] or (names[j] and names[j] == names[k])} - reached  # fmt: skip
        assert set(np.flatnonzero(found == found[i]).tolist()) == reached and found[i] == min(reached)


# Splits and draws


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(6, 15), st.sampled_from([0.1, 0.2, 0.4]), st.booleans())
def test_no_group_is_on_both_sides(seed, count, share, mixed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 7, count)
    groups = np.repeat([f"P{g}" for g in range(count)], sizes)
    labels = rng.integers(0, 2, sizes.sum()) if mixed else np.repeat(np.arange(count) % 2, sizes)
    labels[rng.random(len(labels)) < 0.2] = -1
    images = grouped([*labels, *(0, 1) * 4], [*groups, *(f"Q{i}" for i in range(8))])
    made = split(images, seed=seed, test=share)
    train, test = sides(images, made)
    assert not train & test
    for k in (0, 1):
        assert (images.labels[made.test] == k).any() and (images.labels[made.train] == k).any()
    assert (images.labels[made.test] >= 0).all()
    left = np.setdiff1d(np.arange(len(images)), np.concatenate([made.train, made.test]))
    assert (images.labels[left] < 0).all() and set(images.groups[left]) <= test
    again = split(images.take(np.arange(len(images))[::-1]), seed=seed, test=share)
    assert sides(images.take(np.arange(len(images))[::-1]), again) == [train, test]


def test_the_test_part_has_about_the_share_and_no_group_size_is_preferred():
    sizes = [1] * 20 + [5] * 20
    groups = np.repeat([f"P{g}" for g in range(40)], sizes)
    images = grouped(np.arange(len(groups)) % 2, groups)
    large, total = 0, 0
    for seed in range(60):
        made = split(images, seed=seed)
        assert 0.12 <= len(made.test) / len(images) <= 0.2
        large += len({g for g in images.groups[made.test] if int(g[1:]) >= 20})
        total += len(set(images.groups[made.test]))
    assert 0.3 < large / total < 0.6  # half of the groups are large; a few do not fit in the end


def test_a_class_of_one_group_cannot_be_split():
    labels, groups = [0] * 8 + [1] * 8, ["P1"] * 8 + ["P2"] * 4 + ["P3"] * 4
    with pytest.raises(DataError, match=r"class 'a' has 8 labelled images: they are of one group"):
        split(grouped(labels, groups))


def test_a_test_part_of_one_group_says_nothing_about_others():
    parts = ["train"] * 8 + ["test"] * 4
    images = grouped([0, 1] * 6, ["P1"] * 4 + ["P2"] * 4 + ["P3"] * 4, parts=parts)
    with pytest.raises(DataError, match="all images of the test part of some are of one group"):
        split(images)


def test_a_test_part_whose_groups_are_all_in_training_is_refused():
    parts = ["train", "train", "test"] * 4
    with pytest.raises(DataError, match=r"its groups have images in the training part, too\. Fix: .*whole groups"):
        split(grouped([0, 1, 0, 1, 0, 1] * 2, ["P1"] * 6 + ["P2"] * 6, parts=parts))


def test_label_draws_come_from_as_many_groups_as_there_are():
    labels = np.repeat([0, 1], 40)
    groups = np.concatenate([np.repeat(np.arange(4), [30, 5, 3, 2]), 10 + np.arange(40) // 4])
    for repeat in range(20):
        kept = [np.flatnonzero(label_draw(labels, n, seed=1, repeat=repeat, groups=groups) >= 0) for n in (3, 4, 6)]
        assert set(kept[0]) < set(kept[1]) < set(kept[2])
        assert sorted(groups[kept[1]][:4]) == [0, 1, 2, 3] and len(set(groups[kept[1]][4:])) == 4
        assert max(np.bincount(groups[kept[2]][:6])) == 2
    alone = label_draw(labels, 5, seed=1, repeat=0, groups=np.arange(80))
    assert (alone == label_draw(labels, 5, seed=1, repeat=0)).all()


# What should not tell classes or parts apart


def photographs(count=120, *, parts=None, seed=0):
    """Scenes of two classes with sizes, all alike in what is not shown."""
    rng = np.random.default_rng(seed)
    images = rng.integers(60, 200, (count, 12, 12, 3)).astype(np.uint8)
    found = grouped(np.arange(count) % 2, None, parts=parts, images=images)
    return replace(found, sizes=np.tile([[60, 80], [80, 60]], (count // 2, 1))[rng.permutation(count)])


def test_of_images_that_are_alike_nothing_is_said():
    for seed in range(8):
        parts = np.random.default_rng(seed).permutation(["train"] * 60 + ["test"] * 60)
        assert leaks(photographs(seed=seed, parts=parts)) == []
    assert leaks(load("digits")) == []


PROPERTIES = {
    "size": "the number of pixels of the file",
    "file type": "the file type",
    "brightness": "the mean brightness",
    "sharpness": "the sharpness",
    "border": "the brightness of the border",
}


@pytest.mark.parametrize("name", PROPERTIES)
def test_a_property_that_tells_a_class_is_said_with_figures(name):
    images = photographs()
    pixels, sizes, origins = images.images.copy(), images.sizes.copy(), list(images.origins)
    for i in np.flatnonzero(images.labels == 1).tolist():
        if name == "size":
            sizes[i] = 100, 100
        elif name == "file type":
            origins[i] = f"{i}.jpg"
        elif name == "brightness":
            pixels[i] = pixels[i] // 2
        elif name == "sharpness":
            pixels[i] = np.asarray(Image.fromarray(pixels[i]).resize((4, 4)).resize((12, 12)))
        else:
            pixels[i, 0] = pixels[i, -1] = 0
    said = leaks(replace(images, images=pixels, sizes=sizes, origins=tuple(origins)))
    found = [
        line for line in said if line.startswith(f"{PROPERTIES[name]} alone tells class a from the others: right in ")
    ]
    assert len(found) == 1 and " of 100, 50 by guessing: a classifier may learn how" in found[0]
    assert int(found[0].split("right in ")[1].split(" of")[0]) >= 90
    hidden = np.where(np.arange(120) < 60, "train", "test")  # labels of the test part are not used
    few = replace(images, images=pixels, sizes=sizes, origins=tuple(origins), parts=hidden)
    other = replace(few, labels=np.where(hidden == "test", 1 - few.labels, few.labels))
    assert leaks(few) == leaks(other) != []


def test_groups_of_one_look_do_not_name_the_class():
    """Each patient is of one brightness; by chance of its class too. New patients are not told by it."""
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(16), 10)
    pixels = np.clip(
        rng.integers(40, 200, 16)[patient][:, None, None, None] + rng.normal(0, 5, (160, 12, 12, 3)), 0, 255
    )
    images = grouped(patient % 2, [f"P{p}" for p in patient], images=pixels.astype(np.uint8))
    assert leaks(images) == [] != leaks(replace(images, groups=None))


def test_parts_that_can_be_told_apart_are_said_with_figures(tmp_path):
    parts = np.where(np.arange(120) < 80, "train", "test")
    images = photographs(parts=parts)
    darker = np.where((parts == "test")[:, None, None, None], images.images // 2, images.images).astype(np.uint8)
    (said,) = leaks(replace(images, images=darker))
    assert " together tell the test part from the rest: of 100 pairs" in said and "(brightness alone 1" in said
    assert ", 50 by guessing" in said and said in describe(replace(images, images=darker)).warnings


def test_sizes_of_files_go_with_the_images(tmp_path):
    for i, side in enumerate((20, 30, 40)):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        Image.fromarray(np.full((side, side + 2, 3), i * 40, np.uint8)).save(tmp_path / "ab"[i % 2] / f"{i}.png")
    images = load(tmp_path)
    assert dict(zip(images.origins, images.sizes.tolist(), strict=True)) == {
        "a/0.png": [20, 22], "a/2.png": [40, 42], "b/1.png": [30, 32]
    }  # fmt: skip
    assert images.take([1]).sizes.tolist() == [[40, 42]]
