"""What the flat scripts share: keyed random numbers, one step, one average. None of the package's abstractions."""

import torch

from sparring import draws
from sparring.cells import Noise

BATCH = 64


def rows(player, pool, n, count, size):
    """Which images stand at the n-th draw of `count`, one by one."""
    return [
        int(draws.order(draws.key(0, player, pool, i // size), size)[i % size])
        for i in range(n * count, (n + 1) * count)
    ]


def pixels(data, pool, index):
    """float64 [N,C,H,W] in [-1,1]."""
    return data[pool]["x"][index].permute(0, 3, 1, 2).double() / 127.5 - 1


def uniform(player, n, name, *shape, count=BATCH):
    return draws.uniform(draws.key(0, player, n, name), torch.arange(count), *shape)


def normal(player, n, name=Noise(), dim=64, count=BATCH):
    return draws.normal(draws.key(0, player, n, name), torch.arange(count), dim)


def step(optimiser, loss):
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def follow(average, net, decay, n):
    """The weight average after move n; buffers are copied."""
    decay = min(decay, (1 + n) / (10 + n))
    with torch.no_grad():
        for a, w in zip(average.parameters(), net.parameters(), strict=True):
            a.copy_(decay * a + (1 - decay) * w)
        for a, b in zip(average.buffers(), net.buffers(), strict=True):
            a.copy_(b)
