"""What a scenario says of its model: how long a pass takes, and what a server runs.

The second is for the reference server and its clients: no forecast reads it. Ranges of the pass time are checked in
policy/settings.py, like those of every serving rule.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from sim.scenario.distribution_spec import Spread
from sim.scenario.fields import Count, Kind, PassPart, Section, Words, written

__all__ = ["OWN_BACKENDS", "Model", "PassTime"]

OWN_BACKENDS: Final = ("emulated", "cnn", "minilm")
"""What the reference server can serve by name; the last two need PyTorch."""

_FACTORY = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*"
_BACKENDS_ALLOWED = f"{', '.join(OWN_BACKENDS)}, or module:factory"


def _known_backend(name: str) -> str:
    """Raise ValueError for what names no backend."""
    if name not in OWN_BACKENDS and not re.fullmatch(_FACTORY, name, re.ASCII):
        raise ValueError(f"must be {_BACKENDS_ALLOWED}")
    return name


_BACKEND = Kind(
    "name",
    _BACKENDS_ALLOWED,
    {"anyOf": [{"enum": list(OWN_BACKENDS)}, {"type": "string", "pattern": f"^{_FACTORY}$"}]},
    None,
    _known_backend,
)

_DEVICE_PATTERN = r"[a-z]+(:[0-9]+)?"


def _device_name(name: str) -> str:
    """Raise ValueError for what is no device's name."""
    if not re.fullmatch(_DEVICE_PATTERN, name, re.ASCII):
        raise ValueError("must be auto, cpu, cuda or cuda:1")
    return name


_DEVICE = Kind(
    "name",
    "auto, or as PyTorch names it",
    {"type": "string", "pattern": f"^{_DEVICE_PATTERN}$"},
    None,
    _device_name,
)


def _is_json(value: Any) -> Any:
    """Raise ValueError for what JSON cannot hold, such as a date of a TOML file."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError("must be what JSON can hold") from None
    return value


def _read_size_keys(table: object) -> object:
    """Turn the keys of a table into numbers: JSON and TOML know only text as keys."""
    if not isinstance(table, dict):
        return table
    return {int(key) if isinstance(key, str) and key.isascii() and key.isdigit() else key: table[key] for key in table}


class PassTime(Section):
    """How long one pass of a batch takes: (base + per_item * b + per_unit * b * longest) * spread, b after padding."""

    base: PassPart = written("0ms", "The part that every pass costs.")
    per_item: PassPart = written("0ms", "The part for each request of the padded batch.")
    per_unit: PassPart = written(
        "0ms", "The part for each request of the padded batch and each unit of the longest one's size."
    )
    table: Annotated[
        dict[int, PassPart] | None,
        BeforeValidator(_read_size_keys, json_schema_input_type=dict[str, PassPart] | None),
    ] = Field(
        None,
        description=(
            "Measured times by batch size, in place of base and per_item: on a straight line between two sizes, flat "
            "below the first one. It must reach the largest batch."
        ),
    )
    padded_sizes: tuple[Count, ...] = Field(
        (), description="Sizes to which a batch is padded up, ascending. Default: no padding."
    )
    spread: Spread | None = Field(
        None, description="A factor with mean 1, drawn for each pass. Default: every pass takes the same."
    )

    @model_validator(mode="after")
    def _line_or_table(self) -> PassTime:
        if self.table is not None and self.model_fields_set & {"base", "per_item"}:
            raise ValueError("must have either base and per_item, or a table.")
        return self


class Model(Section):
    """What a pass costs: written here, or measured. And what the reference server runs, which no forecast reads."""

    pass_time: PassTime | None = Field(None, description="The time of a pass, written.")
    profile: str | None = Field(
        None,
        description=(
            "A calibration file instead: it holds the time of a pass and its spread, and fills in front_end, "
            "fleet.turnaround and traffic.network where they are not written. A relative path counts from the "
            "scenario file."
        ),
        min_length=1,
    )
    serve_with: Annotated[str, _BACKEND] = Field(
        "emulated",
        description=(
            "What `servecast serve` runs. emulated: a device that is busy for the time of a pass; cnn and minilm: "
            "models that come with servecast; module:factory: a model of your own. pass_time is then a first guess, "
            "and a calibration says what is true."
        ),
    )
    device: Annotated[str, _DEVICE] = Field(
        "auto", description="Where a model runs: cpu, cuda, cuda:1. auto: on a GPU if there is one, else on the CPU."
    )
    options: Annotated[dict[str, Any], Words("mapping", "any JSON"), AfterValidator(_is_json)] = Field(
        default_factory=dict, description="Arguments of the model's factory. minilm takes max_tokens, by default 16."
    )
    input: Annotated[Any, Words("any JSON", ""), AfterValidator(_is_json)] = Field(
        "servecast", description="What load generators send as the input of every request."
    )

    @model_validator(mode="after")
    def _written_or_measured(self) -> Model:
        if (self.pass_time is None) == (self.profile is None):
            raise ValueError("must have either pass_time or profile.")
        return self
