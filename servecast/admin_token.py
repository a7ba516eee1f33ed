"""The token of a server's admin API: from a file, else from the environment, never from the command line itself."""

from __future__ import annotations

import os
from pathlib import Path

from servecast.command_line import Parser
from servecast.errors import UsageError

__all__ = ["TOKEN_VARIABLE", "add_token_file", "admin_token"]

TOKEN_VARIABLE = "SERVECAST_ADMIN_TOKEN"
"""The environment variable that holds it."""


def add_token_file(parser: Parser, otherwise: str) -> None:
    """Add the choice of a file that holds the token; `otherwise` says what holds without any."""
    text = f"holds the token of the admin API (default: {TOKEN_VARIABLE}; {otherwise})"
    parser.add_argument("--admin-token-file", dest="token_file", type=Path, metavar="FILE", help=text)


def admin_token(file: Path | None) -> str | None:
    """Return the token, None without one. Raises UsageError for a file that cannot be read or is empty."""
    if file is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UsageError(f"--admin-token-file {file} cannot be read: {reason}") from None
    if not token:
        raise UsageError(f"--admin-token-file {file} is empty")
    return token
