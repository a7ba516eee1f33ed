"""Frames: what is sent is what arrives, however the stream was cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.backends import BadInput, Batch
from reference_server.errors import NotAFrame
from reference_server.frames import (
    Broken,
    FrameBuffer,
    Hosting,
    Load,
    Loaded,
    Message,
    PassDone,
    RunPass,
    encode,
    pieces,
)

RESULTS = encode(PassDone(1, 0, 7, 1, 2, -1, (b"12345",)))
INTEGERS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
PAYLOADS = st.lists(st.binary(max_size=40), max_size=6).map(tuple)
OUTPUTS = st.lists(st.binary(max_size=40) | TEXTS.map(BadInput), max_size=6).map(tuple)


@st.composite
def run_passes(draw: st.DrawFn) -> RunPass:
    """Draw a batch with one size for each input."""
    inputs = draw(PAYLOADS)
    sizes = tuple(draw(st.lists(INTEGERS, min_size=len(inputs), max_size=len(inputs))))
    keys = tuple((draw(INTEGERS), draw(INTEGERS)) for _ in inputs)
    batch = Batch(keys, draw(INTEGERS), sizes, inputs)
    return RunPass(draw(INTEGERS), draw(INTEGERS), draw(INTEGERS), batch)


MESSAGES = st.one_of(
    run_passes(),
    st.builds(PassDone, *[INTEGERS] * 6, OUTPUTS),
    st.builds(Hosting, INTEGERS, INTEGERS, st.booleans()),
    st.builds(Loaded, INTEGERS, INTEGERS),
    st.builds(Broken, INTEGERS, INTEGERS, INTEGERS, TEXTS),
    st.builds(
        Load,
        st.integers(),
        st.lists(st.integers()).map(tuple),
        st.text(),
        st.dictionaries(st.text(), st.integers() | st.lists(st.integers())),
    ),
)


@given(st.lists(MESSAGES, max_size=5), st.lists(st.integers(1, 50), min_size=1, max_size=10))
def test_any_messages_cut_anywhere_arrive_whole_and_in_order(messages: list[Message], cuts: list[int]) -> None:
    """The stream is fed in pieces of any length, as sockets deliver it."""
    stream = b"".join(map(encode, messages))
    buffer, arrived, at = FrameBuffer(), list[Message](), 0
    while at < len(stream):
        length = cuts[at % len(cuts)]
        arrived += buffer.feed(stream[at : at + length])
        at += length
    assert repr(arrived) == repr(messages)  # two BadInput of the same sentence are not equal, and look alike


def test_unfinished_frame_gives_nothing_yet() -> None:
    """All but the last byte of a message is no message; the byte completes it."""
    message = PassDone(1, 0, 7, 1, 2, -1, (b"{}",))
    stream = encode(message)
    buffer = FrameBuffer()
    assert buffer.feed(stream[:-1]) == []
    assert buffer.feed(stream[-1:]) == [message]


def test_sentence_that_is_not_text_arrives_readable() -> None:
    """A backend's exception may hold half a surrogate pair: it is replaced, the frame is not lost."""
    assert FrameBuffer().feed(encode(Broken(1, 0, -1, "bad \ud800"))) == [Broken(1, 0, -1, "bad ?")]


def test_large_payloads_are_not_copied_for_sending() -> None:
    """The pieces of a large frame are the payloads themselves; a small one is one piece for one write."""
    large = b"x" * 1_000_000
    assert pieces(PassDone(1, 0, 7, 1, 2, -1, (b"{}", large)))[2] is large
    assert len(pieces(PassDone(1, 0, 7, 1, 2, -1, (b"{}", b"[]")))) == 1


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"\xff" + b"\x00" * 8, id="unknown kind"),
        pytest.param(b"\x05" + (3).to_bytes(8, "little") + b"abc", id="too short for its kind"),
        pytest.param(RESULTS[:-13] + b"\xff" * 13, id="lengths beyond its end"),
        pytest.param(b"\x01" + (3).to_bytes(8, "little") + b"{]}", id="no JSON"),
    ],
)
def test_bytes_that_are_no_frame_are_refused(stream: bytes) -> None:
    """Nothing is guessed from them."""
    with pytest.raises(NotAFrame, match="are no frame of kind"):
        FrameBuffer().feed(stream)
