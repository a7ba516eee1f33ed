"""The systems of the self-test."""

from __future__ import annotations

import pytest

from sim.forecast.selftest_cases import Case, Expectation, known_systems


def expected(name: str, reader: str, statistic: str) -> float:
    """Return what theory says of a case."""
    (case,) = [case for case in known_systems() if case.name.startswith(name)]
    (value,) = [one.value for one in case.expectations if (one.reader, one.statistic) == (reader, statistic)]
    return value


@pytest.mark.parametrize(
    ("name", "reader", "statistic", "value"),
    [
        ("M/M/1,", "response", "mean", 5.0),
        ("M/M/1,", "response", "p99", 23.0259),
        ("M/M/5,", "response", "mean", 1.554113),
        ("M/D/1,", "response", "mean", 3.0),
        ("M/D/1,", "response", "p99", 11.3559),
        ("M/M/10/20", "refused", "mean", 0.179666),
        ("M/M/10/20", "response", "mean", 1.635969),
        ("G/M/1", "response", "mean", 5.64744),
        ("G/M/1", "response", "p99", 26.0074),
        ("batches without limit on a V100, load 0.5", "response", "mean", 5.9019),
        ("batches without limit on a V100, load 0.7", "response", "mean", 9.8176),
        ("batches of 1 to 8 on", "response", "mean", 4.30672),
        ("batches of 1 to 8 on", "batch", "mean", 5.30662),
        ("batches of exactly 8", "response", "mean", 6.54371),
        ("batch former", "batch", "mean", 5.74452),
        ("batch former", "hold", "mean", 2.65380),
        ("Erlang A", "left the queue", "mean", 0.133648),
        ("closed loop, 10 clients, 3 servers, think 0", "answered", "rate", 3.0),
        ("8 replicas, a quarter slow", "response", "mean", 1.7532468),  # 1 / 0.7 and, a quarter, 1 / (2 / 3 - 0.3)
        ("M/M/1 that crashes", "lost", "mean", 1 / 11),  # 0.1 of 1.1
        ("M/M/1 that crashes", "response", "mean", 2.2043011),  # the chain of 400 requests, solved as it stands
        ("first 10 passes", "first responses", "mean", 8.498488),  # which draws of gaps agree with
    ],
)
def test_expected_values_are_the_known_answers(name: str, reader: str, statistic: str, value: float) -> None:
    """As they were worked out independently of this project."""
    assert expected(name, reader, statistic) == pytest.approx(value, rel=1e-5)


def test_names_are_distinct() -> None:
    """A row is found by its case and figure."""
    rows = [(case.name, one.reader, one.statistic) for case in known_systems() for one in case.expectations]
    assert len(set(rows)) == len(rows)


@pytest.mark.parametrize(("statistic", "most"), [("mean", 0.02), ("rate", 0.02), ("p99", 0.05)])
def test_intervals_must_be_narrow(statistic: str, most: float) -> None:
    """2 % for a mean, 5 % for a p99, to either side."""
    assert Expectation("response", statistic, 1.0).half_width_max == most


def test_load_is_either_open_or_closed() -> None:
    """A case has arrivals or clients."""
    assert all((case.rate_per_ms > 0) != (case.clients > 0) for case in known_systems())
    assert all(isinstance(case, Case) and case.expectations for case in known_systems())
