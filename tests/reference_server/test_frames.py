"""Frames: what is sent is what arrives, however the stream was cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reference_server.backends import Batch
from reference_server.frames import Broken, FrameBuffer, Load, Loaded, Message, PassDone, RunPass, encode

INTEGERS = st.integers(-(2**63), 2**63 - 1)
PAYLOADS = st.lists(st.binary(max_size=40), max_size=6).map(tuple)


@st.composite
def run_passes(draw: st.DrawFn) -> RunPass:
    """Draw a batch with one size for each input."""
    inputs = draw(PAYLOADS)
    sizes = tuple(draw(st.lists(INTEGERS, min_size=len(inputs), max_size=len(inputs))))
    return RunPass(draw(INTEGERS), Batch(draw(INTEGERS), draw(INTEGERS), draw(INTEGERS), sizes, inputs))


MESSAGES = st.one_of(
    run_passes(),
    st.builds(PassDone, INTEGERS, INTEGERS, INTEGERS, PAYLOADS),
    st.just(Loaded()),
    st.builds(Broken, st.text(st.characters(exclude_categories=["Cs"]))),
    st.builds(Load, st.text(), st.dictionaries(st.text(), st.integers() | st.lists(st.integers()))),
)


@given(st.lists(MESSAGES, max_size=5), st.lists(st.integers(1, 50), min_size=1, max_size=10))
def test_any_messages_cut_anywhere_arrive_whole_and_in_order(messages: list[Message], cuts: list[int]) -> None:
    """The stream is fed in pieces of any length, as sockets deliver it."""
    stream = b"".join(map(encode, messages))
    buffer, arrived, at = FrameBuffer(), [], 0
    while at < len(stream):
        length = cuts[at % len(cuts)]
        arrived += buffer.feed(stream[at : at + length])
        at += length
    assert arrived == messages


def test_unfinished_frame_gives_nothing_yet() -> None:
    """All but the last byte of a message is no message; the byte completes it."""
    stream = encode(PassDone(7, 1, 2, (b"{}",)))
    buffer = FrameBuffer()
    assert buffer.feed(stream[:-1]) == []
    assert buffer.feed(stream[-1:]) == [PassDone(7, 1, 2, (b"{}",))]


def test_sentence_that_is_not_text_arrives_readable() -> None:
    """A backend's exception may hold half a surrogate pair: it is replaced, the frame is not lost."""
    assert FrameBuffer().feed(encode(Broken("bad \ud800"))) == [Broken("bad ?")]
