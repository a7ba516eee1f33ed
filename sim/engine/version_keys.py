"""Who sends a request and which version it names: dice of the request, for engines and load generators alike."""

from __future__ import annotations

from policy.dice import Stream, die, happens, signed
from policy.instant import UNSET
from policy.rollout import SHARE_ONE
from policy.sticky import sticky_bits
from sim.engine.engine_input import VersionsInput

__all__ = ["key_bits", "pinned_to", "user_of"]


def user_of(versions: VersionsInput, seed: int, request: int) -> str | None:
    """Return the key of the user who sends a request, None where nobody stays with a version."""
    if versions.users == 0:
        return None
    return str(die(seed, Stream.USER, request, 0) % versions.users)


def key_bits(versions: VersionsInput, seed: int, request: int) -> int:
    """Return the 64 bits, as a signed number, by which a request's version is chosen; 0 where there is one only."""
    if versions.weights.loaded == 1:
        return 0
    user = user_of(versions, seed, request)
    return signed(die(seed, Stream.VERSION, request, 0) if user is None else sticky_bits(user, versions.salt))


def pinned_to(versions: VersionsInput, seed: int, request: int) -> int:
    """Return the version that a request names, UNSET if it names none."""
    if not any(versions.pinned):
        return UNSET
    bits, up_to = die(seed, Stream.PINNED, request, 0), 0
    for version, share in enumerate(versions.pinned):
        up_to += share
        if happens(up_to, SHARE_ONE, bits):
            return version
    return UNSET
