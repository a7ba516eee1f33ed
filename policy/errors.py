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
