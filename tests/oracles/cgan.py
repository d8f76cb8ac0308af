"""A conditional GAN, flat: labels enter G beside the noise (Mirza & Osindero 2014) and D by projection (Miyato &
Koyama 2018, eq. 3)."""

import torch

from sparring.cells import Labels

from .flat import follow, normal, pixels, rows, step, uniform


def train(nets, averages, data, rounds):
    G, D = nets["G"], nets["D"]
    d_adam = torch.optim.Adam(D.parameters(), lr=2e-4, betas=(0.5, 0.999))
    g_adam = torch.optim.Adam(G.parameters(), lr=2e-4, betas=(0.5, 0.999))
    x, y = data["labelled"]["x"], data["labelled"]["y"]

    def score(images, labels):
        h = D.body(images)
        return D.head["score"](h)[:, 0] + torch.einsum("nf,nf->n", D.head["label"].weight[labels], h)

    def fakes(player, n):
        labels = y[(uniform(player, n, Labels(), count=64).view(64) * len(y)).long()]
        return G.body(torch.cat([normal(player, n), torch.eye(3, dtype=torch.float64)[labels]], 1)), labels

    for n in range(rounds):
        index = rows("D", "labelled", n, 64, len(x))
        p_real = torch.sigmoid(score(pixels(data, "labelled", index), y[index]))
        with torch.no_grad():
            fake, labels = fakes("D", n)
        step(d_adam, -(torch.log(p_real) + torch.log(1 - torch.sigmoid(score(fake, labels)))).mean())

        step(g_adam, -torch.log(torch.sigmoid(score(*fakes("G", n)))).mean())
        follow(averages["G"], G, 0.999, n)
