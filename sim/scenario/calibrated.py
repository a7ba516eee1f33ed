"""A scenario with every time that a calibration measures taken from a calibration file; rules and traffic stay."""

from __future__ import annotations

from pathlib import Path

from sim.scenario.spec import Network, Scenario, Turnaround

__all__ = ["calibrated"]


def calibrated(scenario: Scenario, file: Path) -> Scenario:
    """Return the scenario with the pass, the front end's work, the turnaround and the network of a calibration."""
    path = str(file.absolute())
    work = dict.fromkeys(("request", "response", "pass_result", "timer"))
    return scenario.model_copy(
        update={
            "model": scenario.model.model_copy(update={"profile": path, "pass_time": None}),
            "front_end": scenario.front_end.model_copy(update=work),
            "fleet": scenario.fleet.model_copy(update={"turnaround": Turnaround()}),
            "traffic": scenario.traffic.model_copy(update={"network": Network()}),
        }
    )
