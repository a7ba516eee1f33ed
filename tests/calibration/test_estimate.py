"""Tests of calibration/estimate.py on sums written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from calibration.estimate import estimate, mean_passes, spread_cv, tells_passes_apart
from calibration.session import RunCost, Session, Sum

MS = 1e6


def _session(
    pass_ms: Mapping[int, list[float]] | None = None, costs: list[tuple[float, int, int]] | None = None, **sums: float
) -> Session:
    """Return a session; `costs` are (CPU ms, requests, passes) of runs, `sums` those of one block in counts and ms."""
    block = np.zeros((1, len(Sum)))
    for name, value in sums.items():
        column = Sum[name.upper()]
        is_count = column in (Sum.PASSES, Sum.STEPS, Sum.REQUESTS, Sum.RESPONSES, Sum.TIMERS)
        block[0, column] = value if is_count else value * MS
    times = {size: np.array(of) * MS for size, of in (pass_ms or {1: [9.0] * 5, 5: [11.0] * 5}).items()}
    runs = [RunCost(1.0, cpu * MS, requests, passes) for cpu, requests, passes in costs or [(0.0, 1, 1)]]
    return Session(8, block, np.zeros(1, dtype=np.int64), tuple(runs), times)


WAYS = {"requests": 10, "in_time": 5.0, "responses": 10, "out_time": 8.0}  # 0.5 ms in, 0.8 ms out


def test_cpu_time_is_split_by_the_step_from_answer_to_answer() -> None:
    """0.3 ms a request, answers 0.1 ms apart: 0.2 in, 0.1 out, and the rest of both ways is network."""
    parts = estimate([_session(costs=[(30.0, 100, 50)], steps=5, step_time=0.5, **WAYS)])
    assert parts["front_end_response"] == pytest.approx(0.1)
    assert parts["front_end_request"] == pytest.approx(0.2)
    assert parts["network_there"] == pytest.approx(0.3)
    assert parts["network_back"] == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("cpu_ms", "inward", "outward"),
    [
        (90.0, 0.5, 0.1),  # more CPU time than the way in has room for: the way in is all front end
        (5.0, 0.0, 0.05),  # less than an answer's step: the step is not all the server's
    ],
)
def test_front_end_fits_into_the_ways(cpu_ms: float, inward: float, outward: float) -> None:
    """No part is negative and none is longer than the way it lies on."""
    parts = estimate([_session(costs=[(cpu_ms, 100, 50)], steps=5, step_time=0.5, **WAYS)])
    assert parts["front_end_request"] == pytest.approx(inward)
    assert parts["front_end_response"] == pytest.approx(outward)
    assert min(parts.values()) >= 0


@pytest.mark.parametrize(
    ("hop", "result", "rest", "work"),
    [
        (1.0, 0.8, 0.2, 0.2),  # the hop has room for the work on results
        (0.5, 0.5, 0.0, 0.2 + 0.3 / 8),  # it has not: what is left counts with the requests of full batches
        (0.0, 0.0, 0.0, 0.2 + 0.8 / 8),
    ],
)
def test_cpu_time_of_a_pass_is_its_results(hop: float, result: float, rest: float, work: float) -> None:
    """0.2 ms a request and 0.8 a pass, told apart by loads with other batches."""
    costs = [(0.2 * 100 + 0.8 * 60, 100, 60), (0.2 * 300 + 0.8 * 75, 300, 75)]
    sums = {"passes": 10, "hop_time": 10 * hop, "steps": 5, "step_time": 0.5}
    parts = estimate([_session(costs=costs, **sums, **WAYS)])
    assert (parts["front_end_pass_result"], parts["results_out"]) == pytest.approx((result, rest))
    assert parts["front_end_request"] + parts["front_end_response"] == pytest.approx(work)


def test_timer_is_how_late_it_closed_batches() -> None:
    """Ten batches closed 0.8 ms late in all; without one it counts as nothing."""
    assert estimate([_session(timers=10, timer_time=0.8, **WAYS)])["front_end_timer"] == pytest.approx(0.08)
    assert estimate([_session(**WAYS)])["front_end_timer"] == 0.0


@pytest.mark.parametrize(
    ("costs", "apart"),
    [([(1.0, 100, 60), (1.0, 300, 75)], True), ([(1.0, 100, 60), (1.0, 100, 58)], False), ([(1.0, 100, 60)], False)],
)
def test_passes_are_told_apart_by_different_batches(costs: list[tuple[float, int, int]], apart: bool) -> None:
    """Two loads with the same mean batch are one point, and a line through one point is none."""
    assert tells_passes_apart(_session(costs=costs).costs) is apart


def test_cost_that_noise_turned_round_is_pooled() -> None:
    """Runs that seem to say a pass costs less than nothing: the mean of all runs is taken."""
    costs = [(20.0, 100, 60), (120.0, 300, 75)]
    parts = estimate([_session(costs=costs, steps=5, step_time=0.5, **WAYS)])
    assert parts["front_end_request"] + parts["front_end_response"] == pytest.approx(140 / 400)


@pytest.mark.parametrize(
    ("pass_ms", "base", "per_item"),
    [
        ({1: [8.5] * 5, 4: [10.0] * 5, 8: [12.0] * 5}, 8.0, 0.5),
        ({1: [8.5] * 5, 4: [10.0] * 5, 8: [99.0]}, 8.0, 0.5),  # a size seen once is no point of the line
        ({4: [10.0] * 5}, 10.0, 0.0),
        ({1: [1.0] * 5, 8: [9.0] * 5}, 0.0, 73 / 65),  # below zero at size 0: through the origin
        ({1: [9.0] * 5, 8: [8.0] * 5}, 8.5, 0.0),  # a larger batch is not faster
    ],
)
def test_line_through_the_passes(pass_ms: dict[int, list[float]], base: float, per_item: float) -> None:
    """Least squares, neither part negative."""
    parts = estimate([_session(pass_ms, **WAYS)])
    assert (parts["base"], parts["per_item"]) == pytest.approx((base, per_item))


def test_more_passes_weigh_more() -> None:
    """Ten passes of one size outweigh the three of another that lie off the line of the rest."""
    heavy = {1: [8.0] * 1000, 2: [9.0] * 1000, 3: [13.0] * 3}
    assert estimate([_session(heavy, **WAYS)])["per_item"] == pytest.approx(1.0, abs=0.05)


def test_spread_is_within_sizes() -> None:
    """Sizes differ by themselves; what counts is how passes of one size differ: here 10 % around each mean."""
    session = _session({1: [9.0, 10.0, 11.0], 8: [18.0, 20.0, 22.0]})
    assert spread_cv([session]) == pytest.approx(0.1)
    assert mean_passes([session]) == {1: (10.0 * MS, 3), 8: (20.0 * MS, 3)}


def test_busiest_load_decides() -> None:
    """A hand-over that takes 0.2 ms at 100/s and 0.3 at 300/s is 0.3: at low load it hardly matters."""
    calm, busy = (_session(passes=10, batch_in=delay, hop_time=1.0, **WAYS) for delay in (2.0, 3.0))
    costs = (RunCost(100.0, 0.0, 1, 1), RunCost(300.0, 0.0, 1, 1))
    both = replace(calm, blocks=np.concatenate([calm.blocks, busy.blocks]), runs=np.array([0, 1]), costs=costs)
    assert estimate([both])["batch_in"] == pytest.approx(0.3)


def test_several_sessions_are_pooled() -> None:
    """Counts and sums of all processes are added before anything is divided."""
    one = _session(passes=10, batch_in=2.0, hop_time=1.0, **WAYS)
    two = _session(passes=30, batch_in=12.0, hop_time=1.0, **WAYS)
    parts = estimate([one, two])
    assert parts["batch_in"] == pytest.approx(14 / 40)
    assert parts["results_out"] == pytest.approx(2 / 40)
