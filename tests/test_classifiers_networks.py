"""Network classifiers: their contract on tiny images, against a flat script, and what the game and the gate may do."""

import json
import math
import pickle
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from oracles import consistency as flat_consistency
from oracles.flat import BATCH
from toys import striped

from sparring.classifiers import (
    METHODS,
    ConsistencyClassifier,
    GANAugmentClassifier,
    SemiGANClassifier,
    consistency,
    gan_augment,
    network,
    pseudo_labels,
)
from sparring.classifiers.cnn import unsmoothed
from sparring.classifiers.fit_record import FitRecord, GraphCheck
from sparring.classifiers.looks import Look, look_for, usual_look
from sparring.classifiers.network import Plan, Start, plan_for, training_pools
from sparring.games.nodes import Batch, Discriminated
from sparring.games.players import Discriminator
from sparring.games.training import new_state, training
from sparring.games.views import Weak
from sparring.images import to_unit
from sparring.nets.classifiers import SmallCNN
from sparring.nets.layers import DataSpec
from sparring.records import from_json, to_json
from sparring.runs.checkpoints import tensors

THIN = SmallCNN((8, 8, 12))
NETWORKS = ("cnn", "consistency", "semi-gan", "gan-augment")


@pytest.fixture(autouse=True)
def graph(monkeypatch):
    """The graph's place is taken by the true labels of these images, believed."""
    x, y = striped()

    def true_labels(images, labels, seed, groups=None):
        table = {image.tobytes(): label for image, label in zip(x.numpy(), y.tolist(), strict=True)}
        codes = np.array([table.get(image.tobytes(), 0) for image in images])
        return Start(np.eye(labels.max() + 1, dtype=np.float32)[codes], 1.0)

    monkeypatch.setattr(consistency, "ask_graph", true_labels)


def few(count=12):
    """150 striped images of 12x10, the first `count` labelled."""
    x, y = striped()
    y = y.numpy().copy()
    y[count:] = -1
    return x.numpy(), y


def make(name, steps=6, **settings):
    given = {"images": 64 * steps, "random_state": 3, "threads": 1, "precision": "fp32", "net": THIN} | settings
    if name == "gan-augment":
        given = {"gan_images": 64 * 3} | given
    return METHODS[name].make(**given)


# --- the contract ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_a_method_that_was_not_fitted_says_how_long_a_fit_takes(name):
    x, y = few()
    made = make(name, steps=30, device="cpu")
    expected = made.seconds_for(x, y)
    assert not hasattr(made, "record_")
    start = time.perf_counter()
    made.fit(x, y)
    assert 0.2 < expected / (time.perf_counter() - start) < 5


@pytest.mark.parametrize("name", NETWORKS)
def test_fit_predict_and_record(name):
    x, y = few()
    made = make(name).fit(x, y)
    p = made.predict_proba(x)
    assert p.shape == (150, 3) and np.allclose(p.sum(1), 1) and np.isfinite(p).all()
    record = json.loads(json.dumps(made.record_.to_json(), allow_nan=False))
    assert record["steps"] == 6 and record["labels"] == 12 and record["unlabelled"] == 138
    assert record["shortened"] is False and record["precision"] == "fp32"
    assert record["curves"]["D/Classify/labelled"][-1][0] == 6 * 32
    again = make(name).fit(x, y).predict_proba(x)
    assert np.array_equal(p, again)  # a seed is a fit
    assert not np.array_equal(p, make(name, random_state=4).fit(x, y).predict_proba(x))


@pytest.mark.parametrize("name", ["cnn", "semi-gan"])
def test_pickled_and_restored_models_say_the_same(name):
    x, y = few()
    made = make(name).fit(x, y)
    p = made.predict_proba(x)
    assert np.array_equal(pickle.loads(pickle.dumps(made)).predict_proba(x), p)
    state = made._state()
    assert all(not isinstance(value, torch.nn.Module) for value in state.values())
    other = make(name)
    other._restore({**state, "discriminator_": from_json(to_json(state["discriminator_"]))})
    assert np.array_equal(other.predict_proba(x), p)


@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 30, 3), (40, 25, 1), (64, 64, 3)])
def test_any_size_and_colour(shape):
    x, y = striped(48, *shape)
    y = y.numpy().copy()
    y[24:] = -1
    for name in ("consistency", "semi-gan"):
        p = make(name, steps=2).fit(x.numpy(), y).predict_proba(x.numpy()[:5])
        assert p.shape == (5, 3) and np.isfinite(p).all()


def test_networks_learn():
    x, y = few(30)
    truth = striped()[1].numpy()
    for name in ("cnn", "consistency", "semi-gan"):
        right = (make(name, steps=60).fit(x, y).predict(x) == truth).mean()
        assert right > 0.9, name


def test_minutes_shorten_training_and_say_so():
    x, y = few()
    made = make("cnn", steps=5000, minutes=0.01).fit(x, y)
    assert made.record_.shortened and made.record_.steps < made.record_.planned == 5000
    assert made.record_.seconds["train"] < 30


def test_all_methods_take_the_same_steps_and_labelled_images():
    x, y = few()
    records = [make(name, steps=4).fit(x, y).record_ for name in NETWORKS]
    for key in ("steps", "images_a_step", "parameters"):
        assert all(getattr(record, key) == getattr(records[0], key) for record in records)


@pytest.mark.parametrize(
    ("images", "known", "plan"),
    [
        ((60000, 28), 100, Plan(1472, 32, 8)),
        ((60000, 28), 60000, Plan(1472, 256, 1)),
        ((1437, 8), 50, Plan(157, 32, 2)),
        ((50000, 32), 4000, Plan(1320, 128, 2)),
        ((20, 8), 20, Plan(150, 32, 2)),
        ((900, 64), 60, Plan(400, 32, 2)),
    ],
)
def test_plans(images, known, plan):
    n, side = images
    labels = np.full(n, -1)
    labels[:known] = 0
    assert plan_for(np.empty((n, side, side, 0), np.uint8), labels, None) == plan
    assert plan_for(np.empty((n, side, side, 0), np.uint8), labels, 1000).steps == math.ceil(1000 / plan.unlabelled)


def test_grey_images_keep_their_sides_where_labels_tell_nothing():
    one_each = np.array([0, 1, -1])
    for channels in (1, 3):
        found = look_for(np.zeros((3, 8, 8, channels), np.uint8), one_each)
        assert found == usual_look(channels) and found.flip == (channels == 3)


def test_norms_are_means_over_views_of_training_images():
    data_spec = DataSpec(1, 12, 10, 3)
    D = new_state(replace_precision(), data_spec).nets["D"]
    x = striped()[0]
    network.measure_norms(D, x, Look(), 0, images=150)
    assert not D.training
    first = next(m for m in D.modules() if isinstance(m, torch.nn.BatchNorm2d))
    conv = next(m for m in D.modules() if isinstance(m, torch.nn.Conv2d))
    still = conv(to_unit(x)).mean((0, 2, 3))
    torch.testing.assert_close(first.running_mean, still, rtol=0.2, atol=0.05)
    assert first.momentum == 0.1 and first.num_batches_tracked == 1


def replace_precision():
    return make("cnn")._recipe(Plan(1, 32, 1), Look(), Start())


# --- what it computes ------------------------------------------------------------------------------------------------

LOOK, PLAN, PRIOR = Look(), Plan(8, 8, 2), (0.3, 0.5, 0.2)


def played(change=lambda recipe: recipe, threshold=0.34):
    """The state after 8 rounds of `consistency` in float64, at a threshold that a young network reaches."""
    recipe, data, data_spec = game(threshold)
    recipe = change(recipe)
    state = new_state(recipe, data_spec, dtype=torch.float64)
    for _ in training(recipe, state, data, images=8 * recipe.batch):
        pass
    return state


def game(threshold):
    x, y = few(20)
    start = Start(np.array([PRIOR] * 100 + [[0.2, 0.2, 0.6]] * 50), 1.0)
    start = Start(start.guess - start.guess.mean(0) + np.array(PRIOR), 1.0)
    assert start.prior == PRIOR
    recipe = ConsistencyClassifier(net=THIN)._recipe(PLAN, LOOK, start)
    recipe = edited(recipe, '"threshold": 0.95', f'"threshold": {threshold}')
    return recipe, training_pools(x, y, start), DataSpec(1, 12, 10, 3)


def edited(recipe, old, new):
    text = json.dumps(to_json(recipe))
    assert old in text
    return from_json(json.loads(text.replace(old, new)))


def by_hand(threshold=0.34):
    recipe, data, data_spec = game(threshold)
    flat = new_state(recipe, data_spec, dtype=torch.float64)
    for net in (*flat.nets.values(), *flat.averages.values()):
        net.train()
    flat.averages["D"].eval()
    x = Batch("x", "all", 2)
    nodes = {"weak": LOOK.weak(x), "strong": LOOK.strong(x), "few_strong": LOOK.strong(Batch("x", "labelled"))}
    flat_consistency.train(flat.nets, flat.averages, data, 8, few=8, many=16, prior=PRIOR, threshold=threshold, **nodes)
    return flat


def gap(a, b):
    a, b = ({k: v for k, v in tensors(s).items() if not k.startswith("optimisers/")} for s in (a, b))
    assert a.keys() == b.keys()
    return max((a[k].double() - b[k].double()).abs().max().item() for k in a)


def test_consistency_is_its_flat_script():
    assert BATCH == 64  # the flat scripts' default; here counts are given
    assert gap(played(), by_hand()) < 1e-9


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"threshold": 0.34', '"threshold": 0.9'),
        ('"averaged": true', '"averaged": false'),
        ('"prior": [0.3, 0.5, 0.2]', '"prior": []'),
        ('"kind": "Apart"', '"kind": "Discriminated"'),
        ('"decay": 0.99', '"decay": 0.9'),
        ('"kind": "Weak", "of"', '"kind": "Strong", "of"'),
        ('"weight": 0.25', '"weight": 1.0'),
    ],
)
def test_the_flat_script_sees_every_change(old, new):
    assert gap(played(lambda recipe: edited(recipe, old, new)), by_hand()) > 1e-7


def test_adaptive_threshold_by_hand():
    """FreeMatch, eq. 8: of two classes, one said three times as often, the rarer needs a third of the sureness."""
    logits = torch.tensor([[2.0, 0.0], [0.6, 0.0], [0.0, 0.6], [0.0, 0.1]])
    output = Discriminator("D", THIN).build(DataSpec(1, 12, 10, 2))(torch.zeros(4, 1, 12, 10))
    output = replace(output, by_head={"logits": logits})
    belief, student = torch.tensor([0.75, 0.25, 0.8]), Discriminated("D", Weak())

    class StepContext(dict):
        pass

    loss = pseudo_labels.Agree(teacher=Discriminated(), student=student, threshold=0.0)
    losses = loss(StepContext({loss.teacher: output, student: output, loss.belief: belief}))
    sure = logits.softmax(1).max(1).values
    expected = -sure.log() * torch.tensor([1.0, 0.0, 1.0, 1.0])  # limits 0.8, 0.8, 0.267, 0.267
    torch.testing.assert_close(losses, expected)


def test_alignment_brings_shares_to_the_prior():
    p = torch.tensor([[0.8, 0.2], [0.4, 0.6]])
    torch.testing.assert_close(pseudo_labels.aligned(p, p.mean(0), (0.3, 0.7)).sum(1), torch.ones(2))
    torch.testing.assert_close(pseudo_labels.aligned(p, torch.tensor([0.6, 0.4]), (0.6, 0.4)), p)
    moved = pseudo_labels.aligned(p, torch.tensor([0.6, 0.4]), (0.3, 0.7))
    torch.testing.assert_close(moved[0, 0] / moved[0, 1], torch.tensor(4.0 * 0.5 / 1.75))
    assert torch.equal(pseudo_labels.aligned(p, p.mean(0), ()), p)


def test_without_a_graph_the_network_teaches_itself_from_the_start(monkeypatch):
    x, y = few()
    monkeypatch.setattr(consistency, "ask_graph", lambda *_: Start(None, 0.5))
    made = make("consistency").fit(x, y)
    assert made.record_.graph == GraphCheck(0.5, False, ())
    assert "D/Classify/guess" not in made.record_.curves and "D/Agree" in made.record_.curves


# --- the game --------------------------------------------------------------------------------------------------------


def test_semi_gan_without_its_game_is_consistency_bit_for_bit():
    x, y = few()
    p = [
        make(name, 8, **s).fit(x, y).predict_proba(x) for name, s in [("consistency", {}), ("semi-gan", {"game": 0.0})]
    ]
    assert np.array_equal(*p)
    assert not np.array_equal(p[0], make("semi-gan", 8).fit(x, y).predict_proba(x))


def test_semi_gan_shows_what_it_made_and_how_the_game_went():
    x, y = few()
    made = make("semi-gan", 20).fit(x, y)
    assert made.pictures_["generated"].shape == made.pictures_["real"].shape == (64, 12, 10, 1)
    assert made.pictures_["generated"].dtype == np.uint8
    curves = made.record_.curves
    assert {"D/TeacherMatching", "G/TeacherMatching", "D/FractionReal/real", "D/FractionReal/fake"} <= curves.keys()
    seen = [images / 32 / 20 for images, _ in curves["G/TeacherMatching"]]
    assert min(seen) >= 0.1 and max(seen) <= 0.8  # enters late, leaves early


def test_fakes_leave_no_trace_in_batch_norm():
    recipe = SemiGANClassifier(net=THIN)._recipe(PLAN, LOOK, Start())
    D = new_state(recipe, DataSpec(1, 12, 10, 3)).nets["D"].train()
    before = {name: value.clone() for name, value in D.named_buffers()}
    with pseudo_labels.without_trace(D):
        D(torch.randn(8, 1, 12, 10))
    assert all(torch.equal(value, before[name]) for name, value in D.named_buffers())
    D(torch.randn(8, 1, 12, 10))
    assert not all(torch.equal(value, before[name]) for name, value in D.named_buffers())


# --- the gate --------------------------------------------------------------------------------------------------------


class Rigged(GANAugmentClassifier):
    """A generator that is given its images; notes what it saw."""

    useful = True

    def _generated(self, lessons, seed):
        vars(self).setdefault("seen", []).append(len(lessons[0]))
        x, y = (a.numpy() for a in striped(300, seed=9))
        return x, y if self.useful else (y + 1) % 3  # all labels right, or all wrong


def rigged(useful, steps=40, **settings):
    method = Rigged(images=64 * steps, random_state=3, threads=1, precision="fp32", net=THIN, **settings)
    method.useful = useful
    return method


def noisy(count, seed, share=0.75):
    """Striped images, most of whose pixels are noise."""
    x, y = (a.numpy() for a in striped(count, seed=seed))
    rng = np.random.default_rng(seed)
    return np.where(rng.random(x.shape) < share, rng.integers(0, 200, x.shape), x).astype(np.uint8), y


def test_the_gate_refuses_useless_images_and_the_fit_is_that_of_cnn():
    x, y = few()
    made = rigged(False, 10).fit(x, y)
    assert made.record_.gate.passed is False
    assert np.array_equal(made.predict_proba(x), make("cnn", 10).fit(x, y).predict_proba(x))
    assert made.pictures_["generated"].shape == (24, 12, 10, 1)


class Knowing:
    """Says the class of striped images, but with something else beside the real ones only of every second or third."""

    def __init__(self, wrong_every, steps):
        self.wrong_every, self.record_ = wrong_every, FitRecord(steps=steps or 8)

    def _predict_proba(self, images):
        truth = {image.tobytes(): y for image, y in zip(*(a.numpy() for a in striped()), strict=True)}
        wrong = [bool(self.wrong_every) and n % self.wrong_every == 0 for n in range(len(images))]
        return np.eye(3)[[(truth[x.tobytes()] + w) % 3 for x, w in zip(images, wrong, strict=True)]]


def knowing(monkeypatch, wrong_every):
    """Replace the networks of the gate; `wrong_every`: of (is generated, share), 0 is never wrong. Notes the calls."""
    calls = []

    def trial(self, images, labels, index, beside, seed, steps):
        images = images[index]
        generated = beside[0] is not None and len(beside[0][0]) == 300 and not same_as_real(beside[0])
        calls.append((generated, beside[1], len(images)))
        return Knowing(wrong_every(generated, beside[1]), steps)

    def same_as_real(made):
        known = {image.tobytes() for image in striped()[0].numpy()}
        return made[0][0].tobytes() in known

    monkeypatch.setattr(Rigged, "_trial", trial)
    return calls


def test_the_gate_lets_useful_images_in(monkeypatch):
    calls = knowing(monkeypatch, lambda generated, share: (0 if share == 0.5 else 4) if generated else 2)
    x, y = few(60)
    made = rigged(True, 8).fit(x, y)
    gate = made.record_.gate
    assert gate.passed is True and 0 < gate.low < gate.difference < gate.high
    assert gate.over_duplicates.low > 0 and gate.share == 0.5
    assert gate.with_ == 1 and gate.without == pytest.approx(0.5, abs=0.1)
    assert made.seen == [120, 120, 150]  # two halves, then all images
    assert [(t.extra, t.share, t.images) for t in gate.trials] == [
        ("nothing", 0, 60), ("duplicates", 1, 60), ("generated", 0.25, 30), ("generated", 0.5, 60), ("generated", 1, 30)
    ]  # fmt: skip
    assert calls[:5] == [(False, 1, 120), (False, 0, 120), (True, 0.25, 120), (True, 0.5, 120), (True, 1, 120)]
    assert calls[5:] == [(False, 1, 120), (False, 0, 120), (True, 0.5, 120)]  # the second half sees the best alone
    assert "Classify(weight=0.5, of=Discriminated(of=Strong(of=Batch(pool='made')" in made.record_.recipe
    assert not np.array_equal(made.predict_proba(x), make("cnn", 8).fit(x, y).predict_proba(x))


@pytest.mark.parametrize("copies_too", [True, False])
def test_generated_images_that_are_no_better_than_copies_do_not_pass(monkeypatch, copies_too):
    """Both beat real images alone by far: copies as good as generated ones close the gate after the first half."""
    calls = knowing(monkeypatch, lambda generated, share: 0 if generated or copies_too and share == 1 else 2)
    x, y = few(60)
    gate = rigged(True, 8).fit(x, y).record_.gate
    assert gate.passed is not copies_too and gate.low > 0
    assert len(calls) == (5 if copies_too else 8)
    assert ("half of all" in gate.sentence) is copies_too


def test_a_share_that_was_given_is_the_only_one(monkeypatch):
    calls = knowing(monkeypatch, lambda generated, share: 0 if generated else 2)
    x, y = few(60)
    gate = rigged(True, 8, share=0.7).fit(x, y).record_.gate
    assert gate.share == 0.7 and gate.passed and {share for generated, share, _ in calls if generated} == {0.7}
    assert "intervals of 95.0 %" in gate.sentence


def test_all_networks_of_the_gate_take_the_same_steps(monkeypatch):
    steps, train = [], GANAugmentClassifier._train

    def watched(self, images, labels, seed):
        state = train(self, images, labels, seed)
        steps.append((len(self._beside[0][0]) if self._beside[0] else 0, self.record_.steps))
        return state

    monkeypatch.setattr(GANAugmentClassifier, "_train", watched)
    x, y = few(30)
    affordable = iter([7, 9])
    monkeypatch.setattr(network, "affordable", lambda *a, **k: next(affordable))  # of the minutes: the first counts
    monkeypatch.setattr(gan_augment, "affordable", lambda *a, **k: 2)
    monkeypatch.setattr(gan_augment, "beats_controls", lambda *a: False)
    make("gan-augment", 40, minutes=1.0).fit(x, y)
    assert [taken for _, taken in steps[:5]] == [7] * 5
    copies, nothing, *generated = [beside for beside, _ in steps[:5]]
    assert nothing == 0 and copies == generated[0] == generated[2] > 0  # as many copies as generated images


def test_copies_are_of_the_classes_asked_for_each_image_equally_often():
    x, y = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1), np.array([0] * 3 + [1] * 7)
    wanted = np.repeat([0, 1], 21)
    copies, classes = gan_augment.copies_like((x, y), wanted, 0)
    assert np.array_equal(y[copies[:, 0, 0, 0]], wanted) and np.array_equal(classes, wanted)
    assert np.bincount(copies.ravel()).tolist() == [7] * 3 + [3] * 7


def test_no_generator_sees_the_fold_it_is_judged_on(monkeypatch):
    x, y = few(30)
    shown, play = [], gan_augment.play

    def watched(recipe, data_spec, data, steps, **settings):
        shown.append({image.tobytes() for image in data["labelled"]["x"].numpy()})
        return play(recipe, data_spec, data, 1, **settings)

    monkeypatch.setattr(gan_augment, "play", watched)
    monkeypatch.setattr(gan_augment, "beats_controls", lambda *a: True)
    make("gan-augment", 2).fit(x, y)
    labelled = {image.tobytes() for image in x[y >= 0]}
    held_out = [labelled - images for images in shown]
    assert [len(held) for held in held_out] == [15, 15]
    assert set.union(*held_out) == labelled  # each labelled image is judged once
    assert all(len(images) == 150 - len(held) for images, held in zip(shown, held_out, strict=True))


def test_one_label_a_class_cannot_be_judged():
    x, y = few(3)
    made = make("gan-augment", 2).fit(x, y)
    assert made.record_.gate.passed is False and "one labelled image" in made.record_.gate.sentence


def test_a_conditional_gan_makes_images_of_every_class():
    x, y = few(30)
    method = make("gan-augment")
    method.classes_, method.record_ = np.arange(3), FitRecord()
    lessons = gan_augment.gan_lessons(x, y, 0)
    images, labels = method._generated(lessons, 0)
    assert images.dtype == np.uint8 and images.shape[1:] == (12, 10, 1)
    assert (np.bincount(labels) == len(labels) // 3).all()
    again = method._generated(lessons, 0)
    assert np.array_equal(images, again[0])


def test_plain_replace_of_the_recipe_keeps_cnn():
    """Without generated images the recipe of gan-augment is cnn's, so their weights are."""
    recipes = [make(name)._recipe(PLAN, LOOK, Start()) for name in ("cnn", "gan-augment")]
    assert recipes[0] == recipes[1]
    made = Start(generated=(np.zeros((3, 12, 10, 1), np.uint8), np.arange(3)))
    augmented = make("gan-augment")
    augmented._beside = made.generated, 0.5
    assert recipes[0] != replace(augmented._recipe(PLAN, LOOK, made), source="")


def test_unsmoothed_undoes_smoothing():
    y = np.array([[1.0, 0, 0, 0], [0.5, 0.5, 0, 0]])
    p = unsmoothed(0.9 * y + 0.1 / 4)
    assert np.allclose(p.sum(1), 1) and np.abs(p - y).max() < 0.004
    assert (unsmoothed(np.full((1, 4), 0.25)) == 0.25).all()
