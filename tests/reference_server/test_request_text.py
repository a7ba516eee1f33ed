"""What a client may ask, and the sentence it gets for anything else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.errors import BadRequest, Malformed
from reference_server.request_text import NUMBER_MAX, Prediction, parse_attempt, parse_prediction, parse_rows

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.integers(1, 10_000_000))
def test_any_json_input_reaches_the_backend_as_it_was(value: object, size: int) -> None:
    """The input is opaque to the server: what the backend decodes is what the client meant."""
    prediction = parse_prediction(json.dumps({"input": value, "size": size}).encode())
    assert json.loads(prediction.input) == value
    assert prediction.size == size


def test_body_without_size_has_size_one() -> None:
    """Where sizes play no role a client need not name one."""
    assert parse_prediction(b'{"input": null}') == Prediction(b"null", 1)


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"", "must be a JSON object such as"),
        (b"{", "must be a JSON object such as"),
        (b'{"input": NaN}', "must be a JSON object such as"),
        (b'{"input": "\xff"}', "must be a JSON object such as"),
        (b"[" * 100_000, "must be a JSON object such as"),
        (b'{"input": ' + b"9" * 5_000 + b"}", "must be a JSON object such as"),
        (b"[1]", "not an array"),
        (b'"text"', "not a string"),
        (b"true", "not a boolean"),
        (b"null", "not null"),
        (b"1.5", "not a number"),
        (b"{}", "must have the key input"),
        (b'{"input": 1, "sise": 2}', "Got 'sise'"),
        (b'{"input": 1, "size": 0}', "whole number from 1 to 10000000"),
        (b'{"input": 1, "size": 10000001}', "whole number from 1 to 10000000"),
        (b'{"input": 1, "size": true}', "whole number from 1 to 10000000"),
        (b'{"input": 1, "size": 2.0}', "whole number from 1 to 10000000"),
        (b'{"input": 1, "size": null}', "whole number from 1 to 10000000"),
    ],
)
def test_malformed_body_is_refused_in_one_sentence(body: bytes, part: str) -> None:
    """The sentence says what is allowed."""
    with pytest.raises(BadRequest) as caught:
        parse_prediction(body)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.kind is Malformed.UNREADABLE


@given(st.integers(0, NUMBER_MAX - 1), st.integers(0, NUMBER_MAX - 1))
def test_attempt_number_below_the_limit_is_read(request_number: int, attempt: int) -> None:
    """Two whole numbers with a dot between."""
    assert parse_attempt(f"{request_number}.{attempt}") == (request_number, attempt)


@pytest.mark.parametrize(
    "text",
    ["", "1", ".", "1.", ".1", "-1.0", "1.-1", "1.0.0", "1 .0", "x.0", "².0", f"{NUMBER_MAX}.0", "9" * 5000 + ".0"],
)
def test_malformed_attempt_number_is_refused(text: str) -> None:
    """So that a row never carries a number that its client did not mean."""
    with pytest.raises(BadRequest, match=r"must be <request>\.<attempt>"):
        parse_attempt(text)


@pytest.mark.parametrize(("text", "least"), [("-1", 0), ("x", 0), ("", 0), ("0", 1), ("1.0", 0), ("9" * 20, 0)])
def test_malformed_row_count_is_refused(text: str, least: int) -> None:
    """Pages of /timeline are asked for in whole rows."""
    with pytest.raises(BadRequest, match=f"limit must be a whole number, at least {least}"):
        parse_rows("limit", text, least)
