"""Which engine runs: the compiled one where its code is there, else the process engine. Both give the same bytes.

So the choice is no part of a result, and holds for this process and all that it starts: $SERVECAST_ENGINE.
"""

from __future__ import annotations

import os
from enum import StrEnum

from sim.engine.compiled import cache
from sim.engine.engine_input import EngineInput
from sim.engine.timelines import Timeline
from sim.errors import ScenarioError

__all__ = ["ENGINE_VARIABLE", "Engine", "chosen_engine", "compile_engine", "run", "use_engine"]

ENGINE_VARIABLE = "SERVECAST_ENGINE"


class Engine(StrEnum):
    """The engines."""

    COMPILED = "compiled"
    PROCESS = "process"


def use_engine(engine: Engine) -> None:
    """Let this process, and those that it starts from now on, use an engine."""
    os.environ[ENGINE_VARIABLE] = engine.value


def chosen_engine() -> Engine:
    """Return the engine that run() uses: the one that was chosen, else the compiled one if its code is there.

    Raises ScenarioError if $SERVECAST_ENGINE names none.
    """
    named = os.environ.get(ENGINE_VARIABLE)
    if named:
        try:
            return Engine(named)
        except ValueError:
            raise ScenarioError(f"${ENGINE_VARIABLE} must be {' or '.join(Engine)}. Got {named}.") from None
    return Engine.COMPILED if cache.is_compiled() else Engine.PROCESS


def run(engine_input: EngineInput, engine: Engine | None = None) -> Timeline:
    """Return the timeline of one run, by the chosen engine or a stated one: the same bytes for the same input."""
    if (engine or chosen_engine()) == Engine.COMPILED:
        try:
            from sim.engine.compiled_engine import run as run_compiled
        except ImportError:
            use_engine(Engine.PROCESS)
        else:
            return run_compiled(engine_input)
    from sim.engine.process_engine import run as run_process

    return run_process(engine_input)


def compile_engine() -> None:
    """Compile the compiled engine and keep its code; it takes about a minute, or nothing where that has been done.

    Raises ImportError where Numba is not installed.
    """
    from sim.engine.compiled.fixed_fleet import compile_fixed
    from sim.engine.compiled.kernel import compile_kernel

    compile_kernel()
    compile_fixed()
    cache.remove_others()
