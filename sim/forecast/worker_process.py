"""A worker of sim/forecast/processes.py: reads pickled (function, task) from stdin, writes pickled results to stdout.

What the tasks print goes to stderr, so that it cannot fall among the results.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys

__all__ = ["main"]


def main() -> None:
    """Work until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    results = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    tasks = sys.stdin.buffer
    while True:
        try:
            function, task = pickle.load(tasks)
        except EOFError:
            return
        results.write(_reply(function, task))
        results.flush()


def _reply(function: object, task: object) -> bytes:
    """Return (True, result) or (False, error), pickled; an error that cannot be pickled is told in words."""
    try:
        assert callable(function)
        return pickle.dumps((True, function(task)), protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        return _reply_failed(error)


def _reply_failed(error: Exception) -> bytes:
    """Return (False, error), pickled; some errors can be pickled and not be read again."""
    try:
        reply = pickle.dumps((False, error), protocol=pickle.HIGHEST_PROTOCOL)
        pickle.loads(reply)
    except Exception:
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
    return reply


if __name__ == "__main__":
    main()
