"""Which configurations are compared: `key=a,b,c` or `key=lo..hi:n` for each varied key, and all that follow from them.

A configuration is the scenario with one value of each key, put in as `--set` does it; whether it is allowed is decided
where any scenario is checked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Final

from policy.errors import SettingError
from sim.errors import ScenarioError
from sim.scenario.load import checked_scenario, written_scenario
from sim.scenario.spec import Scenario
from sim.scenario.units import in_words, parse_time_ns, shown

__all__ = ["CONFIGURATIONS_MAX", "Axis", "Configuration", "LeftOut", "configurations", "parse_axis"]

CONFIGURATIONS_MAX: Final = 100_000
"""The most configurations of one question, and the most values of one key."""

_FORMS: Final = "batching.max_batch=4,8,16, batching.max_wait=0ms..10ms:5 or fleet.replicas=2..8"

_NUMBER = r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{1,30})?|\.[0-9]{1,30})"
_UNIT = r"(?: ?/ ?[A-Za-z]+| ?[A-Za-zµ]+| ?%)?"
_RANGE = re.compile(rf"({_NUMBER})({_UNIT})\.\.({_NUMBER})({_UNIT})(?::([0-9]{{1,9}}))?")
_WITH_A_DASH = re.compile("[0-9]+-[0-9]+(?::.*)?")
_LIKE_A_RANGE = re.compile(rf"{_NUMBER}{_UNIT}\.\.|\.\.+{_NUMBER}{_UNIT}(?::.*)?$")
"""How one begins, and one without its lower end; a path such as ../gpu.json is none."""

_DIGITS = 6
"""Digits of a step's size to which values between the ends are rounded where they never end: 1/3, for example."""

_TIME_UNITS = ("d", "h", "min", "s", "ms", "us", "µs", "ns")


@dataclass(frozen=True)
class Axis:
    """One key that is varied, and its values as they would be written in the scenario.

    Raises ScenarioError without a value, or with one twice.
    """

    key: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.values or not all(self.values):
            raise ScenarioError(f"{self.key} must have values, with a comma between any two: one is empty.")
        if len(set(self.values)) < len(self.values):
            twice = next(value for place, value in enumerate(self.values) if value in self.values[:place])
            raise ScenarioError(f"{self.key} must have each value once. Got {shown(twice)} twice.")


@dataclass(frozen=True)
class Configuration:
    """A scenario and what it differs by from the one that was asked about: values as text, by key."""

    changes: dict[str, str]
    scenario: Scenario


def parse_axis(text: str) -> Axis:
    """Return what `key=a,b,c`, `key=lo..hi:n` (n values evenly) or `key=lo..hi` (whole numbers) stands for.

    The ends of a range carry one unit, which its values keep; commas inside brackets or quotes are part of a value.
    Raises ScenarioError.
    """
    key, equals, written = (part.strip() for part in text.partition("="))
    if not equals or not key or any(not step for step in key.split(".")):
        raise ScenarioError(f"A varied key must be like {_FORMS}. Got {in_words(text)}.")
    if _WITH_A_DASH.fullmatch(written):
        raise ScenarioError(f"{key} must have a range written with two dots: {written.replace('-', '..')}.")
    return Axis(key, tuple(_values_of_range(key, written) if _LIKE_A_RANGE.match(written) else _listed(written)))


@dataclass(frozen=True)
class LeftOut:
    """A combination of values that cannot be."""

    changes: Mapping[str, str]
    key: str  # whose value is out of range beside the others
    why: str


def configurations(
    source: str | Path | Mapping[str, object],
    axes: Sequence[Axis],
    *,
    grid: bool = True,
    left_out: list[LeftOut] | None = None,
) -> list[Configuration]:
    """Return the configurations of a scenario file, or of a mapping with a file's content.

    With `grid` every combination, the last key changing fastest. Without, the scenario itself (no changes), then each
    value of each key alone that makes it another; a key with one value is changed in all of them. With a list for what
    is `left_out`, a configuration whose rules are out of range beside each other (4 replicas of at most 3) is no error:
    it stands there. Raises ScenarioError for a key that stands twice or inside another, too many configurations, or one
    that is not allowed, which it names.
    """
    _check_keys(axes)
    of_axes = [len(axis.values) for axis in axes]
    count = math.prod(of_axes) if grid else 1 + sum(of_axes)
    if count > CONFIGURATIONS_MAX:
        raise ScenarioError(f"There must be at most {CONFIGURATIONS_MAX} configurations. Got {count}.")
    content, folder = written_scenario(source)
    found: list[Configuration] = []
    for changes in _combinations(axes) if grid else _one_at_a_time(axes):
        try:
            one = Configuration(changes, _scenario(content, folder, changes))
            if grid or not found or one.scenario != found[0].scenario:
                found.append(one)
        except SettingError as error:
            out = LeftOut(changes, error.key, _said(changes, error))
            if left_out is None:
                raise ScenarioError(out.why) from None
            left_out.append(out)
    return found


def _check_keys(axes: Sequence[Axis]) -> None:
    """Raise ScenarioError where two keys change the same thing; a section may be set as a whole before its parts."""
    for place, axis in enumerate(axes):
        for other in axes[:place]:
            if axis.key == other.key and (len(axis.values) == 1) is not (len(other.values) == 1):
                stated = axis if len(axis.values) == 1 else other
                raise ScenarioError(
                    f"{axis.key} must be either set or varied. Got both: it is set to {shown(stated.values[0])}, and "
                    "varied too."
                )
            if axis.key == other.key:
                raise ScenarioError(f"{axis.key} must be given once, with all its values. Got it twice.")
            is_part = axis.key.startswith(f"{other.key}.")
            if (is_part and len(other.values) > 1) or other.key.startswith(f"{axis.key}."):
                raise ScenarioError(
                    f"{axis.key} and {other.key} must not both be varied: one stands inside the other. A section may "
                    "be set as a whole, to one value, before its keys are varied."
                )


def _combinations(axes: Sequence[Axis]) -> Iterator[dict[str, str]]:
    """Return every combination of values."""
    keys = [axis.key for axis in axes]
    for values in product(*(axis.values for axis in axes)):
        yield dict(zip(keys, values, strict=True))


def _one_at_a_time(axes: Sequence[Axis]) -> Iterator[dict[str, str]]:
    """Return the base case, then each value of each key alone."""
    fixed = {axis.key: axis.values[0] for axis in axes if len(axis.values) == 1}
    yield fixed
    for axis in axes:
        if axis.key not in fixed:
            for value in axis.values:
                yield {**fixed, axis.key: value}


def _scenario(content: dict[str, object], folder: Path, changes: Mapping[str, str]) -> Scenario:
    """Return one configuration. Raises ScenarioError, with its changes, or a SettingError for a rule out of range."""
    try:
        return checked_scenario(content, folder, _overrides(changes))
    except ScenarioError as error:
        raise ScenarioError(_said(changes, error)) from None


def _said(changes: Mapping[str, str], error: Exception) -> str:
    """Return what is wrong with a configuration."""
    return f"With {', '.join(_overrides(changes))}: {error}" if changes else str(error)


def _overrides(changes: Mapping[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in changes.items()]


def _listed(written: str) -> list[str]:
    """Return the values between the commas that are in no bracket and in no quotes."""
    values, depth, quote = [""], 0, ""
    for letter in written:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
        if letter == "," and depth == 0 and not quote:
            values.append("")
        else:
            values[-1] += letter
    return [value.strip() for value in values]


def _values_of_range(key: str, written: str) -> list[str]:
    """Return the values of `lo..hi:n` or `lo..hi`."""
    found = _RANGE.fullmatch(written)
    if found is None or "..." in written:
        raise ScenarioError(f"{key} must be a range like 1..5 or 0ms..10ms:5. Got {in_words(written)}.")
    low, unit_low, high, unit_high = (found[group].strip() for group in range(1, 5))
    count: str | None = found[5]
    unit = unit_high or unit_low
    if unit_low != unit_high and (unit_low or Fraction(low)) and (unit_high or Fraction(high)):
        raise ScenarioError(f"{key} must have one unit at both ends of its range. Got {in_words(written)}.")
    first, last = Fraction(low), Fraction(high)
    if first == last and count in (None, "1"):
        return [f"{low}{unit}"]  # a script that makes ranges makes such ones too
    if first >= last:
        turned = f"{high}{unit_high}..{low}{unit_low}{'' if count is None else f':{count}'}"
        hint = f", as in {turned}" if first > last else ""
        raise ScenarioError(f"{key} must have a range from its lower to its higher end{hint}. Got {in_words(written)}.")
    if count is None:
        if unit or first.denominator != 1 or last.denominator != 1:
            raise ScenarioError(
                f"{key} must say how many values its range has, as in {written}:5; only one of whole numbers need not."
            )
        values = int(last - first) + 1
    elif int(count) < 2:
        raise ScenarioError(f"{key} must have a range of at least 2 values. Got {in_words(written)}.")
    else:
        values = int(count)
    if values > CONFIGURATIONS_MAX:
        raise ScenarioError(f"{key} must have at most {CONFIGURATIONS_MAX} values. Got {values}.")
    step = (last - first) / (values - 1)
    return [_written(first + place * step, step, unit) for place in range(values)]


def _written(number: Fraction, step: Fraction, unit: str) -> str:
    """Return a number with its unit as people write it: a time in whole ns, all others as far as they differ."""
    if unit in _TIME_UNITS:
        time_ns = round(number * parse_time_ns(f"1{unit}"))
        for smaller in _TIME_UNITS[_TIME_UNITS.index(unit) :]:
            number = Fraction(time_ns, parse_time_ns(f"1{smaller}"))
            if _ends(number):
                return f"{_decimal(number)}{smaller}"
    if not _ends(number):
        grain = Fraction(10) ** (math.floor(math.log10(step)) - _DIGITS + 1)
        number = round(number / grain) * grain
    return f"{_decimal(number)}{unit}"


def _ends(number: Fraction) -> bool:
    """Return whether a number has a last decimal."""
    rest = number.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def _decimal(number: Fraction) -> str:
    """Return a number that has a last decimal, without an exponent and without zeros behind it."""
    digits = Context(prec=200).divide(Decimal(number.numerator), Decimal(number.denominator))
    text = f"{digits:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
