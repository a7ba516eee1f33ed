"""Print a scenario that comes with servecast, to begin one's own with; without a name, list them.

Wherever a scenario file can stand, the name of an example can, too: servecast forecast sentiment.

Examples:
  servecast example
  servecast example step-hpa > scenario.yaml
"""

from __future__ import annotations

import argparse
import sys

from servecast.command_line import Parser
from servecast.errors import Exit
from servecast.examples import EXAMPLES, example_text

__all__ = ["add_arguments", "run"]


def add_arguments(parser: Parser) -> None:
    """It takes the name."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="the example to print (default: list them)")


def run(options: argparse.Namespace) -> Exit:
    """Print an example, or what each of them shows."""
    if options.name is None:
        widest = max(map(len, EXAMPLES))
        sys.stdout.write("".join(f"{name:<{widest}}  {shown}\n" for name, shown in EXAMPLES.items()))
    else:
        sys.stdout.write(example_text(options.name))
    return Exit.DONE
