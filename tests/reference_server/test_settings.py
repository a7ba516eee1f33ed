"""What a server may be started with."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from policy import settings as rules
from policy.autoscaling_settings import fixed_fleet
from policy.errors import SettingError
from policy.rollout_settings import version_weights
from reference_server.replica_pool import FleetRules
from reference_server.settings import ServerSettings, VersionSettings, in_words
from reference_server.version_shares import VersionRules
from tests.reference_server.live import MS, server_settings


def bare(instances: int = 1, **changes: object) -> ServerSettings:
    """Return settings with only the changed ones given."""
    fleet = FleetRules(
        rules.batching_rule(max_batch=1, max_wait_ns=0),
        rules.admission_rule(cap=None),
        rules.deadline_rule(deadline_ns=None),
        instances=instances,
    )
    return ServerSettings(versions=(VersionSettings(fleet, {}),), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"port": -1}, "server.port"),
        ({"port": 65_536}, "server.port"),
        ({"instances": 0}, "server.instances"),
        ({"body_limit": 0}, "server.body_limit"),
        ({"timeline_rows": 0}, "server.timeline_rows"),
        ({"connections_max": 0}, "server.connections_max"),
        ({"outcome_rows": 0}, "server.outcome_rows"),
    ],
)
def test_setting_out_of_range_is_refused(changes: dict[str, int], key: str) -> None:
    """The sentence names the key and what is allowed."""
    with pytest.raises(SettingError, match=f"{key} must be a whole number from") as caught:
        bare(**changes)
    assert caught.value.key == key


@pytest.mark.parametrize(
    "token", ["", "fifteen letters", "x" * 1_025, "a token with spaces", "umlauts-\xe4\xf6\xfc-in-it"]
)
def test_admin_token_is_long_and_fits_a_header_and_is_not_shown(token: str) -> None:
    """The sentence of its refusal says how long it is, and nothing of what it is."""
    with pytest.raises(SettingError) as caught:
        bare(admin_token=token)
    sentence = "server.admin_token must be 16 to 1024 characters of visible ASCII. Got"
    assert str(caught.value) == f"{sentence} {len(token)} characters, not shown."


def test_processes_are_those_of_the_largest_fleets() -> None:
    """One for each instance of each replica that there may be, of all versions together."""
    fleet = bare(3).versions[0].rules._replace(replicas=2)
    scaled = fleet._replace(instances=1, autoscaler=fixed_fleet()._replace(replicas_max=5))
    versions = (VersionSettings(fleet, {}), VersionSettings(scaled, {}, name="v2"))
    shares = VersionRules(version_weights(weights=[5_000, 5_000]))
    assert ServerSettings(versions=versions, shares=shares).processes_max == 3 * 2 + 5


def test_admin_token_is_in_no_text_of_the_settings() -> None:
    """Neither as Python shows them nor as GET /config does."""
    settings = bare(admin_token="sixteen-letters!")
    assert settings.admin_token == "sixteen-letters!"
    assert "sixteen" not in f"{settings!r} {settings} {json.dumps(in_words(settings))}"


@pytest.mark.parametrize("name", ["", "-v1", "a b", "a/b", "v1?", "caf\xe9", "x" * 64])
def test_name_of_a_version_fits_a_path(name: str) -> None:
    """It is what requests name it by."""
    with pytest.raises(SettingError, match=r"server\.versions\.name must be 1 to 63 letters, digits, dots"):
        replace(bare(), versions=(replace(bare().versions[0], name=name),))


def test_two_versions_have_two_names() -> None:
    """Else nobody could name the second one."""
    with pytest.raises(SettingError, match=r"server\.versions\.name must be another one .* Got v1 twice"):
        replace(bare(), versions=bare().versions * 2, shares=VersionRules(version_weights(weights=[5_000, 5_000])))


@pytest.mark.parametrize("key", ["pass_timeout", "start_timeout"])
def test_time_limit_of_a_process_is_above_zero(key: str) -> None:
    """A limit of nothing would kill every process at its first pass."""
    with pytest.raises(SettingError, match=rf"server\.{key} must be a time from 1 ?ns to .* Got 0"):
        bare(**{f"{key}_ns": 0})


def test_blocking_server_has_one_instance() -> None:
    """Passes in the event loop cannot run two at once."""
    assert bare(blocking=True).blocking
    with pytest.raises(SettingError, match=r"server\.instances must be 1 where passes run in the event loop\. Got 2\."):
        bare(blocking=True, instances=2)


@pytest.mark.parametrize("value", [0.0, -1.0, 3_601.0, float("nan")])
def test_time_to_receive_a_request_is_bounded(value: float) -> None:
    """Without an end a sender of a byte a second would hold its connection for ever."""
    with pytest.raises(SettingError, match=r"server\.receive_timeout must be more than 0 and at most 3600 seconds"):
        bare(receive_timeout_s=value)


def test_rules_in_words_are_those_of_the_scenario_file() -> None:
    """GET /config shows names, no numbers of enums; what is not limited is null."""
    words = in_words(server_settings(max_batch=8, max_wait_ns=5 * MS, cap=7, deadline_ns=9 * MS, instances=2))
    assert words["batching"] == {
        "max_batch": 8,
        "max_wait_ns": 5 * MS,
        "timer_origin": "enqueue",
        "freeze": "pull",
        "collector": "dispatcher",
        "slots": 2,
        "preferred_sizes": [],
    }
    assert words["queue"] == {"cap": 7, "deadline_ns": 9 * MS}
    assert in_words(bare())["queue"] == {"cap": None, "deadline_ns": None}
    json.dumps(words)
