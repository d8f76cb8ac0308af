"""The judge: what is compared with what, scores beside their oracles, two generators, checkpoints, the page."""

import importlib
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import fisher_exact, t, ttest_ind
from toys import striped

from sparring import metrics
from sparring.cli import main
from sparring.data import ImageSet
from sparring.errors import DataError, FileFormatError, UsageError
from sparring.features import Extractor, handmade, imagenet
from sparring.games.recipes import RECIPES
from sparring.judging import (
    METRICS,
    JudgementResult,
    JudgeOptions,
    MetricScore,
    inputs,
    judge,
    scores,
    train_on_generated,
    verdicts,
)
from sparring.judging.catalogue import Metric
from sparring.judging.inputs import RealImages
from sparring.judging.judgement import name_generators, number_repeats, split_real, stamp_of
from sparring.judging.over_time import kept_generators, over_time
from sparring.judging.results import GeneratorComparison, by_metric
from sparring.judging.scores import Pair
from sparring.judging.scoring import compute_scores, scores_per_class
from sparring.judging.verdicts import compare_generators, sentence_on_two, sentences_about
from sparring.metrics import Estimate
from sparring.reporting.judgement_page import judgement_page
from sparring.runs.driver import train
from sparring.runs.folder import Run
from sparring.stats import Interval, wilson

NAMES = ("zero", "one", "two")
QUICK = ["kernel", "frechet", "precision", "recall", "density", "coverage", "diversity", "spectrum", "copies"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))


def images(count=240, *, seed=0, parts=None, names=NAMES, **kwargs) -> ImageSet:
    x, y = striped(count, seed=seed, **kwargs)
    at = np.full(count, "") if parts is None else parts
    return ImageSet(x.numpy(), y.numpy(), names, tuple(f"s{seed}[{i}]" for i in range(count)), at.astype("<U5"), "toys")


def halves(count=240):
    return np.where(np.arange(count) % 2 == 0, "train", "test")


def of(x, y=None, name="some") -> ImageSet:
    y = np.full(len(x), -1) if y is None else y
    return ImageSet(x, y, NAMES, tuple(f"{name}[{i}]" for i in range(len(x))), np.full(len(x), "", "<U5"), name)


def namer(classes=NAMES) -> Extractor:
    """An extractor that names the class of stripes by hand: the period of the bright columns."""

    def see(x):
        mean = x.mean((1, 3))  # [N,W]
        masks = np.stack([np.arange(x.shape[2]) % (k + 2) == 0 for k in range(len(classes))]).astype(float)
        masks = masks - masks.mean(1, keepdims=True)
        logits = (mean @ (masks / np.linalg.norm(masks, axis=1, keepdims=True)).T / 10).astype(np.float32)
        return mean.astype(np.float32) / 100, logits

    return Extractor(
        name="namer", hash="0", resize="none", compute=see, classes=classes, accuracy=1.0, accuracy_of="all"
    )


def pair(real=None, fake=None, *, apart=True, extractor=None) -> Pair:
    real = real or images(240)
    train, test = (real.take(np.arange(len(real)) % 2 == k) for k in (0, 1))
    reals = RealImages("toys", NAMES, train, test, apart, "")
    return Pair(reals, fake or images(150, seed=5), extractor or namer())


# --- sides -----------------------------------------------------------------------------------------------------------


def test_a_test_part_is_what_fakes_are_compared_with():
    reals = inputs.read_real(images(parts=halves()), most=1000)
    assert reals.disjoint
    assert reals.test.origins == tuple(f"s0[{i}]" for i in range(1, 240, 2))
    assert reals.train.origins == tuple(f"s0[{i}]" for i in range(0, 240, 2))


def test_without_one_the_extractor_gets_one_half_and_the_fakes_the_other():
    reals = inputs.read_real(images(241), most=1000)
    assert not reals.disjoint
    assert (len(reals.train), len(reals.test)) == (120, 121)
    assert sorted(reals.train.origins + reals.test.origins) == sorted(f"s0[{i}]" for i in range(241))
    assert inputs.read_real(images(241), most=1000).test.origins == reals.test.origins
    assert inputs.read_real(images(241), most=1000, seed=1).test.origins != reals.test.origins


def patients(count=240, *, each=6, **kwargs) -> ImageSet:
    """Images of patients, `each` one after the other."""
    return replace(images(count, **kwargs), groups=np.array([f"P{i // each}" for i in range(count)]))


def test_no_group_is_on_both_sides_of_a_half():
    for seed in range(5):
        reals = inputs.read_real(patients(), most=1000, seed=seed)
        assert (len(reals.train), len(reals.test)) == (120, 120)
        assert not {*reals.train.groups} & {*reals.test.groups}
    assert "one half of the groups" in reals.how and "intervals count images, not groups" in reals.how
    choosing, reporting = split_real(reals, 0.5, 0)
    assert (len(choosing.test), len(reporting)) == (60, 60)
    assert not {*choosing.test.groups} & {*reporting.groups}
    assert len(reals.all) == 240
    with pytest.raises(DataError, match="all images of toys are of one group: they cannot be halved"):
        inputs.read_real(patients(each=500), most=1000)


def test_images_of_a_group_that_training_has_are_not_compared_with():
    parts = np.where(np.arange(240) < 123, "train", "test")  # three images of P20 are on either side
    reals = inputs.read_real(patients(parts=parts), most=1000)
    assert len(reals.test) == 114 and not {*reals.train.groups} & {*reals.test.groups}
    assert "3 more that equal a training image, or are of the group of one, were left out" in reals.how
    other = patients(60, seed=3)
    late = replace(other, groups=np.array([f"P{38 + i // 6}" for i in range(60)]))
    assert len(inputs.read_real(patients(), held_out=late, most=1000).test) == 48
    with pytest.raises(UsageError, match="all 60 held-out images are among .* or of a group of these.*--group none"):
        inputs.read_real(patients(), held_out=other, most=1000)
    asked = inputs.read_real(patients(), held_out=other, group="none", most=1000)
    assert len(asked.test) == 60 and "groups" not in asked.how


def test_the_columns_of_labels_and_of_groups_of_real_images_are_named(tmp_path, capsys):
    (real, fake), names = map(Path, folders(tmp_path)), ["file,kind,label,who"]
    names += [f"{path.name},{'ab'[i % 2]},{'cd'[i % 2]},P{i // 4}" for i, path in enumerate(sorted(real.iterdir()))]
    (real / "labels.csv").write_text("\n".join(names))
    reals = inputs.read_real(real, label="kind", group="who", most=1000)
    assert reals.classes == ("a", "b") and not {*reals.train.groups} & {*reals.test.groups}
    elsewhere = (real / "labels.csv").rename(tmp_path / "elsewhere.csv")
    assert inputs.read_real(real, table=elsewhere, most=1000).classes == ("c", "d")
    asked = ["--table", str(elsewhere), "--label", "kind", "--metrics", "kernel", "--features", "pixels", "--json"]
    assert main(["judge", str(real), str(fake), "--group", "who", *asked]) == 0
    assert "one half of the groups" in json.loads(capsys.readouterr().out)["protocol"]["real"]["how"]
    assert main(["judge", str(real), str(fake), "--group", "whom", *asked]) == 2
    assert main(["train", str(real), "--table", str(elsewhere), "--group", "whom", "--out", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err.count("no column 'whom', did you mean who?") == 2


def test_images_that_were_held_out_are_compared_with_and_the_rest_is_seen():
    reals = inputs.read_real(images(), held_out=images(50, seed=3), most=1000)
    assert reals.disjoint
    assert (len(reals.train), len(reals.test)) == (240, 50)
    assert reals.test.origins[0] == "s3[0]"


def test_at_most_so_many_are_compared():
    reals = inputs.read_real(images(parts=halves()), most=40)
    assert len(reals.test) == 40
    assert len(reals.train) == 120
    assert reals.how == "compared with 40 drawn of the test part"


def test_labels_are_matched_by_the_names_of_classes():
    fake = inputs.labelled_as(images(9, names=("two", "none", "zero")), NAMES)
    assert fake.labels.tolist() == [2, -1, 0] * 3


def test_fakes_of_another_size_or_colour_are_fitted_and_that_is_said():
    reals = inputs.read_real(images(), most=1000)
    fake = inputs.read_fakes("f", images(60, height=24, width=20, channels=3), reals)
    assert fake.images.images.shape == (60, 12, 10, 1)
    assert "24x20 fitted to 12x10, antialiased" in fake.how
    assert "made grey" in fake.how
    strange = inputs.read_fakes("f", images(60, names=("zero", "a", "b")), reals)
    assert "of their 3 classes 2 (a, b) are not among the real ones" in strange.how


def test_no_more_fakes_than_real_images_are_compared():
    reals = inputs.read_real(images(), most=1000)
    fake = inputs.read_fakes("f", images(200, seed=1), reals)
    assert len(fake.images) == 120
    assert "200 images, of which 120 were drawn, as many as there are real ones" in fake.how
    few = images(10, seed=2)
    again = inputs.read_fakes("f", few.take(np.arange(60) % 10), reals)
    assert again.how == "60 images, 50 of which repeat others"


def test_what_loading_did_is_told(tmp_path):
    real, fake = folders(tmp_path)
    (tmp_path / "fake" / "000.png").write_bytes(b"broken")
    made = inputs.read_fakes("f", fake, inputs.read_real(real, most=1000))
    assert "; left out: 1 file that cannot be read (000.png: not an image" in made.how


def test_held_out_images_that_are_training_images_are_left_out():
    real = images()
    more = images(50, seed=3)
    mixed = replace(more, images=np.concatenate([more.images[:40], real.images[:10]]))
    reals = inputs.read_real(real, held_out=mixed, most=1000)
    assert len(reals.test) == 40
    assert "all 40 images of toys, kept apart; 10 more that equal a training image were left out" in reals.how
    with pytest.raises(UsageError, match="all 240 held-out images are among the training images"):
        inputs.read_real(real, held_out=real, most=1000)


def test_a_collapsed_generator_is_judged():
    fake = images(80, seed=1)
    fake = replace(fake, images=np.repeat(fake.images[:1], 80, 0))
    found = judge(images(400), fake, features="pixels", metrics=[*QUICK, "authentic"])
    assert found.judged[0].scores["diversity"].value == pytest.approx(0, abs=1e-6)
    assert any("can be told from the real images" in words for words in found.sentences)
    json.dumps(found.to_json(), allow_nan=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run of a recipe with labels, on images with a test part."""
    folder = tmp_path_factory.mktemp("run") / "cgan"
    from toys import thin

    train(images(240), thin(RECIPES["cgan"]), folder, images=640, seed=0, precision="fp32")
    return folder


def test_a_generator_draws_as_many_as_are_real_in_the_real_images_proportions(run):
    real = images(400)
    real = real.take(real.labels != 1)
    reals = inputs.read_real(real, most=100_000)
    fake = inputs.read_fakes("g", run, reals)
    assert len(fake.images) == len(reals.test)
    shares, held = (np.bincount(side.labels, minlength=3) / len(side) for side in (fake.images, reals.test))
    assert np.abs(shares - held).max() < 0.15
    assert shares.tolist() != held.tolist()  # a random sample, as real images are
    assert fake.how.startswith(str(run))
    assert len(inputs.read_fakes("g", run, inputs.read_real(real, most=30)).images) == 30


def test_a_generator_may_stand_in_the_real_images_place(run):
    reals = inputs.read_real(run, most=90)
    assert (len(reals.train), len(reals.test)) == (45, 45)
    assert np.bincount(np.concatenate([reals.train.labels, reals.test.labels])).tolist() == [30, 30, 30]
    found = judge(run, run, features="pixels", metrics=["kernel"], images=400)
    assert found.sentences == ["no test tells cgan from the real images: kernel distance"]
    assert inputs.read_real(run, most=90, size=(16, 16)).shape == (16, 16, 1)


def test_real_images_are_fitted_to_what_a_generator_draws(run):
    assert inputs.common_size([inputs.as_generator(run)]) == (12, 10)
    assert inputs.as_generator(images()) is None
    other = judge(images(240), run, features="hog", metrics=["diversity"], size=(16, 16))
    assert other.protocol.pixels == "uint8, 0 to 255, 16x16x1"
    assert "12x10 fitted to 16x16" in other.judged[0].fakes.how
    found = judge(images(240, height=24, width=20), run, features="hog", metrics=["diversity"])
    assert found.protocol.pixels == "uint8, 0 to 255, 12x10x1"


# --- scores ----------------------------------------------------------------------------------------------------------


def test_fidelity_is_the_share_of_fakes_named_as_their_class_with_wilsons_interval():
    x, y = striped(150, seed=5)
    wrong = np.where(np.arange(150) < 15, (y.numpy() + 1) % 3, y.numpy())
    found = scores.score_fidelity(pair(fake=of(x.numpy(), wrong)))
    assert (found.value, found.low, found.high) == wilson(135, 150).triple


def test_classes_out_of_balance_is_total_variation_with_pearsons_test():
    x, y = striped(150, seed=5)
    fake = of(x.numpy()[y.numpy() != 2])  # a class is never drawn
    found = scores.score_class_balance(pair(fake=fake))
    table = np.array([[40, 40, 40], [50, 50, 0]])
    assert math.isclose(found.value, np.abs(table[0] / 120 - table[1] / 100).sum() / 2)
    assert found.p == 1 / (1 + scores.MORE_DIVISIONS)
    assert scores.score_class_balance(pair()).value == pytest.approx(0)
    assert scores.score_class_balance(pair()).p == pytest.approx(1)


def test_equal_shares_of_classes_are_not_without_doubt():
    found = scores.score_class_balance(pair(images(480), images(240, seed=5)))
    assert (found.value, found.low) == (0, 0)
    by_chance = metrics.balance_by_chance(np.arange(240) % 3, 240, 3)
    assert found.high == np.quantile(by_chance, 0.95) > 0.03
    assert found.shows["chance"] == by_chance.mean()


def test_errors_of_classes_and_of_frechet_within_classes_are_those_of_a_bootstrap():
    random, real, fake = np.random.default_rng(0), images(480), images(210, seed=5)
    uneven = fake.take(np.sort(random.permutation(210)[:180]))
    uneven = uneven.take((uneven.labels != 2) | (np.arange(180) % 2 == 0))
    here = pair(real, uneven)

    def again():
        held = here.reals.test.take(random.integers(0, 240, 240))
        made = here.fake.take(random.integers(0, len(here.fake), len(here.fake)))
        return Pair(replace(here.reals, test=held), made, here.extractor)

    drawn = [again() for _ in range(120)]
    balance = scores.score_class_balance(here)
    assert balance.estimate.error == pytest.approx(
        np.std([scores.score_class_balance(d).value for d in drawn]), rel=0.25
    )
    within = scores.score_class_frechet(here)
    of_draws = np.std([scores.score_class_frechet(d).value for d in drawn])
    assert 0.6 < (within.high - within.low) / 3.92 / of_draws < 2.2


def test_fidelity_is_tested_against_that_of_real_images():
    x, y = striped(150, seed=5)
    wrong = np.where(np.arange(150) < 15, (y.numpy() + 1) % 3, y.numpy())
    found = scores.score_fidelity(pair(fake=of(x.numpy(), wrong)))
    assert found.p == pytest.approx(fisher_exact([[135, 15], [120, 0]], alternative="less").pvalue, rel=1e-6)
    assert scores.score_fidelity(pair()).p == 1
    weak = replace(
        namer(), hash="1", compute=lambda x: (x.mean((1, 3)).astype(np.float32), np.zeros((len(x), 3), np.float32))
    )
    assert "names only 33.3 % of real images right" in scores.score_fidelity(pair(extractor=weak)).note


def test_shares_have_intervals_that_end_at_all_and_nothing():
    every = scores.proportion(Estimate(1.0, real=np.zeros(40), fake=np.zeros(60)))
    assert (every.low, every.high) == (wilson(40, 40).low, 1)
    random = np.random.default_rng(0)
    hits = random.random(200) < 0.4
    one = scores.proportion(Estimate(hits.mean(), real=hits - hits.mean()))
    assert (one.low, one.high) == pytest.approx(wilson(hits.sum(), 200).triple[1:], rel=1e-2)
    sure = scores.proportion(Estimate(0.4, real=(hits - hits.mean()) / 10))  # never surer than binomial
    assert (sure.low, sure.high) == pytest.approx(wilson(80, 200).triple[1:])
    wild = scores.proportion(Estimate(1.0, real=np.array([-10.0, 10.0] * 20), fake=np.zeros(30)))
    assert wild.value == 1
    assert 0.05 < wild.low < 0.6
    assert wild.high == 1


def test_the_frechet_distance_within_classes_is_the_mean_of_the_classes():
    here = pair(images(480), images(210, seed=5))
    expected = []
    for k in range(3):
        real, fake = (s.images[s.labels == k].mean((1, 3)) / 100 for s in (here.reals.test, here.fake))
        expected.append(metrics.frechet_distance(real, fake).value)
    assert scores.score_class_frechet(here).value == pytest.approx(np.mean(expected), rel=1e-4)


def test_a_class_is_judged_by_its_own_images():
    here = pair(images(480), images(300, seed=5))
    found = scores_per_class(here, {})
    assert list(found) == list(NAMES)
    seen = [s.images[s.labels == 1].mean((1, 3)).astype(np.float32) / 100 for s in (here.reals.test, here.fake)]
    assert found["one"]["kernel"].value == pytest.approx(metrics.kernel_distance(*seen).value)
    assert found["one"]["fidelity"].value == 1


def test_what_fakes_teach_is_also_said_class_by_class(monkeypatch):
    right = np.zeros((3, 120), bool)
    here = pair()
    right[:, here.reals.test.labels != 2] = True
    right[0, here.reals.test.labels == 1] = False
    taught = train_on_generated.Worth(right, np.ones((3, 120), bool), 100, ((50, 0.5), (100, 1.0)), 0.4)
    monkeypatch.setattr(scores, "measure_worth", lambda *_: taught)
    whole = {"train-on-generated": scores.score_train_on_generated(here)}
    monkeypatch.setattr(scores, "LEAST_IMAGES", 30)
    rows = scores_per_class(here, whole)
    assert [rows[name]["train-on-generated"].value for name in NAMES] == pytest.approx([1, 2 / 3, 0])
    assert whole["train-on-generated"].value == pytest.approx(5 / 9)
    assert whole["train-on-generated"].note.startswith("100 real images teach 100.0 %; one fake is worth 0.5")
    assert rows["one"]["train-on-generated"].note == "as many real images teach 100.0 %"
    assert whole["train-on-generated"].shows["curve"].tolist() == [[50, 0.5], [100, 1.0]]


@pytest.mark.parametrize(
    ("name", "changed", "words"),
    [
        ("kernel", {"fake": of(striped(20)[0].numpy())}, "needs 50 images on each side"),
        ("inception", {"extractor": handmade("pixels")}, "pixels names none"),
        ("fidelity", {"fake": of(striped(90)[0].numpy())}, "whose class is known"),
        ("memorised", {"apart": False}, "--held-out"),
    ],
)
def test_a_score_that_cannot_be_had_says_why(name, changed, words):
    found = compute_scores(pair(**changed), [name])[name]
    assert found.value is None
    assert words in found.note


def test_the_frechet_distance_at_infinity_says_how_many_images_it_takes():
    many = pair(images(240), images(150, seed=5))  # 10 features: 8 times as many are enough
    found = compute_scores(many, ["frechet-infinity"])["frechet-infinity"]
    seen = [side.images.mean((1, 3)).astype(np.float32) / 100 for side in (many.reals.test, many.fake)]
    assert found.value == pytest.approx(metrics.frechet_at_infinity(*seen).value)
    few = compute_scores(pair(extractor=handmade("pixels")), ["frechet-infinity", "diversity"])  # 120 features
    assert few["frechet-infinity"].value is None
    assert few["frechet-infinity"].note == "needs 960 images on each side, as there are 120 features"
    assert few["diversity"].value is not None


def test_copies_of_either_half_are_found_where_nothing_was_kept_apart():
    real = images(240)
    fake = np.concatenate([real.images[:6], images(94, seed=7).images])  # three of each half
    here = pair(real, of(fake), apart=False, extractor=handmade("pixels"))
    found = scores.score_copies(here)
    assert found.value == pytest.approx(0.06)
    whole, pairs = here.reals.all, found.shows["pairs"].tolist()
    assert {(i, whole.origins[j]) for i, j in pairs[:6]} == {(i, f"s0[{i}]") for i in range(6)}
    assert len(pairs) == scores.COPIES_SHOWN
    twice = replace(real, images=np.concatenate([real.images[:230], real.images[1:11]]))  # ten are in both halves
    twins = scores.score_copies(pair(twice, of(fake), apart=False, extractor=handmade("pixels"))).shows["twins"]
    looked = pair(twice, of(fake), extractor=handmade("pixels"))
    halves_ = [metrics.near_copies(a, b, looked.three[2])[2] for a, b in (looked.three[:2], looked.three[1::-1])]
    assert min(halves_) > 0
    assert twins[0] == pytest.approx(sum(halves_))
    assert scores.score_copies(pair(real, of(fake), extractor=handmade("pixels"))).value == pytest.approx(0.03)


def test_a_score_is_computed_anew_when_anything_it_depends_on_is_other():
    here = pair()

    def with_labels(side):
        return replace(side, labels=(side.labels + 1) % 3)

    keys = [
        here.key,
        pair(apart=False).key,
        pair(extractor=replace(namer(), hash="1")).key,
        replace(here, fake=with_labels(here.fake)).key,
        replace(here, fake=here.fake.take(np.arange(150)[::-1])).key,
        replace(here, reals=replace(here.reals, test=with_labels(here.reals.test))).key,
        replace(here, reals=replace(here.reals, train=here.reals.test)).key,
        replace(here, reals=replace(here.reals, classes=(*NAMES, "more"))).key,
    ]
    assert len(set(keys)) == len(keys)
    assert pair().key == here.key


def test_copies_are_not_looked_for_with_what_learned_from_the_training_images():
    own = pair(extractor=replace(namer(), name="own"))
    assert own.unlearned.name == "hog"
    assert pair().unlearned.name == "namer"
    seen = own.three[0]
    np.testing.assert_array_equal(seen, handmade("hog").features(own.reals.train.images))


def test_own_learns_from_the_images_that_fakes_are_not_compared_with(monkeypatch):
    taught = []

    def own(images, labels, classes, progress=None, *, seed, device):
        taught.append(images)
        return namer()

    monkeypatch.setattr("sparring.judging.judgement.own", own)
    real = images(parts=halves())
    judge(real, images(80, seed=1), metrics=["diversity"])
    np.testing.assert_array_equal(taught[0], real.images[real.parts == "train"])


def test_memorised_is_silent_where_held_out_images_are_of_another_kind():
    real, other = images(), images(120, seed=4)
    other = replace(other, images=255 - other.images)
    reals = inputs.read_real(real, held_out=other, most=1000)
    fresh = images(100, seed=9)
    found = scores.score_memorised(Pair(reals, fresh, handmade("pixels")))
    assert found.value is None
    assert "training and held-out images differ" in found.note
    alike = scores.score_memorised(
        Pair(inputs.read_real(real, held_out=images(120, seed=4), most=1000), fresh, handmade("pixels"))
    )
    assert alike.p > 0.01
    copied = scores.score_memorised(
        Pair(
            inputs.read_real(real, held_out=images(120, seed=4), most=1000),
            reals.train.take(np.arange(90)),
            handmade("pixels"),
        )
    )
    assert (copied.value, copied.p, copied.high) == (1, 0.001, 1)
    assert 0.8 < copied.low < 1


def test_authenticity_looks_at_both_halves_where_nothing_was_kept_apart():
    real = images(240)
    fake = of(real.images[:60])  # half of them from either half
    assert scores.score_authentic(pair(real, fake, apart=False, extractor=handmade("pixels"))).value == 0
    assert scores.score_authentic(pair(real, fake, extractor=handmade("pixels"))).value > 0.1


def test_a_score_is_computed_once_for_the_same_content(monkeypatch):
    first = compute_scores(pair(), ["frechet", "copies"])
    for name in first:  # nothing can be computed any more
        monkeypatch.setitem(METRICS, name, replace(METRICS[name], score=lambda pair: 1 / 0))
    again = compute_scores(pair(), ["frechet", "copies"])
    for name, score in first.items():
        assert again[name].row(name) == score.row(name)
        assert np.array_equal(again[name].estimate.fake, score.estimate.fake)
    with pytest.raises(ZeroDivisionError):
        compute_scores(pair(fake=images(150, seed=6)), ["frechet"])


# --- verdicts --------------------------------------------------------------------------------------------------------


def told(value, error, count=100, metric="coverage", seed=0):
    """A score whose estimate has this error, from the fakes alone."""
    noise = np.random.default_rng(seed).normal(size=count)
    noise = (noise - noise.mean()) / noise.std(ddof=1) * error * math.sqrt(count)
    return {metric: MetricScore(value, estimate=Estimate(value, real=np.zeros(10), fake=noise))}


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        ((0.80, 0.005), (0.60, 0.005), "better"),
        ((0.60, 0.005), (0.80, 0.005), "worse"),
        ((0.70, 0.001), (0.701, 0.001), "tie"),
        ((0.70, 0.02), (0.72, 0.02), "not enough evidence"),
    ],
)
def test_two_generators_are_told_apart_only_by_what_is_beyond_doubt(a, b, verdict):
    (found,) = compare_generators({"a": [told(*a)], "b": [told(*b, seed=1)]}, 100)
    assert found.verdict == verdict
    assert found.mean == pytest.approx(a[0] - b[0])
    assert found.half == pytest.approx(1.96 * math.hypot(a[1], b[1]), rel=0.02)


def test_of_distances_less_is_better():
    (found,) = compare_generators(
        {"a": [told(0.1, 0.001, metric="kernel")], "b": [told(0.3, 0.001, metric="kernel")]}, 100
    )
    assert found.verdict == "better"
    assert sentence_on_two("a", "b", [found]) == "a is better than b in kernel distance"


def test_a_generator_trained_several_times_is_compared_over_its_trainings():
    values = [0.60, 0.66, 0.72], [0.50, 0.53, 0.52, 0.49]
    a, b = ([told(v, 1e-9, seed=i) for i, v in enumerate(side)] for side in values)
    (found,) = compare_generators({"a": a, "b": b}, 100)
    theirs = ttest_ind(*values, equal_var=False)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-6)
    assert found.half == pytest.approx(np.diff(theirs.confidence_interval(0.95))[0] / 2, rel=1e-6)
    assert found.verdict == "better"
    (fewer,) = compare_generators({"a": a[:2], "b": b[:2]}, 100)
    assert fewer.verdict == "not enough evidence"
    assert compare_generators({"a": a, "b": b[:1]}, 100) == ()
    assert "b was trained once" in sentence_on_two("a", "b", [], (3, 1))
    assert sentence_on_two("a", "b", [found], (3, 4)) == "over 3 and 4 trainings, a is better than b in coverage"


def test_what_real_images_do_to_trainings_does_not_cancel_where_it_differs():
    def scored(value, slope):
        real = slope * np.linspace(-1, 1, 50)
        return {"coverage": MetricScore(value, estimate=Estimate(value, real=real, fake=np.zeros(9)))}

    same = compare_generators({"a": [scored(0.6, 1), scored(0.62, 1)], "b": [scored(0.5, 1), scored(0.52, 1)]}, 100)[0]
    assert same.half == pytest.approx(t.ppf(0.975, 2) * math.sqrt(2 * 0.0002 / 2))
    other = compare_generators({"a": [scored(0.6, 1), scored(0.62, 1)], "b": [scored(0.5, 0), scored(0.52, 0)]}, 100)[0]
    of_real = np.linspace(-1, 1, 50).var(ddof=1) / 50
    variance = 0.0002 + of_real
    df = variance**2 / (2 * 0.0001**2 + of_real**2 / 49)
    assert other.half == pytest.approx(t.ppf(0.975, df) * math.sqrt(variance))


def test_a_mean_over_trainings_covers_what_trainings_and_real_images_do_to_it():
    real = np.linspace(-1, 1, 50)
    each = [MetricScore(v, estimate=Estimate(v, real=real, fake=np.zeros(9))) for v in (0.5, 0.53, 0.56)]
    found = verdicts.mean_over_trainings(each)
    parts = np.array([0.03**2 / 3, real.var(ddof=1) / 50])
    df = parts.sum() ** 2 / (parts**2 / [2, 49]).sum()
    assert found.value == pytest.approx(0.53)
    assert found.half == pytest.approx(t.ppf(0.975, df) * math.sqrt(parts.sum()))
    none = scores.share_of_fakes(np.zeros(400, bool))
    assert verdicts.mean_over_trainings([none, none]).half > 0.004
    noisy = [told(v, 0.05, seed=k)["coverage"] for k, v in enumerate((0.5, 0.5, 0.5))]  # equal by chance
    assert verdicts.mean_over_trainings(noisy).half == pytest.approx(t.ppf(0.975, 2) * 0.05 / math.sqrt(3), rel=0.02)
    bare = [MetricScore(v) for v in (1.0, 2.0, 3.0)]
    assert verdicts.mean_over_trainings(bare).half == pytest.approx(t.ppf(0.975, 2) / math.sqrt(3))


def test_intervals_over_trainings_cover_new_trainings_and_new_real_images():
    covered = 0
    for seed in range(120):
        random = np.random.default_rng(seed)
        real = random.normal(size=60)
        each = []
        for _ in range(4):
            fake = random.normal(0.2 * random.normal(), 1, 40)
            value = fake.mean() - real.mean()
            each.append(MetricScore(value, estimate=Estimate(value, real.mean() - real, fake - fake.mean())))
        spread = verdicts.mean_over_trainings(each)
        covered += abs(spread.value) <= spread.half
    assert covered >= 105


def test_sentences_about_trainings_say_in_how_many():
    told, silent = {"kernel": MetricScore(1.0, p=0.001)}, {"kernel": MetricScore(1.0, p=0.5)}
    assert sentences_about("g", [told, silent, told]) == [
        "g can be told from the real images in 2 of 3 trainings, by kernel distance"
    ]
    assert sentences_about("g", [silent, silent]) == ["no test tells g from the real images: kernel distance"]
    some, many = ({"copies": MetricScore(v, v - 0.05, v + 0.05)} for v in (0.1, 0.4))
    none = {"copies": MetricScore(0.0, 0.0, 0.01)}
    assert sentences_about("g", [some, none, many]) == [
        "10 to 40 % of g are nearly copies of training images in 2 of 3 trainings: look at the pairs"
    ]


def test_two_shares_of_nothing_tie_when_there_are_enough_images():
    none = {"copies": scores.share_of_fakes(np.zeros(1000, bool))}
    (found,) = compare_generators({"a": [none], "b": [none]}, 1000)
    assert found.verdict == "tie"
    few = {"copies": scores.share_of_fakes(np.zeros(60, bool))}
    assert compare_generators({"a": [few], "b": [few]}, 60)[0].verdict == "not enough evidence"


def test_a_frechet_distance_of_few_images_is_no_headline():
    a, b = told(1.0, 0.01, metric="frechet"), told(2.0, 0.01, metric="frechet", seed=1)
    assert compare_generators({"a": [a], "b": [b]}, 2047) == ()
    assert compare_generators({"a": [a], "b": [b]}, 2048)[0].verdict == "better"


def test_fakes_are_different_when_a_test_says_so_after_holms_correction():
    classes = MetricScore(1, p=0.5)
    assert verdicts.tests_of_difference({"kernel": MetricScore(1.0, p=0.008)}) == (["kernel"], ["kernel"])
    assert verdicts.tests_of_difference({"kernel": MetricScore(1.0, p=0.008), "classes": classes}) == (
        ["kernel", "classes"],
        [],
    )
    assert verdicts.tests_of_difference({"kernel": MetricScore(1.0, p=0.02)}) == (["kernel"], [])
    assert verdicts.tests_of_difference({}) == ([], [])
    assert sentences_about("g", [{"kernel": MetricScore(1.0, p=0.005)}]) == [
        "g can be told from the real images, by kernel distance"
    ]
    assert sentences_about("g", [{"kernel": MetricScore(1.0, p=0.5), "classes": classes}]) == [
        "no test tells g from the real images: kernel distance and classes out of balance"
    ]
    assert sentences_about("g", [{"coverage": MetricScore(0.5)}]) == []


def test_copies_come_first_and_are_measured_against_twins_among_real_images():
    near, kernel = MetricScore(0.2, 0.15, 0.25), MetricScore(1.0, p=0.5)
    assert sentences_about("g", [{"kernel": kernel, "copies": near}])[0] == (
        "20 % of g are nearly copies of training images: look at the pairs"
    )
    twins = replace(near, shows={"twins": np.array([0.14])})  # so many real images are as near
    assert not any("nearly copies" in words for words in sentences_about("g", [{"copies": twins}]))
    assert "learned by heart" in sentences_about("g", [{"memorised": MetricScore(1.0, p=0.001)}])[0]
    assert sentences_about("g", [{"memorised": MetricScore(1.0, p=0.02)}]) == []


def test_one_family_of_p_values_over_all_scores_and_all_pairs():
    def both(value, seed):
        return told(value, 0.01, seed=seed) | told(value, 0.01, metric="copies", seed=seed + 9)

    a, b = both(0.500, 0), both(0.5305, 1)  # p = 0.031 each
    alone = compare_generators({"a": [told(0.500, 0.01)], "b": [told(0.5305, 0.01, seed=1)]}, 100)
    assert [v.verdict for v in alone] == ["better" if v.mean > 0 else "worse" for v in alone] == ["worse"]
    assert {v.verdict for v in compare_generators({"a": [a], "b": [b]}, 100)} == {"not enough evidence"}
    three = compare_generators(
        {"a": [told(0.500, 0.01)], "b": [told(0.5305, 0.01, seed=1)], "c": [told(0.51, 0.01, seed=2)]}, 100
    )
    assert [(v.a, v.b) for v in three] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert three[0].verdict == "not enough evidence"
    assert three[0].p_holm == pytest.approx(3 * three[0].p)


def test_distances_tie_within_a_twentieth_and_not_beyond():
    def kernel(value, seed):
        return told(value, 1e-5, metric="kernel", seed=seed)

    (near,) = compare_generators({"a": [kernel(1.00, 0)], "b": [kernel(1.04, 1)]}, 100)
    (far,) = compare_generators({"a": [kernel(1.00, 0)], "b": [kernel(1.10, 1)]}, 100)
    assert (near.verdict, far.verdict) == ("tie", "better")


# --- what a fake is worth --------------------------------------------------------------------------------------------


def test_worth_is_read_off_the_learning_curve():
    curve = ((100, 0.5), (400, 0.75), (1600, 0.875))  # the error halves when images quadruple
    assert train_on_generated.images_worth(0.75, curve) == pytest.approx(400)
    assert train_on_generated.images_worth(1 - 0.5 / math.sqrt(2), curve) == pytest.approx(200)
    assert train_on_generated.images_worth(0.99, curve) == pytest.approx(1600)
    assert math.isnan(train_on_generated.images_worth(0.4, curve))
    assert train_on_generated.images_worth(0.75, ((100, 0.5), (400, 0.75), (800, 0.7), (1600, 0.875))) == pytest.approx(
        800
    )


def test_worth_is_said_with_its_doubt_and_only_where_there_is_something_to_say():
    def words(accuracy, low=0.0, high=1.0):
        return train_on_generated.Worth(None, None, 1600, curve, 0.3).in_words(Interval(accuracy, low, high))

    curve = ((80, 0.5), (400, 0.75), (1600, 0.875))
    assert words(0.75, 0.5, 0.875) == "one fake is worth 0.25 real ones (0.05 to 1 or more)"
    assert words(0.75, 0.4, 0.8) == "one fake is worth 0.25 real ones (0 to 0.39)"
    assert words(0.9) == "one fake is worth at least one real one"
    assert words(0.4) == "one fake is worth less than 0.05 real ones"
    assert words(0.3) == "the fakes taught nothing"


def worth_of(train, test, fake):
    return train_on_generated.measure_worth(RealImages("toys", NAMES, train, test, True, ""), fake)


def test_classifiers_are_tested_on_the_held_images(monkeypatch):
    tested = []

    def right(training, test, classes, seed):
        tested.append(test.origins)
        return np.ones(len(test), bool)

    monkeypatch.setattr(train_on_generated, "_right", right)
    seen, held, fake = (images(120, seed=k) for k in range(3))
    found = worth_of(seen, held, fake)
    assert set(tested) == {held.origins}
    assert [n for n, _ in found.curve] == [60, 120]


def test_parts_of_one_class_are_left_out_of_the_curve(monkeypatch):
    monkeypatch.setattr(train_on_generated, "_right", lambda training, test, classes, seed: np.ones(len(test), bool))
    x = images(2000).images
    rare = of(x, (np.arange(2000) == 7).astype(np.int64))
    found = worth_of(rare, rare, rare)
    assert len(found.curve) < 5


def test_fakes_with_too_few_labels_have_no_worth():
    real, few = images(240), images(57, seed=4)
    assert worth_of(real, real, few) is None  # 19 a class
    one = few.take(np.flatnonzero(few.labels == 0))
    assert worth_of(real, real, one) is None


def test_fakes_with_wrong_labels_teach_less(monkeypatch):
    def nearest_mean(x, y, classes, *, seed):
        means = np.stack([x[y == k].mean(0) for k in range(3)])

        class Found:
            def named(self, test, origins):
                return np.square(test[:, None] - means).sum((2, 3, 4)).argmin(1)

        return Found()

    monkeypatch.setattr(train_on_generated, "own", nearest_mean)
    real, fake = images(240), images(120, seed=4)
    train, test = real.take(slice(0, 120)), real.take(slice(120, 240))
    good = worth_of(train, test, fake)
    assert good.fakes.mean() == good.real.mean() == 1
    swapped = replace(fake, labels=(fake.labels + 1) % 3)
    assert worth_of(train, test, swapped).fakes.mean() == 0


# --- a judgement -----------------------------------------------------------------------------------------------------


def test_more_of_the_same_cannot_be_told_from_real_images_and_noise_can():
    good, noise = images(200, seed=1), images(200, seed=2)
    noise = ImageSet(np.random.default_rng(0).integers(0, 256, noise.images.shape, np.uint8), noise.labels, NAMES,
                     noise.origins, noise.parts, "noise")  # fmt: skip
    found = judge(images(400, seed=3), good, noise, names=["good", "noise"], features="pixels", metrics=QUICK)
    assert "no test tells good from the real images: kernel distance and spectrum" in found.sentences
    assert any(words.startswith("noise can be told") for words in found.sentences)
    assert any(words.startswith("good is better than noise") for words in found.sentences)
    assert next(v for v in found.verdicts if v.metric == "coverage").verdict == "better"
    assert all(v.metric != "frechet" for v in found.verdicts)  # no headline of so few
    assert abs(found.reference["kernel"].value) < 0.1 * found.judged[1].scores["kernel"].value
    json.dumps(found.to_json(), allow_nan=False)


def test_several_sets_of_fakes_are_cut_to_the_smallest():
    found = judge(images(), images(90, seed=1), images(70, seed=2), features="pixels", metrics=["diversity"])
    assert [len(one.fakes.images) for one in found.judged] == [70, 70]
    assert found.judged[0].name == "toys"
    assert found.judged[1].name == "toys (2)"
    assert "70 were drawn" in found.judged[0].fakes.how


def test_sets_of_one_name_are_trainings_of_one_generator():
    fakes = [images(80, seed=seed) for seed in (1, 2, 3, 4)]
    found = judge(images(), *fakes, names=["g", "g", "h", "h"], features="pixels", metrics=["coverage", "diversity"])
    assert [one.name for one in found.judged] == ["g", "g (2)", "h", "h (2)"]
    assert {(v.a, v.b) for v in found.verdicts} == {("g", "h")}
    assert found.sentences[-1].startswith("over 2 and 2 trainings, g and h")
    written = found.to_json()
    (g, _) = written["generators"]
    values = [one.scores["diversity"].value for one in found.judged[:2]]
    assert g["trainings"] == 2
    assert g["scores"][1]["value"] == pytest.approx(np.mean(values))
    html = judgement_page(found.result, found.pictures())
    assert "Each training" in html
    assert "2 trainings" in html


def test_names_of_paths_never_repeat():
    assert number_repeats(["photos (2)", "photos", "photos"]) == ["photos (2)", "photos", "photos (3)"]
    assert name_generators(["a/g", "b/x"], ["", "g"]) == ["g (2)", "g"]


def test_the_same_images_in_another_order_are_the_same():
    fake = images(80, seed=1)
    turned = fake.take(np.arange(80)[::-1])
    with pytest.raises(UsageError, match="two of the trainings of g are the same images"):
        judge(images(), fake, turned, names=["g", "g"], features="pixels", metrics=["diversity"])
    found = judge(images(), fake, turned, features="pixels", metrics=["coverage"])
    assert found.sentences[-1] == "toys and toys (2) are the same images"
    assert found.verdicts == ()


def test_a_name_may_be_given_to_some_sets_and_never_joins_another_by_its_path():
    assert name_generators(["x/run", "y/run", "z"], []) == ["run", "run (2)", "z"]
    assert name_generators(["x/run", "y/run", "z"], ["", "run"]) == ["run (2)", "run", "z"]
    assert name_generators(["x", "y", "z"], ["a", "", "a"]) == ["a", "y", "a"]


def test_the_stamp_changes_with_what_a_number_depends_on():
    def stamp(real=None, **changed):
        return judge(
            real or images(), images(80, seed=1), **{"features": "pixels", "metrics": ["diversity"]} | changed
        ).stamp

    assert stamp() == stamp() == stamp(metrics=["spectrum"])
    others = {
        stamp(features="hog"),
        stamp(images=60),
        stamp(real=images(seed=9)),
        stamp(size=8),
        stamp(),
        stamp(seed=1),
    }
    assert len(others) == 6
    training = images(parts=halves())
    test = training.parts == "test"
    other = replace(training, images=np.where(test[:, None, None, None], training.images, 255 - training.images))
    assert stamp(real=training) != stamp(real=other)


def test_what_cannot_be_judged_is_refused_by_a_sentence():  # B69
    with pytest.raises(UsageError, match=r"unknown metric 'kernal', did you mean kernel"):
        judge(images(), images(seed=1), metrics=["kernal"])
    with pytest.raises(UsageError, match=r"needs weights"):
        judge(images(), images(seed=1), features="dinov2")
    with pytest.raises(UsageError, match=r"no fakes"):
        judge(images())
    with pytest.raises(DataError, match=r"none of these scores can be had: kernel needs 50 images on each side"):
        judge(images(40), images(seed=1), features="pixels")
    with pytest.raises(UsageError, match=r"unknown extractor"):
        judge(images(), images(seed=1), features="hogg")
    with pytest.raises(UsageError, match=r"2 names for 1 sets of fakes"):
        judge(images(), images(seed=1), names=["a", "b"])
    with pytest.raises(UsageError, match=r"is not a whole number of 50 or more"):
        judge(images(), images(seed=1), images=10)
    with pytest.raises(UsageError, match=r"has no weights whose hash"):
        judge(images(), images(seed=1), weights_hash="12345678")
    assert judge(images(), images(80, seed=1), features="pixels", metrics="kid").judged[0].scores["kernel"].value


def test_the_built_in_network_is_named_stamped_and_said_to_come_from_elsewhere():
    real, fake = images(120, channels=3), images(60, seed=1, channels=3)
    found = judge(real, fake, features="efficientnet-lite0", metrics=["kernel", "classes"], device="cpu")
    used = found.protocol.extractor
    assert (used.name, used.hash) == ("efficientnet-lite0", imagenet().hash)
    assert used.resize == imagenet().resize and "multiples of 32" in used.resize
    assert used.learned_from.startswith("EfficientNet-Lite0, trained on ImageNet-1k (1.28 million labelled photographs")
    assert any("may look better through them than it is (arXiv:2203.06026)" in note for note in found.notes)
    assert found.judged[0].scores["classes"].value is None  # it names none of these classes
    own = judge(real, fake, features="pixels", metrics=["kernel"])
    assert own.protocol.extractor.learned_from == "" and not own.notes and own.stamp != found.stamp
    sides = [imagenet(device="cpu").features(side.images) for side in (found.reals.test, found.judged[0].fakes.images)]
    assert found.judged[0].scores["kernel"].value == pytest.approx(metrics.kernel_distance(*sides).value)
    rounded = replace(found.protocol, extractor=replace(used, rounding="another"))
    assert stamp_of(rounded) != found.stamp  # other last digits are not to be compared
    assert "efficientnet-lite0" in str(found.result.to_json())


def test_the_built_in_network_is_not_the_default():
    assert JudgeOptions().features == "own"
    with pytest.raises(UsageError, match="efficientnet-lite0 takes no weights"):
        JudgeOptions(features="efficientnet-lite0", weights="folder")
    with pytest.raises(UsageError, match="pixels has no weights to be downloaded"):
        JudgeOptions(features="pixels", download=True)


def test_real_images_in_the_fakes_place_are_in_the_same_proportion():
    found = judge(images(400), images(100, seed=1), features="pixels", metrics=["coverage", "frechet", "copies"])
    held = inputs.read_real(images(400), most=1000)
    parts, other = split_real(held, 100 / 300, 0)
    assert (len(other), len(parts.test)) == (67, 133)
    assert not set(other.origins) & set(parts.test.origins)
    seen = [handmade("pixels").features(side.images) for side in (parts.test, other)]
    assert found.reference["coverage"].value == metrics.neighbours(*seen, k=5).coverage.value
    assert "frechet" not in found.reference  # it depends on how many there are
    assert found.reference["copies"].value < 0.03
    assert split_real(held, 0.1, 0) is None


def test_a_generator_of_grey_images_is_not_judged_against_colour(run):
    with pytest.raises(DataError, match="draws grey images, the real ones are colour"):
        judge(images(channels=3), run, features="pixels", metrics=["diversity"])


def test_every_metric_explains_itself_and_every_one_is_computed():
    both = pair(images(480), images(240, seed=5))  # 80 of each class
    for name, metric in METRICS.items():
        if name != "train-on-generated":  # it trains networks
            assert isinstance(metric.score(both), MetricScore)
        assert metric.means.endswith(".")
        assert metric.misses.endswith(".")
        assert metric.source
    assert METRICS["coverage"].shown(0.5) == "50.0 %"
    assert METRICS["kernel"].shown(0.0012) == "1.20"
    assert METRICS["frechet"].shown(12345.0) == "12,345"
    assert METRICS["coverage"].shown_difference(-0.1, 0.02) == "-10.0 +- 2.0 points"
    assert METRICS["kernel"].shown_score(MetricScore(0.0319, 0.027, 0.0368).row("kernel")) == "31.9 +-4.9"
    assert METRICS["coverage"].shown_score(MetricScore(0.5).row("coverage")) == "50.0 %"
    assert METRICS["coverage"].shown_score(None) == ""
    assert METRICS["coverage"].cut(-0.1, 1.2) == (0, 1)
    assert METRICS["kernel"].cut(-0.1, 1.2) == (-0.1, 1.2)


def brightness(pair: Pair) -> MetricScore:
    real, fake = (x.images.mean((1, 2, 3)) / 255 for x in (pair.reals.test, pair.fake))
    apart = fake.mean() - real.mean()
    return scores.from_estimate(Estimate(float(apart), real=real.mean() - real, fake=fake - fake.mean()))


def test_a_metric_is_added_by_a_function_and_a_row(monkeypatch, tmp_path, capsys):
    row = Metric("Brightness", "lower", brightness, "How much brighter fakes are.", "All else.", "this test",
                 headline=True, per_class=True, lowest=-math.inf)  # fmt: skip
    monkeypatch.setitem(METRICS, "brightness", row)
    real, fake = images(600), images(240, seed=1)
    dark = replace(images(240, seed=2), images=images(240, seed=2).images // 2, name="dark")
    found = judge(real, fake, dark, features="pixels", metrics=["brightness"], per_class=True)
    score = found.judged[1].scores["brightness"]
    test = inputs.read_real(real, most=1000).test.images
    assert score.value == pytest.approx((dark.images.mean() - test.mean()) / 255)
    assert score.low < score.value < score.high
    assert [v.metric for v in found.verdicts] == ["brightness"]
    assert found.verdicts[0].verdict == "worse"
    assert "brightness" in found.judged[0].classes["one"]
    assert abs(found.reference["brightness"].value) < 0.05
    html = judgement_page(found.result, found.pictures())
    assert "How much brighter fakes are." in html
    assert "\u00b1" in html
    assert "+-" not in html.partition("Which is better")[2]
    assert 'alt="Real images" class="pixels"' in html
    assert html.count("Brightness") >= 4  # scores, verdicts, classes, what it means
    assert main(["metrics", "brightness"]) == 0
    assert "What it misses: All else." in capsys.readouterr().out
    assert main(["metrics", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[-1]["source"] == "this test"
    assert main(["judge", *folders(tmp_path), "--features", "pixels", "--metrics", "brightness", "--quiet"]) == 0
    assert "Brightness" in capsys.readouterr().out


def test_a_judgement_is_read_from_its_json_and_older_ones_are_refused():
    found = judge(images(400), images(200, seed=1), images(200, seed=2), features="pixels", metrics=QUICK,
                  per_class=True)  # fmt: skip
    written = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert JudgementResult.from_json(written) == found.result
    assert {"format", "stamp", "protocol", "sentences", "notes", "real", "fakes", "generators", "verdicts"} == set(
        written
    )
    assert written["fakes"][0]["classes"]["one"][0]["metric"] == "kernel"
    for change in ({"format": 0}, {"stampp": 1}, {"fakes": [{"name": "a"}]}):
        with pytest.raises(FileFormatError, match="judge again|this version of sparring"):
            JudgementResult.from_json(written | change)
    with pytest.raises(FileFormatError, match="is no judgement of format 1"):
        JudgementResult.from_json([])


# --- checkpoints -----------------------------------------------------------------------------------------------------


def test_the_best_checkpoint_is_chosen_by_one_half_and_reported_by_the_other(run):
    found = over_time(images(400, seed=8), run, JudgeOptions(features="pixels"))
    kernels = {at.images: value(at.scores, "kernel") for at in found.checkpoints}
    assert found.best.images == min(kernels, key=kernels.__getitem__)
    reported = value(found.best.scores, "kernel")
    assert "half of these chose the checkpoint" in found.protocol.real.how
    choosing, reporting = split_real(inputs.read_real(images(400, seed=8), most=10_000), 1 / 2, 0)
    assert not set(choosing.test.origins) & set(reporting.origins)
    sampler = dict(kept_generators(Run.read(run)))[found.best.images]
    made = inputs.read_fakes("g", sampler, replace(choosing, test=reporting), seed=1)  # others than those that chose
    seen = [handmade("pixels").features(x) for x in (reporting.images, made.images.images)]
    assert reported == pytest.approx(metrics.kernel_distance(*seen).value)
    shown = json.loads((run / "scores.json").read_text())
    assert shown[0]["value"] == pytest.approx(1000 * reported)
    assert found.stamp in shown[0]["what"]


def test_the_half_that_reports_does_not_choose(run, monkeypatch):
    """Two checkpoints, and the halves disagree about which is better."""
    choosing, _ = split_real(inputs.read_real(images(400, seed=8), most=10_000, size=(12, 10)), 1 / 2, 0)
    module = importlib.import_module("sparring.judging.over_time")
    sampler = kept_generators(Run.read(run))[0][1]
    monkeypatch.setattr(module, "kept_generators", lambda run: [(1, sampler), (2, sampler)])

    def scored(pair, names):
        chooses = pair.reals.test.origins == choosing.test.origins
        first = pair.fake.name == "1 images"
        return {"kernel": MetricScore(0.1 if chooses == first else 0.2)}

    monkeypatch.setattr(module, "compute_scores", scored)
    found = over_time(images(400, seed=8), run, JudgeOptions(features="efficientnet-lite0"))
    assert "come from EfficientNet-Lite0, trained on ImageNet-1k" in found.notes[-1]
    assert found.best.images == 1
    assert value(found.best.scores, "kernel") == 0.2


def test_checkpoints_are_scored_as_asked(run, capsys):
    held = images(200, seed=9)
    found = over_time(images(400, seed=8), run, JudgeOptions(metrics="authentic", features="pixels", held_out=held))
    assert [row.metric for row in found.best.scores][-1] == "authentic"
    assert found.protocol.real.training == 400
    assert "kept apart" in found.protocol.real.how
    with pytest.raises(UsageError, match="is a generator, not real images"):
        over_time(run, run)
    assert main(["judge", "digits", str(run), "--over-time", "--report", "x.html"]) == 2
    assert "--over-time goes without --report" in capsys.readouterr().err


def test_a_run_on_embedded_images_needs_no_second_name_and_others_do(run, capsys, monkeypatch):
    assert main(["judge", str(run), "--over-time"]) == 2
    assert "name the images before the run" in capsys.readouterr().err
    monkeypatch.setattr("sparring.data.sources.EMBEDDED", {"toys": lambda: images(400)})
    assert main(["judge", str(run), "--over-time", "--features", "pixels"]) == 0
    assert "by the other half" in capsys.readouterr().out


def value(rows, name):
    return by_metric(rows)[name].value


# --- the page and the command ----------------------------------------------------------------------------------------


def test_a_page_of_sets_that_are_called_as_the_page_calls_real_images():
    found = judge(images(), images(80, seed=1), images(80, seed=2), names=["real images", "b"], features="pixels",
                  metrics=["spectrum", "coverage"])  # fmt: skip
    html = judgement_page(found.result, found.pictures())
    assert html.count('class="figure spectra"') == 1
    assert "real images at most" in html


def test_a_page_says_why_there_is_nothing_class_by_class():
    found = judge(images(), images(80, seed=1), features="pixels", metrics=["coverage"], per_class=True)
    assert found.judged[0].left_out == "class by class: fewer than 50 images on a side of zero, one, two"
    assert "fewer than 50 images on a side of zero, one, two" in judgement_page(found.result, found.pictures())


def test_the_learning_curve_is_drawn():
    shows = {"curve": np.array([[100, 0.8], [200, 0.9]]), "real": np.ones(4)}
    score = MetricScore(0.85, 0.8, 0.9, note="one fake is worth 0.7 real ones", shows=shows)
    found = judge(images(), images(80, seed=1), features="pixels", metrics=["coverage"])
    found.judged[0].scores["train-on-generated"] = score
    html = judgement_page(found.result, found.pictures())
    assert "200 of toys 85.0" in html
    assert "What <bdi>toys</bdi> teaches a classifier" in html


def test_the_page_holds_the_scores_and_escapes_names():
    fake = images(80, seed=1)
    found = judge(images(), fake, names=["<b>bold</b>"], features="pixels", metrics=QUICK)
    html = judgement_page(found.result, found.pictures())
    assert "<b>bold</b>" not in html
    assert "&lt;b&gt;bold" in html
    assert METRICS["coverage"].shown(found.judged[0].scores["coverage"].value).split()[0] in html
    assert found.stamp in html
    assert "http" not in html.replace("http-equiv", "")


def folders(tmp_path):
    from sparring.images import save_png

    for name, seed in (("real", 0), ("fake", 1)):
        for i, image in enumerate(images(120, seed=seed).images):
            path = tmp_path / name / f"{i:03d}.png"
            path.parent.mkdir(exist_ok=True)
            save_png(path, image)
    return str(tmp_path / "real"), str(tmp_path / "fake")


def test_the_command_prints_scores_and_writes_a_page(tmp_path, capsys):
    real, fake = folders(tmp_path)
    report = tmp_path / "judge.html"
    assert (
        main(["judge", real, fake, "--features", "hog", "--metrics", "coverage,kernel", "--report", str(report)]) == 0
    )
    out = capsys.readouterr()
    assert "Coverage" in out.out
    assert "Stamp" in out.err
    assert report.read_text().startswith("\n<!doctype html>") or "<!doctype html>" in report.read_text()
    assert main(["judge", real, fake, "--features", "hog", "--metrics", "coverage", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["fakes"][0]["scores"]
    assert [row["metric"] for row in rows] == ["coverage"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["judge", "digits"], "no fakes to judge"),
        (["judge", "digits", "digits", "--report", "page.txt"], "not an HTML file"),
        (["judge", "digits", "digits", "--report", "nowhere/page.html"], "there is no folder nowhere"),
        (["metrics", "fit"], "unknown metric 'fit', did you mean fidelity"),
    ],
)
def test_the_command_refuses_by_a_sentence(words, said, capsys):
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_the_table_of_metrics_is_printed(capsys):
    assert main(["metrics"]) == 0
    assert "Kernel distance" in capsys.readouterr().out
    assert main(["metrics", "coverage"]) == 0
    assert "misses" in capsys.readouterr().out
    assert main(["metrics", "FID"]) == 0
    assert "Frechet distance" in capsys.readouterr().out


def test_remarks_say_of_which_fakes_they_are_and_why_a_score_is_lacking():
    a = {"fidelity": MetricScore(0.9, note="fine"), "memorised": MetricScore(note="needs more")}
    b = {"fidelity": MetricScore(note="no labels"), "memorised": MetricScore(note="needs more")}
    assert verdicts.remarks({"a": a, "b": b}) == [
        "Class fidelity of a: fine",
        "Not computed: memorised: needs more",
        "Not computed of b: class fidelity: no labels",
    ]


def test_the_command_takes_names_of_generators(tmp_path, capsys):
    real, fake = folders(tmp_path)
    chosen = ["--features", "pixels", "--metrics", "coverage,diversity"]
    assert main(["judge", real, f"g={fake}", f"g={fake}", *chosen]) == 2
    assert "two of the trainings of g are the same images" in capsys.readouterr().err
    assert main(["judge", real, f"g={fake}", f"h={fake}", *chosen]) == 0
    assert "g and h are the same images" in capsys.readouterr().out
    assert main(["judge", real, f"g={fake}", f"g={real}", f"h={fake}", f"h={real}", *chosen]) == 0
    out = capsys.readouterr()
    assert "g x 2" in out.out
    assert "over 2 and 2 trainings" in out.out
    assert "over trainings" in out.err


def test_one_sentence_over_all_scores_knows_every_verdict():
    def about(**ways):
        row = GeneratorComparison("kernel", "a", "b", 0.0, 0.0, 1.0, 1.0, 0.0, "tie")
        return [replace(row, metric=metric, verdict=verdict) for metric, verdict in ways.items()]

    tie, open_ = "tie", "not enough evidence"
    assert sentence_on_two("a", "b", about(kernel="better", coverage=tie)) == (
        "a is better than b in kernel distance; they tie in coverage"
    )
    assert sentence_on_two("a", "b", about(kernel="worse")) == "b is better than a in kernel distance"
    assert sentence_on_two("a", "b", about(kernel="better", coverage="worse")) == (
        "a is better than b in kernel distance, worse in coverage"
    )
    assert sentence_on_two("a", "b", about(kernel=open_, coverage=tie)) == (
        "a and b: they tie in coverage; nothing shows which is better in kernel distance"
    )
    assert sentence_on_two("a", "b", []) == "a and b have no headline score in common"
