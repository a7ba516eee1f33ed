"""Reading a journal: what a server wrote comes back, and what none wrote is one sentence."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from calibration.errors import BadSamples
from calibration.journal_file import Entry, Instant, read_journal
from policy.autoscaling_settings import autoscaling_in_words, autoscaling_rule, fixed_fleet
from policy.instant import UNSET
from policy.journal import FORMAT, Row
from policy.rollout_settings import rollout_in_words, rollout_rule, version_weights
from policy.settings import admission_rule, batching_rule, deadline_rule, routing_rule
from sim.engine.engine_input import VersionsInput

FLEET = {
    "instances": 2,
    "replicas": 3,
    "loaded": True,
    "routing": {"balance": "random", "tie": "first", "outstanding_max": 7, "held_max": 5},
    "autoscaler": None,
    "drain": "idlest",
    "batching": {"max_batch": 4, "max_wait_ns": 50, "collector": "competing"},
    "queue": {"cap": None, "deadline_ns": 900},
}
HEADER: dict[str, Any] = {
    "format": FORMAT,
    "name": "shop",
    "started_ns": 40,
    "seed": "9",
    "fleets": [FLEET],
    "shares": {"weights": [10_000], "stable": 0, "canary": None, "shadows": [0], "rollout": None},
}
ARRIVED = (Row.ARRIVED, 7, 0, 3, 0, UNSET)
CALL = (Row.INSTANT, 100, 0, *ARRIVED, Row.START_PASS, 5, 2, 1, Row.MEMBER, 7, 0, Row.MEMBER, 8, 1)
END = (Row.END,)


def written(path: Path, rows: Sequence[int], **changes: object) -> Path:
    """Write a journal whose only fleet has changed rules."""
    line = json.dumps({**HEADER, "fleets": [{**FLEET, **changes}]}).encode()
    path.write_bytes(line + b"\n" + array("q", rows).tobytes())
    return path


def test_rules_come_back(tmp_path: Path) -> None:
    """They are checked as those of a scenario are."""
    journal = read_journal(written(tmp_path / "journal", END))
    fleet = journal.fleets[0]
    assert (journal.name, journal.started_ns, journal.seed) == ("shop", 40, 9)
    assert (fleet.instances, fleet.replicas, fleet.autoscaler) == (2, 3, fixed_fleet())
    assert fleet.batching == batching_rule(max_batch=4, max_wait_ns=50, collector="competing", instances=2)
    assert fleet.admission == admission_rule(cap=None, held_max=5)
    assert fleet.deadline == deadline_rule(deadline_ns=900)
    assert fleet.routing == routing_rule(balance="random", tie="first", outstanding_max=7)


def test_autoscaler_comes_back(tmp_path: Path) -> None:
    """With every one of its settings."""
    rule = autoscaling_rule(target=2.5, max_replicas=4, window_ns=3 * 10**9, delay_up_ns=10**9)
    journal = read_journal(written(tmp_path / "journal", END, autoscaler=autoscaling_in_words(rule)))
    assert journal.fleets[0].autoscaler == rule


def test_versions_come_back(tmp_path: Path) -> None:
    """Each with its fleet; the weights, the shadows and the rollout that lead requests to them."""
    rule = rollout_rule(steps=[{"weight": 500, "pause_ns": 9}])
    shares = {
        "weights": [9_000, 1_000],
        "stable": 0,
        "canary": 1,
        "shadows": [0, 70],
        "rollout": rollout_in_words(rule),
    }
    header = {**HEADER, "fleets": [FLEET, {**FLEET, "replicas": 0, "loaded": False}], "shares": shares}
    (tmp_path / "journal").write_bytes(json.dumps(header).encode() + b"\n")
    journal = read_journal(tmp_path / "journal")
    assert [(fleet.replicas, fleet.loaded) for fleet in journal.fleets] == [(3, True), (0, False)]
    assert journal.versions == VersionsInput(
        weights=version_weights(weights=[9_000, 1_000], stable=0, canary=1), shadows=(0, 70), rollout=rule
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": [9_000, 2_000]},
        {"weights": [9_000, 1_000], "shadows": [0, 10_001]},
        {"weights": [9_000, 1_000]},
        {"canary": 1},
        {"rollout": {"steps": [{"weight": -1}]}},
        {"rollout": 5},
    ],
)
def test_header_with_other_shares_is_one_sentence(tmp_path: Path, changes: dict[str, object]) -> None:
    """More than all, a fleet too few, a canary that is not there."""
    header = {**HEADER, "shares": {**HEADER["shares"], **changes}}
    (tmp_path / "journal").write_bytes(json.dumps(header).encode() + b"\n")
    with pytest.raises(BadSamples, match="names no rules that a server can run by"):
        read_journal(tmp_path / "journal")


def test_call_comes_back_with_the_members_of_its_batch(tmp_path: Path) -> None:
    """Events and decisions apart, a batch as one decision."""
    journal = read_journal(written(tmp_path / "journal", CALL + END))
    assert list(journal.instants()) == [
        Instant(100, False, [Entry(Row.ARRIVED, (7, 0, 3, 0, UNSET))], [Entry(Row.START_PASS, (5, 2, 1, 7, 0, 8, 1))])
    ]
    assert journal.is_complete


@pytest.mark.parametrize("lost", range(1, len(CALL) + 1))
def test_journal_that_was_cut_off_is_read_up_to_its_last_whole_call(tmp_path: Path, lost: int) -> None:
    """Wherever it ends: the last call may lack decisions, so it is not read."""
    rows = (*CALL, Row.INSTANT, 200, 1, *CALL[3:])[:-lost]
    journal = read_journal(written(tmp_path / "journal", rows))
    assert len(list(journal.instants())) == (1 if len(rows) >= len(CALL) + 3 else 0)
    assert not journal.is_complete


def test_bytes_of_half_a_number_at_the_end_are_left_out(tmp_path: Path) -> None:
    """A disk that was full does not end at a row."""
    path = written(tmp_path / "journal", (*CALL, Row.INSTANT, 200, 0))
    path.write_bytes(path.read_bytes() + b"\x01\x02\x03")
    assert len(list(read_journal(path).instants())) == 1


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ((*CALL, 77), "it has a row of the unknown kind 77"),
        (CALL[3:], "its rows do not begin with a call of the dispatcher"),
        ((*CALL, Row.INSTANT, 99, 0), "its clock runs backwards"),
        ((Row.INSTANT, 1, 0, Row.MEMBER, 1, 2), "it has a member of no batch"),
        ((Row.INSTANT, 1, 0, Row.WAKE_AT, 5, Row.MEMBER, 1, 2), "it has a member of no batch"),
        ((*CALL, *END, *CALL), "it goes on behind its end"),
    ],
)
def test_rows_that_no_server_writes_are_one_sentence(tmp_path: Path, rows: tuple[int, ...], words: str) -> None:
    """A damaged file says nothing about decisions, neither good nor bad."""
    journal = read_journal(written(tmp_path / "journal", rows))
    with pytest.raises(BadSamples, match=f"^The journal .* is damaged: {words}.$"):
        list(journal.instants())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no journal of this version: its first line must name servecast-journal/3. Got no format at all."),
        (b"\xff\xfe\n", "no journal of this version"),
        (b"[1]\n", "no journal of this version"),
        (b"[" * 100_000 + b"\n", "no journal of this version"),
        (b'{"format": "servecast-journal/9"}\n', "Got the format 'servecast-journal/9'."),
        (b'{"format": "servecast-journal/3"}\n', "names no rules that a server can run by: 'shares'."),
    ],
)
def test_other_file_is_one_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    """Whatever it is."""
    (tmp_path / "other").write_bytes(content)
    with pytest.raises(BadSamples) as caught:
        read_journal(tmp_path / "other")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"instances": 0},
        {"batching": {"max_batch": 0, "max_wait_ns": 5}},
        {"batching": {"max_batch": "many", "max_wait_ns": 5}},
        {"batching": {"max_batch": 4, "max_wait_ns": "long"}},
        {"batching": {"max_batch": 4, "max_wait_ns": 5, "unknown": 1}},
        {"batching": [4, 5]},
        {"queue": None},
        {"queue": {"cap": -1, "deadline_ns": None}},
    ],
)
def test_header_with_other_rules_is_one_sentence(tmp_path: Path, changes: dict[str, object]) -> None:
    """The border is that of a scenario: no range is checked twice, and none is left out."""
    with pytest.raises(BadSamples, match="names no rules that a server can run by"):
        read_journal(written(tmp_path / "journal", END, **changes))


def test_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    """The reason is the system's own."""
    with pytest.raises(BadSamples, match=r"cannot be read: No such file or directory\.$"):
        read_journal(tmp_path / "none")
