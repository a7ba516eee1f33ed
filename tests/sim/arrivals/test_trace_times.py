"""Cells as moments: the ways to write a date, zones, and what is said of a mixture of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sim.arrivals.trace_rows import Column, Rows
from sim.arrivals.trace_times import UNITS_NS, is_time, times_in_ns
from sim.errors import ScenarioError

NOON_UTC_NS = 1_795_780_800 * 10**9
"""2026-11-27 12:00:00 UTC."""


def read(*texts: str, unit: str = "s") -> list[int]:
    """Read a column of these cells, in lines 2, 3, ... of a file."""
    cells = list(texts)
    rows = Rows(Path("x.csv"), ("ts",), [[text] for text in cells], list(range(2, 2 + len(cells))))
    times_ns: list[int] = times_in_ns(rows, Column("ts", cells), unit).tolist()
    return times_ns


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-27T12:00:00Z",
        "2026-11-27 12:00:00 Z",
        "2026-11-27 12:00",
        "2026-11-27 13:00:00.000 +01:00",
        "2026-11-27 13:00:00+01",
        "2026-11-27T06:30:00-0530",
        "27/Nov/2026:12:00:00",
        "27/Nov/2026:13:00:00 +0100",
        "[27/Nov/2026:13:00:00 +0100]",
        "[27/Nov/2026:04:00:00.000 -08:00]",
        "[27/nov/2026:12:00:00",
    ],
)
def test_one_moment_may_be_written_in_many_ways(text: str) -> None:
    """ISO with T or a space, a space before the zone or none, and the common log format, in brackets or cut at one."""
    assert is_time(text)
    assert read(text) == [NOON_UTC_NS]


def test_fractions_are_kept_before_a_space_and_a_zone() -> None:
    """A date of a database with its milliseconds."""
    assert read("2026-11-27 13:00:00.003 +01:00") == [NOON_UTC_NS + 3 * UNITS_NS["ms"]]


@pytest.mark.parametrize(
    "text",
    [
        "27/Foo/2026:12:00:00",
        "31/Feb/2026:12:00:00 +0000",
        "27/11/2026 12:00:00",
        "Nov 27 12:00:00",
        "2026-11-27T25:00",
    ],
)
def test_what_is_no_date_is_answered_with_examples(text: str) -> None:
    """Both kinds of dates are named, whatever the file began with."""
    with pytest.raises(ScenarioError, match=re.escape("a date such as 2026-11-27T09:00:00.003+01:00 (ISO) or 27/Nov")):
        read(text)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (
            ("2026-11-27T09:00:00+01:00", "2026-11-27T09:00:01+01:00", "2026-11-27T09:00:02"),
            "x.csv, line 4: a timestamp must have a time zone, as that of line 2. Got '2026-11-27T09:00:02'.",
        ),
        (
            ("27/Nov/2026:09:00:00", "27/Nov/2026:09:00:01 +0100"),
            "x.csv, line 3: a timestamp must have no time zone, as that of line 2. Got '27/Nov/2026:09:00:01 +0100'.",
        ),
    ],
)
def test_zones_of_some_dates_are_refused(texts: tuple[str, ...], said: str) -> None:
    """One row without its zone would stretch the trace by an hour."""
    with pytest.raises(ScenarioError) as error:
        read(*texts)
    assert str(error.value) == said


def test_dates_without_any_zone_are_fine() -> None:
    """They count as UTC, which no distance depends on."""
    assert read("2026-11-27T12:00:00", "2026-11-27T12:00:02") == [NOON_UTC_NS, NOON_UTC_NS + 2 * 10**9]


def test_zones_may_differ_where_every_date_has_one() -> None:
    """A log of the night in which the clocks are put back."""
    assert read("2026-11-27T13:00:00+01:00", "2026-11-27T12:00:01Z") == [NOON_UTC_NS, NOON_UTC_NS + 10**9]


def test_number_in_the_wrong_place_is_told_its_unit() -> None:
    """The longest unit in which it can be a time since 1970."""
    with pytest.raises(ScenarioError, match=r"number of minutes up to 66666666; one in seconds needs .*unit: s\."):
        read("1795780800", unit="min")
