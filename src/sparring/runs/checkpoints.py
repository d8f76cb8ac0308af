"""A state as a folder: tensors as safetensors, the rest as JSON, each whole or not there. No pickle.

A checkpoint is written aside, synced, read again and hashed, then renamed. It holds what training changes and nothing
else; hyper-parameters come from the recipe.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes

from .. import files
from ..errors import FileFormatError, MachineError
from ..games.builders import Recipe
from ..games.training import Relief, State, new_state
from ..records import from_json, to_json

FORMAT = 1


def tensors(state: State) -> dict[str, torch.Tensor]:
    """Name -> tensor, e.g. nets/G/body.0.weight, averages/G/..., optimisers/D/3/exp_avg."""
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


def save_state(state: State, recipe: Recipe, folder: Path, **extra: Any) -> None:
    """Writes a checkpoint folder: state.safetensors, state.json (with `extra`) and the hash of the first in the second.

    Raises MachineError when it cannot be written or does not read back as written; then nothing is left behind.
    """
    data = tensors_to_bytes({name: t.detach().contiguous().cpu() for name, t in tensors(state).items()})
    digest = hashlib.sha256(data).hexdigest()
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
        "sha256": digest,
        **extra,
    }
    with files.atomic_folder(folder) as aside:
        (aside / "state.safetensors").write_bytes(data)
        (aside / "state.json").write_text(json.dumps(rest, indent=1, allow_nan=False))
        files.sync(aside / "state.safetensors")
        if hashlib.sha256((aside / "state.safetensors").read_bytes()).hexdigest() != digest:
            raise MachineError("disk", f"{folder} does not read back as it was written", fix="check the disk")


def load_state(recipe: Recipe, folder: Path, *, device: str = "cpu") -> tuple[State, dict]:
    """The state in a checkpoint folder, and its state.json. Raises FileFormatError when it is damaged or another's."""
    rest = files.read_json(folder / "state.json")
    try:
        data = (folder / "state.safetensors").read_bytes()
    except OSError as error:
        raise FileFormatError("bad-checkpoint", f"cannot read {folder}: {error}", fix="use another one") from error
    if not isinstance(rest, dict) or hashlib.sha256(data).hexdigest() != rest.get("sha256"):
        raise FileFormatError(
            "bad-checkpoint",
            f"{folder} is damaged: its content does not have the hash that was written with it",
            fix="delete it; the run goes on from the checkpoint before it",
        )
    if from_json(rest["recipe"]) != recipe:
        raise FileFormatError(
            "other-recipe", f"{folder} was written by another recipe", fix="load it with the recipe in its state.json"
        )
    state = new_state(recipe, from_json(rest["facts"]), dtype=getattr(torch, rest["dtype"]), device=device)
    state.round, state.skipped = rest["round"], rest["skipped"]
    state.attempt, state.extra, state.relief = (
        rest.get("attempt", 0),
        rest.get("extra", 0),
        Relief(**rest.get("ease", {})),
    )
    fill(state, tensors_from_bytes(data))
    return state, rest


@torch.no_grad()
def fill(state: State, found: dict[str, torch.Tensor]) -> None:
    """Copies tensors into a state of the same recipe. Optimiser slots take their parameter's memory layout: fused
    optimisers step wrongly, without a word, where the layouts of a parameter and its slots differ."""
    for player, optimiser in state.optimisers.items():
        params = [p for group in optimiser.param_groups for p in group["params"]]
        slots: dict[int, dict] = {}
        for name in [name for name in found if name.startswith(f"optimisers/{player}/")]:
            number, slot = name.split("/")[2:]
            value, param = found.pop(name), params[int(number)]
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
