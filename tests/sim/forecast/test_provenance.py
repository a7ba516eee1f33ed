"""Where a result comes from."""

from __future__ import annotations

import getpass
import json
import os
import platform
from pathlib import Path

import numpy as np

from sim.forecast.provenance import host, versions


def test_versions_are_those_that_results_depend_on() -> None:
    """Python, servecast, and what computes, as they are installed."""
    found = versions()
    assert set(found) == {"python", "servecast", "numpy", "scipy", "simpy", "numba"}
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__


def test_host_says_what_kind_of_machine_and_not_which() -> None:
    """Processor and count; no host name, no user, no path."""
    found = host()
    assert found["cpu_count"] == os.cpu_count()
    text = json.dumps([found, versions()])
    assert platform.node() not in text
    assert str(Path.home()) not in text
    assert f'"{getpass.getuser()}"' not in text
