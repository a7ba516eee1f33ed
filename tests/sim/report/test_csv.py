"""Figures as rows: each number is read back as it was, whatever the names are."""

from __future__ import annotations

import csv
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.forecast.estimates import Figure
from sim.forecast.forecast import Forecast
from sim.forecast.intervals import Bounds, PredictionBounds
from sim.report.csv import csv_of
from sim.report.document import FigureRow
from sim.report.forecast_document import forecast_document
from sim.scenario.spec import Scenario


def rows_of(text: str) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    return list(csv.DictReader(StringIO(text, newline="")))


@pytest.mark.parametrize("which", ["plain", "scaled"])
def test_rows_are_the_figures_of_the_json(which: str, request: pytest.FixtureRequest) -> None:
    """Every figure of the JSON, those of versions and rollout too, is a row with the same numbers to the last digit."""
    scenario, forecast = request.getfixturevalue(which)
    rows = rows_of(csv_of(forecast_document(forecast, scenario).figures))
    tree = forecast.to_json()
    assert len({row["name"] for row in rows}) == len(rows)
    assert {f"versions.{version.name}.{name}" for version in forecast.versions for name in version.figures} <= {
        row["name"] for row in rows
    }
    for row in rows:
        told = tree
        for level in row["name"].split("."):
            told = told[level]
        assert number(row["value"]) == told["value"]
        assert (number(row["low"]), number(row["high"])) == (told["low"], told["high"])
        for interval in ("sampling", "calibration", "prediction"):
            assert number(row[f"{interval}_low"]) == told[interval]["low"]
            assert number(row[f"{interval}_high"]) == told[interval]["high"]
        assert int(row["samples"]) == told["samples"]
        assert row["why"] == told.get("why", "")


def number(cell: str) -> float | None:
    """Return the number in a cell, None where it is empty."""
    return float(cell) if cell else None


def test_units_are_those_of_the_json(plain: tuple[Scenario, Forecast]) -> None:
    """A latency is in ms, a share is one of 1 and not per cent, a cost has its currency."""
    scenario, forecast = plain
    units = {row["name"]: row["unit"] for row in rows_of(csv_of(forecast_document(forecast, scenario).figures))}
    assert units["latency_ms.p99"] == "ms"
    assert units["refused_share"] == "share of 1"
    assert units["throughput_per_s"] == "1/s"
    assert units["gpu_hours"] == "h"
    assert units["replicas.mean"] == "replicas"
    assert units["cost"] == '<b>&"'
    assert all(units.values())


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(value=FINITE, low=FINITE, high=FINITE, name=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_number_and_any_name_comes_back(value: float, low: float, high: float, name: str) -> None:
    """Commas, quotes and line breaks in what a figure is of stay within their cell."""
    figure = Figure(value, low, high, Bounds(low, value), None, PredictionBounds(low, high, "normal", 2), 7)
    rows = [FigureRow("cost", "EUR", figure, {"key": name}), FigureRow("cost", "EUR", Figure(None, why=name))]
    first, second = rows_of(csv_of(rows))
    assert first["key"] == name
    assert [float(first[key]) for key in ("value", "low", "high", "prediction_low")] == [value, low, high, low]
    assert first["calibration_low"] == ""
    assert (second["key"], second["value"], second["why"]) == ("", "", name)
