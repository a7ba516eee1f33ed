"""A witness of a dispatcher's life: it sees what the core was told and what it wants done, instant by instant.

Like the audit it does not import policy. The audit judges a finished timeline; the witness judges what is done while it
is done, also where instances break down and clients leave as they please. `breaches` has one sentence for each breach
of a law, beginning with the name of the law.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from reference_server.actions import (
    Action,
    Arrived,
    Copied,
    Decided,
    DrainReplica,
    Event,
    Failed,
    HungUp,
    Key,
    Log,
    LogReplica,
    LogRollout,
    LogScaling,
    LogShare,
    Ready,
    Respond,
    Returned,
    StartPass,
    StartReplica,
    StopReplica,
)
from sim.engine.engine_input import EngineInput
from sim.engine.version_keys import pinned_to, user_of

__all__ = ["Witness"]

NONE = -1
ALL = 10_000  # parts of a weight
COPIES_FROM = 2**40
ABANDONED = 4
NOT_LOADED = 4  # reason of a refusal
START, RETRY = 0, 6  # commands that load the canary
COMMAND, DEPLOY, RETIRE = 0, 3, 4  # kinds of orders


@dataclass
class Seen:
    """A replica as far as it was seen."""

    version: int
    up: set[int] = field(default_factory=set)  # instances that can take a batch or run one
    ever_up: set[int] = field(default_factory=set)
    ready_ns: int = NONE
    drained_ns: int = NONE
    gone_ns: int = NONE
    running: dict[int, tuple[Key, ...]] = field(default_factory=dict)  # by instance


@dataclass
class Asked:
    """An attempt or a copy from its arrival to its row."""

    arrived_ns: int
    pinned: int
    who: str  # its version is chosen by: a user, or the request itself
    is_late: bool  # it came when the server was stopping
    weights: tuple[int, ...] = ()  # that it met
    loaded: tuple[bool, ...] = ()
    version: int = NONE  # by the pass that it was in
    passes: int = 0
    answers: int = 0
    ended_ns: int = NONE  # answered, or its client had gone


class Witness:
    """What is known of a server from its settings, what it was told and what it did."""

    def __init__(self, given: EngineInput) -> None:
        self.given = given
        self.breaches: list[str] = []
        self.now_ns = 0
        self.draining = False
        versions, count = given.versions, len(given.fleets)
        self.weights = list(versions.weights.weights[:count])
        self.shadows = [*versions.shadows, *[0] * count][:count]
        self.loaded = [fleet.loaded for fleet in given.fleets]
        self.wanted = [fleet.replicas if fleet.loaded else 0 for fleet in given.fleets]
        self.replicas: dict[int, Seen] = {}
        for version, fleet in enumerate(given.fleets):
            instances = set(range(fleet.instances))
            for _ in range(self.wanted[version]):
                seen = Seen(version, set(instances), set(instances), ready_ns=0)
                self.replicas[len(self.replicas)] = seen
        self.open: dict[Key, Asked] = {}
        self.over: set[Key] = set()
        self.seen: dict[str, int] = {}  # how often what happened, to know what a test has met
        self._rollout_weight = 0
        self._chosen: dict[tuple[str, tuple[int, ...]], int] = {}
        self._with_canary: dict[str, int] = {}  # the least weight at which somebody was the canary's
        self._without: dict[str, int] = {}  # the largest at which somebody was not

    def breach(self, law: str, what: str) -> None:
        self.breaches.append(f"{law}: at {self.now_ns}: {what}")

    def count(self, what: str) -> None:
        self.seen[what] = self.seen.get(what, 0) + 1

    def see(self, now_ns: int, events: Sequence[Event], actions: Sequence[Action]) -> None:
        """Judge one instant."""
        self.now_ns = now_ns
        arrived = [key for event in events for key in self._told(event)]
        for action in actions:
            self._done(action)
        for key in arrived:
            if key in self.open:
                self.open[key].weights, self.open[key].loaded = tuple(self.weights), tuple(self.loaded)
        for action in actions:
            if isinstance(action, Log):
                self._log(action)
        self._look_at_versions()

    # What the core was told

    def _told(self, event: Event) -> Iterator[Key]:
        """Take in an event; yield the key of an arrival."""
        match event:
            case Arrived(request, attempt):
                key = request, attempt
                assert key not in self.open, "whoever drives the core sends nothing twice"
                versions, seed = self.given.versions, self.given.seed
                who = user_of(versions, seed, request)
                name = f"request {request}" if who is None else f"user {who}"
                self.open[key] = Asked(self.now_ns, pinned_to(versions, seed, request), name, self.draining)
                yield key
            case HungUp(request, attempt):
                asked = self.open.get((request, attempt))
                if asked is not None and asked.ended_ns == NONE:
                    asked.ended_ns = self.now_ns
                    self.count("hang-ups")
            case Returned(replica, instance) | Failed(replica, instance):
                lost = self.replicas[replica].running.pop(instance, None)
                if isinstance(event, Failed):
                    self.replicas[replica].up.discard(instance)
                    self.count("lost passes" if lost else "broken instances")
            case Ready(replica, instance):
                self._become_ready(self.replicas[replica], instance)

    def _become_ready(self, seen: Seen, instance: int) -> None:
        if seen.gone_ns != NONE:
            return  # it was called off
        seen.up.add(instance)
        seen.ever_up.add(instance)
        if seen.ready_ns == NONE and len(seen.ever_up) == self.given.fleets[seen.version].instances:
            seen.ready_ns = self.now_ns

    # What it wants done

    def _done(self, action: Action) -> None:
        match action:
            case StartPass():
                self._start(action)
            case Respond(request, attempt):
                self._respond((request, attempt))
            case Copied():
                self._copied(action)
            case Decided():
                self._decided(action)
            case LogShare(row):
                self.weights[row.version], self.shadows[row.version] = row.weight, row.shadow
                self.count("shares")
            case LogScaling(row):
                self.wanted[row.version] = row.wanted
                self.count("scalings")
            case LogRollout(row):
                self._moved(row.weight)
            case StartReplica(replica, version):
                if replica != len(self.replicas):
                    self.breach("serials_are_used_once", f"replica {replica} behind {len(self.replicas) - 1}")
                self.replicas[replica] = Seen(version)
            case DrainReplica(replica):
                if self.replicas[replica].drained_ns != NONE:
                    self.breach("drained_replicas_finish", f"replica {replica} is drained again")
                self.replicas[replica].drained_ns = self.now_ns
                self.count("drains")
            case StopReplica(replica):
                self._stop(replica)
            case LogReplica(row):
                seen = self.replicas[row.replica]
                if (row.ready_ns, row.drained_ns, row.gone_ns) != (seen.ready_ns, seen.drained_ns, seen.gone_ns):
                    self.breach("drained_replicas_finish", f"{row} was {seen}")

    def _start(self, action: StartPass) -> None:
        """A batch goes to an instance that is there and idle, of the version that its members came to, once."""
        name = f"pass {action.serial} to instance {action.instance} of replica {action.replica}"
        seen = self.replicas.get(action.replica)
        if seen is None or seen.ready_ns == NONE or seen.gone_ns != NONE:
            self.breach("passes_go_to_ready_replicas", f"{name}: {seen}")
            return
        if action.instance not in seen.up or action.instance in seen.running:
            self.breach("passes_go_to_idle_instances", f"{name}: {seen}")
        for key in action.members:
            asked = self.open.get(key)
            if asked is None or asked.passes:
                self.breach("each_is_served_once", f"{name} carries {key}: {asked}")
                continue
            asked.passes += 1
            asked.version = seen.version
            named = key[1] // COPIES_FROM - 1 if key[1] >= COPIES_FROM else asked.pinned
            if named not in (NONE, seen.version):
                self.breach("each_comes_to_its_version", f"{name} of version {seen.version} carries {key} for {named}")
            if seen.drained_ns != NONE and asked.arrived_ns >= seen.drained_ns:
                self.breach("drained_replicas_take_nothing", f"{name}: {key} came behind the draining, {seen}")
        seen.running[action.instance] = action.members
        self.count("passes")

    def _respond(self, key: Key) -> None:
        """Who waits is answered, once."""
        asked = self.open.get(key)
        if asked is None or asked.answers or (asked.ended_ns != NONE and asked.ended_ns < self.now_ns):
            self.breach("each_is_answered_once", f"{key} is answered, it was {asked}")
            return
        asked.answers += 1
        asked.ended_ns = self.now_ns

    def _copied(self, action: Copied) -> None:
        version = action.attempt // COPIES_FROM - 1
        if self.shadows[version] == 0 or not self.loaded[version] or self.draining:
            self.breach("copies_go_to_shadows", f"version {version} gets one of {action.request}")
        self.open[action.request, action.attempt] = Asked(self.now_ns, version, "", self.draining)
        self.count("copies")

    def _decided(self, action: Decided) -> None:
        """Orders load and unload; nobody unloads what is in use."""
        kind, version, value, refusal = action
        self.count("orders refused" if refusal else f"orders of kind {kind}")
        if refusal:
            return
        if kind == RETIRE and (self.weights[version] or self.shadows[version]):
            share = self.weights[version], self.shadows[version]
            self.breach("what_is_in_use_stays", f"version {version} is retired with {share}")
        if kind in (DEPLOY, RETIRE):
            self.loaded[version] = kind == DEPLOY
        elif kind == COMMAND and value in (START, RETRY):
            self.loaded[self.given.versions.weights.canary] = True

    def _moved(self, weight: int) -> None:
        """A rollout gives its canary more only when enough replicas of both versions are ready."""
        rule, sides = self.given.versions.rollout, self.given.versions.weights
        self.count("rollout moves")
        if rule is None:
            self.breach("rollouts_wait_for_replicas", "there is no rollout")
        elif weight > self._rollout_weight:
            for version in (sides.canary, sides.stable):
                ready = sum(seen.drained_ns == NONE != seen.ready_ns for seen in self.of(version))
                if ready * ALL < self.wanted[version] * rule.ready_share:
                    self.breach("rollouts_wait_for_replicas", f"version {version} has {ready} and gets {weight}")
        self._rollout_weight = weight

    def _stop(self, replica: int) -> None:
        seen = self.replicas[replica]
        if seen.drained_ns == NONE or seen.gone_ns != NONE or seen.running:
            self.breach("drained_replicas_finish", f"replica {replica} is gone: {seen}")
        seen.gone_ns = self.now_ns

    # Rows

    def _log(self, action: Log) -> None:
        """Judge an attempt or a copy that is over."""
        row, key = action.row, (action.row.request, action.row.attempt)
        asked = self.open.pop(key, None)
        if asked is None or row.enqueued_ns != asked.arrived_ns:
            self.breach("each_is_logged_once", f"{row}: {asked}")
            return
        self.over.add(key)
        is_copy = key[1] >= COPIES_FROM
        if not is_copy and asked.ended_ns == NONE:
            self.breach("each_is_answered_once", f"{key} is over and was not answered: {row}")
        if asked.passes and asked.version != row.version:
            self.breach("each_comes_to_its_version", f"{row} was in a pass of version {asked.version}")
        if asked.is_late and row.placed_ns != NONE:
            self.breach("a_stopping_server_takes_nothing", f"{row}")
        self._placed(row.replica, row.version, row.placed_ns, max(row.returned_ns, asked.ended_ns), key)
        if not is_copy:
            self._chose(asked, row.version, row.reason, key)

    def _placed(self, replica: int, version: int, placed_ns: int, left_ns: int, key: Key) -> None:
        """Requests come to replicas that are ready and not drained, and have left before these are gone."""
        if placed_ns == NONE:
            return
        seen = self.replicas[replica]
        if seen.version != version:
            self.breach("each_comes_to_its_version", f"{key} of {version} came to replica {replica}: {seen}")
        if seen.ready_ns == NONE or placed_ns < seen.ready_ns:
            self.breach("requests_come_to_ready_replicas", f"{key} came at {placed_ns}: {seen}")
        if seen.drained_ns != NONE and placed_ns >= seen.drained_ns:
            self.breach("drained_replicas_take_nothing", f"{key} came at {placed_ns}: {seen}")
        if seen.gone_ns != NONE and left_ns > seen.gone_ns:
            self.breach("drained_replicas_finish", f"{key} was there until {left_ns}: {seen}")

    def _chose(self, asked: Asked, version: int, reason: int, key: Key) -> None:
        """Pins win; else the weights say who goes where, the same for the same, and a canary that grows keeps its own.

        That nobody leaves a canary is put so: whom it has at one weight, it has at every larger one, whatever became of
        the weights in between.
        """
        if version == NONE:
            if reason != NOT_LOADED or asked.pinned == NONE or asked.loaded[asked.pinned]:
                self.breach("each_comes_to_its_version", f"{key} came to none for {reason}: {asked}")
            return
        if asked.pinned != NONE:
            if version != asked.pinned:
                self.breach("pins_win", f"{key} came to {version}: {asked}")
            self.count("pinned")
            return
        if asked.weights[version] == 0:
            self.breach("nothing_comes_without_weight", f"{key} came to {version}: {asked}")
        if self._chosen.setdefault((asked.who, asked.weights), version) != version:
            self.breach("users_stay_while_weights_do", f"{key} came to {version}: {asked}")
        canary = self.given.versions.weights.canary
        weight, who = asked.weights[canary], asked.who
        if version == canary:
            self._with_canary[who] = min(self._with_canary.get(who, ALL), weight)
        else:
            self._without[who] = max(self._without.get(who, NONE), weight)
        if self._without.get(who, NONE) >= self._with_canary.get(who, ALL + 1):
            self.breach("nobody_leaves_a_canary_that_grows", f"{key} came to {version}: {asked}")

    # Versions

    def of(self, version: int) -> list[Seen]:
        return [seen for seen in self.replicas.values() if seen.version == version]

    def _look_at_versions(self) -> None:
        if sum(self.weights) != ALL or min(self.weights) < 0:
            self.breach("weights_add_up", f"{self.weights}")
        if not all(0 <= share <= ALL for share in self.shadows):
            self.breach("weights_add_up", f"copies of {self.shadows}")
        for version, fleet in enumerate(self.given.fleets):
            wanted, rule = self.wanted[version], fleet.autoscaler
            if not self.loaded[version]:
                is_right = wanted == 0
            elif rule.formula == 0:
                is_right = wanted == fleet.replicas
            else:
                is_right = rule.replicas_min <= wanted <= rule.replicas_max or (rule.to_zero and wanted == 0)
            if not is_right:
                self.breach("wanted_within_limits", f"version {version} wants {wanted}: {rule}")
            if self.weights[version] and not self.loaded[version]:
                self.breach("who_has_weight_is_loaded", f"version {version} has {self.weights[version]}")
            there = sum(seen.drained_ns == NONE for seen in self.of(version))
            if there != wanted:
                self.breach("as_many_as_are_wanted", f"version {version} has {there} replicas and wants {wanted}")

    # The end

    def look_back(self, may_wait: int) -> None:
        """Judge a server that was given the time to finish; `may_wait` attempts may be held in front of no replica."""
        if len(self.open) > may_wait:
            self.breach("each_is_answered_once", f"{len(self.open)} are left, {may_wait} may be: {self.open}")
        for replica, seen in self.replicas.items():
            if seen.drained_ns != NONE == seen.gone_ns or seen.running:
                self.breach("drained_replicas_finish", f"replica {replica} is still there: {seen}")
