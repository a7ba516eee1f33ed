"""The errors of calibration.

CalibrationError
|-- BadSamples          what was asked or measured cannot be used: the user's input is to be changed
|   `-- BadAddress      the address is none that the load generator may load
|-- NotValid            the host or the generator was too busy for the measurement to count
`-- ServerUnreachable   nothing answers at the address, or it does not speak as a servecast server does
"""

from __future__ import annotations

__all__ = ["BadAddress", "BadSamples", "CalibrationError", "NotValid", "ServerUnreachable"]


class CalibrationError(Exception):
    """Base of what calibration raises; every message is one sentence for the user."""


class BadSamples(CalibrationError, ValueError):
    """The samples, or what was asked of them, do not allow an answer."""


class BadAddress(BadSamples):
    """The address is none that the load generator may load: it loads this machine only."""


class NotValid(CalibrationError):
    """No measurement was valid: host or generator disturbed each of them."""


class ServerUnreachable(CalibrationError):
    """The server does not answer, or not as a servecast server."""
