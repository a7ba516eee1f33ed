"""Differences as text."""

from __future__ import annotations

import pytest

from sim.report.units import change, change_span


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
