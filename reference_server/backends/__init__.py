"""What runs a pass: the protocol that every backend keeps, and the table of their names.

A backend lives in a replica process (replica_process.py), so it may block, hold the GIL and crash. To add one: a module
with a class that keeps the protocol, one line in BACKENDS. A name of the form "package.module:Class" needs no line.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import NamedTuple, Protocol, cast

from policy.errors import SettingError

__all__ = ["BACKENDS", "Backend", "Batch", "create"]

BACKENDS: dict[str, str] = {
    "emulated": "reference_server.backends.emulated:EmulatedBackend",
}
"""Name -> "module:class"; a module is imported only in the process that runs it."""


class Batch(NamedTuple):
    """One batch, as a backend is given it. Members stand in the order in which they entered the batch."""

    first_request: int  # the key of the first member: dice of a pass belong to it
    first_attempt: int
    longest: int  # the largest size of a member, in the model's unit
    sizes: tuple[int, ...]  # (members,)
    inputs: tuple[bytes, ...]  # (members,) each the JSON text of a request's `input`


class Backend(Protocol):
    """A model on its device. All calls come from one thread, in this order: load, warm_up, run_pass again and again."""

    def load(self) -> None:
        """Bring the model onto the device; an exception ends the process, its text is the user's sentence."""

    def warm_up(self) -> None:
        """Run what makes first passes slow, so that no request pays for it."""

    def run_pass(self, batch: Batch) -> list[bytes]:
        """Return the JSON text of each member's output, in the order of the batch.

        An exception fails the members of this batch; the process goes on.
        """


def create(name: str, settings: Mapping[str, object]) -> Backend:
    """Return a backend that is not loaded yet; `settings` are its keyword arguments. Raises SettingError."""
    path = BACKENDS.get(name, name)
    module_name, _, class_name = path.partition(":")
    if not class_name:
        raise SettingError("backend", "one of " + ", ".join(BACKENDS) + " or of the form package.module:Class", name)
    return cast(Backend, getattr(importlib.import_module(module_name), class_name)(**settings))
