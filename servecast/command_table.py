"""The commands by name: what each is for, and the module that holds it. Importing the table imports none of them."""

from __future__ import annotations

from typing import NamedTuple

from servecast.errors import UsageError

__all__ = ["COMMANDS", "Command", "command_named"]


class Command(NamedTuple):
    """One command; `module` holds add_arguments(parser) and run(arguments) -> Exit."""

    name: str
    module: str
    summary: str


COMMANDS = (
    Command("forecast", "servecast.commands.forecast", "forecast latency, refusals and load of a scenario"),
    Command("whatif", "servecast.commands.whatif", "compare many configurations of a scenario, also on a cluster"),
    Command("plan", "servecast.commands.plan", "find the cheapest configuration that meets all goals"),
    Command("capacity", "servecast.commands.capacity", "find the highest rate that meets the goals"),
    Command("diff", "servecast.commands.diff", "say what changed between two scenarios or saved results"),
    Command("rerun", "servecast.commands.rerun", "make a saved result again, and compare it byte by byte"),
    Command("export", "servecast.commands.export", "write a scenario as the configuration of the system that runs it"),
    Command("check", "servecast.commands.check", "check forecasts against a live server, at several loads"),
    Command("serve", "servecast.commands.serve", "run the reference server of a scenario"),
    Command("load", "servecast.commands.load", "send a scenario's traffic to a server, and say what came back"),
    Command("calibrate", "servecast.commands.calibrate", "measure a server, and write a calibration file"),
    Command("replay", "servecast.commands.replay", "confirm every decision in the journal of a live server"),
    Command("rollout", "servecast.commands.rollout", "order versions and rollout of a running server, or ask of them"),
    Command("example", "servecast.commands.example", "print a scenario to begin one's own with"),
    Command("schema", "servecast.commands.schema", "print the JSON Schema of a scenario"),
    Command("selftest", "servecast.commands.selftest", "compare the simulator with the known answers of theory"),
    Command("warm", "servecast.commands.warm", "compile the fast engine, once: about a minute"),
    Command("completion", "servecast.commands.completion", "print the completion script of a shell"),
)


def command_named(name: str) -> Command:
    """Return the command of that name. Raises UsageError, with the closest name where there is one."""
    for command in COMMANDS:
        if command.name == name:
            return command
    from difflib import get_close_matches

    close = get_close_matches(name, [command.name for command in COMMANDS], n=1)
    hint = f"did you mean {close[0]}?" if close else "servecast --help lists the commands."
    raise UsageError(f"there is no command {name}: {hint}")
