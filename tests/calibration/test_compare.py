"""Tests of calibration/compare.py on calibrations whose true difference is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calibration.compare import Comparison, compare, require_same_subject
from calibration.errors import BadSamples
from sim.scenario.profile import PARTS, Profile, ProfileDraw, load_profile

FILE = load_profile(Path(__file__).parents[1] / "data" / "profile.json")
ERROR_MS = 0.01
"""The standard error of every part of `_profile`."""


def _profile(
    seed: int, processes: int = 5, moved: dict[str, float] | None = None, error_ms: float = ERROR_MS
) -> Profile:
    """Return the calibration of a server with known parts, as five processes of it would show them."""
    rng = np.random.default_rng(seed)
    parts, draws = {}, [{} for _ in range(200)]  # type: ignore[var-annotated]
    for name in PARTS:
        true_ms = 1.0 + (moved or {}).get(name, 0.0)
        # Means of single processes; the draws know no more of their spread than these few tell.
        means = true_ms + error_ms * np.sqrt(processes) * rng.standard_normal(processes)
        value = float(means.mean())
        spread = float(means.std(ddof=1) / np.sqrt(processes)) if processes > 1 else error_ms
        parts[name] = {"value_ms": value, "low_ms": value, "high_ms": value}
        for draw, shift in zip(draws, rng.standard_normal(200), strict=True):
            draw[name] = value + spread * float(shift)
    content = FILE.model_dump(mode="json") | {"parts": parts, "draws": draws, "table": None}
    content["fitted_on"]["processes"] = processes
    return Profile.model_validate(content)


def _named(comparison: Comparison) -> dict[str, tuple[float, float]]:
    return {each.name: (each.low_ms, each.high_ms) for each in comparison.differences}


def test_calibration_has_not_moved_from_itself() -> None:
    """No difference at all, and every part is there, with the pass of the largest batch beside them."""
    comparison = compare(FILE, FILE)
    assert comparison.moved == ()
    assert [each.name for each in comparison.differences] == [*PARTS, "pass_of_8"]
    assert all(each.difference_ms == 0.0 for each in comparison.differences)


def test_part_that_moved_is_named_and_no_other() -> None:
    """0.3 ms more on the way to the device, twenty standard errors; the rest is chance."""
    comparison = compare(_profile(1), _profile(2, moved={"batch_in": 0.3}))
    assert comparison.moved == ("batch_in",)
    low, high = _named(comparison)["batch_in"]
    assert low < 0.3 < high


def test_what_moves_together_shows_in_the_pass() -> None:
    """Base and per item both 0.1 ms up: a pass of 8 takes 0.9 ms more."""
    comparison = compare(_profile(1), _profile(2, moved={"base": 0.1, "per_item": 0.1}))
    assert "pass_of_8" in comparison.moved
    pass_of_8 = comparison.differences[-1]
    assert pass_of_8.difference_ms == pytest.approx(0.9, abs=0.2)


def test_false_alarms_are_as_rare_as_promised() -> None:
    """Of 100 pairs of calibrations of one unchanged server about 5 may show a move, in any of eleven times.

    Taken each by itself at 95 %, a third of them would; with the normal law for five processes, a fifth.
    """
    alarms = sum(bool(compare(_profile(2 * pair), _profile(2 * pair + 1)).moved) for pair in range(100))
    assert alarms <= 12


def test_fewer_processes_widen_the_interval() -> None:
    """Two and two processes tell their spread badly: Student's t with two degrees of freedom, not the normal law."""
    few = _named(compare(_profile(1, processes=2), _profile(2, processes=2)))
    many = _named(compare(_profile(1, processes=8), _profile(2, processes=8)))
    widths = [np.mean([high - low for low, high in each.values()]) for each in (few, many)]
    assert widths[0] > 3 * widths[1]


def test_side_of_one_process_borrows_the_spread_of_the_other() -> None:
    """Its own draws do not hold how processes differ: they are a tenth as wide here, and the interval is not."""
    blind = _profile(1, processes=1, error_ms=ERROR_MS / 10)
    low, high = _named(compare(blind, _profile(2)))["base"]
    known = _named(compare(_profile(3), _profile(2)))["base"]
    assert high - low > known[1] - known[0]


def test_exact_calibrations_that_differ_have_moved() -> None:
    """Without any spread every difference counts, and nothing divides by zero."""
    exact = [_profile(seed, error_ms=0.0, moved={"base": shift}) for seed, shift in ((1, 0.0), (2, 0.5))]
    assert compare(*exact).moved == ("base", "pass_of_8")


def test_draws_of_a_table_move_with_it() -> None:
    """With a table the pass of a batch is the table's, in both files."""
    tables = [FILE.model_copy(update={"table": {1: 8.5, 8: time}}) for time in (11.0, 14.0)]
    pass_of_8 = compare(*tables).differences[-1]
    assert (pass_of_8.old_ms, pass_of_8.new_ms) == (11.0, 14.0)


def test_smaller_of_two_largest_batches_is_compared() -> None:
    """A pass that only one of the two measured is no ground for a comparison."""
    smaller = FILE.model_copy(update={"fitted_on": FILE.fitted_on.model_copy(update={"batch_sizes": (1, 4)})})
    assert compare(FILE, smaller).differences[-1].name == "pass_of_4"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "other"}, "The older calibration is of bench, and this one of other: nothing is to be compared."),
        (
            {"model": {"backend": "torch"}},
            "of a model with backend emulated, and this one of a model with backend torch",
        ),
        ({"model": {"backend": "emulated", "weights_sha256": "b"}}, "with weights_sha256 a, and this one of a model"),
    ],
)
def test_calibration_of_another_model_is_not_compared(changes: dict[str, object], said: str) -> None:
    """The first thing that differs is named, in one sentence."""
    old = FILE.model_copy(update={"model": {"backend": "emulated", "weights_sha256": "a"}})
    with pytest.raises(BadSamples, match=said) as error:
        compare(old, old.model_copy(update=changes))
    assert "\n" not in str(error.value)


def test_model_that_one_side_does_not_tell_is_let_pass() -> None:
    """Before anything is measured only the name is known."""
    require_same_subject(FILE.model_copy(update={"model": {"backend": "emulated"}}), "bench", {})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rules_sha256": "b"}, "The servers ran different rules"),
        ({"host": {"cpus": 4}}, "The hosts differ in cpus."),
        ({"versions": {"servecast": "9"}}, "The versions differ in servecast."),
        (
            {"fitted_on": FILE.fitted_on.model_copy(update={"processes": 1})},
            "The newer calibration is of 1 server process(es)",
        ),
    ],
)
def test_what_weakens_the_comparison_is_noted(changes: dict[str, object], said: str) -> None:
    """It is made all the same: that is what one may want to know."""
    old = FILE.model_copy(update={"rules_sha256": "a"})
    (note,) = compare(old, old.model_copy(update=changes)).notes
    assert note.startswith(said)


def test_json_holds_both_sides() -> None:
    """What machines read has a version, every difference, and which calibrations were compared."""
    content = json.loads(json.dumps(compare(_profile(1), _profile(2, moved={"base": 1.0})).to_json()))
    assert content["version"] == "servecast-comparison/1"
    assert content["moved"] == ["base", "pass_of_8"]
    assert content["differences"]["base"]["difference_ms"] == pytest.approx(1.0, abs=0.1)
    assert content["old"]["hash"] != content["new"]["hash"]


def test_draws_without_a_part_stand_for_its_central_value() -> None:
    """A part that no draw names has no spread: it is compared as exact."""
    lean = FILE.model_copy(update={"draws": (ProfileDraw(base=7.9), ProfileDraw(base=8.1))})
    bounds = _named(compare(lean, lean))
    assert bounds["network_back"] == (0.0, 0.0)
    assert bounds["base"][0] < 0.0 < bounds["base"][1]
