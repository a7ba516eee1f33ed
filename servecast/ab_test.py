"""What outcome reports say of versions: each against the stable one, with how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sim.outcome.rollout_theory import ProportionTest

__all__ = ["Arm", "Comparison", "arms_of", "comparisons"]

_ALPHA = 0.05
"""A difference is called shown if chance alone would show one as large less often than this."""


@dataclass(frozen=True)
class Arm:
    """The reports on one version."""

    name: str
    is_stable: bool
    answered: int
    reported: int
    successes: int


@dataclass(frozen=True)
class Comparison:
    """A version against the stable one."""

    arm: Arm
    stable: Arm

    @property
    def test(self) -> ProportionTest | None:
        """The test, None while one of the two has no report."""
        if not (self.arm.reported and self.stable.reported):
            return None
        return ProportionTest(self.stable.successes, self.stable.reported, self.arm.successes, self.arm.reported)

    @property
    def sentence(self) -> str:
        """What it means."""
        test, name, stable = self.test, self.arm.name, self.stable.name
        if test is None:
            silent = name if not self.arm.reported else stable
            return f"{name} cannot be compared with {stable}: nothing is reported of {silent}."
        if test.p_value < _ALPHA:
            more = "more" if test.difference > 0 else "less"
            return f"{name} succeeds {more} often than {stable}: chance alone seldom shows such a difference."
        return f"No difference between {name} and {stable} is shown: chance alone could well have made this one."

    def to_json(self) -> dict[str, object]:
        """Return it for machines; null where there is no test."""
        test = self.test
        low, high = (None, None) if test is None else test.interval()
        return {
            "version": self.arm.name,
            "against": self.stable.name,
            "difference": None if test is None else test.difference,
            "difference_low": low,
            "difference_high": high,
            "p_value": None if test is None else test.p_value,
            "exact": None if test is None else test.exact,
            "means": self.sentence,
        }


def arms_of(told: Sequence[Mapping[str, Any]]) -> list[Arm]:
    """Return the versions of GET /outcomes."""
    return [
        Arm(
            name=str(row["name"]),
            is_stable=bool(row["stable"]),
            answered=int(row["answered"]),
            reported=int(row["reported"]),
            successes=int(row["successes"]),
        )
        for row in told
    ]


def comparisons(arms: Sequence[Arm]) -> list[Comparison]:
    """Return each version against the stable one."""
    (stable,) = (arm for arm in arms if arm.is_stable)
    return [Comparison(arm, stable) for arm in arms if not arm.is_stable]
