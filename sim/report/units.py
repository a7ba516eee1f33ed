"""Numbers with their units, and the bare form of every table."""

from __future__ import annotations

import math

from rich import box
from rich.table import Table

__all__ = ["change", "change_span", "digits_of", "new_table", "quantity", "span"]

_PLACES_MAX = 6


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
    """Return both ends of an interval with one unit, with a digit more where they would look the same."""
    for digits in (3, 4):
        bare_low, bare_high = (_number(quantity(name, end, digits)) for end in (low, high))
        if bare_low != bare_high:
            break
    unit = quantity(name, high, digits).removeprefix(bare_high)
    return f"{bare_low} .. {bare_high}{unit}"


def change(name: str, value: float) -> str:
    """Return the difference of a figure with its sign and unit; that of shares is in points."""
    return _signed(value, quantity(name, value)).replace("%", "points")


def change_span(name: str, low: float, high: float) -> str:
    """Return both ends of the interval of a difference with one unit."""
    return f"{_signed(low, _number(quantity(name, low)))} .. {change(name, high)}"


def _signed(value: float, text: str) -> str:
    return f"+{text}" if value > 0 else text


def new_table(*headers: str, words: int = 1) -> Table:
    """Return an empty table: the first columns hold words, which may wrap; the others hold numbers, which do not."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for place, header in enumerate(headers):
        holds_words = place < words
        table.add_column(header, justify="left" if holds_words else "right", no_wrap=not holds_words)
    return table


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
    return f"{value:,.{max(places, 0)}f}".replace(",", " ")
