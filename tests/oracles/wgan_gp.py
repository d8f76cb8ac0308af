"""WGAN-GP, flat: Gulrajani et al. 2017, algorithm 1."""

import torch

from sparring.cells import FAKE, REAL, Mixed

from .flat import follow, normal, pixels, rows, step, uniform


def train(nets, averages, data, rounds):
    G, D = nets["G"], nets["D"]
    critic = lambda x: D.head["score"](D.body(x))[:, 0]
    d_adam = torch.optim.Adam(D.parameters(), lr=1e-4, betas=(0.0, 0.9))
    g_adam = torch.optim.Adam(G.parameters(), lr=1e-4, betas=(0.0, 0.9))
    for r in range(rounds):
        for n in range(5 * r, 5 * r + 5):
            real = pixels(data, "all", rows("D", "all", n, 64, len(data["all"]["x"])))
            fake = G.body(normal("D", n)).detach()
            t = uniform("D", n, Mixed(REAL.of, FAKE.of), 1, 1, 1)
            between = ((1 - t) * real + t * fake).requires_grad_()
            slope = torch.autograd.grad(critic(between).sum(), between, create_graph=True)[0].flatten(1).norm(dim=1)
            step(d_adam, critic(fake).mean() - critic(real).mean() + 10 * ((slope - 1) ** 2).mean())
        step(g_adam, -critic(G.body(normal("G", r))).mean())
        follow(averages["G"], G, 0.999, r)
