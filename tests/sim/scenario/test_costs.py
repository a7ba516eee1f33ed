"""Costs: what the scenario states goes before what was measured."""

from __future__ import annotations

from sim.scenario.costs import costs_of, profile_of
from sim.scenario.distribution_spec import LognormalSpread
from tests.sim.scenario.example import calibrated, scenario


def test_written_pass_time_is_taken_and_the_rest_is_nothing() -> None:
    """Without a calibration front end, turnaround and network cost nothing unless they are written."""
    costs = costs_of(scenario("model.pass_time.per_unit=10us", "fleet.turnaround.batch_in=1ms"))
    assert (costs.base_ns, costs.per_item_ns, costs.per_unit_ns) == (8_000_000, 500_000, 10_000)
    assert (costs.request, costs.response, costs.results_out, costs.there_ns, costs.back_ns) == (0, 0, 0, 0, 0)
    assert (costs.pass_result, costs.timer) == (0, 0)
    assert costs.batch_in == 1_000_000
    assert costs.spread is None
    assert profile_of(scenario()) is None


def test_calibration_fills_in_what_is_not_written() -> None:
    """Every part comes from the file, and its spread is lognormal."""
    costs = costs_of(calibrated())
    assert (costs.base_ns, costs.per_item_ns, costs.per_unit_ns) == (8_000_000, 500_000, 0)
    assert (costs.request, costs.response) == (150_000, 100_000)
    assert (costs.pass_result, costs.timer) == (100_000, 50_000)
    assert (costs.batch_in, costs.results_out) == (200_000, 300_000)
    assert (costs.there_ns, costs.back_ns) == (50_000, 60_000)
    assert costs.spread == LognormalSpread(distribution="lognormal", cv=0.02)


def test_written_value_goes_before_the_calibration() -> None:
    """A front end that is written as 0 is 0, not the measured one."""
    costs = costs_of(
        calibrated(
            "front_end={request: 0ms, timer: 3us}", "fleet.turnaround.results_out=1ms", "traffic.network.back=0s"
        )
    )
    assert (costs.request, costs.results_out, costs.back_ns) == (0, 1_000_000, 0)
    assert (costs.pass_result, costs.timer) == (100_000, 3_000)
    assert (costs.response, costs.batch_in, costs.there_ns) == (100_000, 200_000, 50_000)


def test_draw_of_the_calibration_is_taken() -> None:
    """Draw 1 has its own line and batch_in."""
    costs = costs_of(calibrated(), 1)
    assert (costs.base_ns, costs.per_item_ns, costs.batch_in) == (8_100_000, 490_000, 250_000)


def test_draws_are_counted_round() -> None:
    """Three draws serve any number of runs: draw 4 is draw 1 again."""
    assert costs_of(calibrated(), 4) == costs_of(calibrated(), 1)
    assert costs_of(scenario(), 4) == costs_of(scenario())
