"""The machine: device, precision, threads, processors, memory and versions. Importing this file imports no torch."""

import ctypes
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypedDict

from .errors import MachineError

SPARRING_VERSION = "0.1.0"  # of sparring
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "pillow")  # those that numbers depend on


class Advisory(NamedTuple):
    """A hole of a package, in releases from `since` until before `fixed`; "" where no release closes it yet."""

    package: str
    since: str
    fixed: str
    id: str
    about: str


# What was known on this day of packages that are installed with sparring: no list of all. `sparring doctor` looks here.
ADVISORIES_OF = "2026-11-28"
ADVISORIES = (
    Advisory("pillow", "0", "12.3.0", "CVE-2026-59197", "a filter of a large size writes beyond its memory"),
    Advisory("pillow", "0", "13.0.0", "CVE-2026-112403", "a JPEG writes beyond its memory (GHSA-8g5g-8vmr-9782)"),
    Advisory("pillow", "0", "13.0.0", "CVE-2026-96639", "an image is kept in memory that was given back"),
    Advisory("pillow", "0", "13.0.0", "CVE-2026-128067", "saving TIFF writes beyond its memory"),
    Advisory("pyarrow", "0.14.0", "14.0.1", "CVE-2023-47248", "a Parquet file runs code"),
    Advisory(
        "pyarrow", "15.0.0", "23.0.1", "GHSA-rgxp-2hwp-jwgg", "an Arrow file writes to memory that was given back"
    ),
    Advisory("jinja2", "0", "3.1.6", "CVE-2025-27516", "a template of a stranger leaves its sandbox"),
    Advisory("filelock", "0", "3.20.1", "CVE-2025-68146", "a lock empties a file that a link leads to"),
    Advisory("filelock", "0", "3.20.3", "CVE-2026-22701", "the same of soft locks"),
    Advisory("filelock", "4.1.0", "4.2.1", "CVE-2026-112906", "a soft lock that is held is taken away"),
    Advisory("torch", "0", "2.6.0", "CVE-2025-32434", "torch.load runs code with weights_only=True, too"),
    Advisory("torch", "0", "2.10.0", "CVE-2026-24747", "torch.load with weights_only=True writes beyond its memory"),
    Advisory("torch", "0", "2.11.0", "CVE-2026-4538", "a file of torch.export runs code"),
    Advisory("torch", "2.12.0", "", "CVE-2026-136426", "a file of torch.export runs code; sparring reads none"),
    Advisory("scikit-learn", "0", "1.5.0", "CVE-2024-5206", "TfidfVectorizer keeps the words that it leaves out"),
    Advisory("transformers", "0", "5.3.0", "CVE-2026-4372", "the config.json of a model runs code"),
    Advisory("fonttools", "4.33.0", "4.60.2", "CVE-2025-66034", "its command writes files anywhere"),
    Advisory("virtualenv", "0", "20.36.1", "CVE-2026-22702", "a link leads it to other folders"),
)

# --- device and precision --------------------------------------------------------------------------------------------


def choose_device(device: str) -> str:
    """Return the device to use: for "auto" the GPU if there is one, else the CPU.

    Raises MachineError for a device that is not there.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device != "cpu" and not (device.startswith("cuda") and torch.cuda.is_available()):
        raise MachineError("no-device", f"there is no device {device!r} on this machine", fix="use --device auto")
    return device


def choose_precision(precision: str, device: str = "cpu") -> str:
    """Return "fp32" or "bf16"; for "auto" bf16 where the processor, or the GPU `device`, has units that multiply it.

    It depends on the machine alone, not on a measurement, so that the same fit gives the same numbers again.
    """
    import torch

    if precision != "auto":
        return precision
    if device != "cpu":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    units = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return "bf16" if any(getattr(torch.cpu, unit, bool)() for unit in units) else "fp32"


def device_name(device: str) -> str:
    """Return what a result says of the device that `choose_device` gave: the GPU's name, or the processor's."""
    if device == "cpu":
        return _cpu()
    import torch

    return torch.cuda.get_device_name(device)


# --- threads ---------------------------------------------------------------------------------------------------------


@contextmanager
def torch_threads(threads: int | None) -> Iterator[None]:
    """Let torch spread an operation over so many threads inside; None leaves its number."""
    import torch

    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def all_threads(threads: int) -> Iterator[None]:
    """Let BLAS, OpenMP and torch use so many threads inside, as far as they are loaded. Torch's number stays."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(threads):
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)
        yield


@cache
def cores() -> int:
    """Return how many processor cores this process may use; control groups and affinity are considered."""
    from joblib import cpu_count

    return cpu_count()


def training_speed(threads: int, seconds: float = 1.0) -> float:
    """Return the training steps a second of a small convolutional network on so many threads."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    net = nn.Sequential(
        nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10)
    )
    x = torch.zeros(128, 1, 28, 28)
    net(x).sum().backward()
    steps, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        net(x).square().mean().backward()
        steps += 1
    return steps / spent


# --- memory ----------------------------------------------------------------------------------------------------------


UNKNOWN_MEMORY = 2**62


def free_memory() -> int:
    """Return the bytes that can be had without swapping; UNKNOWN_MEMORY where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return min(int(line.split()[1]) * 1024, group_memory())
    except (OSError, ValueError, IndexError):
        pass
    return UNKNOWN_MEMORY


def group_memory(groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """Return the bytes that a container or batch job may still take (control groups, version 2 of Linux)."""
    try:
        name = own.read_text().partition("0::/")[2].partition("\n")[0]
        kept = dict(line.split() for line in (groups / name / "memory.stat").read_text().splitlines())
        most, used = (int((groups / name / f"memory.{what}").read_text()) for what in ("max", "current"))
        return max(0, most - used + int(kept["inactive_file"]))
    except (OSError, ValueError, KeyError):  # "max": there is no limit
        return UNKNOWN_MEMORY


def check_memory(needed: int, what: str) -> None:
    """Refuse `needed` bytes that this machine does not have, before they are allocated. Raises MachineError."""
    free = free_memory()
    if needed > free:
        raise MachineError(
            "memory",
            f"{what} needs {needed / 2**30:,.1f} GiB of memory, {free / 2**30:,.1f} GiB are free",
            fix="ask for smaller images (size=64) or fewer of them",
        )


@cache
def keep_memory() -> None:
    """Ask glibc to keep freed memory: to give it back and take it again cost a fifth of a small network's step."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return  # another C library: slower, nothing else
    for option, value in ((-1, 2**30), (-3, 2**30), (-2, 2**27)):  # trim threshold, mmap threshold, top pad
        mallopt(ctypes.c_int(option), ctypes.c_int(value))


# --- what numbers were made on ---------------------------------------------------------------------------------------


class Hardware(TypedDict):
    """What a fit ran on; `device`: the name of the processor or of the GPU that it computed on."""

    cpu: str
    cores: int
    memory_gib: float | None
    device: str


@cache
def hardware(device: str = "cpu") -> Hardware:
    """Return what this machine is, for the records of a study; `device`: what `choose_device` gave."""
    return {"cpu": _cpu(), "cores": cores(), "memory_gib": _memory_gib(), "device": device_name(device)}


@cache
def versions() -> dict[str, str]:
    """Return the versions of sparring, Python, and the packages that numbers depend on."""
    import platform

    found = {"sparring": SPARRING_VERSION, "python": platform.python_version()}
    return found | {name: _version(name) for name in PACKAGES}


def known_holes(installed: Mapping[str, str] | None = None) -> list[Advisory]:
    """Return the advisories that are about these versions by package; by default about what is installed."""
    packages = dict.fromkeys(row.package for row in ADVISORIES)
    there = {name: _version(name) for name in packages} if installed is None else installed
    return [row for row in ADVISORIES if row.package in there and _affected(there[row.package], row)]


def unsafe_packages() -> dict[str, str]:
    """Return the installed packages with holes that a later release closed, and the release to have at least."""
    found: dict[str, str] = {}
    for row in known_holes():
        if row.fixed and _older(found.get(row.package, "0"), row.fixed):
            found[row.package] = row.fixed
    return found


def _affected(version: str, row: Advisory) -> bool:
    if not re.search(r"\d", version):  # not installed
        return False
    return not _older(version, row.since) and (not row.fixed or _older(version, row.fixed))


def _older(version: str, than: str) -> bool:
    """Return whether a version is before another; one that is not known is not."""
    mine, other = ([int(part) for part in re.findall(r"\d+", text.partition("+")[0])] for text in (version, than))
    return bool(mine) and (mine + [0, 0, 0])[:3] < (other + [0, 0, 0])[:3]


def _version(package: str) -> str:
    import importlib.metadata

    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    import platform

    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None
