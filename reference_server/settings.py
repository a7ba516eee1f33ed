"""What a server is started with. Rules come checked from policy/settings.py; the rest is checked here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from policy.admission import NO_CAP, AdmissionRule
from policy.batching import BatchingRule, Collector, Freeze, TimerOrigin
from policy.deadlines import DeadlineRule
from policy.instant import NEVER_NS
from policy.settings import check_count

__all__ = ["ServerSettings", "in_words"]

_PORT_MAX = 65_535
_BODY_MAX = 2**30
_ROWS_MAX = 10_000_000


@dataclass(frozen=True)
class ServerSettings:
    """Everything that `serve` needs. Raises policy.errors.SettingError."""

    batching: BatchingRule
    admission: AdmissionRule
    deadline: DeadlineRule
    backend_settings: Mapping[str, object]  # keyword arguments of the backend; JSON carries them to its process
    backend: str = "emulated"  # a name in backends.BACKENDS, or "package.module:Class"
    instances: int = 1  # replica processes
    host: str = "127.0.0.1"
    port: int = 8080  # 0: any free one
    name: str = ""  # of the scenario, for GET /config
    body_limit: int = 2**20  # bytes of a request's body
    timeline_rows: int = 200_000  # attempts and passes each: at most 240 bytes of memory for a pair
    timeline_file: Path | None = None  # written when the server stops

    def __post_init__(self) -> None:
        check_count("server.instances", self.instances)
        check_count("server.port", self.port, 0, _PORT_MAX)
        check_count("server.body_limit", self.body_limit, 1, _BODY_MAX)
        check_count("server.timeline_rows", self.timeline_rows, 1, _ROWS_MAX)


def in_words(settings: ServerSettings) -> dict[str, object]:
    """Return the rules in force with the names of a scenario file, times in ns, for JSON."""
    rule = settings.batching
    deadline_ns = settings.deadline.deadline_ns
    return {
        "name": settings.name,
        "backend": settings.backend,
        "instances": settings.instances,
        "batching": {
            "max_batch": rule.max_batch,
            "max_wait_ns": rule.max_wait_ns,
            "timer_origin": TimerOrigin(rule.timer_origin).name.lower(),
            "freeze": Freeze(rule.freeze).name.lower(),
            "collector": Collector(rule.collector).name.lower(),
            "slots": rule.slots,
            "preferred_sizes": rule.preferred[: rule.preferred_count],
        },
        "queue": {
            "cap": None if settings.admission.cap == NO_CAP else settings.admission.cap,
            "deadline_ns": None if deadline_ns == NEVER_NS else deadline_ns,
        },
        "body_limit": settings.body_limit,
        "timeline_rows": settings.timeline_rows,
    }
