"""Holes, small images and grey ones, against loops; masks exact; sides that do not divide."""

import math

import pytest
import torch
from toys import FACTS, pools

from sparring.errors import UsageError
from sparring.games import degradations
from sparring.games.builders import gan
from sparring.games.degradations import (
    Grey,
    Hole,
    Shrunk,
    averaged_down,
    enlarged,
    rectangle,
    with_holes,
    without_colour,
)
from sparring.games.nodes import Batch
from sparring.games.players import Discriminator, Translator
from sparring.games.recipes import RECIPES
from sparring.games.training import ShardContext, Sharding, Step, new_state
from sparring.nets.layers import DataSpec

SIZES = [(12, 10), (28, 28), (9, 7), (45, 31), (8, 8)]


def drawn(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def images(n=6, channels=3, height=12, width=10):
    return 2 * drawn(n, channels, height, width, seed=9) - 1


def context(batch=8, number=0, shard=None, **kwargs):
    recipe = gan("ours", RECIPES["dcgan"].players[0].losses[0])
    step = Step(recipe.players[0], number, 0.0, batch, 0)
    state = new_state(recipe, FACTS, dtype=torch.float64)
    return ShardContext(step, state, pools(**kwargs), Sharding(), shard or (0, batch))


# --- holes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize(("least", "most"), [(0.25, 0.5), (0.0, 0.0), (1.0, 1.0), (0.1, 0.9)])
def test_a_rectangle_against_a_loop(height, width, least, most):
    u = drawn(30, 4)
    u[0], u[1] = 0, 1 - 1e-12
    found = rectangle(u, least, most, height, width)
    assert found.shape == (30, 1, height, width) and found.dtype == torch.bool
    for i in range(30):
        inside = []
        for side, size, place in ((height, u[i, 0], u[i, 2]), (width, u[i, 1], u[i, 3])):
            long = min(side, max(1, round(float(least + (most - least) * size) * side)))
            first = math.floor(float(place) * (side - long + 1))
            assert 0 <= first <= side - long
            inside.append([first <= at < first + long for at in range(side)])
        assert found[i, 0].tolist() == [[a and b for b in inside[1]] for a in inside[0]]


def test_holes_are_everywhere_and_of_every_size():
    found = rectangle(drawn(3000, 4), 0.25, 0.5, 12, 12)[:, 0]
    tall, wide = found.any(2).sum(1), found.any(1).sum(1)
    assert set(tall.tolist()) == set(wide.tolist()) == {3, 4, 5, 6}
    assert (found.flatten(1).sum(1) == tall * wide).all()  # a rectangle, whole
    assert found.double().mean(0).min() > 0.01  # corners too


@pytest.mark.parametrize("channels", [1, 3])
def test_a_hole_is_grey_where_the_mask_is_1_and_nothing_else_changes(channels):
    x = images(6, channels)
    missing = rectangle(drawn(6, 4), 0.25, 0.5, 12, 10)
    out = with_holes(x, missing)
    image, mask = out[:, :channels], out[:, channels:]
    assert mask.shape == (6, 1, 12, 10) and set(mask.unique().tolist()) == {0, 1}
    assert torch.equal(mask.bool(), missing)
    for i in range(6):
        for c in range(channels):
            assert torch.equal(image[i, c][~missing[i, 0]], x[i, c][~missing[i, 0]])
            assert (image[i, c][missing[i, 0]] == 0).all()


def test_holes_are_keyed_by_image_and_step():
    whole, again, halves = context()[Hole()], context()[Hole()], [context(shard=s)[Hole()] for s in ((0, 4), (4, 8))]
    assert torch.equal(whole, again) and torch.equal(whole, torch.cat(halves))
    assert not torch.equal(whole[:, 1], context(number=1)[Hole()][:, 1])
    assert len({tuple(mask.flatten().tolist()) for mask in whole[:, 1]}) > 4


def test_a_hole_is_in_the_image_that_is_the_target():
    t = context()
    out, x = t[Hole()], t[Batch("x")]
    assert torch.equal(torch.where(out[:, 1:] > 0, x, out[:, :1]), x)


# --- small images ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_shrinking_averages(height, width, factor):
    """Each small pixel is the mean of those it covers, of parts of the image that overlap where sides do not divide."""
    x = images(2, 3, height, width)
    small = averaged_down(x, factor)
    tall, wide = height // factor, width // factor
    assert small.shape == (2, 3, tall, wide)
    for r in range(tall):
        for c in range(wide):
            rows = slice(r * height // tall, math.ceil((r + 1) * height / tall))
            columns = slice(c * width // wide, math.ceil((c + 1) * width / wide))
            assert torch.allclose(small[:, :, r, c], x[:, :, rows, columns].mean((2, 3)))


def cubic(t):
    """Keys 1981, eq. 4, with a = -0.75."""
    t = abs(t)
    if t <= 1:
        return 1.25 * t**3 - 2.25 * t**2 + 1
    return -0.75 * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0


@pytest.mark.parametrize(("small", "large"), [((6, 5), (12, 10)), ((3, 2), (9, 7)), ((1, 2), (5, 4))])
def test_blowing_up_is_bicubic_within_the_range(small, large):
    x = images(1, 1, *small)
    out = enlarged(x, *large)
    for r in range(large[0]):
        for c in range(large[1]):
            y, at = ((k + 0.5) * s / g - 0.5 for k, s, g in ((r, small[0], large[0]), (c, small[1], large[1])))
            value = 0.0
            for i in range(math.floor(y) - 1, math.floor(y) + 3):
                for j in range(math.floor(at) - 1, math.floor(at) + 3):
                    pixel = x[0, 0, min(max(i, 0), small[0] - 1), min(max(j, 0), small[1] - 1)]
                    value += cubic(y - i) * cubic(at - j) * pixel
            assert out[0, 0, r, c] == pytest.approx(float(value.clamp(-1, 1)), abs=1e-9)
    checks = torch.tensor([[-1.0, 1], [1, -1]]).repeat(1, 1, 3, 3)
    assert enlarged(checks, 12, 12).abs().max() == 1  # bicubic alone would overshoot


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_node_keeps_the_size(factor, height, width):
    t = context(height=height, width=width)
    out = t[Shrunk(factor=factor)]
    assert out.shape == (8, 1, height, width) and out.abs().max() <= 1
    assert torch.equal(out, enlarged(averaged_down(t[Batch("x")], factor), height, width))
    flat = torch.full((1, 1, height, width), 0.3)
    assert torch.allclose(enlarged(averaged_down(flat, factor), height, width), flat)


# --- grey ------------------------------------------------------------------------------------------------------------


def test_grey_is_luma_in_every_channel():
    x = images()
    out = without_colour(x)
    for i in range(6):
        for r in range(12):
            red, green, blue = x[i, :, r, 3].tolist()
            assert out[i, :, r, 3].tolist() == pytest.approx([0.299 * red + 0.587 * green + 0.114 * blue] * 3)
    assert torch.allclose(without_colour(torch.ones(1, 3, 2, 2)), torch.ones(1, 3, 2, 2))
    grey = images(2, 1)
    assert without_colour(grey) is grey
    t = context(channels=3)
    assert torch.equal(t[Grey()], without_colour(t[Batch("x")]))


# --- what gives it back ----------------------------------------------------------------------------------------------


def test_a_translator_leaves_what_is_not_missing():
    source = with_holes(images().float(), rectangle(drawn(6, 4), 0.25, 0.5, 12, 10))
    G = Translator(mask=True).build(DataSpec(3, 12, 10))
    torch.nn.init.normal_(G.body.last.weight)
    out = G(source)
    missing = source[:, 3:].bool().expand(6, 3, 12, 10)
    assert out.shape == (6, 3, 12, 10)
    assert torch.equal(out[~missing], source[:, :3][~missing]) and (out[missing] != 0).all()
    assert out.abs().max() <= 1


def test_a_residual_translator_starts_from_its_source():
    x = images().float()
    assert torch.equal(Translator(residual=True).build(DataSpec(3, 12, 10))(x), x)
    assert not Translator().build(DataSpec(3, 12, 10))(x).any()  # grey


def test_a_discriminator_is_given_image_and_source_and_mask():
    D = Discriminator(source=True, mask=True).build(DataSpec(3, 12, 10))
    x = images().float()
    source = with_holes(x, rectangle(drawn(6, 4), 0.25, 0.5, 12, 10))
    score = D(x, source).score
    for kept in ([1.0, 1, 1, 0], [0.0, 1, 1, 1]):
        assert not torch.equal(D(x, source * torch.tensor(kept)[:, None, None]).score, score)
    assert not torch.equal(D(-x, source).score, score)


# --- every degradation -----------------------------------------------------------------------------------------------

KINDS = [
    kind
    for kind in vars(degradations).values()
    if isinstance(kind, type) and issubclass(kind, degradations.Degradation) and kind is not degradations.Degradation
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_degradation_is_trained_applied_and_has_a_baseline(kind):
    """What a user's image becomes has the channels that the translator was trained on."""
    node, x, mask = kind(), images(), torch.zeros(12, 10, dtype=torch.bool)
    mask[2:7, 3:6] = True
    degraded, given = node.degraded(x, drawn(6, node.numbers)), node.apply(x, mask)
    assert degraded.shape[1] == given.shape[1] and degraded.shape[2:] == x.shape[2:]
    assert node.baseline(degraded).shape == x.shape and node.baseline(given).shape[:2] == x.shape[:2]
    assert torch.equal(node.degraded(x[2:3], drawn(6, node.numbers)[2:3])[0], degraded[2])


def test_what_a_user_gives_is_degraded_already():
    """A small image is enlarged and not made smaller; a colour image loses colour; a hole is where the mask says."""
    x, mask = images(), torch.zeros(12, 10, dtype=torch.bool)
    mask[2:7, 3:6] = True
    assert torch.equal(Shrunk(factor=3).apply(x), enlarged(x, 36, 30))
    assert torch.equal(Grey().apply(x), without_colour(x)) and Grey.needs_colour and not Hole.needs_colour
    assert torch.equal(Hole().apply(x, mask), with_holes(x, mask.expand(6, 1, 12, 10)))
    filled = Hole().baseline(Hole().apply(x, mask))
    for i in range(6):
        for c in range(3):
            assert torch.allclose(filled[i, c][mask], x[i, c][~mask].mean()) and torch.equal(
                filled[i, c][~mask], x[i, c][~mask]
            )
    with pytest.raises(UsageError, match="came with no mask"):
        Hole().apply(x)
    with pytest.raises(UsageError, match="a mask of 4x5 pixels"):
        Hole().apply(x, torch.zeros(5, 4, dtype=torch.bool))
