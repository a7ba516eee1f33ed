"""Numbers and duplicates of predictions, whichever way they came in."""

from __future__ import annotations

import pytest

from policy.timeline import Outcome
from reference_server.dispatch_loop import DispatchLoop
from reference_server.errors import BadRequest, Malformed
from reference_server.predictions import Predictions
from reference_server.request_text import NUMBER_MAX
from tests.reference_server.gate import ECHO
from tests.reference_server.live import MS, run, server_settings


def test_attempt_has_its_clients_number_or_one_of_the_servers() -> None:
    """The server's own begin where those of clients end."""

    async def scene() -> None:
        predictions = Predictions(DispatchLoop(server_settings(backend=ECHO)))
        assert [predictions.key(number) for number in (None, "3.1", None)] == [
            (NUMBER_MAX, 0),
            (3, 1),
            (NUMBER_MAX + 1, 0),
        ]
        with pytest.raises(BadRequest, match="two whole numbers"):
            predictions.key("3")

    run(scene())


def test_number_that_waits_is_a_duplicate_until_it_is_over() -> None:
    """A client that hangs up frees its number."""

    async def scene() -> None:
        waits = server_settings(backend=ECHO, max_batch=2, max_wait_ns=60_000 * MS)
        predictions = Predictions(DispatchLoop(waits))
        predictions.begin((7, 0), b'{"input": 1}', 0, print)
        with pytest.raises(BadRequest, match=r"Attempt 7\.0 is in flight already") as caught:
            predictions.begin((7, 0), b'{"input": 1}', 0, print)
        assert caught.value.kind is Malformed.DUPLICATE
        predictions.dispatch.hung_up((7, 0))
        assert predictions.begin((7, 0), b'{"text": 1}', 0, print) is True

    run(scene())


def test_request_given_up_in_its_body_has_a_row_if_it_had_a_number_that_can_be_read() -> None:
    """A row never carries a number that its client did not mean."""

    async def scene() -> None:
        dispatch = DispatchLoop(server_settings(backend=ECHO))
        predictions = Predictions(dispatch)
        predictions.abandon("7.0", 5)
        predictions.abandon("x", 6)
        page = dispatch.timeline.attempts.page(0, 9)
        assert len(dispatch.timeline.attempts) == 1
        assert page[:8] == (7).to_bytes(8, "little")
        assert str(int(Outcome.ABANDONED)) in "".join(dispatch.timeline.attempts.as_json(page))

    run(scene())
