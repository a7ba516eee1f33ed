"""The front end and the clients of a fleet that never changes: one worker does its jobs in the order of their joining.

What compiled/devices.py says of them, for requests that are each sent once.
"""

from __future__ import annotations

from numba.extending import register_jitable

from policy.dice import Stream
from policy.instant import NEVER_NS, Change
from policy.timeline import Outcome
from sim.engine.compiled.counting import count_delivery, count_request, is_measured
from sim.engine.compiled.dice import roll
from sim.engine.compiled.fixed_state import JOB, Stage
from sim.engine.compiled.memory import int_at, row_at

__all__ = ["enter_front_end", "note_job", "respond", "serve_in_order", "settle"]


@register_jitable(forceinline=True)
def serve_in_order(t, work_ns, now_ns):
    """Return when the front end will have done this job, behind all it has."""
    done_ns = max(now_ns, t.run.free_ns) + work_ns
    t.run.free_ns = done_ns
    return done_ns


@register_jitable(forceinline=True)
def note_job(t, done_ns, change, what):
    """Note what the front end's work brings about when it is done; jobs are done in the order in which they join."""
    run = t.run
    job = row_at(t.jobs, (run.first_job + run.jobs) & (t.jobs_room - 1), JOB)
    run.jobs += 1
    job.done_ns = done_ns
    job.change = change
    job.what = what


@register_jitable(forceinline=True)
def enter_front_end(g, t, row, place, intended_ns, now_ns):
    """Let the request at a place of the chunk pass the front end on its way in; return when it has, NEVER_NS if not."""
    run, given, request = t.run, g.run, t.run.born
    if t.needs_sizes:
        if given.has_sizes:
            row.size = int_at(t.sizes, place)
        else:
            row.size = roll(g.knots, given.sizes, given.seed, Stream.SIZE.value, request, 0)
    run.born += 1
    if is_measured(given, intended_ns):
        run.measured_open += 1
    work_ns = roll(g.knots, given.request, given.seed, Stream.FRONT_END_REQUEST.value, request, 0)
    done_ns = serve_in_order(t, work_ns, now_ns)
    if intended_ns + t.patience_ns <= done_ns:
        settle(g, t, intended_ns, Outcome.ABANDONED.value, intended_ns + t.patience_ns)
        return NEVER_NS
    row.request = request
    row.intended_ns = intended_ns
    row.stage = Stage.IN_FRONT.value
    if done_ns > now_ns:
        note_job(t, done_ns, Change.ARRIVED.value, request)
    return done_ns


@register_jitable(forceinline=True)
def respond(g, t, row, outcome, now_ns):
    """Send a response through the front end; the client takes it unless it will have hung up by then."""
    given = g.run
    work_ns = roll(g.knots, given.response, given.seed, Stream.FRONT_END_RESPONSE.value, row.request, 0)
    delivered_ns = serve_in_order(t, work_ns, now_ns) + given.back_ns
    hang_up_ns = row.intended_ns + t.patience_ns
    if delivered_ns <= hang_up_ns:
        settle(g, t, row.intended_ns, outcome, delivered_ns)
    else:
        settle(g, t, row.intended_ns, Outcome.ABANDONED.value, hang_up_ns)


@register_jitable(forceinline=True)
def settle(g, t, intended_ns, outcome, delivered_ns):
    """Count how a request ends for its client."""
    given = g.run
    count_delivery(given, t, outcome, delivered_ns)
    if is_measured(given, intended_ns):
        t.run.measured_open -= 1
        count_request(given, t, intended_ns, outcome, delivered_ns)
