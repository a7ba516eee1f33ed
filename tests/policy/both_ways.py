"""Every policy function as it stands and compiled: one table of cases, two ways to run it."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

from policy import admission, batching, deadlines, dice, pass_time, retries

RULE_MODULES = (admission, batching, deadlines, pass_time, retries)

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
