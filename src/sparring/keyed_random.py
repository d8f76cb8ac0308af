"""Keyed random numbers: a counter-based generator, SplitMix64, whose numbers are functions of (key, index).

There is no state to save or to restore. An image's numbers depend on its own index only, so they are the same in any
process, in any order and for any batch size. Everything is integer arithmetic on whole tensors.
"""

import hashlib
import math
from functools import lru_cache

import torch
from torch import Tensor

from .records import identity

# Constants as signed 64-bit numbers: torch has no unsigned ones.
_GOLDEN = 0x9E3779B97F4A7C15 - 2**64


def key(*names: object) -> int:
    """Return 64 bits, signed, that stand for these numbers, strings and records."""
    return int.from_bytes(hashlib.blake2b(identity(names).encode(), digest_size=8).digest(), "little", signed=True)


def bits(key: int, index: Tensor, count: int) -> Tensor:
    """Return int64 [N, count]: for each image index [N] its own stream of SplitMix64 (Steele, Lea & Flood 2014)."""
    start = _mixed(index * _GOLDEN + key)
    return _mixed(start[:, None] + _GOLDEN * torch.arange(1, count + 1, device=index.device))


def _mixed(z: Tensor) -> Tensor:
    # Products wrap around.
    z = (z ^ _shifted_right(z, 30)) * (0xBF58476D1CE4E5B9 - 2**64)
    z = (z ^ _shifted_right(z, 27)) * (0x94D049BB133111EB - 2**64)
    return z ^ _shifted_right(z, 31)


def _shifted_right(z: Tensor, by: int) -> Tensor:
    # Logical: torch's own shift repeats the sign.
    return (z >> by) & ((1 << (64 - by)) - 1)


def uniform(key: int, index: Tensor, *shape: int) -> Tensor:
    """Return float64 [N, *shape], uniform in [0, 1)."""
    return (_shifted_right(bits(key, index, math.prod(shape)), 11).double() * 2**-53).view(len(index), *shape)


def normal(key: int, index: Tensor, *shape: int) -> Tensor:
    """Return float64 [N, *shape], standard normal, by Box & Muller 1958."""
    u = uniform(key, index, 2, *shape)
    return (-2 * torch.log1p(-u[:, 0])).sqrt() * (2 * math.pi * u[:, 1]).cos()


@lru_cache(maxsize=64)
def order(key: int, count: int) -> Tensor:
    """Return a permutation of range(count), int64 on the CPU."""
    return bits(key, torch.arange(count), 1)[:, 0].argsort()


def shuffled(stream: tuple[object, ...], positions: Tensor, count: int) -> Tensor:
    """Return indices into `count` images for ascending positions of an endless stream, shuffled anew every epoch."""
    epoch, place = positions // count, positions % count
    return torch.cat([order(key(*stream, e), count)[place[epoch == e]] for e in epoch.unique().tolist()])
