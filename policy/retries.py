"""Whether a client sends a refused request again, and after how long: exponential back-off with full jitter.

The wait before retry k (1, 2, ...) is uniform on [0, min(backoff_max, backoff * 2**(k-1))] with jitter, the upper end
of that without. Source of "full jitter": M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

from typing import NamedTuple

from policy.timeline import Outcome

__all__ = ["JITTER_ONE", "RetryRule", "wait_ns", "wants_retry"]

JITTER_ONE = 2**16
"""Dice of the jitter are integers in [0, JITTER_ONE)."""


class RetryRule(NamedTuple):
    """Settings of a client's retries; policy/settings.py builds and checks them."""

    attempts: int  # at most, the first send included; 1: no retry
    backoff_ns: int
    backoff_max_ns: int
    jitter: bool


def wants_retry(rule: RetryRule, attempt: int, outcome: int) -> bool:
    """Return whether the client sends again after its attempt (0, 1, ...) ended so. Only refusals are retried."""
    return outcome == Outcome.REFUSED and attempt + 1 < rule.attempts


def wait_ns(rule: RetryRule, attempt: int, die: int) -> int:
    """Return how long the client waits after the refusal of its attempt (0, 1, ...), at least 1 ns."""
    longest_ns = rule.backoff_ns
    for _ in range(attempt):
        longest_ns = min(longest_ns * 2, rule.backoff_max_ns)
    longest_ns = min(longest_ns, rule.backoff_max_ns)
    if not rule.jitter:
        return max(longest_ns, 1)
    # In two parts, so that the product stays below 2**62.
    drawn_ns = (longest_ns // JITTER_ONE) * die + (longest_ns % JITTER_ONE) * die // JITTER_ONE
    return max(drawn_ns, 1)
