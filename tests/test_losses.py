"""Each loss against its formula in probabilities, against a distribution, or against a loop."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch.distributions import Categorical, Normal, kl_divergence
from toys import FACTS, pools

from sparring.games import losses, measures
from sparring.games.builders import gan
from sparring.games.heads import DiscriminatorOutput, Patches
from sparring.games.losses import (
    KL,
    L1,
    R1,
    AdversarialLoss,
    Classify,
    ContinuousCodeLoss,
    Entropy,
    FeatureMatching,
    GradientPenalty,
    Hinge,
    HistoricalAverage,
    Information,
    LeastSquares,
    Minimax,
    NonSaturating,
    Orthogonal,
    PullAway,
    Relativistic,
    SquaredError,
    Wasserstein,
)
from sparring.games.measures import Accuracy, FractionReal, MeanScore, PairAccuracy, Sign
from sparring.games.nodes import (
    FAKE,
    REAL,
    Batch,
    Code,
    ContinuousCode,
    Features,
    Labels,
    Noise,
    Output,
    Reparameterised,
    Weights,
)
from sparring.games.players import Discriminator
from sparring.games.schedules import Cosine, Linear, Window, scheduled
from sparring.games.training import ShardContext, Sharding, Step, new_state, training
from sparring.nets.mlp import MLP
from sparring.nets.unet import PatchGAN

N = 6


class Known(dict):
    """A step in which every node has a value already."""

    trained = ("D",)
    batch_mean = staticmethod(lambda x: x.mean(0))


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def outputs(real, fake, trained=("D",)):
    """A step in which D gave these scores; features are arbitrary."""
    context = Known(
        {
            REAL: DiscriminatorOutput(normal(N, 1, 2, 2), normal(N, 5, seed=1), {"score": real}),
            FAKE: DiscriminatorOutput(normal(N, 1, 2, 2, seed=2), normal(N, 5, seed=3), {"score": fake}),
        }
    )
    context.trained = trained
    return context


# --- adversarial losses, in probabilities as the papers have them ----------------------------------------------------

REAL_SCORES, FAKE_SCORES = 2 * normal(N), 2 * normal(N, seed=1)
p_real, p_fake = REAL_SCORES.sigmoid(), FAKE_SCORES.sigmoid()
r, f = REAL_SCORES, FAKE_SCORES
PAPERS = {  # loss: what D minimises and what G minimises, for each image
    NonSaturating(): (-p_real.log() - (1 - p_fake).log(), -p_fake.log()),
    NonSaturating(smoothing=0.1): (
        -0.9 * p_real.log() - 0.1 * (1 - p_real).log() - (1 - p_fake).log(),
        -p_fake.log(),
    ),
    Minimax(): (-p_real.log() - (1 - p_fake).log(), (1 - p_fake).log()),
    LeastSquares(): ((r - 1) ** 2 / 2 + f**2 / 2, (f - 1) ** 2 / 2),
    Hinge(): (-torch.minimum(r - 1, 0 * r) - torch.minimum(-f - 1, 0 * f), -f),
    Wasserstein(): (-(r - f), -f),
    Relativistic(): (-(r - f).sigmoid().log(), -(f - r).sigmoid().log()),
    FeatureMatching(): (-p_real.log() - (1 - p_fake).log(), None),
}


@pytest.mark.parametrize("adversarial", PAPERS, ids=repr)
def test_an_adversarial_loss_is_the_papers_formula(adversarial):
    d, g = PAPERS[adversarial]
    assert torch.allclose(adversarial(outputs(r, f)), d, atol=1e-12)
    if g is not None:
        assert torch.allclose(adversarial(outputs(r, f, trained=("G",))), g, atol=1e-12)


KINDS = [kind for kind in vars(losses).values() if isinstance(kind, type) and issubclass(kind, AdversarialLoss)]
TRIED = [*PAPERS, *(kind() for kind in KINDS if kind not in {AdversarialLoss, *map(type, PAPERS)})]


def test_an_adversarial_loss_has_a_formula_here_or_says_that_it_has_none():
    """A new one needs no edit of this file: the tests below try it, and its docstring says "no oracle"."""
    without = [kind for kind in KINDS if kind not in {AdversarialLoss, *map(type, PAPERS)}]
    assert all("no oracle" in (kind.__doc__ or "").lower() for kind in without)
    assert len(KINDS) > 7


@pytest.mark.parametrize("adversarial", [c for c in TRIED if not isinstance(c, FeatureMatching)], ids=repr)
def test_both_players_gain_by_what_they_should(adversarial):
    """D's loss falls where real scores rise and fake scores fall, G's where fake scores rise; far scores are finite."""
    fake, real = FAKE_SCORES.clone().requires_grad_(), REAL_SCORES.clone().requires_grad_()
    d = torch.autograd.grad(adversarial(outputs(real / 4, fake / 4)).sum(), (real, fake))
    g = torch.autograd.grad(adversarial(outputs(real / 4, fake / 4, trained=("G",))).sum(), fake)[0]
    # Least squares pulls scores to a target, from both sides.
    least = isinstance(adversarial, LeastSquares)
    assert least or ((d[0] <= 0).all() and (d[1] >= 0).all() and (g <= 0).all())
    assert d[0].abs().sum() > 0 and d[1].abs().sum() > 0 and g.abs().sum() > 0
    for extreme in (1e4, -1e4):
        far = torch.full((N,), extreme)
        assert (
            adversarial(outputs(far, -far)).isfinite().all() and adversarial(outputs(far, far, ("G",))).isfinite().all()
        )


def test_every_loss_of_the_package_has_a_title():
    """Curves carry it: a class without one would be shown by its class's name."""
    for module in (losses, measures):
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, measures.Loss) and kind is not measures.Loss:
                assert kind.title and kind.title[0].islower(), kind


def test_matching_is_the_squared_gap_of_mean_features():
    context = outputs(r, f, trained=("G",))
    a, b = context[REAL].features, context[FAKE].features
    by_hand = sum((a[:, k].mean() - b[:, k].mean()) ** 2 for k in range(5)) / 5
    assert torch.allclose(FeatureMatching()(context), by_hand)


@pytest.mark.parametrize("adversarial", [c for c in TRIED if not isinstance(c, FeatureMatching)], ids=repr)
def test_a_score_for_each_patch_counts_as_the_mean_over_patches(adversarial):
    """Of the losses, not of the scores: a patch's loss is not linear."""
    real, fake = 2 * normal(N, 7, seed=4), 2 * normal(N, 7, seed=5)
    for trained in (("D",), ("G",)):
        each = [adversarial(outputs(real[:, k], fake[:, k], trained)) for k in range(7)]
        assert torch.allclose(adversarial(outputs(real, fake, trained)), sum(each) / 7)
        assert adversarial(outputs(real, fake, trained)).shape == (N,)


def test_measures_count():
    context = outputs(torch.tensor([1.0, -1, 2, -0.5, 3, 0]), torch.tensor([2.0, -2, 1, 0.5, 4, -1]))
    assert FractionReal(of=REAL)(context).tolist() == [1, 0, 1, 0, 1, 0]
    assert MeanScore(of=FAKE)(context).tolist() == [2, -2, 1, 0.5, 4, -1]
    assert PairAccuracy()(context).tolist() == [0, 1, 1, 0, 0, 1]
    assert Sign()(context).tolist() == [1, -1, 1, -1, 1, 0]
    assert Sign(rival=FAKE)(context).tolist() == [-1, 1, 1, -1, -1, 1]
    patches = outputs(torch.tensor([[1.0, -1]] * N), torch.tensor([[2.0, -2]] * N))
    assert FractionReal()(patches).tolist() == [0.5] * N and Sign()(patches).tolist() == [0] * N
    assert PairAccuracy()(patches).tolist() == [0.5] * N


# --- gradients -------------------------------------------------------------------------------------------------------


def output_of(score, x=None):
    """A step in which D's score is this function of the image, at real images, fakes, and between."""
    x = normal(N, 1, 3, 2, seed=7).requires_grad_() if x is None else x
    return x, Known(
        {node: DiscriminatorOutput(x, x.flatten(1), {"score": score(x)}) for node in (REAL, FAKE, GradientPenalty().at)}
    )


def test_the_slope_of_a_linear_score_is_its_weights():
    w = normal(6, seed=8)
    x, context = output_of(lambda x: x.flatten(1) @ w)
    assert torch.allclose(R1()(context), (w**2).sum().expand(N) / 2)
    assert torch.allclose(R1(at=FAKE)(context), (w**2).sum().expand(N) / 2)
    assert torch.allclose(GradientPenalty()(context), ((w**2).sum().sqrt() - 1).square().expand(N))


def test_the_slope_of_a_curved_score_and_its_own_slope():
    """score = sum x^3 / 3: the slope is x^2, R1 is sum x^4 / 2, and its gradient 2 x^3."""
    x, context = output_of(lambda x: x.flatten(1).pow(3).sum(1) / 3)
    penalty = R1()(context)
    assert torch.allclose(penalty, x.flatten(1).pow(4).sum(1) / 2)
    assert torch.allclose(torch.autograd.grad(penalty.sum(), x)[0], 2 * x**3)


def test_the_slope_of_patches_is_that_of_their_mean():
    x, context = output_of(lambda x: x.flatten(1))  # six patches, each its own pixel
    assert torch.allclose(R1()(context), torch.full((N,), 6 * (1 / 6) ** 2 / 2).double())


def context_of(recipe, *, player=0, dtype=torch.float64, batch=8):
    state = new_state(recipe, FACTS, dtype=dtype)
    return ShardContext(Step(recipe.players[player], 0, 0.0, batch, 0), state, pools(), Sharding(), (0, batch)), state


def test_a_penalty_in_the_loop_is_the_slope_by_differences():
    recipe = gan("ours", Hinge(), d=(R1(), R1(at=FAKE), GradientPenalty()), discriminator=Discriminator(net=MLP((8,))))
    context, state = context_of(recipe)
    D, step = state.nets["D"], 1e-6
    for loss in recipe.players[0].losses[1:]:
        x = context[loss.at].x.detach()
        nudges = step * torch.eye(x[0].numel(), dtype=torch.float64).view(-1, *x.shape[1:])
        slopes = [(D(image + nudges).score - D(image - nudges).score) / (2 * step) for image in x]
        squared = torch.stack([slope.square().sum() for slope in slopes]).detach()
        by_hand = (squared.sqrt() - 1) ** 2 if isinstance(loss, GradientPenalty) else squared / 2
        assert torch.allclose(loss(context).detach(), by_hand, rtol=1e-5), loss


# --- labels and codes ------------------------------------------------------------------------------------------------


def test_classify_is_the_log_probability_of_the_label():
    logits = normal(N, 3)
    y = torch.tensor([0, 1, 2, -1, 1, 0])
    context = Known({REAL: SimpleNamespace(logits=logits), Batch("y"): y})
    expected = -Categorical(logits=logits).log_prob(y.clamp(min=0)) * (y >= 0)
    assert torch.allclose(Classify()(context), expected)
    soft = normal(N, 3, seed=3).softmax(1)
    context[Batch("y")] = soft
    assert torch.allclose(Classify()(context), -(soft * logits.log_softmax(1)).sum(1))
    context[Batch("y")] = y
    assert Accuracy()(context).tolist() == [float(logits[i].argmax() == y[i]) for i in range(N)]


def test_continuous_codes_have_a_normal_likelihood():
    mean, log_var, continuous = normal(N, 2), normal(N, 2, seed=1), normal(N, 2, seed=2)
    context = Known({FAKE: SimpleNamespace(code_params=torch.cat([mean, log_var], 1)), ContinuousCode(): continuous})
    expected = -Normal(mean, (log_var / 2).exp()).log_prob(continuous).sum(1)
    constant = math.log(2 * math.pi)  # of two dimensions: twice half of it
    assert torch.allclose(ContinuousCodeLoss()(context) + constant, expected)


def test_entropy_is_that_of_the_classes():
    logits = 3 * normal(N, 4)
    context = Known({REAL: SimpleNamespace(logits=logits)})
    assert torch.allclose(Entropy()(context), Categorical(logits=logits).entropy())
    context[REAL] = SimpleNamespace(logits=torch.zeros(N, 4))
    assert torch.allclose(Entropy()(context), torch.full((N,), math.log(4)))
    context[REAL] = SimpleNamespace(logits=torch.tensor([[1e4, 0, 0, 0]]))
    assert Entropy()(context).tolist() == [0]


def test_information_is_that_between_image_and_class():
    logits = 3 * normal(N, 4)
    context = Known({REAL: SimpleNamespace(logits=logits)})
    p = logits.softmax(1).numpy() / N  # the joint distribution of image and class
    expected = sum(p[i, k] * math.log(p[i, k] / (p[:, k].sum() / N)) for i in range(N) for k in range(4))
    assert math.isclose(-Information()(context).item(), expected, rel_tol=1e-9)
    context[REAL] = SimpleNamespace(logits=torch.tensor([[1e4, 0.0], [0.0, 1e4]]))  # sure, both classes in use
    assert math.isclose(Information()(context).item(), -math.log(2), rel_tol=1e-6)


def test_pull_away_is_the_mean_squared_cosine_of_pairs():
    h = normal(N, 5)
    pairs = [(h[i] @ h[j]) ** 2 / (h[i] @ h[i]) / (h[j] @ h[j]) for i in range(N) for j in range(N) if i != j]
    assert torch.allclose(PullAway()(Known({Features(FAKE): h})), torch.stack(pairs).mean())
    assert PullAway()(Known({Features(FAKE): torch.eye(5)})).abs() < 1e-6
    assert PullAway()(Known({Features(FAKE): torch.ones(4, 5)})) == pytest.approx(1, abs=1e-6)


# --- reconstructions -------------------------------------------------------------------------------------------------


def test_reconstructions_are_distributions():
    x, made, code = normal(N, 1, 3, 2), normal(N, 1, 3, 2, seed=1), normal(N, 8, seed=2)
    E = Output("E", Batch())
    context = Known({Batch("x"): x, FAKE.of: made, E: code})
    mean, deviation = code[:, :4], (code[:, 4:] / 2).exp()
    assert torch.allclose(L1()(context), torch.stack([abs(made[i] - x[i]).sum() / 6 for i in range(N)]))
    assert torch.allclose(KL(of=E)(context), kl_divergence(Normal(mean, deviation), Normal(0.0, 1.0)).sum(1))
    likelihood = Normal(made, 0.4).log_prob(x).flatten(1).sum(1)
    constant = -6 * math.log(0.4 * math.sqrt(2 * math.pi))
    assert torch.allclose(-SquaredError(deviation=0.4)(context) + constant, likelihood)


# --- weights ---------------------------------------------------------------------------------------------------------


def test_orthogonal_counts_products_of_different_filters():
    kernel, tall, vector = normal(3, 2, 2, 2), normal(5, 2, seed=1), normal(4, seed=2)
    context = Known({Weights("G"): {"kernel": kernel, "tall": tall, "vector": vector}})
    expected = sum((kernel[i] * kernel[j]).sum() ** 2 for i in range(3) for j in range(3) if i != j)
    expected = expected + 2 * (tall[:, 0] @ tall[:, 1]) ** 2  # more rows than numbers in each: its columns
    assert torch.allclose(Orthogonal()(context), expected)
    context[Weights("G")] = {"w": 7 * torch.eye(3), "tall": torch.eye(5)[:, :2]}
    assert Orthogonal()(context) == 0


def test_the_historical_average_is_the_distance_to_the_weight_average():
    now, mean = {"a": normal(3, 2), "b": normal(4)}, {"a": normal(3, 2, seed=1), "b": normal(4, seed=2)}
    context = Known({Weights("G"): now, Weights("G", averaged=True): mean})
    expected = sum((x - y) ** 2 for k in now for x, y in zip(now[k].flatten(), mean[k].flatten(), strict=True))
    assert torch.allclose(HistoricalAverage()(context), expected)


def test_losses_on_weights_reach_all_of_them():
    """In the loop: G's weights are read as they are, and a loss on them has a gradient for each."""
    recipe = gan("ours", Hinge(), g=(Orthogonal(), HistoricalAverage()), discriminator=Discriminator(net=MLP((8,))))
    context, state = context_of(recipe, player=1)
    assert HistoricalAverage()(context) == 0
    for p in state.averages["G"].parameters():
        p.add_(0.5)
    count = sum(p.numel() for p in state.nets["G"].parameters())
    assert HistoricalAverage()(context).item() == pytest.approx(count / 4)
    HistoricalAverage()(context).backward()
    assert all(torch.allclose(p.grad, torch.full_like(p, -1.0)) for p in state.nets["G"].parameters())


# --- nodes that draw -------------------------------------------------------------------------------------------------


def test_random_nodes_have_their_distributions():
    recipe = gan("ours", Hinge(), discriminator=Discriminator(net=MLP((8,))))
    context, _ = context_of(recipe, batch=4000)
    context.data = pools(count=300)
    code, continuous, labels = context[Code(5)], context[ContinuousCode(3)], context[Labels()]
    assert code.dtype == labels.dtype == torch.int64 and continuous.shape == (4000, 3)
    assert (code.bincount() / 4000 - 0.2).abs().max() < 0.03 and set(code.tolist()) == set(range(5))
    assert -1 <= continuous.min() < -0.99 and 0.99 < continuous.max() < 1
    assert continuous.mean(0).abs().max() < 0.04 and (continuous.var(0) - 1 / 3).abs().max() < 0.02
    z = context[Noise(16)]
    assert z.mean().abs() < 0.02 and (z.var() - 1).abs() < 0.03
    same = torch.cat([torch.ones(4000, 4), torch.zeros(4000, 4)], 1).double()
    E = Output("E", Batch())
    context.computed[E] = same
    drawn = context[Reparameterised(E)]
    assert (drawn.mean(0) - 1).abs().max() < 0.06 and (drawn.var(0) - 1).abs().max() < 0.09


# --- patches in a game -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("adversarial", [NonSaturating(), LeastSquares(), Hinge(), Relativistic()], ids=repr)
def test_a_game_of_patches_trains(adversarial):
    discriminator = Discriminator(net=PatchGAN(4), head=Patches())
    recipe = gan("ours", adversarial, d=(R1(),), discriminator=discriminator, batch=8)
    state = new_state(recipe, FACTS)
    assert state.nets["D"](torch.zeros(2, 1, 12, 10)).score.shape == (2, 3 * 2)
    _, means = next(training(recipe, state, pools(), images=8))
    assert all(mean.isfinite() and mean.ndim == 0 for mean in means.values())


# --- schedules -------------------------------------------------------------------------------------------------------


def test_schedules():
    assert [scheduled(Linear(2, 1), p) for p in (0, 0.5, 1)] == [2, 1.5, 1]
    assert [scheduled(Linear(2, 0, ramp=0.5), p) for p in (0, 0.25, 0.5, 1)] == [0, 0.75, 1, 0]
    assert [round(scheduled(Cosine(0.5, 0.1), p), 6) for p in (0, 0.5, 1)] == [0.5, 0.3, 0.1]
    assert [scheduled(Window(3, 0.2, 0.8, ramp=0.2), p) for p in (0, 0.2, 0.3, 0.5, 0.7, 0.8)] == pytest.approx(
        [0, 0, 1.5, 3, 1.5, 0]
    )
    assert scheduled(Window(3, 0.5), 1.0) == 0 and scheduled(Window(3, 0.5), 0.999) == 3 and scheduled(0.7, 0.3) == 0.7


def test_a_scheduled_weight_scales_with_how_often_a_term_counts():
    assert R1(Cosine(1.0, 0.1), every=4).scale(0.0) == 4 and R1(Cosine(1.0, 0.1), every=4).scale(1.0) == pytest.approx(
        0.4
    )
    assert Orthogonal().scale(0.3) == 1e-4
