"""Whether anything moved between two calibrations of one server: each part's difference, with an interval.

The two were made of different server processes at different times, so their errors are independent, and how processes
differ is taken to be the same both times: Student's two-sample interval, with the variances of the bootstrap draws
pooled and as many degrees of freedom as there were processes on both sides, less two. The intervals hold all together
with 95 % (Bonferroni), or of ten parts that did not move one would seem to have in a third of all comparisons.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from calibration.errors import BadSamples
from calibration.profile_file import profile_hash
from calibration.server_rules import differing_key, told
from sim.forecast.intervals import LEVEL, student_t
from sim.scenario.profile import PARTS, Profile

__all__ = ["COMPARISON_VERSION", "Comparison", "Difference", "compare", "require_same_subject"]

COMPARISON_VERSION = "servecast-comparison/1"

_MS_NS = 1e6
_PROCESSES_FEW = 2
_FREEDOM_OF_ONES = 1000  # one process each: the draws hold no difference between processes, and a note says so


@dataclass(frozen=True)
class Difference:
    """One time in both calibrations, in ms."""

    name: str  # a part, or pass_of_N: the pass of a batch of N
    old_ms: float
    new_ms: float
    low_ms: float  # of the interval of new - old
    high_ms: float

    @property
    def difference_ms(self) -> float:
        """New less old."""
        return self.new_ms - self.old_ms

    @property
    def moved(self) -> bool:
        """Whether the interval leaves out "no difference"."""
        return not self.low_ms <= 0.0 <= self.high_ms

    def to_json(self) -> dict[str, object]:
        """Return the difference as plain values."""
        return {
            "old_ms": self.old_ms,
            "new_ms": self.new_ms,
            "difference_ms": self.difference_ms,
            "low_ms": self.low_ms,
            "high_ms": self.high_ms,
            "moved": self.moved,
        }


@dataclass(frozen=True)
class Comparison:
    """All differences between two calibrations."""

    differences: tuple[Difference, ...]
    notes: tuple[str, ...]  # a sentence for each thing that makes the two less comparable
    old: Mapping[str, object]  # when it was made, and its hash
    new: Mapping[str, object]

    @property
    def moved(self) -> tuple[str, ...]:
        """The names of what moved."""
        return tuple(each.name for each in self.differences if each.moved)

    def to_json(self) -> dict[str, object]:
        """Return the comparison as plain values."""
        return {
            "version": COMPARISON_VERSION,
            "moved": list(self.moved),
            "level": LEVEL,
            "differences": {each.name: each.to_json() for each in self.differences},
            "notes": list(self.notes),
            "old": dict(self.old),
            "new": dict(self.new),
        }


def compare(old: Profile, new: Profile) -> Comparison:
    """Return what moved from one calibration to a later one. Raises BadSamples where they are of different models."""
    require_same_subject(old, new.name, new.model)
    batch = min(old.max_batch, new.max_batch)
    level = 1.0 - (1.0 - LEVEL) / (len(PARTS) + 1)
    were, are = _times_ms(old, batch), _times_ms(new, batch)
    processes = (old.fitted_on.processes, new.fitted_on.processes)
    return Comparison(
        differences=tuple(_difference(name, were[name], are[name], processes, level) for name in were),
        notes=tuple(_notes(old, new)),
        old={"created": old.created, "hash": profile_hash(old)},
        new={"created": new.created, "hash": profile_hash(new)},
    )


def require_same_subject(old: Profile, name: str, model: Mapping[str, object]) -> None:
    """Raise BadSamples unless the old calibration is of the scenario of this name and, where both tell, this model."""
    if old.name != name:
        raise BadSamples(f"The older calibration is of {old.name}, and this one of {name}: nothing is to be compared.")
    key = differing_key(old.model, model)
    if key is not None:
        raise BadSamples(
            f"The older calibration is of a model with {told(key, old.model)}, and this one of a model with "
            f"{told(key, model)}: nothing is to be compared."
        )


_Times = tuple[float, float]
"""The central value and the standard error of the draws, in ms."""


def _times_ms(profile: Profile, batch: int) -> dict[str, _Times]:
    """Return every part, and the pass of a batch: base and per item err in opposite directions, their sum does not."""
    draws: list[int | None] = [None, *range(len(profile.draws))]
    times = [profile.times_ns(draw) for draw in draws]
    columns = {name: [time[name] for time in times] for name in PARTS}
    columns[f"pass_of_{batch}"] = [
        profile.table_ns(draw).get(batch, time["base"] + time["per_item"] * batch)
        for draw, time in zip(draws, times, strict=True)
    ]
    return {name: (column[0] / _MS_NS, float(np.std(column[1:])) / _MS_NS) for name, column in columns.items()}


def _difference(name: str, old: _Times, new: _Times, processes: tuple[int, int], level: float) -> Difference:
    """Return one difference with its interval."""
    variance, freedom = _variance((old[1] ** 2, new[1] ** 2), processes)
    half_ms = student_t(level, freedom) * math.sqrt(variance)
    return Difference(name, old[0], new[0], new[0] - old[0] - half_ms, new[0] - old[0] + half_ms)


def _variance(variances: tuple[float, float], processes: tuple[int, int]) -> tuple[float, int]:
    """Return the variance of a difference of two means with these variances, and its degrees of freedom."""
    freedom = sum(processes) - 2
    if freedom == 0:
        return sum(variances), _FREEDOM_OF_ONES
    # A side of one process knows nothing of how processes differ: the other side speaks for both.
    spreads = [count * variance * (count - 1) for variance, count in zip(variances, processes, strict=True)]
    return sum(spreads) / freedom * sum(1 / count for count in processes), freedom


def _notes(old: Profile, new: Profile) -> list[str]:
    """Return a sentence for each thing, besides the server, that differs between the two or weakens the comparison."""
    notes = []
    for side, profile in (("older", old), ("newer", new)):
        if profile.fitted_on.processes <= _PROCESSES_FEW:
            notes.append(
                f"The {side} calibration is of {profile.fitted_on.processes} server process(es): the fewer there are, "
                "the less is known of how they differ, and the wider or blinder are the intervals."
            )
    if None not in (old.rules_sha256, new.rules_sha256) and old.rules_sha256 != new.rules_sha256:
        notes.append("The servers ran different rules: batches and loads differed, and with them what a part holds.")
    for what, before, after in (("hosts", old.host, new.host), ("versions", old.versions, new.versions)):
        keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
        if keys:
            notes.append(f"The {what} differ in {', '.join(keys)}.")
    return notes
