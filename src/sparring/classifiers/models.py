"""Model folders: a fitted classifier as JSON and safetensors, without pickle.

    model/ config.json  model.safetensors  preprocess.json  README.md (model card)

An estimator's `state_()` is a tree of numbers, strings, parts and arrays. Arrays go to model.safetensors, the rest to
config.json, which also holds the other files' hashes and its own. Reading runs nothing that the folder names: methods
come from METHODS, parts from their closed table, and everything else is data.
"""

import hashlib
import json
import math
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as arrays_from_bytes
from safetensors.numpy import save as arrays_to_bytes
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from .. import files, records
from ..devices import SPARRING_VERSION
from ..errors import FileFormatError, UsageError, printable
from . import METHODS
from .base import Classifier, size_of

FORMAT, VERSION = "sparring-model", 1
CONFIG, ARRAYS, PREPROCESS, CARD = "config.json", "model.safetensors", "preprocess.json", "README.md"
LARGEST_CONFIG = 1 << 26  # bytes
KINDS = {"uint8", "int32", "int64", "float32", "float64", "bool"}


def save_model(estimator: Classifier, folder: str | Path, **card: Any) -> Path:
    """Writes a fitted classifier into a new or empty folder, whole or not at all; returns the folder.

    `card` is told in the model card: `data` (its name), `trained_on`, `measured` (sentences), `fingerprint`. Raises
    UsageError when the estimator is not fitted or the folder holds files, MachineError when it cannot be written.
    """
    folder, method = Path(folder), method_of(estimator)
    try:
        check_is_fitted(estimator, "classes_")
    except NotFittedError:
        raise UsageError(
            "not-fitted", "a classifier that was not fitted has nothing to save", fix="fit it first"
        ) from None
    if folder.is_dir() and any(folder.iterdir()) or folder.is_file():
        raise UsageError("out-in-use", f"{folder} holds files", fix="choose a new folder for the model")
    arrays: dict[str, np.ndarray] = {}
    parameters: dict[str, Any] = estimator.get_params(deep=False)
    if isinstance(parameters["random_state"], np.random.RandomState):  # noqa: NPY002 it has gone on since
        parameters["random_state"] = None
    config = {
        "format": FORMAT,
        "version": VERSION,
        "sparring": SPARRING_VERSION,
        "method": method,
        "parameters": written(parameters, "parameters", arrays),
        "state": written(estimator.state_(), "state", arrays),
        "card": {name: str(value) for name, value in card.items() if value is not None},
    }
    data = arrays_to_bytes(arrays)
    preprocess = json.dumps(preprocessing(estimator), indent=1).encode() + b"\n"
    config["hashes"] = {ARRAYS: sha256(data), PREPROCESS: sha256(preprocess)}
    config["sha256"] = own_hash(config)
    with files.folder_aside(folder) as aside:
        (aside / ARRAYS).write_bytes(data)
        (aside / PREPROCESS).write_bytes(preprocess)
        (aside / CARD).write_text(model_card(estimator, method, config["card"]), encoding="utf-8")
        (aside / CONFIG).write_text(json.dumps(config, indent=1, allow_nan=False), encoding="utf-8")
    return folder


def load_model(folder: str | Path) -> Classifier:
    """The classifier that `save_model` wrote; its predictions are the same to the last bit.

    Raises FileFormatError when the folder is missing, damaged, changed, of another program or of a later version.
    """
    folder = Path(folder)
    config = read_config(folder)
    data = {name: read_bytes(folder, name) for name in (ARRAYS, PREPROCESS)}
    for name, content in data.items():
        if sha256(content) != config["hashes"].get(name):
            raise damaged(folder, f"{name} does not have the hash that was written with it")
    try:
        arrays = {name: np.array(array) for name, array in arrays_from_bytes(data[ARRAYS]).items()}
        cls = METHODS[config["method"]].estimator_class()
        parameters, state = (read(config[key], arrays) for key in ("parameters", "state"))
        known = {field.name for field in fields(cls)}
        if not known >= parameters.keys() or not all(n.endswith("_") and n[0] != "_" for n in state):
            raise ValueError(f"{sorted(parameters.keys() - known)} are no parameters of {config['method']}")
        estimator = cls(**parameters)
        estimator.restore_(state)
        estimator.pictures_ = {}
        try_out(estimator)
    except FileFormatError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError, SafetensorError) as error:
        raise damaged(folder, f"its content does not fit together ({printable(str(error))[:200]})") from error
    return estimator


def try_out(estimator: Classifier) -> None:
    """One empty image through the whole model: what does not fit together shows here, not at work."""
    shape, classes = tuple(estimator.image_shape_), len(estimator.classes_)
    if len(shape) != 3 or not all(isinstance(side, int) and 0 < side < 1 << 16 for side in shape):
        raise ValueError(f"image shape {shape}")
    proba = estimator.predict_proba(np.zeros((1, *shape), np.uint8))
    if len(estimator.class_names_) != classes or proba.shape != (1, classes) or not np.isfinite(proba).all():
        raise ValueError(f"probabilities of shape {proba.shape} for {classes} classes")


def method_of(estimator: Classifier) -> str:
    cls = type(estimator)
    for name, method in METHODS.items():
        if f"{__package__}.{method.estimator.replace(':', '.')}" == f"{cls.__module__}.{cls.__qualname__}":
            return name
    raise UsageError(
        "unknown-method", f"{cls.__name__} is not one of the methods", fix=f"save one of {', '.join(METHODS)}"
    )


def preprocessing(estimator: Classifier) -> dict:
    """How an image file becomes this model's input."""
    height, width, channels = estimator.image_shape_
    return {
        "height": height,
        "width": width,
        "channels": channels,
        "colour": "grey" if channels == 1 else "rgb",
        "dtype": "uint8",
        "range": [0, 255],
        "files": "sparring.images.load_image(path, size=(height, width), channels=channels)",
    }


# Trees of data as JSON and arrays


def written(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """JSON for `value`; its arrays are added to `arrays` under `name`."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, np.generic):
        return written(value.item(), name, arrays)
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": str(value)}
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "U":
            return {"$strings": value.tolist()}
        if value.dtype.name not in KINDS:
            raise TypeError(f"{name} is an array of {value.dtype}")
        arrays[name] = np.ascontiguousarray(value)
        return {"$array": name}
    if is_dataclass(value) and not isinstance(value, type):
        return {"$part": records.to_json(value)}
    if isinstance(value, tuple):
        return {"$tuple": written(list(value), name, arrays)}
    if isinstance(value, list):
        return [written(item, f"{name}/{place}", arrays) for place, item in enumerate(value)]
    if isinstance(value, dict) and all(isinstance(key, str) and not key.startswith("$") for key in value):
        return {key: written(item, f"{name}/{key}", arrays) for key, item in value.items()}
    raise TypeError(f"{name} is a {type(value).__name__}, which a model folder cannot hold")


def read(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The inverse of `written`."""
    if isinstance(value, list):
        return [read(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"$array": name}:
            return arrays[name]
        case {"$strings": list(names)}:
            return np.array([str(name) for name in names])
        case {"$float": "nan" | "inf" | "-inf" as number}:
            return float(number)
        case {"$tuple": list(items)}:
            return tuple(read(items, arrays))
        case {"$part": part}:
            return records.from_json(part)
    return {key: read(item, arrays) for key, item in value.items()}


# Files


def read_config(folder: Path) -> dict:
    if not folder.is_dir():
        raise FileFormatError(
            "model-missing", f"there is no model folder {folder}", fix="name a folder such as STUDY/model"
        )
    path = folder / CONFIG
    if path.exists() and path.stat().st_size > LARGEST_CONFIG:
        raise damaged(folder, f"{CONFIG} is too large")
    text = read_bytes(folder, CONFIG)
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(folder, f"{CONFIG} is not JSON") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise FileFormatError(
            "model-foreign", f"{folder} was not written by sparring", fix="name a folder such as STUDY/model"
        )
    if config.get("version") != VERSION:
        raise FileFormatError(
            "model-version",
            f"{folder} has version {config.get('version')!r} of the format, this is version {VERSION}",
            fix=f"use sparring {config.get('sparring')}, which wrote it",
        )
    if own_hash(config) != config.get("sha256") or not isinstance(config.get("hashes"), dict):
        raise damaged(folder, f"{CONFIG} does not have the hash that was written with it")
    return config


def read_bytes(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        if name == CONFIG and isinstance(error, FileNotFoundError):
            raise FileFormatError(
                "model-foreign", f"{folder} holds no model: it has no {CONFIG}", fix="name a folder such as STUDY/model"
            ) from error
        raise damaged(folder, f"{name} cannot be read") from error


def damaged(folder: Path, reason: str) -> FileFormatError:
    return FileFormatError("model-damaged", f"the model in {folder} is damaged: {reason}", fix="fit it again")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def own_hash(config: dict) -> str:
    """Of everything in config.json but this hash."""
    rest = {key: value for key, value in config.items() if key != "sha256"}
    return sha256(json.dumps(rest, sort_keys=True).encode())


# The model card


def model_card(estimator: Classifier, method: str, card: dict[str, str]) -> str:
    """Markdown with the front matter of a Hub model card."""
    row, record = METHODS[method], estimator.record_
    told = {name: quoted(value) for name, value in card.items()}
    classes = "\n".join(f"- {quoted(name)}" for name in estimator.class_names_)
    shortcoming = (
        "\n- It holds every image that it learned from: whoever has this folder has those images."
        if method == "spreading"
        else ""
    )
    data = f", data {told['data']}" if "data" in told else ""
    source = f"{told.get('trained_on', 'labelled images')}{data}"
    labels = f"{record.get('labels', 0):,} labels and {record.get('unlabelled', 0):,} unlabelled images"
    measured = told.get("measured", "not measured; `sparring compare` measures a method on images that it did not see")
    sources = "\n".join(f"- {cite}" for cite in row.cites) or "- none"
    return f"""---
library_name: sparring
pipeline_tag: image-classification
---

# {row.title}

{row.what}

- Learned from: {source}; {labels}
- Images: {size_of(estimator.image_shape_)}, uint8; files are fitted to that size (`preprocess.json`)
- Measured: {measured}
- Fingerprint of the data: {told.get("fingerprint", "not told")}
- Written by sparring {SPARRING_VERSION}

## Classes

{classes}

## Use

    sparring classify THIS_FOLDER IMAGES...

    import sparring
    model = sparring.load_model("THIS_FOLDER")
    model.predict(["photo.png"]), model.predict_proba(["photo.png"])

## Limits

- It says one of the classes above for any image, also for one that shows none of them.
- Its figures hold for images taken as those it learned from were; a probability is no better than the few labels by
  which it was calibrated.{shortcoming}

## Sources

{sources}
"""


def quoted(text: str) -> str:
    """A name on one line that Markdown and HTML take as text."""
    special = {character: f"&#{ord(character)};" for character in "<>&`*_[]|#\\"}
    return "".join(special.get(character, character) for character in printable(text))
