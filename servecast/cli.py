"""The root of the command line: its own options, the call of a command, and what becomes of an error.

The commands stand in command_table.py; the root help and the version need none of their modules. Results go to
stdout, everything else to stderr; an error is one sentence there and an exit code, never a traceback, unless
SERVECAST_DEBUG=1 asks for one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from servecast.command_table import COMMANDS, command_named
from servecast.errors import Exit, Terminated, UsageError, exit_of

__all__ = ["main"]


_HELP = """\
Usage: servecast COMMAND [OPTIONS]

Forecasts p50, p99 and refusals of a model-serving fleet, and checks each forecast against a live server.

Commands:
{commands}

Options:
  -h, --help     this text; servecast COMMAND --help explains a command
  --version      the version

Exit codes: 0 done, goals met; 1 goals missed or check out of tolerance; 2 bad input; 3 refused to answer, or check
not valid; 4 could not run; 130 ended by Ctrl-C. Example: servecast forecast sentiment
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. `argv` None reads the process's own arguments."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt as error:
        code = Exit.TERMINATED if isinstance(error, Terminated) else Exit.INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes stdout once more when it ends; that must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = Exit.BROKEN_PIPE
    except Exception as error:
        code = _explain(error)
    return int(code)


def _dispatch(arguments: list[str]) -> Exit:
    """Answer the root's own options, or call a command."""
    if not arguments:
        raise UsageError("which command? servecast --help lists them.")
    first, *rest = arguments
    if first in {"-h", "--help", "help"}:
        rows = [f"  {command.name:<13}  {command.summary}" for command in COMMANDS]
        sys.stdout.write(_HELP.format(commands="\n".join(rows)))
        return Exit.DONE
    if first == "--version":
        sys.stdout.write(f"servecast {_version()}\n")
        return Exit.DONE
    if first.startswith("-"):
        raise UsageError(f"{first} stands before the command: servecast COMMAND {first} ...")

    command = command_named(first)
    module = import_module(command.module)
    from servecast.command_line import parser_of

    parser = parser_of(command, module)
    options = parser.parse(rest)
    if options is None:
        return Exit.DONE
    from servecast.overwriting import check_outputs

    check_outputs(parser, options)
    return Exit(module.run(options))


def _version() -> str:
    """Return the installed version."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("servecast")
    except PackageNotFoundError:
        return "(run from its source, not installed)"


def _explain(error: Exception) -> Exit:
    """Say what went wrong in one sentence on stderr and return the exit code."""
    code = exit_of(error)
    if code is not None:
        sentence = str(error)
    elif isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        code, sentence = Exit.COULD_NOT_RUN, f"{where}{error.strerror or error}"
    else:
        what = f"{type(error).__name__}: {error}"
        sentence = f"an error of servecast itself stopped it ({what}); SERVECAST_DEBUG=1 shows where"
        code = Exit.COULD_NOT_RUN
    if os.environ.get("SERVECAST_DEBUG") == "1":
        from traceback import print_exception

        print_exception(error)
    sentence = " ".join(sentence.split())
    sys.stderr.write(f"servecast: {sentence}{'' if sentence.endswith(('.', '?', '!')) else '.'}\n")
    return code
