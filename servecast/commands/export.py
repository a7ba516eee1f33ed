"""Write what a scenario describes as the configuration of the system that is to run it.

Formats: kubernetes, keda, argo-rollouts, knative, ray-serve, triton, torchserve, tf-serving; without --to it says which
of them fit the scenario. What a format cannot say stands in a comment of its files, and on stderr. Exit code 3 where it
would say something else, with the formats that can say it.

Examples:
  servecast export scenario.yaml
  servecast export scenario.yaml --to triton > config.pbtxt
  servecast export step-hpa --to kubernetes --image registry.example.com/sentiment:3 --output deploy/
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from servecast.api import export
from servecast.command_line import Parser, add_quiet, add_scenario
from servecast.errors import Exit
from servecast.overwriting import refuse_overwriting
from servecast.scenarios import load_scenario
from servecast.streams import Talk
from sim.exports.formats import FORMATS, close_format

if TYPE_CHECKING:
    from sim.scenario.spec import Scenario

__all__ = ["add_arguments", "run"]


def add_arguments(parser: Parser) -> None:
    """It takes the scenario, the format, where to write, and the names that no scenario knows."""
    add_scenario(parser)
    names = [one.name for one in FORMATS]
    parser.add_argument("--to", type=_format, choices=names, metavar="FORMAT", help="the system it is for")
    parser.add_argument(
        "-o", "--output", type=_folder, metavar="DIR", help="the folder for its files; - prints them (the default)"
    )
    parser.add_argument("--name", metavar="NAME", help="of the model and its objects (default: the scenario's)")
    parser.add_argument("--image", metavar="IMAGE", help="of the server's container (default: a placeholder)")
    parser.add_argument(
        "--import-path", metavar="MODULE:APP", help="of the application in Ray Serve (default: a placeholder)"
    )
    parser.add_argument(
        "--metric-name",
        metavar="NAME",
        help="the metric an HPA or KEDA scales on (default: such as requests_in_flight)",
    )
    parser.add_argument("--prometheus", metavar="URL", help="where KEDA and Argo Rollouts ask (default: a placeholder)")
    add_quiet(parser)


def run(options: argparse.Namespace) -> Exit:
    """Export and write, or say which formats fit."""
    scenario = load_scenario(options.scenario, options.overrides)
    if options.to is None:
        _print_fits(scenario)
        return Exit.DONE
    exported = export(
        scenario,
        options.to,
        name=options.name,
        image=options.image,
        import_path=options.import_path,
        metric_name=options.metric_name,
        prometheus=options.prometheus,
    )
    seen = options.output is None and sys.stdout.isatty()  # the notes stand in the files
    talk = Talk(quiet=options.quiet or seen)
    for note in exported.notes:
        talk.say(note)
    if options.output is None:
        _print_files(exported.files)
        return Exit.DONE
    refuse_overwriting("--output", [options.output / name for name in exported.files], options)
    options.output.mkdir(exist_ok=True)
    for name, text in exported.files.items():
        (options.output / name).write_text(text, encoding="utf-8")
        talk.say(f"Written: {options.output / name}")
    return Exit.DONE


def _print_fits(scenario: Scenario) -> None:
    """Print each format, and whether it fits."""
    from sim.exports.export import fitting

    for fit in fitting(scenario):
        verdict = "fits" if fit.exported is not None else f"does not fit: {fit.refusal}"
        sys.stdout.write(f"{fit.format.name:<13}  {fit.format.summary:<36}  {verdict}\n")


def _print_files(files: Mapping[str, str]) -> None:
    """Print the files, each of several under its name."""
    for name, text in files.items():
        sys.stdout.write(f"# File {name}\n{text}" if len(files) > 1 else text)


def _format(text: str) -> str:
    """Return the name of a format."""
    names = [one.name for one in FORMATS]
    if text not in names:
        close = close_format(text)
        hint = f": did you mean {close}?" if close else ""
        raise argparse.ArgumentTypeError(f"must be {', '.join(names[:-1])} or {names[-1]}. Got {text}{hint}")
    return text


def _folder(text: str) -> Path | None:
    """Return a folder that is there or can be made, None for -."""
    path = Path(text)
    if text == "-":
        return None
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a file, and a folder is to be written")
    if not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text} cannot be made: there is no directory {path.parent}")
    return path
