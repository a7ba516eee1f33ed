"""What changed between two forecasts, as text: the answer, the input key by key, the figures with their differences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sim.forecast.comparison import FigureChange, ForecastDiff
from sim.forecast.paired import Difference
from sim.report.as_it_fits import AsItFits
from sim.report.tables import FIGURE_NAMES, goal_name
from sim.report.units import change, change_span, new_table, quantity

__all__ = [
    "changed_figures_table",
    "diff_answer",
    "diff_notes",
    "diff_report",
    "goal_changes",
    "input_table",
    "shown_figures",
]

_CHANGES_MAX: Final = 40
"""So many keys of the input are shown."""

_VALUE_MAX: Final = 60
"""So many characters of a value."""

_OF_VERSIONS: Final = ("request_share", "latency_ms.p50", "latency_ms.p99", "refused_share", "failed_share")
_OF_ROLLOUT: Final = {
    "rolled_back_share": "rolled back",
    "promoted_share": "promoted",
    "duration_s": "time of the rollout",
    "requests_touched_share": "requests on the canary",
    "users_touched_share": "users who met the canary",
}


def diff_report(diff: ForecastDiff) -> RenderableType:
    """Return a comparison for people."""
    goals = goal_changes(diff)
    return Group(
        Text(diff_answer(diff), style="bold"),
        Text(f"A: {diff.a.label}"),
        Text(f"B: {diff.b.label}"),
        "",
        input_table(diff),
        "",
        AsItFits(changed_figures_table(diff), 1, ([(1, 2, 3)], [(4, 5)])),
        "",
        *map(Text, goals),
        *([""] if goals else []),
        *(Text(note, style="dim") for note in diff_notes(diff)),
    )


def diff_answer(diff: ForecastDiff) -> str:
    """Return the answer in one sentence: p50, p99 and refusals, with the 95 % interval of each difference."""
    said = []
    for name in ("latency_ms.p50", "latency_ms.p99", "refused_share"):
        found, label = diff.figures.get(name), FIGURE_NAMES[name].removesuffix(" latency")
        if found is None or found.difference is None:
            said.append(f"{label} not known")
            continue
        moved = "no more than noise"
        if found.difference.beyond_noise:
            moved = change(name, found.difference.value)
        said.append(f"{label} {moved}{_interval(name, found.difference, ' [{}]')}")
    return f"B against A: {', '.join(said)}."


def goal_changes(diff: ForecastDiff) -> list[str]:
    """Return what became of each goal that does not stand as it stood, a line each."""
    return [f"goal {goal_name(goal.goal)}: {goal.a} -> {goal.b}" for goal in diff.goals]


def diff_notes(diff: ForecastDiff) -> list[str]:
    """Return what the differences rest on, and what else one is to know, a sentence each."""
    return [*_statistics(diff), *diff.notes]


def input_table(diff: ForecastDiff) -> RenderableType:
    """Return what changed in the input."""
    if diff.input_changes is None:
        return Text("What changed in the input is not known.")
    if not diff.input_changes:
        return Text("Nothing changed in the input.")
    table = new_table("what changed in the input", "A", "B", words=3)
    table.columns[0].no_wrap = True  # a long value wraps, and no key does
    for each in diff.input_changes[:_CHANGES_MAX]:
        table.add_row(each.key, _short(each.before), _short(each.after))
    more = len(diff.input_changes) - _CHANGES_MAX
    return Group(table, Text(f"and {more} more keys; --json has them all")) if more > 0 else table


def changed_figures_table(diff: ForecastDiff) -> Table:
    """Return the figures of both, and whether they differ."""
    table = new_table("", "A", "B", "B - A", "its 95 % interval", "more than noise")
    for name, label in shown_figures(diff):
        found = diff.figures[name]
        figure = name.removeprefix("versions.")
        unit = f" {diff.a.currency}" if name == "cost" and diff.a.currency else ""
        values = ["-" if side.value is None else quantity(figure, side.value) + unit for side in (found.a, found.b)]
        difference = found.difference
        if difference is None:
            table.add_row(label, *values, "-", "", "")
            continue
        interval = _interval(figure, difference)
        table.add_row(label, *values, change(figure, difference.value) + unit, interval, _verdict(found))
    return table


def _interval(name: str, difference: Difference, form: str = "{}") -> str:
    """Return the interval of a difference, nothing for one that is certain."""
    ends = difference.low, difference.high
    return "" if ends[0] == ends[1] else form.format(change_span(name, *ends))


def shown_figures(diff: ForecastDiff) -> Iterator[tuple[str, str]]:
    """Yield the figures that are shown, with their labels: of versions and of a rollout those that moved."""
    for name, label in FIGURE_NAMES.items():
        found = diff.figures.get(name)
        if found is not None and (found.a.value or found.b.value) and not _is_fixed(found.difference):
            yield name, label
    for name, found in diff.figures.items():
        group, _, rest = name.partition(".")
        version, _, figure = rest.partition(".")
        if found.beyond_noise_together and group == "versions" and figure in _OF_VERSIONS:
            yield name, f"{version}: {FIGURE_NAMES.get(figure, 'requests')}"
        if found.beyond_noise_together and group == "rollout" and rest in _OF_ROLLOUT:
            yield name, _OF_ROLLOUT[rest]


def _is_fixed(difference: Difference | None) -> bool:
    """Return whether both scenarios say the same of a figure, with no chance in it."""
    return difference is not None and difference.low == difference.high == 0.0


def _is_lacking(name: str, diff: ForecastDiff) -> bool:
    """Return whether a figure has no difference where one would expect it: a price that neither states is no loss."""
    found = diff.figures.get(name)
    if found is None or found.difference is not None:
        return False
    return name != "cost" or found.a.value is not None or found.b.value is not None


def _verdict(found: FigureChange) -> Text:
    """Return whether a difference is more than noise."""
    assert found.difference is not None
    if found.beyond_noise_together:
        return Text("yes", style="bold")
    return Text("by itself" if found.difference.beyond_noise else "no")


def _statistics(diff: ForecastDiff) -> Iterator[str]:
    """Yield what the intervals rest on, and what looking at so many figures does."""
    if diff.same_seed:
        yield f"Both had seed {diff.a.seed} and {diff.a.runs} runs: run by run they met the same dice, and are paired."
    else:
        yield (
            f"A had {_dice(diff.a.seed, diff.a.runs)}, B {_dice(diff.b.seed, diff.b.runs)}: they are not paired, and "
            "the intervals are those of both figures together, wider than they need to be."
        )
    lacking = {name: label for name, label in FIGURE_NAMES.items() if _is_lacking(name, diff)}
    if lacking:
        first, *others = lacking
        more = f" Nor of {', '.join(lacking[name] for name in others)}; --json says why." if others else ""
        yield f"No difference of {lacking[first]}. {diff.figures[first].why}.{more}"
    if diff.compared > 1:
        yield (
            f"{diff.compared} figures are compared. Had nothing changed, {0.05 * diff.compared:.1f} of them would seem "
            "to differ by chance. yes: more than noise with all of them taken together (Holm); by itself: only if one "
            "looks at no other."
        )


def _dice(seed: int | None, runs: int | None) -> str:
    return "an unknown seed" if seed is None else f"seed {seed} and {runs} runs"


def _short(text: str) -> str:
    return text if len(text) <= _VALUE_MAX else text[: _VALUE_MAX - 3] + "..."
