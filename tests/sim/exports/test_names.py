"""Names that no scenario knows: their defaults, and what they may be."""

from __future__ import annotations

import pytest

from policy.autoscaling_rule import Signal
from sim.errors import ScenarioError
from sim.exports.names import Names, label
from sim.scenario.load import load_scenario
from tests.sim.scenario.example import content, scenario


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("shop", "shop"),
        ("My Shop_2", "my-shop-2"),
        ("2nd", "model-2nd"),
        ("--", "model"),
        ("x" * 90, "x" * 40),
        ("2" * 90, f"model-{'2' * 34}"),
    ],
)
def test_names_of_scenarios_become_labels(text: str, name: str) -> None:
    """Kubernetes takes lower-case letters, digits and dashes, a letter first."""
    assert label(text) == name


def test_metrics_have_the_name_of_their_signal_unless_one_is_given() -> None:
    """Of a pod it is the level or the rate itself, in Prometheus the counter that a rate is worked out from."""
    assert Names().metric(Signal.RATE) == "requests_per_second"
    assert Names().series(Signal.RATE) == "requests_total"
    assert Names(metric_name="queue:depth").series(Signal.WAITING) == "queue:depth"


@pytest.mark.parametrize("name", ["", "Shop", "shop-", "1shop", "a" * 41, "a b", "shop\n"])
def test_other_names_are_bad_input(name: str) -> None:
    """They would not be names of objects."""
    with pytest.raises(ScenarioError, match="name must be 1 to 40 lower-case letters"):
        Names(name=name).of(scenario())


def test_image_without_a_version_is_the_stable_ones() -> None:
    """Others have their own or a placeholder; beside one by the name of the stable version it is a second one."""
    two = load_scenario({**content(), "versions": [{"name": "v1"}, {"name": "v2", "role": "stable"}]})
    given = [[image.given for image in Names(image=image).images(two)] for image in (None, "a", {"v1": "b", "": "a"})]
    assert given == [[None, None], [None, "a"], ["b", "a"]]
    assert [image.given for image in Names(image={"v1": "a"}).images(scenario())] == ["a"]
    with pytest.raises(ScenarioError, match=r"^image must be given once for v2, the stable version\. Got two\.$"):
        Names(image={"v2": "a", "": "b"}).images(two)
    with pytest.raises(ScenarioError, match=r"^image must be of a version \(v1, v2\)\. Got 'v3'\.$"):
        Names(image={"v3": "a"}).images(two)


@pytest.mark.parametrize("name", ["", "1x", "a-b", 'a"} or vector(1)'])
def test_other_metrics_are_bad_input(name: str) -> None:
    """They would not stay inside a query."""
    with pytest.raises(ScenarioError, match="metric_name must be letters"):
        Names(metric_name=name).series(Signal.RATE)
