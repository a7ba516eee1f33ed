"""Two scenarios or forecasts, in any form -> what changed between them.

Here is decided which of them are forecast, with which seed and how many runs, and which are taken as they were saved.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from policy.errors import SettingError
from servecast.errors import UsageError
from servecast.saved_results import is_saved
from servecast.scenarios import load_scenario, seed_of
from sim.errors import RefusedToAnswer, ScenarioError
from sim.forecast.comparison import ForecastDiff, ForecastResult, compare, read_forecast
from sim.forecast.forecast import Forecast, forecast
from sim.scenario.spec import Scenario

__all__ = ["Progress", "Source", "compare_sources"]

Source = Forecast | Scenario | str | Path | Mapping[str, object]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Side:
    """One of both: a scenario, or a result that may hold one."""

    label: str
    scenario: Scenario | None
    result: ForecastResult | None

    def scenario_in(self, folder: Path) -> Scenario:
        """Return the scenario; that of a result has its files in a folder. Raises ScenarioError where there is none."""
        if self.scenario is not None:
            return self.scenario
        assert self.result is not None
        if self.result.manifest is None:
            raise ScenarioError(f"{self.label} holds no manifest, so it does not tell its scenario.")
        folder.mkdir()
        try:
            return self.result.manifest.scenario_in(folder)
        except (ScenarioError, SettingError) as error:
            raise ScenarioError(_about(self.label, error)) from None


def compare_sources(
    a: Source,
    b: Source,
    *,
    seed: int | None,
    runs: int | None,
    saved: bool,
    workers: int | None,
    progress: Progress | None,
) -> ForecastDiff:
    """Return what changed from A to B.

    Results of one seed are compared as they were saved. Others are forecast again, as scenarios are, with one seed and
    one number of runs: those stated, else those of the first result, else those of the scenarios. Results that do not
    tell enough for that are compared by their intervals, and with `saved` all results are. Raises ScenarioError for bad
    input and RefusedToAnswer where there is no forecast.
    """
    one, other = _side(a), _side(b)
    results = [side.result for side in (one, other) if side.result is not None]
    if saved and (len(results) < 2 or seed is not None or runs is not None):
        raise UsageError("--saved compares two saved results as they are: it takes no scenario, seed or runs")
    as_saved = len(results) == 2 and seed is None and runs is None
    if as_saved and (saved or results[0].like(results[1])):
        return compare(results[0], results[1])
    with TemporaryDirectory(prefix="servecast-") as folder:
        try:
            scenarios = one.scenario_in(Path(folder) / "a"), other.scenario_in(Path(folder) / "b")
        except ScenarioError as error:
            if not as_saved:
                raise
            return compare(results[0], results[1], (f"They are compared as they were saved: {error}",))
        return _forecast_both((one, other), scenarios, seed, runs, workers, progress)


def _forecast_both(
    sides: tuple[_Side, _Side],
    scenarios: tuple[Scenario, Scenario],
    seed: int | None,
    runs: int | None,
    workers: int | None,
    progress: Progress | None,
) -> ForecastDiff:
    """Forecast both with one seed and one number of runs; a result that has them is taken as it is."""
    told = [side.result for side in sides if side.result is not None]
    if seed is None:
        seed = next((each.seed for each in told if each.seed is not None), seed_of(scenarios[0], None))
    if runs is None:
        runs = max([each.runs or 0 for each in told] or [scenario.horizon.runs for scenario in scenarios])
    results, notes = [], []
    for place, (side, scenario) in enumerate(zip(sides, scenarios, strict=True)):
        if side.result is not None and (side.result.seed, side.result.runs) == (seed, runs):
            results.append(side.result)
            continue
        if side.result is not None:
            notes.append(f"{side.label} was forecast again, with seed {seed} and {runs} runs.")
        try:
            made = forecast(scenario, seed=seed, runs=runs, workers=workers, progress=_half(progress, place))
        except RefusedToAnswer as error:
            raise RefusedToAnswer(_about(side.label, error)) from None
        results.append(read_forecast(made.to_json(), side.label))
    return compare(results[0], results[1], notes=tuple(notes))


def _half(progress: Progress | None, place: int) -> Progress | None:
    """Return what reports the first or the second half of the work."""
    return None if progress is None else lambda done, of: progress(done + place * of, 2 * of)


def _side(source: Source) -> _Side:
    """Return a side from whatever it is given as."""
    if isinstance(source, Forecast):
        return _Side(source.name, None, read_forecast(source.to_json(), source.name))
    if isinstance(source, Scenario):
        return _Side(source.name, source, None)
    label = str(source.get("name", "scenario")) if isinstance(source, Mapping) else str(source)
    content = source if isinstance(source, Mapping) else _saved_content(Path(source))
    if isinstance(content, Mapping) and is_saved(content):
        return _Side(label, None, read_forecast(content, label))
    try:
        return _Side(label, load_scenario(source), None)
    except (ScenarioError, SettingError) as error:
        raise ScenarioError(_about(label, error)) from None


def _saved_content(path: Path) -> Any:
    """Return what a file holds if that is JSON, None if it is anything else."""
    try:
        with path.open("rb") as file:
            if not file.read(1000).lstrip().startswith(b"{"):
                return None
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None  # as a scenario it gets its sentence
    if isinstance(content, dict) and not is_saved(content) and not {"traffic", "model", "batching"} & content.keys():
        raise ScenarioError(f"{path} is neither a scenario nor a result of servecast.")
    return content


def _about(label: str, error: Exception) -> str:
    """Return a sentence that says of which of both it speaks."""
    return str(error) if label in str(error) else f"{label}: {error}"
