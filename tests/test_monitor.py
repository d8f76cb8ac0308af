"""The watch: every signal speaks and keeps silent when it should; going back is exact, bounded, and costs no bit."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_training import THIN, same
from toys import FACTS, pools, striped

from sparring import files
from sparring.data import load
from sparring.errors import DamageWarning, DataError, Diverged
from sparring.games import training as loop
from sparring.games.augment import ADA
from sparring.games.builders import augmented
from sparring.games.heads import DiscriminatorOutput
from sparring.games.nodes import Batch
from sparring.games.players import SGD, Generator
from sparring.games.training import Relief, Step, new_state, training
from sparring.runs import driver, monitor, rollback, signals
from sparring.runs.checkpoints import load_state, tensors
from sparring.runs.folder import Run, read_generator
from sparring.runs.monitor import Change, Monitor, MonitorState
from sparring.runs.pools import held_out, parted
from sparring.runs.signals import Finding, confirmed

X, Y = striped(count=600)
OTHER, _ = striped(count=600, seed=1)
DATA = {"all": {"x": X, "y": Y}, "labelled": {"x": X, "y": Y}}
HELD = {"all": {"x": OTHER[:60], "y": Y[:60]}, "labelled": {"x": OTHER[:60], "y": Y[:60]}}


# --- signals: numbers in ---------------------------------------------------------------------------------------------

steady = [0.1 * (i % 5) for i in range(100)]
dim, bright = torch.linspace(-1, 1, 512).reshape(8, 1, 8, 8), torch.linspace(0.8, 1, 512).reshape(8, 1, 8, 8)
plain, turned = torch.randn(400, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([9.0, 0, 0])
odd = torch.tensor([0, 9.0, 0])


def leak(*groups):
    return signals.augmentation_leaks(signals.looks_augmented(*groups))


SPEAK = {
    "not finite": lambda: signals.not_finite(20, 100),
    "exploding D": lambda: signals.exploding("D", [0.2, 4.0, 4.1, 0.2, 4.0], steady),
    "D wins": lambda: signals.one_sided(0.999, 0.998, 0.998),
    "D loses": lambda: signals.one_sided(0.9, 0.01, 0.6),
    "D overfits": lambda: signals.overfitting(0.9, 0.6),
    "alike": lambda: signals.collapsed(0.3, 0.9, False),
    "alike 3": lambda: signals.collapsed(0.1, 0.6, False, "3"),
    "mixed 3": lambda: signals.class_lost(0.3, 0.9, "3"),
    "colour": lambda: signals.off_colours(signals.off_colour(bright, dim), 0.9, False),
    "copies": lambda: signals.copies_found(0.1, 1.0),
    "leak": lambda: leak(plain[:200] + turned, plain, plain + turned, plain + odd),
}
SILENT = {
    "one move of many is not finite": lambda: signals.not_finite(2, 100),
    "one larger gradient": lambda: signals.exploding("D", [0.2, 4.0, 0.1, 0.2, 0.4], steady),
    "gradients without a past": lambda: signals.exploding("D", [9.0] * 5, steady[:20]),
    "D right on one side": lambda: signals.one_sided(0.999, 0.8, 0.9),
    "a young D that calls everything real": lambda: signals.one_sided(0.99, 0.01, 0.3),
    "D knows as much of new images": lambda: signals.overfitting(0.9, 0.7),
    "samples as diverse as ever": lambda: signals.collapsed(0.8, 0.9, True),
    "a class that is mostly right": lambda: signals.class_lost(0.7, 0.9, "3"),
    "a class that was never right": lambda: signals.class_lost(0.2, 0.5, "3"),
    "the images' own colours": lambda: signals.off_colours(signals.off_colour(dim * 0.8, dim), 0.9, True),
    "colours that a young G has not found": lambda: signals.off_colours(signals.off_colour(bright, dim), 0.1, False),
    "samples of a young G": lambda: signals.collapsed(0.01, 0.1, False),
    "odd samples": lambda: leak(plain[:200] + odd, plain, plain + turned, plain + odd),
    "samples as far as real images": lambda: signals.copies_found(0.8, 1.0),
    "samples like plain images": lambda: leak(plain[:200], plain, plain + turned, plain + odd),
    "an augmentation that changes nothing": lambda: leak(plain[:200], plain, plain, plain + odd),
}


@pytest.mark.parametrize("signal", SPEAK)
def test_a_signal_speaks(signal):
    assert SPEAK[signal]().signal == signal


@pytest.mark.parametrize("what", SILENT)
def test_a_signal_is_silent_about(what):
    assert SILENT[what]() is None


def test_a_single_enormous_gradient_speaks():
    assert signals.exploding("D", [0.1, math.log(1e6), 0.2], steady).words.endswith("times their size")


def test_total_collapse_is_certain_and_others_need_a_second_vote():
    assert signals.collapsed(0.01, 1.0, False).hard and not signals.collapsed(0.3, 1.0, False).hard
    a, b, c = Finding("a", "D", "."), Finding("b", "D", "."), Finding("c", "samples", ".")
    hard, told = Finding("h", "numbers", ".", hard=True), Finding("t", "samples", ".", acts=False)
    assert confirmed([a], []) == confirmed([a, b], ["c"]) == confirmed([a, told], ["t"]) == []
    weak = Finding("w", "D", ".", alone=False)
    assert confirmed([weak], ["w"]) == [] and confirmed([weak, c], []) == [weak, c]
    assert confirmed([a], ["a"]) == [a] and confirmed([a, c], []) == [a, c] and confirmed([a, hard], []) == [hard]


@pytest.mark.parametrize("rounds", [20, 21, 100, 999, 3125, 50_000])
def test_a_tick_is_a_hundredth_to_a_twentieth_of_a_run(rounds):
    assert rounds // 100 <= monitor.tick_rounds(rounds) <= max(rounds / 20, 1)


def test_features_tell_images_apart_and_the_probe_reads_classes():
    x = monitor.to_float(X)
    eye = signals.RandomFeatures(x)
    features = eye(x)
    assert signals.diversity(features[:1].expand(9, -1)) < 1e-2 < 0.1 < signals.diversity(features[:90])
    probe = signals.Probe(features[:300], Y[:300], 3)
    assert (probe.recall(features[300:], Y[300:]) > 0.9).all()
    swapped = signals.Probe(features[:300], (Y[:300] + 1) % 3, 3)
    assert (swapped.recall(features[300:], Y[300:]) < 0.1).all()


# --- signals, on a training ------------------------------------------------------------------------------------------


def seen(made, *, recipe=THIN["cgan"], ticks=1, age=3000, data=DATA, held=None, discriminator=None):
    """What the watch says of a generator whose images are `made(labels)`, uint8 [N,H,W,C]."""
    state = new_state(recipe, FACTS)
    look = Monitor(recipe, FACTS, data, held, rounds=4000, record={"age": age})
    state.nets["G"].forward = lambda z, y=None, **_: monitor.to_float(
        made(y if y is not None else torch.arange(len(z)) % 3)
    )
    if discriminator:
        state.nets["D"].forward = discriminator
    before = {k: v.clone() for k, v in tensors(state).items()}
    for tick in range(ticks):
        state.round = 10 * look.tick * (tick + 1)
        found = look.look(state)
    assert all(torch.equal(before[k], v) for k, v in tensors(state).items()), "looking changed a network"
    assert all(net.training for net in state.nets.values())
    return {f.signal for f in found}


def pick(source, y, shift=0):
    """One image of each asked-for class, all different."""
    return torch.stack([source[3 * (i % 190) + (k + shift) % 3] for i, k in enumerate(y.tolist())])


def test_good_samples_are_healthy():
    assert seen(lambda y: pick(OTHER, y)) == set()
    assert seen(lambda y: pick(OTHER, y), recipe=THIN["dcgan"]) == set()


FAULTS = {
    "one image": (lambda y: OTHER[:1].expand(len(y), -1, -1, -1), {"alike", "alike 0", "alike 1", "alike 2"}),
    "one image a class": (lambda y: OTHER[y], {"alike 0", "alike 1", "alike 2"}),
    "one class collapsed": (
        lambda y: torch.where((y == 1)[:, None, None, None], OTHER[1], pick(OTHER, y)), {"alike 1"},
    ),
    "too dark": (lambda y: pick(OTHER, y) // 8, {"colour"}),
    "copies": (lambda y: pick(X, y), {"copies"}),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_samples_are_named(fault):
    made, signals = FAULTS[fault]
    assert (
        signals
        <= seen(made)
        <= signals
        | {f"mixed {k}" for k in range(3)}
        | {"colour", "alike", "copies"}
        | {f"alike {k}" for k in range(3 * (fault == "too dark"))}
    )


def test_classes_that_are_mixed_up_are_named():
    recipe, state = THIN["cgan"], new_state(THIN["cgan"], FACTS)
    look = Monitor(recipe, FACTS, DATA, rounds=2000, record={"age": 1000})
    found = []
    for shift in (0, 1, 1):
        state.round += 10 * look.tick
        state.nets["G"].forward = lambda z, y, shift=shift, **_: monitor.to_float(pick(OTHER, y, shift))
        found.append({f.signal for f in look.look(state) if f.signal.startswith("mixed")})
    assert found == [set(), set(), {"mixed 0", "mixed 1", "mixed 2"}]  # means of a few samples: not at once


@pytest.mark.parametrize(("wrong", "told"), [(4, False), (1, True)])
def test_classes_are_followed_once_nearly_all_were_named_right(wrong, told):
    """Where classes 1 and 2 were never drawn well, that class 0 comes and goes is no news."""
    recipe, state = THIN["cgan"], new_state(THIN["cgan"], FACTS)
    look = Monitor(recipe, FACTS, DATA, rounds=2000, record={"age": 1000})
    assert look.samples.labels.tolist() == [0] * 16 + [1] * 16 + [2] * 16
    for lost in (False, False, True, True, True):
        drawn = look.samples.labels.clone()
        drawn[16 : 16 + wrong], drawn[32 : 32 + wrong] = 2, 1
        drawn[:16] += lost
        state.round += look.tick
        state.nets["G"].forward = lambda z, y, drawn=drawn, **_: monitor.to_float(pick(OTHER, drawn))
        found = {f.signal for f in look.look(state)}
    assert ("mixed 0" in found) == told


def test_a_frozen_generator_is_named_after_some_ticks():
    assert "frozen samples" not in seen(lambda y: pick(OTHER, y), ticks=monitor.STILL_TICKS)
    assert "frozen samples" in seen(lambda y: pick(OTHER, y), ticks=monitor.STILL_TICKS + 1)


def test_weights_that_do_not_move_are_named():
    recipe = THIN["mlp"]
    state, look = new_state(recipe, FACTS), Monitor(recipe, FACTS, DATA, rounds=2000)
    found, before = [], {}
    for _, _ in training(recipe, state, pools(), images=4 * 64):
        state.nets["D"].load_state_dict(before if state.round > 2 else state.nets["D"].state_dict())
        before = {k: v.clone() for k, v in state.nets["D"].state_dict().items()}
        found.append({f.signal for f in look.look(state)})
    assert found == [set(), set(), set(), {"frozen D"}]


def test_samples_that_are_not_finite_are_certain():
    state, look = new_state(THIN["dcgan"], FACTS), Monitor(THIN["dcgan"], FACTS, DATA, rounds=100)
    state.nets["G"].forward = lambda z, **_: torch.full((len(z), 1, 12, 10), math.nan)
    (found,) = look.look(state)
    assert found.signal == "not finite" and found.hard
    json.dumps(look.saved(), allow_nan=False)


def knows(x, condition=None, draw=None):
    """A judge that calls real what is in X, and nothing else."""
    pixels = ((x + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).flatten(1)
    known = (pixels[:, None] == X.flatten(1)[None]).all(2).any(1)
    return DiscriminatorOutput(x, x.flatten(1), {"score": 2.0 * known - 1})


def test_a_judge_that_knows_its_images_by_heart_is_named():
    assert "D overfits" in seen(lambda y: pick(OTHER, y), held=HELD, discriminator=knows)

    def fair(x, condition=None, draw=None):
        return DiscriminatorOutput(x, x.flatten(1), {"score": x.flatten(1).mean(1) + 1})

    assert seen(lambda y: pick(OTHER, y), held=HELD, discriminator=fair) == set()


def test_scores_without_a_zero_are_read_about_their_middle():
    def far(x, condition=None, draw=None):
        return replace(knows(x), by_head={"score": 100 + knows(x).score})

    assert "D overfits" in seen(lambda y: pick(OTHER, y), recipe=THIN["wgan-gp"], held=HELD, discriminator=far)


def test_one_odd_reading_of_few_held_out_images_is_no_overfitting():
    state, look = new_state(THIN["dcgan"], FACTS), Monitor(THIN["dcgan"], FACTS, DATA, HELD, rounds=2000)
    look.record.age, told = 1000, []
    for known in (0.6, 0.6, 0.9, 0.6, 0.9, 0.9, 0.9):
        look.held.look = lambda _, known=known: (known, 0.5)
        state.round += look.tick
        told.append("D overfits" in {f.signal for f in look.look(state)})
    assert told == [*[False] * 5, True, True]


def test_an_augmentation_that_leaks_is_named():
    recipe = augmented(THIN["dcgan"], ADA(rotation=0.0, quarter_turns=True))
    square = {k: {"x": v["x"][:, :10], "y": v["y"]} for k, v in DATA.items()}
    data_spec = replace(FACTS, height=10)
    aug, u = recipe.nets["D"].augment, torch.rand(300, 26, generator=torch.Generator().manual_seed(0))
    turned = aug.apply(monitor.to_float(OTHER[:300, :10]), u, torch.tensor(1.0))
    for made, leaks in ((monitor.to_float(OTHER[:, :10]), False), (turned, True)):
        state, look = (
            new_state(recipe, data_spec),
            Monitor(recipe, data_spec, square, rounds=4000, record={"age": 3200}),
        )
        state.nets["D"].augment_probability.fill_(1.0)
        state.nets["G"].forward = lambda z, made=made, **_: made[: len(z)]
        state.round = 10 * look.tick
        assert ("leak" in {f.signal for f in look.look(state)}) == leaks


def test_one_reading_of_odd_samples_is_no_leak():
    recipe = augmented(THIN["dcgan"], ADA())
    state, look = new_state(recipe, FACTS), Monitor(recipe, FACTS, DATA, rounds=4000, record={"age": 3200})
    state.nets["G"].forward = lambda z, **_: monitor.to_float(OTHER[: len(z)])
    state.round, told = 0, []
    for share in (0.0, 0.3, 0.0, 0.3, 0.3, 0.3):
        look.samples.augmented_look = lambda *_, share=share: share
        state.round += monitor.WINDOW * look.tick
        told.append("leak" in {f.signal for f in look.look(state)})
    assert told == [*[False] * 4, True, True]


@pytest.mark.parametrize("name", ["vae", "classifier", "wgan-gp", "cyclegan", "infogan", "r3gan"])
def test_recipes_are_watched_by_what_they_have(name):
    recipe = THIN[name]
    x = {"x": X[:64], "y": Y[:64], "source": X[:64]}
    data = {pool: {k: v for k, v in x.items() if pool == "pairs" or k != "source"} for pool in ("all", *recipe.pools)}
    state, look = new_state(recipe, FACTS), Monitor(recipe, FACTS, data, data, rounds=3)
    assert (look.samples is not None) == any(isinstance(s, Generator) for s in recipe.nets.values())
    for _, means in training(recipe, state, data, images=3 * recipe.batch):
        look.note(state, means)
        look.look(state)
    assert json.loads(json.dumps(look.saved(), allow_nan=False)) == look.saved()
    assert set(look.record.norms) == {p.name for p in recipe.players}
    assert all(len(v) == 3 for v in look.record.norms.values())


# --- going back ------------------------------------------------------------------------------------------------------

ROUNDS = 40  # ticks of 2 rounds, copies every 10
ILL = Finding("test", "numbers", "it is ill", hard=True)


def arrays(count=1100):
    x, y = striped(count=count)
    return x.numpy(), y.numpy()


def go(out, *, ill=(), recipe=THIN["mlp"], **kwargs):
    """Trains; at the rounds `ill` the watch finds something."""
    look = Monitor.look
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Monitor, "look", lambda self, s: look(self, s) + [ILL] * (s.round in ill))
        loop = {"stop": kwargs.pop("stop")} if "stop" in kwargs else {}
        options = driver.TrainOptions(**{"images": ROUNDS * 64, "precision": "fp32", "augment": "none", **kwargs})
        return list(driver.train_steps(arrays(), recipe, out, options, **loop))


def ends(run):
    found, _ = Run.read(run).newest()
    return found


def events(run, *kinds):
    return [{k: v for k, v in e.items() if k != "time"} for e in files.read_lines(run / "events.jsonl")
            if not kinds or e["event"] in kinds]  # fmt: skip


def test_a_watch_that_sees_nothing_changes_no_bit(tmp_path):
    go(tmp_path / "with", recipe=THIN["cgan"])
    go(tmp_path / "without", recipe=THIN["cgan"], monitor=False)
    assert same(ends(tmp_path / "with"), ends(tmp_path / "without"))
    assert [e["event"] for e in events(tmp_path / "with")] == ["started", "done"]


def test_going_back_restores_the_copy_bit_for_bit_and_changes_one_thing(tmp_path, monkeypatch):
    restored, fill = [], rollback.fill

    def filling(state, found):
        fill(state, found)
        copy, rest = load_state(THIN["mlp"], tmp_path / "run" / "copies" / "step-00000010")
        restored.append(same(state, copy))
        assert state.round == 26

    monkeypatch.setattr(rollback, "fill", filling)
    steps = go(tmp_path / "run", ill=(26,))
    assert restored == [True]
    (event,) = events(tmp_path / "run", "went back")
    assert event["words"] == "it is ill; went back to image 640, new order of images"
    assert [s.news for s in steps if s.news] == [(event["words"],)] and steps[-1].recovered == 1
    state = ends(tmp_path / "run")
    assert (state.attempt, state.extra, state.round) == (1, ROUNDS // 4, ROUNDS + ROUNDS // 4)
    assert [line["round"] for line in files.read_lines(tmp_path / "run" / "log.jsonl")] == list(range(1, 51))


@pytest.mark.parametrize(("ill", "to"), [((18, 28), [0, 0]), ((20, 38), [0, 0]), ((22,), [640])])
def test_a_copy_is_good_only_after_a_healthy_window(tmp_path, ill, to):
    go(tmp_path / "run", ill=ill)
    assert [e["to"] for e in events(tmp_path / "run", "went back")] == to


def test_what_an_attempt_draws_is_new():
    states = [new_state(THIN["mlp"], FACTS) for _ in range(3)]
    states[1].attempt = 1
    for state in states:
        for _ in training(THIN["mlp"], state, pools(), images=64):
            pass
    assert same(states[0], states[2]) and not same(states[0], states[1])


def test_each_attempt_changes_one_thing_more(tmp_path):
    recipe = THIN["wgan-gp"]
    with pytest.raises(Diverged):
        go(tmp_path / "run", ill=range(2, 99), recipe=recipe)
    assert [e["change"] for e in events(tmp_path / "run", "went back")] == [
        "new order of images", "learning rates halved", "penalties doubled"
    ]  # fmt: skip
    state, look = new_state(recipe, FACTS), Monitor(recipe, FACTS, DATA, rounds=100, precision="bf16")
    state.attempt, state.relief = 3, Relief(penalty=2.0)
    assert look.next_change(state) is Change.FULL_PRECISION
    look.went_back(state, Change.FULL_PRECISION, {})
    assert state.relief == Relief(penalty=2.0, fp32=True)


def test_eased_training_is_what_it_says(monkeypatch):
    D, G = THIN["mlp"].players
    recipe, moved = replace(THIN["mlp"], players=(replace(D, optim=SGD(0.01, momentum=0.0)), G)), []
    for rate in (1.0, 0.5):
        state = new_state(recipe, FACTS, dtype=torch.float64)
        state.relief = Relief(rate=rate)
        before = next(state.nets["D"].parameters()).clone()
        next(training(recipe, state, pools(), images=64))
        moved.append(next(state.nets["D"].parameters()) - before)
    assert torch.allclose(moved[0], 2 * moved[1], rtol=1e-9, atol=1e-15) and moved[0].abs().max() > 1e-6
    D = THIN["wgan-gp"].players[0]
    adversarial, penalty = D.losses
    step = Step(D, 0, 0.0, 64, 0, relief=Relief(penalty=2.0))
    assert step.scale(penalty) == 20.0 and step.scale(adversarial) == 1.0
    used, autocast = [], loop.autocast
    monkeypatch.setattr(loop, "autocast", lambda device, precision: used.append(precision) or autocast(device, "fp32"))
    state = new_state(THIN["mlp"], FACTS)
    for relief in (Relief(), Relief(fp32=True)):
        state.relief = relief
        next(training(THIN["mlp"], state, pools(), images=64 * (state.round + 1), precision="bf16"))
    assert used == ["bf16", "bf16", "fp32", "fp32"]


def test_halved_rates_come_back_after_a_window():
    state, look = new_state(THIN["mlp"], FACTS), Monitor(THIN["mlp"], FACTS, DATA, rounds=200)
    state.attempt, state.round = 1, 40
    look.went_back(state, look.next_change(state), {})
    assert state.relief.rate == 0.5
    for state.round in range(40, 200, 10):
        look.look(state)
        assert (state.relief.rate == 1.0) == (state.round >= 40 + monitor.EASED * look.tick)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that went back twice, not interrupted."""
    run = tmp_path_factory.mktemp("whole") / "run"
    go(run, ill=(26, 38))
    return run


@pytest.mark.parametrize("stop", [19, 25, 26, 27])
def test_stopping_about_going_back_changes_nothing(tmp_path, whole, stop):
    asked = iter(range(1, 100))
    go(tmp_path / "run", ill=(26, 38), stop=lambda: next(asked) >= stop)
    go(tmp_path / "run", ill=(26, 38))
    assert same(ends(tmp_path / "run"), ends(whole))
    assert events(tmp_path / "run", "went back") == events(whole, "went back")


@pytest.mark.parametrize("place", ["fill", "load_state", "save_state"])
def test_a_kill_while_going_back_changes_nothing(tmp_path, whole, place):
    """As after kill -9: what was done in memory is gone, files are what they were."""
    ill, asked = (26, 38), iter(range(1, 100))
    if place != "load_state":  # that one starts anew
        go(tmp_path / "run", ill=ill, stop=lambda: next(asked) >= 13)
    with pytest.MonkeyPatch.context() as patch:

        def killed(*_, **__):
            raise KeyboardInterrupt

        patch.setattr(rollback, place, killed)
        with pytest.raises(KeyboardInterrupt):
            go(tmp_path / "run", ill=ill)
    go(tmp_path / "run", ill=ill)
    assert same(ends(tmp_path / "run"), ends(whole))
    assert events(tmp_path / "run", "went back") == events(whole, "went back")
    copies = [sorted(p.name for p in (run / "copies").iterdir()) for run in (tmp_path / "run", whole)]
    assert copies[0] == copies[1] and len(copies[0]) <= 2 * 3 + 1


def test_a_kill_after_going_back_changes_nothing(tmp_path, whole):
    """The checkpoint is older than the event, which must not be told twice."""

    first, then = iter(range(1, 100)), iter(range(14, 100))

    def killed():
        if next(then) == 28:
            raise KeyboardInterrupt
        return False

    go(tmp_path / "run", ill=(26, 38), stop=lambda: next(first) >= 13)
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "run", ill=(26, 38), stop=killed)
    assert len(events(tmp_path / "run", "went back")) == 1
    go(tmp_path / "run", ill=(26, 38))
    assert events(tmp_path / "run", "went back") == events(whole, "went back")
    assert same(ends(tmp_path / "run"), ends(whole))


def test_a_damaged_copy_is_walked_back_over(tmp_path):
    def spoil():
        for path in (tmp_path / "run" / "copies").glob("step-00000020/state.safetensors"):
            path.write_bytes(path.read_bytes()[:-1])
        return False

    with pytest.warns(DamageWarning, match="step-00000020 is damaged: .*; training goes back further"):
        go(tmp_path / "run", ill=(38,), stop=spoil)
    assert [e["to"] for e in events(tmp_path / "run", "went back")] == [640]


def test_what_cannot_be_saved_ends_at_its_best_with_exit_code_6(tmp_path):
    with pytest.raises(Diverged, match="it is ill, after 2 new attempts; its model is that of image 640") as caught:
        go(tmp_path / "run", ill=range(22, 99))
    assert caught.value.exit_code == 6
    state = ends(tmp_path / "run")
    assert state.attempt == 2 and state.round <= ROUNDS * 1.25
    copy, _ = load_state(THIN["mlp"], tmp_path / "run" / "copies" / "step-00000010")
    exported = read_generator(tmp_path / "run").G.state_dict()
    assert all(torch.equal(v, exported[k]) for k, v in copy.averages["G"].state_dict().items())
    before = events(tmp_path / "run", "went back", "diverged")
    with pytest.raises(Diverged, match="after 2 new attempts"):
        go(tmp_path / "run", ill=())
    assert events(tmp_path / "run", "went back", "diverged") == before


def test_one_move_that_is_not_finite_is_left_out_and_forgotten(tmp_path):
    given, count = loop.ShardContext.batch, []

    def once(context, *asked):
        count.append(1)
        return given(context, *asked) * (math.nan if len(count) == 7 else 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.ShardContext, "batch", once)
        steps = go(tmp_path / "run")
    assert steps[-1].skipped == 1 and steps[-1].recovered == 0 and steps[-1].done


# --- what is kept from training, and what is said at the start -------------------------------------------------------


def test_some_images_are_kept_from_training():
    imageset = load(arrays(1100))
    assert held_out(imageset, THIN["cgan"]) == 55
    assert held_out(load(arrays(900)), THIN["cgan"]) == held_out(imageset, THIN["vae"]) == 0
    ours, held = parted(imageset, 55, seed=0)
    assert len(ours) == 1045 and len(held) == 55 and not set(ours.origins) & set(held.origins)
    assert held.origins == parted(imageset, 55, seed=0)[1].origins != parted(imageset, 55, seed=1)[1].origins
    who = np.array([f"P{i % 100}" for i in range(1100)])
    ours, held = parted(replace(imageset, groups=who), 55, seed=0)
    assert len(held) == 55 and len({*held.groups}) == 5 and not {*ours.groups} & {*held.groups}
    assert parted(replace(imageset, groups=np.full(1100, "P1")), 55, seed=0)[1] is None
    few = replace(imageset, labels=np.where(np.arange(1100) < 60, imageset.labels, -1))
    assert (parted(few, 52, seed=0)[1].labels == -1).all()


def test_images_of_floats_out_of_range_are_refused():
    data = {"all": {"x": torch.rand(64, 1, 12, 10) * 255}}
    with pytest.raises(DataError, match="run from -?[0-9.e-]+ to 25"):
        next(training(THIN["mlp"], new_state(THIN["mlp"], FACTS), data, images=64))
    assert Batch() in (c for c in loop.walk(THIN["mlp"]))


def test_many_copies_among_the_images_are_said_at_the_start(tmp_path):
    x, y = arrays(30)
    many = (np.tile(x, (10, 1, 1, 1)), np.tile(y, 10))
    driver.train(many, THIN["mlp"], tmp_path / "run", images=64, precision="fp32")
    (event,) = events(tmp_path / "run", "warning")
    assert event["signals"] == ["duplicates"] and event["words"].startswith("270 of 300 images are exact copies")


def test_one_lucky_tick_sets_no_standard():
    record = MonitorState()
    assert [round(record.reach("x", v), 2) for v in (0.5, 1.0, 0.5, 0.2)] == [0.5, 0.65, 0.65, 0.65]


def test_a_record_is_json():
    record = MonitorState(age=3, warned=["leak"])
    saved = json.loads(json.dumps(vars(record)))
    assert MonitorState.read(saved) == record
    saved["told"] = saved.pop("warned")  # as the versions before called it
    assert MonitorState.read(saved) == record
