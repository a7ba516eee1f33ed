"""A scenario's trace: found, read once, and refused when it cannot be replayed as asked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sim.arrivals.trace_file import CountFile, TimeFile
from sim.errors import ScenarioError
from sim.scenario.arrival_spec import RecordedTrace
from sim.scenario.capacity import mean_rate_per_s, met_rate_per_s
from sim.scenario.schedule import draw_schedule
from sim.scenario.spec import Scenario
from sim.scenario.traces import (
    load_trace,
    meets_one_trace,
    put_in_order,
    recorded_sizes,
    trace_peak,
    with_checked_trace,
)
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
        (
            "counts.csv, inside_bin: together",
            (),
            "traffic.arrivals.inside_bin must not be together: a trace of counts needs even, uniform or poisson",
        ),
        (
            "timestamps_seconds.csv, inside_bin: even, repeat: true",
            (),
            "have fractions of seconds: leave it out, or state in traffic.arrivals.bin what they were cut to.",
        ),
        ("timestamps_seconds.csv, inside_bin: even, bin: 200ms", (), "stand at no whole multiples of 200ms."),
        ("timestamps_seconds.csv, inside_bin: even, bin: 1ns", (), "must leave at most 40000000 bins, and "),
        (
            "timestamps_seconds.csv, bin: 5min, repeat: true",
            (),
            "traffic.arrivals.bin belongs to a trace of counts",
        ),
        ("timestamps_seconds.csv, inside_bin: together, bin: 1s", (), "traffic.arrivals.bin belongs to a trace of "),
        ("timestamps_seconds.csv, bin_column: user", (), "traffic.arrivals.bin_column belongs to a trace of counts"),
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
        ("timestamps_seconds.csv, unit: d", (), "traffic.arrivals.unit must be one of h, min, s, ms, us, ns. Got 'd'."),
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


def cut(tmp_path: Path, per_s: int, seconds: int, more: str = "") -> str:
    """Return an override of a trace of whole seconds, each with so many requests."""
    file = tmp_path / "cut.csv"
    file.write_text("timestamp\n" + "".join(f"{second}\n" * per_s for second in range(seconds)))
    return f"traffic.arrivals={{process: trace, file: '{file}'{more}}}"


def test_timestamps_at_whole_seconds_need_a_word(tmp_path: Path) -> None:
    """Requests that seem to come all at once would be answered with a p99 that no user sees: what was seen is told."""
    with pytest.raises(ScenarioError) as error:
        scenario(cut(tmp_path, 4, 10))
    assert str(error.value).endswith(
        "cut.csv has timestamps at whole seconds, 4 requests at each in the mean: state in traffic.arrivals.inside_bin "
        "how they lie inside the second (uniform, even or poisson), or together if they did come at once."
    )


@pytest.mark.parametrize(("step_s", "whole"), [(60, "whole minutes, 4 requests"), (3600, "whole hours, 4 requests")])
def test_timestamps_at_whole_minutes_and_hours_need_it_too(step_s: int, whole: str, tmp_path: Path) -> None:
    """The longest that divides all distances is what they were cut to."""
    file = tmp_path / "cut.csv"
    file.write_text("timestamp\n" + "".join(f"{7 + step_s * place}\n" * 4 for place in range(10)))
    with pytest.raises(ScenarioError, match=whole):
        scenario(f"traffic.arrivals={{process: trace, file: '{file}'}}")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("".join(f"{place}\n" for place in range(40)), "one at each second"),
        ("".join(f"{place * 1.5}\n{place * 1.5}\n" for place in range(40)), "not at whole seconds"),
        ("".join(f"{place}\n" for place in range(20)) + "1\n" * 9, "1.45 at each"),
        ("0\n0\n0\n1\n1\n1\n", "written by hand"),
    ],
)
def test_other_timestamps_need_no_word(text: str, why: str, tmp_path: Path) -> None:
    """A sparse trace, one with fractions, and a few rows go on as they stand."""
    file = tmp_path / "trace.csv"
    file.write_text("timestamp\n" + text)
    content = read(scenario(f"traffic.arrivals={{process: trace, file: '{file}', repeat: true}}"))
    assert isinstance(content, TimeFile), why


def test_whole_seconds_are_spread_as_counts_are(tmp_path: Path) -> None:
    """The very dice of a file of the same counts: the same arrivals; even ones are the same in every run."""
    loaded = scenario(cut(tmp_path, 4, 10, ", inside_bin: uniform"))
    counts = tmp_path / "counts.csv"
    counts.write_text("timestamp,value\n" + "".join(f"{second},4\n" for second in range(10)))
    other = scenario(f"traffic.arrivals={{process: trace, file: '{counts}', inside_bin: uniform}}")
    drawn, of_counts = (draw_schedule(one, seed=1, horizon_ns=10**10).arrivals_ns.tolist() for one in (loaded, other))
    assert drawn == of_counts
    assert loaded.horizon.duration == other.horizon.duration == 10 * 10**9
    assert not meets_one_trace(loaded)
    even = scenario(cut(tmp_path, 4, 10, ", inside_bin: even"))
    assert draw_schedule(even, seed=1, horizon_ns=10**9).arrivals_ns.tolist() == [0, 25 * 10**7, 5 * 10**8, 75 * 10**7]
    assert meets_one_trace(even)


def test_requests_that_did_come_together_stay_so(tmp_path: Path) -> None:
    """As they stand in the file, the same in every run."""
    together = scenario(cut(tmp_path, 4, 10, ", inside_bin: together"))
    assert draw_schedule(together, seed=1, horizon_ns=2 * 10**9).arrivals_ns.tolist() == [0] * 4 + [10**9] * 4
    assert meets_one_trace(together)


def test_stated_bin_is_what_timestamps_were_cut_to(tmp_path: Path) -> None:
    """Tenths of a second are found by nobody, and one moment tells of no second."""
    file = tmp_path / "trace.csv"
    own = f"traffic.arrivals={{process: trace, file: '{file}', inside_bin: uniform, repeat: true"
    file.write_text("timestamp\n0.1\n0.1\n0.3\n")
    content = read(scenario(own + ", bin: 100ms}"))
    assert isinstance(content, CountFile)
    assert (content.counts.tolist(), content.bin_ns) == ([2, 0, 1], 10**8)
    file.write_text("timestamp\n5\n5\n")
    os.utime(file, ns=(5, 5))
    with pytest.raises(
        ScenarioError, match=r"all stand at one moment: leave it out, or state in traffic\.arrivals\.bin"
    ):
        scenario(own + "}")
    assert read(scenario(own + ", bin: 1s}")).sizes.tolist() == []


def test_order_and_sizes_outlive_the_spreading(tmp_path: Path) -> None:
    """Each second keeps its recorded sizes, in the order of the file, and a wrong order is still told."""
    file = tmp_path / "trace.csv"
    file.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n1,30,1\n0,10,1\n1,40,1\n0,20,1\n")
    loaded = scenario(f"traffic.arrivals={{process: trace, file: '{file}', inside_bin: uniform}}")
    assert put_in_order(loaded) == 2
    assert recorded_sizes(loaded).tolist() == [10, 20, 30, 40]
    assert draw_schedule(loaded, seed=1, horizon_ns=2 * 10**9).sizes.tolist() == [10, 20, 30, 40]


def test_column_of_bins_reaches_the_file(tmp_path: Path) -> None:
    """By the key that the error of a header without a known name tells."""
    file = tmp_path / "trace.csv"
    file.write_text("minute,count\n0,5\n1,6\n")
    own = f"traffic.arrivals={{process: trace, file: '{file}', inside_bin: uniform"
    with pytest.raises(ScenarioError, match=r"traffic\.arrivals\.bin_column says which one to read"):
        scenario(own + ", column: count}")
    with pytest.raises(ScenarioError, match=r"by its name in minutes: state traffic\.arrivals\.unit: min"):
        scenario(own + ", bin_column: minute}")
    content = read(scenario(own + ", bin_column: minute, unit: min}"))
    assert isinstance(content, CountFile)
    assert content.bin_ns == MIN_NS


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


def test_trace_of_more_than_a_month_needs_a_horizon(tmp_path: Path) -> None:
    """One stray row makes it that long; the gap behind it is named."""
    times = [0.5, *(1764150000.0 + place / 10 for place in range(600))]
    file = tmp_path / "own.csv"
    file.write_text("\n".join(["timestamp", *map(str, times)]) + "\n")
    arrivals = f"traffic.arrivals={{process: trace, file: '{file}'}}"
    said = (
        r"no more than 31d of it; nothing comes for 2\.04e\+04d behind request 1 of 601, so a timestamp may be wrong: "
    )
    with pytest.raises(ScenarioError, match=said):
        scenario(arrivals)
    assert scenario(arrivals, "horizon.duration=30d").horizon.duration == 30 * 86_400 * 10**9


def test_rate_that_runs_meet_is_that_of_the_beginning_they_meet() -> None:
    """Four counts a minute or so are not the mean of all 25 minutes; what is met whole, or again, has the mean."""
    counts = "counts.csv"
    whole = scenario(trace(counts, ", inside_bin: even"))
    part = scenario(trace(counts, ", inside_bin: even"), "horizon={duration: 5min, warm_up: 0s}")
    again = scenario(trace(counts, ", inside_bin: even, repeat: true"), "horizon={duration: 1h, warm_up: 0s}")
    first = read(part)
    assert isinstance(first, CountFile)
    assert met_rate_per_s(part) == pytest.approx(first.counts[: 300 * 10**9 // first.bin_ns].sum() / 300)
    assert met_rate_per_s(part) != pytest.approx(mean_rate_per_s(part))
    for loaded in (whole, again):
        assert met_rate_per_s(loaded) == mean_rate_per_s(loaded)
