"""The messages between the server and a replica process, and their form on the wire.

A frame is a header (kind, length of the rest), fixed-width fields, the lengths of the payloads, the payloads. Payloads
are JSON texts that pass through unread. Both ends are this program on one machine: there is no version and no pickle.
Each frame says which incarnation of the process it belongs to, so that what a dead one has left is told apart.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from reference_server.backends import BadInput, Batch, ModelError, Output
from reference_server.errors import NotAFrame

__all__ = ["Broken", "FrameBuffer", "Hosting", "Load", "Loaded", "Message", "PassDone", "RunPass", "encode", "pieces"]

_WHOLE_BYTES = 2**18
"""Up to here a frame is copied together: one write for a frame is faster than several, and the copy costs 20 us."""


class Load(NamedTuple):
    """To the process, first of all: which backend to load."""

    incarnation: int  # starts of this process, this one included
    instances: tuple[int, ...]  # those that it hosts if they can share a process; else it hosts the first alone
    backend: str
    settings: dict[str, Any]  # what JSON can carry


class Hosting(NamedTuple):
    """From the process, before it loads: how many of the instances it hosts, and whether it computes on the CPU."""

    incarnation: int
    hosted: int
    on_cpu: bool


class Loaded(NamedTuple):
    """From the process: the backend of an instance is loaded and warm."""

    incarnation: int
    instance: int


class RunPass(NamedTuple):
    """To the process: run this batch."""

    incarnation: int
    instance: int
    serial: int
    batch: Batch


class PassDone(NamedTuple):
    """From the process: the results of a pass."""

    incarnation: int
    instance: int
    serial: int
    started_ns: int  # the process's own stamps (time.perf_counter_ns)
    ended_ns: int
    device_ns: int  # by the device's clock, UNSET if the backend does not say
    outputs: tuple[Output, ...]  # (members,)


class Broken(NamedTuple):
    """From the process: the backend raised, while loading or in a pass. Nothing but the sentence is left of it."""

    incarnation: int
    instance: int
    serial: int  # of the pass, UNSET while loading
    sentence: str


Message = Load | Hosting | Loaded | RunPass | PassDone | Broken


class _Kind(IntEnum):
    LOAD = 1
    HOSTING = 2
    LOADED = 3
    RUN_PASS = 4
    PASS_DONE = 5
    BROKEN = 6


_HEADER = struct.Struct("<BQ")  # kind, bytes that follow
_HOSTING = struct.Struct("<qq?")  # incarnation, how many instances, on_cpu
_LOADED = struct.Struct("<qq")  # incarnation, instance
_RUN_PASS = struct.Struct("<qqqqI")  # incarnation, instance, serial, longest, members
_PASS_DONE = struct.Struct("<qqqqqqI")  # incarnation, instance, serial, started_ns, ended_ns, device_ns, members
_BROKEN = struct.Struct("<qqq")  # incarnation, instance, serial


_KINDS_OF_OUTPUT: list[type] = [bytes, BadInput, ModelError]
"""The byte that says what a payload of results is: its place here."""


# Writing


def encode(message: Message) -> bytes:
    """Return a message as a frame."""
    return b"".join(pieces(message))


def pieces(message: Message) -> list[bytes]:
    """Return the frame of a message in pieces, so that large payloads need not be copied."""
    match message:
        case RunPass(incarnation, instance, serial, batch):
            fixed = _RUN_PASS.pack(incarnation, instance, serial, batch.longest, len(batch.inputs))
            keys = struct.pack(f"<{2 * len(batch.keys)}q", *(number for key in batch.keys for number in key))
            sizes = struct.pack(f"<{len(batch.sizes)}q", *batch.sizes)
            return _frame(_Kind.RUN_PASS, fixed + keys + sizes, batch.inputs)
        case PassDone(outputs=outputs):
            texts = [_text_of(output) for output in outputs]
            bad = bytes(_KINDS_OF_OUTPUT.index(type(output)) for output in outputs)
            return _frame(_Kind.PASS_DONE, _PASS_DONE.pack(*message[:-1], len(outputs)) + bad, texts)
        case Hosting():
            return _frame(_Kind.HOSTING, _HOSTING.pack(*message))
        case Loaded():
            return _frame(_Kind.LOADED, _LOADED.pack(*message))
        case Broken(sentence=sentence):
            return _frame(_Kind.BROKEN, _BROKEN.pack(*message[:-1]) + sentence.encode(errors="replace"))
        case Load():
            return _frame(_Kind.LOAD, json.dumps(message).encode())


def _frame(kind: _Kind, fixed: bytes, payloads: Sequence[bytes] = ()) -> list[bytes]:
    """Return header, fixed fields and the lengths of the payloads, then the payloads; all in one if it is small."""
    lengths = [len(payload) for payload in payloads]
    table = struct.pack(f"<{len(lengths)}Q", *lengths)
    whole = len(fixed) + len(table) + sum(lengths)
    head = _HEADER.pack(kind, whole) + fixed + table
    return [head, *payloads] if whole > _WHOLE_BYTES else [b"".join((head, *payloads))]


def _text_of(output: Output) -> bytes:
    return output if isinstance(output, bytes) else str(output).encode(errors="replace")


# Reading


class FrameBuffer:
    """Cuts a stream of bytes, however it was split, into messages."""

    def __init__(self) -> None:
        self._bytes = bytearray()  # the beginning of a frame

    def feed(self, data: bytes) -> list[Message]:
        """Take in what was received and return the messages that are now complete, in order. Raises NotAFrame."""
        if not self._bytes:
            messages, at = _read(data)
            self._bytes += data[at:]
            return messages
        self._bytes += data
        messages, at = _read(self._bytes)
        del self._bytes[:at]
        return messages


def _read(stream: bytes | bytearray) -> tuple[list[Message], int]:
    """Return the whole messages at the front of a stream, and where the rest of it begins."""
    messages: list[Message] = []
    at = 0
    with memoryview(stream) as view:
        while len(view) - at >= _HEADER.size:
            kind, length = _HEADER.unpack_from(view, at)
            begin = at + _HEADER.size
            if len(view) < begin + length:
                break
            at = begin + length
            messages.append(_decode(kind, view[begin:at]))
    return messages, at


def _decode(kind: int, body: memoryview) -> Message:
    with body:
        try:
            return _READERS[kind](body)
        except (LookupError, ValueError, struct.error):
            raise NotAFrame(f"These {len(body)} bytes are no frame of kind {kind}.") from None


def _read_load(body: memoryview) -> Load:
    incarnation, instances, backend, settings = json.loads(bytes(body))
    return Load(incarnation, tuple(instances), backend, settings)


def _read_run_pass(body: memoryview) -> RunPass:
    incarnation, instance, serial, longest, members = _RUN_PASS.unpack_from(body)
    numbers = struct.unpack_from(f"<{3 * members}q", body, _RUN_PASS.size)
    pairs, sizes = numbers[: 2 * members], numbers[2 * members :]
    keys = tuple(zip(pairs[::2], pairs[1::2], strict=True))
    inputs = _cut(body, _RUN_PASS.size + 24 * members, members)
    return RunPass(incarnation, instance, serial, Batch(keys, longest, sizes, inputs))


def _read_pass_done(body: memoryview) -> PassDone:
    incarnation, instance, serial, started_ns, ended_ns, device_ns, members = _PASS_DONE.unpack_from(body)
    bad = body[_PASS_DONE.size : _PASS_DONE.size + members]
    texts = _cut(body, _PASS_DONE.size + members, members)
    outputs: tuple[Output, ...] = texts
    if any(bad):
        pairs = zip(texts, bad, strict=True)
        outputs = tuple(_KINDS_OF_OUTPUT[flag](text.decode()) if flag else text for text, flag in pairs)
    return PassDone(incarnation, instance, serial, started_ns, ended_ns, device_ns, outputs)


def _read_broken(body: memoryview) -> Broken:
    incarnation, instance, serial = _BROKEN.unpack_from(body)
    return Broken(incarnation, instance, serial, bytes(body[_BROKEN.size :]).decode())


_READERS: dict[int, Callable[[memoryview], Message]] = {
    _Kind.LOAD: _read_load,
    _Kind.HOSTING: lambda body: Hosting(*_HOSTING.unpack(body)),
    _Kind.LOADED: lambda body: Loaded(*_LOADED.unpack(body)),
    _Kind.RUN_PASS: _read_run_pass,
    _Kind.PASS_DONE: _read_pass_done,
    _Kind.BROKEN: _read_broken,
}


def _cut(body: memoryview, offset: int, members: int) -> tuple[bytes, ...]:
    """Return the payloads whose lengths stand at the offset and which follow behind them to the end of the body."""
    lengths = struct.unpack_from(f"<{members}Q", body, offset)
    at = offset + 8 * members
    if at + sum(lengths) != len(body):
        raise ValueError("the payloads do not fill the frame")
    payloads = []
    for length in lengths:
        payloads.append(bytes(body[at : at + length]))
        at += length
    return tuple(payloads)
