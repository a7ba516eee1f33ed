"""What a rollout amounts to in a run, read from rows that were written by hand, and from a simulated one."""

from __future__ import annotations

import math

import pytest

from policy.instant import UNSET
from policy.rollout import Action, Cause, Phase
from policy.timeline import RolloutMove, copy_number
from sim.engine.process_engine import run
from sim.engine.timelines import Timeline, timeline_from_rows
from sim.outcome.rollout_course import rollout_of, rollout_run
from sim.scenario.lower import lower
from tests.sim.outcome.hand_made import attempt
from tests.sim.scenario.example import scenario

BEGIN = RolloutMove(100, int(Action.GO_ON), int(Cause.COMMAND), int(Phase.PROGRESSING), 0, 0, 0)
TENTH = RolloutMove(150, int(Action.GO_ON), int(Cause.STEP), int(Phase.PROGRESSING), 0, 1_000, 500)
BACK = RolloutMove(400, int(Action.ROLL_BACK), int(Cause.FAILURE_LIMIT), int(Phase.ROLLED_BACK), 0, 0, 0)
PROMOTED = RolloutMove(400, int(Action.PROMOTE), int(Cause.STEP), int(Phase.PROMOTED), 1, 10_000, 0)


def requests() -> list[object]:
    """Return one request before the rollout, three in it, one at its last instant and one behind it."""
    enqueued = [(0, 90, 0), (1, 200, 0), (2, 210, 1), (3, 399, 1), (4, 400, 0), (5, 500, 0)]
    rows = [attempt(number, at_ns - 20, version=version) for number, at_ns, version in enqueued]
    again = attempt(2, 190, version=1, attempt=1)  # the same request once more
    lost = attempt(6, 230, version=UNSET)
    copy = attempt(1, 180, version=1, attempt=copy_number(0, 1))
    return [*rows, again, lost, copy]


def timeline(*moves: RolloutMove) -> Timeline:
    """Return the requests with these moves."""
    return timeline_from_rows(requests(), [], rollout=moves)  # type: ignore[arg-type]


def test_requests_and_users_are_counted_until_the_end() -> None:
    """Those that came at the end's own instant came behind it; who came twice counts once; copies apart."""
    course = rollout_run(timeline(BEGIN, TENTH, BACK), 1, lambda request: str(request % 2))
    assert (course.rolled_back, course.promoted) == (True, False)
    assert (course.started_ns, course.ended_ns) == (100, 400)
    assert (course.requests, course.touched, course.copies) == (3, 2, 1)
    assert (course.users, course.users_touched) == (2, 2)
    assert course.weight_most == 1_000
    assert course.duration_s == pytest.approx(300e-9)


def test_promotion_is_an_end_and_its_own_weight_does_not_count() -> None:
    """The canary has all from then on; before it had a tenth at most."""
    course = rollout_run(timeline(BEGIN, TENTH, PROMOTED), 1)
    assert (course.promoted, course.rolled_back, course.weight_most, course.users) == (True, False, 1_000, None)


def test_rollout_that_goes_on_has_no_duration() -> None:
    """Everything to the end of the run is part of it."""
    course = rollout_run(timeline(BEGIN, TENTH), 1)
    assert (course.promoted, course.rolled_back, course.ended_ns) == (False, False, UNSET)
    assert (course.requests, course.touched) == (5, 2)
    assert math.isnan(course.duration_s)


def test_timeline_without_a_rollout_has_none() -> None:
    """And says so to who asks for one."""
    with pytest.raises(ValueError, match=r"^The timeline has no rollout\.$"):
        rollout_run(timeline(), 1)
    given = lower(scenario("horizon.duration=1s"), seed=1, warm_up_ns=0)
    assert rollout_of(run(given), given.versions, given.seed) is None


@pytest.mark.parametrize(("error_rate", "ends"), [("30%", "rolled_back"), ("0%", "promoted")])
def test_simulated_rollout_ends_as_its_canary_deserves(error_rate: str, ends: str) -> None:
    """Users stay: those touched by 10 % are a tenth of those who came, however often they come."""
    given = lower(
        scenario(
            f"versions=[{{name: a}}, {{name: b, role: canary, error_rate: {error_rate}}}]",
            "rollout={steps: [{weight: 10%, analysis: true}]}",
            "rollout.analysis={interval: 4s, limits: [{metric: failed, pass_most: 5%}]}",
            "split.users=400",
            "horizon.duration=6s",
        ),
        seed=3,
        warm_up_ns=0,
    )
    course = rollout_of(run(given), given.versions, given.seed)
    assert course is not None
    assert getattr(course, ends)
    assert course.duration_s == pytest.approx(4.0)
    assert course.users is not None
    assert course.users_touched is not None
    assert course.users > 390
    assert 0.06 < course.users_touched / course.users < 0.15
    assert course.touched > 3 * course.users_touched
