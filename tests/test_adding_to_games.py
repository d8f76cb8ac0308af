"""A loss, a measure, an architecture or a degradation is added by one class: nothing else has to be edited."""

import json
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, relu
from toys import FACTS, pools, striped, thin

from sparring import files
from sparring.games.builders import gan, translation
from sparring.games.curve_names import curve_names
from sparring.games.degradations import Degradation
from sparring.games.heads import DiscriminatorOutput
from sparring.games.losses import AdversarialLoss
from sparring.games.players import Discriminator, Generator
from sparring.games.training import new_state, training
from sparring.nets.layers import Architecture, DataSpec
from sparring.nets.mlp import MLP
from sparring.records import CurveName, as_python, from_json, record, to_json
from sparring.runs import driver
from sparring.runs.translator import load_translators


@record
class PairHinge(AdversarialLoss):
    """Hinge loss on the difference to the fake beside it. Ours."""

    margin: float = 1.0

    title = "hinge loss on pairs"

    def d(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return relu(self.margin - (real.score - fake.score))

    def g(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return relu(self.margin - (fake.score - real.score))


@record
class FakesAlone(PairHinge):
    """A generator loss that does not read the real images. Ours."""

    def g(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return -fake.score


@record
class Blurred(Degradation):
    """The mean of three pixels each way."""

    def degraded(self, x: Tensor, u: Tensor) -> Tensor:
        return avg_pool2d(x, 3, 1, 1, count_include_pad=False)

    def baseline(self, degraded: Tensor) -> Tensor:
        return degraded / 2


@record
class OneLayer(Architecture):
    """A single linear layer."""

    def trunk(self, data_spec: DataSpec, channels: int) -> tuple[nn.Module, int]:
        return nn.Sequential(nn.Flatten(), nn.Linear(channels * data_spec.height * data_spec.width, 8)), 8


PAIRS = gan(
    "ours",
    PairHinge(2.0, margin=0.5),
    discriminator=Discriminator(net=MLP((8,))),
    generator=Generator(net=MLP((8,))),
    batch=8,
)
SHARPER = thin(translation("ours", Blurred(), residual=True, batch=8))


def test_a_new_loss_is_what_it_says_in_the_loop():
    state = new_state(PAIRS, FACTS, dtype=torch.float64)
    before = {name: [p.clone() for p in net.parameters()] for name, net in state.nets.items()}
    data = pools()
    scores: list[Tensor] = []
    state.nets["D"].register_forward_hook(lambda _, __, output: scores.append(output.score.detach()))
    _, means = next(training(PAIRS, state, data, images=8))
    real, fake = scores[:2]
    assert torch.allclose(means["D", PairHinge(2.0, margin=0.5)], relu(0.5 - real + fake).mean())
    for name, net in state.nets.items():
        assert any(not torch.equal(p, q) for p, q in zip(net.parameters(), before[name], strict=True))


def test_a_loss_that_reads_fakes_alone_costs_no_pass_over_real_images():
    passes = []
    for recipe in (PAIRS, gan("ours", FakesAlone(), discriminator=Discriminator(net=MLP((8,))), batch=8)):
        state, count = new_state(recipe, FACTS), []
        state.nets["D"].register_forward_hook(lambda *_, count=count: count.append(1))
        next(training(recipe, state, pools(), images=8))
        passes.append(len(count))
    assert passes == [4, 3]


def test_a_new_loss_is_logged_with_its_title_and_resumes_from_its_folder(tmp_path):
    x, y = (t.numpy() for t in striped(count=60))
    settings = {"augment": "none", "precision": "fp32", "monitor": False}
    again = driver.train((x, y), PAIRS, tmp_path / "run", images=40, **settings)
    written = files.read_json(tmp_path / "run" / "recipe.json")
    curves = {curve.key: curve for curve in map(from_json, written["curves"])}
    assert curves["D/PairHinge"] == CurveName("D/PairHinge", "discriminator", "hinge loss on pairs")
    assert curves["G/PairHinge"].panel == "generator: hinge loss on pairs"
    (line, *_) = files.read_lines(tmp_path / "run" / "log.jsonl")
    assert set(line["means"]) | {f"{p}/gradients" for p in line["gradients"]} == set(curves)
    assert again.recipe == PAIRS == from_json(json.loads(json.dumps(to_json(PAIRS))))
    longer = driver.train((x, y), again.recipe, tmp_path / "run", images=80, **settings)
    whole = driver.train((x, y), PAIRS, tmp_path / "whole", images=80, **settings)
    ends = [(run.checkpoints[-1] / "state.safetensors").read_bytes() for run in (longer, whole)]
    assert ends[0] == ends[1]


def test_a_new_degradation_trains_and_is_undone_beside_its_baseline(tmp_path):
    x, _ = striped(count=40, height=16, width=16, channels=3)
    driver.train({"x_train": x.numpy()}, SHARPER, tmp_path / "run", images=16, precision="fp32", monitor=False)
    model = load_translators(tmp_path / "run")
    assert model.sources["G"] == Blurred()
    undone = model.undone(x.numpy()[:4])
    assert np.abs(undone["source"].astype(int) - x.numpy()[:4]).mean() > 5
    assert np.abs((undone["source"] - 127.5) / 2 + 127.5 - undone["baseline"]).max() <= 1
    sharper = model.translate(x.numpy()[0])
    assert sharper.shape == x[0].shape


def test_a_new_architecture_is_a_trunk_at_once():
    recipe = replace(
        PAIRS, players=(replace(PAIRS.players[0], nets=(Discriminator(net=OneLayer()),)), PAIRS.players[1])
    )
    state, means = next(training(recipe, new_state(recipe, FACTS), pools(), images=8))
    assert state.skipped == 0 and all(mean.isfinite() for mean in means.values())


def test_the_names_of_curves_are_unique_and_told_in_words():
    cycle = thin(translation("ours", Blurred()))
    names = curve_names(cycle).values()
    assert len({name.key for name in names}) == len(names)
    assert all(name.title and not name.title[0].isupper() for name in names)


def test_python_of_a_recipe_with_classes_of_ones_own_names_where_they_come_from():
    text = as_python(PAIRS, "pairs")
    assert f"from {__name__} import PairHinge" in text
    namespace: dict = {}
    exec(text, namespace)
    assert namespace["pairs"] == PAIRS
