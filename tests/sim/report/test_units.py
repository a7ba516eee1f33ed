"""Differences as text."""

from __future__ import annotations

import pytest

from sim.report.units import about_time, change, change_span


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("latency_ms.p99", -14.13, "-14.1 ms"),
        ("latency_ms.p99", 1082.4, "+1 082 ms"),
        ("refused_share", 0.002, "+0.200 points"),
        ("throughput_per_s", -0.333, "-0.333/s"),
        ("replicas.mean", 1.0, "+1.00"),
        ("latency_ms.p50", 0.0, "0 ms"),
    ],
)
def test_difference_has_sign_and_unit(name: str, value: float, words: str) -> None:
    """Of shares it is in points: 0.2 % more could be 0.2 % of what it was."""
    assert change(name, value) == words


def test_interval_of_a_difference_has_its_unit_once() -> None:
    """Each end with its sign."""
    assert change_span("latency_ms.p99", -17.0, -11.2) == "-17.0 .. -11.2 ms"
    assert change_span("latency_ms.p99", -1082.4, 3.0) == "-1 082 .. +3.00 ms"
    assert change_span("refused_share", -0.0001, 0.0025) == "-0.0100 .. +0.250 points"
    assert change_span("throughput_per_s", -1.0, 2.0) == "-1.00 .. +2.00/s"


@pytest.mark.parametrize(
    ("time_ns", "words"),
    [
        (1_200_002_420_471, "20 min"),
        (1_234_567_891_234, "20.6 min"),
        (7_123_456_789, "7.12 s"),
        (1_199_999_123_456_789, "13.9 d"),
        (999_999_876, "1 s"),
        (90_500_000_000, "90.5 s"),
        (12_345_000_000_000, "12345 s"),
        (86_400_000_000_000, "1 d"),
    ],
)
def test_time_that_was_measured_is_rounded_and_a_stated_one_is_not(time_ns: int, words: str) -> None:
    """A trace ends where its last request came: "1200.002420471 s" says more than anybody knows."""
    assert about_time(time_ns) == words
