"""The autoscaling rule: clocks, memory and causes, each case interpreted and compiled.

The formulas are in test_recommendation.py, the brakes in test_scaling_brakes.py, whole systems in
test_autoscaler_presets.py.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.autoscaler_presets import PRESETS, preset
from policy.autoscaling import (
    AutoscalerState,
    AutoscalingRule,
    Cause,
    FleetView,
    Scaling,
    fresh_autoscaler,
    history_length,
    step,
)
from policy.autoscaling_settings import autoscaling_rule, fixed_fleet
from policy.instant import NEVER_NS
from tests.policy.both_ways import WAYS, run_way
from tests.policy.fleet_on_paper import S, history_for, moves, steps


def rule(**options: Any) -> AutoscalingRule:
    """Return a rule: 2 requests in flight per replica, sampled and decided every second, at most 20 replicas."""
    return autoscaling_rule(**{"target": 2.0, "max_replicas": 20, "tick_ns": S, **options})


def view(in_flight: int, wanted: int, waiting: int = 0) -> FleetView:
    """Return a fleet that is ready."""
    return FleetView(waiting, in_flight, 0, 0, wanted, 0, wanted)


@pytest.mark.parametrize("way", WAYS)
def test_fixed_fleet_is_never_asked_again(way: str) -> None:
    """It keeps what it has, and needs no history worth the name."""
    fixed = fixed_fleet()
    state, scaling = run_way(way, step)(fixed, fresh_autoscaler(fixed, 5), history_for(way, fixed), view(999, 3), 5)
    assert scaling == Scaling(3, Cause.NONE, NEVER_NS)
    assert state == fresh_autoscaler(fixed, 5)


@pytest.mark.parametrize("way", WAYS)
def test_clocks_run_from_the_start_each_at_its_period(way: str) -> None:
    """Samples every 4, ticks every 6, polls every 10 seconds, from second 100 on; a late call does not shift them."""
    clocks = rule(sample_ns=4 * S, tick_ns=6 * S, poll_ns=10 * S, min_replicas=0)
    decide, history = run_way(way, step), history_for(way, clocks)
    state, now_s, asked = fresh_autoscaler(clocks, 100 * S), 100.0, []
    for late_s in (0, 0, 0, 0.5, 0, 0, 0, 0):
        state, scaling = decide(clocks, state, history, view(2, 1), round(now_s * S))
        asked.append(scaling.ask_again_ns / S)
        now_s = asked[-1] + late_s
    assert asked == [104, 106, 108, 110, 112, 116, 118, 120]


@pytest.mark.parametrize("way", WAYS)
def test_clocks_that_run_already_are_due_at_their_own_multiples(way: str) -> None:
    """They began 7 s before second 100: the next sample comes at 101, the next tick at 105, the next poll at 103."""
    clocks = rule(sample_ns=4 * S, tick_ns=6 * S, poll_ns=10 * S, min_replicas=0)._replace(phase_ns=7 * S)
    decide, history = run_way(way, step), history_for(way, clocks)
    state, now_s, asked = fresh_autoscaler(clocks, 100 * S), 100, []
    assert (state.next_sample_ns, state.next_tick_ns, state.next_poll_ns) == (101 * S, 105 * S, 103 * S)
    for _ in range(7):
        state, scaling = decide(clocks, state, history, view(2, 1), now_s * S)
        now_s = scaling.ask_again_ns // S
        asked.append(now_s)
    assert asked == [101, 103, 105, 109, 111, 113, 117]


WHOLE_PERIODS: dict[str, dict[str, Any]] = {
    "delays": {"delay_up_ns": 3 * S, "delay_down_ns": 4 * S},
    "windows": {"window_ns": 4 * S, "stabilisation_down_ns": 5 * S},
    "cooldowns": {"cooldown_up_ns": 3 * S, "cooldown_down_ns": 2 * S, "step_up_count": 1, "step_down_count": 1},
    "step periods": {"step_up_count": 2, "step_up_count_period_ns": 3 * S, "step_down_percent": 50},
    "none and back": {"min_replicas": 0, "poll_ns": 2 * S, "idle_ns": 4 * S, "window_ns": 2 * S},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("options", WHOLE_PERIODS.values(), ids=WHOLE_PERIODS)
@pytest.mark.parametrize("signal", ["in_flight", "rate"])
def test_timers_that_are_late_by_a_little_change_no_move(way: str, options: dict[str, Any], signal: str) -> None:
    """Delays and windows of whole periods: late by 9, 8, ... us, a span of 3 s would seem to be 1 us too short."""
    chosen = rule(signal=signal, target=2.0, **options)
    decide = run_way(way, step)

    def driven(late_us: list[int]) -> list[tuple[int, int, str]]:
        state, history, wanted, seen = fresh_autoscaler(chosen, 0), history_for(way, chosen), 2, []
        for second in range(60):
            load = 20 if 10 <= second < 25 else 0 if second >= 40 else 3
            arrived = sum(20 if 10 <= each < 25 else 0 if each >= 40 else 3 for each in range(second))
            what = FleetView(0, load, arrived, 0, wanted, 0, wanted)
            state, scaling = decide(chosen, state, history, what, second * S + 1000 * late_us[second % len(late_us)])
            if scaling.wanted != wanted:
                seen.append((second, scaling.wanted, scaling.cause.name))
            wanted = scaling.wanted
        return seen

    punctual = driven([0])
    assert len(punctual) >= 2
    assert driven([9, 8, 7, 6, 5, 4, 3]) == driven([1, 2, 3, 4, 5, 6, 7]) == punctual


@pytest.mark.parametrize("way", WAYS)
def test_driver_that_comes_very_late_makes_one_tick_for_all_it_missed(way: str) -> None:
    """Nothing is made up for: a tick sees what is there when it is made."""
    chosen = rule(step_up_count=1)
    history, decide = history_for(way, chosen), run_way(way, step)
    state, _ = decide(chosen, fresh_autoscaler(chosen, 0), history, view(20, 1), 0)
    _, scaling = decide(chosen, state, history, view(20, 1), 17 * S + 5)
    assert scaling == Scaling(2, Cause.LOAD_UP, 18 * S)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "options", "start", "load", "expected"),
    [
        ("up", {}, 2, 7, [(1, 4, "LOAD_UP")]),
        ("down", {}, 5, 7, [(1, 4, "LOAD_DOWN")]),
        ("as it is", {}, 4, 7, []),
        ("not above the most", {"max_replicas": 3}, 2, 70, [(1, 3, "LOAD_UP")]),
        ("not below the least", {"min_replicas": 3}, 5, 0, [(1, 3, "LOAD_DOWN")]),
        ("more than allowed", {"max_replicas": 3, "lag_ns": 900 * S}, 5, 70, [(1, 3, "LIMIT")]),
        (
            "more than allowed, and that is forgotten",
            {"max_replicas": 3, "stabilisation": "highest", "stabilisation_down_ns": 60 * S},
            5,
            2,
            [(1, 3, "LIMIT")],
        ),
        ("fewer than allowed", {"min_replicas": 7, "lag_ns": 900 * S}, 5, 70, [(1, 7, "LIMIT")]),
        ("none, and that is not allowed", {"lag_ns": 900 * S}, 0, 70, [(1, 1, "LIMIT")]),
        ("no sample known yet", {"lag_ns": 900 * S}, 2, 7, []),
        ("known after the lag", {"lag_ns": 5 * S}, 2, 7, [(5, 4, "LOAD_UP")]),
        ("reported every 7 s", {"report_ns": 7 * S, "lag_ns": S}, 2, 7, [(1, 4, "LOAD_UP")]),
        ("what is waiting, with none in a queue", {"signal": "waiting"}, 2, 7, [(1, 1, "LOAD_DOWN")]),
    ],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) else None,
)
def test_tick_moves_the_fleet_to_its_load(
    way: str, name: str, options: dict[str, Any], start: int, load: int, expected: list[tuple[float, int, str]]
) -> None:
    """One load for ten seconds; the first tick comes one period after the start."""
    assert moves(way, rule(**options), steps((0, load)), 10, replicas=start) == expected


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("signal", "per_second", "target", "wanted"),
    [("rate", 30.0, 10.0, 3), ("busy", 1.5, 0.5, 3), ("busy", 0.9, 0.5, 2)],
)
def test_counters_are_differences_over_the_window(
    way: str, signal: str, per_second: float, target: float, wanted: int
) -> None:
    """Arrivals per second, and devices busy, of the window: what came before it no longer counts."""
    chosen = rule(signal=signal, target=target, window_ns=10 * S, tick_ns=5 * S)
    found = moves(way, chosen, steps((0, 1000.0), (20, per_second)), 100, counters=True)
    assert found[0][1:] == (20, "LOAD_UP")
    assert found[-1] == (30, wanted, "LOAD_DOWN")


GAIN: dict[str, Any] = {"formula": "gain", "delay_up_ns": 3 * S, "delay_down_ns": 3 * S}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "load", "expected"),
    [
        ("persists", steps((0, 8)), [(4, 4, "LOAD_UP")]),
        ("is met for a tick", steps((0, 8), (3, 4), (4, 8)), [(7, 4, "LOAD_UP")]),
        ("turns for a tick", steps((0, 8), (3, 1), (4, 8)), [(7, 4, "LOAD_UP")]),
        ("grows: the last one counts", steps((0, 6), (4, 12)), [(4, 6, "LOAD_UP")]),
        ("persists after a move", steps((0, 8), (5, 20)), [(4, 4, "LOAD_UP"), (8, 10, "LOAD_UP")]),
        ("down", steps((0, 1)), [(4, 1, "LOAD_DOWN")]),
    ],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) else None,
)
def test_need_moves_the_fleet_when_it_has_persisted(
    way: str, name: str, load: Any, expected: list[tuple[float, int, str]]
) -> None:
    """Two replicas, 2 requests each, ticks at 1, 2, 3 ...: three seconds behind the first tick with the need."""
    assert moves(way, rule(**GAIN), load, 9, replicas=2) == expected


@pytest.mark.parametrize("way", WAYS)
def test_delay_that_goes_on_lets_the_next_move_come_at_once(way: str) -> None:
    """With a step of one: a move every four seconds where each starts the delay anew, else one every second."""
    one_by_one = {**GAIN, "step_up_count": 1}
    anew = moves(way, rule(**one_by_one), steps((0, 20)), 9)
    goes_on = moves(way, rule(**one_by_one, delay_restarts=False), steps((0, 20)), 9)
    assert [second for second, _, _ in anew] == [4, 8]
    assert [second for second, _, _ in goes_on] == [4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("way", WAYS)
def test_cooldown_forbids_the_same_move_and_a_move_up_ends_one_of_a_move_down(way: str) -> None:
    """Up at 1, again at 4 when that is over; down at 8; up at 9 all the same, which ends the cooldown: down at 10."""
    chosen = rule(cooldown_up_ns=3 * S, cooldown_down_ns=60 * S)
    load = steps((0, 8), (2, 20), (8, 2), (9, 8), (10, 2), (11, 0))
    assert moves(way, chosen, load, 12, replicas=2) == [
        (1, 4, "LOAD_UP"),
        (4, 10, "LOAD_UP"),
        (8, 1, "LOAD_DOWN"),
        (9, 4, "LOAD_UP"),
        (10, 1, "LOAD_DOWN"),
    ]
    assert moves(way, chosen, steps((0, 4), (2, 2)), 12, replicas=4) == [(1, 2, "LOAD_DOWN")]


ZERO: dict[str, Any] = {"min_replicas": 0, "idle_ns": 3 * S}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "options", "start", "load", "expected"),
    [
        ("idle for 3 s", ZERO, 1, steps((0, 2), (4, 0)), [(6, 0, "IDLE")]),
        ("not if it may not", {**ZERO, "min_replicas": 1}, 1, steps((0, 2), (4, 0)), []),
        ("from one", ZERO, 4, steps((0, 8), (4, 0)), [(4, 1, "LOAD_DOWN"), (7, 0, "IDLE")]),
        (
            "from any",
            {**ZERO, "zero_from": "any", "stabilisation_down_ns": 60 * S},
            4,
            steps((0, 8), (4, 0)),
            [(6, 0, "IDLE")],
        ),
        ("at polls", {**ZERO, "poll_ns": 5 * S}, 1, steps((0, 2), (4, 0)), [(5, 0, "IDLE")]),
        ("not so soon after it came", {**ZERO, "active_ns": 8 * S}, 1, steps((0, 2), (4, 0)), [(8, 0, "IDLE")]),
        ("so little is idle", {**ZERO, "activation_above": 2.0}, 1, steps((0, 2), (3.5, 0)), [(3, 0, "IDLE")]),
        ("back at once", ZERO, 0, steps((4.3, 7)), [(4.3, 1, "ACTIVATED"), (5, 4, "LOAD_UP")]),
        (
            "back, as many",
            {**ZERO, "activation_replicas": 3},
            0,
            steps((4.3, 7)),
            [(4.3, 3, "ACTIVATED"), (5, 4, "LOAD_UP")],
        ),
        (
            "back, the least",
            {**ZERO, "min_replicas": 2, "scale_to_zero": True},
            0,
            steps((4.3, 2)),
            [(4.3, 2, "ACTIVATED")],
        ),
        ("back, by half a gain", {**ZERO, **GAIN, "gain_up": 0.5}, 0, steps((4.3, 2)), [(4.3, 1, "ACTIVATED")]),
        ("back, by a large gain", {**ZERO, **GAIN, "gain_up": 2.5}, 0, steps((4.3, 6)), [(4.3, 3, "ACTIVATED")]),
        (
            "back at the next poll",
            {**ZERO, "activation": "at_poll", "poll_ns": 6 * S},
            0,
            steps((4.3, 7)),
            [(6, 1, "ACTIVATED"), (7, 4, "LOAD_UP")],
        ),
        (
            "too little for a poll",
            {**ZERO, "activation": "at_poll", "activation_above": 7.0},
            0,
            steps((4.3, 7)),
            [],
        ),
    ],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) else None,
)
def test_idle_fleet_goes_to_none_and_comes_back(
    way: str, name: str, options: dict[str, Any], start: int, load: Any, expected: list[tuple[float, int, str]]
) -> None:
    """The driver also asks at 4.3 s, when the request comes to the fleet of none."""
    assert moves(way, rule(**options), load, 9, replicas=start, extra_asks_s=(4.3,)) == expected


@pytest.mark.parametrize("way", WAYS)
def test_fleet_that_would_be_fetched_back_at_once_is_not_sent_away(way: str) -> None:
    """No arrivals any more, but one request still waits: to none and back in one instant would be for nothing."""
    chosen = rule(signal="rate", **ZERO)
    history, decide = history_for(way, chosen), run_way(way, step)
    state = fresh_autoscaler(chosen, 0)
    for second in range(9):
        state, scaling = decide(chosen, state, history, view(1, 1, waiting=1), second * S)
        assert scaling.wanted == 1
    _, scaling = decide(chosen, state, history, view(0, 1), 12 * S)
    assert scaling[:2] == (0, Cause.IDLE)


@pytest.mark.parametrize("way", WAYS)
def test_move_stands_in_its_instant(way: str) -> None:
    """Asked again before the move was carried out it says the same; after, that there is no other."""
    chosen = rule()
    history, decide = history_for(way, chosen), run_way(way, step)
    state, _ = decide(chosen, fresh_autoscaler(chosen, 0), history, view(9, 2), 0)
    state, first = decide(chosen, state, history, view(9, 2), S)
    again, second = decide(chosen, state, history, view(9, 2), S)
    carried, third = decide(chosen, state, history, view(9, 5), S)
    assert first == second == Scaling(5, Cause.LOAD_UP, 2 * S)
    assert third == Scaling(5, Cause.NONE, 2 * S)
    assert again == carried == state


@pytest.mark.parametrize("way", WAYS)
def test_asking_more_often_changes_nothing(way: str) -> None:
    """Ray Serve, Knative and KEDA under a load that comes and goes: asked at odd moments besides, they move alike."""
    load = steps((0, 3), (70, 40), (150, 9), (300, 0))
    odd = tuple(range(1, 900, 7)) + tuple(second + 0.123456 for second in range(900))
    for name in ("ray_serve", "knative", "keda"):
        chosen = autoscaling_rule(
            **{**preset(name), "target": 2.0, "max_replicas": 50, "sample_ns": 5 * S, "tick_ns": 5 * S}
        )
        plain = moves(way, chosen, load, 900)
        assert plain
        assert moves(way, chosen, load, 900, extra_asks_s=odd) == plain


RULES = [
    autoscaling_rule(**{"target": 2.0, **preset(name), "min_replicas": least, "max_replicas": 9, "scale_to_zero": zero})
    for name in PRESETS
    for least, zero in ((1, False), (2, True))
]

VIEWS = st.lists(
    st.tuples(
        st.integers(0, 60 * S),  # until the next question
        st.integers(0, 300),  # waiting
        st.integers(0, 300),  # in passes
        st.integers(0, 10_000),  # more arrivals
        st.integers(0, 90 * S),  # more busy time
        st.integers(0, 12),  # ready
        st.integers(0, 12),  # starting
    ),
    min_size=1,
    max_size=40,
)


@given(index=st.integers(0, len(RULES) - 1), start=st.integers(2, 9), asked=VIEWS)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_whatever_it_sees_the_fleet_stays_within_its_limits(
    index: int, start: int, asked: list[tuple[int, ...]]
) -> None:
    """Any views: between min and max, or none where that is allowed; twice in an instant, twice the same; and compiled
    code moves as the interpreter does.
    """
    chosen = RULES[index]
    histories = {way: history_for(way, chosen) for way in WAYS}
    state, wanted, now_ns, arrived, busy_ns = fresh_autoscaler(chosen, 0), start, 0, 0, 0
    for gap_ns, waiting, running, more, busier_ns, ready, starting in asked:
        now_ns, arrived, busy_ns = now_ns + gap_ns, arrived + more, busy_ns + busier_ns
        seen = FleetView(waiting, waiting + running, arrived, busy_ns, ready, starting, wanted)
        after, scaling = step(chosen, state, histories["interpreted"], seen, now_ns)
        assert run_way("compiled", step)(chosen, state, histories["compiled"], seen, now_ns) == (after, scaling)
        assert list(histories["compiled"]) == histories["interpreted"]
        assert step(chosen, after, histories["interpreted"], seen, now_ns) == (after, scaling)
        assert chosen.replicas_min <= scaling.wanted <= 9 or (scaling.wanted == 0 and chosen.to_zero)
        assert (scaling.wanted == wanted) == (scaling.cause == Cause.NONE)
        assert scaling.ask_again_ns > now_ns
        state, wanted = after, scaling.wanted


@pytest.mark.parametrize("way", WAYS)
def test_history_is_as_long_as_the_rule_says(way: str) -> None:
    """A driver preallocates it once: no run writes beyond it, however long it is."""
    chosen = rule(window_ns=7 * S, stabilisation_down_ns=9 * S, step_up_count=1, step_up_count_period_ns=5 * S)
    assert history_length(chosen) == len(history_for(way, chosen)) == (2 + 2 * 13) + (2 + 2 * 11) + (2 + 2 * 7)
    assert moves(way, chosen, steps((0, 9), (30, 2), (60, 30)), 400)


def test_state_is_made_of_ints() -> None:
    """A driver may keep it as a row of an int64 array."""
    state = fresh_autoscaler(rule(), 5)
    assert {type(value) for value in state} == {int}
    assert AutoscalerState(*state) == state
