"""Networks as model folders: config.json, model.safetensors, README.md. Reading them executes nothing."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor, nn

from . import files
from .errors import FileFormatError

FORMAT = 3  # 2: tensors are named NETWORK/PARAMETER; 3: translators have no tanh


def write_model(folder: Path, kind: str, nets: Mapping[str, nn.Module], config: dict[str, Any], card: str) -> Path:
    """Writes the folder, whole or not at all, and returns it. `card` is its README."""
    tensors = {f"{name}/{key}": t for name, net in nets.items() for key, t in net.state_dict().items()}
    data = tensors_to_bytes({key: t.detach().contiguous().cpu() for key, t in tensors.items()})
    config = {"format": FORMAT, "kind": kind, **config, "sha256": hashlib.sha256(data).hexdigest()}
    with files.atomic_folder(folder) as aside:
        (aside / "model.safetensors").write_bytes(data)
        files.write_json(aside / "config.json", config)
        files.write_text(aside / "README.md", card)
    return folder


def read_model(folder: Path | str, kind: str, *, fix: str) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]]:
    """Its config, and network -> state. Raises FileFormatError where it holds no `kind`, or is damaged."""
    folder = Path(folder)
    config = files.read_json(folder / "config.json")
    if not isinstance(config, dict) or config.get("kind") != kind:
        raise FileFormatError(f"not-a-{kind}", f"{folder} holds no {kind}", fix=fix)
    if config.get("format") != FORMAT:
        what = f"{folder} is of format {config.get('format')}, this version reads format {FORMAT}"
        raise FileFormatError("other-format", what, fix="train it again, or use the version that wrote it")
    try:
        data = (folder / "model.safetensors").read_bytes()
    except OSError as error:
        raise FileFormatError("bad-model", f"cannot read {folder}: {error}", fix="train it again") from error
    if hashlib.sha256(data).hexdigest() != config["sha256"]:
        raise FileFormatError("bad-model", f"{folder}/model.safetensors is damaged", fix="train it again")
    states: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors_from_bytes(data).items():
        name, _, rest = key.partition("/")
        states.setdefault(name, {})[rest] = tensor
    return config, states
