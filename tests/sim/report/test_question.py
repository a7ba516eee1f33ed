"""A scenario in words: each kind of traffic, model, fleet and goal is said so that nobody need read the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sim.planner.grid import configurations, parse_axis
from sim.report.question import configurations_in_words, goals_in_words, scenario_in_words
from sim.scenario.load import load_scenario
from sim.scenario.spec import Scenario

BASE: dict[str, Any] = {
    "traffic": {"arrivals": {"process": "poisson", "rate": "400/s"}},
    "model": {"pass_time": {"base": "8ms", "per_item": "0.5ms"}},
    "batching": {"max_batch": 8, "max_wait": "5ms"},
}


def scenario_of(**changes: Any) -> Scenario:
    """Return the least scenario with other sections."""
    return load_scenario({**BASE, **changes})


def arrivals(process: str, **settings: Any) -> dict[str, Any]:
    """Return the traffic of an arrival process."""
    return {"traffic": {"arrivals": {"process": process, **settings}}}


def test_least_scenario_is_said_in_full() -> None:
    """Who asks, what a pass takes, who shares it, what bounds the queue, what serves."""
    assert scenario_in_words(scenario_of()) == (
        "Requests come independently of each other (Poisson), 400/s.",
        "A pass through the model takes 8 ms and 0.5 ms for each request in it.",
        "Up to 8 requests share a pass, and a batch that is not full waits at most 5 ms for more.",
        "Nothing limits how many requests wait.",
        "One replica serves.",
    )


STEP = {"rate": "10/s", "duration": "90s"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (arrivals("even", rate="50/s"), "Requests come at equal gaps, 50/s in the mean."),
        (arrivals("gamma", rate="60/s", cv=2), "Requests come in bursts (gaps with a cv of 2), 60/s."),
        (
            arrivals("gamma", rate="60/s", cv=0.5),
            "Requests come more evenly than by chance (gaps with a cv of 0.5), 60/s.",
        ),
        (
            arrivals("mmpp", rates=["10/s", "90/s"], dwells=["1s", "1s"]),
            "Requests come at a rate that changes by chance between 10/s and 90/s, 50/s in the mean.",
        ),
        (
            arrivals("steps", steps=[STEP, {"rate": "2000/s", "duration": "1min"}]),
            "Requests come at a rate that changes in steps: 10/s for 90 s, 2000/s for 1 min.",
        ),
        (
            arrivals("steps", steps=[STEP, {"rate": "30/s", "duration": "1s"}, STEP, STEP, STEP]),
            "Requests come at a rate that changes in steps: 5 of them, from 10/s to 30/s.",
        ),
        (
            arrivals("day_curve", mean_rate="100/s", peak_to_mean=2.5, peak_at="12h"),
            "Requests come along a wave of 1 d, 2.5 times the mean at its peak (250/s) and 18.48/s at its lowest, "
            "100/s in the mean.",
        ),
        (
            arrivals("spike", rate="250/s", peak_rate="900/s", at="30s", duration="10s"),
            "Requests come at 250/s, with a spike to 900/s that begins after 30 s and lasts 10 s.",
        ),
        (
            {"traffic": {"clients": {"count": 64, "think": {"distribution": "exponential", "mean": "100ms"}}}},
            "64 clients in a closed loop: each sends a request, waits for its answer, and sends the next after 100 ms "
            "in the mean.",
        ),
        (
            {"traffic": {"clients": {"count": 1}}},
            "One client in a closed loop: each sends a request, waits for its answer, and sends the next at once.",
        ),
        (
            {"traffic": BASE["traffic"] | {"timeout": {"distribution": "uniform", "low": "1s", "high": "2s"}}},
            "A client hangs up after 1 s to 2 s.",
        ),
        (
            {"traffic": BASE["traffic"] | {"retries": {"attempts": 3}}},
            "A client that is refused tries again, 3 sends in all at most.",
        ),
        (
            {"model": {"pass_time": {"table": {1: "9ms", 8: "20ms"}}}},
            "A pass through the model takes 9 ms for one request and 20 ms for 8 requests.",
        ),
        (
            {"model": {"pass_time": {"base": "6ms", "per_unit": "20us"}}},
            "A pass through the model takes 6 ms, and 20 us for each request and each unit of the longest one's size.",
        ),
        ({"batching": {"max_batch": 1}}, "Each request has a pass of its own."),
        (
            {"batching": {"max_batch": 4}},
            "Up to 4 requests share a pass, and a batch that is not full does not wait for more.",
        ),
        ({"queue": {"cap": 64}}, "At most 64 requests wait at a replica; the next one is refused."),
        ({"queue": {"cap": 64, "deadline": "2s"}}, "What has waited for 2 s is given up."),
        (
            {"front_end": {"blocking": True}},
            "The model runs in the HTTP server's own process, which does nothing else meanwhile.",
        ),
        ({"fleet": {"replicas": 3, "instances": 2}}, "3 replicas with 2 instances of the model each serve."),
        (
            {"fleet": {"replicas": 3, "routing": {"balance": "power_of_two"}}},
            "A request goes to the one with fewer requests of two that are drawn.",
        ),
        (
            {"fleet": {"autoscaler": {"target": 10, "max_replicas": 6, "signal": "waiting"}}},
            "One replica serves at the start; an autoscaler keeps 1 to 6 of them and aims at 10 waiting requests for "
            "each.",
        ),
        (
            {
                "fleet": {
                    "autoscaler": {"preset": "ray_serve", "max_replicas": 6},
                    "cold_start": {"image": "10s", "load": {"distribution": "gamma", "mean": "3s", "cv": 1}},
                }
            },
            "A new replica is ready after 10 s and 3 s in the mean.",
        ),
        (
            {"fleet": {"autoscaler": {"preset": "kubernetes_hpa", "target": "80%", "max_replicas": 6}}},
            "One replica serves at the start; an autoscaler like kubernetes_hpa keeps 1 to 6 of them and aims at 80 % "
            "of each one's devices busy.",
        ),
        (
            {"fleet": {"replicas": 2, "crash_every": "1h", "cold_start": {"image": "10s", "load": "30s"}}},
            "A new replica is ready after 40 s.",
        ),
        ({"fleet": {"crash_every": "1h"}}, "Each replica crashes every 1 h in the mean."),
        (
            {"fleet": {"replicas": 4, "slow": {"share": "25%", "factor": 2}}},
            "25 % of the replicas are 2 times as slow.",
        ),
        ({"fleet": {"replicas": 2, "spare": 1}}, "One replica may be down, and the goals are to hold."),
        (
            {"versions": [{"name": "v1"}, {"name": "v2", "weight": "5%", "error_rate": "1%"}]},
            "Versions of the model are loaded side by side, with these shares of the requests at the start: v1 (95 %) "
            "and v2 (5 %, fails on 1 %).",
        ),
        (
            {"versions": [{"name": "v1"}, {"name": "v2", "fleet": {"replicas": 2}}]},
            "Each version has a fleet of its own, v1 with one replica and v2 with 2 replicas.",
        ),
        (
            {
                "versions": [{"name": "v1"}, {"name": "v2", "role": "canary"}],
                "rollout": {"start": "5s", "steps": [{"weight": "10%"}]},
            },
            "5 s into the run a rollout of v2 begins in one step.",
        ),
    ],
)
def test_what_a_scenario_says_is_said(changes: dict[str, Any], sentence: str) -> None:
    """Each setting that matters has its sentence."""
    assert sentence in scenario_in_words(scenario_of(**changes))


@pytest.mark.parametrize(
    ("goals", "question"),
    [
        ({}, "How long do requests take, and how many have no answer?"),
        ({"p99": "200ms", "refused": "0.1%"}, "Is p99 at most 200 ms? Are at most 0.1 % of the requests refused?"),
        ({"mean": "1.5ms", "p999": "1s"}, "Is the mean latency at most 1.5 ms? Is p99.9 at most 1000 ms?"),
        (
            {"timed_out": "1%", "abandoned": "2%", "failed": "3%"},
            "Do at most 1 % of the requests time out? Do clients give up on at most 2 % of the requests? Do at most "
            "3 % of the requests fail?",
        ),
        (
            {"p99": "200ms", "breach": "5%"},
            "Is p99 at most 200 ms? Are at most 5 % of the windows of 5 s in breach of that?",
        ),
    ],
)
def test_goals_are_questions(goals: dict[str, str], question: str) -> None:
    """Each goal is asked with its limit."""
    assert goals_in_words(scenario_of(goals=goals)) == question


def test_trace_says_its_length_and_its_busiest_seconds(tmp_path: Path) -> None:
    """The mean alone hides the burst that decides the answer; the length is no number of nanoseconds."""
    file = tmp_path / "own.csv"
    times = sorted([*(place / 2 for place in range(81)), *(21 + place / 100 for place in range(90))])
    file.write_text("timestamp\n" + "\n".join(map(str, times)) + "\n")
    said = scenario_in_words(scenario_of(**arrivals("trace", file=str(file))))
    assert said[0] == "Requests come as recorded in own.csv (40.2 s), 4.25/s in the mean, 20.0/s in the busiest 5 s."
    twice = scenario_in_words(scenario_of(**arrivals("trace", file=str(file), scale=2)))
    rates = "2 times as many, 8.5/s in the mean, 40.0/s in the busiest 5 s"
    assert twice[0] == f"Requests come as recorded in own.csv (40.2 s), {rates}."


MACHINES = {"big": {"gpus": 1, "replica_hour": 9}, "small": {"gpus": 1, "replica_hour": 1}}
PRICE = {"cost": {"replica_hour": 2.5, "currency": "EUR", "machines": MACHINES}}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (PRICE, "A replica costs 2.5 EUR an hour."),
        (PRICE | {"fleet": {"machine": "big"}}, "A replica costs 9 EUR an hour."),
        (
            PRICE | {"versions": [{"name": "v1"}, {"name": "v2", "fleet": {"machine": "big"}}]},
            "A replica costs 2.5 EUR or 9 EUR an hour.",
        ),
    ],
)
def test_price_is_that_of_the_machine(changes: dict[str, Any], sentence: str) -> None:
    """Versions on other machines cost otherwise; without prices there is no sentence."""
    assert scenario_in_words(scenario_of(**changes))[-1] == sentence
    assert not any("costs" in each for each in scenario_in_words(scenario_of()))


def grid_of(base: dict[str, Any], *axes: str) -> list[Scenario]:
    """Return the scenarios of a plan."""
    return [one.scenario for one in configurations({**BASE, **base}, [parse_axis(axis) for axis in axes])]


AUTOSCALED = {
    "fleet": {"autoscaler": {"target": 6, "max_replicas": 4}, "cold_start": {"image": "10s"}},
}
PRESETS = "{preset: ray_serve, max_replicas: 4, target: 6},{preset: kubernetes_hpa, max_replicas: 5}"


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        (
            ["fleet.autoscaler.target=2,6,10"],
            "One replica serves at the start; an autoscaler keeps 1 to 4 of them and aims at 2, 6 or 10 requests in "
            "flight for each. A request goes to the next one in turn. A new replica is ready after 10 s.",
        ),
        (
            ["fleet.autoscaler.max_replicas=4,8", "fleet.autoscaler.min_replicas=1,2", "fleet.replicas=2,3"],
            "2 or 3 replicas serve at the start; an autoscaler keeps 1 to 4 or 8 or 2 to 4 or 8 of them and aims at 6 "
            "requests in flight for each.",
        ),
        (
            [f"fleet.autoscaler={PRESETS}"],
            "One replica serves at the start; an autoscaler like ray_serve or kubernetes_hpa keeps 1 to 4 or 5 of them "
            "and aims at 6 requests in flight for each or 80 % of each one's devices busy. A request goes",
        ),
        (
            ["fleet.autoscaler={preset: ray_serve, max_replicas: 4, target: 6},{target: 6, max_replicas: 4}"],
            "an autoscaler like ray_serve, or with settings of its own, keeps 1 to 4 of them and aims at 6 requests",
        ),
        (
            ["fleet.autoscaler=none,{target: 3, max_replicas: 5}"],
            "In some configurations one replica serves all the time. In the others one replica serves at the start; an "
            "autoscaler keeps 1 to 5 of them and aims at 3 requests in flight for each. A request goes to the next one "
            "in turn. A new replica is ready after 10 s.",
        ),
        (
            ["fleet.autoscaler.target=2,3,4,5,6"],
            "an autoscaler keeps 1 to 4 of them and aims at 2, 3 … 6 requests in flight for each.",
        ),
    ],
)
def test_autoscalers_of_configurations_are_told_with_all_their_values(axes: list[str], words: str) -> None:
    """Which kind, between how many replicas, and with how many they start: who plans one wants to read of it."""
    assert words in " ".join(configurations_in_words(grid_of(AUTOSCALED, *axes)))


@pytest.mark.parametrize(
    ("axes", "said", "unsaid"),
    [
        (["batching.max_batch=4,8"], ["A batch that is not full waits at most 5 ms for more."], ["share a pass"]),
        (["batching.max_wait=0ms,2ms"], ["Up to 8 requests share a pass."], ["not full"]),
        (["batching.max_wait=0ms,2ms", "batching.max_batch=4,8"], [], ["not full", "share a pass"]),
        (["fleet.replicas=1,2"], ["Up to 8 requests share a pass, and a batch"], ["replica", "serve"]),
        (["fleet.machine=big,small"], ["A replica costs 9 EUR or 1 EUR an hour."], []),
    ],
)
def test_what_varies_is_left_to_its_key_and_the_rest_stays(axes: list[str], said: list[str], unsaid: list[str]) -> None:
    """The wait for company is no less a part of the question where the size of a batch varies."""
    told = " ".join(configurations_in_words(grid_of(PRICE, *axes))).replace("A replica costs 2.5 EUR an hour.", "")
    assert all(words in told for words in said)
    assert not any(words in told for words in unsaid)


def test_configurations_that_are_alike_are_told_as_one() -> None:
    """Every sentence of a scenario stands for all of them then, in its order."""
    alone = scenario_of(**PRICE)
    assert configurations_in_words([alone, alone]) == scenario_in_words(alone)
