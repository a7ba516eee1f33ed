"""Which version takes a request: shares, who stays where, and who is copied; each case interpreted and compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy import versions
from policy.dice import mix
from policy.errors import SettingError
from policy.instant import UNSET
from policy.rollout_settings import version_weights
from policy.sticky import sticky_bits
from policy.versions import VERSIONS_MAX, WEIGHT_ONE, VersionWeights, choose, with_canary
from tests.policy.both_ways import WAYS, run_way

MIXED = version_weights(weights=[6_000, 1_000, 2_000, 1_000], canary=1)
"""Stable 0 has 60 %, canary 1 has 10 %, and two others have 20 % and 10 %."""


def at(share: float) -> int:
    """Return the 64 bits that lie at a share of the line."""
    return int(share * 2**64)


def forms(way: str, bits: int) -> list[Any]:
    """Return 64 bits as what may hold them: an int without or with a sign; compiled code knows machine words alone."""
    signed = bits - 2**64 if bits >= 2**63 else bits
    return [bits, signed] if way == "interpreted" else [np.uint64(bits), np.int64(signed)]


CASES: list[tuple[str, VersionWeights, int, int, int]] = [
    # name, weights, bits, pinned -> version
    ("the canary has the lower end", MIXED, at(0.0), UNSET, 1),
    ("up to its weight", MIXED, at(0.0999), UNSET, 1),
    ("then comes the stable one", MIXED, at(0.1001), UNSET, 0),
    ("up to the others", MIXED, at(0.6999), UNSET, 0),
    ("of which the last is outermost", MIXED, at(0.7001), UNSET, 2),
    ("last but one ends there", MIXED, at(0.8999), UNSET, 2),
    ("the upper end", MIXED, 2**64 - 1, UNSET, 3),
    ("pinned to the canary", MIXED, at(0.99), 1, 1),
    ("pinned to one without weight", version_weights(weights=[10_000, 0], canary=1), at(0.5), 1, 1),
    ("no weight, no request", version_weights(weights=[10_000, 0], canary=1), 0, UNSET, 0),
    ("promoted: all", version_weights(weights=[0, 10_000], canary=1), 2**64 - 1, UNSET, 1),
    ("one version alone", version_weights(weights=[10_000]), at(0.3), UNSET, 0),
    ("an A/B test needs no canary", version_weights(weights=[5_000, 5_000]), at(0.5), UNSET, 1),
    ("the stable one need not be the first", version_weights(weights=[500, 9_500], stable=1, canary=0), 0, UNSET, 0),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("name", "weights", "bits", "pinned", "expected"), CASES, ids=[case[0] for case in CASES])
def test_case_chooses_as_the_table_says(
    way: str, name: str, weights: VersionWeights, bits: int, pinned: int, expected: int
) -> None:
    """Lower end to the canary, upper end to the others, the rest to the stable version; who is pinned has his way."""
    assert [run_way(way, choose)(weights, form, pinned) for form in forms(way, bits)] == [expected, expected]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("share", "bits", "copied"),
    [(0, 0, False), (WEIGHT_ONE, 2**64 - 1, True), (2_500, at(0.2499), True), (2_500, at(0.2501), False)],
)
def test_copy_goes_to_a_shadow_by_its_share(way: str, share: int, bits: int, copied: bool) -> None:
    """Share 0 copies nothing, WEIGHT_ONE everything."""
    assert [run_way(way, versions.shadows)(share, form) for form in forms(way, bits)] == [copied, copied]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("weight", "expected"),
    [(0, (7_000, 0, 2_000, 1_000)), (5_000, (3_500, 3_500, 2_000, 1_000)), (WEIGHT_ONE, (0, 7_000, 2_000, 1_000))],
)
def test_rollout_moves_what_canary_and_stable_share(way: str, weight: int, expected: tuple[int, ...]) -> None:
    """The 30 % of the two others stay theirs, whatever the rollout does with its 70 %."""
    moved = run_way(way, with_canary)(MIXED, weight)
    assert tuple(moved.weights[:4]) == expected
    assert (moved.loaded, moved.stable, moved.canary) == (4, 0, 1)


@pytest.mark.parametrize("way", WAYS)
def test_weights_without_a_canary_do_not_move(way: str) -> None:
    """Where no rollout is, there is nothing to move."""
    weights = version_weights(weights=[5_000, 5_000])
    assert VersionWeights(*run_way(way, with_canary)(weights, 7_000)) == weights


@st.composite
def loaded_versions(draw: st.DrawFn) -> VersionWeights:
    """Return weights of two to eight versions, any of them stable and another one the canary."""
    count = draw(st.integers(2, VERSIONS_MAX))
    edges = sorted(draw(st.lists(st.integers(0, WEIGHT_ONE), min_size=count - 1, max_size=count - 1)))
    weights = [high - low for low, high in zip([0, *edges], [*edges, WEIGHT_ONE], strict=True)]
    stable, canary = draw(st.permutations(range(count)))[:2]
    return version_weights(weights=weights, stable=stable, canary=canary)


@given(loaded_versions(), st.integers(0, WEIGHT_ONE), st.integers(0, WEIGHT_ONE), st.integers(0, 2**64 - 1))
def test_key_stays_on_its_arm_while_the_canary_grows(
    weights: VersionWeights, first: int, second: int, bits: int
) -> None:
    """A canary that grows takes from the stable version alone: nobody else is moved, and nobody back."""
    low, high = sorted((first, second))
    before, after = choose(with_canary(weights, low), bits, UNSET), choose(with_canary(weights, high), bits, UNSET)
    assert after == before or (before, after) == (weights.stable, weights.canary)


@given(loaded_versions(), st.integers(0, WEIGHT_ONE))
def test_weights_add_up_to_one_always(weights: VersionWeights, canary_weight: int) -> None:
    """Wherever a rollout stands, all requests go somewhere, and no weight is below 0."""
    moved = with_canary(weights, canary_weight)
    assert sum(moved.weights) == WEIGHT_ONE
    assert min(moved.weights) >= 0


def test_points_spread_evenly_have_exactly_the_shares_of_the_weights() -> None:
    """One point in the middle of each of the 10,000 parts: each version has as many as its weight says."""
    chosen = [choose(MIXED, ((2 * part + 1) << 63) // WEIGHT_ONE, UNSET) for part in range(WEIGHT_ONE)]
    assert [chosen.count(version) for version in range(4)] == [6_000, 1_000, 2_000, 1_000]


@pytest.mark.parametrize("keys", ["user-{}", "{}", "0000000000{}@example.org"])
def test_sticky_keys_have_the_shares_of_the_weights(keys: str) -> None:
    """20,000 keys that differ in their last digits only: each share within four standard errors."""
    chosen = [choose(MIXED, sticky_bits(keys.format(number)), UNSET) for number in range(20_000)]
    for version, share in enumerate((0.6, 0.1, 0.2, 0.1)):
        error = (share * (1 - share) / 20_000) ** 0.5
        assert chosen.count(version) / 20_000 == pytest.approx(share, abs=4 * error)


@pytest.mark.parametrize(
    ("key", "fnv"), [("", 0xCBF29CE484222325), ("a", 0xAF63DC4C8601EC8C), ("foobar", 0x85944171F73967E8)]
)
def test_sticky_bits_are_those_of_fnv_1a_mixed(key: str, fnv: int) -> None:
    """Against the published test vectors of FNV-1a, so that other languages can hash alike."""
    assert sticky_bits(key) == mix(fnv)


def test_salt_deals_users_anew() -> None:
    """Of the tenth of users that one experiment takes, another takes a tenth; without a salt it would take them all."""
    canary = version_weights(weights=[9_000, 1_000], canary=1)
    first, second = ([choose(canary, sticky_bits(f"user-{n}", salt), UNSET) for n in range(20_000)] for salt in (1, 2))
    both = sum(a == b == 1 for a, b in zip(first, second, strict=True))
    assert both == pytest.approx(200, abs=4 * 200**0.5)


def test_text_that_is_no_valid_unicode_has_bits_too() -> None:
    """A header may carry bytes that decode to lone surrogates: the server must not fail over a cookie."""
    assert 0 <= sticky_bits("caf\udce9") < 2**64


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"weights": []}, "versions must be 1 to 8 versions. Got 0."),
    ({"weights": [10_000] + [0] * 8}, "versions must be 1 to 8 versions. Got 9."),
    ({"weights": [9_000, 1_500]}, "versions.weight must be 100% in sum over all versions. Got 105%."),
    ({"weights": [11_000, -1_000]}, "versions.weight must be a whole number from 0 to 10000. Got 11000."),
    ({"weights": [10_000], "stable": 1}, "versions.stable must be a whole number from 0 to 0. Got 1."),
    ({"weights": [10_000, 0], "canary": 2}, "versions.canary must be a whole number from 0 to 1. Got 2."),
    ({"weights": [10_000, 0], "canary": 0}, "versions.canary must be another version than the stable one. Got 0."),
]


@pytest.mark.parametrize(("options", "sentence"), REFUSED, ids=[row[1][:50] for row in REFUSED])
def test_weights_out_of_range_are_refused_with_a_sentence(options: dict[str, Any], sentence: str) -> None:
    """One sentence that names the key, what is allowed and what came."""
    with pytest.raises(SettingError) as refusal:
        version_weights(**options)
    assert str(refusal.value) == sentence
