"""Tests of calibration/load_plan.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibration.errors import BadAddress, BadSamples
from calibration.load_plan import Lateness, LoadPlan, LoadRun, PlannedOrder, SentAttempt, parse_address
from policy.retries import RetryRule
from policy.timeline import Outcome


@pytest.mark.parametrize(
    ("url", "host", "port", "shown"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1", 8080, "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080/", "127.0.0.1", 8080, "http://127.0.0.1:8080"),
        ("http://localhost:9", "127.0.0.1", 9, "http://127.0.0.1:9"),
        ("http://[::1]:9", "::1", 9, "http://[::1]:9"),
        ("http://127.0.0.1", "127.0.0.1", 80, "http://127.0.0.1:80"),
    ],
)
def test_loopback_address_is_read(url: str, host: str, port: int, shown: str) -> None:
    """The three names of this machine are taken, with a port or without."""
    address = parse_address(url)
    assert (address.host, address.port, address.url) == (host, port, shown)


@pytest.mark.parametrize(
    "url",
    [
        "http://192.168.0.7:8080",
        "http://10.0.0.1",
        "http://example.com:8080",
        "http://0.0.0.0:8080",
        "http://127.0.0.2:8080",
        "http://localhost.example.com",
        "http://127.0.0.1@example.com:8080",
        "https://127.0.0.1:8080",
        "http://127.0.0.1:8080/predict",
        "http://127.0.0.1:port",
        "127.0.0.1:8080",
        "",
        "http://" + "a" * 5000,
    ],
)
def test_any_other_address_is_refused_in_one_sentence(url: str) -> None:
    """A load generator that could be pointed at strangers would be a weapon: one short sentence says no."""
    with pytest.raises(BadAddress) as refusal:
        parse_address(url)
    assert str(refusal.value).startswith("url must")
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 250


def _plan(arrivals: list[int], sizes: list[int] | None = None, timeouts: list[int] | None = None) -> LoadPlan:
    return LoadPlan(
        url="http://127.0.0.1:1",
        arrivals_ns=np.array(arrivals, dtype=np.int64),
        sizes=np.array([1] * len(arrivals) if sizes is None else sizes, dtype=np.int64),
        timeouts_ns=np.array(timeouts or [], dtype=np.int64),
        retry=RetryRule(3, 1_000, 5_000, True),
        seed=2**63 + 5,
        connections=7,
        tail_ns=9,
        input='{"text":"great movie"}',
    )


@pytest.mark.parametrize(
    ("arrivals", "sizes", "timeouts", "said"),
    [
        ([], None, None, "no request"),
        ([3, 2], None, None, "ascend"),
        ([-1, 2], None, None, "ascend"),
        ([1, 2], [1], None, "one size"),
        ([1, 2], None, [5], "one timeout"),
    ],
)
def test_schedule_that_cannot_be_sent_is_refused(
    arrivals: list[int], sizes: list[int] | None, timeouts: list[int] | None, said: str
) -> None:
    """Shapes are checked once, before a process is started."""
    with pytest.raises(BadSamples, match=said):
        _plan(arrivals, sizes, timeouts)


def test_plan_survives_the_way_to_its_process() -> None:
    """Every field arrives as it was sent, a seed above 2**63 included."""
    plan = _plan([1, 2, 2], [4, 5, 6], [7, 8, 9])
    again = LoadPlan.from_bytes(plan.to_bytes())
    assert again.to_bytes() == plan.to_bytes()
    assert (again.seed, again.retry, again.sizes.tolist()) == (plan.seed, plan.retry, [4, 5, 6])
    assert again.input == plan.input
    assert again.timeouts_ns.tolist() == [7, 8, 9]


def test_users_pins_orders_and_cores_survive_it_too() -> None:
    """And a plan that has none says so."""
    plain = _plan([1, 2, 2], [4, 5, 6], [7, 8, 9])
    order = PlannedOrder(5, "/admin/rollout", '{"command": "start"}', "token")
    told = replace(plain, users=np.array([3, 1, 3]), pins=np.array([-1, 1, -1]), versions=("a", "b"), orders=(order,))
    told = replace(told, cores=(0, 2))
    again = LoadPlan.from_bytes(told.to_bytes())
    assert (again.users.tolist(), again.pins.tolist()) == ([3, 1, 3], [-1, 1, -1])
    assert (again.versions, again.orders, again.cores) == (("a", "b"), (order,), (0, 2))
    assert len(plain.users) == len(plain.pins) == len(plain.orders) == len(plain.cores) == 0
    with pytest.raises(BadSamples, match="one timeout, user and pin each, or none at all"):
        replace(plain, users=np.array([1]))


def _run(lateness_ns: list[int]) -> LoadRun:
    rows = np.zeros((len(lateness_ns), len(SentAttempt._fields)), dtype=np.int64)
    rows[:, SentAttempt._fields.index("due_ns")] = 1_000
    rows[:, SentAttempt._fields.index("sent_ns")] = 1_000 + np.array(lateness_ns, dtype=np.int64)
    return LoadRun(origin_ns=5, attempts=rows, connections=2, cpu_ns=3, timer="timerfd")


def test_run_survives_the_way_back() -> None:
    """A run is the same on both sides of the pipe."""
    run = _run([1, 2, 3])
    assert LoadRun.from_bytes(run.to_bytes()).to_bytes() == run.to_bytes()


def test_lateness_is_by_nearest_rank() -> None:
    """Of 200 attempts p50 is the 100th, p99 the 198th, whatever their order."""
    assert _run(list(range(200, 0, -1))).lateness == Lateness(100, 198, 200)


def test_attempt_that_was_never_sent_is_left_out_of_the_lateness() -> None:
    """UNSET is no moment: an attempt without a send has no lateness, and is counted as unsent."""
    run = _run([10, 20, 30])
    run.attempts[2, SentAttempt._fields.index("sent_ns")] = -1
    assert run.lateness == Lateness(10, 20, 20)
    assert run.unsent == 1


def test_connection_losses_are_failures_without_a_response() -> None:
    """A 500 is the server's failure, a lost connection is not."""
    run = _run([1, 1, 1])
    run.attempts[:, SentAttempt._fields.index("outcome")] = Outcome.FAILED
    run.attempts[:, SentAttempt._fields.index("status")] = [500, 0, 0]
    assert run.connection_losses == 2
    assert run.outcomes()["failed"] == 3
