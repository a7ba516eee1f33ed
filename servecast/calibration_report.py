"""Calibrations as text: what one measured, where a lone request's time goes, and what moved since an older one."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from calibration.compare import Comparison, Difference
from sim.report.tables import calibration_table
from sim.report.units import new_table, quantity, span
from sim.scenario.profile import LonePart, LoneRequest, Profile

__all__ = ["calibration_report", "comparison_report", "lone_request_table"]

_SHOWN = {
    "client_to_server": "client to server",
    "accept_and_parse": "accept and parse",
    "dispatch_and_wait": "dispatch, and wait for company",
    "hop_in": "hop to the device",
    "pass": "pass",
    "hop_out": "hop back",
    "response": "response",
    "to_client": "to the client",
}


def calibration_report(profile: Profile, comparison: Comparison | None = None) -> RenderableType:
    """Return a calibration for people, and what moved since the older one where there is one."""
    blocks = [calibration_table(profile)]
    if profile.lone_request is not None:
        blocks += ["", lone_request_table(profile.lone_request)]
    if comparison is not None:
        blocks += ["", comparison_report(comparison)]
    return Group(*blocks)


def lone_request_table(lone: LoneRequest) -> RenderableType:
    """Return where each millisecond of a request goes that meets an idle server: measured, and as the model has it."""
    table = new_table("lone request", "measured", "95 % interval", "modelled", "model - measured")
    for name, part in lone.parts.items():
        table.add_row(_SHOWN.get(name, name), *_lone_cells(part))
    table.add_section()
    table.add_row(Text("latency", style="bold"), *_lone_cells(lone.latency))
    words = (
        f"Means of {lone.requests} requests that met an idle server; {lone.left_out} more were left out: not alone, or "
        f"the host stood still. The first part holds {lone.client_late_ms:.3f} ms by which the client itself was late. "
        "The model's times come from the busiest load that was fitted, and it calls network what is no CPU time of the "
        "front end: the ways in and out are cut elsewhere, and their sums are what to compare."
    )
    busy = [Text("The host disturbed them in every try: measured again on a quiet one they may be faster.", "yellow")]
    return Group(table, "", Text(words), *(busy if lone.disturbed else []))


def comparison_report(comparison: Comparison) -> RenderableType:
    """Return the answer, then each time of both calibrations with the interval of its difference."""
    table = new_table("part", "older", "newer", "difference", "95 % interval, all together", "moved")
    for each in comparison.differences:
        moved = Text("yes", style="red") if each.moved else Text("no")
        table.add_row(each.name.replace("_", " "), *_difference_cells(each), moved)
    notes = [Text(note, style="dim") for note in comparison.notes]
    return Group(Text(_answer(comparison), style="bold"), "", table, "", *notes)


def _answer(comparison: Comparison) -> str:
    """Return the answer in one sentence."""
    since = f"since the calibration of {comparison.old['created']}"
    if not comparison.moved:
        return f"Nothing moved {since}: every difference can be chance."
    return f"Moved {since}: {', '.join(comparison.moved).replace('_', ' ')}."


def _difference_cells(each: Difference) -> tuple[str, ...]:
    """Return the numbers of one time."""
    times = (quantity("part_ms", each.old_ms), quantity("part_ms", each.new_ms))
    return (*times, f"{each.difference_ms:+.4f} ms", span("part_ms", each.low_ms, each.high_ms))


def _lone_cells(part: LonePart) -> tuple[str, ...]:
    """Return the numbers of one part."""
    return (  # all to the microsecond, so that one sees the columns add up
        f"{part.measured_ms:.3f} ms",
        f"{part.low_ms:.3f} .. {part.high_ms:.3f} ms",
        f"{part.modelled_ms:.3f} ms",
        f"{part.modelled_ms - part.measured_ms:+.3f} ms",
    )
