"""Where the token of a server's admin API comes from: a file, else the environment; never the command line itself.

What stands on a command line is shown to every user of the machine by `ps`, and kept by shells.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from servecast.errors import UsageError

__all__ = ["ADMIN_TOKEN", "admin_token"]

ADMIN_TOKEN = "SERVECAST_ADMIN_TOKEN"
"""The environment variable."""

_FITS_A_HEADER = re.compile(r"[\x21-\x7e]+")


def admin_token(option: str, file: Path | None) -> str | None:
    """Return the token, None where none is given; white space around it does not count.

    `option` is the one that named the file. Raises UsageError, which does not show the token.
    """
    if file is None:
        place, text = ADMIN_TOKEN, os.environ.get(ADMIN_TOKEN, "")
        if not text.strip():
            return None
    else:
        place = f"{option} {file}"
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{place} cannot be read: {(error.strerror or str(error)).lower()}") from None
        except UnicodeDecodeError:
            text = ""
    token = text.strip()
    if not _FITS_A_HEADER.fullmatch(token):
        raise UsageError(f"{place} must hold one token of visible ASCII characters")
    return token
