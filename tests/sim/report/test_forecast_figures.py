"""Where the time goes, and versions beside each other."""

from __future__ import annotations

import numpy as np

from sim.forecast.estimates import Figure
from sim.forecast.version_forecast import VersionForecast
from sim.report.forecast_figures import breakdown_picture, versions_picture


def test_parts_stand_in_the_order_of_the_path() -> None:
    """The first part is on top, each bar is as long as its time, and says it with its share."""
    (axes,) = breakdown_picture({"waiting for a device": 5.0, "pass": 15.0}).figure.axes
    bars = sorted(axes.patches, key=lambda bar: -bar.get_y())  # type: ignore[attr-defined]
    assert [bar.get_width() for bar in bars] == [5.0, 15.0]  # type: ignore[attr-defined]
    assert [text.get_text() for text in axes.texts] == ["5.00 ms, 25 %", "15.0 ms, 75 %"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["waiting for a device", "pass"]


def version(name: str, p50: Figure, p99: Figure) -> VersionForecast:
    """Return a version with two figures."""
    return VersionForecast(name, {"latency_ms.p50": p50, "latency_ms.p99": p99})


def test_versions_have_a_row_each_and_only_what_is_known() -> None:
    """A p99 that is not known is no point; intervals reach from low to high."""
    known = version("v1", Figure(10.0, 9.0, 11.5), Figure(20.0, 19.0, 21.0))
    (axes,) = versions_picture([known, version("v2", Figure(12.0, 11.0, 13.0), Figure(None))]).figure.axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["v1", "v2"]
    p50, p99 = (np.asarray(container.lines[0].get_xdata()).tolist() for container in axes.containers)
    assert (p50, p99) == ([10.0, 12.0], [20.0])
    ends = axes.containers[0].lines[2][0].get_segments()[0][:, 0].tolist()
    assert ends == [9.0, 11.5]
