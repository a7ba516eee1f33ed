"""Where the compiled code lies: in a directory named by all that went into it.

Numba's own cache looks at the file of the function that is called and at nothing that it calls: after an edit of a rule
in policy/ it would go on running the old code. So each state of the sources has a directory of its own, and so have the
versions of Numba and NumPy and the processor. Nothing here imports Numba.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["cache_directory", "is_compiled", "own_folder", "remove_others", "sources"]

_KEPT = 4
"""Directories of other states of the sources that are kept: going back and forth between two costs nothing."""


def sources() -> list[Path]:
    """Return the files whose functions are compiled, by name."""
    engine = Path(__file__).parent
    return sorted([*(engine.parents[2] / "policy").glob("*.py"), *engine.glob("*.py"), engine.parent / "histogram.py"])


@functools.cache
def cache_directory() -> Path:
    """Return the directory of the code that is compiled from the present sources on this processor.

    It is below $SERVECAST_CACHE, else $XDG_CACHE_HOME/servecast, else ~/.cache/servecast.
    """
    digest = hashlib.sha256()
    for path in sources():
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    for part in (version("numba"), version("numpy"), platform.python_version(), _processor()):
        digest.update(part.encode() + b"\0")
    return _base() / f"compiled-{digest.hexdigest()[:16]}"


def is_compiled() -> bool:
    """Return whether the code has been compiled and kept; without Numba, or where nothing can be read, it has not."""
    try:
        return any((cache_directory() / own_folder()).glob("*.nbi"))
    except (PackageNotFoundError, OSError):
        return False


def own_folder() -> str:
    """Return where in the directory Numba keeps the code of the sources that lie here: those elsewhere have their own.

    The name is Numba's (numba.core.caching), which is not asked, since importing it takes half a second.
    """
    folder = str(Path(__file__).parent)
    return f"{Path(folder).name}_{hashlib.sha1(folder.encode()).hexdigest()}"


def remove_others() -> None:
    """Remove the code of all states of the sources but the present one and those used last."""
    others = [path for path in _base().glob("compiled-*") if path != cache_directory()]
    for path in sorted(others, key=lambda each: each.stat().st_mtime, reverse=True)[_KEPT:]:
        shutil.rmtree(path, ignore_errors=True)


def _base() -> Path:
    own = os.environ.get("SERVECAST_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "servecast"


def _processor() -> str:
    """Return what code is compiled for: the processor's kind and abilities."""
    if sys.platform == "linux":
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            told = {line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))}
        return platform.machine() + "".join(sorted(told))
    return platform.machine() + platform.processor()
