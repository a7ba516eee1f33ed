"""What a command makes of its result: printed in the form that was asked for, and written into files.

The options are those of command_line.add_outputs. A form is made only if it was asked for, and pictures are drawn only
for a page.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import cache
from typing import TYPE_CHECKING

from servecast.streams import Talk, print_json, print_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sim.report.document import Document

__all__ = ["show"]


def show(
    options: argparse.Namespace,
    talk: Talk,
    *,
    text: Callable[[], RenderableType],
    json: Callable[[], Mapping[str, object]],
    document: Callable[[], Document],
    today: Callable[[], date] = lambda: datetime.now(UTC).date(),
) -> None:
    """Print a result, which `text`, `json` and `document` give in their forms, and write its files.

    A page says on which day it was made, in UTC; no other form does, so that the same result gives the same bytes.
    Raises OSError where a file cannot be written any more.
    """
    document = cache(document)
    if options.output == "text":
        print_text(text())
    elif options.output == "json":
        print_json(json())
    else:
        sys.stdout.write(_markdown(document()) if options.output == "md" else _csv(document()))
    if options.html is not None:
        from sim.report.html import page_of

        options.html.write_text(page_of(document(), made_on=today()), encoding="utf-8")
        talk.say(f"The report is written to {options.html}")
    if options.csv is not None:
        options.csv.write_text(_csv(document()), encoding="utf-8")
        talk.say(f"The figures are written to {options.csv}")


def _markdown(document: Document) -> str:
    from sim.report.markdown import markdown_of

    return markdown_of(document)


def _csv(document: Document) -> str:
    from sim.report.csv import csv_of

    return csv_of(document.figures)
