"""The process engine and the server's dispatcher core are two drivers of one policy: they must agree row for row."""

from __future__ import annotations

from hypothesis import given, settings

from policy.instant import UNSET
from sim.engine.engine_input import EngineInput
from sim.engine.process_engine import run
from sim.engine.timelines import Timeline
from tests.parity.inputs import inputs
from tests.parity.virtual_server import VirtualServer


def final_before(timeline: Timeline, end_ns: int) -> tuple[list[list[int]], list[list[int]]]:
    """Return the attempts and passes that were over before a moment."""
    returned = timeline.attempt("returned_ns")
    pass_is_over = (timeline.attempt("closed_ns") == UNSET) | ((returned != UNSET) & (returned < end_ns))
    delivered = timeline.attempt("delivered_ns")
    attempts = timeline.attempts[pass_is_over & (delivered != UNSET) & (delivered < end_ns)]
    pass_returned = timeline.passed("returned_ns")
    passes = timeline.passes[(pass_returned != UNSET) & (pass_returned < end_ns)]
    return attempts.tolist(), passes.tolist()


@settings(max_examples=400, deadline=None)
@given(inputs())
def test_any_input_gives_the_same_timeline_on_both(given_: EngineInput) -> None:
    """Every attempt and every pass is the same, column by column, whatever the rule and however many ties."""
    attempts, passes = final_before(run(given_), given_.measure_to_ns)
    played_attempts, played_passes = final_before(VirtualServer(given_).play(), given_.measure_to_ns)
    assert attempts == played_attempts
    assert passes == played_passes
    if not given_.traffic.clients:
        requests = {row[0] for row in attempts}
        assert requests == set(range(len(given_.traffic.arrivals_ns) - 1)), "all but the last request are compared"


@settings(max_examples=50, deadline=None)
@given(inputs())
def test_same_input_gives_the_same_bytes(given_: EngineInput) -> None:
    """A run is a function of its input."""
    assert run(given_).tobytes() == run(given_).tobytes()
