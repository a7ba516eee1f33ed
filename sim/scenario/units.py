"""Text with a unit -> numbers, once and exactly: 5ms is the integer 5,000,000 and never passes through a float.

And back: what write_time() and its like return is read as the very number that they were given. Which range a quantity
may have is not decided here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

__all__ = [
    "GO_DURATION_PATTERN",
    "RATE_PATTERN",
    "SHARE_PATTERN",
    "TIME_PATTERN",
    "in_words",
    "listed",
    "parse_go_duration_ns",
    "parse_rate_per_s",
    "parse_ratio",
    "parse_share",
    "parse_time_ns",
    "shown",
    "time_in_words",
    "write_go_duration",
    "write_rate",
    "write_share",
    "write_time",
]

_NUMBER = r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})"
_TIME_UNITS_NS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "min": 60 * 10**9,
    "h": 3_600 * 10**9,
    "d": 86_400 * 10**9,
}
_RATE_UNITS_S = {"s": 1, "min": 60, "h": 3_600}

TIME_PATTERN = rf"^{_NUMBER} ?(?:{'|'.join(_TIME_UNITS_NS)})$"
RATE_PATTERN = rf"^{_NUMBER} ?/ ?(?:{'|'.join(_RATE_UNITS_S)})$"
SHARE_PATTERN = rf"^{_NUMBER} ?%$"

_GO_PART = r"([0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(ns|us|µs|ms|s|m|h)"
GO_DURATION_PATTERN = rf"^(?:{_GO_PART})+$"

_TIME = re.compile(rf"({_NUMBER}) ?([A-Za-zµ]+)")
_RATE = re.compile(rf"({_NUMBER}) ?/ ?([A-Za-z]+)")
_SHARE = re.compile(rf"({_NUMBER}) ?%")


def parse_time_ns(value: object) -> int:
    """Return a time such as 5ms, 1.5s or 10min in nanoseconds.

    Units: ns, us, ms, s, min, h, d. A time that is not a whole number of nanoseconds is refused, so that nothing is
    rounded unseen. Raises ValueError with the rest of a sentence that begins with the key.
    """
    number, unit = _split(value, _TIME, _time_example(value))
    if unit not in _TIME_UNITS_NS:
        raise ValueError(f"must be in ns, us, ms, s, min, h or d. Got {shown(value)}.")
    time_ns = number * _TIME_UNITS_NS[unit]
    if time_ns.denominator != 1:
        raise ValueError(f"must be a whole number of nanoseconds. Got {shown(value)}.")
    return time_ns.numerator


def parse_go_duration_ns(value: object) -> int:
    """Return a time as Go and Kubernetes write it, such as 30s, 10m or 1h30m, in nanoseconds: m is a minute.

    Raises ValueError like parse_time_ns.
    """
    if not isinstance(value, str) or not re.fullmatch(GO_DURATION_PATTERN, value.strip()):
        raise ValueError(f"must be a duration as Go writes it, for example 30s, 10m or 1h30m. Got {shown(value)}.")
    units_ns = {**_TIME_UNITS_NS, "m": _TIME_UNITS_NS["min"]}
    time_ns = sum(Fraction(number) * units_ns[unit] for number, unit in re.findall(_GO_PART, value.strip()))
    if time_ns.denominator != 1:
        raise ValueError(f"must be a whole number of nanoseconds. Got {shown(value)}.")
    return time_ns.numerator


def parse_rate_per_s(value: object) -> float:
    """Return a rate such as 600/s, 36000/min or 90/h, per second. Raises ValueError like parse_time_ns."""
    number, unit = _split(value, _RATE, f"{bare}/s" if (bare := _bare(value)) else "600/s")
    if unit not in _RATE_UNITS_S:
        raise ValueError(f"must be per s, min or h, for example 600/s. Got {shown(value)}.")
    return float(number / _RATE_UNITS_S[unit])


def parse_share(value: object, *, below_one: bool = False) -> float:
    """Return a percentage such as 95% as a share of 1. Raises ValueError like parse_time_ns.

    `below_one`: its message suggests nothing from 100 % on, which whoever calls refuses.
    """
    number, _ = _split(value, _SHARE, _share_example(value, below_one=below_one))
    return float(number / 100)


def parse_ratio(value: object) -> float:
    """Return a ratio, written as a plain number (1.5) or as a percentage (150%). Raises ValueError like the others."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and _SHARE.fullmatch(value.strip()):
        return parse_share(value)
    raise ValueError(f"must be a number or a percentage, for example 1.5 or 150%. Got {shown(value)}.")


def in_words(value: object) -> str:
    """Return a value as an error message shows it, a text in quotes: '8' is not 8."""
    return shown(repr(value) if isinstance(value, str) else value)


def shown(value: object) -> str:
    """Return a value as its author wrote it, short and on one line."""
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    text = " ".join(str(value).split())
    return (text if len(text) <= 60 else text[:57] + "...") or "nothing"


def listed(words: Iterable[str], last: str = "and") -> str:
    """Return words with commas, and `last` before the last; nothing of none."""
    *others, final = list(words) or [""]
    return f"{', '.join(others)} {last} {final}" if others else final


def time_in_words(time_ns: int) -> str:
    """Return a time in the largest unit that leaves it above 1, with three digits."""
    rounded_ns = float(f"{time_ns:.2e}")  # 999.9 ms is 1 s, and not 1e+03 ms
    for unit, unit_ns in (
        ("d", 86_400 * 10**9),
        ("h", 3_600 * 10**9),
        ("min", 60 * 10**9),
        ("s", 10**9),
        ("ms", 10**6),
    ):
        if rounded_ns >= unit_ns:
            return f"{time_ns / unit_ns:.3g}{unit}"
    return f"{time_ns}ns"


def write_time(time_ns: int) -> str:
    """Return a time as people write it: 10min, 90s, 1.5s, 5ms, 0.5ms, 20us."""
    return _write_time(time_ns, {"d": 86_400 * 10**9, "h": 3_600 * 10**9, "min": 60 * 10**9})


def write_go_duration(time_ns: int) -> str:
    """Return a time as Go writes it, where m is a minute."""
    return _write_time(time_ns, {"h": 3_600 * 10**9, "m": 60 * 10**9})


def write_rate(rate_per_s: float) -> str:
    """Return a rate as text, per second."""
    return f"{_plain(Decimal(repr(float(rate_per_s))))}/s"


def write_share(share: float) -> str:
    """Return a share of 1 as a percentage."""
    return f"{_plain(Decimal(repr(float(share))).scaleb(2))}%"


def _write_time(time_ns: int, whole_only: dict[str, int]) -> str:
    """Return a time in the largest unit that suits it; nobody writes 1.5min, so some units count whole ones only."""
    for unit, unit_ns in whole_only.items():
        if time_ns and time_ns % unit_ns == 0:
            return f"{time_ns // unit_ns}{unit}"
    for unit, unit_ns, least_ns in (("s", 10**9, 10**9), ("ms", 10**6, 10**5), ("us", 10**3, 10**3)):
        if time_ns >= least_ns:
            return f"{_plain(Decimal(time_ns) / unit_ns)}{unit}"
    return f"{time_ns}ns" if time_ns else "0s"


def _plain(number: Decimal) -> str:
    """Return a number without an exponent and without zeros at its end."""
    return f"{number.normalize():f}"


def _split(value: object, form: re.Pattern[str], example: str) -> tuple[Fraction, str]:
    """Return the exact number and the unit of a text, or say what a right one looks like."""
    if isinstance(value, str):
        found = form.fullmatch(value.strip())
        if found:
            return Fraction(found[1]), found[2] if form.groups > 1 else ""
    if isinstance(value, (int, float, str)) and not isinstance(value, bool) and _is_number(value):
        raise ValueError(f"must carry a unit, for example {example}. Got {shown(value)}.")
    raise ValueError(f"must be a number with a unit, for example {example}. Got {shown(value)}.")


def _time_example(value: object) -> str:
    """Return what a number without its unit may have meant, else what a time looks like: 5 may be 5ms or 5s."""
    bare = _bare(value)
    if bare is None:
        return "5ms"
    return f"{bare}ms or {bare}s" if Decimal(bare) >= 1 else f"{bare}s or {bare}ms"


def _share_example(value: object, *, below_one: bool) -> str:
    """Return what a number without its unit may have meant, else what a share looks like: 0.1 may be 0.1% or 10%."""
    bare = _bare(value)
    if bare is None:
        return "95%"
    percent = Decimal(bare)
    meant = [percent] if percent > 1 else [percent, 100 * percent]
    return " or ".join(f"{_plain(one)}%" for one in meant if one < 100 or not below_one) or "95%"


def _bare(value: object) -> str | None:
    """Return a number above 0 that was given without its unit, as people write it; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)) or not _is_number(value):
        return None
    number = Decimal(str(value).strip())
    return _plain(number) if number.is_finite() and 0 < number < 10**12 else None


def _is_number(value: float | str) -> bool:
    """Return whether nothing but a number was given."""
    return not isinstance(value, str) or re.fullmatch(_NUMBER, value.strip()) is not None
