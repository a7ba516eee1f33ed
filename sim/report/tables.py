"""Results as text: an answer in one sentence first, then tables.

Tables are rich renderables, which a terminal, a pipe and a notebook print alike; as_text() gives plain text. Numbers
carry their unit and no more digits than they are worth.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from sim.forecast.enough_runs import Why
from sim.forecast.estimates import Figure
from sim.forecast.forecast import Forecast
from sim.forecast.goals import GoalResult, runs_that_tell
from sim.forecast.warnings import RECORDED_ARRIVALS, on_recorded_arrivals
from sim.report.load_words import load_in_words
from sim.report.units import about_time, digits_of, grouped, new_table, quantity, span, value_between
from sim.report.version_tables import ab_test_lines, rollout_lines, versions_table
from sim.scenario.profile import PARTS, Profile
from sim.scenario.spec import Scenario

if TYPE_CHECKING:
    from sim.forecast.selftest import SelftestRow

__all__ = [
    "FIGURE_NAMES",
    "answer_of",
    "as_text",
    "breakdown_table",
    "calibration_table",
    "figures_table",
    "forecast_report",
    "goal_in_words",
    "goal_name",
    "impossible",
    "label_of",
    "limit_in_words",
    "more_runs_words",
    "most_in_words",
    "part_in_words",
    "selftest_table",
    "value_of",
]

_TEXT_WIDTH = 110

FIGURE_NAMES = {
    "latency_ms.mean": "mean latency",
    "latency_ms.p50": "p50 latency",
    "latency_ms.p90": "p90 latency",
    "latency_ms.p95": "p95 latency",
    "latency_ms.p99": "p99 latency",
    "latency_ms.p999": "p99.9 latency",
    "throughput_per_s": "answered",
    "refused_share": "refused",
    "timed_out_share": "timed out (504)",
    "abandoned_share": "abandoned",
    "failed_share": "failed (500)",
    "within_goal_share": "within goal p99",
    "beyond_goal.p50_share": "beyond goal p50",
    "beyond_goal.p90_share": "beyond goal p90",
    "beyond_goal.p95_share": "beyond goal p95",
    "beyond_goal.p99_share": "beyond goal p99",
    "beyond_goal.p999_share": "beyond goal p99.9",
    "breach_share": "windows in breach",
    "batch_size_mean": "mean batch",
    "gpu_busy_share": "device busy",
    "replicas.mean": "replicas, mean",
    "replicas.peak": "replicas, peak",
    "gpu_hours": "replica hours",
    "cost": "cost",
}
"""The figures that are shown, in their order."""

_RUNS_SAID_MOST = 1000
"""So many more runs are named at most."""

_P99 = "latency_ms.p99"
_OF_THE_FLEET = ("replicas.mean", "replicas.peak", "gpu_hours")

_GOALS = {"mean": "mean", "p999": "p99.9", "timed_out": "timed out", "breach": "windows in breach"}
_PARTS = {
    "held": "waiting for a replica",
    "front_end": "front end",
    "batch_wait": "waiting for company",
    "queue": "waiting for a device",
}
_ALL_THE_SAME = "All of them are the same: nothing in this scenario is left to chance, and two would do."
_IMPOSSIBLE = {
    "refused_share": "no cap set",
    "timed_out_share": "no queue.deadline",
    "abandoned_share": "no timeout set",
    "failed_share": "no errors set",
}
"""Why none is lost in a way, for certain, which needs no interval."""

_BUSY_AND_PAID = (
    "Device busy is of the replicas that are ready; replicas and their hours count starting and draining ones too."
)
_TIMEOUT_AND_DEADLINE = (
    "The server has no deadline of its own (queue.deadline): requests that their client gives up (traffic.timeout) are "
    "in the row abandoned."
)
_VERDICT_STYLES = {"met": "green", "missed": "red", "not clear": "yellow", "not known": "yellow"}


def forecast_report(forecast: Forecast, scenario: Scenario | None = None) -> RenderableType:
    """Return a forecast for people: the answer, the figures, where the time goes, the goals, warnings.

    With its `scenario` lines say how much of what the fleet can take the load is, and what becomes of a trace.
    """
    parts: list[RenderableType] = [Text(answer_of(forecast), style="bold"), "", figures_table(forecast, scenario)]
    if forecast.versions:
        parts += ["", versions_table(forecast.versions)]
    if forecast.rollout is not None:
        parts += ["", rollout_lines(forecast.rollout)]
    if forecast.ab_tests:
        parts += ["", ab_test_lines(forecast.ab_tests)]
    if forecast.breakdown_ms:
        parts += ["", breakdown_table(forecast)]
    if forecast.goals:
        parts += ["", *(_goal(goal, forecast[goal.figure]) for goal in forecast.goals), *_more_runs(forecast)]
    if forecast.warnings:
        parts += ["", *(Text(f"warning: {sentence}", style="yellow") for sentence in forecast.warnings)]
    return Group(*parts)


def answer_of(forecast: Forecast) -> str:
    """Return the answer in one sentence: p50, p99 and refusals, with their 95 % confidence intervals."""
    said = []
    for name in ("latency_ms.p50", "latency_ms.p99", "refused_share"):
        figure, label = forecast[name], label_of(name)
        interval = _intervals(name, figure)[0]
        known = "not known" if figure.value is None else value_of(name, figure)
        said.append(f"{label} {known}" + (f" [{interval}]" if interval else ""))
    spare = forecast.provenance.get("spare", 0)
    down = f" with {spare} {'replica' if spare == 1 else 'replicas'} down" if spare else ""
    return f"{forecast.name}{down}: {said[0]}, {said[1]}, {said[2]}."


def figures_table(forecast: Forecast, scenario: Scenario | None = None) -> RenderableType:
    """Return every figure with its intervals, and below why some have none; with its scenario load and trace too."""
    parts = ["by sampling", "by calibration"] if _is_calibrated(forecast) else []
    table = new_table("", "forecast", "95 % confidence", *parts, "95 % of single runs")
    reasons = []
    for name, label in FIGURE_NAMES.items():
        figure = forecast.figures.get(name)
        if figure is None:
            continue  # one that only a goal makes possible
        unit = f" {forecast.currency}" if name == "cost" and forecast.currency else ""
        label = f"{label} of {_lasts(forecast)}" if name == "cost" else label
        if name in _OF_THE_FLEET and figure.prediction is not None and figure.prediction.method == "exact":
            continue  # the scenario says it
        if figure.value is not None:
            confidence, single_runs = _intervals(name, figure)
            confidence = confidence or impossible(name, figure)
            halves = _halves(name, figure) if parts and single_runs else ("" for _ in parts)
            table.add_row(label, value_of(name, figure) + unit, confidence, *halves, single_runs)
        elif name != "cost":
            table.add_row(label, "-")
            reasons.append(f"No {label}: {figure.why}.{_known_beyond(name, forecast)}")
    if "replicas.mean" in forecast.figures and _intervals("replicas.mean", forecast["replicas.mean"])[0]:
        reasons.append(_BUSY_AND_PAID)
    if _is_impossible("timed_out_share", forecast) and not _is_impossible("abandoned_share", forecast):
        reasons.append(_TIMEOUT_AND_DEADLINE)
    load = None if scenario is None else load_in_words(scenario)
    if load is not None:
        reasons.append(load)
    if scenario is not None:
        reasons += on_recorded_arrivals(scenario)
    elif _is_recorded(forecast):
        reasons.append(RECORDED_ARRIVALS)
    return Group(table, *(Text(reason, style="dim") for reason in [*reasons, *_what_it_rests_on(forecast)]))


def _known_beyond(name: str, forecast: Forecast) -> str:
    """Say why a rarer quantile is known where this one is not; nothing where none is."""
    names = [each for each in FIGURE_NAMES if each.startswith("latency_ms.p")]
    rarer = names[names.index(name) + 1 :] if name in names else []
    known = [label_of(each) for each in rarer if each in forecast.figures and forecast[each].value is not None]
    return f" {known[0]} is known all the same: what lies beyond it comes less in clusters." if known else ""


def _is_recorded(forecast: Forecast) -> bool:
    """Return whether every run meets the same arrivals: what follows one another there is no independent sample."""
    return "arrivals" not in forecast.provenance.get("intervals_over", ["arrivals"])


def _is_certain(forecast: Forecast) -> bool:
    """Return whether all runs came to the very same in each figure."""
    runs = [figure.runs for figure in forecast.figures.values() if figure.runs]
    return bool(runs) and all(len(set(each)) == 1 for each in runs)


def _lasts(forecast: Forecast) -> str:
    """Return how long the measured time is."""
    return about_time(round(forecast.provenance["duration_s"] * 1e9))


def _what_it_rests_on(forecast: Forecast) -> list[str]:
    """Return how many runs there are, what their intervals hold, and what the rarest quantile rests on."""
    runs = forecast.provenance.get("runs")
    if runs is None:
        return []
    lines = [f"{_runs(forecast, runs)}. {_ALL_THE_SAME if _is_certain(forecast) else _parts_named(forecast)}"]
    if "precision" in forecast.provenance:
        is_p99_unknown = forecast[_P99].value is None
        lines.append(_precision_words(forecast.provenance["precision"], is_p99_unknown=is_p99_unknown))
    rare = forecast["latency_ms.p999"]
    if rare.value is not None and rare.effective_samples is not None and not _is_recorded(forecast):
        worth = rare.effective_samples * runs
        lines.append(
            f"The p99.9 latency rests on {grouped(rare.samples)} answers, worth {grouped(worth)} independent ones, of "
            f"which {grouped(worth * 0.001)} lie beyond it."
        )
    return lines


def _runs(forecast: Forecast, runs: int) -> str:
    """Return how many runs there are, how long each is, and how many requests they have together."""
    requests = forecast["refused_share"].samples
    return f"{runs} runs of {_lasts(forecast)}, {grouped(requests)} requests in all"


def _parts_named(forecast: Forecast) -> str:
    """Say what the confidence intervals hold."""
    if _is_calibrated(forecast):
        return (
            "The confidence intervals hold what sampling leaves open and what the calibration does, each 95 %; more "
            "runs narrow the first part alone."
        )
    if any(figure.value is not None and figure.calibration is None for figure in forecast.figures.values()):
        return "The confidence intervals hold sampling alone: the calibration does not tell how sure it is."
    return "The confidence intervals hold sampling alone: the scenario's times are taken as they stand."


def _precision_words(precision: Mapping[str, Any], *, is_p99_unknown: bool) -> str:
    """Say whether the wanted precision was reached, and if not, how far it is."""
    wanted, reached = f"{100 * precision['wanted']:g} %", precision["reached"]
    if precision["stopped"] == Why.NOTHING:
        return f"There is no figure that more runs would make sure to {wanted}."
    if precision["stopped"] == Why.PRECISE:
        but = f", but for {label_of(_P99)}, which runs of this length do not tell" if is_p99_unknown else ""
        return f"Sampling leaves nothing that counts open by more than the {wanted} that were wanted{but}."
    is_late = precision["stopped"] == Why.TIME
    spent = f"the budget of {precision['budget_s']:g} s is spent" if is_late else "no more were allowed"
    if not precision["missed"]:
        return f"So few runs do not show whether the {wanted} that were wanted are reached, and {spent}."
    said = [f"{FIGURE_NAMES[name]} by {_open(name, reached[name])}" for name in precision["missed"]]
    return f"The {wanted} that were wanted are not reached, and {spent}: sampling leaves open {', '.join(said)}."


def _open(name: str, half: float) -> str:
    """Return what is left open of a figure, in per cent of it; of a share in points."""
    return f"{digits_of(100 * half)} {'points' if name.endswith('_share') else '%'}"


def _is_calibrated(forecast: Forecast) -> bool:
    """Return whether the uncertainty of a calibration is part of the intervals."""
    return any(
        figure.calibration is not None and figure.calibration.low < figure.calibration.high
        for figure in forecast.figures.values()
    )


def _halves(name: str, figure: Figure) -> Iterator[str]:
    """Return what sampling and what the calibration leave open to either side."""
    assert figure.value is not None
    for part in (figure.sampling, figure.calibration):
        assert part is not None
        yield f"+- {quantity(name, max(part.high - figure.value, figure.value - part.low), 2)}"


def value_of(name: str, figure: Figure) -> str:
    """Return the value of a figure that has one, with as many digits as its confidence interval has."""
    assert figure.value is not None
    ends = (figure.low, figure.high) if _intervals(name, figure)[0] else (None, None)
    return value_between(name, figure.value, *ends)


def label_of(name: str) -> str:
    """Return what a figure is called where latencies need not be called so."""
    return FIGURE_NAMES[name].removesuffix(" latency")


def goal_in_words(goal: GoalResult) -> str:
    """Return what a goal is about."""
    name = goal_name(goal.goal)
    return name if goal.slower_than_ms is None else f"{name} (share slower than {goal.slower_than_ms:g} ms)"


def goal_name(goal: str) -> str:
    """Return what people call a goal, by its key in a scenario."""
    return _GOALS.get(goal, goal)


def limit_in_words(goal: GoalResult) -> str:
    """Return the most that a goal allows, with its unit."""
    return most_in_words(goal.figure, goal.limit)


def most_in_words(name: str, limit: float) -> str:
    """Return the limit of a figure as it was stated, with its unit."""
    return f"{100 * limit:g} %" if name.endswith("_share") else f"{limit:g} ms"


def part_in_words(part: str) -> str:
    """Return what a part of the path is called."""
    return _PARTS.get(part, part.replace("_", " "))


def breakdown_table(forecast: Forecast) -> Table:
    """Return where the mean latency goes; the parts add up to it."""
    total_ms = sum(forecast.breakdown_ms.values())
    table = new_table("where the time goes", "mean", "share", "")
    table.columns[3].justify = "left"
    for part, mean_ms in forecast.breakdown_ms.items():
        if mean_ms > 0:
            share = mean_ms / total_ms
            bar = "#" * round(30 * share)
            table.add_row(part_in_words(part), quantity("part_ms", mean_ms), quantity("part_share", share), bar)
    return table


def calibration_table(profile: Profile) -> RenderableType:
    """Return what a calibration measured, each part with its 95 % interval, and what it was fitted on."""
    table = new_table("part", "measured", "95 % interval")
    for name in PARTS:
        part = getattr(profile.parts, name)
        bounds = span("part_ms", part.low_ms, part.high_ms)
        table.add_row(name.replace("_", " "), quantity("part_ms", part.value_ms), bounds)
    table.add_row("spread of a pass (cv)", quantity("spread_share", profile.spread_cv), "")
    seen = profile.fitted_on
    rates = ", ".join(quantity("rate_per_s", rate) for rate in seen.rates)
    words = (
        f"Fitted on {seen.samples} passes and answers of {seen.processes} server process(es), at {rates}, with batches "
        f"of {min(seen.batch_sizes)} to {max(seen.batch_sizes)}."
    )
    return Group(table, "", Text(words))


def selftest_table(rows: Sequence[SelftestRow]) -> RenderableType:
    """Return known answers beside what each engine gave, and how many it met."""
    table = new_table("system", "figure", "engine", "expected", "got", "99.9 % interval", "half-width", "", words=3)
    for row in rows:
        differs = row.is_same is False
        verdict = Text("ok", style="green") if row.passed else Text("DIFFERS" if differs else "NO", style="red")
        expected, got, low, high = (digits_of(value, 4) for value in (row.expected, row.got, row.low, row.high))
        width = f"{100 * row.half_width_share:.1f} of {100 * row.half_width_share_max:g} %"
        table.add_row(row.case, row.figure, row.engine, expected, got, f"{low} .. {high}", width, verdict)
    return Group(table, "", *(Text(line, style="bold") for line in _known_answers(rows)))


def _known_answers(rows: Sequence[SelftestRow]) -> list[str]:
    """Return how many known answers each engine met, and whether the two agree."""
    lines = []
    for engine in dict.fromkeys(row.engine for row in rows):
        mine = [row for row in rows if row.engine == engine]
        lines.append(f"{sum(row.passed for row in mine)} of {len(mine)} known answers are met by the {engine} engine.")
    compared = [row.is_same for row in rows if row.is_same is not None]
    if compared:
        lines.append("Both give the same bytes." if all(compared) else "They do not give the same bytes.")
    return lines


def as_text(renderable: RenderableType, width: int = _TEXT_WIDTH) -> str:
    """Return a report as plain text without colours."""
    out = StringIO()
    # Inside a notebook rich would show the text itself and return nothing of it.
    console = Console(file=out, width=width, no_color=True, force_terminal=False, force_jupyter=False, highlight=False)
    console.print(renderable, crop=False)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _goal(goal: GoalResult, figure: Figure) -> Text:
    """Return what became of a goal; one that nothing could break says so."""
    words = {"not clear": f"not clear, by its value {'met' if goal.met else 'missed'}"}
    why = impossible(goal.figure, figure)
    line = Text(f"goal {goal_in_words(goal)} at most {limit_in_words(goal)}: ")
    line.append(words.get(goal.verdict, goal.verdict), style=_VERDICT_STYLES[goal.verdict])
    return line.append(f" ({why})" if why else "")


def _more_runs(forecast: Forecast) -> Iterator[Text]:
    """Yield what would tell of goals that are not clear, or not known."""
    needed = runs_that_tell(forecast.goals, forecast.figures, forecast.provenance["runs"])
    if needed is not None:
        yield Text(f"More {more_runs_words(needed)}: --runs or --precision.", style="dim")


def more_runs_words(needed: int) -> str:
    """Return that more runs may tell of goals, and about how many."""
    about = f"about {float(f'{needed:.2g}'):.0f}" if needed <= _RUNS_SAID_MOST else f"more than {_RUNS_SAID_MOST}"
    return f"runs may tell, {about} of them if those are like these"


def impossible(name: str, figure: Figure) -> str:
    """Return why a share is 0 for certain, in a few words; empty of any other figure."""
    is_fixed = figure.prediction is not None and figure.prediction.method == "exact"
    return _IMPOSSIBLE.get(name, "") if is_fixed and figure.value == 0.0 else ""


def _is_impossible(name: str, forecast: Forecast) -> bool:
    """Return whether a share is there, and is 0 for certain."""
    return name in forecast.figures and bool(impossible(name, forecast[name]))


def _intervals(name: str, figure: Figure) -> tuple[str, str]:
    """Return the confidence and the prediction interval; nothing for a figure that the scenario fixes."""
    prediction = figure.prediction
    if figure.low is None or figure.high is None or prediction is None or prediction.method == "exact":
        return "", ""
    return span(name, figure.low, figure.high), span(name, prediction.low, prediction.high)
