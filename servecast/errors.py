"""The errors of the face, and the exit code of every error that reaches it.

ServecastError
|-- UsageError     the command line is wrong                       exit 2
|-- OrderRefused   a server refuses an order as things stand       exit 1
`-- CouldNotRun    a part is missing, a server does not come up    exit 4

Errors of the parts below keep their own trees (policy, sim, calibration, reference_server); exit_of() maps them.
"""

from __future__ import annotations

import sys
from enum import IntEnum

__all__ = ["CouldNotRun", "Exit", "OrderRefused", "ServecastError", "Terminated", "UsageError", "exit_of"]


class Exit(IntEnum):
    """What a command's exit code says."""

    DONE = 0  # done, and goals met
    MISSED = 1  # goals missed, a check out of tolerance, something moved since an older calibration, an order refused
    BAD_INPUT = 2
    REFUSED = 3  # refused to answer, or a check that is not valid
    COULD_NOT_RUN = 4
    INTERRUPTED = 130  # Ctrl-C, as shells write it
    BROKEN_PIPE = 141  # the reader of stdout went away, as shells write it
    TERMINATED = 143  # SIGTERM, as shells write it


class ServecastError(Exception):
    """Base of what servecast itself raises; the message is one sentence for the user."""


class UsageError(ServecastError):
    """The command line is wrong."""


class OrderRefused(ServecastError):
    """A server refuses an order as things stand; the sentence is its own."""


class CouldNotRun(ServecastError):
    """Something that the command needs is missing or does not work."""


class Terminated(KeyboardInterrupt):
    """A SIGTERM came: what cleans up after Ctrl-C does so after this."""


_EXITS = {
    "servecast.errors": {
        "UsageError": Exit.BAD_INPUT,
        "OrderRefused": Exit.MISSED,
        "CouldNotRun": Exit.COULD_NOT_RUN,
    },
    "policy.errors": {"SettingError": Exit.BAD_INPUT},
    "sim.errors": {"ScenarioError": Exit.BAD_INPUT, "RefusedToAnswer": Exit.REFUSED, "SimError": Exit.COULD_NOT_RUN},
    "reference_server.errors": {"ServerError": Exit.COULD_NOT_RUN},
    "calibration.errors": {
        "BadSamples": Exit.BAD_INPUT,
        "NotValid": Exit.REFUSED,
        "CalibrationError": Exit.COULD_NOT_RUN,
    },
}
"""By module and class; the first class that fits counts, so bases stand behind what is derived from them."""


def exit_of(error: BaseException) -> Exit | None:
    """Return the exit code of an error that is meant for the user, None for one that is not."""
    for module_name, classes in _EXITS.items():
        # An error that was raised comes from a module that is loaded: nothing is imported to ask.
        module = sys.modules.get(module_name)
        for name, code in classes.items():
            if module is not None and isinstance(error, getattr(module, name)):
                return code
    return None
