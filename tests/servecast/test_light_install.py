"""The light install forecasts: what only the server, PyTorch or the checks need is not there."""

from __future__ import annotations

import json
import subprocess
import sys

FORECAST = """
import sys

MISSING = {"aiohttp", "prometheus_client", "torch", "numba", "llvmlite", "pytest", "hypothesis", "jsonschema"}


class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Missing())
from servecast.cli import main

sys.exit(main(sys.argv[1:]))
"""


def run_light(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line where only the light install is."""
    return subprocess.run([sys.executable, "-c", FORECAST, *arguments], capture_output=True, text=True)


def test_light_install_forecasts() -> None:
    """A forecast needs neither the server's modules nor a compiler."""
    done = run_light(
        "forecast", "sentiment", "--json", "--runs", "2", "--set", "horizon.duration=2s", "--set", "goals={}"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["latency_ms"]["p50"]["value"] > 0


def test_light_install_names_the_extra_that_a_server_needs() -> None:
    """`serve` without the extra says what to install, with exit code 4."""
    done = run_light("serve", "sentiment")
    assert done.returncode == 4
    assert done.stderr == "servecast: the server needs aiohttp: pip install 'servecast[server]'.\n"


def test_import_servecast_loads_no_array_library() -> None:
    """`import servecast` alone is light: its names are imported when they are used."""
    code = (
        "import sys, servecast; print(sorted({'numpy', 'pydantic', 'scipy', 'simpy', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
