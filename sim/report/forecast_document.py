"""A forecast as a report: the question in words, each goal, every figure, pictures, the calibration, the provenance."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from rich.console import Group

from sim.forecast.estimates import Figure
from sim.forecast.forecast import Forecast
from sim.forecast.goals import GoalResult
from sim.forecast.windows import Window
from sim.report.document import (
    Answer,
    Block,
    Column,
    Document,
    FigureRow,
    Highlight,
    Image,
    Paragraph,
    Section,
    Table,
    Verdict,
    blocks_of,
)
from sim.report.figures import forecast_panel, latency_picture
from sim.report.forecast_figures import breakdown_picture, versions_picture
from sim.report.question import goals_in_words, scenario_in_words
from sim.report.tables import (
    breakdown_table,
    calibration_table,
    figures_table,
    goal_in_words,
    goal_name,
    impossible,
    label_of,
    limit_in_words,
    part_in_words,
    value_of,
)
from sim.report.units import about_time, quantity, span, unit_of
from sim.report.version_tables import ab_test_lines, rollout_lines, versions_table
from sim.report.windows_figure import windows_picture
from sim.scenario.costs import profile_of
from sim.scenario.profile import Profile
from sim.scenario.spec import Scenario
from sim.scenario.versions import each_version, version_names

__all__ = ["calibration_section", "forecast_document", "provenance_section"]

_SAID = {
    "refused_share": "of the requests are refused",
    "timed_out_share": "of the requests time out",
    "abandoned_share": "of the requests are given up by their clients",
    "failed_share": "of the requests fail",
    "breach_share": "of the windows of 5 s are in breach",
}
"""How a share is said in a sentence; of a latency it is said what it is."""

_HIGHLIGHTS = ("latency_ms.p50", "latency_ms.p99", "refused_share", "replicas.mean", "cost")

_INTERVALS = (
    "95 % confidence is where the figure lies in the long run: it shrinks with more and longer runs. 95 % of single "
    "runs is where one run of this length will land: that is what a measurement is to be compared with."
)
_TAIL = "Read at 1 % (p99): one request in a hundred takes longer than this. The grey band is where a single run lies."


def forecast_document(forecast: Forecast, scenario: Scenario, *, command: str | None = None) -> Document:
    """Return the report of a scenario's forecast; `command` makes it again, in a shell.

    Pictures are drawn when a writer asks for them. Raises what the scenario raises.
    """
    runs, duration_s = forecast.provenance["runs"], forecast.provenance["duration_s"]
    simulated = f"Simulated in {runs} independent runs of {_seconds(duration_s)}."
    return Document(
        title=f"{forecast.name}: forecast",
        question=(*scenario_in_words(scenario), goals_in_words(scenario), simulated),
        answer=_answer(forecast),
        highlights=tuple(_highlights(forecast)),
        warnings=forecast.warnings,
        sections=tuple(_sections(forecast, scenario)),
        figures=tuple(_rows(forecast)),
        command=command,
        manifest={} if forecast.manifest is None else forecast.manifest.to_json(),
    )


def _answer(forecast: Forecast) -> Answer:
    """Return whether the goals are met; without any, p50, p99 and refusals."""
    if not forecast.goals:
        names = ("latency_ms.p99", "latency_ms.p50", "refused_share")
        first, *others = (f"{_capital(_said(name, forecast[name]))}." for name in names)
        return Answer(first, sentences=(*others, *_of_rollout(forecast)))
    missed = [goal for goal in forecast.goals if goal.verdict == "missed"]
    unclear = [goal for goal in forecast.goals if goal.verdict not in {"met", "missed"}]
    count = len(forecast.goals)
    if missed:
        some = "The goal" if count == 1 else f"{len(missed)} of {count} goals"
        headline = f"{some} {'is' if len(missed) == 1 else 'are'} missed."
    elif unclear:
        headline = f"Whether {_all_goals(count)} met is not clear."
    else:
        headline = f"{_capital(_all_goals(count))} met."
    verdict = Verdict.BAD if missed else Verdict.OPEN if unclear else Verdict.GOOD
    sentences = [_goal_sentence(goal, forecast[goal.figure]) for goal in forecast.goals]
    return Answer(f"{_down(forecast)}{headline}", verdict, (*sentences, *_of_rollout(forecast)))


def _all_goals(count: int) -> str:
    return {1: "the goal is", 2: "both goals are"}.get(count, f"all {count} goals are")


def _down(forecast: Forecast) -> str:
    """Return which replicas are down in every run, empty for none."""
    spare = forecast.provenance.get("spare", 0)
    return f"With {spare} {'replica' if spare == 1 else 'replicas'} down: " if spare else ""


def _goal_sentence(goal: GoalResult, figure: Figure) -> str:
    """Return what became of a goal, with the figure behind it."""
    said, limit = _capital(_said(goal.figure, figure)), limit_in_words(goal)
    if goal.value is None:
        return f"{said}, and so neither is whether it is at most {limit}: {goal.why}."
    if goal.slower_than_ms is not None:
        value = f"{value_of(goal.figure, figure)} ({_interval(goal.figure, figure)})"
        said = f"{value} of the answers take longer than the {goal_name(goal.goal)} of {goal.slower_than_ms:g} ms"
    if goal.verdict == "not clear":
        return f"{said}: the goal of at most {limit} lies inside this interval, so it is not clear whether it is met."
    return f"{said}: the goal of at most {limit} is {goal.verdict}."


def _said(name: str, figure: Figure) -> str:
    """Return a figure with its interval, as the begin of a sentence."""
    if figure.value is None:
        return f"{label_of(name)} is not known"
    interval = _interval(name, figure)
    value = value_of(name, figure) + (f" ({interval})" if interval else "")
    if name in _SAID:
        return f"{value} {_SAID[name]}"
    return f"{'mean latency' if name == 'latency_ms.mean' else label_of(name)} is {value}"


def _interval(name: str, figure: Figure) -> str:
    """Return the 95 % confidence interval, empty for a figure that the scenario fixes."""
    is_fixed = figure.prediction is not None and figure.prediction.method == "exact"
    return "" if figure.low is None or figure.high is None or is_fixed else span(name, figure.low, figure.high)


def _of_rollout(forecast: Forecast) -> list[str]:
    """Return how the rollout ends, where there is one."""
    if forecast.rollout is None:
        return []
    first = blocks_of(rollout_lines(forecast.rollout))[0]
    return [first.text] if isinstance(first, Paragraph) else []


def _highlights(forecast: Forecast) -> Iterator[Highlight]:
    """Yield the figures that are read first, those that are known."""
    for name in _HIGHLIGHTS:
        figure = forecast.figures.get(name)
        if figure is not None and figure.value is None and name.startswith("latency_ms."):
            yield Highlight(label_of(name), "not known", "too few independent requests")
        if figure is None or figure.value is None:
            continue
        unit = f" {forecast.currency}" if name == "cost" and forecast.currency else ""
        interval = _interval(name, figure)
        label = f"cost of {_seconds(forecast.provenance['duration_s'])}" if name == "cost" else label_of(name)
        if name == "replicas.mean" and not interval:
            yield Highlight("replicas", f"{figure.value:g}")
        else:
            yield Highlight(label, value_of(name, figure) + unit, interval)


def _sections(forecast: Forecast, scenario: Scenario) -> Iterator[Section]:
    """Yield the parts of the report in their order."""
    if forecast.goals:
        yield Section("Each goal", (_goals_table(forecast),))
    yield Section("Pictures", tuple(_pictures(forecast, scenario)))
    yield Section("Every figure", (*blocks_of(figures_table(forecast, scenario)), Paragraph(_INTERVALS, quiet=True)))
    if forecast.versions:
        rollout = [] if forecast.rollout is None else [rollout_lines(forecast.rollout)]
        told = Group(versions_table(forecast.versions), *rollout, ab_test_lines(forecast.ab_tests))
        yield Section("Versions", blocks_of(told))
    if forecast.breakdown_ms:
        yield Section("Where the time goes", tuple(_without_bars(blocks_of(breakdown_table(forecast)))))
    yield calibration_section(scenario)
    yield provenance_section(forecast.provenance)


def _goals_table(forecast: Forecast) -> Table:
    """Return a row for each goal."""
    rows = []
    for goal in forecast.goals:
        figure = forecast[goal.figure]
        interval = _interval(goal.figure, figure) or impossible(goal.figure, figure)
        cells = ("-" if goal.value is None else value_of(goal.figure, figure), interval, goal.verdict)
        rows.append((goal_in_words(goal), limit_in_words(goal), *cells))
    heads = ("goal", "at most", "forecast", "95 % confidence")
    columns = (*(Column(head, is_number=place > 0) for place, head in enumerate(heads)), Column("", is_number=False))
    return Table(columns, tuple(rows))


def _without_bars(blocks: tuple[Block, ...]) -> Iterator[Block]:
    """Yield the tables without their last column, which a text report draws in place of a picture."""
    for block in blocks:
        if isinstance(block, Table):
            block = Table(block.columns[:-1], tuple(row[:-1] for row in block.rows), block.caption)
        yield block


def _pictures(forecast: Forecast, scenario: Scenario) -> Iterator[Image]:
    """Yield the pictures that this forecast has something to show in; the highest comes last, beside the others."""
    if len(forecast.latency_curve.quantiles):
        draw = partial(latency_picture, [forecast_panel(forecast)])
        yield Image(draw, _tail_in_words(forecast), f"How large a share of the answered requests is slower. {_TAIL}")
    parts = {part_in_words(part): mean_ms for part, mean_ms in forecast.breakdown_ms.items() if mean_ms > 0}
    if parts:
        longest = max(parts, key=lambda part: parts[part])
        alt = f"Where the mean latency goes: most of it, {quantity('part_ms', parts[longest])}, is {longest}."
        yield Image(
            partial(breakdown_picture, parts), alt, "Where the time goes: the parts add up to the mean latency."
        )
    if len(forecast.versions) > 1:
        alt = "p50 and p99 of each version, as in the table of versions below."
        yield Image(partial(versions_picture, forecast.versions), alt, "Each version, with 95 % confidence intervals.")
    if _is_worth_a_course(forecast, scenario):
        yield Image(
            partial(windows_picture, forecast.timeline),
            _course_in_words(forecast.timeline),
            "Over time, all runs together; grey is where the figure of a window lies, at 95 %.",
        )


def _tail_in_words(forecast: Forecast) -> str:
    """Return what the latency distribution shows."""
    said = [_said(name, forecast[name]) for name in ("latency_ms.p50", "latency_ms.p99")]
    said += [f"the goal of {name} is {limit_ms:g} ms" for name, limit_ms in forecast_panel(forecast).goals_ms.items()]
    return f"The latency distribution, forecast: {', '.join(said)}."


def _is_worth_a_course(forecast: Forecast, scenario: Scenario) -> bool:
    """Return whether load, fleet or versions change over time."""
    arrivals = scenario.traffic.arrivals
    changes = arrivals is not None and arrivals.process not in {"even", "poisson", "gamma"}
    fleets = [version.fleet for version in each_version(scenario)]
    scales = any(fleet.autoscaler is not None or fleet.crash_every is not None for fleet in fleets)
    return bool(forecast.timeline) and (changes or scales or scenario.rollout is not None)


def _course_in_words(windows: list[Window]) -> str:
    """Return between which values load, replicas and p99 move."""
    said = []
    for name, label in (("requests_per_s", "load"), ("replicas.paid", "replicas"), ("latency_ms.p99", "p99")):
        known = [value for window in windows if (value := window.figures[name].value) is not None]
        if known:
            said.append(f"{label} from {quantity(name, min(known))} to {quantity(name, max(known))}")
    return f"Over time, forecast: {', '.join(said)}."


def calibration_section(scenario: Scenario) -> Section:
    """Return what the times of passes rest on: measurements and how far the fitted model is off, or the scenario."""
    profiles: dict[str, Profile] = {}
    for name, version in zip(version_names(scenario), each_version(scenario), strict=True):
        profile = profile_of(version)
        if profile is not None and profile not in profiles.values():
            profiles[name] = profile
    title = "How right the model is"
    if not profiles:
        words = (
            "Not calibrated: how long a pass and the way to it take is as the scenario states it. servecast calibrate "
            "measures it on a live server, and servecast check scores this forecast against one."
        )
        return Section(title, (Paragraph(words),))
    blocks = [
        block
        for name, profile in profiles.items()
        for block in _calibration(profile, f"{name}: " if len(profiles) > 1 else "")
    ]
    return Section(title, tuple(blocks))


def _calibration(profile: Profile, of_version: str) -> list[Block]:
    """Return one calibration: how far off, what was measured, what it does not know."""
    off = ", ".join(
        f"{label_of(name)} {100 * error:.1f} %"
        for name, error in profile.discrepancy.items()
        if name in ("latency_ms.p50", "latency_ms.p90", "latency_ms.p99")
    )
    known = (
        f"At the loads of its fit the model was off by: {off}."
        if off
        else "How far the model is off, it does not tell."
    )
    first = f"{of_version}Calibrated: {profile.name}, measured {profile.created}. {known}"
    table = blocks_of(calibration_table(profile), "Measured times, and what they were fitted on")
    return [Paragraph(first), *table, *(Paragraph(sentence, quiet=True) for sentence in profile.not_identified)]


def provenance_section(provenance: dict[str, Any]) -> Section:
    """Return where a result comes from, as a table."""
    told = {
        "scenario": provenance.get("scenario"),
        "scenario hash (SHA-256)": provenance.get("scenario_hash"),
        "seed": provenance.get("seed"),
        "runs": provenance.get("runs"),
        "measured part of a run": _seconds(provenance["duration_s"]) if "duration_s" in provenance else None,
        "warm-up before it": _warm_up(provenance.get("warm_up")),
        "calibration": (_pairs(provenance["calibration"]) or "none") if "calibration" in provenance else None,
        "engine": provenance.get("engine"),
        "versions": _pairs(provenance.get("versions")),
        "host": _pairs(provenance.get("host")),
    }
    rows = tuple((name, str(value)) for name, value in told.items() if value is not None)
    return Section("Where it comes from", (Table((Column("", False), Column("", False)), rows),))


def _seconds(value: float) -> str:
    return about_time(round(value * 1e9))


def _warm_up(told: dict[str, Any] | None) -> str | None:
    return None if told is None else f"{_seconds(told['seconds'])} ({told['how']})"


def _pairs(told: dict[str, Any] | None) -> str | None:
    """Return a mapping in one line."""
    return None if told is None else ", ".join(f"{name} {value}" for name, value in told.items())


def _rows(forecast: Forecast) -> Iterator[FigureRow]:
    """Yield every figure by its name in the JSON, those of versions and of the rollout too."""
    for name, figure in forecast.figures.items():
        yield FigureRow(name, unit_of(name, forecast.currency), figure)
    for version in forecast.versions:
        for name, figure in version.figures.items():
            yield FigureRow(f"versions.{version.name}.{name}", unit_of(name), figure)
    if forecast.rollout is not None:
        for name, figure in forecast.rollout.figures.items():
            yield FigureRow(f"rollout.{name}", unit_of(name), figure)


def _capital(text: str) -> str:
    """Return the begin of a sentence; p50 and its like stay small."""
    return text if text[:1] == "p" and text[1:2].isdigit() else text[:1].upper() + text[1:]
