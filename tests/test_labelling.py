"""Which images to label next: the choice on planted clusters, its reasons, the command, what a study makes of it."""

import csv
import itertools
import json

import numpy as np
import pytest
from PIL import Image

import sparring
from sparring import load
from sparring.classifiers import LogisticClassifier, save_model
from sparring.classifiers.graph import Graph, affinity, nearest_by_features
from sparring.cli import main
from sparring.data import split
from sparring.errors import DataError, UsageError
from sparring.study.labelling import choosing, suggestions
from sparring.study.labelling.choosing import Reach, choose_images
from sparring.study.labelling.suggestions import reason


def reach_of(points: np.ndarray, kept: int = 6) -> Reach:
    points = points.astype(np.float32)
    index, distance = nearest_by_features(points, points, kept, same=True)
    axes = np.eye(points.shape[1], dtype=np.float32)
    return Reach(affinity(Graph(np.zeros(len(axes), np.float32), axes, points, index.astype(np.int32), distance)))


def planted(sizes=(200, 120, 80, 60, 40, 15), seed: int = 0, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return points [N,8] of clusters of these sizes, and which cluster each is of."""
    rng = np.random.default_rng(seed)
    centres = 12 * np.eye(8)[: len(sizes)]
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    order = rng.permutation(len(cluster))
    return (centres[cluster] + spread * rng.normal(size=(len(cluster), 8)))[order], cluster[order]


def choose(reach: Reach, count: int, labelled=(), **options):
    known = np.isin(np.arange(len(reach)), labelled)
    given = {"alike": np.arange(len(reach)), "allowed": np.ones(len(reach), bool)} | options
    return choose_images(reach, count, labelled=known, **given)


def kernel(reach: Reach) -> np.ndarray:
    """Return sqrt((I - alpha S)^-1) by a dense inverse."""
    S = reach.affinity.toarray().astype(np.float64)
    return np.sqrt(np.maximum(np.linalg.inv(np.eye(len(S)) - choosing.ALPHA * S), 0))


# The choice


@pytest.mark.parametrize("seed", range(5))
def test_each_cluster_is_hit_once_the_rare_one_too(seed):
    points, cluster = planted(seed=seed)
    found = choose(reach_of(points), 6)
    assert sorted(cluster[found.index]) == list(range(6))
    assert cluster[found.index[0]] == 0  # the largest is worth most
    centres = np.stack([points[cluster == cluster[i]].mean(0) for i in found.index])
    own = np.linalg.norm(points[found.index] - centres, axis=1)
    usual = np.array([np.median(np.linalg.norm(points[cluster == cluster[i]] - c, axis=1))
                      for i, c in zip(found.index, centres, strict=True)])  # fmt: skip
    assert (own < usual).mean() > 0.8  # typical ones


def test_what_is_labelled_is_not_covered_again():
    points, cluster = planted()
    reach = reach_of(points)
    first = choose(reach, 6).index
    labelled = first[np.isin(cluster[first], (0, 2, 3))]
    found = choose(reach, 3, labelled)
    assert sorted(cluster[found.index]) == [1, 4, 5]
    assert not set(found.index) & set(labelled)


def test_coverage_is_what_the_formula_says_and_next_to_the_best_of_all_sets():
    points, _ = planted((9, 8, 7), spread=2.0)
    reach = reach_of(points, 4)
    K = kernel(reach)
    assert np.allclose(reach.of(np.arange(len(K))), K.T, atol=2e-3)
    best = max(itertools.combinations(range(len(K)), 3), key=lambda chosen: K[:, chosen].max(1).sum())
    found = choose(reach, 3).index
    assert K[:, found].max(1).sum() >= 0.995 * K[:, best].max(1).sum()


def test_the_greedy_part_is_max_herding():
    """MaxHerding of scikit-activeml 1.0.1, given this kernel, chose these images in this order."""
    points, _ = planted()
    reach, every = reach_of(points), np.arange(515)
    limits = choosing.Limits.of(np.ones(515, bool), every, None, every[:0], 10)
    ones = np.ones(515, np.float32)
    found = choosing._greedy(reach.of(every), every, 0 * ones, ones, limits, 10)
    assert found == [404, 10, 51, 151, 217, 409, 472, 307, 410, 417]


def test_around_counts_the_images_that_its_label_reaches_most():
    points, _ = planted()
    reach, labelled = reach_of(points), [3, 77, 200]
    found = choose(reach, 5, labelled)
    K = kernel(reach)
    most = np.array([*labelled, *found.index])[K[:, [*labelled, *found.index]].argmax(1)]
    most[labelled] = labelled
    for i, around in zip(found.index, found.around, strict=True):
        assert abs(int((most == i).sum()) - around) <= 2  # solved to 1e-8, so a tie may fall either way
    assert not np.isin(labelled, np.flatnonzero(found.nearest >= 0)).any()


def test_near_duplicates_never_twice_nor_of_labelled_images():
    points, cluster = planted((60, 40, 30))
    alike = np.arange(len(points))
    for k in range(3):  # each cluster is two pictures, many times
        members = np.flatnonzero(cluster == k)
        alike[members] = members[np.arange(len(members)) % 2]
    found = choose(reach_of(points), 20, alike=alike)
    assert len(found.index) == 6 == len(set(alike[found.index]))
    labelled = int(np.flatnonzero(cluster == 1)[0])
    again = choose(reach_of(points), 20, [labelled], alike=alike)
    assert len(again.index) == 5 and alike[labelled] not in alike[again.index]


def test_many_copies_weigh_as_one_image():
    points, cluster = planted((100, 40, 30))
    alike = np.arange(len(points))
    alike[cluster == 0] = np.flatnonzero(cluster == 0)[0]
    assert choose(reach_of(points), 1, alike=alike).index[0] in np.flatnonzero(cluster == 1)


@pytest.mark.parametrize("count", [4, 8, 13])
def test_no_more_of_a_group_than_are_needed(count):
    points, cluster = planted((100, 100, 100, 30))
    groups = cluster.copy()  # four patients
    found = choose(reach_of(points), count, groups=groups)
    assert len(found.index) == count
    assert np.bincount(groups[found.index], minlength=4).max() == -(-count // 4)
    labelled = np.flatnonzero(groups == 0)[:2]
    again = np.bincount(groups[choose(reach_of(points), 4, labelled, groups=groups).index], minlength=4)
    assert again[0] == 0 and again.sum() == 4  # group 0 gave two already


def test_groups_that_cannot_give_enough_leave_it_to_others():
    points, cluster = planted((60, 5, 4))
    counts = np.bincount(cluster[choose(reach_of(points, 3), 20, groups=cluster).index], minlength=3)
    assert counts.tolist() == [11, 5, 4]


def test_doubt_steers_and_an_outlier_is_not_chosen():
    points, cluster = planted((60, 60, 60, 60))
    points, cluster = np.concatenate([points, [np.full(8, 100.0)]]), np.r_[cluster, 4]  # the last like nothing else
    reach = reach_of(points)
    labelled = choose(reach, 4).index
    assert sorted(cluster[labelled]) == [0, 1, 2, 3]
    for doubtful in range(4):
        doubt = np.where(cluster == doubtful, 0.9, 0.02)
        doubt[-1] = 1.0
        found = choose(reach, 3, labelled, doubt=doubt)
        assert cluster[found.index[0]] == doubtful and 4 not in cluster[found.index]


def test_only_what_is_allowed_and_no_more_than_there_is():
    points, cluster = planted((30, 20))
    found = choose(reach_of(points), 40, allowed=cluster == 1)
    assert sorted(found.index) == np.flatnonzero(cluster == 1).tolist()
    assert len(choose(reach_of(points), 3, allowed=np.zeros(50, bool)).index) == 0


def test_the_same_again_and_with_what_was_kept():
    points, _ = planted()
    reach = reach_of(points)
    first = choose(reach, 10)
    assert len(reach.kept) >= 10
    for again in (choose(reach, 10), choose(reach_of(points), 10)):
        assert again.index.tolist() == first.index.tolist() and again.around.tolist() == first.around.tolist()


def test_fewer_candidates_than_are_wanted(monkeypatch):
    monkeypatch.setattr(choosing, "CANDIDATES", 5)
    points, cluster = planted()
    found = choose(reach_of(points), 30, groups=cluster)
    assert len(found.index) == 30 and np.bincount(cluster[found.index]).max() == 5


# Reasons


def test_reasons():
    assert reason(312, (), False) == "typical of 312 images"
    assert reason(312, (), True) == "typical of 312 images around it, none labelled yet"
    assert reason(40, (("cat", 0.51), ("dog", 0.47)), True) == "between cat and dog: 51 % / 47 %; typical of 40 images"
    far = "typical of 40 images around it, none labelled yet; perhaps cat (91 %)"
    assert reason(40, (("cat", 0.91), ("dog", 0.05)), True) == far
    assert reason(1, (), False) == "like no other here"


# From a data set


def stripes(rng: np.random.Generator, kind: int) -> np.ndarray:
    """Return stripes across, stripes down, or rings, each on a ground of its own: uint8 [24,24,3]."""
    y, x = np.mgrid[:24, :24] * rng.uniform(0.6, 1.6) + rng.uniform(0, 6, 2)[:, None, None]
    pattern = (np.sin(y), np.sin(x), np.sin(np.hypot(x - x.mean(), y - y.mean())))[kind]
    ground = Image.fromarray(rng.integers(0, 256, (5, 5), dtype=np.uint8)).resize((24, 24), Image.Resampling.BICUBIC)
    grey = 20 + 45 * pattern + 0.8 * np.asarray(ground) + rng.normal(0, 10, (24, 24))
    return np.clip(grey[..., None] + rng.normal(0, 6, 3), 0, 255).astype(np.uint8)


KINDS = ("across", "down", "ring")


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder of 48 unlabelled images, one of them twice; the name says the class."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for i in range(48):
        kind = (0, 0, 0, 1, 1, 2)[i % 6]
        image = Image.fromarray(stripes(rng, kind))
        image.save(tmp_path / "photos" / f"{i:02d}-{KINDS[kind]}.png")
        if i == 7:
            image.save(tmp_path / "photos" / "99-across.png")
    return tmp_path / "photos"


def fill(path, to) -> None:
    """Write the class into each empty label, as the file's name says it."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with to.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow(row | {"label": row["label"] or row["file"].split("-")[1].removesuffix(".png")})


def run(capsys, *tokens) -> tuple[int, str, str]:
    code = main([str(token) for token in tokens])
    return code, *capsys.readouterr()


def test_from_no_labels_to_a_study(photos, capsys):
    code, out, _ = run(capsys, "next", "photos", "-n", 9, "--test", 12, "--csv", "a.csv", "--sheet", "a.png",
                       "--copy-to", "copies", "--pretrained", "none")  # fmt: skip
    assert code == 0 and "photos: 9 images to label next, of 49 without a label" in out
    assert "sparring fit photos --table a.csv" in out and "drawn at random, for the test part" in out
    with (photos.parent / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["part"] for row in rows] == ["chosen"] * 9 + ["test"] * 12
    assert {row["file"].split("-")[1] for row in rows[:9]} == {f"{kind}.png" for kind in KINDS}
    copies = sorted(path.name for path in (photos.parent / "copies" / "train").iterdir())
    assert copies == [f"{row['number'].zfill(2)}-{row['file']}" for row in rows[:9]]
    with Image.open("a.png") as sheet:
        assert sheet.size[0] > 300
    fill(photos.parent / "a.csv", photos.parent / "b.csv")
    images = load(photos, table=photos.parent / "b.csv")
    assert int(images.labelled.sum()) == 21 and set(images.parts[images.labelled]) == {"chosen", "test"}
    parts = split(images)
    assert set(images.parts[parts.test]) == {"test"} and not set(images.parts[parts.train]) & {"test"}
    code, out, _ = run(capsys, "next", "photos", "--table", "b.csv", "-n", 5, "--csv", "c.csv", "--pretrained", "none",
                       "--json")  # fmt: skip
    found = json.loads(out)
    assert code == 0 and found["labelled"] == 9 and found["random_sample"] is False and len(found["images"]) == 5
    assert not {one["image"] for one in found["images"]} & {row["file"] for row in rows}
    with (photos.parent / "c.csv").open(newline="") as file:
        again = list(csv.DictReader(file))
    assert len(again) == 5 + 21 and [row["label"] for row in again[:5]] == [""] * 5
    assert sorted(row["part"] for row in again) == ["chosen"] * 14 + ["test"] * 12


def test_a_study_never_tests_on_chosen_images(photos, capsys):
    run(capsys, "next", "photos", "-n", 12, "--csv", "a.csv", "--pretrained", "none")
    fill(photos.parent / "a.csv", photos.parent / "b.csv")
    code, _, err = run(capsys, "compare", "photos", "--table", "b.csv", "--out", "study")
    assert code == 3 and "error[test-chosen]" in err and "--test" in err


def test_some_labels_and_a_model_that_doubts(photos, capsys):
    labelled = photos.parent / "labelled"
    for number, path in enumerate(sorted(photos.iterdir())):
        kind = path.stem.split("-")[1]
        if number < 24 and kind != "ring":
            (labelled / kind).mkdir(parents=True, exist_ok=True)
            path.rename(labelled / kind / path.name)
    found = sparring.next_images(labelled, 4, unlabelled=photos, pretrained="none")
    assert found.labelled == 20 and found.unlabelled == 28 and len(found) == 4
    assert found.images[0].image.endswith("ring.png")  # a class that nobody labelled
    assert all(len(one.between) == 2 for one in found)
    save_model(LogisticClassifier().fit(load(labelled)), "model")
    code, out, _ = run(capsys, "next", labelled, "--unlabelled", "photos", "--model", "model", "-n", 4, "--pretrained",
                       "none", "--copy-to", "more")  # fmt: skip
    assert code == 0 and ("between across and down" in out or "between down and across" in out)
    assert "sparring fit more --unlabelled" in out and "no random sample" in capsys.readouterr().err + out + _
    assert len(list((photos.parent / "more").iterdir())) == 4
    code, _, err = run(capsys, "next", labelled, "--unlabelled", "photos", "--csv", "x.csv")
    assert code == 2 and "error[table-elsewhere]" in err


def test_copies_are_chosen_once_and_groups_are_kept():
    rng = np.random.default_rng(1)
    images = np.stack([stripes(rng, i % 3) for i in range(30)])
    images = np.concatenate([images, images[:10]])
    found = sparring.next_images(images, 40, pretrained="none")
    assert len(found) == 30 and found.looked_at == 40
    whole = load(images, group=[f"patient {i % 5}" for i in range(40)])
    found = sparring.next_images(whole, 5, pretrained="none")
    assert len({whole.groups[one.index] for one in found}) == 5


def test_test_images_share_no_group_with_the_others():
    rng = np.random.default_rng(2)
    images = load(np.stack([stripes(rng, i % 3) for i in range(60)]), group=[f"p{i // 6}" for i in range(60)])
    found = sparring.next_images(images, 8, test=6, pretrained="none")
    groups = {purpose: {images.groups[one.index] for one in found if one.purpose == purpose}
              for purpose in ("learn", "test")}  # fmt: skip
    assert len(groups["test"]) == 2 and not groups["learn"] & groups["test"]
    other = sparring.next_images(images, 8, test=6, pretrained="none", seed=1)
    assert {one.index for one in other} != {one.index for one in found}


def test_images_of_the_test_part_are_left_alone():
    rng = np.random.default_rng(3)
    pixels = np.stack([stripes(rng, i % 3) for i in range(40)])
    pixels[20] = np.clip(pixels[0] * 1.1 + 4, 0, 255)  # nearly a labelled image of the test part
    images = load(pixels, labels=[0, 1, *[-1] * 38])
    parts = np.array(["test"] * 20 + [""] * 20, "<U6")
    found = sparring.next_images(sparring.ImageSet(**(vars_of(images) | {"parts": parts})), 30, pretrained="none")
    assert found.labelled == 0 and found.unlabelled == 20
    assert sorted(one.index for one in found) == list(range(21, 40))


def vars_of(images) -> dict:
    return {name: getattr(images, name) for name in ("images", "labels", "classes", "origins", "parts", "name")}


@pytest.mark.parametrize(
    ("shape", "pretrained", "named"),
    [((9, 28, 28, 1), "efficientnet-lite0", "hog"), ((9, 224, 200, 1), "efficientnet-lite0", "efficientnet-lite0"),
     ((9, 32, 32, 3), "efficientnet-lite0", "efficientnet-lite0"), ((9, 224, 200, 1), "none", "hog"),
     ((9, 32, 32, 3), "none", "hog+colours")],
)  # fmt: skip
def test_by_what_images_are_compared(shape, pretrained, named):
    used = suggestions.usual_features(shape, pretrained, "cpu")
    assert (used if isinstance(used, str) else used.name) == named


def test_of_very_many_images_some_are_looked_at(monkeypatch):
    monkeypatch.setattr(suggestions, "LOOKED_AT", 12)
    rng = np.random.default_rng(4)
    found = sparring.next_images(np.stack([stripes(rng, i % 3) for i in range(40)]), 5, pretrained="none")
    assert found.looked_at == 12 and found.unlabelled == 40 and len(found) == 5
    assert sum(one.around for one in found) <= 12


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"count": 0}, UsageError, "count is 0"),
        ({"count": 2.5}, UsageError, "count is 2.5"),
        ({"test": -1}, UsageError, "test is -1"),
        ({"test": 100}, DataError, "30 images could be drawn for the test part, 100 requested"),
        ({"test": 30}, DataError, "none is left"),
    ],
)
def test_what_cannot_be_asked(options, error, said):
    rng = np.random.default_rng(5)
    with pytest.raises(error, match=said):
        sparring.next_images(np.stack([stripes(rng, i % 3) for i in range(30)]), pretrained="none", **options)


def test_what_cannot_be_chosen_from(tmp_path):
    rng = np.random.default_rng(6)
    images = np.stack([stripes(rng, i % 3) for i in range(12)])
    with pytest.raises(DataError, match="all 12 images .* have a label"):
        sparring.next_images((images, np.arange(12) % 3), pretrained="none")
    with pytest.raises(DataError, match="show what a labelled one shows"):
        twice = np.concatenate([images, np.clip(images * 1.1 + 6, 0, 255).astype(np.uint8)])
        sparring.next_images((twice, [*range(3), *range(9), *[-1] * 12]), pretrained="none")
    one = tmp_path / "one"
    one.mkdir()
    Image.fromarray(images[0]).save(one / "a.png")
    with pytest.raises(DataError, match="one image: there is nothing to choose"):
        sparring.next_images(one, pretrained="none")
    two = sparring.next_images(images[:2], 5, pretrained="none")
    assert len(two) == 2


def test_nothing_is_overwritten(photos, capsys):
    (photos.parent / "a.csv").write_text("mine")
    for option, place in (("--csv", "a.csv"), ("--sheet", "a.csv"), ("--copy-to", "photos"), ("--csv", "photos/l.csv")):
        code, _, err = run(capsys, "next", "photos", option, place)
        assert code == 2 and "error[out-in-" in err, option
    assert (photos.parent / "a.csv").read_text() == "mine"


def test_names_that_a_spreadsheet_would_compute_are_found_again(tmp_path):
    rng = np.random.default_rng(7)
    (tmp_path / "photos").mkdir()
    for i in range(12):
        Image.fromarray(stripes(rng, i % 3)).save(tmp_path / "photos" / f"-{i}.png")
    found = sparring.next_images(tmp_path / "photos", 12, pretrained="none")
    from sparring.study.labelling.handing_out import write_labels_table

    write_labels_table(tmp_path / "a.csv", found)
    text = (tmp_path / "a.csv").read_text().replace(",,", ",x,", 6).replace(",,", ",y,")
    assert "'-" not in text
    (tmp_path / "b.csv").write_text(text)
    assert load(tmp_path / "photos", table=tmp_path / "b.csv").labelled.all()
