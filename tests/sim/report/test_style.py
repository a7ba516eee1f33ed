"""The one look: every axis says its unit, lines differ without colour, and a name is never taken for a formula."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes

from sim.forecast.forecast import Forecast
from sim.forecast.latency_curve import LatencyCurve
from sim.outcome.fleet_course import WINDOW_NS, FleetRun, steady
from sim.report.diff_figure import diff_picture
from sim.report.figures import LatencyPanel, Picture, latency_picture
from sim.report.fleet_figure import fleet_picture
from sim.report.forecast_figures import breakdown_picture, versions_picture
from sim.report.plan_figure import frontier_picture
from sim.report.style import COLOURS, FORECAST, MEASURED, line, log_ticks, time_unit
from sim.report.whatif_figures import whatif_picture
from sim.report.windows_figure import windows_picture
from sim.scenario.spec import Scenario
from tests.sim.report.test_diff_tables import A, B, diff
from tests.sim.report.test_plan_tables import plan
from tests.sim.report.whatif_answers import asked

FOLDER = Path(__file__).parents[3] / "sim" / "report"
QUANTILES = np.array([0.1, 0.5, 0.9, 0.99])
CURVE = LatencyCurve(QUANTILES, 10 / (1 - QUANTILES), 9 / (1 - QUANTILES), 11 / (1 - QUANTILES))

EXAMPLES: dict[str, Callable[[Forecast], Picture]] = {
    "latency_picture": lambda _: latency_picture([LatencyPanel("a $b$ c", CURVE, [np.linspace(5, 500, 300)])]),
    "fleet_picture": lambda _: fleet_picture(
        [FleetRun(steady(2), np.array([10.0, 30.0]))], [FleetRun(steady(3), np.array([12.0, np.nan]))], 2 * WINDOW_NS
    ),
    "breakdown_picture": lambda _: breakdown_picture({"waiting for a device": 5.0, "pass": 10.0}),
    "windows_picture": lambda forecast: windows_picture(forecast.timeline),
    "diff_picture": lambda _: diff_picture(diff(A, B)),
    "versions_picture": lambda forecast: versions_picture(forecast.versions),
    "frontier_picture": lambda _: frontier_picture(plan()),
    "whatif_picture": lambda _: whatif_picture(asked("batching.max_wait=0ms,2ms", "batching.max_batch=4,8")),
}
"""One call of each function that draws."""


def test_every_function_that_draws_has_an_example() -> None:
    """What is promised as a picture by a module of reports is looked at by the tests below."""
    names = set()
    for path in FOLDER.glob("*.py"):
        names |= {name for name in import_module(f"sim.report.{path.stem}").__all__ if name.endswith("_picture")}
    assert names == set(EXAMPLES)


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_every_axis_says_what_it_shows_and_in_which_unit(name: str, scaled: tuple[Scenario, Forecast]) -> None:
    """A label ends in its unit, in brackets; an axis of names needs none. Panels over one time share a label."""
    figure = EXAMPLES[name](scaled[1]).figure
    figure.draw_without_rendering()
    assert figure.axes
    for axes in figure.axes:
        for label, ticks in ((x_label(axes), axes.get_xticklabels()), (axes.get_ylabel(), axes.get_yticklabels())):
            has_numbers = any(re.fullmatch(r"[-\u2212\d.e ]+", tick.get_text()) for tick in ticks)
            assert label or not ticks  # a scale of shades has ticks on one side
            assert not has_numbers or re.search(r"\([^()]+\)$", label), label


def x_label(axes: Axes) -> str:
    """Return the label below the panels that share an axis."""
    return next((each.get_xlabel() for each in axes.get_shared_x_axes().get_siblings(axes) if each.get_xlabel()), "")


def test_lines_differ_in_black_and_white() -> None:
    """No two kinds of line have the same dashes, so that a grey print can be read."""
    assert len({str(line(place)["linestyle"]) for place in range(4)}) == 4
    assert FORECAST["linestyle"] != MEASURED["linestyle"]
    assert line(4) == line(0)


def test_no_colour_is_one_that_a_page_could_not_replace() -> None:
    """Each colour has a form that stands in an SVG as it stands here, and none is part of another."""
    assert all(re.fullmatch(r"#[0-9a-f]{6}", colour) for colour in COLOURS.values())
    assert "#000000" not in COLOURS.values()
    assert len(set(COLOURS.values())) == len(COLOURS)


def test_picture_is_the_same_each_time_and_keeps_its_texts() -> None:
    """The SVG has no date, so the same page comes out again; its texts can be searched, a name with a $ as it is."""
    first, second = (EXAMPLES["latency_picture"](None).svg() for _ in range(2))  # type: ignore[arg-type]
    assert first == second
    assert first.startswith("<svg ")
    assert ">a $b$ c</text>" in first
    assert ">latency (ms)</text>" in first
    assert "metadata" not in first


@pytest.mark.parametrize(
    ("least", "most", "ticks"),
    [(10.0, 5000.0, [10, 100, 1000]), (15.0, 55.0, [20, 50]), (90.0, 450.0, [100, 200]), (12.0, 33.0, [15, 20, 30])],
)
def test_ticks_of_logarithms_are_few_round_numbers(least: float, most: float, ticks: list[float]) -> None:
    """However narrow the range, its round numbers are among the ticks, and there are at most nine."""
    found = log_ticks(least, most)
    assert set(ticks) <= set(found)
    assert 3 <= len(found) <= 9


@pytest.mark.parametrize(
    ("least", "most", "last"), [(13.0, 394.0, 350.0), (10.0, 1900.0, 1000.0), (10.0, 5000.0, 5000.0), (1.0, 1.1e4, 1e4)]
)
def test_last_tick_of_logarithms_is_near_the_end(least: float, most: float, last: float) -> None:
    """An axis to 394 whose labels end at 200 is read wrong; one that would touch the label before it is left out."""
    assert log_ticks(least, most)[-1] == pytest.approx(last)


@pytest.mark.parametrize(("longest_s", "unit"), [(0.5, "s"), (179.0, "s"), (180.0, "min"), (86_400.0, "h"), (1e6, "d")])
def test_time_has_the_unit_that_leaves_few_digits(longest_s: float, unit: str) -> None:
    """A day is told in hours, three minutes in minutes."""
    assert time_unit(longest_s)[0] == unit
