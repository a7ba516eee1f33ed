"""Every error that a user can meet has an exit code."""

from __future__ import annotations

import pytest

from calibration.errors import BadAddress, BadSamples, CalibrationError, NotValid, ServerUnreachable
from policy.errors import SettingError
from reference_server.errors import CouldNotServe
from servecast.errors import CouldNotRun, Exit, OrderRefused, UsageError, exit_of
from sim.errors import RefusedToAnswer, ScenarioError, SimError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), Exit.BAD_INPUT),
        (SettingError("queue.cap", "1 or more", 0), Exit.BAD_INPUT),
        (ScenarioError("x"), Exit.BAD_INPUT),
        (BadSamples("x"), Exit.BAD_INPUT),
        (BadAddress("x"), Exit.BAD_INPUT),
        (RefusedToAnswer("x"), Exit.REFUSED),
        (NotValid("x"), Exit.REFUSED),
        (OrderRefused("x"), Exit.MISSED),
        (CouldNotRun("x"), Exit.COULD_NOT_RUN),
        (ServerUnreachable("x"), Exit.COULD_NOT_RUN),
        (CouldNotServe("x"), Exit.COULD_NOT_RUN),
        (CalibrationError("x"), Exit.COULD_NOT_RUN),
        (SimError("x"), Exit.COULD_NOT_RUN),
        (ValueError("x"), None),
    ],
)
def test_error_has_the_exit_code_of_its_kind(error: Exception, code: Exit | None) -> None:
    """An order refused is 1, bad input 2, no answer 3, what could not run 4; what is not for the user has none."""
    assert exit_of(error) == code
