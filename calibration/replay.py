"""Confirms the decisions in a journal: the same events at the same instants, decided by the simulator's fleet.

The server's dispatcher and sim/engine/process_versions.py ask the same policy and share no bookkeeping. So a replay
that agrees shows that a live server, in the order in which things really happened, did what policy says; it cannot show
that policy is right, nor that the server saw in time what there was to be seen.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import zip_longest
from pathlib import Path

from calibration.journal_file import Entry, Instant, JournalFile, read_journal
from policy import autoscaling, deadlines
from policy.batching import Cause
from policy.dice import Stream, die, route_die
from policy.instant import NEVER_NS, UNSET, Change
from policy.journal import FIELDS, Row
from policy.orders import Order, OrderKind, Refusal
from policy.rollout import Action, Phase
from policy.timeline import Outcome, Reason, RolloutMove, Scaling, Share, is_copy
from sim.engine.process_replica import Batch, LiveAttempt
from sim.engine.process_versions import Versions

__all__ = ["REPLAY_VERSION", "ReplayReport", "Tally", "replay", "replay_journal"]

REPLAY_VERSION = "servecast-replay/1"

Key = tuple[int, int]
"""(request, attempt)."""

_S_NS = 10**9
_SHOWN_MEMBERS = 8

_KINDS = {
    Row.ARRIVED: "admissions",  # an arrival's reason: taken, or refused and why
    Row.START_PASS: "batches",  # which requests, to which instance, in that instant
    Row.PASS_OVER: "closings",  # when and why a batch was closed
    Row.RESPOND: "answers",  # who is answered, and how; refusals are admissions
    Row.WAKE_AT: "wake-ups",  # when to be asked again
    Row.SCALE: "scalings",  # how many replicas are wanted, and why
    Row.START_REPLICA: "starts",
    Row.DRAIN_REPLICA: "drains",
    Row.STOP_REPLICA: "stops",
    Row.COPIED: "copies",  # for shadow versions: taken, or refused and why
    Row.DECIDED: "orders",  # carried out, or refused and why
    Row.SHARE: "shares",  # what a version gets
    Row.ROLLOUT: "rollout moves",
}

_DONE_TO_REPLICAS = {
    Row.START_REPLICA: "ordered",
    Row.DRAIN_REPLICA: "drained",
    Row.STOP_REPLICA: "ended",
}

_CHANGES = {
    Row.RETURNED: Change.RETURNED,
    Row.FAILED: Change.RETURNED,
    Row.READY: Change.RETURNED,
    Row.ORDERED: Change.ORDERED,
    Row.HUNG_UP: Change.HANG_UP,
    Row.ARRIVED: Change.ARRIVED,
}


@dataclass
class Tally:
    """Decisions of one kind: how many were recorded, how many of them the replay made too, how many it made besides."""

    recorded: int = 0
    identical: int = 0
    replay_only: int = 0


@dataclass
class ReplayReport:
    """What a replay showed."""

    name: str  # of the scenario
    is_complete: bool = False  # whether the journal ends where its server ended
    instants: int = 0
    span_ns: int = 0
    tallies: dict[str, Tally] = field(default_factory=lambda: {name: Tally() for name in _KINDS.values()})
    first_difference: str | None = None  # a sentence with both sides
    stopped: str | None = None  # why the replay could not go on to the end

    @property
    def decisions(self) -> int:
        """Decisions that were recorded."""
        return sum(tally.recorded for tally in self.tallies.values())

    @property
    def identical(self) -> int:
        """Those of them that the replay made as well."""
        return sum(tally.identical for tally in self.tallies.values())

    @property
    def agrees(self) -> bool:
        """Whether every decision was confirmed."""
        return self.first_difference is None and self.stopped is None

    def to_json(self) -> dict[str, object]:
        """Return the report for machines."""
        return {
            "version": REPLAY_VERSION,
            "name": self.name,
            "complete": self.is_complete,
            "instants": self.instants,
            "span_s": self.span_ns / _S_NS,
            "decisions": self.decisions,
            "identical": self.identical,
            "kinds": {
                name: {"recorded": tally.recorded, "identical": tally.identical, "replay_only": tally.replay_only}
                for name, tally in self.tallies.items()
            },
            "first_difference": self.first_difference,
            "stopped": self.stopped,
        }


class _CannotGoOnError(Exception):
    """An event does not fit what the replay holds: the two sides are too far apart."""


def replay(path: Path) -> ReplayReport:
    """Replay the journal in a file. Raises BadSamples if it is none."""
    return replay_journal(read_journal(path))


def replay_journal(journal: JournalFile) -> ReplayReport:
    """Replay a journal. Raises BadSamples where its rows are damaged."""
    report = ReplayReport(journal.name)
    driver: _Driver | None = _Driver(journal)
    begin_ns = None
    for instant in journal.instants():
        begin_ns = instant.now_ns if begin_ns is None else begin_ns
        report.instants += 1
        report.span_ns = instant.now_ns - begin_ns
        recorded = _recorded(instant)
        replayed: list[Entry] | None = None
        if driver is not None:
            try:
                replayed = driver.play(instant)
            except _CannotGoOnError as problem:
                report.stopped = f"{_moment(report.span_ns)}: {problem}; nothing behind it could be compared."
                driver = None
        _compare(report, recorded, replayed)
    report.is_complete = journal.is_complete
    return report


class _Driver:
    """The versions and fleets of the simulator, told what the dispatcher was told."""

    def __init__(self, journal: JournalFile) -> None:
        self._fleets = journal.fleets
        self._seed = journal.seed
        self._decided: list[Entry] = []
        self._live: dict[Key, LiveAttempt] = {}  # without an outcome yet
        self._expiring: list[tuple[int, Key, LiveAttempt]] = []  # a heap by the moment at which each is given up
        self._running: dict[Key, Batch] = {}  # by replica and instance
        self._is_first = True  # a run begins with a decision
        self._now_ns = journal.started_ns
        self._versions = Versions(journal.versions, journal.fleets, self, journal.started_ns)

    def play(self, instant: Instant) -> list[Entry]:
        """Take in the changes of an instant in the order of the law, decide, and return what was decided."""
        self._decided = []
        now_ns = self._now_ns = instant.now_ns
        changes = [
            (_CHANGES[event.kind], *((0, 0) if event.kind == Row.ORDERED else _keys(event)), event)
            for event in instant.events
            if event.kind in _CHANGES
        ]
        is_occasion = not instant.events or any(self._is_occasion(event) for event in instant.events)
        for attempt in self._expired(now_ns) if is_occasion else ():
            key = attempt.request, attempt.attempt
            changes.append((Change.DEADLINE, *key, Entry(Row.RESPOND, (*key, Outcome.TIMED_OUT, Reason.NONE))))
        changes.sort(key=lambda change: change[:3])
        arrivals = [event for change, *_, event in changes if change == Change.ARRIVED]
        for change, *_, event in changes:
            if change != Change.ARRIVED:
                self._take_in(change, event, now_ns)
        if is_occasion or self._is_first:
            self._is_first = False
            if instant.draining:
                self._versions.drain()
            ask_again_ns = self._versions.decide([self._arrived(event) for event in arrivals], now_ns)
            self._decided.append(Entry(Row.WAKE_AT, (min(ask_again_ns, self._next_deadline_ns()),)))
        return self._decided

    def _is_occasion(self, event: Entry) -> bool:
        """Return whether an event makes the dispatcher look at all; one about an attempt with an outcome does not."""
        return event.kind != Row.ANSWERED and (event.kind != Row.HUNG_UP or _keys(event) in self._live)

    # What the fleet reports

    def roll_route(self, attempt: LiveAttempt) -> int:
        """Return the die that the server had."""
        return route_die(self._seed, attempt.request, attempt.attempt)

    def roll_copy(self, attempt: LiveAttempt, version: int) -> int:
        """Return the die that the server had."""
        return die(self._seed, Stream.COPY, attempt.request, version)

    def admission_decided(self, attempt: LiveAttempt, reason: Reason) -> None:
        """Note an arrival or a copy that was taken or refused."""
        key = attempt.request, attempt.attempt
        self._decided.append(Entry(Row.COPIED if is_copy(attempt.attempt) else Row.ARRIVED, (*key, reason)))
        if reason != Reason.NONE:
            self._versions.end(attempt, Outcome.REFUSED, self._now_ns)
            return
        self._live[key] = attempt
        due_ns = deadlines.due_ns(self._fleets[attempt.version].deadline, attempt.enqueued_ns)
        if due_ns != NEVER_NS:
            heapq.heappush(self._expiring, (due_ns, key, attempt))

    def pass_started(self, batch: Batch) -> None:
        """Note that a batch was handed over."""
        self._running[batch.replica, batch.instance] = batch
        members = (number for member in batch.members for number in (member.request, member.attempt))
        self._decided.append(Entry(Row.START_PASS, (batch.serial, batch.replica, batch.instance, *members)))

    def replica_ordered(self, version: int, serial: int) -> None:
        """Note an order."""
        self._decided.append(Entry(Row.START_REPLICA, (serial, version)))

    def replica_drained(self, serial: int) -> None:
        """Note that a replica takes nothing new."""
        self._decided.append(Entry(Row.DRAIN_REPLICA, (serial,)))

    def replica_gone(self, serial: int) -> None:
        """Note an end."""
        self._decided.append(Entry(Row.STOP_REPLICA, (serial,)))

    def scaled(self, scaling: Scaling) -> None:
        """Note that another number of replicas is wanted."""
        self._decided.append(Entry(Row.SCALE, scaling[1:]))

    def order_decided(self, order: Order, refusal: Refusal) -> None:
        """Note an operator's order that was carried out or refused."""
        self._decided.append(Entry(Row.DECIDED, (*order, refusal)))

    def shared(self, share: Share) -> None:
        """Note that a version gets another share."""
        self._decided.append(Entry(Row.SHARE, share[1:]))

    def moved(self, move: RolloutMove) -> None:
        """Note what the rollout did."""
        self._decided.append(Entry(Row.ROLLOUT, move[1:]))

    # Changes

    def _take_in(self, change: Change, event: Entry, now_ns: int) -> None:
        if event.kind == Row.ORDERED:
            self._versions.order(Order(*event.fields))
            return
        place = _keys(event)
        if event.kind == Row.RETURNED:
            batch = self._running.pop(place, None)
            if batch is None:
                raise _CannotGoOnError(f"{_instance(place)} returned a pass which the replay did not start")
            self._versions.take_back(batch, now_ns)
            numbers = event.fields[len(FIELDS[Row.RETURNED]) :]
            self._end_pass(batch, set(zip(numbers[::2], numbers[1::2], strict=True)))
        elif event.kind == Row.FAILED:
            self._running.pop(place, None)
            lost = self._versions.break_down(*place, now_ns)
            if lost is not None:
                self._end_pass(lost, {(member.request, member.attempt) for member in lost.members})
        elif event.kind == Row.READY:
            self._versions.become_ready(*place, now_ns)
        else:
            attempt = self._live.pop(place, None)
            if attempt is not None:  # else its end is known already
                self._versions.withdraw(attempt)
                self._end(attempt, Outcome.TIMED_OUT if change == Change.DEADLINE else Outcome.ABANDONED)

    def _end(self, attempt: LiveAttempt, outcome: Outcome) -> None:
        """Note how an attempt ends; nobody is answered who has gone, or who never waited."""
        self._versions.end(attempt, outcome, self._now_ns)
        if outcome != Outcome.ABANDONED and not is_copy(attempt.attempt):
            self._decided.append(Entry(Row.RESPOND, (attempt.request, attempt.attempt, outcome, Reason.NONE)))

    def _end_pass(self, batch: Batch, failed: set[Key]) -> None:
        closed = batch.idle_since_ns, batch.closed_ns, batch.handed_ns
        self._decided.append(Entry(Row.PASS_OVER, (batch.serial, len(batch.members), batch.cause, *closed)))
        for member in batch.members:
            key = member.request, member.attempt
            if self._live.get(key) is member:
                del self._live[key]
                self._end(member, Outcome.FAILED if key in failed else Outcome.ANSWERED)

    def _arrived(self, event: Entry) -> LiveAttempt:
        """Return the attempt that arrived."""
        request, number, size, key_bits, pinned = event.fields
        if (request, number) in self._live:
            raise _CannotGoOnError(f"attempt {request}.{number} arrived while it was still without an answer")
        unset = UNSET, UNSET, UNSET
        return LiveAttempt(request, number, size, *unset, NEVER_NS, worker=0, key_bits=key_bits, pinned=pinned)

    def _expired(self, now_ns: int) -> Iterable[LiveAttempt]:
        while self._next_deadline_ns() <= now_ns:
            yield heapq.heappop(self._expiring)[2]

    def _next_deadline_ns(self) -> int:
        """Return when the next attempt without an outcome is given up, NEVER_NS without one."""
        while self._expiring:
            due_ns, key, attempt = self._expiring[0]
            if self._live.get(key) is attempt:
                return due_ns
            heapq.heappop(self._expiring)
        return NEVER_NS


def _recorded(instant: Instant) -> list[Entry]:
    """Return the decisions of an instant in the form in which the driver makes them."""
    decisions: list[Entry] = []
    refused: dict[Key, int] = {}
    for entry in instant.decisions:
        if entry.kind == Row.RESPOND and entry.fields[2] == Outcome.REFUSED:
            refused[_keys(entry)] = entry.fields[3]
        else:
            decisions.append(entry)
    for key in sorted(_keys(event) for event in instant.events if event.kind == Row.ARRIVED):
        decisions.append(Entry(Row.ARRIVED, (*key, refused.pop(key, int(Reason.NONE)))))
    # A refusal without an arrival: no replay decides that.
    decisions += [Entry(Row.ARRIVED, (*key, reason)) for key, reason in refused.items()]
    return decisions


def _keys(entry: Entry) -> Key:
    """Return the two keys by which changes of one kind are ordered within an instant."""
    return entry.fields[0], entry.fields[1]


def _instance(place: Key) -> str:
    return f"instance {place[1]} of replica {place[0]}"


def _compare(report: ReplayReport, recorded: Sequence[Entry], replayed: Sequence[Entry] | None) -> None:
    """Count the decisions of an instant by kind; `replayed` None says that there is nothing to compare them with."""
    for kind, name in _KINDS.items():
        ours = [entry for entry in recorded if entry.kind == kind]
        theirs = [] if replayed is None else [entry for entry in replayed if entry.kind == kind]
        tally = report.tallies[name]
        tally.recorded += len(ours)
        tally.replay_only += max(len(theirs) - len(ours), 0)
        if ours == theirs:
            tally.identical += len(ours)
            continue
        for our, their in zip_longest(ours, theirs):
            if our == their:
                tally.identical += 1
            elif replayed is not None and report.first_difference is None:
                report.first_difference = (
                    f"{_moment(report.span_ns)}: the server {_in_words(our)}, and the replay {_in_words(their)}."
                )


def _moment(span_ns: int) -> str:
    return f"{span_ns / _S_NS:.9f} s behind the start"


def _in_words(entry: Entry | None) -> str:
    """Return a decision as the end of a sentence that began with who decided."""
    if entry is None:
        return "did nothing of the kind"
    fields = entry.fields
    if entry.kind == Row.ARRIVED:
        reason = fields[2]
        verdict = "took" if reason == Reason.NONE else f"refused ({_name(Reason, reason)})"
        return f"{verdict} attempt {fields[0]}.{fields[1]}"
    if entry.kind == Row.START_PASS:
        members = [f"{request}.{number}" for request, number in zip(fields[3::2], fields[4::2], strict=True)]
        more = ", ..." if len(members) > _SHOWN_MEMBERS else ""
        shown = ", ".join(members[:_SHOWN_MEMBERS]) + more
        return f"handed batch {fields[0]} of {len(members)} ({shown}) to {_instance((fields[1], fields[2]))}"
    if entry.kind == Row.RESPOND:
        return f"ended attempt {fields[0]}.{fields[1]} as {_name(Outcome, fields[2])}"
    if entry.kind == Row.WAKE_AT:
        return "asked for no wake-up" if fields[0] == NEVER_NS else f"asked for a wake-up at {fields[0]} ns"
    if entry.kind == Row.SCALE:
        return f"wanted {fields[1]} replicas of version {fields[0]} ({_name(autoscaling.Cause, fields[2])})"
    if entry.kind == Row.COPIED:
        verdict = "took" if fields[2] == Reason.NONE else f"refused ({_name(Reason, fields[2])})"
        return f"{verdict} copy {fields[0]}.{fields[1]}"
    if entry.kind == Row.DECIDED:
        return (
            f"answered an order ({_name(OrderKind, fields[0])}, {fields[1]}, {fields[2]}): {_name(Refusal, fields[3])}"
        )
    if entry.kind == Row.SHARE:
        return f"gave version {fields[0]} the weight {fields[1]} and copies of {fields[2]}, of 10000 each"
    if entry.kind == Row.ROLLOUT:
        return f"moved the rollout ({_name(Action, fields[0])}, {_name(Phase, fields[2])}, step {fields[3]})"
    if entry.kind in _DONE_TO_REPLICAS:
        return f"{_DONE_TO_REPLICAS[entry.kind]} replica {fields[0]}"
    named = dict(zip(FIELDS[Row.PASS_OVER], fields, strict=True))
    cause = _name(Cause, named.pop("cause"))
    times = ", ".join(f"{name} {value}" for name, value in list(named.items())[2:])
    return f"had closed batch {named['serial']} of {named['size']} because of {cause} ({times})"


def _name(names: type[IntEnum], value: int) -> str:
    """Return the name of a value, or its number where it has none."""
    return next((member.name.lower() for member in names if member == value), str(value))
