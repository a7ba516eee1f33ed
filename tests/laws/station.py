"""The front end as an audit sees it: its jobs, read from a timeline and its settings, without policy.

Most jobs can be read to the nanosecond. Timers leave no row, and the work for clients who have gone no end: such jobs
are hidden, and the laws allow for them where they may have been and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from sim.engine.engine_input import FrontEndInput, Table
from tests.laws.downtime import all_downs

if TYPE_CHECKING:
    from policy.autoscaling_rule import AutoscalingRule
    from tests.laws.audit import Books, PassRow, Row

__all__ = ["decisions_have_an_occasion", "front_end_serves_in_order", "is_nothing", "seen_by"]

NONE = -1
NEVER = 2**62
FIXED = 0  # the formula of no autoscaler
ANSWERED, REFUSED, TIMED_OUT, ABANDONED, FAILED = 1, 2, 3, 4, 5
RESULTS, BLOCKING_LATER, RESPONSE, REQUEST, REFUSAL, BLOCKING_AT_ONCE = range(6)  # the order within an instant


class Job(NamedTuple):
    """One job. It joined in [join_ns, join_by_ns]; the work is from a table, at least `least_ns`."""

    join_ns: int
    place: tuple[int, ...]  # among those that join in the same instant
    join_by_ns: int
    done_ns: int  # NONE: hidden
    least_ns: int
    most_ns: int

    @property
    def joined_exactly(self) -> bool:
        return self.join_ns == self.join_by_ns and self.done_ns != NONE


def _job(join_ns: int, place: tuple[int, ...], done_ns: int, work: Table, join_by_ns: int | None = None) -> Job:
    by_ns = join_ns if join_by_ns is None else join_by_ns
    return Job(join_ns, place, by_ns, done_ns, work[0], work[-1])


def jobs_of(books: Books) -> list[Job]:
    """Return all jobs but timers."""
    front_end = books.given.front_end
    each_row = [job for row in books.rows for job in _jobs_of_row(books, row)]
    if front_end.blocking:
        return each_row + [_blocking_job(books, each) for each in books.passes if each.returned_ns != NONE]
    fleets = {life.replica: books.given.fleets[life.version] for life in books.lives}
    return each_row + [
        _job(
            each.ended_ns + fleets[each.replica].results_out_table[0],
            (RESULTS, each.replica, each.instance),
            each.returned_ns,
            front_end.pass_result_table,
        )
        for each in books.passes
        if each.returned_ns != NONE and each.started_ns != NONE  # one that was lost with its instance has no results
    ]


def _blocking_job(books: Books, each: PassRow) -> Job:
    way_ns = books.given.fleet.batch_in_table[0]
    work = [each.ended_ns - each.started_ns]
    return _job(each.handed_ns + way_ns, (BLOCKING_LATER if way_ns else BLOCKING_AT_ONCE,), each.ended_ns, work)


def _jobs_of_row(books: Books, row: Row) -> Iterator[Job]:
    front_end = books.given.front_end
    yield _job(row.received_ns, (REQUEST, row.request, row.attempt), row.enqueued_ns, front_end.request_table)
    if row.enqueued_ns == NONE:
        return
    work = front_end.response_table
    member = (RESPONSE, row.replica, row.instance, row.enqueued_ns, row.request, row.attempt)
    # Nobody who came to no version has a deadline.
    limit_ns = NEVER if row.version == NONE else row.enqueued_ns + books.given.fleets[row.version].deadline.deadline_ns
    returned_ns = NEVER if row.returned_ns == NONE else row.returned_ns
    if row.reason:
        yield _job(row.enqueued_ns, (REFUSAL, row.request, row.attempt), row.answered_ns, work)
    elif row.outcome in (ANSWERED, FAILED):
        yield _job(row.returned_ns, member, row.answered_ns, work)
    elif row.outcome == TIMED_OUT:
        yield _job(limit_ns, member, row.answered_ns, work, row.answered_ns)
    elif row.outcome == ABANDONED and min(limit_ns, returned_ns) <= row.delivered_ns:  # it left while being answered
        yield _job(min(limit_ns, returned_ns), member, row.answered_ns, work, row.delivered_ns)


def front_end_serves_in_order(books: Books) -> Iterator[str]:
    """A worker does one job at a time, first come, first served, and rests only when it has none."""
    jobs = jobs_of(books)
    done = sorted((job for job in jobs if job.done_ns != NONE), key=lambda job: (job.done_ns, -job.least_ns, job[:2]))
    for job in done:
        if job.done_ns < job.join_ns + job.least_ns:
            yield f"a job that joined at {job.join_ns} was done at {job.done_ns}, its work takes {job.least_ns}"
    yield from _at_once(done, books.given.front_end.workers)
    if books.given.front_end.workers > 1:
        return  # a timeline does not say which worker served whom
    in_turn = sorted(filter(lambda job: job.joined_exactly, done), key=lambda job: job[:2])
    for before, job in pairwise(in_turn):
        if job.done_ns < before.done_ns:
            yield f"a job that joined at {job.join_ns} was done before one that joined at {before.join_ns}"
    if max(books.given.front_end.timer_table) == 0:
        yield from _rests(books, done, [job for job in jobs if job.done_ns == NONE])


def _at_once(jobs: Sequence[Job], workers: int) -> Iterator[str]:
    """More jobs at once than there are workers."""
    steps = [(job.done_ns - job.least_ns, 1) for job in jobs if job.least_ns]
    steps += [(job.done_ns, -1) for job in jobs if job.least_ns]
    running = 0
    for moment_ns, step in sorted(steps):
        running += step
        if running > workers:
            yield f"{running} jobs at once at {moment_ns}, workers are {workers}"


def _rests(books: Books, done: Sequence[Job], hidden: Sequence[Job]) -> Iterator[str]:
    """A job that could have begun earlier: no job, and no hidden one that came between, was in its way."""
    lost_ns = min((each.handed_ns for each in books.passes if each.returned_ns == NONE), default=NEVER)
    for before, job in zip((None, *done), done, strict=False):
        if not job.joined_exactly or job.join_ns >= lost_ns:
            continue  # the results of a pass that had not returned when the run ended may be in the way
        since_ns = 0 if before is None else before.join_ns
        free_ns = job.join_ns if before is None else max(job.join_ns, before.done_ns)
        between = [each for each in hidden if each.join_by_ns >= since_ns and each.join_ns <= job.join_ns]
        if job.done_ns - job.most_ns > free_ns + sum(each.most_ns for each in between):
            yield f"a job that joined at {job.join_ns} was done at {job.done_ns}, its worker was free at {free_ns}"


def seen_by(books: Books) -> Callable[[int], int]:
    """Return the function that says by when the dispatcher looks if it asked to be woken at a moment."""
    front_end = books.given.front_end
    if is_nothing(front_end):
        return lambda moment_ns: moment_ns
    jobs = jobs_of(books)
    known = [job for job in jobs if job.done_ns != NONE]
    hidden = [job for job in jobs if job.done_ns == NONE]
    dues = due_moments(books)

    def look(moment_ns: int) -> int:
        before = [job for job in known if job.join_ns <= moment_ns]
        busy_ns = max((job.done_ns for job in before), default=0)
        since_ns = max((job.join_ns for job in before if job.joined_exactly), default=0)
        since_ns = since_ns if front_end.workers == 1 else 0
        unseen_ns = sum(job.most_ns for job in hidden if job.join_by_ns >= since_ns and job.join_ns <= moment_ns)
        timers = 1 + sum(since_ns <= due_ns < moment_ns for due_ns in dues)
        return max(moment_ns, busy_ns) + unseen_ns + timers * front_end.timer_table[-1]

    return look


def due_moments(books: Books) -> set[int]:
    """Return every moment at which a wait or a deadline ended, and more of them where the wait has another origin."""
    came = [row for row in (*books.rows, *books.copies) if row.enqueued_ns != NONE and row.reason == 0]
    admitted = {row.placed_ns for row in came} | {row.enqueued_ns for row in came}
    dues = _rollout_moments(books)
    for fleet in books.given.fleets:
        rule, since = fleet.batching, set(admitted)
        if rule.timer_origin:
            since |= {each.closed_ns for each in books.passes} | {each.returned_ns for each in books.passes} | {0}
        waits = range(1, 2 if rule.timer_origin < 2 else 60)  # windows follow each other
        dues |= {at_ns + fleet.deadline.deadline_ns for at_ns in since}
        dues |= {at_ns + k * rule.max_wait_ns for at_ns in since for k in waits}
        dues |= _autoscaler_moments(books, fleet.autoscaler)
    return dues


def _autoscaler_moments(books: Books, rule: AutoscalingRule) -> set[int]:
    """Return every moment at which the autoscaler may look: multiples of its periods, from the start or a deploy."""
    if rule.formula == FIXED:
        return set()
    end_ns = max((each.closed_ns for each in books.passes), default=0) + 1
    periods = {rule.sample_ns, rule.tick_ns, rule.poll_ns} - {0}
    starts = {0, *(order.at_ns for order in books.given.versions.orders)}
    return {at_ns for start in starts for period_ns in periods for at_ns in range(start + period_ns, end_ns, period_ns)}


def _rollout_moments(books: Books) -> set[int]:
    """Return every moment at which a rollout may look: behind whatever made it wait, by each of its times."""
    rule = books.given.versions.rollout
    if rule is None:
        return set()
    since = {order.at_ns for order in books.given.versions.orders} | set(books.rollout_moments)
    since |= {moment for life in books.lives for moment in (life.ordered_ns, life.ready_ns, life.drained_ns)}
    waits = {
        rule.interval_ns,
        rule.initial_delay_ns,
        rule.no_data_interval_ns,
        rule.roll_back_delay_ns,
        rule.ready_deadline_ns,
    }
    return {at_ns + wait_ns for at_ns in since for wait_ns in waits | set(rule.step_pause_ns)}


def decisions_have_an_occasion(books: Books) -> Iterator[str]:
    """A batch closes when an attempt arrives, a pass returns, a client goes, a replica is ready, or a timer is done."""
    front_end = books.given.front_end
    occasions = {row.enqueued_ns for row in books.rows} | {each.returned_ns for each in books.passes}
    occasions |= {row.delivered_ns for row in books.rows if row.outcome == ABANDONED}
    occasions |= {life.ready_ns for life in books.lives}
    occasions |= {moment_ns for down in all_downs(books) for moment_ns in down[:2]}
    timer_ns = front_end.timer_table[0]
    busy = [(job.done_ns - job.least_ns, job.done_ns) for job in jobs_of(books) if job.done_ns != NONE and job.least_ns]
    first_due_ns = min(due_moments(books), default=NEVER)
    for each in books.passes:
        began_ns = each.closed_ns - timer_ns
        if each.closed_ns in occasions:
            continue
        if began_ns < first_due_ns:
            yield f"pass {each.serial} closed at {each.closed_ns} without an occasion"
        worker_is_busy = any(from_ns < each.closed_ns and to_ns > began_ns for from_ns, to_ns in busy)
        if front_end.workers == 1 and worker_is_busy:
            yield f"pass {each.serial} closed at {each.closed_ns}, while the front end was at something else"


def is_nothing(front_end: FrontEndInput) -> bool:
    """Return whether nobody ever waits for the front end."""
    tables = (front_end.request_table, front_end.response_table, front_end.pass_result_table, front_end.timer_table)
    return not front_end.blocking and all(max(table) == 0 for table in tables)
