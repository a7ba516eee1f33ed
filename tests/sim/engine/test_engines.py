"""Which engine runs: the one that was asked for, else the compiled one if its code is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.engine import engines
from sim.engine.compiled import cache
from sim.engine.engines import ENGINE_VARIABLE, Engine, chosen_engine, run, use_engine
from sim.engine.timelines import Timeline
from sim.errors import ScenarioError
from tests.parity.inputs import busy_input


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache in which nothing is compiled, and no engine chosen."""
    monkeypatch.setenv("SERVECAST_CACHE", str(tmp_path))
    monkeypatch.delenv(ENGINE_VARIABLE, raising=False)
    cache.cache_directory.cache_clear()
    yield tmp_path  # type: ignore[misc]
    cache.cache_directory.cache_clear()


def test_compiled_engine_is_chosen_once_it_is_compiled(empty_cache: Path) -> None:
    """What counts is the code of the present sources here; that of others, or of the same elsewhere, does not."""
    assert chosen_engine() == Engine.PROCESS
    present, own = cache.cache_directory().name, cache.own_folder()
    for name, folder, expected in (
        ("compiled-of-old", own, Engine.PROCESS),
        (present, "compiled_of_another_checkout", Engine.PROCESS),
        (present, own, Engine.COMPILED),
    ):
        (empty_cache / name / folder).mkdir(parents=True)
        (empty_cache / name / folder / "advance.nbi").touch()
        assert chosen_engine() == expected


def test_engine_that_is_asked_for_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """By this process, and by what it starts: the choice is in the environment."""
    monkeypatch.setenv(ENGINE_VARIABLE, "compiled")
    use_engine(Engine.PROCESS)
    assert chosen_engine() == Engine.PROCESS
    monkeypatch.setattr("sim.engine.process_engine.run", lambda _: "of the process engine")
    assert run(busy_input()) == "of the process engine"  # type: ignore[comparison-overlap]


def test_unknown_engine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that no engine has is bad input, not a default: the variable, what is allowed, what it says."""
    monkeypatch.setenv(ENGINE_VARIABLE, "fast")
    with pytest.raises(ScenarioError, match=r"^\$SERVECAST_ENGINE must be compiled or process\. Got fast\.$"):
        chosen_engine()


def test_process_engine_stands_in_where_numba_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled engine cannot be imported: the other runs, now and from then on."""
    monkeypatch.setenv(ENGINE_VARIABLE, "compiled")
    monkeypatch.setitem(__import__("sys").modules, "sim.engine.compiled_engine", None)
    timeline = run(busy_input())
    assert isinstance(timeline, Timeline)
    assert chosen_engine() == Engine.PROCESS
    assert engines.ENGINE_VARIABLE == "SERVECAST_ENGINE"
