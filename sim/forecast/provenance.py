"""Where a result comes from: what one needs to get it again, and to doubt it. No host name, no path, no user."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

__all__ = ["host", "versions"]

_PACKAGES = ("servecast", "numpy", "scipy", "simpy", "numba")


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    return {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES}


def host() -> dict[str, object]:
    """Return what kind of machine this is."""
    return {"platform": f"{platform.system()}-{platform.machine()}", "cpu": _cpu_model(), "cpu_count": os.cpu_count()}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _cpu_model() -> str:
    """Return the processor's name; Linux keeps it in /proc/cpuinfo."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
