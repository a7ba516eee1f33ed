"""What a server is started with. Rules come checked from policy; the rest is checked here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from policy.autoscaling_settings import autoscaling_in_words, fixed_fleet
from policy.errors import SettingError
from policy.fleet import Drain
from policy.rollout_settings import VERSION_NAME, VERSION_NAME_ALLOWED, shares_in_words
from policy.settings import check_count, check_time_ns, routing_in_words, rules_in_words
from reference_server.replica_pool import FleetRules
from reference_server.version_shares import ONE_VERSION, VersionRules

__all__ = ["ServerSettings", "VersionSettings", "fleet_in_words", "in_words"]

_PORT_MAX = 65_535
_BODY_MAX = 2**30
_ROWS_MAX = 10_000_000
_CONNECTIONS_MAX = 1_000_000
_RECEIVE_MAX_S = 3_600.0
_FIXED = fixed_fleet()
_TOKEN = re.compile(r"[\x21-\x7e]{16,1024}")  # what a header can carry, and too much to guess


@dataclass(frozen=True)
class VersionSettings:
    """One version of the model, and the fleet that serves it."""

    rules: FleetRules
    backend_settings: Mapping[str, object]  # keyword arguments of the backend; JSON carries them to its process
    backend: str = "emulated"  # a name in backends.BACKENDS, or "package.module:Class"
    name: str = "v1"
    model: Mapping[str, object] = field(default_factory=dict)  # what is served, in words that tell it from others


@dataclass(frozen=True)
class ServerSettings:
    """Everything that `serve` needs. Raises policy.errors.SettingError."""

    versions: tuple[VersionSettings, ...]
    shares: VersionRules = ONE_VERSION
    salt: int = 0  # of sticky keys
    seed: int = 0  # of the dice of routing and of the choice of versions
    host: str = "127.0.0.1"
    port: int = 8080  # 0: any free one
    name: str = ""  # of the scenario, for GET /config
    body_limit: int = 2**20  # bytes of a request's body
    receive_timeout_s: float = 10.0  # for a request to come in, from its first byte to its last
    connections_max: int = 10_000
    timeline_rows: int = 200_000  # attempts and passes each: at most 248 bytes of memory for a pair
    timeline_file: Path | None = None  # written when the server stops
    journal_file: Path | None = None  # written while it runs, see journal.py
    admin_token: str | None = field(default=None, repr=False)  # of /admin; None: it is closed to everybody
    outcome_rows: int = 100_000  # answers whose outcome may still be reported: about 120 bytes of memory each
    pass_timeout_ns: int = 60 * 10**9  # a pass that takes longer costs its process its life
    start_timeout_ns: int = 120 * 10**9  # of a replica process, until its backend is ready
    blocking: bool = False  # run passes in the event loop: a mistake, to be looked at

    def __post_init__(self) -> None:
        check_count("server.versions", len(self.versions), self.shares.weights.loaded, self.shares.weights.loaded)
        self._check_names()
        if self.admin_token is not None and not _TOKEN.fullmatch(self.admin_token):
            allowed = "16 to 1024 characters of visible ASCII"
            raise SettingError("server.admin_token", allowed, f"{len(self.admin_token)} characters, not shown")
        for version in self.versions:
            check_count("server.instances", version.rules.instances)
            check_count("server.replicas", version.rules.replicas, 0)
        check_count("server.port", self.port, 0, _PORT_MAX)
        check_count("server.body_limit", self.body_limit, 1, _BODY_MAX)
        check_count("server.connections_max", self.connections_max, 1, _CONNECTIONS_MAX)
        _check_seconds("server.receive_timeout", self.receive_timeout_s)
        check_count("server.timeline_rows", self.timeline_rows, 1, _ROWS_MAX)
        check_count("server.outcome_rows", self.outcome_rows, 1, _ROWS_MAX)
        check_time_ns("server.pass_timeout", self.pass_timeout_ns, 1)
        check_time_ns("server.start_timeout", self.start_timeout_ns, 1)
        if self.blocking:
            self._check_blocking()

    def _check_names(self) -> None:
        """Raise SettingError for a name that no path could carry, or that two versions have."""
        names = [version.name for version in self.versions]
        for name in names:
            if not re.fullmatch(VERSION_NAME, name):
                raise SettingError("server.versions.name", VERSION_NAME_ALLOWED, repr(name[:80]))
            if names.count(name) > 1:
                raise SettingError("server.versions.name", "another one for each version", f"{name} twice")

    def _check_blocking(self) -> None:
        """Raise SettingError for what one event loop that does everything cannot do."""
        rules = self.versions[0].rules
        for key, count in (
            ("server.versions", len(self.versions)),
            ("server.instances", rules.instances),
            ("server.replicas", _replicas_max(rules)),
        ):
            if count != 1:
                raise SettingError(key, "1 where passes run in the event loop", count)

    @property
    def processes_max(self) -> int:
        """How many replica processes there may be at once, if each hosts one instance."""
        return sum(version.rules.instances * _replicas_max(version.rules) for version in self.versions)

    @property
    def fleets(self) -> tuple[FleetRules, ...]:
        """The rules of the fleet of each version."""
        return tuple(version.rules for version in self.versions)


def _replicas_max(rules: FleetRules) -> int:
    return rules.replicas if rules.autoscaler == _FIXED else rules.autoscaler.replicas_max


def fleet_in_words(rules: FleetRules) -> dict[str, Any]:
    """Return the rules of a fleet with the names of a scenario file, times in ns, for JSON."""
    return {
        "instances": rules.instances,
        "replicas": rules.replicas,
        "loaded": rules.loaded,
        "routing": routing_in_words(rules.routing, rules.admission),
        "autoscaler": autoscaling_in_words(rules.autoscaler),
        "drain": Drain(rules.drain).name.lower(),
        **rules_in_words(rules.batching, rules.admission, rules.deadline),
    }


def in_words(settings: ServerSettings) -> dict[str, object]:
    """Return what is in force for JSON: the rules of the first version, and those of all where there are several."""
    first, several = settings.versions[0], len(settings.versions) > 1
    return {
        "name": settings.name,
        **_version_in_words(first),
        "versions": [{"name": each.name, **_version_in_words(each)} for each in settings.versions] if several else [],
        "shares": shares_in_words(*settings.shares),
        "salt": str(settings.salt),
        "body_limit": settings.body_limit,
        "timeline_rows": settings.timeline_rows,
    }


def _version_in_words(version: VersionSettings) -> dict[str, object]:
    return {"backend": version.backend, "model": dict(version.model), **fleet_in_words(version.rules)}


def _check_seconds(key: str, value: float) -> None:
    if not 0 < value <= _RECEIVE_MAX_S:
        raise SettingError(key, f"more than 0 and at most {_RECEIVE_MAX_S:g} seconds", value)
