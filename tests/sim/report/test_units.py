"""Differences as text."""

from __future__ import annotations

import pytest

from sim.report.units import about_time, change, change_span, requests_in_words, short_keys, span, value_between


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("latency_ms.p99", -14.13, "-14.1 ms"),
        ("latency_ms.p99", 1082.4, "+1082 ms"),
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
    assert change_span("latency_ms.p99", -1082.4, 3.0) == "-1082 .. +3.00 ms"
    assert change_span("refused_share", -0.0001, 0.0025) == "-0.0100 .. +0.250 points"
    assert change_span("throughput_per_s", -1.0, 2.0) == "-1.00 .. +2.00/s"


@pytest.mark.parametrize(
    ("low", "value", "high", "words"),
    [
        (59.0, 60.0, 61.0, "60.0 ms, 59.0 .. 61.0 ms"),
        (59.96, 59.98, 60.04, "59.98 ms, 59.96 .. 60.04 ms"),
        (59.971, 59.9715, 59.972, "60.0 ms, 60.0 .. 60.0 ms"),
        (1081.6, 1082.0, 1082.4, "1082 ms, 1082 .. 1082 ms"),
    ],
)
def test_value_lies_between_the_ends_of_its_interval(low: float, value: float, high: float, words: str) -> None:
    """60.0 does not stand beside 59.96 .. 59.98: both have a digit more where that tells the ends apart."""
    name = "latency_ms.p99"
    assert f"{value_between(name, value, low, high)}, {span(name, low, high)}" == words
    assert span("latency_ms.p99", 59.0, 61.0) == "59.0 .. 61.0 ms"


def test_share_that_would_be_rounded_to_all_is_told_from_it() -> None:
    """100.0 and 100 are one number."""
    assert span("within_goal_share", 0.99953, 1.0) == "99.95 .. 100.0 %"
    assert span("within_goal_share", 1.0, 1.0) == "100 .. 100 %"


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


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 requests"),
        (1, "1 request"),
        (9_999, "9999 requests"),
        (10_000, "10 000 requests"),
        (999_999, "999 999 requests"),
        (1_000_000, "1 million requests"),
        (1_320_693, "1.32 million requests"),
        (1_234_567_890, "1230 million requests"),
    ],
)
def test_requests_are_counted_in_millions_from_one_on(count: int, words: str) -> None:
    """Below that, 2400 are not 0 million."""
    assert requests_in_words(count) == words


def test_keys_are_short_where_that_tells_them_apart() -> None:
    """Two that end in the same word stand in full."""
    assert list(short_keys(["a.x", "b.x", "b.y"]).values()) == ["a.x", "b.x", "y"]
