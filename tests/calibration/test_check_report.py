"""Tests of calibration/check_report.py on synthetic rows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from calibration.check_report import AttemptReport, CheckReport, PointReport
from calibration.host import HostLoad, Validity
from calibration.load_plan import Lateness
from sim.forecast.prediction import PredictedFigure, Prediction
from sim.outcome.fleet_course import FleetCourse, FleetRun, Steps

VALID = Validity(True, ())
DISTURBED = Validity(False, ("The load generator was late.",))


def _attempt(p50: float, p99: float = 40.0, refused: float = 0.0, validity: Validity = VALID) -> AttemptReport:
    figures = {"latency_ms.p50": p50, "latency_ms.p99": p99, "refused_share": refused} if validity.valid else {}
    return AttemptReport(validity, Lateness(1, 2, 3), HostLoad(0.0, 0.1), {"answered": 5}, figures, np.zeros(0))


def _point(attempts: list[AttemptReport], **changes: Any) -> PointReport:
    centres = {"latency_ms.p50": 20.0, "latency_ms.p99": 40.0, "refused_share": 0.0}
    figures = {name: PredictedFigure(at, at - 1, at + 1, "draws", 200) for name, at in centres.items()}
    settings: dict[str, Any] = {
        "load": 0.6,
        "rate_per_s": 360.0,
        "offered_per_s": 361.0,
        "capacity_per_s": 600.0,
        "requests": 5400,
        "repeats": 2,
        "attempts": tuple(attempts),
        "prediction": Prediction(figures, None, 200),
    }
    return PointReport(**(settings | changes))


@pytest.mark.parametrize(
    ("attempts", "changes", "verdict"),
    [
        ([_attempt(20.0), _attempt(20.5)], {}, "agrees"),
        ([_attempt(22.0), _attempt(22.0)], {}, "model wrong"),  # p50 9 % too low
        ([_attempt(20.0, p99=60.0), _attempt(20.0, p99=60.0)], {}, "model wrong"),
        ([_attempt(20.0, refused=0.05), _attempt(20.0, refused=0.05)], {}, "model wrong"),
        ([_attempt(20.0), _attempt(90.0), _attempt(20.1)], {"repeats": 3}, "agrees"),  # the median counts
        ([_attempt(20.0), _attempt(1.0, validity=DISTURBED)], {}, "invalid"),  # one valid of two
        ([_attempt(1.0, validity=DISTURBED)] * 4, {"prediction": None}, "invalid"),
        ([_attempt(20.0), _attempt(1.0, validity=DISTURBED), _attempt(20.2)], {}, "agrees"),
        # Saturated: latencies say how long the queue is, refusals whether the model has the capacity right.
        ([_attempt(90.0, refused=0.01)] * 2, {"offered_per_s": 780.0}, "agrees"),
        ([_attempt(20.0, refused=0.03)] * 2, {"offered_per_s": 780.0}, "model wrong"),
    ],
)
def test_verdict_follows_from_valid_runs(attempts: list[AttemptReport], changes: dict[str, Any], verdict: str) -> None:
    """Out of tolerance is "model wrong", too few valid runs "invalid"; above capacity the refusals alone decide."""
    assert _point(attempts, **changes).verdict == verdict


def _fleet(moment_s: float) -> FleetRun:
    """Return a run of ten seconds that wants 4 replicas in place of 2 from a moment on."""
    steps = Steps(np.array([0, round(moment_s * 1e9)], dtype=np.int64), np.array([2, 4], dtype=np.int64))
    return FleetRun(FleetCourse(steps, steps, steps, steps), np.array([100.0]))


def _fleet_point(moments_s: list[float], drawn: list[FleetRun], repeats: int, known: bool = True) -> PointReport:
    """Return a load at which runs moved at these moments, a tick being a second."""
    attempts = [
        replace(_attempt(20.0), fleet=_fleet(moment_s), at_work_ns=number if known else None)
        for number, moment_s in enumerate(moments_s)
    ]
    figures = {"refused_share": PredictedFigure(0.0, 0.0, 0.1, "draws", 200)}
    prediction = Prediction(figures, None, len(drawn), fleets=tuple(drawn))
    changes = {"prediction": prediction, "repeats": repeats, "duration_ns": 10**10, "tick_ns": 10**9}
    return _point(attempts, **changes)


EDGE = [_fleet(2.0 if number < 99 else 8.0) for number in range(210)]  # 3.6 and 2.4, 3.0 in the mean


MOSTLY = [_fleet(2.0 if number < 10 else 8.0) for number in range(210)]  # 2.46 in the mean


@pytest.mark.parametrize(
    ("moments_s", "drawn", "verdict"),
    [
        ([8.0], EDGE, "agrees"),  # a quarter off, and where 111 of 210 runs lie
        ([2.0], EDGE, "agrees"),  # a fifth off, and where the others lie
        ([9.5], EDGE, "model wrong"),  # where none lies
        ([8.0, 2.0], EDGE, "agrees"),
        ([8.0, 8.2, 8.0], MOSTLY, "agrees"),
        ([8.0, 8.0, 2.0], MOSTLY, "model wrong"),  # three runs show more than one: each is to be near
    ],
)
def test_one_run_of_a_fleet_may_stray_as_far_as_single_runs_do(
    moments_s: list[float], drawn: list[FleetRun], verdict: str
) -> None:
    """One run at an edge says little of the forecast, which knows the edge; three are held to the tolerance."""
    assert _fleet_point(moments_s, drawn, len(moments_s)).verdict == verdict


@pytest.mark.parametrize(("known", "means"), [(True, [3.6, 2.4]), (False, [3.0, 3.0])])
def test_each_run_is_compared_with_the_draws_that_began_like_it(known: bool, means: list[float]) -> None:
    """Draws take turns with the runs: at 2 s moved those of the first, at 8 s those of the second."""
    drawn = [_fleet(2.0), _fleet(8.0)] * 100
    point = _fleet_point([2.0, 8.0], drawn, 2, known)
    assert [score.replicas_mean for score in point.fleet_scores] == pytest.approx(means)


def test_saturation_is_what_was_offered_against_the_forecast_capacity() -> None:
    """The drawn schedule counts, not the rate asked for."""
    assert not _point([_attempt(20.0)], rate_per_s=600.0, offered_per_s=599.0).saturated
    assert _point([_attempt(20.0)], rate_per_s=600.0, offered_per_s=601.0).saturated


def test_spread_of_the_measurements_is_told() -> None:
    """The least and the most that valid runs showed stand beside the error."""
    point = _point([_attempt(20.0), _attempt(21.0), _attempt(20.4), _attempt(99.0, validity=DISTURBED)])
    assert point.spread("latency_ms.p50") == (20.0, 21.0)
    assert point.spread("unknown") is None
    assert {each.figure: each.measured for each in point.scores}["latency_ms.p50"] == 20.4


def test_report_lists_every_attempt_and_is_json() -> None:
    """Also those that do not count, with the reason; their latencies were not read, so they have no scores."""
    point = _point([_attempt(20.0), _attempt(1.0, validity=DISTURBED)])
    content = json.loads(json.dumps(CheckReport((point,), {"seed": 1}).to_json(), allow_nan=False))
    attempts = content["points"][0]["attempts"]
    assert [attempt["valid"] for attempt in attempts] == [True, False]
    assert attempts[1]["reasons"] == ["The load generator was late."]
    assert attempts[1]["scores"] == []
    assert len(attempts[0]["scores"]) == 3
    assert (content["version"], content["valid"], content["agrees"]) == ("servecast-check/2", False, False)
    assert content["provenance"] == {"seed": 1}


def test_check_agrees_if_all_points_do() -> None:
    """One load out of tolerance is a check out of tolerance; one invalid load makes the check invalid."""
    good, bad = _point([_attempt(20.0)] * 2), _point([_attempt(30.0)] * 2)
    invalid = _point([_attempt(20.0)])
    assert CheckReport((good,), {}).agrees
    assert not CheckReport((good, bad), {}).agrees
    assert CheckReport((good, bad), {}).is_valid
    assert not CheckReport((good, invalid), {}).is_valid
