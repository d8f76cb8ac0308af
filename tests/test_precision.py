"""What a study could find, before labels are spent: against scipy, simulation and the split itself."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from arms import stripes
from PIL import Image
from scipy import stats as scipy_stats

from sparring import stats
from sparring.cli import main
from sparring.data import split
from sparring.errors import UsageError
from sparring.study import precision
from sparring.study.precision import DRAW, HARD, IN_GROUP, OWN, OWN_DRAW, POWER, plan_study


def simulated(rng, a: float, b: float, *, repeats: int, images: int, groups: np.ndarray | None = None):
    """What two methods of these expected accuracies get right, bool [R,T] each, by the model that the plan assumes."""

    def of_images(variance: float) -> np.ndarray:
        if groups is None:
            return rng.normal(0, math.sqrt(variance), images)
        shared = rng.normal(0, math.sqrt(variance * IN_GROUP), groups.max() + 1)[groups]
        return shared + rng.normal(0, math.sqrt(variance * (1 - IN_GROUP)), images)

    hard, draw = of_images(HARD), rng.normal(0, math.sqrt(DRAW), (repeats, 1))
    for accuracy in (a, b):
        own, own_draw = of_images(OWN), rng.normal(0, math.sqrt(OWN_DRAW), (repeats, 1))
        chance = rng.normal(0, math.sqrt(1 - HARD - OWN - DRAW - OWN_DRAW), (repeats, images))
        yield scipy_stats.norm.ppf(accuracy) + hard + draw + own + own_draw + chance > 0


@pytest.mark.parametrize(("a", "b", "r"), [(0.9, 0.9, 0.5), (0.7, 0.95, 0.3), (0.95, 0.6, 0.02), (0.8, 0.8, 0.75)])
def test_the_covariance_is_that_of_a_bivariate_normal(a, b, r):
    h, k = scipy_stats.norm.ppf([a, b])
    both = scipy_stats.multivariate_normal([0, 0], [[1, r], [r, 1]]).cdf([h, k])
    assert precision.covariance(a, b, r) == pytest.approx(both - a * b, abs=2e-6)


def test_the_moments_are_those_of_simulated_studies():
    rng, means, told, dfs = np.random.default_rng(0), [], [], []
    for _ in range(3000):
        a, b = simulated(rng, 0.88, 0.82, repeats=6, images=80)
        d = np.asarray(a, float) - b
        means.append(d.mean())
        found = stats.spread_of(d, (1.0, -1.0)).variance()
        told.append(found.variance)
        dfs.append(found.df)
    expected = precision.difference_moments(0.88, 0.82, repeats=6, images=80)
    assert np.mean(means) == pytest.approx(0.06, abs=0.002)
    assert np.var(means) == pytest.approx(expected.variance, rel=0.1)
    # The test never takes a variance to be below one of its first two terms, which adds a little.
    assert np.mean(told) == pytest.approx(expected.told.variance, rel=0.05)
    assert np.median(dfs) == pytest.approx(expected.told.df, rel=0.2)


@pytest.mark.parametrize(("accuracy", "images"), [(0.7, 60), (0.8, 240), (0.9, 100), (0.9, 1000), (0.95, 400)])
def test_the_stated_difference_is_found_in_80_of_100_studies(accuracy, images):
    """By the test and the verdict of a study, not by a formula."""
    difference = precision.detectable(accuracy, repeats=6, images=images)
    rng, better = np.random.default_rng(images), []
    for _ in range(1000):
        pair = simulated(rng, accuracy + difference / 2, accuracy - difference / 2, repeats=6, images=images)
        (found,) = stats.with_verdicts([stats.paired_test(*pair)])
        better.append(found.verdict == "better")
    assert POWER - 0.035 <= np.mean(better) <= POWER + 0.065  # near 1 shares are skewed, and a little more is found


SIZES = np.array([2, 4, 6, 8, 10] * 6)  # of groups


def test_the_moments_of_groups_are_those_of_simulated_studies():
    groups, rng = np.repeat(np.arange(30), SIZES), np.random.default_rng(1)
    together, means, told, dfs = float((SIZES**2).sum() / SIZES.sum()), [], [], []
    for _ in range(2000):
        a, b = simulated(rng, 0.88, 0.82, repeats=6, images=180, groups=groups)
        d = np.asarray(a, float) - b
        means.append(d.mean())
        found = stats.spread_of(d, (1.0, -1.0), groups).variance()
        told.append(found.variance)
        dfs.append(found.df)
    expected = precision.difference_moments(0.88, 0.82, repeats=6, images=180, together=together)
    alone = precision.difference_moments(0.88, 0.82, repeats=6, images=180)
    assert np.var(means) == pytest.approx(expected.variance, rel=0.1) and expected.variance > 1.2 * alone.variance
    assert np.mean(told) == pytest.approx(expected.told.variance, rel=0.1)
    assert np.median(dfs) == pytest.approx(expected.told.df, rel=0.2)


@pytest.mark.parametrize("accuracy", [0.7, 0.9])
def test_the_stated_difference_is_found_in_80_of_100_studies_of_groups(accuracy):
    groups, rng, better = np.repeat(np.arange(60), np.tile(SIZES, 2)), np.random.default_rng(2), []
    size = {"repeats": 6, "images": 360}
    difference = precision.detectable(accuracy, **size, together=float((SIZES**2).sum() / SIZES.sum()))
    for _ in range(500):
        pair = simulated(rng, accuracy + difference / 2, accuracy - difference / 2, **size, groups=groups)
        (found,) = stats.with_verdicts([stats.paired_test(*pair, groups=groups)])
        better.append(found.verdict == "better")
    assert POWER - 0.06 <= np.mean(better) <= POWER + 0.08
    assert difference > 1.1 * precision.detectable(accuracy, **size)


def test_needed_groups_give_the_interval_that_is_promised():
    """Of the model's own studies, without label draws."""
    images = precision.images_needed(0.8, 0.05, together=6.0)
    groups, rng = np.arange(images) // 6, np.random.default_rng(3)
    shared = rng.normal(0, math.sqrt(0.25), (300, groups.max() + 1))[:, groups]
    right = scipy_stats.norm.ppf(0.8) + shared + rng.normal(0, math.sqrt(0.75), (300, images)) > 0
    widths = [(found.high - found.low) / 2 for found in (stats.share_interval(r[None], groups) for r in right)]
    assert np.mean(widths) == pytest.approx(0.05, abs=0.003)
    pairs = right[:, : images // 6 * 6].reshape(-1, 6)
    assert precision.correlation(0.8) == pytest.approx(np.corrcoef(pairs[:, 0], pairs[:, 1])[0, 1], abs=0.01)
    assert images > 1.5 * precision.images_needed(0.8, 0.05)


def test_a_plan_counts_groups():
    images = replace(stripes(240), groups=np.array([f"P{i // 8}" for i in range(240)]))
    plan, alone = plan_study(images), plan_study(replace(images, groups=None))
    assert (plan.groups.groups, plan.groups.images, plan.groups.together) == (30, 8, 8)
    assert [part.groups for part in plan.parts] == [6] and alone.parts[0].groups is alone.groups is None
    both = zip(plan.parts[0].findable, alone.parts[0].findable, strict=True)
    assert all(a.difference is None or a.difference > b.difference for a, b in both)
    for row, other in zip(plan.needed, alone.needed, strict=True):
        assert row.images > other.images and row.groups == math.ceil(row.images / 8) and other.groups is None
    single = plan_study(replace(images, groups=np.array([f"P{i}" for i in range(240)])))
    assert single.parts[0].findable == alone.parts[0].findable
    assert [row.images for row in single.needed] == [row.images for row in alone.needed]
    parts = np.where(np.arange(240) < 164, "train", "test")  # P20 is on both sides
    own = plan_study(replace(images, parts=parts))
    assert [(part.images, part.groups) for part in own.parts] == [(72, 9)]


def test_more_images_find_less_and_too_few_find_nothing():
    found = [precision.detectable(0.9, repeats=6, images=n) for n in (60, 240, 1000, 10_000)]
    assert found == sorted(found, reverse=True)
    assert precision.detectable(0.95, repeats=6, images=20) is None  # at most 10 points apart
    assert precision.detectable(0.9, repeats=5, images=10_000) is None  # too few repeats for any verdict
    with pytest.raises(UsageError, match="accuracy 1.2"):
        precision.detectable(1.2, repeats=6, images=100)


def test_disagreement_is_counted_in_simulated_studies():
    a, b = simulated(np.random.default_rng(3), 0.8, 0.8, repeats=200, images=4000)
    assert precision.disagreement(0.8) == pytest.approx((a != b).mean(), abs=0.01)


def test_needed_images_are_the_fewest_and_labels_five_times_as_many():
    for row in plan_study(stripes(60)).needed:
        widths = []
        for n in (row.images - 1, row.images):
            found = scipy_stats.binomtest(round(row.accuracy * n), n).proportion_ci(method="wilson")
            widths.append((found.high - found.low) / 2)
        assert widths[1] <= row.half_width * 1.01  # whole numbers of right images are not exactly the share
        assert widths[0] >= row.half_width * 0.99
        assert row.images == math.ceil(0.2 * row.labels) or row.labels - 5 < 5 * row.images <= row.labels
        assert (row.images_every, row.labels_every) == (3 * row.images, 3 * row.labels)


def test_the_test_part_is_that_of_the_split():
    images = stripes(250, unlabelled=70)
    now, later = plan_study(images).parts
    assert (now.labels, now.images, now.all_labelled) == (180, len(split(images).test), False)
    assert (later.labels, later.images, later.all_labelled) == (250, 50, True)
    assert [row.accuracy for row in now.findable] == [0.7, 0.8, 0.9, 0.95]
    assert all(a.difference >= b.difference for a, b in zip(now.findable, later.findable, strict=True) if a.difference)
    (whole,) = plan_study(stripes(250)).parts
    assert whole.images == len(split(stripes(250)).test)


def test_a_test_part_of_its_own_is_taken_as_it_is():
    images = stripes(120)
    images.parts[:] = np.where(np.arange(120) % 3 == 0, "test", "train")
    plan = plan_study(images)
    assert plan.test_share is None
    assert [part.images for part in plan.parts] == [40] == [len(split(images).test)]


def test_without_classes_there_are_no_rows_of_classes():
    images = stripes(100)
    flat = replace(images, labels=np.full(100, -1), classes=())
    plan = plan_study(flat)
    assert [(part.labels, part.images) for part in plan.parts] == [(100, 20)]
    assert {row.images_every for row in plan.needed} == {None}
    one = replace(images, labels=np.zeros(100, np.int64), classes=("a",))
    assert plan_study(one).parts == ()


@pytest.mark.parametrize("laid_out", ["classes", "flat", "one class"])
def test_the_command_line_shows_it_in_80_columns_and_as_json(tmp_path, capsys, laid_out):
    images = stripes(60)
    top = tmp_path / "photos"
    for origin, pixels in zip(images.origins, images.images, strict=True):
        path = top / {"classes": origin, "flat": origin.replace("/", "-"), "one class": f"a/{origin[2:]}"}[laid_out]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[..., 0]).save(path)
    assert main(["data", str(top), "--plan"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert ("60 labels: 12 test" in out) == (laid_out != "one class")
    assert ("the recall of every class" in out) == (laid_out == "classes")
    assert "320 (1,600)" in out  # +-5 points at 70 %
    assert main(["data", str(top), "--plan", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["images"] == 60
    assert not list(tmp_path.glob("*.png"))
    if laid_out == "classes":
        found = precision.detectable(0.8, repeats=6, images=12)
        assert told["parts"][0]["findable"][1]["difference"] == (None if found is None else round(found, 4))


def test_the_command_line_plans_with_groups(tmp_path, capsys):
    for i, pixels in enumerate(stripes(96).images):
        path = tmp_path / "photos" / "abc"[i % 3] / f"P{'abc'[i % 3]}{i % 4}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[..., 0]).save(path)
    assert main(["data", str(tmp_path / "photos"), "--plan"]) == 0
    out, err = capsys.readouterr()
    assert max(map(len, out.splitlines())) <= 80
    assert "Images come in 12 groups, those of the test in about 2 groups." in out + err
    assert "Groups of 8 images (in all) for the accuracy of new ones" in out
    assert main(["data", str(tmp_path / "photos"), "--plan", "--group", "none", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["groups"] is None
