"""The hash of a scenario: equal for equal questions, different for different ones, silent about the machine."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sim.errors import ScenarioError
from sim.scenario.identity import as_written, named_files, put, resolved, scenario_hash
from sim.scenario.load import load_scenario
from sim.scenario.spec import Scenario
from tests.sim.scenario.example import DATA, calibrated, content, scenario, trace


def test_hash_is_sha256_in_hex() -> None:
    """64 hexadecimal digits, and the same ones each time."""
    assert re.fullmatch("[0-9a-f]{64}", scenario_hash(scenario()))
    assert scenario_hash(scenario()) == scenario_hash(scenario())


@pytest.mark.parametrize(
    "override",
    [
        "batching.max_wait=0.005s",
        "traffic.arrivals.rate=36000/min",
        "horizon.duration=1min",
        "queue.cap=none",
        "traffic.retries={}",
        "batching.timer_origin=enqueue",
    ],
)
def test_same_question_in_other_words_has_the_same_hash(override: str) -> None:
    """Units and stated defaults change nothing."""
    assert scenario_hash(scenario(override)) == scenario_hash(scenario())


@pytest.mark.parametrize(
    "override",
    [
        "batching.max_wait=5.000001ms",
        "batching.max_batch=7",
        "traffic.arrivals.rate=600.0001/s",
        "traffic.arrivals.process=even",
        "goals.p99=1s",
        "seed=0",
        "fleet.turnaround.batch_in=0ms",
    ],
)
def test_another_question_has_another_hash(override: str) -> None:
    """Whatever may change an answer changes the hash."""
    assert scenario_hash(scenario(override)) != scenario_hash(scenario())


def test_files_count_by_content_and_not_by_place(tmp_path: Path) -> None:
    """A trace moved elsewhere is the same trace; one byte more is another one."""
    copied = tmp_path / "elsewhere.csv"
    copied.write_bytes((DATA / "azure_llm.csv").read_bytes())
    here = scenario(trace("azure_llm.csv", ", repeat: true"))
    there = scenario(f"traffic.arrivals={{process: trace, file: '{copied}', repeat: true}}")
    assert scenario_hash(here) == scenario_hash(there)
    copied.write_text(copied.read_text() + "\n")
    assert scenario_hash(here) != scenario_hash(there)


def test_calibration_counts_by_content(tmp_path: Path) -> None:
    """A recalibrated profile in the same place is another question."""
    profile = json.loads((DATA / "profile.json").read_text())
    file = tmp_path / "profile.json"
    file.write_text(json.dumps({**profile, "spread_cv": 0.03}))
    other = load_scenario({**content(), "model": {"profile": str(file)}})
    assert scenario_hash(other) != scenario_hash(calibrated())


def test_resolved_scenario_has_no_paths() -> None:
    """Provenance may be published: it tells nothing of the machine's folders."""
    for loaded in (scenario(trace("azure_llm.csv", ", repeat: true")), calibrated()):
        text = json.dumps(resolved(loaded))
        assert str(DATA) not in text
        assert "sha256:" in text


def test_file_that_has_gone_is_told(tmp_path: Path) -> None:
    """Between loading and hashing a file may go; that is bad input too."""
    file = tmp_path / "trace.csv"
    file.write_text("timestamp\n0\n1\n")
    loaded = scenario(f"traffic.arrivals={{process: trace, file: '{file}', repeat: true}}")
    file.unlink()
    with pytest.raises(ScenarioError, match="cannot be read: No such file"):
        scenario_hash(loaded)


EXAMPLES = sorted((Path(__file__).parents[3] / "servecast" / "examples").glob("*.yaml"))
TABLE = "model.pass_time={table: {1: 8ms, 8: 11.5ms}, spread: {distribution: lognormal, cv: 0.1}}"
VERSIONS = ("versions=[{name: v1}, {name: v2, role: canary, loaded: false}]", "split.users=1000")
SPECIAL = [
    (TABLE, "batching.slots=unlimited", "seed=9223372036854775807"),
    (f"versions=[{{name: v1}}, {{name: v2, weight: 33.33%, model: {{{TABLE[6:].replace('=', ': ')}}}}}]",),
    ("fleet.autoscaler={preset: kubernetes_hpa, target: 66%, max_replicas: 6}", "fleet.cold_start.load=2.5s"),
    ("traffic.timeout={distribution: choices, values: [1s, 1.5s], weights: [1, 2.5]}", "traffic.sizes=12"),
    ("cost={replica_hour: 2.5, machines: {a100: {replica_hour: 3, gpus: 8}}}", "fleet.machine=a100"),
    ("traffic.arrivals={process: mmpp, rates: [0.333333333333/s, 90/h], dwells: [1min, 1h]}",),
    (
        *VERSIONS,
        "rollout={start: none, steps: [{weight: 10%, pause: none}, {weight: 50%, analysis: true}], slow_over: 200ms,"
        " analysis: {limits: [{metric: slow, pass_most: 1%}], interval: 10s}}",
    ),
    (
        *VERSIONS,
        "rollout={argo: {steps: [{setWeight: 10}, {pause: {duration: 1m30s}}, {pause: {}}, {analysis: {}},"
        " {setMirrorRoute: {percentage: 5}}], analysis: {metrics: [{name: success-rate, interval: 10s,"
        " successCondition: 'result[0] >= 0.95'}]}}}",
    ),
    (
        *VERSIONS,
        "rollout={start: 5s, flagger: {stepWeight: 20, metrics: [{name: request-success-rate, interval: 1m,"
        " thresholdRange: {min: 99}}, {name: request-duration, thresholdRange: {max: 500}}]}}",
    ),
    (*VERSIONS, "rollout={kserve: {canaryTrafficPercent: 10}}"),
]
"""What is written in more than one way, and what may not stand beside something else."""


def again(loaded: Scenario) -> Scenario:
    """Return what is loaded from what is written, by way of a file of JSON, with its own files where they were."""
    written = json.loads(json.dumps(as_written(loaded), allow_nan=False))
    for key, path in named_files(loaded).items():
        put(written, key, str(path))
    return load_scenario(written)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_that_is_written_is_read_as_the_same(path: Path) -> None:
    """The same question, with every default spelled out."""
    loaded = load_scenario(path)
    assert resolved(again(loaded)) == resolved(loaded)


@pytest.mark.parametrize("overrides", SPECIAL, ids=lambda overrides: overrides[-1].partition("=")[0])
def test_whatever_is_written_is_read_as_the_same(overrides: tuple[str, ...]) -> None:
    """Distributions, tables, words of other systems: each key as its author could have written it."""
    loaded = scenario(*overrides)
    assert resolved(again(loaded)) == resolved(loaded)


def test_written_scenario_has_units_and_defaults() -> None:
    """As one would write it: 5ms and not 5000000; what was left out stands there too."""
    written = as_written(scenario("goals.refused=0.1%"))
    assert written["batching"] | {"max_wait": "5ms", "timer_origin": "enqueue"} == written["batching"]
    assert written["traffic"]["arrivals"] == {"process": "poisson", "rate": "600/s"}
    assert (written["horizon"]["duration"], written["goals"]) == ("1min", {"refused": "0.1%"})


def test_written_scenario_names_files_without_their_folders() -> None:
    """It may be published; where the files lay is told apart."""
    traced = scenario(trace("azure_llm.csv", ", repeat: true"))
    assert as_written(traced)["traffic"]["arrivals"]["file"] == "azure_llm.csv"
    assert named_files(traced) == {"traffic.arrivals.file": DATA / "azure_llm.csv"}
    both = calibrated(f"versions=[{{name: v1}}, {{name: v2, model: {{profile: '{DATA / 'profile.json'}'}}}}]")
    assert set(named_files(both)) == {"model.profile", "versions.1.model.profile"}
    assert as_written(both)["versions"][1]["model"]["profile"] == "profile.json"
