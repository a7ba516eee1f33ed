"""The errors of the reference server.

ServerError
|-- CouldNotServe     the address is taken, a replica process does not come up, or the rows cannot be written
|-- NotAFrame         what came from a replica process is no message; the process is replaced
`-- BadRequest        a client's request is malformed; `kind` says how, answers.py knows the HTTP status of each kind

Settings out of range are policy.errors.SettingError, here as everywhere.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["BadRequest", "CouldNotServe", "Malformed", "NotAFrame", "ServerError", "too_slow"]


class ServerError(Exception):
    """Base of what reference_server raises."""


class CouldNotServe(ServerError):
    """The server cannot do its work; the message is one sentence for the user."""


class NotAFrame(ServerError):
    """Bytes between the server and a replica process that are no frame."""


class Malformed(Enum):
    """In which way a request is malformed."""

    UNREADABLE = "unreadable"  # not what the path takes
    TOO_LARGE = "too large"
    DUPLICATE = "duplicate"  # its number is in flight, or its outcome known, already
    UNKNOWN = "unknown"  # it names what this server does not have
    UNDECODABLE = "undecodable"  # nobody knows where its body ends
    TOO_SLOW = "too slow"  # it was not complete in time


class BadRequest(ServerError):
    """A request that never reaches the dispatcher; the message is one sentence for the client."""

    def __init__(self, sentence: str, kind: Malformed = Malformed.UNREADABLE) -> None:
        super().__init__(sentence)
        self.kind = kind


def too_slow(timeout_s: float) -> BadRequest:
    """Return what a request is told that was not complete in this time."""
    return BadRequest(f"The request was not complete within {timeout_s:g} s.", Malformed.TOO_SLOW)
