"""Settings: what is out of range is refused in one sentence that names the key, what is allowed and what came."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from policy.errors import SettingError
from policy.instant import NEVER_NS
from policy.settings import (
    SIZE_MAX,
    TIME_MAX_NS,
    admission_rule,
    batching_rule,
    deadline_rule,
    pass_time_rule,
    retry_rule,
    rules_in_words,
)

BATCH: dict[str, Any] = {"max_batch": 4, "max_wait_ns": 0}

REFUSED: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
    (batching_rule, {**BATCH, "max_batch": 0}, "batching.max_batch must be a whole number from 1 to 1000000. Got 0."),
    (batching_rule, {**BATCH, "max_batch": True}, "batching.max_batch must be a whole number"),
    (batching_rule, {**BATCH, "max_wait_ns": -1}, "batching.max_wait must be a time from 0ns to 31d. Got -1ns."),
    (batching_rule, {**BATCH, "freeze": "later"}, "batching.freeze must be one of pull, timer. Got later."),
    (batching_rule, {**BATCH, "timer_origin": "x"}, "batching.timer_origin must be one of enqueue, collect, window."),
    (batching_rule, {**BATCH, "slots": -1}, "batching.slots must be a whole number from 0"),
    (batching_rule, {**BATCH, "freeze": "timer", "collector": "exclusive"}, "batching.freeze must be pull when"),
    (
        batching_rule,
        {**BATCH, "preferred_sizes": [8]},
        "batching.preferred_sizes must be at most batching.max_batch (4)",
    ),
    (batching_rule, {**BATCH, "preferred_sizes": [2, 2]}, "batching.preferred_sizes must be in ascending order"),
    (batching_rule, {**BATCH, "preferred_sizes": list(range(1, 18))}, "batching.preferred_sizes must be at most 16"),
    (admission_rule, {"cap": 0}, "queue.cap must be a whole number from 1"),
    (deadline_rule, {"deadline_ns": 0}, "queue.deadline must be a time from 1ns"),
    (retry_rule, {"attempts": 0}, "traffic.retries.attempts must be a whole number from 1 to 100"),
    (retry_rule, {"backoff_ns": 5, "backoff_max_ns": 4}, "traffic.retries.backoff_max must be a time from 5ns"),
    (pass_time_rule, {}, "model.pass_time must be more than zero"),
    (pass_time_rule, {"base_ns": -1}, "model.pass_time.base must be a time from 0ns to 1h"),
    (pass_time_rule, {"base_ns": 1, "padded_sizes": [2], "max_batch": 4}, "model.pass_time.padded_sizes must be up to"),
    (pass_time_rule, {"table": {1: 5, 2: 6}, "max_batch": 4}, "model.pass_time.table must be a table up to"),
    (pass_time_rule, {"table": {1: -5}}, "model.pass_time.table.1 must be a time"),
    (pass_time_rule, {"per_unit_ns": 10**9, "size_max": 10**6}, "model.pass_time must be at most 1h for the largest"),
    (pass_time_rule, {"base_ns": 1, "size_max": SIZE_MAX + 1}, "traffic.sizes must be a whole number from 1"),
]


@pytest.mark.parametrize(("build", "options", "sentence"), REFUSED, ids=[row[2][:40] for row in REFUSED])
def test_setting_out_of_range_is_refused_with_a_sentence(
    build: Callable[..., Any], options: dict[str, Any], sentence: str
) -> None:
    """One sentence, one full stop at its end, the value in it."""
    with pytest.raises(SettingError) as refusal:
        build(**options)
    message = str(refusal.value)
    assert message.startswith(sentence)
    assert message.endswith(".")
    assert "\n" not in message


def test_products_of_the_largest_settings_stay_below_2_to_the_62() -> None:
    """Compiled code wraps silently: the extremes that are let in must not come near."""
    assert TIME_MAX_NS * 2 < 2**62
    rule = pass_time_rule(base_ns=3600 * 10**9, per_unit_ns=360_000, size_max=SIZE_MAX, max_batch=1)
    assert rule.base_ns + rule.per_unit_ns * SIZE_MAX < 2**62 // 1000


def test_defaults_mean_no_limit() -> None:
    """No cap, no deadline, one slot for each instance, one attempt."""
    assert admission_rule(cap=None).cap == 0
    assert deadline_rule(deadline_ns=None).deadline_ns == NEVER_NS
    assert batching_rule(**BATCH, instances=3).slots == 3
    assert retry_rule().attempts == 1


@pytest.mark.parametrize(
    ("batching", "cap", "deadline_ns"),
    [
        (BATCH, None, None),
        ({**BATCH, "max_wait_ns": 5, "freeze": "timer", "timer_origin": "window", "slots": 0}, 7, 9),
        ({**BATCH, "collector": "exclusive", "slots": 3, "preferred_sizes": [1, 2, 4]}, 1, TIME_MAX_NS),
    ],
)
def test_rules_in_words_build_the_same_rules_again(
    batching: dict[str, Any], cap: int | None, deadline_ns: int | None
) -> None:
    """GET /config and a journal's header tell all that a rule holds: who reads them can decide as the server did."""
    rules = batching_rule(**batching), admission_rule(cap=cap), deadline_rule(deadline_ns=deadline_ns)
    words = json.loads(json.dumps(rules_in_words(*rules)))
    queue = words["queue"]
    again = (
        batching_rule(**words["batching"]),
        admission_rule(cap=queue["cap"]),
        deadline_rule(deadline_ns=queue["deadline_ns"]),
    )
    assert again == rules
    assert (queue["cap"], queue["deadline_ns"]) == (cap, deadline_ns)
