"""What the tests of reports share: small forecasts, one of them by a name that is out to break every form."""

from __future__ import annotations

from typing import Any

import pytest

from sim.forecast.forecast import Forecast, forecast
from sim.scenario.load import load_scenario
from sim.scenario.spec import Scenario

HOSTILE = """<script>alert(1)</script> & "x" 'y' | `z` $a_b$ [l](http://evil.example) --> ]]> \\ *b*"""
"""A name that HTML, Markdown, SVG and matplotlib would each take for more than text."""

PLAIN: dict[str, Any] = {
    "name": HOSTILE,
    "traffic": {"arrivals": {"process": "poisson", "rate": "200/s"}, "timeout": "1s"},
    "model": {"pass_time": {"base": "8ms", "per_item": "0.5ms"}},
    "batching": {"max_batch": 8, "max_wait": "5ms"},
    "queue": {"cap": 64},
    "horizon": {"duration": "20s", "warm_up": "1s", "runs": 2},
    "goals": {"p50": "1s", "refused": "10%"},
    "cost": {"replica_hour": 2.5, "currency": '<b>&"'},
}

SCALED: dict[str, Any] = {
    "name": "scaled",
    "traffic": {
        "arrivals": {
            "process": "steps",
            "steps": [{"rate": "60/s", "duration": "5s"}, {"rate": "200/s", "duration": "10s"}],
        },
        "timeout": "1s",
    },
    "model": {"pass_time": {"base": "20ms", "per_item": "5ms"}},
    "batching": {"max_batch": 8, "max_wait": "5ms"},
    "queue": {"cap": 16},
    "fleet": {
        "cold_start": {"load": "2s"},
        "autoscaler": {"target": 6, "max_replicas": 4, "tick": "1s"},
    },
    "versions": [{"name": "v1"}, {"name": "v2", "role": "canary", "error_rate": "5%"}],
    "rollout": {"start": "5s", "steps": [{"weight": "20%", "pause": "3s"}, {"weight": "50%", "pause": "3s"}]},
    "horizon": {"duration": "15s", "warm_up": "0s", "runs": 2},
}


@pytest.fixture(scope="session")
def plain() -> tuple[Scenario, Forecast]:
    """Return a scenario with the hostile name and goals that are met, and its forecast."""
    scenario = load_scenario(PLAIN)
    return scenario, forecast(scenario, workers=1)


@pytest.fixture(scope="session")
def scaled() -> tuple[Scenario, Forecast]:
    """Return a scenario with a load step, an autoscaler and a rollout, and its forecast."""
    scenario = load_scenario(SCALED)
    return scenario, forecast(scenario, workers=1)
