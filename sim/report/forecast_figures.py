"""Two pictures of a forecast that are no curves: where the time goes, and its versions beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sim.forecast.version_forecast import VersionForecast
from sim.report.figures import Picture
from sim.report.style import COLOURS, SMALL, log_scale, look, new_figure
from sim.report.units import quantity

__all__ = ["breakdown_picture", "versions_picture"]

_QUANTILES = {"latency_ms.p50": ("p50", "o", "none"), "latency_ms.p99": ("p99", "D", COLOURS["ink"])}
_ROW_IN = 0.34
_AXIS_IN = 0.75


@look()
def breakdown_picture(parts_ms: Mapping[str, float]) -> Picture:
    """Return one bar for each part of the mean latency, by its name, in the order of the path."""
    total_ms = sum(parts_ms.values())
    figure = new_figure(_ROW_IN * len(parts_ms) + _AXIS_IN)
    axes = figure.subplots()
    places = range(len(parts_ms), 0, -1)
    bars = axes.barh(places, list(parts_ms.values()), height=0.62, color=COLOURS["band"], edgecolor=COLOURS["muted"])
    labels = [
        f"{quantity('part_ms', mean_ms)}, {quantity('part_share', mean_ms / total_ms, 2)}"
        for mean_ms in parts_ms.values()
    ]
    axes.bar_label(bars, labels, fontsize=SMALL, padding=3)
    axes.set_yticks(places, list(parts_ms))
    axes.set_ylabel("part of the path")
    axes.set_xlabel("mean over all answered requests (ms)")
    axes.margins(x=0.32)
    axes.set_xlim(left=0)
    axes.grid(visible=False, axis="y")
    return Picture(figure)


@look()
def versions_picture(versions: Sequence[VersionForecast]) -> Picture:
    """Return p50 and p99 of each version with their 95 % confidence intervals; what is not known is left out."""
    figure = new_figure(_ROW_IN * len(versions) + _AXIS_IN + 0.3)
    axes = figure.subplots()
    ends: list[float] = []
    for name, (label, marker, filling) in _QUANTILES.items():
        known = [(-place, version[name]) for place, version in enumerate(versions) if version[name].value is not None]
        if not known:
            continue
        values = [figure.value or 0.0 for _, figure in known]
        low = [value - (figure.low or 0.0) for value, (_, figure) in zip(values, known, strict=True)]
        high = [(figure.high or 0.0) - value for value, (_, figure) in zip(values, known, strict=True)]
        axes.errorbar(
            values,
            [place for place, _ in known],
            xerr=[low, high],
            fmt=marker,
            color=COLOURS["ink"],
            markerfacecolor=filling,
            capsize=4,
            label=label,
        )
        ends += [end for _, figure in known for end in (figure.low, figure.high) if end is not None]
    if ends and min(ends) > 0:
        log_scale(axes, "x", min(ends), max(ends))
    axes.set_yticks([-place for place in range(len(versions))], [version.name for version in versions])
    axes.set_ylim(-len(versions) + 0.4, 0.6)
    axes.set_ylabel("version")
    axes.set_xlabel("latency (ms)")
    axes.grid(visible=False, axis="y")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return Picture(figure)
