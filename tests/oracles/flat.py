"""What the flat scripts share: keyed random numbers, one step, one average. None of the package's abstractions."""

import torch

from sparring import keyed_random
from sparring.games.nodes import Noise

BATCH = 64


def rows(player, pool, n, count, size):
    """Which images stand at the n-th draw of `count`, one by one."""
    return [
        int(keyed_random.order(keyed_random.key(0, player, pool, i // size), size)[i % size])
        for i in range(n * count, (n + 1) * count)
    ]


def pixels(data, pool, index, field="x"):
    """float64 [N,C,H,W] in [-1,1]."""
    return data[pool][field][index].permute(0, 3, 1, 2).double() / 127.5 - 1


def images(player, data, n, pool="all", count=BATCH):
    """The images of one step of a player, and their labels."""
    index = rows(player, pool, n, count, len(data[pool]["x"]))
    return pixels(data, pool, index), data[pool]["y"][index]


def uniform(player, n, name, *shape, count=BATCH):
    return keyed_random.uniform(keyed_random.key(0, player, n, name), torch.arange(count), *shape)


def normal(player, n, name=Noise(), dim=64, count=BATCH):
    return keyed_random.normal(keyed_random.key(0, player, n, name), torch.arange(count), dim)


def adam(*nets, lr=2e-4, betas=(0.5, 0.999)):
    return torch.optim.Adam([p for net in nets for p in net.parameters()], lr=lr, betas=betas)


def step(optimiser, loss, lr=None):
    for group in optimiser.param_groups:
        group["lr"] = group["lr"] if lr is None else lr
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def follow(average, net, decay, n):
    """The weight average after step n; buffers are copied."""
    decay = min(decay, (1 + n) / (10 + n))
    with torch.no_grad():
        for a, w in zip(average.parameters(), net.parameters(), strict=True):
            a.copy_(decay * a + (1 - decay) * w)
        for a, b in zip(average.buffers(), net.buffers(), strict=True):
            a.copy_(b)
