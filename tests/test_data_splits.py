"""Duplicates are found, splits keep them on one side, label draws are nested and stratified."""

import io
import json
import os
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from bad_inputs import class_folders
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sparring.data import EarlierParts, ImageSet, describe, label_draw, load, split
from sparring.data.duplicates import Details, edge_distance
from sparring.errors import DataError, UsageError

DATA = Path(os.environ.get("SPARRING_DATA", Path(__file__).parents[2] / "shared" / "data"))


def scenes(count: int, seed: int = 0, side: int = 24, channels: int = 3) -> np.ndarray:
    """uint8 [count, side, side, channels]: smooth random pictures with texture, no two alike."""
    rng = np.random.default_rng(seed)
    out = np.empty((count, side, side, channels), np.uint8)
    for i in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize(
            (side, side), Image.Resampling.BICUBIC
        )
        fine = rng.normal(0, 12, (side, side, 1))
        out[i] = np.clip(np.asarray(coarse)[..., :channels] + fine, 0, 255)
    return out


def jpeg(image: np.ndarray, quality: int = 80) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def brighter(image: np.ndarray) -> np.ndarray:
    return np.clip(image * 1.15 + 8, 0, 255).astype(np.uint8)


def resized(image: np.ndarray) -> np.ndarray:
    side = len(image)
    small = Image.fromarray(image).resize((side * 3 // 4, side * 3 // 4), Image.Resampling.BICUBIC)
    return np.asarray(small.resize((side, side), Image.Resampling.BICUBIC))


def image_set(images, labels, parts=None, classes=None) -> ImageSet:
    labels = np.asarray(labels, np.int64)
    return ImageSet(
        images=images,
        labels=labels,
        classes=classes or tuple(f"c{i}" for i in range(labels.max() + 1)),
        origins=tuple(f"{i}.png" for i in range(len(images))),
        parts=np.full(len(images), "", "<U5") if parts is None else np.asarray(parts, "<U5"),
        name="planted",
    )


# Duplicates


@pytest.mark.parametrize("change", [jpeg, brighter, resized, np.copy])
def test_planted_copies_are_found_and_nothing_else(change):
    images = scenes(120)
    images = np.concatenate([images, np.stack([change(image) for image in images[:30]])])
    found = image_set(images, np.arange(150) % 3).duplicates
    planted = {(i, 120 + i) for i in range(30)}
    assert set(found.near) <= planted
    assert len(found.near) >= (20 if change is resized else 30)  # resizing blurs the texture, and with it the evidence
    assert len(found.exact) == (30 if change is np.copy else 0)
    for a, b in found.near:
        assert found.cluster[a] == found.cluster[b] == a
    assert (found.cluster[:120] == np.arange(120)).all()


def test_chains_become_one_group():
    images = scenes(60)
    images = np.concatenate([images, images[:1], brighter(images[:1]), jpeg(images[0])[None]])
    found = image_set(images, np.zeros(63)).duplicates
    assert found.near == ((0, 60, 61, 62),) and found.exact == ((0, 60),)


def test_even_images_are_only_exact_duplicates():
    images = scenes(40)
    images[:10] = np.arange(100, 110, dtype=np.uint8)[:, None, None, None]
    images[10] = images[3]
    found = image_set(images, np.zeros(40)).duplicates
    assert found.near == found.exact == ((3, 10),)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
def test_few_images_are_no_trouble(count):
    images = scenes(count)
    assert image_set(images, np.zeros(count)).duplicates.near == ()
    twice = image_set(np.concatenate([images, images]), np.zeros(2 * count)).duplicates
    assert len(twice.exact) == len(twice.near) == count


def test_many_copies_of_one_image():
    images = np.concatenate([scenes(50), np.repeat(scenes(1, 9), 200, axis=0)])
    found = image_set(images, np.zeros(250)).duplicates
    assert [len(group) for group in found.exact] == [200]


def test_edge_distance_by_hand():
    a = np.random.default_rng(0).integers(0, 256, (6, 10, 12, 1), dtype=np.uint8)
    b = np.random.default_rng(1).integers(0, 256, (6, 10, 12, 1), dtype=np.uint8)
    got = edge_distance(Details(np.concatenate([a, b])), np.arange(6), np.arange(6, 12))
    for i in range(6):
        one, two = ((x[i, ..., 0] - x[i].mean()) / x[i].std() for x in (a, b))
        apart = sum((np.diff(one - two, axis=axis) ** 2).sum() for axis in (0, 1))
        total = sum((np.diff(x, axis=axis) ** 2).sum() for axis in (0, 1) for x in (one, two))
        assert got[i] == pytest.approx(apart / total, rel=1e-5)
    assert edge_distance(Details(a), np.arange(6), np.arange(6)) == pytest.approx(np.zeros(6))


def test_false_alarms_on_digits_are_rare():
    found = load("digits").duplicates
    assert len(found.exact) == 0
    assert sum(map(len, found.near)) <= 22  # of 1,797: 8x8 digits are alike
    assert all(len(set(load("digits").labels[list(group)])) == 1 for group in found.near)


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "mnist.npz").exists(), reason="no MNIST here")
def test_false_alarms_on_mnist_are_rare():
    mnist = load(DATA / "mnist.npz")
    assert sum(map(len, mnist.duplicates.near)) <= 25  # of 70,000
    assert 9_990 <= len(split(mnist).test) <= 10_000


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "magnetic-tile.zip").exists(), reason="no tiles here")
def test_one_tile_in_several_exposures_is_found():
    tiles = load(DATA / "magnetic-tile.zip" / "images")
    assert sum(map(len, tiles.duplicates.near)) > 600
    made = split(tiles)
    cluster = tiles.duplicates.cluster
    assert not set(cluster[made.train]) & set(cluster[made.test])
    assert len(made.moved) > 100


# describe


def test_describe_counts_everything():  # B27
    images = scenes(60)
    images[50], images[51], images[52] = images[0], jpeg(images[1]), images[2]
    labels, parts = np.arange(60) % 3, np.array(["train"] * 45 + ["test"] * 15)
    labels[[50, 51]], labels[52] = labels[[0, 1]], (labels[2] + 1) % 3
    labels[3] = -1
    got = describe(image_set(images, labels, parts, ("a", "b", "c")))
    json.dumps(asdict(got), allow_nan=False)
    assert got.images == 60 and got.labelled == 59 and got.unlabelled == 1
    assert got.counts["train"].unlabelled == 1
    counted = Counter(labels[45:].tolist())
    assert got.counts["test"].classes == {"a": counted[0], "b": counted[1], "c": counted[2]}
    assert got.duplicates.exact == 2 and got.duplicates.near == 1
    assert got.duplicates.across == 3 and got.duplicates.two_classes == 1
    assert got.duplicates.examples.across[0] == ("0.png", "50.png")
    assert got.duplicates.examples.two_classes == (("2.png (c)", "52.png (a)"),)
    assert "1 images have two different labels" in got.warnings
    assert got.shape == (24, 24, 3) and len(got.fingerprint) == 64
    keys = "name source layout images labelled unlabelled classes shape size_rule counts sizes distinct_sizes modes"
    keys += " converted ignored bad_files duplicates warnings notes fingerprint"
    assert list(asdict(got)) == keys.split()  # what --json prints
    assert asdict(got)["counts"]["train"].keys() == {"classes", "unlabelled"}


def test_twins_of_validation_images_are_across_parts():
    images = scenes(40)
    images[39] = images[0]
    data = image_set(images, np.arange(40) % 2, ["train"] * 30 + ["val"] * 10)
    assert describe(data).duplicates.across == 1


def test_describe_of_a_set_without_parts_says_all():
    assert list(describe(load("digits")).counts) == ["all"]


def test_imbalance_and_even_images_are_doubted():  # B42
    images = scenes(50)
    images[7] = 9
    said = describe(image_set(images, [0] * 48 + [1] * 2)).warnings
    assert any("class 'c0' has 48 images, 'c1' has 2" in w for w in said)
    assert "1 images are of one even colour" in said


# Splits


@st.composite
def labelled_sets(draw):
    """Sets with unlabelled images, small classes and planted copies."""
    seed, classes = draw(st.integers(0, 10**6)), draw(st.integers(2, 4))
    rng = np.random.default_rng(seed)
    sizes = [draw(st.integers(4, 14)) for _ in range(classes)]
    labels = np.repeat(np.arange(classes), sizes)
    labels = np.concatenate([labels, np.full(draw(st.integers(0, 6)), -1)])
    images = scenes(len(labels), seed, side=12, channels=3)
    for _ in range(draw(st.integers(0, 4))):
        a, b = rng.integers(0, len(labels), 2)
        images[a] = images[b]
    order = rng.permutation(len(labels))
    return image_set(images[order], labels[order])


@given(labelled_sets(), st.integers(0, 5), st.sampled_from([0.1, 0.2, 0.5, 0.9]))
@settings(max_examples=40, deadline=None)
def test_split_properties(data, seed, share):
    try:
        made = split(data, seed=seed, test=share)
    except DataError as error:  # copies may leave a class without a test image, or contradict each other too often
        assert error.id in ("class-small", "two-classes", "class-unknown")
        return
    assert sorted([*made.train, *made.test]) == list(range(len(data)))
    assert (data.labels[made.test] >= 0).all()
    cluster = data.duplicates.cluster
    assert not set(cluster[made.train].tolist()) & set(cluster[made.test].tolist())
    for number in range(len(data.classes)):
        total = int((data.labels == number).sum())
        wanted = min(max(1, round(share * total)), total - 1)
        got = int((data.labels[made.test] == number).sum())
        assert 1 <= got < total
        assert got <= max(wanted, 4)
    same = split(data, seed=seed, test=share)
    assert (same.train == made.train).all() and (same.test == made.test).all()


def test_split_without_copies_is_exactly_stratified():
    data = image_set(scenes(200, side=12), np.repeat([0, 1, 2], [100, 60, 40]))
    made = split(data)
    assert np.bincount(data.labels[made.test]).tolist() == [20, 12, 8]
    assert made.moved == ()
    assert "0.2 of the labelled images of each class, seed 0" in made.how


def test_split_depends_on_seed_and_content_not_on_order():
    data = image_set(scenes(100, side=12), np.arange(100) % 2)
    order = np.random.default_rng(3).permutation(100)
    a, b = split(data), split(data.take(order))
    assert {data.hashes[i] for i in a.test} == {data.hashes[order[i]] for i in b.test}
    assert set(split(data, seed=1).test) != set(a.test)


def test_one_image_more_moves_hardly_any_other():
    images, labels = scenes(101, side=12), np.arange(101) % 2
    few, more = split(image_set(images[:100], labels[:100])), split(image_set(images, labels))
    assert len(set(few.test) - set(more.test)) <= 1


def test_copies_stay_on_one_side_and_are_told():
    images, labels = scenes(100), np.arange(100) % 2
    images = np.concatenate([images, np.stack([jpeg(image) for image in images[:40]])])
    labels = np.concatenate([labels, labels[:40]])
    made = split(image_set(images, labels))
    side = np.zeros(140, bool)
    side[made.test] = True
    assert (side[:40] == side[100:]).all() and side[:40].any() and not side[:40].all()
    assert len(made.moved) >= 5 and f"({len(made.moved)} images concerned)" in made.how
    for item in made.moved:
        i, twin = (int(name.removesuffix(".png")) for name in (item.origin, item.twin))
        assert abs(i - twin) == 100 and item.what.startswith(("kept together", "moved to"))


def test_copies_of_unlabelled_images_are_not_tested():
    images = scenes(80)
    labels = np.concatenate([np.arange(60) % 2, np.full(20, -1)])
    images[60:80] = images[:20]
    made = split(image_set(images, labels))
    assert not set(made.test) & set(range(20)) and len(made.test) >= 10


def parted(share: float = 0.3) -> ImageSet:
    images, labels = scenes(100), np.arange(100) % 2
    parts = np.array(["train"] * 60 + ["val"] * 10 + ["test"] * 30)
    images[95], images[96] = images[0], jpeg(images[61])
    labels[[95, 96]] = labels[[0, 61]]
    labels[97] = -1
    return image_set(images, labels, parts)


def test_the_sources_own_test_part_is_used_less_what_training_has_seen():
    made = split(parted())
    assert made.train.tolist() == list(range(70))
    assert made.test.tolist() == [*range(70, 95), 98, 99]
    assert [(m.origin, m.twin) for m in made.moved] == [("95.png", "0.png"), ("96.png", "61.png")]
    assert "the source's test part, its val part used for training, 2 images left out" in made.how
    assert "1 unlabelled images of it not used" in made.how
    assert made.part == "test"


def test_a_val_part_is_the_test_where_there_is_no_other():
    images, labels = scenes(60), np.arange(60) % 2
    made = split(image_set(images, labels, ["train"] * 40 + ["val"] * 20))
    assert made.test.tolist() == list(range(40, 60)) and made.how.startswith("the source's val part")


def test_a_test_part_without_labels_is_kept_out():
    images, labels = scenes(60), np.arange(60) % 2
    labels[40:] = -1
    made = split(image_set(images, labels, ["train"] * 40 + ["test"] * 20))
    assert set(made.train) | set(made.test) == set(range(40)) and len(made.test) == 8
    assert "20 unlabelled images of the test part not used" in made.how


def test_what_cannot_be_split_is_refused():
    images = scenes(40)
    with pytest.raises(DataError, match="holds only the class 'c0'; a classifier needs at least two classes"):
        split(image_set(images, np.zeros(40)))
    with pytest.raises(DataError, match="holds no labelled image"):
        split(image_set(images, np.full(40, -1), classes=("a", "b")))
    with pytest.raises(DataError, match="class 'c1' has 1 labelled image: at least two are needed"):
        split(image_set(images, [0] * 39 + [1]))
    with pytest.raises(DataError, match="class 'c1' is in the test part .20 images. and not in the training part"):
        split(image_set(images, [0] * 20 + [1] * 20, ["train"] * 20 + ["test"] * 20))
    copies = images.copy()
    copies[30:] = copies[30]
    with pytest.raises(DataError, match="class 'c1' has 10 labelled images: near duplicates of each other"):
        split(image_set(copies, [0] * 30 + [1] * 10))
    for share in (0, 1, -0.5, 1.5, "half", True, float("nan")):
        with pytest.raises(UsageError, match="give a number between 0 and 1"):
            split(image_set(images, np.arange(40) % 2), test=share)


def test_labels_that_contradict_each_other_are_refused():  # B29
    images, labels = scenes(40), np.arange(40) % 2
    images[20:30] = images[1:11]
    with pytest.raises(
        DataError, match=r"20 images of planted lie with equal pixels in several classes: 1.png \(c1\) and"
    ):
        split(image_set(images, labels))


def test_a_class_of_two_pictures_with_copies_can_be_split():
    images = scenes(44)
    images[41], images[43] = images[40], images[42]
    made = split(image_set(images, [0] * 40 + [1] * 4))
    assert sorted(set(made.test) & {40, 41, 42, 43}) in ([40, 41], [42, 43])


def test_split_of_a_folder_survives_renaming(tmp_path):
    folder = class_folders(tmp_path / "photos", each=20)
    before = load(folder)
    for path in sorted((folder / "cat").iterdir()):
        path.rename(path.with_name(f"z{99 - int(path.stem)}.png"))
    after = load(folder)
    assert {after.hashes[i] for i in split(after).test} == {before.hashes[i] for i in split(before).test}


# Label draws


@given(st.integers(0, 100), st.integers(0, 20), st.integers(1, 4), st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_label_draws_are_stratified_and_nested(seed, repeat, few, more):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.concatenate([np.repeat([0, 1, 2], [12, 9, 30]), np.full(10, -1)]))
    before = labels.copy()
    small = label_draw(labels, few, seed=seed, repeat=repeat)
    large = label_draw(labels, few + more, seed=seed, repeat=repeat)
    assert Counter(small[small >= 0].tolist()) == {0: few, 1: few, 2: few}
    assert Counter(large[large >= 0].tolist()) == dict.fromkeys((0, 1, 2), few + more)
    assert (large[small >= 0] == small[small >= 0]).all()
    assert ((small == labels) | (small == -1)).all()
    assert (labels == before).all() and small.dtype == np.int64
    assert (label_draw(labels, few, seed=seed, repeat=repeat) == small).all()
    assert (label_draw(labels, "all", seed=seed, repeat=repeat) == labels).all()


def test_label_draws_differ_between_repeats_and_seeds():
    labels = np.repeat([0, 1], 200)
    draws = {label_draw(labels, 5, seed=s, repeat=r).tobytes() for s in range(3) for r in range(6)}
    assert len(draws) == 18


def test_every_image_is_drawn_equally_often():
    labels = np.repeat([0, 1], 20)
    times = sum((label_draw(labels, 5, seed=0, repeat=r) >= 0).astype(int) for r in range(2000))
    assert np.abs(times - 500).max() < 5 * np.sqrt(2000 * 0.25 * 0.75)  # five standard deviations


@pytest.mark.parametrize("budget", [0, -1, 1.5, "some", True, None, "1.5", ""])
def test_budgets_that_are_none(budget):
    with pytest.raises(UsageError, match="labels a class. Fix: give a whole number from 1 up, or all"):
        label_draw(np.zeros(5), budget, seed=0, repeat=0)


def test_too_few_labels_name_the_class():  # B40
    labels = np.repeat([0, 1], [30, 7])
    with pytest.raises(
        UsageError, match="class 'cat' has 7 labelled training images, 25 requested. Fix: ask for at most 7"
    ):
        label_draw(labels, 25, seed=0, repeat=0, classes=("dog", "cat"))
    assert (label_draw(labels, "7", seed=0, repeat=0) >= 0).sum() == 14


def test_draws_of_a_known_seed_stay_the_same():
    """A study that is resumed by a later version draws the same images."""
    drawn = np.flatnonzero(label_draw(np.repeat([0, 1], 50), 3, seed=0, repeat=0) >= 0)
    assert drawn.tolist() == [4, 18, 27, 54, 57, 77]
    digits = load("digits")
    assert digits.fingerprint.startswith("38de11947700673e")
    assert split(digits).test[:5].tolist() == [1, 3, 8, 9, 12]


# Images chosen for labelling are no random sample


@pytest.mark.parametrize("groups", [None, 40])
@pytest.mark.parametrize("seed", range(3))
def test_what_was_chosen_is_never_for_the_test(seed, groups):
    parts = ["chosen"] * 60 + [""] * 60
    found = image_set(scenes(120), np.arange(120) % 3)
    found = replace(found, parts=np.array(parts, np.str_))
    if groups:
        found = replace(found, groups=np.array([f"{'gh'[i // 60]}{i % groups}" for i in range(120)]))
    made = split(found, seed=seed)
    assert len(made.test) > 10 and (found.parts[made.test] == "").all()
    assert np.isin(np.flatnonzero(found.parts == "chosen"), made.train).all()
    assert made.how.endswith("60 images chosen for labelling kept for training")


def test_a_near_duplicate_of_a_chosen_image_is_not_for_the_test_either():
    images = scenes(60)
    images = np.concatenate([images, np.stack([jpeg(image) for image in images[:30]])])
    found = image_set(images, np.r_[np.arange(60) % 3, np.arange(30) % 3])
    found = replace(found, parts=np.array(["chosen"] * 30 + [""] * 60, np.str_))
    assert min(split(found, test=0.5).test) >= 30 and max(split(found, test=0.5).test) < 60


def test_a_class_of_chosen_images_alone_is_refused_unless_there_is_a_test_part():
    found = image_set(scenes(40), np.arange(40) % 2)
    chosen = replace(found, parts=np.where(found.labels == 1, "chosen", ""))
    with pytest.raises(DataError, match="all 20 labelled images of class 'c1' were chosen for labelling") as error:
        split(chosen)
    assert error.value.id == "test-chosen" and "--test 50" in error.value.fix
    parts = np.array(["chosen"] * 30 + ["test"] * 10, np.str_)
    assert sorted(split(replace(found, parts=parts)).test) == list(range(30, 40))


def test_chosen_images_are_not_for_the_test_of_a_later_study():
    found = image_set(scenes(90), np.arange(90) % 3)
    parts = np.array([""] * 45 + ["chosen"] * 45, np.str_)
    first = split(found.take(np.arange(45)))
    earlier = EarlierParts(frozenset(found.hashes[i] for i in first.test))
    made = split(replace(found, parts=parts), earlier=earlier, test=0.4)
    assert set(first.test) <= set(made.test) and max(made.test) < 45
