"""Weights from a file into a network that a file describes, neither of which is trusted."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from .layers import DataSpec

N = TypeVar("N", bound=nn.Module)
SHOWN = 5  # differences
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

    Raises ValueError where they do not fit (`refuse_unlike`), or hold a number that is not finite.
    """
    refuse_unlike(build, arrays)
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} holds numbers that are not finite")
    net = build()
    net.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})
    return net.eval()


def refuse_unlike(
    build: Callable[[], nn.Module], arrays: Mapping[str, np.ndarray] | Mapping[str, torch.Tensor]
) -> None:
    """Raise ValueError where a network would hold other tensors: one missing, or too many, of another shape or kind.

    No memory is taken for the network, so a description of a few bytes cannot ask for more than a file holds.
    """
    with torch.device("meta"), _parameters_at_most(len(arrays)):
        tensors = build().state_dict()
    wanted, there = ({name: _kind(tensor) for name, tensor in each.items()} for each in (tensors, arrays))
    odd = [_difference(name, wanted.get(name), there.get(name)) for name in sorted(wanted.keys() | there.keys())
           if wanted.get(name) != there.get(name)]  # fmt: skip
    if odd:
        more = f" and {len(odd) - SHOWN} more" if len(odd) > SHOWN else ""
        raise ValueError(f"{'; '.join(odd[:SHOWN])}{more}")


def _kind(tensor: np.ndarray | torch.Tensor) -> tuple[tuple[int, ...], str]:
    """Return shape and kind; a single number may be kept as an array of one."""
    return tuple(tensor.shape) or (1,), str(tensor.dtype).removeprefix("torch.")


def _difference(name: str, wanted: tuple | None, there: tuple | None) -> str:
    if wanted is None or there is None:
        return f"{name:.80} is {'missing' if there is None else 'one too many'}"
    (shape, kind), (other_shape, other_kind) = wanted, there
    return f"{name:.80} is {other_kind} {list(other_shape)}, not {kind} {list(shape)}"


@contextmanager
def _parameters_at_most(count: int) -> Iterator[None]:
    """Raise ValueError inside where modules are given more parameters: a description may ask for a billion layers."""
    left = count

    def counted(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        nonlocal left
        left -= parameter is not None
        if left < 0:
            raise ValueError(f"there are {count:,} tensors, and the network needs more")

    hook = register_module_parameter_registration_hook(counted)
    try:
        yield
    finally:
        hook.remove()
