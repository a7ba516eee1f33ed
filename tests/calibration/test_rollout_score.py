"""Scores of rollouts: how they end, and what the draws of those that end alike hold."""

from __future__ import annotations

from typing import Any

import pytest

from calibration.rollout_score import score_rollout
from policy.instant import UNSET
from policy.rollout import Phase
from sim.outcome.rollout_course import RolloutRun

S = 10**9


def rollout(ended_s: float | None = 10.0, **changes: Any) -> RolloutRun:
    """Return a rollout that was rolled back, and which 8 % of the requests and 10 % of the users met."""
    ended_ns = UNSET if ended_s is None else round((1 + ended_s) * S)
    values = {"phase": Phase.ROLLED_BACK, "requests": 1000, "touched": 80, "users": 200, "users_touched": 20}
    rest = {"started_ns": S, "ended_ns": ended_ns, "copies": 0, "weight_most": 1000}
    return RolloutRun(**{**values, **rest, **changes})


DRAWN = [rollout(8.0 + number % 5, touched=70 + number % 21, users_touched=15 + number % 11) for number in range(200)]


def test_a_rollout_like_the_draws_is_inside() -> None:
    """End, duration, and shares of requests and users."""
    score = score_rollout(DRAWN, rollout())
    assert score.ends == {"rolled_back": 1.0}
    assert set(score.figures) == {"duration_s", "requests_touched_share", "users_touched_share"}
    assert (score.figures["duration_s"].centre, score.figures["duration_s"].measured) == (10.0, 10.0)
    assert score.within


@pytest.mark.parametrize(
    "changes",
    [
        {"ended_s": 20.0},
        {"touched": 200},
        {"users_touched": 2},
        {"phase": Phase.PROMOTED},
        {"ended_s": None, "phase": Phase.PROGRESSING},
    ],
)
def test_a_rollout_unlike_the_draws_is_outside(changes: dict[str, Any]) -> None:
    """Each by itself."""
    assert not score_rollout(DRAWN, rollout(**changes)).within


def test_ends_that_together_have_95_percent_are_the_set() -> None:
    """Of 200: 150 rolled back, 45 promoted, 5 under way."""
    drawn = [*DRAWN[:150], *[rollout(30.0, phase=Phase.PROMOTED)] * 45, *[rollout(None, phase=Phase.PAUSED)] * 5]
    assert set(score_rollout(drawn, rollout()).end_set) == {"rolled_back", "promoted"}
    assert not score_rollout(drawn, rollout(None, phase=Phase.PAUSED)).within
    promoted = score_rollout(drawn, rollout(30.0, phase=Phase.PROMOTED))
    assert promoted.figures["duration_s"].low == promoted.figures["duration_s"].high == 30.0


def test_without_users_nothing_is_said_of_them() -> None:
    """And JSON holds plain values."""
    drawn = [rollout(8.0 + number % 5, users=None, users_touched=None) for number in range(200)]
    content = score_rollout(drawn, rollout(users=None, users_touched=None)).to_json()
    assert set(content["figures"]) == {"duration_s", "requests_touched_share"}  # type: ignore[call-overload]
    assert content["within"] is True
