"""Tests of servecast/calibration_report.py."""

from __future__ import annotations

from pathlib import Path

from calibration.compare import compare
from servecast.calibration_report import calibration_report, comparison_report, lone_request_table
from sim.report.tables import as_text
from sim.scenario.profile import LonePart, LoneRequest, load_profile

LONE = LoneRequest(
    requests=78,
    left_out=2,
    client_late_ms=0.06,
    parts={
        "pass": LonePart(measured_ms=8.5, low_ms=8.4, high_ms=8.6, modelled_ms=8.512),
        "to_client": LonePart(measured_ms=-0.04, low_ms=-0.05, high_ms=-0.03, modelled_ms=0.06),
    },
    latency=LonePart(measured_ms=8.46, low_ms=8.36, high_ms=8.56, modelled_ms=8.572),
)


def _rows(text: str) -> dict[str, list[str]]:
    """Return the cells of each row by its first cell."""
    cells = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in text.splitlines()]
    return {row[0]: row[1:] for row in cells if row}


def test_lone_request_shows_both_sides_and_what_they_differ_by() -> None:
    """Measured with its interval, modelled, the difference; the sums below; how many requests it rests on."""
    text = as_text(lone_request_table(LONE))
    rows = _rows(text)
    assert rows["pass"] == ["8.500 ms", "8.400 .. 8.600 ms", "8.512 ms", "+0.012 ms"]
    assert rows["to the client"] == ["-0.040 ms", "-0.050 .. -0.030 ms", "0.060 ms", "+0.100 ms"]
    assert rows["latency"][-1] == "+0.112 ms"
    assert "Means of 78 requests that met an idle server; 2 more were left out" in text
    assert "0.060 ms by which the client itself was late" in " ".join(text.split())
    assert "The host disturbed them" not in text
    assert "The host disturbed them" in as_text(lone_request_table(LONE.model_copy(update={"disturbed": True})))


def test_calibration_is_shown_with_what_it_holds(profile_file: Path) -> None:
    """A file without lone requests, made by hand or elsewhere, shows its parts all the same."""
    profile = load_profile(profile_file)
    assert "lone request" not in as_text(calibration_report(profile))
    full = as_text(calibration_report(profile.model_copy(update={"lone_request": LONE}), compare(profile, profile)))
    assert "front end request" in full
    assert "lone request" in full
    assert "Nothing moved" in full


def test_comparison_names_what_moved(profile_file: Path) -> None:
    """The answer first, then every time with its interval."""
    old = load_profile(profile_file)
    part = old.parts.network_there.model_copy(update={"value_ms": 3.0})
    new = old.model_copy(update={"parts": old.parts.model_copy(update={"network_there": part})})
    text = as_text(comparison_report(compare(old, new)))
    assert text.startswith("Moved since the calibration of 2026-11-23T00:00:00+00:00: network there.")
    rows = _rows(text)
    assert rows["network there"][:3] == ["0.100 ms", "3.00 ms", "+2.9000 ms"]
    assert (rows["network there"][-1], rows["base"][-1]) == ("yes", "no")
