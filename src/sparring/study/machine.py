"""What a study ran on: processor, memory, versions. Kept with every row."""

import importlib.metadata
import os
import platform
from functools import cache
from pathlib import Path

PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "pillow")


@cache
def cores() -> int:
    """Processor cores that this process may use, control groups and affinity considered."""
    from joblib import cpu_count

    return cpu_count()


@cache
def hardware() -> dict:
    """{"cpu", "cores", "memory_gib", "device"}, JSON-able."""
    return {"cpu": _cpu(), "cores": cores(), "memory_gib": _memory_gib(), "device": "cpu"}


@cache
def versions() -> dict[str, str]:
    """Of sparring, Python, and the packages that numbers depend on."""
    found = {"sparring": _version("sparring"), "python": platform.python_version()}
    return found | {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str:
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
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None
