"""Parsers of the commands: the options that several share, and errors of one sentence with the closest name."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import NoReturn, TypeVar

from servecast.command_table import Command
from servecast.errors import UsageError

__all__ = [
    "Parser",
    "add_engine",
    "add_json",
    "add_outputs",
    "add_quiet",
    "add_scenario",
    "add_seed",
    "add_url",
    "add_workers",
    "count",
    "output_file",
    "page_file",
    "parser_of",
    "picture_file",
    "rate_per_s",
    "seconds",
    "share",
    "shares",
]


Number = TypeVar("Number", int, float)

_FORMS = ("text", "md", "json", "csv")
"""How a result is printed, the usual one first."""

_DIGITS_MAX = 1_000
"""Python reads a number of more digits only if it is told to."""

_PICTURES = (".png", ".svg", ".pdf")
"""Endings of a picture's file, which say how it is drawn."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UsageError instead of printing its usage, and that suggests names."""

    def parse(self, arguments: list[str]) -> argparse.Namespace | None:
        """Return the options; None when help was printed. Raises UsageError.

        They hold `command_line` too: what was typed, for a shell, so that a report can say what makes it again.
        """
        if any(argument in {"-h", "--help"} for argument in arguments):
            self.print_help()
            return None
        options, unknown = self.parse_known_args(arguments)
        if unknown:
            raise UsageError(self._unknown(unknown[0]))
        options.command_line = shlex.join([*self.prog.split(), *arguments])
        return options

    def writing(self) -> list[argparse.Action]:
        """Return the options that name a file which is written."""
        return [action for action in self._actions if action.type in {output_file, page_file, picture_file}]

    def error(self, message: str) -> NoReturn:
        """Raise the parser's complaint as a UsageError."""
        raise UsageError(f"{self.prog.removeprefix('servecast ')}: {message}")

    def _unknown(self, argument: str) -> str:
        """Return the sentence about an argument that nothing takes."""
        command = self.prog.removeprefix("servecast ")
        if not argument.startswith("-"):
            return f"{command} takes no further argument {argument}: servecast {command} --help lists them"
        name = argument.partition("=")[0]
        known = [option for action in self._actions for option in action.option_strings]
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"servecast {command} --help lists them"
        hint = _HINTS.get(name, hint)
        return f"{command} has no option {name}: {hint}"


_HINTS = {
    "--vary": "servecast whatif compares several values, servecast plan finds the cheapest",
    "--set": "servecast whatif --set changes a scenario, and compares what it becomes",
}
"""What to do in place of an option that a command does not have, and another has."""


def parser_of(command: Command, module: ModuleType) -> Parser:
    """Return the parser of a command; its module's docstring is the text above the options."""
    parser = Parser(
        prog=f"servecast {command.name}",
        description=(module.__doc__ or "").strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    return parser


def add_scenario(parser: Parser) -> None:
    """Add the scenario and the changes to it."""
    parser.add_argument("scenario", metavar="SCENARIO", help="a scenario file (YAML, TOML, JSON), or an example's name")
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change the scenario, as in --set batching.max_batch=16; may be given several times",
    )


def add_seed(parser: Parser) -> None:
    """Add the seed."""
    parser.add_argument("--seed", type=_seed, metavar="N", help="of the dice (default: the scenario's, else 0)")


def add_workers(parser: Parser) -> None:
    """Add the number of processes."""
    parser.add_argument(
        "--workers",
        type=_workers,
        metavar="N",
        help="processes; changes the time it takes, not the result (default: every core, where that pays)",
    )


def add_engine(parser: Parser) -> None:
    """Add the choice of the engine."""
    parser.add_argument(
        "--engine",
        choices=["compiled", "process"],
        help="which engine simulates; the result is the same (default: compiled, once servecast warm has compiled it)",
    )


def add_json(parser: Parser) -> None:
    """Add the choice of JSON instead of text."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_outputs(parser: Parser) -> None:
    """Add the forms in which a result is printed, and the files that it is written into: `show` of outputs.py."""
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument(
        "-o",
        "--output",
        type=_form,
        default=_FORMS[0],
        metavar="FORM",
        help=f"print the result as {_FORMS[0]} (default), {', '.join(_FORMS[1:-1])} or {_FORMS[-1]}",
    )
    forms.add_argument("--json", dest="output", action="store_const", const="json", help="the same as -o json")
    parser.add_argument("--html", type=page_file, metavar="FILE", help="write the report as one page for a browser")
    parser.add_argument("--csv", type=output_file, metavar="FILE", help="write the figures as rows")


def add_quiet(parser: Parser) -> None:
    """Add the choice of silence on stderr."""
    parser.add_argument("--quiet", action="store_true", help="say nothing on stderr but errors")


def add_url(parser: Parser, *, required: bool) -> None:
    """Add the address of a server."""
    text = "address of the server, as in http://127.0.0.1:8080"
    parser.add_argument("--url", required=required, metavar="URL", help=text)


def count(text: str) -> int:
    """Return a whole number >= 0 from the command line."""
    if not text.isdecimal() or not text.isascii():
        raise argparse.ArgumentTypeError(f"must be a whole number >= 0. Got {text}")
    return int(text)


def _seed(text: str) -> int:
    """Return a seed from the command line: what a scenario may have, in the same words."""
    from policy.errors import SettingError
    from sim.scenario.rules import check_seed

    is_number = text.isdecimal() and text.isascii() and len(text) <= _DIGITS_MAX
    try:
        return check_seed(int(text) if is_number else text)
    except SettingError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("seed ").removesuffix(".")) from None


def _workers(text: str) -> int:
    """Return a whole number >= 1 from the command line."""
    if not text.isdecimal() or not text.isascii() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number >= 1; without it every core is used. Got {text}")
    return int(text)


def output_file(text: str) -> Path:
    """Return a path that can be written: checked before a long run, not after it; nothing is written yet."""
    path = Path(text)
    if not text:
        raise argparse.ArgumentTypeError("must name a file that is to be written. Got an empty name")
    try:
        if path.is_dir():
            raise argparse.ArgumentTypeError(f"{text} is a directory, and a file is to be written")
        if not path.parent.is_dir():
            raise argparse.ArgumentTypeError(f"{text} cannot be written: there is no directory {path.parent}")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise argparse.ArgumentTypeError(f"{text} cannot be written: permission denied")
        _try_to_create(path.resolve())
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        reason = str(getattr(error, "strerror", None) or error)
        raise argparse.ArgumentTypeError(f"{text} cannot be written: {reason[:1].lower()}{reason[1:]}") from None
    return path


def picture_file(text: str) -> Path:
    """Return the path of a picture that can be written and drawn: its ending says how."""
    path = output_file(text)
    if path.suffix.lower() not in _PICTURES:
        endings = f"{', '.join(_PICTURES[:-1])} or {_PICTURES[-1]}"
        raise argparse.ArgumentTypeError(f"must name a file that ends in {endings}. Got {text}")
    return path


def page_file(text: str) -> Path:
    """Return the path of a page that can be written, which no picture's ending may belie."""
    path = output_file(text)
    if path.suffix.lower() in _PICTURES:
        raise argparse.ArgumentTypeError(f"must name a page, which ends in .html. Got {text}")
    return path


def _try_to_create(path: Path) -> None:
    """Raise OSError where no file can be made, though rights allow it, as below /proc; none is left behind."""
    if not path.exists():
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        path.unlink()


def seconds(text: str) -> float:
    """Return a time above zero from the command line, such as 10s or 2min, in seconds."""
    from sim.scenario.units import parse_time_ns

    value = _read(parse_time_ns, text) / 1e9
    if value <= 0:
        raise argparse.ArgumentTypeError(f"must be a time above 0s. Got {text}")
    return value


def rate_per_s(text: str) -> float:
    """Return a rate above zero from the command line, such as 300/s, per second."""
    from sim.scenario.units import parse_rate_per_s

    value = _read(parse_rate_per_s, text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"must be a rate above 0/s. Got {text}")
    return value


def share(text: str) -> float:
    """Return a share above zero and below one from the command line, such as 2%, of 1."""
    from sim.scenario.units import parse_share

    value = _read(partial(parse_share, below_one=True), text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be a share above 0% and below 100%. Got {text}")
    return value


def shares(text: str) -> tuple[float, ...]:
    """Return shares above zero from the command line, such as 30%,60%, of 1."""
    from sim.scenario.units import parse_share

    values = tuple(_read(parse_share, part) for part in text.split(","))
    if min(values) <= 0:
        raise argparse.ArgumentTypeError(f"must be shares above 0%. Got {text}")
    return values


def _form(text: str) -> str:
    """Return the name of a form in which a result is printed."""
    if text not in _FORMS:
        raise argparse.ArgumentTypeError(
            f"must be {', '.join(_FORMS[:-1])} or {_FORMS[-1]}; --html and --csv write files. Got {text}"
        )
    return text


def _read(parse: Callable[[object], Number], text: str) -> Number:
    """Return what a parser of the scenario's units makes of a text."""
    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
