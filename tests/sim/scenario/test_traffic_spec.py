"""Traffic as a scenario writes it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from sim.scenario.traffic_spec import Traffic

POISSON = {"process": "poisson", "rate": "5/s"}


def test_open_loop_has_arrivals_and_a_closed_one_clients() -> None:
    """Each kind of load leaves the other empty."""
    opened = Traffic.model_validate({"arrivals": POISSON})
    closed = Traffic.model_validate({"clients": {"count": 3}})
    assert opened.clients is None
    assert closed.arrivals is None
    assert closed.clients is not None
    assert closed.clients.think == 0


@pytest.mark.parametrize("written", [{}, {"arrivals": POISSON, "clients": {"count": 3}}, {"arrivals": None}])
def test_neither_or_both_kinds_of_load_are_refused(written: dict[str, Any]) -> None:
    """A load is open or closed."""
    with pytest.raises(ValidationError, match="must have either arrivals or clients"):
        Traffic.model_validate(written)


@pytest.mark.parametrize("timeout", [None, "none"])
def test_no_timeout_is_for_ever(timeout: object) -> None:
    """Null, the word none and silence mean the same."""
    assert Traffic.model_validate({"arrivals": POISSON, "timeout": timeout}).timeout is None
    assert Traffic.model_validate({"arrivals": POISSON}).timeout is None


def test_retries_have_the_documented_defaults() -> None:
    """One attempt, which is no retry."""
    retries = Traffic.model_validate({"arrivals": POISSON}).retries
    assert (retries.attempts, retries.backoff, retries.backoff_max, retries.jitter) == (1, 10**8, 10**10, True)
