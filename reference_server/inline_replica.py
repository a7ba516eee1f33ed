"""One instance in the event loop itself: every pass blocks the server, which neither reads nor answers meanwhile.

It is the mistake of calling a model from an asynchronous handler, kept here so that it can be measured and forecast
(front_end.blocking of a scenario). A hung pass hangs the server, and a backend that crashes takes it along.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from reference_server import backends
from reference_server.backends import Backend, Batch
from reference_server.errors import CouldNotServe
from reference_server.frames import Broken, RunPass
from reference_server.replica import FAILED_PASS, ReplicaListener
from reference_server.replica_process import run_pass, sentence_of

__all__ = ["InlineReplica"]

_LOG = logging.getLogger(__name__)
_INSTANCE = 0
_INCARNATION = 1


class InlineReplica:
    """A replica with one instance and no process."""

    def __init__(self, backend: str, settings: Mapping[str, object], listener: ReplicaListener) -> None:
        self._named = backend, settings
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._backend: Backend | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the backend is loaded."""
        return self._backend is not None

    @property
    def pids(self) -> list[int]:
        """There are no processes."""
        return []

    async def start(self) -> None:
        """Load the backend. Raises CouldNotServe."""
        try:
            backend = backends.create(*self._named)
            backend.load()
            backend.warm_up()
        except Exception as problem:
            raise CouldNotServe(f"The backend could not be loaded: {sentence_of(problem)}") from problem
        self._backend = backend
        self._listener.ready(_INSTANCE)

    def run_pass(self, instance: int, serial: int, batch: Batch) -> None:
        """Run a batch in the event loop, behind what waits there already."""
        self._loop.call_soon(self._run, RunPass(_INCARNATION, instance, serial, batch))

    async def close(self) -> None:
        """Do nothing: there is no process."""

    def _run(self, message: RunPass) -> None:
        assert self._backend is not None
        said = run_pass(self._backend, message)
        if isinstance(said, Broken):
            _LOG.error("The backend failed in a pass: %s", said.sentence)
            self._listener.pass_broken(message.instance, FAILED_PASS)
        else:
            self._listener.pass_done(message.instance, said)
