"""Arrival processes as a scenario writes them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ConfigDict, TypeAdapter, ValidationError

from sim.scenario.arrival_spec import Arrivals, DayCurve, Mmpp, RecordedTrace, Spike, Steps

ARRIVALS: TypeAdapter[Any] = TypeAdapter(Arrivals, config=ConfigDict(strict=True))


def read(process: str, **keys: Any) -> Any:
    """Read a process."""
    return ARRIVALS.validate_python({"process": process, **keys})


def test_defaults_are_the_documented_ones() -> None:
    """A day has 24 hours, a spike no ramp, a trace its own rate, and curves are Poisson around their rate."""
    day = read("day_curve", mean_rate="5/s", peak_to_mean=2, peak_at="14h")
    assert isinstance(day, DayCurve)
    assert (day.period, day.cv) == (86_400 * 10**9, 1.0)
    spike = read("spike", rate="5/s", peak_rate="50/s", at="1min", duration="10s")
    assert isinstance(spike, Spike)
    assert (spike.ramp, spike.cv) == (0, 1.0)
    trace = read("trace", file="x.csv")
    assert isinstance(trace, RecordedTrace)
    assert (trace.format, trace.rate, trace.repeat, trace.inside_bin) == ("auto", None, False, None)
    assert (trace.column, trace.bin_column, trace.unit, trace.scale) == (None, None, "s", 1.0)
    steps = read("steps", steps=({"rate": "5/s", "duration": "1s"},))
    assert isinstance(steps, Steps)
    assert (steps.repeat, steps.cv) == (False, 1.0)
    assert isinstance(read("mmpp", rates=("1/s", "0/s"), dwells=("1s", "2s")), Mmpp)


@pytest.mark.parametrize(
    ("process", "keys"),
    [
        ("even", {"rate": "0/s"}),
        ("poisson", {}),
        ("poisson", {"rate": "5/s", "cv": 2}),
        ("gamma", {"rate": "5/s", "cv": 0}),
        ("gamma", {"rate": "5/s", "cv": 101}),
        ("mmpp", {"rates": ("1/s",), "dwells": ("1s",)}),
        ("mmpp", {"rates": ("0/s", "0/s"), "dwells": ("1s", "1s")}),
        ("mmpp", {"rates": ("1/s", "2/s"), "dwells": ("1s", "0s")}),
        ("mmpp", {"rates": ("1/s", "2/s", "3/s"), "dwells": ("1s", "1s")}),
        ("mmpp", {"rates": ("1/s", "2/s"), "dwells": ("1s", "1s"), "jumps": ((0, 1),)}),
        ("mmpp", {"rates": ("1/s", "2/s"), "dwells": ("1s", "1s"), "jumps": ((0, -1), (1, 0))}),
        ("mmpp", {"rates": ("1/s", "2/s"), "dwells": ("1s", "1s"), "jumps": ((1, 1), (1, 0))}),
        ("mmpp", {"rates": ("1/s", "2/s"), "dwells": ("1s", "1s"), "jumps": ((0, 1), (0, 0))}),
        (
            "mmpp",
            {
                "rates": ("1/s",) * 4,
                "dwells": ("1s",) * 4,
                "jumps": ((0, 1, 0, 0), (1, 0, 0, 0), (0, 0, 0, 1), (0, 0, 1, 0)),
            },
        ),
        ("steps", {"steps": ({"rate": "0/s", "duration": "1s"},)}),
        ("steps", {"steps": ({"rate": "1/s", "duration": "0s"},)}),
        ("day_curve", {"mean_rate": "5/s", "peak_to_mean": 0.9, "peak_at": "0s"}),
        ("spike", {"rate": "5/s", "peak_rate": "0/s", "at": "0s", "duration": "1s"}),
        ("trace", {"file": ""}),
        ("trace", {"file": "x.csv", "inside_bin": "random"}),
        ("trace", {"file": "x.csv", "repeat": 1}),
    ],
)
def test_process_without_sense_is_refused(process: str, keys: dict[str, Any]) -> None:
    """Silent loads, states without a way out, and keys of another process are refused."""
    with pytest.raises(ValidationError):
        read(process, **keys)


def test_jumps_may_lead_anywhere_as_long_as_they_come_back() -> None:
    """A middle state between two others reaches both, and both reach each other through it."""
    spec = read("mmpp", rates=("1/s", "2/s", "3/s"), dwells=("1s",) * 3, jumps=((0, 1, 0), (3, 0, 1), (0, 1, 0)))
    assert spec.jumps[1] == (3, 0, 1)
