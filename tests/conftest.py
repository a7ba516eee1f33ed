"""What all tests share: hypothesis draws the same examples in every run, and no test depends on how fast it ran."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("servecast", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("servecast")
