"""Every policy function as it stands and compiled: one table of cases, two ways to run it."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from policy import (
    admission,
    autoscaling,
    autoscaling_rule,
    batching,
    deadlines,
    dice,
    faults,
    fleet,
    pass_time,
    recommendation,
    retries,
    rollout,
    routing,
    scaling_brakes,
    versions,
    windows,
)

RULE_MODULES = (
    admission,
    autoscaling,
    autoscaling_rule,
    batching,
    deadlines,
    faults,
    fleet,
    pass_time,
    recommendation,
    retries,
    rollout,
    routing,
    scaling_brakes,
    versions,
    windows,
)

WAYS = ("interpreted", "compiled")


def functions_of(module: types.ModuleType) -> list[Callable[..., Any]]:
    """Return the functions that a module defines, private ones too."""
    values = vars(module).values()
    return [value for value in values if isinstance(value, types.FunctionType) and value.__module__ == module.__name__]


@functools.cache
def register() -> None:
    """Tell Numba, from outside, that it may compile every function of the rules."""
    from numba.extending import register_jitable

    for module in (*RULE_MODULES, dice):
        for function in functions_of(module):
            register_jitable(function)


@functools.cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function compiled by Numba, without falling back to Python."""
    import numba

    register()
    return numba.njit(function)  # type: ignore[no-any-return]


def run_way(way: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function the one way or the other."""
    return function if way == "interpreted" else compiled(function)


def ints_for(way: str, values: Sequence[int]) -> Sequence[int]:
    """Return a sequence of integers that a rule may write to: a list, or for compiled code an array."""
    return list(values) if way == "interpreted" else np.array(values, dtype=np.int64)  # type: ignore[return-value]
