"""What runs a pass: the protocol that every backend keeps, and the table of their names.

A backend lives in a replica process (replica_process.py), so it may block, hold the GIL and crash. To add one: a module
with a class that keeps the protocol, one line in BACKENDS. A name of the form "package.module:Class" needs no line.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, cast

from policy.errors import SettingError
from policy.instant import UNSET

__all__ = [
    "BACKENDS",
    "Backend",
    "BadInput",
    "Batch",
    "ModelError",
    "Output",
    "computes_on_cpu",
    "create",
    "device_ns_of",
    "shares_process",
]

BACKENDS: dict[str, str] = {
    "emulated": "reference_server.backends.emulated:EmulatedBackend",
    "torch": "reference_server.backends.torch_backend:TorchBackend",
}
"""Name -> "module:class"; a module is imported only in the process that runs it."""


class Batch(NamedTuple):
    """One batch, as a backend is given it. Members stand in the order in which they entered the batch."""

    keys: tuple[tuple[int, int], ...]  # (members,) (request, attempt): dice go by them
    longest: int  # the largest size of a member, in the model's unit
    sizes: tuple[int, ...]  # (members,)
    inputs: tuple[bytes, ...]  # (members,) each the JSON text of a request's `input`


class BadInput(Exception):
    """An input that the model does not take; the text is one sentence for its client, who gets a 4xx."""


class ModelError(Exception):
    """The model failed on one input; the text is one sentence for its client, who gets a 500."""


Output = bytes | BadInput | ModelError
"""The JSON text of a member's output, or why this member has none: its batch mates are answered all the same."""


class Backend(Protocol):
    """A model on its device, for one instance.

    All calls to one object come from one thread, in this order: load, warm_up, run_pass again and again. Three more
    things are read where a backend has them:

    `instances_share_process: bool`, of the class or of an object that is not loaded yet (default False): whether all
    instances of a replica live in one process, each an object of its own in a thread of its own, as streams of one
    GPU do. Their load and warm_up come one object after the other, so what they share (weights, say) can be kept at
    module level without a lock; their passes run at the same time.

    `computes_on_cpu: bool`, likewise (default False): whether a pass keeps a core busy from its begin to its end, so
    that its process is to have one to itself (cores.py).

    `last_device_ns: int | None`, after each pass (default None): how long it took by the device's own clock.
    """

    def load(self) -> None:
        """Bring the model onto the device; an exception ends the process, its text is the user's sentence."""

    def warm_up(self) -> None:
        """Run what makes first passes slow, so that no request pays for it."""

    def run_pass(self, batch: Batch) -> Sequence[Output]:
        """Return each member's output, in the order of the batch.

        An exception fails the members of this batch; the process goes on.
        """


def create(name: str, settings: Mapping[str, object]) -> Backend:
    """Return a backend that is not loaded yet; `settings` are its keyword arguments. Raises SettingError."""
    path = BACKENDS.get(name, name)
    module_name, _, class_name = path.partition(":")
    if not class_name:
        raise SettingError("backend", "one of " + ", ".join(BACKENDS) + " or of the form package.module:Class", name)
    return cast(Backend, getattr(importlib.import_module(module_name), class_name)(**settings))


def shares_process(backend: Backend) -> bool:
    """Return whether all instances of a replica with this backend live in one process."""
    return bool(getattr(backend, "instances_share_process", False))


def computes_on_cpu(backend: Backend) -> bool:
    """Return whether a pass of this backend keeps a core busy."""
    return bool(getattr(backend, "computes_on_cpu", False))


def device_ns_of(backend: Backend) -> int:
    """Return how long the latest pass took by the device's own clock, UNSET if the backend does not say."""
    device_ns: int | None = getattr(backend, "last_device_ns", None)
    return UNSET if device_ns is None else device_ns
