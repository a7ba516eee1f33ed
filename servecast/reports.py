"""Measurements as text: a plain load, and a check of forecasts against a live server. Forecasts are in sim/report/."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from calibration.check_report import CheckReport, Hits, PointReport
from calibration.fleet_score import FLEET_TOLERANCES, FleetScore
from calibration.load_once import LoadResult
from calibration.replay import ReplayReport
from calibration.score import HIT_FIGURES, SERVER_FIGURES, TOLERANCES, Score
from servecast.calibration_report import lone_request_table
from sim.report.figures import LatencyPanel, Picture, latency_picture
from sim.report.fleet_figure import fleet_picture
from sim.report.units import new_table, quantity, span

__all__ = ["check_picture", "check_report", "load_report", "replay_report"]

_SHOWN = {
    "latency_ms.p50": "p50",
    "latency_ms.p90": "p90",
    "latency_ms.p99": "p99",
    "refused_share": "refused",
    "failed_share": "failed",
    "batch_size_mean": "mean batch",
}
"""The scored figures that are shown, failures only where there may be any; --json has all of them."""

_SHOWN_OF_SERVER = {"server_latency_ms.p50": "p50", "server_latency_ms.p99": "p99"}

_VERDICTS = {
    "agrees": Text("agrees", style="green"),
    "model wrong": Text("out of tolerance", style="red"),
    "invalid": Text("not valid", style="yellow"),
}


def check_report(report: CheckReport) -> RenderableType:
    """Return a check for people: the answer, then each load with forecast, interval, measurement, error and hit."""
    verdicts = [Text(f"{_load(point)} of capacity: ").append_text(_VERDICTS[point.verdict]) for point in report.points]
    runs = [Text(_errors_of_runs(point)) for point in report.points if len(point.valid) > 1]
    reasons = [Text(reason, style="dim") for point in report.points for reason in _reasons(point)]
    lone = [] if report.lone_request is None else ["", lone_request_table(report.lone_request)]
    tables = [
        _scores_table(report, _SHOWN),
        "",
        Text("On the server's own timeline, from the queue to the written answer:"),
        _scores_table(report, _SHOWN_OF_SERVER),
    ]
    fleets = [line for point in report.points for line in _fleet_lines(point)]
    rollouts = [line for point in report.points for line in _rollout_lines(point)]
    said = [*fleets, *rollouts, *map(Text, _sentences_on_hits(report)), *runs, *verdicts, *reasons]
    return Group(Text(_answer(report), style="bold"), "", *tables, "", *said, *lone)


def check_picture(report: CheckReport) -> Picture:
    """Return one picture: for each load the forecast distribution, and over it those of the valid runs.

    Of a fleet that scales it shows the replicas and the latency over time.
    """
    scaled = next((point for point in report.points if point.prediction is not None and point.prediction.fleets), None)
    if scaled is not None and scaled.prediction is not None:
        measured = [attempt.fleet for attempt in scaled.valid if attempt.fleet is not None]
        title = f"{report.provenance['scenario']}: forecast, and measured on a live server"
        return fleet_picture(scaled.prediction.fleets, measured, scaled.duration_ns, title=title)
    panels = []
    for point in report.points:
        curve = None if point.prediction is None else point.prediction.latency_curve
        if curve is not None:
            title = f"{_load(point)} of capacity, {quantity('rate_per_s', point.offered_per_s)}"
            panels.append(LatencyPanel(title, curve, [attempt.latencies_ms for attempt in point.valid]))
    return latency_picture(panels, title=f"{report.provenance['scenario']}: forecast, and measured on a live server")


def load_report(result: LoadResult) -> RenderableType:
    """Return what a load showed."""
    table = new_table("", "measured")
    table.add_row("sent", quantity("rate_per_s", result.offered_per_s))
    table.add_row("answered", quantity("rate_per_s", result.answered_per_s))
    for name, value in result.latency_ms.items():
        table.add_row(
            f"{name.replace('p999', 'p99.9')} latency", "-" if value is None else quantity("latency_ms", value)
        )
    for outcome, count in result.outcomes.items():
        if count:
            table.add_row(f"share {outcome.replace('_', ' ')}", quantity("_share", count / result.requests))
    table.add_row("lateness of the generator, p99", quantity("late_ms", result.lateness.p99_ns / 1e6))
    reasons = [Text(f"Not valid: {reason}", style="yellow") for reason in result.validity.reasons]
    return Group(table, *reasons)


def replay_report(report: ReplayReport) -> RenderableType:
    """Return what a replay showed: the answer, the decisions by kind, and the first that differs."""
    answer = f"{report.name}: {report.decisions} decisions, {report.identical} identical"
    if not report.decisions:
        answer = f"{report.name}: the journal holds no decision"
    table = new_table("decisions", "recorded", "identical", "by the replay alone")
    for name, tally in report.tallies.items():
        table.add_row(name, str(tally.recorded), str(tally.identical), str(tally.replay_only))
    span = f"{report.instants} calls of the dispatcher in {report.span_ns / 1e9:.1f} s."
    cut = "The journal was cut off: its server did not stop by itself, and its last decisions may be missing."
    notes = [span, *([] if report.is_complete else [cut])]
    problems = [Text(problem, style="red") for problem in (report.first_difference, report.stopped) if problem]
    return Group(Text(answer, style="bold"), "", table, "", *notes, *problems)


def _answer(report: CheckReport) -> str:
    """Return the answer in one sentence."""
    agreed = sum(point.verdict == "agrees" for point in report.points)
    name, capacity = report.provenance["scenario"], report.points[0].capacity_per_s
    return (
        f"{name}: forecast and live server agree at {agreed} of {len(report.points)} loads; "
        f"the capacity is {quantity('rate_per_s', capacity)}."
    )


def _scores_table(report: CheckReport, shown: Mapping[str, str]) -> RenderableType:
    """Return a table of figures, named as shown, at each load."""
    table = new_table("load", "figure", "forecast", "95 % of single runs", "measured", "error", "inside", words=2)
    for point in report.points:
        table.add_section()
        load = f"{_load(point)}, {quantity('rate_per_s', point.offered_per_s)}"
        for score in point.scores:
            if score.figure in shown and (score.figure != "failed_share" or max(score.measured, score.high) > 0):
                table.add_row(load, *_cells(point, score, shown[score.figure]))
                load = ""
        if not point.scores:
            table.add_row(load, "-")
    return table


def _fleet_lines(point: PointReport) -> list[RenderableType]:
    """Return how the fleet of each valid run compares with its forecast."""
    scores = point.fleet_scores
    if not scores:
        return []
    table = new_table(
        "run", "mean replicas", "95 % of single runs", "measured", "error", "peak", "measured", "p99 of 5 s"
    )
    lines: list[RenderableType] = [Text("The fleet, forecast and measured:"), table]
    for number, each in enumerate(scores, start=1):
        table.add_row(
            str(number),
            f"{each.replicas_mean:.2f}",
            f"{each.replicas_mean_low:.2f} .. {each.replicas_mean_high:.2f}",
            f"{each.replicas_mean_measured:.2f}",
            f"{100 * each.replicas_mean_error:+.1f} %",
            _likely(each.peaks),
            str(each.peak_measured),
            "-" if math.isnan(each.window_p99_error) else f"+-{100 * each.window_p99_error:.1f} %",
        )
        often = f"{_sequence(each.wanted_forecast)} ({100 * each.wanted_share:.0f} %)"
        own = f"{_sequence(each.wanted_measured)} ({100 * each.wanted_measured_share:.0f} %)"
        moments = ", ".join(
            f"{moment.wanted} at {moment.forecast_s:.1f} s ({moment.low_s:.1f} .. {moment.high_s:.1f}), measured "
            f"{moment.measured_s:.1f}"
            for moment in each.moments
        )
        lines.append(Text(f"run {number}, replicas wanted: {often}, measured {own}{moments and ': '}{moments}"))
    return [*lines, Text(_fleet_sentence(scores)), ""]


def _fleet_sentence(scores: Sequence[FleetScore]) -> str:
    """Return in how many runs the fleet was near enough, and in how many where the forecast says that runs lie."""
    runs, moments = len(scores), sum(len(each.moments) for each in scores)
    within, inside = sum(each.mean_within for each in scores), sum(each.mean_inside for each in scores)
    ticks, held = sum(each.moments_within for each in scores), sum(each.moments_inside for each in scores)
    near = f"{100 * FLEET_TOLERANCES['replicas_mean']:.0f} %"
    return (
        f"p99: the median error over windows of 5 s. Mean replicas: within {near} in {within} of {runs} runs, inside "
        f"the interval of single runs in {inside}. Moments: {ticks} of {moments} within one tick "
        f"({scores[0].tick_s:g} s), {held} inside."
    )


_OF_ROLLOUTS = {
    "duration_s": "from start to end",
    "requests_touched_share": "requests on the canary",
    "users_touched_share": "users who met the canary",
}


def _rollout_lines(point: PointReport) -> list[RenderableType]:
    """Return how the rollout of each valid run compares with its forecast."""
    if not point.rollout_scores:
        return []
    table = new_table("run", "figure", "forecast", "95 % of single runs", "measured", "inside", words=2)
    for number, each in enumerate(point.rollout_scores, start=1):
        ends = ", ".join(f"{end.replace('_', ' ')} ({100 * share:.0f} %)" for end, share in each.ends.items())
        measured = each.end_measured.replace("_", " ")
        table.add_row(
            str(number), "how it ends", "", ends, measured, "yes" if each.end_measured in each.end_set else "no"
        )
        for name, figure in each.figures.items():
            values = (
                quantity(name, figure.centre),
                span(name, figure.low, figure.high),
                quantity(name, figure.measured),
            )
            table.add_row("", _OF_ROLLOUTS[name], *values, "yes" if figure.inside else "no")
    return [Text("The rollout, forecast and measured:"), table, ""]


def _likely(peaks: Mapping[int, float]) -> str:
    """Return peaks with the share of runs that have them."""
    return ", ".join(f"{peak} ({100 * share:.0f} %)" for peak, share in sorted(peaks.items()))


def _sequence(wanted: Sequence[int]) -> str:
    """Return numbers one after the other."""
    return " ".join(map(str, wanted))


def _sentences_on_hits(report: CheckReport) -> list[str]:
    """Return how many intervals held what single runs showed, how wide and how good they were."""
    hits = report.hits(HIT_FIGURES)
    if not hits.scored:
        return []
    by_figure = ", ".join(f"{_SHOWN[name]} {_of(report.hits((name,)))}" for name in HIT_FIGURES)
    sentences = [
        f"Inside the intervals of single runs: {_of(hits)} ({100 * hits.held / hits.scored:.0f} %): {by_figure}."
    ]
    server = report.hits(SERVER_FIGURES)
    if server.scored:
        sentences.append(f"On the server's own timeline: {_of(server)}.")
    width = report.half_width_max("latency_ms.p99")
    scores = [
        f"{_SHOWN[name]} {100 * score:.1f} {'points' if name.endswith('_share') else '%'}"
        for name in HIT_FIGURES
        if (score := report.mean_interval_score(name)) is not None
    ]
    widest = "" if width is None else f"The widest of p99 is +-{100 * width:.1f} % of it; "
    return [*sentences, f"{widest}mean interval scores, of the forecast: {', '.join(scores)}."]


def _of(hits: Hits) -> str:
    """Return hits as n of m."""
    return f"{hits.held} of {hits.scored}"


def _cells(point: PointReport, score: Score, name: str) -> tuple[RenderableType, ...]:
    """Return the cells of one figure."""
    low, high = point.spread(score.figure) or (math.nan, math.nan)
    measured = quantity(score.figure, score.measured)
    if len(point.valid) > 1 and low < high:
        measured += f" ({span(score.figure, low, high)})"
    style = "red" if score.figure in point.judged and score.within_tolerance is False else ""
    return (
        name,
        quantity(score.figure, score.centre),
        span(score.figure, score.low, score.high),
        measured,
        Text(_error(score), style=style),
        "too wide" if score.too_wide else "yes" if score.inside else "no",
    )


def _error(score: Score) -> str:
    """Return a signed error: of a share in points, else of what was measured in per cent."""
    if not math.isfinite(score.error):
        return "-"
    return f"{100 * score.error:+.1f} {'points' if score.is_share else '%'}"


def _errors_of_runs(point: PointReport) -> str:
    """Return the errors of the judged figures in every single run."""
    figures = [name for name in _SHOWN if name in TOLERANCES]
    said = []
    for figure in figures:
        errors = [_error(score) for run in point.run_scores for score in run if score.figure == figure]
        said.append(f"{_SHOWN[figure]} {', '.join(errors)}")
    return f"{_load(point)}, error of each run: {'; '.join(said)}"


def _load(point: PointReport) -> str:
    """Return the load as a share of the capacity."""
    return f"{100 * point.load:.0f} %"


def _reasons(point: PointReport) -> list[str]:
    """Return why attempts at a load did not count."""
    said = []
    for number, attempt in enumerate(point.attempts, start=1):
        said += [f"{_load(point)}, attempt {number} not valid: {reason}" for reason in attempt.validity.reasons]
    return said
