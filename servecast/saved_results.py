"""Results that were saved: read from their files, and made again from the manifests in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sim.errors import ScenarioError
from sim.scenario.missing import where_looked

if TYPE_CHECKING:
    from sim.forecast.manifest import Manifest
    from sim.planner.grid import Axis

__all__ = ["Saved", "differences", "is_saved", "made_again", "read_saved"]

_SIZE_MAX_BYTES: Final = 500_000_000
_OF_THE_MOMENT: Final = (
    ("provenance", "engine"),
    ("provenance", "versions"),
    ("provenance", "host"),
    ("manifest", "versions"),
    ("manifest", "host"),
)
"""What tells on what a result was made, and not what it is."""

Content = dict[str, Any]
Progress = Callable[[int, int], None]
_Options = TypeVar("_Options")


@dataclass(frozen=True)
class Saved:
    """A result with its manifest, or a manifest alone."""

    source: str
    text: str
    content: dict[str, Any]
    manifest: Manifest

    @property
    def is_result(self) -> bool:
        """Whether there is a result, and not a manifest alone."""
        return "manifest" in self.content


def is_saved(content: object) -> bool:
    """Return whether a content of JSON is something that servecast saved, by the version in it."""
    return isinstance(content, dict) and str(content.get("version", "")).startswith("servecast-")


def read_saved(path: Path) -> Saved:
    """Return the result or manifest in a file. Raises ScenarioError in one sentence where there is none."""
    from sim.forecast.manifest import Manifest
    from sim.scenario.units import shown

    text = _text_of(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ScenarioError(f"{path} is neither a result of servecast nor a manifest: no JSON ({error}).") from None
    if not is_saved(content):
        raise ScenarioError(
            f"{path} is neither a result of servecast nor a manifest: those are mappings with a version, such as "
            "servecast-forecast/1."
        )
    is_alone = content["version"].startswith("servecast-manifest/")
    told = content if is_alone else content.get("manifest")
    if not isinstance(told, dict):
        raise ScenarioError(f"{path} holds no manifest, so it does not tell how to make it again.")
    manifest = Manifest.from_json(told, str(path))
    own = content["version"] if is_alone else _versions().get(manifest.command, content["version"])
    if content["version"] != own:
        raise ScenarioError(
            f"{path} must be of the version {own}, since its manifest is of servecast {manifest.command}. "
            f"Got {shown(content['version'])}."
        )
    return Saved(str(path), text, content, manifest)


def made_again(manifest: Manifest, *, workers: int | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Return the JSON of the result that a manifest tells of, made here and now.

    Raises ScenarioError where it cannot be, because a file has changed or because no result of that command can.
    """
    make = _MAKERS.get(manifest.command)
    if make is None:
        raise ScenarioError(
            f"A result of servecast {manifest.command} cannot be made again: those of {', '.join(_MAKERS)} can."
        )
    _require_files(manifest)
    with TemporaryDirectory(prefix="servecast-") as folder:
        return make(manifest.content_in(Path(folder)), manifest, workers, progress)


def _versions() -> dict[str, str]:
    """Return the version of a result by the command that makes it."""
    from sim.forecast.forecast import FORECAST_VERSION
    from sim.planner.capacity import CAPACITY_VERSION
    from sim.planner.plan_result import PLAN_VERSION
    from sim.planner.whatif import WHATIF_VERSION

    return {
        "forecast": FORECAST_VERSION,
        "whatif": WHATIF_VERSION,
        "plan": PLAN_VERSION,
        "capacity": CAPACITY_VERSION,
    }


def _require_files(manifest: Manifest) -> None:
    """Raise ScenarioError where a trace is gone that is too long for its manifest, which tells where it was."""
    for key, file in manifest.files.items():
        path = Path(file.path or file.name)
        if file.content is None and not path.exists():
            why = "a trace of that length is not in the manifest, only its hash"
            todo = "put it there again" if path.is_absolute() else "go to where the result was made, or put it there"
            raise ScenarioError(f"{path} ({key}) is not there{where_looked(path)}: {why}; {todo}.")


def differences(saved: Mapping[str, Any], made: Mapping[str, Any]) -> list[tuple[str, object, object]]:
    """Return the dotted keys at which two results differ, with both values; what only tells of the host is left out."""
    return list(_differences((), saved, made))


def _forecast(content: Content, manifest: Manifest, workers: int | None, progress: Progress | None) -> Content:
    """Make a forecast; one of a wanted precision with as many runs as that took."""
    from sim.forecast.enough_runs import Precision
    from sim.forecast.forecast import forecast
    from sim.scenario.load import load_scenario

    runs, precision = manifest.runs, None
    if manifest.options:
        told = _options(manifest, _OfPrecision)
        runs, precision = None, Precision(told.precision, told.budget_s, told.max_runs, made=manifest.runs)
    scenario = load_scenario(content)
    return forecast(
        scenario, seed=manifest.seed, runs=runs, precision=precision, workers=workers, progress=progress
    ).to_json()


def _whatif(content: Content, manifest: Manifest, workers: int | None, progress: Progress | None) -> Content:
    """Compare configurations, with processes here."""
    from sim.planner.whatif import whatif
    from sim.planner.workers import Workers

    told = _options(manifest, _OfWhatif)
    return whatif(
        content,
        _axes(told.varied),
        grid=told.grid,
        seed=manifest.seed,
        runs=manifest.runs,
        warnings=told.warnings,
        workers=Workers(count=workers),
        progress=progress,
    ).to_json()


def _plan(content: Content, manifest: Manifest, workers: int | None, progress: Progress | None) -> Content:
    """Make a plan."""
    from sim.planner.plan import plan

    told, seed, runs = _options(manifest, _OfPlan), manifest.seed, manifest.runs
    axes, confidence = _axes(told.varied), told.confidence
    return plan(content, axes, confidence=confidence, seed=seed, runs=runs, progress=progress).to_json()


def _capacity(content: Content, manifest: Manifest, workers: int | None, progress: Progress | None) -> Content:
    """Ask for a capacity."""
    from sim.planner.capacity import capacity

    confidence, seed, runs = _options(manifest, _OfCapacity).confidence, manifest.seed, manifest.runs
    return capacity(content, confidence=confidence, seed=seed, runs=runs, progress=progress).to_json()


@dataclass(frozen=True)
class _OfPrecision:
    """What a manifest tells of a wanted precision."""

    precision: float
    budget_s: float | None
    max_runs: int


@dataclass(frozen=True)
class _OfWhatif:
    """What a manifest tells of a comparison."""

    varied: dict[str, list[str]]
    grid: bool
    warnings: bool


@dataclass(frozen=True)
class _OfCapacity:
    """What a manifest tells of a capacity."""

    confidence: float


@dataclass(frozen=True)
class _OfPlan(_OfCapacity):
    """What a manifest tells of a plan."""

    varied: dict[str, list[str]]


def _options(manifest: Manifest, kind: type[_Options]) -> _Options:
    """Return what a manifest tells of its command besides seed and runs. Raises ScenarioError where that is not it."""
    from sim.forecast.manifest import read_as

    return read_as(kind, manifest.options, "The options in the manifest are not right")


def _axes(varied: Mapping[str, Sequence[str]]) -> list[Axis]:
    """Return what varied. Raises ScenarioError where files did: a manifest holds those of its scenario alone."""
    from sim.planner.grid import Axis

    for key in varied:
        if any(each.endswith((".profile", ".file")) for each in key.split("+")):
            raise ScenarioError(
                f"A result that varied {key} cannot be made again: its manifest does not hold the files."
            )
    return [Axis(key, tuple(values)) for key, values in varied.items()]


_MAKERS: Final[dict[str, Callable[[Content, Manifest, int | None, Progress | None], Content]]] = {
    "forecast": _forecast,
    "whatif": _whatif,
    "plan": _plan,
    "capacity": _capacity,
}
"""By the command in the manifest."""


def _differences(steps: tuple[str, ...], saved: object, made: object) -> Iterator[tuple[str, object, object]]:
    """Yield where two values differ, in the order of the new one."""
    if steps[:2] in _OF_THE_MOMENT or (steps[:2] == ("manifest", "files") and steps[-1] == "path"):
        return
    if isinstance(saved, dict) and isinstance(made, dict):
        for key in {**saved, **made}:
            yield from _differences((*steps, str(key)), saved.get(key), made.get(key))
    elif isinstance(saved, list) and isinstance(made, list) and len(saved) == len(made):
        for place, (one, other) in enumerate(zip(saved, made, strict=True)):
            yield from _differences((*steps, str(place)), one, other)
    elif saved != made:
        yield ".".join(steps), saved, made


def _text_of(path: Path) -> str:
    """Return the text of a file."""
    try:
        if path.stat().st_size > _SIZE_MAX_BYTES:
            raise ScenarioError(f"{path} is larger than {_SIZE_MAX_BYTES // 10**6} MB: it is no result of servecast.")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ScenarioError(f"{path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise ScenarioError(f"{path} is neither a result of servecast nor a manifest: no text.") from None
