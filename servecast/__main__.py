"""`python -m servecast` is the same as `servecast`."""

from __future__ import annotations

import sys

from servecast.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
