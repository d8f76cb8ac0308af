"""Games with labels, flat: how classes enter D and G. `score(x, y)` and `fakes(player, n)` are the method."""

import math

import torch
from torch.nn.functional import cross_entropy

from sparring.games.nodes import Labels

from .adversarial_losses import slopes
from .flat import adam, follow, images, normal, step, uniform


def asked_for(player, n, data):
    """Classes in the proportions of the labelled images."""
    y = data["labelled"]["y"]
    return y[(uniform(player, n, Labels()).view(-1) * len(y)).long()]


def made(G, player, n, y):
    """Labels enter G beside the noise. Mirza & Osindero 2014, section 3.1."""
    return G.body(torch.cat([normal(player, n), torch.eye(3).double()[y]], 1))


def projected(D, x, y):
    """Miyato & Koyama 2018, eq. 3: the score, and how far the features point the class's way."""
    h = D.body(x)
    s = D.head["score"](h)[:, 0]
    return s + torch.einsum("nf,nf->n", D.head["label"].weight[y], h)


def cgan(nets, averages, data, rounds):
    """The first game with labels on both sides."""
    G, D = nets["G"], nets["D"]
    d_adam, g_adam = adam(D), adam(G)
    for n in range(rounds):
        p_real = torch.sigmoid(projected(D, *images("D", data, n, "labelled")))
        y = asked_for("D", n, data)
        p_fake = torch.sigmoid(projected(D, made(G, "D", n, y).detach(), y))
        step(d_adam, -p_real.log().mean() - (1 - p_fake).log().mean())

        y = asked_for("G", n, data)
        step(g_adam, -torch.sigmoid(projected(D, made(G, "G", n, y), y)).log().mean())
        follow(averages["G"], G, 0.999, n)


def hinged(nets, averages, data, rounds, d_adam, g_adam, extra=lambda G: 0.0, d_steps=1):
    G, D = nets["G"], nets["D"]
    for n in range(rounds):
        for k in range(d_steps * n, d_steps * (n + 1)):
            s_real = projected(D, *images("D", data, k, "labelled"))
            y = asked_for("D", k, data)
            s_fake = projected(D, made(G, "D", k, y).detach(), y)
            step(d_adam, torch.clamp(1 - s_real, min=0).mean() + torch.clamp(1 + s_fake, min=0).mean())

        y = asked_for("G", n, data)
        step(g_adam, -projected(D, made(G, "G", n, y), y).mean() + extra(G))
        follow(averages["G"], G, 0.999, n)


def projection(nets, *world):
    """Miyato & Koyama 2018."""
    hinged(nets, *world, adam(nets["D"], betas=(0.0, 0.9)), adam(nets["G"], betas=(0.0, 0.9)))


def biggan(nets, *world):
    """Brock et al. 2019: two steps of D for each of G, whose filters are to be orthogonal (section 3.1)."""

    def crossed(G):
        total = 0.0
        for w in G.parameters():
            if w.ndim > 1:
                rows = w.flatten(1) if w.shape[0] <= w[0].numel() else w.flatten(1).T
                products = rows @ rows.T * (1 - torch.eye(len(rows)).double())
                total = total + (products**2).sum()
        return 1e-4 * total

    d_adam, g_adam = (adam(nets[name], lr=1e-3, betas=(0.0, 0.9)) for name in "DG")
    hinged(nets, *world, d_adam, g_adam, crossed, d_steps=2)


def acgan(nets, averages, data, rounds):
    """Odena et al. 2017, eq. 2 and 3: D names the classes of real images and of fakes, G wants its own to be named."""
    G, D = nets["G"], nets["D"]
    d_adam, g_adam = adam(D), adam(G)

    def scored(x):
        h = D.body(x)
        return torch.sigmoid(D.head["score"](h)), D.head["classes"](h)

    for n in range(rounds):
        x, y = images("D", data, n, "labelled")
        asked = asked_for("D", n, data)
        p_real, classes_real = scored(x)
        p_fake, classes_fake = scored(made(G, "D", n, asked).detach())
        named = cross_entropy(classes_real, y) + cross_entropy(classes_fake, asked)
        step(d_adam, named - p_real.log().mean() - (1 - p_fake).log().mean())

        asked = asked_for("G", n, data)
        p_fake, classes_fake = scored(made(G, "G", n, asked))
        step(g_adam, cross_entropy(classes_fake, asked) - p_fake.log().mean())
        follow(averages["G"], G, 0.999, n)


def r3gan_class(nets, averages, data, rounds):
    """Huang et al. 2024; each real image against a fake of the same class."""
    G, D = nets["G"], nets["D"]
    d_adam, g_adam = adam(D, betas=(0.0, 0.99)), adam(G, betas=(0.0, 0.99))
    for n in range(rounds):
        wave = (1 + math.cos(math.pi * n / rounds)) / 2
        lr, gamma = 1e-4 + (1e-3 - 1e-4) * wave, 0.1 + 0.9 * wave

        real, y = images("D", data, n, "labelled")
        real, fake = real.requires_grad_(), made(G, "D", n, y).detach().requires_grad_()
        s_real, s_fake = projected(D, real, y), projected(D, fake, y)
        penalty = (slopes(s_real, real).mean() + slopes(s_fake, fake).mean()) / 2
        step(d_adam, torch.log(1 + (s_fake - s_real).exp()).mean() + gamma * penalty, lr)

        real, y = images("G", data, n, "labelled")
        s_real, s_fake = projected(D, real, y), projected(D, made(G, "G", n, y), y)
        step(g_adam, torch.log(1 + (s_real - s_fake).exp()).mean(), lr)
        follow(averages["G"], G, 0.999, n)


def r3gan_class_quick(nets, averages, data, rounds):
    """The same with batches of 16 and penalties, four times as large, in every fourth step; D also names the class."""
    G, D, count = nets["G"], nets["D"], 16
    d_adam, g_adam = adam(D, betas=(0.0, 0.99)), adam(G, betas=(0.0, 0.99))

    def fakes(player, n, y):
        return G.body(torch.cat([normal(player, n, count=count), torch.eye(3).double()[y]], 1))

    def doubt(x, y):
        logits = D.body(x) @ D.head["classes"].weight.T + D.head["classes"].bias
        return (torch.logsumexp(logits, 1) - logits[torch.arange(count), y]).mean()

    for n in range(rounds):
        wave = (1 + math.cos(math.pi * n / rounds)) / 2
        lr, gamma = 1e-4 + (1e-3 - 1e-4) * wave, 0.1 + 0.9 * wave

        real, y = images("D", data, n, "labelled", count)
        real, fake = real.requires_grad_(), fakes("D", n, y).detach().requires_grad_()
        s_real, s_fake = projected(D, real, y), projected(D, fake, y)
        loss = torch.log(1 + (s_fake - s_real).exp()).mean() + doubt(real, y)
        if n % 4 == 0:
            loss = loss + 4 * gamma * (slopes(s_real, real).mean() + slopes(s_fake, fake).mean()) / 2
        step(d_adam, loss, lr)

        real, y = images("G", data, n, "labelled", count)
        fake = fakes("G", n, y)
        s_real, s_fake = projected(D, real, y), projected(D, fake, y)
        step(g_adam, torch.log(1 + (s_real - s_fake).exp()).mean() + 0.3 * doubt(fake, y), lr)
        follow(averages["G"], G, 0.999, n)
