"""The worker's side of the pipe."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

from tests.sim.forecast import tasks

ROOT = Path(__file__).parents[3]


def test_worker_answers_in_order_and_ends_with_its_input() -> None:
    """Pickled (function, task) in, pickled (True, result) or (False, error) out, chatter on stderr, exit 0."""
    given = b"".join(pickle.dumps(task) for task in [(tasks.square, 3), (tasks.fail, 3), (tasks.square, 4)])
    done = subprocess.run(
        [sys.executable, "-m", "sim.forecast.worker_process"],
        input=given,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
    )
    first, rest = pickle.loads(done.stdout), done.stdout[len(pickle.dumps((True, 9), pickle.HIGHEST_PROTOCOL)) :]
    assert first == (True, 9)
    failed, error = pickle.loads(rest)
    assert failed is False
    assert str(error) == "three is not allowed"
    assert done.stdout.endswith(pickle.dumps((True, 16), pickle.HIGHEST_PROTOCOL))
    assert done.stderr == b"chatter 3\nchatter 4\n"
    assert done.returncode == 0
