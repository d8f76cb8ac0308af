"""Artifacts: what was trained, as a folder. Reading one executes nothing.

    model/  config.json  model.safetensors  preprocess.json  README.md (model card)

Classifiers, generators and translators share this format; `kind` in config.json says which it is. config.json holds
the SHA-256 of the other two data files and of itself. preprocess.json is there where files have to be prepared.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as arrays_from_bytes
from safetensors.numpy import save as arrays_to_bytes

from . import files
from .devices import SPARRING_VERSION
from .errors import FileFormatError, MachineError

FORMAT, VERSION = "sparring-model", 2  # version 1 held classifiers only, and named no kind
FORMER_FORMAT = 3  # of generators and translators, before they shared the format of classifiers
CONFIG, TENSORS, PREPROCESS, CARD = "config.json", "model.safetensors", "preprocess.json", "README.md"
LARGEST_CONFIG = 1 << 26  # bytes
AGAIN = {"classifier": "fit it again", "generator": "train it again", "translator": "train it again"}


@dataclass(frozen=True)
class Artifact:
    """What a model folder holds: config.json, its arrays by name, and preprocess.json."""

    config: files.JsonObject
    tensors: dict[str, np.ndarray]
    preprocess: files.JsonObject | None


def write_artifact(
    folder: Path,
    kind: str,
    tensors: Mapping[str, np.ndarray],
    config: Mapping[str, object],
    *,
    preprocess: Mapping[str, object] | None = None,
    card: str,
) -> Path:
    """Write a model folder, whole or not at all, and return it. `card` is its README.md.

    Raises MachineError where it cannot be written.
    """
    contents = {TENSORS: arrays_to_bytes({name: np.asarray(array, order="C") for name, array in tensors.items()})}
    if preprocess is not None:
        contents[PREPROCESS] = json.dumps(preprocess, indent=1).encode() + b"\n"
    whole = {"format": FORMAT, "version": VERSION, "kind": kind, "sparring": SPARRING_VERSION, **config}
    whole["hashes"] = {name: files.sha256_of(data) for name, data in contents.items()}
    whole["sha256"] = config_hash(whole)
    contents[CONFIG] = json.dumps(whole, indent=1, allow_nan=False).encode() + b"\n"
    return write_verified(folder, contents | {CARD: card.encode("utf-8", "replace")})


def read_artifact(folder: Path | str, kind: str, *, fix: str) -> Artifact:
    """Return what `write_artifact` wrote, also of the versions before this one.

    Raises FileFormatError where the folder is missing, damaged, of another program, of another kind or of a later
    version. `fix`: what to do where the folder holds no `kind`.
    """
    folder = Path(folder)

    def damaged(reason: str) -> FileFormatError:
        return FileFormatError("model-damaged", f"the model in {folder} is damaged: {reason}", fix=AGAIN[kind])

    config = _read_config(folder, kind, damaged, fix)
    if config["format"] == FORMER_FORMAT:
        config["hashes"] = {TENSORS: config.get("sha256")}
    elif config_hash(config) != config.get("sha256") or not isinstance(config.get("hashes"), dict):
        raise damaged(f"{CONFIG} does not have the hash that was written with it")
    contents = read_verified(folder, {TENSORS: None, **config["hashes"]}, damaged)
    try:
        tensors = {name: np.array(array) for name, array in arrays_from_bytes(contents[TENSORS]).items()}
        preprocess = json.loads(contents[PREPROCESS]) if PREPROCESS in contents else None
    except (ValueError, SafetensorError) as error:
        raise damaged(f"its content does not fit together ({str(error)[:200]})") from error
    return Artifact(config, tensors, preprocess)


def _read_config(folder: Path, kind: str, damaged: Callable[[str], FileFormatError], fix: str) -> files.JsonObject:
    path = folder / CONFIG
    if not path.is_file():
        if not folder.is_dir():
            raise FileFormatError("model-missing", f"there is no model folder {folder}", fix=fix)
        raise FileFormatError("model-foreign", f"{folder} holds no model: it has no {CONFIG}", fix=fix)
    try:
        if path.stat().st_size > LARGEST_CONFIG:
            raise damaged(f"{CONFIG} is too large")
        config = json.loads(path.read_bytes())
    except OSError as error:
        raise damaged(f"{CONFIG} cannot be read") from error
    except (ValueError, RecursionError) as error:
        raise damaged(f"{CONFIG} is not JSON") from error
    if not isinstance(config, dict) or not (config.get("format") == FORMAT or "kind" in config):
        raise FileFormatError("model-foreign", f"{folder} was not written by sparring", fix=fix)
    if config.get("kind", "classifier") != kind:
        raise FileFormatError(f"not-a-{kind}", f"{folder} holds no {kind}", fix=fix)
    number = config.get("version" if config.get("format") == FORMAT else "format")
    if number not in ((1, VERSION) if config.get("format") == FORMAT else (FORMER_FORMAT,)):
        what = f"{folder} has version {number!r} of the format, this is version {VERSION}"
        again = "train it again, or use the version of sparring that wrote it"
        by = config.get("sparring")
        raise FileFormatError("model-version", what, fix=f"use sparring {by}, which wrote it" if by else again)
    return config


def config_hash(config: Mapping[str, object]) -> str:
    """Return the SHA-256 of everything in config.json but this hash."""
    rest = {key: value for key, value in config.items() if key != "sha256"}
    return files.sha256_of(json.dumps(rest, sort_keys=True).encode())


def write_verified(folder: Path, contents: Mapping[str, bytes]) -> Path:
    """Write files into `folder`, whole or not at all: beside it, synced, read again and compared, then renamed.

    Raises MachineError where that cannot be done or a file does not read back as written; nothing is left behind.
    """
    with files.atomic_folder(folder) as temporary:
        for name, data in contents.items():
            (temporary / name).write_bytes(data)
            files.sync(temporary / name)
            if files.sha256_of((temporary / name).read_bytes()) != files.sha256_of(data):
                raise MachineError("disk", f"{folder} does not read back as it was written", fix="check the disk")
    return folder


def read_verified(
    folder: Path, hashes: Mapping[str, object], damaged: Callable[[str], FileFormatError]
) -> dict[str, bytes]:
    """Return the content of these files; raise damaged(reason) where one is missing or its SHA-256 is another."""
    contents = {}
    for name, expected in hashes.items():
        if Path(name).name != name:
            raise damaged(f"it names the file {name}")
        try:
            contents[name] = (folder / name).read_bytes()
        except OSError as error:
            raise damaged(f"{name} cannot be read") from error
        if files.sha256_of(contents[name]) != expected:
            raise damaged(f"{name} does not have the hash that was written with it")
    return contents
