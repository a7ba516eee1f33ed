"""Tells Numba, from outside, that it may compile the rules of policy/: they are the ones that run in the kernel."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from numba.extending import register_jitable

from policy import (
    admission,
    autoscaling,
    autoscaling_rule,
    batching,
    deadlines,
    dice,
    faults,
    fleet,
    orders,
    pass_time,
    recommendation,
    retries,
    rollout,
    routing,
    scaling_brakes,
    timeline,
    versions,
    windows,
)

__all__ = ["RULE_MODULES", "functions_of"]

RULE_MODULES = (
    admission,
    autoscaling,
    autoscaling_rule,
    batching,
    deadlines,
    faults,
    fleet,
    orders,
    pass_time,
    recommendation,
    retries,
    rollout,
    routing,
    scaling_brakes,
    versions,
    windows,
)
"""The modules of rules."""


def functions_of(module: types.ModuleType) -> list[Callable[..., Any]]:
    """Return the functions that a module defines, private ones too."""
    values = vars(module).values()
    return [value for value in values if isinstance(value, types.FunctionType) and value.__module__ == module.__name__]


for _module in (*RULE_MODULES, dice, timeline):
    for _function in functions_of(_module):
        register_jitable(_function)
