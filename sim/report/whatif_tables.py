"""What-if as text: the answer, a row for each configuration with two of its differences, and which goals break where.

A table that is too wide for where it is printed becomes two, so that no number is cut or broken. The differences that
have no room in it are in the JSON and the CSV, and a line says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sim.forecast.goals import runs_that_tell
from sim.forecast.paired import Difference
from sim.forecast.warnings import on_recorded_arrivals
from sim.outcome.quantiles import QUANTILE_NAMES
from sim.planner.whatif import Row, WhatIf
from sim.report.as_it_fits import AsItFits
from sim.report.tables import goal_name, label_of, more_runs_words
from sim.report.units import about_time, capital, change, change_span, new_table, quantity, short_keys
from sim.scenario.changes import value_in_words
from sim.scenario.identity import as_written

__all__ = [
    "changes_in_words",
    "difference_in_words",
    "goal_lines",
    "leading_figure",
    "whatif_answer",
    "whatif_notes",
    "whatif_report",
    "whatif_table",
    "why_unknown",
]

_NAMED_MOST = 6
"""Configurations that a sentence lists; of more it says how many."""

_LAST_DIGIT = 1e-3
"""The last of three digits is worth so much of a number at the least."""

_COUNTED = "Quantiles are read from histograms: at most 0.4 % off what servecast forecast says of one configuration."

_BY_SHARE = "A goal on a quantile that is not known is judged by the share of answers beyond it, of all runs together."

_OF_A_TIME = ("gpu_hours", "cost")
"""Figures that grow with the time that is measured."""

_REFUSED = "refused_share"
_P99 = "latency_ms.p99"

_GAP = (0, 1, 0, 0)
"""Padding of a cell: with the separator two columns between two cells, since rows are long."""


def whatif_report(answer: WhatIf) -> RenderableType:
    """Return what-if for people."""
    lines = [*whatif_notes(answer), *goal_lines(answer), *why_unknown(answer)]
    warned = [Text(f"warning: {sentence}", style="yellow") for sentence in answer.warnings]
    return Group(Text(whatif_answer(answer), style="bold"), "", whatif_table(answer), "", *map(Text, lines), *warned)


def whatif_table(answer: WhatIf) -> AsItFits:
    """Return a row for each configuration; on a narrow page in a table of figures and one of differences."""
    table, names = _rows_table(answer), len(answer.axes)
    places = [[place] for place in range(names, len(table.columns))]
    figures = len(places) - len(_differences_shown(answer))
    return AsItFits(table, names, [part for part in (places[:figures], places[figures:]) if part])


def changes_in_words(answer: WhatIf, row: Row) -> str:
    """Return a configuration by the keys that vary, each by its last word where that is no other's."""
    return _in_words(answer, row.changes) or "the scenario itself"


def _in_words(answer: WhatIf, values: Mapping[str, str]) -> str:
    """Return values of the keys that vary."""
    named = short_keys([axis.key for axis in answer.axes])
    return ", ".join(f"{named[axis.key]} {values[axis.key]}" for axis in answer.axes if axis.key in values)


def difference_in_words(name: str, difference: Difference, currency: str | None = None) -> str:
    """Return a difference with its 95 % interval, as in `-14.0 ms [-17.0 .. -11.0]`.

    One that is certain, or whose ends cannot be told apart, has none; one that may be noise says so.
    """
    low, high = difference.low, difference.high
    if low == high == 0:
        return "the same"
    said = _valued(name, difference.value, currency)
    if _is_sure(name, difference):
        return said
    noise = "" if difference.beyond_noise else ": noise"
    return f"{said} [{change_span(name, low, high).rstrip('msponit%/ ')}{noise}]"


def leading_figure(answer: WhatIf) -> str | None:
    """Return the figure whose difference is shown first: the first goal's, else p99, else the first that has one.

    None where no configuration differs in anything that is known.
    """
    known = [name for name in answer.figures if any(name in row.differences for row in answer.rows)]
    of_goals = [goal.figure for row in answer.rows for goal in row.goals]
    wanted = [name for name in (*dict.fromkeys(of_goals), _P99) if name in known and name != _REFUSED]
    return next(iter([*wanted, *known]), None)


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
    least, most = (pick(value for value, _ in known) for pick in (min, max))
    unknown = len(answer.rows) - len(known)
    but = f", and not known of {unknown}" if unknown else ""
    if quantity(name, least) == quantity(name, most):
        of = "all of them" if not unknown else f"{len(known)} of them"
        return f"{head}: {label_of(name)} is {quantity(name, least)} in {of}{but}."
    return (
        f"{head}: {label_of(name)} from {quantity(name, least)} ({_which(answer, name, least)}) "
        f"to {quantity(name, most)} ({_which(answer, name, most)}){but}."
    )


def _which(answer: WhatIf, name: str, value: float) -> str:
    """Return which configurations have that value, to the digits shown: by the keys that say it, else one of them."""
    known = {place: at for place, row in enumerate(answer.rows) if (at := _value(row, name)) is not None}
    rows = [answer.rows[place] for place, at in known.items() if quantity(name, at) == quantity(name, value)]
    first = next(answer.rows[place] for place, at in known.items() if at == value)
    alike = {key: said for key, said in first.changes.items() if all(row.changes.get(key) == said for row in rows)}
    others = [answer.rows[place] for place in known if alike.items() <= answer.rows[place].changes.items()]
    words = _in_words(answer, alike)
    if words and len(others) == len(rows) > 1:
        return words
    return changes_in_words(answer, first) + (f", and {len(rows) - 1} more" if len(rows) > 1 else "")


def whatif_notes(answer: WhatIf) -> list[str]:
    """Return what there is to know of the differences, of arrivals that were recorded, and of what was tried."""
    counted = [_COUNTED] if any(label_of(name) in QUANTILE_NAMES for name in answer.figures) else []
    recorded = on_recorded_arrivals(answer.scenario, [axis.key for axis in answer.axes])
    by_share = any(goal.slower_than_ms is not None for row in answer.rows for goal in row.goals)
    shares = [_BY_SHARE] if by_share else []
    return [*_on_costs(answer), *_on_differences(answer), *counted, *shares, *recorded, *_on_tries(answer)]


def _on_costs(answer: WhatIf) -> list[str]:
    """Return of how long a time the costs and hours in the table are; nothing where there are none."""
    of_time = [name for name in answer.figures if name in _OF_A_TIME]
    labels = [label_of(name) for name in of_time if any(_value(row, name) is not None for row in answer.rows)]
    if not labels:
        return []
    varies = any(axis.key in ("horizon", "horizon.duration") for axis in answer.axes)
    lasts = f"{about_time(answer.scenario.horizon.duration)} of traffic"
    time = "each one's own time (horizon.duration)" if varies else lasts
    return [f"{capital(' and '.join(labels))}: of {time}."]


def _on_tries(answer: WhatIf) -> list[str]:
    """Return what was tried where it gave nothing to warn of."""
    if answer.tried is None or answer.warnings:
        return []
    if not answer.tried:
        return ["Nothing to warn of, and nothing to try: there is no wait, no long queue and no burst to do without."]
    better = "It is not clearly better" if len(answer.tried) == 1 else "None of them is clearly better"
    return [f"Tried beside the base case: {'; '.join(answer.tried)}. {better}: there is nothing to warn of."]


def _on_differences(answer: WhatIf) -> list[str]:
    """Return where the other differences are, and why some differences, or their intervals, are not known."""
    shown = _differences_shown(answer)
    if not shown:
        return []
    lines = []
    bounded = [name for name in shown if _has_room(answer, name)]
    others = [name for name in answer.figures if name not in bounded and _differs(answer, name)]
    if others:
        words = " and ".join(label_of(name) for name in others) if len(others) <= 2 else f"{len(others)} more figures"
        lines.append(f"The differences of {words}, with their intervals, are in --json and --csv FILE.")
    base = answer.rows[answer.base]
    lacking = [label_of(name) for name in answer.figures if not _differs(answer, name) and _value(base, name) is None]
    if lacking and base.refusal is None:
        lines.append(f"No difference of {' and '.join(lacking)}: the base case has none.")
    if any(_is_sure(name, row.differences[name]) for row in answer.rows for name in bounded if name in row.differences):
        of = f" of {label_of(bounded[0])}" if len(shown) > len(bounded) else ""
        lines.append(
            f"A difference{of} without an interval is sure to the digits shown: the runs came to the same there."
        )
    return lines


def _differs(answer: WhatIf, name: str) -> bool:
    """Return whether any configuration has a difference of that figure."""
    return any(name in row.differences for row in answer.rows)


def _differences_shown(answer: WhatIf) -> list[str]:
    """Return the figures whose differences are columns: the leading one, and refusals."""
    lead = leading_figure(answer)
    names = [] if lead is None else [lead]
    if lead != _REFUSED and _REFUSED in answer.figures and _differs(answer, _REFUSED):
        names.append(_REFUSED)
    return names


def _has_room(answer: WhatIf, name: str) -> bool:
    """Return whether a figure's column of differences has their intervals: that of refusals beside another has not."""
    return name != _REFUSED or leading_figure(answer) == name


def _rows_table(answer: WhatIf) -> Table:
    """Return a row for each configuration: its figures, what became of the goals, and two differences."""
    keys = short_keys([axis.key for axis in answer.axes])
    compared = _differences_shown(answer)
    judged = bool(answer.limits)
    heads = [*keys.values(), *(_head(name, answer) for name in answer.figures), *(["goals"] if judged else [])]
    heads += [f"{label_of(name)}, difference{' [95 %]' if _has_room(answer, name) else ''}" for name in compared]
    table = new_table(*heads, words=len(keys))
    table.padding = _GAP
    for place, row in enumerate(answer.rows):
        is_base = place == answer.base
        values = [row.changes.get(axis.key) or (_stated(answer, axis.key) if is_base else "") for axis in answer.axes]
        values += ["-" if (value := _value(row, name)) is None else quantity(name, value) for name in answer.figures]
        values += [_goals(row)] if judged else []
        table.add_row(*values, *(_difference(answer, row, name, is_base=is_base) for name in compared))
    return table


def _stated(answer: WhatIf, key: str) -> str:
    """Return what the base case has for a key, as it would be written; none for what is not there."""
    value: Any = as_written(answer.scenario)
    for step in key.split("."):
        try:
            value = value[int(step)] if isinstance(value, list) else value[step]
        except (LookupError, TypeError, ValueError):
            return "none"
    return value_in_words(value)


def _head(name: str, answer: WhatIf) -> str:
    """Return the head of a figure's column."""
    return f"{label_of(name)}, {answer.currency}" if name == "cost" and answer.currency else label_of(name)


def _difference(answer: WhatIf, row: Row, name: str, *, is_base: bool) -> str:
    """Return a difference of a row as its column has it; that of refusals has room for no interval."""
    if is_base:
        return "base case"
    if name not in row.differences:
        is_same = row.scenario_hash == answer.rows[answer.base].scenario_hash and _value(row, name) is not None
        return "the same" if is_same else "-"
    difference = row.differences[name]
    if _has_room(answer, name):
        return difference_in_words(name, difference, answer.currency)
    if difference.value == 0 and not difference.beyond_noise:
        return "the same"
    return _valued(name, difference.value) if difference.beyond_noise else "within noise"


def _valued(name: str, value: float, currency: str | None = None) -> str:
    """Return a difference with its sign and unit."""
    return change(name, value) + (f" {currency}" if name == "cost" and currency else "")


def _is_sure(name: str, difference: Difference) -> bool:
    """Return whether there is a difference, and its interval is narrower than the three digits that are shown."""
    low, high = difference.low, difference.high
    is_narrow = high - low < _LAST_DIGIT * abs(difference.value)
    return difference.value != 0 and (is_narrow or quantity(name, low) == quantity(name, high))


def _goals(row: Row) -> str:
    """Return what became of the goals of a row: the worst of it, and which goals that is about."""
    if row.refusal is not None:
        return "-"
    verdicts = {goal.goal: goal.verdict for goal in row.goals}
    for worst in ("missed", "not known", "not clear"):
        if about := [goal_name(goal) for goal, verdict in verdicts.items() if verdict == worst]:
            return f"{worst}: {', '.join(about)}" if len(verdicts) > 1 else worst
    return "met"


def goal_lines(answer: WhatIf) -> list[str]:
    """Return for each goal where it breaks."""
    lines = []
    for goal, limit in answer.limits.items():
        verdicts: dict[str, list[Row]] = {"met": [], "missed": [], "not clear": [], "not known": []}
        for row in answer.rows:
            verdicts[_verdict(row, goal)].append(row)
        said = [f"{verdict} {_where(answer, rows)}" for verdict, rows in verdicts.items() if rows and verdict != "met"]
        met = len(verdicts["met"])
        said.insert(0, f"met in all {met}" if met == len(answer.rows) else f"met in {met} of {len(answer.rows)}")
        most = f"{limit:g} ms" if goal in ("mean", *QUANTILE_NAMES) else f"{100 * limit:g} %"
        lines.append(f"goal {goal_name(goal)} at most {most}: {', '.join(said)}")
    return lines


def _verdict(row: Row, goal: str) -> str:
    """Return what became of a goal."""
    return next((each.verdict for each in row.goals if each.goal == goal), "not known")


def _where(answer: WhatIf, rows: Sequence[Row]) -> str:
    """Return which configurations these are, or how many."""
    if len(rows) > _NAMED_MOST:
        return f"in {len(rows)}"
    return "with " + "; ".join(changes_in_words(answer, row) for row in rows)


def why_unknown(answer: WhatIf) -> list[str]:
    """Return why configurations and figures have no value, each reason once."""
    said: dict[str, list[Row]] = {}
    for row in answer.rows:
        if row.refusal is not None:
            said.setdefault(row.refusal, []).append(row)
    reasons = [f"No answer {_where(answer, rows)}: {reason}" for reason, rows in said.items()]
    for name in answer.figures:
        without = [row for row in answer.rows if name in row.figures and _value(row, name) is None]
        if without:
            worst = min(without, key=lambda row: row.figures[name].effective_samples or 0.0)
            of = ", of the one that shows the least" if len(without) > 1 else ""
            reasons.append(f"No {label_of(name)} {_where(answer, without)}{of}: {worst.figures[name].why}.")
    return [*reasons[:_NAMED_MOST], *_more_runs(answer)]


def _more_runs(answer: WhatIf) -> list[str]:
    """Return how many runs would tell of goals that are not clear, if any is not."""
    runs = answer.provenance["runs"]
    unclear = [[goal for goal in row.goals if goal.verdict == "not clear"] for row in answer.rows]
    told = [runs_that_tell(goals, row.figures, runs) for goals, row in zip(unclear, answer.rows, strict=True)]
    needed = max((each for each in told if each is not None), default=None)
    if needed is None:
        return []
    return [f"Where a goal is not clear, more {more_runs_words(needed)}: --runs."]


def _value(row: Row, name: str) -> float | None:
    """Return a figure's value, None where there is none."""
    figure = row.figures.get(name)
    return None if figure is None else figure.value
