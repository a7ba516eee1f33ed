"""One run of one system of the self-test."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sim.forecast.selftest_cases import MS, Case, Expectation, known_systems
from sim.forecast.selftest_runs import READERS, CaseTask, control_means, run_case
from tests.sim.forecast.waiting_times import Floats

ALL_READERS = tuple(Expectation(reader, "mean", 1.0) for reader in sorted(READERS))

SMALL = Case(
    "small", ALL_READERS, rate_per_ms=0.8, base_ns=MS, exponential=True, warm_up_ms=100, measured_ms=1_000, runs=2
)


def test_every_case_reads_what_can_be_read() -> None:
    """Readers are named by the expectations."""
    assert {one.reader for case in known_systems() for one in case.expectations} <= set(READERS)


def test_equal_seeds_give_equal_runs() -> None:
    """And other seeds others."""
    first, again, other = (run_case(CaseTask(SMALL, seed)).values["response"] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first[:100], other[:100])


def test_readers_of_a_plain_queue_fit_together() -> None:
    """One server, nobody refused or leaving: the hold is the wait, and the batch is one."""
    found = run_case(CaseTask(SMALL, 1))
    values = found.values
    assert len(values["response"]) == found.requests
    assert np.array_equal(values["hold"], values["wait"])
    assert (values["response"] >= values["wait"]).all()
    assert set(values["batch"].tolist()) == {1}
    for never in ("refused", "hung up", "left the queue", "closed by timer"):
        assert not values[never].any()
    assert len(values["answered"]) == pytest.approx(found.requests, abs=30)


def test_readers_of_impatient_clients_tell_where_they_left() -> None:
    """Who hung up before a batch was closed over them left the queue, the others left the server."""
    found = run_case(CaseTask(replace(SMALL, patience_ns=2 * MS), 1)).values
    assert 0 < found["left the queue"].sum() < found["hung up"].sum() < len(found["hung up"])


def test_readers_of_a_cap_and_of_a_timer() -> None:
    """Refused requests have no response; batches that waited are not full."""
    capped = run_case(CaseTask(replace(SMALL, rate_per_ms=2.0, cap=3), 1))
    assert len(capped.values["response"]) == capped.requests - capped.values["refused"].sum()
    formed = run_case(CaseTask(replace(SMALL, base_ns=1, max_batch=4, max_wait_ns=3 * MS, slots=0), 1)).values
    assert (formed["batch"][formed["closed by timer"] == 1] < 4).all()
    assert (formed["batch"][formed["closed by timer"] == 0] == 4).all()


def test_controls_are_what_went_in() -> None:
    """Arrivals per ms, and the mean of the dice that the engine rolled for the passes: with one server and no batches
    the passes of the measured requests themselves.
    """
    found = run_case(CaseTask(SMALL, 3))
    arrivals, factor = found.controls
    assert arrivals == found.requests / 1_000
    service = (found.values["response"] - found.values["wait"]) / MS
    assert factor == pytest.approx(float(service.mean()), rel=1e-6)


def test_readers_of_faults() -> None:
    """First passes are long, some requests are lost with a crash, and the share of slow replicas is a control."""
    slow = replace(SMALL, exponential=False, first_passes=5, first_factor=3.0, warm_up_ms=0)
    first = run_case(CaseTask(slow, 1)).values
    assert len(first["first responses"]) == 20
    assert first["first responses"][0] == 3 * MS
    assert not first["lost"].any()
    crashing = run_case(CaseTask(replace(SMALL, rate_per_ms=0.4, crash_every_ns=20 * MS, restart_ns=MS), 1)).values
    assert 0 < crashing["lost"].mean() < 0.15
    case = replace(SMALL, rate_per_ms=2.0, replicas=4, slow_share=0.5, slow_factor=1.5)
    assert control_means(case)[2] == 0.5
    shares = {run_case(CaseTask(replace(case, measured_ms=10), seed)).controls[2] for seed in range(8)}
    assert shares <= {0.0, 0.25, 0.5, 0.75, 1.0}
    assert len(shares) > 1


def controls_of(case: Case, runs: int) -> Floats:
    """Return the controls of many short runs."""
    return np.array([run_case(CaseTask(case, seed)).controls for seed in range(runs)])


def test_controls_have_their_means_in_the_long_run() -> None:
    """Within three standard errors over 60 runs; with constant passes the arrivals alone; a closed loop has none."""
    means = np.array(control_means(SMALL))
    found = controls_of(replace(SMALL, measured_ms=300), 60)
    errors = found.std(axis=0, ddof=1) / np.sqrt(60)
    assert (np.abs(found.mean(axis=0) - means) < 3 * errors).all()
    assert control_means(replace(SMALL, exponential=False)) == (0.8,)
    assert run_case(CaseTask(replace(SMALL, exponential=False), 1)).controls == pytest.approx((0.8,), abs=0.1)
    closed = replace(SMALL, rate_per_ms=0.0, clients=3)
    assert control_means(closed) == run_case(CaseTask(closed, 1)).controls == ()


def test_control_is_blind_to_a_fault_in_the_service() -> None:
    """The dice are the same when passes take 5 % longer than they should."""
    right, wrong = (run_case(CaseTask(replace(SMALL, base_ns=base), 5)) for base in (MS, 1_050_000))
    assert right.controls == wrong.controls
    assert wrong.values["response"].mean() > right.values["response"].mean()


def test_mean_of_an_exponential_table_is_its_own() -> None:
    """Straight lines between knots lie above a convex curve: the mean is 1 to a few parts in ten thousand."""
    assert control_means(SMALL)[1] == pytest.approx(1.0, abs=5e-4)
