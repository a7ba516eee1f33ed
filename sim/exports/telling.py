"""The account of an export: which keys a file says, which it cannot say and why, and what had to be rounded.

Every key that a scenario states is on the account from the start. What no exporter takes off it is told as left over:
nothing is dropped in silence, a key of next year included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from policy.versions import WEIGHT_ONE
from sim.errors import RefusedToAnswer
from sim.exports.stated import Stated
from sim.scenario.units import listed, write_time

__all__ = ["DoesNotFit", "Draft", "Telling"]


class DoesNotFit(RefusedToAnswer):
    """A format would say something else than the scenario.

    `key` is what it cannot say, `why` and `hint` are parts of a sentence, `settings` what a user has to change, as
    --set has it, and `said` the keys that it could say before.
    """

    def __init__(
        self, key: str, why: str, hint: str = "", settings: tuple[str, ...] = (), said: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(f"{why}.")
        self.key, self.why, self.hint, self.settings, self.said = key, why, hint, settings, said


@dataclass(frozen=True)
class Draft:
    """What a format makes of a scenario, before its files have their heads."""

    files: Mapping[str, str]  # by name
    notes: tuple[str, ...]  # what the files say otherwise, or not at all: a sentence each
    said: frozenset[str]  # keys that stand in the files, as their author finds them
    left: Mapping[str, str]  # keys that the format has no word for, and their values


class Telling:
    """The account of one format; `stated` is by the keys that exporters use (sim/exports/stated.py)."""

    def __init__(self, system: str, stated: Mapping[str, Stated]) -> None:
        self._system, self._stated = system, stated
        self._left = dict(stated)
        self._said: set[str] = set()
        self._notes: list[str] = []

    def has(self, key: str) -> bool:
        """Return whether the scenario states that key."""
        return key in self._stated

    def spelled(self, key: str) -> str:
        """Return a key as its author finds it in the scenario; one that is not stated, beside those of its section."""
        if key in self._stated:
            return self._stated[key].key
        section = f"{key.partition('.')[0]}."
        for beside, stated in self._stated.items():
            if beside.startswith(section):
                return f"{stated.key.removesuffix(beside)}{key}"
        return key

    def say(self, *keys: str) -> None:
        """Take keys off the account that stand in the files, or hold there without a word."""
        for key in keys:
            if self._left.pop(key, None) is not None:
                self._said.add(self._stated[key].key)

    def note(self, why: str, *keys: str) -> None:
        """Say of those of the keys that are still on the account why the files do not say them, or not quite."""
        told = [self._left.pop(key) for key in keys if key in self._left]
        if told:
            self._notes.append(f"{listed([f'{one.key} is {one.words}' for one in told])}: {why}.")

    def remark(self, sentence: str) -> None:
        """Say something else that a reader of the files has to know."""
        self._notes.append(sentence)

    def refuse(self, key: str, why: str, settings: Mapping[str, str] | None = None, hint: str = "") -> NoReturn:
        """Raise DoesNotFit: of what the scenario states of that key, the files would say something else.

        `settings` are all that a user has to change, in values that the system takes; `hint` what else helps.
        """
        spelled, words = self.spelled(key), self._stated[key].words if key in self._stated else "none"
        changes = tuple(f"{self.spelled(one)}={value}" for one, value in (settings or {}).items())
        hint = f"is what {self._system} takes" if changes else hint
        raise DoesNotFit(spelled, f"{spelled} is {words}, and {why}", hint, changes, frozenset(self._said))

    def whole(self, key: str, time_ns: int, unit: str, unit_ns: int, least: int = 0, most: int | None = None) -> int:
        """Return a time in whole units, rounded to the nearest, and tell if it was; the key is said.

        Raises DoesNotFit above `most`.
        """
        units = max((time_ns + unit_ns // 2) // unit_ns, least)
        if most is not None and units > most:
            self.refuse(key, f"{self._system} takes {most} {unit} at most", {key: f"{most}{unit}"})
        self.say(key)
        if units * unit_ns != time_ns:
            self._notes.append(f"{self.spelled(key)} is {write_time(time_ns)}: rounded to {units} {unit}.")
        return units

    def whole_percent(self, key: str, share: int) -> int:
        """Return a share, parts of WEIGHT_ONE, in whole per cent, at least one of any, and tell if it was rounded."""
        percent = max(round(100 * share / WEIGHT_ONE), min(share, 1))
        if percent * WEIGHT_ONE != 100 * share:
            exact = f"{100 * share / WEIGHT_ONE:g}%"
            self.remark(f"{key} is {exact}: rounded to {percent}%, for {self._system} counts in whole ones.")
        return percent

    def draft(self, files: Mapping[str, str], *others: Telling) -> Draft:
        """Return the draft that these files are, with what other accounts of the same files hold."""
        tellings = (self, *others)
        notes = dict.fromkeys(note for telling in tellings for note in telling._notes)
        left = {stated.key: stated.words for telling in tellings for stated in telling._left.values()}
        said = frozenset[str]().union(*(telling._said for telling in tellings))
        return Draft(files, tuple(notes), said, {key: words for key, words in left.items() if key not in said})
