"""What each version of the server gets: weights, copies for shadows, and what orders and a rollout make of them.

Every decision is asked of policy. The replicas of a version are replica_pool.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from policy import orders, rollout, versions
from policy.instant import NEVER_NS, UNSET
from policy.orders import OrderKind, Refusal
from policy.rollout import RolloutDecision, RolloutRule, RolloutState
from policy.rollout_settings import version_weights
from policy.timeline import Outcome, RolloutMove, Share
from policy.versions import WEIGHT_ONE, VersionWeights
from reference_server.actions import Action, Arrived, Decided, LogRollout, LogShare, Ordered
from reference_server.replica_pool import ReplicaPool
from reference_server.replica_queue import Held

__all__ = ["ONE_VERSION", "VersionRules", "VersionShares"]


class VersionRules(NamedTuple):
    """How requests come to the versions at the start, and what becomes of that."""

    weights: VersionWeights
    shadows: tuple[int, ...] = (0,)  # (versions,) share of the requests of which each gets a copy, parts of WEIGHT_ONE
    rollout: RolloutRule | None = None


ONE_VERSION = VersionRules(version_weights(weights=[WEIGHT_ONE]))
"""A server with nothing to choose."""


class _Ended:
    """How the attempts and copies of one version ended, since the start."""

    __slots__ = ("answered", "failed", "slow")

    def __init__(self) -> None:
        self.answered = self.failed = self.slow = 0


class VersionShares:
    """The weights, shadows and rollout of one server; `act` is told what changes."""

    def __init__(self, rules: VersionRules, pools: Sequence[ReplicaPool], act: Callable[[Action], None]) -> None:
        self._rule = rules.rollout
        self._pools = pools
        self._act = act
        self._weights = rules.weights
        self._shadow = list(rules.shadows) + [0] * (len(pools) - len(rules.shadows))
        self._told = [self.of(version) for version in range(len(pools))]
        self._state = rollout.idle_rollout()
        self._seen_ready = (0, 0, 0, 0)
        self._ended = [_Ended() for _ in pools]
        self.asks_ns = NEVER_NS  # when the rollout wants to be asked again
        self.has_shadows = any(self._shadow)

    @property
    def weights(self) -> VersionWeights:
        """The weights now."""
        return self._weights

    @property
    def rollout(self) -> RolloutState:
        """Where the rollout stands."""
        return self._state

    @property
    def rule(self) -> RolloutRule | None:
        """The rule of the rollout, None without one."""
        return self._rule

    def ended(self, version: int) -> tuple[int, int, int]:
        """Return how many attempts and copies of a version were answered, how many failed and how many were slow.

        A rollout counts them; without one they stay 0.
        """
        ended = self._ended[version]
        return ended.answered, ended.failed, ended.slow

    def of(self, version: int) -> tuple[int, int]:
        """Return the weight of a version and its share of copies, parts of WEIGHT_ONE."""
        return self._weights.weights[version], self._shadow[version]

    def choose(self, arrival: Arrived) -> int:
        """Return the version that takes an arrival."""
        return versions.choose(self._weights, arrival.key_bits, arrival.pinned)

    def shadows_of(self, request: int, taken_by: int, roll: Callable[[int, int], int]) -> Iterator[int]:
        """Yield the versions that get a copy of a request."""
        for version, share in enumerate(self._shadow):
            is_candidate = share > 0 and version != taken_by and self._pools[version].loaded
            if is_candidate and versions.shadows(share, roll(request, version)):
                yield version

    def count(self, held: Held, outcome: Outcome, now_ns: int) -> None:
        """Count an attempt or a copy that has its outcome: a rollout looks at that."""
        if self._rule is None or held.version == UNSET:
            return
        ended = self._ended[held.version]
        match rollout.tally(self._rule, outcome, now_ns - held.enqueued_ns):
            case rollout.Tally.ANSWERED:
                ended.answered += 1
            case rollout.Tally.SLOW:
                ended.answered += 1
                ended.slow += 1
            case rollout.Tally.FAILED:
                ended.failed += 1

    # Decisions

    def carry_out(self, order: Ordered, now_ns: int) -> None:
        """Carry out an order or refuse it, and say which."""
        asked = orders.Order(*order)
        view = self._order_view(asked)
        refused = orders.refusal(view, asked)
        if refused == Refusal.NONE:
            if order.kind == OrderKind.ROLLOUT:
                refused = self._command(view, asked, now_ns)
            else:
                self._change(order, now_ns)
        self._act(Decided(*order, int(refused)))

    def _change(self, order: Ordered, now_ns: int) -> None:
        pool = self._pools[order.version]
        match order.kind:
            case OrderKind.DEPLOY:
                pool.deploy(now_ns)
            case OrderKind.RETIRE:
                pool.retire(now_ns)
            case OrderKind.SHADOW:
                self._shadow[order.version] = order.value
            case _:
                self._weights = versions.with_weight(self._weights, order.version, order.value)
        self._tell(now_ns)

    def _command(self, view: orders.OrderView, order: orders.Order, now_ns: int) -> Refusal:
        assert self._rule is not None
        state, decision = rollout.command(self._rule, self._state, order.value, now_ns)
        if decision.action == rollout.Action.REFUSE:
            return Refusal.NOTHING_TO_ACT_ON
        if orders.deploys(view, order):
            self._pools[self._weights.canary].deploy(now_ns)
        self._follow(state, decision, now_ns)
        return Refusal.NONE

    def roll_out(self, now_ns: int, *, is_called: bool) -> None:
        """Ask the rollout if its moment has come, or if anything that it waits for may have changed."""
        if self._rule is None:
            return
        canary, stable = self._weights.canary, self._weights.stable
        ready = (
            self._pools[canary].ready,
            self._pools[canary].wanted,
            self._pools[stable].ready,
            self._pools[stable].wanted,
        )
        if not is_called and now_ns < self.asks_ns and ready == self._seen_ready:
            return
        self._seen_ready = ready
        counts = *self.ended(canary), *self.ended(stable)
        state, decision = rollout.step(self._rule, self._state, rollout.RolloutView(*counts, *ready), now_ns)
        self.asks_ns = decision.ask_again_ns
        if decision.action == rollout.Action.NONE:
            self._state = state
        else:
            self._follow(state, decision, now_ns)

    def _follow(self, state: RolloutState, decision: RolloutDecision, now_ns: int) -> None:
        """Give the canary what the rollout has decided."""
        self._state = state
        self._weights = versions.with_canary(self._weights, decision.weight)
        self._shadow[self._weights.canary] = decision.shadow
        told = int(decision.action), int(decision.cause), int(state.phase), state.step
        self._act(LogRollout(RolloutMove(now_ns, *told, decision.weight, decision.shadow)))
        self._tell(now_ns)

    def _tell(self, now_ns: int) -> None:
        """Say which shares have changed."""
        self.has_shadows = any(self._shadow)
        for version, told in enumerate(self._told):
            share = self.of(version)
            if share != told:
                self._told[version] = share
                self._act(LogShare(Share(now_ns, version, *share)))

    def _order_view(self, order: orders.Order) -> orders.OrderView:
        weights = self._weights
        is_named = 0 <= order.version < len(self._pools)
        weight, shadow = self.of(order.version) if is_named else (0, 0)
        return orders.OrderView(
            versions=len(self._pools),
            stable=weights.stable,
            canary=weights.canary,
            has_rollout=self._rule is not None,
            phase=self._state.phase,
            canary_loaded=weights.canary != UNSET and self._pools[weights.canary].loaded,
            stable_loaded=self._pools[weights.stable].loaded,
            stable_weight=weights.weights[weights.stable],
            weight=weight,
            shadow=shadow,
            loaded=is_named and self._pools[order.version].loaded,
            held=self._pools[order.version].held if is_named else 0,
        )
