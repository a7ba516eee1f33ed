"""Trace files: what is read from each format, and what is said about a file that is none."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from sim.arrivals.trace_file import CountFile, TimeFile, read_trace_file
from sim.errors import ScenarioError

DATA = Path(__file__).parents[2] / "data"
TRACES = Path(__file__).parents[4] / "shared" / "traces"
AZURE = TRACES / "azure_llm_2023" / "AzureLLMInferenceTrace_code.csv"
NAB = TRACES / "nab_elb" / "elb_request_count_8c0756.csv"
MILLISECOND_NS = 10**6


def times_of(path: Path, form: str = "auto", column: int | str | None = None) -> TimeFile:
    """Read a file of timestamps."""
    trace = read_trace_file(path, form, column, None)
    assert isinstance(trace, TimeFile)
    return trace


def counts_of(path: Path, form: str = "auto", column: int | str | None = None, bin_ns: int | None = None) -> CountFile:
    """Read a file of counts."""
    trace = read_trace_file(path, form, column, bin_ns)
    assert isinstance(trace, CountFile)
    return trace


def test_seconds_are_read_exactly_and_put_in_order() -> None:
    """Timestamps in seconds keep their nanoseconds, are sorted, and count from the first one."""
    trace = times_of(DATA / "timestamps_seconds.csv")
    assert trace.times_ns.tolist() == [0, 250_000_000, 500_000_000, 1_000_000_001]
    assert trace.put_in_order == 1
    assert len(trace.sizes) == 0


def test_dates_are_read_with_their_zones() -> None:
    """10:00 UTC comes before 11:00:00.5 of a zone one hour ahead."""
    trace = times_of(DATA / "timestamps_iso.csv", column="sent")
    assert trace.times_ns.tolist() == [0, 500_000_000, 2_000_000_000]


def test_azure_llm_has_times_to_100_ns_and_context_sizes() -> None:
    """Seven digits of a second survive, the context is the size, and a context of 0 counts as 1."""
    trace = times_of(DATA / "azure_llm.csv")
    assert trace.times_ns.tolist() == [0, 52_000_000, 98_189_000, 1_140_684_000]
    assert trace.sizes.tolist() == [4808, 3180, 110, 1]


def test_sizes_follow_their_requests_into_time_order(tmp_path: Path) -> None:
    """Rows out of order are sorted with their sizes."""
    path = tmp_path / "trace.csv"
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n3.0,30,1\n1.0,10,1\n2.0,20,1\n")
    assert times_of(path).sizes.tolist() == [10, 20, 30]


def test_counts_fill_bins_that_are_left_out() -> None:
    """The bin length is the smallest distance of two rows; a bin without a row holds no requests."""
    trace = counts_of(DATA / "counts.csv")
    assert trace.bin_ns == 300 * 10**9
    assert trace.counts.tolist() == [4, 0, 7, 0, 1]


def test_counts_with_a_stated_bin_and_column(tmp_path: Path) -> None:
    """A stated bin divides time as stated, and a stated column replaces the usual name."""
    path = tmp_path / "trace.csv"
    path.write_text("timestamp,hits\n0,5\n120,6\n")
    assert counts_of(path, "counts", "hits", 60 * 10**9).counts.tolist() == [5, 0, 6]


@pytest.mark.parametrize(
    ("text", "times_ms"),
    [
        ("1.5\n2.5\n", [0, 1000]),
        ("\ufeffarrival\n1.5\n2.5\n\n", [0, 1000]),
        ("Time,x\n1e3,a\n1000.5,b\n", [0, 500]),
        ("ts\n2026-01-01T00:00:00+0100\n2025-12-31T23:00:01Z\n", [0, 1000]),
    ],
)
def test_other_ways_to_write_timestamps_are_understood(text: str, times_ms: list[int], tmp_path: Path) -> None:
    """A single column needs no header; usual names are found whatever their case; empty lines do not count."""
    path = tmp_path / "trace.csv"
    path.write_text(text, encoding="utf-8")
    assert times_of(path).times_ns.tolist() == [time * MILLISECOND_NS for time in times_ms]


def test_column_without_a_known_name_is_read_when_it_is_the_only_one(tmp_path: Path) -> None:
    """A file of one column needs no known name."""
    path = tmp_path / "trace.csv"
    path.write_text("when\n0\n1\n")
    assert len(times_of(path).times_ns) == 2


@pytest.mark.parametrize(
    ("content", "form", "said"),
    [
        (b"", "auto", "holds no requests: it has no rows."),
        (b"timestamp\n", "auto", "holds no requests: it has no rows."),
        (b"timestamp\n1\nx\n", "auto", "line 3: a timestamp must be a number of seconds. Got 'x'."),
        (b"timestamp\n1\nnan\n", "auto", "line 3: a timestamp must be a number of seconds. Got 'nan'."),
        (
            b"timestamp\n1764250000000\n",
            "auto",
            "line 2: a timestamp must be a number of seconds up to 4000000000; one in milliseconds needs "
            "traffic.arrivals.unit: ms. Got '1764250000000'.",
        ),
        (
            b"1764250000000000000\n",
            "auto",
            "line 1: a timestamp must be a number of seconds up to 4000000000; one in nano",
        ),
        (
            b"timestamp\n99999999999999999999\n",
            "auto",
            "must be a number of seconds up to 4000000000. Got '99999999999999999999'.",
        ),
        (b"timestamp\n1\n1_000\n", "auto", "line 3: a timestamp must be a number of seconds. Got '1_000'."),
        (
            b"timestamp\n2026-01-01 00:00:00\n5\n",
            "auto",
            "line 3: a timestamp must be a date such as 2026-11-27T09:00:00.003+01:00 (ISO) or 27/Nov/2026:09:00:00 "
            "+0100. Got '5'.",
        ),
        (
            b"timestamp\n2026-13-01 00:00:00\n",
            "auto",
            "line 2: a timestamp must be a date such as 2026-11-27T09:00:00.003+01:00 (ISO) or 27/Nov/2026:09:00:00 "
            "+0100. Got '2026-13-01 00:00:00'.",
        ),
        (b"timestamp,user\n1,a\n2\n", "auto", "line 3: 2 columns are wanted as in the header. Got 1."),
        (
            b"a,b\n1,2\n",
            "auto",
            "has no column timestamp or time or arrival or arrived_at or ts: it has a, b; traffic.arrivals.column says",
        ),
        (b"timestamp;user\n1;a\n", "auto", "must have commas between its columns. Got ; in line 1."),
        (b"timestamp\tuser\n1\ta\n", "auto", "must have commas between its columns. Got tabs in line 1."),
        (
            b"1,2\n3,4\n",
            "auto",
            "has several columns and no header line that names them: state the number of the one to read, as in "
            "traffic.arrivals.column: 1, without quotes.",
        ),
        (b"timestamp,value\n0,3\n300,-1\n", "auto", "line 3: a count must be a number of 0 or more. Got '-1'."),
        (b"timestamp,value\n0,3\n300,many\n", "auto", "line 3: a count must be a number of 0 or more. Got 'many'."),
        (b"timestamp,value\n0,3\n300,nan\n", "auto", "line 3: a count must be a number of 0 or more. Got 'nan'."),
        (b"timestamp,value\n300,3\n0,1\n", "auto", "line 3: bins must be in time order, each once."),
        (b"timestamp,value\n0,3\n0,1\n", "auto", "line 3: bins must be in time order, each once."),
        (
            b"timestamp,value\n0,3\n300,1\n750,1\n",
            "auto",
            "line 4: bins must start a whole number of bins (300000000000 ns) apart.",
        ),
        (b"timestamp,value\n0,3\n", "auto", "has one row: state the length of its bin in traffic.arrivals.bin."),
        (b"timestamp,value\n0,3\n1,3\n99999999,1\n", "auto", "has 3 rows for 100000000 bins: too many are missing."),
        (b"timestamp\n1\n", "azure_llm", "has no column contexttokens: it has timestamp."),
        (b"1\n2\n", "azure_llm", "has no column contexttokens: it has no header line."),
        (
            b"TIMESTAMP,ContextTokens\n1,x\n",
            "auto",
            "line 2: ContextTokens must be a whole number of 0 or more. Got 'x'.",
        ),
        (b"\xff\xfe\x00\x01", "auto", "is not UTF-8 text: byte 0 is not."),
        (gzip.compress(b"timestamp\n1\n\xff\n", mtime=0), "auto", "is not UTF-8 text: byte 12 is not."),
        (b"timestamp\n1\n\xe2\x82", "auto", "is not UTF-8 text: byte 12 is not."),  # it ends inside a letter
        (b"timestamp\n\x001\n", "auto", "line 2: a timestamp must be a number of seconds, or a date such as 2026-"),
        (
            b"timestamp\nyesterday\n",
            "auto",
            "line 2: a timestamp must be a number of seconds, or a date such as 2026-11-27T09:00:00.003+01:00 (ISO) or "
            "27/Nov/2026:09:00:00 +0100. Got 'yesterday'.",
        ),
        (
            b"minute,count\n2026-11-27 09:00,5\n",
            "auto",
            "has no column timestamp or time or arrival or arrived_at or ts: it has minute, count; "
            "traffic.arrivals.bin_column says which one to read.",
        ),
        (b'timestamp\n"1\n', "auto", "is not a CSV text"),
    ],
)
def test_file_that_is_no_trace_is_refused_in_one_sentence(content: bytes, form: str, said: str, tmp_path: Path) -> None:
    """What is wrong is said in one line, with the line of the file where there is one."""
    path = tmp_path / "trace.csv"
    path.write_bytes(content)
    with pytest.raises(ScenarioError, match=re.escape(said)) as error:
        read_trace_file(path, form, None, None)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("before", [8191, 3 * 2**20 - 1])
def test_byte_that_is_no_text_is_counted_from_the_begin_of_the_file(before: int, tmp_path: Path) -> None:
    """Not from that of the part that was being read; letters of two bytes stand where parts meet."""
    path = tmp_path / "trace.csv"
    path.write_bytes((("é" * 500 + "\n") * 4000).encode()[:before].rpartition(b"\n")[0] + b"\n\xff\n")
    place = path.stat().st_size - 2
    with pytest.raises(ScenarioError, match=rf"is not UTF-8 text: byte {place} is not\."):
        read_trace_file(path, "timestamps", None, None)


@pytest.mark.parametrize(
    ("text", "form", "column", "times_ns"),
    [
        ("1,2\n3,4\n", "auto", 1, [0, 2 * 10**9]),
        ("ann,5.5\nbob,6\n", "timestamps", 2, [0, 500_000_000]),
        ("user,sent\nann,5.5\nbob,6\n", "auto", 2, [0, 500_000_000]),
    ],
)
def test_column_may_be_a_number(text: str, form: str, column: int, times_ns: list[int], tmp_path: Path) -> None:
    """1 is the first; a header line is told by that very column, and need not be there."""
    path = tmp_path / "trace.csv"
    path.write_text(text)
    assert times_of(path, form, column).times_ns.tolist() == times_ns


@pytest.mark.parametrize(
    ("text", "form", "column"),
    [
        ("0,a,5\n60,b,6\n", "counts", 3),
        ("5,0\n6,60\n", "counts", 1),
        ("timestamp,value,other\n0,5,1\n60,6,1\n", "auto", 2),
    ],
)
def test_counts_may_be_a_numbered_column(text: str, form: str, column: int, tmp_path: Path) -> None:
    """Without a header the starts of the bins are the first of the other columns."""
    path = tmp_path / "trace.csv"
    path.write_text(text)
    trace = counts_of(path, form, column)
    assert (trace.counts.tolist(), trace.bin_ns) == ([5, 6], 60 * 10**9)


@pytest.mark.parametrize(
    ("text", "column", "starts"),
    [
        ("minute,count\n2026-11-27 09:00,5\n2026-11-27 09:01,6\n", None, "minute"),
        ("minute,hits\n2026-11-27 09:00,5\n2026-11-27 09:01,6\n", "hits", 1),
        ("a,5,0\nb,6,60\n", 2, 3),
    ],
)
def test_column_of_the_starts_of_bins_may_be_named(
    text: str, column: int | str | None, starts: int | str, tmp_path: Path
) -> None:
    """By its name or its number, beside the one of the counts."""
    path = tmp_path / "trace.csv"
    path.write_text(text)
    trace = read_trace_file(path, "counts", column, None, bin_column=starts)
    assert isinstance(trace, CountFile)
    assert (trace.counts.tolist(), trace.bin_ns) == ([5, 6], 60 * 10**9)


def test_timestamps_have_no_column_of_bins(tmp_path: Path) -> None:
    """Whoever states one takes the file for counts."""
    path = tmp_path / "trace.csv"
    path.write_text("timestamp\n1\n")
    with pytest.raises(ScenarioError, match=r"^traffic\.arrivals\.bin_column belongs to a trace of counts, and"):
        read_trace_file(path, "auto", None, None, bin_column="timestamp")


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("timestamp,user\n1,a\n", 3, "has no column 3: it has 2."),
        ("1,2\n3,4\n", "1", "as in traffic.arrivals.column: 1, without quotes."),
        ("1,a\n2\n", 1, "line 2: 2 columns are wanted as in the first row. Got 1."),
    ],
)
def test_column_that_is_not_there_is_refused(text: str, column: int | str, said: str, tmp_path: Path) -> None:
    """With how many there are; a number in quotes is a name."""
    path = tmp_path / "trace.csv"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=re.escape(said)):
        read_trace_file(path, "auto", column, None)


@pytest.mark.parametrize(
    ("unit", "first", "second"),
    [
        ("ms", "1764250000000", "1764250000000.25"),
        ("us", "1764250000000000", "1764250000000250"),
        ("min", "29404166", "29404166.00000416666666667"),
        ("h", "490069", "490069.0000000694444444444"),
        ("ns", "1764250000000000000", "1764250000000250000"),
        ("s", "1764250000", "1764250000.00025"),
    ],
)
def test_numbers_may_be_of_another_unit(unit: str, first: str, second: str, tmp_path: Path) -> None:
    """Times since 1970 keep their nanoseconds in each unit, with a header line and without."""
    path = tmp_path / "trace.csv"
    for header in ("", "timestamp\n"):
        path.write_text(f"{header}{first}\n{second}\n")
        trace = read_trace_file(path, "auto", None, None, unit)
        assert isinstance(trace, TimeFile)
        assert trace.times_ns.tolist() == [0, 250_000]


def test_bins_may_start_at_numbers_of_another_unit(tmp_path: Path) -> None:
    """A minute is 60,000 ms."""
    path = tmp_path / "trace.csv"
    path.write_text("timestamp,value\n1764250000000,5\n1764250060000,6\n")
    trace = read_trace_file(path, "auto", None, None, "ms")
    assert isinstance(trace, CountFile)
    assert trace.bin_ns == 60 * 10**9


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("timestamp_ms", "ms"),
        ("timestampMs", "ms"),
        ("time (milliseconds)", "ms"),
        ("ts_us", "us"),
        ("arrival micros", "us"),
        ("ns", "ns"),
        ("minute", "min"),
        ("start_mins", "min"),
        ("hours", "h"),
        ("admin", None),
        ("items", None),
        ("columns", None),
        ("timestamps", None),
        ("status", None),
    ],
)
def test_unit_in_the_name_of_a_column_is_not_overlooked(name: str, unit: str | None, tmp_path: Path) -> None:
    """Milliseconds that are read as seconds are a thousandth of the load."""
    path = tmp_path / "trace.csv"
    path.write_text(f"{name}\n0\n1500\n", encoding="utf-8")
    if unit is None:
        read_trace_file(path, "timestamps", None, None)
        return
    with pytest.raises(ScenarioError, match=rf"state traffic\.arrivals\.unit: {unit}, or rename it"):
        read_trace_file(path, "timestamps", None, None)
    stated = read_trace_file(path, "timestamps", None, None, unit)
    assert isinstance(stated, TimeFile)


def test_dates_have_no_unit(tmp_path: Path) -> None:
    """Whoever states one takes the file for another."""
    path = tmp_path / "trace.csv"
    path.write_text("timestamp\n2026-01-01T00:00:00Z\n")
    with pytest.raises(
        ScenarioError, match=r"unit belongs to timestamps that are numbers, and .* has dates\. Got ms\."
    ):
        read_trace_file(path, "auto", None, None, "ms")


def test_compressed_file_is_read_as_it_is(tmp_path: Path) -> None:
    """It is told by its first bytes, whatever its name."""
    for name in ("trace.csv.gz", "trace.csv"):
        path = tmp_path / name
        path.write_bytes(gzip.compress((DATA / "timestamps_seconds.csv").read_bytes()))
        assert times_of(path).times_ns.tolist() == times_of(DATA / "timestamps_seconds.csv").times_ns.tolist()


@pytest.mark.parametrize(("first", "last"), [(0, -12), (0, 12), (0, 2), (12, None)])
def test_broken_compressed_file_is_refused(first: int, last: int | None, tmp_path: Path) -> None:
    """Cut short, or with a part left out."""
    whole = gzip.compress(b"timestamp\n1\n2\n" * 1_000)
    path = tmp_path / "trace.csv.gz"
    path.write_bytes(whole[first:last] if first == 0 else whole[:first] + b"\xff\xff\xff" + whole[first + 3 :])
    with pytest.raises(ScenarioError, match=r"^The trace .* cannot be read: [^\n]+$"):
        read_trace_file(path, "auto", None, None)


def test_text_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small compressed file may hold more than any memory: many lines, or one."""
    path = tmp_path / "trace.csv.gz"
    path.write_bytes(gzip.compress(b"timestamp\n" + b"1\n" * 1_000))
    monkeypatch.setattr("sim.arrivals.trace_rows.TEXT_MAX", 2_000)
    with pytest.raises(ScenarioError, match="must have at most 2000 characters"):
        read_trace_file(path, "auto", None, None)
    path.write_bytes(gzip.compress(b"1" * 3_000_000))
    with pytest.raises(ScenarioError, match="is not a CSV text: a line has more than 1000000 characters"):
        read_trace_file(path, "auto", None, None)


@pytest.mark.parametrize("name", ["missing.csv", "."])
def test_unreadable_file_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    """A file that is missing, or a folder, is named with the system's reason."""
    with pytest.raises(ScenarioError, match=r"cannot be read: (No such file|Is a directory)"):
        read_trace_file(tmp_path / name, "auto", None, None)


@pytest.mark.skipif(not AZURE.exists(), reason="the Azure LLM traces are not beside this repository")
def test_real_azure_code_trace_has_its_known_count_and_burstiness() -> None:
    """The code trace of 2023 has 8,819 requests in 58 minutes and a gap cv of 13.2."""
    trace = times_of(AZURE)
    gaps = np.diff(trace.times_ns)
    assert len(trace.times_ns) == len(trace.sizes) == 8_819
    assert trace.times_ns[-1] / 60e9 == pytest.approx(57.2, abs=1)
    assert gaps.std() / gaps.mean() == pytest.approx(13.2, abs=0.05)
    assert np.bincount(trace.times_ns // 10**9).max() == 67


@pytest.mark.skipif(not NAB.exists(), reason="the NAB traces are not beside this repository")
def test_real_load_balancer_counts_are_read_whole() -> None:
    """Fourteen days of five-minute bins with the sum of the file's own column; the eight it leaves out are empty."""
    trace = counts_of(NAB)
    rows = NAB.read_text().splitlines()[1:]
    assert trace.bin_ns == 300 * 10**9
    assert len(rows) == 14 * 288
    assert len(trace.counts) == 14 * 288 + 8
    assert trace.counts.sum() == sum(float(row.split(",")[1]) for row in rows)
