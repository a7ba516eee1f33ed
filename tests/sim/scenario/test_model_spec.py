"""Tests of sim/scenario/model_spec.py: what a server runs. The pass time is tested where its rule is."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from sim.errors import ScenarioError
from sim.scenario.calibrated import calibrated
from sim.scenario.load import load_scenario
from sim.scenario.lower import lower
from sim.scenario.spec import Model, Scenario
from tests.sim.scenario.example import content


def scenario_of(**model: Any) -> Scenario:
    """Return a minimal scenario with these keys of its model."""
    written = content()
    written["model"] |= model
    return load_scenario(written)


def test_emulated_device_is_served_by_default() -> None:
    """A scenario needs to say nothing: then its pass time is what is served."""
    model = scenario_of().model
    assert (model.serve_with, model.device, model.options, model.input) == ("emulated", "auto", {}, "servecast")


@pytest.mark.parametrize("name", ["emulated", "cnn", "minilm", "shop:make", "my.own.models:Ranker_2"])
def test_model_is_named_or_a_factory_of_ones_own(name: str) -> None:
    """The names of the reference server, or module:factory."""
    assert scenario_of(serve_with=name).model.serve_with == name


@pytest.mark.parametrize(
    "name", ["MiniLM", "shop", "shop:", ":make", "shop.:make", "shop:make.it", "a b:c", "shop:mäke"]
)
def test_other_names_are_refused(name: str) -> None:
    """Whether a factory exists is seen when it is served; its form is seen here."""
    with pytest.raises(ScenarioError) as caught:
        scenario_of(serve_with=name)
    assert str(caught.value) == f"model.serve_with must be emulated, cnn, minilm, or module:factory. Got {name}."


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_device_is_named_as_pytorch_does(device: str) -> None:
    """Which of them are there is seen when it is served."""
    assert scenario_of(device=device).model.device == device


@pytest.mark.parametrize("device", ["", "GPU", "cuda:", "cuda:x", "cuda 1"])
def test_what_is_no_device_is_refused(device: str) -> None:
    """In one sentence."""
    with pytest.raises(ScenarioError, match=r"model\.device must be auto, cpu, cuda or cuda:1\. Got"):
        scenario_of(device=device)


@pytest.mark.parametrize("value", [None, 3, "text", [1, 2.5, [True]], {"text": "great movie"}])
def test_input_is_any_json(value: Any) -> None:
    """Lists are held as tuples, which are lists again as JSON."""
    assert scenario_of(input=value).model.model_dump(mode="json")["input"] == value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("input", datetime.date(2026, 1, 1)),
        ("input", float("nan")),
        ("options", {"since": datetime.date(2026, 1, 1)}),
        ("options", {"limit": float("inf")}),
    ],
)
def test_what_json_cannot_hold_is_refused(key: str, value: Any) -> None:
    """A date of a TOML file could not be sent, nor carried to the process of the model."""
    with pytest.raises(ScenarioError, match=rf"model\.{key} must be what JSON can hold\. Got"):
        scenario_of(**{key: value})


def test_forecast_does_not_read_what_is_served() -> None:
    """The same tables for the engine, whatever runs in a server: only the times count."""
    plain, served = scenario_of(), scenario_of(serve_with="minilm", options={"max_tokens": 8}, input="x", device="cpu")
    one, other = (lower(each, seed=1, warm_up_ns=0) for each in (plain, served))
    assert one.fleet == other.fleet
    assert one.front_end == other.front_end
    assert one.traffic.arrivals_ns.tolist() == other.traffic.arrivals_ns.tolist()


def test_calibration_replaces_the_times_and_keeps_what_is_served(tmp_path: Any) -> None:
    """A check of a calibrated scenario sends what the model takes."""
    served = scenario_of(serve_with="minilm", input={"text": "great movie"}, options={"max_tokens": 8})
    model = calibrated(served, tmp_path / "profile.json").model
    assert model == Model(
        profile=str(tmp_path / "profile.json"),
        serve_with="minilm",
        input={"text": "great movie"},
        options={"max_tokens": 8},
    )
