"""A dispatcher on a clock of its own whose every call is in a journal: for tests of what writes and reads journals."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from policy.instant import NEVER_NS, UNSET
from policy.orders import OrderKind
from policy.rollout import Command
from policy.versions import WEIGHT_ONE
from reference_server.actions import (
    Answered,
    Arrived,
    Event,
    Failed,
    HungUp,
    Key,
    Log,
    Ordered,
    Ready,
    Respond,
    Returned,
    StartPass,
    StartReplica,
    StopReplica,
    WakeAt,
)
from reference_server.dispatch_loop import SeededDice
from reference_server.dispatcher import Dispatcher
from reference_server.journal import Journal
from reference_server.settings import ServerSettings, VersionSettings
from reference_server.version_shares import ONE_VERSION, VersionRules
from sim.engine.engine_input import FleetInput
from tests.parity.virtual_server import fleet_rules


class Recorded:
    """The dispatcher of some versions' fleets, its clock, and what a shell would know of it."""

    def __init__(self, fleets: Sequence[FleetInput], file: Path, shares: VersionRules = ONE_VERSION) -> None:
        settings = ServerSettings(
            versions=tuple(
                VersionSettings(fleet_rules(fleet), {}, name=f"v{number}")
                for number, fleet in enumerate(fleets, start=1)
            ),
            shares=shares,
            seed=5,
            name="made",
        )
        self.core = Dispatcher(settings.fleets, SeededDice(5), shares)
        self.journal = Journal(file, settings, 0)
        self.now_ns = 0
        self.wake_ns = NEVER_NS
        self.live: list[tuple[int, int]] = []
        self.answering: list[tuple[int, int]] = []
        self.running: dict[tuple[int, int], tuple[Key, ...]] = {}  # members, by replica and instance
        self.down: list[tuple[int, int]] = []
        self.draining = False
        self.instances = [fleet.instances for fleet in fleets]

    def tell(self, *events: Event) -> None:
        """Call the dispatcher now."""
        actions = self.core.handle(events, self.now_ns)
        self.journal.add(self.now_ns, self.draining, events, actions)
        for action in actions:
            match action:
                case StartPass():
                    self.running[action.replica, action.instance] = action.members
                case StartReplica():
                    self.down += [(action.replica, instance) for instance in range(self.instances[action.version])]
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


def record_walk(
    fleets: Sequence[FleetInput],
    file: Path,
    *,
    seed: int,
    steps: int,
    grid_ns: int = 10,
    shares: VersionRules = ONE_VERSION,
) -> None:
    """Write the journal of a random life: arrivals, passes, hang-ups, failures, late timers, many in one instant.

    With several versions there are pins and orders of every kind, the senseless ones too.
    """
    rng = random.Random(seed)
    # The clocks of a live server's autoscaler start with it.
    fleets = [replace(fleet, autoscaler=fleet.autoscaler._replace(phase_ns=0)) for fleet in fleets]
    recorded = Recorded(fleets, file, shares)
    recorded.down = [
        (life.replica, instance)
        for life in recorded.core.lives()
        for instance in range(recorded.instances[life.version])
    ]
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
    versions = len(recorded.instances)
    for attempt in range(rng.choice([0, 0, 1, 1, 2, 3])):
        arrived = Arrived(number, attempt, rng.randint(1, 3))
        if versions > 1:
            pinned = rng.randrange(versions) if rng.random() < 0.1 else UNSET
            arrived = arrived._replace(key_bits=rng.getrandbits(64) - 2**63, pinned=pinned)
        events.append(arrived)
    if versions > 1 and rng.random() < 0.2:
        events += [_any_order(rng, versions) for _ in range(rng.randint(1, 3))]
    if recorded.running and rng.random() < 0.5:
        place = rng.choice(list(recorded.running))
        members = recorded.running.pop(place)
        if rng.random() < 0.2:
            events.append(Failed(*place))
            recorded.down.append(place)
        else:
            failed = tuple(key for key in members if versions > 1 and rng.random() < 0.2)
            events.append(Returned(*place, recorded.now_ns - 3, recorded.now_ns - 1, failed))
    elif recorded.down and rng.random() < 0.6:
        events.append(Ready(*recorded.down.pop()))
    if recorded.live and rng.random() < 0.2:
        events.append(HungUp(*rng.choice(recorded.live)))
    if recorded.answering and rng.random() < 0.7:
        events.append(Answered(*recorded.answering.pop(0)))
    recorded.live += [(event.request, event.attempt) for event in events if isinstance(event, Arrived)]
    rng.shuffle(events)
    return events


def _any_order(rng: random.Random, versions: int) -> Ordered:
    """Return any order."""
    kind = rng.choice(list(OrderKind))
    if kind == OrderKind.ROLLOUT:
        return Ordered(int(kind), UNSET, int(rng.choice(list(Command))))
    return Ordered(int(kind), rng.randrange(versions), rng.choice([0, 500, 5_000, WEIGHT_ONE]))
