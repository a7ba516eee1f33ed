"""Admission: a table of cases, each run interpreted and compiled."""

from __future__ import annotations

import pytest

from policy import admission
from policy.admission import AdmissionView
from policy.settings import admission_rule
from policy.timeline import Reason
from tests.policy.both_ways import WAYS, run_way


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("cap", "waiting", "draining", "reason"),
    [
        (None, 10**6, False, Reason.NONE),
        (3, 2, False, Reason.NONE),
        (3, 3, False, Reason.QUEUE_FULL),
        (3, 4, False, Reason.QUEUE_FULL),
        (3, 0, True, Reason.DRAINING),
        (3, 9, True, Reason.DRAINING),
    ],
)
def test_request_is_taken_or_refused_with_the_reason(
    way: str, cap: int | None, waiting: int, draining: bool, reason: Reason
) -> None:
    """The cap counts waiting requests; a server that stops says so first."""
    assert run_way(way, admission.decide)(admission_rule(cap=cap), AdmissionView(waiting, draining)) == reason


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("waiting", "max_batch", "instances", "expected"), [(0, 8, 1, 12), (8, 8, 1, 12), (9, 8, 1, 24), (32, 8, 2, 24)]
)
def test_retry_after_is_the_time_to_serve_those_who_wait(
    way: str, waiting: int, max_batch: int, instances: int, expected: int
) -> None:
    """Full passes of 12 over all instances, at least one."""
    assert run_way(way, admission.retry_after_ns)(waiting, max_batch, 12, instances) == expected


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("held_max", "held", "draining", "reason"),
    [
        (2, 1, False, Reason.NONE),
        (2, 2, False, Reason.NO_REPLICA),
        (0, 0, False, Reason.NO_REPLICA),
        (2, 0, True, Reason.DRAINING),
    ],
)
def test_request_without_a_replica_is_held_or_refused(
    way: str, held_max: int, held: int, draining: bool, reason: Reason
) -> None:
    """So many may wait in front of the fleet; a server that stops says so first."""
    assert run_way(way, admission.may_hold)(admission_rule(cap=None, held_max=held_max), held, draining) == reason
