"""What /metrics says after given rows."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from policy.settings import admission_rule, batching_rule, deadline_rule
from policy.timeline import Attempt, Outcome, Pass, Reason
from reference_server.actions import Arrived, Returned
from reference_server.backends import BadInput
from reference_server.dispatch_loop import SeededDice
from reference_server.dispatcher import Dispatcher
from reference_server.metrics import Metrics
from reference_server.replica_pool import FleetRules

MS = 1_000_000

LABELS = ("version", "outcome", "reason", "status", "le")  # in the order of the keys of figures()


def core() -> Dispatcher:
    """Return the core of a server that has one version and has done nothing."""
    rules = batching_rule(max_batch=1, max_wait_ns=0), admission_rule(cap=None), deadline_rule(deadline_ns=None)
    return Dispatcher([FleetRules(*rules)], SeededDice(0))


def fresh() -> Metrics:
    """Return its metrics."""
    return Metrics(["v1"], core())


def attempt(outcome: Outcome, reason: Reason = Reason.NONE, answered_ns: int = -1) -> Attempt:
    """Return a row that was received at 0."""
    row = dict.fromkeys(Attempt._fields, -1)
    return Attempt(
        **{**row, "version": 0, "received_ns": 0, "answered_ns": answered_ns, "outcome": outcome, "reason": reason}
    )


def figures(metrics: Metrics) -> dict[tuple[str, str], float]:
    """Return all samples by name and the values of their labels."""
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        (sample.name, ",".join(sample.labels[label] for label in LABELS if label in sample.labels)): sample.value
        for family in families
        for sample in family.samples
    }


def test_attempts_are_counted_by_outcome_and_reason() -> None:
    """Every end of an attempt has its own counter; only answers have a latency."""
    metrics = fresh()
    metrics.count_attempt(attempt(Outcome.ANSWERED, answered_ns=3 * MS))
    metrics.count_attempt(attempt(Outcome.ANSWERED, answered_ns=30 * MS))
    metrics.count_attempt(attempt(Outcome.REFUSED, Reason.QUEUE_FULL, answered_ns=MS))
    metrics.count_attempt(attempt(Outcome.REFUSED, Reason.DRAINING))
    metrics.count_attempt(attempt(Outcome.REFUSED, Reason.NO_REPLICA))
    metrics.count_attempt(attempt(Outcome.TIMED_OUT))
    metrics.count_attempt(attempt(Outcome.FAILED))
    assert metrics.ends_of(0) == {"answered": 2, "refused": 3, "timed_out": 1, "abandoned": 0, "failed": 1}
    seen = figures(metrics)
    assert seen["servecast_requests_total", "v1,answered,none"] == 2
    assert seen["servecast_requests_total", "v1,refused,queue_full"] == 1
    assert seen["servecast_requests_total", "v1,refused,draining"] == 1
    assert seen["servecast_requests_total", "v1,refused,no_replica"] == 1
    assert seen["servecast_requests_total", "v1,timed_out,none"] == 1
    assert seen["servecast_requests_total", "v1,failed,none"] == 1
    assert seen["servecast_request_seconds_count", ""] == 2
    assert seen["servecast_request_seconds_bucket", "0.005"] == 1
    assert abs(seen["servecast_request_seconds_sum", ""] - 0.033) < 1e-9


def test_client_gone_after_a_refusal_counts_as_abandoned() -> None:
    """Such a row keeps its reason; the counter goes by the outcome."""
    metrics = fresh()
    metrics.count_attempt(attempt(Outcome.ABANDONED, Reason.QUEUE_FULL))
    assert figures(metrics)["servecast_requests_total", "v1,abandoned,none"] == 1


def test_passes_are_counted_by_size_and_time() -> None:
    """A lost pass has a size, and no time."""
    metrics = fresh()
    row = Pass(0, 0, 0, 4, 1, 0, 0, 0, started_ns=MS, ended_ns=9 * MS, returned_ns=10 * MS)
    metrics.count_pass(row)
    metrics.count_pass(row._replace(batch_size=1, started_ns=-1, ended_ns=-1))
    seen = figures(metrics)
    assert (seen["servecast_batch_size_count", ""], seen["servecast_batch_size_sum", ""]) == (2, 5)
    assert seen["servecast_pass_seconds_count", ""] == 1
    assert abs(seen["servecast_pass_seconds_sum", ""] - 0.008) < 1e-9


def test_results_are_counted_by_device_time_and_bad_inputs() -> None:
    """A backend that does not know its device's time (-1) adds nothing to the histogram, rather than a zero."""
    metrics = fresh()
    metrics.count_results(7 * MS, (b"1", BadInput("no"), BadInput("no")))
    metrics.count_results(-1, (b"1",))
    seen = figures(metrics)
    assert seen["servecast_device_seconds_count", ""] == 1
    assert abs(seen["servecast_device_seconds_sum", ""] - 0.007) < 1e-9
    assert seen["servecast_bad_inputs_total", ""] == 2


def test_restarts_and_stale_frames_are_counted() -> None:
    """From zero on, so that an alarm can be set on their rate."""
    metrics = fresh()
    names = [("servecast_replica_restarts_total", ""), ("servecast_stale_frames_total", "")]
    assert [figures(metrics)[name] for name in names] == [0, 0]
    metrics.count_restart()
    metrics.count_stale_frame()
    metrics.count_stale_frame()
    assert [figures(metrics)[name] for name in names] == [1, 2]


def test_gauges_are_read_off_each_version_when_asked() -> None:
    """They cost nothing in between: one of three requests is in a pass, then two more are."""
    dispatcher = core()
    metrics = Metrics(["v1"], dispatcher)
    dispatcher.handle([Arrived(number, 0, 1) for number in range(3)], 5)
    seen = figures(metrics)
    assert (seen["servecast_waiting_requests", "v1"], seen["servecast_running_passes", "v1"]) == (2, 1)
    assert (seen["servecast_ready_replicas", "v1"], seen["servecast_wanted_replicas", "v1"]) == (1, 1)
    assert (seen["servecast_version_weight", "v1"], seen["servecast_version_shadow", "v1"]) == (1, 0)
    dispatcher.handle([Returned(0, 0, 5, 9)], 9)
    assert figures(metrics)["servecast_waiting_requests", "v1"] == 1


def test_process_cpu_seconds_are_among_the_figures() -> None:
    """Calibration reads the front end's cost from them."""
    assert figures(fresh())["process_cpu_seconds_total", ""] > 0
