"""What a client asks for: its attempt's number, its sticky key, the body of POST /predict, read strictly.

This is the border: what passes here is well-formed, everything else ends as one sentence (errors.BadRequest).
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple, NoReturn

from policy.settings import SIZE_MAX
from reference_server.errors import BadRequest

__all__ = [
    "ATTEMPT_HEADER",
    "KEY_HEADER",
    "NUMBER_MAX",
    "VERSION_HEADER",
    "Prediction",
    "parse_attempt",
    "parse_key",
    "parse_object",
    "parse_outcome",
    "parse_prediction",
    "parse_rows",
]

ATTEMPT_HEADER = "X-Servecast-Attempt"

KEY_HEADER = "X-Servecast-Key"
"""What tells one user from another: requests with the same key stay with a version."""

VERSION_HEADER = "X-Servecast-Version"
"""In a request the version that is to take it, in an answer the one that gave it."""

NUMBER_MAX = 2**40
"""Clients number their requests and attempts below this, the server numbers the others from here up."""

_KEY = re.compile(r"[\x21-\x7e]{1,256}")  # visible ASCII

# The way most bodies are written: the text of the input goes on to the backend as it came, and is not encoded anew.
_BEFORE = re.compile(r'[ \t\n\r]*\{[ \t\n\r]*"(input|text)"[ \t\n\r]*:[ \t\n\r]*')
_BEHIND = re.compile(r'[ \t\n\r]*(?:,[ \t\n\r]*"size"[ \t\n\r]*:[ \t\n\r]*([1-9][0-9]{0,8})[ \t\n\r]*)?\}[ \t\n\r]*')


class Prediction(NamedTuple):
    """The body of POST /predict."""

    input: bytes  # JSON text
    size: int  # in the model's unit
    bare: bool = False  # asked for as {"text": ...}: the answer is the model's output alone


def parse_prediction(body: bytes) -> Prediction:
    """Return the checked body. Raises BadRequest."""
    try:
        text = body.decode()
        return _as_mostly_written(text) or _as_any_json(_decode(text))
    except (ValueError, RecursionError):
        raise BadRequest('The body must be a JSON object such as {"input": "some text", "size": 1}.') from None


def _as_mostly_written(text: str) -> Prediction | None:
    """Return the prediction of a body that has input or text first, then size or nothing; None: written otherwise."""
    before = _BEFORE.match(text)
    if before is None:
        return None
    _, end = _decode_from(text, before.end())
    behind = _BEHIND.fullmatch(text, end)
    if behind is None:
        return None
    value = text[before.end() : end].encode()
    size = 1 if behind[1] is None else _checked_size(int(behind[1]))
    return Prediction(value, size) if before[1] == "input" else Prediction(b'{"text":%b}' % value, size, True)


def _as_any_json(fields: object) -> Prediction:
    """Return the prediction of a decoded body. Raises BadRequest."""
    if not isinstance(fields, dict):
        raise BadRequest(f"The body must be a JSON object, not {_in_words(fields)}.")
    size = fields.pop("size", 1)
    if "input" in fields:
        value, allowed, bare = fields["input"], "input", False
    elif "text" in fields:
        value, allowed, bare = {"text": fields["text"]}, "text", True
    else:
        raise BadRequest("The body must have the key input or text.")
    unknown = min(fields.keys() - {allowed}, default=None)
    if unknown is not None:
        raise BadRequest(f"The body may have the keys {allowed} and size only. Got {unknown[:40]!r}.")
    return Prediction(_encode(value).encode(), _checked_size(size), bare)


def _checked_size(size: object) -> int:
    if type(size) is not int or not 1 <= size <= SIZE_MAX:
        raise BadRequest(f"The size must be a whole number from 1 to {SIZE_MAX}.")
    return size


def parse_attempt(text: str) -> tuple[int, int]:
    """Return (request, attempt) of the header ATTEMPT_HEADER. Raises BadRequest."""
    request, dot, attempt = text.partition(".")
    if dot and _is_number(request) and _is_number(attempt):
        key = int(request), int(attempt)
        if max(key) < NUMBER_MAX:
            return key
    raise BadRequest(f"{ATTEMPT_HEADER} must be <request>.<attempt>, two whole numbers below 2**40. Got {text[:40]!r}.")


def parse_key(text: str) -> str:
    """Return the checked sticky key of the header KEY_HEADER. Raises BadRequest."""
    if not _KEY.fullmatch(text):
        raise BadRequest(f"{KEY_HEADER} must be 1 to 256 characters of visible ASCII. Got {text[:40]!r}.")
    return text


def parse_object(body: bytes) -> dict[str, object]:
    """Return a body that is to be a JSON object. Raises BadRequest."""
    try:
        fields = _decode(body.decode())
    except (ValueError, RecursionError):
        raise BadRequest("The body must be a JSON object.") from None
    if not isinstance(fields, dict):
        raise BadRequest(f"The body must be a JSON object, not {_in_words(fields)}.")
    return fields


def parse_outcome(body: bytes) -> tuple[tuple[int, int], bool]:
    """Return which attempt a report is of, and whether it was a success. Raises BadRequest."""
    fields = parse_object(body)
    number, success = fields.get("request"), fields.get("success")
    if fields.keys() != {"request", "success"} or not isinstance(number, str) or not isinstance(success, bool):
        raise BadRequest('The body must be such as {"request": "17.0", "success": true}.')
    request, dot, attempt = number.partition(".")
    # The server's own requests are numbered beyond NUMBER_MAX, attempts never are.
    if not (dot and _is_number(request) and _is_number(attempt) and int(attempt) < NUMBER_MAX):
        raise BadRequest(f"The request must be a number from an answer's X-Servecast-Request. Got {number[:40]!r}.")
    return (int(request), int(attempt)), success


def parse_rows(name: str, text: str, least: int) -> int:
    """Return a count of rows from a query. Raises BadRequest."""
    if not _is_number(text) or not least <= int(text) < NUMBER_MAX:
        raise BadRequest(f"{name} must be a whole number, at least {least}. Got {text[:40]!r}.")
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 13  # 2**40 has 13 digits


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_decode, _decode_from = _DECODER.decode, _DECODER.raw_decode
_encode = json.JSONEncoder(separators=(",", ":")).encode


def _in_words(value: object) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
