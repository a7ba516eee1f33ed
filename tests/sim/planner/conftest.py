"""What the tests of sweeps share: a Dask cluster inside their own process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

SETTINGS = {"processes": False, "n_workers": 2, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}


@pytest.fixture
def dask_cluster() -> Iterator[Any]:
    """Return a Dask cluster inside this process, of which this process is a client."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(**SETTINGS) as cluster, distributed.Client(cluster):
        yield cluster
