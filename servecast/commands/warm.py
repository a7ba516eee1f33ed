"""Compile the fast engine ahead, so that no forecast waits for it.

It takes about a minute and is done once: the code is kept below $SERVECAST_CACHE, else $XDG_CACHE_HOME/servecast, else
~/.cache/servecast, by the versions of servecast's sources, Numba, NumPy and Python, and by the processor.

Example: servecast warm
"""

from __future__ import annotations

import argparse
import time

from servecast.command_line import Parser, add_quiet
from servecast.engine_choice import compile_or_say
from servecast.errors import Exit
from servecast.streams import Talk

__all__ = ["add_arguments", "run"]


def add_arguments(parser: Parser) -> None:
    """It takes nothing but silence."""
    add_quiet(parser)


def run(options: argparse.Namespace) -> Exit:
    """Compile, and say where the code lies."""
    from sim.engine.compiled.cache import cache_directory, is_compiled

    talk = Talk(quiet=options.quiet)
    began = time.monotonic()
    was_compiled = is_compiled()
    compile_or_say()
    took_s = time.monotonic() - began
    how = "It was compiled already" if was_compiled else f"Compiled in {took_s:.0f} s"
    talk.say(f"{how}: {cache_directory()}")
    return Exit.DONE
