"""Tests of calibration/check.py against a simulated server: what is true of it is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration import check as check_module
from calibration.check import CheckEffort, InterleavedCheck, check, check_point
from calibration.errors import BadSamples
from calibration.host import HostLoad
from calibration.load_plan import LoadPlan
from calibration.measurement import Measurement
from calibration.pass_profiler import fixed_plan
from calibration.samples import LoadSample, Samples
from policy.settings import batching_rule
from policy.timeline import Attempt
from sim.scenario.load import load_scenario
from sim.scenario.spec import Scenario

Simulated = Callable[..., Any]

URL = "http://127.0.0.1:9"
QUICK = CheckEffort(duration_s=3.0, repeats=2, attempts=4, draws=4, workers=1)


def _scenario(**changes: Any) -> Scenario:
    content: dict[str, Any] = {
        "name": "known",
        "traffic": {
            "arrivals": {"process": "poisson", "rate": "100/s"},
            "network": {"there": "0.1ms", "back": "0.3ms"},
        },
        "model": {"pass_time": {"base": "8ms", "per_item": "0.5ms"}},
        "batching": {"max_batch": 8, "max_wait": "5ms"},
        "queue": {"cap": 64},
        "front_end": {"request": "0.2ms", "response": "0.1ms"},
        "fleet": {"turnaround": {"batch_in": "0.25ms", "results_out": "0.15ms"}},
    }
    return load_scenario(content | changes)


class _FakeLiveServer:
    """Ready, and with the rules of the scenario of this test."""

    def __init__(self, url: str, input_text: str) -> None:
        self.url = url

    def require_ready(self) -> None:
        """It is."""

    def config(self) -> dict[str, object]:
        """Nothing is compared: see fake_live."""
        return {}


Measure = Callable[[object, LoadPlan], Measurement]


@pytest.fixture
def fake_live(monkeypatch: pytest.MonkeyPatch) -> Callable[[Measure], None]:
    """Put a simulated server in the place of the live one."""

    def use(measure: Measure) -> None:
        monkeypatch.setattr(check_module, "LiveServer", _FakeLiveServer)
        monkeypatch.setattr(check_module, "require_same_rules", lambda *_: None)
        monkeypatch.setattr(check_module, "measure_load", measure)

    return use


def test_right_forecast_agrees_at_every_load(simulated_server: Simulated, fake_live: Callable[..., None]) -> None:
    """The server is the model: every figure agrees to the nanosecond, refusals above capacity too."""
    fake_live(simulated_server(cap=64).measure)
    report = check(URL, _scenario(), loads=[0.3, 1.3], effort=QUICK, seed=3)
    assert [point.verdict for point in report.points] == ["agrees", "agrees"]
    assert [point.saturated for point in report.points] == [False, True]
    assert report.agrees
    for point in report.points:
        assert len(point.attempts) == 2
        assert all(abs(each.error) < 1e-9 for each in point.scores if each.figure != "throughput_per_s")
    refused = {each.figure: each.measured for each in report.points[1].scores}["refused_share"]
    assert refused > 0.1


def test_slower_server_is_called_a_wrong_model(simulated_server: Simulated, fake_live: Callable[..., None]) -> None:
    """A pass that takes 25 % longer than the forecast thinks: too low by a fifth, and said to be wrong."""
    fake_live(simulated_server(base=10.0, per_item=0.625, cap=64).measure)
    report = check(URL, _scenario(), loads=[0.3], effort=QUICK)
    errors = {each.figure: each.error for each in report.points[0].scores}
    assert report.points[0].verdict == "model wrong"
    assert errors["latency_ms.p50"] < -0.1
    assert report.is_valid
    assert not report.agrees


def test_all_runs_of_a_load_have_one_schedule(simulated_server: Simulated, fake_live: Callable[..., None]) -> None:
    """One pre-drawn schedule is replayed; another load has its own, of its own length."""
    server = simulated_server(cap=64)
    fake_live(server.measure)
    report = check(URL, _scenario(), loads=[0.3, 0.6], effort=QUICK, seed=3)
    _warm_up, first, again, other, _ = (plan.arrivals_ns.tolist() for plan in server.plans)
    assert first == again
    assert first != other
    assert [point.requests for point in report.points] == [len(first), len(other)]
    assert report.points[0].offered_per_s == len(first) / 3.0
    assert report.points[1].rate_per_s == pytest.approx(2 * report.points[0].rate_per_s)


def _samples(server: Any) -> Samples:
    """Return two steady loads of a simulated server, 100 and 400 requests/s."""
    loads = []
    for rate in (100, 400):
        moments = np.sort(np.random.default_rng(rate).integers(0, 4 * 10**9, 4 * rate))
        measured = server.measure(None, fixed_plan(moments, item_size=1))
        loads.append(LoadSample(rate, measured.timeline(), measured.server_cpu_s))
    rule = batching_rule(max_batch=8, max_wait_ns=5_000_000)
    return Samples("known", batching=rule, instances=1, item_size=1, bursts=(), loads=tuple(loads))


def test_runs_lie_between_the_measured_processes(simulated_server: Simulated, fake_live: Callable[..., None]) -> None:
    """Two runs of each load, one when two of the four processes have been measured, one when three have.

    Rates are shares of the capacity that the first process showed, 645/s, not of the 400/s that the scenario states.
    What is forecast is that of the scenario that report() is given.
    """
    server = simulated_server(cap=64)
    fake_live(server.measure)
    stated = _scenario(model={"pass_time": {"base": "19.6ms"}})
    samples = [_samples(server)] * 4
    between = InterleavedCheck(URL, stated, 4, loads=[0.3, 0.6], effort=QUICK, seed=3)
    server.plans.clear()
    driven = []
    for count in range(1, 5):
        between.measure(samples[:count])
        driven.append(len(server.plans))
    assert driven == [1, 3, 5, 5]  # the warm-up, then both loads at a time
    report = between.report(_scenario())
    assert report.provenance["interleaved"]
    assert [point.capacity_per_s for point in report.points] == pytest.approx([645, 645], rel=0.01)
    assert [point.rate_per_s for point in report.points] == pytest.approx([193.5, 387], rel=0.01)
    assert [len(point.attempts) for point in report.points] == [2, 2]
    assert [point.verdict for point in report.points] == ["agrees", "agrees"]


def test_disturbed_run_is_made_up_for_in_its_turn(simulated_server: Simulated, fake_live: Callable[..., None]) -> None:
    """A run that does not count is driven again at once; the attempts are those of all parts together."""
    quiet, late = simulated_server(cap=64), simulated_server(cap=64, late_ns=5_000_000)
    samples = _samples(quiet)
    servers = [quiet, late, quiet, late, late]
    fake_live(lambda server, plan: servers.pop(0).measure(server, plan))
    between = InterleavedCheck(URL, _scenario(), 2, loads=[0.3], effort=QUICK)
    for count in (1, 2):
        between.measure([samples] * count)
    point = between.report(_scenario()).points[0]
    assert [attempt.validity.valid for attempt in point.attempts] == [False, True, False, False]
    assert point.verdict == "invalid"


def test_disturbed_runs_are_repeated_and_listed(simulated_server: Simulated, fake_live: Callable[..., None]) -> None:
    """Late, then fine, then stolen from, then fine: four attempts for two valid runs, the reasons beside."""
    servers = [
        simulated_server(cap=64),  # the warm-up
        simulated_server(cap=64, late_ns=5_000_000),
        simulated_server(cap=64),
        simulated_server(cap=64, host=HostLoad(0.5, 0.0)),
        simulated_server(cap=64),
    ]
    fake_live(lambda server, plan: servers.pop(0).measure(server, plan))
    point = check(URL, _scenario(), loads=[0.3], effort=QUICK).points[0]
    assert [attempt.validity.valid for attempt in point.attempts] == [False, True, False, True]
    assert "late" in point.attempts[0].validity.reasons[0]
    assert "hypervisor" in point.attempts[2].validity.reasons[0]
    assert point.verdict == "agrees"


def test_host_that_always_disturbs_makes_the_check_invalid(
    simulated_server: Simulated, fake_live: Callable[..., None]
) -> None:
    """Attempts are bounded; no latency is read and nothing is predicted."""
    fake_live(simulated_server(cap=64, late_ns=5_000_000).measure)
    report = check(URL, _scenario(), loads=[0.3], effort=QUICK)
    assert not report.is_valid
    assert len(report.points[0].attempts) == 4
    assert report.points[0].prediction is None
    assert all(attempt.figures == {} for attempt in report.points[0].attempts)


def test_foreign_load_makes_a_run_invalid(simulated_server: Simulated, fake_live: Callable[..., None]) -> None:
    """Rows of a client that is not this check's: the run does not count, and the reason says so."""
    server = simulated_server(cap=64)

    def measure(_server: object, plan: LoadPlan) -> Measurement:
        measured = server.measure(None, plan)
        foreign = measured.log.attempts[:1].copy()
        foreign[:, Attempt._fields.index("request")] = 2**40
        log = type(measured.log)(np.concatenate([measured.log.attempts, foreign]), measured.log.passes, 0)
        return Measurement(measured.run, log, measured.host, measured.server_cpu_s, measured.wall_s)

    fake_live(measure)
    point = check(URL, _scenario(), loads=[0.3], effort=QUICK).points[0]
    assert point.verdict == "invalid"
    assert "Another client sent 1 requests" in point.attempts[0].validity.reasons[0]


@pytest.mark.parametrize(
    ("changes", "loads", "said"),
    [
        ({"queue": {}}, [0.3, 1.3], "A load of 130 % of capacity needs queue.cap"),
        ({}, [0.0], "must be a share of the capacity above 0"),
        ({}, [0.001], "it needs at least 100"),
    ],
)
def test_load_that_cannot_be_checked_is_refused(
    simulated_server: Simulated, fake_live: Callable[..., None], changes: Any, loads: list[float], said: str
) -> None:
    """Without a limit an overloaded queue grows for ever; a dozen requests say nothing."""
    fake_live(simulated_server().measure)
    with pytest.raises(BadSamples, match=said):
        check(URL, _scenario(**changes), loads=loads, effort=QUICK)


def test_trace_is_stretched_to_the_load(simulated_server: Simulated, fake_live: Callable[..., None]) -> None:
    """A recorded trace keeps its shape at the rate that is checked."""
    server = simulated_server(cap=64)
    fake_live(server.measure)
    trace = Path(__file__).parents[1] / "data" / "timestamps_seconds.csv"
    arrivals = {"process": "trace", "file": str(trace), "repeat": True}
    scenario = _scenario(traffic={"arrivals": arrivals, "network": {"there": "0.1ms", "back": "0.3ms"}})
    point = check_point(URL, scenario, 200.0, effort=QUICK)
    assert point.verdict == "agrees"
    assert point.offered_per_s == pytest.approx(200.0, rel=0.5)
    assert point.load == pytest.approx(200.0 / point.capacity_per_s)


def test_report_says_where_it_comes_from(simulated_server: Simulated, fake_live: Callable[..., None]) -> None:
    """Scenario, seed, versions, host, bounds and effort: enough to get it again, and JSON throughout."""
    fake_live(simulated_server(cap=64).measure)
    told: list[tuple[str, float]] = []
    report = check(URL, _scenario(), loads=[0.3], effort=QUICK, seed=9, progress=lambda *step: told.append(step))
    content = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert content["provenance"].keys() >= {"scenario_hash", "seed", "versions", "host", "created", "bounds", "effort"}
    assert content["provenance"]["seed"] == 9
    assert (content["provenance"]["calibration"], content["provenance"]["interleaved"]) == (None, False)
    assert [share for _, share in told] == sorted(share for _, share in told)
    assert told[-1][1] == pytest.approx(1.0)
