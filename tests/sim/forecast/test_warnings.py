"""Warnings: each fires where the mistake is made, and is silent where the same setting does no harm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sim.forecast.forecast import forecast
from sim.forecast.warnings import STRETCHED_TRACE, on_recorded_arrivals, second_looks
from sim.planner.whatif import whatif
from sim.planner.workers import Workers
from sim.scenario.load import load_scenario

PROFILE = str(Path(__file__).parents[2] / "data" / "profile.json")


def content(**changes: object) -> dict[str, Any]:
    """Return a queue that is half full, without anything to be warned of."""
    return {
        "traffic": {"arrivals": {"process": "poisson", "rate": "300/s"}},
        "model": {"pass_time": {"base": "8ms", "per_item": "0.5ms"}},
        "batching": {"max_batch": 8},
        "horizon": {"duration": "10s", "warm_up": "1s", "runs": 4},
        **changes,
    }


def warned(**changes: object) -> tuple[str, ...]:
    """Return what a forecast warns of."""
    return forecast(load_scenario(content(**changes)), workers=1).warnings


def looked(**changes: object) -> tuple[str, ...]:
    """Return what second looks warn of."""
    return whatif(content(**changes), [], warnings=True, workers=Workers(count=1)).warnings


def test_plain_scenario_is_passed_over_in_silence() -> None:
    """Nothing is said where nothing is wrong."""
    assert warned() == ()
    assert second_looks(load_scenario(content())) == []


@pytest.mark.parametrize(("blocking", "rate", "count"), [(True, "200/s", 1), (False, "200/s", 0), (True, "5/s", 0)])
def test_blocking_handler(blocking: bool, rate: str, count: int) -> None:
    """With the share of time in which no request is read; a handler that hardly works blocks nobody."""
    traffic = {"arrivals": {"process": "poisson", "rate": rate}, "timeout": "2s"}
    said = warned(traffic=traffic, front_end={"request": "0.5ms", "response": "0.5ms", "blocking": blocking})
    assert len(said) == count
    assert all("passes hold the front end for" in sentence and "takes 20 %" in sentence for sentence in said)


@pytest.mark.parametrize(
    ("signal", "target", "max_batch", "count"),
    [("busy", "80%", 8, 1), ("in_flight", 6, 8, 0), ("busy", "80%", 1, 0)],
)
def test_device_busy_as_a_scaling_signal(signal: str, target: object, max_batch: int, count: int) -> None:
    """Small batches keep a device busy at a third of its load; without batching busy is the load."""
    scaler = {"formula": "ratio", "signal": signal, "target": target, "max_replicas": 6, "tick": "1s", "window": "1s"}
    traffic = {"arrivals": {"process": "poisson", "rate": "200/s"}, "timeout": "5s"}
    fleet = {"replicas": 3, "autoscaler": scaler, "routing": {"balance": "least_outstanding"}}
    said = warned(traffic=traffic, fleet=fleet, batching={"max_batch": max_batch}, queue={"cap": 64})
    assert len(said) == count
    assert all("scales on device busy, which is" in sentence for sentence in said)


@pytest.mark.parametrize(("replicas", "count"), [(1, 1), (3, 0)])
def test_canary_too_small_for_its_share(replicas: int, count: int) -> None:
    """Half of 1,200/s on one replica of 667/s would do; with all of it, which it gets when promoted, it does not."""
    versions = [
        {"name": "v1", "fleet": {"replicas": 4}},
        {"name": "v2", "role": "canary", "fleet": {"replicas": replicas}},
    ]
    rollout = {"start": "2s", "steps": [{"weight": "10%", "pause": "2s"}, {"weight": "50%", "pause": "2s"}]}
    traffic = {"arrivals": {"process": "poisson", "rate": "1200/s"}, "timeout": "1s"}
    horizon = {"duration": "10s", "warm_up": "0s", "runs": 2}
    said = warned(traffic=traffic, versions=versions, rollout=rollout, queue={"cap": 64}, horizon=horizon)
    assert len(said) == count
    promoted = "(v2) gets up to 100 % of the requests, 1200/s, and its replicas can take 666.7/s"
    assert all(promoted in sentence for sentence in said)


@pytest.mark.parametrize(
    ("goals", "count"), [({"p99": "1s"}, 1), ({"p99": "1s", "refused": "50%"}, 0), ({}, 0), ({"refused": "50%"}, 0)]
)
def test_loss_that_no_goal_limits(goals: dict[str, str], count: int) -> None:
    """A queue of 4 under twice the load refuses half: a goal on latency is about the other half."""
    traffic = {"arrivals": {"process": "poisson", "rate": "1300/s"}, "timeout": "1s"}
    said = warned(traffic=traffic, queue={"cap": 4}, goals=goals, fleet={"replicas": 1})
    assert len(said) == count
    assert all(sentence.endswith("goals on latency are about answered ones alone.") for sentence in said)
    assert all("(refused_share) are lost, and no goal limits that" in sentence for sentence in said)


@pytest.mark.parametrize(("rate", "count"), [("150/s", 0), ("20/s", 1)])
def test_load_outside_the_calibration(rate: str, count: int) -> None:
    """With the loads at which it was fitted."""
    said = warned(model={"profile": PROFILE}, traffic={"arrivals": {"process": "poisson", "rate": rate}})
    assert len(said) == count
    assert all("nothing was measured there" in sentence for sentence in said)


@pytest.mark.parametrize(("wait", "rate", "count"), [("8ms", "60/s", 1), ("8ms", "600/s", 0), ("0ms", "60/s", 0)])
def test_wait_timer_that_only_costs(wait: str, rate: str, count: int) -> None:
    """At a low load nobody comes while one waits; near saturation batches are full before the timer ends."""
    traffic = {"arrivals": {"process": "poisson", "rate": rate}}
    horizon = {"duration": "80s", "warm_up": "1s", "runs": 4}
    said = looked(batching={"max_batch": 8, "max_wait": wait}, traffic=traffic, horizon=horizon)
    assert len(said) == count
    assert all("max_wait of 8ms only costs at this load: with it p50 is" in sentence for sentence in said)


@pytest.mark.parametrize(("cap", "rate", "count"), [(256, "900/s", 1), (256, "300/s", 0), (8, "900/s", 0)])
def test_queue_that_buys_waiting_and_no_throughput(cap: int, rate: str, count: int) -> None:
    """Under overload a long queue is full all the time; where it is never full it does no harm."""
    said = looked(queue={"cap": cap}, traffic={"arrivals": {"process": "poisson", "rate": rate}})
    assert len(said) == count
    assert all(f"queue.cap of {cap} buys waiting and no throughput: with 16, p99 is" in sentence for sentence in said)


@pytest.mark.parametrize(("cv", "count"), [(3.0, 1), (1.2, 0), (0.5, 0)])
def test_bursts_that_a_mean_rate_does_not_show(cv: float, count: int) -> None:
    """Twice the p99 of Poisson arrivals at the same rate is worth a word, a tenth more is not."""
    horizon = {"duration": "300s", "warm_up": "1s", "runs": 2}
    said = looked(traffic={"arrivals": {"process": "gamma", "rate": "300/s", "cv": cv}}, horizon=horizon)
    assert len(said) == count
    assert all("times as high at the same rate" in sentence for sentence in said)


def test_base_case_without_an_answer_is_not_warned_of() -> None:
    """An unstable load says enough by itself."""
    assert looked(traffic={"arrivals": {"process": "poisson", "rate": "9000/s"}}) == ()


def recorded(folder: Path, seconds: int, **arrivals: object) -> dict[str, object]:
    """Return traffic of a trace with ten requests in each of so many seconds."""
    file = folder / "own.csv"
    file.write_text("\n".join(["timestamp", *(f"{place / 10}" for place in range(10 * seconds))]) + "\n")
    return {"arrivals": {"process": "trace", "file": str(file), **arrivals}}


def test_trace_of_which_runs_meet_the_beginning_alone(tmp_path: Path) -> None:
    """What comes behind, a burst perhaps, is in no figure."""
    horizon = {"duration": "60s", "warm_up": "0s", "runs": 2}
    (sentence,) = warned(traffic=recorded(tmp_path, 1_200), horizon=horizon)
    assert "the first 1min of a trace of 20min" in sentence
    assert "Without that key they meet all of it." in sentence


@pytest.mark.parametrize(("seconds", "more"), [(61, {}), (10, {"repeat": True}), (600, {"rate": "100/s"})])
def test_trace_that_runs_meet_whole_is_passed_over(tmp_path: Path, seconds: int, more: dict[str, object]) -> None:
    """Also where it begins anew, or is compressed to the length of a run."""
    horizon = {"duration": "60s" if "rate" not in more else "59s", "warm_up": "0s", "runs": 2}
    assert warned(traffic=recorded(tmp_path, seconds, **more), horizon=horizon) == ()


@pytest.mark.parametrize(
    ("more", "varied", "first", "is_stretched"),
    [
        ({}, (), "The arrivals are those recorded, in every run: the intervals hold for this trace.", False),
        ({"rate": "10.001/s"}, (), "The arrivals are those recorded", False),
        ({"rate": "20/s"}, (), "The arrivals are those recorded", True),
        ({}, ("traffic.arrivals.rate",), "The arrivals are those recorded", True),
        (
            {"scale": 2.5},
            (),
            "The arrivals follow the recorded course over time in every run, with 2.5 times the",
            False,
        ),
        ({"scale": 0.5, "rate": "20/s"}, (), "The arrivals follow the recorded course", True),
        ({}, ("traffic.arrivals.scale", "batching.max_batch"), "More traffic is the trace with copies", False),
    ],
)
def test_what_is_said_of_recorded_arrivals(
    more: dict[str, object], varied: tuple[str, ...], first: str, is_stretched: bool, tmp_path: Path
) -> None:
    """Of what the intervals speak, which is the trace alone; and what a rate does that is not the trace's own."""
    scenario = load_scenario(content(traffic=recorded(tmp_path, 20, **more), horizon={"runs": 2}))
    said = on_recorded_arrivals(scenario, varied)
    assert said[0].startswith(first)
    assert said[0].endswith("ntervals hold for this trace.")
    assert said[1:] == [STRETCHED_TRACE] * is_stretched


def test_nothing_is_said_of_arrivals_that_are_drawn() -> None:
    """A rate that varies there stretches nothing."""
    assert on_recorded_arrivals(load_scenario(content()), ["traffic.arrivals.rate"]) == []


@pytest.mark.parametrize(
    ("times", "is_said"),
    [
        ([7 * place for place in range(200)], True),
        ([7.25 * place for place in range(200)], False),
        ([place // 3 for place in range(600)], False),
        ([7 * place for place in range(50)], False),
    ],
)
def test_trace_that_may_be_in_milliseconds(tmp_path: Path, times: list[float], is_said: bool) -> None:
    """Whole seconds, far apart; not where there are fractions, several a second, or too few to tell."""
    file = tmp_path / "own.csv"
    file.write_text("\n".join(["timestamp", *map(str, times)]) + "\n")
    arrivals = {"process": "trace", "file": str(file), "inside_bin": "together"}
    said = warned(traffic={"arrivals": arrivals}, horizon={"warm_up": "0s", "runs": 2})
    assert any("milliseconds?" in sentence and "unit: ms reads them so" in sentence for sentence in said) == is_said


def test_trace_that_is_said_to_be_in_milliseconds_is_believed(tmp_path: Path) -> None:
    """Whole milliseconds are nothing to ask about."""
    file = tmp_path / "own.csv"
    file.write_text("\n".join(["timestamp", *(str(7_000 * place) for place in range(200))]) + "\n")
    arrivals = {"process": "trace", "file": str(file), "unit": "ms"}
    assert warned(traffic={"arrivals": arrivals}, horizon={"warm_up": "0s", "runs": 2}) == ()


@pytest.mark.parametrize("stray", [-900.0, 1_000.0])
def test_trace_with_one_gap_that_is_most_of_it(tmp_path: Path, stray: float) -> None:
    """A row of another time, before or behind a minute of traffic; a quarter of an hour of silence is that too."""
    times = sorted([*(place / 10 for place in range(600)), stray])
    file = tmp_path / "own.csv"
    file.write_text("\n".join(["timestamp", *map(str, times)]) + "\n")
    traffic = {"arrivals": {"process": "trace", "file": str(file)}}
    (sentence,) = warned(traffic=traffic, horizon={"runs": 2, "warm_up": "0s"})
    place = 1 if stray < 0 else 600
    assert f"behind request {place} of 601, so a timestamp may be wrong, or a part of the log missing." in sentence
    assert "nothing comes for 15" in sentence
