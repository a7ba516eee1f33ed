"""In which state a load finds the autoscalers of a fleet at rest: what they remember, and where their clocks stand.

Samples, reports, ticks and polls come at multiples of their periods from the start of an autoscaler. Where among them a
load begins moves what is decided, often by more than one tick. A simulated load is given the same start as a measured
one by letting the simulated autoscaler be at work for a while before it: a lead. Runs of a forecast begin with the
fleet as stated, and with the clocks where chance has them: a recorded burst does not always come right behind a tick.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from policy.autoscaling_rule import AutoscalingRule, Formula
from policy.dice import Stream, die
from sim.engine.engine_input import EngineInput, FleetInput
from sim.scenario.rules import serving_rules
from sim.scenario.spec import Scenario
from sim.scenario.versions import each_version

__all__ = ["chance_lead_ns", "lead_like", "memory_ns_of", "scales", "tick_ns_of", "with_chance_phases"]

_PERIOD_MAX_NS = 600 * 10**9  # two clocks that meet less often stand to each other as chance has it, as far as matters

_DIE_SIDES = 2**64
_GOLDEN = 0x9E3779B97F4A7C15
"""The golden ratio of a die: its multiples, modulo the die, are spread as evenly as those of any number."""


def scales(scenario: Scenario) -> bool:
    """Return whether an autoscaler changes the fleet of a version."""
    return bool(_autoscalers(scenario))


def tick_ns_of(scenario: Scenario) -> int:
    """Return the longest tick of an autoscaler, 0 where there is none."""
    return max((rule.tick_ns for rule in _autoscalers(scenario)), default=0)


def memory_ns_of(scenario: Scenario) -> int:
    """Return for how long a fleet must have been idle at its least for nothing of before to be left; 0 if none scales.

    First the last load leaves the window of the samples, then the moves and recommendations of before are too old for
    any brake. A need that persists (the delays) is that of an idle fleet by then, however old.
    """
    return max(map(_memory_ns, _autoscalers(scenario)), default=0)


def lead_like(scenario: Scenario, at_work_ns: int) -> int:
    """Return a lead that stands for autoscalers which have been at work for that long, and at rest of late.

    It is the shortest that fills their memory and leaves each clock where it stands.
    """
    period_ns = _period_ns(scenario)
    rested_ns = _rested_ns(scenario, period_ns)
    return at_work_ns if at_work_ns < rested_ns else rested_ns + at_work_ns % period_ns


def chance_lead_ns(scenario: Scenario, seed: int, draw: int) -> int:
    """Return a lead that fills the memory and leaves to chance where the clocks stand; 0 if nothing scales."""
    period_ns = min(_period_ns(scenario), _PERIOD_MAX_NS)
    return _rested_ns(scenario, period_ns) + die(seed, Stream.PHASE, draw, 0) % period_ns


def with_chance_phases(engine_input: EngineInput, *, seed: int, run: int) -> EngineInput:
    """Return a run in which chance has said where the clocks of each version's autoscaler stand at its start.

    For each run by itself any phase is as likely as another. Runs that follow each other are spread over all phases:
    each is the golden ratio of a period behind the one before (a rotation, as of Cranley and Patterson 1976). So a few
    runs show each course that a fleet may take about as often as it is taken.
    """
    first, *others = (
        _with_chance_phase(fleet, die(seed, Stream.PHASE, version, 0), run)
        for version, fleet in enumerate(engine_input.fleets)
    )
    return replace(engine_input, fleet=first, other_fleets=tuple(others))


def _with_chance_phase(fleet: FleetInput, bits: int, run: int) -> FleetInput:
    rule = fleet.autoscaler
    if rule.formula == Formula.FIXED:
        return fleet
    period_ns = min(_common_period_ns([rule]), _PERIOD_MAX_NS)
    phase_ns = (bits + run * _GOLDEN) % _DIE_SIDES * period_ns // _DIE_SIDES
    return replace(fleet, autoscaler=rule._replace(phase_ns=phase_ns))


def _autoscalers(scenario: Scenario) -> list[AutoscalingRule]:
    """Return the rules of the versions that scale."""
    rules = [serving_rules(alone).autoscaler for alone in each_version(scenario)]
    return [rule for rule in rules if rule.formula != Formula.FIXED]


def _memory_ns(rule: AutoscalingRule) -> int:
    """Return how long an idle autoscaler remembers."""
    brakes_ns = [
        moment_ns
        for way in (rule.up, rule.down)
        for moment_ns in (
            way.stabilisation_ns,
            way.cooldown_ns,
            way.step_count_period_ns,
            way.step_percent_period_ns,
        )
    ]
    panic_ns = rule.window_ns if rule.panic_window_ns else 0
    return rule.sample_ns + rule.window_ns + rule.report_ns + rule.lag_ns + rule.tick_ns + max(*brakes_ns, panic_ns)


def _period_ns(scenario: Scenario) -> int:
    """Return after how long all clocks of a scenario stand alike again, 1 where there is none."""
    return _common_period_ns(_autoscalers(scenario))


def _common_period_ns(rules: Sequence[AutoscalingRule]) -> int:
    clocks = [(rule.sample_ns, rule.report_ns, rule.tick_ns, rule.poll_ns) for rule in rules]
    return math.lcm(*(period_ns for periods in clocks for period_ns in periods if period_ns))


def _rested_ns(scenario: Scenario, period_ns: int) -> int:
    """Return the memory in whole periods."""
    return -(-memory_ns_of(scenario) // period_ns) * period_ns
