"""Any life of a server with several versions keeps the laws, step by step, and both drivers live it alike."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from policy import autoscaling, orders, rollout, versions
from policy.dice import mix
from policy.fleet import Stage
from policy.instant import UNSET
from policy.orders import Order, OrderKind
from policy.rollout import Command
from policy.settings import retry_rule
from policy.timeline import Outcome, Reason, is_copy
from policy.versions import WEIGHT_ONE, VersionWeights
from reference_server.actions import Respond
from reference_server.dispatcher import Dispatcher
from reference_server.replica_pool import ReplicaPool
from sim.engine.engine_input import EngineInput, TrafficInput
from sim.engine.process_engine import run
from sim.engine.process_replica import Replica
from sim.engine.process_versions import Versions
from tests.laws.audit import every_attempt_ends_once, moments_in_order
from tests.laws.life import Life
from tests.laws.version_audit import (
    VersionBooks,
    audit_versions,
    copies_have_an_original,
    every_attempt_is_of_one_version,
    pinned_requests_go_where_they_say,
    replicas_within_limits,
    users_stay_while_weights_do,
    versions_take_what_their_weight_says,
    weights_add_up,
)
from tests.parity.inputs import COIN, GRID, any_order, fleets, front_ends, grid, scaled_fleets, several_versions, shrunk
from tests.parity.test_engine_against_dispatcher import final_before, fleet_before, versions_before

FINISH_NS = 200_000
"""Within so much time a server has done what it has taken, whatever its settings; most need a hundredth of it."""

NOBODY = np.array([], dtype=np.int64)
PATIENCE = [[5 * GRID], [15 * GRID], [20 * GRID + 3 * draw for draw in COIN]]


@st.composite
def servers(draw: st.DrawFn) -> EngineInput:
    """Any server of two or three versions, to which nobody has sent anything yet."""
    fleet = draw(fleets())
    scaled = draw(scaled_fleets(fleet))
    quiet = EngineInput(
        seed=draw(st.integers(0, 2**64 - 1)),
        traffic=TrafficInput(
            arrivals_ns=NOBODY,
            sizes=NOBODY,
            size_table=[1],
            clients=0,
            think_table=[0],
            timeout_table=draw(st.none() | st.sampled_from(PATIENCE)),
            retry=retry_rule(attempts=draw(st.integers(1, 2)), backoff_ns=3 * GRID, backoff_max_ns=8 * GRID),
            there_ns=draw(grid(0, 1)),
            back_ns=draw(grid(0, 1)),
        ),
        front_end=replace(draw(front_ends(fleet)), blocking=False),
        fleet=replace(scaled, autoscaler=shrunk(scaled.autoscaler, 10**6 // (4 * GRID))),
        measure_from_ns=0,
        measure_to_ns=0,
        stop_ns=0,
    )
    given = draw(several_versions(quiet))
    users = draw(st.sampled_from([0, 1, 12]))
    return replace(given, versions=replace(given.versions, orders=(), users=users))


def bursts(least: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    """Some requests: how long behind the one before, and how large."""
    return st.lists(st.tuples(grid(0, 3), st.integers(1, 3)), min_size=least, max_size=8)


class LifeOfVersions(RuleBasedStateMachine):
    """A server that is loaded, ordered about and waited for; clients leave when their patience is over."""

    life: Life | None = None

    @initialize(given=servers())
    def begin(self, given: EngineInput) -> None:
        self.life = Life(given)

    @rule(requests=bursts(1))
    def load(self, requests: list[tuple[int, int]]) -> None:
        for gap_ns, size in requests:
            self.life.wait(gap_ns)
            self.life.send_one(size)

    @rule(time_ns=grid(1, 15))
    def wait(self, time_ns: int) -> None:
        self.life.wait(time_ns)

    @rule()
    def wait_for_what_comes_next(self) -> None:
        self.life.wait_for_what_comes_next()

    @rule(order=any_order(2))
    def order(self, order: Order) -> None:
        self.life.order(order)

    @precondition(lambda self: self.life.given.versions.rollout is not None)
    @rule(command=st.sampled_from([Command.START, Command.RETRY, *Command]), requests=bursts(0))
    def roll_out(self, command: Command, requests: list[tuple[int, int]]) -> None:
        self.life.order(Order(int(OrderKind.ROLLOUT), UNSET, int(command)))
        self.load(requests)

    @rule(
        number=st.integers(0, 1),
        weight=st.sampled_from([0, 2_500, 5_000, 7_501, WEIGHT_ONE]),
        deploys=st.booleans(),
        requests=bursts(1),
    )
    def weigh(self, number: int, weight: int, deploys: bool, requests: list[tuple[int, int]]) -> None:
        """Order a weight for a version that is not the stable one, and its replicas before; then requests come."""
        version = self.other_version(number)
        if deploys:
            self.life.order(Order(int(OrderKind.DEPLOY), version, 0))
        self.life.order(Order(int(OrderKind.WEIGHT), version, weight))
        self.load(requests)

    @rule(number=st.integers(0, 1), deploys=st.booleans())
    def take_away(self, number: int, deploys: bool) -> None:
        """Take everything from a version, retire it, and deploy it again in the same instant or not."""
        version = self.other_version(number)
        kinds = [OrderKind.WEIGHT, OrderKind.SHADOW, OrderKind.RETIRE, OrderKind.DEPLOY]
        for kind in kinds if deploys else kinds[:-1]:
            self.life.order(Order(int(kind), version, 0))

    def other_version(self, number: int) -> int:
        others = [version for version in range(len(self.life.given.fleets)) if version != self.stable]
        return others[number % len(others)]

    @property
    def stable(self) -> int:
        return self.life.given.versions.weights.stable

    @invariant()
    def keeps_the_laws(self) -> None:
        if self.life is None:
            return
        witness, core = self.life.witness, self.life.core
        assert not witness.breaches, witness.breaches[0]
        for version, pool in enumerate(core.pools):
            told = witness.weights[version], witness.shadows[version], witness.wanted[version], witness.loaded[version]
            assert (*core.shares.of(version), pool.wanted, pool.loaded) == told, "what changes is told"
            assert pool.loaded or pool.held == 0, "nothing waits for a version that is retired"
            assert pool.running == sum(len(seen.running) for seen in witness.of(version)), "passes are told"

    def teardown(self) -> None:
        if self.life is None or sys.exc_info()[0] is not None:
            return  # what went wrong is told already
        self.finish()
        self.keeps_the_laws()
        report = self.life.replayed()
        difference = report.first_difference or report.stopped
        assert difference is None, f"the replay differs: {difference}"
        assert report.identical == report.decisions
        self.compare()

    def finish(self) -> None:
        """Wait until everybody is answered."""
        self.life.finish(FINISH_NS)

    def compare(self) -> None:
        """Let the engine live the same life, and the audit judge both."""
        given, played = self.life.as_input(), self.life.timeline()
        timeline, end_ns = run(given), given.measure_to_ns
        for what, part in (("versions", versions_before), ("replicas", fleet_before), ("requests", final_before)):
            is_equal = part(timeline, end_ns) == part(played, end_ns)
            assert is_equal, f"the engine differs: {what}"
        # Of whom it still holds a server has no row yet: then the audit judges the engine's timeline alone.
        for each in (timeline, played) if self.life.core.idle else (timeline,):
            breaches = audit_versions(given, each)
            assert not breaches, f"the audit: {breaches[0]}"


class LifeWithCrashes(LifeOfVersions):
    """Instances break down in mid-pass and come back, clients leave when they like, and the server stops in the end.

    An engine's input has no word for any of that. So what is compared is the engine's bookkeeping, told at each instant
    what the core was told: `servecast replay`. The audit judges what is not about devices.
    """

    @precondition(lambda self: self.life.up())
    @rule(number=st.integers(0, 7))
    def crash(self, number: int) -> None:
        up = self.life.up()
        places = [place for place in up if self.life.is_running(place)] or up
        self.life.break_down(places[number % len(places)])

    @precondition(lambda self: self.life.may_come_back())
    @rule(number=st.integers(0, 7))
    def come_back(self, number: int) -> None:
        places = self.life.may_come_back()
        self.life.come_back(places[number % len(places)])

    @precondition(lambda self: self.life.waiting_clients())
    @rule(number=st.integers(0, 15))
    def hang_up(self, number: int) -> None:
        waiting = self.life.waiting_clients()
        self.life.hang_up(waiting[number % len(waiting)])

    def finish(self) -> None:
        """Let everything come back, stop, refuse whoever comes still, and wait until everybody is answered."""
        self.life.wait(GRID)
        for place in self.life.may_come_back():
            self.life.come_back(place)
        self.life.stop()
        self.life.send_one(1)
        super().finish()

    def compare(self) -> None:
        if not self.life.core.idle:
            return  # of whom it still holds a server has no row yet
        books = VersionBooks(self.life.as_input(), self.life.timeline())
        breaches = [f"{law.__name__}: {breach}" for law in LAWS_OF_ALL for breach in law(books)]
        assert not breaches, f"the audit: {breaches[0]}"


LAWS_OF_ALL = (
    every_attempt_ends_once,
    moments_in_order,
    weights_add_up,
    pinned_requests_go_where_they_say,
    users_stay_while_weights_do,
    versions_take_what_their_weight_says,
    copies_have_an_original,
    every_attempt_is_of_one_version,
    replicas_within_limits,
)

LIVES = settings(max_examples=120, stateful_step_count=30, deadline=None)


@pytest.mark.slow
def test_any_life_keeps_the_laws_and_both_drivers_live_it_alike() -> None:
    """Loads, waits, hang-ups, deploys, weights, shadows, rollouts, rollbacks and retirements, in any order."""
    run_state_machine_as_test(LifeOfVersions, settings=LIVES)


@pytest.mark.slow
def test_any_life_with_crashes_keeps_the_laws_and_is_confirmed() -> None:
    """The same with instances that break down and clients that leave when they like."""
    run_state_machine_as_test(LifeWithCrashes, settings=LIVES)


Patch = Callable[[pytest.MonkeyPatch], None]


def a_part_of_the_weights_is_lost(patch: pytest.MonkeyPatch) -> None:
    """The stable version has one part less back than another one gives."""
    moved = versions._moved

    def lossy(weights: VersionWeights, version: int, index: int, weight: int, shared: int) -> int:
        loss = index == weights.stable and weight < weights.weights[version]
        return moved(weights, version, index, weight, shared) - loss

    patch.setattr(versions, "_moved", lossy)


def pins_are_ignored(patch: pytest.MonkeyPatch) -> None:
    """Nobody is asked which version a request names."""
    choose = versions.choose
    patch.setattr(versions, "choose", lambda weights, bits, _: choose(weights, bits, UNSET))


def users_are_dealt_anew(patch: pytest.MonkeyPatch) -> None:
    """Each weight of the canary deals users anew."""
    choose = versions.choose

    def deal(weights: VersionWeights, bits: int, pinned: int) -> int:
        return choose(weights, mix(bits + weights.weights[weights.canary]), pinned)

    patch.setattr(versions, "choose", deal)


def what_is_in_use_is_retired(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks whether a version has a weight."""
    refusal = orders.refusal
    patch.setattr(orders, "refusal", lambda view, order: refusal(view._replace(weight=0), order))


def draining_replicas_take_more(patch: pytest.MonkeyPatch) -> None:
    """They stay among those that are chosen from."""
    choose = ReplicaPool._choose

    def choose_among_more(self: Any, held: Any) -> int:
        ready = self._ready
        takes = Stage.READY, Stage.DRAINING
        self._ready = [serial for serial, each in self._replicas.items() if each.stage in takes]
        chosen = choose(self, held)
        self._ready = ready
        return chosen

    patch.setattr(ReplicaPool, "_choose", choose_among_more)


def draining_replicas_go_too_early(patch: pytest.MonkeyPatch) -> None:
    """They do not wait for those who wait in their queues, of whom nobody hears any more."""
    let_go, withdraw = ReplicaPool._let_go, ReplicaPool.withdraw

    def let_go_early(self: Any, now_ns: int) -> None:
        for replica in self._replicas.values():
            if replica.stage == Stage.DRAINING and replica.queue.running == 0:
                replica.queue._waiting = 0
        let_go(self, now_ns)

    def withdraw_if_there(self: Any, held: Any) -> None:
        if held.replica == UNSET or self.has(held.replica):
            withdraw(self, held)

    patch.setattr(ReplicaPool, "_let_go", let_go_early)
    patch.setattr(ReplicaPool, "withdraw", withdraw_if_there)


def answers_are_sent_twice(patch: pytest.MonkeyPatch) -> None:
    """Whoever waited in a batch of several has two answers."""
    end = Dispatcher._end

    def twice(self: Any, held: Any, outcome: Outcome, reason: Reason) -> None:
        end(self, held, outcome, reason)
        if held.batch is not None and len(held.batch.members) > 1 and not is_copy(held.key[1]):
            self._act(Respond(*held.key, int(outcome), int(reason)))

    patch.setattr(Dispatcher, "_end", twice)


def failures_are_kept_secret(patch: pytest.MonkeyPatch) -> None:
    """Whose pass is lost with its instance is told nothing."""
    end_member = Dispatcher._end_member

    def silent(self: Any, held: Any, outcome: Outcome) -> None:
        if outcome != Outcome.FAILED:
            end_member(self, held, outcome)

    patch.setattr(Dispatcher, "_end_member", silent)


def scales_past_its_maximum(patch: pytest.MonkeyPatch) -> None:
    """Where all replicas are wanted, one more is."""
    step = autoscaling.step

    def beyond(rule: Any, *rest: Any) -> Any:
        state, decision = step(rule, *rest)
        return state, decision._replace(wanted=decision.wanted + (0 < rule.replicas_max == decision.wanted))

    patch.setattr(autoscaling, "step", beyond)


def rollouts_do_not_wait(patch: pytest.MonkeyPatch) -> None:
    """Steps begin whether replicas are ready or not."""
    patch.setattr(rollout, "_are_ready", lambda *_: True)


def engine_scales_the_last_version_first(patch: pytest.MonkeyPatch) -> None:
    """Its replicas get other serials where two versions scale in one instant."""
    decide = Versions.decide

    def backwards(self: Any, arrived: Any, now_ns: int) -> int:
        if not self._orders:
            for fleet in reversed(self._fleets):
                fleet.scale(now_ns)
        return decide(self, arrived, now_ns)

    patch.setattr(Versions, "decide", backwards)


def engine_lets_a_broken_instance_work(patch: pytest.MonkeyPatch) -> None:
    """An instance that breaks down is idle, as one that has returned its batch."""
    break_down = Replica.break_down

    def goes_on(self: Any, instance: int, batch: Any, now_ns: int) -> None:
        break_down(self, instance, batch, now_ns)
        self._idle_since_ns[instance] = now_ns

    patch.setattr(Replica, "break_down", goes_on)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plant", "machine", "law"),
    [
        (a_part_of_the_weights_is_lost, LifeOfVersions, "weights_add_up"),
        (pins_are_ignored, LifeOfVersions, "pins_win|each_comes_to_its_version"),
        (users_are_dealt_anew, LifeWithCrashes, "nobody_leaves_a_canary_that_grows"),
        (what_is_in_use_is_retired, LifeOfVersions, "what_is_in_use_stays"),
        (draining_replicas_take_more, LifeOfVersions, "drained_replicas_take_nothing|come_to_ready_replicas"),
        (draining_replicas_go_too_early, LifeOfVersions, "drained_replicas_finish|each_is_answered_once"),
        (answers_are_sent_twice, LifeOfVersions, "each_is_answered_once"),
        (failures_are_kept_secret, LifeWithCrashes, "each_is_answered_once"),
        (scales_past_its_maximum, LifeOfVersions, "wanted_within_limits"),
        (rollouts_do_not_wait, LifeWithCrashes, "rollouts_wait_for_replicas"),
        (engine_scales_the_last_version_first, LifeOfVersions, "the replay differs"),
        (engine_lets_a_broken_instance_work, LifeWithCrashes, "the replay differs"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_planted_fault_ends_a_life_by_its_law(
    plant: Patch, machine: type[LifeOfVersions], law: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A law that no fault can break would be no law."""
    plant(monkeypatch)
    found = settings(LIVES, max_examples=1_000, phases=[Phase.generate], database=None, report_multiple_bugs=False)
    with pytest.raises(AssertionError, match=law):
        run_state_machine_as_test(machine, settings=found)
