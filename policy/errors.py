"""The errors of policy.

PolicyError
`-- SettingError    a setting is out of range or contradicts another
"""

from __future__ import annotations

__all__ = ["PolicyError", "SettingError"]


class PolicyError(Exception):
    """Base of what policy raises."""


class SettingError(PolicyError, ValueError):
    """A setting is out of range. `key` is its dotted name; the message is one sentence for the user."""

    def __init__(self, key: str, allowed: str, got: object) -> None:
        super().__init__(f"{key} must be {allowed}. Got {got}.")
        self.key = key
        self._allowed, self._got = allowed, got

    def below(self, section: str) -> SettingError:
        """Return the same error for a setting that stands inside a section, `versions.1` for example."""
        return SettingError(f"{section}.{self.key}", self._allowed, self._got)
