"""The versions of the process engine: which one takes a request, who gets a copy, what a rollout makes of that.

It asks policy and carries out what policy decides, fleet by fleet, in the order of policy/instant.py. A version's
replicas, and what waits for them, are process_fleet.py's; when time passes is process_engine.py's business.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Protocol

from policy import orders, rollout, versions
from policy.instant import NEVER_NS, UNSET
from policy.orders import Order, OrderKind, Refusal
from policy.timeline import Outcome, Reason, ReplicaLife, RolloutMove, Scaling, Share
from sim.engine.engine_input import FleetInput, VersionsInput
from sim.engine.process_fleet import Fleet, FleetListener
from sim.engine.process_replica import Batch, LiveAttempt

__all__ = ["Versions", "VersionsListener"]


class VersionsListener(FleetListener, Protocol):
    """What the versions ask for and report while they decide."""

    def roll_copy(self, attempt: LiveAttempt, version: int) -> int:
        """Return the die, 64 bits, of whether a shadow version gets a copy of a request."""

    def admission_decided(self, attempt: LiveAttempt, reason: Reason) -> None:
        """An arrival or a copy was taken (Reason.NONE) or refused."""

    def order_decided(self, order: Order, refusal: Refusal) -> None:
        """An order was carried out (Refusal.NONE) or refused."""

    def shared(self, share: Share) -> None:
        """A version gets another share."""

    def moved(self, move: RolloutMove) -> None:
        """The rollout did something."""


class Versions:
    """The fleets of all versions of a run, and how requests come to them."""

    def __init__(
        self, given: VersionsInput, fleets: Sequence[FleetInput], listener: VersionsListener, start_ns: int = 0
    ) -> None:
        self._given = given
        self._listener = listener
        replica_serials, pass_serials = itertools.count(), itertools.count()
        self._fleets = [
            Fleet(version, fleet, listener, replica_serials, pass_serials, start_ns)
            for version, fleet in enumerate(fleets)
        ]
        self._draining = False
        self._weights = given.weights
        self._shadows = [*given.shadows, *[0] * (len(fleets) - len(given.shadows))]
        self._shares = [Share(start_ns, version, *self._share(version)) for version in range(len(fleets))]
        self._told = [self._share(version) for version in range(len(fleets))]
        self._orders: list[Order] = []
        self._rollout = rollout.idle_rollout()
        self._rollout_asks_ns = NEVER_NS
        self._readiness: tuple[int, int, int, int] = (0, 0, 0, 0)
        self._moves: list[RolloutMove] = []
        self._ended = [[0, 0, 0] for _ in fleets]  # answered, failed, slow attempts and copies of each version

    def lives(self) -> Iterable[ReplicaLife]:
        """Return the life of every replica."""
        return (life for fleet in self._fleets for life in fleet.lives())

    def scalings(self) -> list[Scaling]:
        """Return the wanted numbers at the start and every change of them, in the order of time."""
        return sorted((row for fleet in self._fleets for row in fleet.scalings()), key=lambda row: row[:2])

    def shares(self) -> list[Share]:
        """Return what each version gets at the start, and every change of that."""
        return self._shares

    def moves(self) -> list[RolloutMove]:
        """Return what the rollout did."""
        return self._moves

    def drain(self) -> None:
        """From now on refuse every arrival; what was accepted is still served."""
        self._draining = True

    # Changes

    def become_ready(self, serial: int, instance: int, now_ns: int) -> None:
        """Note that an instance can take batches; that of a replica that was called off meanwhile is gone already."""
        fleet = self._fleet_of(serial)
        if fleet is not None:
            fleet.become_ready(serial, instance, now_ns)

    def take_back(self, batch: Batch, now_ns: int) -> None:
        """Note that an instance has returned its batch and is idle."""
        self._fleets[batch.members[0].version].take_back(batch, now_ns)

    def has(self, serial: int) -> bool:
        """Return whether a replica of this number is there and not gone."""
        return self._fleet_of(serial) is not None

    def running_on(self, serial: int, instance: int) -> Batch | None:
        """Return the batch that an instance has not returned yet, if any."""
        fleet = self._fleet_of(serial)
        return None if fleet is None else fleet.running_on(serial, instance)

    def break_down(self, serial: int, instance: int, now_ns: int) -> Batch | None:
        """Note that an instance is gone and return the batch that is lost with it, if any."""
        fleet = self._fleet_of(serial)
        return None if fleet is None else fleet.break_down(serial, instance, now_ns)

    def withdraw(self, attempt: LiveAttempt) -> None:
        """Take out an attempt that ended early, if its place can be freed."""
        self._fleets[attempt.version].withdraw(attempt)

    def end(self, attempt: LiveAttempt, outcome: Outcome, now_ns: int) -> None:
        """Count an attempt or a copy that has its outcome for the rollout, which is the only one to look at that."""
        if self._given.rollout is None or attempt.version == UNSET:
            return
        counted = rollout.tally(self._given.rollout, outcome, now_ns - attempt.enqueued_ns)
        ended = self._ended[attempt.version]
        if counted in (rollout.Tally.ANSWERED, rollout.Tally.SLOW):
            ended[0] += 1
            ended[2] += counted == rollout.Tally.SLOW
        elif counted == rollout.Tally.FAILED:
            ended[1] += 1

    def order(self, order: Order) -> None:
        """Take in an operator's order; it is decided with all else."""
        self._orders.append(order)

    # Decisions

    def decide(self, arrived: Iterable[LiveAttempt], now_ns: int) -> int:
        """Decide until nothing more is to be decided; return when to decide again at the latest."""
        pending, self._orders = self._orders, []
        for order in pending:
            self._listener.order_decided(order, self._carry_out(order, now_ns))
        for fleet in self._fleets:
            fleet.scale(now_ns)
        self._roll_out(now_ns, is_called=bool(pending))
        for fleet in self._fleets:
            fleet.place_held(now_ns)
        for attempt in arrived:
            self._listener.admission_decided(attempt, self._admit(attempt, now_ns))
            self._admit_copies(attempt, now_ns)
        for fleet in self._fleets:
            fleet.scale_for_held(now_ns)
        return min(self._rollout_asks_ns, *[fleet.serve(now_ns) for fleet in self._fleets])

    def _admit(self, attempt: LiveAttempt, now_ns: int) -> Reason:
        version = versions.choose(self._weights, attempt.key_bits, attempt.pinned)
        if not self._fleets[version].loaded:
            attempt.enqueued_ns = now_ns
            return Reason.NOT_LOADED
        attempt.version = version
        return self._fleets[version].admit(attempt, self._draining, now_ns)

    def _admit_copies(self, attempt: LiveAttempt, now_ns: int) -> None:
        """Send copies of a request to the shadow versions; a server that stops makes none."""
        for version, share in enumerate(self._shadows):
            if share == 0 or self._draining or version == attempt.version or not self._fleets[version].loaded:
                continue
            if versions.shadows(share, self._listener.roll_copy(attempt, version)):
                copy = attempt.copy_for(version)
                self._listener.admission_decided(copy, self._fleets[version].admit(copy, False, now_ns))

    # Decisions: orders and rollouts

    def _carry_out(self, order: Order, now_ns: int) -> Refusal:
        """Carry out an order, or return why not."""
        view = self._order_view(order)
        refused = orders.refusal(view, order)
        if refused != Refusal.NONE:
            return refused
        if order.kind == OrderKind.ROLLOUT:
            return self._command(view, order, now_ns)
        if order.kind == OrderKind.DEPLOY:
            self._fleets[order.version].deploy(now_ns)
        elif order.kind == OrderKind.RETIRE:
            self._fleets[order.version].retire(now_ns)
        elif order.kind == OrderKind.SHADOW:
            self._shadows[order.version] = order.value
        else:
            self._weights = versions.with_weight(self._weights, order.version, order.value)
        self._tell_shares(now_ns)
        return Refusal.NONE

    def _command(self, view: orders.OrderView, order: Order, now_ns: int) -> Refusal:
        rule = self._given.rollout
        assert rule is not None
        self._rollout, decision = rollout.command(rule, self._rollout, order.value, now_ns)
        if decision.action == rollout.Action.REFUSE:
            return Refusal.NOTHING_TO_ACT_ON
        if orders.deploys(view, order):
            self._fleets[self._given.weights.canary].deploy(now_ns)
        self._move(decision, now_ns)
        return Refusal.NONE

    def _roll_out(self, now_ns: int, *, is_called: bool) -> None:
        """Ask the rollout if its moment has come, or if anything that it waits for may have changed."""
        rule = self._given.rollout
        if rule is None:
            return
        readiness = self._seen_readiness()
        if not (is_called or now_ns >= self._rollout_asks_ns or readiness != self._readiness):
            return
        self._readiness = readiness
        new, old = self._ended[self._given.weights.canary], self._ended[self._given.weights.stable]
        view = rollout.RolloutView(new[0], new[1], new[2], old[0], old[1], old[2], *readiness)
        self._rollout, decision = rollout.step(rule, self._rollout, view, now_ns)
        self._rollout_asks_ns = decision.ask_again_ns
        if decision.action != rollout.Action.NONE:
            self._move(decision, now_ns)

    def _seen_readiness(self) -> tuple[int, int, int, int]:
        canary, stable = self._fleets[self._given.weights.canary], self._fleets[self._given.weights.stable]
        return canary.ready, canary.wanted, stable.ready, stable.wanted

    def _move(self, decision: rollout.RolloutDecision, now_ns: int) -> None:
        """Give the canary what the rollout has decided."""
        self._weights = versions.with_canary(self._weights, decision.weight)
        self._shadows[self._given.weights.canary] = decision.shadow
        state = self._rollout
        self._moves.append(
            RolloutMove(
                now_ns,
                int(decision.action),
                int(decision.cause),
                int(state.phase),
                state.step,
                decision.weight,
                decision.shadow,
            )
        )
        self._listener.moved(self._moves[-1])
        self._tell_shares(now_ns)

    def _tell_shares(self, now_ns: int) -> None:
        for version in range(len(self._fleets)):
            share = self._share(version)
            if share != self._told[version]:
                self._told[version] = share
                self._shares.append(Share(now_ns, version, *share))
                self._listener.shared(self._shares[-1])

    def _share(self, version: int) -> tuple[int, int]:
        return self._weights.weights[version], self._shadows[version]

    def _order_view(self, order: Order) -> orders.OrderView:
        weights = self._weights
        named = 0 <= order.version < len(self._fleets)
        fleet = self._fleets[order.version if named else weights.stable]
        return orders.OrderView(
            versions=len(self._fleets),
            stable=weights.stable,
            canary=weights.canary,
            has_rollout=self._given.rollout is not None,
            phase=self._rollout.phase,
            canary_loaded=weights.canary != UNSET and self._fleets[weights.canary].loaded,
            stable_loaded=self._fleets[weights.stable].loaded,
            stable_weight=weights.weights[weights.stable],
            weight=weights.weights[order.version] if named else 0,
            shadow=self._shadows[order.version] if named else 0,
            loaded=named and fleet.loaded,
            held=fleet.held if named else 0,
        )

    def _fleet_of(self, serial: int) -> Fleet | None:
        """Return the fleet of a replica that is not gone."""
        return next((fleet for fleet in self._fleets if fleet.has(serial)), None)
