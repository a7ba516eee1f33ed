"""What /metrics tells Prometheus. Counted from finished rows, so that the numbers and the timeline cannot disagree."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from policy.instant import UNSET
from policy.timeline import Attempt, Outcome, Pass, Reason
from reference_server.backends import BadInput, Output

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_MEMBERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_ENDS = (
    (Outcome.ANSWERED, Reason.NONE),
    *((Outcome.REFUSED, reason) for reason in Reason if reason != Reason.NONE),
    (Outcome.TIMED_OUT, Reason.NONE),
    (Outcome.ABANDONED, Reason.NONE),
    (Outcome.FAILED, Reason.NONE),
)


class Metrics:
    """The counters of one server, in a registry of their own."""

    def __init__(
        self,
        waiting: Callable[[], int],
        running: Callable[[], int],
        ready: Callable[[], int] = lambda: 1,
        wanted: Callable[[], int] = lambda: 1,
    ) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)  # process_cpu_seconds_total and its kin, of the server alone
        self._requests = _Ends()
        self._registry.register(self._requests)
        self._malformed = Counter(
            "servecast_malformed_requests",
            "Requests turned away with a 4xx before admission; they have no timeline row.",
            ["status"],
            registry=self._registry,
        )
        self._seconds = _Histogram(
            "servecast_request_seconds",
            "Time from the receipt of an answered request to its written response.",
            _SECONDS,
        )
        self._registry.register(self._seconds)
        self._members = Histogram(
            "servecast_batch_size", "Requests in a pass.", buckets=_MEMBERS, registry=self._registry
        )
        self._pass_seconds = Histogram(
            "servecast_pass_seconds", "Time of a pass, by its process.", buckets=_SECONDS, registry=self._registry
        )
        self._device_seconds = Histogram(
            "servecast_device_seconds",
            "Time of a pass by the clock of its device, where the backend tells it.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._bad_inputs = Counter(
            "servecast_bad_inputs",
            "Requests whose input the model did not take; their outcome is answered, their status a 4xx.",
            registry=self._registry,
        )
        self._restarts = Counter(
            "servecast_replica_restarts", "Replica processes that were lost and replaced.", registry=self._registry
        )
        self._stale_frames = Counter(
            "servecast_stale_frames",
            "Messages of replica processes that belonged to no running pass and were dropped.",
            registry=self._registry,
        )
        _gauge("servecast_waiting_requests", "Requests accepted and not in a running pass.", waiting, self._registry)
        _gauge("servecast_running_passes", "Passes handed to an instance.", running, self._registry)
        _gauge("servecast_ready_replicas", "Replicas that take requests.", ready, self._registry)
        _gauge("servecast_wanted_replicas", "Replicas that are wanted.", wanted, self._registry)

    def count_attempt(self, row: Attempt) -> None:
        """Count an attempt that is over."""
        # After a refusal a client may hang up before it is written: the outcome counts, whatever the reason was.
        reason = row.reason if row.outcome == Outcome.REFUSED else Reason.NONE
        self._requests.counts[row.outcome, reason] += 1
        if row.outcome == Outcome.ANSWERED:
            self._seconds.observe((row.answered_ns - row.received_ns) / 1e9)

    def count_pass(self, row: Pass) -> None:
        """Count a pass that is over; one that was lost has no time."""
        self._members.observe(row.batch_size)
        if row.ended_ns > 0:
            self._pass_seconds.observe((row.ended_ns - row.started_ns) / 1e9)

    def count_results(self, device_ns: int, outputs: Sequence[Output]) -> None:
        """Count what a replica says beyond the rows: time on the device (UNSET: it does not say), bad inputs."""
        if device_ns != UNSET:
            self._device_seconds.observe(device_ns / 1e9)
        for output in outputs:
            if isinstance(output, BadInput):
                self._bad_inputs.inc()

    def count_restart(self) -> None:
        """Count a replica process that was lost."""
        self._restarts.inc()

    def count_stale_frame(self) -> None:
        """Count a message that was dropped."""
        self._stale_frames.inc()

    def count_malformed(self, status: int) -> None:
        """Count a request that never reached the dispatcher."""
        self._malformed.labels(str(status)).inc()

    def render(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return generate_latest(self._registry)


def _gauge(name: str, text: str, read: Callable[[], int], registry: CollectorRegistry) -> None:
    """Register a figure that is read when somebody asks for it."""
    Gauge(name, text, registry=registry).set_function(read)


# prometheus_client's own take a lock for every count. What is counted for every request is counted here in plain
# numbers of one thread and given out when somebody asks: 0.5 us a request in place of 5.


class _Ends:
    """How many attempts ended in which way."""

    def __init__(self) -> None:
        self.counts = {(int(outcome), int(reason)): 0 for outcome, reason in _ENDS}

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield what Prometheus is told."""
        text = "Requests that reached the handler and are over, by outcome and reason."
        family = CounterMetricFamily("servecast_requests", text, labels=["outcome", "reason"])
        for (outcome, reason), count in self.counts.items():
            family.add_metric([Outcome(outcome).name.lower(), Reason(reason).name.lower()], count)
        yield family


class _Histogram:
    """How many values lie up to each bound, and their sum."""

    def __init__(self, name: str, text: str, bounds: tuple[float, ...]) -> None:
        self._name, self._text, self._bounds = name, text, bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield what Prometheus is told."""
        buckets, total = [], 0
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            total += count
            buckets.append(("+Inf" if bound == float("inf") else str(bound), float(total)))
        yield HistogramMetricFamily(self._name, self._text, buckets=buckets, sum_value=self._sum)
