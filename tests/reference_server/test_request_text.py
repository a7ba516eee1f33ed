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


@pytest.mark.parametrize("separators", [(",", ":"), (" ,\n", " :\t")])
@pytest.mark.parametrize("ascii_only", [True, False])
@given(value=JSON)
def test_input_reaches_the_backend_however_the_body_is_written(
    separators: tuple[str, str], ascii_only: bool, value: object
) -> None:
    """White space, escapes and the order of the keys change nothing of what is meant."""
    for fields in ({"input": value, "size": 3}, {"size": 3, "input": value}):
        body = json.dumps(fields, separators=separators, ensure_ascii=ascii_only).encode(errors="surrogatepass")
        try:
            body.decode()
        except UnicodeDecodeError:
            continue  # half a surrogate pair, unescaped, is no UTF-8
        prediction = parse_prediction(b" " + body + b"\n")
        assert (json.loads(prediction.input), prediction.size, prediction.bare) == (value, 3, False)


@pytest.mark.parametrize(
    ("body", "text", "size"),
    [
        (b'{"text": "great movie"}', b'{"text":"great movie"}', 1),
        (b'{"text":"great movie","size":4}', b'{"text":"great movie"}', 4),
        (b'{"size":4,"text":"great movie"}', b'{"text":"great movie"}', 4),
        (b'{"text":["a","b"]}', b'{"text":["a","b"]}', 1),
    ],
)
def test_body_with_text_alone_is_itself_the_input(body: bytes, text: bytes, size: int) -> None:
    """So a model that takes a text can be asked in the shortest way; its output is the whole answer."""
    assert parse_prediction(body) == Prediction(text, size, bare=True)


def test_of_a_key_that_is_there_twice_the_last_counts() -> None:
    """As everywhere in Python's JSON: the shortcut for common bodies must not say otherwise."""
    assert parse_prediction(b'{"input": 1, "input": 2}') == Prediction(b"2", 1)
    assert parse_prediction(b'{"input": 1, "size": 2, "size": 3}') == Prediction(b"1", 3)
    assert parse_prediction(b'{"text": 1, "text": 2}') == Prediction(b'{"text":2}', 1, bare=True)


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
        (b'{"input": 1, "text": 2}', "keys input and size only. Got 'text'"),
        (b'{"text": 1, "sise": 2}', "keys text and size only. Got 'sise'"),
        (b'{"text": 1, "size": 0}', "whole number from 1 to 10000000"),
        (b'{"input": 1} x', "must be a JSON object such as"),
        (b'{"input": }', "must be a JSON object such as"),
        (b'{"input": 1, "size": 01}', "must be a JSON object such as"),
        (b'{"text": NaN}', "must be a JSON object such as"),
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
