"""The load generator in a process of its own, so that neither the server's nor the forecast's work delays a send.

The child reads a plan from its stdin and writes the run to its stdout. `python -m calibration.load_process`
is the child; it imports neither sim nor a server.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile

from calibration.errors import CalibrationError, ServerUnreachable
from calibration.load_generator import LoadGenerator
from calibration.load_plan import LoadPlan, LoadRun, parse_address

__all__ = ["drive", "main"]

_EXIT_UNREACHABLE = 4
_S_NS = 10**9
_START_S = 30.0  # for the child's start and its connections
_POLL_S = 0.25


def drive(plan: LoadPlan, progress: Callable[[float], None] | None = None) -> LoadRun:
    """Send the plan from a process of its own and return what happened.

    `progress` is told the share of the schedule that has passed, 0..1. Raises BadAddress where the plan's url is not
    on this machine, ServerUnreachable where nothing answers there, CalibrationError where the process fails or does
    not end in time.
    """
    parse_address(plan.url)
    length_s = int(plan.arrivals_ns[-1]) / _S_NS
    limit_s = _START_S + length_s + plan.tail_ns / _S_NS
    # A file and no pipe: after a time-out communicate() does not go on with its input (seen with CPython 3.11), and a
    # child that is slow to start would wait for ever for the rest of a plan that fills the pipe.
    with TemporaryFile() as packed:
        packed.write(plan.to_bytes())
        packed.seek(0)
        child = subprocess.Popen(
            [sys.executable, "-m", "calibration.load_process"],
            stdin=packed,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
        )
    try:
        output, errors = _talk(child, limit_s, length_s, progress)
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()
    said = errors.decode(errors="replace").strip().splitlines()
    if child.returncode == _EXIT_UNREACHABLE and said:
        raise ServerUnreachable(said[-1])
    if child.returncode != 0:
        raise CalibrationError(f"The load process failed: {said[-1] if said else f'exit code {child.returncode}'}.")
    return LoadRun.from_bytes(output)


def _talk(
    child: subprocess.Popen[bytes],
    limit_s: float,
    length_s: float,
    progress: Callable[[float], None] | None,
) -> tuple[bytes, bytes]:
    """Wait for the run."""
    waited_s = 0.0
    while waited_s < limit_s:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.communicate(timeout=_POLL_S)
        waited_s += _POLL_S
        if progress is not None:
            progress(min(waited_s / max(length_s, _POLL_S), 1.0))
    raise CalibrationError(f"The load process did not end within {limit_s:.0f} s.")


def _environment() -> dict[str, str]:
    """Return an environment in which the child finds this package wherever it was imported from."""
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def main() -> int:
    """Read a plan from stdin, send it, write the run to stdout; return the exit code."""
    plan = LoadPlan.from_bytes(sys.stdin.buffer.read())
    _raise_descriptor_limit()
    if plan.cores:
        with contextlib.suppress(OSError):  # a container that may not use them: it sends from where it may
            os.sched_setaffinity(0, plan.cores)
    try:
        run = asyncio.run(_run(plan))
    except ServerUnreachable as error:
        print(error, file=sys.stderr)
        return _EXIT_UNREACHABLE
    sys.stdout.buffer.write(run.to_bytes())
    return 0


async def _run(plan: LoadPlan) -> LoadRun:
    """Send the plan with the garbage collector out of the way: a collection would stop the instrument."""
    generator = LoadGenerator(plan)
    gc.collect()
    gc.freeze()
    gc.disable()
    return await generator.run()


def _raise_descriptor_limit() -> None:
    """Allow as many open connections as the system lets this process have."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
