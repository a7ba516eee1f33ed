"""Requests that are wrong in every way that came to mind, made from a seed; for each the statuses that are right.

Bodies are wrong behind a right head, so exactly one status is right. Bytes that are no HTTP may be told off in several
ways, or not at all where the client ends in the middle of a request.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

BODY_LIMIT = 2**20
"""Bytes; the server's default."""

_CUT = 0
_HEAD = b"POST /predict HTTP/1.1\r\nHost: chaos\r\n"
_NOT_HTTP = frozenset({400, 413, 414, 431, 501, 505})
_NOT_WHOLE = _NOT_HTTP | {408, _CUT}


class Malformed(NamedTuple):
    """One request."""

    kind: str
    data: bytes
    right: frozenset[int]  # statuses; 0: the connection is closed without an answer
    ends: bool = False  # whether the client says that it sends nothing more, as one that was cut off does


def malformed_requests(count: int, seed: int) -> Iterator[Malformed]:
    """Yield requests, each kind as often as every other."""
    rng = random.Random(seed)
    makers = (*_BODIES, *_HEADS)
    for number in range(count):
        yield makers[number % len(makers)](rng)


def _with_body(kind: str, body: bytes, status: int = 400, head: bytes = b"") -> Malformed:
    data = _HEAD + head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    return Malformed(kind, data, frozenset({status}))


def _not_http(kind: str, data: bytes) -> Malformed:
    return Malformed(kind, data, _NOT_HTTP)


def _text(rng: random.Random, length: int) -> str:
    return "".join(chr(rng.randrange(32, 0x2FF)) for _ in range(length))


# Bodies


def _truncated(rng: random.Random) -> Malformed:
    body = json.dumps({"input": [_text(rng, 20), rng.random(), {"a": None}], "size": rng.randint(1, 9)}).encode()
    return _with_body("truncated JSON", body[: rng.randrange(len(body))])


def _trailing(rng: random.Random) -> Malformed:
    return _with_body("JSON with a tail", b'{"input": 1}' + rng.choice([b"}", b"{}", b",", b"\x00", b" x", b"\xff"]))


def _no_json(rng: random.Random) -> Malformed:
    return _with_body("no JSON", b"\x80" + rng.randbytes(rng.randrange(200)))


def _bad_utf8(rng: random.Random) -> Malformed:
    bad = rng.choice([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xc0\xaf"])
    return _with_body("bad UTF-8", b'{"input": "' + _text(rng, 9).encode().replace(b'"', b"'")[:5] + bad + b'"}')


def _no_object(rng: random.Random) -> Malformed:
    value: object = rng.choice([None, True, 7, -1.5, "text", [], [{"input": 1}], ""])
    return _with_body("no object", json.dumps(value).encode())


def _bad_size(rng: random.Random) -> Malformed:
    size = rng.choice(
        ["0", "-1", "1.5", "1e3", "1e999", '"3"', "true", "null", "[]", "{}", "10000001", "9" * 30, "9" * 5000, "01"]
    )
    return _with_body("bad size", b'{"input": "x", "size": %b}' % size.encode())


def _bad_keys(rng: random.Random) -> Malformed:
    body = rng.choice([{}, {"size": 3}, {"Input": 1}, {"input": 1, "extra": 2}, {"": 1}, {"input": 1, "text": "x"}])
    return _with_body("bad keys", json.dumps(body).encode())


def _no_number(rng: random.Random) -> Malformed:
    number = rng.choice(["NaN", "Infinity", "-Infinity", "0x10", "1_000", "+1", ".5", "1.", "--1", "1e"])
    return _with_body("no JSON number", b'{"input": %b}' % number.encode())


def _deep(rng: random.Random) -> Malformed:
    depth = rng.choice([20_000, 100_000, 170_000])
    opening, closing = rng.choice([(b"[", b"]"), (b'{"a":', b"}")])
    whole = rng.random() < 0.5
    body = b'{"input": ' + opening * depth + (b"1" + closing * depth + b"}" if whole else b"")
    return _with_body("deeply nested", body)


def _bad_string(rng: random.Random) -> Malformed:
    bad = rng.choice(["\n", "\x00", "\t", "\\x", "\\u12", "\\q", '"'])
    return _with_body("bad string", b'{"input": "a%bb"}' % bad.encode())


def _bad_number_header(rng: random.Random) -> Malformed:
    bad = rng.choice(["", "x", "1", "1.", ".1", "-1.0", "1.0.0", "1e3.0", f"{2**40}.0", "9" * 40 + ".0", "1 . 0"])
    return _with_body("bad attempt number", b'{"input": 1}', head=f"X-Servecast-Attempt: {bad}\r\n".encode())


def _too_large(rng: random.Random) -> Malformed:
    body = b'{"input": "' + b"x" * (BODY_LIMIT + rng.randrange(9)) + b'"}'
    return _with_body("oversized body", body, 413)


def _too_large_by_far(rng: random.Random) -> Malformed:
    length = rng.choice([BODY_LIMIT + 1, 2**31, 2**40, 2**62])
    data = _HEAD + b'Content-Length: %d\r\n\r\n{"input": "' % length
    return Malformed("oversized length", data, frozenset({413}))


def _too_large_chunked(rng: random.Random) -> Malformed:
    size = rng.choice([1_000, 65_536, BODY_LIMIT])
    chunk = b"%x\r\n" % size + b"x" * size + b"\r\n"
    data = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * (BODY_LIMIT // size + 2) + b"0\r\n\r\n"
    return Malformed("oversized chunks", data, frozenset({413}))


def _gzip_bomb(rng: random.Random) -> Malformed:
    body = gzip.compress(b'{"input": "' + bytes(rng.choice([4, 32]) * BODY_LIMIT) + b'"}', mtime=0)
    head = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    return Malformed("compressed bomb", _HEAD + head + body, frozenset({400, 413}))


def _bad_encoding(rng: random.Random) -> Malformed:
    encoding = rng.choice([b"gzip", b"deflate"])
    return _with_body("not what it is encoded as", b'{"input": 1}', head=b"Content-Encoding: %b\r\n" % encoding)


def _elsewhere(rng: random.Random) -> Malformed:
    path, method, status = rng.choice(
        [
            ("/", "POST", 404),
            ("/predict/", "POST", 404),
            ("/../predict", "POST", 404),
            ("/%00", "GET", 404),
            ("/predict", "GET", 405),
            ("/predict", "DELETE", 405),
            ("/health", "POST", 405),
            ("/timeline?offset=-1", "GET", 400),
            ("/timeline?limit=0", "GET", 400),
            ("/timeline?limit=" + "9" * 400, "GET", 400),
        ]
    )
    data = f"{method} {path} HTTP/1.1\r\nHost: chaos\r\nContent-Length: 2\r\n\r\n".encode() + b"{}"
    return Malformed("other path or method", data, frozenset({status}))


# Heads


def _garbage(rng: random.Random) -> Malformed:
    data = rng.choice(
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(50) + b"\r\n\r\n",  # a TLS hello
            b"\x00" * rng.randrange(1, 99) + b"\r\n\r\n",
            b"\xff" + rng.randbytes(rng.randrange(1, 400)).replace(b"\n", b"") + b"\r\n\r\n",
            b"hello\r\n\r\n",
            b'{"input": 1}\r\n\r\n',
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ]
    )
    return _not_http("no HTTP", data)


def _bad_request_line(rng: random.Random) -> Malformed:
    line = rng.choice(
        [
            b"POST /predict",
            b"POST /predict HTTP/9.9",
            b"POST /predict HTTP/1.x",
            b"POST /predict HTTP/1.1 HTTP/1.1",
            b"PO ST /predict HTTP/1.1",
            b"P\x00ST /predict HTTP/1.1",
            b"POST /pre\x01dict HTTP/1.1",
        ]
    )
    return _not_http("bad request line", line + b'\r\nHost: chaos\r\nContent-Length: 12\r\n\r\n{"input": 1}')


def _bad_header(rng: random.Random) -> Malformed:
    line = rng.choice(
        [
            b"No colon",
            b": no name",
            b"Na me: x",
            b"Name : x",
            b"Na\x00me: x",
            b"Name: a\x00b",
            b"Na(me): x",
            b"Name: a\rb",
            b"\xffname: x",
        ]
    )
    return _not_http("bad header", _HEAD + line + b'\r\nContent-Length: 12\r\n\r\n{"input": 1}')


def _bad_length(rng: random.Random) -> Malformed:
    length = rng.choice([b"-1", b"abc", b"1 2", b"+5", b"0x10", b"12, 13", b"1.0", b"\xb2", b"12;", b"--5"])
    return _not_http("bad length", _HEAD + b"Content-Length: %b\r\n\r\n" % length + b'{"input": 1}')


def _two_lengths(rng: random.Random) -> Malformed:
    second = rng.choice([b"Content-Length: 13", b"Transfer-Encoding: chunked", b"content-length: 0"])
    head = b"Content-Length: 12\r\n" + second + b"\r\n\r\n"
    return _not_http("two lengths", _HEAD + head + b'{"input": 1}')


def _bad_chunks(rng: random.Random) -> Malformed:
    chunks = rng.choice(
        [b"zz\r\nhello\r\n", b"-5\r\nhello\r\n", b"5;\x00\r\nhello", b"5\r\nhelloXX\r\n", b"0x5\r\nhello\r\n"]
    )
    data = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    return _not_http("bad chunks", data)


def _bad_transfer(rng: random.Random) -> Malformed:
    coding = rng.choice([b"bogus", b"chunked, chunked", b"gzip", b"identity, bogus", b"\x01"])
    return _not_http("bad transfer coding", _HEAD + b"Transfer-Encoding: %b\r\n\r\n" % coding + b"0\r\n\r\n")


def _long_line(rng: random.Random) -> Malformed:
    length = rng.choice([9_000, 70_000, 300_000])
    kind = rng.randrange(3)
    if kind == 0:
        data = b"POST /" + b"x" * length + b" HTTP/1.1\r\nHost: chaos\r\n\r\n"
    elif kind == 1:
        data = _HEAD + b"Name: " + b"x" * length + b"\r\nContent-Length: 0\r\n\r\n"
    else:
        data = _HEAD + b"x" * length + b": x\r\nContent-Length: 0\r\n\r\n"
    return _not_http("line too long", data)


def _many_headers(rng: random.Random) -> Malformed:
    lines = b"".join(b"Name-%d: %d\r\n" % (number, number) for number in range(rng.choice([150, 3_000])))
    return _not_http("too many headers", _HEAD + lines + b'Content-Length: 12\r\n\r\n{"input": 1}')


def _cut_off(rng: random.Random) -> Malformed:
    whole = _HEAD + b'Content-Length: 12\r\n\r\n{"input": 1}'
    return Malformed("cut off", whole[: rng.randrange(1, len(whole))], _NOT_WHOLE, ends=True)


_BODIES: tuple[Callable[[random.Random], Malformed], ...] = (
    _truncated,
    _trailing,
    _no_json,
    _bad_utf8,
    _no_object,
    _bad_size,
    _bad_keys,
    _no_number,
    _deep,
    _bad_string,
    _bad_number_header,
    _too_large,
    _too_large_by_far,
    _too_large_chunked,
    _gzip_bomb,
    _bad_encoding,
    _elsewhere,
)
_HEADS: tuple[Callable[[random.Random], Malformed], ...] = (
    _garbage,
    _bad_request_line,
    _bad_header,
    _bad_length,
    _two_lengths,
    _bad_chunks,
    _bad_transfer,
    _long_line,
    _many_headers,
    _cut_off,
)
