"""A scenario that is to be run where its files do not lie: they are named by their content, and travel beside it."""

from __future__ import annotations

from pathlib import Path

from sim.scenario.arrival_spec import RecordedTrace
from sim.scenario.identity import content_hash, named_files
from sim.scenario.spec import Model, Scenario

__all__ = ["files_of", "portable"]


def files_of(scenario: Scenario) -> dict[str, Path]:
    """Return the files that a scenario reads, by the names that portable() gives them. Raises ScenarioError."""
    return {_name(path): path for path in named_files(scenario).values()}


def portable(scenario: Scenario, folder: Path) -> Scenario:
    """Return the scenario that reads its files in a folder, under names that follow from their content.

    Raises ScenarioError if one cannot be read here.
    """
    change: dict[str, object] = {"model": _model(scenario, scenario.model)}
    if isinstance(scenario.traffic.arrivals, RecordedTrace):
        arrivals = scenario.traffic.arrivals.model_copy(
            update={"file": _name(scenario.path_of(scenario.traffic.arrivals.file))}
        )
        change["traffic"] = scenario.traffic.model_copy(update={"arrivals": arrivals})
    if scenario.versions:
        change["versions"] = tuple(
            version if version.model is None else version.model_copy(update={"model": _model(scenario, version.model)})
            for version in scenario.versions
        )
    return scenario.model_copy(update=change).at(folder)


def _model(scenario: Scenario, model: Model) -> Model:
    """Return a model whose calibration is named by its content."""
    if model.profile is None:
        return model
    return model.model_copy(update={"profile": _name(scenario.path_of(model.profile))})


def _name(path: Path) -> str:
    """Return a name that says what the file holds, with the ending by which its reader knows it."""
    return content_hash(path).removeprefix("sha256:") + path.suffix
