"""Every policy function as it stands and compiled: one table of cases, two ways to run it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

WAYS = ("interpreted", "compiled")


@functools.cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function compiled by Numba, without falling back to Python."""
    import numba

    import sim.engine.compiled.rules  # noqa: F401  (tells Numba that it may)

    return numba.njit(function)  # type: ignore[no-any-return]


def run_way(way: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function the one way or the other."""
    return function if way == "interpreted" else compiled(function)


def ints_for(way: str, values: Sequence[int]) -> Sequence[int]:
    """Return a sequence of integers that a rule may write to: a list, or for compiled code an array."""
    return list(values) if way == "interpreted" else np.array(values, dtype=np.int64)  # type: ignore[return-value]
