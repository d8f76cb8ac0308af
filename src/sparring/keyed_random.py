"""Random numbers and data order as pure functions of (key, index): no generator, no state, nothing to save or to skip.

There is no state to save or to restore. An image's numbers depend on its own index only, so they are the same in any
process, in any order and for any batch size. Everything is integer arithmetic on whole tensors. Importing this file
imports no torch. (Torch's own generators have a state, and no numbers of an image by its index.)
"""

import hashlib
import math
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from .records import identity

if TYPE_CHECKING:
    from torch import Tensor

Integers = TypeVar("Integers", "Tensor", np.ndarray)  # int64

GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # as a signed 64-bit number, like all constants here


def key(*names) -> int:
    """64 bits that stand for a tuple of numbers, strings and records."""
    return int.from_bytes(hashlib.blake2b(identity(names).encode(), digest_size=8).digest(), "little", signed=True)


def bits(key: int, index: "Tensor", count: int) -> "Tensor":
    """Return int64 [N, count]: for each image index [N] its own stream of SplitMix64 (Steele, Lea & Flood 2014)."""
    import torch

    start = mixed_bits(index * GOLDEN + key)
    return mixed_bits(start[:, None] + GOLDEN * torch.arange(1, count + 1, device=index.device))


def random_integers(key: int, count: int) -> np.ndarray:
    """Return uint64 [count]: the stream of SplitMix64 that starts at `key`, without torch."""
    return mixed_bits(np.arange(1, count + 1) * GOLDEN + key).view(np.uint64)


def mixed_bits(z: Integers) -> Integers:
    """Return the mixed bits of int64 numbers, the second half of SplitMix64."""
    z = (z ^ shifted_right(z, 30)) * (0xBF58476D1CE4E5B9 - 2**64)  # products wrap around
    z = (z ^ shifted_right(z, 27)) * (0x94D049BB133111EB - 2**64)
    return z ^ shifted_right(z, 31)


def shifted_right(z: Integers, by: int) -> Integers:
    """Return a logical shift right: that of signed numbers would repeat the sign."""
    return (z >> by) & ((1 << (64 - by)) - 1)


def uniform(key: int, index: "Tensor", *shape: int) -> "Tensor":
    """Return float64 [N, *shape], uniform in [0, 1)."""
    return (shifted_right(bits(key, index, math.prod(shape)), 11).double() * 2**-53).view(len(index), *shape)


def normal(key: int, index: "Tensor", *shape: int) -> "Tensor":
    """Return float64 [N, *shape], standard normal, by Box & Muller 1958."""
    u = uniform(key, index, 2, *shape)
    return (-2 * (-u[:, 0]).log1p()).sqrt() * (2 * math.pi * u[:, 1]).cos()


@lru_cache(maxsize=64)
def order(key: int, count: int) -> "Tensor":
    """Return a permutation of range(count), int64 on the CPU."""
    import torch

    return bits(key, torch.arange(count), 1)[:, 0].argsort()


def shuffled(stream: tuple[object, ...], positions: "Tensor", count: int) -> "Tensor":
    """Return indices into a data set of `count` images for positions of an endless shuffled stream.

    Every epoch has a new permutation. `positions` must be rising.
    """
    import torch

    epoch, place = positions // count, positions % count
    return torch.cat([order(key(*stream, e), count)[place[epoch == e]] for e in epoch.unique().tolist()])
