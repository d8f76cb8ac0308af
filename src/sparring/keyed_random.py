"""Random numbers and data order as pure functions of (key, index): no generator, no state, nothing to save or to skip.

An image's numbers depend on its own index only, so it does not matter who computes them, in which order or how many
at a time. Integer arithmetic on whole tensors: no Python per image.
"""

import hashlib
import math
from functools import lru_cache

import torch
from torch import Tensor

from .records import identity

GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # as a signed 64-bit number, like all constants here


def key(*names) -> int:
    """64 bits that stand for a tuple of numbers, strings and records."""
    return int.from_bytes(hashlib.blake2b(identity(names).encode(), digest_size=8).digest(), "little", signed=True)


def bits(key: int, index: Tensor, count: int) -> Tensor:
    """int64 [N, count]: SplitMix64 (Steele, Lea & Flood 2014), one stream of `count` numbers per image index [N]."""
    start = scrambled(index * GOLDEN + key)
    return scrambled(start[:, None] + GOLDEN * torch.arange(1, count + 1, device=index.device))


def scrambled(z: Tensor) -> Tensor:
    z = (z ^ shifted(z, 30)) * (0xBF58476D1CE4E5B9 - 2**64)  # products wrap around
    z = (z ^ shifted(z, 27)) * (0x94D049BB133111EB - 2**64)
    return z ^ shifted(z, 31)


def shifted(z: Tensor, by: int) -> Tensor:
    """Logical shift right: torch's own repeats the sign."""
    return (z >> by) & ((1 << (64 - by)) - 1)


def uniform(key: int, index: Tensor, *shape: int) -> Tensor:
    """float64 [N, *shape] in [0, 1)."""
    return (shifted(bits(key, index, math.prod(shape)), 11).double() * 2**-53).view(len(index), *shape)


def normal(key: int, index: Tensor, *shape: int) -> Tensor:
    """float64 [N, *shape], by Box & Muller 1958."""
    u = uniform(key, index, 2, *shape)
    return (-2 * torch.log1p(-u[:, 0])).sqrt() * (2 * math.pi * u[:, 1]).cos()


@lru_cache(maxsize=64)
def order(key: int, count: int) -> Tensor:
    """A permutation of range(count), int64 on the CPU."""
    return bits(key, torch.arange(count), 1)[:, 0].argsort()


def shuffled(stream: tuple[object, ...], positions: Tensor, count: int) -> Tensor:
    """Return indices into `count` images for ascending positions of an endless stream, shuffled anew every epoch."""
    epoch, place = positions // count, positions % count
    return torch.cat([order(key(*stream, e), count)[place[epoch == e]] for e in epoch.unique().tolist()])
