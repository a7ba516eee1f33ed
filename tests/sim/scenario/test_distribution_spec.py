"""Distributions as a scenario writes them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ConfigDict, TypeAdapter, ValidationError

from sim.scenario.distribution_spec import (
    ChoicesTime,
    ExponentialTime,
    GammaSpread,
    LognormalSize,
    SizeLaw,
    Spread,
    TimeLaw,
    UniformTime,
)

STRICT = ConfigDict(strict=True)
TIMES: TypeAdapter[Any] = TypeAdapter(TimeLaw, config=STRICT)
SIZES: TypeAdapter[Any] = TypeAdapter(SizeLaw, config=STRICT)
SPREADS: TypeAdapter[Any] = TypeAdapter(Spread, config=STRICT)


def test_plain_value_is_a_constant() -> None:
    """A time or a whole number stands for itself."""
    assert TIMES.validate_python("5ms") == 5_000_000
    assert SIZES.validate_python(128) == 128


def test_mapping_is_told_by_its_distribution() -> None:
    """Each law has its own parameters, in the units of what it draws."""
    assert TIMES.validate_python({"distribution": "exponential", "mean": "5ms"}) == ExponentialTime.model_construct(
        distribution="exponential", mean=5_000_000
    )
    uniform = TIMES.validate_python({"distribution": "uniform", "low": "0s", "high": "1ms"})
    assert uniform == UniformTime.model_construct(distribution="uniform", low=0, high=1_000_000)
    size = SIZES.validate_python({"distribution": "lognormal", "mean": 250.5, "cv": "150%"})
    assert size == LognormalSize(distribution="lognormal", mean=250.5, cv=1.5)
    assert SPREADS.validate_python({"distribution": "gamma", "cv": 0.05}) == GammaSpread(distribution="gamma", cv=0.05)


def test_choices_without_weights_are_equally_likely() -> None:
    """Weights may be left out."""
    law = TIMES.validate_python({"distribution": "choices", "values": ("1ms", "2ms")})
    assert law == ChoicesTime.model_construct(distribution="choices", values=(1_000_000, 2_000_000), weights=None)


@pytest.mark.parametrize(
    ("adapter", "value"),
    [
        (TIMES, 5),
        (TIMES, {"distribution": "exponential", "mean": "0s"}),
        (TIMES, {"distribution": "exponential", "mean": 5}),
        (TIMES, {"distribution": "gamma", "mean": "5ms", "cv": 5.1}),
        (TIMES, {"distribution": "gamma", "mean": "5ms", "cv": 0}),
        (TIMES, {"distribution": "uniform", "low": "2ms", "high": "1ms"}),
        (TIMES, {"distribution": "choices", "values": ()}),
        (TIMES, {"distribution": "choices", "values": ("2ms", "1ms")}),
        (TIMES, {"distribution": "choices", "values": ("1ms", "1ms")}),
        (TIMES, {"distribution": "choices", "values": ("1ms", "2ms"), "weights": (1,)}),
        (TIMES, {"distribution": "choices", "values": ("1ms", "2ms"), "weights": (1, 0)}),
        (TIMES, {"distribution": "weibull", "mean": "5ms"}),
        (TIMES, {"mean": "5ms"}),
        (SIZES, "5"),
        (SIZES, 5.0),
        (SIZES, {"distribution": "uniform", "low": 1.5, "high": 3}),
        (SPREADS, {"distribution": "exponential", "mean": 1}),
        (SPREADS, {"distribution": "lognormal"}),
        (SPREADS, 1.0),
    ],
)
def test_law_without_sense_is_refused(adapter: TypeAdapter[Any], value: object) -> None:
    """Wrong units, impossible parameters and laws that do not exist are no distribution."""
    with pytest.raises(ValidationError):
        adapter.validate_python(value)
