"""Retries: a table of cases, each run interpreted and compiled."""

from __future__ import annotations

import pytest

from policy import retries
from policy.retries import JITTER_ONE
from policy.settings import TIME_MAX_NS, retry_rule
from policy.timeline import Outcome
from tests.policy.both_ways import WAYS, run_way


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("attempts", "attempt", "outcome", "again"),
    [
        (1, 0, Outcome.REFUSED, False),
        (3, 0, Outcome.REFUSED, True),
        (3, 1, Outcome.REFUSED, True),
        (3, 2, Outcome.REFUSED, False),
        (3, 0, Outcome.ANSWERED, False),
        (3, 0, Outcome.TIMED_OUT, False),
        (3, 0, Outcome.ABANDONED, False),
    ],
)
def test_only_a_refusal_is_sent_again_while_attempts_are_left(
    way: str, attempts: int, attempt: int, outcome: Outcome, again: bool
) -> None:
    """The first send counts as an attempt."""
    assert run_way(way, retries.wants_retry)(retry_rule(attempts=attempts), attempt, int(outcome)) == again


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("jitter", "attempt", "die", "wait_ns"),
    [
        (False, 0, 0, 100),
        (False, 1, 0, 200),
        (False, 2, 0, 400),
        (False, 3, 0, 700),
        (False, 60, 0, 700),
        (True, 1, JITTER_ONE // 2, 100),
        (True, 1, JITTER_ONE - 1, 199),
        (True, 0, 0, 1),
    ],
)
def test_wait_doubles_up_to_its_maximum(way: str, jitter: bool, attempt: int, die: int, wait_ns: int) -> None:
    """With full jitter it is uniform below that, and never zero."""
    rule = retry_rule(attempts=99, backoff_ns=100, backoff_max_ns=700, jitter=jitter)
    assert run_way(way, retries.wait_ns)(rule, attempt, die) == wait_ns


@pytest.mark.parametrize("way", WAYS)
def test_longest_wait_does_not_overflow(way: str) -> None:
    """Compiled integers wrap silently: the largest setting and the largest die stay below 2**62."""
    rule = retry_rule(attempts=100, backoff_ns=TIME_MAX_NS, backoff_max_ns=TIME_MAX_NS)
    wait_ns = run_way(way, retries.wait_ns)(rule, 98, JITTER_ONE - 1)
    assert TIME_MAX_NS * 0.9999 < wait_ns < TIME_MAX_NS
