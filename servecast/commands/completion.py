"""Print the completion script of a shell. It is static: pressing TAB starts no Python.

Examples:
  source <(servecast completion bash)
  servecast completion zsh > ~/.zfunc/_servecast
  servecast completion fish > ~/.config/fish/completions/servecast.fish
"""

from __future__ import annotations

import argparse
import re
import sys
from importlib import import_module

from servecast.command_line import Parser, parser_of
from servecast.command_table import COMMANDS, Command
from servecast.errors import Exit
from servecast.examples import EXAMPLES

__all__ = ["add_arguments", "run"]


def add_arguments(parser: Parser) -> None:
    """It takes the shell."""
    parser.add_argument("shell", choices=tuple(_SCRIPTS), metavar="SHELL", help="bash, zsh or fish")


def run(options: argparse.Namespace) -> Exit:
    """Print the script."""
    sys.stdout.write(_SCRIPTS[options.shell]())
    return Exit.DONE


def _actions(command: Command) -> list[argparse.Action]:
    """Return what a command takes."""
    return list(parser_of(command, import_module(command.module))._actions)


def _options(command: Command) -> list[tuple[str, argparse.Action]]:
    """Return the long options of a command."""
    return [(name, action) for action in _actions(command) for name in action.option_strings if name.startswith("--")]


def _words(command: Command) -> list[str]:
    """Return the words that can stand in place of a command's argument: examples, or the choices it has."""
    for action in _actions(command):
        if not action.option_strings:
            if action.choices:
                return [str(choice) for choice in action.choices]
            return list(EXAMPLES) if action.metavar in ("SCENARIO", "A") else []
    return []


def _takes_file(command: Command) -> bool:
    """Return whether a command's argument is a file of any name."""
    return any(not action.option_strings and action.metavar == "FILE" for action in _actions(command))


def _help_of(action: argparse.Action) -> str:
    """Return the help of an option without the characters that mean something to a shell."""
    return re.sub(r"""['":`$\\\[\]]""", "", action.help or "").replace("%%", "%")


def _bash() -> str:
    """Return the script for bash."""
    cases = []
    for command in COMMANDS:
        words = " ".join([name for name, _ in _options(command)] + _words(command))
        cases.append(f'        {command.name}) words="{words}" ;;')
    names = " ".join(command.name for command in COMMANDS)
    return "\n".join(
        [
            "# bash completion of servecast: source it.",
            "_servecast() {",
            '    local current="${COMP_WORDS[COMP_CWORD]}" words',
            '    if [ "$COMP_CWORD" -eq 1 ]; then',
            f'        COMPREPLY=($(compgen -W "{names} --help --version" -- "$current"))',
            "        return",
            "    fi",
            '    case "${COMP_WORDS[1]}" in',
            *cases,
            '        *) words="" ;;',
            "    esac",
            '    COMPREPLY=($(compgen -W "$words" -- "$current") $(compgen -f -- "$current"))',
            "}",
            "complete -o filenames -F _servecast servecast",
            "",
        ]
    )


def _zsh() -> str:
    """Return the script for zsh."""
    lines = [
        "#compdef servecast",
        "# zsh completion of servecast: put it on the fpath as _servecast, or source it.",
        "",
    ]
    lines += ["_servecast() {", "    local -a commands", "    commands=("]
    lines += [f"        '{command.name}:{command.summary}'" for command in COMMANDS]
    lines += [
        "    )",
        "    if (( CURRENT == 2 )); then",
        "        _describe command commands",
        "        return",
        "    fi",
    ]
    lines += ["    shift words", "    (( CURRENT-- ))", '    case "$words[1]" in']
    for command in COMMANDS:
        specs = [f"'{name}[{_help_of(action)}]{_zsh_value(action)}'" for name, action in _options(command)]
        if words := " ".join(_words(command)):
            # Where a scenario can stand, so can any file.
            specs.append(f"'*: :{{compadd {words}; _files}}'" if _options(command) else f"'1: :({words})'")
        elif _takes_file(command):
            specs.append("'*: :_files'")
        lines.append(f"        {command.name}) {'_arguments ' + ' '.join(specs) if specs else ':'} ;;")
    lines += ["    esac", "}", ""]
    lines += ['if [ "$funcstack[1]" = "_servecast" ]; then', '    _servecast "$@"', "else"]
    return "\n".join([*lines, "    compdef _servecast servecast", "fi", ""])


def _zsh_value(action: argparse.Action) -> str:
    """Return how zsh completes the value of an option; nothing for a switch."""
    return "" if action.nargs == 0 else f":{action.metavar or 'value'}:_files"


def _fish() -> str:
    """Return the script for fish."""
    lines = [
        "# fish completion of servecast.",
        "complete -c servecast -n __fish_use_subcommand -l version -d 'the version'",
    ]
    for command in COMMANDS:
        lines.append(f"complete -c servecast -n __fish_use_subcommand -f -a {command.name} -d '{command.summary}'")
    for command in COMMANDS:
        seen = f"'__fish_seen_subcommand_from {command.name}'"
        if words := " ".join(_words(command)):
            lines.append(f"complete -c servecast -n {seen} -a '{words}'")
        for name, action in _options(command):
            value = "" if action.nargs == 0 else " -r"
            lines.append(f"complete -c servecast -n {seen} -l {name.removeprefix('--')}{value} -d '{_help_of(action)}'")
    return "\n".join([*lines, ""])


_SCRIPTS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
