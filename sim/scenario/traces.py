"""The trace that a scenario names: read once, checked against the scenario, replayed, the whole of it if not stated."""

from __future__ import annotations

from functools import lru_cache
from math import isclose
from pathlib import Path

import numpy as np
import numpy.typing as npt

from policy.settings import TIME_MAX_NS
from sim.arrivals.trace import trace_length_ns, trace_rate_per_s
from sim.arrivals.trace_file import CountFile, TimeFile, read_trace_file
from sim.arrivals.trace_resolution import BINS_MAX, as_counts, requests_at_once, resolution_ns
from sim.errors import ScenarioError
from sim.scenario.arrival_spec import AT_ONCE_MAX, RecordedTrace
from sim.scenario.missing import close_file, where_looked
from sim.scenario.spec import Scenario
from sim.scenario.units import time_in_words

__all__ = [
    "hole_in_trace",
    "is_stretched",
    "load_trace",
    "meets_one_trace",
    "put_in_order",
    "recorded_sizes",
    "trace_lasts_ns",
    "trace_peak",
    "with_checked_trace",
]

_ENDINGS = (".csv", ".txt", ".tsv", ".gz")
"""Of files that may be traces."""

_SPREAD = ("even", "poisson", "uniform")
"""Words of inside_bin by which requests lie elsewhere than at the start of their bin."""

_FEW = 20
"""Requests of a trace that is no log: of one written by hand nobody need say that requests come together."""

_HOLE = 0.5
"""Share of a trace that one gap takes from which on it is worth a word."""

_RESOLUTION_WORDS = {10**9: "second", 60 * 10**9: "minute", 3600 * 10**9: "hour"}

_SAME_RATE = 1e-3
"""Of a rate: who states a trace's own one rounds it."""


def load_trace(scenario: Scenario, spec: RecordedTrace) -> TimeFile | CountFile:
    """Return the content of the trace file, timestamps as counts where inside_bin spreads them.

    Raises ScenarioError if it cannot be read, is not a trace, or has timestamps that cannot be spread.
    """
    path = scenario.path_of(spec.file)
    try:
        changed_ns = path.stat().st_mtime_ns
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        where, close = where_looked(path), close_file(path, _ENDINGS) if isinstance(error, FileNotFoundError) else None
        hint = f" Did you mean {close}?" if close else ""
        raise ScenarioError(f"The trace {path} cannot be read: {reason}{where}.{hint}") from None
    columns = spec.column, spec.bin_column
    return _load(path, changed_ns, spec.format, columns, spec.bin, spec.unit, spec.inside_bin in _SPREAD)


def recorded_sizes(scenario: Scenario) -> npt.NDArray[np.int64]:
    """Return the sizes that the scenario's trace recorded, (requests,); empty where there are none."""
    spec = scenario.traffic.arrivals
    return load_trace(scenario, spec).sizes if isinstance(spec, RecordedTrace) else np.empty(0, dtype=np.int64)


def put_in_order(scenario: Scenario) -> int:
    """Return how many timestamps of the scenario's trace were earlier than the one before; 0 without a trace.

    Raises as load_trace does.
    """
    spec = scenario.traffic.arrivals
    return load_trace(scenario, spec).put_in_order if isinstance(spec, RecordedTrace) else 0


def with_checked_trace(scenario: Scenario) -> Scenario:
    """Return the scenario; where it has a trace and states no horizon.duration, with runs over the whole of that.

    Raises ScenarioError unless the trace can be replayed the way it asks for.
    """
    spec = scenario.traffic.arrivals
    if not isinstance(spec, RecordedTrace):
        return scenario
    trace = load_trace(scenario, spec)
    if isinstance(trace, CountFile):
        _check_counts(trace, spec)
    else:
        _check_times(trace, spec)
    lasts_ns = _length_ns(trace, spec)
    if "duration" not in scenario.horizon.model_fields_set:
        if lasts_ns - scenario.horizon.stated_warm_up_ns > TIME_MAX_NS:
            raise ScenarioError(
                f"The trace {spec.file} lasts {time_in_words(lasts_ns)}, and runs can meet no more than "
                f"{time_in_words(TIME_MAX_NS)} of it{_hole_words(trace)}: state in horizon.duration how much."
            )
        scenario = _over_all_of(scenario, lasts_ns)
    _check_length(scenario, spec, lasts_ns)
    return scenario


def meets_one_trace(scenario: Scenario) -> bool:
    """Return whether the arrivals are the same in every run, those that were recorded."""
    spec = scenario.traffic.arrivals
    return isinstance(spec, RecordedTrace) and spec.inside_bin in {None, "even", "together"} and spec.scale == 1


def is_stretched(scenario: Scenario) -> bool:
    """Return whether a stated rate stretches or compresses the scenario's trace. Raises as load_trace does."""
    spec = scenario.traffic.arrivals
    if not isinstance(spec, RecordedTrace) or spec.rate is None:
        return False
    own_per_s = trace_rate_per_s(load_trace(scenario, spec))
    return own_per_s is not None and not isclose(spec.rate, own_per_s, rel_tol=_SAME_RATE)


def trace_lasts_ns(scenario: Scenario) -> int | None:
    """Return how long the scenario's trace lasts at its stated rate; None without one. Raises as load_trace does."""
    spec = scenario.traffic.arrivals
    return _length_ns(load_trace(scenario, spec), spec) if isinstance(spec, RecordedTrace) else None


def trace_peak(scenario: Scenario, window_ns: int) -> tuple[float, int] | None:
    """Return the highest mean rate per s in any window of what runs meet of a trace, and how long a window is, in ns.

    Windows lie end to end from the trace's begin, `window_ns` long or as long as the bins of a trace of counts. None
    without a trace, and where runs meet less than two of them. Raises as load_trace does.
    """
    spec = scenario.traffic.arrivals
    if not isinstance(spec, RecordedTrace):
        return None
    trace = load_trace(scenario, spec)
    lasts_ns = _length_ns(trace, spec)
    met_ns = min(lasts_ns, scenario.horizon.stated_ns)
    stretch = lasts_ns / (trace_length_ns(trace) or lasts_ns)
    counts = None
    if isinstance(trace, CountFile):
        counts, begins_ns = trace.counts, np.arange(len(trace.counts)) * trace.bin_ns * stretch
        window_ns = max(window_ns, round(trace.bin_ns * stretch))
    else:
        begins_ns = trace.times_ns * stretch
    if met_ns < 2 * window_ns:
        return None
    is_met = begins_ns < met_ns
    counts = None if counts is None else counts[is_met]
    of_each = np.bincount((begins_ns[is_met] // window_ns).astype(np.int64), weights=counts)
    return float(of_each.max()) * spec.scale / window_ns * 1e9, window_ns


def hole_in_trace(scenario: Scenario) -> str | None:
    """Return where a recorded trace of timestamps is silent for most of the time, in words; None where it is not."""
    spec = scenario.traffic.arrivals
    if not isinstance(spec, RecordedTrace):
        return None
    return _hole_words(load_trace(scenario, spec)).removeprefix("; ") or None


def _hole_words(trace: TimeFile | CountFile) -> str:
    """Return where timestamps are silent for most of the time, behind a semicolon; nothing where they are not."""
    if not isinstance(trace, TimeFile) or len(trace.times_ns) < _FEW:
        return ""
    gaps_ns = np.diff(trace.times_ns)
    place = int(gaps_ns.argmax())
    if gaps_ns[place] < _HOLE * trace.times_ns[-1]:
        return ""
    return (
        f"; nothing comes for {time_in_words(int(gaps_ns[place]))} behind request {place + 1} of "
        f"{len(trace.times_ns)}, so a timestamp may be wrong"
    )


def _over_all_of(scenario: Scenario, lasts_ns: int) -> Scenario:
    """Return the scenario with runs, a stated warm-up included, as long as its trace."""
    horizon = scenario.horizon
    duration_ns = max(lasts_ns - horizon.stated_warm_up_ns, 1)
    return scenario.model_copy(update={"horizon": horizon.model_copy(update={"duration": duration_ns})})


def _length_ns(trace: TimeFile | CountFile, spec: RecordedTrace) -> int:
    """Return how long a trace lasts at its stated rate. Raises ScenarioError if it has no duration."""
    own_per_s, length_ns = trace_rate_per_s(trace), trace_length_ns(trace)
    if not own_per_s or not length_ns:
        raise ScenarioError(f"The trace {spec.file} has no duration: its requests all come at one moment.")
    return round(length_ns * own_per_s / (spec.rate or own_per_s))


def _check_counts(trace: CountFile, spec: RecordedTrace) -> None:
    """Raise ScenarioError unless the counts hold requests that can be placed."""
    if trace.counts.sum() == 0:
        raise ScenarioError(f"The trace {spec.file} holds no requests: every count is 0.")
    if spec.inside_bin not in _SPREAD:
        was = "is missing" if spec.inside_bin is None else f"must not be {spec.inside_bin}"
        raise ScenarioError(
            f"traffic.arrivals.inside_bin {was}: a trace of counts needs even, uniform or poisson, and p99 "
            "depends on it."
        )
    if spec.inside_bin != "poisson" and (trace.counts % 1 != 0).any():
        raise ScenarioError(f"traffic.arrivals.inside_bin must be poisson where {spec.file} has counts with fractions.")


def _check_times(trace: TimeFile, spec: RecordedTrace) -> None:
    """Raise ScenarioError if timestamps that stay as they stand have a bin, or were cut to whole seconds unsaid."""
    if spec.bin is not None:
        raise ScenarioError(
            "traffic.arrivals.bin belongs to a trace of counts, or to timestamps that traffic.arrivals.inside_bin "
            f"spreads (even, uniform or poisson). Got {time_in_words(spec.bin)} for {spec.file}."
        )
    cut_to_ns, at_once = resolution_ns(trace), requests_at_once(trace)
    if spec.inside_bin is None and cut_to_ns and len(trace.times_ns) >= _FEW and at_once >= AT_ONCE_MAX:
        whole = _RESOLUTION_WORDS[cut_to_ns]
        raise ScenarioError(
            f"The trace {spec.file} has timestamps at whole {whole}s, {at_once:.3g} requests at each in the mean: "
            f"state in traffic.arrivals.inside_bin how they lie inside the {whole} (uniform, even or poisson), or "
            "together if they did come at once."
        )


def _spread(trace: TimeFile, path: Path, bin_ns: int | None) -> CountFile:
    """Return the counts of timestamps that were cut to `bin_ns`, None for finding it. Raises ScenarioError if not."""
    length_ns = bin_ns or resolution_ns(trace)
    key = "traffic.arrivals"
    if length_ns is None:
        why = "have fractions of seconds" if trace.times_ns[-1] else "all stand at one moment"
        raise ScenarioError(
            f"{key}.inside_bin belongs to counts and to timestamps at whole seconds, and those of {path} {why}: leave "
            f"it out, or state in {key}.bin what they were cut to."
        )
    if (trace.times_ns % length_ns).any():
        raise ScenarioError(
            f"{key}.bin must be what the timestamps were cut to: those of {path} stand at no whole multiples of "
            f"{time_in_words(length_ns)}."
        )
    if trace.times_ns[-1] // length_ns >= BINS_MAX:
        raise ScenarioError(
            f"{key}.bin must leave at most {BINS_MAX} bins, and {path} has more of {time_in_words(length_ns)}."
        )
    return as_counts(trace, length_ns)


def _check_length(scenario: Scenario, spec: RecordedTrace, lasts_ns: int) -> None:
    """Raise ScenarioError if the trace ends before the run: what follows would be silence."""
    wanted_ns = scenario.horizon.stated_ns
    if not spec.repeat and lasts_ns < wanted_ns:
        raise ScenarioError(
            f"horizon.duration must fit into the trace {spec.file}, which lasts {time_in_words(lasts_ns)} "
            f"(or set traffic.arrivals.repeat: true). Got {time_in_words(wanted_ns)} with warm-up."
        )


@lru_cache(maxsize=8)
def _load(
    path: Path,
    changed_ns: int,
    form: str,
    columns: tuple[int | str | None, int | str | None],
    bin_ns: int | None,
    unit: str,
    spread: bool,
) -> TimeFile | CountFile:
    """Read a file once, and again when it has changed."""
    column, bin_column = columns
    trace = read_trace_file(path, form, column, bin_ns, unit, bin_column)
    return _spread(trace, path, bin_ns) if spread and isinstance(trace, TimeFile) else trace
