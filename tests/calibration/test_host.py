"""Tests of calibration/host.py."""

from __future__ import annotations

import pytest

from calibration import host
from calibration.host import Bounds, HostLoad, HostMoment, host_load, host_moment, judge, lateness_bound_ns
from calibration.load_plan import Lateness

MS = 1_000_000
BOUNDS = Bounds(lateness_p99_ns=MS, steal_share=0.02, pressure_share=0.4)
QUIET = HostLoad(steal_share=0.0, pressure_share=0.0)


@pytest.mark.parametrize(
    ("late_p99_ns", "load", "reasons"),
    [
        (MS, HostLoad(0.02, 0.4), 0),  # the bounds themselves are allowed
        (MS + 1, QUIET, 1),
        (0, HostLoad(0.021, 0.0), 1),
        (0, HostLoad(0.0, 0.41), 1),
        (2 * MS, HostLoad(0.5, 1.0), 3),
        (0, HostLoad(None, None), 0),  # what a host does not tell is not held against it
        (2 * MS, HostLoad(None, None), 1),
    ],
)
def test_run_counts_if_nothing_is_above_its_bound(late_p99_ns: int, load: HostLoad, reasons: int) -> None:
    """One reason for each bound that is passed; without a reason the run is valid."""
    validity = judge(Lateness(0, late_p99_ns, 10**12), load, BOUNDS)
    assert len(validity.reasons) == reasons
    assert validity.valid == (reasons == 0)
    assert all(reason.endswith(".") and "\n" not in reason for reason in validity.reasons)


def test_single_late_send_does_not_spoil_a_run() -> None:
    """The p99 decides, not the maximum: one stall of a second in a thousand sends stays in the record, and counts."""
    assert judge(Lateness(0, MS // 2, 10**9), QUIET, BOUNDS).valid


@pytest.mark.parametrize(
    ("goal_ns", "bound_ns"), [(None, MS), (20 * MS, 2 * MS), (5 * MS, MS // 2), (200 * MS, 5 * MS)]
)
def test_lateness_may_be_a_tenth_of_the_goal(goal_ns: int | None, bound_ns: int) -> None:
    """1 ms without a p99 goal, else a tenth of it; a lax goal does not make a late generator a good one."""
    assert lateness_bound_ns(goal_ns) == bound_ns


def test_host_load_is_what_passed_between_two_moments() -> None:
    """2 of 400 ticks stolen; 100 ms of waiting in 400 ms."""
    before, after = HostMoment(0, 10, 1_000, 5_000), HostMoment(400 * MS, 12, 1_400, 105_000)
    assert host_load(before, after) == HostLoad(steal_share=0.005, pressure_share=0.25)


def test_counters_that_do_not_exist_are_unknown() -> None:
    """-1 stands for "not kept"; a host without ticks between two moments says nothing of steal."""
    assert host_load(HostMoment(0, -1, -1, -1), HostMoment(MS, -1, -1, -1)) == HostLoad(None, None)


def test_counters_are_read_from_proc(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steal is the eighth figure behind "cpu"; guest time is counted in user time and not again."""
    from pathlib import Path

    folder = Path(str(tmp_path))
    (folder / "stat").write_text("cpu  1 2 3 4 5 6 7 8 100 200\ncpu0 9 9 9 9 9 9 9 9 9 9\n")
    (folder / "cpu").write_text("some avg10=1.00 avg60=0.00 avg300=0.00 total=1234\nfull avg10=0 total=9\n")
    monkeypatch.setattr(host, "_STAT", folder / "stat")
    monkeypatch.setattr(host, "_PRESSURE", folder / "cpu")
    moment = host_moment()
    assert (moment.steal_ticks, moment.all_ticks, moment.pressure_us) == (8, 36, 1234)
    (folder / "stat").write_text("strange\n")
    (folder / "cpu").unlink()
    moment = host_moment()
    assert (moment.steal_ticks, moment.all_ticks, moment.pressure_us) == (-1, -1, -1)
