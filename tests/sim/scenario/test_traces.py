"""A scenario's trace: found, read once, and refused when it cannot be replayed as asked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sim.arrivals.trace_file import CountFile, TimeFile
from sim.errors import ScenarioError
from sim.scenario.arrival_spec import RecordedTrace
from sim.scenario.capacity import mean_rate_per_s
from sim.scenario.spec import Scenario
from sim.scenario.traces import load_trace, meets_one_trace, recorded_sizes, trace_peak, with_checked_trace
from tests.sim.scenario.example import scenario, trace

MIN_NS = 60 * 10**9


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


def test_column_and_unit_reach_the_file(tmp_path: Path) -> None:
    """Another unit is another trace of the same file."""
    file = tmp_path / "trace.csv"
    file.write_text("ann,0\nbob,250\n")
    own = f"traffic.arrivals={{process: trace, file: '{file}', column: 2, repeat: true}}"
    for unit, last_ns in (("ms", 250 * 10**6), ("us", 250_000)):
        content = read(scenario(own, f"traffic.arrivals.unit={unit}"))
        assert isinstance(content, TimeFile)
        assert content.times_ns.tolist() == [0, last_ns]


def test_recorded_sizes_are_those_of_the_trace() -> None:
    """Only the Azure LLM format records sizes."""
    assert recorded_sizes(scenario(trace("azure_llm.csv", ", repeat: true"))).tolist() == [4808, 3180, 110, 1]
    assert len(recorded_sizes(scenario(trace("timestamps_seconds.csv", ", repeat: true")))) == 0
    assert len(recorded_sizes(scenario())) == 0


def test_counts_with_a_model_inside_the_bin_are_accepted() -> None:
    """A trace of counts that is as long as the run needs no repetition."""
    loaded = scenario(trace("counts.csv", ", inside_bin: uniform"), "horizon.duration=20min", "horizon.warm_up=5min")
    assert isinstance(read(loaded), CountFile)
    assert with_checked_trace(loaded) == loaded


@pytest.mark.parametrize(
    ("more", "overrides", "said"),
    [
        ("counts.csv", (), "traffic.arrivals.inside_bin is missing: a trace of counts needs even, uniform or poisson"),
        ("counts.csv, inside_bin: even", ("horizon.duration=1h",), "horizon.duration must fit into the trace "),
        ("counts.csv, inside_bin: even", ("horizon.duration=24min", "horizon.warm_up=2min"), "lasts 25min"),
        ("counts.csv, inside_bin: even, rate: 12/s", ("horizon.duration=2s",), "lasts 1s"),
        (
            "timestamps_seconds.csv",
            ("horizon.duration=1min",),
            "which lasts 1.33s (or set traffic.arrivals.repeat: true)",
        ),
        ("timestamps_seconds.csv, inside_bin: even, repeat: true", (), "belong to a trace of counts"),
        ("timestamps_seconds.csv, bin: 5min, repeat: true", (), "belong to a trace of counts"),
        (
            "timestamps_seconds.csv, column: absent",
            (),
            "has no column absent: it has timestamp, user; traffic.arrivals.column says",
        ),
        ("timestamps_seconds.csv, column: 3", (), "has no column 3: it has 2."),
        (
            "timestamps_seconds.csv, column: 0",
            (),
            "traffic.arrivals.column must be the name of a column, or its number, 1 for the first. Got 0.",
        ),
        ("timestamps_seconds.csv, column: 1.5", (), "1 for the first. Got 1.5."),
        ("timestamps_seconds.csv, column: true", (), "1 for the first. Got true."),
        (
            "timestamps_iso.csv, column: sent, unit: ms",
            (),
            "traffic.arrivals.unit belongs to timestamps that are numbers",
        ),
        (
            "timestamps_seconds.csv, scale: 0",
            (),
            "traffic.arrivals.scale must be a ratio above 0, at most 1000. Got 0.",
        ),
        ("timestamps_seconds.csv, unit: min", (), "traffic.arrivals.unit must be one of s, ms, us, ns. Got 'min'."),
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
    scenario(f"traffic.arrivals={{process: trace, file: '{file}', inside_bin: poisson}}")


def test_missing_trace_says_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path counts from the scenario's folder, which a bare name does not tell; a name like one there is suggested."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "arrivals.csv").write_text("timestamp\n0\n1\n")
    (tmp_path / "arrival.yaml").write_text("")
    with pytest.raises(ScenarioError) as caught:
        scenario("traffic.arrivals={process: trace, file: arrival.csv}")
    reason = f"No such file or directory in {tmp_path}"
    assert str(caught.value) == f"The trace arrival.csv cannot be read: {reason}. Did you mean arrivals.csv?"


def test_highest_rate_is_that_of_the_busiest_window(tmp_path: Path) -> None:
    """1/s for 40 s, and 10 requests more in the third window of 5 s: 15 there.

    At twice the rate the burst lies in the second window, with 10 others, or 9 as the edge is rounded.
    """
    file = tmp_path / "trace.csv"
    burst = [11 + place / 10 for place in range(10)]
    file.write_text("timestamp\n" + "\n".join(map(str, sorted([*map(float, range(40)), *burst]))) + "\n")
    own = f"traffic.arrivals={{process: trace, file: '{file}', repeat: true}}"
    assert trace_peak(scenario(own), 5 * 10**9) == (3.0, 5 * 10**9)
    rate = mean_rate_per_s(scenario(own))
    assert trace_peak(scenario(own, f"traffic.arrivals.rate={2 * rate:.9f}/s"), 5 * 10**9) == (
        pytest.approx(4.0, abs=0.2),
        5 * 10**9,
    )
    assert trace_peak(scenario(), 5 * 10**9) is None


def test_scaled_trace_lasts_as_long_and_has_so_many_times_the_rate() -> None:
    """Mean and busiest rate are multiplied, beside a stated rate too; its runs no longer meet one trace."""
    plain, scaled = (scenario(trace("counts.csv", f", inside_bin: even{more}")) for more in ("", ", scale: 150%"))
    assert scaled.horizon == plain.horizon
    assert mean_rate_per_s(scaled) == pytest.approx(1.5 * mean_rate_per_s(plain))
    (most, window_ns), (more, same_ns) = (trace_peak(one, 10**9) or (0, 0) for one in (plain, scaled))
    assert (more, same_ns) == (pytest.approx(1.5 * most), window_ns)
    assert (meets_one_trace(plain), meets_one_trace(scaled)) == (True, False)
    stretched = scenario(trace("timestamps_seconds.csv", ", rate: 50/s, scale: 3, repeat: true"))
    assert mean_rate_per_s(stretched) == pytest.approx(150.0)


def test_highest_rate_of_counts_is_that_of_a_bin(tmp_path: Path) -> None:
    """Bins of a minute tell nothing of 5 s; a trace of one window has no busiest one."""
    counts = scenario(trace("counts.csv", ", inside_bin: uniform"), "horizon.duration=20min", "horizon.warm_up=5min")
    content = read(counts)
    assert isinstance(content, CountFile)
    most = float(content.counts.max()) / content.bin_ns * 1e9
    assert trace_peak(counts, 5 * 10**9) == (pytest.approx(most), content.bin_ns)
    assert trace_peak(counts, 60 * MIN_NS) is None


def test_trace_may_end_in_the_tail_of_a_run() -> None:
    """The measured part must be covered; behind it a trace may end."""
    scenario(trace("timestamps_seconds.csv"), "horizon.duration=1.3s")


@pytest.mark.parametrize(
    ("more", "overrides", "duration_ns", "warm_up"),
    [
        ("counts.csv, inside_bin: uniform", (), 25 * MIN_NS, "auto"),
        ("counts.csv, inside_bin: uniform", ("horizon.warm_up=5min",), 20 * MIN_NS, 5 * MIN_NS),
        ("counts.csv, inside_bin: uniform, repeat: true", ("horizon.runs=4",), 25 * MIN_NS, "auto"),
        ("counts.csv, inside_bin: uniform", ("horizon.duration=2min",), 2 * MIN_NS, "auto"),
    ],
)
def test_runs_take_the_whole_trace_unless_a_duration_is_stated(
    more: str, overrides: tuple[str, ...], duration_ns: int, warm_up: object
) -> None:
    """Whoever names a file means all of it; a stated warm-up is part of it."""
    name, _, rest = more.partition(",")
    horizon = scenario(trace(name, "," + rest), *overrides).horizon
    assert (horizon.duration, horizon.warm_up) == (duration_ns, warm_up)


def test_a_stretched_trace_lasts_longer() -> None:
    """At half its rate it takes twice as long, and so do the runs."""
    as_recorded = scenario(trace("counts.csv", ", inside_bin: uniform"))
    rate = mean_rate_per_s(as_recorded)
    stretched = scenario(trace("counts.csv", f", inside_bin: uniform, rate: {rate / 2}/s"))
    assert stretched.horizon.duration == pytest.approx(2 * as_recorded.horizon.duration, rel=1e-9)
