"""A calibration file: what was measured of a live server, how surely, and at which loads.

calibration/ writes it. Each part has its central value and 95 % interval. Two sets of draws hold all parts jointly, so
that a forecast carries them with their correlations: `draws` say how well the long-run values are known, `run_draws`
what a single run of a single fresh server process may have.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sim.errors import ScenarioError
from sim.scenario.distribution_spec import CV_MAX
from sim.scenario.messages import sentence

__all__ = [
    "DISCREPANCIES",
    "PARTS",
    "PROFILE_FORMAT",
    "Draw",
    "FittedOn",
    "LonePart",
    "LoneRequest",
    "Part",
    "Parts",
    "Profile",
    "ProfileDraw",
    "RunDraw",
    "load_profile",
]

PROFILE_FORMAT: Final = "servecast-calibration/2"
OLDER_FORMATS: Final = ("servecast-calibration/1",)
FILE_MAX_BYTES: Final = 20_000_000
NS_PER_MS: Final = 1e6

PARTS: Final = (
    "base",
    "per_item",
    "batch_in",
    "results_out",
    "front_end_request",
    "front_end_response",
    "front_end_pass_result",
    "front_end_timer",
    "network_there",
    "network_back",
)
"""The times that a calibration measures."""

DISCREPANCIES: Final = (
    "latency_ms.mean",
    "latency_ms.p50",
    "latency_ms.p90",
    "latency_ms.p99",
    "server_latency_ms.mean",
    "server_latency_ms.p50",
    "server_latency_ms.p90",
    "server_latency_ms.p99",
    "batch_size_mean",
)
"""The figures of a run whose error at the loads of the fit a calibration tells."""

Milliseconds = Annotated[float, Field(ge=0, le=3.6e6)]


class RunDraw(NamedTuple):
    """The draw with this number of what a single run has."""

    number: int


Draw = int | RunDraw | None
"""Which values of a calibration: a draw of the long-run ones, a draw of a single run's, the central fit.

Numbers of draws are counted round.
"""


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
    front_end_pass_result: Part
    front_end_timer: Part
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
    front_end_pass_result: Milliseconds | None = None
    front_end_timer: Milliseconds | None = None
    network_there: Milliseconds | None = None
    network_back: Milliseconds | None = None


class LonePart(_Closed):
    """A part of a lone request's time, or all of it: the measured mean with its 95 % interval, and the model's mean.

    A measured part may lie below zero: client and server stamp for themselves, and the client may hold an answer before
    the server has noted that it left.
    """

    measured_ms: float
    low_ms: float
    high_ms: float
    modelled_ms: float


class LoneRequest(_Closed):
    """Where the time of a request goes that meets an idle server."""

    requests: int = Field(ge=1)
    left_out: int = Field(ge=0)  # not alone, not answered, or while the host stood still
    disturbed: bool = False  # the host was busy in every try
    client_late_ms: float  # measured mean from the intended moment to the send: a part of the way to the server
    parts: dict[str, LonePart]  # in the order of the path; they add up to the latency
    latency: LonePart


class Profile(_Closed):
    """A calibration."""

    format: Literal["servecast-calibration/2"]
    name: str = Field(min_length=1)
    created: str  # ISO date and time
    host: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, Any] = Field(default_factory=dict)
    fitted_on: FittedOn
    parts: Parts
    spread_cv: float = Field(ge=0, le=CV_MAX)  # of the time of a pass of one size
    answer_share: float = Field(0.0, ge=0, le=1)  # of network_back: what passes inside the server, its work done
    draws: tuple[ProfileDraw, ...] = Field(min_length=1)  # of the long-run values
    run_draws: tuple[ProfileDraw, ...] = Field(min_length=1)  # of one run of one fresh process
    table: Annotated[dict[int, Milliseconds] | None, BeforeValidator(_read_sizes)] = None  # central, by batch size
    serve_with: str | None = None  # what ran, in the words of a scenario; None: unknown
    options: dict[str, Any] = Field(default_factory=dict)
    model: dict[str, Any] = Field(default_factory=dict)  # what ran, in the server's own words: GET /config
    rules_sha256: str | None = None  # of the rules it ran; a calibration holds under others too
    lone_request: LoneRequest | None = None
    discrepancy: dict[str, Annotated[float, Field(ge=0, le=10)]] = Field(default_factory=dict)
    """Of each figure of DISCREPANCIES the model's relative error at the loads of the fit; empty: unknown."""

    not_identified: tuple[str, ...] = ()  # a sentence for each thing that the samples could not tell

    @property
    def rate_range(self) -> tuple[float, float]:
        """Return the lowest and the highest rate that was fitted on, per second."""
        return min(self.fitted_on.rates), max(self.fitted_on.rates)

    @property
    def max_batch(self) -> int:
        """Return the largest batch that was measured: nothing is known beyond it."""
        return max(self.fitted_on.batch_sizes)

    def times_ns(self, draw: Draw) -> dict[str, int]:
        """Return every part in ns."""
        central = {name: getattr(self.parts, name).value_ms for name in PARTS}
        if isinstance(draw, RunDraw):
            central.update(self.run_draws[draw.number % len(self.run_draws)].model_dump(exclude_none=True))
        elif draw is not None:
            central.update(self.draws[draw % len(self.draws)].model_dump(exclude_none=True))
        return {name: round(value_ms * NS_PER_MS) for name, value_ms in central.items()}

    def table_ns(self, draw: Draw) -> dict[int, int]:
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
    except UnicodeDecodeError as error:
        raise ScenarioError(f"The calibration {path} is not UTF-8 text: byte {error.start} is not.") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, ScenarioError):
            raise
        raise ScenarioError(f"The calibration {path} is not JSON: {error}.") from None
    if not isinstance(content, dict):
        raise ScenarioError(f"The calibration {path} must hold a mapping with format {PROFILE_FORMAT}.")
    if content.get("format") in OLDER_FORMATS:
        raise ScenarioError(f"The calibration {path} is of the older format {content['format']}: calibrate again.")
    try:
        return Profile.model_validate(content)
    except ValidationError as error:
        raise ScenarioError(f"The calibration {path} is not right: {sentence(error, content, Profile)}") from None
