"""Which version answers, over HTTP: pins by header and path, users who stay, outcomes reported by number."""

from __future__ import annotations

import pytest

from policy.timeline import Attempt, Outcome, copy_number
from reference_server.errors import BadRequest
from reference_server.outcome_reports import OutcomeReports
from tests.reference_server.live import run, running, server_settings
from tests.reference_server.versions_live import versions_settings
from tests.sim.outcome.hand_made import attempt

PLAIN = {"json": {"input": "x"}}


@pytest.mark.parametrize("chunked", [False, True])
def test_pin_by_header_wins_over_the_weights(chunked: bool) -> None:
    """Whatever the way in; the answer says who gave it, and under which number."""

    async def scene() -> None:
        async with running(versions_settings()) as (_, client):
            for version in ("v1", "v2"):
                headers = {"X-Servecast-Version": version, "X-Servecast-Attempt": f"{version[1]}.0"}
                more = {"chunked": True} if chunked else {}
                reply = await client.ask("POST", "/predict", data=b'{"input": "x"}', headers=headers, **more)
                assert reply.status == 200
                assert reply.headers["X-Servecast-Version"] == version
                assert reply.headers["X-Servecast-Request"] == f"{version[1]}.0"

    run(scene())


def test_pin_by_path_is_the_same() -> None:
    """Unless a header names another one."""

    async def scene() -> None:
        async with running(versions_settings()) as (_, client):
            reply = await client.ask("POST", "/versions/v2/predict", **PLAIN)
            assert (reply.status, reply.headers["X-Servecast-Version"]) == (200, "v2")
            both = await client.ask("POST", "/versions/v2/predict", **PLAIN, headers={"X-Servecast-Version": "v1"})
            assert both.status == 400
            assert both.error == "The path names the version v2, and X-Servecast-Version another one."
            assert (await client.ask("GET", "/versions/v2/predict")).status == 405

    run(scene())


@pytest.mark.parametrize("by_path", [False, True])
def test_unknown_version_is_404_and_leaves_no_row(by_path: bool) -> None:
    """The sentence lists those that there are."""

    async def scene() -> None:
        async with running(versions_settings()) as (_, client):
            path, headers = ("/versions/v9/predict", {}) if by_path else ("/predict", {"X-Servecast-Version": "v9"})
            reply = await client.ask("POST", path, **PLAIN, headers=headers)
            assert (reply.status, reply.error) == (404, "There is no version 'v9': known are v1, v2.")
            assert await client.attempts() == []

    run(scene())


def test_user_stays_with_a_version_and_others_have_the_other() -> None:
    """Thirty users, three requests each."""

    async def scene() -> None:
        async with running(versions_settings(weights=(5_000, 5_000))) as (_, client):
            had: dict[int, set[str]] = {}
            for _ in range(3):
                for user in range(30):
                    reply = await client.ask("POST", "/predict", **PLAIN, headers={"X-Servecast-Key": f"user-{user}"})
                    had.setdefault(user, set()).add(reply.headers["X-Servecast-Version"])
            assert all(len(versions) == 1 for versions in had.values())
            assert {"v1", "v2"} == set.union(*had.values())

    run(scene())


@pytest.mark.parametrize("key", ["x" * 257, "with blank", "tab\there"])
def test_key_that_is_none_is_refused(key: str) -> None:
    """1 to 256 visible ASCII characters."""

    async def scene() -> None:
        async with running(versions_settings()) as (_, client):
            reply = await client.ask("POST", "/predict", **PLAIN, headers={"X-Servecast-Key": key})
            assert reply.status == 400
            assert reply.error.startswith("X-Servecast-Key must have 1 to 256 visible ASCII characters.")

    run(scene())


def test_server_of_one_version_says_nothing_of_versions() -> None:
    """Its only version may be named; outcomes are nobody's business there."""

    async def scene() -> None:
        async with running(server_settings()) as (_, client):
            reply = await client.ask("POST", "/predict", **PLAIN, headers={"X-Servecast-Version": "v1"})
            assert reply.status == 200
            assert not [name for name in reply.headers if name.startswith("X-Servecast")]
            assert (await client.ask("GET", "/outcomes")).status == 404

    run(scene())


def test_outcomes_are_counted_by_the_version_that_answered() -> None:
    """By the number in the answer; once; only what was answered."""

    async def scene() -> None:
        async with running(versions_settings()) as (_, client):
            numbers = {}
            for version in ("v1", "v2", "v2"):
                reply = await client.ask("POST", "/predict", **PLAIN, headers={"X-Servecast-Version": version})
                numbers[version] = reply.headers["X-Servecast-Request"]
            told = await client.ask("POST", "/outcome", json={"request": numbers["v2"], "success": True})
            assert (told.status, told.json) == (200, {"version": "v2"})
            await client.ask("POST", "/outcome", json={"request": numbers["v1"], "success": False})
            twice = await client.ask("POST", "/outcome", json={"request": numbers["v2"], "success": True})
            assert (twice.status, twice.error) == (409, f"The outcome of request {numbers['v2']} has been reported.")
            unknown = await client.ask("POST", "/outcome", json={"request": "9.0", "success": True})
            assert unknown.status == 404
            assert (await client.ask("GET", "/outcomes")).json == {
                "versions": {
                    "v1": {"answered": 1, "reported": 1, "successes": 0},
                    "v2": {"answered": 2, "reported": 1, "successes": 1},
                }
            }
            for body in (
                {},
                {"request": "9.0"},
                {"request": 9, "success": True},
                {"request": "9.0", "success": 1},
                [1],
            ):
                assert (await client.ask("POST", "/outcome", json=body)).status == 400

    run(scene())


def rows(count: int) -> list[Attempt]:
    """Return answered attempts of v2."""
    return [attempt(number, 100, version=1) for number in range(count)]


def test_old_answers_are_forgotten() -> None:
    """Memory is bounded, of open ones and of reported ones alike."""
    reports = OutcomeReports(["v1", "v2"], remembered=3)
    for row in rows(5):
        reports.add(row)
    with pytest.raises(BadRequest, match=r"There is no answered request 1\.0: the latest 3 are remembered\."):
        reports.report((1, 0), success=True)
    assert [reports.report((number, 0), success=True) for number in (2, 3, 4)] == ["v2"] * 3
    assert reports.versions["v2"].successes == 3
    assert reports.versions["v2"].answered == 5


def test_copies_and_failures_have_no_outcome() -> None:
    """Nobody got an answer of either."""
    reports = OutcomeReports(["v1", "v2"])
    reports.add(attempt(1, 100, version=1, attempt=copy_number(0, 1)))
    reports.add(attempt(2, 100, version=1, outcome=Outcome.FAILED))
    assert reports.versions["v2"].answered == 0
    for key in ((1, copy_number(0, 1)), (2, 0)):
        with pytest.raises(BadRequest):
            reports.report(key, success=True)
