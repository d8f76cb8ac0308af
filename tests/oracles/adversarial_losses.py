"""Games without labels, flat. Each says what D and G minimise; `alternate` is the game.

A script calls D on real images and on fakes in the order in which the package does: batch norm and spectral norm
remember every pass. `p` is D's probability that an image is real, `s` its score.
"""

import math
from types import SimpleNamespace

import torch

from sparring.games.nodes import FAKE, REAL, Code, ContinuousCode, Interpolated
from sparring.games.views import Strong, view_numbers, viewed

from .flat import BATCH, adam, follow, images, normal, step, uniform


def alternate(nets, averages, data, rounds, d_loss, g_loss, *, d_steps=1, count=BATCH, after=None, **optims):
    """d_loss(n) `d_steps` times, then g_loss(n) once, `rounds` times. G's weight average follows."""
    G, D = nets["G"], nets["D"]
    d_optim, g_optim = optims.get("d_optim") or adam(D), optims.get("g_optim") or adam(G)
    h = D.body
    s = lambda x: D.head["score"](h(x))[:, 0]
    p = lambda x: torch.sigmoid(s(x))
    for r in range(rounds):
        shared = {"h": h, "s": s, "p": p, "G": G, "D": D, "average": averages["G"], "progress": r / rounds}
        for n in range(d_steps * r, d_steps * (r + 1)):
            real, fake = images("D", data, n, count=count)[0], G.body(normal("D", n, count=count)).detach()
            step(d_optim, d_loss(SimpleNamespace(real=real, fake=fake, n=n, **shared)))
            if after:
                after(D)
        real, fake = images("G", data, r, count=count)[0], G.body(normal("G", r, count=count))
        step(g_optim, g_loss(SimpleNamespace(real=real, fake=fake, n=r, **shared)))
        follow(averages["G"], G, 0.999, r)


def logistic(t):
    """-E log D(x) - E log(1 - D(G(z)))"""
    return -t.p(t.real).log().mean() - (1 - t.p(t.fake)).log().mean()


def dcgan(*world):
    """Goodfellow et al. 2014, section 3; Radford et al. 2016. G: -E log D(G(z))."""
    alternate(*world, logistic, lambda t: -t.p(t.fake).log().mean())


mlp = dcgan


def minimax(*world):
    """Goodfellow et al. 2014, eq. 1. G: E log(1 - D(G(z)))."""
    alternate(*world, logistic, lambda t: (1 - t.p(t.fake)).log().mean())


def lsgan(*world):
    """Mao et al. 2017: scores of real images are to be 1, of fakes 0; G wants 1."""
    alternate(
        *world,
        lambda t: ((t.s(t.real) - 1) ** 2).mean() / 2 + (t.s(t.fake) ** 2).mean() / 2,
        lambda t: ((t.s(t.fake) - 1) ** 2).mean() / 2,
    )


def wgan(nets, *world):
    """Arjovsky et al. 2017, algorithm 1, with two steps of D, each followed by clipping its weights."""

    def clip(D):
        for w in D.parameters():
            w.data = w.data.clamp(-0.01, 0.01)

    optims = {name: torch.optim.RMSprop(nets[name].parameters()) for name in "DG"}
    d_loss = falling(optims["D"], lambda t: t.s(t.fake).mean() - t.s(t.real).mean())
    g_loss = falling(optims["G"], lambda t: -t.s(t.fake).mean())
    alternate(nets, *world, d_loss, g_loss, d_steps=2, after=clip, d_optim=optims["D"], g_optim=optims["G"])


def falling(optimiser, loss, start=1e-3):
    """The learning rate falls to 0 in a straight line."""

    def of(t):
        optimiser.param_groups[0]["lr"] = start * (1 - t.progress)
        return loss(t)

    return of


def wgan_gp(nets, *world):
    """Gulrajani et al. 2017, algorithm 1."""

    def d_loss(t):
        share = uniform("D", t.n, Interpolated(REAL.of, FAKE.of), 1, 1, 1)
        between = ((1 - share) * t.real + share * t.fake).requires_grad_()
        slope = slopes(t.s(between), between)
        return t.s(t.fake).mean() - t.s(t.real).mean() + 10 * ((slope.sqrt() - 1) ** 2).mean()

    optims = {name: adam(nets[name], betas=(0.0, 0.9)) for name in "DG"}
    d_loss, g_loss = (
        falling(optims["D"], d_loss, 2e-3),
        falling(optims["G"], lambda t: -t.s(t.fake).mean(), 2e-3),
    )
    alternate(nets, *world, d_loss, g_loss, d_steps=5, d_optim=optims["D"], g_optim=optims["G"])


def slopes(score, x):
    """|d score / d x|^2 of each image."""
    return torch.autograd.grad(score.sum(), x, create_graph=True)[0].flatten(1).square().sum(1)


def hinge(t):
    """E max(0, 1 - s(x)) + E max(0, 1 + s(G(z)))"""
    return torch.clamp(1 - t.s(t.real), min=0).mean() + torch.clamp(1 + t.s(t.fake), min=0).mean()


def sngan(nets, *world):
    """Miyato et al. 2018, eq. 16 and 17."""
    optims = {f"{name.lower()}_optim": adam(nets[name], betas=(0.0, 0.9)) for name in "DG"}
    alternate(nets, *world, hinge, lambda t: -t.s(t.fake).mean(), **optims)


def sagan(nets, *world):
    """Zhang et al. 2019, but G learns as fast as D."""
    optims = {f"{name.lower()}_optim": adam(nets[name], lr=4e-4, betas=(0.0, 0.9)) for name in "DG"}
    alternate(nets, *world, hinge, lambda t: -t.s(t.fake).mean(), **optims)


def improved(nets, *world):
    """Salimans et al. 2016: D's target for real images is 0.9 (3.4); G matches features (3.1) and its past (3.3)."""

    def d_loss(t):
        p = t.p(t.real)
        return -(0.9 * p.log() + 0.1 * (1 - p).log()).mean() - (1 - t.p(t.fake)).log().mean()

    def g_loss(t):
        h = t.h(t.fake)
        fooled = -torch.sigmoid(t.D.head["score"](h)).log().mean()
        gap = ((t.h(t.real).mean(0) - h.mean(0)) ** 2).mean()
        past = sum(((w - mean) ** 2).sum() for w, mean in zip(t.G.parameters(), t.average.parameters(), strict=True))
        return fooled + gap + 0.01 * past

    optims = {name: adam(nets[name]) for name in "DG"}
    d_loss, g_loss = falling(optims["D"], d_loss), falling(optims["G"], g_loss)
    alternate(nets, *world, d_loss, g_loss, count=32, d_optim=optims["D"], g_optim=optims["G"])


def r3gan(nets, *world, rates=(1e-3, 1e-4), count=BATCH):
    """Huang et al. 2024, eq. 2 and 6: which of the two is real? With slopes held down at real images and at fakes."""
    falling = lambda high, low, t: low + (high - low) * (1 + math.cos(math.pi * t.progress)) / 2
    optims = {name: adam(nets[name], betas=(0.0, 0.99)) for name in "DG"}

    def rated(name, t, loss):
        optims[name].param_groups[0]["lr"] = falling(*rates, t)
        return loss

    def d_loss(t):
        real, fake = t.real.requires_grad_(), t.fake.requires_grad_()
        s_real, s_fake = t.s(real), t.s(fake)
        penalty = (slopes(s_real, real).mean() + slopes(s_fake, fake).mean()) / 2
        return rated("D", t, torch.log(1 + (s_fake - s_real).exp()).mean() + falling(1.0, 0.1, t) * penalty)

    g_loss = lambda t: rated("G", t, torch.log(1 + (t.s(t.real) - t.s(t.fake)).exp()).mean())
    alternate(nets, *world, d_loss, g_loss, count=count, d_optim=optims["D"], g_optim=optims["G"])


def r3gan_deep(*world):
    """The same with its own networks, which bear larger steps, and batches of a quarter."""
    r3gan(*world, rates=(2e-3, 2e-4), count=16)


def infogan(nets, averages, data, rounds):
    """Chen et al. 2016, eq. 6: D and G both make the code readable. Code: one of ten, and two numbers in [-1,1).

    Ours: D also sorts real images by code: sure of each, all codes in use, and the same for a view of it.
    """
    G, D = nets["G"], nets["D"]
    read = lambda h: D.head["codes"](D.head["hidden"](h))
    d_adam, g_adam = adam(D), adam(G, lr=1e-3)
    for n in range(rounds):
        for player, optimiser in (("D", d_adam), ("G", g_adam)):
            code = (uniform(player, n, Code()).view(-1) * 10).long()
            continuous = 2 * uniform(player, n, ContinuousCode(), 2) - 1
            fake = G.body(torch.cat([normal(player, n), torch.eye(10).double()[code], continuous], 1))
            fooled = 0
            if player == "D":
                x = images("D", data, n)[0]
                h = D.body(x)
                p_real = torch.sigmoid(D.head["score"](h))
                q = read(h)[:, :10].softmax(1)
                unsure, spread = (-(some * some.log()).sum(-1).mean() for some in (q, q.mean(0)))
                fooled, fake = unsure - spread - p_real.log().mean(), fake.detach()
            h = D.body(fake)
            p = torch.sigmoid(D.head["score"](h))
            fooled = fooled - ((1 - p) if player == "D" else p).log().mean()
            said = read(h)
            named = -said[:, :10].softmax(1)[range(64), code].log().mean()
            code_params = torch.distributions.Normal(said[:, 10:12], (said[:, 12:14] / 2).exp())
            placed = -code_params.log_prob(continuous).sum(1).mean()
            if player == "D":
                turned = viewed(x, uniform("D", n, Strong(), view_numbers(*x.shape[2:])), Strong())
                named = named - 2 * (q.detach() * read(D.body(turned))[:, :10].log_softmax(1)).sum(1).mean()
            step(optimiser, fooled + named + 0.1 * placed)
        follow(averages["G"], G, 0.999, n)
