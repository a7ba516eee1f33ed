"""Tests of calibration/calibrate.py (and of pass_profiler.py and profile_file.py) against a simulated server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration import calibrate as calibrate_module
from calibration import pass_profiler
from calibration.calibrate import Effort, calibrate
from calibration.errors import BadSamples, NotValid
from calibration.pass_profiler import fixed_plan, profile_passes, safe_gap_ns, sizes_to_measure
from calibration.profile_file import profile_hash, write_profile
from policy.timeline import Outcome
from sim.scenario.load import load_scenario
from sim.scenario.profile import load_profile
from sim.scenario.spec import Scenario

Simulated = Callable[..., Any]

URL = "http://127.0.0.1:9"
QUICK = Effort(runs=2, run_s=2.0, bursts=3)
CONTENT: dict[str, Any] = {
    "name": "known",
    "traffic": {"arrivals": {"process": "poisson", "rate": "100/s"}},
    "model": {"pass_time": {"base": "1ms", "per_item": "1ms"}},
    "batching": {"max_batch": 8, "max_wait": "5ms"},
}


class _FakeLiveServer:
    """Ready; its rules are not compared in these tests."""

    def __init__(self, url: str) -> None:
        self.url = url

    def require_ready(self) -> None:
        """It is."""

    def config(self) -> dict[str, object]:
        """See the fixture."""
        return {}


@pytest.fixture
def fake_live(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Put a simulated server in the place of the live one."""

    def use(server: Any) -> None:
        monkeypatch.setattr(calibrate_module, "LiveServer", _FakeLiveServer)
        monkeypatch.setattr(calibrate_module, "require_same_rules", lambda *_: None)
        monkeypatch.setattr(calibrate_module, "measure_load", server.measure)
        monkeypatch.setattr(pass_profiler, "measure_load", server.measure)

    return use


def _scenario(**changes: Any) -> Scenario:
    return load_scenario(CONTENT | changes)


def test_calibration_finds_the_parts_of_the_server(
    simulated_server: Simulated, fake_live: Callable[[Any], None], tmp_path: Path
) -> None:
    """From address to file: the parts are the server's, whatever the scenario had thought; the file is read again."""
    fake_live(simulated_server())
    profile = calibrate(URL, _scenario(), effort=QUICK, seed=1)
    write_profile(profile, tmp_path / "profile.json")
    again = load_profile(tmp_path / "profile.json")
    assert again == profile
    parts = {name: getattr(again.parts, name).value_ms for name in ("base", "per_item", "batch_in", "results_out")}
    assert parts == pytest.approx({"base": 8.0, "per_item": 0.5, "batch_in": 0.25, "results_out": 0.15}, abs=0.01)
    assert again.parts.front_end_request.value_ms == pytest.approx(0.2, abs=0.01)
    assert len(again.draws) == 200
    assert again.max_batch == 8
    assert (again.name, again.fitted_on.processes) == ("known", 1)
    assert profile_hash(again) == profile_hash(profile)
    assert any("How server processes differ" in gap for gap in again.not_identified)


def test_loads_are_shares_of_the_measured_capacity(
    simulated_server: Simulated, fake_live: Callable[[Any], None]
) -> None:
    """Capacity is 8 in 12.4 ms, 645/s: the fit sees 20 % and 50 % of it, interleaved, and no load of a check."""
    server = simulated_server()
    fake_live(server)
    profile = calibrate(URL, _scenario(), effort=QUICK, seed=1)
    rates = [len(plan.arrivals_ns) / 2.0 for plan in server.plans[-4:]]
    assert rates == pytest.approx([129, 322, 129, 322], rel=0.03)
    assert profile.rate_range == pytest.approx((129, 322), rel=0.03)


def test_cost_of_connections_is_taken_off(simulated_server: Simulated, fake_live: Callable[[Any], None]) -> None:
    """Half a second of CPU time in every run, loaded or not, is no request's."""
    fake_live(simulated_server(idle_cpu_s=0.5))
    profile = calibrate(URL, _scenario(), effort=QUICK, seed=1)
    work_ms = profile.parts.front_end_request.value_ms + profile.parts.front_end_response.value_ms
    assert work_ms == pytest.approx(0.3, abs=0.01)


def test_several_processes_are_fitted_together(simulated_server: Simulated, fake_live: Callable[[Any], None]) -> None:
    """Two addresses: both are measured, and the file says two processes."""
    server = simulated_server()
    fake_live(server)
    told: list[float] = []
    profile = calibrate([URL, URL], _scenario(), effort=QUICK, progress=lambda _, share: told.append(share))
    assert profile.fitted_on.processes == 2
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_disturbed_load_is_tried_three_times(simulated_server: Simulated, fake_live: Callable[[Any], None]) -> None:
    """A late generator would be fitted as network: no file is made of it."""
    server = simulated_server(late_ns=5_000_000)
    fake_live(server)
    with pytest.raises(NotValid, match=r"A load of \d+/s was disturbed 3 times\. The load generator was 5\.00 ms late"):
        calibrate(URL, _scenario(), effort=QUICK)


def test_server_that_answers_nothing_is_said(simulated_server: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be measured of refusals."""
    server = simulated_server()

    def measure(_server: object, plan: Any) -> Any:
        measured = server.measure(None, plan)
        measured.run.attempts[:, 8] = Outcome.REFUSED
        return measured

    monkeypatch.setattr(pass_profiler, "measure_load", measure)
    with pytest.raises(BadSamples, match=r"The server at http://127.0.0.1:9 answered none of 32 requests"):
        safe_gap_ns(_FakeLiveServer(URL), 8, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("max_wait_ms", [5.0, 0.0])
def test_batches_of_every_size_are_seen(
    simulated_server: Simulated, monkeypatch: pytest.MonkeyPatch, max_wait_ms: float
) -> None:
    """With a wait a burst is one batch; without, its first request runs alone and bursts are made one larger."""
    server = simulated_server(max_wait_ms=max_wait_ms)
    monkeypatch.setattr(pass_profiler, "measure_load", server.measure)
    live: Any = _FakeLiveServer(URL)
    gap_ns = safe_gap_ns(live, 8, 1)
    timelines = profile_passes(live, 8, 6, gap_ns, 1, np.random.default_rng(0))
    sizes = np.concatenate([timeline.passed("batch_size") for timeline in timelines])
    assert all(np.count_nonzero(sizes == size) >= 6 for size in range(1, 9))
    assert len(timelines) == (1 if max_wait_ms else 2)


@pytest.mark.parametrize(("max_batch", "sizes"), [(1, [1]), (3, [1, 2, 3]), (32, list(range(1, 33)))])
def test_all_sizes_are_measured_up_to_32(max_batch: int, sizes: list[int]) -> None:
    """A table holds 32 sizes."""
    assert sizes_to_measure(max_batch) == sizes


def test_large_batches_are_measured_at_sizes_that_grow() -> None:
    """Of 256 sizes some are measured, the smallest and the largest among them."""
    sizes = sizes_to_measure(256)
    assert (sizes[0], sizes[-1]) == (1, 256)
    assert len(sizes) <= 32
    assert sizes == sorted(set(sizes))


def test_fixed_plan_neither_retries_nor_hangs_up() -> None:
    """A calibration's clients wait for every answer."""
    plan = fixed_plan(np.array([0, 5], dtype=np.int64), 7)
    assert plan.retry.attempts == 1
    assert plan.timeouts_ns.tolist() == []
    assert plan.sizes.tolist() == [7, 7]


def test_requests_have_the_scenarios_typical_size(
    simulated_server: Simulated, fake_live: Callable[[Any], None]
) -> None:
    """With sizes of 10, 20 or 90 tokens calibration sends 20: the median."""
    server = simulated_server()
    fake_live(server)
    sizes = {"distribution": "choices", "values": [10, 20, 90], "weights": [1, 1, 1]}
    traffic = CONTENT["traffic"] | {"sizes": sizes}
    profile = calibrate(URL, _scenario(traffic=traffic), effort=QUICK)
    assert {int(size) for plan in server.plans for size in plan.sizes} == {20}
    assert any("each had size 20" in gap for gap in profile.not_identified)
