"""A calibration from end to end: loads a live server, fits the model's parts to what was seen, and makes the file.

lone       requests that meet an idle server: where each millisecond goes; the fit does not see them
bursts     batches of every size: base and per item, or a table
idle run   the CPU time of connections alone
loads      steady Poisson loads well below capacity, interleaved: turnaround, front end, network
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from calibration.discrepancy import with_discrepancy
from calibration.errors import NotValid
from calibration.fit import fit
from calibration.host import Bounds, judge
from calibration.live_server import LiveServer
from calibration.load_plan import LoadPlan
from calibration.lone_request import measure_lone, with_lone_request
from calibration.measurement import Measurement, measure_load
from calibration.pass_profiler import fixed_plan, profile_passes, safe_gap_ns
from calibration.profile_file import profile_of_fit
from calibration.progress import Progress, part_of
from calibration.samples import LoadSample, Samples
from calibration.server_rules import identity_of, require_same_rules
from calibration.traffic_plan import input_text
from policy.dice import draw
from sim.engine.timelines import Timeline
from sim.scenario.distributions import size_table
from sim.scenario.profile import Profile
from sim.scenario.rules import serving_rules
from sim.scenario.spec import Scenario
from sim.scenario.traces import recorded_sizes

__all__ = ["FIT_SHARES", "Effort", "calibrate"]

FIT_SHARES = (0.2, 0.75)
"""The loads a fit sees, as shares of the capacity; checks use others. The turnaround is that of the busier one."""

_S_NS = 10**9
_TRIES = 12
_REQUESTS_LEAST = 100  # of a run: slow models are measured for longer
_RUN_MAX_S = 60.0
_BURST_SHARE = 0.3  # of the progress
_MEDIAN_BITS = 2**63


@dataclass(frozen=True)
class Effort:
    """How much is measured at each server. The defaults take about 40 s."""

    shares: tuple[float, ...] = FIT_SHARES  # of the capacity
    runs: int = 3  # of each share
    run_s: float = 4.0  # longer where that holds fewer than 100 requests
    bursts: int = 12  # of each batch size
    pause_s: float = 5.0  # after a load that the host disturbed: what else it does often lasts for seconds


def calibrate(
    urls: str | Sequence[str],
    scenario: Scenario,
    *,
    seed: int = 0,
    effort: Effort | None = None,
    bounds: Bounds | None = None,
    progress: Progress | None = None,
    after_each: Callable[[Sequence[Samples]], None] | None = None,
) -> Profile:
    """Return the calibration of a server, or of several processes of one server.

    `after_each` is called with all samples so far whenever one more server has been measured.

    Raises BadSamples where a server runs other rules than the scenario or another model than the first one, where it
    changes in mid-run, and where the samples do not carry a fit; NotValid where the host disturbed a load twelve times;
    ServerUnreachable.
    """
    addresses = [urls] if isinstance(urls, str) else list(urls)
    servers = [LiveServer(url, input_text(scenario)) for url in addresses]
    served = identity_of({server.url: server.config() for server in servers})
    samples = []
    for index, server in enumerate(servers):
        tell = part_of(progress, index, len(servers))
        rng = np.random.default_rng([seed, index])
        campaign = _Campaign(server, scenario, effort or Effort(), bounds or Bounds(), rng, tell)
        samples.append(campaign.samples())
        if after_each is not None:
            after_each(samples)
    served |= {"serve_with": scenario.model.serve_with, "options": scenario.model.options}
    profile = profile_of_fit(samples, fit(samples, seed=seed)).model_copy(update=served)
    lone = [each.lone for each in samples if each.lone is not None]
    return with_discrepancy(with_lone_request(profile, lone, scenario, seed=seed), samples, scenario, seed=seed)


class _Campaign:
    """The measurements at one server."""

    def __init__(
        self,
        server: LiveServer,
        scenario: Scenario,
        effort: Effort,
        bounds: Bounds,
        rng: np.random.Generator,
        tell: Progress,
    ) -> None:
        self._server = server
        self._scenario = scenario
        self._effort = effort
        self._bounds = bounds
        self._rng = rng
        self._tell = tell
        self._item_size = _typical_size(scenario)

    def samples(self) -> Samples:
        """Measure everything."""
        self._server.require_ready()
        require_same_rules(self._server.url, self._server.config(), self._scenario)
        self._tell("requests one at a time", 0.0)
        gap_ns = safe_gap_ns(self._server, self._scenario.batching.max_batch, self._item_size)
        lone = measure_lone(self._server, self._scenario, gap_ns, self._item_size, self._rng, self._bounds)
        bursts = self._bursts(gap_ns)
        self._tell("connections without load", _BURST_SHARE)
        idle_cpu_s = measure_load(self._server, self._idle_plan()).server_cpu_s
        capacity_per_s = _capacity_per_s(bursts, self._scenario)
        # Interleaved, so that a drift of the host is no effect of the rate.
        rates = [share * capacity_per_s for share in self._effort.shares] * self._effort.runs
        loads = tuple(self._loads(rates, idle_cpu_s))
        self._tell("measured", 1.0)
        return Samples(
            name=self._scenario.name,
            batching=serving_rules(self._scenario).batching,
            instances=self._scenario.fleet.instances,
            item_size=self._item_size,
            bursts=tuple(bursts),
            loads=loads,
            lone=lone,
        )

    def _bursts(self, gap_ns: int) -> list[Timeline]:
        """Return bursts that made batches of every size."""
        max_batch = self._scenario.batching.max_batch
        return profile_passes(
            self._server,
            max_batch,
            self._effort.bursts,
            gap_ns,
            self._item_size,
            self._rng,
            lambda share: self._tell("batches of every size", _BURST_SHARE * share),
        )

    def _idle_plan(self) -> LoadPlan:
        """Return a run as long as a load's, with two requests: it costs what connections and idling cost."""
        return fixed_plan(np.array([0, round(self._effort.run_s * _S_NS)], dtype=np.int64), self._item_size)

    def _loads(self, rates: Sequence[float], idle_cpu_s: float) -> Iterator[LoadSample]:
        """Drive the steady loads."""
        for index, rate in enumerate(rates):
            self._tell(f"{rate:.0f} requests/s", _BURST_SHARE + (1 - _BURST_SHARE) * index / len(rates))
            measured = self._undisturbed(rate)
            yield LoadSample(rate, measured.timeline(), max(measured.server_cpu_s - idle_cpu_s, 0.0))

    def _undisturbed(self, rate_per_s: float) -> Measurement:
        """Return a steady load that the host did not disturb. Raises NotValid after twelve tries."""
        run_s = min(max(self._effort.run_s, _REQUESTS_LEAST / rate_per_s), _RUN_MAX_S)
        length_ns, count = round(run_s * _S_NS), max(round(rate_per_s * run_s), 2)
        for tried in range(_TRIES):
            if tried:
                time.sleep(self._effort.pause_s)
            # Independent uniform moments: a Poisson process, given its number of arrivals.
            moments = np.sort(self._rng.integers(0, length_ns, count))
            measured = measure_load(self._server, fixed_plan(moments, self._item_size))
            validity = judge(measured.run.lateness, measured.host, self._bounds)
            if validity.valid:
                return measured
        raise NotValid(f"A load of {rate_per_s:.0f}/s was disturbed {_TRIES} times. {validity.reasons[0]}")


def _capacity_per_s(bursts: Sequence[Timeline], scenario: Scenario) -> float:
    """Return a first estimate of the capacity: the largest batches of the bursts, one behind the other."""
    batching = serving_rules(scenario).batching
    at_once = min(scenario.fleet.instances, batching.slots or scenario.fleet.instances)
    sizes = np.concatenate([timeline.passed("batch_size") for timeline in bursts])
    cycles_ns = np.concatenate([timeline.passed("returned_ns") - timeline.passed("handed_ns") for timeline in bursts])
    largest = int(sizes.max())
    return float(at_once * largest / np.median(cycles_ns[sizes == largest]) * _S_NS)


def _typical_size(scenario: Scenario) -> int:
    """Return the median size of a request."""
    recorded = recorded_sizes(scenario)
    if scenario.traffic.sizes is None and len(recorded):
        return int(np.median(recorded))
    return draw(size_table(1 if scenario.traffic.sizes is None else scenario.traffic.sizes), _MEDIAN_BITS)
