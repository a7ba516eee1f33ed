"""Write what a scenario describes as the configuration of the system that is to run it.

Formats: kubernetes, keda, argo-rollouts, knative, ray-serve, triton, torchserve, tf-serving; without --to it says which
of them fit the scenario. What a format cannot say stands in a comment of its files, and on stderr. Exit code 3 where it
would say something else, with the formats that can say it. A file that was edited, or is another scenario's, is not
written over without --force.

Examples:
  servecast export scenario.yaml
  servecast export scenario.yaml --to triton > config.pbtxt
  servecast export step-hpa --to kubernetes --image registry.example.com/sentiment:3 --output deploy/
  servecast export canary --to argo-rollouts --image v1=example.com/shop:1 --image v2=example.com/shop:2
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from servecast.api import export
from servecast.command_line import Parser, add_quiet, add_scenario
from servecast.errors import Exit, UsageError
from servecast.overwriting import refuse_overwriting
from servecast.scenarios import load_scenario
from servecast.streams import Talk
from sim.exports.formats import FORMATS, close_format
from sim.exports.seal import is_as_written, source_of
from sim.scenario.units import listed, shown

if TYPE_CHECKING:
    from sim.exports.export import Exported
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
    parser.add_argument(
        "--image",
        type=_image,
        action="append",
        default=[],
        metavar="[VERSION=]IMAGE",
        help="of the server's container; each version has one, no VERSION is the stable one (default: a placeholder)",
    )
    parser.add_argument("--force", action="store_true", help="write over files in --output that were edited")
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
    if options.force and options.output is None:
        raise UsageError("--force writes over files of --output DIR, and there is none")
    scenario = load_scenario(options.scenario, options.overrides)
    if options.to is None:
        _print_fits(scenario, lambda more: load_scenario(options.scenario, [*options.overrides, *more]))
        return Exit.DONE
    exported = export(
        options.scenario,
        options.to,
        overrides=options.overrides,
        name=options.name,
        image=_by_version(options.image),
        import_path=options.import_path,
        metric_name=options.metric_name,
        prometheus=options.prometheus,
    )
    written: list[str] = []
    if options.output is not None:
        refuse_overwriting("--output", [options.output / name for name in exported.files], options)
        written = _write_files(exported.files, options.output, shown(scenario.name), is_forced=options.force)
    seen = options.output is None and sys.stdout.isatty()  # the notes stand in the files
    talk = Talk(quiet=options.quiet or seen)
    for note in (*exported.notes, *written):
        talk.say(note)
    if options.output is None:
        _print_files(exported.files)
    return Exit.DONE


def _print_fits(scenario: Scenario, again: Callable[[Sequence[str]], Scenario]) -> None:
    """Print each format, and whether it fits; `again` loads the scenario with further settings."""
    from sim.exports.export import fitting

    for fit in fitting(scenario, again):
        verdict = f"does not fit: {fit.refusal}" if fit.exported is None else _fits(fit.exported)
        kinds = ", ".join(fit.exported.kinds if fit.exported else ()) or fit.format.summary
        sys.stdout.write(f"{fit.format.name:<13}  {kinds:<36}  {verdict}\n")


def _fits(exported: Exported) -> str:
    """Return that a format fits, and for which versions it has no file."""
    if not exported.without:
        return "fits"
    return f"fits but for {listed(exported.without)}, of which there is nothing in its files"


def _write_files(files: Mapping[str, str], folder: Path, scenario: str, *, is_forced: bool) -> list[str]:
    """Write the files of a scenario into a folder; return what there is to say of them.

    Raises UsageError before any is written.
    """
    paths = {folder / name: text for name, text in files.items()}
    try:
        there = [path for path in paths if path.exists()]
        for path in [] if is_forced else there:
            text = path.read_text(encoding="utf-8", errors="replace")
            why = "was edited, or not written by servecast export" if not is_as_written(text) else ""
            why = why or (f"is of {source_of(text)}, another scenario" if source_of(text) != scenario else "")
            if why:
                raise UsageError(f"--output {path} {why}: name another folder, or write over it with --force")
        folder.mkdir(exist_ok=True)
        for path, text in paths.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--output {folder} cannot be written: {error.strerror}") from None
    said = [f"Written{' over' if path in there else ''}: {path}" for path in paths]
    if beside := [path.name for path in sorted(folder.iterdir()) if path not in paths and _is_exported(path)]:
        said.append(
            f"{folder} also holds {listed(beside)}, written by an earlier servecast export: do not apply both unseen."
        )
    return said


def _is_exported(path: Path) -> bool:
    """Return whether a file was written by an export, edited since or not."""
    try:
        return path.is_file() and source_of(path.read_text(encoding="utf-8")) is not None
    except (OSError, UnicodeDecodeError):
        return False


def _by_version(images: Sequence[tuple[str, str]]) -> Mapping[str, str] | None:
    """Return the images by version. Raises UsageError for a second one of the same."""
    versions = [version for version, _ in images]
    for place, version in enumerate(versions):
        if version in versions[:place]:
            given = f"of {version} " if version else ""
            raise UsageError(f"--image {given}is given twice: name each version, like --image v2={images[place][1]}")
    return dict(images) or None


def _image(text: str) -> tuple[str, str]:
    """Return a version and its image; without a version the stable one's."""
    from sim.exports.names import STABLE

    version, equals, image = text.rpartition("=")
    if not image or (equals and not version):
        raise argparse.ArgumentTypeError(f"must be IMAGE or VERSION=IMAGE. Got {text or 'nothing'}")
    return version or STABLE, image


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
        raise argparse.ArgumentTypeError(f"must be {listed(names, 'or')}. Got {text}{hint}")
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
