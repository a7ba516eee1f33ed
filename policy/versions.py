"""Which version of the model takes a request, and whether a shadow version gets a copy of it.

Versions never change once loaded; what changes is their weights, integers in parts of WEIGHT_ONE that always add up to
it. 64 bits handed in by the driver choose: a die of each request for a canary (so that requests are split), or the bits
of its sticky key for an A/B test (so that users are; policy/sticky.py). A canary, an A/B test and a rollback are all of
them nothing but weights. When weights move is decided in policy/rollout.py.

Who stays where. The bits are a point on a line of length WEIGHT_ONE. The canary holds the lower end, the other versions
the upper end, and the stable one all that is between them:

    |--- canary ---|--------- stable ---------|--- others, the last one outermost ---|

So a canary that grows takes people from the stable version alone, keeps all it had, and gives them back in one piece
when it is rolled back. No layout can do that for three versions that all grow at once: what a version holds would have
to depend on its own weight alone, and then any two of equal weight would hold the same people.
"""

from __future__ import annotations

from typing import NamedTuple

from policy.instant import UNSET

__all__ = ["VERSIONS_MAX", "WEIGHT_ONE", "VersionWeights", "choose", "point", "shadows", "with_canary", "with_weight"]

VERSIONS_MAX = 8
"""The most versions that are loaded at once."""

WEIGHT_ONE = 10_000
"""All requests. One part is a hundredth of a percent."""

_BITS_USED = 31
"""Of the 64 bits the upper 31 choose: enough for a share to be exact to 5e-10, few enough for their product to fit."""


class VersionWeights(NamedTuple):
    """Who gets how much; policy/rollout_settings.py builds and checks it. A version is its index, 0, 1, ..."""

    weights: tuple[int, ...]  # (VERSIONS_MAX,) parts of WEIGHT_ONE, which is their sum; zeros behind
    loaded: int  # versions
    stable: int  # the version that takes what the others leave
    canary: int  # the version that a rollout is about; UNSET: none


def choose(weights: VersionWeights, key_bits: int, pinned: int) -> int:
    """Return the index of the version that takes a request.

    `key_bits` are 64 bits, signed or unsigned: a die for a split of requests, a sticky key's bits for one of users.
    `pinned` is the version that the request names, UNSET for none; it wins, whatever its weight. A pinned version that
    does not exist is the driver's to refuse, before it asks.
    """
    if pinned != UNSET:
        return pinned
    if weights.loaded == 1:
        return weights.stable
    place = point(key_bits, WEIGHT_ONE)
    if weights.canary != UNSET and place < weights.weights[weights.canary]:
        return weights.canary
    edge = WEIGHT_ONE
    for back in range(weights.loaded):
        index = weights.loaded - 1 - back
        if index != weights.canary and index != weights.stable:
            edge -= weights.weights[index]
            if place >= edge:
                return index
    return weights.stable


def shadows(share: int, copy_bits: int) -> bool:
    """Return whether a copy of a request goes to a shadow version.

    `share` is that version's, 0 .. WEIGHT_ONE. `copy_bits` are 64 bits of the request and that version's own: with the
    bits that chose the version, a shadow at 10 % would see a canary's requests only.
    """
    return point(copy_bits, WEIGHT_ONE) < share


def with_canary(weights: VersionWeights, canary_weight: int) -> VersionWeights:
    """Return the weights with the canary's moved to `canary_weight`, 0 .. WEIGHT_ONE, as a rollout decided it.

    Canary and stable share what the other versions do not hold: WEIGHT_ONE gives the canary all of that, 0 nothing.
    """
    if weights.canary == UNSET:
        return weights
    shared = weights.weights[weights.canary] + weights.weights[weights.stable]
    return with_weight(weights, weights.canary, shared * canary_weight // WEIGHT_ONE)


def with_weight(weights: VersionWeights, version: int, weight: int) -> VersionWeights:
    """Return the weights with one version's moved to `weight`; the stable one gives what it takes, or has it back.

    `version` is another than the stable one, and `weight` at most what the two have together.
    """
    shared = weights.weights[version] + weights.weights[weights.stable]
    # Written out: a tuple from a generator does not compile.
    moved = (
        _moved(weights, version, 0, weight, shared),
        _moved(weights, version, 1, weight, shared),
        _moved(weights, version, 2, weight, shared),
        _moved(weights, version, 3, weight, shared),
        _moved(weights, version, 4, weight, shared),
        _moved(weights, version, 5, weight, shared),
        _moved(weights, version, 6, weight, shared),
        _moved(weights, version, 7, weight, shared),
    )
    return VersionWeights(moved, weights.loaded, weights.stable, weights.canary)


def _moved(weights: VersionWeights, version: int, index: int, weight: int, shared: int) -> int:
    """Return the weight of the version `index` when `version` has `weight` of what it and the stable one share."""
    if index == version:
        return weight
    if index == weights.stable:
        return shared - weight
    return weights.weights[index]


def point(bits: int, of: int) -> int:
    """Return where 64 bits, signed or unsigned, lie on a line of a length: 0 .. of - 1, of < 2**31."""
    # The mask makes one number of a signed and of an unsigned view of the same bits: compiled code may have either.
    return ((bits >> (64 - _BITS_USED)) & ((1 << _BITS_USED) - 1)) * of >> _BITS_USED
