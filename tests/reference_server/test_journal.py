"""The journal as bytes: one line of JSON with the rules, then rows of int64."""

from __future__ import annotations

import json
from array import array
from pathlib import Path

import pytest

from policy.batching import Cause
from policy.instant import NEVER_NS
from policy.journal import FIELDS, Row
from policy.settings import admission_rule, batching_rule, deadline_rule
from policy.timeline import Outcome, Reason, Scaling
from reference_server import actions
from reference_server.actions import Arrived, Respond, Returned, StartPass, WakeAt
from reference_server.dispatch_loop import SeededDice
from reference_server.dispatcher import Dispatcher
from reference_server.errors import CouldNotServe
from reference_server.journal import Journal
from reference_server.replica_pool import FleetRules
from reference_server.settings import ServerSettings, VersionSettings

END = int(Row.END)
EVENT_ROWS = {
    Row.ARRIVED: actions.Arrived,
    Row.HUNG_UP: actions.HungUp,
    Row.RETURNED: actions.Returned,
    Row.FAILED: actions.Failed,
    Row.READY: actions.Ready,
    Row.ANSWERED: actions.Answered,
}


def settings(cap: int | None = 9) -> ServerSettings:
    """Return the settings of a server with two instances."""
    fleet = FleetRules(
        batching_rule(max_batch=4, max_wait_ns=50, instances=2, preferred_sizes=(2,)),
        admission_rule(cap=cap),
        deadline_rule(deadline_ns=None),
        instances=2,
    )
    return ServerSettings(versions=(VersionSettings(fleet, {}),), name="shop")


def rows_of(file: Path) -> list[int]:
    """Return the fields behind the first line."""
    return array("q", file.read_bytes().partition(b"\n")[2]).tolist()


def test_first_line_names_the_rules_with_the_words_of_a_scenario(tmp_path: Path) -> None:
    """Whoever has the file needs nothing else to decide again."""
    Journal(tmp_path / "journal", settings(), 77).close()
    header = json.loads((tmp_path / "journal").read_bytes().partition(b"\n")[0])
    assert header == {
        "format": "servecast-journal/3",
        "name": "shop",
        "started_ns": 77,
        "seed": "0",
        "fleets": [
            {
                "instances": 2,
                "replicas": 1,
                "loaded": True,
                "routing": {"balance": "round_robin", "tie": "random", "outstanding_max": None, "held_max": 1_000_000},
                "autoscaler": None,
                "drain": "youngest",
                "batching": {
                    "max_batch": 4,
                    "max_wait_ns": 50,
                    "timer_origin": "enqueue",
                    "freeze": "pull",
                    "collector": "dispatcher",
                    "slots": 2,
                    "preferred_sizes": [2],
                },
                "queue": {"cap": 9, "deadline_ns": None},
            }
        ],
        "shares": {"weights": [10_000], "stable": 0, "canary": None, "shadows": [0], "rollout": None},
    }
    assert rows_of(tmp_path / "journal") == [END]


def test_call_is_written_as_its_events_and_its_decisions(tmp_path: Path) -> None:
    """Order and fields are those of the call; only what is over is left to the timeline."""
    journal = Journal(tmp_path / "journal", settings(), 0)
    journal.add(
        100,
        True,
        [Arrived(7, 0, 3), Returned(0, 1, 60, 90, ((4, 0),))],
        [Respond(7, 0, Outcome.REFUSED, Reason.DRAINING), StartPass(5, 0, 1, ((4, 0), (6, 2)), 3), WakeAt(NEVER_NS)],
    )
    journal.close()
    assert rows_of(tmp_path / "journal") == [
        *(Row.INSTANT, 100, 1),
        *(Row.ARRIVED, 7, 0, 3, 0, -1),
        *(Row.RETURNED, 0, 1, 60, 90),
        *(Row.FAILED_MEMBER, 4, 0),
        *(Row.RESPOND, 7, 0, Outcome.REFUSED, Reason.DRAINING),
        *(Row.START_PASS, 5, 0, 1),
        *(Row.MEMBER, 4, 0),
        *(Row.MEMBER, 6, 2),
        *(Row.WAKE_AT, NEVER_NS),
        END,
    ]


def test_pass_that_is_over_tells_how_its_batch_was_closed(tmp_path: Path) -> None:
    """Size, cause and the three moments of the closing; the times of the pass itself are no decision."""
    batching = batching_rule(max_batch=2, max_wait_ns=30)
    rules = FleetRules(batching, admission_rule(cap=None), deadline_rule(deadline_ns=None))
    core = Dispatcher([rules], SeededDice(0))
    journal = Journal(tmp_path / "journal", settings(), 0)
    core.handle([Arrived(0, 0, 1)], 10)
    core.handle((), 40)
    journal.add(70, False, (), core.handle([Returned(0, 0, 45, 65)], 70))
    journal.close()
    rows = rows_of(tmp_path / "journal")
    assert rows[3:10] == [Row.PASS_OVER, 0, 1, Cause.WAITED, 0, 40, 40]


def test_changes_of_the_fleet_are_written(tmp_path: Path) -> None:
    """How many replicas are wanted and why, and what is done about it."""
    journal = Journal(tmp_path / "journal", settings(), 0)
    scaling = actions.LogScaling(Scaling(9, 0, 3, 1))
    journal.add(9, False, (), [scaling, actions.StartReplica(2, 0), actions.DrainReplica(1), actions.StopReplica(0)])
    journal.close()
    rows = [*(Row.SCALE, 0, 3, 1), *(Row.START_REPLICA, 2, 0), *(Row.DRAIN_REPLICA, 1), *(Row.STOP_REPLICA, 0), END]
    assert rows_of(tmp_path / "journal")[3:] == rows


@pytest.mark.parametrize(("row", "event"), EVENT_ROWS.items())
def test_event_of_the_dispatcher_has_the_fields_of_its_row(row: Row, event: type) -> None:
    """An event that gains a field cannot shift every row behind it unnoticed."""
    fields = [name for name in event._fields if name != "failed"]  # type: ignore[attr-defined]  # rows of their own
    assert list(FIELDS[row]) == fields


def test_many_calls_are_written_before_the_end(tmp_path: Path) -> None:
    """A server that is killed loses the last chunk and no more."""
    journal = Journal(tmp_path / "journal", settings(), 0)
    for moment in range(20_000):
        journal.add(moment, False, (), [WakeAt(moment)])
    written = rows_of(tmp_path / "journal")
    assert 60_000 < len(written) < 100_000
    assert written[:5] == [Row.INSTANT, 0, 0, Row.WAKE_AT, 0]
    journal.close()
    assert len(rows_of(tmp_path / "journal")) == 100_001


def test_file_that_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    """Before the server starts, not when it ends."""
    with pytest.raises(CouldNotServe, match=r"^The journal could not be written to .*none.*: No such file"):
        Journal(tmp_path / "none" / "journal", settings(), 0)


def test_full_disk_ends_the_journal_and_not_the_server(caplog: pytest.LogCaptureFixture) -> None:
    """Requests are served on; at the end the server says that the journal is no good."""
    journal = Journal(Path("/dev/null"), settings(), 0)
    journal._out.close()
    journal._out = open("/dev/full", "wb", buffering=0)  # noqa: SIM115  # the journal closes it
    for moment in range(20_000):
        journal.add(moment, False, (), [WakeAt(moment)])
    assert caplog.text.count("The journal is written no further: No space left on device.") == 1
    with pytest.raises(CouldNotServe, match=r"No space left on device\.$"):
        journal.close()
