"""Classifiers that a game teaches, flat: K classes, and "made" is one more whose logit is 0."""

import torch
from torch.nn.functional import cross_entropy

from .flat import adam, follow, images, normal, step


def semi(nets, averages, data, rounds, unsure=0.0, alike=0.0):
    """Salimans et al. 2016, sections 3.1 and 5; `unsure` and `alike` are what bad-gan adds."""
    G, D = nets["G"], nets["D"]
    logits = lambda x: D.head["classes"](D.body(x))
    d_adam, g_adam = adam(D, lr=3e-4), adam(G, lr=3e-4)
    for n in range(rounds):
        x, y = images("D", data, n, "labelled")
        classes = logits(images("D", data, n)[0])
        z_real, z_fake = (c.exp().sum(1) for c in (classes, logits(G.body(normal("D", n)).detach())))
        game = (z_real / (z_real + 1)).log().mean() + (1 / (z_fake + 1)).log().mean()  # P(real) = Z / (Z + 1)
        said = classes.softmax(1)
        entropy = -(said * said.log()).sum(1).mean()
        step(d_adam, cross_entropy(logits(x), y) - game + unsure * entropy)
        follow(averages["D"], D, 0.999, n)

        h = D.body(G.body(normal("G", n)))
        gap = ((D.body(images("G", data, n)[0]).mean(0) - h.mean(0)) ** 2).mean()
        step(g_adam, gap + alike * together(h))
        follow(averages["G"], G, 0.999, n)


def together(h):
    """Mean squared cosine of different images. Zhao et al. 2017, eq. 8."""
    lengths = (h**2).sum(1).sqrt()
    cosines = torch.einsum("if,jf->ij", h, h) / (lengths[:, None] * lengths[None])
    different = ~torch.eye(len(h), dtype=torch.bool)
    return (cosines[different] ** 2).mean()


def bad_gan(*world):
    """Dai et al. 2017, eq. 6 and 8: D is sure of real images, and fakes spread."""
    semi(*world, unsure=0.1, alike=0.1)
