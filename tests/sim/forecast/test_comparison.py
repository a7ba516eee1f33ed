"""What changed between two forecasts: read from their JSON, run by run where their seed is the same."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import numpy as np
import pytest

from sim.errors import ScenarioError
from sim.forecast.comparison import DIFF_VERSION, ForecastDiff, ForecastResult, compare, read_forecast
from sim.forecast.forecast import FORECAST_VERSION, forecast
from sim.forecast.manifest import manifest_of
from sim.scenario.spec import Scenario
from tests.sim.scenario.example import calibrated, scenario

POINT = {"value": 1.0, "low": 1.0, "high": 1.0}
LEAST = {"version": FORECAST_VERSION, "latency_ms": {"p99": POINT}}
"""As little as a forecast can be."""

SHORT = ("traffic.arrivals.rate=400/s", "horizon={duration: 5s, runs: 4, warm_up: 1s}")


def saved(of: Scenario, seed: int = 7) -> dict[str, Any]:
    """Return a forecast as a file holds it."""
    content = json.loads(json.dumps(forecast(of, seed=seed, workers=1).to_json(), allow_nan=False))
    assert isinstance(content, dict)
    return content


@pytest.fixture(scope="module")
def before() -> dict[str, Any]:
    """A forecast."""
    return saved(scenario(*SHORT, "goals.p90=22ms"))


@pytest.fixture(scope="module")
def after() -> dict[str, Any]:
    """The same with a longer wait."""
    return saved(scenario(*SHORT, "goals.p90=22ms", "batching.max_wait=12ms"))


def between(a: dict[str, Any], b: dict[str, Any]) -> ForecastDiff:
    """Return what changed."""
    return compare(read_forecast(a, "a.json"), read_forecast(b, "b.json"))


def made(figures: dict[str, list[float]], seed: int = 1) -> ForecastResult:
    """Return a forecast whose runs showed this."""
    tree = {
        name: {"value": float(np.mean(runs)), "low": min(runs), "high": max(runs), "runs": runs}
        for name, runs in figures.items()
    }
    unknown = {"p99": {"value": None, "low": None, "high": None}}
    content = {"version": FORECAST_VERSION, "latency_ms": unknown, **tree, "provenance": {"seed": seed, "runs": 4}}
    return read_forecast(content, "made")


def test_longer_wait_shows_in_input_figures_and_goals(before: dict[str, Any], after: dict[str, Any]) -> None:
    """The key with both values; the latency later by about the wait, surely; the goal missed; the load as it was."""
    diff = between(before, after)
    assert diff.input_changes is not None
    assert [(each.key, each.before, each.after) for each in diff.input_changes] == [
        ("batching.max_wait", "5ms", "12ms")
    ]
    p50 = diff.figures["latency_ms.p50"].difference
    assert p50 is not None
    assert 1.0 < p50.low < p50.value < p50.high < 12.0
    assert diff.figures["latency_ms.p50"].beyond_noise_together
    assert not diff.figures["throughput_per_s"].beyond_noise_together
    assert [(goal.goal, goal.a, goal.b) for goal in diff.goals] == [("p90", "met", "missed")]


def test_same_seed_is_paired_and_another_is_not(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Run by run both met the same requests, so it is sure what the figures by themselves leave open."""
    paired = between(before, after)
    apart = between(before, saved(scenario(*SHORT, "batching.max_wait=12ms"), seed=8))
    assert (paired.same_seed, apart.same_seed) == (True, False)
    for diff in (paired, apart):
        difference = diff.figures["latency_ms.mean"].difference
        assert difference is not None
        assert difference.paired is diff.same_seed
    widths = [
        diff.figures["throughput_per_s"].difference.high - diff.figures["throughput_per_s"].difference.low  # type: ignore[union-attr] # compared above
        for diff in (paired, apart)
    ]
    assert widths[0] < widths[1] / 5


def test_forecast_does_not_differ_from_itself(before: dict[str, Any]) -> None:
    """Nothing changed in the input, and every difference is nothing, for certain."""
    diff = between(before, before)
    assert diff.input_changes == ()
    assert diff.goals == diff.notes == ()
    assert not any(each.beyond_noise_together for each in diff.figures.values())
    told = [each.difference for each in diff.figures.values() if each.difference is not None and each.difference.paired]
    assert {(each.low, each.high) for each in told} == {(0.0, 0.0)}


def test_figure_that_one_lacks_has_no_difference_and_says_why(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Runs of 5 s do not support a p99.9."""
    found = between(before, after).figures["latency_ms.p999"]
    assert found.difference is None
    assert found.why is not None
    assert found.why.startswith("A: a run shows")


def test_nothing_seen_on_both_sides_is_not_no_difference_at_all(before: dict[str, Any]) -> None:
    """No refusal in so many requests leaves three in as many: the difference is as open."""
    capped = [scenario(*SHORT, f"queue.cap={cap}") for cap in (500, 600)]
    found = between(*map(saved, capped)).figures["refused_share"]
    assert found.difference is not None
    assert found.difference.low < 0.0 < found.difference.high


def test_what_both_scenarios_fix_is_no_matter_of_chance(before: dict[str, Any]) -> None:
    """A replica more is one, whatever the dice; and it is not among the figures that chance might have moved."""
    diff = between(before, saved(scenario(*SHORT, "fleet.replicas=2")))
    replicas = diff.figures["replicas.mean"]
    assert replicas.difference is not None
    assert (replicas.difference.value, replicas.difference.low, replicas.difference.high) == (1.0, 1.0, 1.0)
    assert replicas.beyond_noise_together
    by_chance = [
        each for each in diff.figures.values() if each.difference and each.difference.low < each.difference.high
    ]
    assert diff.compared == len(by_chance)


def test_many_figures_are_judged_together() -> None:
    """One of 20 that moved a little, which alone would be called more than noise, is not so among 20."""
    rng = np.random.default_rng(1)
    still = {f"still_{index}": rng.normal(size=4).tolist() for index in range(19)}
    moved = {"moved": [0.0, 0.0, 0.0, 0.0]}, {"moved": [1.0, 1.2, 0.8, 0.4]}
    alone = compare(made(moved[0]), made(moved[1])).figures["moved"]
    among = compare(made(moved[0] | still), made(moved[1] | {name: runs[::-1] for name, runs in still.items()}))
    for found in (alone, among.figures["moved"]):
        assert found.difference is not None
        assert found.difference.beyond_noise
    assert (alone.beyond_noise_together, among.figures["moved"].beyond_noise_together) == (True, False)
    assert among.compared == 20


def test_calibration_of_both_is_in_the_interval(before: dict[str, Any]) -> None:
    """What the calibration leaves open of the figure stays open of the difference, as far as it shifts that."""
    slow = [saved(calibrated(*SHORT, f"traffic.arrivals.rate={rate}/s")) for rate in (200, 210)]
    found = between(*slow).figures["latency_ms.mean"].difference
    bare = [copy.deepcopy(each) for each in slow]
    for each in bare:
        del each["latency_ms"]["mean"]["drawn"]
    without = between(*bare).figures["latency_ms.mean"].difference
    assert found is not None
    assert without is not None
    assert found.high - found.low > without.high - without.low


def test_files_differ_by_their_content() -> None:
    """A calibration of another name is the same one; another content is another one, whatever its name."""
    base = LEAST
    same, other = (manifest_of(calibrated(), command="forecast", seed=0, runs=2).to_json() for _ in range(2))
    other["files"]["model.profile"]["name"] = "moved.json"
    assert between({**base, "manifest": same}, {**base, "manifest": other}).input_changes == ()
    other["files"]["model.profile"]["hash"] = "sha256:0123456789abcdef"
    (change,) = between({**base, "manifest": same}, {**base, "manifest": other}).input_changes or ()
    assert (change.key, change.after) == ("model.profile", "moved.json (sha256:01234567)")


def test_costs_in_two_currencies_are_not_compared() -> None:
    """Three dollars less than four euros are nothing."""
    both = [saved(scenario(*SHORT, f"cost={{replica_hour: 2, currency: {currency}}}")) for currency in ("EUR", "USD")]
    found = between(*both).figures["cost"]
    assert (found.difference, found.why) == (None, "A counts in EUR, B in USD")


def test_shares_that_goals_define_are_compared_under_equal_goals_alone() -> None:
    """Within 30 ms in one and within 60 ms in the other are two things; other goals do not define them."""
    loose, strict, named = (
        saved(scenario(*SHORT, f"goals={goals}")) for goals in ("{p99: 60ms}", "{p99: 30ms}", "{p99: 60ms, p50: 9ms}")
    )
    for name in ("within_goal_share", "breach_share"):
        found = between(loose, strict).figures[name]
        assert (found.difference, found.why) == (None, "the goals that it is about are others in A and B")
        assert between(loose, named).figures[name].difference is not None


def test_forecast_without_manifest_is_compared_as_far_as_it_goes(before: dict[str, Any]) -> None:
    """Of an older servecast: no input, no runs; figures by their intervals."""
    older = copy.deepcopy(before)
    del older["manifest"], older["latency_ms"]["mean"]["runs"]
    diff = between(older, before)
    assert diff.input_changes is None
    assert diff.notes == ("a.json has no manifest: it does not tell its scenario.",)
    difference = diff.figures["latency_ms.mean"].difference
    assert difference is not None
    assert not difference.paired


def test_other_conditions_are_noted(before: dict[str, Any]) -> None:
    """Another NumPy may move a figure where nothing else changed."""
    other = copy.deepcopy(before)
    other["manifest"]["versions"]["numpy"] = "1.0"
    (note,) = between(other, before).notes
    assert note.startswith("They were made under other conditions: numpy 1.0 and ")


def test_counted_runs_beside_kept_ones_are_noted(before: dict[str, Any]) -> None:
    """A quantile off by 0.4 % on one side alone is a difference that is none."""
    assert between({**before, "breakdown_ms": {}}, {**before, "breakdown_ms": {}}).notes == ()
    (note,) = between({**before, "breakdown_ms": {}}, before).notes
    assert "at most 0.4 % off" in note


def test_json_holds_both_sides_and_what_chance_does(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Each figure with both values and its difference; how many false alarms to expect; both manifests."""
    content = json.loads(json.dumps(between(before, after).to_json(), allow_nan=False))
    assert content["version"] == DIFF_VERSION == "servecast-diff/1"
    p50 = content["figures"]["latency_ms.p50"]
    assert p50["a"] == before["latency_ms"]["p50"]["value"]
    assert {"value", "low", "high", "p_value", "beyond_noise", "paired"} == p50["difference"].keys()
    assert content["false_alarms_expected"] == pytest.approx(0.05 * content["compared"])
    assert (content["a"]["manifest"], content["b"]["manifest"]) == (before["manifest"], after["manifest"])
    assert content["input"] == [{"key": "batching.max_wait", "before": "5ms", "after": "12ms"}]


def test_file_that_the_scenario_has_no_place_for_is_one_sentence() -> None:
    """A manifest may be edited."""
    told = manifest_of(calibrated(), command="forecast", seed=0, runs=2).to_json() | {"scenario": {}}
    with pytest.raises(ScenarioError, match=r"names a file as model\.profile, and its scenario has no such key\.$"):
        between({**LEAST, "manifest": told}, {**LEAST, "manifest": told})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"version": "servecast-check/5"}, r"^x\.json must be a forecast, .*/1\. Got servecast-check/5\.$"),
        ({"version": [FORECAST_VERSION]}, r"^x\.json must be a forecast, "),
        ({"version": FORECAST_VERSION}, r"^x\.json holds no figure of latency_ms: it is no whole forecast\.$"),
        (LEAST | {"latency_ms": {}}, r"^x\.json holds no figure of latency_ms"),
        (LEAST | {"a": {**POINT, "value": math.nan}}, r"^x\.json is not right: a must hold numbers, or null\.$"),
        (LEAST | {"a": {**POINT, "value": "1"}}, r"^x\.json is not right: a must hold"),
        (
            LEAST | {"a": {**POINT, "runs": [1, 1], "drawn": [1]}},
            r"^x\.json is not right: a\.drawn must have a number for each of runs, 2\. Got 1\.$",
        ),
        (LEAST | {"latency_ms": 5}, r"^x\.json is not right: latency_ms must be a mapping of figures\. Got 5\.$"),
        (
            {"version": FORECAST_VERSION, "latency_ms": {"p99": 5}},
            r"latency_ms\.p99 must be a figure, with value, low and high\. Got 5\.$",
        ),
        (LEAST | {"throughput_per_s": None}, r"throughput_per_s must be a figure, .*\. Got nothing\.$"),
        (LEAST | {"provenance": [1]}, r"^x\.json is not a forecast as servecast writes it\.$"),
        (
            LEAST | {"provenance": {"seed": -1}},
            r"^x\.json is not right: provenance\.seed must be a whole number from 0 to [0-9]+\. Got -1\.$",
        ),
        (LEAST | {"provenance": {"runs": "3"}}, r"provenance\.runs must be a whole number from 2 to 10000\. Got '3'"),
        (LEAST | {"goals": [{}]}, r"^x\.json is not a forecast as servecast writes it\.$"),
        (LEAST | {"goals": [{"goal": "p99", "verdict": 5}]}, r"^x\.json is not a forecast as servecast writes it\.$"),
        (LEAST | {"cost": {"currency": 5}}, r"^x\.json is not a forecast as servecast writes it\.$"),
        (
            LEAST | {"manifest": {"version": "2"}},
            r"^x\.json must hold a manifest of the version servecast-manifest/1\. Got 2",
        ),
        (LEAST | {"manifest": [1]}, r"^The manifest in x\.json must be a mapping of keys\. Got \[1\]\.$"),
        (
            LEAST | {"manifest": manifest_of(scenario(), command="explode", seed=0, runs=2).to_json()},
            r"^The manifest in x\.json is not right: command must be forecast, as x\.json is one\. Got explode\.$",
        ),
        (
            LEAST | {"manifest": manifest_of(scenario(), command="forecast", seed=0).to_json()},
            r"^The manifest in x\.json is not right: runs must be from 2 to 10000\. Got nothing\.$",
        ),
    ],
)
def test_what_is_no_forecast_is_refused(content: dict[str, Any], words: str) -> None:
    """In one sentence, with its name."""
    with pytest.raises(ScenarioError, match=words):
        read_forecast(content, "x.json")
