"""A scenario's trace: found, read once, and refused when it cannot be replayed as asked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sim.arrivals.trace_file import CountFile, TimeFile
from sim.errors import ScenarioError
from sim.scenario.arrival_spec import RecordedTrace
from sim.scenario.spec import Scenario
from sim.scenario.traces import check_trace, load_trace, recorded_sizes
from tests.sim.scenario.example import scenario, trace


def read(loaded: Scenario) -> TimeFile | CountFile:
    """Return the content of the scenario's trace."""
    assert isinstance(loaded.traffic.arrivals, RecordedTrace)
    return load_trace(loaded, loaded.traffic.arrivals)


def test_trace_is_read_once_until_it_changes(tmp_path: Path) -> None:
    """Ten runs read one file once; a changed file is read again."""
    file = tmp_path / "trace.csv"
    file.write_text("timestamp\n0\n1\n")
    loaded = scenario(f"traffic.arrivals={{process: trace, file: '{file}', repeat: true}}")
    first = read(loaded)
    assert read(loaded) is first
    file.write_text("timestamp\n0\n2\n")
    os.utime(file, ns=(5, 5))
    second = read(loaded)
    assert isinstance(second, TimeFile)
    assert second.times_ns.tolist() == [0, 2 * 10**9]


def test_recorded_sizes_are_those_of_the_trace() -> None:
    """Only the Azure LLM format records sizes."""
    assert recorded_sizes(scenario(trace("azure_llm.csv", ", repeat: true"))).tolist() == [4808, 3180, 110, 1]
    assert len(recorded_sizes(scenario(trace("timestamps_seconds.csv", ", repeat: true")))) == 0
    assert len(recorded_sizes(scenario())) == 0


def test_counts_with_a_model_inside_the_bin_are_accepted() -> None:
    """A trace of counts that is as long as the run needs no repetition."""
    loaded = scenario(trace("counts.csv", ", inside_bin: uniform"), "horizon.duration=20min", "horizon.warm_up=5min")
    assert isinstance(read(loaded), CountFile)
    check_trace(loaded)


@pytest.mark.parametrize(
    ("more", "overrides", "said"),
    [
        ("counts.csv", (), "traffic.arrivals.inside_bin is missing: a trace of counts needs even, uniform or poisson"),
        ("counts.csv, inside_bin: even", ("horizon.duration=1h",), "horizon.duration must fit into the trace "),
        ("counts.csv, inside_bin: even", ("horizon.duration=24min", "horizon.warm_up=2min"), "lasts 25min"),
        ("counts.csv, inside_bin: even, rate: 12/s", ("horizon.duration=2s",), "lasts 1s"),
        ("timestamps_seconds.csv", (), "which lasts 1.33s (or set traffic.arrivals.repeat: true). Got 1min"),
        ("timestamps_seconds.csv, inside_bin: even, repeat: true", (), "belong to a trace of counts"),
        ("timestamps_seconds.csv, bin: 5min, repeat: true", (), "belong to a trace of counts"),
        ("timestamps_seconds.csv, column: absent", (), "has no column absent: it has timestamp, user."),
    ],
)
def test_trace_that_does_not_fit_the_scenario_is_refused(more: str, overrides: tuple[str, ...], said: str) -> None:
    """Silence behind the end, a missing model and a foreign key are errors, and the trace says how long it is."""
    name, _, rest = more.partition(",")
    with pytest.raises(ScenarioError) as error:
        scenario(trace(name, "," + rest if rest else ""), *overrides)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "more", "said"),
    [
        ("timestamp,value\n0,0\n60,0\n", "inside_bin: even", "holds no requests: every count is 0."),
        ("timestamp,value\n0,1.5\n60,0\n", "inside_bin: even", "must be poisson where"),
        ("timestamp\n5\n5\n", "rate: 5/s", "has no duration: its requests all come at one moment."),
        ("timestamp\n5\n", "repeat: true", "has no duration: its requests all come at one moment."),
        ("", "repeat: true", "holds no requests: it has no rows."),
    ],
)
def test_trace_without_requests_or_duration_is_refused(text: str, more: str, said: str, tmp_path: Path) -> None:
    """An empty trace is bad input, not an empty forecast."""
    file = tmp_path / "trace.csv"
    file.write_text(text)
    with pytest.raises(ScenarioError) as error:
        scenario(f"traffic.arrivals={{process: trace, file: '{file}', {more}}}", "horizon.duration=60s")
    assert said in str(error.value)


def test_fractions_of_requests_are_means_of_poisson_counts(tmp_path: Path) -> None:
    """An averaged profile has fractions; poisson draws whole numbers around them."""
    file = tmp_path / "trace.csv"
    file.write_text("timestamp,value\n0,1.5\n60,2.25\n")
    check_trace(scenario(f"traffic.arrivals={{process: trace, file: '{file}', inside_bin: poisson}}"))


def test_trace_may_end_in_the_tail_of_a_run() -> None:
    """The measured part must be covered; behind it a trace may end."""
    check_trace(scenario(trace("timestamps_seconds.csv"), "horizon.duration=1.3s"))
