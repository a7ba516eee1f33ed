"""Tests of calibration/load_once.py: a plain run against a small server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from calibration.errors import BadAddress, BadSamples
from calibration.host import Bounds
from calibration.load_once import load_once
from sim.scenario.load import load_scenario
from sim.scenario.spec import Scenario

Start = Callable[..., Any]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
FULL = b"HTTP/1.1 429 Full\r\nContent-Length: 0\r\n\r\n"
LAX = Bounds(10**12, 1.0, 1.0)


def _scenario(**traffic: Any) -> Scenario:
    return load_scenario(
        {
            "traffic": {"arrivals": {"process": "even", "rate": "100/s"}} | traffic,
            "model": {"pass_time": {"base": "8ms"}},
            "batching": {"max_batch": 4},
        }
    )


def test_run_counts_requests_and_attempts_apart(tiny_server: Start) -> None:
    """Every third request is refused once, then answered: all are answered, and the 429s stand in the statuses."""

    def reply(text: bytes) -> tuple[float, bytes]:
        request, attempt = text.split(b"X-Servecast-Attempt: ")[1].split(b"\r\n")[0].split(b".")
        return 0.001, FULL if int(request) % 3 == 0 and attempt == b"0" else OK

    server = tiny_server(reply)
    scenario = _scenario(retries={"attempts": 2, "backoff": "5ms"})
    result = load_once(server.url, scenario, rate_per_s=300.0, duration_s=0.5, bounds=LAX)
    assert result.requests == 150
    assert result.outcomes["answered"] == 150
    assert result.statuses == {200: 150, 429: 50}
    assert len(result.latencies_ms) == 150
    assert result.offered_per_s == result.answered_per_s == 300.0
    assert result.validity.valid


def test_quantiles_without_enough_answers_are_not_told(tiny_server: Start) -> None:
    """Of 50 answers ten lie beyond p50 and not beyond p90: the rest is null, not a guess. The result is JSON."""
    result = load_once(tiny_server(lambda _: (0.001, OK)).url, _scenario(), duration_s=0.5, bounds=LAX)
    content = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert content["version"] == "servecast-load/1"
    assert content["latency_ms"]["p50"] >= 0.9
    assert content["latency_ms"]["p90"] is None
    assert content["latency_ms"]["p999"] is None
    assert content["outcomes"]["answered"] == 50


def test_late_generator_is_said(tiny_server: Start) -> None:
    """With a bound that no generator can keep the run is shown and called invalid."""
    url = tiny_server(lambda _: (0.001, OK)).url
    result = load_once(url, _scenario(), duration_s=0.2, bounds=Bounds(0, 1.0, 1.0))
    assert not result.validity.valid
    assert "late" in result.validity.reasons[0]


def test_server_that_refuses_everything_has_no_latency(tiny_server: Start) -> None:
    """No answer, no quantiles, and no failure either."""
    result = load_once(tiny_server(lambda _: (0.0, FULL)).url, _scenario(), duration_s=0.2, bounds=LAX)
    assert result.latency_ms == {}
    assert result.outcomes["refused"] == 20


@pytest.mark.parametrize("changes", [{"duration_s": 0.0}, {"duration_s": -1.0}, {"rate_per_s": 0.0}])
def test_nothing_to_send_is_refused(changes: dict[str, float]) -> None:
    """A rate and a duration above zero."""
    with pytest.raises(BadSamples, match="above 0"):
        load_once("http://127.0.0.1:9", _scenario(), **changes)


def test_other_machine_is_refused() -> None:
    """Only this machine is loaded."""
    with pytest.raises(BadAddress):
        load_once("http://192.0.2.7:80", _scenario(), duration_s=0.1)
