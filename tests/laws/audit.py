"""An audit of a timeline from its settings alone.

It does not import policy: parity of the drivers proves nothing about a rule that all of them share, so the laws are
written here a second time, from the outside, as statements about what may be seen on a timeline. `audit` returns one
sentence for each breach, beginning with the name of the law.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass

from sim.engine.engine_input import EngineInput
from sim.engine.timelines import ATTEMPT_COLUMNS, PASS_COLUMNS, REPLICA_COLUMNS, Timeline
from tests.laws.downtime import Down, crashes_lose_what_runs, down_times, factor_of
from tests.laws.station import decisions_have_an_occasion, front_end_serves_in_order, is_nothing, seen_by

__all__ = ["audit"]

NONE = -1
NEVER = 2**62
IN_FLIGHT, ANSWERED, REFUSED, TIMED_OUT, ABANDONED, FAILED = range(6)
ENQUEUE, COLLECT, WINDOW = range(3)
PULL, TIMER = range(2)
DISPATCHER, EXCLUSIVE, COMPETING = range(3)
NO_REPLICA = 3


@dataclass(frozen=True)
class Row:
    """An attempt with its columns as attributes."""

    request: int
    attempt: int
    size: int
    version: int
    replica: int
    instance: int
    serial: int
    batch_size: int
    intended_ns: int
    sent_ns: int
    received_ns: int
    enqueued_ns: int
    placed_ns: int
    closed_ns: int
    started_ns: int
    ended_ns: int
    returned_ns: int
    answered_ns: int
    delivered_ns: int
    outcome: int
    reason: int


@dataclass(frozen=True)
class PassRow:
    """A pass with its columns as attributes."""

    serial: int
    replica: int
    instance: int
    batch_size: int
    cause: int
    idle_since_ns: int
    closed_ns: int
    handed_ns: int
    started_ns: int
    ended_ns: int
    returned_ns: int


@dataclass(frozen=True)
class LifeRow:
    """A replica with its columns as attributes."""

    replica: int
    version: int
    ordered_ns: int
    ready_ns: int
    drained_ns: int
    gone_ns: int


class Books:
    """A timeline and its settings, indexed the ways that the laws need; of the whole fleet or of one replica."""

    def __init__(self, given: EngineInput, timeline: Timeline) -> None:
        assert set(ATTEMPT_COLUMNS) == set(Row.__annotations__), "the columns have changed: so must the audit"
        assert set(PASS_COLUMNS) == set(PassRow.__annotations__), "the columns have changed: so must the audit"
        assert set(REPLICA_COLUMNS) == set(LifeRow.__annotations__), "the columns have changed: so must the audit"
        self.given = given
        self.rule = given.fleet.batching
        self.ready_ns = 0
        self.downs: dict[int, list[Down]] = {}  # of one replica, by instance
        self.lives = [LifeRow(**dict(zip(REPLICA_COLUMNS, row, strict=True))) for row in timeline.replicas.tolist()]
        self.scalings = list(zip(timeline.scaling("at_ns").tolist(), timeline.scaling("wanted").tolist(), strict=True))
        self.rows = [Row(**dict(zip(ATTEMPT_COLUMNS, row, strict=True))) for row in timeline.attempts.tolist()]
        self.passes = [PassRow(**dict(zip(PASS_COLUMNS, row, strict=True))) for row in timeline.passes.tolist()]
        seen_ns = [row.enqueued_ns for row in self.rows] + [each.returned_ns for each in self.passes]
        self.last_ns = max(seen_ns, default=0)  # the run went so far at least
        self.copies = [Row(**dict(zip(ATTEMPT_COLUMNS, row, strict=True))) for row in timeline.copies.tolist()]
        self.rollout_moments = timeline.rollout[:, 0].tolist()
        self._index()
        self.seen_by = seen_by(self)

    def of_replica(self, life: LifeRow) -> Books:
        """Return the books of one replica: its rows and passes, and the front end of all."""
        own = copy(self)
        own.ready_ns = life.ready_ns
        own.downs = {each: down_times(self, life, each) for each in range(self.given.fleet.instances)}
        own.rows = [row for row in self.rows if row.replica == life.replica]
        own.passes = [each for each in self.passes if each.replica == life.replica]
        own._index()
        return own

    def _index(self) -> None:
        self.members: dict[int, list[Row]] = defaultdict(list)
        for row in self.rows:
            if row.serial != NONE:
                self.members[row.serial].append(row)
        for rows in self.members.values():
            rows.sort(key=placing)
        self.handed_ns = {each.serial: each.handed_ns for each in self.passes}

    def left_queue_ns(self, row: Row) -> int:
        """When an admitted attempt stopped waiting: its batch was handed over, or it was withdrawn before."""
        if row.serial != NONE:
            return self.handed_ns.get(row.serial, NEVER)
        if row.outcome == TIMED_OUT:
            return row.enqueued_ns + self.given.fleet.deadline.deadline_ns
        if row.outcome == ABANDONED:
            expired_ns = row.enqueued_ns + self.given.fleet.deadline.deadline_ns
            return min(row.delivered_ns, expired_ns)  # a 504 may have been on its way to a client that left
        return NEVER

    def admitted(self) -> list[Row]:
        """Attempts that the queue took."""
        return [row for row in self.rows if row.enqueued_ns != NONE and row.reason == 0]


def placing(row: Row) -> tuple[int, int, int, int]:
    """The order in which requests come to a replica: those that were held go before those that have just come."""
    return (row.enqueued_ns if row.placed_ns == NONE else row.placed_ns, row.enqueued_ns, row.request, row.attempt)


def audit(given: EngineInput, timeline: Timeline) -> list[str]:
    """Return every breach of a law on this timeline."""
    books = Books(given, timeline)
    of_the_fleet = (
        every_attempt_ends_once,
        time_limits_hold,
        moments_in_order,
        passes_last_what_they_cost,
        front_end_serves_in_order,
        decisions_have_an_occasion,
        little,
        replicas_serve_while_ready,
        fleet_is_what_is_wanted,
        nobody_is_held_beside_a_ready_replica,
        holding_has_its_limit,
        crashes_lose_what_runs,
    )
    return breaches_of_replicas(books) + [f"{law.__name__}: {breach}" for law in of_the_fleet for breach in law(books)]


def breaches_of_replicas(books: Books) -> list[str]:
    """Return every breach of a law that holds for each replica by itself."""
    laws = (
        batch_within_maximum,
        no_wait_past_bound,
        no_partial_batch_early,
        batches_in_queue_order,
        queue_cap_holds,
        instances_run_one_pass,
    )
    replicas = [books.of_replica(life) for life in books.lives]
    return [f"{law.__name__}: {breach}" for law in laws for own in replicas for breach in law(own)]


def batch_within_maximum(books: Books) -> Iterator[str]:
    """No batch is larger than max_batch, and its size is the number of its members."""
    for each in books.passes:
        if each.batch_size > books.rule.max_batch:
            yield f"pass {each.serial} has {each.batch_size} members"
        if each.batch_size != len(books.members[each.serial]):
            yield f"pass {each.serial} says {each.batch_size}, members say {len(books.members[each.serial])}"


def no_wait_past_bound(books: Books) -> Iterator[str]:
    """No batch stays open past its wait while something is free to take it and the front end has seen to its timer."""
    previous_close_ns = 0
    for each in sorted(books.passes, key=lambda each: each.serial):
        oldest_ns = books.members[each.serial][0].placed_ns
        free_since_ns = _free_since_ns(books, each)
        wait_ns = books.rule.max_wait_ns
        if books.rule.timer_origin == ENQUEUE:
            bound_ns = max(oldest_ns + wait_ns, free_since_ns)
        elif books.rule.collector == DISPATCHER:
            bound_ns = max(max(oldest_ns, previous_close_ns) + wait_ns, free_since_ns)
        else:
            bound_ns = max(oldest_ns, previous_close_ns, free_since_ns) + wait_ns
        if each.closed_ns > books.seen_by(bound_ns):
            yield f"pass {each.serial} closed at {each.closed_ns}, its bound was {bound_ns}"
        previous_close_ns = each.closed_ns


def _free_since_ns(books: Books, this: PassRow) -> int:
    """Since when, up to its closing, the batch could have been closed as far as slots and instances go."""
    if books.rule.collector == COMPETING:
        return this.idle_since_ns
    if books.rule.collector == DISPATCHER and (books.rule.freeze == TIMER or books.rule.slots == 0):
        return 0
    free = books.given.fleet.instances if books.rule.collector == EXCLUSIVE else books.rule.slots
    # Taken slots over time: +1 at a close (or hand-over), -1 at a return; the last moment they were all taken.
    changes: list[tuple[int, int]] = []
    for each in books.passes:
        if each.serial < this.serial:
            changes.append((each.closed_ns, 1))
            if each.returned_ns != NONE and each.returned_ns <= this.closed_ns:
                changes.append((each.returned_ns, -1))
    if books.rule.collector == EXCLUSIVE:  # an instance that is down is no free one
        downs = [down for each in books.downs.values() for down in each if down.from_ns <= this.closed_ns]
        changes += [(down.from_ns, 1) for down in downs]
        changes += [(down.to_ns, -1) for down in downs if down.to_ns <= this.closed_ns]
    taken, since_ns = 0, 0
    for moment_ns, change in sorted(changes):
        was_full = taken >= free
        taken += change
        if was_full and taken < free:
            since_ns = moment_ns
    return since_ns


def no_partial_batch_early(books: Books) -> Iterator[str]:
    """A batch below max_batch and off the preferred sizes closes only when its wait is over."""
    if books.rule.timer_origin != ENQUEUE:
        return
    preferred = books.rule.preferred[: books.rule.preferred_count]
    for each in books.passes:
        if each.batch_size < books.rule.max_batch and each.batch_size not in preferred:
            due_ns = books.members[each.serial][0].placed_ns + books.rule.max_wait_ns
            if each.closed_ns < due_ns:
                yield f"pass {each.serial} of {each.batch_size} closed at {each.closed_ns}, due {due_ns}"


def batches_in_queue_order(books: Books) -> Iterator[str]:
    """Requests enter batches first come, first served: for each collector, in the order of their arrival."""
    last: dict[int, tuple[int, ...]] = {}
    for each in sorted(books.passes, key=lambda each: each.serial):
        collector = each.instance if books.rule.collector == COMPETING else 0
        for row in books.members[each.serial]:
            place = (*placing(row), each.serial)
            if place < last.get(collector, place):
                yield f"request {row.request}.{row.attempt} came before {last[collector]} and was batched after it"
            last[collector] = max(place, last.get(collector, place))
    waiting = [row for row in books.admitted() if row.serial == NONE and row.placed_ns != NONE]
    for row in waiting:
        if books.rule.collector != COMPETING and last and placing(row) < last[0][:-1]:
            left_ns = books.left_queue_ns(row)
            closed_ns = max(each.closed_ns for each in books.passes)
            if left_ns > closed_ns:
                yield f"request {row.request}.{row.attempt} was passed over"


def every_attempt_ends_once(books: Books) -> Iterator[str]:
    """Arrived = answered + refused + timed out + abandoned + failed + in flight, per attempt and per request."""
    seen: set[tuple[int, int]] = set()
    last_of: dict[int, Row] = {}
    for row in books.rows:
        name = f"{row.request}.{row.attempt}"
        if (row.request, row.attempt) in seen:
            yield f"{name} has two rows"
        seen.add((row.request, row.attempt))
        last_of[row.request] = row
        if (row.outcome == REFUSED) and (row.serial != NONE or row.reason == 0):
            yield f"{name} is refused, in pass {row.serial}, for reason {row.reason}"
        if row.outcome == ANSWERED and row.returned_ns == NONE:
            yield f"{name} is answered without a pass"
        if (row.outcome == IN_FLIGHT) != (row.delivered_ns == NONE):
            yield f"{name} has outcome {row.outcome} and delivery {row.delivered_ns}"
        if row.attempt > 0 and (row.request, row.attempt - 1) not in seen:
            yield f"{name} has no attempt before it"
    for row in books.rows:
        again = row.outcome == REFUSED and row.attempt + 1 < books.given.traffic.retry.attempts
        if again == (last_of[row.request] is row) and row.outcome != IN_FLIGHT and row.delivered_ns < _end_ns(books):
            yield f"{row.request}.{row.attempt} {'is not' if again else 'is'} sent again"
    arrived = int((books.given.traffic.arrivals_ns < _end_ns(books)).sum())
    if not books.given.traffic.clients and len(last_of) < arrived:
        yield f"{arrived} requests were due, {len(last_of)} have rows"


def _end_ns(books: Books) -> int:
    """Until when the run certainly went."""
    return books.given.measure_to_ns


def queue_cap_holds(books: Books) -> Iterator[str]:
    """At no time do more wait than the cap lets in, and nobody is refused while there is room."""
    cap = books.given.fleet.admission.cap
    full = [row for row in books.rows if row.reason == 1]
    if cap == 0:
        if full:
            yield f"{len(full)} were refused for a full queue without a cap"
        return
    placed = [row for row in books.admitted() if row.placed_ns != NONE]
    stays = [(*placing(row), books.left_queue_ns(row)) for row in placed]
    for row in full:
        waiting = sum(1 for stay in stays if stay[:4] < placing(row) and _still_waits(books, stay, row.enqueued_ns))
        if waiting < cap:
            yield f"request {row.request}.{row.attempt} was refused with {waiting} waiting"
    for stay in stays:
        waiting = sum(1 for other in stays if other[:4] < stay[:4] and _still_waits(books, other, stay[0]))
        if waiting >= cap:
            yield f"request {stay[2]}.{stay[3]} was let in with {waiting} waiting"


def _still_waits(books: Books, stay: tuple[int, int, int, int, int], now_ns: int) -> bool:
    """Hand-overs of an instant come after its admissions, withdrawals before them."""
    left_ns = stay[4]
    handed = left_ns in books.handed_ns.values() and any(
        row.request == stay[2] and row.attempt == stay[3] for rows in books.members.values() for row in rows
    )
    return left_ns >= now_ns if handed else left_ns > now_ns


def time_limits_hold(books: Books) -> Iterator[str]:
    """A 504 comes at the deadline, a hang-up at the client's timeout, and nothing is answered after either."""
    deadline_ns = books.given.fleet.deadline.deadline_ns
    timeout = books.given.traffic.timeout_table
    for row in books.rows:
        name = f"{row.request}.{row.attempt}"
        limit_ns = NEVER if deadline_ns == NEVER or row.enqueued_ns == NONE else row.enqueued_ns + deadline_ns
        if row.outcome == ANSWERED and row.returned_ns > books.seen_by(limit_ns):
            yield f"{name} was answered {row.returned_ns - limit_ns} ns after its deadline"
        if row.outcome == TIMED_OUT and row.answered_ns < limit_ns:
            yield f"{name} timed out before its deadline"
        if timeout is not None and len(timeout) == 1 and row.delivered_ns != NONE:
            patience_ns = row.sent_ns + max(timeout[0], 1)
            if (row.outcome == ABANDONED) != (row.delivered_ns == patience_ns) and row.outcome == ABANDONED:
                yield f"{name} was abandoned at {row.delivered_ns}, its patience ended at {patience_ns}"
            if row.delivered_ns > patience_ns:
                yield f"{name} was delivered after its client had gone"
        withdrawn_ns = {TIMED_OUT: limit_ns, ABANDONED: row.delivered_ns}.get(row.outcome, NEVER)
        if row.closed_ns != NONE and row.closed_ns >= min(withdrawn_ns, limit_ns):
            yield f"{name} was batched after it had ended"
        if timeout is None and row.outcome == ABANDONED:
            yield f"{name} was abandoned by a client that waits for ever"


def moments_in_order(books: Books) -> Iterator[str]:
    """The moments of an attempt follow each other in the order of its path."""
    path = (
        "intended_ns",
        "sent_ns",
        "received_ns",
        "enqueued_ns",
        "placed_ns",
        "closed_ns",
        "started_ns",
        "ended_ns",
        "returned_ns",
    )
    for row in books.rows:
        moments = [getattr(row, column) for column in path if getattr(row, column) != NONE]
        if row.outcome == ANSWERED:
            moments += [row.answered_ns, row.delivered_ns]
        if moments != sorted(moments):
            yield f"{row.request}.{row.attempt}: {moments}"


def instances_run_one_pass(books: Books) -> Iterator[str]:
    """An instance is handed a batch only when it has returned the one before; busy time is the sum of passes."""
    idle_since: dict[int, int] = defaultdict(lambda: books.ready_ns)
    for each in sorted(books.passes, key=lambda each: (each.handed_ns, each.serial)):
        for down in books.downs.get(each.instance, ()):
            if idle_since[each.instance] <= down.to_ns <= each.handed_ns:
                idle_since[each.instance] = down.to_ns
        if each.idle_since_ns != idle_since[each.instance]:
            yield f"pass {each.serial} says idle since {each.idle_since_ns}, not {idle_since[each.instance]}"
        if each.handed_ns < idle_since[each.instance] or each.handed_ns < each.closed_ns:
            yield f"pass {each.serial} was handed over at {each.handed_ns}"
        if not 0 <= each.instance < books.given.fleet.instances:
            yield f"pass {each.serial} ran on instance {each.instance}"
        idle_since[each.instance] = each.returned_ns if each.returned_ns != NONE else NEVER
    slots = books.rule.slots
    for this in books.passes:
        running = sum(
            each.handed_ns <= this.handed_ns < (each.returned_ns if each.returned_ns != NONE else NEVER)
            for each in books.passes
        )
        if running > (slots or NEVER):
            yield f"{running} batches ran at {this.handed_ns}, slots are {slots}"


def passes_last_what_they_cost(books: Books) -> Iterator[str]:
    """A pass lasts what its members cost, on both sides of it lies the turnaround; constant tables only."""
    fleet = books.given.fleet
    if any(len(table) > 1 for table in (fleet.spread_table, fleet.batch_in_table, fleet.results_out_table)):
        return
    cost = fleet.pass_time
    for each in books.passes:
        if each.returned_ns == NONE or each.started_ns == NONE:
            continue  # one that was lost with its instance has no end
        allowed = [size for size in cost.padded[: cost.padded_count] if size >= each.batch_size]
        padded = min(allowed, default=each.batch_size)
        line_ns = cost.base_ns + cost.per_item_ns * padded
        points = list(zip(cost.table_sizes, cost.table_ns, strict=True))[: cost.table_count]
        if points:
            (low, low_ns), (high, high_ns) = points[0], points[-1]
            line_ns = low_ns + (high_ns - low_ns) * (padded - low) // (high - low)
        longest = max(row.size for row in books.members[each.serial])
        spread = fleet.spread_table[0] * factor_of(books, each) // 2**20
        expected_ns = max((line_ns + cost.per_unit_ns * padded * longest) * spread // 2**20, 1)
        if each.ended_ns - each.started_ns != expected_ns:
            yield f"pass {each.serial} lasted {each.ended_ns - each.started_ns}, it costs {expected_ns}"
        yield from _turnaround(books, each)


def _turnaround(books: Books, each: PassRow) -> Iterator[str]:
    """The ways to and from the instance; where the front end is on one, waiting and work are its own law's."""
    fleet, front_end = books.given.fleet, books.given.front_end
    before_ns = each.started_ns - each.handed_ns - fleet.batch_in_table[0]
    after_ns = each.returned_ns - each.ended_ns - fleet.results_out_table[0]
    if before_ns < 0 or (before_ns and not front_end.blocking):
        yield f"pass {each.serial} started {each.started_ns - each.handed_ns} after its hand-over"
    least_ns = 0 if front_end.blocking else front_end.pass_result_table[0]
    if after_ns < least_ns or (after_ns and (front_end.blocking or is_nothing(front_end))):
        yield f"pass {each.serial} returned {each.returned_ns - each.ended_ns} after its end"


def little(books: Books) -> Iterator[str]:
    """L = lambda W: the area under the number inside, counted from the passes, is the time spent, summed over requests.

    Arrivals and withdrawals are counted from the attempts, departures from the passes: two tables must tell one story.
    """
    admitted = [row for row in books.admitted() if books.left_queue_ns(row) != NEVER]
    in_pass = [row for row in admitted if row.serial != NONE and row.returned_ns != NONE]
    withdrawn = [(row, books.left_queue_ns(row)) for row in admitted if row.serial == NONE]
    changes = [(row.enqueued_ns, 1) for row in in_pass] + [(row.enqueued_ns, 1) for row, _ in withdrawn]
    changes += [(left_ns, -1) for _, left_ns in withdrawn]
    changes += [(each.returned_ns, -each.batch_size) for each in books.passes if each.returned_ns != NONE]
    area = inside = last_ns = 0
    for moment_ns, change in sorted(changes):
        area += inside * (moment_ns - last_ns)
        inside, last_ns = inside + change, moment_ns
    spent = sum(row.returned_ns - row.enqueued_ns for row in in_pass)
    spent += sum(left_ns - row.enqueued_ns for row, left_ns in withdrawn)
    if area != spent or inside != 0:
        yield f"the area is {area}, the times add up to {spent}, {inside} are left"


def replicas_serve_while_ready(books: Books) -> Iterator[str]:
    """No request comes to a replica that is not ready, and one that is drained finishes what it holds, then goes."""
    lives = {life.replica: life for life in books.lives}
    for row in books.rows:
        if row.placed_ns == NONE:
            continue
        life = lives[row.replica]
        until_ns = NEVER if life.drained_ns == NONE else life.drained_ns
        if life.ready_ns == NONE or not life.ready_ns <= row.placed_ns < until_ns:
            yield f"{row.request}.{row.attempt} came at {row.placed_ns} to replica {row.replica}, ready {life}"
    for life in books.lives:
        moments = [life.ordered_ns, life.ready_ns, life.drained_ns, life.gone_ns]
        known = [moment for moment in moments if moment != NONE]
        if known != sorted(known) or (life.gone_ns != NONE and life.drained_ns == NONE):
            yield f"replica {life.replica} lives through {moments}"
        left_ns = [
            books.left_queue_ns(row) for row in books.rows if row.placed_ns != NONE and row.replica == life.replica
        ]
        returns_ns = [each.returned_ns for each in books.passes if each.replica == life.replica]
        unfinished = [moment for moment in (*left_ns, *returns_ns) if moment == NONE or moment > life.gone_ns]
        if life.gone_ns != NONE and unfinished:
            yield f"replica {life.replica} is gone at {life.gone_ns} and holds something"


def fleet_is_what_is_wanted(books: Books) -> Iterator[str]:
    """After each change there are as many replicas, ordered and not drained, as are wanted, within the limits."""
    rule = books.given.fleet.autoscaler
    for place, (at_ns, wanted) in enumerate(books.scalings):
        least = 0 if rule.to_zero or rule.formula == 0 else rule.replicas_min
        if place and not least <= wanted <= rule.replicas_max:
            yield f"{wanted} are wanted at {at_ns}"
    yield from as_many_as_are_wanted(books)


def as_many_as_are_wanted(books: Books) -> Iterator[str]:
    """After each change there are as many replicas, ordered and not drained, as are wanted."""
    for place, (at_ns, wanted) in enumerate(books.scalings):
        if place + 1 < len(books.scalings) and books.scalings[place + 1][0] == at_ns:
            continue
        there = sum(life.ordered_ns <= at_ns and not NONE < life.drained_ns <= at_ns for life in books.lives)
        if there != wanted:
            yield f"at {at_ns} there are {there} replicas, and {wanted} are wanted"


def nobody_is_held_beside_a_ready_replica(books: Books) -> Iterator[str]:
    """Where replicas take any number of requests, one waits in front of them only while none is ready."""
    if books.given.fleet.routing.outstanding_max or books.given.fleet.admission.cap:
        return
    for row in books.admitted():
        until_ns = row.placed_ns if row.placed_ns != NONE else books.left_queue_ns(row)
        for life in books.lives:
            begin_ns, end_ns = life.ready_ns, NEVER if life.drained_ns == NONE else life.drained_ns
            if begin_ns != NONE and max(begin_ns, row.enqueued_ns) < min(end_ns, until_ns, _end_ns(books)):
                yield f"{row.request}.{row.attempt} was held until {until_ns} beside replica {life.replica}"


def holding_has_its_limit(books: Books) -> Iterator[str]:
    """Who is refused for want of a replica found as many held as may be."""
    most = books.given.fleet.admission.held_max
    held = [row for row in books.admitted() if row.placed_ns != row.enqueued_ns]
    for row in books.rows:
        if row.reason != NO_REPLICA:
            continue
        before = [other for other in held if placing(other)[1:] < placing(row)[1:]]
        ends_ns = [other.placed_ns if other.placed_ns != NONE else books.left_queue_ns(other) for other in before]
        if sum(end_ns > row.enqueued_ns for end_ns in ends_ns) < most:
            yield f"{row.request}.{row.attempt} was refused with room in front of the fleet"
