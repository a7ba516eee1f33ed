"""Results that were saved: what tells on what they were made is no part of what they are."""

from __future__ import annotations

from typing import Any

import pytest

from servecast.saved_results import differences, is_saved


@pytest.mark.parametrize(
    ("saved", "made", "found"),
    [
        ({"a": 1.0}, {"a": 1.0}, []),
        ({"a": {"b": 1.0}}, {"a": {"b": 1.5}}, [("a.b", 1.0, 1.5)]),
        ({"a": [1, 2]}, {"a": [1, 3]}, [("a.1", 2, 3)]),
        ({"a": [1, 2]}, {"a": [1]}, [("a", [1, 2], [1])]),
        ({"a": 1}, {"b": 2}, [("a", 1, None), ("b", None, 2)]),
        ({"a": {"b": 1}}, {"a": None}, [("a", {"b": 1}, None)]),
        ({"provenance": {"host": "x", "seed": 1}}, {"provenance": {"host": "y", "seed": 1}}, []),
        ({"provenance": {"engine": "x"}}, {"provenance": {"engine": "y"}}, []),
        ({"provenance": {"seed": 1}}, {"provenance": {"seed": 2}}, [("provenance.seed", 1, 2)]),
        ({"manifest": {"versions": {"numpy": "1"}}}, {"manifest": {"versions": {"numpy": "2"}}}, []),
        ({"manifest": {"files": {"k": {"path": "a"}}}}, {"manifest": {"files": {"k": {"path": "b"}}}}, []),
        (
            {"manifest": {"files": {"k": {"hash": "a"}}}},
            {"manifest": {"files": {"k": {"hash": "b"}}}},
            [("manifest.files.k.hash", "a", "b")],
        ),
    ],
)
def test_differences_are_told_by_their_keys(
    saved: dict[str, Any], made: dict[str, Any], found: list[tuple[str, object, object]]
) -> None:
    """Every value counts but the host, the versions, the engine, and where a trace lay."""
    assert differences(saved, made) == found


@pytest.mark.parametrize(
    ("content", "is_ours"),
    [
        ({"version": "servecast-forecast/1"}, True),
        ({"version": "servecast-manifest/7"}, True),
        ({"version": 1}, False),
        ({"traffic": {}}, False),
        ([], False),
    ],
)
def test_what_servecast_saved_is_known_by_its_version(content: object, is_ours: bool) -> None:
    """So a scenario in JSON is none of it."""
    assert is_saved(content) is is_ours
