"""Pictures: what stands on the axes, and that they are written without a display."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim.forecast.forecast import Forecast
from sim.forecast.goals import GoalResult
from sim.forecast.latency_curve import LatencyCurve
from sim.report.figures import LatencyPanel, forecast_panel, latency_picture
from sim.scenario.spec import Scenario

QUANTILES = np.concatenate([np.linspace(0.01, 0.98, 98), [0.99, 0.995, 0.999]])


def panel_of(title: str, runs: int) -> LatencyPanel:
    """Return an exponential forecast of mean 10 ms, and runs drawn from it."""
    latency_ms = -10.0 * np.log1p(-QUANTILES)
    curve = LatencyCurve(QUANTILES, latency_ms, 0.9 * latency_ms, 1.1 * latency_ms)
    rng = np.random.default_rng(7)
    return LatencyPanel(title, curve, [rng.exponential(10.0, 2000) for _ in range(runs)])


def test_each_load_has_a_panel_with_units_and_quantiles() -> None:
    """Both axes say what they show and in which unit; the ticks of the tail are p50, p90, p99."""
    figure = latency_picture([panel_of("30 %", 1), panel_of("60 %", 3), panel_of("85 %", 0)]).figure
    assert [axes.get_title() for axes in figure.axes] == ["30 %", "60 %", "85 %"]
    for axes in figure.axes:
        assert axes.get_xlabel() == "latency (ms)"
        assert axes.get_ylabel() == "answered requests that are slower (%)"
        assert [label.get_text() for label in axes.get_yticklabels()][:3] == ["50 % (p50)", "10 % (p90)", "1 % (p99)"]


def test_lines_are_named_where_they_are() -> None:
    """Forecast and measurement are told apart by a label on the line and by dashes, not by colour alone."""
    (axes,) = latency_picture([panel_of("60 %", 3)]).figure.axes
    assert [text.get_text() for text in axes.texts] == ["forecast, 95 % band of one run", "measured, 3 runs"]
    assert [line.is_dashed() for line in axes.lines] == [False, False, False, True]


def test_measured_curve_is_the_share_of_slower_requests() -> None:
    """Of 1, 2, 3, 4 ms three quarters are slower than 1 ms, and a quarter is slower than 3 ms."""
    panel = LatencyPanel("", panel_of("", 0).forecast, [np.array([4.0, 1.0, 3.0, 2.0])])
    (axes,) = latency_picture([panel]).figure.axes
    x, y = axes.lines[0].get_data()
    assert np.asarray(x).tolist() == [1.0, 2.0, 3.0]
    assert np.asarray(y).tolist() == [0.75, 0.5, 0.25]


def test_goals_are_dotted_lines_with_their_names() -> None:
    """Where they can be shown: one of a second beside a distribution of some ms is left out, and squeezes nothing."""
    panel = replace(panel_of("", 0), goals_ms={"p99": 300.0, "p50": 1000.0})
    (axes,) = latency_picture([panel]).figure.axes
    assert [text.get_text() for text in axes.texts] == ["goal p99 300 ms", "forecast, 95 % band of one run"]
    (line,) = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert list(line.get_xdata()) == [300.0, 300.0]
    assert 300.0 < axes.get_xlim()[1] < 1000.0


def test_panel_of_a_forecast_has_its_goals_on_quantiles(plain: tuple[Scenario, Forecast]) -> None:
    """One that is judged by the share beyond it has its limit all the same; a mean is no point of a distribution."""
    goals = [
        GoalResult("p999", "beyond_goal.p999_share", 0.001, None, None, None, slower_than_ms=500.0),
        GoalResult("p50", "latency_ms.p50", 100.0, 10.0, 9.0, 11.0),
        GoalResult("mean", "latency_ms.mean", 100.0, 10.0, 9.0, 11.0),
        GoalResult("refused", "refused_share", 0.01, 0.0, 0.0, 0.0),
    ]
    panel = forecast_panel(replace(plain[1], goals=goals), "a title")
    assert (panel.title, panel.goals_ms) == ("a title", {"p99.9": 500.0, "p50": 100.0})


@pytest.mark.parametrize(("least", "most"), [(15.0, 55.0), (12.0, 420.0), (0.8, 9000.0)])
def test_latency_axis_has_round_ticks(least: float, most: float) -> None:
    """However narrow or wide the range, there are ticks enough to read a value, and not a crowd of them."""
    curve = panel_of("", 0).forecast
    stretched = np.linspace(least, most, len(QUANTILES))
    panel = LatencyPanel("", LatencyCurve(curve.quantiles, stretched, stretched, stretched))
    (axes,) = latency_picture([panel]).figure.axes
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert 4 <= len(ticks) <= 8
    assert all(len(tick) <= 4 for tick in ticks)


def test_picture_is_written_without_a_display(tmp_path: Path) -> None:
    """The ending of the file says the format."""
    latency_picture([panel_of("30 %", 1)], title="shop").save(tmp_path / "shop.png")
    latency_picture([panel_of("30 %", 1)]).save(tmp_path / "shop.svg")
    assert (tmp_path / "shop.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "shop.svg").read_text(encoding="utf-8")


def test_module_loads_matplotlib_only_to_draw() -> None:
    """Importing reports costs no plotting library."""
    code = "import sys, sim.report.figures, sim.report.tables; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
