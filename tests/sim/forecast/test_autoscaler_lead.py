"""In which state a simulated load finds the autoscaler: remembering nothing, its clocks as those of a server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim.engine.process_engine import run
from sim.forecast.autoscaler_lead import (
    chance_lead_ns,
    lead_like,
    memory_ns_of,
    scales,
    tick_ns_of,
    with_chance_phases,
)
from sim.forecast.replications import ReplicationTask, replicate
from sim.scenario.lower import lower
from sim.scenario.spec import Scenario
from tests.sim.scenario.example import scenario

S = 10**9
MS = 10**6

RAY = "fleet.autoscaler={preset: ray_serve, max_replicas: 6, sample: 500ms, window: 2s, report: 1s, tick: 300ms}"
HPA = (
    "fleet.autoscaler={formula: ratio, signal: in_flight, target: 10, max_replicas: 6, sample: 500ms, window: 2s, "
    "tick: 2s, stabilisation_down: 8s, cooldown_up: 3s, lag: 100ms}"
)
FIXED = "fleet.replicas=2"


@pytest.mark.parametrize(
    ("fleet", "memory_ns", "tick_ns"),
    [
        (RAY, 3800 * MS, 300 * MS),  # sample, window, report, tick; its delays do not count: an idle need is no memory
        (HPA, 12_600 * MS, 2 * S),  # sample, window, lag, tick, and the longest brake: stabilisation
        (FIXED, 0, 0),
    ],
)
def test_memory_is_that_of_the_samples_and_of_the_longest_brake(fleet: str, memory_ns: int, tick_ns: int) -> None:
    """One behind the other: the last load must have left the window before the last recommendation of it is old."""
    subject = scenario(fleet)
    assert memory_ns_of(subject) == memory_ns
    assert tick_ns_of(subject) == tick_ns
    assert scales(subject) is (fleet is not FIXED)


@pytest.mark.parametrize(
    ("at_work_ns", "lead_ns"),
    [
        (2 * S, 2 * S),  # not at rest yet: as it is
        (6 * S, 6 * S),
        (7400 * MS, 7400 * MS),
        (123 * S + 400 * MS, 6 * S + 400 * MS),  # 41 periods of 3 s and 0.4 s
    ],
)
def test_lead_like_a_servers_leaves_every_clock_where_it_stands(at_work_ns: int, lead_ns: int) -> None:
    """Samples of 0.5 s, reports of 1 s and ticks of 0.3 s stand alike every 3 s; the memory is two of these."""
    subject = scenario(RAY)
    assert lead_like(subject, at_work_ns) == pytest.approx(lead_ns)
    for period_ns in (500 * MS, S, 300 * MS):
        assert (lead_like(subject, at_work_ns) - at_work_ns) % period_ns == 0


def scalings_of(subject: Scenario, arrivals_ns: list[int], origin_ns: int) -> list[tuple[int, int]]:
    """Return when how many replicas were wanted in the 12 s from the origin on."""
    moments = np.array(arrivals_ns, dtype=np.int64)
    engine_input = lower(subject, seed=1, run=0, arrivals_ns=moments, warm_up_ns=origin_ns)
    to_ns = origin_ns + 12 * S
    timeline = run(replace(engine_input, measure_to_ns=to_ns, stop_ns=to_ns)).since(origin_ns)
    rows = zip(timeline.scaling("at_ns").tolist(), timeline.scaling("wanted").tolist(), strict=True)
    return [row for row in rows if 0 < row[0] < 12 * S]


@pytest.mark.parametrize(("rest_ns", "alike"), [(9 * S, True), (100 * MS, False)])
def test_server_that_was_loaded_and_rested_is_like_one_with_the_lead(rest_ns: int, alike: bool) -> None:
    """It scales at the same nanoseconds. Without the rest it does not: the earlier load moves it within this one."""
    subject = scenario(
        "model.pass_time={base: 80ms, per_item: 5ms}",
        "fleet={replicas: 2, cold_start: {load: 1s}, autoscaler: {preset: "
        "ray_serve, target: 10, min_replicas: 2, max_replicas: 6, sample: 500ms, window: 2s, report: 1s, tick: 300ms, "
        "delay_up: 1s, delay_down: 1s}}",
        "queue.cap=64",
    )
    before = [S + number * S // 250 for number in range(500)]
    at_work_ns = before[-1] + 2 * S + 123_456_789 + rest_ns
    load = [number * S // 200 for number in range(1600)]
    lead_ns = lead_like(subject, at_work_ns)
    live = scalings_of(subject, before + [at_work_ns + moment for moment in load], at_work_ns)
    forecast = scalings_of(subject, [lead_ns + moment for moment in load], lead_ns)
    assert [wanted for _, wanted in forecast][:1] == [6]
    assert (live == forecast) is alike


def test_chance_reaches_every_stand_of_the_clocks() -> None:
    """Not within one tick alone: reports come more seldom than ticks, and where they stand moves the decisions."""
    subject = scenario(RAY)
    leads = [chance_lead_ns(subject, 1, draw) for draw in range(200)]
    assert all(6 * S <= lead < 9 * S for lead in leads)
    assert all(any(6 * S + part * S / 2 <= lead < 6 * S + (part + 1) * S / 2 for lead in leads) for part in range(6))
    assert chance_lead_ns(subject, 1, 7) == leads[7]


def test_clocks_that_hardly_ever_meet_need_no_lead_of_days() -> None:
    """Periods of 7.000001 and 9.999999 s stand alike every two years."""
    subject: Scenario = scenario(RAY, "fleet.autoscaler.tick=7000001us", "fleet.autoscaler.sample=9999999us")
    assert chance_lead_ns(subject, 1, 0) < 1300 * S


def test_fixed_fleet_needs_no_lead() -> None:
    """There is nothing that could remember."""
    assert chance_lead_ns(scenario(FIXED), 1, 3) == 0


@pytest.mark.parametrize(("fleet", "period_ns"), [(RAY, 3 * S), (HPA, 2 * S), (FIXED, 1)])
def test_runs_of_a_forecast_find_the_clocks_anywhere_in_their_common_period(fleet: str, period_ns: int) -> None:
    """Run by run another phase, all of the period among 400 of them; the same run always has the same."""
    phases = phases_ns(fleet, 1, range(400))
    assert phases == phases_ns(fleet, 1, range(400))
    tenths = np.bincount(np.array(phases) * 10 // period_ns, minlength=10)
    assert len(tenths) == 10
    assert tenths.min() >= (20 if fleet is not FIXED else 0)


@pytest.mark.parametrize("first", [0, 3, 1_000])
@pytest.mark.parametrize("seed", range(8))
def test_few_runs_find_the_clocks_everywhere(seed: int, first: int) -> None:
    """Five runs that follow each other leave no gap of a quarter of the period, whichever is the first."""
    shares = sorted(phase / (3 * S) for phase in phases_ns(RAY, seed, range(first, first + 5)))
    gaps = np.diff([*shares, shares[0] + 1])
    assert gaps.max() < 0.25
    assert phases_ns(RAY, seed, range(first, first + 1)) != phases_ns(RAY, seed + 1, range(first, first + 1))


def phases_ns(fleet: str, seed: int, runs: range) -> list[int]:
    """Return where the clocks of a fleet stand at the start of some runs."""
    subject, none = scenario(fleet), np.empty(0, dtype=np.int64)
    phases = []
    for each in runs:
        lowered = lower(subject, seed=seed, run=each, warm_up_ns=0, arrivals_ns=none)
        phases.append(with_chance_phases(lowered, seed=seed, run=each).fleet.autoscaler.phase_ns)
    return phases


def test_runs_of_one_trace_differ_where_a_fleet_scales(tmp_path: Path) -> None:
    """A burst does not come at the same moment of every tick. With a fixed fleet all runs are the same."""
    moments = np.sort(np.concatenate([np.arange(0, 20, 0.05), np.arange(8, 11, 0.001)]))
    (tmp_path / "burst.csv").write_text("timestamp\n" + "\n".join(f"{moment:.4f}" for moment in moments))
    trace = f"traffic={{arrivals: {{process: trace, file: {tmp_path / 'burst.csv'}}}}}"

    def different_runs(fleet: str) -> int:
        tasks = [ReplicationTask(scenario(fleet, trace), 1, run, None, 0, False) for run in range(4)]
        return len({replicate(task).measures.answered_latencies_ns.tobytes() for task in tasks})

    assert different_runs(FIXED) == 1
    assert different_runs(HPA) > 1
