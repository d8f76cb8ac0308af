"""Views: what zero amounts leave alone, where pixels go by hand, and that no image depends on its batch."""

from dataclasses import replace

import pytest
import torch

from sparring import keyed_random
from sparring.games.nodes import Batch
from sparring.games.views import Strong, View, Weak, read_from, square_mask, view_numbers, viewed
from sparring.records import identity

SHAPES = [(5, 1, 8, 8), (5, 3, 12, 9), (5, 1, 28, 40)]
FULL = Strong(light=0.4, colour=0.4, hole=0.4, flip=True)


def some(shape):
    x = keyed_random.uniform(1, torch.arange(shape[0]), *shape[1:]).float() * 2 - 1
    return x, keyed_random.uniform(2, torch.arange(shape[0]), view_numbers(*shape[2:]))


def middle(n, height, width, **moved):
    """Numbers that change nothing, but those at the given places."""
    u = torch.full((n, view_numbers(height, width)), 0.5)
    for place, value in moved.items():
        u[:, int(place[1:])] = value
    return u


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("view", [View(), Weak(), Strong(), FULL], ids=["none", "weak", "strong", "all"])
def test_shape_range_and_change(shape, view):
    x, u = some(shape)
    out = viewed(x, u, view)
    assert out.shape == x.shape and out.dtype == x.dtype
    assert out.min() >= -1 and out.max() <= 1
    assert torch.equal(out, x) == (view == View())  # nothing asked for: the very same numbers


@pytest.mark.parametrize("shape", SHAPES)
def test_an_image_does_not_depend_on_its_batch(shape):
    x, u = some(shape)
    together, alone = viewed(x, u, FULL), viewed(x[2:3], u[2:3], FULL)
    torch.testing.assert_close(together[2:3], alone, rtol=0, atol=1e-5)
    other = x.clone()
    other[0] = 0
    assert torch.equal(viewed(other, u, FULL)[1:], together[1:])


def test_stronger_views_change_more():
    x, u = some((50, 1, 28, 28))
    change = [(viewed(x, u, view) - x).abs().mean() for view in (View(), Weak(), Strong())]
    assert change[0] == 0 < change[1] < change[2]


def test_a_quarter_turn():
    x, _ = some((2, 1, 8, 8))
    turned = viewed(x, middle(2, 8, 8, u0=1.0), View(rotation=90))
    torch.testing.assert_close(turned, x.rot90(1, (2, 3)), rtol=0, atol=1e-5)


def test_rotating_keeps_distances_where_sides_differ():
    """In pixels, not in shares of sides: a rotation by 30 degrees of a 10 x 20 image is a rotation."""
    view, sides = View(rotation=30), torch.tensor([20.0, 10.0])
    still, turned = (
        read_from(u[:, :8], u[:, 15:], view, 10, 20)[0] * sides / 2
        for u in (middle(1, 10, 20), middle(1, 10, 20, u0=1.0))
    )
    torch.testing.assert_close(still.norm(dim=2), turned.norm(dim=2), rtol=1e-5, atol=1e-5)
    cosine = (still * turned).sum(2) / still.norm(dim=2) / turned.norm(dim=2)
    torch.testing.assert_close(cosine, torch.full((10, 20), 0.75**0.5), rtol=1e-4, atol=1e-4)


def test_shifts_repeat_the_edge():
    x, _ = some((2, 1, 8, 8))
    moved = viewed(x, middle(2, 8, 8, u4=1.0), View(shift=1 / 8))
    torch.testing.assert_close(moved[..., :-1], x[..., 1:], rtol=0, atol=1e-5)
    torch.testing.assert_close(moved[..., -1], x[..., -1], rtol=0, atol=1e-5)


def test_flips_only_when_asked_for():
    x, _ = some((2, 1, 8, 8))
    left = middle(2, 8, 8, u6=0.1)
    torch.testing.assert_close(viewed(x, left, View(flip=True)), x.flip(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(viewed(x, middle(2, 8, 8, u6=0.9), View(flip=True)), x, rtol=0, atol=1e-5)
    assert torch.equal(viewed(x, left, View()), x)
    upside_down = viewed(x, middle(2, 8, 8, u7=0.1), View(flip_vertical=True))
    torch.testing.assert_close(upside_down, x.flip(2), rtol=0, atol=1e-5)
    torch.testing.assert_close(viewed(x, middle(2, 8, 8, u7=0.2), View(flip_vertical=True)), x, rtol=0, atol=1e-5)
    for view in (View(), Weak(), Strong()):
        assert not (view.flip or view.flip_vertical or view.quarter_turns)


@pytest.mark.parametrize(("u7", "quarters"), [(0.1, 0), (0.3, 1), (0.6, 2), (0.9, 3)])
def test_quarter_turns(u7, quarters):
    x, _ = some((2, 3, 8, 8))
    turned = viewed(x, middle(2, 8, 8, u7=u7), View(quarter_turns=True))
    torch.testing.assert_close(turned, x.rot90(quarters, (2, 3)), rtol=0, atol=1e-5)


def test_a_turned_image_that_is_not_square_is_there_as_a_whole():
    x = torch.arange(12.0).view(1, 12, 1).expand(1, 1, 12, 6) / 12  # rises downwards, and then to the right
    turned = viewed(x.contiguous(), middle(1, 12, 6, u7=0.3), View(quarter_turns=True))
    expected = torch.arange(6) * 2 / 12 + 1 / 24
    torch.testing.assert_close(turned, expected.expand(1, 1, 12, 6), rtol=0, atol=1e-5)


def test_flips_and_turns_reach_all_eight_symmetries_alike():
    x, _ = some((1, 1, 6, 6))
    view, u = View(flip=True, flip_vertical=True, quarter_turns=True), some((4000, 1, 6, 6))[1]
    symmetries = [x.rot90(k, (2, 3)) for k in range(4)] + [x.flip(3).rot90(k, (2, 3)) for k in range(4)]
    apart = torch.stack([(viewed(x.expand(4000, -1, -1, -1), u, view) - s).abs().amax((1, 2, 3)) for s in symmetries])
    assert (apart.amin(0) < 1e-5).all()
    assert (apart.argmin(0).bincount(minlength=8) - 500).abs().max() < 100


def test_fields_that_came_later_change_no_key():
    """Random numbers are keyed by what differs from a record's defaults: these are the words of version 0.2."""
    assert identity(Strong(light=0.4, flip=True)) == "Strong(light=0.4, flip=True)"


def test_bends_have_the_stated_deviation():
    u = keyed_random.uniform(3, torch.arange(4000), view_numbers(28, 28)).float()
    bends = read_from(torch.full((4000, 8), 0.5), u[:, 15:], View(bend=0.05), 28, 28)
    bends = bends - read_from(torch.full((4000, 8), 0.5), torch.full_like(u[:, 15:], 0.5), View(), 28, 28)
    assert bends[:, 0, 0].std().item() == pytest.approx(0.05, rel=0.1)  # about a knot; between knots it is less
    assert bends.mean().abs() < 0.002


def test_light_keeps_the_mean_of_contrast_and_colour_leaves_grey_alone():
    x = keyed_random.uniform(1, torch.arange(3), 3, 8, 8).float() * 0.4 - 0.2
    contrast = viewed(x, middle(3, 8, 8, u8=1.0), View(light=0.4))
    torch.testing.assert_close(contrast.mean((1, 2, 3)), x.mean((1, 2, 3)), rtol=0, atol=1e-5)
    assert (contrast.std((1, 2, 3)) > 1.4 * x.std((1, 2, 3))).all()
    grey = x[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(viewed(grey, middle(3, 8, 8, u10=1.0, u11=0.5), View(colour=0.0)), grey)
    assert not torch.equal(viewed(x, middle(3, 8, 8, u10=1.0), View(colour=0.4)), x)


def test_a_hole_is_a_square_of_at_most_its_share():
    u = keyed_random.uniform(4, torch.arange(300), 3)
    hole = square_mask(u, 0.5, 16, 16).float().mean((1, 2, 3)) ** 0.5
    assert 0.49 <= hole.max() <= 0.57  # a border pixel more or less
    assert hole.min() > 0.05  # at the edge a part of it
    x, u = some((300, 1, 16, 16))
    share = (viewed(x, u, View(hole=0.5)) == 0).float().mean((1, 2, 3))
    assert share.max() < 0.33 and (share > 0).all()


def test_nodes_draw_by_their_own_name():
    """Two nodes that differ draw different numbers, two that are equal are one."""

    class StepContext:
        def __getitem__(self, node):
            return x

        def uniform(self, purpose, n, *shape):
            return keyed_random.uniform(keyed_random.key(purpose), torch.arange(n), *shape)

    x, _ = some((4, 1, 12, 12))
    strong = Strong(Batch("x", "all"))
    assert torch.equal(strong(StepContext()), Strong(Batch("x", "all"))(StepContext()))
    assert not torch.equal(strong(StepContext()), replace(strong, of=Batch("x", "labelled"))(StepContext()))
