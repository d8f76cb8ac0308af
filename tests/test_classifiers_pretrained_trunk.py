"""Classifiers whose network starts from ImageNet: the head, the first guess, the choice of the trunk, the model."""

import numpy as np
import pytest
import torch
from toys import striped

from sparring.classifiers import consistency, load_model, network, save_model
from sparring.classifiers.consistency import ConsistencyClassifier
from sparring.classifiers.finetune import FinetuneClassifier
from sparring.classifiers.looks import Look
from sparring.classifiers.network import PRETRAINED, Plan, Start, plan_for, seen_by, set_head
from sparring.classifiers.pseudo_labels import AgreeWithGuess
from sparring.classifiers.semi_gan import SemiGANClassifier
from sparring.classifiers.warm_start import WarmStart, warm_start
from sparring.errors import UsageError
from sparring.features import pretrained_features
from sparring.games.heads import DiscriminatorOutput
from sparring.games.nodes import Batch, Buffer, Discriminated
from sparring.games.training import new_state
from sparring.images import to_unit
from sparring.nets import efficientnet
from sparring.nets.layers import DataSpec

SMALL = {"threads": 1, "precision": "fp32", "device": "cpu", "random_state": 3}


def two_classes(count=40, labelled=12):
    """(images 16x16 in colour, labels with -1, true labels) of two classes, seen at 64 pixels."""
    x, y = (tensor.numpy().copy() for tensor in striped(3 * count, 16, 16, 3))
    x, y = x[y < 2][:count], y[y < 2][:count]
    hidden = y.copy()
    hidden[labelled:] = -1
    return x, hidden, y


def believed(monkeypatch, accuracy, *, graph=0.3, handcrafted=0.4):
    """A pretrained start of this accuracy, against a graph and handcrafted features of these."""
    x, hidden, _ = two_classes()
    rng = np.random.default_rng(0)
    first = rng.random((len(x), 1)).astype(np.float32)
    made = WarmStart(np.zeros((1280, 2), np.float32), np.zeros(2, np.float32), np.hstack([first, 1 - first]), accuracy)
    monkeypatch.setattr(consistency, "ask_graph", lambda *_: Start(None, graph))
    monkeypatch.setattr(consistency, "handcrafted_accuracy", lambda *_: handcrafted)
    monkeypatch.setattr(consistency, "warm_start", lambda *_, **__: made)
    return x, hidden


def test_the_untrained_network_says_what_the_logistic_regression_says():
    x, hidden, _ = two_classes()
    warm = warm_start(x, hidden, 0, device="cpu", guess=True)
    method = FinetuneClassifier(**SMALL)
    state = new_state(method._recipe(Plan(1, 8, 2), Look(), Start(warm=warm)), DataSpec.of(x, 2))
    set_head(state, warm)
    features = pretrained_features(x, device="cpu")[:, :1280]  # in bf16 where the processor has units for it
    for net in (state.nets["D"], state.averages["D"]):
        with torch.no_grad():
            said = net(to_unit(x)).logits.numpy()
            exact = net.body(to_unit(x)).numpy() @ warm.weights + warm.offset
        assert np.abs(said - exact).max() < 1e-4
        assert np.corrcoef(said.ravel(), (features @ warm.weights + warm.offset).ravel())[0, 1] > 0.995
    assert warm.accuracy is not None and 0 <= warm.accuracy <= 1
    assert warm.guess is not None and np.allclose(warm.guess.sum(1), 1, atol=1e-5)


def test_the_first_guess_is_right_where_classes_are_easy():
    x, hidden, true = two_classes(60)
    warm = warm_start(x, hidden, 0, device="cpu", guess=True)
    assert warm.guess is not None and (warm.guess.argmax(1) == true).mean() > 0.8
    assert warm_start(x, hidden, 0, device="cpu", guess=False).guess is None


def test_a_fine_tuned_model_needs_no_other_file(tmp_path, monkeypatch):
    x, hidden, _ = two_classes()
    made = FinetuneClassifier(steps=2, **SMALL).fit(x, hidden)
    assert made.record_.trunk == "efficientnet-lite0" and made.record_.size == "64x64"
    save_model(made, tmp_path / "model")
    monkeypatch.setattr(efficientnet, "imagenet_weights", None)  # calling it raises
    assert np.array_equal(load_model(tmp_path / "model").predict_proba(x), made.predict_proba(x))


@pytest.mark.parametrize(("accuracy", "trunk"), [(0.6, "efficientnet-lite0"), (0.35, None), (0.4, None)])
def test_held_out_labels_choose_the_trunk(monkeypatch, accuracy, trunk):
    x, hidden = believed(monkeypatch, accuracy)
    made = ConsistencyClassifier(steps=1, **SMALL).fit(x, hidden)
    assert made.record_.trunk == trunk
    assert (made.record_.pretrained is None) == (trunk is None)


def test_a_pretrained_trunk_keeps_to_the_minutes_whatever_steps_a_study_names(monkeypatch):
    x, hidden = believed(monkeypatch, 1.0)
    made = ConsistencyClassifier(steps=300, minutes=1e-6, **SMALL)
    assert made.fit(x, hidden).record_.steps == 1
    believed(monkeypatch, 0.0)
    assert ConsistencyClassifier(steps=2, minutes=1e-6, **SMALL).fit(x, hidden).record_.steps == 2  # from scratch


def test_without_imagenet_nothing_of_it_is_asked(monkeypatch):
    x, hidden = believed(monkeypatch, 1.0)
    monkeypatch.setattr(consistency, "warm_start", None)
    assert ConsistencyClassifier(steps=1, pretrained="none", **SMALL).fit(x, hidden).record_.trunk is None
    with pytest.raises(UsageError, match="finetune"):
        FinetuneClassifier(steps=1, pretrained="none", **SMALL).fit(x, hidden)


def test_the_game_switched_off_is_consistency_with_the_same_trunk(monkeypatch):
    x, hidden = believed(monkeypatch, 1.0)
    made = [
        method.fit(x, hidden)
        for method in (ConsistencyClassifier(steps=2, **SMALL), SemiGANClassifier(steps=2, game=0.0, **SMALL))
    ]
    assert made[0].record_.trunk == made[1].record_.trunk == "efficientnet-lite0"
    assert np.array_equal(made[0].predict_proba(x), made[1].predict_proba(x))


def test_teacher_and_first_guess_name_a_class_together():
    """By hand: the teacher has odds of 3 for class 0, the guess odds of 36 for class 1; 3^2 / 36 = 1 / 4."""
    teacher, student = Discriminated("D", averaged=True), Discriminated("D")
    logits, said = torch.tensor([[3.0, 1.0]]).log(), torch.tensor([[0.4, -0.3]])
    guess, belief = torch.tensor([[1.0, 36.0]]).div(37).log(), torch.full((3,), 0.5)
    context = {
        teacher: DiscriminatorOutput(logits, logits, {"logits": logits}),
        student: DiscriminatorOutput(said, said, {"logits": said}),
        Buffer("D", "belief"): belief,
        Batch("guess"): guess,
    }
    loss = AgreeWithGuess(teacher=teacher, student=student)
    expected = -(0.2 * said.log_softmax(1)[:, 0] + 0.8 * said.log_softmax(1)[:, 1])
    assert torch.allclose(loss(context), expected, atol=1e-6)
    # Class 1 seemed twice as frequent as it is: odds of 2 more for class 0, squared.
    context[Buffer("D", "belief")] = torch.tensor([1 / 3, 2 / 3, 0.5])
    expected = -(0.5 * said.log_softmax(1)).sum(1)
    assert torch.allclose(AgreeWithGuess(teacher=teacher, student=student, prior=(0.5, 0.5))(context), expected)


def test_the_first_guess_keeps_the_labels():
    x, hidden, _ = two_classes()
    guess = warm_start(x, hidden, 0, device="cpu", guess=True).guess
    assert guess is not None and np.array_equal(guess[:12], np.eye(2)[hidden[:12]])


def test_the_result_lies_between_start_and_end(monkeypatch):
    """Of the same three steps: 0 is the start, 1 the end, 0.6 is 0.6 of the way; half the usual steps half as much."""
    x, hidden, _ = two_classes()
    made = {}
    monkeypatch.setattr(network, "WARM_STEPS", 3)
    for share in (0.0, 0.6, 1.0):
        monkeypatch.setattr(network, "LEARNED", share)
        made[share] = FinetuneClassifier(steps=3, **SMALL).fit(x, hidden).weights_
    moved = 0
    for name, start in made[0.0].items():
        if name.endswith(("weight", "bias")):
            assert np.allclose(made[0.6][name], 0.4 * start + 0.6 * made[1.0][name], atol=1e-6)
            moved += not np.array_equal(start, made[1.0][name])
    assert moved > 50
    monkeypatch.setattr(network, "WARM_STEPS", 6)
    half = FinetuneClassifier(steps=3, **SMALL).fit(x, hidden).weights_
    assert all(
        np.allclose(half[name], (start + made[1.0][name]) / 2, atol=1e-6)
        for name, start in made[0.0].items()
        if name.endswith(("weight", "bias"))
    )


def test_the_first_stages_do_not_learn_and_let_gradients_of_images_pass():
    net, _ = PRETRAINED.trunk(DataSpec(3, 16, 16, 2), 3)
    x = torch.zeros(2, 3, 16, 16)
    net(x).sum().backward()
    every = dict(net.named_parameters())
    learns = {name for name, value in every.items() if value.grad is not None}
    first = {name for name in every if name.startswith(("body.stem", "body.stages.0", "body.stages.1"))}
    assert learns == every.keys() - first and len(first) == 18
    net(x.requires_grad_()).sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0


def test_steps_and_sizes_of_the_pretrained_network():
    labels = np.full(3000, -1)
    labels[:100] = 0
    few, many = np.empty((3000, 32, 32, 0), np.uint8), np.empty((50000, 32, 32, 0), np.uint8)
    assert plan_for(few, labels, None, warm=True) == Plan(400, 32, 3)
    assert plan_for(few, labels, 960, warm=True) == Plan(10, 32, 3)
    assert plan_for(many, labels, None, warm=True, gpu=True) == Plan(2000, 64, 7)
    assert seen_by(PRETRAINED, np.zeros((2, 224, 300, 3), np.uint8)).shape == (2, 160, 224, 3)
    assert seen_by(PRETRAINED, np.zeros((2, 32, 32, 3), np.uint8)).shape == (2, 32, 32, 3)
