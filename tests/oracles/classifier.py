"""A supervised network, flat: cross-entropy, AdamW with a learning rate that falls linearly to 0."""

import torch
from torch.nn.functional import cross_entropy

from .flat import follow, pixels, rows, step


def train(nets, averages, data, rounds):
    D = nets["D"]
    kernels, vectors = ([p for p in D.parameters() if (p.ndim > 1) == big] for big in (True, False))
    groups = [{"params": kernels, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, betas=(0.9, 0.99))
    for n in range(rounds):
        for group in adam.param_groups:
            group["lr"] = 1e-3 * (1 - n / rounds)
        index = rows("P", "labelled", n, 64, len(data["labelled"]["x"]))
        logits = D.head["classes"](D.body(pixels(data, "labelled", index)))
        step(adam, cross_entropy(logits, data["labelled"]["y"][index]))
        follow(averages["D"], D, 0.999, n)
