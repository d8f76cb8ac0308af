"""The loop: what it computes is what the flat scripts compute; it can be stopped anywhere; nothing breaks it."""

import inspect
import json
import re
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
import torch
from oracles import adversarial_losses, few_labels, labels, solos, translations
from toys import COLOUR, FACTS, pools, thin

from sparring import keyed_random
from sparring.errors import DataError, Diverged, UsageError
from sparring.games import training as loop
from sparring.games.augment import ADA, DiffAugment
from sparring.games.builders import augmented, gan, solo
from sparring.games.heads import Classes
from sparring.games.losses import Classify, FeatureMatching, GradientPenalty, NonSaturating
from sparring.games.measures import Loss
from sparring.games.nodes import REAL, Batch, Buffer, Discriminated, Reparameterised
from sparring.games.players import Adam, Discriminator, Generator, TrackedBuffer
from sparring.games.recipes import RECIPES
from sparring.games.schedules import Window
from sparring.games.training import Sharding, bit_sum, new_state, training
from sparring.nets.dcgan import DCGAN
from sparring.nets.layers import DataSpec
from sparring.records import RECORDS, from_json, record, to_json
from sparring.runs.checkpoints import fill, load_state, save_state, tensors

DATA, COLOUR_DATA = pools(), pools(channels=3)
SCRIPTS = {
    name: script
    for name in RECIPES
    for module in (adversarial_losses, labels, few_labels, solos, translations)
    if (script := vars(module).get(name.replace("-", "_")))
}
THIN = {name: thin(recipe) for name, recipe in RECIPES.items()}


def world(name):
    """The facts and data on which a recipe is tried: what gives colour needs colour."""
    return (COLOUR, COLOUR_DATA) if name == "restyle" else (FACTS, DATA)


def awake(state):
    """What starts at zero, such as the last layers of translators, starts at small numbers: else a few rounds would not
    tell what comes after it.
    """
    for name, net in state.nets.items():
        g = torch.Generator().manual_seed(0)
        for p in net.parameters():
            if not p.any():
                p.data.copy_(0.1 * torch.randn(p.shape, generator=g, dtype=torch.float64))
        if name in state.averages:
            state.averages[name].load_state_dict(net.state_dict())
    return state


def play(recipe, rounds=3, state=None, until=None, data=DATA, data_spec=FACTS, dtype=torch.float64, **kwargs):
    """The caller's for-loop: trains to `until` of `rounds` rounds. Its body disturbs what it may disturb."""
    state = state or awake(new_state(recipe, data_spec, dtype=dtype))
    if state.round < (until or rounds):
        for _ in training(recipe, state, data, images=rounds * recipe.batch, **kwargs):
            torch.manual_seed(0)
            next(iter(state.nets.values())).eval()
            if state.round == until:
                break
    return state


def gap(a, b):
    """Largest difference between two states: every weight, buffer, average and optimiser slot."""
    a, b = tensors(a), tensors(b)
    assert a.keys() == b.keys()
    return max((a[k].double() - b[k].double()).abs().max().item() for k in a)


def same(a, b):
    a, b = tensors(a), tensors(b)
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def against_oracle(name, rounds=4, ours=None, dtype=torch.float64):
    """Largest difference in weights, buffers and averages between the flat script and the loop."""
    data_spec, data = world(name)
    flat = awake(new_state(THIN[name], data_spec, dtype=torch.float64))
    if dtype != torch.float64:  # start from the same rounded weights
        start = awake(new_state(THIN[name], data_spec, dtype=dtype))
        for group in ("nets", "averages"):
            for net, module in getattr(flat, group).items():
                module.load_state_dict(getattr(start, group)[net].state_dict())
    for net in flat.nets.values():
        net.train()
    SCRIPTS[name](flat.nets, flat.averages, data, rounds)
    ours = ours or play(THIN[name], rounds, data_spec=data_spec, data=data, dtype=dtype)
    return max(
        (p.double() - q).abs().max().item()
        for group in ("nets", "averages")
        for net in getattr(flat, group)
        for p, q in zip(
            getattr(ours, group)[net].state_dict().values(),
            getattr(flat, group)[net].state_dict().values(),
            strict=True,
        )
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_loop_computes_what_the_flat_script_computes(name):
    assert against_oracle(name) < 1e-9


def test_no_flat_script_was_lost():
    """A new recipe may come without one; all of today have one."""
    assert len(SCRIPTS) >= 29


@pytest.mark.parametrize("name", ["mlp", "classifier", "vae"])
def test_float32_with_fused_optimisers_stays_near_the_flat_script(name):
    """A fused step with wrong memory layouts would differ by the size of the steps, 1e-3."""
    assert against_oracle(name, rounds=2, dtype=torch.float32) < 1e-4


BROKEN = {
    "penalty weight 9": ("wgan-gp", lambda r: swapped(r, GradientPenalty(10.0), GradientPenalty(9.0))),
    "4 steps of D": ("wgan-gp", lambda r: replace(r, players=(replace(r.players[0], steps=4), r.players[1]))),
    "no average": ("wgan-gp", lambda r: replace(r, players=(r.players[0], replace(r.players[1], average=0.0)))),
    "G does not match": ("semi", lambda r: swapped(r, FeatureMatching(), NonSaturating())),
    "learning rate": ("mlp", lambda r: swapped(r, Adam(), Adam(2.1e-4))),
}


def swapped(recipe, old, new):
    """The recipe with one record replaced wherever it stands."""
    data, before, after = json.dumps(to_json(recipe)), json.dumps(to_json(old)), json.dumps(to_json(new))
    assert before in data
    return from_json(json.loads(data.replace(before, after)))


@pytest.mark.parametrize("what", BROKEN)
def test_the_flat_scripts_notice_a_changed_recipe(what):
    name, change = BROKEN[what]
    assert against_oracle(name, ours=play(change(THIN[name]), 4)) > 1e-7


@pytest.mark.parametrize(
    ("owner", "attribute", "broken", "name"),
    [
        (
            loop.ShardContext,
            "normal",
            lambda self, p, n, *s: keyed_random.normal(keyed_random.key(0, p), self.indices(n), *s),
            "vae",
        ),
        (Reparameterised, "__call__", lambda self, context: context[self.of].chunk(2, 1)[0], "vae"),
        (keyed_random, "order", lambda key, count: torch.arange(count), "classifier"),
    ],
)
def test_the_flat_scripts_notice_broken_randomness(monkeypatch, owner, attribute, broken, name):
    with monkeypatch.context() as patch:
        patch.setattr(owner, attribute, broken)
        ours = play(THIN[name], 4)
    assert against_oracle(name, ours=ours) > 1e-7


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_changes_all_its_networks_in_bf16_too(name):
    recipe = replace(THIN[name], batch=16)
    start, end = (new_state(recipe, FACTS), play(recipe, 2, dtype=torch.float32, precision="bf16"))
    assert all(t.isfinite().all() for t in tensors(end).values())
    assert end.skipped == 0
    for net in start.nets:
        pairs = zip(start.nets[net].parameters(), end.nets[net].parameters(), strict=True)
        assert any(not torch.equal(p, q) for p, q in pairs)


@pytest.mark.parametrize(
    ("height", "width", "channels"), [(8, 8, 3), (9, 17, 1), (28, 28, 1), (32, 32, 3), (45, 31, 3)]
)
def test_every_recipe_takes_any_size_and_channel_count(height, width, channels):  # R20
    data = pools(count=20, height=height, width=width, channels=channels)
    for recipe in (replace(recipe, batch=4) for recipe in THIN.values()):
        state = new_state(recipe, DataSpec(channels, height, width, 3))
        _, means = next(training(recipe, state, data, images=4))
        assert state.skipped == 0 and all(mean.isfinite() for mean in means.values())


def test_the_loop_mentions_no_method():
    words = set(re.findall(r"\w+", "".join(map(inspect.getsource, (loop.training, loop.take_step, loop.after_step)))))
    assert not words & ((RECORDS.keys() - {"Recipe", "Loss"}) | {"G", "D", "fake", "real", "labels"})


def resumed(recipe, rounds, stop, folder):
    """A run that was stopped after `stop` rounds, and went on from its checkpoint to the end."""
    torch.manual_seed(stop)
    half = play(recipe, rounds, until=stop, dtype=torch.float32)
    save_state(half, recipe, folder)
    loaded, _ = load_state(recipe, folder)
    assert same(half, loaded)
    return play(recipe, rounds, state=loaded)


@pytest.mark.parametrize("name", RECIPES)
def test_a_stopped_and_loaded_run_ends_bit_equal(name, tmp_path):
    recipe = replace(THIN[name], batch=16)
    whole = play(recipe, 3, dtype=torch.float32)
    for stop in (1, 2):
        assert same(resumed(recipe, 3, stop, tmp_path / str(stop)), whole)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_a_run_stopped_at_any_of_ten_points_ends_bit_equal(name, tmp_path):  # R05
    recipe = replace(THIN[name], batch=16)
    whole = play(recipe, 11, dtype=torch.float32)
    for stop in range(1, 11):
        assert same(resumed(recipe, 11, stop, tmp_path / str(stop)), whole), stop


@pytest.mark.parametrize("name", ["dcgan", "vae"])
def test_everything_in_a_checkpoint_matters(name):  # R07
    """Each kind of tensor, spoilt, changes the end: nothing is saved that is not read."""
    recipe = THIN[name]
    whole = play(recipe, 4)
    half = play(recipe, 4, until=2)
    kinds = {re.sub(r"/\d+/|\.\d+\.", "/", key): key for key in tensors(half)}
    for key in kinds.values():
        if "num_batches" in key or ("averages/" in key and "running" in key):
            continue  # counts nothing; copied from the live network at the next step, and so needed only at the end
        spoilt = {k: t.clone() for k, t in tensors(half).items()}
        spoilt[key] = spoilt[key] + 1
        state = new_state(recipe, FACTS, dtype=torch.float64)
        fill(state, spoilt)
        state.round = 2
        assert not same(play(recipe, 4, state=state), whole), key


def without_batchnorm(name):
    """Batch norm ties the images of a shard together; without it, how a batch is spread changes nothing."""
    d, g = THIN[name].players
    return replace(THIN[name], players=(d, replace(g, nets=(Generator(net=DCGAN(8, batchnorm=False)),))))


@pytest.mark.parametrize("name", ["mlp", "wgan-gp"])
def test_four_micro_batches_are_one_batch(name):
    recipe = without_batchnorm(name)
    assert gap(play(recipe, 2), play(recipe, 2, sharding=Sharding(micro=4))) < 1e-9


@pytest.mark.parametrize("name", ["r3gan-deep", "inpaint", "upscale", "cyclegan"])
def test_so_they_are_where_there_is_no_norm(name):
    recipe = replace(THIN[name], batch=8)
    assert gap(play(recipe, 2), play(recipe, 2, sharding=Sharding(micro=4))) < 1e-9


@pytest.mark.parametrize("augment", [DiffAugment(), ADA()], ids=repr)
def test_so_they_are_with_an_augmentation(augment):
    """ADA's p follows the mean over the whole batch."""
    recipe = augmented(replace(THIN["minimax"], batch=8), augment)
    assert gap(play(recipe, 4), play(recipe, 4, sharding=Sharding(micro=4))) < 1e-9


def test_a_loss_that_needs_the_whole_batch_refuses_micro_batches():
    with pytest.raises(UsageError, match="FeatureMatching needs the whole batch"):
        play(THIN["semi"], 1, sharding=Sharding(micro=2))


def test_spectral_norm_refuses_micro_batches_as_it_counts_passes():
    with pytest.raises(UsageError, match="spectral norm in D takes a step with every forward pass"):
        play(THIN["sngan"], 1, sharding=Sharding(micro=2))


def test_a_batch_is_split_evenly_or_not_at_all():
    with pytest.raises(UsageError, match="a batch of 64 cannot be split over 1 processes times 5 micro-batches"):
        play(THIN["mlp"], 1, sharding=Sharding(micro=5))


def two_processes(rank, folder, name):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    state = play(without_batchnorm(name), 2, sharding=Sharding(rank, 2))
    if rank == 0:
        save_state(state, without_batchnorm(name), Path(folder) / "state")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wgan-gp", "mlp"])
def test_two_processes_compute_what_one_computes(name, tmp_path):  # R18
    torch.multiprocessing.spawn(two_processes, (str(tmp_path), name), nprocs=2)
    state, _ = load_state(without_batchnorm(name), tmp_path / "state")
    assert gap(state, play(without_batchnorm(name), 2)) < 1e-9


def other_weights(rank, folder):
    """One bit of one weight of process 1 is another after round 1: both raise at the next comparison."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    recipe, state = without_batchnorm("mlp"), new_state(without_batchnorm("mlp"), FACTS)
    with (
        mock.patch.object(loop, "COMPARE_ROUNDS", 4),
        pytest.raises(Diverged, match="process 1 of 2 has other weights than process 0 at round 4"),
    ):
        for _ in training(recipe, state, DATA, images=64 * 8, sharding=Sharding(rank, 2)):
            if rank and state.round == 1:
                weight = next(state.nets["G"].parameters()).data.view(-1)
                weight[0] = torch.nextafter(weight[0], weight.new_tensor(9.0))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_processes_notice_that_their_weights_differ(tmp_path):
    torch.multiprocessing.spawn(other_weights, (str(tmp_path),), nprocs=2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bits_tell_tensors_apart(dtype):
    p = torch.nn.Parameter(torch.randn(4, 3, 3, 3, dtype=dtype).contiguous(memory_format=torch.channels_last))
    other = p.detach().clone()
    assert bit_sum(p) == bit_sum(other)
    other[3, 2, 1, 0] = torch.nextafter(other[3, 2, 1, 0], other.new_tensor(9.0))
    assert bit_sum(p) != bit_sum(other)


def test_the_gradient_of_a_round_is_the_largest_of_its_steps():
    """One bad batch among the five of D in a round of WGAN is seen."""
    state = new_state(THIN["wgan-gp"], FACTS)
    with mock.patch.object(loop, "get_total_norm", side_effect=torch.tensor([3.0, 9.0, 1.0, 2.0, 4.0, 7.0])):
        play(THIN["wgan-gp"], 1, state)
    assert state.gradients == {"D": 9.0, "G": 7.0}


def calls(name, net, rounds=2):
    state, count = new_state(THIN[name], FACTS), [0]
    state.nets[net].register_forward_hook(lambda *_: count.__setitem__(0, count[0] + 1))
    play(THIN[name], rounds, state)
    return count[0] / rounds


@pytest.mark.parametrize(("name", "expected"), [("dcgan", 3), ("cgan", 3), ("wgan-gp", 16), ("semi", 5)])
def test_d_runs_no_more_often_than_the_losses_need(name, expected):
    assert calls(name, "D") == expected


# --- what is not finite leaves no trace ------------------------------------------------------------------------------


@record
class Poison(Loss):
    """Finite loss, NaN gradient."""

    of: Discriminated = REAL

    def __call__(self, context):
        score = context[self.of].score
        return (score - score).sqrt() * 0 + score * 0


def unchanged_by(recipe, data=DATA):
    state = new_state(recipe, FACTS)
    before = {k: t.clone() for k, t in tensors(state).items()}
    next(training(recipe, state, data, images=64))
    return state, all(torch.equal(before[k], t) for k, t in tensors(state).items() if k in before)


def test_a_nan_gradient_changes_nothing_and_is_counted():
    recipe = gan(
        "ours",
        NonSaturating(),
        d=(Poison(),),
        discriminator=Discriminator(net=DCGAN(8)),
        generator=Generator(net=DCGAN(8)),
    )
    state = new_state(recipe, FACTS)
    before = {k: t.clone() for k, t in tensors(state).items() if "/D/" in k}
    next(training(recipe, state, DATA, images=64))
    assert state.skipped == 1  # D's step; G's was fine
    after = tensors(state)
    assert before.keys() == {k for k in after if "/D/" in k}  # no optimiser slot either
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_a_finite_step_is_not_skipped():
    state, unchanged = unchanged_by(THIN["dcgan"])
    assert state.skipped == 0
    assert not unchanged


# --- schedules, tracked buffers, averages ----------------------------------------------------------------------------


def test_a_loss_outside_its_window_is_not_computed():
    recipe = solo("ours", (Discriminator(net=DCGAN(8), head=Classes()),), (
        Classify(),
        Classify(Window(1.0, 0.5, 1.0), label=Batch("y", "labelled"), of=Discriminated("D", Batch("x", "labelled"))),
    ))  # fmt: skip
    state = new_state(recipe, FACTS)
    seen = [len(means) for _, means in training(recipe, state, DATA, images=4 * 64)]
    assert seen == [1, 1, 2, 2]


def test_an_adversarial_loss_outside_its_window_costs_nothing():
    adversarial = NonSaturating(Window(1.0, 0.5, 1.0), real=Discriminated("D", Batch("x", "labelled")))
    recipe = gan(
        "ours",
        adversarial,
        d=(Poison(0.0),),
        discriminator=Discriminator(net=DCGAN(8)),
        generator=Generator(net=DCGAN(8)),
    )
    state, count = new_state(recipe, FACTS), []
    state.nets["D"].register_forward_hook(lambda *_: count.append(state.round))
    for _ in training(recipe, state, DATA, images=4 * 64):
        pass
    assert set(count) == {2, 3}


@record
class Summed(TrackedBuffer):
    """The mean of the measure over all steps, per class."""

    def initial(self, data_spec):
        return torch.zeros(data_spec.classes)

    def update(self, buffer, mean):
        buffer.add_(mean)


@record
class Opinion(Loss):
    of: Discriminated = REAL

    def __call__(self, context):
        return context[self.of].logits.softmax(1)


@record
class ReadsBuffer(Loss):
    of: Discriminated = REAL

    def __call__(self, context):
        return context[self.of].logits.sum(1) * 0 + context[Buffer("D", "belief")].sum()


def test_a_tracked_buffer_follows_its_measure_and_can_be_read():
    discriminator = Discriminator(net=DCGAN(8), head=Classes(), buffers=(Summed("belief", Opinion()),))
    recipe = solo("ours", (discriminator,), (Classify(), ReadsBuffer()))
    state = new_state(recipe, FACTS)
    read = [means["P", ReadsBuffer()].item() for _, means in training(recipe, state, DATA, images=3 * 64)]
    assert read == pytest.approx([0, 1, 2], abs=1e-5)  # probabilities sum to 1 and are read before they are updated
    assert torch.equal(state.averages["D"].memory_belief, state.nets["D"].memory_belief)


def test_averages_are_the_recursion_by_hand():
    recipe, weights = THIN["dcgan"], []
    mean = [p.detach().clone() for p in new_state(recipe, FACTS).nets["G"].parameters()]
    state = new_state(recipe, FACTS)
    for _ in training(recipe, state, DATA, images=5 * 64):
        weights.append([p.detach().clone() for p in state.nets["G"].parameters()])
    for i, now in enumerate(weights):
        decay = min(0.999, (1 + i) / (10 + i))
        mean = [decay * m + (1 - decay) * w for m, w in zip(mean, now, strict=True)]
    average = state.averages["G"]
    assert max((m - p).abs().max() for m, p in zip(mean, average.parameters(), strict=True)) < 1e-6
    assert all(torch.equal(p, q) for p, q in zip(average.buffers(), state.nets["G"].buffers(), strict=True))
    assert not any(net.training for net in state.averages.values())


def test_a_recipe_refuses_data_that_lacks_what_it_reads():
    with pytest.raises(DataError, match="reads labelled images"):
        play(THIN["cgan"], 1, data={"all": DATA["all"]})
    with pytest.raises(DataError, match="reads a images"):
        play(THIN["cyclegan"], 1, data={"all": DATA["all"]})
    with pytest.raises(DataError, match="reads 'source' of the pairs images, which have x"):
        play(THIN["pix2pix"], 1, data={"pairs": DATA["all"]})
