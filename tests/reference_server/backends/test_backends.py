"""The table of backends."""

from __future__ import annotations

import pytest

from policy.errors import SettingError
from policy.instant import UNSET
from policy.settings import pass_time_rule
from reference_server import backends
from reference_server.backends import Batch
from reference_server.backends.emulated import EmulatedBackend, emulated_settings
from tests.reference_server.gate import ECHO, BusyBackend, EchoBackend, PickyBackend, SharedBackend


def test_known_name_gives_its_backend() -> None:
    """The settings are the backend's keyword arguments."""
    settings = emulated_settings(pass_time=pass_time_rule(base_ns=1))
    assert isinstance(backends.create("emulated", settings), EmulatedBackend)


def test_name_of_a_class_gives_that_class() -> None:
    """A user's own backend needs no line in the table."""
    assert type(backends.create(ECHO, {})).__name__ == EchoBackend.__name__


def test_unknown_name_is_refused() -> None:
    """The sentence names those that there are."""
    with pytest.raises(SettingError, match=r"backend must be one of emulated, .* Got emulatd\."):
        backends.create("emulatd", {})


def test_what_a_backend_does_not_say_has_a_default() -> None:
    """One process for each instance, no core of its own, and no time on the device."""
    bare = EchoBackend()
    assert (backends.shares_process(bare), backends.computes_on_cpu(bare)) == (False, False)
    assert backends.device_ns_of(bare) == UNSET


def test_what_a_backend_says_is_read() -> None:
    """Of its class or of the object; a pass without a device's time is none of 0 ns."""
    picky = PickyBackend()
    assert backends.device_ns_of(picky) == UNSET
    picky.run_pass(Batch(((0, 0),), 1, (1,), (b"1",)))
    assert backends.device_ns_of(picky) == 7_000_000
    assert backends.shares_process(SharedBackend("nowhere"))
    assert backends.computes_on_cpu(BusyBackend())
