"""Published encoders: weights that are on this machine, known by their hash. Nothing is run that a file holds.

Weights come as safetensors: a folder as `save_pretrained` of transformers writes it, the name of one in the hub's
cache, or, of Inception, one file with the usual names of its tensors (encoder_files.py).
"""

import importlib
import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, lru_cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from ..devices import choose_device
from ..errors import FileFormatError, MachineError, SparringError, UsageError, pick, suggestion
from ..files import content_hash
from ..nets.efficientnet import SOURCE, shipped_weights
from ..records import OnProgress, no_progress
from ..words import from_home
from .encoder_files import check_hash, fetched, folder_of, missing_package, read_config, weight_files, weights_hash
from .extractor import HASH_DIGITS, Compute, Extractor
from .inception import SIDE, load_inception
from .preprocessing import Preparation, preparation_of
from .pretrained import BUILT_IN, imagenet

ENCODER_VERSION = 1  # to be raised with any change of what is read from an encoder
ENCODER_BATCH = 32  # images
ENCODERS_KEPT = 4  # of this process, loaded
FAMILIES = {  # name -> the model types of transformers that it may be; none: any
    "dinov2": ("dinov2", "dinov2_with_registers"),
    "clip": ("clip", "clip_vision_model"),
    "encoder": (),
    "inception": (),
}
UNIMPORTANT = ("transformers_version", "dtype", "torch_dtype", "architectures")  # in a config.json
POOLER = "pooler."  # weights of a layer that only some models of a type have
NONE = "none"  # the setting that does without
INCEPTION = "ImageNet, by Inception v3 with the weights of 2015-12-05"
SQUARE = Preparation((0.5,) * 3, (0.5,) * 3, "bilinear", size=(SIDE, SIDE))


def encoder(name: str, source: str | Path, *, expected: str = "", device: str = "auto") -> Extractor:
    """Return a published encoder as an extractor.

    name: `dinov2`, `clip`, `encoder` for any image model that transformers knows, or `inception`. source: a folder
    with config.json, model.safetensors and preprocessor_config.json, or the name of one in the hub's cache on this
    machine ("facebook/dinov2-small"); for `inception` a .safetensors file (see inception.py). `expected`: the sha256 of
    the weights' file, or its first 8 digits or more; other weights are refused. Features are those that the model
    pools (of DINOv2 the class token, of CLIP and SigLIP the image embedding), in float32 and not scaled.

    Images are resized to 299 x 299 for Inception: bilinear like the usual PyTorch copies, but antialiased and rounded.
    So Frechet distances are near published ones, but equal only to those with the same resize rule.

    Raises UsageError for an unknown name, FileFormatError for files that are missing, unsafe or other than expected,
    MachineError where transformers is missing or torchvision is broken.
    """
    found = unloaded(name, source, expected, device)
    return replace(found, width=found.compute(np.zeros((1, 32, 32, 3), np.uint8))[0].shape[1])


def names_of(pretrained: str) -> tuple[str, ...]:
    """Return the encoders that the setting `pretrained` names, in its order; () for "none".

    Names are separated by commas: "efficientnet-lite0", which is built in, folders, and names of models on the hub. A
    folder whose own name has a comma counts as one. Raises UsageError.
    """
    if "," in pretrained and Path(pretrained).is_dir():
        return (pretrained,)
    names = tuple(name.strip() for name in pretrained.split(","))
    if names == (NONE,):
        return ()
    for name in names:
        near = suggestion(name, (BUILT_IN, NONE))
        if name not in (BUILT_IN, NONE) and near and "/" not in name and not Path(name).exists():
            raise UsageError("pretrained", f"there is no encoder {name}{near}", fix="or name a folder or a hub's model")
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice or "" in names or NONE in names:
        wrong = f"names {twice} twice" if twice else "has an empty name" if "" in names else "is none and more"
        raise UsageError("pretrained", f"the setting pretrained {wrong}: {pretrained!r}",
                         fix=f"give none, {BUILT_IN}, or names with commas between them")  # fmt: skip
    return names


def encoders_of(pretrained: str, *, device: str = "auto") -> tuple[Extractor, ...]:
    """Return the encoders that the setting `pretrained` names (`names_of`), for a classifier to choose from.

    No two have the same name. Raises UsageError, FileFormatError and MachineError, see `encoder`.
    """
    asked = names_of(pretrained)
    found = [named_encoder(name, device=device) for name in asked]
    names = [one.name for one in found]
    return tuple(
        one if names.count(one.name) == 1 else replace(one, name=place_of(name))
        for name, one in zip(asked, found, strict=True)
    )


def named_encoder(name: str, *, device: str = "auto") -> Extractor:
    """Return the built-in network, or the image model in a folder or of that name in the hub's cache."""
    return imagenet(device=device) if name == BUILT_IN else known_encoder(os.path.expanduser(name), device=device)  # noqa: PTH111


def place_of(name: str) -> str:
    """Return what finds an encoder again from anywhere: its folder, absolute or from the home folder, or its name."""
    folder = Path(name).expanduser()
    return from_home(str(folder.resolve())) if name != BUILT_IN and folder.exists() else name


def same_encoder(place: str, expected: str, *, device: str = "auto") -> Extractor:
    """Return the encoder in that place for a model that learned with it; `expected`: the hash of the extractor then.

    Raises FileFormatError where the encoder is not on this machine, or is another one.
    """
    try:
        found = named_encoder(place, device=device)
    except FileFormatError as error:
        again = "put it back" if Path(place).expanduser().is_absolute() else f"fetch it with hf download {place}"
        raise FileFormatError(
            error.id, f"the model sees images through the encoder {place}, and {error.problem}",
            fix=f"{again}, or say where it is now: --pretrained FOLDER",
        ) from error  # fmt: skip
    if found.hash != expected:
        raise FileFormatError(
            "other-encoder",
            f"the model sees images through the encoder {place} with the hash {expected}, and what has that name here "
            f"has the hash {found.hash}",
            fix="put back the files that it learned with, or fit again",
        )
    return found


def download(pretrained: str, progress: OnProgress = no_progress) -> None:
    """Fetch the encoders that the setting `pretrained` names and that are not on this machine: see `fetched`."""
    for name in names_of(pretrained):
        if name != BUILT_IN:
            fetched(name, progress)


def known_encoder(source: str, *, device: str = "auto") -> Extractor:
    """Return any image model of transformers as an encoder for classifiers, named as its folder or as on the hub.

    source, errors: as of `encoder`. The model is loaded when features are first computed, once in this process, and
    not at all where the features of all images are in the cache.
    """
    folder = folder_of(source, "model.safetensors").resolve()
    files = [*weight_files(folder), folder / "config.json", folder / "preprocessor_config.json"]
    states = [path.stat() for path in files if path.is_file()]
    return _known(source, folder, choose_device(device), tuple((state.st_mtime_ns, state.st_size) for state in states))


@lru_cache(ENCODERS_KEPT)
def _known(source: str, folder: Path, device: str, states: tuple[tuple[int, int], ...]) -> Extractor:
    """Return the encoder in a folder whose files are in these states."""
    place = place_of(source)
    name = folder.name if place != source or Path(source).is_absolute() else source
    return replace(unloaded("encoder", folder, "", device), name=place if name == BUILT_IN else name)


def unloaded(name: str, source: str | Path, expected: str, device: str) -> Extractor:
    """Return the extractor of an encoder whose weights are hashed, but not loaded before features are computed."""
    types, where = pick(FAMILIES, name, "encoder"), choose_device(device)
    folder = folder_of(source, "*" if name == "inception" else "model.safetensors")
    files = weight_files(folder)
    weights = weights_hash(files)
    check_hash(weights, expected, folder)
    if name == "inception":
        load, prepare, kind, built = partial(load_inception, files), SQUARE, INCEPTION, ""
    else:
        config = read_config(folder / "config.json", "the architecture of the model")
        kind = config.get("model_type")
        if types and kind not in types:
            raise UsageError("other-encoder", f"{folder} holds a model of type {kind!r}, not {name}",
                             fix="name a folder that holds one, or call the extractor encoder")  # fmt: skip
        path = folder / "preprocessor_config.json"
        prepare = preparation_of(read_config(path, "how its images are resized and normalised"), path)
        load, kind = partial(loaded_model, folder), f"published weights of type {kind}, sha256 {weights[:HASH_DIGITS]}"
        built = str({key: value for key, value in sorted(config.items()) if key[0] != "_" and key not in UNIMPORTANT})
    return Extractor(
        name=name,
        hash=content_hash("encoder", ENCODER_VERSION, weights, prepare, built)[:HASH_DIGITS],
        weights=weights,
        learned_from=kind,
        resize=prepare.rule,
        compute=_compute(load, prepare, folder, where),
        batch=ENCODER_BATCH,
        alone=True,
    )


def _compute(load: Callable[[], nn.Module], prepare: Preparation, folder: Path, device: str) -> Compute:
    """Return the function of images that computes features by a model, which it loads when it is first called."""

    @torch.inference_mode()
    def outputs(model: nn.Module, images: np.ndarray) -> np.ndarray:
        return pooled(model, prepare(images, device)).float().cpu().numpy()

    @cache
    def model() -> nn.Module:
        """Load the model and try it on one empty image, so that an error of its files shows here."""
        found = load().to(device)
        try:
            outputs(found, np.zeros((1, 32, 32, 3), np.uint8))
        except (RuntimeError, AttributeError, TypeError, ValueError) as error:
            if isinstance(error, SparringError):
                raise
            raise unreadable(folder, error) from error
        return found

    return lambda images: (outputs(model(), images), None)


def pooled(model: nn.Module, x: Tensor) -> Tensor:
    """Return the model's own features [N,F] of whole images [N,3,h,w]."""
    out: Any = model.get_image_features(pixel_values=x) if hasattr(model, "get_image_features") else model(x)  # type: ignore
    if isinstance(out, Tensor):
        return out
    whole = getattr(out, "pooler_output", None)
    return whole.flatten(1) if whole is not None else out.last_hidden_state[:, 0]


# --- transformers ----------------------------------------------------------------------------------------------------


def loaded_model(folder: Path) -> nn.Module:
    """Return the model in eval mode, float32, all its weights from the file. Raises FileFormatError, MachineError."""
    model, missing = _from_folder(folder)
    if missing and all(name.startswith(POOLER) for name in missing):  # of a classifier, which has none
        model, missing = _from_folder(folder, add_pooling_layer=False)
    if missing:
        raise FileFormatError(
            "bad-encoder",
            f"{folder} lacks {len(missing)} weights that its config.json asks for, such as {missing[0]}",
            fix="fetch the whole model again",
        )
    return model.eval().requires_grad_(False)


def _from_folder(folder: Path, **settings: bool) -> tuple[nn.Module, list[str]]:
    """Return the model, and the names of the weights that its file lacks."""
    transformers = transformers_module()
    with quiet_transformers(transformers):
        try:
            model, report = transformers.AutoModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, trust_remote_code=False,
                dtype=torch.float32, output_loading_info=True, **settings,
            )  # fmt: skip
        except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
            raise unreadable(folder, error) from error
    return model, sorted(report["missing_keys"])


def unreadable(folder: Path, error: Exception) -> FileFormatError:
    reason = str(error).strip().split("\n")[0][:200]
    return FileFormatError(
        "bad-encoder", f"{folder} does not work as an image model: {reason}", fix="fetch the whole model again"
    )


def installed_encoders() -> dict[str, str]:
    """Return what may be used of other images on this machine, and why, by name: for people."""
    try:
        shipped_weights()
        found = {BUILT_IN: f"{SOURCE}; Apache-2.0"}
    except (MachineError, FileFormatError) as error:
        found = {BUILT_IN: f"missing: {error.problem}"}
    there = importlib.util.find_spec("transformers") is not None
    return found | {
        "others": "image models of transformers, from a folder or the hub"
        if there
        else missing_package("transformers").problem
    }


def transformers_module() -> ModuleType:
    """Import transformers. Raises MachineError where torchvision does not fit torch, which would break its models."""
    if importlib.util.find_spec("transformers") is None:
        raise missing_package("transformers")
    if importlib.util.find_spec("torchvision") is not None:
        try:
            importlib.import_module("torchvision")
        except Exception as error:
            raise MachineError(
                "torchvision-broken",
                f"the installed torchvision cannot be imported beside torch {torch.__version__} ({error}), and "
                "transformers loads no model then",
                fix="remove it, nothing here needs it: pip uninstall torchvision",
            ) from error
    return importlib.import_module("transformers")


@contextmanager
def quiet_transformers(transformers: ModuleType) -> Iterator[None]:
    """No progress bars and no warnings of transformers on the screen."""
    logging = transformers.utils.logging
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
