"""The file of a sweep: nothing that is in it is lost, and nothing else is taken for it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from sim.errors import ScenarioError
from sim.forecast.estimates import Figure
from sim.forecast.intervals import Bounds, PredictionBounds
from sim.planner.saved_runs import ConfigurationResult, SavedRuns

QUESTION = {"scenario": "abc", "seed": 0}
ONE = ConfigurationResult(
    figures={
        "latency_ms.p99": Figure(
            math.pi, 0.1, 1 / 3, Bounds(0.1, 0.3), None, PredictionBounds(0.1, 0.7, "normal", 4), 9, 12.34567
        ),
        "cost": Figure(None, why="no price"),
    },
    runs={"latency_ms.p99": (0.1 + 0.2, None)},
    drawn={},
    requests=17,
    simulated=20,
)
OTHER = ConfigurationResult({}, {}, {}, 0, 0, "too much load")


def finished(path: Path, *results: ConfigurationResult) -> bytes:
    """Write a file with some results, and return its bytes."""
    saved = SavedRuns(path, QUESTION)
    for number, result in enumerate(results):
        saved.add(f"key {number}", result)
    saved.close()
    return path.read_bytes()


def test_results_come_back_to_the_last_bit(tmp_path: Path) -> None:
    """A sweep that goes on gives the bytes of one that was never broken off."""
    path = tmp_path / "sweep.jsonl"
    finished(path, ONE, OTHER)
    again = SavedRuns(path, QUESTION)
    again.close()
    assert again.results == {"key 0": ONE, "key 1": OTHER}


def test_file_is_json_lines_that_every_reader_takes(tmp_path: Path) -> None:
    """One value a line, no NaN."""
    lines = finished(tmp_path / "sweep.jsonl", ONE, OTHER).decode().splitlines()
    assert [json.loads(line, parse_constant=pytest.fail).get("configuration") for line in lines] == [
        None,
        "key 0",
        "key 1",
    ]


def test_line_that_was_being_written_is_forgotten(tmp_path: Path) -> None:
    """However much of it is there, also of the first one; what was finished before it stays, and the file goes on."""
    whole = finished(tmp_path / "whole.jsonl", ONE, OTHER)
    first, second = whole.index(b"\n") + 1, whole.index(b"\n", whole.index(b"\n") + 1) + 1
    for length in (0, 1, first - 1, first, first + 1, second - 1, second, second + 7, len(whole) - 1):
        path = tmp_path / f"{length}.jsonl"
        path.write_bytes(whole[:length])
        saved = SavedRuns(path, QUESTION)
        assert list(saved.results) == (["key 0"] if length >= second else [])
        for number, result in enumerate((ONE, OTHER)):
            if f"key {number}" not in saved.results:
                saved.add(f"key {number}", result)
        saved.close()
        assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"servecast-sweep\n", "is not a file of a sweep"),
        (b'{"format": "other/1"}\n', "is not a file of a sweep"),
        (b"[1]\n", "is not a file of a sweep"),
        (b"some notes of mine", "is not a file of a sweep"),
        (b"\xff\xfe\n", "is not a file of a sweep"),
    ],
)
def test_file_of_something_else_is_refused_and_left_alone(tmp_path: Path, content: bytes, said: str) -> None:
    """One sentence, and not a byte of the file is changed."""
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(ScenarioError, match=said):
        SavedRuns(path, QUESTION)
    assert path.read_bytes() == content


def test_file_of_another_sweep_is_refused_by_what_differs(tmp_path: Path) -> None:
    """The sentence says what the file has, and what was asked for."""
    path = tmp_path / "sweep.jsonl"
    before = finished(path, ONE)
    with pytest.raises(ScenarioError, match="holds another sweep, with seed: 0, and this one has seed: 3"):
        SavedRuns(path, {**QUESTION, "seed": 3})
    assert path.read_bytes() == before


@pytest.mark.parametrize("line", [b"half a li", b"[]", b"{}", b'{"configuration": "x", "figures": 3}'])
def test_damage_in_the_middle_is_named(tmp_path: Path, line: bytes) -> None:
    """Only the last line can be one that was being written."""
    path = tmp_path / "sweep.jsonl"
    whole = finished(path, ONE)
    path.write_bytes(whole + line + b"\n" + whole.splitlines(keepends=True)[1])
    with pytest.raises(ScenarioError, match="is damaged in line 3"):
        SavedRuns(path, QUESTION)
