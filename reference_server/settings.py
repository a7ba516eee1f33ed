"""What a server is started with. Rules come checked from policy/settings.py; the rest is checked here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from policy.admission import AdmissionRule
from policy.autoscaling_rule import AutoscalingRule
from policy.autoscaling_settings import autoscaling_in_words, fixed_fleet
from policy.batching import BatchingRule
from policy.deadlines import DeadlineRule
from policy.errors import SettingError
from policy.fleet import Drain
from policy.routing import RoutingRule
from policy.settings import check_count, check_time_ns, routing_in_words, routing_rule, rules_in_words
from reference_server.dispatcher import FleetRules

__all__ = ["ServerSettings", "in_words"]

_PORT_MAX = 65_535
_BODY_MAX = 2**30
_ROWS_MAX = 10_000_000
_CONNECTIONS_MAX = 1_000_000
_RECEIVE_MAX_S = 3_600.0
_ROUND_ROBIN = routing_rule()
_FIXED = fixed_fleet()


@dataclass(frozen=True)
class ServerSettings:
    """Everything that `serve` needs. Raises policy.errors.SettingError."""

    batching: BatchingRule
    admission: AdmissionRule
    deadline: DeadlineRule
    backend_settings: Mapping[str, object]  # keyword arguments of the backend; JSON carries them to its process
    backend: str = "emulated"  # a name in backends.BACKENDS, or "package.module:Class"
    instances: int = 1  # of each replica
    replicas: int = 1  # that are there from the start
    routing: RoutingRule = _ROUND_ROBIN
    autoscaler: AutoscalingRule = _FIXED
    drain: int = int(Drain.YOUNGEST)  # policy.fleet.Drain
    seed: int = 0  # of the dice of routing
    host: str = "127.0.0.1"
    port: int = 8080  # 0: any free one
    name: str = ""  # of the scenario, for GET /config
    model: Mapping[str, object] = field(default_factory=dict)  # what is served, in words that tell it from others
    body_limit: int = 2**20  # bytes of a request's body
    receive_timeout_s: float = 10.0  # for a request to come in, from its first byte to its last
    connections_max: int = 10_000
    timeline_rows: int = 200_000  # attempts and passes each: at most 248 bytes of memory for a pair
    timeline_file: Path | None = None  # written when the server stops
    journal_file: Path | None = None  # written while it runs, see journal.py
    pass_timeout_ns: int = 60 * 10**9  # a pass that takes longer costs its process its life
    start_timeout_ns: int = 120 * 10**9  # of a replica process, until its backend is ready
    blocking: bool = False  # run passes in the event loop: a mistake, to be looked at

    def __post_init__(self) -> None:
        check_count("server.instances", self.instances)
        check_count("server.replicas", self.replicas, 0)
        check_count("server.port", self.port, 0, _PORT_MAX)
        check_count("server.body_limit", self.body_limit, 1, _BODY_MAX)
        check_count("server.connections_max", self.connections_max, 1, _CONNECTIONS_MAX)
        _check_seconds("server.receive_timeout", self.receive_timeout_s)
        check_count("server.timeline_rows", self.timeline_rows, 1, _ROWS_MAX)
        check_time_ns("server.pass_timeout", self.pass_timeout_ns, 1)
        check_time_ns("server.start_timeout", self.start_timeout_ns, 1)
        if self.blocking and self.instances != 1:
            raise SettingError("server.instances", "1 where passes run in the event loop", self.instances)
        if self.blocking and (self.replicas != 1 or self.autoscaler != _FIXED):
            raise SettingError("server.replicas", "1 where passes run in the event loop", self.replicas)

    @property
    def fleet(self) -> FleetRules:
        """The rules of the fleet."""
        rules = (self.batching, self.admission, self.deadline, self.routing, self.autoscaler, self.drain)
        return FleetRules(*rules, self.replicas, self.instances)


def in_words(settings: ServerSettings) -> dict[str, object]:
    """Return the rules in force with the names of a scenario file, times in ns, for JSON."""
    return {
        "name": settings.name,
        "backend": settings.backend,
        "model": dict(settings.model),
        "instances": settings.instances,
        "replicas": settings.replicas,
        "routing": routing_in_words(settings.routing, settings.admission),
        "autoscaler": autoscaling_in_words(settings.autoscaler),
        "drain": Drain(settings.drain).name.lower(),
        **rules_in_words(settings.batching, settings.admission, settings.deadline),
        "body_limit": settings.body_limit,
        "timeline_rows": settings.timeline_rows,
    }


def _check_seconds(key: str, value: float) -> None:
    if not 0 < value <= _RECEIVE_MAX_S:
        raise SettingError(key, f"more than 0 and at most {_RECEIVE_MAX_S:g} seconds", value)
