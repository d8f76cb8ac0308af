"""A variational autoencoder, flat: Kingma & Welling 2014, algorithm 1, with a Gaussian likelihood of deviation 0.4."""

import torch

from sparring.cells import Given, Made, Sampled

from .flat import follow, normal, pixels, rows, step


def train(nets, averages, data, rounds):
    E, G = nets["E"], nets["G"]
    adam = torch.optim.Adam([*E.parameters(), *G.parameters()], lr=1e-3)
    for n in range(rounds):
        x = pixels(data, "all", rows("P", "all", n, 64, len(data["all"]["x"])))
        code = E.body(x)
        mean, log_var = code[:, :64], code[:, 64:]
        out = G.body(mean + torch.exp(0.5 * log_var) * normal("P", n, Sampled(Made("E", Given()))))
        log_likelihood = -0.5 * (((x - out) / 0.4) ** 2).sum() / 64
        kl = -0.5 * (1 + log_var - mean**2 - torch.exp(log_var)).sum() / 64
        step(adam, kl - log_likelihood)
        for net in "EG":
            follow(averages[net], nets[net], 0.999, n)
