"""Saved results that somebody has edited: whatever stands in the place of a key, diff and rerun take it or refuse it.

Nothing is simulated but the results themselves, once: what would simulate gives the result back that was saved.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from servecast.cli import main
from servecast.errors import Exit

SHORT: Final = "horizon: {duration: 3s, warm_up: 1s, runs: 3}\n"

MADE: Final = {
    "forecast": ["--set", "goals.p50=30ms"],
    "precise": ["--precision", "5%"],
    "calibrated": ["--set", "model={profile: profile.json}"],
    "whatif": ["--set", "batching.max_batch=4,8"],
    "plan": ["--vary", "fleet.replicas=1..2", "--goals", "p50=30ms"],
    "capacity": ["--goals", "p50=30ms"],
}
"""What makes a result of each kind."""

ANYTHING: Final = ([1], "x", 5, None, {})
DELETED: Final = object()
DEPTH: Final = 3

TAKEN: Final = {Exit.DONE, Exit.MISSED, Exit.BAD_INPUT, Exit.REFUSED}
"""What a command may say of an edited result; an internal error is COULD_NOT_RUN."""

Steps = tuple[str | int, ...]


def command_of(kind: str) -> str:
    """Return the command that makes results of a kind."""
    return kind if kind in {"whatif", "plan", "capacity"} else "forecast"


@pytest.fixture
def save(
    shop: str, profile_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], dict[str, Any]]:
    """Return what makes a result of a kind."""
    monkeypatch.chdir(tmp_path)
    Path(shop).write_text(Path(shop).read_text(encoding="utf-8") + SHORT, encoding="utf-8")

    def result(kind: str) -> dict[str, Any]:
        assert main([command_of(kind), "shop.yaml", *MADE[kind], "--json", "--quiet"]) == Exit.DONE
        content = json.loads(capsys.readouterr().out)
        assert isinstance(content, dict)
        return content

    return result


def keys_of(content: object, above: Steps = (), seen: set[str] | None = None) -> Iterator[Steps]:
    """Yield the keys of a result down to DEPTH, each on its way; of what is alike and of a list the first alone."""
    seen = set() if seen is None else seen
    if len(above) == DEPTH or not isinstance(content, (dict, list)):
        return
    for key, value in content.items() if isinstance(content, dict) else enumerate(content[:1]):
        form = repr(sorted(value)) if isinstance(value, dict) and value else f"{above}{key}"
        if form not in seen:
            seen.add(form)
            yield (*above, key)
            yield from keys_of(value, (*above, key), seen)


def edited(content: dict[str, Any], steps: Steps, value: object) -> dict[str, Any]:
    """Return a result with something else in the place of a key."""
    changed: Any = copy.deepcopy(content)
    inner = changed
    for step in steps[:-1]:
        inner = inner[step]
    if value is DELETED:
        del inner[steps[-1]]
    else:
        inner[steps[-1]] = value
    assert isinstance(changed, dict)
    return changed


class _Made:
    """What a simulation would have given."""

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return copy.deepcopy(self._content)


@pytest.mark.parametrize("kind", MADE)
def test_whatever_stands_in_the_place_of_a_key_is_no_internal_error(
    kind: str,
    save: Callable[[str], dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither of rerun nor of diff, on its one side or the other: one line on stderr at most, and a code for it."""
    content = save(kind)
    for place in ("forecast.forecast.forecast", *(f"planner.{name}.{name}" for name in ("whatif", "plan", "capacity"))):
        monkeypatch.setattr(f"sim.{place}", lambda *_, **__: _Made(content))
    monkeypatch.setattr("servecast.two_sides.forecast", lambda *_, **__: _Made(content))
    whole, file = tmp_path / "whole.json", tmp_path / "edited.json"
    whole.write_text(json.dumps(content), encoding="utf-8")
    rerun, one_side, other_side = ["rerun", str(file)], ["diff", str(file), str(whole)], ["diff", str(whole), str(file)]
    found = [steps for steps in keys_of(content) if kind not in {"precise", "calibrated"} or steps[0] == "manifest"]
    wrong = []
    for steps in found:
        in_manifest = steps[0] == "manifest"
        for number, value in enumerate((*ANYTHING, DELETED)):
            file.write_text(json.dumps(edited(content, steps, value)), encoding="utf-8")
            commands = [rerun] if in_manifest or len(steps) == 1 else []
            if command_of(kind) == "forecast":
                commands.append([*other_side, "--json"] if number % 2 else one_side)
            for command in commands:
                code = main(command)
                said = capsys.readouterr().err
                if code not in TAKEN or "pydantic" in said or said.count("\n") > 1:
                    wrong.append((command[0], steps, value, code, said))
    assert wrong == []
    assert len(found) > 20
