"""K+1 classes with feature matching, flat: Salimans et al. 2016, sections 3.1 and 5."""

import torch
from torch.nn.functional import cross_entropy

from .flat import follow, normal, pixels, rows, step


def train(nets, averages, data, rounds):
    G, D = nets["G"], nets["D"]
    logits = lambda x: D.head["classes"](D.body(x))
    z = lambda x: torch.exp(logits(x)).sum(1)  # P(real) = Z / (Z + 1)
    d_adam = torch.optim.Adam(D.parameters(), lr=3e-4, betas=(0.5, 0.999))
    g_adam = torch.optim.Adam(G.parameters(), lr=3e-4, betas=(0.5, 0.999))
    y = data["labelled"]["y"]
    for n in range(rounds):
        real, few = (rows("D", pool, n, 64, len(data[pool]["x"])) for pool in ("all", "labelled"))
        fake = G.body(normal("D", n)).detach()
        z_real, z_fake = z(pixels(data, "all", real)), z(fake)
        supervised = cross_entropy(logits(pixels(data, "labelled", few)), y[few])
        step(d_adam, supervised - (torch.log(z_real / (z_real + 1)) + torch.log(1 / (z_fake + 1))).mean())
        follow(averages["D"], D, 0.999, n)

        real = pixels(data, "all", rows("G", "all", n, 64, len(data["all"]["x"])))
        gap = D.body(real).mean(0).detach() - D.body(G.body(normal("G", n))).mean(0)
        step(g_adam, (gap**2).mean())
        follow(averages["G"], G, 0.999, n)
