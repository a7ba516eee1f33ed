"""When a new version goes on, is held, is promoted or rolled back: the whole rule of a rollout.

A rollout leads the canary's weight through steps. A step begins when the replicas are ready, and is over when its pause
has passed and its analysis has succeeded; both begin together. After the last step the canary has all (promoted). Too
many failed checks, replicas that do not become ready, or an abort take its weight to 0 at once (rolled back). Versions
never change: neither end touches a model, both are a weight (policy/versions.py). Argo Rollouts, Flagger and KServe are
settings of this one rule (policy/rollout_presets.py).

A check looks at what was counted since the last one (since the step's analysis began, for the first). A limit on
latency is one on the share of slow answers: "p99 at most 500 ms" is "at most 1 % slower than 500 ms". So everything is
counted, and the counts of several replicas, windows and chunks add up.

The driver counts attempts by `tally`, asks `step` after a command, when the number of ready replicas changes and at the
moment it was told; asking more often changes nothing, and what is due at an instant is decided in one answer.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from policy.instant import NEVER_NS, UNSET
from policy.timeline import Outcome
from policy.versions import WEIGHT_ONE

__all__ = [
    "LIMITS_MAX",
    "SHARE_ONE",
    "STEPS_MAX",
    "Action",
    "Against",
    "Cause",
    "Command",
    "Counted",
    "FailureScope",
    "Metric",
    "NoData",
    "Phase",
    "RolloutDecision",
    "RolloutRule",
    "RolloutState",
    "RolloutView",
    "Tally",
    "command",
    "idle_rollout",
    "step",
    "tally",
]

STEPS_MAX = 32
LIMITS_MAX = 4

SHARE_ONE = 1_000_000
"""Limits are integers in parts of it: a share of 1 %, or a difference of it, is 10,000; a ratio of 1.5 is 1,500,000."""

_FINE = 1_000
"""Shares that are compared with one another are worked out this much finer than SHARE_ONE, rounded down."""


class Phase(IntEnum):
    """Where a rollout stands."""

    IDLE = 0  # none has been started
    PROGRESSING = 1
    PAUSED = 2  # until a command; nothing is checked meanwhile
    CONDEMNED = 3  # too many checks have failed; rolled back when roll_back_delay has passed
    PROMOTED = 4  # the end: the canary has all
    ROLLED_BACK = 5  # the end, unless it is tried again: the canary has nothing


class Metric(IntEnum):
    """What share a limit is on."""

    FAILED = 0  # failed of answered and failed
    SLOW = 1  # slow of answered


class Against(IntEnum):
    """What the canary's share is held against."""

    NOTHING = 0  # the share itself is limited
    STABLE_DIFFERENCE = 1  # its excess over the stable version's
    STABLE_RATIO = 2  # its multiple of the stable version's; any share is too much while that one's is 0


class Counted(IntEnum):
    """Which checks of a step count until there are `check_count`."""

    GOOD = 0  # a step needs that many good ones: one that fails holds it up
    ALL = 1  # a step needs that many, and no more failures among them than are allowed


class FailureScope(IntEnum):
    """Over what failed checks add up."""

    ROLLOUT = 0  # all of the rollout: a good check makes none of them good
    STEP = 1  # the analysis of a step
    CONSECUTIVE = 2  # a good check ends the row


class NoData(IntEnum):
    """What a check with too few samples amounts to."""

    FAIL = 0
    HOLD = 1  # it is none; the next one sees its samples too
    PASS = 2


class Action(IntEnum):
    """What a decision does."""

    NONE = 0
    GO_ON = 1  # a step began, or a check passed
    HOLD = 2  # a check did not pass: the step goes on
    PAUSE = 3
    PROMOTE = 4
    ROLL_BACK = 5
    REFUSE = 6  # the command has nothing to act upon; the state is as before


class Cause(IntEnum):
    """Why."""

    NONE = 0
    STEP = 1  # a step began, or the last one is over
    CHECK_PASSED = 2
    CHECK_FAILED = 3  # and more may fail
    FAILURE_LIMIT = 4  # more checks have failed than may
    INCONCLUSIVE = 5  # neither good nor bad
    NO_DATA = 6  # too few samples, or too often too few
    NOT_READY = 7  # replicas are missing
    COMMAND = 8


class Command(IntEnum):
    """What an operator may say."""

    START = 0  # from IDLE; the driver starts each rollout with an idle state
    PROMOTE = 1  # past this step, whatever it waits for: a gate, a pause, an analysis
    PROMOTE_FULL = 2  # past all steps
    ABORT = 3  # roll back now
    PAUSE = 4
    RESUME = 5  # the pause of the step has gone on; its analysis begins anew
    RETRY = 6  # after it was rolled back, from the first step


class Tally(IntEnum):
    """What an attempt counts as. A slow answer is an answer too: SLOW adds to `answered` and to `slow`."""

    ANSWERED = 0
    SLOW = 1
    FAILED = 2
    NOTHING = 3


class RolloutRule(NamedTuple):
    """Settings of a rollout; policy/rollout_settings.py builds and checks them."""

    step_weight: tuple[int, ...]  # (STEPS_MAX,) the canary's, parts of WEIGHT_ONE; zeros behind, as in all four
    step_shadow: tuple[int, ...]  # (STEPS_MAX,) share of requests of which the canary gets a copy, parts of WEIGHT_ONE
    step_pause_ns: tuple[int, ...]  # (STEPS_MAX,) NEVER_NS: over by PROMOTE alone (a manual gate)
    step_analysis: tuple[int, ...]  # (STEPS_MAX,) 1: with analysis
    step_count: int  # 0: all at once
    interval_ns: int  # between two checks
    initial_delay_ns: int  # from the beginning of an analysis to its first check
    check_count: int  # checks of a step; 0: for as long as its pause lasts
    counted: int  # Counted
    failure_limit: int  # checks that may fail
    failure_scope: int  # FailureScope
    inconclusive_limit: int  # checks of a step's analysis that may be inconclusive; one more pauses the rollout
    samples_min: int  # of either version, for a limit to be looked at
    no_data: int  # NoData
    no_data_limit: int  # checks in a row that may be held for want of samples; UNSET: any number
    no_data_interval_ns: int  # from a check that was held for want of samples to the next
    roll_back_delay_ns: int  # from the check that was one too many to the rollback
    limit_metric: tuple[int, ...]  # (LIMITS_MAX,) Metric; zeros behind, as in all four
    limit_against: tuple[int, ...]  # (LIMITS_MAX,) Against
    limit_pass: tuple[int, ...]  # (LIMITS_MAX,) parts of SHARE_ONE: good up to and with it
    limit_fail: tuple[int, ...]  # (LIMITS_MAX,) parts of SHARE_ONE: bad beyond it; what lies between is inconclusive
    limit_count: int
    slow_over_ns: int  # an answer is slow if it took longer
    refusals_fail: int  # 1: a refused attempt is a failed one
    ready_share: int  # of the wanted replicas, of either version, parts of WEIGHT_ONE; with fewer the rollout waits
    ready_deadline_ns: int  # how long it waits for the canary's before it rolls back; NEVER_NS: without end


class RolloutState(NamedTuple):
    """What a rollout remembers from one question to the next: integers all of them, so that it is a row of a table."""

    phase: int  # Phase
    step: int  # index of the present step
    weight: int  # the canary's, parts of WEIGHT_ONE
    shadow: int  # share of requests copied to the canary, parts of WEIGHT_ONE
    began_ns: int  # when the present step did, UNSET before
    due_ns: int  # of the next check, or of the rollback of a condemned one; UNSET: no analysis has begun
    checks: int  # that count of this step
    failed: int  # checks, within the failure scope
    inconclusive: int  # checks, of this step's analysis
    held: int  # checks in a row that had too few samples
    unready_ns: int  # since when the canary's replicas are too few, UNSET while they are not
    canary_answered: int  # what the view said when the present window of counting began
    canary_failed: int
    canary_slow: int
    stable_answered: int
    stable_failed: int
    stable_slow: int


class RolloutView(NamedTuple):
    """What a rollout sees. The counts run since any fixed moment and never shrink; below 2**31 come between checks."""

    canary_answered: int  # attempts, slow ones too
    canary_failed: int
    canary_slow: int
    stable_answered: int
    stable_failed: int
    stable_slow: int
    canary_ready: int  # replicas
    canary_wanted: int
    stable_ready: int
    stable_wanted: int


class RolloutDecision(NamedTuple):
    """Give the canary `weight` and copies of `shadow`, from now on; the rest says what has happened.

    Where several things happened in one instant (a check passed, so the next step began), it says the last.
    """

    action: Action
    cause: Cause
    weight: int  # parts of WEIGHT_ONE
    shadow: int  # parts of WEIGHT_ONE
    ask_again_ns: int  # at the latest, should nothing change before; NEVER_NS: not by the clock


class _Verdict(IntEnum):
    """What a check says, better first: that of several limits is the worst."""

    PASS = 0
    INCONCLUSIVE = 1
    NO_DATA = 2
    FAIL = 3


def idle_rollout() -> RolloutState:
    """Return the state before a rollout has been started."""
    return _fresh(Phase.IDLE.value, 0, 0)


def tally(rule: RolloutRule, outcome: int, latency_ns: int) -> Tally:
    """Return what an attempt counts as for its version once it has ended.

    `latency_ns` is that of an answer in the server, from its entry into the queue. Who hung up counts as failed: a
    version that hangs would otherwise never be found out, since it gives no answer at all.
    """
    if outcome == Outcome.ANSWERED:
        return Tally.SLOW if latency_ns > rule.slow_over_ns else Tally.ANSWERED
    if outcome == Outcome.IN_FLIGHT or (outcome == Outcome.REFUSED and rule.refusals_fail == 0):
        return Tally.NOTHING
    return Tally.FAILED


def command(rule: RolloutRule, state: RolloutState, said: int, now_ns: int) -> tuple[RolloutState, RolloutDecision]:
    """Carry out a Command, or refuse one that has nothing to act upon. The driver asks `step` next, at this instant.

    A command never raises the weight: that is left to `step`, which looks whether replicas are ready.
    """
    phase = state.phase
    live = phase == Phase.PROGRESSING or phase == Phase.PAUSED
    if (said == Command.START and phase == Phase.IDLE) or (said == Command.RETRY and phase == Phase.ROLLED_BACK):
        return _fresh(Phase.PROGRESSING.value, 0, 0), RolloutDecision(Action.GO_ON, Cause.COMMAND, 0, 0, now_ns)
    if said == Command.ABORT and (live or phase == Phase.CONDEMNED):
        return _roll_back(state, Cause.COMMAND)
    if said == Command.PROMOTE and live:
        return _moved(state, Phase.PROGRESSING.value, state.step + 1, UNSET), _told(state, Action.GO_ON, now_ns)
    if said == Command.PROMOTE_FULL and live:
        return _moved(state, Phase.PROGRESSING.value, rule.step_count, UNSET), _told(state, Action.GO_ON, now_ns)
    if said == Command.PAUSE and phase == Phase.PROGRESSING:
        return _moved(state, Phase.PAUSED.value, state.step, state.began_ns), _told(state, Action.PAUSE, now_ns)
    if said == Command.RESUME and phase == Phase.PAUSED:
        return _moved(state, Phase.PROGRESSING.value, state.step, state.began_ns), _told(state, Action.GO_ON, now_ns)
    return state, _told(state, Action.REFUSE, now_ns)


def step(
    rule: RolloutRule, state: RolloutState, view: RolloutView, now_ns: int
) -> tuple[RolloutState, RolloutDecision]:
    """Decide what is due at this instant."""
    if state.phase == Phase.CONDEMNED and now_ns >= state.due_ns:
        return _roll_back(state, Cause.FAILURE_LIMIT)
    if state.phase != Phase.PROGRESSING:
        return state, RolloutDecision(Action.NONE, Cause.NONE, state.weight, state.shadow, _next_ns(rule, state))
    if not _are_ready(rule, view.canary_ready, view.canary_wanted):
        return _wait_for_canary(rule, state, now_ns)
    if not _are_ready(rule, view.stable_ready, view.stable_wanted):
        # No deadline: a rollback would send everything to the very replicas that are missing.
        waiting = _unready(state, UNSET)
        return waiting, RolloutDecision(Action.NONE, Cause.NOT_READY, state.weight, state.shadow, NEVER_NS)
    return _progress(rule, state, view, now_ns)


def _progress(
    rule: RolloutRule, state: RolloutState, view: RolloutView, now_ns: int
) -> tuple[RolloutState, RolloutDecision]:
    """Begin steps, check and end steps for as long as something is due. Replicas are ready."""
    phase, at, weight, shadow = state.phase, state.step, state.weight, state.shadow
    began_ns, due_ns = state.began_ns, state.due_ns
    checks, failed, inconclusive, held = state.checks, state.failed, state.inconclusive, state.held
    action, cause = Action.NONE, Cause.NONE
    new_window = False
    # At most one check an instant, so what repeats is the steps that are over as soon as they begin.
    for _ in range(STEPS_MAX + 1):
        if at >= rule.step_count:
            promoted = _fresh(Phase.PROMOTED.value, at, WEIGHT_ONE)
            return promoted, RolloutDecision(Action.PROMOTE, Cause.STEP, WEIGHT_ONE, 0, NEVER_NS)

        if began_ns == UNSET:
            began_ns, weight, shadow = now_ns, rule.step_weight[at], rule.step_shadow[at]
            action, cause = Action.GO_ON, Cause.STEP
            if rule.check_count > 0 or rule.step_analysis[at] == 0:
                due_ns = UNSET  # an analysis in the background goes on from one step to the next; others begin anew

        if rule.step_analysis[at] == 1 and due_ns == UNSET:
            due_ns = now_ns + rule.initial_delay_ns
            checks, inconclusive, held = 0, 0, 0
            failed = 0 if rule.failure_scope == FailureScope.STEP else failed
            new_window = True

        if _is_checking(rule, at, checks) and now_ns >= due_ns:
            verdict = _check(rule, state, view)
            new_window = verdict != _Verdict.NO_DATA  # without a verdict the next check sees these samples too
            held = 0 if new_window else held + 1
            due_ns = now_ns + (rule.interval_ns if new_window else rule.no_data_interval_ns)
            if verdict == _Verdict.PASS:
                checks += 1
                failed = 0 if rule.failure_scope == FailureScope.CONSECUTIVE else failed
                action, cause = Action.GO_ON, Cause.CHECK_PASSED
            elif verdict == _Verdict.NO_DATA:
                action, cause = Action.HOLD, Cause.NO_DATA
            else:
                checks += 1 if rule.counted == Counted.ALL else 0
                action = Action.HOLD
                if verdict == _Verdict.FAIL:
                    failed += 1
                    cause = Cause.CHECK_FAILED
                else:
                    inconclusive += 1
                    cause = Cause.INCONCLUSIVE
            if rule.no_data_limit != UNSET and held > rule.no_data_limit:
                return _roll_back(state, Cause.NO_DATA)
            if failed > rule.failure_limit:
                if rule.roll_back_delay_ns == 0:
                    return _roll_back(state, Cause.FAILURE_LIMIT)
                phase, due_ns, cause = Phase.CONDEMNED.value, now_ns + rule.roll_back_delay_ns, Cause.FAILURE_LIMIT
                break
            if inconclusive > rule.inconclusive_limit:
                phase, action = Phase.PAUSED.value, Action.PAUSE
                break

        if now_ns < _after(began_ns, rule.step_pause_ns[at]) or (
            rule.check_count > 0 and _is_checking(rule, at, checks)
        ):
            break
        at, began_ns = at + 1, UNSET

    seen = (
        (view.canary_answered, view.canary_failed, view.canary_slow,
         view.stable_answered, view.stable_failed, view.stable_slow)
        if new_window else
        (state.canary_answered, state.canary_failed, state.canary_slow,
         state.stable_answered, state.stable_failed, state.stable_slow)
    )  # fmt: skip
    reached = RolloutState(
        phase, at, weight, shadow, began_ns, due_ns, checks, failed, inconclusive, held, UNSET,
        seen[0], seen[1], seen[2], seen[3], seen[4], seen[5],
    )  # fmt: skip
    return reached, RolloutDecision(action, cause, weight, shadow, _next_ns(rule, reached))


def _is_checking(rule: RolloutRule, at: int, checks: int) -> bool:
    """Return whether the analysis of a step has checks to come."""
    return rule.step_analysis[at] == 1 and (rule.check_count == 0 or checks < rule.check_count)


def _next_ns(rule: RolloutRule, state: RolloutState) -> int:
    """Return when the clock alone can change something."""
    if state.phase == Phase.CONDEMNED:
        return state.due_ns
    if state.phase != Phase.PROGRESSING or state.began_ns == UNSET:
        return NEVER_NS
    over_ns = _after(state.began_ns, rule.step_pause_ns[state.step])
    if not _is_checking(rule, state.step, state.checks):
        return over_ns
    # The end of the pause ends a step whose analysis runs only meanwhile; any other one waits for its last check.
    return min(state.due_ns, over_ns) if rule.check_count == 0 else state.due_ns


def _check(rule: RolloutRule, state: RolloutState, view: RolloutView) -> int:
    """Return the _Verdict on what was counted since the window began: the worst of all limits."""
    canary_answered = view.canary_answered - state.canary_answered
    canary_failed = view.canary_failed - state.canary_failed
    canary_slow = view.canary_slow - state.canary_slow
    stable_answered = view.stable_answered - state.stable_answered
    stable_failed = view.stable_failed - state.stable_failed
    stable_slow = view.stable_slow - state.stable_slow
    worst = _Verdict.PASS.value
    for index in range(rule.limit_count):
        if rule.limit_metric[index] == Metric.FAILED:
            verdict = _compare(
                rule, index, canary_failed, canary_answered + canary_failed, stable_failed,
                stable_answered + stable_failed,
            )  # fmt: skip
        else:
            verdict = _compare(rule, index, canary_slow, canary_answered, stable_slow, stable_answered)
        worst = max(worst, verdict)
    return worst


def _compare(rule: RolloutRule, index: int, bad: int, of: int, stable_bad: int, stable_of: int) -> int:
    """Return the _Verdict of one limit: `bad` of `of` samples of the canary, and of the stable version."""
    against = rule.limit_against[index]
    if of < rule.samples_min or (against != Against.NOTHING and stable_of < rule.samples_min):
        if rule.no_data == NoData.HOLD:
            return _Verdict.NO_DATA.value
        return _Verdict.FAIL.value if rule.no_data == NoData.FAIL else _Verdict.PASS.value
    good_to, bad_from = rule.limit_pass[index], rule.limit_fail[index]
    # Both sides of "share > limit" times something that is common to them; each product stays below 2**62.
    if against == Against.NOTHING:
        value, good_to, bad_from = bad * SHARE_ONE, good_to * of, bad_from * of
    else:
        share = bad * (SHARE_ONE * _FINE) // of
        stable_share = stable_bad * (SHARE_ONE * _FINE) // stable_of
        if against == Against.STABLE_DIFFERENCE:
            value, good_to, bad_from = share - stable_share, good_to * _FINE, bad_from * _FINE
        else:
            value, good_to, bad_from = share * SHARE_ONE, good_to * stable_share, bad_from * stable_share
    if value > bad_from:
        return _Verdict.FAIL.value
    return _Verdict.PASS.value if value <= good_to else _Verdict.INCONCLUSIVE.value


def _are_ready(rule: RolloutRule, ready: int, wanted: int) -> bool:
    """Return whether so many of the wanted replicas are ready that the rollout need not wait."""
    return ready * WEIGHT_ONE >= wanted * rule.ready_share


def _wait_for_canary(rule: RolloutRule, state: RolloutState, now_ns: int) -> tuple[RolloutState, RolloutDecision]:
    """Hold everything while replicas of the canary are missing, up to the deadline."""
    unready_ns = now_ns if state.unready_ns == UNSET else state.unready_ns
    deadline_ns = _after(unready_ns, rule.ready_deadline_ns)
    if now_ns >= deadline_ns:
        return _roll_back(state, Cause.NOT_READY)
    waiting = _unready(state, unready_ns)
    return waiting, RolloutDecision(Action.NONE, Cause.NOT_READY, state.weight, state.shadow, deadline_ns)


def _roll_back(state: RolloutState, cause: Cause) -> tuple[RolloutState, RolloutDecision]:
    """Take everything from the canary, in one switch."""
    rolled_back = _fresh(Phase.ROLLED_BACK.value, state.step, 0)
    return rolled_back, RolloutDecision(Action.ROLL_BACK, cause, 0, 0, NEVER_NS)


def _fresh(phase: int, at: int, weight: int) -> RolloutState:
    """Return a state that remembers nothing but where it stands: before a rollout, as it begins, and after it."""
    return RolloutState(phase, at, weight, 0, UNSET, UNSET, 0, 0, 0, 0, UNSET, 0, 0, 0, 0, 0, 0)


def _moved(state: RolloutState, phase: int, at: int, began_ns: int) -> RolloutState:
    """Return the state after a command: its weight as before, the analysis of its step to begin anew."""
    return RolloutState(
        phase, at, state.weight, state.shadow, began_ns, UNSET, state.checks, state.failed, state.inconclusive,
        state.held, UNSET, state.canary_answered, state.canary_failed, state.canary_slow, state.stable_answered,
        state.stable_failed, state.stable_slow,
    )  # fmt: skip


def _unready(state: RolloutState, unready_ns: int) -> RolloutState:
    """Return the state with since when the canary's replicas are too few."""
    return RolloutState(
        state.phase, state.step, state.weight, state.shadow, state.began_ns, state.due_ns, state.checks, state.failed,
        state.inconclusive, state.held, unready_ns, state.canary_answered, state.canary_failed, state.canary_slow,
        state.stable_answered, state.stable_failed, state.stable_slow,
    )  # fmt: skip


def _told(state: RolloutState, action: Action, now_ns: int) -> RolloutDecision:
    """Return the decision on a command that leaves the weight as it is."""
    return RolloutDecision(action, Cause.COMMAND, state.weight, state.shadow, now_ns)


def _after(since_ns: int, wait_ns: int) -> int:
    """Return the moment so long after another one; without end stays without end."""
    return NEVER_NS if wait_ns == NEVER_NS else since_ns + wait_ns
