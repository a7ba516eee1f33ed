"""One run cut into its versions: they add up to the whole."""

from __future__ import annotations

import numpy as np

from policy.timeline import Outcome
from sim.engine.process_engine import run
from sim.outcome.measures import measure
from sim.outcome.version_runs import version_runs
from sim.scenario.lower import lower
from tests.sim.scenario.example import scenario

SEVERAL = (
    "versions=[{name: a}, {name: b, weight: 30%, error_rate: 4%}, {name: c, role: shadow, copies: 25%}]",
    "versions.1.fleet={replicas: 2, instances: 3}",
    "versions.2.model.pass_time={base: 12ms}",
    "horizon.duration=10s",
    "queue.cap=100",
)


def test_versions_add_up() -> None:
    """Requests, outcomes, passes, time in passes and replicas of all versions are those of the run."""
    given = lower(scenario(*SEVERAL), seed=1, warm_up_ns=10**9)
    timeline = run(given)
    window = given.measure_from_ns, given.measure_to_ns
    whole = measure(timeline, *window, instances=given.instances)
    parts = version_runs(timeline, *window, instances=given.instances)
    measures = [part.measures for part in parts]
    assert sum(each.requests for each in measures) == whole.requests
    assert sum(each.delivered for each in measures) == whole.delivered
    assert sum(each.passes for each in measures) == whole.passes
    assert sum(each.busy_ns for each in measures) == whole.busy_ns
    assert [each.replicas_peak for each in measures] == [1, 2, 1]
    assert whole.replicas_peak == 4
    busy_ns = whole.gpu_busy_share * (1 + 2 * 3 + 1) * (window[1] - window[0])
    assert np.isclose(busy_ns, whole.busy_ns)


def test_each_version_has_its_own() -> None:
    """Three tenths of the requests and 4 % failures on one, copies of a quarter on another, which answers nobody."""
    given = lower(scenario(*SEVERAL), seed=1, warm_up_ns=10**9)
    parts = version_runs(run(given), given.measure_from_ns, given.measure_to_ns, instances=given.instances)
    stable, arm, shadow = parts
    requests = sum(part.measures.requests for part in parts)
    assert 0.27 < arm.measures.requests / requests < 0.33
    assert 0.02 < arm.measures.share(Outcome.FAILED) < 0.06
    assert stable.measures.share(Outcome.FAILED) == 0
    assert shadow.measures.requests == 0
    assert 0.23 < shadow.copies / requests < 0.27
    assert (stable.copies, arm.copies, shadow.copies_refused) == (0, 0, 0)
    assert len(shadow.copy_ns) > 0.95 * shadow.copies
    assert shadow.copy_ns.min() >= 12_000_000  # no pass is shorter


def test_a_single_version_is_not_cut() -> None:
    """There is nothing to tell apart."""
    given = lower(scenario("horizon.duration=1s"), seed=1, warm_up_ns=0)
    assert version_runs(run(given), 0, 10**9, instances=given.instances) == ()
