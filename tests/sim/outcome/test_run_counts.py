"""A run that is counted says what a run whose rows are kept says, whichever engine made it."""

from __future__ import annotations

import itertools
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings

from policy.timeline import Outcome
from sim.engine import compiled_engine, process_engine
from sim.engine.engine_input import EngineInput
from sim.outcome.latencies import BATCHES_PER_RUN, CountedLatencies
from sim.outcome.measures import measure
from sim.outcome.run_counts import RunCounts, count_timeline, counts_of
from tests.parity.inputs import busy_input, faulty_version_inputs, inputs

WINDOWS, LIMIT_NS = 40, 200


def same(one: object, other: object) -> bool:
    """Return whether two parts of counts are equal, arrays element by element."""
    if isinstance(one, CountedLatencies) and isinstance(other, CountedLatencies):
        return one.equals(other)
    if isinstance(one, np.ndarray) or not hasattr(one, "__dataclass_fields__"):
        if isinstance(one, tuple) and isinstance(other, tuple):
            return all(map(same, one, other))
        return bool(np.array_equal(one, other))  # type: ignore[arg-type]
    return all(same(getattr(one, each.name), getattr(other, each.name)) for each in fields(one))  # type: ignore[arg-type]


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(faulty_version_inputs() | inputs())
def test_both_engines_count_the_same(given_: EngineInput) -> None:
    """As it goes, or afterwards from the rows of the process engine."""
    afterwards = count_timeline(process_engine.run(given_), given_, WINDOWS, LIMIT_NS)
    totals = compiled_engine.run_totals(given_, WINDOWS, batches=BATCHES_PER_RUN, limit_ns=LIMIT_NS)
    as_it_went = counts_of(totals, given_, LIMIT_NS)
    for each in fields(RunCounts):
        assert same(getattr(as_it_went, each.name), getattr(afterwards, each.name)), each.name


def counted_and_kept() -> tuple[RunCounts, object]:
    """Return one busy run in both forms, measured over windows of whole nanoseconds."""
    given_ = busy_input()
    width_ns = (given_.measure_to_ns - given_.measure_from_ns) // WINDOWS
    given_ = replace(given_, measure_to_ns=given_.measure_from_ns + WINDOWS * width_ns)
    timeline = process_engine.run(given_)
    return count_timeline(timeline, given_, WINDOWS, LIMIT_NS), measure(
        timeline, given_.measure_from_ns, given_.measure_to_ns
    )


def test_counts_are_those_of_the_rows() -> None:
    """Outcomes, answers within the limit, the mean latency."""
    counts, kept = counted_and_kept()
    assert counts.requests == kept.requests > 100
    for outcome in Outcome:
        assert counts.count(outcome) == kept.count(outcome)
    assert counts.count_within(LIMIT_NS) == kept.count_within(LIMIT_NS) > 0
    assert counts.latencies.mean_ns() == pytest.approx(kept.latencies.mean_ns())


@pytest.mark.parametrize("windows", [1, 4, 20])
@pytest.mark.parametrize(("p99_ns", "refused"), [(LIMIT_NS, None), (None, 0.2), (LIMIT_NS, 0.2)])
def test_breaches_are_those_of_the_rows(windows: int, p99_ns: int | None, refused: float | None) -> None:
    """In windows that are made of several of those that were counted."""
    counts, kept = counted_and_kept()
    assert counts.breaches(windows, p99_ns, refused) == kept.breaches(windows, p99_ns, refused)


def test_what_was_not_counted_is_not_guessed() -> None:
    """Another limit, or windows that do not fit."""
    counts, _ = counted_and_kept()
    with pytest.raises(ValueError, match="limit of 200 ns, not of 201 ns"):
        counts.count_within(201)
    with pytest.raises(ValueError, match="40 windows, which do not make 7"):
        counts.breaches(7, None, 0.1)


def test_parts_are_those_of_the_rows() -> None:
    """One of twenty: its outcomes and latencies; no other window can be cut out."""
    counts, kept = counted_and_kept()
    edges = counts.edges_ns(counts.parts_max)
    for from_ns, to_ns in itertools.pairwise(edges):
        part, expected = counts.part(from_ns, to_ns), kept.part(from_ns, to_ns)
        for outcome in (Outcome.ANSWERED, Outcome.TIMED_OUT, Outcome.ABANDONED):
            assert part.count(outcome) == expected.count(outcome)
        assert part.count(Outcome.ANSWERED) == len(part.latencies)
        assert part.latencies.mean_ns() == pytest.approx(expected.latencies.mean_ns(), rel=0.004, nan_ok=True)
    with pytest.raises(ValueError, match=r"of which .* is none"):
        counts.part(edges[0], edges[2])
