"""One player, flat: autoencoders and a classifier."""

import torch
from torch.nn.functional import cross_entropy

from sparring.games.nodes import Batch, Output, Reparameterised

from .flat import adam, follow, images, normal, step


def coded(nets, averages, data, rounds, read, *, pool="all", vary=True, labels=False):
    """`read`: the node that names the noise. Gaussian likelihood of deviation 1; the code is 64 numbers."""
    E, G = nets["E"], nets["G"]
    both = adam(E, G, lr=1e-3, betas=(0.9, 0.999))
    for n in range(rounds):
        x, y = images("P", data, n, pool)
        condition = [torch.eye(3).double()[y]] if labels else []
        code, kl = E.last(torch.cat([E.body(x), *condition], 1)), 0.0
        if vary:
            mean, log_var = code[:, :64], code[:, 64:]
            kl = -0.5 * (1 + log_var - mean**2 - log_var.exp()).sum() / 64
            code = mean + (0.5 * log_var).exp() * normal("P", n, read)
        out = G.body(torch.cat([code, *condition], 1))
        step(both, kl + 0.5 * ((x - out) ** 2).sum() / 64)
        for net in "EG":
            follow(averages[net], nets[net], 0.999, n)


def vae(*world):
    """Kingma & Welling 2014, algorithm 1."""
    coded(*world, Reparameterised(Output("E", Batch())))


def cvae(*world):
    """Sohn et al. 2015: encoder and generator are given the class."""
    coded(
        *world,
        Reparameterised(Output("E", (Batch("x", "labelled"), Batch("y", "labelled")))),
        pool="labelled",
        labels=True,
    )


def autoencoder(*world):
    """Hinton & Salakhutdinov 2006: no noise, no prior."""
    coded(*world, None, vary=False)


def classifier(nets, averages, data, rounds):
    """Cross-entropy, AdamW with a learning rate that falls linearly to 0; no decay of biases and norms."""
    D = nets["D"]
    kernels, vectors = ([p for p in D.parameters() if (p.ndim > 1) == big] for big in (True, False))
    groups = [{"params": kernels, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, betas=(0.9, 0.99))
    for n in range(rounds):
        x, y = images("P", data, n, "labelled")
        step(adamw, cross_entropy(D.head["classes"](D.body(x)), y), lr=1e-3 * (1 - n / rounds))
        follow(averages["D"], D, 0.999, n)
