"""Chooses the engine of a command, and says what to do where the fast one is not compiled yet."""

from __future__ import annotations

import os

from servecast.errors import CouldNotRun
from servecast.streams import Talk

__all__ = ["choose_engine", "compile_or_say"]


def choose_engine(asked: str | None, talk: Talk) -> None:
    """Let the engine that was asked for be used, else the compiled one if it is compiled.

    Raises CouldNotRun where the compiled one was asked for and cannot be compiled.
    """
    from sim.engine.engines import ENGINE_VARIABLE, Engine, chosen_engine, use_engine

    if asked is None:
        is_named, engine = bool(os.environ.get(ENGINE_VARIABLE)), chosen_engine()
        if engine == Engine.PROCESS and not is_named:
            talk.say(
                "Simulating with the process engine: the compiled one, some hundred times as fast, is not compiled. "
                "servecast warm does it, once, in about a minute. Where this takes longer, end it and do that first."
            )
        use_engine(engine)
        return
    if asked == Engine.COMPILED:
        compile_or_say()
    use_engine(Engine(asked))


def compile_or_say() -> None:
    """Compile the compiled engine, if that has not been done. Raises CouldNotRun without Numba."""
    from sim.engine.engines import compile_engine

    try:
        compile_engine()
    except ImportError as error:
        raise CouldNotRun(f"the compiled engine needs Numba: {error}.") from error
