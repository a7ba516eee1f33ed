"""A server in a process of its own, for the tests of its life: `python serve_main.py JSON` with changed settings."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from reference_server.app import serve
from reference_server.errors import CouldNotServe
from tests.reference_server.live import server_settings


def main(text: str) -> int:
    """Serve; print the URL when ready, and one sentence when it cannot be."""
    changes = json.loads(text)
    if "timeline_file" in changes:
        changes["timeline_file"] = Path(changes["timeline_file"])
    try:
        return serve(server_settings(**changes), ready=lambda url: print(url, flush=True))
    except CouldNotServe as problem:
        print(problem, file=sys.stderr)
        return 4


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
