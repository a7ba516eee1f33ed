"""What /metrics tells Prometheus. Counted from finished rows, so that the numbers and the timeline cannot disagree."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from policy.timeline import Attempt, Outcome, Pass, Reason

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_MEMBERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_ENDS = (
    (Outcome.ANSWERED, Reason.NONE),
    (Outcome.REFUSED, Reason.QUEUE_FULL),
    (Outcome.REFUSED, Reason.DRAINING),
    (Outcome.TIMED_OUT, Reason.NONE),
    (Outcome.ABANDONED, Reason.NONE),
    (Outcome.FAILED, Reason.NONE),
)


class Metrics:
    """The counters of one server, in a registry of their own."""

    def __init__(self, waiting: Callable[[], int], running: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)  # process_cpu_seconds_total and its kin, of the server alone
        requests = Counter(
            "servecast_requests",
            "Requests that reached the handler and are over, by outcome and reason.",
            ["outcome", "reason"],
            registry=self._registry,
        )
        self._requests = {
            (int(outcome), int(reason)): requests.labels(outcome.name.lower(), reason.name.lower())
            for outcome, reason in _ENDS
        }
        self._malformed = Counter(
            "servecast_malformed_requests",
            "Requests turned away with a 4xx before admission; they have no timeline row.",
            ["status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "servecast_request_seconds",
            "Time from the receipt of an answered request to its written response.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._members = Histogram(
            "servecast_batch_size", "Requests in a pass.", buckets=_MEMBERS, registry=self._registry
        )
        self._pass_seconds = Histogram(
            "servecast_pass_seconds", "Time of a pass on its device.", buckets=_SECONDS, registry=self._registry
        )
        _gauge("servecast_waiting_requests", "Requests accepted and not in a running pass.", waiting, self._registry)
        _gauge("servecast_running_passes", "Passes handed to an instance.", running, self._registry)

    def count_attempt(self, row: Attempt) -> None:
        """Count an attempt that is over."""
        # After a refusal a client may hang up before it is written: the outcome counts, whatever the reason was.
        reason = row.reason if row.outcome == Outcome.REFUSED else Reason.NONE
        self._requests[row.outcome, reason].inc()
        if row.outcome == Outcome.ANSWERED:
            self._seconds.observe((row.answered_ns - row.received_ns) / 1e9)

    def count_pass(self, row: Pass) -> None:
        """Count a pass that is over; one that was lost has no time."""
        self._members.observe(row.batch_size)
        if row.ended_ns > 0:
            self._pass_seconds.observe((row.ended_ns - row.started_ns) / 1e9)

    def count_malformed(self, status: int) -> None:
        """Count a request that never reached the dispatcher."""
        self._malformed.labels(str(status)).inc()

    def render(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return generate_latest(self._registry)


def _gauge(name: str, text: str, read: Callable[[], int], registry: CollectorRegistry) -> None:
    """Register a figure that is read when somebody asks for it."""
    Gauge(name, text, registry=registry).set_function(read)
