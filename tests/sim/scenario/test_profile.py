"""The calibration file: what it holds, what its draws change, and how a bad one is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from sim.errors import ScenarioError
from sim.scenario.profile import PARTS, PROFILE_FORMAT, Profile, ProfileDraw, load_profile
from tests.sim.scenario.example import DATA

FILE = DATA / "profile.json"


def changed(**changes: Any) -> dict[str, Any]:
    """Return the content of the example file with other values at its top level."""
    content: dict[str, Any] = json.loads(FILE.read_text())
    return {**content, **changes}


def test_central_fit_is_in_integer_nanoseconds() -> None:
    """Milliseconds of the file become whole nanoseconds."""
    times = load_profile(FILE).times_ns(None)
    assert tuple(times) == PARTS
    assert times["base"] == 8_000_000
    assert times["front_end_request"] == 150_000


def test_draw_replaces_what_it_holds_and_keeps_the_rest() -> None:
    """The second draw has other line and batch_in, and the central network; the third one holds nothing."""
    profile = load_profile(FILE)
    second = profile.times_ns(1)
    assert (second["base"], second["per_item"], second["batch_in"]) == (8_100_000, 490_000, 250_000)
    assert second["network_there"] == 50_000
    assert profile.times_ns(2) == profile.times_ns(None)


def test_ranges_are_those_of_the_fit() -> None:
    """The calibrated range is what was measured, and nothing beyond."""
    profile = load_profile(FILE)
    assert profile.rate_range == (120.0, 300.0)
    assert profile.max_batch == 8


def test_table_moves_with_the_line_of_a_draw() -> None:
    """A draw whose base is 0.1 ms and whose slope is -0.01 ms off moves every point by as much, shape kept."""
    profile = Profile.model_validate(changed(table={"1": 8.4, "8": 11.9}))
    assert profile.table_ns(None) == {1: 8_400_000, 8: 11_900_000}
    assert profile.table_ns(1) == {1: 8_400_000 + 100_000 - 10_000, 8: 11_900_000 + 100_000 - 80_000}
    assert load_profile(FILE).table_ns(1) == {}


def test_what_calibration_writes_is_read_back(tmp_path: Path) -> None:
    """A profile survives its own JSON."""
    profile = load_profile(FILE)
    file = tmp_path / "profile.json"
    file.write_text(profile.model_dump_json())
    assert load_profile(file) == profile
    assert profile.format == PROFILE_FORMAT
    assert set(ProfileDraw.model_fields) == set(PARTS)


def test_changed_file_is_read_again(tmp_path: Path) -> None:
    """A new calibration in the same place is not answered from memory."""
    file = tmp_path / "profile.json"
    file.write_text(json.dumps(changed(name="old")))
    assert load_profile(file).name == "old"
    file.write_text(json.dumps(changed(name="new")))
    os.utime(file, ns=(1, 1))
    assert load_profile(file).name == "new"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "other/1"}, "format must be one of servecast-calibration/2. Got 'other/1'."),
        ({"draws": []}, "draws must have at least 1 entries. Got 0."),
        ({"draws": [{"bass": 1}]}, "draws.0.bass"),
        ({"parts": {}}, "parts.base is missing: it has no default."),
        ({"spread_cv": -0.1}, "spread_cv"),
        ({"fitted_on": {"rates": [1], "batch_sizes": [], "processes": 1, "samples": 1}}, "fitted_on.batch_sizes"),
        ({"table": {"x": 1}}, "table must have whole numbers as keys. Got 'x'."),
    ],
)
def test_wrong_content_is_refused_with_its_key(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    """The sentence names the file and the key in it."""
    file = tmp_path / "profile.json"
    file.write_text(json.dumps(changed(**changes)))
    with pytest.raises(ScenarioError) as error:
        load_profile(file)
    assert str(error.value).startswith(f"The calibration {file} is not right: {said}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON: "),
        ("[1]", "must hold a mapping with format servecast-calibration/2."),
        ('{"\udcff', "is not UTF-8 text: byte 2 is not."),
    ],
)
def test_file_that_is_no_calibration_is_refused(text: str, said: str, tmp_path: Path) -> None:
    """One sentence with the file and the reason."""
    file = tmp_path / "profile.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ScenarioError) as error:
        load_profile(file)
    assert str(error.value).startswith(f"The calibration {file} {said}")


@pytest.mark.parametrize("name", ["no.json", "."])
def test_unreadable_file_is_refused(name: str, tmp_path: Path) -> None:
    """A missing file and a folder get the system's reason."""
    with pytest.raises(ScenarioError, match=r"cannot be read: (No such file|Is a directory)"):
        load_profile(tmp_path / name)
