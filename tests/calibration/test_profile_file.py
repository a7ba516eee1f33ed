"""Tests of calibration/profile_file.py."""

from __future__ import annotations

import json
from pathlib import Path

from calibration.fit import Fit
from calibration.profile_file import profile_hash, profile_of_fit, write_profile
from calibration.samples import LoadSample, Samples
from policy.settings import batching_rule
from sim.engine.timelines import timeline_from_rows
from sim.scenario.profile import PARTS, load_profile

FIT = Fit(
    values=dict.fromkeys(PARTS, 1.0),
    intervals=dict.fromkeys(PARTS, (0.5, 1.5)),
    draws=(dict.fromkeys(PARTS, 0.9), dict.fromkeys(PARTS, 1.1)),
    run_draws=(dict.fromkeys(PARTS, 0.8), dict.fromkeys(PARTS, 1.2)),
    table={1: 8.5, 4: 10.0},
    pass_cv=0.02,
    answer_share=0.4,
    batch_sizes=(1, 4),
    samples=500,
    not_identified=("What a second process would show.",),
)
LOADS = tuple(LoadSample(rate, timeline_from_rows([], []), 1.0) for rate in (300.0, 100.0, 300.0))
SAMPLES = [Samples("known", batching_rule(max_batch=4, max_wait_ns=0), 1, 1, (), LOADS)]


def test_file_holds_the_whole_fit(tmp_path: Path) -> None:
    """Values, intervals, draws, table, spread, load points and gaps are read again as they were fitted."""
    profile = profile_of_fit(SAMPLES, FIT)
    write_profile(profile, tmp_path / "profile.json")
    again = load_profile(tmp_path / "profile.json")
    assert again == profile
    assert (again.parts.base.value_ms, again.parts.base.low_ms, again.parts.base.high_ms) == (1.0, 0.5, 1.5)
    assert again.table == {1: 8.5, 4: 10.0}
    assert [draw.per_item for draw in again.draws] == [0.9, 1.1]
    assert [draw.per_item for draw in again.run_draws] == [0.8, 1.2]
    assert again.answer_share == 0.4
    assert again.fitted_on.rates == (100.0, 300.0)
    assert again.not_identified == FIT.not_identified


def test_file_names_no_machine(tmp_path: Path) -> None:
    """Neither host name nor path nor user: the kind of machine and the versions are enough."""
    import getpass
    import socket

    write_profile(profile_of_fit(SAMPLES, FIT), tmp_path / "profile.json")
    text = (tmp_path / "profile.json").read_text()
    content = json.loads(text)
    assert content["host"]["cpu_count"] >= 1
    assert "python" in content["versions"]
    assert str(tmp_path) not in text
    assert str(Path.home()) not in text or str(Path.home()) == "/"
    for private in (socket.gethostname(), getpass.getuser()):
        assert f'"{private}"' not in text


def test_hash_is_of_the_content() -> None:
    """Another value is another calibration."""
    profile = profile_of_fit(SAMPLES, FIT)
    assert profile_hash(profile) == profile_hash(profile.model_copy())
    assert profile_hash(profile) != profile_hash(profile.model_copy(update={"spread_cv": 0.03}))
