"""What a forecast says of versions, a rollout and A/B tests, as text. Tables and units are those of tables.py."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from sim.forecast.estimates import Figure
from sim.forecast.rollout_forecast import AbTest, RolloutForecast
from sim.forecast.version_forecast import VersionForecast
from sim.report.units import new_table, quantity, span, value_between

__all__ = ["ab_test_lines", "rollout_lines", "versions_table"]

_COLUMNS = {
    "request_share": "requests",
    "latency_ms.p50": "p50",
    "latency_ms.p99": "p99",
    "failed_share": "failed",
    "refused_share": "refused",
    "gpu_busy_share": "device busy",
    "replicas.mean": "replicas",
    "copies_per_s": "copies",
    "copy_ms.p99": "p99 of copies",
}


def versions_table(versions: tuple[VersionForecast, ...]) -> RenderableType:
    """Return one row for each version, and below why one has no value; columns without any value are left out."""
    shown = {
        name: label
        for name, label in _COLUMNS.items()
        if any(name in version.figures and version[name].value is not None for version in versions)
        and not (name.startswith("cop") and not any(version["copies_per_s"].value for version in versions))
    }
    table = new_table("version", *shown.values())
    for version in versions:
        table.add_row(version.name, *[_cell(name, version[name]) for name in shown])
    reasons = [
        f"No {label} of {version.name}: {version[name].why}."
        for version in versions
        for name, label in shown.items()
        if version[name].value is None and version[name].why
    ]
    return Group(table, *(Text(reason, style="dim") for reason in reasons))


def rollout_lines(rollout: RolloutForecast) -> RenderableType:
    """Return how the rollout goes: the answer first, then whom it touches and what theory says of its analysis."""
    back, promoted, open_ = (rollout[f"{end}_share"] for end in ("rolled_back", "promoted", "unfinished"))
    ends = [
        f"{words} in {_with_interval('_share', figure)}"
        for words, figure in (("rolled back", back), ("promoted", promoted), ("still under way", open_))
        if figure.value
    ]
    lines = [Text(f"{rollout.canary} is {', '.join(ends)} of the runs.", style="bold")]
    if rollout["duration_s"].value is not None:
        lines.append(Text(f"It takes {_with_interval('_s', rollout['duration_s'])} from start to end."))
    whom = [f"{_with_interval('', rollout['requests_touched'])} requests"]
    whom.append(f"{_with_interval('_share', rollout['requests_touched_share'])} of them all")
    if "users_touched" in rollout.figures:
        whom.append(f"{_with_interval('', rollout['users_touched'])} users")
        whom.append(f"{_with_interval('_share', rollout['users_touched_share'])} of those who came")
    lines.append(Text(f"Until then it is met by {', '.join(whom)}."))
    lines.append(Text(_odds(rollout)))
    if open_.value:
        lines.append(Text("A rollout that is still under way needs a longer horizon.duration to end.", style="dim"))
    return Group(*lines)


def ab_test_lines(tests: tuple[AbTest, ...]) -> RenderableType:
    """Return how long each test must run."""
    lines = []
    for test in tests:
        usual, other = (f"{100 * rate:g} %" for rate in test.success_rates)
        needed = f"{test.needed[0]} {test.unit} of {test.against} and {test.needed[1]} of {test.version}"
        until = (
            "more than there are" if test.duration_s is None else f"{quantity('_s', test.duration_s)} of this traffic"
        )
        lines.append(
            Text(
                f"To tell {other} of {test.version} from {usual} of {test.against} (5 %, power 80 %) takes {needed}: "
                f"{until}."
            )
        )
    return Group(*lines)


def _odds(rollout: RolloutForecast) -> str:
    """Return what theory says, or why it says nothing."""
    odds = rollout.odds
    if odds.power is None or odds.false_alarm is None:
        return f"No odds from theory: {odds.why}."
    after = "" if odds.found_after_s is None else f", {quantity('_s', odds.found_after_s)} after its first step"
    return (
        f"The analysis by itself finds this error rate with a chance of {_chance(odds.power)}{after}; a version as "
        f"good as the stable one is rolled back with a chance of {_chance(odds.false_alarm)}."
    )


def _chance(share: float) -> str:
    """Return a chance, without noughts or nines that no one reads."""
    if 0 < share < 1e-4:
        return "below 0.01 %"
    if 1 - 1e-4 < share < 1:
        return "above 99.99 %"
    return quantity("_share", share)


def _cell(name: str, figure: Figure) -> str:
    return "-" if figure.value is None else quantity(name, figure.value)


def _with_interval(name: str, figure: Figure) -> str:
    """Return a figure with its 95 % confidence interval."""
    if figure.value is None:
        return "-"
    if figure.low is None or figure.high is None or figure.low == figure.high:
        return quantity(name, figure.value)
    return f"{value_between(name, figure.value, figure.low, figure.high)} [{span(name, figure.low, figure.high)}]"
