"""Numbers with their units, and the bare form of every table."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from rich import box
from rich.table import Table

from sim.scenario.units import time_in_words, write_time

__all__ = [
    "about_time",
    "capital",
    "change",
    "change_span",
    "digits_of",
    "grouped",
    "new_table",
    "quantity",
    "requests_in_words",
    "short_keys",
    "span",
    "time_text",
    "unit_of",
    "value_between",
]

_PLACES_MAX = 6

_STATED_DIGITS = 5
"""Digits up to which a time is taken for one that somebody wrote: 86 400 s has three, a trace's length ten and more."""

_FIVE_DIGITS = 9_999.5
"""From here on a number has five digits before its decimal mark, rounded as it may be."""

_MILLION = 1_000_000

_UNITS = {
    "gpu_hours": "h",
    "batch_size_mean": "requests",
    "requests_touched": "requests",
    "users_touched": "users",
    "copies": "copies",
    "weight_most": "share of 1",
}
"""The units of figures whose names do not end in one."""


def quantity(name: str, value: float, digits: int = 3) -> str:
    """Return the value of a figure with its unit; `name` is the figure's name in the JSON."""
    if "latency_ms" in name or "copy_ms" in name or name.endswith("_ms"):
        return f"{digits_of(value, digits)} ms"
    if name.endswith("_share"):
        return f"{digits_of(100 * value, digits)} %"
    if name.endswith("_per_s"):
        return f"{digits_of(value, digits)}/s"
    if name.endswith("_s"):
        return f"{digits_of(value, digits)} s"
    return digits_of(value, digits)


def span(name: str, low: float, high: float) -> str:
    """Return both ends of an interval with one unit, with a digit more where that tells them apart."""
    digits = _digits_apart(name, low, high)
    bare_high = _number(quantity(name, high, digits))
    unit = quantity(name, high, digits).removeprefix(bare_high)
    return f"{_number(quantity(name, low, digits))} .. {bare_high}{unit}"


def value_between(name: str, value: float, low: float | None, high: float | None) -> str:
    """Return the value of a figure with the digits that span() gives the ends of its interval."""
    return quantity(name, value, 3 if low is None or high is None else _digits_apart(name, low, high))


def _digits_apart(name: str, low: float, high: float) -> int:
    """Return three digits, or four where those alone tell two ends apart."""
    same = {digits: _shown(name, low, digits) == _shown(name, high, digits) for digits in (3, 4)}
    return 4 if same[3] and not same[4] else 3


def _shown(name: str, value: float, digits: int) -> str:
    """Return the number that stands for a value, the same for 100 and 100.0."""
    number = _number(quantity(name, value, digits))
    return number.rstrip("0").rstrip(".") if "." in number else number


def change(name: str, value: float) -> str:
    """Return the difference of a figure with its sign and unit; that of shares is in points."""
    return _signed(value, quantity(name, value)).replace("%", "points")


def change_span(name: str, low: float, high: float) -> str:
    """Return both ends of the interval of a difference with one unit."""
    return f"{_signed(low, _number(quantity(name, low)))} .. {change(name, high)}"


def _signed(value: float, text: str) -> str:
    return f"+{text}" if value > 0 else text


def unit_of(name: str, currency: str | None = None) -> str:
    """Return the unit in which the JSON has a figure of this name."""
    for mark, unit in (("_share", "share of 1"), ("_per_s", "1/s"), ("_s", "s")):
        if name.endswith(mark):
            return unit
    if "_ms" in name:
        return "ms"
    if name == "cost":
        return currency or ""
    return "replicas" if name.startswith("replicas.") else _UNITS.get(name, "")


def time_text(time_ns: int) -> str:
    """Return a time exactly, in the largest unit that suits it, as a sentence has it: 10 min, 90 s, 1.5 s, 0.5 ms."""
    return _spaced(write_time(time_ns))


def _spaced(time: str) -> str:
    """Return a time as a sentence has it, with a space before its unit."""
    return re.sub(r"(?<=\d)(?=[a-z])", " ", time)


def capital(text: str) -> str:
    """Return a sentence or a title with a capital letter at its begin."""
    return text[:1].upper() + text[1:]


def about_time(time_ns: int) -> str:
    """Return a time for people: a stated one as time_text() has it, one that was measured with three digits."""
    is_stated = len(str(time_ns).rstrip("0")) <= _STATED_DIGITS
    return time_text(time_ns) if is_stated else _spaced(time_in_words(time_ns))


def new_table(*headers: str, words: int = 1) -> Table:
    """Return an empty table: the first columns hold words, which may wrap; the others hold numbers, which do not."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for place, header in enumerate(headers):
        holds_words = place < words
        table.add_column(header, justify="left" if holds_words else "right", no_wrap=not holds_words)
    return table


def short_keys(keys: Sequence[str]) -> dict[str, str]:
    """Return keys by their last word, or in full where two end in the same one."""
    last = [key.rpartition(".")[2] for key in keys]
    return {key: word if last.count(word) == 1 else key for key, word in zip(keys, last, strict=True)}


def requests_in_words(count: int) -> str:
    """Return a number of requests, from a million on with three digits."""
    if count >= _MILLION:
        return f"{grouped(float(f'{count / _MILLION:.3g}'), 'g')} million requests"
    return f"{grouped(count)} {'request' if count == 1 else 'requests'}"


def grouped(number: float, form: str = ".0f") -> str:
    """Return a number, whole if no other form is asked for, with a space between thousands.

    Four digits stand together (SI Brochure, 9th edition, 5.4.4): they can be copied, and never end at a line's end.
    """
    return format(number, f",{form}").replace(",", " ") if abs(number) >= _FIVE_DIGITS else format(number, form)


def _number(text: str) -> str:
    """Return a quantity without its unit."""
    return text.rstrip("ms%/ ")


def digits_of(value: float, digits: int = 3) -> str:
    """Return a number with that many significant digits; a whole number keeps all of its own."""
    if value == 0:
        return "0"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    if places > _PLACES_MAX:
        return f"{value:.{digits - 1}g}"
    return grouped(value, f".{max(places, 0)}f")
