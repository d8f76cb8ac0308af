"""The files of a published encoder: a folder, the name of one in the hub's cache, or a download on demand.

`fetched` is the one function of sparring that uses a network. It takes what is read here and nothing else: no pickle
(.bin, .pt, .pth), which runs code when it is read, no TorchScript file and no Python, which are code.
"""

import hashlib
from pathlib import Path
from types import ModuleType
from typing import Any

from ..artifacts import check_header
from ..errors import FileFormatError, MachineError, UsageError
from ..files import read_json
from ..records import OnProgress, Progress, no_progress

TAKEN = ("config.json", "preprocessor_config.json", "model.safetensors", "model.safetensors.index.json",
         "model-*.safetensors")  # fmt: skip
PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".msgpack", ".h5"}


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


# --- the hub ---------------------------------------------------------------------------------------------------------


def hub_folder(name: str) -> Path:
    """Return the folder of a model in the hub's cache on this machine; no network is used. Raises FileFormatError."""
    hub = hub_module()
    try:
        return Path(hub.snapshot_download(name, allow_patterns=TAKEN, local_files_only=True))
    except (hub.errors.LocalEntryNotFoundError, hub.errors.HFValidationError, OSError) as error:
        raise FileFormatError(
            "encoder-missing",
            f"there is no folder {name}, and no model of that name in the hub's cache on this machine",
            fix=f"name a folder, or fetch it once where there is a network: --download, or hf download {name}",
        ) from error


def fetched(name: str, progress: OnProgress = no_progress) -> Path:
    """Fetch a model of the hub into its cache, unless it is there; return its folder.

    It comes from https://huggingface.co, or from where the environment variable HF_ENDPOINT points. A folder of that
    name is taken as it is. Raises FileFormatError where the hub has no such model or its weights are a pickle,
    MachineError where it cannot be reached.
    """
    if Path(name).is_dir():
        return Path(name)
    hub = hub_module()
    try:
        folder = hub_folder(name)
        weight_files(folder)
    except FileFormatError:
        progress(Progress("download", message=f"fetching {name} from the hub"))
        folder = _from_hub(hub, name)
        weight_files(folder)
    return folder


def _from_hub(hub: ModuleType, name: str) -> Path:
    before = hub.utils.are_progress_bars_disabled()
    hub.utils.disable_progress_bars()
    try:
        return Path(hub.snapshot_download(name, allow_patterns=TAKEN))
    except (hub.errors.RepositoryNotFoundError, hub.errors.HFValidationError) as error:
        raise FileFormatError(
            "encoder-missing",
            f"the hub has no model {name} that may be read from here",
            fix="write its name as on the hub, such as facebook/dinov2-small, or log in there: hf auth login",
        ) from error
    except OSError as error:  # the hub's own errors among them
        raise _unreachable(name, hub.constants, error) from error
    finally:
        if not before:
            hub.utils.enable_progress_bars()


def _unreachable(name: str, constants: ModuleType, error: OSError) -> MachineError:
    if constants.HF_HUB_OFFLINE:
        return MachineError("no-download", f"{name} is not fetched: HF_HUB_OFFLINE is set, which forbids it",
                            fix="unset it for this command, or name the folder of a model")  # fmt: skip
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return MachineError(
        "no-download",
        f"{name} cannot be fetched from {constants.ENDPOINT}: {reason}",
        fix="look at the network, or fetch the model elsewhere and name its folder",
    )


def hub_module() -> ModuleType:
    try:
        import huggingface_hub
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError:
        raise missing_package("transformers") from None
    return huggingface_hub


def missing_package(package: str) -> MachineError:
    return MachineError(
        "no-encoders",
        f"published encoders need the package {package}, which is not installed",
        fix="in a clone of sparring: pip install -c constraints.txt '.[encoders]'",
    )


# --- weights and their configuration ---------------------------------------------------------------------------------


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
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise FileFormatError("encoder-missing", f"{path} is not a file", fix="fetch the whole model again")
        try:
            with path.open("rb") as file:
                check_header(file.read(8), path.stat().st_size)
                file.seek(0)
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
        except ValueError as error:
            raise FileFormatError("bad-encoder", f"{path} is {error}", fix="fetch the whole model again") from None
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
    content = read_json(path.resolve())  # in the hub's cache it is a link
    if not isinstance(content, dict):
        raise FileFormatError("bad-encoder", f"{path} is not a JSON object", fix="fetch the whole model again")
    return content
