"""What an autoscaler is made of: the settings of the one rule of which Kubernetes, KEDA and the others are cases.

policy/autoscaling_settings.py builds and checks it, policy/autoscaler_presets.py holds the systems' own settings,
policy/recommendation.py reads the signal with it, policy/autoscaling.py decides. What is ratio, share or rate is
float64, because the systems are defined in floats; everything else is a count or nanoseconds.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from policy.windows import Ring, ring_length

__all__ = [
    "REPLICAS_MAX",
    "Activation",
    "AutoscalingRule",
    "Cooldown",
    "Direction",
    "Formula",
    "Mean",
    "NotReady",
    "Select",
    "Signal",
    "Stabilisation",
    "ZeroFrom",
    "moves_of",
    "recommendations_of",
    "samples_of",
]

REPLICAS_MAX = 100_000
"""The largest fleet that is ever asked for."""


class Formula(IntEnum):
    """How the load becomes a number of replicas. The systems differ here, also in the order of their floats."""

    FIXED = 0  # no autoscaler
    RATIO = 1  # ratio = load per ready replica / target, then ratio times the replicas
    UTILISATION = 2  # the same with the share cut to whole per cent, as for the CPU resource of Kubernetes
    TOTAL = 3  # total load / target, whatever the replicas
    GAIN = 4  # from where the fleet is, a share of the way to total load / target


class Signal(IntEnum):
    """What of the view is the load, summed over the pool."""

    WAITING = 0  # requests that no running pass carries
    IN_FLIGHT = 1  # requests in the pool
    RATE = 2  # arrivals per second
    BUSY = 3  # devices busy: device time per time


class Mean(IntEnum):
    """What of the samples of a level in a window is the load; counters (RATE, BUSY) are differences over the window."""

    SAMPLES = 0  # each sample counts alike
    TIME = 1  # each sample holds until the next


class NotReady(IntEnum):
    """What replicas that are not ready yet are taken for."""

    IDLE = 0  # they carry nothing and will carry their part: they count where that dampens a move up
    LEFT_OUT = 1  # as if they were not there
    ALIKE = 2  # as loaded as the ready ones: the ratio of these multiplies all


class Stabilisation(IntEnum):
    """What becomes of the recommendations of the last while."""

    BETWEEN = 0  # move no further than the lowest of the window up, the highest of the window down
    HIGHEST = 1  # go to the highest of the window down, also where that is a move up


class Select(IntEnum):
    """Which of two step limits holds."""

    MOST = 0  # the one that lets more happen
    LEAST = 1
    DISABLED = 2  # never a move in this direction


class Cooldown(IntEnum):
    """What a cooldown after a move up does to further moves up."""

    BLOCK = 0  # there are none
    LARGER = 1  # they count from where the fleet was before, so only a larger need adds to what was added


class Activation(IntEnum):
    """When a fleet of none becomes one."""

    AT_ONCE = 0  # when a request waits
    AT_POLL = 1  # when the next poll finds load


class ZeroFrom(IntEnum):
    """From where an idle fleet goes to none."""

    ONE = 0  # from one replica, down to which the load leads; idleness counts from there
    ANY = 1  # from any number


class Direction(NamedTuple):
    """What holds for moves in one direction, up or down."""

    dead_band: float  # no move while the ratio is within 1 + this (up), 1 - this (down)
    gain: float  # the share of the way that is gone at once; Formula.GAIN only
    rate: float  # at most this many times (up), this part (down) of the ready replicas; 0: no such limit
    stabilisation_ns: int  # window of recommendations
    delay_ns: int  # for how long the need must have persisted
    cooldown_ns: int  # after a move in this direction
    step_count: int  # replicas in step_count_period_ns; 0: no such limit
    step_count_period_ns: int
    step_percent: int  # of the replicas at the begin of step_percent_period_ns; 0: no such limit
    step_percent_period_ns: int
    step_select: int  # Select


class AutoscalingRule(NamedTuple):
    """Settings of an autoscaler; policy/autoscaling_settings.py builds and checks them."""

    formula: int  # Formula
    signal: int  # Signal
    target: float  # load per replica: requests, requests/s, or busy devices (UTILISATION: in whole per cent)

    sample_ns: int  # period of the samples, from the start of the clocks
    mean: int  # Mean
    window_ns: int  # of the samples that count; 0: the latest alone
    report_ns: int  # samples become known at multiples of this only; 0: at once
    lag_ns: int  # and so much later

    tick_ns: int  # period of the decisions; the first comes one period after the start of the clocks, or more
    not_ready: int  # NotReady
    stabilisation: int  # Stabilisation
    delay_restarts: int  # 1: a move starts the delay anew, 0: it goes on as long as the need persists
    cooldown: int  # Cooldown
    step_up_least: int  # the step limits never forbid a move up to this many replicas
    up: Direction
    down: Direction

    panic_window_ns: int  # the short window of panic; 0: no panic
    panic_threshold: float  # need by the short window / ready replicas from which on it is panic

    replicas_min: int  # >= 1: the least to which load leads
    replicas_max: int
    to_zero: int  # 1: an idle fleet goes to none, and comes back from there
    zero_from: int  # ZeroFrom
    idle_ns: int  # for how long it must have been idle
    active_ns: int  # and for how long it must have been there
    activation: int  # Activation
    activation_above: float  # load above which a poll finds the fleet in use
    activation_replicas: int
    poll_ns: int  # period of the polls that look for load or idleness; 0: that of the ticks

    samples_kept: int  # entries of the histories
    recommendations_kept: int
    moves_kept: int

    phase_ns: int = 0  # for so long the clocks of samples, reports, ticks and polls have been running at the start


def samples_of(rule: AutoscalingRule) -> Ring:
    """Return where the samples lie: levels, or how far a counter was."""
    return Ring(0, rule.samples_kept)


def recommendations_of(rule: AutoscalingRule) -> Ring:
    """Return where the recommendations lie: replicas."""
    return Ring(ring_length(rule.samples_kept), rule.recommendations_kept)


def moves_of(rule: AutoscalingRule) -> Ring:
    """Return where the moves lie: replicas added, negative for those removed."""
    before = recommendations_of(rule)
    return Ring(before.start + ring_length(before.capacity), rule.moves_kept)
