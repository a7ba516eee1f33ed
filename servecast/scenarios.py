"""The scenario that a command is given: from a file, an example's name or a mapping; its seed, its calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from servecast.examples import scenario_source

if TYPE_CHECKING:
    from servecast.streams import Talk
    from sim.scenario.spec import Scenario

__all__ = ["load_scenario", "refuse_uncalibrated", "seed_of", "tell_of_any_trace", "tell_of_trace", "with_calibration"]


def load_scenario(source: str | Path | Mapping[str, object], overrides: Sequence[str] = ()) -> Scenario:
    """Return a checked scenario from a file, from an example's name, or from a mapping like a file's content.

    `overrides` change it, as in ["batching.max_batch=16"]. Raises ScenarioError.
    """
    from sim.scenario.load import load_scenario as load

    return load(scenario_source(source) if isinstance(source, str) else source, overrides)


def seed_of(scenario: Scenario, stated: int | None) -> int:
    """Return the seed that counts: the one stated, else the scenario's, else 0. Raises ScenarioError for no seed."""
    from sim.scenario.rules import seed_of as counted

    return counted(scenario, stated)


def tell_of_trace(scenario: Scenario, talk: Talk) -> None:
    """Say how many timestamps of a trace stood out of their order: a merged file is fine, a wrong column is not."""
    from sim.scenario.traces import put_in_order

    if earlier := put_in_order(scenario):
        times = "1 timestamp is" if earlier == 1 else f"{earlier} timestamps are"
        talk.say(f"{times} earlier than the one before in the trace, which was put in order.")


def tell_of_any_trace(source: str, overrides: Sequence[str], talk: Talk) -> None:
    """Say the same of a scenario that is still to be varied, so that it need not be whole: then nothing is said."""
    from policy.errors import SettingError
    from sim.errors import ScenarioError

    with suppress(ScenarioError, SettingError):
        tell_of_trace(load_scenario(source, overrides), talk)


def with_calibration(scenario: Scenario, file: str | Path) -> Scenario:
    """Return the scenario with every time that a calibration measures taken from a calibration file.

    Those are the pass, the front end's work, the turnaround and the network; rules and traffic stay. Raises
    ScenarioError if the file is none, and RefusedToAnswer as refuse_uncalibrated does.
    """
    from sim.scenario.calibrated import calibrated
    from sim.scenario.profile import load_profile

    refuse_uncalibrated(scenario)
    load_profile(Path(file).absolute())
    return calibrated(scenario, Path(file))


def refuse_uncalibrated(scenario: Scenario) -> None:
    """Raise RefusedToAnswer where a pass depends on the sizes of its requests, which a calibration does not measure."""
    from sim.errors import RefusedToAnswer

    if scenario.model.pass_time is not None and scenario.model.pass_time.per_unit > 0:
        raise RefusedToAnswer(
            "model.pass_time.per_unit is above 0, and a calibration does not measure how a pass grows with the sizes "
            "of its requests"
        )
