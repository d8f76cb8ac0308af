"""Checkpoints: a training state as a folder of state.safetensors and state.json, each whole or not there. No pickle.

A checkpoint is written by the same rules as a model folder (artifacts.py): beside its place, synced, read again and
hashed, then renamed. It holds what training changes and nothing else; hyper-parameters come from the recipe.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import nn

from .. import files
from ..artifacts import read_verified, write_verified
from ..errors import FileFormatError
from ..games.builders import Recipe
from ..games.training import Relief, State, new_state
from ..records import from_json, to_json

FORMAT = 1
STATE, TENSORS = "state.json", "state.safetensors"


def network_arrays(nets: Mapping[str, nn.Module]) -> dict[str, np.ndarray]:
    """Return the parameters and buffers of networks by NETWORK/NAME, as a model folder holds them."""
    return {f"{name}/{key}": t.numpy(force=True) for name, net in nets.items() for key, t in net.state_dict().items()}


def fill_network(net: nn.Module, name: str, arrays: Mapping[str, np.ndarray]) -> nn.Module:
    """Load what `network_arrays` took from the network `name`; return `net`, ready for use."""
    start = f"{name}/"
    state = {key.removeprefix(start): torch.from_numpy(a) for key, a in arrays.items() if key.startswith(start)}
    net.load_state_dict(state)
    return net.eval()


def tensors(state: State) -> dict[str, torch.Tensor]:
    """Return every tensor of a state by name: nets/G/body.0.weight, averages/G/..., optimisers/D/3/exp_avg."""
    found = {
        f"{group}/{name}/{key}": value
        for group in ("nets", "averages")
        for name, net in getattr(state, group).items()
        for key, value in net.state_dict().items()
    }
    for name, optimiser in state.optimisers.items():
        for number, slots in optimiser.state_dict()["state"].items():
            found |= {f"optimisers/{name}/{number}/{slot}": v for slot, v in slots.items() if v is not None}
    return found


def same_recipe(a: Recipe, b: Recipe) -> bool:
    """Return whether two recipes are equal, also where a class was defined again since, as in a notebook."""
    return a == b or to_json(replace(a, about="")) == to_json(replace(b, about=""))


def save_state(state: State, recipe: Recipe, folder: Path, **extra: object) -> None:
    """Write a checkpoint folder: the tensors, and state.json (with `extra`) that holds their SHA-256.

    Raises MachineError when it cannot be written or does not read back as written; then nothing is left behind.
    """
    data = tensors_to_bytes({name: t.detach().contiguous().cpu() for name, t in tensors(state).items()})
    rest = {
        "format": FORMAT,
        "round": state.round,
        "skipped": state.skipped,
        "attempt": state.attempt,
        "extra": state.extra,
        "ease": asdict(state.relief),
        "dtype": str(next(p.dtype for net in state.nets.values() for p in net.parameters())).removeprefix("torch."),
        "facts": to_json(state.data_spec),
        "recipe": to_json(recipe),
        "sha256": files.sha256_of(data),
        **extra,
    }
    write_verified(folder, {TENSORS: data, STATE: json.dumps(rest, indent=1, allow_nan=False).encode()})


def load_state(recipe: Recipe, folder: Path, *, device: str = "cpu") -> tuple[State, files.JsonObject]:
    """Return the state in a checkpoint folder, and its state.json.

    Raises FileFormatError when it is damaged or of another recipe.
    """

    def damaged(reason: str) -> FileFormatError:
        fix = "delete it; the run goes on from the checkpoint before it"
        return FileFormatError("bad-checkpoint", f"{folder} is damaged: {reason}", fix=fix)

    rest = files.read_json(folder / STATE)
    if not isinstance(rest, dict):
        raise damaged(f"{STATE} holds no object")
    data = read_verified(folder, {TENSORS: rest.get("sha256")}, damaged)[TENSORS]
    if not same_recipe(from_json(rest["recipe"]), recipe):
        raise FileFormatError(
            "other-recipe", f"{folder} was written by another recipe", fix="load it with the recipe in its state.json"
        )
    state = new_state(recipe, from_json(rest["facts"]), dtype=getattr(torch, rest["dtype"]), device=device)
    state.round, state.skipped = rest["round"], rest["skipped"]
    state.attempt, state.extra = rest.get("attempt", 0), rest.get("extra", 0)
    state.relief = Relief(**rest.get("ease", {}))
    fill(state, tensors_from_bytes(data))
    return state, rest


def monitor_record(rest: files.JsonObject) -> files.JsonObject:
    """Return the monitor's state in the content of a state.json; it was called `watch` before."""
    return rest.get("monitor") or rest.get("watch") or {}


@torch.no_grad()
def fill(state: State, found: dict[str, torch.Tensor]) -> None:
    """Copy tensors into a state of the same recipe. Raises FileFormatError where their names do not fit it."""
    for player, optimiser in state.optimisers.items():
        params = [p for group in optimiser.param_groups for p in group["params"]]
        slots: dict[int, dict] = {}
        for name in [name for name in found if name.startswith(f"optimisers/{player}/")]:
            number, slot = name.split("/")[2:]
            value, param = found.pop(name), params[int(number)]
            # in the memory layout of its parameter: fused optimisers step wrongly, and silently, where layouts differ
            like = torch.empty_like(param) if value.shape == param.shape else torch.empty_like(value)
            slots.setdefault(int(number), {})[slot] = like.copy_(value)
        optimiser.load_state_dict({"state": slots, "param_groups": optimiser.state_dict()["param_groups"]})
    mine = {name: t for name, t in tensors(state).items() if not name.startswith("optimisers/")}
    if odd := mine.keys() ^ found.keys():
        raise FileFormatError(
            "other-tensors",
            f"the checkpoint does not fit its recipe: {len(odd)} tensors differ in name, {min(odd)} first",
            fix="use the version of sparring that wrote it",
        )
    for name, t in mine.items():
        t.copy_(found[name])
