"""How long the warm-up of a forecast is."""

from __future__ import annotations

import pytest

from sim.errors import RefusedToAnswer
from sim.forecast.settling import RunBatch, settled_runs
from sim.forecast.warm_up import RUNGS
from sim.scenario.spec import Scenario
from tests.sim.scenario.example import calibrated, scenario, trace

S = 1_000_000_000


def batch_of(subject: Scenario, runs: int = 2) -> RunBatch:
    """Return a batch of runs in this process."""
    return RunBatch(subject, 1, runs, 1, None)


@pytest.mark.parametrize(
    "arrivals",
    [
        "{process: even, rate: 300/s}",
        "{process: poisson, rate: 300/s}",
        "{process: gamma, rate: 300/s, cv: 0.5}",
        "{process: mmpp, rates: [200/s, 400/s], dwells: [20ms, 20ms]}",
    ],
)
def test_steady_load_has_a_warm_up(arrivals: str) -> None:
    """A rung of the measured time, and every run counts from there."""
    replications, warm_up_ns, how = settled_runs(
        batch_of(scenario(f"traffic.arrivals={arrivals}", "horizon.duration=4s"))
    )
    assert warm_up_ns in [round(4 * S * rung) for rung in RUNGS]
    assert how == "auto: MSER-5"
    assert {one.measures.from_ns for one in replications} == {warm_up_ns}
    assert all(one.start is None for one in replications)


@pytest.mark.parametrize(
    "arrivals",
    [
        "traffic.arrivals={process: steps, steps: [{rate: 100/s, duration: 1s}, {rate: 300/s, duration: 1s}]}",
        "traffic.arrivals={process: spike, rate: 100/s, peak_rate: 300/s, at: 1s, duration: 500ms}",
        "traffic.arrivals={process: day_curve, mean_rate: 200/s, peak_to_mean: 1.5, peak_at: 1s, period: 2s}",
        trace("timestamps_seconds.csv", ", rate: 100/s, repeat: true"),
    ],
)
def test_changing_load_has_none(arrivals: str) -> None:
    """Nothing settles; the runs start empty and count from the start."""
    replications, warm_up_ns, how = settled_runs(batch_of(scenario(arrivals, "horizon.duration=2s")))
    assert warm_up_ns == 0
    assert how.startswith("none: load or fleet change")
    assert {one.measures.from_ns for one in replications} == {0}


def test_stated_warm_up_is_not_judged() -> None:
    """Whoever states it knows why, also under a load that changes or never settles."""
    sealed = scenario("traffic.arrivals.rate=400/s", "batching.freeze=timer", "horizon={duration: 1s, warm_up: 300ms}")
    _, warm_up_ns, how = settled_runs(batch_of(sealed))
    assert (warm_up_ns, how) == (300_000_000, "stated")


def test_load_that_never_settles_is_refused() -> None:
    """Every rung up to the measured time is tried first."""
    told: list[tuple[int, int]] = []
    sealed = scenario("traffic.arrivals.rate=400/s", "batching.freeze=timer", "horizon.duration=1s")
    batch = RunBatch(sealed, 1, 2, 1, lambda done, count: told.append((done, count)))
    with pytest.raises(RefusedToAnswer, match="had not settled after a warm-up of 1s"):
        settled_runs(batch)
    assert told[-1] == (2 * len(RUNGS), 2 * len(RUNGS))


def test_runs_without_answers_are_not_called_unsettled() -> None:
    """All clients hang up: there is no latency to judge by, and the shares are right from early on."""
    hasty = scenario("traffic.timeout=1ms", "horizon.duration=1s")
    replications, warm_up_ns, how = settled_runs(batch_of(hasty))
    assert warm_up_ns == round(S * RUNGS[0])
    assert "too few answers" in how
    assert all(len(one.measures.answered_latencies_ns) == 0 for one in replications)


def test_progress_counts_the_runs_on_drawn_calibrations_from_the_start() -> None:
    """The bar knows of both halves: 2 runs on the central fit, then 2 with a draw each."""
    told: list[tuple[int, int]] = []
    subject = calibrated("traffic.arrivals.rate=200/s", "horizon={duration: 500ms, warm_up: 100ms}")
    batch = RunBatch(subject, 1, 2, 1, lambda done, count: told.append((done, count)))
    settled_runs(batch)
    batch.run(100_000_000, drawn=True)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
