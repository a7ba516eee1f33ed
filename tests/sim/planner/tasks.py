"""Functions that workers find by their module."""

from __future__ import annotations

import os
import time

from sim.errors import RefusedToAnswer
from sim.planner.workers import Files


def square(number: int, files: Files | None) -> int:
    """Return a square."""
    return number * number


def contents(number: int, files: Files | None) -> dict[str, bytes] | None:
    """Return the files that a worker was handed."""
    return None if files is None else dict(files)


def process_id(number: int, files: Files | None) -> int:
    """Return who worked."""
    return os.getpid()


def refuse(number: int, files: Files | None) -> int:
    """Raise an error of the project."""
    raise RefusedToAnswer(f"{number} is not answered")


def die(number: int, files: Files | None) -> int:
    """End the process at 5, when the others have come that far, as the system does for want of memory."""
    if number == 5:
        time.sleep(1.0)
        os.kill(os.getpid(), 9)
    return number


def wait(number: int, files: Files | None) -> int:
    """Take a moment."""
    time.sleep(0.05)
    return number
