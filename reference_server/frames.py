"""The messages between the server and a replica process, and their form on the wire.

A frame is a header (kind, length of the rest), fixed-width fields, the lengths of the payloads, the payloads. Payloads
are JSON texts that pass through unread. Both ends are this program on one machine: there is no version and no pickle.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import Any, NamedTuple

from reference_server.backends import Batch

__all__ = ["Broken", "FrameBuffer", "Load", "Loaded", "Message", "PassDone", "RunPass", "encode"]


class Load(NamedTuple):
    """To the process, first of all: which backend to load."""

    backend: str
    settings: dict[str, Any]  # what JSON can carry


class Loaded(NamedTuple):
    """From the process: the backend is loaded and warm."""


class RunPass(NamedTuple):
    """To the process: run this batch."""

    serial: int
    batch: Batch


class PassDone(NamedTuple):
    """From the process: the results of a pass and the device's own stamps (time.perf_counter_ns)."""

    serial: int
    started_ns: int
    ended_ns: int
    outputs: tuple[bytes, ...]  # (members,)


class Broken(NamedTuple):
    """From the process: the backend raised, while loading or in a pass. Nothing but the sentence is left of it."""

    sentence: str


Message = Load | Loaded | RunPass | PassDone | Broken


class _Kind(IntEnum):
    LOAD = 1
    LOADED = 2
    RUN_PASS = 3
    PASS_DONE = 4
    BROKEN = 5


_HEADER = struct.Struct("<BQ")  # kind, bytes that follow
_RUN_PASS = struct.Struct("<qqqqI")  # serial, first request, first attempt, longest, members
_PASS_DONE = struct.Struct("<qqqI")  # serial, started_ns, ended_ns, members


def encode(message: Message) -> bytes:
    """Return a message as a frame."""
    match message:
        case RunPass(serial, batch):
            fields = (serial, batch.first_request, batch.first_attempt, batch.longest, len(batch.inputs))
            sizes = struct.pack(f"<{len(batch.sizes)}q", *batch.sizes)
            return _frame(_Kind.RUN_PASS, _RUN_PASS.pack(*fields), sizes, *_payloads(batch.inputs))
        case PassDone(serial, started_ns, ended_ns, outputs):
            fixed = _PASS_DONE.pack(serial, started_ns, ended_ns, len(outputs))
            return _frame(_Kind.PASS_DONE, fixed, *_payloads(outputs))
        case Loaded():
            return _frame(_Kind.LOADED)
        case Broken(sentence):
            return _frame(_Kind.BROKEN, sentence.encode(errors="replace"))
        case Load(backend, settings):
            return _frame(_Kind.LOAD, json.dumps([backend, settings]).encode())


def _frame(kind: _Kind, *parts: bytes) -> bytes:
    return b"".join((_HEADER.pack(kind, sum(map(len, parts))), *parts))


def _payloads(payloads: tuple[bytes, ...]) -> Iterable[bytes]:
    """Return the lengths of the payloads and the payloads."""
    return (struct.pack(f"<{len(payloads)}Q", *map(len, payloads)), *payloads)


class FrameBuffer:
    """Cuts a stream of bytes, however it was split, into messages."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Take in what was received and return the messages that are now complete, in order."""
        self._bytes += data
        messages = []
        while len(self._bytes) >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self._bytes)
            end = _HEADER.size + length
            if len(self._bytes) < end:
                break
            messages.append(_decode(kind, bytes(self._bytes[_HEADER.size : end])))
            del self._bytes[:end]
        return messages


def _decode(kind: int, body: bytes) -> Message:
    match kind:
        case _Kind.RUN_PASS:
            serial, first_request, first_attempt, longest, members = _RUN_PASS.unpack_from(body)
            sizes = struct.unpack_from(f"<{members}q", body, _RUN_PASS.size)
            inputs = _cut(body, _RUN_PASS.size + 8 * members, members)
            return RunPass(serial, Batch(first_request, first_attempt, longest, sizes, inputs))
        case _Kind.PASS_DONE:
            serial, started_ns, ended_ns, members = _PASS_DONE.unpack_from(body)
            return PassDone(serial, started_ns, ended_ns, _cut(body, _PASS_DONE.size, members))
        case _Kind.LOADED:
            return Loaded()
        case _Kind.BROKEN:
            return Broken(body.decode())
        case _Kind.LOAD:
            backend, settings = json.loads(body)
            return Load(backend, settings)
    raise AssertionError(f"unknown frame kind {kind}")


def _cut(body: bytes, offset: int, members: int) -> tuple[bytes, ...]:
    """Return the payloads whose lengths stand at the offset and which follow behind them."""
    lengths = struct.unpack_from(f"<{members}Q", body, offset)
    at = offset + 8 * members
    payloads = []
    for length in lengths:
        payloads.append(body[at : at + length])
        at += length
    return tuple(payloads)
