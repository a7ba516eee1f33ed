"""The rollout rule: tables of cases, each run interpreted and compiled, and what no sequence of events may break."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy import rollout
from policy.errors import SettingError
from policy.instant import NEVER_NS, UNSET
from policy.rollout import (
    Action,
    Cause,
    Command,
    Phase,
    RolloutDecision,
    RolloutRule,
    RolloutState,
    RolloutView,
    Tally,
    command,
    idle_rollout,
    step,
)
from policy.rollout_settings import rollout_in_words, rollout_rule
from policy.timeline import Outcome
from policy.versions import WEIGHT_ONE
from tests.policy.both_ways import WAYS, run_way
from tests.policy.rollout_driver import NOTHING_YET, Event, drive, steady

FAILED_1_PERCENT = {"metric": "failed", "pass_most": 10_000}


def checked(**options: Any) -> RolloutRule:
    """Return a rule of one step at 10 % with a check after 100 and then every 100: at most 1 % may fail."""
    analysis = {"limits": [FAILED_1_PERCENT], "interval_ns": 100}
    for key in [key for key in options if key in ANALYSIS_KEYS]:
        analysis[key] = options.pop(key)
    return rollout_rule(**{"steps": [{"weight": 1_000, "analysis": True}], "analysis": analysis, **options})


ANALYSIS_KEYS = (
    "limits", "initial_delay_ns", "count", "counted", "failure_limit", "failure_scope", "inconclusive_limit",
    "samples_min", "no_data", "no_data_limit", "no_data_interval_ns", "roll_back_delay_ns",
)  # fmt: skip

BEGUN = RolloutState(int(Phase.PROGRESSING), 0, 1_000, 0, 0, 100, 0, 0, 0, 0, UNSET, 0, 0, 0, 0, 0, 0)
"""The step of `checked` began at 0; its first check is due at 100."""


def seen(
    answered: int = 0, failed: int = 0, slow: int = 0, stable: tuple[int, int, int] = (1_000, 0, 0)
) -> RolloutView:
    """Return a view with all replicas ready."""
    return RolloutView(answered, failed, slow, *stable, 1, 1, 9, 9)


def limit(metric: str, against: str, pass_most: int, fail_over: int | None = None) -> dict[str, Any]:
    """Return the settings that give a rule one limit."""
    return {
        "limits": [{"metric": metric, "against": against, "pass_most": pass_most, "fail_over": fail_over}],
        "slow_over_ns": 5,
    }


ABSOLUTE = limit("failed", "nothing", 10_000)
BANDED = limit("failed", "nothing", 10_000, 50_000)
SLOW = limit("slow", "nothing", 10_000)
EXCESS = limit("failed", "stable_difference", 10_000)
RATIO = limit("failed", "stable_ratio", 1_500_000)
SLOW_RATIO = limit("slow", "stable_ratio", 2_000_000)
TWO = {"limits": [FAILED_1_PERCENT, {"metric": "slow", "pass_most": 10_000}], "slow_over_ns": 5}
PASSED, ROLLED = (Action.PROMOTE, Cause.STEP), (Action.ROLL_BACK, Cause.FAILURE_LIMIT)
TOLD = (Action.PAUSE, Cause.INCONCLUSIVE)
HELD = (Action.HOLD, Cause.NO_DATA)

CHECKS: list[tuple[str, dict[str, Any], RolloutView, tuple[Action, Cause]]] = [
    # name, settings, view at the check -> action, cause
    ("1 of 100 failed", ABSOLUTE, seen(99, 1), PASSED),
    ("2 of 199 are more than 1 %", ABSOLUTE, seen(197, 2), ROLLED),
    ("2 of 200 are 1 %", ABSOLUTE, seen(198, 2), PASSED),
    ("1 of 99 would be 1 % if rounded", ABSOLUTE, seen(98, 1), ROLLED),
    ("neither good nor bad", BANDED, seen(97, 3), TOLD),
    ("just not bad", BANDED, seen(95, 5), TOLD),
    ("bad", BANDED, seen(94, 6), ROLLED),
    ("1 of 100 slow", SLOW, seen(100, 0, 1), PASSED),
    ("2 of 100 slow", SLOW, seen(100, 0, 2), ROLLED),
    ("failures are no slow answers", SLOW, seen(100, 50, 1), PASSED),
    ("1 % worse than stable's 2 %", EXCESS, seen(97, 3, 0, (980, 20, 0)), PASSED),
    ("2 % worse than stable's 2 %", EXCESS, seen(96, 4, 0, (980, 20, 0)), ROLLED),
    ("better than stable", EXCESS, seen(100, 0, 0, (900, 100, 0)), PASSED),
    ("1.5 times stable's 2 %", RATIO, seen(97, 3, 0, (980, 20, 0)), PASSED),
    ("twice stable's 2 %", RATIO, seen(96, 4, 0, (980, 20, 0)), ROLLED),
    ("stable never fails, nor the canary", RATIO, seen(100, 0), PASSED),
    ("stable never fails, the canary once", RATIO, seen(99_999, 1), ROLLED),
    ("twice as many slow", SLOW_RATIO, seen(100, 0, 20, (1_000, 0, 100)), PASSED),
    ("more than twice as many slow", SLOW_RATIO, seen(100, 0, 21, (1_000, 0, 100)), ROLLED),
    ("both limits kept", TWO, seen(99, 1, 0), PASSED),
    ("the second limit alone broken", TWO, seen(99, 1, 9), ROLLED),
    ("the first limit alone broken", TWO, seen(90, 10, 0), ROLLED),
    ("nothing counted: hold", {}, seen(), HELD),
    ("nothing counted: fail", {"no_data": "fail"}, seen(), ROLLED),
    ("nothing counted: pass", {"no_data": "pass"}, seen(), PASSED),
    ("too few, though all of them failed", {"samples_min": 50}, seen(0, 49), HELD),
    ("enough", {"samples_min": 50}, seen(0, 50), ROLLED),
    ("no answer that could be slow", SLOW, seen(0, 50), HELD),
    ("no answer that could be slow, failures enough", TWO, seen(0, 50), ROLLED),
    ("nothing of stable to compare with", RATIO, seen(50, 0, 0, (0, 0, 0)), HELD),
    ("nothing of stable needed", ABSOLUTE, seen(50, 0, 0, (0, 0, 0)), PASSED),
    ("counts of a busy day", RATIO, seen(2**30, 2**30, 0, (2**30, 2**30, 0)), PASSED),
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("name", "options", "view", "expected"), CHECKS, ids=[case[0] for case in CHECKS])
def test_check_decides_as_the_table_says(
    way: str, name: str, options: dict[str, Any], view: RolloutView, expected: tuple[Action, Cause]
) -> None:
    """One step, no failure allowed: a check that passes promotes, one that fails rolls back."""
    _, decision = run_way(way, step)(checked(**options), BEGUN, view, 100)
    assert (Action(decision.action), Cause(decision.cause)) == expected


def at_weight(now: int, weight: int) -> Event:
    """Return the event of a step that began."""
    return now, Action.GO_ON, Cause.STEP, weight


STARTED: Event = (0, Action.GO_ON, Cause.COMMAND, 0)
GO: Event = (0, Action.GO_ON, Cause.STEP, 1_000)


def event(now: int, action: Action, cause: Cause, weight: int = 1_000) -> Event:
    """Return an event, at the weight of `checked` unless another one is given."""
    return now, action, cause, weight


FAILS = [event(100 * n, Action.HOLD, Cause.CHECK_FAILED) for n in range(1, 10)]
TWO_STEPS = {"steps": [{"weight": 1_000, "pause_ns": 50}, {"weight": 5_000, "pause_ns": 70}], "analysis": None}
GATED = {"steps": [{"weight": 1_000, "pause_ns": None}, {"weight": 5_000}], "analysis": None}
BACKGROUND = {
    "steps": [
        {"weight": 1_000, "pause_ns": 150, "analysis": True},
        {"weight": 5_000, "pause_ns": 250, "analysis": True},
    ],
    "count": 0,
    "counted": "all",
}  # fmt: skip
PAUSE_AND_CHECK = {"steps": [{"weight": 1_000, "pause_ns": 250, "analysis": True}]}
BAD = {"canary_failed": 100}

RUNS: list[tuple[str, dict[str, Any], dict[str, int], dict[int, Command], list[Event]]] = [
    # name, settings, traffic, commands -> events
    ("no steps: all at once", {"steps": [], "analysis": None}, {}, {}, [
        event(0, Action.PROMOTE, Cause.STEP, WEIGHT_ONE),
    ]),
    ("steps follow their pauses", TWO_STEPS, {}, {}, [
        GO, at_weight(50, 5_000), event(120, Action.PROMOTE, Cause.STEP, WEIGHT_ONE),
    ]),
    ("a step without a pause is passed at once", {"steps": [{"weight": 1_000}, {"weight": 2_000, "pause_ns": 9}],
                                                  "analysis": None}, {}, {}, [
        at_weight(0, 2_000), event(9, Action.PROMOTE, Cause.STEP, WEIGHT_ONE),
    ]),
    ("a gate opens by hand alone", GATED, {}, {70_000: Command.PROMOTE}, [
        GO, event(70_000, Action.GO_ON, Cause.COMMAND), event(70_000, Action.PROMOTE, Cause.STEP, WEIGHT_ONE),
    ]),
    ("three good checks", {"count": 3}, {}, {}, [
        GO, event(100, Action.GO_ON, Cause.CHECK_PASSED), event(200, Action.GO_ON, Cause.CHECK_PASSED),
        event(300, Action.PROMOTE, Cause.STEP, WEIGHT_ONE),
    ]),
    ("the first check after its delay", {"initial_delay_ns": 30, "count": 2}, {}, {}, [
        GO, event(30, Action.GO_ON, Cause.CHECK_PASSED), event(130, Action.PROMOTE, Cause.STEP, WEIGHT_ONE),
    ]),
    ("a step is over when pause and analysis are", PAUSE_AND_CHECK, {}, {}, [
        GO, event(100, Action.GO_ON, Cause.CHECK_PASSED), event(250, Action.PROMOTE, Cause.STEP, WEIGHT_ONE),
    ]),
    ("the first failure is one too many", {}, BAD, {}, [
        GO, event(100, Action.ROLL_BACK, Cause.FAILURE_LIMIT, 0),
    ]),
    ("two may fail", {"failure_limit": 2}, BAD, {}, [
        GO, FAILS[0], FAILS[1], event(300, Action.ROLL_BACK, Cause.FAILURE_LIMIT, 0),
    ]),
    ("rolled back a while after the limit", {"roll_back_delay_ns": 40}, BAD, {}, [
        GO, event(100, Action.HOLD, Cause.FAILURE_LIMIT), event(140, Action.ROLL_BACK, Cause.FAILURE_LIMIT, 0),
    ]),
    ("all checks count, and the failures allowed let it pass", {"count": 2, "counted": "all", "failure_limit": 2},
     BAD, {}, [GO, FAILS[0], event(200, Action.PROMOTE, Cause.STEP, WEIGHT_ONE)]),
    ("in the background checks go on from step to step", BACKGROUND, {}, {}, [
        GO, event(100, Action.GO_ON, Cause.CHECK_PASSED), at_weight(150, 5_000),
        event(200, Action.GO_ON, Cause.CHECK_PASSED, 5_000), event(300, Action.GO_ON, Cause.CHECK_PASSED, 5_000),
        event(400, Action.PROMOTE, Cause.STEP, WEIGHT_ONE),
    ]),
    ("in the background a failure rolls back", BACKGROUND, BAD, {}, [
        GO, event(100, Action.ROLL_BACK, Cause.FAILURE_LIMIT, 0),
    ]),
    ("without traffic it is held", {}, {"per_s": 0}, {350: Command.ABORT}, [
        GO, event(100, Action.HOLD, Cause.NO_DATA), event(200, Action.HOLD, Cause.NO_DATA),
        event(300, Action.HOLD, Cause.NO_DATA), event(350, Action.ROLL_BACK, Cause.COMMAND, 0),
    ]),
    ("without traffic for two checks in a row it is rolled back, the second one sooner",
     {"no_data_limit": 1, "no_data_interval_ns": 30}, {"per_s": 0}, {}, [
        GO, event(100, Action.HOLD, Cause.NO_DATA), event(130, Action.ROLL_BACK, Cause.NO_DATA, 0),
    ]),
    ("a hold lets samples add up", {"samples_min": 250}, {"per_s": 10**10}, {}, [
        GO, event(100, Action.HOLD, Cause.NO_DATA), event(200, Action.HOLD, Cause.NO_DATA),
        event(300, Action.PROMOTE, Cause.STEP, WEIGHT_ONE),
    ]),
    ("a pause by hand stops the checks, which begin anew", {}, {}, {60: Command.PAUSE, 1_000: Command.RESUME}, [
        GO, event(60, Action.PAUSE, Cause.COMMAND), event(1_000, Action.GO_ON, Cause.COMMAND),
        event(1_100, Action.PROMOTE, Cause.STEP, WEIGHT_ONE),
    ]),
    ("promoted past an analysis that would fail", {"steps": [{"weight": 1_000, "analysis": True}, {"weight": 2_000,
                                                   "pause_ns": 5}]}, BAD, {60: Command.PROMOTE}, [
        GO, event(60, Action.GO_ON, Cause.COMMAND), at_weight(60, 2_000),
        event(65, Action.PROMOTE, Cause.STEP, WEIGHT_ONE),
    ]),
    ("promoted past all steps", GATED, {}, {60: Command.PROMOTE_FULL}, [
        GO, event(60, Action.GO_ON, Cause.COMMAND), event(60, Action.PROMOTE, Cause.STEP, WEIGHT_ONE),
    ]),
    ("aborted, and tried again from the first step", GATED, {}, {60: Command.ABORT, 90: Command.RETRY}, [
        GO, event(60, Action.ROLL_BACK, Cause.COMMAND, 0), event(90, Action.GO_ON, Cause.COMMAND, 0),
        at_weight(90, 1_000),
    ]),
    ("an abort need not wait for the delay", {"roll_back_delay_ns": 40}, BAD, {120: Command.ABORT}, [
        GO, event(100, Action.HOLD, Cause.FAILURE_LIMIT), event(120, Action.ROLL_BACK, Cause.COMMAND, 0),
    ]),
    ("what is inconclusive waits for a human", BANDED, {"canary_failed": 30},
     {500: Command.RESUME, 700: Command.PROMOTE}, [
        GO, event(100, Action.PAUSE, Cause.INCONCLUSIVE), event(500, Action.GO_ON, Cause.COMMAND),
        event(600, Action.PAUSE, Cause.INCONCLUSIVE), event(700, Action.GO_ON, Cause.COMMAND),
        event(700, Action.PROMOTE, Cause.STEP, WEIGHT_ONE),
    ]),
    ("one may be inconclusive", {**BANDED, "inconclusive_limit": 1}, {"canary_failed": 30}, {}, [
        GO, event(100, Action.HOLD, Cause.INCONCLUSIVE), event(200, Action.PAUSE, Cause.INCONCLUSIVE),
    ]),
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("name", "options", "traffic", "commands", "expected"), RUNS, ids=[case[0] for case in RUNS])
def test_run_goes_as_the_table_says(
    way: str,
    name: str,
    options: dict[str, Any],
    traffic: dict[str, int],
    commands: dict[int, Command],
    expected: list[Event],
) -> None:
    """What happens when, from the start to the end, asked only when the rule wished it."""
    events, _ = drive(way, checked(**options), steady(**traffic), commands=commands)
    assert events == [STARTED, *expected]


@pytest.mark.parametrize(("name", "options", "traffic", "commands", "expected"), RUNS, ids=[case[0] for case in RUNS])
def test_asking_more_often_changes_nothing(
    name: str,
    options: dict[str, Any],
    traffic: dict[str, int],
    commands: dict[int, Command],
    expected: list[Event],
) -> None:
    """Asked every ten nanoseconds besides, the same happens at the same moments."""
    events, _ = drive(
        "interpreted", checked(**options), steady(**traffic), commands=commands, also_ask=range(0, 1_500, 10)
    )
    assert events == [STARTED, *expected]


SCOPES: list[tuple[str, int, str, bool]] = [
    # scope, good checks that a step needs, verdicts of two steps' checks -> rolled back at the last of them
    ("rollout", 2, "f++ f", True),  # the good ones between them make none of them good
    ("step", 2, "f++ f++", False),
    ("step", 2, "f+f", True),
    ("consecutive", 3, "f+f+f+ f+f+f+", False),
    ("consecutive", 3, "+ff", True),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("scope", "count", "verdicts", "rolled_back"), SCOPES)
def test_failed_checks_add_up_within_their_scope(
    way: str, scope: str, count: int, verdicts: str, rolled_back: bool
) -> None:
    """One may fail: over the rollout as Flagger counts, over each analysis as Argo does, or in a row, the mildest."""
    two_steps = [{"weight": 1_000, "analysis": True}, {"weight": 2_000, "analysis": True}]
    rule = checked(steps=two_steps, count=count, failure_limit=1, failure_scope=scope)
    row = iter(verdicts.replace(" ", ""))

    def traffic(_passed: int, _weight: int, view: RolloutView) -> RolloutView:
        failed = 50 if next(row) == "f" else 0
        return view._replace(
            canary_answered=view.canary_answered + 100 - failed, canary_failed=view.canary_failed + failed
        )

    events, state = drive(way, rule, traffic)
    assert state.phase == (Phase.ROLLED_BACK if rolled_back else Phase.PROMOTED)
    assert events[-1][0] == 100 * len(verdicts.replace(" ", "")), "at the last check, neither before nor after it"


@pytest.mark.parametrize("way", WAYS)
def test_canary_gets_no_weight_before_its_replicas_are_ready(way: str) -> None:
    """START with one of two replicas ready waits; with both, the first step begins, and its clocks from then on."""
    run = run_way(way, step)
    rule = checked(ready_deadline_ns=500)
    state, _ = run_way(way, command)(rule, idle_rollout(), int(Command.START), 0)
    missing = seen()._replace(canary_ready=1, canary_wanted=2)
    state, decision = run(rule, RolloutState(*state), missing, 0)
    assert RolloutDecision(*decision) == RolloutDecision(Action.NONE, Cause.NOT_READY, 0, 0, 500)
    state, decision = run(rule, RolloutState(*state), seen(), 300)
    assert RolloutDecision(*decision) == RolloutDecision(Action.GO_ON, Cause.STEP, 1_000, 0, 400)


@pytest.mark.parametrize("way", WAYS)
def test_canary_that_does_not_become_ready_is_rolled_back_at_the_deadline(way: str) -> None:
    """Replicas that crash under way hold the rollout; the deadline runs from then, and anew each time."""
    run = run_way(way, step)
    rule = checked(ready_deadline_ns=500)
    missing = seen(100)._replace(canary_ready=0)
    state, decision = run(rule, BEGUN, missing, 50)
    assert (decision.weight, decision.ask_again_ns) == (1_000, 550)
    back, _ = run(rule, RolloutState(*state), seen(100)._replace(stable_ready=0), 60)
    _, decision = run(rule, RolloutState(*back), missing, 540)
    assert decision.ask_again_ns == 1_040, "it was ready in between"
    _, decision = run(rule, RolloutState(*state), missing, 550)
    assert RolloutDecision(*decision) == RolloutDecision(Action.ROLL_BACK, Cause.NOT_READY, 0, 0, NEVER_NS)


@pytest.mark.parametrize("way", WAYS)
def test_missing_replicas_of_stable_hold_the_rollout_without_a_deadline(way: str) -> None:
    """Rolling back would send everything to the replicas that are missing."""
    view = seen(100)._replace(stable_ready=8)
    _, decision = run_way(way, step)(checked(ready_deadline_ns=500), BEGUN, view, 90_000)
    assert RolloutDecision(*decision) == RolloutDecision(Action.NONE, Cause.NOT_READY, 1_000, 0, NEVER_NS)
    _, decision = run_way(way, step)(checked(ready_share=8_000), BEGUN, view, 90_000)
    assert decision.action == Action.PROMOTE, "8 of 9 are enough for a share of 80 %"


@pytest.mark.parametrize("way", WAYS)
def test_full_promotion_waits_for_replicas_too(way: str) -> None:
    """No command gives weight to replicas that are not there."""
    rule = checked()
    state, decision = run_way(way, command)(rule, BEGUN, int(Command.PROMOTE_FULL), 5)
    assert (decision.weight, decision.ask_again_ns) == (1_000, 5)
    _, decision = run_way(way, step)(rule, RolloutState(*state), seen()._replace(canary_ready=0), 5)
    assert (decision.action, decision.weight) == (Action.NONE, 1_000)
    _, decision = run_way(way, step)(rule, RolloutState(*state), seen(), 5)
    assert (decision.action, decision.weight) == (Action.PROMOTE, WEIGHT_ONE)


@pytest.mark.parametrize("way", WAYS)
def test_check_that_comes_late_is_one_check(way: str) -> None:
    """Asked 1,000 late, the rule checks once, over all of that time, and next an interval later."""
    state, decision = run_way(way, step)(checked(count=3), BEGUN, seen(500), 1_100)
    assert (state.checks, state.canary_answered, decision.ask_again_ns) == (1, 500, 1_200)


@pytest.mark.parametrize("way", WAYS)
def test_shadow_share_belongs_to_its_step(way: str) -> None:
    """A step at weight 0 may copy everything; the next one copies nothing."""
    rule = rollout_rule(steps=[{"weight": 0, "shadow": WEIGHT_ONE, "pause_ns": 9}, {"weight": 1_000, "pause_ns": 9}])
    run = run_way(way, step)
    state, _ = run_way(way, command)(rule, idle_rollout(), int(Command.START), 0)
    state, decision = run(rule, RolloutState(*state), seen(), 0)
    assert (decision.weight, decision.shadow) == (0, WEIGHT_ONE)
    _, decision = run(rule, RolloutState(*state), seen(), 9)
    assert (decision.weight, decision.shadow) == (1_000, 0)


IDLE = idle_rollout()
PAUSED = BEGUN._replace(phase=int(Phase.PAUSED))
CONDEMNED = BEGUN._replace(phase=int(Phase.CONDEMNED))
PROMOTED = IDLE._replace(phase=int(Phase.PROMOTED), step=1, weight=WEIGHT_ONE)
ROLLED_BACK = IDLE._replace(phase=int(Phase.ROLLED_BACK))

ALLOWED = {
    (Phase.IDLE, Command.START),
    (Phase.ROLLED_BACK, Command.RETRY),
    (Phase.CONDEMNED, Command.ABORT),
    (Phase.PROGRESSING, Command.PAUSE),
    (Phase.PAUSED, Command.RESUME),
    *((phase, said) for phase in (Phase.PROGRESSING, Phase.PAUSED)
      for said in (Command.PROMOTE, Command.PROMOTE_FULL, Command.ABORT)),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "state", [IDLE, BEGUN, PAUSED, CONDEMNED, PROMOTED, ROLLED_BACK], ids=lambda s: Phase(s[0]).name
)
@pytest.mark.parametrize("said", Command, ids=lambda said: said.name)
def test_command_is_refused_where_it_has_nothing_to_act_upon(way: str, state: RolloutState, said: Command) -> None:
    """Promoted is promoted, a second start is none, and a refusal leaves everything as it was."""
    after, decision = run_way(way, command)(checked(), state, int(said), 40)
    if (Phase(state.phase), said) in ALLOWED:
        assert decision.action != Action.REFUSE
    else:
        assert RolloutState(*after) == state
        assert RolloutDecision(*decision) == RolloutDecision(Action.REFUSE, Cause.COMMAND, state.weight, 0, 40)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("outcome", "latency", "refusals_fail", "expected"),
    [
        (Outcome.ANSWERED, 500, True, Tally.ANSWERED),
        (Outcome.ANSWERED, 501, True, Tally.SLOW),
        (Outcome.REFUSED, 0, True, Tally.FAILED),
        (Outcome.REFUSED, 0, False, Tally.NOTHING),
        (Outcome.TIMED_OUT, 0, True, Tally.FAILED),
        (Outcome.ABANDONED, 0, True, Tally.FAILED),
        (Outcome.FAILED, 0, False, Tally.FAILED),
        (Outcome.IN_FLIGHT, 0, True, Tally.NOTHING),
    ],
)
def test_attempt_counts_as_what_its_user_met(
    way: str, outcome: Outcome, latency: int, refusals_fail: bool, expected: Tally
) -> None:
    """An answer at the limit is in time; who got none met a failure."""
    rule = rollout_rule(steps=[], slow_over_ns=500, refusals_fail=refusals_fail)
    assert run_way(way, rollout.tally)(rule, int(outcome), latency) == expected


COUNTS = st.integers(0, 2_000)


@st.composite
def rules(draw: st.DrawFn) -> RolloutRule:
    """Return any rule of a few steps."""
    one_step = st.fixed_dictionaries(
        {
            "weight": st.integers(0, WEIGHT_ONE),
            "pause_ns": st.sampled_from([1, 50, None]),
            "analysis": st.booleans(),
            "shadow": st.sampled_from([0, WEIGHT_ONE]),
        }
    )
    return checked(
        steps=draw(st.lists(one_step, max_size=4)),
        count=draw(st.integers(0, 2)),
        counted=draw(st.sampled_from(["good", "all"])),
        failure_limit=draw(st.integers(0, 2)),
        failure_scope=draw(st.sampled_from(["rollout", "step", "consecutive"])),
        **draw(
            st.sampled_from(
                [
                    {"no_data": "fail"},
                    {"no_data": "pass"},
                    {"no_data": "hold", "no_data_interval_ns": 40},
                    {"no_data": "hold", "no_data_limit": 1},
                ]
            )
        ),
        roll_back_delay_ns=draw(st.sampled_from([0, 70])),
        ready_deadline_ns=draw(st.sampled_from([None, 90])),
        **draw(st.sampled_from([ABSOLUTE, BANDED, EXCESS, RATIO])),
    )


MOVES = st.lists(
    st.tuples(
        st.integers(0, 120),  # time that passes
        st.sampled_from([None, None, None, *Command]),
        st.tuples(COUNTS, st.integers(0, 40), COUNTS, st.integers(0, 40)),  # canary's, stable's answered and failed
        st.sampled_from([0, 1, 1, 1]),  # canary's replicas ready
        st.sampled_from([0, 1, 1, 1]),  # stable's
    ),
    max_size=30,
)


@settings(max_examples=300)
@given(rules(), MOVES)
def test_no_sequence_of_events_breaks_a_promise(rule: RolloutRule, moves: list[Any]) -> None:
    """Weights stay within 0 .. WEIGHT_ONE, an end is an end, weight rises only onto ready replicas, and so on."""
    state, view, now = idle_rollout(), NOTHING_YET, 0
    for passed, said, counts, canary_ready, stable_ready in [(0, Command.START, (0, 0, 0, 0), 1, 1), *moves]:
        now += passed
        before = state
        if said is not None:
            state, decision = command(rule, state, int(said), now)
            assert decision.weight == state.weight <= before.weight, "a command raises no weight"
        view = RolloutView(
            view.canary_answered + counts[0], view.canary_failed + counts[1], 0,
            view.stable_answered + counts[2], view.stable_failed + counts[3], 0, canary_ready, 1, stable_ready, 1,
        )  # fmt: skip
        state, decision = step(rule, state, view, now)
        assert step(rule, state, view, now)[0] == state, "asked twice"
        again = step(rule, state, view, now)[1]
        assert (again.action, again.weight, again.shadow) == (Action.NONE, decision.weight, decision.shadow)

        assert 0 <= decision.weight == state.weight <= WEIGHT_ONE
        assert 0 <= decision.shadow == state.shadow <= WEIGHT_ONE
        assert decision.ask_again_ns > now
        if state.weight > before.weight:
            assert (canary_ready, stable_ready) == (1, 1)
        if before.phase == Phase.PROMOTED:
            assert state == before
        if before.phase == Phase.ROLLED_BACK and said != Command.RETRY:
            assert state == before
        if state.phase == Phase.PROMOTED:
            assert (state.weight, state.shadow) == (WEIGHT_ONE, 0)
        if state.phase == Phase.ROLLED_BACK:
            assert (state.weight, state.shadow) == (0, 0)


LIMITS = {"limits": [FAILED_1_PERCENT], "interval_ns": 60}
ONE_STEP = [{"weight": 1_000, "analysis": True}]

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"steps": [{"weight": 10_001}]}, "rollout.steps.0.weight must be a whole number from 0 to 10000. Got 10001."),
    ({"steps": [{"weight": 1}, {"weight": 2, "shadow": -1}]}, "rollout.steps.1.shadow must be a whole number from 0"),
    ({"steps": [{"weight": 1, "pause_ns": -1}]}, "rollout.steps.0.pause must be a time from 0ns to 31d. Got -1ns."),
    ({"steps": [{"weight": 1}] * 33}, "rollout.steps must be at most 32 steps. Got 33."),
    ({"steps": ONE_STEP}, "rollout.analysis must be given when a step has analysis. Got nothing."),
    ({"steps": [], "slow_over_ns": 0}, "rollout.slow_over must be a time from 1ns"),
    ({"steps": [], "ready_share": 10_001}, "rollout.ready_share must be a whole number from 0 to 10000. Got 10001."),
    ({"steps": [], "ready_deadline_ns": 0}, "rollout.ready_deadline must be a time from 1ns"),
]
ANALYSIS_REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"limits": []}, "rollout.analysis.limits must be 1 to 4 limits. Got 0."),
    ({"limits": [FAILED_1_PERCENT] * 5}, "rollout.analysis.limits must be at most 4 limits. Got 5."),
    ({"limits": [{"metric": "p99", "pass_most": 1}]}, "rollout.analysis.limits.0.metric must be one of failed, slow."),
    (
        {"limits": [{"metric": "slow", "pass_most": 1}]},
        "rollout.slow_over must be given when a limit is on slow answers",
    ),
    (
        limit("failed", "stable_difference", 1_000_001),
        "rollout.analysis.limits.0.pass_most must be from 0% to",
    ),
    (
        limit("failed", "nothing", 9, 8),
        "rollout.analysis.limits.0.fail_over must be from 0.0009% to 100%. Got 0.0008%.",
    ),
    ({"interval_ns": 0}, "rollout.analysis.interval must be a time from 1ns"),
    ({"initial_delay_ns": 0}, "rollout.analysis.initial_delay must be a time from 1ns"),
    ({"count": -1}, "rollout.analysis.count must be a whole number from 0"),
    ({"count": 0}, "rollout.steps.0.pause must be more than zero when rollout.analysis.count is 0"),
    ({"counted": "bad"}, "rollout.analysis.counted must be one of good, all. Got bad."),
    ({"failure_limit": -1}, "rollout.analysis.failure_limit must be a whole number from 0"),
    ({"failure_scope": "x"}, "rollout.analysis.failure_scope must be one of rollout, step, consecutive. Got x."),
    ({"inconclusive_limit": -1}, "rollout.analysis.inconclusive_limit must be a whole number from 0"),
    ({"samples_min": 0}, "rollout.analysis.samples_min must be a whole number from 1"),
    ({"no_data": "x"}, "rollout.analysis.no_data must be one of fail, hold, pass. Got x."),
    ({"no_data_limit": -1}, "rollout.analysis.no_data_limit must be a whole number from 0"),
    ({"no_data_interval_ns": 0}, "rollout.analysis.no_data_interval must be a time from 1ns"),
    (
        {"no_data": "fail", "no_data_limit": 4},
        "rollout.analysis.no_data_limit must be left out unless rollout.analysis.no_data is hold. Got 4.",
    ),
    ({"roll_back_delay_ns": -1}, "rollout.analysis.roll_back_delay must be a time from 0ns"),
]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        *REFUSED,
        *(({"steps": ONE_STEP, "analysis": {**LIMITS, **{k: v for k, v in one.items() if k != "slow_over_ns"}}}, text)
          for one, text in ANALYSIS_REFUSED),
    ],
    ids=[row[1][:60] for row in [*REFUSED, *ANALYSIS_REFUSED]],
)  # fmt: skip
def test_setting_out_of_range_is_refused_with_a_sentence(options: dict[str, Any], sentence: str) -> None:
    """One sentence, one full stop at its end, the key as in a scenario file."""
    with pytest.raises(SettingError) as refusal:
        rollout_rule(**options)
    message = str(refusal.value)
    assert message.startswith(sentence)
    assert message.endswith(".")
    assert "\n" not in message


@given(rules())
def test_rule_in_words_builds_the_same_rule_again(rule: RolloutRule) -> None:
    """What a server tells of its rollout is all there is to it."""
    assert rollout_rule(**rollout_in_words(rule)) == rule


def test_products_of_the_largest_settings_stay_below_2_to_the_62() -> None:
    """Compiled code wraps silently: 2**31 samples in a window, limits as high as they are let in."""
    most = 2**31
    assert rollout.SHARE_ONE * 1_000 * most < 2**62  # a share worked out finely
    assert 1_000 * rollout.SHARE_ONE * (rollout.SHARE_ONE * 1_000) < 2**62  # the highest ratio times a share of all
    assert rollout.SHARE_ONE * most < 2**62  # an absolute limit times the samples
