"""What calibration makes of a scenario: one replica of its fleet to measure, and the scenario with measured times."""

from __future__ import annotations

from pathlib import Path

from sim.scenario.spec import ColdStart, Fleet, Network, Scenario, Split, Turnaround

__all__ = ["ONE_REPLICA", "calibrated", "one_replica"]

ONE_REPLICA = (
    "fleet.replicas=1",
    "fleet.autoscaler=none",
    "fleet.cold_start={}",
    "fleet.crash_every=none",
    "fleet.slow=none",
    "fleet.spare=0",
    "versions=[]",
    "rollout=none",
)
"""What one_replica changes, as `--set` takes it."""


def one_replica(scenario: Scenario) -> Scenario:
    """Return the scenario of a single sound replica that is there from the start: replicas are alike but for faults.

    Of several versions it is that of `model`.
    """
    alone = {
        "replicas": 1,
        "autoscaler": None,
        "cold_start": ColdStart(),
        "crash_every": None,
        "slow": None,
        "spare": 0,
    }
    fleet = scenario.fleet.model_copy(update=alone)
    return scenario.model_copy(update={"fleet": fleet, "versions": (), "split": Split(), "rollout": None})


def calibrated(scenario: Scenario, file: Path) -> Scenario:
    """Return the scenario with the pass, the front end's work, the turnaround and the network of a calibration."""
    path = str(file.absolute())
    of_fleets = [
        version if version.fleet is None else version.model_copy(update={"fleet": _measured(version.fleet)})
        for version in scenario.versions
    ]
    work = dict.fromkeys(("request", "response", "pass_result", "timer"))
    return scenario.model_copy(
        update={
            "model": scenario.model.model_copy(update={"profile": path, "pass_time": None}),
            "front_end": scenario.front_end.model_copy(update=work),
            "fleet": _measured(scenario.fleet),
            "versions": tuple(of_fleets),
            "traffic": scenario.traffic.model_copy(update={"network": Network()}),
        }
    )


def _measured(fleet: Fleet) -> Fleet:
    """Return a fleet whose turnaround is the calibration's."""
    return fleet.model_copy(update={"turnaround": Turnaround()})
