"""Checks and loads as text: forecast beside measurement with the signed error, every attempt accounted for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from calibration.check_report import AttemptReport, CheckReport, PointReport
from calibration.host import HostLoad, Validity
from calibration.load_once import LoadResult
from calibration.load_plan import Lateness
from servecast.reports import check_picture, check_report, load_report
from sim.forecast.latency_curve import LatencyCurve
from sim.forecast.prediction import PredictedFigure, Prediction
from sim.outcome.fleet_course import FleetCourse, FleetRun, Steps
from sim.report.tables import as_text
from sim.scenario.profile import LonePart, LoneRequest

LATENCIES_MS = np.linspace(5.0, 50.0, 500)
FORECAST = {
    "latency_ms.p50": (20.0, 19.0, 21.0),
    "latency_ms.p99": (40.0, 38.0, 44.0),
    "refused_share": (0.0, 0.0, 0.01),
}


def attempt_of(p50: float, p99: float, *reasons: str) -> AttemptReport:
    """Return a measured run; with a reason it does not count."""
    figures = {} if reasons else {"latency_ms.p50": p50, "latency_ms.p99": p99, "refused_share": 0.004}
    validity = Validity(not reasons, reasons)
    latencies = np.zeros(0) if reasons else LATENCIES_MS
    return AttemptReport(validity, Lateness(1, 2, 3), HostLoad(0.0, 0.1), {"answered": 500}, figures, latencies)


def report_of(*attempts: AttemptReport, repeats: int = 1) -> CheckReport:
    """Return a check at 60 % of 500/s."""
    quantiles = np.array([0.5, 0.9, 0.99])
    curve = LatencyCurve(
        quantiles, np.array([20.0, 30.0, 40.0]), np.array([19.0, 29.0, 38.0]), np.array([21.0, 31.0, 44.0])
    )
    figures = {name: PredictedFigure(*numbers, method="empirical", draws=200) for name, numbers in FORECAST.items()}
    valid = any(attempt.validity.valid for attempt in attempts)
    prediction = Prediction(figures, curve, 200) if valid else None
    point = PointReport(0.6, 300.0, 303.0, 500.0, 3000, repeats, attempts, prediction)
    return CheckReport((point,), {"scenario": "shop"})


def test_check_shows_forecast_measurement_and_signed_error() -> None:
    """The error is that of the forecast: 20 ms for a measured 25 ms is 20 % too low, outside the interval."""
    text = as_text(check_report(report_of(attempt_of(25.0, 40.0))))
    rows = [line.split() for line in text.splitlines()]
    assert [
        "60",
        "%,",
        "303/s",
        "p50",
        "20.0",
        "ms",
        "19.0",
        "..",
        "21.0",
        "ms",
        "25.0",
        "ms",
        "-20.0",
        "%",
        "no",
    ] in rows
    assert ["p99", "40.0", "ms", "38.0", "..", "44.0", "ms", "40.0", "ms", "+0.0", "%", "yes"] in rows
    assert ["refused", "0", "%", "0", "..", "1.00", "%", "0.400", "%", "-0.4", "points", "yes"] in rows


def test_check_begins_with_its_answer() -> None:
    """How many loads agree, and the capacity, stand first."""
    assert as_text(check_report(report_of(attempt_of(20.0, 40.0)))).startswith(
        "shop: forecast and live server agree at 1 of 1 loads; the capacity is 500/s.\n"
    )
    text = as_text(check_report(report_of(attempt_of(25.0, 40.0))))
    assert text.startswith("shop: forecast and live server agree at 0 of 1 loads;")
    assert "60 % of capacity: out of tolerance" in text


def test_check_of_several_runs_shows_their_spread() -> None:
    """Beside the median of the runs stand the least and the most."""
    text = as_text(check_report(report_of(attempt_of(19.0, 40.0), attempt_of(22.0, 41.0), attempt_of(20.0, 45.0))))
    assert "20.0 ms (19.0 .. 22.0 ms)" in text
    assert "60 %, error of each run: p50 +5.3 %, -9.1 %, +0.0 %; p99 +0.0 %, -2.4 %, -11.1 %; refused" in text


def test_attempt_that_does_not_count_is_listed_with_its_reason() -> None:
    """No run is left out in silence."""
    report = report_of(attempt_of(0, 0, "The load generator was 3 ms late at its p99."), attempt_of(20.0, 40.0))
    text = as_text(check_report(report))
    assert "60 %, attempt 1 not valid: The load generator was 3 ms late at its p99.\n" in text
    assert "60 % of capacity: agrees" in text


def test_load_without_a_valid_run_shows_no_figures() -> None:
    """Without a valid run there is neither forecast nor error, and no picture of one."""
    report = report_of(attempt_of(0, 0, "The hypervisor took 9 % of the CPU time away."))
    text = as_text(check_report(report))
    assert "60 % of capacity: not valid" in text
    assert "p50" not in text
    assert check_picture(report).figure.axes == []


def test_picture_has_a_panel_with_forecast_and_each_run() -> None:
    """The panel says load and rate; each valid run is a line over the forecast's."""
    (axes,) = check_picture(report_of(attempt_of(19.0, 40.0), attempt_of(20.0, 41.0))).figure.axes
    assert axes.get_title() == "60 % of capacity, 303/s"
    assert len(axes.lines) == 3


def test_load_report_shows_outcomes_as_shares_and_why_it_does_not_count() -> None:
    """What was refused is a share of the requests; a quantile with too few answers beyond it is a dash."""
    result = LoadResult(
        requests=500,
        duration_s=5.0,
        latencies_ms=LATENCIES_MS[:400],
        outcomes={"answered": 400, "refused": 100, "failed": 0},
        statuses={200: 400, 429: 100},
        lateness=Lateness(10_000, 2_000_000, 3_000_000),
        host=HostLoad(None, None),
        validity=Validity(False, ("The load generator was 2.00 ms late at its p99.",)),
        timer="timerfd",
    )
    lines = [line.split() for line in as_text(load_report(result)).splitlines()]
    assert ["sent", "100/s"] in lines
    assert ["share", "refused", "20.0", "%"] in lines
    assert ["p99.9", "latency", "-"] in lines
    assert not any(line[:2] == ["share", "failed"] for line in lines)
    assert " ".join(lines[-1]) == "Not valid: The load generator was 2.00 ms late at its p99."


def test_check_shows_where_a_lone_request_goes_if_its_calibration_says() -> None:
    """The table of the calibration stands below the check, and is in its JSON."""
    part = LonePart(measured_ms=8.5, low_ms=8.4, high_ms=8.6, modelled_ms=8.512)
    lone = LoneRequest(requests=80, left_out=0, client_late_ms=0.05, parts={"pass": part}, latency=part)
    report = replace(report_of(attempt_of(25.0, 40.0)), lone_request=lone)
    assert "lone request" not in as_text(check_report(report_of(attempt_of(25.0, 40.0))))
    assert "8.512 ms" in as_text(check_report(report))
    assert report.to_json()["lone_request"] == lone.model_dump(mode="json")


def fleet_of(moment_s: float) -> FleetRun:
    """Return a run of ten seconds that wants 4 replicas in place of 2 from a moment on."""
    steps = Steps(np.array([0, round(moment_s * 1e9)], dtype=np.int64), np.array([2, 4], dtype=np.int64))
    return FleetRun(FleetCourse(steps, steps, steps, steps), np.array([100.0]))


def test_fleet_says_of_each_run_whether_it_is_near_and_whether_it_is_inside() -> None:
    """Draws move at 2 or at 8 s, in the mean at 5: the first run is near, the second a fifth off but where runs lie."""
    report = report_of(*[replace(attempt_of(20.0, 40.0), fleet=fleet_of(moment_s)) for moment_s in (5.0, 2.0)])
    (point,) = report.points
    assert point.prediction is not None
    draws = tuple(fleet_of(2.0 if number < 99 else 8.0) for number in range(210))
    point = replace(point, prediction=replace(point.prediction, fleets=draws), duration_ns=10**10, tick_ns=10**9)
    text = " ".join(as_text(check_report(replace(report, points=(point,)))).split())
    assert "2 2.97 2.40 .. 3.60 3.60 -17.6 % 4 (100 %) 4 +-0.0 %" in text
    assert "run 2, replicas wanted: 2 4 (100 %), measured 2 4 (100 %): 4 at 8.0 s (2.0 .. 8.0), measured 2.0" in text
    assert (
        "Mean replicas: within 5 % in 1 of 2 runs, inside the interval of single runs in 2. Moments: 0 of 2 within one "
        "tick (1 s), 2 inside." in text
    )


def test_failures_are_shown_where_there_may_be_any() -> None:
    """A row of zeros beside the refusals would say nothing of most servers."""
    report = report_of(attempt_of(20.0, 40.0))
    assert "failed" not in as_text(check_report(report))
    (point,) = report.points
    assert point.prediction is not None
    for measured, high in ((0.0, 0.02), (0.03, 0.0)):
        figures = {**point.prediction.figures, "failed_share": PredictedFigure(0.0, 0.0, high, "empirical", 200)}
        attempt = point.attempts[0]
        attempt = replace(attempt, figures={**attempt.figures, "failed_share": measured})
        seen = replace(point, attempts=(attempt,), prediction=replace(point.prediction, figures=figures))
        assert "failed" in as_text(check_report(replace(report, points=(seen,))))
