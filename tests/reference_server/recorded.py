"""A dispatcher on a clock of its own whose every call is in a journal: for tests of what writes and reads journals."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

from policy.dice import Stream, die
from policy.instant import NEVER_NS
from policy.routing import DIE_ONE
from reference_server.dispatcher import (
    Answered,
    Arrived,
    Dispatcher,
    Event,
    Failed,
    HungUp,
    Log,
    Ready,
    Respond,
    Returned,
    StartPass,
    StartReplica,
    StopReplica,
    WakeAt,
)
from reference_server.journal import Journal
from reference_server.settings import ServerSettings
from sim.engine.engine_input import FleetInput


class Recorded:
    """The dispatcher of a fleet, its clock, and what a shell would know of it."""

    def __init__(self, fleet: FleetInput, file: Path) -> None:
        settings = ServerSettings(
            batching=fleet.batching,
            admission=fleet.admission,
            deadline=fleet.deadline,
            routing=fleet.routing,
            autoscaler=fleet.autoscaler,
            drain=fleet.drain,
            replicas=fleet.replicas,
            instances=fleet.instances,
            seed=5,
            backend_settings={},
            name="made",
        )
        self.core = Dispatcher(settings.fleet, lambda key: die(5, Stream.ROUTE, *key) * DIE_ONE >> 64)
        self.journal = Journal(file, settings, 0)
        self.now_ns = 0
        self.wake_ns = NEVER_NS
        self.live: list[tuple[int, int]] = []
        self.answering: list[tuple[int, int]] = []
        self.running: list[tuple[int, int]] = []  # (replica, instance)
        self.down: list[tuple[int, int]] = []
        self.draining = False
        self.instances = fleet.instances

    def tell(self, *events: Event) -> None:
        """Call the dispatcher now."""
        actions = self.core.handle(events, self.now_ns)
        self.journal.add(self.now_ns, self.draining, events, actions)
        for action in actions:
            match action:
                case StartPass():
                    self.running.append((action.replica, action.instance))
                case StartReplica():
                    self.down += [(action.replica, instance) for instance in range(self.instances)]
                case StopReplica():
                    self.down = [place for place in self.down if place[0] != action.replica]
                case WakeAt():
                    self.wake_ns = action.at_ns
                case Respond():
                    self.answering.append((action.request, action.attempt))
                case Log(row):
                    if (row.request, row.attempt) in self.live:
                        self.live.remove((row.request, row.attempt))
                    if (row.request, row.attempt) in self.answering:
                        self.answering.remove((row.request, row.attempt))

    def wait(self, time_ns: int, late_ns: int) -> None:
        """Let time pass; the timer fires, late, as often as it was asked for."""
        end_ns = self.now_ns + time_ns
        while self.wake_ns <= end_ns:
            self.now_ns = max(self.now_ns, min(self.wake_ns + late_ns, end_ns))
            self.tell()
        self.now_ns = end_ns

    def drain(self) -> None:
        """Take nothing new from now on."""
        self.draining = True
        self.core.drain()
        self.tell()


def record_walk(fleet: FleetInput, file: Path, *, seed: int, steps: int, grid_ns: int = 10) -> None:
    """Write the journal of a random life: arrivals, passes, hang-ups, failures, late timers, many in one instant."""
    rng = random.Random(seed)
    recorded = Recorded(fleet, file)
    recorded.down = list(itertools.product(range(fleet.replicas), range(fleet.instances)))
    recorded.tell(*(Failed(*place) for place in recorded.down))
    for number in range(steps):
        recorded.wait(grid_ns * rng.randrange(4), grid_ns * rng.randrange(2))
        recorded.tell(*_events(recorded, rng, number))
        if number == steps - 5:
            recorded.drain()
    recorded.journal.close()


def _events(recorded: Recorded, rng: random.Random, number: int) -> list[Event]:
    """Return what happens next, in no order that the dispatcher could rely on."""
    events: list[Event] = []
    for attempt in range(rng.choice([0, 0, 1, 1, 2, 3])):
        events.append(Arrived(number, attempt, rng.randint(1, 3)))
    if recorded.running and rng.random() < 0.5:
        place = recorded.running.pop(rng.randrange(len(recorded.running)))
        if rng.random() < 0.2:
            events.append(Failed(*place))
            recorded.down.append(place)
        else:
            events.append(Returned(*place, recorded.now_ns - 3, recorded.now_ns - 1))
    elif recorded.down and rng.random() < 0.6:
        events.append(Ready(*recorded.down.pop()))
    if recorded.live and rng.random() < 0.2:
        events.append(HungUp(*rng.choice(recorded.live)))
    if recorded.answering and rng.random() < 0.7:
        events.append(Answered(*recorded.answering.pop(0)))
    recorded.live += [(event.request, event.attempt) for event in events if isinstance(event, Arrived)]
    rng.shuffle(events)
    return events
