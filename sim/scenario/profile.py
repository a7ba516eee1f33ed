"""A calibration file: what was measured of a live server, how surely, and at which loads.

calibration/ writes it. Each part has its central value and 95 % interval; the draws are joint bootstrap draws of all
parts, so that a forecast carries the calibration's uncertainty with its correlations.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sim.errors import ScenarioError
from sim.scenario.distribution_spec import CV_MAX
from sim.scenario.messages import sentence

__all__ = ["PARTS", "PROFILE_FORMAT", "FittedOn", "Part", "Parts", "Profile", "ProfileDraw", "load_profile"]

PROFILE_FORMAT: Final = "servecast-calibration/1"
FILE_MAX_BYTES: Final = 20_000_000
NS_PER_MS: Final = 1e6

PARTS: Final = (
    "base",
    "per_item",
    "batch_in",
    "results_out",
    "front_end_request",
    "front_end_response",
    "network_there",
    "network_back",
)
"""The times that a calibration measures."""

Milliseconds = Annotated[float, Field(ge=0, le=3.6e6)]


def _read_sizes(table: Any) -> Any:
    """Turn the keys of a table into numbers: JSON knows only text as keys."""
    return (
        {int(key) if str(key).isdecimal() else key: table[key] for key in table} if isinstance(table, dict) else table
    )


class _Closed(BaseModel):
    """Frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Part(_Closed):
    """One measured time with its 95 % interval."""

    value_ms: Milliseconds
    low_ms: Milliseconds
    high_ms: Milliseconds


class FittedOn(_Closed):
    """The load points that the fit has seen."""

    rates: tuple[Annotated[float, Field(gt=0)], ...] = Field(min_length=1)  # requests per second
    batch_sizes: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)
    processes: int = Field(ge=1)  # fresh server processes: what the bootstrap draws
    samples: int = Field(ge=1)


class Parts(_Closed):
    """The measured times; one that was not identified is 0."""

    base: Part
    per_item: Part
    batch_in: Part
    results_out: Part
    front_end_request: Part
    front_end_response: Part
    network_there: Part
    network_back: Part


class ProfileDraw(_Closed):
    """One bootstrap draw, in ms; a part that is left out has its central value."""

    base: Milliseconds | None = None
    per_item: Milliseconds | None = None
    batch_in: Milliseconds | None = None
    results_out: Milliseconds | None = None
    front_end_request: Milliseconds | None = None
    front_end_response: Milliseconds | None = None
    network_there: Milliseconds | None = None
    network_back: Milliseconds | None = None


class Profile(_Closed):
    """A calibration."""

    format: Literal["servecast-calibration/1"]
    name: str = Field(min_length=1)
    created: str  # ISO date and time
    host: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, Any] = Field(default_factory=dict)
    fitted_on: FittedOn
    parts: Parts
    spread_cv: float = Field(ge=0, le=CV_MAX)  # of the time of a pass of one size
    draws: tuple[ProfileDraw, ...] = Field(min_length=1)
    table: Annotated[dict[int, Milliseconds] | None, BeforeValidator(_read_sizes)] = None  # central, by batch size
    not_identified: tuple[str, ...] = ()  # a sentence for each thing that the samples could not tell

    @property
    def rate_range(self) -> tuple[float, float]:
        """Return the lowest and the highest rate that was fitted on, per second."""
        return min(self.fitted_on.rates), max(self.fitted_on.rates)

    @property
    def max_batch(self) -> int:
        """Return the largest batch that was measured: nothing is known beyond it."""
        return max(self.fitted_on.batch_sizes)

    def times_ns(self, draw: int | None) -> dict[str, int]:
        """Return every part in ns: the central fit, or the bootstrap draw with that number."""
        central = {name: getattr(self.parts, name).value_ms for name in PARTS}
        if draw is not None:
            central.update(self.draws[draw].model_dump(exclude_none=True))
        return {name: round(value_ms * NS_PER_MS) for name, value_ms in central.items()}

    def table_ns(self, draw: int | None) -> dict[int, int]:
        """Return the measured times by batch size, empty without a table.

        Draws know the line only, so a draw moves every point as it moves the line: the shape stays.
        """
        if self.table is None:
            return {}
        central, drawn = self.times_ns(None), self.times_ns(draw)
        shift_ns, tilt_ns = drawn["base"] - central["base"], drawn["per_item"] - central["per_item"]
        return {
            size: max(round(value_ms * NS_PER_MS) + shift_ns + tilt_ns * size, 1)
            for size, value_ms in self.table.items()
        }


def load_profile(path: str | Path) -> Profile:
    """Return the calibration in a JSON file. Raises ScenarioError in one sentence if it is none."""
    place = Path(path)
    try:
        changed_ns = place.stat().st_mtime_ns
    except OSError as error:
        raise ScenarioError(f"The calibration {place} cannot be read: {error.strerror or error}.") from None
    return _load(place, changed_ns)


@lru_cache(maxsize=16)
def _load(path: Path, changed_ns: int) -> Profile:
    """Read a file once, and again when it has changed."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_MAX_BYTES + 1)
        if len(data) > FILE_MAX_BYTES:
            raise ScenarioError(f"The calibration {path} is larger than 20 MB.")
        content = json.loads(data)
    except OSError as error:
        raise ScenarioError(f"The calibration {path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, ScenarioError):
            raise
        raise ScenarioError(f"The calibration {path} is not JSON: {error}.") from None
    if not isinstance(content, dict):
        raise ScenarioError(f"The calibration {path} must hold a mapping with format {PROFILE_FORMAT}.")
    try:
        return Profile.model_validate(content)
    except ValidationError as error:
        raise ScenarioError(f"The calibration {path} is not right: {sentence(error, content, Profile)}") from None
