"""Which views keep a class: the probe against a flat script, and classes whose symmetries are known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from sparring.classifiers.looks import (
    CLOSE,
    HARMLESS,
    Look,
    Probe,
    look_for,
    mirrored,
    probed_images,
    recoloured,
    turned,
    upside_down,
    usual_look,
)
from sparring.classifiers.selection import FLOOR, TEMPERATURES, stratified_folds
from sparring.games.nodes import Batch
from sparring.games.views import Strong, Weak


def arrows(count, channels=1, seed=0):
    """Arrows to the right (0) and to the left (1), a little moved; their mirror images are of the other class."""
    rng, labels = np.random.default_rng(seed), np.arange(count) % 2
    y, x = np.mgrid[:16, :16] - 7.5
    head = (abs(y) <= 5 - x) & (x >= 0)
    shape = np.where(head | ((abs(y) <= 1.5) & (x < 0) & (x > -6)), 220, 20)
    images = np.stack([np.roll(shape[:, ::-1] if k else shape, rng.integers(-1, 2, 2), (0, 1)) for k in labels])
    images = images[..., None] + rng.normal(0, 8, (count, 16, 16, channels))
    return np.clip(images, 0, 255).astype(np.uint8), labels


def rings(count, channels=1, seed=0):
    """Discs (0) and rings (1), which look the same from all sides."""
    rng, labels = np.random.default_rng(seed), np.arange(count) % 2
    y, x = np.mgrid[:16, :16] - 7.5
    images = []
    for k in labels:
        far = np.hypot(y - rng.uniform(-1, 1), x - rng.uniform(-1, 1))
        images.append(np.where((far < 6) & ((far > 3) | (k == 0)), 200, 40))
    images = np.stack(images)[..., None] + rng.normal(0, 8, (count, 16, 16, channels))
    return np.clip(images, 0, 255).astype(np.uint8), labels


def test_a_mirror_image_of_another_class_is_no_view():
    for channels in (1, 3):
        found = look_for(*arrows(24, channels))
        assert not found.flip and found.light == usual_look(channels).light
        assert found.hole == usual_look(channels).hole


def test_what_is_round_may_be_turned():
    for channels in (1, 3):
        found = look_for(*rings(40, channels))
        assert found.flip and found.flip_vertical and found.quarter_turns


def test_colours_that_tell_the_classes_stay():
    rng, labels = np.random.default_rng(0), np.arange(40) % 2
    tone = np.where(labels[:, None], (135, 128, 121), (121, 128, 135))[:, None, None]
    images = (tone + rng.normal(0, 2, (40, 12, 12, 3))).round().astype(np.uint8)
    assert look_for(images, labels).colour == 0.0
    assert look_for(*rings(40, 3)).colour == 0.4


def test_labels_decide_alone_and_the_same_each_time():
    x, y = arrows(60)
    hidden = np.where(np.arange(60) < 30, y, -1)
    assert look_for(x, hidden, seed=3) == look_for(x, hidden, seed=3)
    changed = x.copy()
    changed[30:] = 0
    assert look_for(changed, hidden, seed=3) == look_for(x, hidden, seed=3)


def test_features_that_see_no_mirrors_do_not_overrule_the_handmade():
    """As those of a network that learned from mirrored photographs."""
    x, y = arrows(60)

    def blind(images):
        flat = images.mean((1, 3))  # columns
        return flat + flat[:, ::-1]

    assert not look_for(x, y, features=blind).flip


@pytest.mark.parametrize("other", [True, False])
def test_when_a_change_is_allowed(other):
    fine = Probe(lost=0.0, lost_error=0.01, harm=0.0, harm_error=0.01)

    def allows(usually=False, **changes):
        hand = replace(fine, **{name: value for name, value in changes.items() if name.startswith("harm") or not other})
        further = replace(fine, **{name: value for name, value in changes.items() if name.startswith("lost")})
        return hand.allows(usually, further if other else None)

    assert allows()
    assert not allows(lost=CLOSE + 0.01) and not allows(harm=HARMLESS + 0.01)
    assert not allows(lost_error=CLOSE) or other  # one standard error is enough for further features
    assert not allows(lost_error=CLOSE + 0.01) and not allows(harm_error=HARMLESS + 0.01)
    assert allows(True, harm=1.0, lost=0.2)  # the usual stays unless copies look different


def test_what_looks_different_must_be_harmless_for_sure():
    near = Probe(lost=0.0, lost_error=0.01, harm=0.0, harm_error=0.6 * HARMLESS)
    far = replace(near, lost=CLOSE + 0.03)
    assert near.allows(False, near) and not far.allows(False, near) and not far.allows(True, far)
    sure = replace(far, harm_error=0.4 * HARMLESS)
    assert sure.allows(False, near) and not sure.allows(False, sure) and sure.allows(True, sure)


def test_the_probe_is_what_a_flat_script_gives():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [6, 5, 8])
    a = rng.normal(size=(19, 4)) + 2 * np.eye(3)[labels][:, [0, 1, 2, 0]]
    b = rng.normal(size=(19, 2)) * 9
    a2, b2 = a + rng.normal(size=a.shape), b[:, ::-1] + 1.0
    x, x2 = (
        np.concatenate([p / np.sqrt(a.var(0).sum()), q / np.sqrt(b.var(0).sum())], 1) for p, q in ((a, b), (a2, b2))
    )
    kernel = lambda p, q: np.exp(-((p[:, None] - q) ** 2).sum(2) / 2)  # noqa: E731
    scores = {name: np.zeros((19, 3)) for name in ("plain", "joined", "copies")}
    for train, held in stratified_folds(labels, 4):
        importance = len(train) / 3 / np.bincount(labels[train])[labels[train]]  # classes count alike

        def fitted(points, goal, weight):
            return np.linalg.inv(kernel(points, points) + 0.1 * np.diag(1 / weight)) @ (np.eye(3)[goal] - 1 / 3)

        alone = fitted(x[train], labels[train], importance)
        scores["plain"][held] = kernel(x[held], x[train]) @ alone
        scores["copies"][held] = kernel(x2[held], x[train]) @ alone
        both, goal = np.concatenate([x[train], x2[train]]), np.tile(labels[train], 2)
        scores["joined"][held] = kernel(x[held], both) @ fitted(both, goal, np.tile(importance, 2))
    weight = 1 / np.bincount(labels)[labels] / 3
    losses = {}
    for name, value in scores.items():
        costs = []
        for t in TEMPERATURES:
            each = -np.log(softmax(value / t, axis=1)[np.arange(19), labels] * (1 - FLOOR) + FLOOR / 3)
            costs.append(((weight @ each) + 0.5 * (np.log(t / 0.2) / 0.5) ** 2 / 19, each))
        losses[name] = min(costs, key=lambda cost: cost[0])[1]
    plain = weight @ losses["plain"]
    found = Probe.of([a, b], [a2, b2], labels, stratified_folds(labels, 4))
    assert np.isclose(found.harm, weight @ losses["joined"] / plain - 1)
    assert np.isclose(found.lost, (weight @ losses["copies"] - plain) / (np.log(3) - plain))
    rise = losses["copies"] - losses["plain"]
    error = np.sqrt((weight**2 * (rise - weight @ rise) ** 2).sum())
    assert np.isclose(found.lost_error, error / (np.log(3) - plain))


def test_which_images_are_looked_at():
    labels = np.repeat([0, 1, 2, -1], [50, 3, 1, 40])
    chosen = probed_images(labels, 0)
    assert np.bincount(labels[chosen]).tolist() == [20, 3] and (np.diff(chosen) > 0).all()
    assert len(probed_images(np.array([0, 0, 1]), 0)) == 0
    assert len(probed_images(np.repeat(np.arange(100), 30), 0)) == 400


def test_changes_by_hand():
    x = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    assert (mirrored(x)[1, 2, 0] == x[1, 2, 3]).all() and (upside_down(x)[1, 0, 2] == x[1, 3, 2]).all()
    assert (turned(x)[0] == np.rot90(x[0], 1)).all() and (turned(x)[1] == np.rot90(x[1], -1)).all()
    wide = np.zeros((1, 6, 12, 1), np.uint8)
    wide[:, :, 6:] = 200
    assert (turned(wide)[0, :2] > 190).all() and (turned(wide)[0, 4:] < 10).all()  # as a whole, stretched
    grey = np.full((3, 4, 4, 3), 128, np.uint8)
    assert recoloured(x).shape == x.shape and not (recoloured(grey) == grey).all()
    assert abs(recoloured(grey).astype(float).mean(3) - 128).max() < 2  # as bright as before


def test_views_of_a_look():
    look = Look(light=0.4, flip=True, flip_vertical=True, quarter_turns=True)
    assert look.weak(Batch()) == Weak(flip=True, flip_vertical=True, quarter_turns=True)
    assert look.strong(Batch()) == Strong(light=0.4, flip=True, flip_vertical=True, quarter_turns=True)
