"""Fleets against known answers: how routing spreads load, servers that switch off when idle, a step onto cold ones."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import fmean, stdev

import numpy as np
import pytest

from policy.autoscaling_settings import autoscaling_rule
from policy.fleet import Drain
from policy.settings import admission_rule, batching_rule, deadline_rule, pass_time_rule, retry_rule, routing_rule
from policy.timeline import Outcome
from sim.arrivals.renewal import draw_renewal
from sim.engine.engine_input import EngineInput, FleetInput, FrontEndInput, Table, TrafficInput
from sim.engine.engines import run
from sim.engine.timelines import Timeline
from sim.forecast.intervals import student_t
from sim.outcome.fleet_theory import ColdStart, MMkSetup, response_by_split
from sim.scenario.distribution_spec import ExponentialSpread, ExponentialTime
from sim.scenario.distributions import spread_table, time_table

S = 10**9
RUNS = 8
ROUTINGS = {
    "pooled": {"balance": "least_outstanding", "outstanding_max": 1},
    "least outstanding": {"balance": "least_outstanding"},
    "round robin": {"balance": "round_robin"},
    "random": {"balance": "random"},
}


def exponential(mean_s: float) -> Table:
    """Return the table of an exponential time."""
    return time_table(ExponentialTime(distribution="exponential", mean=f"{mean_s}s"), "test")


def single_servers(count: int, **options: object) -> FleetInput:
    """Return replicas that serve one request at a time, for an exponential time of mean 1 s."""
    routing = {"balance": "round_robin", **options}
    return FleetInput(
        instances=1,
        batching=batching_rule(max_batch=1, max_wait_ns=0),
        admission=admission_rule(cap=None),
        deadline=deadline_rule(deadline_ns=None),
        pass_time=pass_time_rule(base_ns=S, max_batch=1),
        spread_table=spread_table(ExponentialSpread(distribution="exponential")),
        batch_in_table=(0,),
        results_out_table=(0,),
        replicas=count,
        routing=routing_rule(**routing),  # type: ignore[arg-type]
    )


def played(fleet: FleetInput, arrivals_ns: np.ndarray, seed: int, *, from_ns: int, to_ns: int) -> Timeline:
    """Return a run of these arrivals on a fleet behind a front end that costs nothing."""
    traffic = TrafficInput(
        arrivals_ns=arrivals_ns,
        sizes=np.empty(0, dtype=np.int64),
        size_table=(1,),
        clients=0,
        think_table=(0,),
        timeout_table=None,
        retry=retry_rule(),
        there_ns=0,
        back_ns=0,
    )
    front_end = FrontEndInput(workers=1, request_table=(0,), response_table=(0,))
    return run(EngineInput(seed, traffic, front_end, fleet, from_ns, to_ns, 2 * to_ns))


def mean_responses_s(fleet: FleetInput, rate_per_s: float, requests: int) -> list[float]:
    """Return the mean response of each of several Poisson runs, the first fifth of each left out."""
    to_ns = round(requests / rate_per_s * S)
    means = []
    for seed in range(RUNS):
        arrivals_ns = draw_renewal(rate_per_s, 1.0, 2 * to_ns, np.random.default_rng(seed))
        timeline = played(fleet, arrivals_ns, seed, from_ns=to_ns // 5, to_ns=to_ns)
        intended_ns = timeline.attempt("intended_ns")
        measured = (intended_ns >= to_ns // 5) & (intended_ns < to_ns)
        assert (timeline.attempt("outcome")[measured] == Outcome.ANSWERED).all()
        means.append(float((timeline.attempt("delivered_ns") - intended_ns)[measured].mean()) / S)
    return means


def assert_mean(values: list[float], expected: float, *, bias: float = 0.0, width: float = 0.06) -> None:
    """The 99.9 % interval of the runs holds the answer, up to a known bias, and is narrow enough to say something."""
    half = student_t(0.999, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    centre = fmean(values)
    assert half <= width * expected, f"+-{half:.4f} around {centre:.4f} says little about {expected:.4f}"
    assert abs(centre - expected) <= half + bias * expected, f"{centre:.4f} +-{half:.4f}, expected {expected:.4f}"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pooled", "round robin", "random"])
def test_routing_gives_the_response_of_theory(name: str) -> None:
    """Four servers at half load: M/M/4, E_4/M/1 and M/M/1, whose means lie far apart."""
    answers = response_by_split(2.0, 1.0, 4)
    assert answers["pooled"].mean < 0.85 * answers["round robin"].mean < 0.85 * 0.85 * answers["random"].mean
    assert_mean(mean_responses_s(single_servers(4, **ROUTINGS[name]), 2.0, 6_000), answers[name].mean, width=0.08)


@pytest.mark.slow
def test_pooled_is_no_worse_than_least_outstanding_than_round_robin_than_random() -> None:
    """The order of the four, on the same arrivals and the same service times."""
    means = [fmean(mean_responses_s(single_servers(4, **options), 2.8, 3_000)) for options in ROUTINGS.values()]
    assert means == sorted(means)
    assert means[0] < 0.75 * means[2] < 0.75 * means[3]


TICK_NS = S // 40


@pytest.mark.slow
@pytest.mark.parametrize("servers", [1, 2, 4, 10])
def test_servers_that_switch_off_give_the_response_of_theory(servers: int) -> None:
    """M/M/k with exponential set-up of mean 2 s, at half load.

    The autoscaler looks 40 times in a service, and theory at every moment: a set-up begins half a tick late, which is
    1.25 % of a response at most.
    """
    rule = autoscaling_rule(
        target=1.0, max_replicas=servers, min_replicas=0, tick_ns=TICK_NS, sample_ns=TICK_NS, zero_from="any"
    )
    fleet = replace(
        single_servers(0, **ROUTINGS["pooled"]),
        autoscaler=rule,
        drain=int(Drain.IDLEST),
        cold_start_tables=(exponential(2.0),),
    )
    rate = 0.5 * servers
    expected = MMkSetup(rate, 1.0, servers, 0.5).mean_response
    assert_mean(mean_responses_s(fleet, rate, 2_000), expected, bias=0.0125, width=0.10)


def test_step_onto_a_cold_fleet_waits_as_a_fluid_does() -> None:
    """A load that two replicas cannot carry, eight that can after 5 s: the longest wait, and whose it is.

    Arrivals and passes are even and small beside 5 s, so that the fluid's answer holds to 2 %.
    """
    delay_s, rate, capacity = 5.0, 400.0, 100.0
    rule = autoscaling_rule(
        target=1.0, max_replicas=8, min_replicas=2, tick_ns=5 * 10**6, sample_ns=5 * 10**6, stabilisation_down_ns=20 * S
    )
    fleet = replace(
        single_servers(2, **ROUTINGS["pooled"]),
        pass_time=pass_time_rule(base_ns=round(S / capacity), max_batch=1),
        spread_table=(2**20,),
        autoscaler=rule,
        cold_start_tables=((round(delay_s * S),),),
    )
    arrivals_ns = np.arange(S, 17 * S, round(S / rate), dtype=np.int64)
    timeline = played(fleet, arrivals_ns, 1, from_ns=0, to_ns=16 * S)
    expected = ColdStart(rate, capacity, 2, 8, delay_s)
    waits_s = (timeline.attempt("started_ns") - timeline.attempt("intended_ns")) / S
    worst = int(np.argmax(waits_s))
    assert waits_s[worst] == pytest.approx(expected.worst_wait, rel=0.02)
    assert (timeline.attempt("intended_ns")[worst] - S) / S == pytest.approx(expected.worst_arrival, rel=0.02)
    drained_s = (timeline.attempt("intended_ns")[np.flatnonzero(waits_s > 0.02)[-1]] - S) / S
    assert drained_s == pytest.approx(delay_s + expected.drain_time, rel=0.05)
