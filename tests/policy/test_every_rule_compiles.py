"""No rule may need the interpreter: Numba compiles every function, and one that it cannot compile is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from numba.core.errors import TypingError

from policy import admission, batching, deadlines, pass_time, retries
from policy.settings import admission_rule, batching_rule, deadline_rule, pass_time_rule, retry_rule
from tests.policy.both_ways import RULE_MODULES, compiled, functions_of

BATCHING = batching_rule(max_batch=4, max_wait_ns=100, collector="competing", instances=2)
STATE = batching.closed_collector()
VIEW = batching.CollectorView(True, 1, 2, 5, 0, 0)
PASS = pass_time_rule(base_ns=5, max_batch=4)

ARGUMENTS: dict[Callable[..., Any], tuple[Any, ...]] = {
    admission.decide: (admission_rule(cap=3), admission.AdmissionView(3, False)),
    admission.retry_after_ns: (9, 4, 12, 1),
    batching.closed_collector: (),
    batching.collector_count: (BATCHING, 2),
    batching.may_collect: (BATCHING, True, False),
    batching.may_hand_over: (BATCHING, 1),
    batching.own_instance: (BATCHING, 1),
    batching.step: (BATCHING, STATE, VIEW, 50),
    deadlines.due_ns: (deadline_rule(deadline_ns=9), 5),
    deadlines.frees_its_place: (True,),
    pass_time.pad: (PASS, 3),
    pass_time.pass_ns: (PASS, 3, 1, 2**20),
    retries.wait_ns: (retry_rule(attempts=3), 1, 77),
    retries.wants_retry: (retry_rule(attempts=3), 1, 2),
}


@pytest.mark.parametrize(
    "function",
    [f for module in RULE_MODULES for f in functions_of(module) if not f.__name__.startswith("_")],
    ids=lambda f: f"{f.__module__}.{f.__name__}",
)
def test_public_function_gives_the_same_compiled(function: Callable[..., Any]) -> None:
    """A rule that is added without an entry in ARGUMENTS fails here."""
    assert compiled(function)(*ARGUMENTS[function]) == function(*ARGUMENTS[function])


class Setting(NamedTuple):
    """A rule's setting, as one might be tempted to write it."""

    limit: int


def uses_replace(setting: Setting) -> Setting:
    """Change a field the interpreter's way."""
    return setting._replace(limit=setting.limit + 1)


def test_function_that_cannot_be_compiled_is_told() -> None:
    """The check can fail: `_replace` works in Python and not in Numba."""
    assert uses_replace(Setting(1)) == Setting(2)
    with pytest.raises(TypingError):
        compiled(uses_replace)(Setting(1))
