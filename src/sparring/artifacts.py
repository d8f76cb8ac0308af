"""Artifacts: what was trained, as a folder. Reading one executes nothing.

    model/  config.json  model.safetensors  preprocess.json  README.md (model card)

Classifiers, generators and translators share this format; `kind` in config.json says which it is. config.json holds
the SHA-256 of the other two data files and of itself. preprocess.json is there where files have to be prepared.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as arrays_from_bytes
from safetensors.numpy import save as arrays_to_bytes

from . import files
from .devices import SPARRING_VERSION
from .errors import FileFormatError, MachineError, printable

FORMAT, VERSION = "sparring-model", 2  # version 1 held classifiers only, and named no kind
FORMER_FORMAT = 3  # of generators and translators, before they shared the format of classifiers
CONFIG, TENSORS, PREPROCESS, CARD = "config.json", "model.safetensors", "preprocess.json", "README.md"
LARGEST_TENSORS = 1 << 32  # bytes
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
    contents[CONFIG] = json.dumps(files.sealed(whole), indent=1, allow_nan=False).encode() + b"\n"
    return write_verified(folder, contents | {CARD: card.encode("utf-8", "replace")})


def read_artifact(folder: Path | str, kind: str, *, fix: str) -> Artifact:
    """Return what `write_artifact` wrote, also of the versions before this one.

    Raises FileFormatError where the folder is missing, damaged, of another program, of another kind or of a later
    version. `fix`: what to do where the folder holds no `kind`.
    """
    folder = Path(folder)
    config = _read_config(folder, kind, fix)
    if config["format"] == FORMER_FORMAT:
        config["hashes"] = {TENSORS: config.get("sha256")}
    elif files.hash_of_json(config) != config.get("sha256"):
        raise damaged(folder, kind, f"{CONFIG} does not have the hash that was written with it")
    hashes = config["hashes"] if isinstance(config.get("hashes"), dict) else {}
    if not {TENSORS} <= hashes.keys() <= {TENSORS, PREPROCESS}:
        raise damaged(folder, kind, f"{CONFIG} does not say which files there are")
    contents = read_verified(folder, hashes, lambda reason: damaged(folder, kind, reason))
    with as_damage(folder, kind):
        tensors = read_tensors(contents[TENSORS])
        preprocess = files.parse_json(contents[PREPROCESS]) if PREPROCESS in contents else None
    return Artifact(config, tensors, preprocess)


def damaged(folder: Path | str, kind: str, reason: str) -> FileFormatError:
    """Return the error for a model folder whose files are not as they were written."""
    return FileFormatError("model-damaged", f"the model in {folder} is damaged: {reason}", fix=AGAIN[kind])


@contextmanager
def as_damage(folder: Path | str, kind: str) -> Iterator[None]:
    """What breaks inside, because the content of a model folder is not what it should be, is told as its damage."""
    with files.fitting_together(lambda reason: damaged(folder, kind, reason)):
        yield


def read_tensors(data: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of a safetensors file, which is compared with its own header. Raises ValueError."""
    check_header(data, len(data))
    try:
        return {name: np.array(array) for name, array in arrays_from_bytes(data).items()}
    except (SafetensorError, KeyError) as error:  # a KeyError for a kind of number that numpy does not have
        raise ValueError(str(error)) from None


def check_header(start: bytes, size: int) -> None:
    """Raise ValueError where a file of so many bytes, which begins so, cannot be safetensors by the length it says."""
    length = int.from_bytes(start[:8], "little")
    if size < 8 or length > size - 8:
        said = f": its header would have {length:,} bytes" if size >= 8 else ""
        raise ValueError(f"no safetensors file, of {size:,} bytes{said}")


def _read_config(folder: Path, kind: str, fix: str) -> files.JsonObject:
    path = folder / CONFIG
    if not path.exists() and not path.is_symlink():
        if not folder.is_dir():
            raise FileFormatError("model-missing", f"there is no model folder {folder}", fix=fix)
        raise FileFormatError("model-foreign", f"{folder} holds no model: it has no {CONFIG}", fix=fix)
    try:
        config = files.parse_json(files.read_bytes(path))
    except OSError as error:
        raise damaged(folder, kind, f"{CONFIG} cannot be read") from error
    except FileFormatError:
        raise
    except ValueError as error:
        raise damaged(folder, kind, f"{CONFIG} is not JSON: {error}") from error
    if not isinstance(config, dict) or not (config.get("format") == FORMAT or "kind" in config):
        raise FileFormatError("model-foreign", f"{folder} was not written by sparring", fix=fix)
    if config.get("kind", "classifier") != kind:
        raise FileFormatError(f"not-a-{kind}", f"{folder} holds no {kind}", fix=fix)
    number = config.get("version" if config.get("format") == FORMAT else "format")
    if number not in ((1, VERSION) if config.get("format") == FORMAT else (FORMER_FORMAT,)):
        what = f"{folder} has version {number!r:.40} of the format, this is version {VERSION}"
        again = "train it again, or use the version of sparring that wrote it"
        by = config.get("sparring")
        raise FileFormatError("model-version", what, fix=f"use sparring {by!s:.40}, which wrote it" if by else again)
    return config


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
        try:
            contents[name] = files.read_bytes(folder / name, most=LARGEST_TENSORS)
        except OSError as error:
            raise damaged(f"{name} cannot be read") from error
        if files.sha256_of(contents[name]) != expected:
            raise damaged(f"{name} does not have the hash that was written with it")
    return contents


def quoted(text: str) -> str:
    """Return a name on one line that Markdown and HTML take as text: for model cards."""
    special = {character: f"&#{ord(character)};" for character in "<>&`*_[]|#\\"}
    return "".join(special.get(character, character) for character in printable(text))
