"""The picture over time: it shows what changes, holds each value for its window, and leaves out what never happens."""

from __future__ import annotations

import numpy as np

from sim.forecast.forecast import Forecast
from sim.forecast.windows import Window, WindowFigure
from sim.report.windows_figure import windows_picture
from sim.scenario.spec import Scenario

NAMES = (
    "requests_per_s",
    "replicas.wanted",
    "replicas.paid",
    "replicas.ready",
    "latency_ms.p50",
    "latency_ms.p99",
    "refused_share",
    "timed_out_share",
    "abandoned_share",
    "failed_share",
)


def window(from_s: float, to_s: float, **values: float | None) -> Window:
    """Return a window in which all is 1 but the shares, which are 0, and what is stated."""
    figures = {name: WindowFigure(0.0 if name.endswith("_share") else 1.0, 0.0, 2.0) for name in NAMES}
    told = {name.replace("__", "."): WindowFigure(value) for name, value in values.items()}
    return Window(from_s, to_s, figures | told)


def labels(windows: list[Window]) -> list[str]:
    """Return what the panels show."""
    return [axes.get_ylabel() for axes in windows_picture(windows).figure.axes]


def test_panels_show_what_changes() -> None:
    """Replicas that never change and failures that never happen have no panel."""
    calm = [window(0, 5), window(5, 10)]
    assert labels(calm) == ["sent (requests/s)", "latency (ms)"]
    assert labels([*calm, window(10, 15, replicas__paid=2)])[1] == "replicas (count)"
    assert labels([*calm, window(10, 15, refused_share=0.1)])[-1] == "unanswered (%)"


def test_value_holds_for_its_window_to_its_end() -> None:
    """A value begins with its window and holds to the end of the last one; a share is in per cent."""
    windows = [window(0, 5), window(5, 10, refused_share=0.25)]
    axes = windows_picture(windows).figure.axes[-1]
    assert axes.get_xlabel() == "time since the measured part began (s)"
    (line,) = axes.lines
    assert line.get_drawstyle() == "steps-post"
    assert np.asarray(line.get_xdata()).tolist() == [0, 5, 10]
    assert np.asarray(line.get_ydata()).tolist() == [0, 25, 25]


def test_long_times_are_in_hours() -> None:
    """Nobody reads 86 400 s."""
    axes = windows_picture([window(0, 43_200), window(43_200, 86_400)]).figure.axes[-1]
    assert axes.get_xlabel() == "time since the measured part began (h)"
    assert axes.lines[0].get_xdata()[-1] == 24  # type: ignore[index]


def test_quantile_that_no_window_has_is_not_named() -> None:
    """Windows with too few requests for a p99 leave the legend with p50 alone; with some of them there is a gap."""
    without = windows_picture([window(0, 5, latency_ms__p99=None), window(5, 10, latency_ms__p99=None)])
    assert [text.get_text() for text in without.figure.axes[1].get_legend().get_texts()] == ["p50"]
    gap = windows_picture([window(0, 5), window(5, 10, latency_ms__p99=None)]).figure.axes[1].lines[0]
    assert np.isnan(np.asarray(gap.get_ydata())).tolist() == [False, True, True]


def test_nothing_that_is_known_is_no_error() -> None:
    """A run in which nobody is answered has a picture all the same."""
    nothing = {"latency_ms__p50": None, "latency_ms__p99": None}
    assert labels([window(0, 5, **nothing), window(5, 10, **nothing)])[1] == "latency (ms)"


def test_versions_are_drawn_where_their_shares_change(scaled: tuple[Scenario, Forecast]) -> None:
    """A rollout moves requests from one version to the other, and all of them are somebody's."""
    (axes,) = [
        axes for axes in windows_picture(scaled[1].timeline).figure.axes if axes.get_ylabel() == "requests taken (%)"
    ]
    first, second = (np.asarray(line.get_ydata()) for line in axes.lines)
    assert np.allclose(first + second, 100)
    assert second[0] == 0
    assert second.max() > 30
