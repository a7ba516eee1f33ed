"""Tests of calibration/run_draws.py: where one more run of one more process lies, when how they differ is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from calibration.estimate import estimate, identified, mean_passes
from calibration.run_draws import draw_runs, round_parts
from calibration.session import RunCost, Session, Sum
from sim.scenario.profile import PARTS

MS = 1e6
RATES = (100.0, 400.0)
PASSES_PER_REQUEST = (0.6, 0.25)
REQUESTS = 1000
BATCH_IN = PARTS.index("batch_in")


def _session(batch_in_ms: Sequence[float], levels: Sequence[float] | None = None, trend_ms: float = 0.0) -> Session:
    """Return a process whose rounds have these hand-overs, and CPU time and passes at these levels."""
    levels = [1.0] * len(batch_in_ms) if levels is None else levels
    blocks, costs, passes_of = [], [], []
    for batch_in, level in zip(batch_in_ms, levels, strict=True):
        for rate, share in zip(RATES, PASSES_PER_REQUEST, strict=True):
            passes = round(REQUESTS * share)
            block = np.zeros(len(Sum))
            block[[Sum.PASSES, Sum.REQUESTS, Sum.RESPONSES]] = passes, REQUESTS, REQUESTS
            block[Sum.BATCH_IN] = passes * (batch_in - trend_ms * (rate == RATES[0])) * MS
            block[Sum.HOP_TIME] = passes * 1.0 * MS
            block[[Sum.IN_TIME, Sum.OUT_TIME]] = REQUESTS * 1.0 * MS
            block[[Sum.STEPS, Sum.STEP_TIME]] = REQUESTS, REQUESTS * 0.1 * MS
            blocks.append(block)
            costs.append(RunCost(rate, level * (0.3 * REQUESTS + 0.2 * passes) * MS, REQUESTS, passes))
            passes_of.append({1: (level * 9 * MS, 50), 8: (level * 12 * MS, 50)})
    return Session(
        max_batch=8,
        blocks=np.array(blocks),
        runs=np.arange(len(blocks)),
        costs=tuple(costs),
        pass_ns={1: np.full(100, 9.0 * MS), 8: np.full(100, 12.0 * MS)},
        run_passes=tuple(passes_of),
    )


def _round_parts(session: Session, *sessions: Session) -> npt.NDArray[np.float64]:
    """Return what the rounds of a session show, given what all sessions show."""
    return round_parts(session, identified(sessions), mean_passes(sessions))


def _drawn(sessions: Sequence[Session], draws: int = 400, seed: int = 1) -> npt.NDArray[np.float64]:
    """Return draws of a run around the fit itself: (draws, parts)."""
    runs = draw_runs(sessions, [estimate(sessions)] * draws, np.random.default_rng(seed))
    return np.array([[run[part] for part in PARTS] for run in runs])


def test_round_shows_its_own_level() -> None:
    """A round of 20 % slower passes and CPU time has a line and a front end as much slower, its line's shape kept."""
    parts = _round_parts(_session([0.3, 0.3], levels=[1.0, 1.2]), _session([0.3, 0.3]))
    plain, slow = (dict(zip(PARTS, row, strict=True)) for row in parts)
    assert slow["base"] == pytest.approx(1.2 * plain["base"])
    assert slow["per_item"] == pytest.approx(1.2 * plain["per_item"])
    assert slow["front_end_pass_result"] == pytest.approx(1.2 * 0.2)
    work = slow["front_end_request"] + slow["front_end_response"]
    assert work == pytest.approx(1.2 * 0.3)
    assert slow["front_end_response"] == pytest.approx(0.1)  # the step from answer to answer shows it by itself


def test_new_run_of_a_new_process_lies_inside() -> None:
    """Hand-overs of mean 1, by 0.05 from process to process and 0.03 from run to run: 95 % intervals hold 95 %.

    Five processes of three runs each, fitted anew 150 times. Intervals of the mean would hold fewer than half of them.
    """
    rng = np.random.default_rng(7)
    inside, inside_of_mean = [], []
    for index in range(150):
        process = rng.normal(1.0, 0.05, 6)
        seen = process[:5, None] + rng.normal(0.0, 0.03, (5, 3))
        sessions = [_session(of.tolist()) for of in seen]
        means = rng.normal(0.0, seen.mean(axis=1).std(ddof=1) / np.sqrt(5), 200)  # in place of the bootstrap
        around = [estimate(sessions) | {"batch_in": seen.mean() + shift} for shift in means]
        values = [run["batch_in"] for run in draw_runs(sessions, around, np.random.default_rng(index))]
        new = process[5] + rng.normal(0.0, 0.03)
        low, high = np.quantile(values, [0.025, 0.975])
        inside.append(low <= new <= high)
        low, high = np.quantile(seen.mean() + means, [0.025, 0.975])
        inside_of_mean.append(low <= new <= high)
    assert 0.91 <= np.mean(inside) <= 0.99
    assert np.mean(inside_of_mean) < 0.6


def test_parts_move_together_as_they_were_seen_to() -> None:
    """Processes whose hand-over is slow have slow passes too, and so have the draws: the two are not drawn apart."""
    levels = np.array([0.9, 0.95, 1.0, 1.05, 1.1])
    drawn = _drawn([_session([level, level], levels=[level, level]) for level in levels])
    correlation = np.corrcoef(drawn[:, BATCH_IN], drawn[:, PARTS.index("base")])[0, 1]
    assert correlation > 0.99


def test_runs_of_one_process_differ_by_their_rounds_alone() -> None:
    """One process says nothing of others: rounds of 0.9 to 1.1 ms give a spread of theirs, equal rounds give none."""
    spread = _drawn([_session([0.9, 1.0, 1.1])])[:, BATCH_IN].std()
    assert 0.1 < spread < 0.25  # Student's t with the least freedom has 1.7 times the deviation of a normal
    assert _drawn([_session([1.0, 1.0, 1.0])])[:, BATCH_IN].std() == pytest.approx(0.0, abs=1e-9)


def test_what_grows_with_the_load_may_be_less_or_more() -> None:
    """A hand-over 0.2 ms shorter at the lower rate: draws lie evenly up to 0.2 ms around that of the busier one."""
    drawn = _drawn([_session([1.0, 1.0], trend_ms=0.2)])[:, BATCH_IN]
    assert drawn.min() == pytest.approx(0.8, abs=0.01)
    assert drawn.max() == pytest.approx(1.2, abs=0.01)
    assert drawn.mean() == pytest.approx(1.0, abs=0.02)


def test_no_draw_is_beyond_reason() -> None:
    """Two processes 0.1 ms apart: Cauchy's tails would reach 30 ms in 2000 draws. No part is negative."""
    drawn = _drawn([_session([0.1, 0.1]), _session([0.2, 0.2])], draws=2000)
    assert drawn.min() >= 0.0
    assert drawn[:, BATCH_IN].max() < 2.0


def test_same_generator_gives_the_same_draws() -> None:
    """Nothing but the generator is random."""
    sessions = [_session([1.0, 1.1]), _session([0.9, 1.2])]
    assert np.array_equal(_drawn(sessions, 5, seed=3), _drawn(sessions, 5, seed=3))
    assert not np.array_equal(_drawn(sessions, 5, seed=3), _drawn(sessions, 5, seed=4))


def test_runs_that_are_over_join_the_last_round() -> None:
    """Three runs of one rate and two of the other are two rounds."""
    session = _session([1.0, 1.1, 1.2])
    fewer = Session(8, session.blocks[:5], session.runs[:5], session.costs[:5], session.pass_ns, session.run_passes[:5])
    assert len(_round_parts(fewer, session)) == 2
