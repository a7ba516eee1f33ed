"""Independent runs of one scenario."""

from __future__ import annotations

import numpy as np
import pytest

from sim.engine.process_engine import run
from sim.forecast.replications import ReplicationTask, replicate, replicate_all
from sim.outcome.measures import measure
from sim.scenario.lower import lower
from tests.sim.scenario.example import calibrated, scenario

SHORT = "horizon.duration=500ms"


def task(index: int, *, draw: int | None = None, keeps_start: bool = False) -> ReplicationTask:
    """Return a short run of the minimal scenario behind 100 ms of warm-up."""
    subject = scenario(SHORT) if draw is None else calibrated(SHORT)
    return ReplicationTask(subject, 5, index, draw, 100_000_000, keeps_start)


def test_replication_measures_the_run_that_it_says() -> None:
    """The window behind the warm-up, of the run with that number."""
    lowered = lower(scenario(SHORT), seed=5, run=3, warm_up_ns=100_000_000)
    expected = measure(run(lowered), 100_000_000, 600_000_000)
    got = replicate(task(3)).measures
    assert np.array_equal(got.latency_ns, expected.latency_ns)
    assert (got.from_ns, got.to_ns) == (100_000_000, 600_000_000)


def test_parts_of_a_replication_add_up() -> None:
    """The sums over the answered requests are those of their latencies."""
    replication = replicate(task(0))
    assert sum(replication.part_sums_ns.values()) == replication.measures.answered_latencies_ns.sum()


def test_start_is_kept_from_time_zero_when_asked() -> None:
    """The warm-up is found on what comes before the window too."""
    assert replicate(task(0)).start is None
    replication = replicate(task(0, keeps_start=True))
    assert replication.start is not None
    intended_ns, latency_ns = replication.start
    assert intended_ns[0] < 100_000_000
    measured = latency_ns[intended_ns >= 100_000_000]
    assert np.array_equal(measured, replication.measures.answered_latencies_ns)


def test_runs_differ_and_repeat() -> None:
    """Another number is another run; the same number is the same run."""
    first, second, again = (replicate(task(index)).measures.latency_ns for index in (0, 1, 0))
    assert not np.array_equal(first, second)
    assert np.array_equal(first, again)


def test_runs_on_a_drawn_calibration_are_paired_with_those_on_the_central_one() -> None:
    """The same arrivals under other parameters: the difference is the calibration's alone."""
    central = replicate(ReplicationTask(calibrated(SHORT), 5, 2, None, 0, False)).measures
    drawn = replicate(ReplicationTask(calibrated(SHORT), 5, 2, 0, 0, False)).measures
    assert np.array_equal(central.intended_ns, drawn.intended_ns)
    assert not np.array_equal(central.latency_ns, drawn.latency_ns)


@pytest.mark.parametrize("workers", [1, 3])
def test_all_replications_come_in_order_whoever_ran_them(workers: int) -> None:
    """The result does not depend on the number of workers."""
    got = replicate_all([task(index) for index in range(4)], workers=workers)
    expected = [replicate(task(index)) for index in range(4)]
    for one, other in zip(got, expected, strict=True):
        assert np.array_equal(one.measures.latency_ns, other.measures.latency_ns)
        assert one.part_sums_ns == other.part_sums_ns
