"""Tests of calibration/calibrate.py against a simulated server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from calibration import calibrate as calibrate_module
from calibration import pass_profiler
from calibration.calibrate import Effort, calibrate
from calibration.errors import BadSamples, NotValid
from calibration.profile_file import profile_hash, write_profile
from sim.scenario.load import load_scenario
from sim.scenario.profile import load_profile
from sim.scenario.spec import Scenario

Simulated = Callable[..., Any]

URL = "http://127.0.0.1:9"
QUICK = Effort(runs=2, run_s=2.0, bursts=3, pause_s=0.0)
CONTENT: dict[str, Any] = {
    "name": "known",
    "traffic": {"arrivals": {"process": "poisson", "rate": "100/s"}},
    "model": {"pass_time": {"base": "1ms", "per_item": "1ms"}},
    "batching": {"max_batch": 8, "max_wait": "5ms"},
}


class _FakeLiveServer:
    """Ready; its rules are not compared in these tests."""

    def __init__(self, url: str, input_text: str) -> None:
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
    assert rates == pytest.approx([129, 484, 129, 484], rel=0.03)
    assert profile.rate_range == pytest.approx((129, 484), rel=0.03)


def test_cost_of_connections_is_taken_off(simulated_server: Simulated, fake_live: Callable[[Any], None]) -> None:
    """Half a second of CPU time in every run, loaded or not, is no request's."""
    fake_live(simulated_server(idle_cpu_s=0.5))
    profile = calibrate(URL, _scenario(), effort=QUICK, seed=1)
    work_ms = profile.parts.front_end_request.value_ms + profile.parts.front_end_response.value_ms
    assert work_ms == pytest.approx(0.3, abs=0.01)


def test_several_processes_are_fitted_together(simulated_server: Simulated, fake_live: Callable[[Any], None]) -> None:
    """Two addresses: both are measured, whoever asked is told after each, and the file says two processes."""
    server = simulated_server()
    fake_live(server)
    told: list[float] = []
    so_far: list[int] = []
    profile = calibrate(
        [URL, URL],
        _scenario(),
        effort=QUICK,
        progress=lambda _, share: told.append(share),
        after_each=lambda samples: so_far.append(len(samples)),
    )
    assert profile.fitted_on.processes == 2
    assert so_far == [1, 2]
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_disturbed_load_is_tried_twelve_times(simulated_server: Simulated, fake_live: Callable[[Any], None]) -> None:
    """A late generator would be fitted as network: no file is made of it."""
    server = simulated_server(late_ns=5_000_000)
    fake_live(server)
    with pytest.raises(
        NotValid, match=r"A load of \d+/s was disturbed 12 times\. The load generator was 5\.00 ms late"
    ):
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


def test_file_tells_the_model_and_where_a_lone_request_goes(
    simulated_server: Simulated, fake_live: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What GET /config said of the model, what the scenario calls it, and the table, each column adding up."""
    fake_live(simulated_server())
    config = {"model": {"backend": "emulated"}, "queue": {"cap": None}}
    monkeypatch.setattr(_FakeLiveServer, "config", lambda self: config)
    write_profile(calibrate(URL, _scenario(), effort=QUICK, seed=1), tmp_path / "profile.json")
    profile = load_profile(tmp_path / "profile.json")
    assert (profile.serve_with, profile.options, profile.model) == ("emulated", {}, {"backend": "emulated"})
    assert profile.rules_sha256 is not None
    assert profile.lone_request is not None
    assert profile.lone_request.parts["pass"].measured_ms == pytest.approx(8.5)
    assert profile.lone_request.latency.measured_ms == pytest.approx(14.6)
    modelled_ms = sum(part.modelled_ms for part in profile.lone_request.parts.values())
    assert modelled_ms == pytest.approx(profile.lone_request.latency.modelled_ms)


def test_processes_of_two_models_are_refused(
    simulated_server: Simulated, fake_live: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two addresses, two models: a fit over both would be of neither, so nothing is measured."""
    server = simulated_server()
    fake_live(server)
    other = "http://127.0.0.1:10"
    monkeypatch.setattr(_FakeLiveServer, "config", lambda self: {"model": {"weights_sha256": self.url[-2:]}})
    with pytest.raises(BadSamples, match="different models: the first says weights_sha256 :9, the other weights_sha25"):
        calibrate([URL, other], _scenario(), effort=QUICK)
    assert server.plans == []


def test_saturated_load_is_refused_in_one_sentence(
    simulated_server: Simulated, fake_live: Callable[[Any], None]
) -> None:
    """A fit range that reaches above the capacity says which load, and up to where to fit."""
    fake_live(simulated_server())
    with pytest.raises(BadSamples, match=r"^The load of 8\d\d/s saturates the server, .*: fit on at most \d+/s\.$"):
        calibrate(URL, _scenario(), effort=Effort(shares=(0.3, 1.3), runs=2, run_s=2.0, bursts=3))


def test_too_few_points_are_refused_in_one_sentence(
    simulated_server: Simulated, fake_live: Callable[[Any], None]
) -> None:
    """One short load at a tenth of the capacity cannot carry a fit, and the sentence says what would."""
    fake_live(simulated_server())
    effort = Effort(shares=(0.1,), runs=1, run_s=0.2, bursts=1)
    with pytest.raises(BadSamples, match=r"^The samples hold .* a fit needs at least \d+ and \d+\.$"):
        calibrate(URL, _scenario(), effort=effort)
