"""Argo Rollouts: a Rollout and its AnalysisTemplate read back are the rollout that was written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.rollout import LIMITS_MAX
from sim.errors import RefusedToAnswer
from sim.exports.export import export
from sim.exports.names import Names
from sim.scenario.load import load_scenario
from sim.scenario.spec import Scenario
from sim.scenario.versions import version_rules
from tests.sim.exports.reading import argo_rule, argo_words, exported_kinds
from tests.sim.scenario.example import content, scenario

ANALYSIS = {"limits": [{"metric": "failed", "pass_most": "1%"}], "interval": "30s", "no_data_interval": "10s"}
LIKE_ARGO = {"counted": "all", "failure_scope": "step", "no_data_limit": 4}


def rolled_out(rollout: dict[str, Any], **sections: Any) -> Scenario:
    """Return a scenario with a canary and that rollout."""
    versions = [{"name": "v1"}, {"name": "v2", "role": "canary", "fleet": {"replicas": 2}}]
    return load_scenario({**content(), "versions": versions, "rollout": rollout, **sections})


def read_back(given_scenario: Scenario) -> Any:
    """Return the rule of what an export says."""
    kinds = exported_kinds(given_scenario, "argo-rollouts")
    return argo_rule(given_scenario, argo_words(kinds["Rollout"], kinds.get("AnalysisTemplate")))


@st.composite
def argo_rollouts(draw: st.DrawFn) -> dict[str, Any]:
    """Return a rollout in Argo's own words."""
    in_background = draw(st.booleans())
    steps: list[dict[str, Any]] = []
    for percent in sorted(draw(st.sets(st.integers(1, 100), min_size=1, max_size=4))):
        if draw(st.booleans()):
            steps.append({"setMirrorRoute": {"name": "mirror", "percentage": draw(st.integers(1, 100))}})
        steps.append({"setWeight": percent})
        pause = {"duration": f"{draw(st.integers(1, 900))}s"} if in_background or draw(st.booleans()) else {}
        steps.append({"pause": pause} if in_background or draw(st.booleans()) else {"analysis": {}})
    is_checked = in_background or any("analysis" in step for step in steps)
    words: dict[str, Any] = {"steps": steps}
    if is_checked:
        common = {
            "interval": f"{draw(st.integers(1, 90_000))}ms",
            "initialDelay": f"{draw(st.integers(1, 90))}s",
            **({} if in_background else {"count": draw(st.integers(1, 5))}),
            "failureLimit": draw(st.integers(0, 3)),
            "inconclusiveLimit": draw(st.integers(0, 3)),
            "consecutiveErrorLimit": draw(st.integers(0, 9)),
        }
        metrics = draw(st.lists(_metrics(), min_size=1, max_size=LIMITS_MAX))
        # All latencies are held against one time.
        words["analysis"] = {"metrics": [{**metric, **common} for metric in metrics]}
    if draw(st.booleans()):
        words |= {"progressDeadlineSeconds": draw(st.integers(1, 900)), "progressDeadlineAbort": True}
    return words


def _metrics() -> st.SearchStrategy[dict[str, str]]:
    """Return a limit on errors, with what is bad beside what is good or not, or one on a latency."""
    errors = st.tuples(st.integers(0, 500), st.integers(0, 300)).map(
        lambda parts: {
            "name": "error-rate",
            "successCondition": f"result[0] <= {parts[0] / 1000}",
            **({"failureCondition": f"result[0] > {(parts[0] + parts[1]) / 1000}"} if parts[1] else {}),
        }
    )
    latency = st.sampled_from(["50", "90", "95", "99"]).map(
        lambda percent: {"name": f"latency-p{percent}", "successCondition": "result[0] <= 0.25"}
    )
    return errors | latency


@settings(max_examples=80)
@given(argo_rollouts())
def test_rollout_read_back_is_the_same_rule(words: dict[str, Any]) -> None:
    """Argo's words -> the rule -> a Rollout and its AnalysisTemplate -> Argo's words -> the same rule."""
    given_scenario = rolled_out({"argo": words})
    assert read_back(given_scenario) == version_rules(given_scenario).rollout


def test_own_words_that_argo_has_come_back() -> None:
    """Steps, copies, checks and the readiness of the canary, written in servecast's words."""
    steps = [
        {"weight": "5%", "copies": "20%", "pause": "1min"},
        {"weight": "20%", "analysis": True},
        {"weight": "50%", "pause": "none"},
    ]
    own = {"analysis": {**ANALYSIS, **LIKE_ARGO, "count": 3}, "refusals_fail": False, "ready_deadline": "2min"}
    given_scenario = rolled_out({"steps": steps, **own})
    assert read_back(given_scenario) == version_rules(given_scenario).rollout
    assert "rollout." not in " ".join(export(given_scenario, "argo-rollouts").notes)


def test_canary_keeps_the_replicas_of_its_fleet() -> None:
    """Argo would give it its weight's share of all; the stable version has its own, and the names are asked for."""
    given_scenario = rolled_out({"steps": [{"weight": "20%", "pause": "1min"}]}, fleet={"replicas": 7})
    rollout = exported_kinds(given_scenario, "argo-rollouts", Names(name="shop", image="shop:2"))["Rollout"]
    assert rollout["spec"]["replicas"] == 7
    canary = rollout["spec"]["strategy"]["canary"]
    assert canary["steps"][0] == {"setCanaryScale": {"replicas": 2}}
    assert (canary["stableService"], canary["canaryService"]) == ("shop-stable", "shop-canary")
    assert rollout["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:2"


@pytest.mark.parametrize(
    ("images", "told"),
    [
        ({"v1": "shop:1", "v2": "shop:2"}, "server=shop:2` begins the steps with v2, which needs an image of its own."),
        ("shop:1", "server=IMAGE` begins the steps with v2, which needs an image of its own (--image v2=IMAGE)."),
    ],
)
def test_image_of_the_canary_begins_the_steps(images: str | dict[str, str], told: str) -> None:
    """A Rollout has one image: that of the stable version, until the canary's is set."""
    given_scenario = rolled_out({"steps": [{"weight": "20%", "pause": "1min"}]})
    exported = export(given_scenario, "argo-rollouts", Names(image=images))
    assert "image: shop:1\n" in exported.files["argo-rollouts.yaml"]
    (note,) = [note for note in exported.notes if "The Rollout has the image of v1." in note]
    assert note.endswith(told)
    assert not [note for note in exported.notes if "placeholder" in note]


def test_routes_of_copies_are_managed_and_match_everything() -> None:
    """A route without a match would be taken away, which is what copies of 0 % are."""
    steps = [{"weight": "0%", "copies": "30%", "pause": "1min"}, {"weight": "5%", "pause": "1min"}]
    canary = exported_kinds(rolled_out({"steps": steps}), "argo-rollouts")["Rollout"]["spec"]["strategy"]["canary"]
    assert canary["trafficRouting"]["managedRoutes"] == [{"name": "mirror"}]
    routes = [step["setMirrorRoute"] for step in canary["steps"] if "setMirrorRoute" in step]
    assert routes == [
        {"name": "mirror", "percentage": 30, "match": [{"path": {"prefix": "/"}}]},
        {"name": "mirror"},
    ]


def test_pause_beside_an_analysis_is_what_is_left_of_it() -> None:
    """Both begin together in a scenario, one behind the other in Argo: 10 min are 60 s of checks and 9 min."""
    steps = [{"weight": "5%", "pause": "10min", "analysis": True}, {"weight": "20%", "pause": "30s", "analysis": True}]
    given_scenario = rolled_out({"steps": steps, "analysis": {**ANALYSIS, "count": 2}})
    (_, *told) = exported_kinds(given_scenario, "argo-rollouts")["Rollout"]["spec"]["strategy"]["canary"]["steps"]
    analysis = {"analysis": {"templates": [{"templateName": "scenario"}]}}
    assert told == [{"setWeight": 5}, analysis, {"pause": {"duration": "540s"}}, {"setWeight": 20}, analysis]


@pytest.mark.parametrize(
    ("limit", "own", "parts"),
    [
        ({"metric": "failed"}, {"refusals_fail": True}, ['response_code=~"5..|429"', "[30s]", ">= 1"]),
        ({"metric": "failed"}, {"refusals_fail": False}, ['response_code=~"5.."']),
        ({"metric": "failed", "against": "stable_difference"}, {}, [" - (sum(", 'service_name="scenario-stable"']),
        ({"metric": "failed", "against": "stable_ratio"}, {}, [" > 0) or ", "* 1e6 and on() "]),
        ({"metric": "slow"}, {"slow_over": "500ms"}, ["histogram_quantile(0.99, ", "/ 1000 and on() "]),
    ],
)
def test_query_counts_what_a_check_counts(limit: dict[str, str], own: dict[str, Any], parts: list[str]) -> None:
    """Since the last check, of the canary alone or against the stable version; nothing where there were too few."""
    rollout = {"steps": [{"weight": "5%", "analysis": True}], **own}
    analysis = {**ANALYSIS, "limits": [{**limit, "pass_most": "1%"}]}
    kinds = exported_kinds(rolled_out({**rollout, "analysis": analysis}), "argo-rollouts")
    (metric,) = kinds["AnalysisTemplate"]["spec"]["metrics"]
    query = metric["provider"]["prometheus"]["query"]
    assert [part for part in parts if part not in query] == []
    assert 'service_name="scenario-canary"' in query


@pytest.mark.parametrize(("no_data", "end"), [("hold", ">= 7)"), ("pass", "or vector(0)"), ("fail", "or vector(1e6)")])
def test_too_few_requests_are_nothing_or_the_best_or_the_worst(no_data: str, end: str) -> None:
    """Nothing is an error to Argo, which it lets pass a few times, as a check that is held."""
    analysis = {**ANALYSIS, "samples_min": 7, "no_data": no_data}
    kinds = exported_kinds(
        rolled_out({"steps": [{"weight": "5%", "analysis": True}], "analysis": analysis}), "argo-rollouts"
    )
    (metric,) = kinds["AnalysisTemplate"]["spec"]["metrics"]
    assert metric["provider"]["prometheus"]["query"].endswith(end)
    assert ("consecutiveErrorLimit" in metric) == (no_data == "hold")


@pytest.mark.parametrize(
    ("analysis", "own", "told"),
    [
        ({"failure_limit": 1, "counted": "good"}, {}, "rollout.analysis.counted is good: "),
        ({"failure_limit": 1, "failure_scope": "consecutive"}, {}, "rollout.analysis.failure_scope is consecutive: "),
        ({"roll_back_delay": "5s"}, {}, "rollout.analysis.roll_back_delay is 5s: Argo Rollouts rolls back at once."),
        (
            {"no_data_interval": "5s"},
            {},
            "rollout.analysis.no_data_interval is 5s: Argo Rollouts asks again after 10s.",
        ),
        ({}, {"ready_deadline": "2500ms"}, "rollout.ready_deadline is 2.5s: rounded to 3 s."),
        ({}, {"steps": [{"weight": "0.25%", "analysis": True}]}, "rollout.steps.0.weight is 0.25%: rounded to 1%"),
    ],
)
def test_what_argo_does_otherwise_is_told(analysis: dict[str, Any], own: dict[str, Any], told: str) -> None:
    """One sentence for each."""
    rollout = {"steps": [{"weight": "5%", "analysis": True}], "analysis": {**ANALYSIS, **analysis}, **own}
    assert told in " ".join(export(rolled_out(rollout), "argo-rollouts").notes)


def test_flaggers_words_are_written_as_argos() -> None:
    """The rule is one, so its steps are too; what Flagger counts otherwise is told."""
    flagger = {"interval": "1m", "threshold": 3, "stepWeight": 20, "maxWeight": 60}
    exported = export(rolled_out({"flagger": flagger}), "argo-rollouts")
    assert exported.files["argo-rollouts.yaml"].count("setWeight") == 3
    told = " ".join(exported.notes)
    assert "counted is good" in told
    assert "failure_scope is rollout" in told
    assert "roll_back_delay is 1min" in told


def test_checks_that_leave_a_later_step_out_are_refused() -> None:
    """A background analysis of Argo goes on to the end."""
    steps = [{"weight": "5%", "pause": "1min", "analysis": True}, {"weight": "9%", "pause": "1min"}]
    with pytest.raises(
        RefusedToAnswer,
        match=r"^rollout\.steps is 5% for 1min with checks, 9% for 1min, and an analysis in the background goes on",
    ):
        export(rolled_out({"steps": steps, "analysis": {**ANALYSIS, "count": 0}}), "argo-rollouts")


def test_scenario_without_a_rollout_is_refused() -> None:
    """There is nothing to lead."""
    with pytest.raises(RefusedToAnswer, match=r"^rollout is none, and Argo Rollouts leads one: no --set alone helps"):
        export(scenario(), "argo-rollouts")
