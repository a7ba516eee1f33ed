"""How a scenario writes its fleet: replicas, how requests come to them, how they start, and how many there are to be.

Ranges of rules are rejected in policy/settings.py and policy/autoscaling_settings.py.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from policy.autoscaler_presets import PRESETS
from policy.autoscaling_rule import (
    REPLICAS_MAX,
    Activation,
    Cooldown,
    Formula,
    Mean,
    NotReady,
    Select,
    Signal,
    Stabilisation,
    ZeroFrom,
)
from policy.fleet import Drain
from policy.routing import Balance, Tie
from policy.settings import FAULT_FACTOR_MAX, HELD_MAX
from sim.scenario.distribution_spec import TimeLaw
from sim.scenario.fields import (
    Count,
    Kind,
    OrNone,
    PolicyTime,
    PositiveDuration,
    PositivePolicyTime,
    Section,
    Share,
    count_up_to,
    name_of,
    ratio,
    written,
)
from sim.scenario.traffic_spec import FROM_PROFILE

__all__ = [
    "COLD_START_PARTS",
    "RESTART_FROM",
    "Autoscaler",
    "ColdStart",
    "FirstPasses",
    "Fleet",
    "Routing",
    "Slow",
    "Turnaround",
]

COLD_START_PARTS: Final = ("provision", "image", "load", "warm_up")
"""The parts of a start that last a time, in their order."""

RESTART_FROM: Final = COLD_START_PARTS.index("load")
"""The first part that a replica goes through again after a crash: its machine and its image are still there."""

_FACTOR = ratio(0, 1e6)
_SLOWER = ratio(1, FAULT_FACTOR_MAX)
_PERCENT = count_up_to(1_000_000, 0)
_REPLICAS = count_up_to(REPLICAS_MAX, 0)

_NAMES = tuple(PRESETS)
_PRESET = Kind("name", ", ".join(_NAMES), {"type": "string", "enum": list(_NAMES)})


class Turnaround(Section):
    """What lies between two passes of an instance besides waiting for requests."""

    batch_in: TimeLaw | None = Field(None, description="From the hand-over of a batch to its start." + FROM_PROFILE)
    results_out: TimeLaw | None = Field(None, description="From the end of a pass to its return." + FROM_PROFILE)


class Routing(Section):
    """Which replica takes a request."""

    balance: Annotated[str, name_of(Balance)] = Field(
        "round_robin",
        description=(
            "How the load is spread. round_robin: in turn; random; least_outstanding: to the replica with the fewest "
            "requests; power_of_two: to the one with fewer of two that are drawn."
        ),
    )
    tie: Annotated[str, name_of(Tie)] = Field(
        "random",
        description="Who of several with equally few requests takes one: random, rotate (in turn), first (the oldest).",
    )
    outstanding_max: Annotated[Count | None, OrNone] = Field(
        None,
        description=(
            "Requests at one replica, running ones included, beyond which it is sent no more: they wait in front of "
            "the fleet, so with few of them replicas in effect pull from one queue. Default: no limit."
        ),
    )
    held_max: Annotated[int, count_up_to(HELD_MAX, 0)] = Field(
        HELD_MAX, description="The most requests that wait in front of the fleet; beyond it one is refused (503)."
    )


class FirstPasses(Section):
    """What an instance pays on its first passes, counted anew after each crash, for what its warm-up did not run."""

    count: Count = Field(description="Passes of an instance, from its readiness on, that take longer.")
    factor: Annotated[float, _SLOWER] = Field(description="How many times as long each of them takes.")


class Slow(Section):
    """Replicas that are slow for their life: a worse machine, a noisy neighbour."""

    share: Share = Field(description="Share of the replicas that are slow; which ones is drawn.")
    factor: Annotated[float, _SLOWER] = Field(description="How many times as long their passes take.")


class ColdStart(Section):
    """What passes between the order of a replica and its readiness, one part behind the other."""

    provision: TimeLaw = written("0ms", "Until there is a machine.")
    image: TimeLaw = written("0ms", "Until its image is there.")
    load: TimeLaw = written("0ms", "Until the model is loaded.")
    warm_up: TimeLaw = written("0ms", "Until it has run its first passes and is seen to be ready.")
    first_passes: Annotated[FirstPasses | None, OrNone] = Field(
        None,
        description=(
            "First passes that take longer although the instance is ready: all that a warm-up has left out, whether "
            "there is one or not. Default: none does."
        ),
    )


class Autoscaler(Section):
    """How many replicas there are to be. A preset is a system's defaults; what is written here goes before it."""

    preset: Annotated[str | None, _PRESET] = Field(None, description="The system whose defaults hold. Default: none.")
    target: Annotated[float | None, ratio(1e-6, 1e9)] = Field(
        None,
        description=(
            "The load per replica that is aimed at: requests (waiting, in_flight), requests per second (rate), busy "
            "devices (busy; 80% of one, and at most instances). Needed without a preset that has one."
        ),
    )
    max_replicas: Annotated[int | None, count_up_to(REPLICAS_MAX)] = Field(
        None, description="The most replicas. Needed without a preset that has a limit."
    )
    min_replicas: Annotated[int | None, _REPLICAS] = Field(
        None, description="The fewest replicas. 0: an idle fleet goes to none. Default: 1."
    )
    formula: Annotated[str | None, name_of(Formula)] = Field(
        None,
        description=(
            "How the load becomes a number. ratio: load per ready replica over target, times the replicas; "
            "utilisation: the same in whole per cent; total: load over target; gain: a share of the way to that. "
            "Default: total."
        ),
    )
    signal: Annotated[str | None, name_of(Signal)] = Field(
        None,
        description=(
            "What is the load. waiting: requests that no pass carries; in_flight: those and the others; rate: arrivals "
            "per second; busy: devices busy. Default: in_flight."
        ),
    )
    sample: PositivePolicyTime | None = Field(None, description="How often the signal is sampled. Default: 1s.")
    mean: Annotated[str | None, name_of(Mean)] = Field(
        None, description="What of the samples counts: their mean, or their mean over time. Default: samples."
    )
    window: PolicyTime | None = Field(None, description="Samples of how long a time. Default: the latest one.")
    report: PolicyTime | None = Field(
        None, description="Samples are known at multiples of this only. Default: at once."
    )
    lag: PolicyTime | None = Field(None, description="How much later samples are known. Default: 0ms.")
    tick: PositivePolicyTime | None = Field(None, description="How often it is decided. Default: 15s.")
    not_ready: Annotated[str | None, name_of(NotReady)] = Field(
        None,
        description="What replicas that still start are taken for: idle, left_out, or alike (as loaded as the others).",
    )
    dead_band_up: Annotated[float | None, _FACTOR] = Field(
        None, description="No move up while the load is within 1 + this of the target. Default: 0."
    )
    dead_band_down: Annotated[float | None, _FACTOR] = Field(
        None, description="No move down while the load is within 1 - this of the target. Default: 0."
    )
    gain_up: Annotated[float | None, _FACTOR] = Field(None, description="Share of the way up (gain). Default: 1.")
    gain_down: Annotated[float | None, _FACTOR] = Field(None, description="Share of the way down (gain). Default: 1.")
    rate_up: Annotated[float | None, _FACTOR] = Field(
        None, description="At most so many times the ready replicas in one move up. Default: no limit."
    )
    rate_down: Annotated[float | None, _FACTOR] = Field(
        None, description="At most down to the ready replicas divided by this in one move. Default: no limit."
    )
    stabilisation: Annotated[str | None, name_of(Stabilisation)] = Field(
        None,
        description=(
            "What becomes of earlier recommendations. between: no further than the lowest of the window up, the "
            "highest of the window down; highest: to the highest of the window down. Default: between."
        ),
    )
    stabilisation_up: PolicyTime | None = Field(None, description="Window of recommendations, up. Default: 0ms.")
    stabilisation_down: PolicyTime | None = Field(None, description="Window of recommendations, down. Default: 0ms.")
    delay_up: PolicyTime | None = Field(None, description="How long the need must last, up. Default: 0ms.")
    delay_down: PolicyTime | None = Field(None, description="How long the need must last, down. Default: 0ms.")
    delay_restarts: bool | None = Field(None, description="Whether a move starts the delay anew. Default: true.")
    cooldown: Annotated[str | None, name_of(Cooldown)] = Field(
        None,
        description="What a cooldown up does to moves up: block, or larger (count from where it was). Default: block.",
    )
    cooldown_up: PolicyTime | None = Field(None, description="After a move up. Default: 0ms.")
    cooldown_down: PolicyTime | None = Field(None, description="After a move down. Default: 0ms.")
    step_up_count: Annotated[int | None, _REPLICAS] = Field(
        None, description="Replicas added in a period at most. Default: no limit."
    )
    step_up_count_period: PolicyTime | None = Field(None, description="That period. Default: one tick.")
    step_up_percent: Annotated[int | None, _PERCENT] = Field(
        None, description="Per cent of the replicas added in a period at most. Default: no limit."
    )
    step_up_percent_period: PolicyTime | None = Field(None, description="That period. Default: one tick.")
    step_up_select: Annotated[str | None, name_of(Select)] = Field(
        None, description="Which of the two limits holds up: most, least, disabled (never a move). Default: most."
    )
    step_up_least: Annotated[int | None, _REPLICAS] = Field(
        None, description="Step limits never forbid a move up to this many. Default: 0."
    )
    step_down_count: Annotated[int | None, _REPLICAS] = Field(
        None, description="Replicas removed in a period at most. Default: no limit."
    )
    step_down_count_period: PolicyTime | None = Field(None, description="That period. Default: one tick.")
    step_down_percent: Annotated[int | None, _PERCENT] = Field(
        None, description="Per cent of the replicas removed in a period at most. Default: no limit."
    )
    step_down_percent_period: PolicyTime | None = Field(None, description="That period. Default: one tick.")
    step_down_select: Annotated[str | None, name_of(Select)] = Field(
        None, description="Which of the two limits holds down: most, least, disabled (never a move). Default: most."
    )
    panic_window: PolicyTime | None = Field(None, description="The short window of panic. Default: no panic.")
    panic_threshold: Annotated[float | None, ratio(1, 1e6)] = Field(
        None, description="Panic begins when the short window needs so many times the ready replicas. Default: 2."
    )
    scale_to_zero: bool | None = Field(
        None, description="Whether an idle fleet goes to none. Default: if min_replicas is 0."
    )
    zero_from: Annotated[str | None, name_of(ZeroFrom)] = Field(
        None, description="From where an idle fleet goes to none: from one replica, or from any number. Default: one."
    )
    idle: PolicyTime | None = Field(None, description="For how long it must have been idle. Default: 0ms.")
    active: PolicyTime | None = Field(None, description="For how long it must have been there. Default: 0ms.")
    activation: Annotated[str | None, name_of(Activation)] = Field(
        None, description="When a fleet of none comes back: at_once when a request waits, or at_poll. Default: at_once."
    )
    activation_above: Annotated[float | None, ratio(0, 1e9)] = Field(
        None, description="Load above which a poll finds the fleet in use. Default: 0."
    )
    activation_replicas: Annotated[int | None, count_up_to(REPLICAS_MAX)] = Field(
        None, description="How many it comes back with. Default: 1."
    )
    poll: PolicyTime | None = Field(None, description="How often load or idleness is looked for. Default: every tick.")

    def settings(self) -> dict[str, Any]:
        """Return what is written, with the names of policy.autoscaling_settings.autoscaling_rule."""
        times = {"poll", "idle", "active", "sample", "tick", "window", "report", "lag", "panic_window"}
        given = self.model_dump(exclude={"preset"}, exclude_none=True)
        return {_rule_key(key, times): value for key, value in given.items()}


def _rule_key(key: str, times: set[str]) -> str:
    """Return the name of a setting in the rule, where times have their unit."""
    is_time = key in times or key.endswith("_period")
    is_time = is_time or key.startswith(("stabilisation_", "delay_up", "delay_down", "cooldown_"))
    return f"{key}_ns" if is_time else key


class Fleet(Section):
    """What serves."""

    replicas: Annotated[int, count_up_to(REPLICAS_MAX, 0)] = Field(
        1,
        description=(
            "Replicas, each with its own queue; at least 1, or 0 with an autoscaler that scales to zero. With an "
            "autoscaler those at the start, which are ready."
        ),
    )
    instances: Count = Field(1, description="Instances of the model in a replica; they share its queue.")
    turnaround: Turnaround = Field(default_factory=Turnaround, description="Between two passes of an instance.")
    routing: Routing = Field(default_factory=Routing, description="Which replica takes a request.")
    autoscaler: Annotated[Autoscaler | None, OrNone] = Field(
        None, description="How many replicas there are to be. Default: as many as at the start."
    )
    drain: Annotated[str, name_of(Drain)] = Field(
        "youngest", description="Which replica goes first when there are too many: youngest, or idlest."
    )
    cold_start: ColdStart = Field(default_factory=ColdStart, description="The start of a replica.")
    crash_every: Annotated[PositiveDuration | None, OrNone] = Field(
        None,
        description=(
            "Mean time, exponential, from a replica's readiness to its crash. Its running passes are lost (500), its "
            "queue waits and still fills, and it starts again at once: load and warm_up of its cold start are taken "
            "anew, its machine and image are still there. Served live, emulated devices do so for real, and restart no "
            "faster than a process starts, some 0.2s. Default: never."
        ),
    )
    spare: Annotated[int, _REPLICAS] = Field(
        0,
        description=(
            "Replicas that may be down while the goals still hold: a forecast runs with so many fewer, of an "
            "autoscaled fleet at both of its limits (at least 1), and cost counts all. A live server runs them all."
        ),
    )
    machine: str | None = Field(
        None,
        description="The kind of machine, of cost.machines. Default: none is named, and cost.replica_hour holds.",
        min_length=1,
        max_length=100,
    )
    slow: Annotated[Slow | None, OrNone] = Field(
        None, description="Replicas that are slow for their life; served live, emulated devices. Default: none is."
    )
