"""What the load alone asks for: the worked examples of the systems, each interpreted and compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from policy import recommendation, windows
from policy.autoscaling_rule import REPLICAS_MAX, AutoscalingRule, samples_of
from policy.autoscaling_settings import autoscaling_rule
from tests.policy.both_ways import WAYS, run_way

S = 10**9


def rule(**options: Any) -> AutoscalingRule:
    """Return a rule without a largest fleet."""
    return autoscaling_rule(**{"target": 60.0, "max_replicas": None, **options})


RATIO: dict[str, Any] = {"formula": "ratio", "dead_band_up": 0.1, "dead_band_down": 0.1}
LEFT_OUT = {**RATIO, "not_ready": "left_out"}
ALIKE = {**RATIO, "not_ready": "alike"}
CPU = {**RATIO, "formula": "utilisation", "signal": "busy", "target": 0.8}
TOTAL: dict[str, Any] = {"target": 5.0, "dead_band_up": 0.1, "dead_band_down": 0.1}
GAIN: dict[str, Any] = {"formula": "gain", "target": 2.0}
HALF = {**GAIN, "gain_up": 0.5, "gain_down": 0.5}

CASES: list[tuple[str, dict[str, Any], float, tuple[int, int, int, int], tuple[bool, int, int]]] = [
    # name, rule, load, (ready, starting, current, base) -> known, replicas, side
    ("HPA: 4 at 90/60", RATIO, 360.0, (4, 0, 4, 4), (True, 6, 1)),
    ("HPA: 4 at 63/60", RATIO, 252.0, (4, 0, 4, 4), (True, 4, 0)),
    ("HPA: 10 at 20/60", RATIO, 200.0, (10, 0, 10, 10), (True, 4, -1)),
    ("HPA: 3 at 200/50", {**RATIO, "target": 50.0}, 600.0, (3, 0, 3, 3), (True, 12, 1)),
    ("HPA: 1.1 is still within", RATIO, 660.0, (10, 0, 10, 10), (True, 10, 0)),
    ("HPA: 0.9 is still within", RATIO, 540.0, (10, 0, 10, 10), (True, 10, 0)),
    ("HPA: a little above", RATIO, 661.0, (10, 0, 10, 10), (True, 12, 1)),
    ("HPA: nothing ready, nothing known", RATIO, 661.0, (0, 3, 3, 3), (False, 3, 0)),
    ("HPA: no load, not the fleet", RATIO, 0.0, (3, 0, 3, 3), (True, 0, -1)),
    ("HPA: those starting will do", RATIO, 360.0, (4, 2, 6, 6), (True, 6, 0)),
    ("HPA: they will not", RATIO, 480.0, (4, 2, 6, 6), (True, 8, 1)),
    ("HPA: with them it would be a move down", RATIO, 300.0, (4, 8, 12, 12), (True, 12, 0)),
    ("left out, it is one", LEFT_OUT, 300.0, (4, 8, 12, 12), (True, 5, 1)),
    ("HPA: against the direction", RATIO, 420.0, (4, 1, 8, 8), (True, 8, 0)),
    ("HPA: they do not matter on the way down", RATIO, 120.0, (4, 8, 12, 12), (True, 2, -1)),
    ("CPU: 90 of 80 per cent", CPU, 3.6, (4, 0, 4, 4), (True, 5, 1)),
    ("CPU: 88.9 is cut to 88, within", CPU, 3.556, (4, 0, 4, 4), (True, 4, 0)),
    ("uncut it would be 1.11", {**CPU, "formula": "ratio"}, 3.556, (4, 0, 4, 4), (True, 5, 1)),
    ("alike: the ratio multiplies all", ALIKE, 360.0, (4, 2, 6, 6), (True, 9, 1)),
    ("alike: before the last move", ALIKE, 360.0, (4, 2, 6, 4), (True, 6, 1)),
    ("alike: what was added is more", ALIKE, 360.0, (4, 4, 8, 4), (True, 8, 1)),
    ("alike: down counts all", ALIKE, 120.0, (4, 2, 6, 4), (True, 3, -1)),
    ("KEDA: 12 of 5", TOTAL, 12.0, (1, 0, 1, 1), (True, 3, 1)),
    ("KEDA: 16 of 5 by 3 is within", TOTAL, 16.0, (3, 0, 3, 3), (True, 3, 0)),
    ("without a band it is not", {"target": 5.0}, 16.0, (3, 0, 3, 3), (True, 4, 1)),
    ("KEDA: the band counts those starting", TOTAL, 16.0, (1, 2, 3, 3), (True, 3, 0)),
    ("left out, they are not", {**TOTAL, "not_ready": "left_out"}, 16.0, (1, 2, 3, 3), (True, 4, 1)),
    ("KEDA: none ready, the total is known", TOTAL, 12.0, (0, 0, 1, 1), (True, 3, 1)),
    ("Ray: all the way", GAIN, 10.0, (1, 0, 1, 1), (True, 5, 1)),
    ("Ray: half the way", HALF, 10.0, (1, 0, 1, 1), (True, 3, 1)),
    ("Ray: half of a part is one", HALF, 9.0, (4, 0, 4, 4), (True, 5, 1)),
    ("Ray: half of 1 down would stay, so one goes", HALF, 6.0, (4, 0, 4, 4), (True, 3, -1)),
    ("Ray: there is no need for less", HALF, 7.0, (4, 0, 4, 4), (True, 4, 0)),
    ("Ray: the last one goes too", HALF, 0.0, (1, 0, 1, 1), (True, 0, -1)),
    ("beyond all", {"target": 1e-6}, 1e9, (1, 0, 1, 1), (True, REPLICAS_MAX, 1)),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "options", "load", "fleet", "expected"), CASES, ids=[case[0].replace(" ", "_") for case in CASES]
)
def test_load_asks_for_the_replicas_of_the_table(
    way: str,
    name: str,
    options: dict[str, Any],
    load: float,
    fleet: tuple[int, int, int, int],
    expected: tuple[bool, int, int],
) -> None:
    """Known or not, how many, and on which side of its target the load is."""
    assert tuple(run_way(way, recommendation.recommend)(rule(**options), load, *fleet)) == expected


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("replicas", "ready", "within"),
    [(9, 1, 4), (4, 1, 4), (3, 4, 3), (0, 4, 2), (0, 5, 2), (0, 1, 0), (0, 0, 0), (9, 0, 4), (99, 3, 11)],
)
def test_rates_bound_the_recommendation_by_the_ready_replicas(way: str, replicas: int, ready: int, within: int) -> None:
    """Knative: at most ceil(rate * ready), at least floor(ready / rate); none ready counts as one."""
    chosen = rule(rate_up=3.5, rate_down=2.0)
    assert run_way(way, recommendation.within_rates)(chosen, replicas, ready) == within
    assert run_way(way, recommendation.within_rates)(rule(), replicas, ready) == replicas


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("replicas", "whole"), [(0.0, 0), (-3.5, 0), (2.0, 2), (2.0000001, 3), (0.3, 1), (1e18, REPLICAS_MAX)]
)
def test_part_of_a_replica_is_one(way: str, replicas: float, whole: int) -> None:
    """The ceiling, between none and the largest fleet."""
    assert run_way(way, recommendation.ceil_replicas)(replicas) == whole


LOADS: list[tuple[str, dict[str, Any], int, int, tuple[bool, float]]] = [
    # name, rule, until (s), window (s) -> known, load; samples at 0, 10, 20, 30 s: 1, 5, 3, 7 (+ 100 a counter)
    ("mean of the samples", {}, 30, 20, (True, 5.0)),
    ("mean over time", {"mean": "time"}, 30, 30, (True, 3.0)),
    ("no window: the latest", {}, 35, 0, (True, 7.0)),
    ("window between two samples: the latest", {}, 29, 5, (True, 3.0)),
    ("nothing so early", {}, -1, 20, (False, 0.0)),
    ("arrivals per second", {"signal": "rate"}, 30, 20, (True, 0.1)),
    ("arrivals: no window, the last period", {"signal": "rate"}, 30, 0, (True, 0.4)),
    ("arrivals: one sample is no rate", {"signal": "rate"}, 5, 20, (False, 0.0)),
    ("devices busy", {"signal": "busy"}, 30, 20, (True, 1e-10)),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "options", "until", "window", "expected"), LOADS, ids=[case[0].replace(" ", "_") for case in LOADS]
)
def test_load_is_that_of_the_window(
    way: str, name: str, options: dict[str, Any], until: int, window: int, expected: tuple[bool, float]
) -> None:
    """A level is averaged, a counter is how far it moved over the time between two samples."""
    chosen = rule(**{"window_ns": 100 * S, "sample_ns": 10 * S, **options})
    ring = samples_of(chosen)
    history: Any = [0] * 99 if way == "interpreted" else np.zeros(99, np.int64)
    for time, value in ((0, 1), (10, 5), (20, 3), (30, 7)):
        windows.push(history, ring, time * S, value)
    load = run_way(way, recommendation.load_of)(chosen, history, ring, until * S, window * S)
    assert tuple(load) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("report", "lag", "now", "until"),
    [(0, 0, 47, 47), (0, 30, 47, 17), (10, 0, 47, 42), (10, 7, 47, 32), (0, 99, 2, -97)],
)
def test_sample_is_known_when_it_has_come_through_the_pipeline(
    way: str, report: int, lag: int, now: int, until: int
) -> None:
    """Reports come at 2, 12, 22 ... after a start at 2, and take the lag on their way."""
    chosen = rule(report_ns=report * S, lag_ns=lag * S)
    assert run_way(way, recommendation.known_until_ns)(chosen, 2 * S, now * S) == until * S
