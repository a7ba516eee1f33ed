"""What a run of the compiled engine comes to, counted as it goes: as sim/outcome/measures.py reads it from rows."""

from __future__ import annotations

from numba.cpython.unsafe.numbers import leading_zeros
from numba.extending import register_jitable

from policy.timeline import Outcome
from sim.engine.compiled.memory import int_at, set_int
from sim.engine.histogram import BUCKETS, HALF, MANTISSA_BITS

__all__ = ["count_delivery", "count_pass", "count_request", "end_when_all_are_over", "is_measured"]


@register_jitable(forceinline=True)
def is_measured(given, intended_ns):
    """Return whether a request of that moment counts."""
    return given.measure_from_ns <= intended_ns < given.measure_to_ns


@register_jitable(forceinline=True)
def end_when_all_are_over(given, t, now_ns):
    """End the run when all measured requests have come, and are over."""
    if t.run.measured_open == 0 and now_ns >= given.measure_to_ns + given.there_ns:
        t.run.is_finished = 1


@register_jitable(forceinline=True)
def count_request(given, t, intended_ns, outcome, delivered_ns):
    """Count a measured request that has its outcome, in the window in which it was intended."""
    if not t.run.window_from_ns <= intended_ns < t.run.window_to_ns:
        _find_window(given, t, intended_ns)
    counts = t.run.window_counts
    _add_one(t.counts, counts + outcome)
    if outcome == Outcome.ANSWERED.value:
        latency_ns = delivered_ns - intended_ns
        t.run.latency_sum_ns += latency_ns
        if latency_ns > t.limit_ns:
            _add_one(t.counts, counts + t.outcomes)
        bucket = _bucket_of(latency_ns)
        _add_one(t.latencies, t.run.window_latencies + bucket)
        if latency_ns < int_at(t.shortest, bucket):
            set_int(t.shortest, bucket, latency_ns)
        if latency_ns > int_at(t.longest, bucket):
            set_int(t.longest, bucket, latency_ns)


@register_jitable(forceinline=True)
def _window_begin_ns(measured_ns, windows, window):
    """Return the first moment of a window since the measured time began, window * measured_ns / windows rounded up.

    That product would not fit into 64 bits: a week in windows of 5 s.
    """
    return window * (measured_ns // windows) - (-window * (measured_ns % windows) // windows)


@register_jitable
def _find_window(given, t, intended_ns):
    """Find the window of a moment; most of those that follow are in it, which is quicker to see than to work out."""
    from_ns, run = given.measure_from_ns, t.run
    measured_ns, since_ns = given.measure_to_ns - from_ns, intended_ns - from_ns
    least_ns = measured_ns // t.windows  # no window is shorter, so that none further on can be meant
    window = t.windows - 1
    if least_ns > 0 and since_ns // least_ns < window:
        window = since_ns // least_ns
    while _window_begin_ns(measured_ns, t.windows, window) > since_ns:
        window -= 1
    run.window_from_ns = from_ns + _window_begin_ns(measured_ns, t.windows, window)
    run.window_to_ns = from_ns + _window_begin_ns(measured_ns, t.windows, window + 1)
    run.window_counts = window * (t.outcomes + 1)
    run.window_latencies = int_at(t.batch_of, window) * t.buckets


@register_jitable(forceinline=True)
def count_delivery(given, t, outcome, delivered_ns):
    """Count an answer that a client holds inside the measured time, whenever it was intended."""
    if outcome == Outcome.ANSWERED.value and given.measure_from_ns <= delivered_ns < given.measure_to_ns:
        t.run.delivered += 1


@register_jitable(forceinline=True)
def count_pass(given, t, batch, times):
    """Count a pass whose beginning and end are settled; -1 times takes back one that is lost with its instance."""
    from_ns, to_ns, run = given.measure_from_ns, given.measure_to_ns, t.run
    if from_ns <= batch.started_ns < to_ns:
        run.passes_measured += times
        run.batched += times * batch.count
    run.busy_ns += times * max(min(batch.ended_ns, to_ns) - max(batch.started_ns, from_ns), 0)


@register_jitable(forceinline=True)
def _add_one(table, place):
    set_int(table, place, int_at(table, place) + 1)


@register_jitable(forceinline=True)
def _bucket_of(time_ns):
    """Return the bucket of a time: sim.engine.histogram.bucket_of() without Python's bit_length."""
    if time_ns < HALF:
        return time_ns
    exponent = 64 - leading_zeros(time_ns) - MANTISSA_BITS - 1
    return min(exponent * HALF + (time_ns >> exponent), BUCKETS - 1)
