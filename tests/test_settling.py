"""What averaged generators normalise by at the end of training."""

from copy import deepcopy

import pytest
import torch
from test_training import DATA, THIN, play, same
from torch import nn

from sparring.games.recipes import RECIPES
from sparring.games.training import settle_norms
from sparring.runs.checkpoints import tensors


@pytest.mark.parametrize("name", ["dcgan", "r3gan-class-quick"])
def test_settled_norms_turn_what_the_average_makes_into_mean_0_and_variance_1(name):
    """In every norm, of noise that was not seen; the average's own statistics before are those of other weights."""

    def off(state):
        seen, G = [], state.averages["G"]
        norms = [m for m in G.modules() if isinstance(m, nn.BatchNorm2d)]
        hooks = [m.register_forward_hook(lambda m, x, _: seen.append((m, x[0]))) for m in norms]
        labels = [torch.arange(4000) % 3] if name != "dcgan" else []
        G(torch.randn(4000, RECIPES[name].generator.z, generator=torch.Generator().manual_seed(1)), *labels)
        for hook in hooks:
            hook.remove()
        units = [
            (x.transpose(0, 1).flatten(1) - m.running_mean[:, None]) / m.running_var[:, None].sqrt() for m, x in seen
        ]
        return max(max(x.mean(1).abs().max().item(), (x.std(1) - 1).abs().max().item()) for x in units)

    state = play(THIN[name], 20, dtype=torch.float32)
    before, weights, nets = off(state), tensors(state), {n: deepcopy(net.state_dict()) for n, net in state.nets.items()}
    settle_norms(THIN[name], state, DATA)
    assert off(state) < 0.1 < before
    assert all(
        torch.equal(a, b)
        for n, net in state.nets.items()
        for a, b in zip(nets[n].values(), net.state_dict().values(), strict=True)
    )
    assert not state.averages["G"].training and state.averages["G"].body[2].momentum == 0.1
    assert weights.keys() == tensors(state).keys()


@pytest.mark.parametrize("name", ["r3gan-class-quick", "autoencoder", "semi"])
def test_settled_norms_change_nothing_of_what_is_trained_afterwards(name):
    on, paused = play(THIN[name], 4), play(THIN[name], 4, until=2)
    settle_norms(THIN[name], paused, DATA)
    assert same(play(THIN[name], 4, paused), on)


def test_what_starts_from_images_keeps_its_norms():
    state = play(THIN["vae"], 2)
    before = {k: v.clone() for k, v in tensors(state).items()}
    settle_norms(THIN["vae"], state, DATA)
    assert all(torch.equal(before[k], v) for k, v in tensors(state).items())
