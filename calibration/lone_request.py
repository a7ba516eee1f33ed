"""Where each millisecond of a lone request goes: measured on the live server, and as the model has it.

The stamps of client and server cut a request's way into parts; differences of neighbouring stamps add up to the
latency, to the nanosecond. The same cuts are made in the process engine's timeline with the central fit. A lone request
meets an idle server on an idle host, while the fit takes its constants from the busiest load: what differs is said.

client_to_server    from the intended send until the request's last bytes were there; the client's lateness is in it
accept_and_parse    until the dispatcher had it
dispatch_and_wait   until its batch left for the instance: the rule's own wait for company, and the timer's lateness
hop_in              until the pass began
pass                on the device
hop_out             until the dispatcher held the result
response            until the answer was written
to_client           until the client held it; below zero where the client was faster than the server's own note of it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from calibration.host import Bounds, judge
from calibration.live_server import LiveServer
from calibration.pass_profiler import send_lone
from calibration.profile_file import calibrated_by
from calibration.samples import LoneSample
from policy.instant import UNSET
from policy.timeline import Outcome
from sim.engine.process_engine import run
from sim.engine.timelines import Timeline
from sim.scenario.lower import lower
from sim.scenario.profile import LonePart, LoneRequest, Profile
from sim.scenario.spec import Scenario

__all__ = ["LONE_PARTS", "lone_parts_ns", "lone_request", "lone_rows", "measure_lone", "with_lone_request"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

_CUTS = {
    "intended_ns": "client_to_server",
    "received_ns": "accept_and_parse",
    "enqueued_ns": "dispatch_and_wait",
    "handed_ns": "hop_in",
    "started_ns": "pass",
    "ended_ns": "hop_out",
    "returned_ns": "response",
    "answered_ns": "to_client",
    "delivered_ns": "",
}
"""The stamps in their order, and the part that begins at each."""

LONE_PARTS = tuple(filter(None, _CUTS.values()))

_MEASURED_S = 4.0
_TRIES = 3
_COUNT_LEAST, _COUNT_MOST = 10, 80
_MODELLED = 400
_DRAWS = 1000
_INTERVAL = (0.025, 0.975)
_OUTLIER_DEVIATIONS = 20  # as in session.py
_MS_NS = 1e6
_NONE_ALONE = "Where the time of a lone request goes: none was answered in a batch of its own."


def measure_lone(
    server: LiveServer,
    scenario: Scenario,
    answered_ns: int,
    item_size: int,
    rng: np.random.Generator,
    bounds: Bounds,
) -> LoneSample:
    """Send lone requests for about four seconds, up to three times until the host does not disturb them.

    `answered_ns` is a time in which the server surely answers a full batch that need not wait for company. If the host
    disturbs every try the one counts in which the load generator was least late: no latency has a say in it.
    """
    gap_ns = 2 * answered_ns + scenario.batching.max_wait
    count = min(max(round(_MEASURED_S * 1e9 / gap_ns), _COUNT_LEAST), _COUNT_MOST)
    tries = []
    for _ in range(_TRIES):
        measured = send_lone(server, count, gap_ns, item_size, rng)
        if judge(measured.run.lateness, measured.host, bounds).valid:
            return LoneSample(measured.timeline(), disturbed=False)
        tries.append(measured)
    return LoneSample(min(tries, key=lambda each: each.run.lateness.p99_ns).timeline(), disturbed=True)


def with_lone_request(profile: Profile, samples: Sequence[LoneSample], scenario: Scenario, *, seed: int = 0) -> Profile:
    """Return the calibration with the table, or, where no lone request was answered, with a sentence that says so.

    A deadline shorter than the wait for company lets none be. Raises what the scenario raises.
    """
    table = lone_request(samples, scenario, profile, seed=seed)
    if table is None:
        return profile.model_copy(update={"not_identified": (*profile.not_identified, _NONE_ALONE)})
    return profile.model_copy(update={"lone_request": table})


def lone_request(
    samples: Sequence[LoneSample], scenario: Scenario, profile: Profile, *, seed: int = 0
) -> LoneRequest | None:
    """Return the table for the lone requests of one or more server processes; None if none was answered alone."""
    timelines = [each.timeline for each in samples]
    kept = [(timeline, rows) for timeline in timelines if len(rows := _without_outliers(timeline))]
    model = _modelled(scenario, profile, seed)
    if not kept or not len(lone_rows(model)):
        return None
    sent, requests = sum(len(timeline.attempts) for timeline in timelines), sum(len(rows) for _, rows in kept)
    late_ns = [(timeline.attempt("sent_ns") - timeline.attempt("intended_ns"))[rows] for timeline, rows in kept]
    modelled = _with_latency(lone_parts_ns(model, lone_rows(model))).mean(axis=0)
    measured = [_with_latency(lone_parts_ns(timeline, rows)) for timeline, rows in kept]
    table = _parts(measured, modelled, np.random.default_rng(seed))
    return LoneRequest(
        requests=requests,
        left_out=sent - requests,
        disturbed=any(each.disturbed for each in samples),
        client_late_ms=float(np.mean([each.mean() for each in late_ns])) / _MS_NS,
        parts=dict(zip(LONE_PARTS, table[:-1], strict=True)),
        latency=table[-1],
    )


def lone_rows(timeline: Timeline) -> Rows:
    """Return the rows of the answered first attempts that were the only ones of their batch."""
    alone = (timeline.attempt("outcome") == Outcome.ANSWERED) & (timeline.attempt("batch_size") == 1)
    alone &= (timeline.attempt("attempt") == 0) & np.isin(timeline.attempt("serial"), timeline.passed("serial"))
    rows = np.flatnonzero(alone)
    complete: Rows = rows[(_stamps(timeline, rows) != UNSET).all(axis=1)]
    return complete


def lone_parts_ns(timeline: Timeline, rows: Rows) -> Ints:
    """Return the parts of these attempts: (rows, parts)."""
    return np.diff(_stamps(timeline, rows), axis=1)


def _stamps(timeline: Timeline, rows: Rows) -> Ints:
    """Return the moments at which the way of these attempts is cut: (rows, cuts)."""
    passes = np.searchsorted(timeline.passed("serial"), timeline.attempt("serial")[rows])
    handed_ns = timeline.passed("handed_ns")[passes]
    return np.column_stack([handed_ns if name == "handed_ns" else timeline.attempt(name)[rows] for name in _CUTS])


def _with_latency(parts_ns: Ints) -> Ints:
    """Return the parts with one more column: the latency, the sum of a row."""
    return np.column_stack([parts_ns, parts_ns.sum(axis=1)])


def _without_outliers(timeline: Timeline) -> Rows:
    """Return the lone rows whose latency is within twenty median absolute deviations: beyond, the host stood still."""
    rows = lone_rows(timeline)
    if not len(rows):
        return rows
    latency_ns = lone_parts_ns(timeline, rows).sum(axis=1)
    off_ns = np.abs(latency_ns - np.median(latency_ns))
    kept: Rows = rows[off_ns <= max(_OUTLIER_DEVIATIONS * float(np.median(off_ns)), 1.0)]
    return kept


def _modelled(scenario: Scenario, profile: Profile, seed: int) -> Timeline:
    """Return the engine's timeline of requests that come one at a time, with the central fit."""
    with calibrated_by(scenario, profile) as model:
        full_ns = profile.times_ns(None)
        pass_ns = full_ns["base"] + full_ns["per_item"] * scenario.batching.max_batch + sum(full_ns.values())
        gap_ns = 2 * (pass_ns + scenario.batching.max_wait) + 1
        arrivals_ns = np.arange(1, _MODELLED + 1, dtype=np.int64) * gap_ns
        sizes = np.ones(_MODELLED, dtype=np.int64)
        lowered = lower(model, seed=seed, arrivals_ns=arrivals_ns, sizes=sizes, warm_up_ns=0)
    end_ns = int(arrivals_ns[-1]) + 1
    return run(replace(lowered, measure_to_ns=end_ns, stop_ns=end_ns + gap_ns))


def _parts(measured: Sequence[Ints], modelled: Floats, rng: np.random.Generator) -> list[LonePart]:
    """Return each column's mean over all processes, its 95 % interval, and the model's mean, in ms."""
    means = np.mean([rows.mean(axis=0) for rows in measured], axis=0) / _MS_NS
    lows, highs = np.quantile(_draws(measured, rng) / _MS_NS, _INTERVAL, axis=0, method="inverted_cdf")
    return [
        LonePart(measured_ms=mean, low_ms=min(low, mean), high_ms=max(high, mean), modelled_ms=model / _MS_NS)
        for mean, low, high, model in zip(means.tolist(), lows.tolist(), highs.tolist(), modelled.tolist(), strict=True)
    ]


def _draws(measured: Sequence[Ints], rng: np.random.Generator) -> Floats:
    """Return bootstrap draws of the means: processes, one fewer than there are (see session.py), then requests."""
    count = len(measured)
    draws = []
    for _ in range(_DRAWS):
        picked = [measured[index] for index in rng.integers(0, count, max(count - 1, 1))]
        draws.append(np.mean([rows[_drawn(len(rows), rng)].mean(axis=0) for rows in picked], axis=0))
    return np.array(draws)


def _drawn(count: int, rng: np.random.Generator) -> Ints:
    """Return rows drawn with replacement, one fewer than there are."""
    return rng.integers(0, count, max(count - 1, 1))
