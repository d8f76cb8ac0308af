"""Checkpoints: a training state as a folder of state.safetensors and state.json, each whole or not there. No pickle.

A checkpoint is written by the same rules as a model folder (artifacts.py): beside its place, synced, read again and
hashed, then renamed. It holds what training changes and nothing else; hyper-parameters come from the recipe.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save as tensors_to_bytes
from torch import nn

from .. import files
from ..artifacts import read_tensors, read_verified, write_verified
from ..errors import FileFormatError
from ..games.builders import Recipe
from ..games.players import Generator, Optimiser, Translator
from ..games.training import Relief, State, new_state
from ..nets.layers import DataSpec
from ..nets.loading import checked_spec, filled, no_larger_than
from ..records import from_json, read_record, to_json

FORMAT = 2  # in 1 only the tensors had a hash
STATE, TENSORS = "state.json", "state.safetensors"


def network_arrays(nets: Mapping[str, nn.Module]) -> dict[str, np.ndarray]:
    """Return the parameters and buffers of networks by NETWORK/NAME, as a model folder holds them."""
    return {f"{name}/{key}": t.numpy(force=True) for name, net in nets.items() for key, t in net.state_dict().items()}


def read_network(
    spec: Generator | Translator, data_spec: DataSpec, name: str, arrays: Mapping[str, np.ndarray]
) -> nn.Module:
    """Return the network that `network_arrays` took as `name`, ready for use. Raises ValueError."""
    start = f"{name}/"
    mine = {key.removeprefix(start): array for key, array in arrays.items() if key.startswith(start)}
    return filled(lambda: spec.build(data_spec), mine)


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
    """Write a checkpoint folder: the tensors, and state.json (with `extra`) with their SHA-256 and its own.

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
        "hashes": {TENSORS: files.sha256_of(data)},
        **extra,
    }
    write_verified(folder, {TENSORS: data, STATE: json.dumps(files.sealed(rest), indent=1, allow_nan=False).encode()})


def load_state(recipe: Recipe, folder: Path, *, device: str = "cpu") -> tuple[State, files.JsonObject]:
    """Return the state in a checkpoint folder, and its state.json.

    Raises FileFormatError when it is damaged, of another recipe or of a later version.
    """

    def damaged(reason: str) -> FileFormatError:
        fix = f"delete {folder}; the run goes on from the checkpoint before it"
        return FileFormatError("bad-checkpoint", f"{folder} is damaged: {reason}", fix=fix)

    files.refuse_links(folder)
    rest = _read_rest(folder, damaged)
    data = read_verified(folder, {TENSORS: rest["hashes"].get(TENSORS)}, damaged)[TENSORS]
    with files.fitting_together(damaged):
        if not same_recipe(from_json(rest["recipe"]), recipe):
            what, fix = f"{folder} was written by another recipe", "load it with the recipe in its state.json"
            raise FileFormatError("other-recipe", what, fix=fix)
        found = {name: torch.from_numpy(array) for name, array in read_tensors(data).items()}
        spec = checked_spec(from_json(rest["facts"]))
        with no_larger_than(found):
            state = new_state(recipe, spec, dtype=getattr(torch, rest["dtype"]), device=device)
        state.round, state.skipped = rest["round"], rest["skipped"]
        state.attempt, state.extra = rest["attempt"], rest["extra"]
        state.relief = read_record(Relief, rest["ease"])
        fill(state, found)
        for player in recipe.players:
            slots = {name for each in state.optimisers[player.name].state.values() for name in each}
            if odd := slots - _remembered(player.optim):
                raise ValueError(f"the optimiser of {player.name} remembers no {min(odd):.80}")
            if player.losses and state.round > state.skipped and not state.optimisers[player.name].state:
                raise ValueError(f"what the optimiser of {player.name} remembers is missing")
    return state, rest


# what a state.json holds, and what it held before there was such a field
COUNTS = {"round": None, "skipped": None, "attempt": 0, "extra": 0}
FIELDS: dict[str, tuple[type | tuple[type, ...], object]] = {
    **{name: (int, before) for name, before in COUNTS.items()},
    "ease": (dict, {}),
    "dtype": (str, None),
    "facts": (dict, None),
    "recipe": (dict, None),
    "seconds": ((int, float), None),
    "hashes": (dict, None),
}
OPTIONAL = {"seconds"}  # a copy for a loop of one's own has none


def _read_rest(folder: Path, damaged: Callable[[str], FileFormatError]) -> files.JsonObject:
    """Return the content of state.json, each field of its kind. Raises FileFormatError."""
    rest = files.read_json(folder / STATE)
    if not isinstance(rest, dict):
        raise damaged(f"{STATE} holds no object")
    number = rest.get("format")
    if number == 1:  # its hash was that of the tensors, and some fields came later
        before = {name: then for name, (_, then) in FIELDS.items() if then is not None}
        rest = {**before, **rest, "hashes": {TENSORS: rest.get("sha256")}}
    elif number != FORMAT:
        what = f"{folder} has format {number!r:.40}, this version reads 1 and {FORMAT}"
        raise FileFormatError("checkpoint-version", what, fix="use the version of sparring that wrote it")
    elif files.hash_of_json(rest) != rest.get("sha256"):
        raise damaged(f"{STATE} does not have the hash that was written with it")
    for name, (kind, _) in FIELDS.items():
        if name not in rest and name in OPTIONAL:
            continue
        if name not in rest:
            raise damaged(f"{STATE} lacks {name}")
        value = rest[name]
        if not isinstance(value, kind) or isinstance(value, bool) or (isinstance(value, int | float) and value < 0):
            raise damaged(f"{STATE} says that {name} is {value!r:.60}")
    if rest["dtype"] not in ("float32", "float64"):
        raise damaged(f"{STATE} says that dtype is {rest['dtype']!r:.60}")
    return rest


def monitor_record(rest: files.JsonObject) -> files.JsonObject:
    """Return the monitor's state in the content of a state.json; it was called `watch` before."""
    return rest.get("monitor") or rest.get("watch") or {}


def copies_named(folder: Path) -> set[int]:
    """Return the rounds of the copies that a checkpoint names; none where its state.json is damaged."""
    try:
        return {int(at) for at, _ in monitor_record(files.read_object(folder / STATE)).get("copies", [])}
    except (AttributeError, TypeError, ValueError):
        return set()


def _remembered(optimiser: Optimiser) -> set[str]:
    """Return the names of what an optimiser remembers of each parameter."""
    weight = nn.Parameter(torch.zeros(1, 1))
    weight.grad, made = torch.zeros(1, 1), optimiser.build([weight])
    made.step()
    return {name for name, value in made.state[weight].items() if value is not None}


@torch.no_grad()
def fill(state: State, found: dict[str, torch.Tensor]) -> None:
    """Copy tensors into a state of the same recipe. Raises FileFormatError where they do not fit it."""
    found = dict(found)
    for player, optimiser in state.optimisers.items():
        params = [p for group in optimiser.param_groups for p in group["params"]]
        slots: dict[int, dict] = {}
        for name in [name for name in found if name.startswith(f"optimisers/{player}/")]:
            number, slot = name.split("/")[2:]
            value, param = found.pop(name), params[int(number)]
            if value.shape not in (param.shape, torch.Size([])):
                raise _odd(f"{name} does not fit its parameter")
            # in the memory layout of its parameter: fused optimisers step wrongly, and silently, where layouts differ
            like = torch.empty_like(param) if value.shape == param.shape else torch.empty_like(value)
            slots.setdefault(int(number), {})[slot] = like.copy_(value)
        if len({tuple(sorted(each)) for each in slots.values()}) > 1:
            raise _odd(f"what optimiser {player} remembers of one parameter it does not of another")
        optimiser.load_state_dict({"state": slots, "param_groups": optimiser.state_dict()["param_groups"]})
    mine = {name: t for name, t in tensors(state).items() if not name.startswith("optimisers/")}
    if odd := mine.keys() ^ found.keys():
        raise _odd(f"{len(odd)} tensors differ in name, {min(odd)} first")
    for name, t in mine.items():
        value = found[name]
        if value.shape != t.shape or value.dtype != t.dtype:
            raise _odd(f"{name} is {value.dtype} {list(value.shape)}, not {t.dtype} {list(t.shape)}")
        if value.is_floating_point() and not value.isfinite().all():
            raise _odd(f"{name} holds numbers that are not finite")
        t.copy_(value)


def _odd(what: str) -> FileFormatError:
    fix = "use the version of sparring that wrote it"
    return FileFormatError("other-tensors", f"the checkpoint does not fit its recipe: {what}", fix=fix)
