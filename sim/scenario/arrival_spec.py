"""How a scenario writes when requests come. The processes themselves stand in sim/arrivals/."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sim.arrivals.trace_file import COUNT_NAMES, TIME_NAMES
from sim.scenario.fields import (
    Duration,
    Kind,
    PositiveDuration,
    PositiveRate,
    Rate,
    Section,
    Weight,
    Words,
    ratio,
    written,
)

__all__ = [
    "AT_ONCE_MAX",
    "Arrivals",
    "DayCurve",
    "Even",
    "GammaGaps",
    "Mmpp",
    "Poisson",
    "RateStep",
    "RecordedTrace",
    "Spike",
    "Steps",
]

CURVE_CV = "How uneven the gaps are around the curve: 0 even, 1 Poisson, above 1 bursty."

TRACE_SCALE_MAX = 1_000

AT_ONCE_MAX = 1.5
"""Requests at one whole second, in the mean over those that have any, from which on a trace says how they lie inside.

Poisson traffic of 0.9/s has as many: every third of its requests would wait for one that stands at the same second."""

Cv = Annotated[float, ratio(0, 100)]


class Even(Section):
    """Requests at equal gaps, the first at time 0."""

    process: Literal["even"]
    rate: PositiveRate = Field(description="Requests per time.")


class Poisson(Section):
    """Independent arrivals: what many users who do not know of each other produce."""

    process: Literal["poisson"]
    rate: PositiveRate = Field(description="Requests per time.")


class GammaGaps(Section):
    """A renewal process with gamma gaps: bursty with cv above 1, smoother than Poisson below."""

    process: Literal["gamma"]
    rate: PositiveRate = Field(description="Requests per time.")
    cv: Annotated[float, ratio(0, 100, above=True)] = Field(
        description="Standard deviation of the gaps divided by their mean."
    )


class Mmpp(Section):
    """Markov-modulated Poisson process: a hidden state that changes by itself sets the rate."""

    process: Literal["mmpp"]
    rates: tuple[Rate, ...] = Field(description="The rate in each state.", min_length=2, max_length=20)
    dwells: tuple[PositiveDuration, ...] = Field(
        description="The mean time in each state; the time is exponential.", min_length=2, max_length=20
    )
    jumps: tuple[tuple[Weight, ...], ...] | None = Field(
        None,
        description=(
            "Weights of the next state, one row for each state, 0 for staying. Default: the states follow each other "
            "in the order written, and the first follows the last."
        ),
    )

    @model_validator(mode="after")
    def _matched(self) -> Mmpp:
        count = len(self.rates)
        if len(self.dwells) != count:
            raise ValueError(f"must have as many dwells as rates ({count}). Got {len(self.dwells)}.")
        if max(self.rates) == 0:
            raise ValueError("must have a rate above 0/s.")
        if self.jumps is not None:
            _check_jumps(self.jumps, count)
        return self


class RateStep(Section):
    """One step of a staircase."""

    rate: Rate = Field(description="Requests per time during the step.")
    duration: PositiveDuration = Field(description="How long the step lasts.")


class Steps(Section):
    """A rate that changes in steps."""

    process: Literal["steps"]
    steps: tuple[RateStep, ...] = Field(
        description="The steps in their order, each a mapping of rate and duration.", min_length=1, max_length=10_000
    )
    repeat: bool = Field(False, description="Start again behind the last step; otherwise its rate goes on.")
    cv: Cv = Field(1.0, description=CURVE_CV)

    @model_validator(mode="after")
    def _not_silent(self) -> Steps:
        if max(step.rate for step in self.steps) == 0:
            raise ValueError("must have a step with a rate above 0/s.")
        return self


class DayCurve(Section):
    """A smooth daily wave: rate = mean * exp(k cos(2 pi (t - peak_at) / period)) / I0(k), which is never negative."""

    process: Literal["day_curve"]
    mean_rate: PositiveRate = Field(description="The rate averaged over a period.")
    peak_to_mean: Annotated[float, ratio(1, 20)] = Field(description="The highest rate divided by the mean; it sets k.")
    peak_at: Duration = Field(description="When the rate is highest, counted from the start of the run.")
    period: PositiveDuration = written("1d", "The length of a day.")
    cv: Cv = Field(1.0, description=CURVE_CV)


class Spike(Section):
    """A steady rate with one spike: up over `ramp`, at its peak for `duration`, down over `ramp`."""

    process: Literal["spike"]
    rate: PositiveRate = Field(description="The rate before and behind the spike.")
    peak_rate: PositiveRate = Field(description="The rate of the spike; it may lie below `rate`.")
    at: Duration = Field(description="When the rate begins to change, counted from the start of the run.")
    duration: PositiveDuration = Field(description="How long the peak rate holds.")
    ramp: Duration = written("0s", "How long the way up takes, and the way down.")
    cv: Cv = Field(1.0, description=CURVE_CV)


_COLUMN = {"anyOf": [{"type": "string", "minLength": 1}, {"type": "integer", "minimum": 1}]}


def _read_column(value: object) -> object:
    """Return the name or the number of a column. Raises ValueError for what is neither."""
    is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if not is_number and not (isinstance(value, str) and value):
        raise ValueError("must be the name of a column, or its number, 1 for the first")
    return value


class RecordedTrace(Section):
    """Arrivals from a CSV file, the same in every run unless `scale` or `inside_bin` draws; time 0 is the first one."""

    process: Literal["trace"]
    file: str = Field(
        description="The CSV file, plain or compressed by gzip; a relative path counts from the scenario file.",
        min_length=1,
    )
    format: Literal["auto", "timestamps", "azure_llm", "counts"] = Field(
        "auto",
        description=(
            "timestamps: one request a row, numbers, ISO dates, or dates of nginx and Apache. azure_llm: TIMESTAMP, "
            "ContextTokens, GeneratedTokens; the context is the recorded size. counts: one bin a row, its start and "
            "its requests. auto: by the names of the columns."
        ),
    )
    column: Annotated[int | str, Kind("text or whole number", "from 1", _COLUMN, _read_column)] | None = Field(
        None,
        description=(
            "The column of the timestamps, or of the counts: its name, or its number, which needs no header line. "
            f"Default: {', '.join(TIME_NAMES)}, or the only one; of counts: {', '.join(COUNT_NAMES)}."
        ),
    )
    bin_column: Annotated[int | str, Kind("text or whole number", "from 1", _COLUMN, _read_column)] | None = Field(
        None,
        description=(
            "counts: the column of the starts of bins, its name or its number. Default: "
            f"{', '.join(TIME_NAMES)}; without a header line the first that is not that of the counts."
        ),
    )
    unit: Literal["h", "min", "s", "ms", "us", "ns"] = Field(
        "s", description="Of timestamps, and of starts of bins, that are numbers. Dates have none: refused there."
    )
    rate: PositiveRate | None = Field(
        None,
        description=(
            "Stretch or compress the time of the whole trace to this mean rate: bursts last longer, or shorter. "
            "Default: as recorded."
        ),
    )
    scale: Annotated[float, ratio(0, TRACE_SCALE_MAX, above=True)] = Field(
        1.0,
        description=(
            "How many times the traffic, its course over time kept: the mean rate becomes rate * scale. 2 adds a copy "
            "of each request, within a second of it or in its bin; 1.5 one of half of them; below 1 so many of them "
            "stay. Which ones, and when copies come, is drawn for each run."
        ),
    )
    bin: PositiveDuration | None = Field(
        None,
        description=(
            "The length of a bin. Default: of counts the smallest distance of two rows; of timestamps that "
            "`inside_bin` spreads the longest of 1h, 1min and 1s that all their distances are multiples of."
        ),
    )
    inside_bin: Literal["even", "poisson", "together", "uniform"] | None = Field(
        None,
        description=(
            "How requests lie inside a bin of counts, or inside the second, minute or hour to which timestamps were "
            "cut. uniform: the recorded number at independent random times; even: the recorded number at equal gaps; "
            "poisson: a random number with the recorded mean; together: timestamps as they stand. It has no default, "
            "because p99 depends on it: counts need it, and so do timestamps at whole seconds with "
            f"{AT_ONCE_MAX:g} or more requests at each in the mean."
        ),
    )
    repeat: bool = Field(False, description="Start again at the end; otherwise a longer run is refused.")


Arrivals = Annotated[
    Even | Poisson | GammaGaps | Mmpp | Steps | DayCurve | Spike | RecordedTrace,
    Field(discriminator="process"),
    Words("an [arrival process](#arrival-processes)", ""),
]
"""An arrival process, told by its `process`."""


def _check_jumps(jumps: tuple[tuple[float, ...], ...], count: int) -> None:
    """Raise ValueError unless the weights are a square, stay nowhere, and lead from every state to every other."""
    if len(jumps) != count or any(len(row) != count for row in jumps):
        raise ValueError(f"must have jumps with {count} rows of {count} weights.")
    if any(jumps[state][state] for state in range(count)):
        raise ValueError("must have jumps with the weight 0 for staying in a state.")
    if any(len(_reached(jumps, state)) < count for state in range(count)):
        raise ValueError("must have jumps that lead from every state to every other one.")


def _reached(jumps: tuple[tuple[float, ...], ...], start: int) -> set[int]:
    """Return the states to which jumps lead, the start included only if they lead back."""
    reached: set[int] = set()
    waiting = [start]
    while waiting:
        for state, weight in enumerate(jumps[waiting.pop()]):
            if weight > 0 and state not in reached:
                reached.add(state)
                waiting.append(state)
    return reached
