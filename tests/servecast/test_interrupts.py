"""How work is broken off: quietly, with its processes, and with a word on what is kept."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import pytest

from servecast.cli import main
from servecast.errors import Exit, Terminated
from servecast.interrupts import orderly


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt, Exit.INTERRUPTED), (Terminated, Exit.TERMINATED)])
@pytest.mark.parametrize(
    ("command", "works"),
    [
        (["forecast"], "servecast.commands.forecast.forecast"),
        (["plan", "--vary", "batching.max_batch=4,8", "--goals", "p99=1s"], "servecast.api.plan"),
        (["capacity", "--goals", "p99=1s"], "servecast.api.capacity"),
    ],
)
@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_interrupt_says_that_nothing_is_kept(
    quiet: list[str],
    command: list[str],
    works: str,
    stop: type[BaseException],
    code: Exit,
    shop: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line on stderr, none with --quiet, and the exit code that shells know."""

    def interrupt(*_: object, **__: object) -> None:
        raise stop

    monkeypatch.setattr(works, interrupt)
    assert main([command[0], shop, *command[1:], *quiet]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.endswith("" if quiet else "Interrupted: nothing is kept.\n")
    assert ("Interrupted" in printed.err) is not bool(quiet)


def test_sigterm_ends_a_block_as_an_interrupt_does_and_nothing_else() -> None:
    """What was done on a SIGTERM before the block is done after it."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated), orderly():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_threads_may_have_such_blocks() -> None:
    """Signals belong to the main thread: in others the block is as without."""
    done = []

    def work() -> None:
        with orderly():
            done.append(signal.getsignal(signal.SIGTERM))

    thread = Thread(target=work)
    thread.start()
    thread.join()
    assert done == [signal.getsignal(signal.SIGTERM)]


def test_sigterm_leaves_no_words_of_python_and_what_is_finished(shop: str, tmp_path: Path) -> None:
    """Worker processes are ended too: their semaphores are not reported as leaked."""
    path = tmp_path / "sweep.jsonl"
    varied = ["--set", "batching.max_batch=1..300", "--set", "horizon={duration: 20s, warm_up: 1s, runs: 2}"]
    command = [sys.executable, "-m", "servecast", "whatif", shop, *varied, "--workers", "2", "--save", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        give_up_s = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < give_up_s:
            if path.exists() and path.read_bytes().count(b"\n") > 1:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        out, said = process.communicate(timeout=60)
    assert process.returncode == Exit.TERMINATED
    assert out == ""
    assert said.endswith(f" kept in {path}: the same command goes on from there.\n")
    assert "resource_tracker" not in said
    assert "Traceback" not in said
