"""Tests of calibration/calibrate.py against a simulated server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from calibration import calibrate as calibrate_module
from calibration import pass_profiler
from calibration.calibrate import Effort, calibrate
from calibration.errors import NotValid
from calibration.profile_file import profile_hash, write_profile
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


def test_slow_model_is_measured_for_longer(simulated_server: Simulated, fake_live: Callable[[Any], None]) -> None:
    """At 8 in 312 ms 20 % are 5 requests a second: runs of 2 s would hold ten of them; they take 20 s, for 100."""
    server = simulated_server(base=300.0, per_item=1.5)
    fake_live(server)
    profile = calibrate(URL, _scenario(), effort=QUICK)
    assert [len(plan.arrivals_ns) for plan in server.plans[-4:]] == [100] * 4
    assert max(plan.arrivals_ns[-1] for plan in server.plans) > 15 * 10**9
    assert profile.parts.base.value_ms == pytest.approx(300.0, abs=0.1)
