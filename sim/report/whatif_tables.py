"""What-if as text: the answer, a row for each configuration with its differences, and which goals break where."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sim.forecast.paired import Difference
from sim.planner.whatif import Row, WhatIf
from sim.report.tables import label_of
from sim.report.units import change, change_span, new_table, quantity, span

__all__ = [
    "changes_in_words",
    "difference_in_words",
    "goal_lines",
    "short_reason",
    "whatif_answer",
    "whatif_report",
    "whatif_table",
]

_NAMED_MOST = 6
"""Configurations that a sentence lists; of more it says how many."""


def whatif_report(answer: WhatIf) -> RenderableType:
    """Return what-if for people."""
    lines = [*goal_lines(answer), *_notes(answer)]
    warned = [Text(f"warning: {sentence}", style="yellow") for sentence in answer.warnings]
    return Group(Text(whatif_answer(answer), style="bold"), "", whatif_table(answer), "", *map(Text, lines), *warned)


def changes_in_words(answer: WhatIf, row: Row) -> str:
    """Return a configuration by the keys that vary, each by its last word where that is no other's."""
    named = _short_keys(answer)
    said = [f"{named[axis.key]} {row.changes[axis.key]}" for axis in answer.axes if axis.key in row.changes]
    return ", ".join(said) or "the scenario itself"


def difference_in_words(name: str, difference: Difference, currency: str | None = None) -> str:
    """Return a difference with its 95 % interval, as in `p99 -14.0 ms (11.0 .. 17.0 lower)`."""
    low, high, label = difference.low, difference.high, label_of(name)
    if low == high == 0:
        return f"{label} the same"
    said = f"{label} {change(name, difference.value)}" + (f" {currency}" if name == "cost" and currency else "")
    if low == high:
        return said
    if not difference.beyond_noise:
        return f"{said} ({change_span(name, low, high)}: within noise)"
    ends = span(name, *sorted((abs(low), abs(high)))).rstrip("ms%/ ")
    return f"{said} ({ends} {'higher' if difference.value > 0 else 'lower'})"


def short_reason(reason: str) -> str:
    """Return the first part of a reason: what stands before the first comma or colon that a space follows."""
    for mark in (": ", ", ", ". "):
        reason = reason.partition(mark)[0]
    return reason.rstrip(".")


def whatif_answer(answer: WhatIf) -> str:
    """Return the answer in one sentence: from where to where p99 goes, or the first figure that there is."""
    base = changes_in_words(answer, answer.rows[answer.base])
    head = f"{answer.name}: {len(answer.rows)} configurations, compared with {base}"
    if len(answer.rows) == 1:
        return f"{answer.name}, by itself."
    by_interest = sorted(answer.figures, key=lambda name: name != "latency_ms.p99")
    shown = [name for name in by_interest if any(_value(row, name) is not None for row in answer.rows)]
    if not shown:
        return f"{head}: none of them has an answer."
    name = shown[0]
    known = [(value, row) for row in answer.rows if (value := _value(row, name)) is not None]
    (least, best), (most, worst) = (pick(known, key=lambda each: each[0]) for pick in (min, max))
    return (
        f"{head}: {label_of(name)} from {quantity(name, least)} ({changes_in_words(answer, best)}) "
        f"to {quantity(name, most)} ({changes_in_words(answer, worst)})."
    )


def whatif_table(answer: WhatIf) -> Table:
    """Return a row for each configuration."""
    keys = _short_keys(answer)
    judged = bool(answer.limits)
    heads = [*keys.values(), *(_head(name, answer) for name in answer.figures), *(["goals"] if judged else [])]
    table = new_table(*heads, "difference from the base case, 95 %", words=len(keys))
    last = table.columns[-1]
    last.justify, last.no_wrap = "left", False
    for place, row in enumerate(answer.rows):
        values = [row.changes.get(axis.key, "") for axis in answer.axes]
        figures = ["-" if (value := _value(row, name)) is None else quantity(name, value) for name in answer.figures]
        said = "the base case" if place == answer.base else _differences(answer, row)
        table.add_row(*values, *figures, *([_goals(row)] if judged else []), said)
    return table


def _head(name: str, answer: WhatIf) -> str:
    """Return the head of a figure's column."""
    return f"{label_of(name)}, {answer.currency}" if name == "cost" and answer.currency else label_of(name)


def _differences(answer: WhatIf, row: Row) -> str:
    """Return the differences of a row in words, or why there are none."""
    if row.refusal is not None:
        return short_reason(row.refusal)
    shown = [
        difference_in_words(name, row.differences[name], answer.currency)
        for name in answer.figures
        if name in row.differences
    ]
    return "; ".join(shown)


def _goals(row: Row) -> str:
    """Return what became of the goals of a row, in a word or two."""
    if row.refusal is not None:
        return "-"
    said = [f"{goal.goal} {goal.verdict}" for goal in row.goals if goal.verdict != "met"]
    said += [f"{goal} not known" for goal in row.not_judged]
    return ", ".join(said) or "met"


def goal_lines(answer: WhatIf) -> list[str]:
    """Return for each goal where it breaks."""
    lines = []
    for goal, limit in answer.limits.items():
        verdicts: dict[str, list[Row]] = {"met": [], "missed": [], "not clear": [], "not known": []}
        for row in answer.rows:
            verdicts[_verdict(row, goal)].append(row)
        name = next((each.figure for row in answer.rows for each in row.goals if each.goal == goal), f"{goal}_share")
        said = [f"{verdict} {_where(answer, rows)}" for verdict, rows in verdicts.items() if rows and verdict != "met"]
        met = len(verdicts["met"])
        said.insert(0, f"met in all {met}" if met == len(answer.rows) else f"met in {met} of {len(answer.rows)}")
        most = f"{100 * limit:g} %" if name.endswith("_share") else f"{limit:g} ms"
        lines.append(f"goal {goal} at most {most}: {', '.join(said)}")
    return lines


def _verdict(row: Row, goal: str) -> str:
    """Return what became of a goal."""
    return next((each.verdict for each in row.goals if each.goal == goal), "not known")


def _where(answer: WhatIf, rows: Sequence[Row]) -> str:
    """Return which configurations these are, or how many."""
    if len(rows) > _NAMED_MOST:
        return f"in {len(rows)}"
    return "with " + "; ".join(changes_in_words(answer, row) for row in rows)


def _notes(answer: WhatIf) -> list[str]:
    """Return why configurations and figures have no value, each reason once."""
    reasons = [row.refusal for row in answer.rows if row.refusal is not None]
    for name in answer.figures:
        without = [row for row in answer.rows if name in row.figures and _value(row, name) is None]
        if without:
            reasons.append(f"No {label_of(name)} {_where(answer, without)}: {without[0].figures[name].why}.")
    return list(dict.fromkeys(reasons))[:_NAMED_MOST]


def _short_keys(answer: WhatIf) -> dict[str, str]:
    """Return the keys by their last word, or in full where two end in the same one."""
    last = [axis.key.rpartition(".")[2] for axis in answer.axes]
    return {axis.key: word if last.count(word) == 1 else axis.key for axis, word in zip(answer.axes, last, strict=True)}


def _value(row: Row, name: str) -> float | None:
    """Return a figure's value, None where there is none."""
    figure = row.figures.get(name)
    return None if figure is None else figure.value
