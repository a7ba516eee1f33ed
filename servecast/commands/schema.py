"""Print the JSON Schema of a scenario (draft 2020-12).

Editors complete and check scenario files with it: every key, its unit, its range and its default are described.

Examples:
  servecast schema > scenario.schema.json
  servecast schema --reference | less
"""

from __future__ import annotations

import argparse
import sys

from servecast.command_line import Parser
from servecast.errors import Exit
from servecast.streams import print_json

__all__ = ["add_arguments", "run"]


def add_arguments(parser: Parser) -> None:
    """It takes the form."""
    parser.add_argument("--reference", action="store_true", help="print a page for people instead, in Markdown")


def run(options: argparse.Namespace) -> Exit:
    """Print the schema, or the page."""
    if options.reference:
        from sim.scenario.reference import scenario_reference

        sys.stdout.write(scenario_reference())
        return Exit.DONE
    from sim.scenario.schema import scenario_schema

    print_json(scenario_schema())
    return Exit.DONE
