"""A network with unlabelled images, flat: the graph's labels first, then FixMatch with distribution alignment.

Sohn et al. 2020, eq. 4; Berthelot et al. 2020, section 3.1. Views are the package's, drawn here by hand.
"""

import torch
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from sparring.games.views import view_numbers, viewed

from .flat import follow, pixels, rows, step, uniform


def train(nets, averages, data, rounds, *, few, many, weak, strong, few_strong, prior, threshold):
    """`few` labelled and `many` other images a step; the nodes `weak`, `strong`, `few_strong` name the draws."""
    D, mean = nets["D"], averages["D"]
    logits = lambda net, x: net.head["classes"](net.body(x))
    kernels, vectors = ([p for p in D.parameters() if (p.ndim > 1) == big] for big in (True, False))
    groups = [{"params": kernels, "weight_decay": 0.02}, {"params": vectors, "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, betas=(0.9, 0.99))
    classes = len(prior)
    shares, prior, y = (
        torch.full((classes + 1,), 1 / classes).double(),
        torch.tensor(prior).double(),
        data["labelled"]["y"],
    )
    size = data["all"]["x"].shape[1:3]
    for n in range(rounds):
        for group in adam.param_groups:
            group["lr"] = 4e-3 * (1 - n / rounds)
        see = lambda x, node, n=n: viewed(x, uniform("D", n, node, view_numbers(*size), count=len(x)), node)
        index = rows("D", "labelled", n, few, len(y))
        others = rows("D", "all", n, many, len(data["all"]["x"]))

        own = {name: b.clone() for name, b in D.body.named_buffers()}  # labelled images leave no trace in batch norm
        h = functional_call(D.body, own, (see(pixels(data, "labelled", index), few_strong),))
        loss = 0.25 * cross_entropy(D.head["classes"](h), y[index])

        student = logits(D, see(pixels(data, "all", others), strong))
        said = None
        if n / rounds >= 0.35:
            with torch.no_grad():
                said = logits(mean, see(pixels(data, "all", others), weak)).softmax(1)
        if n / rounds < 0.4:
            loss = loss + cross_entropy(student, data["all"]["guess"][others])
        else:
            p = said * prior / shares[:classes]
            p = p / p.sum(1, keepdim=True)
            for i in range(many):
                if p[i].max() >= threshold:
                    loss = loss + cross_entropy(student[i : i + 1], p[i].argmax()[None]) / many
        step(adam, loss)
        if said is not None:
            shares = 0.99 * shares + 0.01 * torch.cat([said.mean(0), said.amax(1).mean(0, keepdim=True)])
            D.memory_belief.copy_(shares)
        follow(mean, D, 0.99, n)
