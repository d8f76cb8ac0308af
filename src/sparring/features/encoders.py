"""Published encoders: weights that are on this machine, known by their hash. Nothing is downloaded, nothing is run.

A pickle (.bin, .pt, .pth) runs code when it is read, and a TorchScript file is code: both are refused. Weights come
as safetensors: a folder as `save_pretrained` of transformers writes it, the name of one in the hub's cache, or, of
Inception, one file with the usual names of its tensors.
"""

import hashlib
import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from ..devices import choose_device
from ..errors import FileFormatError, MachineError, SparringError, UsageError, pick
from ..files import content_hash, read_json
from .extractor import HASH_DIGITS, Extractor
from .inception import SIDE, load_inception
from .preprocessing import Preparation, preparation_of

ENCODER_VERSION = 1  # to be raised with any change of what is read from an encoder
ENCODER_BATCH = 32  # images
PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".msgpack", ".h5"}
FAMILIES = {  # name -> the model types of transformers that it may be; none: any
    "dinov2": ("dinov2", "dinov2_with_registers"),
    "clip": ("clip", "clip_vision_model"),
    "encoder": (),
    "inception": (),
}
UNIMPORTANT = ("transformers_version", "dtype", "torch_dtype", "architectures")  # in a config.json
SQUARE = Preparation((0.5,) * 3, (0.5,) * 3, "bilinear", size=(SIDE, SIDE))


def encoder(name: str, source: str | Path, *, expected: str = "", device: str = "auto") -> Extractor:
    """Return a published encoder as an extractor.

    name: `dinov2`, `clip`, `encoder` for any image model that transformers knows, or `inception`. source: a folder
    with config.json, model.safetensors and preprocessor_config.json, or the name of one in the hub's cache on this
    machine ("facebook/dinov2-small"); for `inception` a .safetensors file (see inception.py). `expected`: the sha256 of
    the weights' file, or its first 8 digits or more; other weights are refused. Features are those that the model
    pools (of DINOv2 the class token, of CLIP the projected image embedding where there is one), in float32 and not
    scaled.

    Images are resized to 299 x 299 for Inception: bilinear like the usual PyTorch copies, but antialiased and rounded.
    So Frechet distances are near published ones, but equal only to those with the same resize rule.

    Raises UsageError for an unknown name, FileFormatError for files that are missing, unsafe or other than expected,
    MachineError where transformers is missing or torchvision is broken.
    """
    types, where = pick(FAMILIES, name, "encoder"), choose_device(device)
    folder = folder_of(source, "*" if name == "inception" else "model.safetensors")
    files = weight_files(folder)
    found = weights_hash(files)
    check_hash(found, expected, folder)
    if name == "inception":
        return encoder_extractor(name, load_inception(files).to(where), SQUARE, found, where)
    config = read_config(folder / "config.json", "the architecture of the model")
    if types and config.get("model_type") not in types:
        raise UsageError("other-encoder", f"{folder} holds a model of type {config.get('model_type')!r}, not {name}",
                         fix="name a folder that holds one, or call the extractor encoder")  # fmt: skip
    path = folder / "preprocessor_config.json"
    prepare = preparation_of(read_config(path, "how its images are resized and normalised"), path)
    built = {key: value for key, value in sorted(config.items()) if key[0] != "_" and key not in UNIMPORTANT}
    try:
        return encoder_extractor(name, loaded_model(folder).to(where), prepare, found, where, str(built))
    except (RuntimeError, AttributeError, TypeError, ValueError) as error:
        if isinstance(error, SparringError):
            raise
        raise unreadable(folder, error) from error


def encoder_extractor(
    name: str, model: nn.Module, prepare: Preparation, weights: str, device: str, built: str = ""
) -> Extractor:
    """Return the extractor of a loaded model; it is tried on one empty image, so that an error shows here."""

    @torch.inference_mode()
    def compute(images: np.ndarray) -> tuple[np.ndarray, None]:
        return pooled(model, prepare(images, device)).float().cpu().numpy(), None

    return Extractor(
        width=compute(np.zeros((1, 32, 32, 3), np.uint8))[0].shape[1],
        name=name,
        hash=content_hash("encoder", ENCODER_VERSION, weights, prepare, built)[:HASH_DIGITS],
        weights=weights,
        resize=prepare.rule,
        compute=compute,
        batch=ENCODER_BATCH,
        alone=True,
    )


def pooled(model: nn.Module, x: Tensor) -> Tensor:
    """Return the model's own features [N,F] of whole images [N,3,h,w]."""
    out: Any = model.get_image_features(pixel_values=x) if hasattr(model, "get_image_features") else model(x)  # type: ignore
    if isinstance(out, Tensor):
        return out
    whole = getattr(out, "pooler_output", None)
    return whole.flatten(1) if whole is not None else out.last_hidden_state[:, 0]


# --- files -----------------------------------------------------------------------------------------------------------


def folder_of(source: str | Path, takes: str) -> Path:
    """Return the folder or file itself, or the folder of a hub's name in the cache. Raises FileFormatError, UsageError.

    `takes`: which files may stand for their folder; `*`: any may stand for itself.
    """
    path = Path(source)
    if path.is_file():
        refuse_pickle([path])
        if path.suffix != ".safetensors" or takes not in ("*", path.name):
            raise UsageError("other-encoder", f"{path} is no {'.safetensors file' if takes == '*' else takes}",
                             fix="name the folder of the model, or its safetensors file")  # fmt: skip
        return path if takes == "*" else path.parent
    if not path.is_dir() and path.suffix == ".safetensors":
        raise FileFormatError("encoder-missing", f"there is no file {path}", fix="name the file, or the model's folder")
    return path if path.is_dir() else hub_folder(str(source))


def hub_folder(name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
    except ImportError:
        raise missing_package("transformers") from None
    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError) as error:
        raise FileFormatError(
            "encoder-missing",
            f"there is no folder {name}, and no model of that name in the hub's cache on this machine",
            fix=f"name a folder, or fetch it once where there is a network: hf download {name}",
        ) from error


def weight_files(folder: Path) -> list[Path]:
    """Return the file itself, model.safetensors, or the parts that its index names. Raises FileFormatError."""
    if folder.is_file():
        return [folder]
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if index.is_file():
        parts = read_config(index, "where its weights are").get("weight_map") or {}
        return [folder / Path(str(name)).name for name in sorted(set(parts.values()))]
    refuse_pickle(sorted(folder.iterdir()))
    raise FileFormatError(
        "encoder-missing",
        f"{folder} holds no model.safetensors",
        fix="name a folder with config.json, model.safetensors and preprocessor_config.json",
    )


def refuse_pickle(paths: list[Path]) -> None:
    for path in paths:
        if path.suffix.lower() in PICKLES:
            raise FileFormatError(
                "weights-pickle",
                f"{path} is not read: a pickle or a TorchScript file runs whatever code is in it",
                fix="take the model.safetensors of the same model, or convert it where you trust its source",
            )


def weights_hash(files: list[Path]) -> str:
    """Return the SHA-256 of one file, as sha256sum prints it; of several that of their hashes one after the other."""
    digests = []
    for path in files:
        try:
            with path.open("rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
        except OSError as error:
            raise FileFormatError("encoder-missing", f"cannot read {path}: {error.strerror}",
                                  fix="fetch the whole model again") from error  # fmt: skip
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def check_hash(found: str, expected: str, where: Path) -> None:
    wanted = expected.lower().removeprefix("sha256:")
    if not wanted:
        return
    if len(wanted) < 8:
        raise UsageError("short-hash", f"the expected hash {expected!r} has {len(wanted)} digits", fix="give 8 or more")
    if not found.startswith(wanted):
        raise FileFormatError(
            "other-weights",
            f"the weights in {where} have the sha256 {found}, expected was {wanted}",
            fix="fetch the weights again, or expect the hash that they have",
        )


def read_config(path: Path, says: str) -> dict[str, Any]:
    """Return the content of a JSON file beside the weights. Raises FileFormatError."""
    if not path.is_file():
        raise FileFormatError(
            "bad-encoder",
            f"{path.parent} holds no {path.name}, which says {says}",
            fix="add the file of the model that was published",
        )
    content = read_json(path)
    if not isinstance(content, dict):
        raise FileFormatError("bad-encoder", f"{path} is not a JSON object", fix="fetch the whole model again")
    return content


# --- transformers ----------------------------------------------------------------------------------------------------


def loaded_model(folder: Path) -> nn.Module:
    """Return the model in eval mode, float32, all its weights from the file. Raises FileFormatError, MachineError."""
    transformers = transformers_module()
    with quiet_transformers(transformers):
        try:
            model, report = transformers.AutoModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, trust_remote_code=False,
                dtype=torch.float32, output_loading_info=True,
            )  # fmt: skip
        except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
            raise unreadable(folder, error) from error
    if absent := sorted(report["missing_keys"]):
        raise FileFormatError(
            "bad-encoder",
            f"{folder} lacks {len(absent)} weights that its config.json asks for, such as {absent[0]}",
            fix="fetch the whole model again",
        )
    return model.eval().requires_grad_(False)


def unreadable(folder: Path, error: Exception) -> FileFormatError:
    reason = str(error).strip().split("\n")[0][:200]
    return FileFormatError(
        "bad-encoder", f"{folder} does not work as an image model: {reason}", fix="fetch the whole model again"
    )


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


def missing_package(package: str) -> MachineError:
    return MachineError(
        "no-encoders",
        f"published encoders need the package {package}, which is not installed",
        fix="in a clone of sparring: pip install -c constraints.txt '.[encoders]'",
    )


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
