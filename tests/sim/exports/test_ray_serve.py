"""Ray Serve: a config read back is the rule that was written."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import RefusedToAnswer
from sim.exports.export import export
from sim.exports.names import Names
from sim.exports.ray_serve import RULE
from sim.scenario.spec import Scenario
from tests.parity.test_conformance_vector import ROWS
from tests.sim.exports.reading import ray_rule, rule_of, scaled
from tests.sim.scenario.example import content, scenario

BATCHING = {"max_batch": 8, "max_wait": "5ms", "timer_origin": "collect", "freeze": "timer"}
AS_RAY = ("batching.timer_origin=collect", "batching.freeze=timer")


def config_of(given_scenario: Scenario, names: Names | None = None) -> dict[str, Any]:
    """Return what an export says."""
    config = yaml.safe_load(export(given_scenario, "ray-serve", names).files["serve_config.yaml"])
    assert isinstance(config, dict)
    return config


def deployment_of(given_scenario: Scenario) -> dict[str, Any]:
    """Return its one deployment."""
    ((deployment,),) = [application["deployments"] for application in config_of(given_scenario)["applications"]]
    assert isinstance(deployment, dict)
    return deployment


@st.composite
def rays(draw: st.DrawFn) -> dict[str, Any]:
    """Return an autoscaler that Ray Serve's can be."""
    window_ms = 5 * draw(st.integers(1, 20_000))
    least = draw(st.integers(0, 5))
    return {
        "preset": "ray_serve",
        "target": draw(st.integers(1, 99_000)) / 1000,
        "window": f"{window_ms}ms",
        "sample": f"{window_ms // 5}ms",
        "report": f"{draw(st.integers(1, 60))}s",
        "gain_up": draw(st.sampled_from([1, 0.3, 2.5])),
        "gain_down": draw(st.sampled_from([1, 0.3])),
        "delay_up": f"{draw(st.integers(0, 90_000))}ms",
        "delay_down": f"{draw(st.integers(0, 900_000))}ms",
        "idle": f"{draw(st.integers(100, 900_000))}ms",
        "min_replicas": least,
        "max_replicas": least + draw(st.integers(1, 50)),
    }


@settings(max_examples=60)
@given(rays())
def test_config_read_back_is_the_same_rule(autoscaler: dict[str, Any]) -> None:
    """Scenario -> autoscaling_config -> Ray Serve's preset with these words."""
    given_scenario = scaled(autoscaler, batching=BATCHING)
    rule = rule_of(given_scenario)
    if not rule.to_zero:
        rule = rule._replace(idle_ns=100_000_000)  # then it means nothing, and nobody says it
    assert ray_rule(deployment_of(given_scenario)["autoscaling_config"]) == rule


def test_preset_of_ray_serve_comes_back() -> None:
    """Its defaults, as num_replicas "auto" has them, and to none with a least number of 0."""
    for own in ({"min_replicas": 0}, {"idle": "100ms"}):
        given_scenario = scaled({"preset": "ray_serve", **own}, batching=BATCHING)
        assert ray_rule(deployment_of(given_scenario)["autoscaling_config"]) == rule_of(given_scenario)


def test_queues_are_those_of_a_replica_and_in_front_of_all() -> None:
    """Ray's own default would be 5 ongoing requests, so that no limit has to be said too; held_max is queued."""
    free = deployment_of(scenario(*AS_RAY, "fleet.replicas=3"))
    assert (free["num_replicas"], free["max_ongoing_requests"], free["max_queued_requests"]) == (3, 1_000_000, -1)
    bounded = scenario(*AS_RAY, "fleet.routing.outstanding_max=16", "fleet.routing.held_max=100")
    told = deployment_of(bounded)
    assert (told["max_ongoing_requests"], told["max_queued_requests"]) == (16, 100)


def test_batching_goes_to_reconfigure() -> None:
    """The config cannot hold it, so user_config does, and a comment says what has to read it."""
    given_scenario = scenario(*AS_RAY, "batching.slots=2")
    assert deployment_of(given_scenario)["user_config"] == {"max_batch_size": 8, "batch_wait_timeout_s": 0.005}
    assert "@serve.batch(max_concurrent_batches=2)" in " ".join(export(given_scenario, "ray-serve").notes)


def test_rule_of_batching_is_what_was_seen_of_ray_serve() -> None:
    """The conformance vector has the row of the real server."""
    (seen,) = [options for server, options, _ in ROWS if server == "Ray Serve"]
    assert {key.partition(".")[2]: value for key, value in RULE.items()}.items() >= {
        key: value for key, value in seen.items() if key != "slots"
    }.items()


def test_deadline_is_that_of_the_proxy() -> None:
    """It answers 408 there, which is told."""
    exported = export(scenario(*AS_RAY, "queue.deadline=1500ms"), "ray-serve")
    assert yaml.safe_load(exported.files["serve_config.yaml"])["http_options"] == {"request_timeout_s": 1.5}
    assert any("408" in note for note in exported.notes)


def test_application_is_imported_from_the_named_path() -> None:
    """The default is a placeholder."""
    (application,) = config_of(scenario(*AS_RAY), Names(import_path="shop.serving:app"))["applications"]
    assert application["import_path"] == "shop.serving:app"


@pytest.mark.parametrize(
    ("own", "refused"),
    [
        ({"preset": "keda", "target": 5}, "formula is total, and Ray Serve goes from where the fleet is"),
        (
            {"preset": "ray_serve", "signal": "waiting", "target": 5},
            "signal is waiting, and Ray Serve counts ongoing requests",
        ),
        ({"preset": "ray_serve", "window": "0s"}, "window is none, and Ray Serve looks back for a while"),
    ],
)
def test_other_formulas_are_refused(own: dict[str, Any], refused: str) -> None:
    """Key and value."""
    with pytest.raises(RefusedToAnswer, match=refused):
        export(scaled(own, batching=BATCHING), "ray-serve")


def test_batches_that_grow_while_the_device_is_busy_are_refused() -> None:
    """What @serve.batch does decides p99 more than anything else here: the sentence says how to forecast that."""
    with pytest.raises(RefusedToAnswer) as refusal:
        export(scenario(), "ray-serve")
    assert str(refusal.value) == (
        "batching.timer_origin is enqueue, and @serve.batch has collect there: --to triton or tf-serving can say it; "
        "--set batching.timer_origin=collect --set batching.freeze=timer is what Ray Serve takes."
    )


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({"sample": "1s"}, "fleet.autoscaler.sample is 1s: Ray Serve samples five times in a look-back."),
        ({"tick": "500ms"}, "fleet.autoscaler.tick is 500ms: RAY_SERVE_CONTROL_LOOP_INTERVAL_S"),
        ({"report": "1s"}, "metrics_interval_s is to give way to RAY_SERVE_HANDLE_"),
        ({"report": "0s"}, "fleet.autoscaler.report is 0s: Ray Serve pushes its counts every 10 s."),
        (
            {"cooldown_up": "10s"},
            "fleet.autoscaler.cooldown (block) and .cooldown_up (10s): ray-serve has no word for that, nor has any",
        ),
        ({"min_replicas": 2, "scale_to_zero": True}, "Ray Serve has no none-or-at-least-2: min_replicas is 0."),
    ],
)
def test_what_ray_serve_does_otherwise_is_told(own: dict[str, Any], told: str) -> None:
    """One sentence for each."""
    given_scenario = scaled({"preset": "ray_serve", **own}, batching=BATCHING, queue={"cap": 64})
    notes = export(given_scenario, "ray-serve").notes
    assert told in " ".join(notes)
    assert any(note.startswith("queue.cap is 64: Ray Serve refuses in front of the fleet only") for note in notes)


def test_content_of_the_minimal_scenario_is_not_rays() -> None:
    """Counterfact of the tests above: with the scenario's own batching each of them would be refused."""
    with pytest.raises(RefusedToAnswer):
        export(scaled({"preset": "ray_serve"}, batching=content()["batching"]), "ray-serve")
