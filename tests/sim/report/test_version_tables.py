"""Versions beside each other as text."""

from __future__ import annotations

from sim.forecast.estimates import Figure, exact
from sim.forecast.version_forecast import VersionForecast
from sim.report.tables import as_text
from sim.report.version_tables import versions_table


def version(name: str, **changes: Figure) -> VersionForecast:
    """Return a version with p50 12 ms and p99 20 ms, and nothing copied."""
    names = ("request_share", "failed_share", "refused_share", "gpu_busy_share", "replicas.mean", "copies_per_s")
    figures = {each: exact(0.0) for each in (*names, "copy_ms.p99")}
    figures |= {"latency_ms.p50": exact(12.0), "latency_ms.p99": exact(20.0)}
    return VersionForecast(name, figures | {key.replace("__", "."): figure for key, figure in changes.items()})


def test_dash_of_a_version_has_its_reason_below() -> None:
    """A canary with 2 % of the requests shows no p99: why stands below, of that version and that figure alone."""
    few = Figure(None, why="a run shows 2.1 independent answers beyond it, and 20 are needed")
    lines = as_text(versions_table((version("v1"), version("v2", latency_ms__p99=few))), 160).splitlines()
    assert [line.split()[3:7] for line in lines[2:4]] == [["12.0", "ms", "20.0", "ms"], ["12.0", "ms", "-", "0"]]
    assert lines[4:] == ["No p99 of v2: a run shows 2.1 independent answers beyond it, and 20 are needed."]


def test_column_that_no_version_has_anything_in_needs_no_reason() -> None:
    """It is left out: what no version has, the table of all requests gives a reason for."""
    none = Figure(None, why="a run shows 2.1 independent answers beyond it, and 20 are needed")
    text = as_text(versions_table((version("v1", latency_ms__p99=none), version("v2", latency_ms__p99=none))), 160)
    assert "p99" not in text
