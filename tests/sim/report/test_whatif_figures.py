"""Pictures of what-if: what stands on the axes, and that nothing is told by colour alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.errors import ScenarioError
from sim.planner.grid import parse_axis
from sim.report.whatif_figures import refuse_undrawable, whatif_picture
from tests.sim.report.whatif_answers import asked


def test_one_key_is_a_curve_with_a_band_a_goal_and_the_base_case() -> None:
    """Values lie on the scale of the key, with units on both axes; lines are told apart by dashes and marks."""
    (axes,) = whatif_picture(asked("batching.max_wait=0ms,2ms,8ms", figures=("p90",))).figure.axes
    assert axes.get_xlabel() == "batching.max_wait (ms)"
    assert axes.get_ylabel() == "p90 latency (ms)"
    legend = axes.get_legend()
    assert legend is not None
    assert {text.get_text() for text in legend.get_texts()} == {"95 % confidence", "forecast", "base case", "goal p90"}
    assert [list(line.get_xdata()) for line in axes.lines[:2]] == [[0.0, 2.0, 8.0], [2.0]]
    assert axes.lines[0].is_dashed()


def test_configuration_without_an_answer_is_crossed_out() -> None:
    """It has no value that could be drawn, and is not left out in silence."""
    (axes,) = whatif_picture(asked("traffic.arrivals.rate=100/s,300/s,4000/s", figures=("p90",))).figure.axes
    (crosses,) = [line for line in axes.lines if line.get_label() == "not known"]
    assert list(crosses.get_xdata()) == [4000.0]
    assert axes.get_xlabel() == "traffic.arrivals.rate (1/s)"


def test_words_stand_in_their_order() -> None:
    """A key whose values are no numbers has one tick for each, and no line leads from one to the next."""
    (axes,) = whatif_picture(asked("fleet.routing.balance=random,round_robin", figures=("p90",))).figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["random", "round_robin"]
    drawn = [line for line in axes.lines if not str(line.get_label()).startswith("goal")]
    assert all(line.get_linestyle() == "None" for line in drawn)


def test_long_values_are_labels_of_several_lines() -> None:
    """Whole autoscalers beside each other would cover each other."""
    scalers = "fleet.autoscaler=none,{target: 4, max_replicas: 8, tick: 1s}"
    (axes,) = whatif_picture(asked(scalers, figures=("p90",))).figure.axes
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["none", "{target: 4,\nmax_replicas: 8,\ntick: 1s}"]


def test_field_that_is_not_known_is_not_hatched_as_missed() -> None:
    """It has an x; what is hatched has a value, and that is beyond the goal."""
    answer = asked("queue.cap=64,none", "traffic.arrivals.rate=300/s,4000/s", figures=("p90",))
    axes = whatif_picture(answer).figure.axes[0]
    unknown = [place for place, row in enumerate(answer.rows) if "latency_ms.p90" not in row.figures]
    assert unknown == [3]  # without a cap, far beyond the saturation
    hatched = [(patch.get_x() + 0.5, patch.get_y() + 0.5) for patch in axes.patches if patch.get_hatch()]
    assert (1.0, 1.0) not in hatched
    assert [text.get_text() for text in axes.texts].count("x") == 1


def test_two_keys_are_a_map_in_grey_with_numbers() -> None:
    """Each field says its value; the base case has a frame, and where a goal is missed the field is hatched."""
    figure = whatif_picture(asked("batching.max_wait=0ms,2ms,8ms", "batching.max_batch=4,8", figures=("p90",))).figure
    axes, bar = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("batching.max_batch (number)", "batching.max_wait")
    assert bar.get_ylabel() == "p90 latency (ms)"
    assert len(axes.texts) == 6
    hatched = [patch for patch in axes.patches if patch.get_hatch()]
    framed = [patch for patch in axes.patches if patch.get_linewidth() == 2]
    assert 0 < len(hatched) < 6
    assert [(patch.get_x(), patch.get_y()) for patch in framed] == [(0.5, 0.5)]
    shades = axes.images[0].get_cmap()(range(0, 256, 51))
    assert all(red == green == blue for red, green, blue, _ in shades)


def test_one_at_a_time_is_bars_with_the_strongest_key_on_top() -> None:
    """Each value stands at its difference from the base case, with its interval; labels do not cover each other."""
    answer = asked("batching.max_batch=7,9", "traffic.arrivals.rate=100/s,450/s", grid=False, figures=("p90",))
    (axes,) = whatif_picture(answer).figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["batching.max_batch", "traffic.arrivals.rate"]
    assert axes.get_xlabel() == "against the base case: p90 latency (ms)"
    assert {text.get_text() for text in axes.texts} == {"9, 7", "100/s", "450/s"}


def test_each_figure_has_a_panel(tmp_path: Path) -> None:
    """Up to four; shares in per cent; the file is written without a display."""
    answer = asked("traffic.arrivals.rate=100/s,300/s", figures=("p50", "p90", "busy", "throughput", "mean"))
    picture = whatif_picture(answer)
    labels = ["p50 latency (ms)", "p90 latency (ms)", "device busy (%)", "answered (1/s)"]
    assert [axes.get_ylabel() for axes in picture.figure.axes] == labels
    picture.save(tmp_path / "curves.svg")
    assert (tmp_path / "curves.svg").stat().st_size > 1000


def test_figure_that_is_the_same_everywhere_has_no_panel() -> None:
    """Nothing is refused in either: a panel of noughts would say nothing, and stands only where there is no other."""
    answer = asked("batching.max_batch=4,8", figures=("refused", "p50"))
    assert [axes.get_ylabel() for axes in whatif_picture(answer).figure.axes] == ["p50 latency (ms)"]
    answer = asked("batching.max_batch=4,8", figures=("refused",))
    assert [axes.get_ylabel() for axes in whatif_picture(answer).figure.axes] == ["refused (%)"]


def test_three_keys_of_a_grid_are_refused_before_anything_runs() -> None:
    """There is no picture of them; one at a time there is."""
    axes = [parse_axis(f"{key}=1,2") for key in "abc"]
    with pytest.raises(ScenarioError, match="one or two varied keys, or one at a time"):
        refuse_undrawable(axes, grid=True)
    refuse_undrawable(axes, grid=False)
    refuse_undrawable([*axes[:2], parse_axis("c=1")], grid=True)
