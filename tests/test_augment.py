"""What D sees of an image: each change against a loop, keyed by image, twice differentiable; never a mirror image."""

import math

import numpy as np
import pytest
import torch
from toys import FACTS, pools

from sparring.games.augment import (
    ADA,
    DiffAugment,
    LateDiffAugment,
    NoAugment,
    Onset,
    Probability,
    cut_out,
    mirrored_index,
    normal_from_uniform,
    read_at,
    shifted_by_pixels,
)
from sparring.games.builders import augmented, gan
from sparring.games.losses import R1, Hinge
from sparring.games.measures import Sign
from sparring.games.nodes import FAKE, Batch, Discriminated
from sparring.games.players import Discriminator, Generator
from sparring.games.training import new_state, training
from sparring.nets.dcgan import DCGAN
from sparring.nets.layers import DataSpec
from sparring.nets.mlp import MLP

ONE, ALL = (
    torch.tensor(1.0),
    [NoAugment(), DiffAugment(), LateDiffAugment(), ADA(), ADA(rotation=180, flip=True, quarter_turns=True)],
)


def drawn(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def images(n=5, channels=3, height=12, width=10):
    return 2 * drawn(n, channels, height, width, seed=9) - 1


# --- against loops ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [1, 2, 5])
def test_beyond_the_edge_comes_the_mirror_image(side):
    expected = np.pad(np.arange(side), 3 * side, mode="symmetric")
    assert mirrored_index(torch.arange(-3 * side, 4 * side), side).tolist() == expected.tolist()


def test_shifted_against_a_loop():
    x, by = images(), torch.tensor([[0.0, 0], [0.125, -0.2], [-0.5, 0.31], [1, 0], [0.04, 0.06]]).double()
    out = torch.zeros_like(x)
    for i in range(5):
        dy, dx = round(float(by[i, 0]) * 12), round(float(by[i, 1]) * 10)
        for r in range(12):
            for c in range(10):
                if 0 <= r - dy < 12 and 0 <= c - dx < 10:
                    out[i, :, r, c] = x[i, :, r - dy, c - dx]
    assert torch.equal(shifted_by_pixels(x, by), out)
    assert torch.equal(out[0], x[0]) and not out[3].any()


@pytest.mark.parametrize(("share", "height", "width"), [(0.5, 12, 10), (0.25, 7, 9), (0.5, 1, 3), (1.0, 4, 4)])
def test_cut_out_against_a_loop(share, height, width):
    u = drawn(40, 2)
    u[0], u[1] = 0, 1 - 1e-9
    out = cut_out(u, share, height, width)
    assert out.shape == (40, 1, height, width) and out.dtype == torch.bool
    for i in range(40):
        inside = []
        for side, place in ((height, u[i, 0]), (width, u[i, 1])):
            long, middle = round(share * side), int(float(place) * side)
            inside.append([middle - long // 2 <= at < middle - long // 2 + long for at in range(side)])
        assert out[i, 0].tolist() == [[a and b for b in inside[1]] for a in inside[0]]


def test_placed_against_a_loop():
    x = images(4, 2, 6, 5)
    affine = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    out = torch.zeros_like(x)
    fold = lambda at, side: min(at % (2 * side), 2 * side - 1 - at % (2 * side))  # noqa: E731
    for i in range(4):
        for r in range(6):
            for c in range(5):
                here = torch.tensor([(2 * c + 1) / 5 - 1, (2 * r + 1) / 6 - 1, 1.0], dtype=torch.float64)
                across, down = (affine[i] @ here).tolist()
                across, down = (across + 1) * 5 / 2 - 0.5, (down + 1) * 6 / 2 - 0.5
                for row in (math.floor(down), math.floor(down) + 1):
                    for column in (math.floor(across), math.floor(across) + 1):
                        share = (1 - abs(down - row)) * (1 - abs(across - column))
                        out[i, :, r, c] += share * x[i, :, fold(row, 6), fold(column, 5)]
    assert (read_at(x, affine) - out).abs().max() < 1e-5  # places of pixels are float32


def test_placed_turns_and_mirrors_exactly():
    x = images(1, 2, 6, 6)
    affine = lambda *rows: torch.tensor([rows], dtype=torch.float64)  # noqa: E731
    assert (read_at(x, affine([1, 0, 0], [0, 1, 0])) - x).abs().max() < 1e-6
    assert (read_at(x, affine([-1, 0, 0], [0, 1, 0])) - x.flip(3)).abs().max() < 1e-5
    assert (read_at(x, affine([0, -1, 0], [1, 0, 0])) - x.rot90(1, (2, 3))).abs().max() < 1e-5
    assert (read_at(x, affine([1, 0, 1 / 3], [0, 1, 0]))[..., :-1] - x[..., 1:]).abs().max() < 1e-5


def test_light_against_a_loop():
    x, u = images(), drawn(5, 7)
    out = DiffAugment(shift=0, cut=0).apply(x, u)
    for i in range(5):
        bright = x[i] + (u[i, 0] - 0.5)
        grey = sum(bright[c] for c in range(3)) / 3
        coloured = torch.stack([grey + (bright[c] - grey) * 2 * u[i, 1] for c in range(3)])
        assert torch.allclose(out[i], coloured.mean() + (coloured - coloured.mean()) * (0.5 + u[i, 2]))


def test_diffaugment_is_its_three_parts():
    x, u = images(), drawn(5, 7)
    light = DiffAugment(shift=0, cut=0).apply(x, u)
    moved = shifted_by_pixels(light, (2 * u[:, 3:5] - 1) * 0.125)
    assert torch.equal(DiffAugment().apply(x, u), moved * ~cut_out(u[:, 5:7], 0.5, 12, 10))
    assert torch.equal(DiffAugment(light=False, shift=0).apply(x, u), x * ~cut_out(u[:, 5:7], 0.5, 12, 10))


# --- what holds for all ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("augment", ALL, ids=repr)
@pytest.mark.parametrize(("channels", "height", "width"), [(1, 12, 10), (3, 9, 17), (3, 28, 28)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_images_view_does_not_depend_on_its_batch(augment, channels, height, width, dtype):
    x, u = images(5, channels, height, width).to(dtype), drawn(5, augment.numbers)
    seen = augment.apply(x, u, ONE)
    assert seen.shape == x.shape and seen.dtype == dtype and seen.isfinite().all()
    for i in range(5):
        alone = augment.apply(x[i : i + 1], u[i : i + 1], ONE)[0]
        assert (alone - seen[i]).abs().max() < (1e-10 if dtype == torch.float64 else 1e-4)


def test_nothing_happens_at_probability_0():
    x, u = images(64), drawn(64, 26)
    for p in (None, torch.tensor(0.0)):
        for augment in (ADA(), ADA(flip=True, quarter_turns=True, rotation=180)):
            assert (augment.apply(x, u, p) - x).abs().max() < 1e-6
    assert torch.equal(NoAugment().apply(x, u[:, :0]), x)
    assert torch.equal(DiffAugment(light=False, shift=0, cut=0).apply(x, u[:, :7]), x)


@pytest.mark.parametrize("augment", ALL[1:], ids=repr)
def test_views_are_differentiable_twice(augment):
    x, u = images(2, 2, 4, 3).requires_grad_(), drawn(2, augment.numbers)

    def cubed(x):
        """As in a penalty on the gradient of a D that is not linear."""
        return augment.apply(x, u, ONE).pow(3)

    assert torch.autograd.gradcheck(cubed, x)
    assert torch.autograd.gradgradcheck(cubed, x)


@pytest.mark.parametrize("augment", ALL[1:], ids=repr)
def test_different_images_are_changed_differently(augment):
    x = images(1).expand(8, 3, 12, 10)
    seen = augment.apply(x, drawn(8, augment.numbers), ONE)
    assert len({tuple(image.flatten().tolist()) for image in seen}) == 8


# --- how often, how much ---------------------------------------------------------------------------------------------


def wheres(augment, n=20000, happens=1.0, tall=1.0):
    return augment.affine(torch.full((n, 10), happens, dtype=torch.float64), drawn(n, 16), tall)


@pytest.mark.parametrize("tall", [1.0, 2.0, 0.6])
def test_nothing_is_mirrored_or_turned_far_unless_asked(tall):
    affine = wheres(ADA(), tall=tall)[:, :, :2]
    assert (affine.det() > 0).all()
    angle = torch.atan2(affine[:, 1, 0] * tall, affine[:, 0, 0]).rad2deg()  # where the image's x axis goes
    assert angle.abs().max() <= 20 and angle.max() > 19.9 and angle.min() < -19.9
    assert (wheres(ADA(rotation=0))[:, 1, 0] == 0).all()


def test_what_is_asked_for_is_mirrored_or_turned():
    mirror = wheres(ADA(flip=True))[:, :, :2].det() < 0
    assert 0.48 < mirror.double().mean() < 0.52
    affine = wheres(ADA(quarter_turns=True, rotation=0))[:, :, :2]
    quarter = torch.atan2(affine[:, 1, 0], affine[:, 0, 0]).rad2deg().round().remainder(360)
    assert set(quarter.tolist()) == {0, 90, 180, 270}
    assert min(quarter.eq(context).double().mean() for context in (0, 90, 180, 270)) > 0.23


@pytest.mark.parametrize("tall", [2.0, 1.0, 0.5])
def test_a_turn_keeps_shapes_of_images_that_are_not_square(tall):
    """In pixels, turning is a rotation whatever the sides are."""
    only = torch.zeros(50, 10, dtype=torch.float64)
    only[:, 2] = 1
    affine = ADA(rotation=180).affine(only, drawn(50, 16), tall)[:, :, :2]
    sides = torch.tensor([1.0, tall], dtype=torch.float64)  # width, height
    pixels = sides[:, None] * affine / sides[None]
    assert torch.allclose(pixels @ pixels.mT, torch.eye(2).double().expand(50, 2, 2))


def test_amounts_are_centred_and_as_large_as_in_the_paper():
    """Karras et al. 2020, appendix B: logarithms of scales deviate by 0.2 ln 2, contrast 0.5 ln 2, colour ln 2."""
    affine = wheres(ADA(rotation=0))
    across, down = affine[:, 0, 0].log() / math.log(2), affine[:, 1, 1].log() / math.log(2)
    scale, ratio = (across + down) / 2, (across - down) / 2
    for logarithm in (scale, ratio):
        assert abs(logarithm.mean()) < 0.005 and abs(logarithm.std() - 0.2) < 0.005
    offset = affine[:, :, 2]
    assert offset.mean(0).abs().max() < 0.005 and 0.245 < offset.max() <= 0.25 and -0.25 <= offset.min() < -0.245
    x = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64).view(1, 3, 1, 1).expand(20000, 3, 1, 1)
    happens = drawn(20000, 26, seed=3)
    happens[:, :10] = 1
    happens[:, [6, 7, 8]] = 0  # brightness, contrast and colour alone
    seen = ADA().apply(x, happens, ONE / 2)[:, :, 0, 0]
    spread, mean = ((seen[:, 2] - seen[:, 0]).log() / math.log(2)), seen.mean(1)
    assert abs(spread.mean()) < 0.03 and abs(spread.std() - math.sqrt(0.5**2 + 1)) < 0.03
    contrast = happens[:, 10 + 9].clamp(1e-6, 1 - 1e-6)
    brightness = mean / (normal_from_uniform(contrast) * 0.5 * math.log(2)).exp() - 0.5
    assert abs(brightness.mean()) < 0.005 and abs(brightness.std() - 0.2) < 0.005


def test_the_mean_image_stays_where_it_is():
    x = torch.zeros(20000, 1, 4, 4)
    for augment in (ADA(), DiffAugment()):
        assert augment.apply(x, drawn(20000, augment.numbers), ONE).mean().abs() < 0.01


def test_a_late_change_is_that_of_diffaugment_with_probability_p():
    x, u, late = images(4000), drawn(4000, 8), LateDiffAugment(after=100)
    assert all(torch.equal(late.apply(x, u, p), x) for p in (None, torch.tensor(-0.5), torch.tensor(0.0)))
    assert torch.equal(late.apply(x, u, ONE), DiffAugment().apply(x, u[:, :7]))
    seen = late.apply(x, u, ONE / 4)
    changed = (seen != x).flatten(1).any(1)
    assert abs(changed.double().mean() - 0.25) < 0.03
    assert torch.equal(seen[changed], DiffAugment().apply(x, u[:, :7])[changed])


def test_late_changes_begin_after_so_many_images_and_are_whole_after_twice_as_many():
    recipe = augmented(
        gan("ours", Hinge(), discriminator=Discriminator(net=MLP((8,))), batch=10), LateDiffAugment(after=55)
    )
    data, p = pools(), []
    for state, _ in training(recipe, new_state(recipe, FACTS), data, images=140):
        p.append(state.nets["D"].augment_probability.item())
    assert p == pytest.approx([-0.8, -0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1, 1], abs=1e-6)
    assert Onset(steps=5).initial(FACTS) == -1


def test_each_kind_of_change_happens_with_probability_p():
    """Eight kinds change a colour image; an image is as it was with probability (1 - p)^8."""
    x = images(1).expand(4000, 3, 12, 10)
    p = 0.1
    seen = ADA().apply(x, drawn(4000, 26), torch.tensor(p))
    untouched = (seen - x).abs().flatten(1).amax(1) < 1e-5
    assert abs(untouched.double().mean() - (1 - p) ** 8) < 0.025


def test_half_of_each_side_is_cut_out():
    x = torch.ones(4000, 1, 8, 8)
    cut = DiffAugment(light=False, shift=0).apply(x, drawn(4000, 7)) == 0
    assert cut.flatten(1).sum(1).max() == 16 and cut.any(0).all()
    assert cut.flatten(1).sum(1).min() >= 4  # a corner of it is always inside


# --- a discriminator with one ----------------------------------------------------------------------------------------


def test_a_discriminator_is_given_changed_images_only_while_it_trains():
    D, x = Discriminator(net=MLP((8,)), augment=DiffAugment()).build(FACTS), images(4, 1).float()
    plain = D(x).score
    assert not torch.equal(D(x, draw=drawn).score, plain)
    assert torch.equal(D(x, draw=drawn).x, x)  # a penalty differentiates by the image as it is
    D.eval()
    assert torch.equal(D(x, draw=drawn).score, plain)


def test_a_source_stays_beside_its_image():
    """DiffAugment changes the image alone, which is why recipes refuse it there."""
    D = Discriminator(net=MLP((8,)), source=True).build(DataSpec(1, 12, 10))
    x = images(4, 1).float()
    assert torch.equal(D(x, x, draw=drawn).score, D(x, x).score)


def test_adas_probability_goes_up_and_down_with_its_measure():
    buffer, p = Probability(reading=Sign(), target=0.6, step=0.3, most=0.8), torch.zeros(())
    seen = []
    for mean in (1.0, 0.7, 1.0, 0.6, 0.5, -1.0, 0.9):
        buffer.update(p, torch.tensor(mean))
        seen.append(round(p.item(), 4))
    assert seen == [0.3, 0.6, 0.8, 0.8, 0.5, 0.2, 0.5]
    buffer.update(p, torch.tensor(-1.0))
    buffer.update(p, torch.tensor(-1.0))
    assert p == 0


def test_in_training_p_follows_its_measure():
    """Here: whether D puts a real image above another, which it does as often as not."""
    reading = Sign(rival=Discriminated("D", Batch("x", "labelled")))
    ada = ADA(buffers=(Probability(reading=reading, target=0.0, step=0.05),))
    discriminator = Discriminator(net=DCGAN(4, batchnorm=False), augment=ada)
    recipe = gan(
        "ours",
        Hinge(),
        d=(R1(0.1), R1(0.1, at=FAKE)),
        discriminator=discriminator,
        generator=Generator(net=MLP((8,))),
        batch=16,
    )
    state, p, seen, directions = new_state(recipe, FACTS), 0.0, set(), set()
    for _, means in training(recipe, state, pools(), images=16 * 16):
        directions.add(up := bool(means["D", reading] > 0))
        p = min(0.8, max(0.0, p + (0.05 if up else -0.05 * bool(means["D", reading] < 0))))
        assert state.nets["D"].augment_probability.item() == pytest.approx(p, abs=1e-6)
        seen.add(round(p, 2))
    assert directions == {True, False} and len(seen) > 1 and state.skipped == 0
