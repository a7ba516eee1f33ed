"""The picture of a fleet over time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sim.outcome.fleet_course import WINDOW_NS, FleetRun, steady
from sim.report.fleet_figure import fleet_picture


def _run(replicas: int, *p99_ms: float) -> FleetRun:
    return FleetRun(steady(replicas), np.array(p99_ms))


def test_forecast_and_runs_are_drawn_over_each_other(tmp_path: Path) -> None:
    """The median of the draws is dashed, each run is a line; axes say their units; windows without a p99 stay empty."""
    forecast = [_run(count, 100.0, np.nan) for count in (2, 3, 3)]
    picture = fleet_picture(forecast, [_run(4, 90.0, 80.0)], 2 * WINDOW_NS, title="made")
    replicas, latency = picture.figure.axes
    lines = {line.get_linestyle(): line.get_ydata() for line in replicas.lines}
    assert set(lines["-"]) == {4.0}
    assert set(lines["--"]) == {3.0}
    assert "(ms)" in latency.get_ylabel()
    assert latency.get_xlabel() == "time (s)"
    assert replicas.get_ylim()[0] == 0
    picture.save(tmp_path / "fleet.png")
    assert (tmp_path / "fleet.png").stat().st_size > 10_000


def test_forecast_alone_can_be_drawn() -> None:
    """Without a run nothing is said to be measured."""
    picture = fleet_picture([_run(1, 5.0)], [], WINDOW_NS)
    legend = picture.figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["forecast", "95 % of single runs"]
