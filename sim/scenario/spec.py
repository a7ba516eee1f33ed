"""The scenario: every key of the file with its unit, its default and its meaning. docs/scenario.md is made from here.

The model stands in model_spec.py, traffic in traffic_spec.py, the fleet in fleet_spec.py, versions and their rollout in
version_spec.py. Shapes and units are checked here, ranges of serving rules in policy/settings.py. Quantities are held
as integer ns, rates per second, shares of 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Discriminator, Field, PrivateAttr, Tag

from policy.batching import Collector, Freeze, TimerOrigin
from policy.settings import COUNT_MAX
from policy.versions import VERSIONS_MAX
from sim.scenario.distribution_spec import TimeLaw
from sim.scenario.fields import (
    SEED_MAX,
    Count,
    Duration,
    EmptyIfNone,
    Kind,
    Number,
    OrNone,
    PolicyTime,
    PositiveDuration,
    PositivePolicyTime,
    Section,
    Share,
    Words,
    count_up_to,
    name_of,
    written,
)
from sim.scenario.fleet_spec import Autoscaler, ColdStart, Fleet, Routing, Turnaround
from sim.scenario.model_spec import Model, PassTime
from sim.scenario.traffic_spec import FROM_PROFILE, Clients, Network, Retries, Traffic
from sim.scenario.version_spec import Rollout, Split, Version

__all__ = [
    "NAME_MAX",
    "Autoscaler",
    "Batching",
    "Clients",
    "ColdStart",
    "Cost",
    "Fleet",
    "FrontEnd",
    "Goals",
    "Horizon",
    "Machine",
    "Model",
    "Network",
    "PassTime",
    "Queue",
    "Retries",
    "Rollout",
    "Routing",
    "Scenario",
    "Split",
    "Traffic",
    "Turnaround",
    "Version",
]


def _slots_word(slots: object) -> object:
    """Read the word unlimited as policy's 0."""
    return 0 if slots == "unlimited" else slots


def _write_slots(slots: int | None) -> int | str | None:
    """Return what _slots_word reads."""
    return "unlimited" if slots == 0 else slots


_SLOTS_SCHEMA = {
    "anyOf": [{"type": "integer", "minimum": 1, "maximum": COUNT_MAX}, {"const": "unlimited"}, {"type": "null"}]
}


NAME_MAX = 100
"""Letters of a name for reports."""


class Batching(Section):
    """When a batch is closed."""

    max_batch: Count = Field(description="The most requests in a batch.")
    max_wait: PolicyTime = written("0ms", "How long a batch that is not full waits for more requests.")
    timer_origin: Annotated[str, name_of(TimerOrigin)] = Field(
        "enqueue",
        description=(
            "From when max_wait counts. enqueue: the oldest request's entry into the queue; collect: the first take "
            "by a free collector; window: the collector's becoming free, window after window."
        ),
    )
    freeze: Annotated[str, name_of(Freeze)] = Field(
        "pull",
        description=(
            "When the contents are final. pull: when a slot is free, so a batch grows while the device is busy; "
            "timer: when it is full or max_wait is over."
        ),
    )
    collector: Annotated[str, name_of(Collector)] = Field(
        "dispatcher",
        description=(
            "Who collects. dispatcher: one that never blocks; exclusive: an idle instance, one at a time; competing: "
            "every idle instance for itself."
        ),
    )
    slots: Annotated[
        int | None,
        Kind("whole number", f"from 1 to {COUNT_MAX}, or unlimited", _SLOTS_SCHEMA, _slots_word, None, _write_slots),
    ] = Field(None, description="Batches that may run at once. Default: one for each instance.")
    preferred_sizes: tuple[Count, ...] = Field(
        (), description="Sizes at which a batch is closed before it is full, ascending."
    )


class Queue(Section):
    """Who may wait, and how long."""

    cap: Annotated[Count | None, OrNone] = Field(
        None, description="The most waiting requests, running ones excluded; beyond it one is refused. Default: no cap."
    )
    deadline: Annotated[PositivePolicyTime | None, OrNone] = Field(
        None, description="How long after its entry into the queue a request is given up (504). Default: never."
    )


class FrontEnd(Section):
    """The station around the queue, first come, first served; the event loop of an HTTP server is one."""

    workers: Count = Field(
        1, description="Workers, each of which does its jobs in their order. Results and timers are the first one's."
    )
    request: TimeLaw | None = Field(None, description="Work for one request." + FROM_PROFILE)
    response: TimeLaw | None = Field(None, description="Work for one response." + FROM_PROFILE)
    pass_result: TimeLaw | None = Field(None, description="Work for the results of one pass." + FROM_PROFILE)
    timer: TimeLaw | None = Field(None, description="Work for one timer of the dispatcher." + FROM_PROFILE)
    blocking: bool = Field(
        False,
        description=(
            "Whether a pass runs in the front end itself, which does nothing else meanwhile: the mistake of a handler "
            "that blocks its event loop. Needs one worker and one instance; pass_result then costs nothing."
        ),
    )


def _auto_or_time(value: object) -> str:
    """Return which of the two a warm-up is."""
    return "auto" if value == "auto" else "time"


class Horizon(Section):
    """How much is simulated."""

    duration: PositiveDuration = written("60s", "The measured part of a run. Of a trace: all of it.")
    warm_up: Annotated[
        Annotated[Literal["auto"], Tag("auto")] | Annotated[Duration, Tag("time")],
        Discriminator(_auto_or_time),
        Words("time, or auto", "from 0s to 31d"),
    ] = Field(
        "auto",
        description=(
            "The part of a run before it, which is not measured. auto: found from the runs under steady load; 0s "
            "under a load that changes, which is measured from the empty start."
        ),
    )
    runs: Annotated[int, count_up_to(10_000, 2)] = Field(10, description="Independent runs.")

    @property
    def stated_warm_up_ns(self) -> int:
        """The warm-up, 0 where it is still to be found."""
        return self.warm_up if isinstance(self.warm_up, int) else 0

    @property
    def stated_ns(self) -> int:
        """How long a run is, its stated warm-up included."""
        return self.duration + self.stated_warm_up_ns


class Goals(Section):
    """What is wanted, each value at most; none drops a goal. Latencies are those of answered requests."""

    mean: Annotated[PositiveDuration | None, OrNone] = Field(None, description="Mean latency.")
    p50: Annotated[PositiveDuration | None, OrNone] = Field(None, description="Median latency.")
    p90: Annotated[PositiveDuration | None, OrNone] = Field(None, description="90th percentile of the latency.")
    p95: Annotated[PositiveDuration | None, OrNone] = Field(None, description="95th percentile of the latency.")
    p99: Annotated[PositiveDuration | None, OrNone] = Field(None, description="99th percentile of the latency.")
    p999: Annotated[PositiveDuration | None, OrNone] = Field(None, description="99.9th percentile of the latency.")
    refused: Annotated[Share | None, OrNone] = Field(None, description="Share of requests that are refused.")
    timed_out: Annotated[Share | None, OrNone] = Field(
        None, description="Share of requests that the server gives up (504)."
    )
    abandoned: Annotated[Share | None, OrNone] = Field(None, description="Share of requests whose client hangs up.")
    failed: Annotated[Share | None, OrNone] = Field(
        None, description="Share of requests that are taken, and lost or broken (500)."
    )
    breach: Annotated[Share | None, OrNone] = Field(
        None,
        description=(
            "Share of the measured time's windows, 5s each, in which p99 or refused is missed; a window of fewer than "
            "100 answers is judged by the slowest. Needs one of the two."
        ),
    )


class Machine(Section):
    """A kind of machine: a node with room for several replicas, which is paid whole."""

    replica_hour: Number = Field(description="The price of one replica's place on a node for an hour, in `currency`.")
    gpus: Count = Field(1, description="Replicas that fit on one node. It costs gpus * replica_hour an hour.")


class Cost(Section):
    """What a replica costs."""

    replica_hour: Number = Field(description="The price of one replica for an hour, in `currency`.")
    machines: Annotated[dict[str, Machine], Words("mapping: name to [machine](#costmachinesname)", "")] = Field(
        default_factory=dict,
        description="Kinds of machines by name; that of fleet.machine takes the place of replica_hour.",
    )
    currency: str = Field("USD", description="The name of the currency.", min_length=1, max_length=10)


class Scenario(Section):
    """A scenario: who asks, what serves, what is wanted."""

    name: str = Field(
        "scenario", description="A name for reports. Default: that of the file.", min_length=1, max_length=NAME_MAX
    )
    traffic: Traffic = Field(description="Who sends what, and when.")
    model: Model = Field(description="What a pass costs.")
    batching: Batching = Field(description="When a batch is closed.")
    queue: Queue = Field(default_factory=Queue, description="Who may wait, and how long.")
    front_end: FrontEnd = Field(default_factory=FrontEnd, description="The station before and behind the queue.")
    fleet: Fleet = Field(default_factory=Fleet, description="What serves.")
    versions: Annotated[tuple[Version, ...], Field(max_length=VERSIONS_MAX), EmptyIfNone] = Field(
        (), description="Versions of the model that are loaded side by side. Default: one, v1."
    )
    split: Split = Field(default_factory=Split, description="Whether a user stays with a version.")
    rollout: Annotated[Rollout | None, OrNone] = Field(
        None, description="How the canary among the versions gets more. Default: not."
    )
    horizon: Horizon = Field(default_factory=Horizon, description="How much is simulated.")
    goals: Annotated[Goals, EmptyIfNone] = Field(default_factory=Goals, description="What is wanted. none: nothing.")
    cost: Annotated[Cost | None, OrNone] = Field(None, description="What a replica costs. Default: no cost is given.")
    seed: Annotated[int, count_up_to(SEED_MAX, 0)] | None = Field(
        None, description="Seed of all random numbers; the option --seed goes before it. Default: 0."
    )
    _source_dir: Path = PrivateAttr(default_factory=Path)

    def path_of(self, file: str) -> Path:
        """Return where a file that the scenario names lies: relative paths count from the scenario file."""
        return self._source_dir / file

    def at(self, source_dir: Path) -> Scenario:
        """Return this scenario with the folder from which its relative paths count."""
        moved = self.model_copy()
        moved._source_dir = source_dir
        return moved
