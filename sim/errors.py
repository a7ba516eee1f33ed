"""The errors of sim.

SimError
|-- ScenarioError      the scenario, a file it names or what surrounds it is bad input; one sentence for its author
`-- RefusedToAnswer    the question is clear and any answer would be nonsense; the message says why
"""

from __future__ import annotations

__all__ = ["RefusedToAnswer", "ScenarioError", "SimError"]


class SimError(Exception):
    """Base of what sim raises."""


class ScenarioError(SimError, ValueError):
    """Bad input: key, what is allowed, what was got. A SettingError of policy is bad input too."""


class RefusedToAnswer(SimError):
    """No honest figure can be given: unstable load, too few samples, outside what was calibrated."""
