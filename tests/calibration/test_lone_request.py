"""Tests of calibration/lone_request.py against a simulated server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration import pass_profiler
from calibration.host import Bounds
from calibration.lone_request import LONE_PARTS, lone_parts_ns, lone_request, lone_rows, measure_lone, with_lone_request
from calibration.samples import LoneSample
from policy.timeline import Attempt, Outcome
from sim.engine.timelines import Timeline
from sim.scenario.load import load_scenario
from sim.scenario.profile import LoneRequest, load_profile
from sim.scenario.spec import Scenario

Simulated = Callable[..., Any]

PROFILE = load_profile(Path(__file__).parents[1] / "data" / "profile.json")
PARTS_MS = {
    "client_to_server": 0.1,
    "accept_and_parse": 0.2,
    "dispatch_and_wait": 5.0,
    "hop_in": 0.25,
    "pass": 8.5,
    "hop_out": 0.15,
    "response": 0.1,
    "to_client": 0.3,
}
"""Of the simulated server: its parts, and the wait of 5 ms for company that does not come."""


def _scenario(max_wait: str = "5ms") -> Scenario:
    return load_scenario(
        {
            "name": "known",
            "traffic": {"arrivals": {"process": "poisson", "rate": "100/s"}},
            "model": {"pass_time": {"base": "1ms", "per_item": "1ms"}},
            "batching": {"max_batch": 8, "max_wait": max_wait},
        }
    )


def _sample(server: Any, monkeypatch: pytest.MonkeyPatch, scenario: Scenario) -> LoneSample:
    monkeypatch.setattr(pass_profiler, "measure_load", server.measure)
    return measure_lone(server, scenario, 16_000_000, 1, np.random.default_rng(1), Bounds())


def _measure(server: Any, monkeypatch: pytest.MonkeyPatch, scenario: Scenario) -> Timeline:
    return _sample(server, monkeypatch, scenario).timeline


def _table(timelines: list[Timeline], seed: int = 0) -> LoneRequest:
    samples = [LoneSample(each, disturbed=False) for each in timelines]
    table = lone_request(samples, _scenario(), PROFILE, seed=seed)
    assert table is not None
    return table


def _shifted(timeline: Timeline, row: int, column: str, by_ns: int) -> Timeline:
    """Return a copy in which one stamp is another."""
    attempts = timeline.attempts.copy()
    attempts[row, Attempt._fields.index(column)] += by_ns
    return Timeline(attempts, timeline.passes)


def test_parts_are_those_of_the_server_and_add_up(simulated_server: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request meets an idle server; the parts are known, and sum to the latency to the nanosecond."""
    timeline = _measure(simulated_server(), monkeypatch, _scenario())
    parts_ns = lone_parts_ns(timeline, lone_rows(timeline))
    assert parts_ns.shape == (80, len(LONE_PARTS))
    assert dict(zip(LONE_PARTS, parts_ns.mean(axis=0) / 1e6, strict=True)) == pytest.approx(PARTS_MS)
    latency_ns = timeline.attempt("delivered_ns") - timeline.attempt("intended_ns")
    assert parts_ns.sum(axis=1).tolist() == latency_ns.tolist()


@pytest.mark.parametrize(("max_wait", "requests"), [("0ms", 80), ("68ms", 40), ("10s", 10)])
def test_as_many_are_sent_as_four_seconds_hold(
    simulated_server: Simulated, monkeypatch: pytest.MonkeyPatch, max_wait: str, requests: int
) -> None:
    """At most 80, and ten however long each waits for company: the next one always meets an idle server."""
    timeline = _measure(simulated_server(max_wait_ms=0.0), monkeypatch, _scenario(max_wait))
    assert len(timeline.attempts) == requests
    assert np.diff(timeline.attempt("intended_ns")).min() >= 32_000_000


def test_model_is_asked_with_the_central_fit(simulated_server: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where model and server differ the table shows it: 0.25 ms into the pass here, 0.2 ms in the calibration."""
    timeline = _measure(simulated_server(), monkeypatch, _scenario())
    table = _table([timeline])
    assert tuple(table.parts) == LONE_PARTS
    hop = table.parts["hop_in"]
    assert (hop.measured_ms, hop.modelled_ms) == pytest.approx((0.25, 0.2))
    assert (table.parts["dispatch_and_wait"].modelled_ms) == pytest.approx(5.0 + _timer_ms(), abs=1e-6)
    # The pass of the calibration has a spread of 2 %.
    assert table.parts["pass"].modelled_ms == pytest.approx(8.5, rel=0.01)
    assert (table.requests, table.left_out) == (80, 0)
    assert table.client_late_ms == pytest.approx(0.05)


def _timer_ms() -> float:
    """Return what a timer costs in the calibration."""
    return PROFILE.parts.front_end_timer.value_ms


@pytest.mark.parametrize("side", ["measured_ms", "modelled_ms"])
def test_each_column_sums_to_its_latency(
    simulated_server: Simulated, monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    """No millisecond is lost and none is counted twice, on either side."""
    timeline = _measure(simulated_server(), monkeypatch, _scenario())
    table = _table([timeline, timeline])
    assert sum(getattr(part, side) for part in table.parts.values()) == pytest.approx(getattr(table.latency, side))


def test_interval_holds_what_differs_between_processes(
    simulated_server: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five servers whose way back differs by up to 0.4 ms: requests of one alone would give no width at all."""
    backs = (0.1, 0.2, 0.3, 0.4, 0.5)
    timelines = [_measure(simulated_server(back=back), monkeypatch, _scenario()) for back in backs]
    part = _table(timelines, seed=3).parts["to_client"]
    assert part.measured_ms == pytest.approx(0.3)
    assert part.low_ms < 0.22 < 0.38 < part.high_ms
    assert _table(timelines[:1]).parts["to_client"].high_ms == pytest.approx(0.1)


def test_disturbed_try_is_repeated_and_said(simulated_server: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client 5 ms late is no quiet host: three tries, and the table says that none was quiet. It fails nothing."""
    server = simulated_server(late_ns=5_000_000)
    sample = _sample(server, monkeypatch, _scenario())
    assert (sample.disturbed, len(server.plans)) == (True, 3)
    table = lone_request([sample], _scenario(), PROFILE)
    assert table is not None
    assert table.disturbed
    assert not _sample(simulated_server(), monkeypatch, _scenario()).disturbed


def test_request_that_met_a_standing_host_is_left_out_whole(
    simulated_server: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One delivery 50 ms late is the host's: left out with all its parts, or the rest would not add up."""
    timeline = _shifted(_measure(simulated_server(), monkeypatch, _scenario()), 7, "delivered_ns", 50_000_000)
    table = _table([timeline])
    assert (table.requests, table.left_out) == (79, 1)
    assert table.parts["to_client"].measured_ms == pytest.approx(0.3)


def test_client_may_be_faster_than_the_servers_own_note(
    simulated_server: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server notes an answer after it has written it: a part below zero is shown as it is, and kept in the file."""
    timeline = _measure(simulated_server(back=0.0), monkeypatch, _scenario())
    for row in range(len(timeline.attempts)):
        timeline = _shifted(timeline, row, "answered_ns", 40_000)
    table = _table([timeline])
    assert table.parts["to_client"].measured_ms == pytest.approx(-0.04)
    assert LoneRequest.model_validate_json(table.model_dump_json()) == table


def test_without_a_lone_request_it_is_said(simulated_server: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deadline shorter than the wait for company lets none be answered: the calibration holds, and says it."""
    sample = _sample(simulated_server(), monkeypatch, _scenario())
    result = with_lone_request(PROFILE, [sample], _scenario())
    assert result.lone_request is not None
    assert result.not_identified == PROFILE.not_identified
    sample.timeline.attempts[:, Attempt._fields.index("outcome")] = Outcome.TIMED_OUT
    result = with_lone_request(PROFILE, [sample], _scenario())
    assert result.lone_request is None
    assert result.not_identified[-1].startswith("Where the time of a lone request goes: none was answered")
