"""A server's life in steps, on a virtual clock: for tests that decide what happens next while it goes on.

It is the virtual server of tests/parity with a clock that its driver moves, a witness beside it, and a journal.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from calibration.journal_file import JournalFile
from calibration.replay import ReplayReport, replay_journal
from policy.dice import signed
from policy.instant import UNSET
from policy.journal import Row
from policy.orders import Order
from reference_server.actions import (
    Action,
    Answered,
    Arrived,
    Event,
    Failed,
    HungUp,
    Ordered,
    Ready,
    Respond,
    Returned,
    WakeAt,
)
from reference_server.journal import Journal
from sim.engine.engine_input import EngineInput, OrderAt
from tests.laws.witness import Witness
from tests.parity.virtual_server import Key, VirtualServer

__all__ = ["Life"]

Place = tuple[int, int]
"""Replica and instance."""


class Life(VirtualServer):
    """A server to which its driver does something now and then.

    Every instant before `clock_ns` has been played, and whatever is done happens at `clock_ns`: several things that are
    done without a wait in between happen in one instant, together with what is due then anyway.
    """

    def __init__(self, given: EngineInput) -> None:
        super().__init__(given)
        self.clock_ns = 0
        self.sent_at: list[int] = []
        self.sizes: list[int] = []
        self.orders: list[OrderAt] = []
        self.down: dict[Place, int] = {}  # since when, of instances that broke down
        self.witness = Witness(given)
        self.journal = _Kept()
        self._answered: set[Key] = set()
        self._events: list[Event] = []
        self._actions: list[Action] = []

    # What a driver may do

    def wait(self, time_ns: int) -> None:
        """Let time pass."""
        self.clock_ns += time_ns
        self.play_before(self.clock_ns)

    def wait_for_what_comes_next(self) -> None:
        """Go to the next moment at which something happens by itself."""
        self.clock_ns = max(self.clock_ns, self.calendar[0]) if self.calendar else self.clock_ns

    def send_one(self, size: int) -> None:
        """Let a request be sent."""
        self.send((len(self.sent_at), 0), size, self.clock_ns, self.clock_ns)
        self.sent_at.append(self.clock_ns)
        self.sizes.append(size)

    def order(self, order: Order) -> None:
        """Let an operator order something."""
        self.at(self.clock_ns).at_server.append(Ordered(*order))
        self.orders.append(OrderAt(self.clock_ns, order))

    def break_down(self, place: Place) -> None:
        """Let an instance break down, with what it runs."""
        for due in self.due.values():
            due.results = [ended for ended in due.results if (ended.replica, ended.instance) != place]
            due.at_server = [event for event in due.at_server if not _is_return_of(event, place)]
        self.at(self.clock_ns).at_server.append(Failed(*place))
        self.down[place] = self.clock_ns

    def come_back(self, place: Place) -> None:
        """Let an instance that broke down take batches again."""
        del self.down[place]
        self.at(self.clock_ns).at_server.append(Ready(*place))

    def hang_up(self, key: Key) -> None:
        """Let a client that waits leave."""
        self.clients[key].hang_up_ns = self.clock_ns
        self.at(self.clock_ns).hang_up.append(key)

    def stop(self) -> None:
        """Let the server take nothing new from now on."""
        self.core.drain()
        self.witness.draining = True

    def finish(self, within_ns: int) -> None:
        """Give the server the time to do what it has taken, then let the witness look back."""
        end_ns = self.clock_ns + within_ns
        while self.clock_ns < end_ns and not self._has_done_what_it_can():
            self.wait(100)
        self.witness.look_back(self._may_wait())

    def _has_done_what_it_can(self) -> bool:
        """Whether nobody is on his way, and who is left is held where he may be for ever."""
        may_wait, was_sent = self._may_wait(), self.sent_at[-1:] < [self.clock_ns - 1_000]
        return was_sent and len(self.witness.open) <= may_wait and sum(map(self.in_flight, self.clients)) <= may_wait

    def _may_wait(self) -> int:
        """Count what is held where a poll that sees no load fetches nothing back: that is a setting, and no loss."""
        rules = [fleet.autoscaler for fleet in self.given.fleets]
        polled = [bool(rule.to_zero and rule.activation) for rule in rules]
        return sum(pool.held for pool, is_polled in zip(self.core.pools, polled, strict=True) if is_polled)

    # What it may look at

    def up(self) -> list[Place]:
        """Return the instances that may break down: all that could take a batch or run one."""
        return [
            (serial, instance)
            for serial, seen in self.witness.replicas.items()
            for instance in sorted(seen.up)
            if seen.ready_ns != UNSET and seen.gone_ns == UNSET and (serial, instance) not in self.down
        ]

    def is_running(self, place: Place) -> bool:
        """Return whether an instance runs a pass."""
        return place[1] in self.witness.replicas[place[0]].running

    def may_come_back(self) -> list[Place]:
        """Return the instances that broke down before this instant, on replicas that are not gone."""
        gone_ns = {serial: seen.gone_ns for serial, seen in self.witness.replicas.items()}
        return [place for place, since in self.down.items() if gone_ns[place[0]] == UNSET and since < self.clock_ns]

    def waiting_clients(self) -> list[Key]:
        """Return the attempts that the core has taken in and nobody has answered."""
        return sorted(key for key in self.unanswered if self.clients[key].hang_up_ns > self.clock_ns)

    # What it leaves behind

    def as_input(self) -> EngineInput:
        """Return all that was done as the input of an engine, which is to run to the clock and no further."""
        arrivals, sizes = np.array(self.sent_at, dtype=np.int64), np.array(self.sizes, dtype=np.int64)
        return replace(
            self.given,
            traffic=replace(self.given.traffic, arrivals_ns=arrivals, sizes=sizes),
            versions=replace(self.given.versions, orders=tuple(self.orders)),
            measure_to_ns=self.clock_ns,
            stop_ns=self.clock_ns + 1,
        )

    def replayed(self) -> ReplayReport:
        """Return what the simulator's bookkeeping makes of everything that this core was told."""
        rows = array("q", [*self.journal.rows, int(Row.END)])
        given = self.given
        return replay_journal(JournalFile(Path(), "life", 0, given.seed, given.fleets, given.versions, rows))

    # Hooks

    def instant(self) -> None:
        self._events, self._actions = [], []
        super().instant()
        arrived = [event for event in self._events if isinstance(event, Arrived)]
        if any(isinstance(action, WakeAt) for action in self._actions):
            self.journal.add(self.now, self.witness.draining, list(map(_signed, self._events)), self._actions)
        else:
            assert not arrived, "an arrival is decided in its instant"
        self.witness.see(self.now, self._events, self._actions)

    def take_in(self, events: Sequence[Event]) -> None:
        self._events += filter(self._matters, events)
        super().take_in(events)

    def carry_out(self, actions: list[Action]) -> None:
        self._actions += actions
        # A second answer is the witness's to judge; clients have no use for it.
        super().carry_out([each for each in actions if not isinstance(each, Respond) or self._first_answer(each)])

    def _first_answer(self, action: Respond) -> bool:
        key = action.request, action.attempt
        is_first = key in self.unanswered and key not in self._answered
        self._answered.add(key)
        return is_first

    def _matters(self, event: Event) -> bool:
        """Return whether decisions may depend on an event: not on the end of an answer, nor on who leaves meanwhile."""
        if not isinstance(event, HungUp):
            return not isinstance(event, Answered)
        key = event.request, event.attempt
        return key in self.witness.open and key not in self._answered


class _Kept(Journal):
    """The server's journal, kept in memory: a file's first line takes no autoscaler that ticks every 40 ns."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self._fields = self.rows

    def _write(self) -> None:
        """Keep everything."""


def _is_return_of(event: Event, place: Place) -> bool:
    return isinstance(event, Returned) and (event.replica, event.instance) == place


def _signed(event: Event) -> Event:
    """Return an arrival's bits as a row holds them."""
    return event._replace(key_bits=signed(event.key_bits)) if isinstance(event, Arrived) else event
