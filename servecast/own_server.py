"""A server of one's own for as long as a measurement lasts: `servecast serve` in a process beside this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import current_thread, main_thread
from types import FrameType
from typing import NoReturn

from servecast.admin_token import ADMIN_TOKEN
from servecast.errors import CouldNotRun

__all__ = ["own_server"]

_READY_LIMIT_S = 60.0
_STOP_LIMIT_S = 15.0
_POLL_S = 0.02


@contextmanager
def own_server(arguments: Sequence[str], token: str | None = None) -> Iterator[str]:
    """Serve on a free port of this machine while the block runs; yield the address.

    `arguments` are those of `servecast serve`: the scenario and what changes it; `token` is that of its admin API, None
    for a server without. Raises CouldNotRun with the server's
    own sentence if it does not come up.
    """
    with _terminated_by_exit(), TemporaryDirectory(prefix="servecast-") as folder:
        ready, said = Path(folder) / "ready", Path(folder) / "said"
        options = ["--port", "0", "--ready-file", str(ready), "--quiet"]
        with said.open("wb") as words:
            process = subprocess.Popen(
                [sys.executable, "-m", "servecast", "serve", *arguments, *options],
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                env=_environment(token),
            )
        try:
            yield _address(process, ready, said)
        finally:
            _stop(process)


def _environment(token: str | None) -> dict[str, str]:
    """Return the environment of a server: it finds this package wherever it was imported from."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    environment.pop(ADMIN_TOKEN, None)
    return environment if token is None else {**environment, ADMIN_TOKEN: token}


@contextmanager
def _terminated_by_exit() -> Iterator[None]:
    """Let SIGTERM end the block as an exit does, so that no server is left behind; in the main thread only."""
    if current_thread() is not main_thread():
        yield
        return

    def leave(number: int, _: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _address(process: subprocess.Popen[bytes], ready: Path, said: Path) -> str:
    """Return the address once the server is ready."""
    give_up_s = time.monotonic() + _READY_LIMIT_S
    while not ready.exists():
        if process.poll() is not None:
            lines = said.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it said nothing"]
            raise CouldNotRun(f"the server did not come up: {lines[-1].removeprefix('servecast: ')}")
        if time.monotonic() > give_up_s:
            raise CouldNotRun(f"the server was not ready within {_READY_LIMIT_S:.0f} s")
        time.sleep(_POLL_S)
    return ready.read_text(encoding="utf-8")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Let the server finish what it holds, or end it."""
    process.terminate()
    try:
        process.wait(_STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
