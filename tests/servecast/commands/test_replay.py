"""`servecast replay`: the journal of a live server, confirmed decision by decision."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calibration.journal_file import read_journal
from policy.journal import FIELDS, Row
from servecast.cli import main
from servecast.errors import Exit
from servecast.own_server import own_server


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the journal of a server that was loaded for 5 s, some of it beyond what it can serve."""
    folder = tmp_path_factory.mktemp("live")
    scenario, file = folder / "shop.yaml", folder / "journal"
    scenario.write_text(
        "name: shop\n"
        "traffic: {arrivals: {process: gamma, rate: 400/s, cv: 2}, timeout: 150ms}\n"
        "model: {pass_time: {base: 8ms, per_item: 0.5ms}}\n"
        "batching: {max_batch: 8, max_wait: 5ms}\n"
        "queue: {cap: 20, deadline: 80ms}\n",
        encoding="utf-8",
    )
    with own_server([str(scenario), "--journal", str(file)]) as url:
        for rate in ("200/s", "700/s"):
            options = ["--rate", rate, "--duration", "2500ms", "--seed", "3", "--quiet", "--json"]
            assert main(["load", str(scenario), "--url", url, *options]) in {Exit.DONE, Exit.REFUSED}
    return file


@pytest.mark.slow
def test_every_decision_of_a_live_server_is_confirmed(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Thousands of decisions under two loads, refusals among them: text and JSON say so, and the exit code is 0."""
    capsys.readouterr()
    assert main(["replay", str(journal)]) == Exit.DONE
    text = capsys.readouterr().out
    assert main(["replay", str(journal), "--json"]) == Exit.DONE
    result = json.loads(capsys.readouterr().out)
    assert result["version"] == "servecast-replay/1"
    assert result["decisions"] == result["identical"] > 5_000
    assert (result["complete"], result["first_difference"], result["stopped"]) == (True, None, None)
    assert f"shop: {result['decisions']} decisions, {result['identical']} identical" in text
    decided = [entry for instant in read_journal(journal).instants() for entry in instant.decisions]
    refused = sum(entry.kind == Row.RESPOND and entry.fields[2] == 2 for entry in decided)
    assert 0 < refused < result["kinds"]["admissions"]["recorded"]


@pytest.mark.slow
def test_one_changed_row_is_found(journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One member of one batch is not who it was: exit code 1, and both batches are shown."""
    line, _, body = journal.read_bytes().partition(b"\n")
    rows, at = list(read_journal(journal).rows), 0
    while rows[at] != Row.MEMBER or at < len(rows) // 2:
        at += 1 + len(FIELDS[Row(rows[at])])
    rows[at + 1] += 1
    changed = b"".join(field.to_bytes(8, "little", signed=True) for field in rows)
    assert len(changed) == len(body)
    (tmp_path / "changed").write_bytes(line + b"\n" + changed)
    assert main(["replay", str(tmp_path / "changed")]) == Exit.MISSED
    text = capsys.readouterr().out
    assert "the server handed batch" in " ".join(text.split())
    assert "and the replay handed batch" in " ".join(text.split())


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be read"), (b"hello\n", "is no journal of this version")]
)
def test_bad_file_is_one_sentence(
    content: bytes | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and nothing on stdout."""
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    assert main(["replay", str(file)]) == Exit.BAD_INPUT
    printed = capsys.readouterr()
    assert printed.out == ""
    assert words in printed.err
    assert printed.err.count("\n") == 1
