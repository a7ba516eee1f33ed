"""The sentences of `servecast rollout status` that a live server seldom gives a test the occasion for."""

from __future__ import annotations

from typing import Any

import pytest

from servecast.rollout_report import answer_of, log_report, status_report
from sim.report.tables import as_text

ENDS = {"answered": 7, "refused": 2, "timed_out": 3, "abandoned": 4, "failed": 5}
AGREEMENT = {"agreed": 8, "disagreed": 2, "unanswered": 1, "latest": []}


def version(name: str, **changes: object) -> dict[str, Any]:
    """Return a version as the server tells it."""
    told = {
        "name": name,
        "stable": name == "v1",
        "canary": name == "v2",
        "loaded": True,
        "weight": 0.9 if name == "v1" else 0.1,
        "shadow": 0.0,
        "replicas_wanted": 3,
        "replicas_ready": 2,
        "waiting": 1,
        "attempts": ENDS,
        "agreement": AGREEMENT,
    }
    return {**told, **changes}


def rollout(phase: str, cause: str = "step", **changes: object) -> dict[str, Any]:
    """Return a rollout as the server tells it, at the second of three steps."""
    at = "2026-11-26T22:58:38.668+00:00"
    counts = {"answered": 90, "failed": 1, "slow": 12}
    told = {
        "phase": phase,
        "stable": "v1",
        "canary": "v2",
        "weight": 0.1,
        "step": 1,
        "steps": 3,
        "step_since": at,
        "due": at,
        "checks": 1,
        "checks_needed": 2,
        "checks_failed": 1,
        "checks_failed_most": 2,
        "counted": {"v2": counts, "v1": counts},
        "moves": [
            {"at": at, "action": "go_on", "cause": cause, "phase": phase, "step": 1, "weight": 0.1, "shadow": 0.0}
        ],
    }
    return {**told, **changes}


VERSIONS = [version("v1"), version("v2")]


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (None, "There is no rollout; the weights are v1 90.0 %, v2 10.0 %."),
        (rollout("idle"), "The rollout of v2 has not been started."),
        (
            rollout("progressing"),
            "The rollout of v2 is progressing: at step 2 of 3, with 10.0 % of the requests.",
        ),
        (
            rollout("progressing", step_since=None),
            "The rollout of v2 waits for replicas; it is at step 2 of 3, with 10.0 % of the requests.",
        ),
        (rollout("paused"), "The rollout of v2 is paused: at step 2 of 3, with 10.0 % of the requests."),
        (
            rollout("condemned"),
            "The rollout of v2 has failed and is rolled back soon; it is at step 2 of 3, with 10.0 % of the requests.",
        ),
        (rollout("promoted"), "v2 is promoted: it has all that it shares with v1."),
        (
            rollout("rolled_back", "failure_limit"),
            "The rollout of v2 was rolled back at step 2: more checks failed than may.",
        ),
        (
            rollout("rolled_back", "not_ready"),
            "The rollout of v2 was rolled back at step 2: its replicas were not ready in time.",
        ),
    ],
)
def test_answer_says_where_the_rollout_stands(told: dict[str, Any] | None, sentence: str) -> None:
    """Each phase has its sentence."""
    assert answer_of(VERSIONS, told) == sentence


def test_weight_of_the_answer_is_that_of_the_requests() -> None:
    """With a third version at 95 %, a step of 10 % is half a percent of the requests."""
    told = [version("v1", weight=0.045), version("v2", weight=0.005), version("v3", weight=0.95)]
    assert "with 0.500 % of the requests" in answer_of(told, rollout("progressing"))


def test_tables_show_versions_samples_and_moves() -> None:
    """Timed out and abandoned are one column; a version that is not loaded says so."""
    rows = [VERSIONS[0], version("v2", loaded=False, agreement={**AGREEMENT, "agreed": 0, "disagreed": 0})]
    text = as_text(status_report(rows, rollout("progressing")), 140)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "v1 stable 90.0 % 0 % 2 of 3 1 7 5 2 7 8 of 10" in lines
    assert "v2 canary not loaded 10.0 % 0 % 2 of 3 1 7 5 2 7 -" in lines
    assert "v2 90 1 12" in lines
    assert any(
        line.startswith("Checks of this step: 1 of 2; failed: 1, and 2 may. The next is due at") for line in lines
    )
    assert "2026-11-26T22:58:38.668+00:00 go on step 2 10.0 %" in lines


def test_rollback_for_want_of_requests_says_so() -> None:
    """Argo Rollouts gives up on measurements without a result; so does a rollout in its words."""
    told = rollout("rolled_back", "no_data")
    sentence = "The rollout of v2 was rolled back at step 2: too many checks in a row had no request to look at."
    assert answer_of(VERSIONS, told) == sentence


def test_log_shows_each_kind_of_order() -> None:
    """A share, a yes or no, a state of the rollout; of a version that is not there nothing was before."""
    at, shown = "2026-11-26T22:58:38.668+00:00", "2026-11-26 22:58:38.668"
    idle, going = (
        {"phase": phase, "step": 0, "weight": weight} for phase, weight in (("idle", 0.0), ("rolled_back", 0.1))
    )
    orders = [
        {"when": at, "what": "weight of v3", "from": 0.1, "to": 0.2, "by": "10.0.0.1:5", "refused": None},
        {"when": at, "what": "loaded of v9", "from": None, "to": True, "by": "unknown", "refused": "There is none."},
        {"when": at, "what": "rollout: abort", "from": idle, "to": going, "by": "10.0.0.1:5", "refused": None},
    ]
    lines = as_text(log_report(orders), 200).splitlines()
    assert lines[0] == "3 orders are remembered, of which 1 were refused."
    rows = [" ".join(line.split()) for line in lines[-3:]]
    assert rows == [
        f"{shown} weight of v3 10.0 % 20.0 % 10.0.0.1:5",
        f"{shown} loaded of v9 - yes unknown There is none.",
        f"{shown} rollout: abort idle, step 1, 0 % rolled back, step 1, 10.0 % 10.0.0.1:5",
    ]
