"""One run of one system of the self-test: its case -> engine input -> timeline -> the numbers that its rows need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from policy.batching import Cause
from policy.dice import CELLS, LEVELS, Stream, die, draw
from policy.faults import FaultRule, is_slow
from policy.instant import UNSET
from policy.pass_time import SPREAD_ONE
from policy.settings import (
    admission_rule,
    batching_rule,
    deadline_rule,
    fault_rule,
    pass_time_rule,
    retry_rule,
    routing_rule,
)
from policy.timeline import Outcome
from sim.arrivals.renewal import draw_renewal
from sim.engine.engine_input import EngineInput, FleetInput, FrontEndInput, Table, TrafficInput
from sim.engine.engines import Engine, run
from sim.engine.timelines import Timeline
from sim.forecast.selftest_cases import FIRST_REQUESTS, MS, Case
from sim.outcome.measures import last_attempts
from sim.scenario.distribution_spec import ExponentialSpread
from sim.scenario.distributions import spread_table

__all__ = ["READERS", "CaseRun", "CaseTask", "control_means", "run_case"]

TAIL_MS = 500
"""Arrivals go on for so long, and the last measured requests have so long for their outcome."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CaseTask:
    """What one run needs."""

    case: Case
    seed: int  # of this run alone
    engine: Engine | None = None  # None: the chosen one
    is_compared: bool = False  # whether the compiled engine runs it too


@dataclass(frozen=True)
class CaseRun:
    """What one run amounts to."""

    requests: int
    values: dict[str, Ints]  # by the name of the reader
    controls: tuple[float, ...]  # averages of its inputs, see control_means
    is_same: bool | None = None  # whether the compiled engine gives the same bytes; None: it was not asked


def run_case(task: CaseTask) -> CaseRun:
    """Run a case once."""
    case = task.case
    engine_input = _engine_input(case, task.seed)
    timeline = run(engine_input, task.engine)
    from_ns, to_ns = engine_input.measure_from_ns, engine_input.measure_to_ns
    names = {expectation.reader for expectation in case.expectations}
    return CaseRun(
        requests=len(last_attempts(timeline, from_ns, to_ns)),
        values={name: READERS[name](timeline, from_ns, to_ns) for name in sorted(names)},
        controls=_controls(case, engine_input),
        is_same=timeline.tobytes() == run(engine_input, Engine.COMPILED).tobytes() if task.is_compared else None,
    )


def control_means(case: Case) -> tuple[float, ...]:
    """Return what the controls of a case are in the long run: arrivals per ms, factor of a pass time, slow replicas.

    A closed loop has none: which of its dice fall into the measured time depends on the dice.
    """
    if case.clients:
        return ()
    means = [case.rate_per_ms]
    if case.exponential:
        means.append(_table_mean(_spread(case)) / SPREAD_ONE)
    if 0.0 < case.slow_share < 1.0:
        means.append(case.slow_share)
    return tuple(means)


def _controls(case: Case, engine_input: EngineInput) -> tuple[float, ...]:
    """Return the averages of what a run was given: by its schedule and its dice, not by its timeline."""
    if case.clients:
        return ()
    from_ns, to_ns = engine_input.measure_from_ns, engine_input.measure_to_ns
    first, last = np.searchsorted(engine_input.traffic.arrivals_ns, [from_ns, to_ns]).tolist()
    seed, controls = engine_input.seed, [(last - first) / (to_ns - from_ns) * MS]
    if case.exponential:
        table = _spread(case)
        rolled = (draw(table, die(seed, Stream.PASS_SPREAD, request, 0)) for request in range(first, last))
        controls.append(sum(rolled) / (last - first) / SPREAD_ONE)
    if 0.0 < case.slow_share < 1.0:
        rule = _faults(case)
        controls.append(
            sum(is_slow(rule, die(seed, Stream.SLOW, each, 0)) for each in range(case.replicas)) / case.replicas
        )
    return tuple(controls)


def _engine_input(case: Case, seed: int) -> EngineInput:
    """Return the run as the engine takes it."""
    from_ns = case.warm_up_ms * MS
    to_ns = from_ns + case.measured_ms * MS
    stop_ns = to_ns + TAIL_MS * MS
    arrivals_ns = np.empty(0, dtype=np.int64)
    if not case.clients:
        arrivals_ns = draw_renewal(case.rate_per_ms * 1e3, case.gap_cv, stop_ns, np.random.default_rng(seed))
    return EngineInput(
        seed=seed,
        traffic=TrafficInput(
            arrivals_ns=arrivals_ns,
            sizes=np.empty(0, dtype=np.int64),
            size_table=(1,),
            clients=case.clients,
            think_table=_exponential(case.think_ns) if case.think_ns else (0,),
            timeout_table=_exponential(case.patience_ns) if case.patience_ns else None,
            retry=retry_rule(),
            there_ns=0,
            back_ns=0,
        ),
        front_end=FrontEndInput(workers=1, request_table=(0,), response_table=(0,)),
        fleet=_fleet(case),
        measure_from_ns=from_ns,
        measure_to_ns=to_ns,
        stop_ns=stop_ns,
    )


def _fleet(case: Case) -> FleetInput:
    return FleetInput(
        instances=case.servers,
        batching=batching_rule(
            max_batch=case.max_batch, max_wait_ns=case.max_wait_ns, slots=case.slots, instances=case.servers
        ),
        admission=admission_rule(cap=case.cap),
        deadline=deadline_rule(deadline_ns=None),
        pass_time=pass_time_rule(base_ns=case.base_ns, per_item_ns=case.per_item_ns, max_batch=case.max_batch),
        spread_table=_spread(case),
        batch_in_table=(0,),
        results_out_table=(0,),
        replicas=case.replicas,
        routing=routing_rule(balance="random"),
        cold_start_tables=(_exponential(case.restart_ns),) if case.crash_every_ns else (),
        crash_table=_exponential(case.crash_every_ns) if case.crash_every_ns else None,
        faults=_faults(case),
    )


def _faults(case: Case) -> FaultRule:
    return fault_rule(
        slow_share=case.slow_share,
        slow_factor=case.slow_factor,
        first_count=case.first_passes,
        first_factor=case.first_factor,
    )


def _exponential(mean_ns: int) -> Table:
    spread = spread_table(ExponentialSpread(distribution="exponential"))
    return tuple(knot * mean_ns // SPREAD_ONE for knot in spread)


def _spread(case: Case) -> Table:
    return spread_table(ExponentialSpread(distribution="exponential") if case.exponential else None)


def _table_mean(table: Table) -> float:
    """Return the mean of what an inverse-CDF table yields: straight lines between its knots."""
    rows = np.array(table, dtype=np.float64).reshape(LEVELS, -1)
    cells = (rows[:, :-1] + rows[:, 1:]) / 2.0
    cells[:-1, -1] = 0.0  # the last cell of a level is divided again in the next
    weights = 2.0 ** (-10 * np.arange(LEVELS)) / CELLS
    return float(weights @ cells.sum(axis=1))


def _answered(timeline: Timeline, from_ns: int, to_ns: int) -> npt.NDArray[np.intp]:
    rows = last_attempts(timeline, from_ns, to_ns)
    answered: npt.NDArray[np.intp] = rows[timeline.attempt("outcome")[rows] == Outcome.ANSWERED]
    return answered


def _between(first: str, last: str) -> Callable[[Timeline, int, int], Ints]:
    """Return the reader of the time between two moments of the answered requests, in ns."""

    def read(timeline: Timeline, from_ns: int, to_ns: int) -> Ints:
        rows = _answered(timeline, from_ns, to_ns)
        times_ns: Ints = timeline.attempt(last)[rows] - timeline.attempt(first)[rows]
        return times_ns

    return read


def _first_responses(timeline: Timeline, from_ns: int, to_ns: int) -> Ints:
    """Return the responses of the first requests, which are all answered, in ns."""
    return _between("intended_ns", "delivered_ns")(timeline, from_ns, to_ns)[:FIRST_REQUESTS]


def _outcome_is(outcome: Outcome, *, unbatched: bool = False) -> Callable[[Timeline, int, int], Ints]:
    """Return the reader of whether requests ended so; `unbatched`: before a batch was closed over them."""

    def read(timeline: Timeline, from_ns: int, to_ns: int) -> Ints:
        rows = last_attempts(timeline, from_ns, to_ns)
        ended = timeline.attempt("outcome")[rows] == outcome
        if unbatched:
            ended &= timeline.attempt("closed_ns")[rows] == UNSET
        return np.asarray(ended, dtype=np.int64)

    return read


def _of_passes(column: str) -> Callable[[Timeline, int, int], Ints]:
    """Return the reader of a column of the passes that started in the measured time."""

    def read(timeline: Timeline, from_ns: int, to_ns: int) -> Ints:
        started_ns = timeline.passed("started_ns")
        values: Ints = timeline.passed(column)[(started_ns >= from_ns) & (started_ns < to_ns)]
        return values

    return read


def _closed_by_timer(timeline: Timeline, from_ns: int, to_ns: int) -> Ints:
    return np.asarray(_of_passes("cause")(timeline, from_ns, to_ns) == Cause.WAITED, dtype=np.int64)


def _answers(timeline: Timeline, from_ns: int, to_ns: int) -> Ints:
    """Return the moments in the measured time at which clients held an answer."""
    delivered_ns = timeline.attempt("delivered_ns")
    inside = (delivered_ns >= from_ns) & (delivered_ns < to_ns)
    moments: Ints = delivered_ns[inside & (timeline.attempt("outcome") == Outcome.ANSWERED)]
    return moments


READERS: dict[str, Callable[[Timeline, int, int], Ints]] = {
    "response": _between("intended_ns", "delivered_ns"),
    "wait": _between("enqueued_ns", "started_ns"),
    "hold": _between("enqueued_ns", "closed_ns"),
    "first responses": _first_responses,
    "lost": _outcome_is(Outcome.FAILED),
    "refused": _outcome_is(Outcome.REFUSED),
    "hung up": _outcome_is(Outcome.ABANDONED),
    "left the queue": _outcome_is(Outcome.ABANDONED, unbatched=True),
    "batch": _of_passes("batch_size"),
    "closed by timer": _closed_by_timer,
    "answered": _answers,
}
"""What can be read from a timeline over [from, to): times in ns, sizes, or 1 and 0 for yes and no."""
