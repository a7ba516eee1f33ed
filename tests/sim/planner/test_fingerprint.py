"""What results depend on beside the question."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sim.engine.engine_input import EngineInput
from sim.planner.fingerprint import fingerprint, state_in_words

ROOT = Path(__file__).parents[3]


def fingerprint_in(folder: Path) -> str:
    """Return the fingerprint of a copy of the sources, in a fresh process."""
    code = "from sim.planner.fingerprint import fingerprint; print(fingerprint())"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_fingerprint_is_that_of_the_sources(tmp_path: Path) -> None:
    """The same in every process, and another one after an edit of a rule."""
    for package in ("sim", "policy"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    assert fingerprint_in(tmp_path) == fingerprint()
    rule = tmp_path / "policy" / "batching.py"
    rule.write_text(rule.read_text(encoding="utf-8") + "\n# edited\n", encoding="utf-8")
    assert fingerprint_in(tmp_path) != fingerprint()


def test_fingerprint_depends_on_the_numbers_that_numpy_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator that draws other gaps is another state, with the same sources."""
    from sim.planner import fingerprint as module

    before = fingerprint()
    lower = module.lower

    def shifted(*arguments: object, **settings: object) -> EngineInput:
        tables = lower(*arguments, **settings)  # type: ignore[arg-type]
        traffic = replace(tables.traffic, arrivals_ns=tables.traffic.arrivals_ns + 1)
        return replace(tables, traffic=traffic)

    monkeypatch.setattr(module, "lower", shifted)
    assert fingerprint.__wrapped__() != before


def test_state_names_versions() -> None:
    """A person reads from it what differs."""
    assert "python " in state_in_words()
    assert "numpy " in state_in_words()
    assert state_in_words().endswith(f"state {fingerprint()}")
