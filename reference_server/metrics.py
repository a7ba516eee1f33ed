"""What /metrics tells Prometheus. Counted from finished rows, so that the numbers and the timeline cannot disagree."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from policy.instant import UNSET
from policy.timeline import Attempt, Outcome, Pass, Reason
from policy.versions import WEIGHT_ONE
from reference_server.backends import BadInput, Output
from reference_server.dispatcher import Dispatcher
from reference_server.replica_pool import ReplicaPool
from reference_server.version_shares import VersionShares

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
    """The counters of one server, in a registry of their own. `versions` are the names of the core's versions."""

    def __init__(self, versions: Sequence[str], core: Dispatcher) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)  # process_cpu_seconds_total and its kin, of the server alone
        self._requests = _Ends(versions)
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
        self._registry.register(_OfVersions(versions, core))

    def count_attempt(self, row: Attempt) -> None:
        """Count an attempt that is over."""
        # After a refusal a client may hang up before it is written: the outcome counts, whatever the reason was.
        reason = row.reason if row.outcome == Outcome.REFUSED else Reason.NONE
        self._requests.counts[row.version, row.outcome, reason] += 1
        if row.outcome == Outcome.ANSWERED:
            self._seconds.observe((row.answered_ns - row.received_ns) / 1e9)

    def ends_of(self, version: int) -> dict[str, int]:
        """Return how many attempts of a version ended in which way, by the outcome's name."""
        ends = dict.fromkeys((Outcome(outcome).name.lower() for outcome, _ in _ENDS), 0)
        for (of, outcome, _), count in self._requests.counts.items():
            if of == version:
                ends[Outcome(outcome).name.lower()] += count
        return ends

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


class _OfVersions:
    """What is read off each version when somebody asks for it."""

    def __init__(self, versions: Sequence[str], core: Dispatcher) -> None:
        self._versions = versions
        self._core = core

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield what Prometheus is told."""
        pools, shares = self._core.pools, self._core.shares
        figures = (
            ("servecast_waiting_requests", "Requests accepted and not in a running pass.", lambda pool: pool.waiting),
            ("servecast_running_passes", "Passes handed to an instance.", lambda pool: pool.running),
            ("servecast_ready_replicas", "Replicas that take requests.", lambda pool: pool.ready),
            ("servecast_wanted_replicas", "Replicas that are wanted.", lambda pool: pool.wanted),
            ("servecast_version_weight", "Share of the requests, 0..1.", lambda pool: _share(shares, pool, 0)),
            ("servecast_version_shadow", "Share that it gets copies of, 0..1.", lambda pool: _share(shares, pool, 1)),
        )
        for name, text, read in figures:
            family = GaugeMetricFamily(name, text, labels=["version"])
            for version, pool in zip(self._versions, pools, strict=True):
                family.add_metric([version], read(pool))
            yield family


def _share(shares: VersionShares, pool: ReplicaPool, which: int) -> float:
    return shares.of(pool.version)[which] / WEIGHT_ONE


# prometheus_client's own take a lock for every count. What is counted for every request is counted here in plain
# numbers of one thread and given out when somebody asks: 0.5 us a request in place of 5.


class _Ends:
    """How many attempts ended in which way, by version; some came to none."""

    def __init__(self, versions: Sequence[str]) -> None:
        self._names = {UNSET: "", **dict(enumerate(versions))}
        self.counts = {(version, int(outcome), int(reason)): 0 for version in self._names for outcome, reason in _ENDS}

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield what Prometheus is told."""
        text = "Requests that reached the handler and are over, by version, outcome and reason."
        family = CounterMetricFamily("servecast_requests", text, labels=["version", "outcome", "reason"])
        for (version, outcome, reason), count in self.counts.items():
            labels = [self._names[version], Outcome(outcome).name.lower(), Reason(reason).name.lower()]
            family.add_metric(labels, count)
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
