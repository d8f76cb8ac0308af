"""Before and after: a study against an earlier one, on the test images of both."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from arms import SMALL, Arm, stripes, table
from hypothesis import event, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import stats as scipy_stats

from sparring import files, stats
from sparring.cli import main
from sparring.cli.drawings import draw_summary
from sparring.cli.screen import Screen
from sparring.data import EarlierParts, ImageSet, split
from sparring.data.duplicates import Duplicates
from sparring.errors import DataError, FileFormatError, UsageError
from sparring.reporting import write
from sparring.study import Sealed, compare, summarise
from sparring.study.before import shared_places
from sparring.study.earlier import LEARNED, parts_of
from sparring.study.plan import Study
from sparring.study.summary import Summary

QUICK = {"jobs": 0, "model": False, "labels": ("3", "all"), "repeats": 6, "minutes": None}
SPREAD = (1.0, 0.6, 0.4, 0.5, 0.8)  # of image, image and method, draw, draw and method, chance


# The statistics.


def two_studies(rng, *, better: float = 0.0, repeats=(6, 6), images: int = 150, spread=SPREAD):
    """What a method gets right in an old and a new study: the same images, other label draws. [R,T] each, new first."""
    image, image_study, draw, _, chance = spread
    hard = rng.normal(0, image, images)
    for count, more in zip(repeats, (better, 0.0), strict=True):
        own = rng.normal(0, image_study, images) + rng.normal(0, draw, (count, 1))
        yield 1.5 + more + hard + own + rng.normal(0, chance, (count, images)) > 0


def expected(better: float, spread=SPREAD) -> float:
    image, image_study, draw, _, chance = spread
    width = np.sqrt(image**2 + image_study**2 + draw**2 + chance**2)
    return float(np.subtract(*scipy_stats.norm.cdf([(1.5 + better) / width, 1.5 / width])))


@pytest.mark.parametrize("images", [40, 400])
@pytest.mark.parametrize("repeats", [(6, 6), (10, 6)])
@pytest.mark.parametrize("better", [0.0, 0.4])
def test_the_interval_covers_new_draws_and_new_images(images, repeats, better):
    rng, covered, called = np.random.default_rng(images), [], []
    for _ in range(800):
        new, old = two_studies(rng, better=better, repeats=repeats, images=images)
        found = stats.change_test(new, old)
        covered.append(found.difference.low <= expected(better) <= found.difference.high)
        verdict = stats.judged(found.difference.mean, found.p, found.p_tost, repeats=min(repeats))
        called.append(verdict == "better")
    assert np.mean(covered) >= 0.93
    if better == 0:
        assert np.mean(called) <= 0.05


def test_draws_that_differ_between_studies_are_chance():
    """Where label draws matter most, a test that takes repeats for paired or ignores them says better too often."""
    rng, called, naive = np.random.default_rng(1), [], []
    for _ in range(800):
        new, old = two_studies(rng, images=1000, spread=(1.0, 0.1, 0.6, 0.0, 0.5))
        found = stats.change_test(new, old)
        called.append(found.p <= 0.05)
        naive.append(scipy_stats.ttest_rel(new.mean(0), old.mean(0)).pvalue <= 0.05)
    assert np.mean(called) <= 0.06
    assert np.mean(naive) > 0.3


def test_the_variance_is_welchs_and_that_of_the_images():
    rng = np.random.default_rng(2)
    new, old = two_studies(rng, better=0.3, repeats=(8, 6))
    found = stats.change_test(new, old)
    welch = scipy_stats.ttest_ind(new.mean(1), old.mean(1), equal_var=False)
    of_repeats = ((new.mean(1).mean() - old.mean(1).mean()) / welch.statistic) ** 2
    apart = [*(new.mean(0) - old.mean(0)), 1, -1]
    variance = of_repeats + np.var(apart, ddof=1) / 152
    parts = (new.mean(1).var(ddof=1) / 8, 7), (old.mean(1).var(ddof=1) / 6, 5), (np.var(apart, ddof=1) / 152, 149)
    careful = [(2 * v if n < 100 else v, n) for v, n in parts]  # the variances between repeats count twice
    df = sum(v for v, _ in careful) ** 2 / sum(v**2 / n for v, n in careful)
    p = 2 * scipy_stats.t.sf(abs(new.mean() - old.mean()) / np.sqrt(variance), df)
    half = scipy_stats.t.ppf(0.975, df) * np.sqrt(variance)
    assert found.p == pytest.approx(p)
    assert found.difference.triple == pytest.approx((d := new.mean() - old.mean(), d - half, d + half))
    alike = stats.change_test(np.tile(new[:1], (6, 1)), np.tile(old[:1], (6, 1)))
    alone = stats.paired_test(np.tile(new[:1], (6, 1)), np.tile(old[:1], (6, 1)))
    assert alike.difference.triple == pytest.approx(alone.difference.triple)  # no draws: both are about images


def test_weights_make_it_balanced():
    rng = np.random.default_rng(4)
    new, old = two_studies(rng, better=0.5, images=100)
    truth = np.repeat([0, 1], [90, 10])
    found = stats.change_test(new, old, weights=stats.class_weights(truth))
    balanced = [np.mean([right[:, truth == k].mean() for k in (0, 1)]) for right in (new, old)]
    assert found.difference.mean == pytest.approx(balanced[0] - balanced[1])


# The split.


def numbered(labels, hashes, clusters) -> ImageSet:
    """Images that need no pixels: their hashes and clusters are given."""
    count = len(labels)
    images = ImageSet(
        images=np.zeros((count, 8, 8, 1), np.uint8),
        labels=np.array(labels, np.int64),
        classes=("a", "b"),
        origins=tuple(map(str, range(count))),
        parts=np.full(count, "", "<U5"),
        name="numbered",
    )
    first = {c: clusters.index(c) for c in clusters}
    cluster = np.array([first[c] for c in clusters])
    near = tuple(group for c in set(first.values()) if len(group := tuple(np.flatnonzero(cluster == c).tolist())) > 1)
    vars(images).update(hashes=tuple(hashes), duplicates=Duplicates(exact=(), near=near, cluster=cluster))
    return images


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_image_changes_sides_and_no_cluster_is_torn(data):
    count = data.draw(st.integers(16, 40))
    sides = data.draw(st.lists(st.sampled_from(["test", "learned", "added"]), min_size=count, max_size=count))
    labels = data.draw(st.lists(st.sampled_from([0, 0, 1, 1, -1]), min_size=count, max_size=count))
    clusters = data.draw(st.lists(st.integers(0, 3 * count), min_size=count, max_size=count))
    hashes = [f"{i:032x}" for i in range(count)]
    images = numbered(labels, hashes, clusters)
    earlier = EarlierParts(*(frozenset(h for h, s in zip(hashes, sides, strict=True) if s == side)
                             for side in ("test", "learned")))  # fmt: skip
    try:
        made = split(images, seed=1, earlier=earlier)
    except DataError:
        event("refused")
        return  # a class without test or training images
    side = np.array(sides)
    cluster = images.duplicates.cluster
    assert not set(cluster[made.train]) & set(cluster[made.test])
    assert not (side[made.train] == "test").any()
    assert (images.labels[made.test] >= 0).all()
    for i in made.test:
        if side[i] == "learned":  # only where its class had nothing else
            mine = made.test[images.labels[made.test] == images.labels[i]]
            assert "learned" in side[cluster == cluster[mine[0]]] and not (side[mine] == "test").any()
    learned = set(cluster[side == "learned"])
    for i in np.flatnonzero((side == "test") & (images.labels >= 0)):
        assert i in made.test or cluster[i] in learned


def test_added_images_are_split_as_usual_and_old_ones_stay():
    old, new = stripes(200, seed=1), stripes(200, seed=2)
    first = split(old)
    earlier = EarlierParts(*(frozenset(np.array(old.hashes)[part].tolist()) for part in (first.test, first.train)))
    both = replace(
        old,
        images=np.concatenate([new.images, old.images]),
        labels=np.concatenate([new.labels, old.labels]),
        origins=(*new.origins, *old.origins),
        parts=np.concatenate([new.parts, old.parts]),
    )
    made = split(both, earlier=earlier)
    tested = {both.hashes[i] for i in made.test}
    assert earlier.test <= tested
    assert not tested & earlier.labels
    assert len(made.test) == len(split(both).test)
    assert set(made.test) | set(made.train) == set(range(400))
    unknown = split(both, earlier=EarlierParts(earlier.test))  # an older study did not write its training part down
    assert {both.hashes[i] for i in unknown.test} == earlier.test
    assert split(old, earlier=earlier).test.tolist() == first.test.tolist()


def test_a_source_with_its_own_test_part_keeps_it():
    images = stripes(120)
    images.parts[:] = np.where(np.arange(120) % 4 == 0, "test", "train")
    usual = split(images)
    earlier = EarlierParts(frozenset(images.hashes[i] for i in usual.train))
    assert split(images, earlier=earlier).test.tolist() == usual.test.tolist()


# Studies.


def quick(out: Path, source: ImageSet, **more) -> Summary:
    return compare(source, out, **{"methods": SMALL, **QUICK, **more})


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A study of few images with a wrong label in its test part."""
    return quick(tmp_path_factory.mktemp("before") / "old", relabelled(stripes(210, noise=90.0)))


def relabelled(images: ImageSet) -> ImageSet:
    """The images with the label of one test image wrong."""
    labels = images.labels.copy()
    where = split(images).test[0]
    labels[where] = (labels[where] + 1) % 3
    return replace(images, labels=labels)


@pytest.fixture(scope="module")
def new(old):
    """The same images with the right label, and more of them."""
    first, more = stripes(210, noise=90.0), stripes(180, noise=90.0, seed=5)
    both = replace(
        first,
        images=np.concatenate([first.images, more.images]),
        labels=np.concatenate([first.labels, more.labels]),
        origins=(*first.origins, *(f"more/{o}" for o in more.origins)),
        parts=np.concatenate([first.parts, more.parts]),
    )
    methods = SMALL | table(Arm("added", settings={"blur": 5.0}))
    return quick(old.folder.parent / "new", both, against=old.folder, methods=methods)


def truth_of(folder: Path) -> np.ndarray:
    told = files.read_json(folder / "study.json")
    return Sealed.read(folder / "sealed.bin", told["fingerprint"]).opened(lambda: None)


def said(folder: Path, method: str, budget: str) -> np.ndarray:
    rows = [r for r in files.read_lines(folder / "results.jsonl") if (r["method"], r["budget"]) == (method, budget)]
    rows.sort(key=lambda r: r["repeat"])
    return np.stack([np.load(folder / r["predictions"])["proba"].argmax(1) for r in rows])


def test_both_studies_are_judged_on_shared_images_by_the_new_labels(old, new):
    """Shares, differences and the number of changed labels again from the files of both studies."""
    hashes = [files.read_json(s.folder / "study.json")["test"]["hashes"] for s in (old, new)]
    assert set(hashes[0]) <= set(hashes[1]) and len(hashes[1]) > len(hashes[0])
    places = [hashes[1].index(name) for name in hashes[0]]
    truth = truth_of(new.folder)[places]
    found = new.against
    assert (found.images, found.budget) == (len(hashes[0]), "all")
    assert found.relabelled == (truth_of(old.folder) != truth).sum() == 1
    assert (found.old_labels, found.new_labels) == (old.labels("all"), new.labels("all"))
    assert found.main.before == old.recommended and found.main.after == new.recommended
    assert {c.before for c in found.all} == {"good", "blurred"}  # neither the floor nor what one study alone has
    for change in found.all:
        then = (said(old.folder, change.before, "all") == truth).mean()
        now = (said(new.folder, change.after, "all")[:, places] == truth).mean()
        assert (change.old, change.new) == pytest.approx((then, now), abs=2e-6)
        assert change.difference.mean == pytest.approx(now - then, abs=2e-6)
        right = (
            said(new.folder, change.after, "all")[:, places] == truth,
            said(old.folder, change.before, "all") == truth,
        )
        assert change.difference.triple == pytest.approx(stats.change_test(*right).difference.triple, abs=2e-6)
    assert found.main.p_holm == pytest.approx(min(1, found.main.p / 0.8), abs=2e-6)


def test_it_is_said_in_words(new):
    found = new.against
    assert found.headline.startswith(f"Before and after, on the {found.images} test images that both studies share: ")
    assert f"{found.main.before} {100 * found.main.old:.1f} % -> " in found.headline
    assert f"1 of the {found.images} shared test images has another label now" in " ".join(found.notes())
    assert Summary.read(new.folder).against == found


def test_no_learned_label_is_tested_again(old, new):
    learned = parts_of(Study.read(old.folder)).labels
    assert len(learned) == old.labels("all")
    assert not learned & set(files.read_json(new.folder / "study.json")["test"]["hashes"])


def test_looks_at_the_labels_before_are_counted(old, new):
    assert (new.test.looks, new.test.earlier) == (old.test.looks + 1, old.test.looks)
    assert any("1 of them by an earlier study" in warning for warning in new.recommendation.warnings)


def test_a_study_goes_on_with_what_it_was_compared_with(old, new, tmp_path):
    source = relabelled(stripes(210, noise=90.0))
    before = (old.folder / "results.jsonl").read_bytes(), (old.folder / "study.json").read_bytes()
    first = quick(tmp_path / "out", source, against=old.folder, repeats=2)
    assert first.against.main.verdict == "not enough evidence"
    assert "no verdict, 2 of 6 repeats now" in first.against.headline
    second = quick(tmp_path / "out", source)  # --against is remembered
    assert second.against.images == first.against.images and second.against.main.new_repeats == 6
    assert second.against.main.difference.mean == pytest.approx(0, abs=1e-6)
    assert second.test.looks == first.test.looks + 1
    assert summarise(tmp_path / "out", images=source).against == second.against
    assert ((old.folder / "results.jsonl").read_bytes(), (old.folder / "study.json").read_bytes()) == before
    with pytest.raises(UsageError, match="was begun with --against"):
        quick(tmp_path / "out", source, against=new.folder)


def test_what_was_said_stays_when_the_earlier_study_is_gone(old, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in old.folder.iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
    (old.folder / "predictions").rename(old.folder / "kept")
    (old.folder / "kept").rename(old.folder / "predictions")
    shutil.copytree(old.folder / "predictions", copy / "predictions")
    made = quick(tmp_path / "out", relabelled(stripes(210, noise=90.0)), against=copy, repeats=6, labels="all")
    copy.rename(tmp_path / "elsewhere")
    assert summarise(tmp_path / "out").against == made.against


def test_what_cannot_be_compared_is_refused_in_words(old, tmp_path):
    source = stripes(210, noise=90.0)
    with pytest.raises(FileFormatError, match="holds no study.json"):
        quick(tmp_path / "out", source, against=tmp_path)
    with pytest.raises(DataError, match="no test image of the study"):
        quick(tmp_path / "out", stripes(210, seed=8), against=old.folder)
    with pytest.raises(DataError, match="other classes: a, b, c then, a, b, d now"):
        quick(tmp_path / "out", replace(source, classes=("a", "b", "d")), against=old.folder)
    with pytest.raises(DataError, match="had 8x8 pixels then and have 16x16 now.*--size 8x8"):
        large = replace(source, images=source.images.repeat(2, 1).repeat(2, 2))
        quick(tmp_path / "out", large, against=old.folder)
    with pytest.raises(UsageError, match="learned from 3, all labels a class, this one from 7.*--labels 3,all"):
        quick(tmp_path / "out", source, against=old.folder, labels=7)
    with pytest.raises(UsageError, match="with itself"):
        quick(old.folder, source, against=old.folder)
    assert not (tmp_path / "out").exists()


def test_few_shared_images_give_no_verdict(tmp_path):
    first = quick(tmp_path / "old", stripes(60), labels="all")
    made = quick(tmp_path / "new", stripes(60), labels="all", against=first.folder, methods=table(Arm("good")))
    assert made.against.images == 12
    assert "no verdict, 20 shared test images are needed" in made.against.headline


def test_a_study_that_did_not_write_down_its_training_part_is_compared_too(old, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in old.folder.iterdir():
        if path.is_file() and path.name != LEARNED:
            (copy / path.name).write_bytes(path.read_bytes())
    shutil.copytree(old.folder / "predictions", copy / "predictions")
    made = quick(tmp_path / "out", stripes(210, noise=90.0), against=copy, labels="all")
    assert made.against.images == made.test.images == old.test.images


def test_equal_images_are_paired_in_their_order():
    first, second = shared_places(("x", "y", "x", "z"), ("x", "q", "x", "x", "y"))
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 0), (2, 2), (1, 4)]


def test_the_page_and_the_terminal_show_it(new, old, capsys):
    page = write(new.folder).read_text(encoding="utf-8")
    assert '<section id="before"' in page and 'href="#before"' in page
    assert f"Before and after, on the {new.against.images} test images that both studies share" in page
    assert 'id="before"' not in write(old.folder).read_text(encoding="utf-8")
    draw_summary(Screen(), new, new.report)
    told = " ".join(capsys.readouterr().out.split())
    assert f"{new.against.headline}." in told
    assert all(f"- {change.words}: {change.conclusion}" in told for change in new.against.others)


def test_the_methods_recommended_then_and_now_are_compared_first(old, tmp_path):
    """`blurred` is worse than `good`: whoever used that before is told what the change brings, not what `good` did."""
    source = stripes(210, noise=90.0)
    methods = {name: SMALL[name] for name in ("blurred", "poor")}
    then = quick(tmp_path / "then", source, methods=methods, labels="all")
    now = quick(tmp_path / "now", source, methods=SMALL, labels="all", against=then.folder)
    main = now.against.main
    assert (then.recommended, main.before, main.after) == ("blurred", "blurred", "good")
    assert f"blurred {100 * main.old:.1f} % -> good {100 * main.new:.1f} %" in now.against.headline
    assert [c.before for c in now.against.others] == ["blurred"]


def test_a_folder_on_the_command_line(tmp_path, capsys):
    images = stripes(75)
    for origin, pixels in zip(images.origins, images.images, strict=True):
        path = tmp_path / "photos" / origin
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[..., 0]).save(path)
    common = ["compare", str(tmp_path / "photos"), "--methods", "majority", "--labels", "5", "--pretrained", "none"]
    assert main([*common, "--jobs", "0", "--out", str(tmp_path / "old")]) == 0
    again = [*common, "--jobs", "0", "--out", str(tmp_path / "new"), "--against", str(tmp_path / "old")]
    assert main(again) == 0
    assert "Before and after, on the 15 test images that both studies share" in capsys.readouterr().out
    assert main([*common, "--out", str(tmp_path / "no"), "--against", str(tmp_path / "photos")]) == 4
    assert "not-a-study" in capsys.readouterr().err
