"""What a notebook calls."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import servecast as sc
from servecast.scenarios import seed_of
from sim.errors import ScenarioError
from sim.scenario.costs import costs_of

SHORT = ["horizon.duration=3s", "horizon.warm_up=1s", "horizon.runs=2"]


def test_scenario_comes_from_file_name_mapping_or_example(shop: str) -> None:
    """A path, a text, a mapping with a file's content and an example's name are all taken."""
    content = {"traffic": {"arrivals": {"process": "even", "rate": "1/s"}}, "model": {"pass_time": {"base": "1ms"}}}
    assert sc.load_scenario(shop).name == sc.load_scenario(Path(shop)).name == "shop"
    assert sc.load_scenario({**content, "batching": {"max_batch": 1}}).batching.max_batch == 1
    assert sc.load_scenario("sentiment", ["batching.max_batch=4"]).batching.max_batch == 4


def test_forecast_takes_what_load_scenario_takes(shop: str) -> None:
    """One call from a file to figures; the same as loading first."""
    at_once = sc.forecast(shop, overrides=SHORT, seed=3)
    loaded = sc.forecast(sc.load_scenario(shop, SHORT), seed=3)
    assert at_once.to_json() == loaded.to_json()
    assert at_once["latency_ms.p50"].value == pytest.approx(17, rel=0.2)


@pytest.mark.parametrize(
    ("options", "wanted", "runs"),
    [({"precision": 0.5}, 0.5, 20), ({"max_runs": 3}, 0.02, 3), ({"precision": 0.5, "budget_s": 60.0}, 0.5, 20)],
)
def test_precision_is_wanted_where_any_part_of_it_is_stated(
    shop: str, options: dict[str, Any], wanted: float, runs: int
) -> None:
    """A budget alone stands for 2 %; without any of them there are the runs that the scenario states."""
    told = sc.forecast(shop, overrides=SHORT, **options).provenance
    assert (told["precision"]["wanted"], told["runs"]) == (wanted, runs)
    assert sc.forecast(shop, overrides=SHORT).provenance["runs"] == 2


def test_overrides_of_a_loaded_scenario_are_refused(shop: str) -> None:
    """A scenario that is checked already is not changed by text."""
    with pytest.raises(sc.ScenarioError, match="give them to load_scenario"):
        sc.forecast(sc.load_scenario(shop), overrides=SHORT)


@pytest.mark.parametrize(("own", "stated", "counts"), [(None, None, 0), (5, None, 5), (5, 7, 7), (5, 0, 0)])
def test_stated_seed_goes_before_the_scenarios_own(shop: str, own: int | None, stated: int | None, counts: int) -> None:
    """A seed of zero that was stated is a seed like any other."""
    scenario = sc.load_scenario(shop, [] if own is None else [f"seed={own}"])
    assert seed_of(scenario, stated) == counts


def test_calibration_replaces_every_measured_time(shop: str, profile_file: Path) -> None:
    """Times that the scenario states by itself give way to measured ones; rules and traffic stay."""
    scenario = sc.load_scenario(shop)
    costs = costs_of(sc.with_calibration(scenario, profile_file))
    assert (costs.request, costs.response, costs.batch_in, costs.there_ns) == (150_000, 100_000, 200_000, 100_000)
    assert costs_of(scenario).request == 1_000_000
    assert sc.with_calibration(scenario, profile_file).batching == scenario.batching


def test_relative_calibration_counts_from_where_one_stands(
    shop: str, profile_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path given in Python is the caller's, not one inside the scenario file."""
    monkeypatch.chdir(profile_file.parent)
    assert costs_of(sc.with_calibration(sc.load_scenario("sentiment"), profile_file.name)).base_ns == 8_000_000


def test_pass_that_depends_on_sizes_is_not_calibrated(profile_file: Path) -> None:
    """What a calibration does not measure is refused, not left out in silence."""
    with pytest.raises(sc.RefusedToAnswer, match="per_unit"):
        sc.with_calibration(sc.load_scenario("tokens"), profile_file)


@pytest.mark.parametrize("name", sc.__all__)
def test_every_public_name_can_be_had(name: str) -> None:
    """Names are looked up where they stand; a missing one is an AttributeError like any other."""
    assert getattr(sc, name) is not None
    assert name in dir(sc)


def test_unknown_name_is_an_attribute_error() -> None:
    """Asking whether there is a name works."""
    assert not hasattr(sc, "forcast")


def test_star_import_gives_the_public_names() -> None:
    """`from servecast import *` is what `__all__` says."""
    code = "from servecast import *; print(callable(forecast), callable(load_scenario))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "True True\n"


each_question = pytest.mark.parametrize(
    "ask",
    [
        lambda **how: sc.forecast("sentiment", **how),
        lambda **how: sc.whatif("sentiment", ["batching.max_batch=4,8"], **how),
        lambda **how: sc.plan("sentiment", ["fleet.replicas=1..2"], **how),
        lambda **how: sc.capacity("sentiment", **how),
        lambda **how: sc.diff("sentiment", "sentiment", **how),
    ],
    ids=["forecast", "whatif", "plan", "capacity", "diff"],
)


@each_question
def test_more_runs_than_a_scenario_may_state_are_refused(ask: Callable[..., object]) -> None:
    """They would go on for hours, and horizon.runs ends at the same number."""
    with pytest.raises(ScenarioError, match=r"^runs must be at most 10000\. Got 10001\.$"):
        ask(runs=10_001)


@each_question
@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, True, "7"])
def test_seed_that_no_scenario_may_state_is_refused(ask: Callable[..., object], seed: Any) -> None:
    """In the words that a scenario's own gets."""
    with pytest.raises(ScenarioError, match=r"^seed must be .*0.* Got "):
        ask(seed=seed)


@pytest.mark.parametrize("workers", [0, -1])
def test_no_workers_are_refused(workers: int) -> None:
    """Nothing would run in them; None is every core."""
    for ask in (
        lambda: sc.forecast("sentiment", workers=workers),
        lambda: sc.whatif("sentiment", ["batching.max_batch=4,8"], workers=workers),
    ):
        with pytest.raises(ScenarioError, match=rf"^workers must be at least 1; .* Got {workers}\.$"):
            ask()
