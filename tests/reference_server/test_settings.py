"""What a server may be started with."""

from __future__ import annotations

import json

import pytest

from policy import settings as rules
from policy.errors import SettingError
from reference_server.replica_pool import FleetRules
from reference_server.settings import ServerSettings, VersionSettings, in_words
from tests.reference_server.live import MS, server_settings


def bare(instances: int = 1, **changes: float) -> ServerSettings:
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
    ],
)
def test_setting_out_of_range_is_refused(changes: dict[str, int], key: str) -> None:
    """The sentence names the key and what is allowed."""
    with pytest.raises(SettingError, match=f"{key} must be a whole number from") as caught:
        bare(**changes)
    assert caught.value.key == key


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
