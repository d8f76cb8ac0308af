"""A discriminator that looks through the frozen pretrained network: maps, mixing, what is state and what is not."""

import copy

import pytest
import torch
import torch.nn.functional as F
from toys import pools

from sparring.games.builders import gan
from sparring.games.constraints import SpectralNorm
from sparring.games.losses import Hinge
from sparring.games.players import Discriminator
from sparring.games.training import new_state, training
from sparring.nets.efficientnet import DEPTHS, Body, enlarged, imagenet_weights
from sparring.nets.layers import DataSpec
from sparring.nets.projected import Mixing, Projected, frozen_body, frozen_maps, size_seen

COLOUR = DataSpec(3, 12, 10, 3)


def images(n=2, height=12, width=10):
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_frozen_maps_are_those_of_the_network_and_their_gradient_too():
    body = Body()
    body.load_state_dict(imagenet_weights())
    found = {}
    for name, maps in (("frozen", frozen_maps), ("body", body.maps)):
        x = images().requires_grad_()
        found[name] = maps(enlarged(x, (64, 32)))
        (found[name][-1].square().sum() + found[name][0].sum()).backward()
        found[name].append(x.grad)
    for a, b in zip(found["frozen"], found["body"], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)
    assert [m.shape[1] for m in found["frozen"][:4]] == list(DEPTHS.values())


def test_under_autocast_the_frozen_network_computes_in_bf16_forward_and_back():
    with torch.autocast("cpu", torch.bfloat16):
        x = images().requires_grad_()
        maps = frozen_maps(enlarged(x, (64, 32)))
    assert {m.dtype for m in maps} == {torch.bfloat16}
    maps[-1].float().sum().backward()
    assert x.grad is not None and x.grad.isfinite().all() and x.grad.abs().sum() > 0
    # Close to float32: a rounding of 2^-8 in some 40 layers.
    exact = frozen_maps(enlarged(images(), (64, 32)))[0]
    assert (maps[0].float() - exact).norm() < 0.1 * exact.norm()


def test_the_mixing_is_the_same_in_every_network_and_no_state():
    a, b = Mixing([3, 5], 4), Mixing([3, 5], 4)
    maps = [torch.ones(1, 3, 4, 4), torch.ones(1, 5, 2, 2)]
    assert all(torch.equal(x, y) for x, y in zip(a(maps), b(maps), strict=True))
    assert not a.state_dict()
    deep = F.conv2d(maps[1], a.get_buffer("across1"))
    shallow = (F.conv2d(maps[0], a.get_buffer("across0")) + F.interpolate(a(maps)[1], (4, 4))) / 2**0.5
    torch.testing.assert_close(a(maps)[1], F.conv2d(deep, a.get_buffer("scales1"), padding=1))
    torch.testing.assert_close(a(maps)[0], F.conv2d(shallow, a.get_buffer("scales0"), padding=1))


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 45, 31), (3, 9, 17)])
@pytest.mark.parametrize("spec", [Projected(4), Projected(4, enlarged=2.0), Projected(4, mixed=False, depths=2)])
def test_any_image_gives_the_features_that_it_says(spec, shape):
    trunk, features = spec.trunk(DataSpec(*shape, 3), shape[0])
    assert trunk(torch.zeros(2, *shape)).shape == (2, features)


def test_sizes_that_are_seen():
    assert size_seen(DataSpec(3, 32, 32), 1.0) == (32, 32)
    assert size_seen(DataSpec(3, 32, 48), 2.0) == (64, 96)
    assert size_seen(DataSpec(3, 8, 8), 1.0) == (32, 32)


def test_training_changes_the_small_discriminators_alone_and_resumes_exactly():
    recipe = gan("ours", Hinge(), discriminator=Discriminator(net=Projected(4), constraint=SpectralNorm()), batch=6)
    data = {"all": pools(channels=3)["all"]}
    before = copy.deepcopy(frozen_body("cpu", torch.float32).state_dict())

    def trained(state, images):
        for _ in training(recipe, state, data, images=24):
            if state.round * recipe.batch >= images:
                break
        return state

    whole, half = (trained(new_state(recipe, COLOUR), n) for n in (24, 12))
    resumed = new_state(recipe, COLOUR)
    for name, net in resumed.nets.items():
        net.load_state_dict(half.nets[name].state_dict())
        resumed.averages[name] = copy.deepcopy(half.averages[name]) if name in half.averages else None
    for name, optimiser in resumed.optimisers.items():
        optimiser.load_state_dict(copy.deepcopy(half.optimisers[name].state_dict()))
    resumed.averages = {name: net for name, net in resumed.averages.items() if net is not None}
    resumed.round = half.round
    trained(resumed, 24)
    for name in whole.nets:
        for a, b in zip(whole.nets[name].state_dict().values(), resumed.nets[name].state_dict().values(), strict=True):
            assert torch.equal(a, b)
    assert not any("frozen" in key or "across" in key or "stem" in key for key in whole.nets["D"].state_dict())
    assert sum(v.numel() for v in whole.nets["D"].state_dict().values()) < 20_000
    after = frozen_body("cpu", torch.float32).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
