"""Reports of what became of answers: each once, by the version that gave it, within bounded memory."""

from __future__ import annotations

from dataclasses import astuple

import pytest

from reference_server.errors import BadRequest, Malformed
from reference_server.outcome_reports import OutcomeReports
from reference_server.request_text import NUMBER_MAX
from tests.reference_server.gate import ECHO, PICKY
from tests.reference_server.live import Client, Reply, of_versions, run, running, server_settings

ECHOES = server_settings(backend=ECHO)


async def report(client: Client, number: str, success: object) -> Reply:
    """Report an outcome."""
    return await client.ask("POST", "/outcome", json={"request": number, "success": success})


def test_report_counts_for_the_version_that_answered() -> None:
    """Of requests with a number and without; what is not reported counts as answered only."""

    async def scene() -> None:
        async with running(of_versions(ECHOES, 50, 50)) as (_, client):
            answered = {"v1": 0, "v2": 0}
            successes = {"v1": 0, "v2": 0}
            for number in range(40):
                reply = await client.predict(number=f"{number}.3" if number % 2 else None)
                name = reply.headers["X-Servecast-Version"]
                told = await report(client, reply.headers["X-Servecast-Request"], number < 10)
                assert (told.status, told.json) == (200, {"version": name})
                answered[name] += 1
                successes[name] += number < 10
            silent = (await client.predict()).headers["X-Servecast-Version"]
            counts = (await client.ask("GET", "/outcomes")).json["versions"]
            assert counts == [
                {
                    "name": name,
                    "stable": name == "v1",
                    "answered": answered[name] + (name == silent),
                    "reported": answered[name],
                    "successes": successes[name],
                }
                for name in ("v1", "v2")
            ]
            assert min(answered.values()) > 0

    run(scene())


def test_report_of_an_answer_that_is_known_already_or_not_at_all_is_refused() -> None:
    """409 for the second one, 404 for a number that nobody was told; neither counts."""

    async def scene() -> None:
        async with running(of_versions(ECHOES, 100, 0)) as (_, client):
            await client.predict(number="17.0")
            assert (await report(client, "17.0", False)).status == 200
            twice, unknown = await report(client, "17.0", True), await report(client, "17.1", True)
            assert (twice.status, twice.error) == (409, "The outcome of 17.0 has been reported already.")
            sentence = "No answer to 17.1 is known: the latest 100000 are remembered."
            assert (unknown.status, unknown.error) == (404, sentence)
            (stable, _) = (await client.ask("GET", "/outcomes")).json["versions"]
            assert (stable["reported"], stable["successes"]) == (1, 0)

    run(scene())


def test_request_that_the_model_did_not_answer_has_no_outcome() -> None:
    """An input that it does not take gets a 422, and none of a copy's answers is anybody's."""

    async def scene() -> None:
        settings = of_versions(server_settings(backend=PICKY), 100, 0, shadows=(0, 10_000))
        async with running(settings) as (_, client):
            assert (await client.predict("text", number="1.0")).status == 422
            assert (await report(client, "1.0", True)).status == 404
            assert (await client.predict(5, number="2.0")).status == 200
            assert (await report(client, "2.0", True)).json == {"version": "v1"}
            counts = (await client.ask("GET", "/outcomes")).json["versions"]
            assert [each["answered"] for each in counts] == [1, 0]

    run(scene())


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "The body must be a JSON object."),
        (b"[]", "The body must be a JSON object, not an array."),
        *(
            (body, 'The body must be such as {"request": "17.0", "success": true}.')
            for body in (
                b"{}",
                b'{"request": "1.0"}',
                b'{"request": 1.0, "success": true}',
                b'{"request": "1.0", "success": 1}',
                b'{"request": "1.0", "success": true, "value": 3}',
            )
        ),
        *(
            (
                b'{"request": "%b", "success": true}' % number.encode(),
                f"The request must be a number from an answer's X-Servecast-Request. Got {number!r}.",
            )
            for number in ("1", "1.", ".0", "-1.0", "a.b", "1.0.0", f"0.{NUMBER_MAX}")
        ),
    ],
)
def test_report_that_is_malformed_is_told_so(body: bytes, sentence: str) -> None:
    """400 in one sentence."""

    async def scene() -> None:
        async with running(of_versions(ECHOES, 50, 50)) as (_, client):
            reply = await client.ask("POST", "/outcome", data=body)
            assert (reply.status, reply.error) == (400, sentence)

    run(scene())


@pytest.mark.parametrize(("method", "path"), [("POST", "/outcome"), ("GET", "/outcomes")])
def test_server_of_one_version_has_nothing_to_compare(method: str, path: str) -> None:
    """404, with why."""

    async def scene() -> None:
        async with running(ECHOES) as (_, client):
            reply = await client.ask(method, path)
            assert (reply.status, reply.error) == (404, "There is nothing to compare: this server has one version.")

    run(scene())


def test_oldest_answers_are_forgotten_and_what_was_counted_stays() -> None:
    """Three are remembered: of five, the first two are unknown, reported or not."""
    reports = OutcomeReports(["v1", "v2"], 3)
    for request in range(2):
        reports.add((request, 0), 1)
    reports.report((0, 0), success=True)
    for request in range(2, 5):
        reports.add((request, 0), 1)
    for request in range(2):
        with pytest.raises(BadRequest, match=f"No answer to {request}.0 is known") as caught:
            reports.report((request, 0), success=True)
        assert caught.value.kind is Malformed.UNKNOWN
    assert [reports.report((request, 0), success=False) for request in range(2, 5)] == ["v2"] * 3
    assert [astuple(counts) for counts in reports.counts] == [(0, 0, 0), (5, 4, 1)]


def test_number_that_is_used_again_is_of_the_later_answer() -> None:
    """It may be reported once more, and is forgotten once: memory does not leak away under repeated numbers."""
    reports = OutcomeReports(["v1", "v2"], 2)
    for version in (0, 1, 0, 1):
        reports.add((7, 0), version)
    assert reports.report((7, 0), success=True) == "v2"
    reports.add((7, 0), 0)
    assert reports.report((7, 0), success=True) == "v1"
    reports.add((8, 0), 1)
    reports.add((9, 0), 1)
    with pytest.raises(BadRequest):
        reports.report((7, 0), success=True)
    assert reports.report((8, 0), success=True) == "v2"


def test_keys_of_requests_and_attempts_are_not_taken_for_one_another() -> None:
    """1.0 is not 0.1, and the largest attempt of a request is not the next request's first."""
    reports = OutcomeReports(["v1"], 10)
    reports.add((1, 0), 0)
    for other in ((0, 1), (0, NUMBER_MAX - 1), (2, 0)):
        with pytest.raises(BadRequest):
            reports.report(other, success=True)
