"""Configurations side by side: base case, differences, goals, what goes into JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sim.errors import ScenarioError
from sim.forecast.paired import paired_difference
from sim.planner import whatif as module
from sim.planner.grid import parse_axis
from sim.planner.whatif import WhatIf, figures_named, whatif
from sim.planner.workers import Workers

HERE = Workers(count=1)


def content(**changes: object) -> dict[str, object]:
    """Return a queue with a cap and goals."""
    return {
        "name": "shop",
        "traffic": {"arrivals": {"process": "poisson", "rate": "300/s"}},
        "model": {"pass_time": {"base": "8ms", "per_item": "0.5ms"}},
        "batching": {"max_batch": 8, "max_wait": "2ms"},
        "queue": {"cap": 64},
        "horizon": {"duration": "4s", "warm_up": "1s", "runs": 4},
        "goals": {"p90": "40ms", "refused": "1%"},
        **changes,
    }


def asked(*texts: str, **settings: object) -> WhatIf:
    """Return the answer for some varied keys."""
    source = settings.pop("source", content())
    return whatif(source, [parse_axis(text) for text in texts], workers=HERE, **settings)  # type: ignore[arg-type]


def test_base_case_is_the_scenario_itself_where_it_is_there() -> None:
    """People compare with what they have; without it, with what they name first."""
    assert asked("batching.max_batch=4,8", runs=2).base == 1
    assert asked("batching.max_batch=4,16", runs=2).base == 0
    assert asked("batching.max_batch=4,8", "queue.cap=32", runs=2).base == 1  # a key with one value changes all
    alone = asked("batching.max_batch=4,16", grid=False, runs=2)
    assert (alone.base, alone.rows[0].changes, len(alone.rows)) == (0, {}, 3)


@pytest.mark.parametrize(
    ("changes", "tried"),
    [
        ({}, ("batching.max_wait 0s", "queue.cap 16")),
        ({"batching": {"max_batch": 8}, "queue": {}}, ()),
        (
            {"batching": {"max_batch": 8}, "traffic": {"arrivals": {"process": "gamma", "rate": "300/s", "cv": 2}}},
            ("queue.cap 16", "traffic.arrivals without bursts"),
        ),
    ],
)
def test_what_warnings_tried_is_told(changes: dict[str, object], tried: tuple[str, ...]) -> None:
    """Whether it gave something to warn of or not; where no warnings were asked for, nothing was tried."""
    assert asked(source=content(**changes), runs=2, warnings=True).tried == tried
    assert asked("batching.max_batch=4,8", runs=2).tried is None


def test_differences_are_those_of_pairs_of_runs() -> None:
    """Run by run against the base case, which has none itself; far surer than the figures."""
    base, other = asked("model.pass_time.base=8ms,8.4ms").rows
    assert base.differences == {}
    difference, figure = other.differences["latency_ms.mean"], other.figures["latency_ms.mean"]
    assert figure.value is not None
    assert base.figures["latency_ms.mean"].value is not None
    assert difference.value == figure.value - base.figures["latency_ms.mean"].value
    assert 0.0 < difference.low < difference.value < difference.high
    assert figure.low is not None
    assert figure.high is not None
    assert difference.high - difference.low < figure.high - figure.low


def test_equal_configurations_differ_by_nothing() -> None:
    """A key without effect: the same dice give the same run."""
    answer = asked("fleet.routing.balance=random,round_robin")
    assert {(each.low, each.value, each.high) for each in answer.rows[0].differences.values()} == {(0.0, 0.0, 0.0)}


def test_calibration_leaves_a_difference_less_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs on drawn calibrations go into the difference, pair by pair."""
    seen: list[object] = []

    def noted(*arguments: object, **settings: object) -> object:
        seen.append(settings["drawn"])
        return paired_difference(*arguments, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "paired_difference", noted)
    profile = str(Path(__file__).parents[2] / "data" / "profile.json")
    source = content(model={"profile": profile}, goals={})
    answer = asked("batching.max_batch=2,4", source=source, runs=2)
    assert answer.rows[1].differences
    assert all(drawn is not None for drawn in seen)


def test_goals_are_judged_for_each_configuration() -> None:
    """Met and missed by the figures; a goal that the runs do not support is not judged and ends nothing."""
    answer = asked("traffic.arrivals.rate=100/s,900/s")
    assert [row.goals_met for row in answer.rows] == [True, False]
    assert answer.limits == {"p90": 40.0, "refused": 0.01}
    rare = asked("traffic.arrivals.rate=100/s,200/s", source=content(goals={"p999": "1s"}), runs=2)
    assert [([goal.verdict for goal in row.goals], row.goals_met) for row in rare.rows] == [(["not known"], None)] * 2


def test_row_that_cannot_be_answered_says_why() -> None:
    """Beside others that can; where it is the base case, nothing has a difference."""
    answer = asked("traffic.arrivals.rate=9000/s,100/s", source=content(queue={}), runs=2)
    assert answer.base == 0
    unstable, other = answer.rows
    assert unstable.refusal is not None
    assert (unstable.goals_met, other.refusal, other.differences) == (None, None, {})


def test_json_holds_every_configuration() -> None:
    """As plain values, in the order of the configurations."""
    answer = asked("batching.max_batch=4,8", "queue.cap=16,64", runs=2)
    told = json.loads(json.dumps(answer.to_json(), allow_nan=False))
    assert told["version"] == "servecast-whatif/1"
    assert told["varied"] == {"batching.max_batch": ["4", "8"], "queue.cap": ["16", "64"]}
    assert [each["changes"]["queue.cap"] for each in told["configurations"]] == ["16", "64", "16", "64"]
    assert told["base"] == 3
    assert told["configurations"][0]["differences"]["latency_ms"]["p50"]["high"] is not None


def test_same_question_gives_the_same_bytes() -> None:
    """Also when it goes on from a file."""
    assert asked("batching.max_batch=4,8", runs=2).to_json() == asked("batching.max_batch=4,8", runs=2).to_json()
    assert asked("batching.max_batch=4,8", runs=2, seed=1).rows != asked("batching.max_batch=4,8", runs=2).rows


def test_saved_sweep_goes_on_and_may_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same file serves more values of the same question; another seed is another sweep."""
    path = tmp_path / "sweep.jsonl"
    asked("batching.max_batch=4,8", runs=2, save=path)
    before = path.read_bytes()
    grown = asked("batching.max_batch=4,8,16", runs=2, save=path)
    assert path.read_bytes().startswith(before)
    assert len(path.read_bytes().splitlines()) == 4
    assert grown.to_json() == asked("batching.max_batch=4,8,16", runs=2).to_json()
    with pytest.raises(ScenarioError, match="holds another sweep, with seed: 0, and this one has seed: 5"):
        asked("batching.max_batch=4,8", runs=2, seed=5, save=path)


@pytest.mark.parametrize(
    ("texts", "settings", "said"),
    [
        ([], {}, "Nothing varies: give a key several values"),
        (["queue.cap=8"], {}, "Nothing varies: give a key several values"),
        (["seed=1,2"], {}, "seed must be the same in all configurations"),
        (["horizon.runs=2,3"], {}, "horizon.runs must be the same in all configurations"),
        (["batching.max_bach=4,8"], {}, "did you mean batching.max_batch?"),
        (["batching.max_batch=4,8"], {"runs": 1}, "runs must be at least 2"),
        (["batching.max_batch=4,8"], {"figures": ["p98"]}, "There is no figure p98: did you mean p9"),
        (["batching.max_batch=4,8"], {"figures": ["speed"]}, "There is no figure speed: "),
    ],
)
def test_question_without_an_answer_is_one_sentence(texts: list[str], settings: dict[str, object], said: str) -> None:
    """Before anything is run."""
    with pytest.raises(ScenarioError) as error:
        asked(*texts, **settings)
    assert said in str(error.value)


def test_figures_have_short_names() -> None:
    """Those of goals, and the full ones of the JSON."""
    assert figures_named(["p99", "refused", "latency_ms.p99", "cost", "replicas"]) == (
        "latency_ms.p99",
        "refused_share",
        "cost",
        "replicas.mean",
    )


def test_usual_figures_follow_goals_costs_and_fleets() -> None:
    """What somebody who states a goal, a price or an autoscaler will look for."""
    scaled = {"autoscaler": {"preset": "ray_serve", "target": 10, "max_replicas": 3}}
    source = content(cost={"replica_hour": 2}, fleet=scaled, horizon={"duration": "1s", "warm_up": "0s"})
    answer = asked("batching.max_batch=4,8", source=source, runs=2)
    assert answer.figures == (
        "latency_ms.p50",
        "latency_ms.p90",
        "latency_ms.p99",
        "refused_share",
        "replicas.mean",
        "cost",
    )
