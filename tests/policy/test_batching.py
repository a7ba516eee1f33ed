"""The batching rule: a table of cases, each run interpreted and compiled."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from policy import batching
from policy.batching import BatchingDecision, BatchingRule, Cause, CollectorState, CollectorView
from policy.errors import SettingError
from policy.instant import NEVER_NS, UNSET
from policy.settings import batching_rule
from tests.policy.both_ways import WAYS, run_way


def rule(**options: Any) -> BatchingRule:
    """Return a rule: at most 4, wait 100, one slot."""
    return batching_rule(**{"max_batch": 4, "max_wait_ns": 100, **options})


def view(queued: int = 0, held: int = 0, oldest: int = UNSET, parked: int = 0, running: int = 0) -> CollectorView:
    """Return what a collector sees that is free to collect."""
    return CollectorView(True, held, queued, oldest, parked, running)


FRESH = CollectorState(UNSET, UNSET)
COLLECT = {"timer_origin": "collect", "collector": "exclusive"}
WINDOW = {"timer_origin": "window", "collector": "exclusive"}
COMPETING = {"timer_origin": "collect", "collector": "competing", "instances": 2}
GREEDY_COMPETING = {**COMPETING, "max_wait_ns": 0}

CASES: list[tuple[str, dict[str, Any], CollectorState, CollectorView, int, tuple[int, int, Cause, int]]] = [
    # name, rule, state, view, now -> collect, close, cause, ask again
    ("nothing there", {}, FRESH, view(), 7, (0, 0, Cause.NONE, NEVER_NS)),
    ("one waits until its age is 100", {}, FRESH, view(queued=1, oldest=5), 7, (1, 0, Cause.NONE, 105)),
    ("one is old enough", {}, FRESH, view(queued=1, oldest=5), 105, (1, 1, Cause.WAITED, NEVER_NS)),
    ("one nanosecond too young", {}, FRESH, view(queued=1, oldest=5), 104, (1, 0, Cause.NONE, 105)),
    ("full at once", {}, FRESH, view(queued=9, oldest=5), 7, (4, 4, Cause.FULL, NEVER_NS)),
    ("the hand is filled up", {}, CollectorState(0, 3), view(3, 3, 2), 7, (1, 4, Cause.FULL, NEVER_NS)),
    ("full, no slot", {}, FRESH, view(queued=9, oldest=5, running=1), 7, (4, 0, Cause.NONE, 105)),
    ("old, no slot", {}, FRESH, view(queued=2, oldest=5, running=1), 200, (2, 0, Cause.NONE, NEVER_NS)),
    ("a parked batch holds a slot", {}, FRESH, view(queued=9, oldest=5, parked=1), 7, (4, 0, Cause.NONE, 105)),
    ("two slots, one taken", {"slots": 2}, FRESH, view(9, 0, 5, 0, 1), 7, (4, 4, Cause.FULL, NEVER_NS)),
    ("no slot limit", {"slots": 0}, FRESH, view(9, 0, 5, 3, 3), 7, (4, 4, Cause.FULL, NEVER_NS)),
    ("no wait", {"max_wait_ns": 0}, FRESH, view(queued=2, oldest=7), 7, (2, 2, Cause.WAITED, NEVER_NS)),
    ("timer, no slot", {"freeze": "timer"}, FRESH, view(2, 0, 5, 1, 1), 105, (2, 2, Cause.WAITED, NEVER_NS)),
    ("preferred 2 of 3", {"preferred_sizes": [2, 4]}, FRESH, view(3, 0, 5), 7, (3, 2, Cause.PREFERRED, NEVER_NS)),
    ("below every preferred", {"preferred_sizes": [2, 4]}, FRESH, view(1, 0, 5), 7, (1, 0, Cause.NONE, 105)),
    ("late: preferred is ignored", {"preferred_sizes": [2]}, FRESH, view(3, 0, 5), 105, (3, 3, Cause.WAITED, NEVER_NS)),
    ("preferred, no slot", {"preferred_sizes": [2]}, FRESH, view(3, 0, 5, 0, 1), 7, (3, 0, Cause.NONE, 105)),
    ("first take counts, not age", COLLECT, FRESH, view(queued=1, oldest=5), 300, (1, 0, Cause.NONE, 400)),
    ("taken before", COLLECT, CollectorState(0, 250), view(0, 1, 5), 300, (0, 0, Cause.NONE, 350)),
    ("taken long ago", COLLECT, CollectorState(0, 200), view(0, 1, 5), 300, (0, 1, Cause.WAITED, NEVER_NS)),
    ("a worker needs no free slot", COLLECT, FRESH, view(9, 0, 5, 0, 1), 7, (4, 4, Cause.FULL, NEVER_NS)),
    ("first window", WINDOW, CollectorState(1000, UNSET), view(1, 0, 5), 1030, (1, 0, Cause.NONE, 1100)),
    ("third window", WINDOW, CollectorState(1000, UNSET), view(1, 0, 5), 1230, (1, 0, Cause.NONE, 1300)),
    ("at a window's end", WINDOW, CollectorState(1000, UNSET), view(1, 0, 5), 1200, (1, 1, Cause.WAITED, NEVER_NS)),
    ("window opens now", WINDOW, FRESH, view(1, 0, 5), 1200, (1, 0, Cause.NONE, 1300)),
    ("window of no length", {**WINDOW, "max_wait_ns": 0}, FRESH, view(2, 0, 5), 9, (2, 2, Cause.WAITED, NEVER_NS)),
    ("competing: one at a time", COMPETING, FRESH, view(3, 0, 5), 7, (1, 0, Cause.NONE, 107)),
    ("more to be dealt", GREEDY_COMPETING, FRESH, view(3, 0, 5), 7, (1, 0, Cause.NONE, NEVER_NS)),
    ("last one dealt", GREEDY_COMPETING, FRESH, view(1, 0, 5), 7, (1, 1, Cause.WAITED, NEVER_NS)),
    ("competing: full", COMPETING, CollectorState(0, 3), view(5, 3, 2), 7, (1, 4, Cause.FULL, NEVER_NS)),
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "options", "state", "seen", "now", "expected"), CASES, ids=[case[0] for case in CASES]
)
def test_case_decides_as_the_table_says(
    way: str,
    name: str,
    options: dict[str, Any],
    state: CollectorState,
    seen: CollectorView,
    now: int,
    expected: tuple[int, int, Cause, int],
) -> None:
    """How many to take, how many to close, why, and when to be asked again."""
    _, decision = run_way(way, batching.step)(rule(**options), state, seen, now)
    assert BatchingDecision(*decision) == BatchingDecision(*expected)


@pytest.mark.parametrize("way", WAYS)
def test_collector_that_is_not_free_decides_nothing_and_forgets(way: str) -> None:
    """While its instance runs, a worker neither takes nor waits; its next window starts when it is free again."""
    busy = view(queued=3, oldest=5)._replace(collecting=False)
    state, decision = run_way(way, batching.step)(rule(**WINDOW), CollectorState(1000, 1010), busy, 1020)
    assert CollectorState(*state) == CollectorState(UNSET, UNSET)
    assert BatchingDecision(*decision) == BatchingDecision(0, 0, Cause.NONE, NEVER_NS)


@pytest.mark.parametrize("way", WAYS)
def test_asking_twice_changes_nothing(way: str) -> None:
    """A second question at the same moment, the first answer carried out, finds the same state and takes nothing."""
    step = run_way(way, batching.step)
    first, decision = step(rule(**COLLECT), FRESH, view(queued=2, oldest=5), 300)
    again, second = step(rule(**COLLECT), first, view(held=2, oldest=5), 300)
    assert again == first
    assert (decision.collect, second.collect) == (2, 0)
    assert second.ask_again_ns == decision.ask_again_ns == 400


@given(
    options=st.fixed_dictionaries(
        {
            "max_batch": st.integers(1, 5),
            "max_wait_ns": st.sampled_from([0, 40, 100]),
            "timer_origin": st.sampled_from(["enqueue", "collect", "window"]),
            "collector": st.sampled_from(["exclusive", "competing"]),
            "preferred_sizes": st.sampled_from([[], [1], [1, 3]]),
        }
    )
    | st.fixed_dictionaries(
        {
            "max_batch": st.integers(1, 5),
            "max_wait_ns": st.sampled_from([0, 40, 100]),
            "freeze": st.sampled_from(["pull", "timer"]),
            "preferred_sizes": st.sampled_from([[], [1], [1, 3]]),
        }
    ),
    start=st.sampled_from([FRESH, CollectorState(0, UNSET), CollectorState(0, 60)]),
    held=st.integers(0, 5),
    queued=st.integers(0, 7),
    used=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    now_ns=st.integers(60, 200),
)
def test_settled_collector_has_nothing_more_to_say(
    options: dict[str, Any], start: CollectorState, held: int, queued: int, used: tuple[int, int], now_ns: int
) -> None:
    """Asked again at once, with what it took in its hand, it keeps its state, its hand and its timer."""
    try:
        chosen = rule(instances=2, **options)
    except SettingError:
        reject()
    seen = view(queued, held, 50 if queued + held else UNSET, *used)
    state, decision = batching.step(chosen, start, seen, now_ns)
    after = seen._replace(held=held + decision.collect, queued=queued - decision.collect)
    if batching.is_settled(chosen, decision):
        assert batching.step(chosen, state, after, now_ns) == (state, decision._replace(collect=0))
    else:
        assert decision.close or chosen.collector == batching.Collector.COMPETING


BUSY = view()._replace(collecting=False)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "options", "seen", "expected"),
    [
        ("nothing there: a timer would start", {}, view(), False),
        ("it may become full", {}, view(held=1, oldest=5), False),
        ("no slot, a hand", {}, view(held=1, oldest=5, running=1), True),
        ("a parked batch holds the slot", {}, view(held=1, oldest=5, parked=1), True),
        ("no slot, no hand: a timer would start", {}, view(running=1), False),
        ("a slot is left", {"slots": 2}, view(held=1, oldest=5, running=1), False),
        ("contents are final when it is full", {"freeze": "timer"}, view(held=1, oldest=5, running=1), False),
        ("a worker that is busy", COLLECT, BUSY, True),
        ("a worker that collects", COLLECT, view(held=1, oldest=5), False),
        ("another one may take it", COMPETING, BUSY, False),
    ],
)
def test_collector_that_can_wait(
    way: str, name: str, options: dict[str, Any], seen: CollectorView, expected: bool
) -> None:
    """It need not be asked about one request more."""
    assert bool(run_way(way, batching.can_wait)(rule(**options), seen)) == expected, name


@settings(max_examples=500)
@given(
    options=st.fixed_dictionaries(
        {
            "freeze": st.sampled_from(["pull", "timer"]),
            "collector": st.sampled_from(["dispatcher", "exclusive"]),
            "timer_origin": st.sampled_from(["enqueue", "collect", "window"]),
            "slots": st.sampled_from([0, 1, 2]),
            "preferred_sizes": st.sampled_from([[], [2]]),
        }
    ),
    is_collecting=st.booleans(),
    queued=st.integers(0, 7),
    more=st.integers(1, 5),
    used=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    now_ns=st.integers(60, 200),
)
def test_collector_that_can_wait_decides_nothing_about_more(
    options: dict[str, Any], is_collecting: bool, queued: int, more: int, used: tuple[int, int], now_ns: int
) -> None:
    """Asked all the same, once it was asked before, it closes nothing and keeps state and timer."""
    try:
        chosen = rule(instances=2, **options)
    except SettingError:
        reject()
    seen = view(queued, 0, 50 if queued else UNSET, *used)._replace(collecting=is_collecting)
    state, decision = batching.step(chosen, FRESH, seen, now_ns)
    if decision.close:
        reject()
    after = seen._replace(held=decision.collect, queued=queued - decision.collect)
    if batching.can_wait(chosen, after):
        oldest_ns = seen.oldest_enqueued_ns if queued else now_ns
        with_more = after._replace(queued=after.queued + more, oldest_enqueued_ns=oldest_ns)
        state_then, then = batching.step(chosen, state, with_more, now_ns)
        assert (state_then, then.close, then.ask_again_ns) == (state, 0, decision.ask_again_ns)


@pytest.mark.parametrize("way", WAYS)
def test_what_a_preferred_size_leaves_over_counts_from_now(way: str) -> None:
    """Three in hand, two are closed: for a rule that counts from the first take, the third was taken now."""
    state, decision = run_way(way, batching.step)(
        rule(preferred_sizes=[2], timer_origin="collect"), CollectorState(0, 10), view(held=3, oldest=5), 50
    )
    assert decision.close == 2
    assert CollectorState(*state) == CollectorState(50, 50)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("collector", "any_idle", "own_idle", "collectors", "may", "own"),
    [
        ("dispatcher", False, False, 1, True, UNSET),
        ("exclusive", False, False, 1, False, UNSET),
        ("exclusive", True, False, 1, True, UNSET),
        ("competing", True, False, 3, False, 2),
        ("competing", True, True, 3, True, 2),
    ],
)
def test_who_collects_follows_from_the_setting(
    way: str, collector: str, any_idle: bool, own_idle: bool, collectors: int, may: bool, own: int
) -> None:
    """How many collectors there are, when one may collect, and which instance must run its batch."""
    chosen = rule(collector=collector, instances=3)
    assert run_way(way, batching.collector_count)(chosen, 3) == collectors
    assert run_way(way, batching.may_collect)(chosen, any_idle, own_idle) == may
    assert run_way(way, batching.own_instance)(chosen, 2) == own


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("slots", "running", "may"), [(0, 99, True), (2, 1, True), (2, 2, False)])
def test_closed_batch_goes_on_while_a_slot_is_free(way: str, slots: int, running: int, may: bool) -> None:
    """Zero slots mean no limit."""
    assert run_way(way, batching.may_hand_over)(rule(slots=slots), running) == may


@pytest.mark.parametrize("way", WAYS)
def test_new_collector_is_closed(way: str) -> None:
    """Before the first question a collector has not been free."""
    assert CollectorState(*run_way(way, batching.closed_collector)()) == CollectorState(UNSET, UNSET)
