"""Weights from a file into a network that a file describes, neither of which is trusted."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from .layers import DataSpec

N = TypeVar("N", bound=nn.Module)
SHOWN = 5  # differences
SPARE = 1 << 22  # numbers that a network may have beside those of its file, while it is built
LARGEST_SIDE = 4096  # pixels, as of images that may be asked for


def checked_spec(spec: object) -> DataSpec:
    """Return `spec`, a DataSpec of images that there can be. Raises ValueError for anything else."""
    if not isinstance(spec, DataSpec):
        raise ValueError(f"{spec!r:.60} does not describe images")
    if (
        spec.channels not in (1, 3)
        or not 0 < min(spec.height, spec.width) <= max(spec.height, spec.width) <= LARGEST_SIDE
    ):
        raise ValueError(f"there are no images like {spec}")
    return spec


def filled(build: Callable[[], N], arrays: Mapping[str, np.ndarray]) -> N:
    """Return the network that `build` makes with these parameters and buffers, ready for use.

    Raises ValueError where a tensor is missing or one too many, is of another shape or kind, or holds a number that is
    not finite.
    """
    with no_larger_than(arrays):
        net = build()
    wanted, there = ({name: _kind(tensor) for name, tensor in each.items()} for each in (net.state_dict(), arrays))
    odd = [_spec_difference(name, wanted.get(name), there.get(name)) for name in sorted(wanted.keys() | there.keys())
           if wanted.get(name) != there.get(name)]  # fmt: skip
    if odd:
        more = f" and {len(odd) - SHOWN} more" if len(odd) > SHOWN else ""
        raise ValueError(f"{'; '.join(odd[:SHOWN])}{more}")
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} holds numbers that are not finite")
    net.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})
    return net.eval()


@contextmanager
def no_larger_than(tensors: Mapping[str, np.ndarray] | Mapping[str, torch.Tensor]) -> Iterator[None]:
    """Raise ValueError inside where networks take on more parameters and numbers than these tensors hold.

    A description of a few bytes may ask for a billion layers, or numbers. A layer gets its numbers before they are
    drawn, and so before they take any memory.
    """
    # some are registered again, as those under spectral norm
    layers, numbers = 16 * len(tensors) + 64, 4 * sum(math.prod(t.shape) for t in tensors.values()) + SPARE

    def counted(module: nn.Module, name: str, tensor: torch.Tensor | None) -> None:
        nonlocal layers, numbers
        if tensor is not None:
            layers, numbers = layers - 1, numbers - tensor.numel()
        if layers < 0 or numbers < 0:
            raise ValueError("the network that is described is larger than what the file holds")

    hooks = register_module_parameter_registration_hook(counted), register_module_buffer_registration_hook(counted)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _kind(tensor: np.ndarray | torch.Tensor) -> tuple[tuple[int, ...], str]:
    """Return shape and kind; a single number may be kept as an array of one."""
    return tuple(tensor.shape) or (1,), str(tensor.dtype).removeprefix("torch.")


def _spec_difference(name: str, wanted: tuple | None, there: tuple | None) -> str:
    if wanted is None or there is None:
        return f"{name:.80} is {'missing' if there is None else 'one too many'}"
    (shape, kind), (other_shape, other_kind) = wanted, there
    return f"{name:.80} is {other_kind} {list(other_shape)}, not {kind} {list(shape)}"
