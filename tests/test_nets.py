"""Every family, every size: shapes, ranges, features; heads; schedules."""

import pytest
import torch
from torch.nn.functional import softplus

from sparring.heads import Classes, ClassesAsScore, Projection, Score
from sparring.nets.dcgan import DCGAN
from sparring.nets.layers import Facts, Family
from sparring.nets.mlp import MLP
from sparring.objective import Cosine, Linear, Window, at
from sparring.players import Generator, Judge

FAMILIES = [MLP(), DCGAN(8), DCGAN(8, batchnorm=False)]
SIZES = [(8, 8), (9, 13), (28, 28), (32, 32), (33, 64)]


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_families_make_and_judge_images_of_any_size(family, size, channels):
    facts = Facts(channels, *size, 4)
    x = Generator(net=family, z=5, labels=True).build(facts)(torch.randn(6, 5), torch.arange(6) % 4)
    assert x.shape == (6, channels, *size) and x.abs().max() <= 1 and x.std() > 0
    trunk, features = family.trunk(facts, channels)
    assert trunk(x).shape == (6, features)


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_only_batch_norm_ties_images(family: Family):
    trunk, _ = family.trunk(Facts(1, 16, 16), 1)
    x = torch.randn(6, 1, 16, 16)
    alone = torch.cat([trunk(x[:3]), trunk(x[3:])])
    assert torch.allclose(trunk(x), alone, atol=1e-6) is not family.ties_images


def test_labels_change_what_is_made_and_judged():
    facts, x = Facts(1, 8, 8, 3), torch.randn(4, 1, 8, 8)
    G, z = Generator(net=MLP(), z=5, labels=True).build(facts), torch.randn(4, 5)
    assert not torch.equal(G(z, torch.zeros(4).long()), G(z, torch.ones(4).long()))
    D = Judge(net=MLP(), head=Projection()).build(facts)
    assert not torch.equal(D(x, torch.zeros(4).long()).score, D(x, torch.ones(4).long()).score)


def test_k_plus_one_classes_by_hand():
    """P(real) of Salimans et al. 2016 is Z / (Z + 1); softplus(-score) is its negative logarithm."""
    D = Judge(net=MLP(), head=ClassesAsScore()).build(Facts(1, 8, 8, 3))
    verdict = D(torch.randn(4, 1, 8, 8))
    z = verdict.logits.exp().sum(1)
    assert torch.allclose(softplus(-verdict.score), -(z / (z + 1)).log(), atol=1e-5)


@pytest.mark.parametrize("head", [Score(), Projection(), Classes(), ClassesAsScore()], ids=repr)
def test_a_head_gives_what_it_says(head):
    verdict = Judge(net=MLP(), head=head).build(Facts(1, 8, 8, 3))(torch.randn(4, 1, 8, 8), torch.zeros(4).long())
    given = {name for name in ("score", "logits") if getattr(verdict, name) is not None}
    assert given == set(head.gives)
    assert verdict.features.shape == (4, 256)


def test_scores_keep_their_digits_in_bf16():
    D, x = Judge(net=DCGAN(8)).build(Facts(1, 8, 8)), torch.randn(64, 1, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        verdict = D(x)
    assert verdict.score.dtype == verdict.features.dtype == torch.float32
    assert len(verdict.score.unique()) == 64


def test_schedules():
    assert [at(Linear(2, 1), p) for p in (0, 0.5, 1)] == [2, 1.5, 1]
    assert [round(at(Cosine(0.5, 0.1), p), 6) for p in (0, 0.5, 1)] == [0.5, 0.3, 0.1]
    assert [at(Window(3, 0.2, 0.8, ramp=0.2), p) for p in (0, 0.2, 0.3, 0.5, 0.7, 0.8)] == pytest.approx(
        [0, 0, 1.5, 3, 1.5, 0]
    )
    assert at(Window(3, 0.5), 1.0) == 0 and at(Window(3, 0.5), 0.999) == 3 and at(0.7, 0.3) == 0.7
