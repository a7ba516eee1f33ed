"""How a scenario writes a distribution: of times, of request sizes, or of the spread of a pass time.

Nothing is drawn here; sim/scenario/distributions.py turns these into inverse-CDF tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from pydantic import Discriminator, Field, Tag, model_validator

from policy.settings import SIZE_MAX
from sim.scenario.fields import Duration, Number, PositiveDuration, Section, Size, Words, ratio

__all__ = [
    "CV_MAX",
    "Choices",
    "ChoicesSize",
    "ChoicesTime",
    "Exponential",
    "ExponentialSize",
    "ExponentialSpread",
    "ExponentialTime",
    "Gamma",
    "GammaSize",
    "GammaSpread",
    "GammaTime",
    "Lognormal",
    "LognormalSize",
    "LognormalSpread",
    "LognormalTime",
    "SizeLaw",
    "Spread",
    "TimeLaw",
    "Uniform",
    "UniformSize",
    "UniformTime",
]

CV_MAX: Final = 5.0
"""The largest coefficient of variation that the tables render within their error budget (0.3 % of p50 to p99.9)."""

Cv = Annotated[float, ratio(0, CV_MAX, above=True)]

Value = TypeVar("Value")
Positive = TypeVar("Positive")


class Exponential(Section, Generic[Positive]):
    """Exponential: cv 1."""

    distribution: Literal["exponential"]
    mean: Positive = Field(description="Mean.")


class Uniform(Section, Generic[Value]):
    """Uniform between two values."""

    distribution: Literal["uniform"]
    low: Value = Field(description="Smallest value.")
    high: Value = Field(description="Largest value.")

    @model_validator(mode="after")
    def _ordered(self) -> Uniform[Value]:
        if self.high < self.low:  # type: ignore[operator] # both are numbers, which a TypeVar does not say
            raise ValueError("must have low <= high.")
        return self


class Lognormal(Section, Generic[Positive]):
    """Lognormal, by its own mean and cv (not those of its logarithm)."""

    distribution: Literal["lognormal"]
    mean: Positive = Field(description="Mean.")
    cv: Cv = Field(description="Standard deviation divided by the mean.")


class Gamma(Section, Generic[Positive]):
    """Gamma, by mean and cv: shape 1 / cv**2."""

    distribution: Literal["gamma"]
    mean: Positive = Field(description="Mean.")
    cv: Cv = Field(description="Standard deviation divided by the mean.")


class Choices(Section, Generic[Value]):
    """One of a few values. The mean is exact; up to 2 draws in 1000 fall between two neighbouring values."""

    distribution: Literal["choices"]
    values: tuple[Value, ...] = Field(description="The values, in ascending order.", min_length=1, max_length=100)
    weights: tuple[Number, ...] | None = Field(
        None, description="How often each value comes, relative to each other. Default: all equally often."
    )

    @model_validator(mode="after")
    def _matched(self) -> Choices[Value]:
        if self.weights is not None and len(self.weights) != len(self.values):
            raise ValueError(f"must have as many weights as values ({len(self.values)}). Got {len(self.weights)}.")
        if any(high <= low for low, high in zip(self.values, self.values[1:], strict=False)):  # type: ignore[operator]
            raise ValueError("must have its values in ascending order, each once.")
        return self


class ExponentialSpread(Section):
    """Exponential with mean 1."""

    distribution: Literal["exponential"]


class LognormalSpread(Section):
    """Lognormal with mean 1."""

    distribution: Literal["lognormal"]
    cv: Cv = Field(description="Standard deviation divided by the mean.")


class GammaSpread(Section):
    """Gamma with mean 1."""

    distribution: Literal["gamma"]
    cv: Cv = Field(description="Standard deviation divided by the mean.")


class ExponentialTime(Exponential[PositiveDuration]):
    """Exponential: cv 1."""


class UniformTime(Uniform[Duration]):
    """Uniform between two times."""


class LognormalTime(Lognormal[PositiveDuration]):
    """Lognormal, by its own mean and cv (not those of its logarithm)."""


class GammaTime(Gamma[PositiveDuration]):
    """Gamma, by mean and cv: shape 1 / cv**2."""


class ChoicesTime(Choices[Duration]):
    """One of a few times. The mean is exact; up to 2 draws in 1000 fall between two neighbouring values."""


class ExponentialSize(Exponential[Number]):
    """Exponential: cv 1."""


class UniformSize(Uniform[Size]):
    """Uniform between two sizes."""


class LognormalSize(Lognormal[Number]):
    """Lognormal, by its own mean and cv (not those of its logarithm)."""


class GammaSize(Gamma[Number]):
    """Gamma, by mean and cv: shape 1 / cv**2."""


class ChoicesSize(Choices[Size]):
    """One of a few sizes. The mean is exact; up to 2 draws in 1000 fall between two neighbouring values."""


def _kind_of(value: Any) -> str | None:
    """Return which law a value writes: a plain value is a constant."""
    if isinstance(value, Section):
        return str(getattr(value, "distribution", None))
    if isinstance(value, Mapping):
        name = value.get("distribution")
        return None if name is None else str(name)
    return "constant"


_BY_KIND = Discriminator(_kind_of)

TimeLaw = Annotated[
    Annotated[Duration, Tag("constant")]
    | Annotated[ExponentialTime, Tag("exponential")]
    | Annotated[UniformTime, Tag("uniform")]
    | Annotated[LognormalTime, Tag("lognormal")]
    | Annotated[GammaTime, Tag("gamma")]
    | Annotated[ChoicesTime, Tag("choices")],
    _BY_KIND,
    Words("time, or a [distribution](#distributions)", "from 0s to 31d"),
]
"""A time, constant or drawn anew each time; in ns."""

SizeLaw = Annotated[
    Annotated[Size, Tag("constant")]
    | Annotated[ExponentialSize, Tag("exponential")]
    | Annotated[UniformSize, Tag("uniform")]
    | Annotated[LognormalSize, Tag("lognormal")]
    | Annotated[GammaSize, Tag("gamma")]
    | Annotated[ChoicesSize, Tag("choices")],
    _BY_KIND,
    Words("whole number, or a [distribution](#distributions)", f"from 1 to {SIZE_MAX}"),
]
"""The size of a request, constant or drawn for each; rounded to whole units, at least 1."""

Spread = Annotated[
    Annotated[ExponentialSpread, Tag("exponential")]
    | Annotated[LognormalSpread, Tag("lognormal")]
    | Annotated[GammaSpread, Tag("gamma")],
    _BY_KIND,
    Words("a [spread](#distributions)", ""),
]
"""A factor with mean 1."""
