"""Every family at every size: shapes, ranges, what depends on what; special layers against loops; heads; bf16."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus
from toys import FACTS

from sparring.games.constraints import SpectralNorm, WeightClip
from sparring.games.heads import (
    Classes,
    ClassesAsScore,
    Codes,
    Patches,
    Projection,
    ProjectionAndClasses,
    Score,
    ScoreAndClasses,
)
from sparring.games.players import Discriminator, Encoder, Generator, Translator
from sparring.nets.classifiers import SmallCNN
from sparring.nets.dcgan import DCGAN
from sparring.nets.layers import Architecture, Attention, DataSpec
from sparring.nets.mlp import MLP
from sparring.nets.r3gan import R3GAN, R3Block
from sparring.nets.resnet import ConditionedNorm, ResNet
from sparring.nets.salimans2016 import REFERENCE_SIZE, MinibatchDiscrimination, Nearness, ReferredNorm, VirtualBatchNorm
from sparring.nets.unet import PatchGAN, UNet

SIZES = [(1, 28, 28), (3, 32, 32), (1, 12, 10), (3, 45, 31), (1, 8, 8), (3, 9, 17)]
deep = R3GAN(4, group=4)
MAKERS = [
    MLP((16,)),
    DCGAN(4),
    DCGAN(4, batchnorm=False),
    ResNet(8),
    ResNet(8, attention=True),
    ResNet(8, attention=True, layered=True),
    deep,
    R3GAN(6, blocks=2, group=4),
    VirtualBatchNorm(DCGAN(4)),
    VirtualBatchNorm(ResNet(8, layered=True)),
]
TRUNKS = [
    MLP((16,)),
    DCGAN(4),
    DCGAN(4, batchnorm=False),
    ResNet(8),
    ResNet(8, attention=True),
    deep,
    MinibatchDiscrimination(DCGAN(4, batchnorm=False), 3, 2),
    MinibatchDiscrimination(MLP((16,)), 3, 2),
    SmallCNN((4, 4, 4)),
    PatchGAN(4),
]


def drawn(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def spread(module, seed=0):
    """The module with every weight drawn anew, so that nothing starts at 0."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(0.3 * torch.randn(p.shape, generator=g, dtype=p.dtype))
    return module


# --- shapes, ranges --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", MAKERS, ids=repr)
@pytest.mark.parametrize("shape", SIZES)
def test_a_generator_makes_images_of_any_size(family, shape):
    data_spec, z, y = DataSpec(*shape, 4), drawn(6, 8), torch.arange(6) % 4
    G = Generator(net=family, z=8, labels=True).build(data_spec)
    x = G(z, y)
    assert x.shape == (6, *shape) and x.std() > 0 and x.isfinite().all()
    if not isinstance(family, R3GAN):  # which has no tanh
        assert spread(G)(z, y).abs().max() <= 1
    assert Generator(net=family, z=8).build(data_spec)(z).shape == x.shape


@pytest.mark.parametrize("family", TRUNKS, ids=repr)
@pytest.mark.parametrize("shape", SIZES)
def test_a_trunk_reads_images_of_any_size(family, shape):
    data_spec = DataSpec(*shape, 4)
    for channels in (shape[0], 2 * shape[0] + 1):  # with a source and a mask beside the image
        trunk, features = family.trunk(data_spec, channels)
        h = trunk(drawn(6, channels, *shape[1:]))
        assert h.shape[:2] == (6, features) and h.isfinite().all()
        assert h.ndim == (4 if family.gives_maps else 2)
        assert (h[0] != h[1]).any()


@pytest.mark.parametrize("shape", [*SIZES, (3, 5, 3), (1, 1, 1)])
@pytest.mark.parametrize("halvings", [0, 1, 2, 3])
def test_a_unet_keeps_any_size(shape, halvings):
    net = spread(UNet(4, halvings).translator(DataSpec(*shape), shape[0] + 1))
    x = drawn(2, shape[0] + 1, *shape[1:])
    assert net(x).shape == (2, *shape) and net(x).std() > 0
    assert Translator(net=UNet(4, halvings), mask=True).build(DataSpec(*shape))(x).shape == (2, *shape)


def test_a_unet_carries_single_pixels_across_and_looks_around():
    net = spread(UNet(4).translator(DataSpec(1, 16, 16), 1)).double()
    x = drawn(1, 1, 16, 16, dtype=torch.float64).requires_grad_()
    slope = torch.autograd.grad(net(x)[0, 0, 8, 8], x)[0][0, 0].abs()
    assert slope[8, 8] > 0 and (slope > 0).sum() > 100


@pytest.mark.parametrize("labels", [False, True])
def test_an_encoder_gives_as_many_numbers_as_are_asked_for(labels):
    E = Encoder(net=DCGAN(4), outputs=6, labels=labels).build(FACTS)
    x, y = drawn(4, 1, 12, 10), torch.tensor([0, 1, 2, 0])
    code = E(x, y) if labels else E(x)
    assert code.shape == (4, 6)
    assert not labels or not torch.equal(E(x, (y + 1) % 3), code)


def test_a_patch_is_as_wide_as_its_networks_see():
    D = spread(Discriminator(net=PatchGAN(4), head=Patches()).build(DataSpec(1, 64, 64))).double()
    x = drawn(1, 1, 64, 64, dtype=torch.float64).requires_grad_()
    scores = D(x).score
    assert scores.shape == (1, 16 * 16)
    slope = torch.autograd.grad(scores[0, 8 * 16 + 8], x)[0][0, 0]
    seen = (slope != 0).nonzero()
    assert (seen.amax(0) - seen.amin(0) + 1).tolist() == [26, 26]


# --- what depends on what --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", TRUNKS, ids=repr)
def test_a_trunk_says_whether_it_ties_images(family: Architecture):
    trunk = spread(family.trunk(DataSpec(1, 16, 16), 1)[0]).double()
    x = drawn(6, 1, 16, 16, dtype=torch.float64)
    alone = torch.cat([trunk(x[:3]), trunk(x[3:])])
    assert torch.allclose(trunk(x), alone, atol=1e-9) is not bool(family.image_ties)


@pytest.mark.parametrize("family", MAKERS, ids=repr)
def test_only_batch_norm_lets_made_images_depend_on_each_other(family):
    G = Generator(net=family, z=8, labels=True).build(DataSpec(1, 16, 16, 3)).double()
    z, y = drawn(6, 8, dtype=torch.float64), torch.arange(6) % 3
    alone = torch.cat([G(z[:3], y[:3]), G(z[3:], y[3:])])
    tied = any(isinstance(layer, nn.BatchNorm2d) for layer in G.modules())
    assert torch.allclose(G(z, y), alone, atol=1e-9) is not tied
    assert tied == (family in (DCGAN(4), ResNet(8), ResNet(8, attention=True), MAKERS[5]))


@pytest.mark.parametrize("family", MAKERS, ids=repr)
def test_labels_codes_and_sliders_change_what_is_made(family):
    G = spread(Generator(net=family, z=8, labels=True, codes=4, continuous=2).build(DataSpec(1, 16, 16, 3)))
    z, y, code, continuous = drawn(4, 8), torch.zeros(4).long(), torch.zeros(4).long(), torch.zeros(4, 2)
    x = G(z, y, code, continuous)
    assert not torch.allclose(G(-z, y, code, continuous), x)
    assert not torch.allclose(G(z, y + 1, code, continuous), x)
    assert not torch.allclose(G(z, y, code + 1, continuous), x)
    assert not torch.allclose(G(z, y, code, continuous + 1), x)


def test_labels_enter_as_one_hot_numbers_behind_the_noise():
    G = Generator(net=MLP((16,)), z=2, labels=True, codes=4, continuous=1).build(DataSpec(1, 8, 8, 3))
    z, y, code, continuous = drawn(2, 2), torch.tensor([2, 0]), torch.tensor([1, 3]), drawn(2, 1)
    x = torch.cat([z, torch.tensor([[0.0, 0, 1, 0, 1, 0, 0], [1, 0, 0, 0, 0, 0, 1]]), continuous], 1)
    assert torch.equal(G(z, y, code, continuous), G.body(x))


def test_labels_change_the_score():
    D, x = Discriminator(net=MLP(), head=Projection()).build(DataSpec(1, 8, 8, 3)), drawn(4, 1, 8, 8)
    assert not torch.equal(D(x, torch.zeros(4).long()).score, D(x, torch.ones(4).long()).score)


# --- special layers against loops ------------------------------------------------------------------------------------


def test_an_image_by_virtual_batch_norm_is_the_same_alone_and_in_a_batch():
    G = Generator(net=VirtualBatchNorm(DCGAN(4)), z=8).build(DataSpec(1, 16, 16)).double()
    z = drawn(40, 8, dtype=torch.float64)
    assert torch.allclose(G(z)[7:8], G(z[7:8]), atol=1e-12)
    assert torch.equal(G.eval()(z), G.train()(z))
    assert "body.reference" in G.state_dict()  # it is part of what is saved


def test_virtual_batch_norm_against_a_loop():
    """Each image normalised by the mean and variance of 33 images: the reference and itself."""
    norm = spread(ReferredNorm(3)).double()
    h = drawn(REFERENCE_SIZE + 4, 3, 5, 4, dtype=torch.float64)
    out = norm(h)
    for i in range(REFERENCE_SIZE + 4):
        both = torch.cat([h[:REFERENCE_SIZE], h[i : i + 1]])
        for c in range(3):
            mean, variance = both[:, c].mean(), both[:, c].var(correction=0)
            expected = norm.weight[c] * (h[i, c] - mean) / (variance + 1e-5).sqrt() + norm.bias[c]
            assert torch.allclose(out[i, c], expected)


def test_nearness_against_a_loop():
    """Salimans et al. 2016, section 3.2: o(x_i)_b = sum over other images of exp(-|M_ib - M_jb|_1)."""
    layer = Nearness(5, kernels=3, dim=2).double()
    h = drawn(6, 5, dtype=torch.float64)
    m = (h @ layer.project.weight.T).view(6, 3, 2)
    near = torch.zeros(6, 3, dtype=torch.float64)
    for i in range(6):
        for j in range(6):
            for b in range(3):
                near[i, b] += (-(m[i, b] - m[j, b]).abs().sum()).exp() if i != j else 0
    assert torch.allclose(layer(h), torch.cat([h, near], 1), atol=1e-12)
    assert torch.allclose(layer(h[:1].expand(6, 5))[:, 5:], torch.full((6, 3), 5.0).double())  # all alike
    assert torch.autograd.gradcheck(layer, drawn(3, 5, dtype=torch.float64).requires_grad_())


@pytest.mark.parametrize(("height", "width"), [(4, 4), (6, 4), (5, 7)])
def test_attention_against_a_loop(height, width):
    layer = spread(Attention(16)).double()
    x = drawn(2, 16, height, width, dtype=torch.float64)
    kernels = {name: getattr(layer, name).weight[:, :, 0, 0] for name in ("query", "key", "value", "back")}
    rows, columns = height // 2, width // 2

    def pooled(kernel, image):
        """The largest of each 2x2 places, number by number."""
        values = torch.einsum("oc,chw->ohw", kernel, image)
        return {
            (r, c): values[:, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2].flatten(1).amax(1)
            for r in range(rows)
            for c in range(columns)
        }

    out = layer(x)
    for i in range(2):
        keys, values = pooled(kernels["key"], x[i]), pooled(kernels["value"], x[i])
        for r in range(height):
            for c in range(width):
                query = kernels["query"] @ x[i, :, r, c]
                looks = torch.stack([query @ key for key in keys.values()]).exp()
                seen = sum(look * value for look, value in zip(looks / looks.sum(), values.values(), strict=True))
                assert torch.allclose(out[i, :, r, c], x[i, :, r, c] + layer.amount * (kernels["back"] @ seen))


def test_attention_adds_nothing_at_first():
    x = drawn(2, 16, 4, 4)
    assert torch.equal(Attention(16)(x), x)


def test_in_a_layered_network_noise_and_label_reach_every_block():
    spec, data_spec = ResNet(8, layered=True), DataSpec(1, 32, 32, 3)  # three blocks: noise in four pieces
    G = spread(Generator(net=spec, z=18, labels=True).build(data_spec)).double()
    assert G.body.pieces == [6, 4, 4, 4, 3]
    z, y = drawn(4, 18, dtype=torch.float64), torch.zeros(4).long()
    x = G(z, y)
    for start, stop in ((0, 6), (6, 10), (10, 14), (14, 18)):
        other = z.clone()
        other[:, start:stop] *= -1
        assert (G(other, y) - x).abs().max() > 1e-3
    assert (G(z, y + 1) - x).abs().max() > 1e-3
    for up in G.body.ups:  # each norm has the label's 64 numbers and its own four
        assert up.norm1.scale.in_features == up.norm2.shift.in_features == 64 + 4
    for up in G.body.ups[:-1]:  # the label still comes in by the last block alone
        for norm in (up.norm1, up.norm2):
            norm.scale.weight.data[:, 4:], norm.shift.weight.data[:, 4:] = 0, 0
    assert (G(z, y + 1) - G(z, y)).abs().max() > 1e-3


def test_a_label_is_at_first_as_loud_as_its_piece_of_noise():
    G = Generator(net=ResNet(8, layered=True), z=18, labels=True).build(DataSpec(1, 32, 32, 300))
    assert math.isclose(G.body.shared.weight.square().sum(0).mean().item(), 4, rel_tol=0.05)  # of 4 normal numbers


def test_a_conditioned_norm_against_a_loop():
    norm = spread(ConditionedNorm(3, 2)).double()
    x, numbers = drawn(4, 3, 5, 4, dtype=torch.float64), drawn(4, 2, seed=1, dtype=torch.float64)
    out = norm(x, numbers)
    for c in range(3):
        plain = (x[:, c] - x[:, c].mean()) / (x[:, c].var(correction=0) + 1e-5).sqrt()
        for i in range(4):
            scale, shift = norm.scale.weight[c] @ numbers[i], norm.shift.weight[c] @ numbers[i]
            assert torch.allclose(out[i, c], plain[i] * (1 + scale) + shift)


def test_r3gans_blocks_start_as_nothing_and_have_no_norm():
    x = drawn(2, 8, 6, 6)
    assert torch.equal(R3Block(8, 4, 1)(x), x)
    for net in (deep.generator(FACTS, 8), deep.trunk(FACTS, 1)[0]):
        assert not any("Norm" in type(layer).__name__ for layer in net.modules())
    block = R3Block(8, 4, 1)
    assert block.mix.groups == 4 and block.mix.in_channels == 16  # four channels in each
    assert not torch.equal(spread(block)(x), x)


@pytest.mark.parametrize("family", TRUNKS[:1] + TRUNKS[2:6], ids=repr)
def test_slopes_of_a_trunk_can_be_penalised(family):
    """The penalty's own gradient, against differences."""
    D = spread(Discriminator(net=family).build(DataSpec(1, 8, 8))).double()
    x = drawn(2, 1, 8, 8, dtype=torch.float64).requires_grad_()

    def penalty():
        return torch.autograd.grad(D(x).score.sum(), x, create_graph=True)[0].square().sum()

    w = next(iter(D.parameters()))
    slope, place = torch.autograd.grad(penalty(), w)[0], (0,) * w.ndim
    step, found = 1e-6, []
    for sign in (1, -1):
        with torch.no_grad():
            w[place] += sign * step
        found.append(penalty().item())
        with torch.no_grad():
            w[place] -= sign * step
    assert slope[place].item() == pytest.approx((found[0] - found[1]) / (2 * step), rel=1e-3, abs=1e-6)


# --- constraints -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [MLP((16,)), DCGAN(4), ResNet(8, attention=True)], ids=repr)
def test_spectral_norm_brings_every_largest_singular_value_to_1(family):
    with torch.random.fork_rng(devices=[]):  # the same weights whatever ran before
        torch.manual_seed(0)
        D = Discriminator(net=family, head=Projection(), constraint=SpectralNorm()).build(DataSpec(1, 16, 16, 3))
        G = Generator(net=family, z=8, constraint=SpectralNorm()).build(DataSpec(1, 16, 16))
    x, y = drawn(4, 1, 16, 16), torch.tensor([0, 1, 2, 0])
    for _ in range(200):  # one step of the power iteration each: few do not tell two near values apart
        D(x, y), G(drawn(4, 8))
    counted = 0
    for net in (D.eval(), G.eval()):
        for layer in net.modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.Embedding)):
                w = layer.weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else layer.weight
                assert torch.linalg.svdvals(w.detach().flatten(1))[0] == pytest.approx(1, abs=0.02)
                counted += 1
    assert counted > 4


def test_clipped_weights_stay_within_the_bound():
    D = spread(Discriminator(net=DCGAN(4), constraint=WeightClip(0.05)).build(FACTS))
    before = [p.clone() for p in D.parameters()]
    D.after_step({})
    for p, old in zip(D.parameters(), before, strict=True):
        assert torch.equal(p, old.clamp(-0.05, 0.05))
    assert SpectralNorm().lipschitz and WeightClip().lipschitz


@pytest.mark.parametrize(
    ("height", "width", "channels"),
    [(28, 28, [8, 16]), (32, 40, [8, 16, 32]), (44, 64, [8, 16, 32]), (48, 48, [4, 8, 16]), (64, 70, [4, 8, 16, 32])],
)
def test_networks_of_larger_images_are_thinner_beyond_a_size(height, width, channels):
    spec = DataSpec(3, height, width)
    trunk, _ = DCGAN(8, batchnorm=False, full_until=32).trunk(spec, 3)
    assert [layer.out_channels for layer in trunk if isinstance(layer, nn.Conv2d)] == channels
    made = DCGAN(8, full_until=32).generator(spec, 5)
    assert [layer.in_channels for layer in made if isinstance(layer, nn.ConvTranspose2d)] == channels[::-1]
    assert made(drawn(2, 5)).shape == (2, 3, height, width)


# --- heads -----------------------------------------------------------------------------------------------------------

HEADS = [
    Score(),
    Projection(),
    Classes(),
    ClassesAsScore(),
    ScoreAndClasses(),
    ProjectionAndClasses(),
    Codes(5, 2, hidden=8),
    Patches(),
]


@pytest.mark.parametrize("head", HEADS, ids=repr)
def test_a_head_gives_what_it_says(head):
    family = PatchGAN(4) if head.wants_maps else MLP((16,))
    output = Discriminator(net=family, head=head).build(DataSpec(1, 8, 8, 3))(drawn(4, 1, 8, 8), torch.zeros(4).long())
    given = set(output.by_head)
    assert given == set(head.gives) <= {"score", "logits", "code_params"}
    assert output.features.shape == ((4, 8, 2, 2) if head.wants_maps else (4, 16))
    if "score" in given:
        assert output.score.shape == ((4, 4) if head.wants_maps else (4,))
    if isinstance(head, Codes):
        assert output.logits.shape == (4, 5) and output.code_params.shape == (4, 4)
    elif "logits" in given:
        assert output.logits.shape == (4, 3)


@pytest.mark.parametrize("head", [Projection(), ProjectionAndClasses()], ids=repr)
def test_projection_is_the_score_and_the_labels_direction(head):
    D = spread(Discriminator(net=MLP((16,)), head=head).build(DataSpec(1, 8, 8, 3)))
    y = torch.tensor([0, 1, 2, 1])
    output = D(drawn(4, 1, 8, 8), y)
    for i in range(4):
        h = output.features[i]
        score = D.head["score"].weight[0] @ h + D.head["score"].bias[0] + D.head["label"].weight[y[i]] @ h
        assert output.score[i].item() == pytest.approx(score.item(), abs=1e-4)
        if "logits" in head.gives:
            logits = D.head["classes"].weight @ h + D.head["classes"].bias
            torch.testing.assert_close(output.logits[i], logits, rtol=1e-4, atol=1e-4)


def test_k_plus_one_classes_by_hand():
    """P(real) of Salimans et al. 2016 is Z / (Z + 1); softplus(-score) is its negative logarithm."""
    D = Discriminator(net=MLP(), head=ClassesAsScore()).build(DataSpec(1, 8, 8, 3))
    output = D(drawn(4, 1, 8, 8))
    z = output.logits.exp().sum(1)
    assert torch.allclose(softplus(-output.score), -(z / (z + 1)).log(), atol=1e-5)


# --- bf16 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", TRUNKS, ids=repr)
def test_scores_keep_their_digits_in_bf16(family):
    """Inside, numbers are rounded; the score is float32, with more digits than bf16 has, and near the unrounded one."""
    D = Discriminator(net=family, head=Patches() if family.gives_maps else Score()).build(DataSpec(1, 16, 16))
    x = drawn(64, 1, 16, 16)
    exact = D(x)
    with torch.autocast("cpu", torch.bfloat16):
        output = D(x)
    assert output.score.dtype == output.features.dtype == torch.float32
    assert (output.score != output.score.bfloat16()).float().mean() > 0.9
    error = (output.features - exact.features).square().mean() / exact.features.square().mean()
    assert math.sqrt(error.item()) < 0.05


@pytest.mark.parametrize("family", MAKERS, ids=repr)
def test_images_made_in_bf16_are_near_those_of_float32(family):
    G, z = Generator(net=family, z=8).build(DataSpec(3, 16, 16)), drawn(8, 8)
    exact = G(z)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = G(z).float()
    error = (rounded - exact).square().mean() / exact.square().mean()
    assert rounded.isfinite().all() and math.sqrt(error.item()) < 0.1
