"""The compiled code belongs to the sources it came from: an edited rule takes effect at once."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sim.engine.compiled import cache

ROOT = Path(__file__).parents[4]

LATENCIES = """
import json, sys
from sim.engine import compiled_engine, process_engine
from sim.scenario.load import load_scenario
from sim.scenario.lower import lower
scenario = load_scenario({
    "name": "even",
    "traffic": {"arrivals": {"process": "even", "rate": "50/s"}},
    "model": {"pass_time": {"base": "8ms", "per_item": "1ms"}},
    "batching": {"max_batch": 1, "max_wait": "0ms"},
    "horizon": {"duration": "1s", "warm_up": "0s"},
})
given = lower(scenario, seed=1, warm_up_ns=0)
runs = [engine.run(given) for engine in (compiled_engine, process_engine)]
print(json.dumps([int((run.passed("ended_ns") - run.passed("started_ns")).max()) for run in runs]))
"""


def longest_passes(root: Path, cache_home: Path) -> list[int]:
    """Return the longest pass of a small run by the sources under a root, on the compiled and the process engine."""
    done = subprocess.run(
        [sys.executable, "-c", LATENCIES],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "SERVECAST_CACHE": str(cache_home)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert isinstance(answer, list)
    return answer


@pytest.mark.slow
def test_edited_rule_takes_effect_in_both_engines(tmp_path: Path) -> None:
    """A pass that takes twice as long by its rule does so in the next process, with the old code still in the cache."""
    shutil.copytree(cache.cache_directory(), tmp_path / "cache" / cache.cache_directory().name)
    for package in ("policy", "sim"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    rule = tmp_path / "policy" / "pass_time.py"
    assert longest_passes(ROOT, tmp_path / "cache") == [9_000_000, 9_000_000]
    edited = rule.read_text().replace(
        "    padded = pad(rule, batch_size)\n", "    padded = 2 * pad(rule, batch_size)\n"
    )
    rule.write_text(edited)
    assert longest_passes(tmp_path, tmp_path / "cache") == [10_000_000, 10_000_000]


def test_directory_is_named_by_all_that_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte more in any source gives another directory; what is not compiled does not count."""
    files = [tmp_path / "rule.py", tmp_path / "kernel.py"]
    for file in files:
        file.write_text("x = 1\n")
    monkeypatch.setattr(cache, "sources", lambda: files)

    def directory() -> Path:
        cache.cache_directory.cache_clear()
        return cache.cache_directory()

    try:
        first = directory()
        assert directory() == first
        for file in files:
            file.write_text("x = 2\n")
            assert directory() != first
            file.write_text("x = 1\n")
        assert directory() == first
    finally:
        cache.cache_directory.cache_clear()


def test_sources_hold_every_rule_and_the_kernel() -> None:
    """What the kernel compiles lies in two folders."""
    names = {path.relative_to(ROOT).as_posix() for path in cache.sources()}
    assert {"policy/batching.py", "policy/windows.py", "sim/engine/compiled/kernel.py"} <= names


def test_old_code_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The present one and the latest few stay."""
    monkeypatch.setenv("SERVECAST_CACHE", str(tmp_path))
    cache.cache_directory.cache_clear()
    try:
        present = cache.cache_directory()
        for age, name in enumerate(["compiled-a", "compiled-b", "compiled-c", "compiled-d", "compiled-e"]):
            (tmp_path / name).mkdir()
            os.utime(tmp_path / name, (1_000_000 - age, 1_000_000 - age))
        present.mkdir()
        os.utime(present, (1, 1))
        cache.remove_others()
        left = {path.name for path in tmp_path.iterdir()}
        assert left == {present.name, "compiled-a", "compiled-b", "compiled-c", "compiled-d"}
    finally:
        cache.cache_directory.cache_clear()


def test_own_folder_is_the_one_that_numba_takes() -> None:
    """For the kernel's file, whatever the version of Numba."""
    locator = importlib.import_module("numba.core.caching")._CacheLocator
    assert cache.own_folder() == locator.get_suitable_cache_subpath(cache.__file__)
