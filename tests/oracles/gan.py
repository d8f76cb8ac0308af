"""A GAN, flat: Goodfellow et al. 2014 with the non-saturating loss. `mlp` and `dcgan` differ in their networks only."""

import torch

from .flat import follow, normal, pixels, rows, step


def train(nets, averages, data, rounds):
    G, D = nets["G"], nets["D"]
    score = lambda x: D.head["score"](D.body(x))[:, 0]
    d_adam = torch.optim.Adam(D.parameters(), lr=2e-4, betas=(0.5, 0.999))
    g_adam = torch.optim.Adam(G.parameters(), lr=2e-4, betas=(0.5, 0.999))
    for n in range(rounds):
        real = pixels(data, "all", rows("D", "all", n, 64, len(data["all"]["x"])))
        p_real = torch.sigmoid(score(real))
        with torch.no_grad():
            fake = G.body(normal("D", n))
        p_fake = torch.sigmoid(score(fake))
        step(d_adam, -(torch.log(p_real) + torch.log(1 - p_fake)).mean())

        fake = G.body(normal("G", n))
        step(g_adam, -torch.log(torch.sigmoid(score(fake))).mean())
        follow(averages["G"], G, 0.999, n)
