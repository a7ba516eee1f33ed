"""The hash of a scenario: equal for equal questions, different for different ones, silent about the machine."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sim.errors import ScenarioError
from sim.scenario.identity import resolved, scenario_hash
from sim.scenario.load import load_scenario
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
