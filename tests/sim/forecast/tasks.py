"""Functions that worker processes find by their module: what a worker can do, and what can go wrong in it."""

from __future__ import annotations

import os
import sys


class StubbornError(Exception):
    """Can be pickled, and not be read again: its arguments are not those it was made with."""

    def __init__(self, key: str, value: int) -> None:
        super().__init__(f"{key} is {value}")


def square(number: int) -> int:
    """Return a square, and chatter on stdout."""
    print("chatter", number)
    return number * number


def process_id(_: int) -> int:
    """Return who worked."""
    return os.getpid()


def main_file(_: int) -> str:
    """Return the script that the worker runs: never the caller's."""
    return str(getattr(sys.modules["__main__"], "__file__", ""))


def fail(number: int) -> int:
    """Raise at 3."""
    if number == 3:
        raise ValueError("three is not allowed")
    return number


def fail_stubbornly(number: int) -> int:
    """Raise what cannot be read again."""
    raise StubbornError("number", number)


def die(number: int) -> int:
    """End the process at 2 as the system does for want of memory."""
    if number == 2:
        os.kill(os.getpid(), 9)
    return number
