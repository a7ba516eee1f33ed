"""What a client asks for: the number of its attempt and the body of POST /predict, read strictly.

This is the border: what passes here is well-formed, everything else ends as one sentence (errors.BadRequest).
"""

from __future__ import annotations

import json
from typing import NamedTuple, NoReturn

from policy.settings import SIZE_MAX
from reference_server.errors import BadRequest

__all__ = ["ATTEMPT_HEADER", "NUMBER_MAX", "Prediction", "parse_attempt", "parse_prediction", "parse_rows"]

ATTEMPT_HEADER = "X-Servecast-Attempt"

NUMBER_MAX = 2**40
"""Clients number their requests and attempts below this, the server numbers the others from here up."""

_KEYS = {"input", "size"}


class Prediction(NamedTuple):
    """The body of POST /predict."""

    input: bytes  # JSON text
    size: int  # in the model's unit


def parse_prediction(body: bytes) -> Prediction:
    """Return the checked body. Raises BadRequest."""
    try:
        fields = _decode(body.decode())
    except (ValueError, RecursionError):
        raise BadRequest('The body must be a JSON object such as {"input": "some text", "size": 1}.') from None
    if not isinstance(fields, dict):
        raise BadRequest(f"The body must be a JSON object, not {_in_words(fields)}.")
    if "input" not in fields:
        raise BadRequest("The body must have the key input.")
    if fields.keys() - _KEYS:
        unknown = min(fields.keys() - _KEYS)
        raise BadRequest(f"The body may have the keys input and size only. Got {unknown[:40]!r}.")
    size = fields.get("size", 1)
    if type(size) is not int or not 1 <= size <= SIZE_MAX:
        raise BadRequest(f"The size must be a whole number from 1 to {SIZE_MAX}.")
    return Prediction(_encode(fields["input"]).encode(), size)


def parse_attempt(text: str) -> tuple[int, int]:
    """Return (request, attempt) of the header ATTEMPT_HEADER. Raises BadRequest."""
    request, dot, attempt = text.partition(".")
    if dot and _is_number(request) and _is_number(attempt):
        key = int(request), int(attempt)
        if max(key) < NUMBER_MAX:
            return key
    raise BadRequest(f"{ATTEMPT_HEADER} must be <request>.<attempt>, two whole numbers below 2**40. Got {text[:40]!r}.")


def parse_rows(name: str, text: str, least: int) -> int:
    """Return a count of rows from a query. Raises BadRequest."""
    if not _is_number(text) or not least <= int(text) < NUMBER_MAX:
        raise BadRequest(f"{name} must be a whole number, at least {least}. Got {text[:40]!r}.")
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 13  # 2**40 has 13 digits


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode
_encode = json.JSONEncoder(separators=(",", ":")).encode


def _in_words(value: object) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
