"""A driver of rollouts that asks at the moments it is told, for tests: what happened when, under a given traffic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from policy import rollout
from policy.instant import NEVER_NS
from policy.rollout import Action, Cause, Command, RolloutRule, RolloutState, RolloutView
from tests.policy.both_ways import run_way

Traffic = Callable[[int, int, RolloutView], RolloutView]
"""(time passed, the canary's weight meanwhile, the view before) -> the view now."""

Event = tuple[int, Action, Cause, int]
"""When, what, why, and the canary's weight from then on."""

NOTHING_YET = RolloutView(0, 0, 0, 0, 0, 0, 1, 1, 1, 1)
"""Nothing counted, one replica of each version ready."""


def steady(canary_failed: int = 0, per_s: int = 10**13) -> Traffic:
    """Return traffic of so many attempts a second, of which `canary_failed` in 1,000 fail on the canary, else none.

    The default is many a nanosecond: tables that count in small numbers of nanoseconds have samples enough.
    """

    def count(passed: int, weight: int, seen: RolloutView) -> RolloutView:
        attempts = passed * per_s // 10**9
        canary = attempts * weight // rollout.WEIGHT_ONE
        failed = canary * canary_failed // 1_000
        return seen._replace(
            canary_answered=seen.canary_answered + canary - failed,
            canary_failed=seen.canary_failed + failed,
            stable_answered=seen.stable_answered + attempts - canary,
        )

    return count


def drive(
    way: str,
    rule: RolloutRule,
    traffic: Traffic,
    *,
    commands: Mapping[int, Command] | None = None,
    also_ask: Iterable[int] = (),
    until: int = 100_000,
) -> tuple[list[Event], RolloutState]:
    """Run a rollout that is started at 0; return what happened (of nothing, no event) and where it ended.

    It is asked after each command, at the moments it wished for, and at those of `also_ask`.
    """
    step, command = run_way(way, rollout.step), run_way(way, rollout.command)
    said = {0: Command.START, **(commands or {})}
    moments = sorted({*said, *also_ask})
    state, view, events = rollout.idle_rollout(), NOTHING_YET, []
    now, weight = 0, 0
    while True:
        if now in said:
            state, decision = command(rule, RolloutState(*state), int(said[now]), now)
            events.append((now, Action(decision.action), Cause(decision.cause), decision.weight))
        state, decision = step(rule, RolloutState(*state), view, now)
        if decision.action != Action.NONE:
            events.append((now, Action(decision.action), Cause(decision.cause), decision.weight))
        weight = decision.weight
        following = min([decision.ask_again_ns, *(moment for moment in moments if moment > now)])
        assert following > now
        if following > until or following == NEVER_NS:
            return events, RolloutState(*state)
        view = traffic(following - now, weight, view)
        now = following
