"""What each outcome is told over HTTP, and that both ways of saying it say the same."""

from __future__ import annotations

import json

import pytest

from policy.timeline import Outcome, Reason
from reference_server.answers import HttpAnswer, as_bytes, as_response, error, of_attempt, of_malformed
from reference_server.backends import BadInput
from reference_server.dispatch_loop import Answer
from reference_server.errors import BadRequest, Malformed

MS = 1_000_000
ANSWERED, NONE = int(Outcome.ANSWERED), int(Reason.NONE)


def told(answer: Answer, bare: bool = False) -> HttpAnswer:
    """Return what a client is told."""
    return of_attempt(answer, bare=bare, retry_after_s=3)


def test_output_stands_in_an_envelope_or_alone() -> None:
    """Bare, the rest is in headers."""
    answer = Answer(ANSWERED, NONE, b'{"label":"positive"}', 4, 9 * MS)
    assert told(answer) == HttpAnswer(200, b'{"output":{"label":"positive"},"batch_size":4,"pass_ms":9.000}')
    headers = ("X-Servecast-Batch-Size", "4"), ("X-Servecast-Pass-Ms", "9.000")
    assert told(answer, bare=True) == HttpAnswer(200, b'{"label":"positive"}', headers)


@pytest.mark.parametrize(
    ("answer", "status", "sentence"),
    [
        (Answer(2, 1, b"", 0, 0), 429, "The queue is full; try again later."),
        (Answer(2, 2, b"", 0, 0), 503, "The server is stopping; try again later."),
        (Answer(2, 3, b"", 0, 0), 503, "No replica can take the request; try again later."),
        (Answer(3, 0, b"", 0, 0), 504, "The request was not answered within the server's deadline."),
        (Answer(5, 0, b"", 0, 0), 500, "The pass that carried this request failed."),
        (Answer(5, 0, b"", 0, 0, "It did not end within 1 s."), 500, "It did not end within 1 s."),
        (Answer(ANSWERED, 0, BadInput("A text is needed."), 4, MS), 422, "A text is needed."),
    ],
)
@pytest.mark.parametrize("bare", [False, True])
def test_what_has_no_output_is_told_in_one_sentence(answer: Answer, status: int, sentence: str, bare: bool) -> None:
    """Refused clients are told when to come back; an input that the model does not take is the client's fault."""
    found = told(answer, bare)
    assert (found.status, json.loads(found.body)) == (status, {"error": sentence})
    assert found.headers == ((("Retry-After", "3"),) if status in (429, 503) else ())


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason != Reason.NONE])
def test_whatever_the_reason_of_a_refusal_its_client_is_told(reason: Reason) -> None:
    """A reason that policy gains and nobody has words for would leave its clients without any answer."""
    refused = told(Answer(int(Outcome.REFUSED), int(reason), b"", 0, 0))
    sentence = json.loads(refused.body)["error"]
    if reason == Reason.NOT_LOADED:  # trying again does not help
        assert (refused.status, sentence) == (404, "The version that would take the request is not loaded.")
    else:
        assert refused.status in (429, 503)
        assert sentence.endswith("try again later.")


@pytest.mark.parametrize(
    ("kind", "status", "closes"),
    [
        (Malformed.UNREADABLE, 400, False),
        (Malformed.TOO_LARGE, 413, True),
        (Malformed.TOO_SLOW, 408, True),
        (Malformed.DUPLICATE, 409, False),
        (Malformed.UNKNOWN, 404, False),
    ],
)
def test_malformed_request_has_a_status_of_its_own(kind: Malformed, status: int, closes: bool) -> None:
    """The connection ends where the rest of the request would else have to be read."""
    found = of_malformed(BadRequest("No.", kind))
    assert (found.status, found.body, found.closes) == (status, b'{"error": "No."}', closes)


@pytest.mark.parametrize(
    "answer",
    [HttpAnswer(200, b"1"), error(429, "No.", ("Retry-After", "3")), error(408, "No.", closes=True)],
)
def test_bytes_and_aiohttp_response_say_the_same(answer: HttpAnswer) -> None:
    """Status, headers and body, whichever way the answer goes."""
    head, _, body = as_bytes(answer).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    response = as_response(answer)
    assert first == f"HTTP/1.1 {response.status} {response.reason}"
    assert body == response.body
    assert headers.pop("Content-Length") == str(len(body))
    assert headers.pop("Date").endswith(" GMT")
    assert headers.pop("Connection", None) == ("close" if answer.closes else None)
    assert headers == dict(response.headers)
