"""What every measurement ends with: where and when it was made, its table on stdout, and the files that keep it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sim.forecast.provenance import host, versions

__all__ = ["add_files", "circumstances", "publish"]


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the result is kept."""
    parser.add_argument("--text", type=_from_here, metavar="FILE", help="for the table")
    parser.add_argument("--json", type=_from_here, metavar="FILE", help="for all figures")


def _from_here(text: str) -> Path:
    """Return a path that holds after a change of folder, too."""
    return Path(text).resolve()


def circumstances(*distributions: str) -> dict[str, Any]:
    """Return date, host and versions, also those of further distributions that the result depends on."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "host": host(),
        "versions": versions() | {name: version(name) for name in distributions},
    }


def publish(result: Mapping[str, Any], text: str, options: argparse.Namespace) -> None:
    """Print the table, and write the files that were asked for."""
    print(text)
    if options.text is not None:
        options.text.write_text(text + "\n", encoding="utf-8")
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
