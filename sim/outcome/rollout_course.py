"""What a rollout amounted to in one run: how it ended, how long it took, and who met the new version on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from policy.instant import UNSET
from policy.rollout import Action, Phase
from sim.engine.engine_input import VersionsInput
from sim.engine.timelines import ROLLOUT_COLUMNS, Timeline
from sim.engine.version_keys import user_of

__all__ = ["RolloutRun", "rollout_of", "rollout_run"]

_AT, _ACTION, _PHASE = (ROLLOUT_COLUMNS.index(name) for name in ("at_ns", "action", "phase"))
_WEIGHT = ROLLOUT_COLUMNS.index("weight")


@dataclass(frozen=True)
class RolloutRun:
    """The first rollout of a run, from its start to its end or to the end of the run."""

    phase: int  # policy.rollout.Phase in the end
    started_ns: int
    ended_ns: int  # promoted or rolled back; UNSET: neither
    requests: int  # that reached a version meanwhile
    touched: int  # of them, that the canary took
    users: int | None  # who sent those requests; None: requests have no users
    users_touched: int | None
    copies: int  # that the canary got
    weight_most: int  # parts of policy.versions.WEIGHT_ONE, before its end

    @property
    def promoted(self) -> bool:
        """Whether the canary has all."""
        return self.phase == Phase.PROMOTED

    @property
    def rolled_back(self) -> bool:
        """Whether it has nothing any more."""
        return self.phase == Phase.ROLLED_BACK

    @property
    def duration_s(self) -> float:
        """From its start to its end, NaN without one."""
        return (self.ended_ns - self.started_ns) / 1e9 if self.ended_ns != UNSET else float("nan")


def rollout_run(timeline: Timeline, canary: int, user_of: Callable[[int], str | None] | None = None) -> RolloutRun:
    """Return what became of the rollout of the version `canary`.

    `user_of` says who sent a request, by its number. Raises ValueError for a timeline in which none was started.
    """
    moves = timeline.rollout
    if not len(moves):
        raise ValueError("The timeline has no rollout.")
    ends = np.flatnonzero(np.isin(moves[:, _ACTION], [Action.PROMOTE, Action.ROLL_BACK]))
    last = int(ends[0]) if len(ends) else len(moves) - 1
    started_ns = int(moves[0, _AT])
    ended_ns = int(moves[last, _AT]) if len(ends) else UNSET
    came_ns = timeline.attempt("enqueued_ns")
    inside = (timeline.attempt("version") != UNSET) & (came_ns >= started_ns)
    copied = (timeline.copied("version") == canary) & (timeline.copied("enqueued_ns") >= started_ns)
    if ended_ns != UNSET:
        # What came at the end's own instant came behind it: rollouts are decided before arrivals.
        inside &= came_ns < ended_ns
        copied &= timeline.copied("enqueued_ns") < ended_ns
    requests = np.unique(timeline.attempt("request")[inside])
    touched = np.unique(timeline.attempt("request")[inside & (timeline.attempt("version") == canary)])
    senders = None if user_of is None else {user_of(int(request)) for request in requests}
    met = None if user_of is None else {user_of(int(request)) for request in touched}
    before = moves[:last] if len(ends) else moves
    return RolloutRun(
        phase=int(moves[last, _PHASE]),
        started_ns=started_ns,
        ended_ns=ended_ns,
        requests=len(requests),
        touched=len(touched),
        users=None if senders is None else len(senders),
        users_touched=None if met is None else len(met),
        copies=int(np.count_nonzero(copied)),
        weight_most=int(before[:, _WEIGHT].max()) if len(before) else 0,
    )


def rollout_of(timeline: Timeline, versions: VersionsInput, seed: int) -> RolloutRun | None:
    """Return what became of the rollout of a run with these dice, None if none was started."""
    if not len(timeline.rollout):
        return None
    return rollout_run(timeline, versions.weights.canary, partial(user_of, versions, seed) if versions.users else None)
