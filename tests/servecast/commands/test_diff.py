"""`servecast diff`: what changed in the input and in the outcome, between scenarios and saved results in any mix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import servecast as sc
from servecast.cli import main
from servecast.errors import Exit

HORIZON = "horizon: {duration: 10s, warm_up: 1s, runs: 3}\n"


@pytest.fixture
def other(shop: str) -> str:
    """Make shop.yaml short, and return the path of the same with a longer wait."""
    text = Path(shop).read_text(encoding="utf-8") + HORIZON
    Path(shop).write_text(text, encoding="utf-8")
    path = Path(shop).with_name("waits.yaml")
    path.write_text(text.replace("max_wait: 5ms", "max_wait: 12ms"), encoding="utf-8")
    return str(path)


def saved(scenario: str, name: str, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """Save a forecast; return its path."""
    assert main(["forecast", scenario, "--json", *options]) == Exit.DONE
    path = Path(scenario).with_name(name)
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    return str(path)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """Return what is printed as JSON."""
    assert main(["diff", *arguments, "--json"]) == Exit.DONE
    content = json.loads(capsys.readouterr().out)
    assert isinstance(content, dict)
    return content


def test_comparison_is_a_page_and_rows_too(
    shop: str, other: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the command that makes them again; markdown is printed in place of the text."""
    page, rows = tmp_path / "diff.html", tmp_path / "diff.csv"
    assert main(["diff", shop, other, "-o", "md", "--html", str(page), "--csv", str(rows)]) == Exit.DONE
    printed = capsys.readouterr().out
    assert "| batching.max\\_wait | 5ms | 12ms |" in printed
    assert "## To make it again" in printed
    written = page.read_text(encoding="utf-8")
    assert f"servecast diff {shop} {other} -o md" in written
    assert "<svg" in written
    assert "latency_ms.p50,ms," in rows.read_text(encoding="utf-8")


def test_two_scenarios_are_forecast_and_compared_run_by_run(
    shop: str, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer first, then the key that changed, then each figure with its interval, and how many may err."""
    assert main(["diff", shop, other]) == Exit.DONE
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.startswith("B against A: p50 +")
    assert f"\nA: {shop}\nB: {other}\n" in printed.out
    words = " ".join(printed.out.split())
    assert "batching.max_wait 5ms 12ms" in words
    assert "Both had seed 0 and 3 runs: run by run they met the same dice, and are paired." in words
    assert "figures are compared. Had nothing changed, 0." in words
    assert "No difference of p99 latency. A: a run shows" in words
    assert "Nor of p99.9 latency; --json says why." in words


def test_saved_result_says_what_its_scenario_does(shop: str, other: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Any mix of scenario and result of the same seed gives the same figures, and no result is simulated again."""
    results = [saved(path, f"{index}.json", capsys) for index, path in enumerate((shop, other))]
    figures = told(capsys, shop, other)["figures"]
    for pair in ((results[0], other), (shop, results[1]), tuple(results)):
        assert told(capsys, *pair)["figures"] == figures
    for result in results:
        content = json.loads(Path(result).read_text(encoding="utf-8"))
        content["manifest"]["scenario"] = {}  # it could not be made again
        Path(result).write_text(json.dumps(content), encoding="utf-8")
    assert told(capsys, *results)["figures"] == figures


def test_results_of_two_seeds_are_forecast_again_with_one(
    shop: str, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second one with the seed of the first, so that they can be paired; it says so. Not so with --saved."""
    first, second = saved(shop, "1.json", capsys, "--seed", "4"), saved(other, "2.json", capsys, "--seed", "5")
    paired = told(capsys, first, second)
    assert paired["figures"] == told(capsys, shop, other, "--seed", "4")["figures"]
    assert paired["notes"] == [f"{second} was forecast again, with seed 4 and 3 runs."]
    apart = told(capsys, first, second, "--saved")
    assert (apart["same_seed"], apart["a"]["seed"], apart["b"]["seed"]) == (False, 4, 5)
    assert apart["figures"]["latency_ms.p50"]["b"] != paired["figures"]["latency_ms.p50"]["b"]


def test_results_that_cannot_be_forecast_again_are_compared_as_they_are(
    shop: str, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By their intervals, and with the reason."""
    first, second = saved(shop, "1.json", capsys, "--seed", "4"), saved(other, "2.json", capsys, "--seed", "5")
    content = json.loads(Path(second).read_text(encoding="utf-8"))
    del content["manifest"]
    Path(second).write_text(json.dumps(content), encoding="utf-8")
    found = told(capsys, first, second)
    assert not found["same_seed"]
    assert found["notes"][0].startswith(f"They are compared as they were saved: {second} holds no manifest")
    assert main(["diff", first, second, "--runs", "2"]) == Exit.BAD_INPUT
    assert capsys.readouterr().err.startswith(f"servecast: {second} holds no manifest")


def test_seed_and_runs_hold_for_both(shop: str, other: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Stated ones go before those of the scenarios, and of two numbers of runs the larger one counts."""
    Path(other).write_text(Path(other).read_text(encoding="utf-8").replace("runs: 3", "runs: 4"), encoding="utf-8")
    assert (told(capsys, shop, other)["a"]["runs"], told(capsys, shop, other)["b"]["runs"]) == (4, 4)
    stated = told(capsys, shop, other, "--seed", "9", "--runs", "2")
    assert (stated["a"]["seed"], stated["b"]["seed"], stated["a"]["runs"]) == (9, 9, 2)


def test_examples_go_by_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    """As wherever a scenario stands."""
    found = told(capsys, "blocking", "blocking", "--runs", "2")
    assert (found["input"], found["a"]["label"]) == ([], "blocking")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (
            "x.json",
            '{"version": "servecast-check/5"}',
            "x.json must be a forecast, of the version servecast-forecast/1.",
        ),
        ("x.json", '{"version": "servecast-manifest/1"}', "x.json must be a forecast"),
        (
            "x.json",
            '{"version": "servecast-forecast/9"}',
            "x.json must be a forecast, of the version servecast-forecast/1. Got servecast-forecast/9.",
        ),
        ("x.json", '{"some": "thing"}', "x.json is neither a scenario nor a result of servecast."),
        ("x.json", '{"version": "servecast-forecast/1"', "x.json is not valid JSON"),
        ("x.json", "[]", "x.json must hold a mapping"),
        ("x.txt", "hello", "x.txt must be a scenario file that ends in"),
        ("x.yaml", "trafic: {}", "x.yaml: trafic is not a known key: did you mean traffic?"),
        ("x.yaml", "traffic: {}", "x.yaml: traffic must have either arrivals or clients."),
    ],
)
def test_what_is_neither_scenario_nor_result_is_one_sentence(
    name: str, text: str, words: str, shop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and the sentence says which of both it speaks of."""
    path = Path(shop).with_name(name)
    path.write_text(text, encoding="utf-8")
    for arguments in ((shop, str(path)), (str(path), shop)):
        assert main(["diff", *arguments]) == Exit.BAD_INPUT
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        assert words in printed.err


def test_missing_file_and_unknown_example_are_one_sentence(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As for a forecast."""
    assert main(["diff", shop, f"{shop}.json"]) == Exit.BAD_INPUT
    said = f"servecast: {shop}.json cannot be read: No such file or directory. Did you mean {shop}?\n"
    assert capsys.readouterr().err == said
    assert main(["diff", "sentimant", shop]) == Exit.BAD_INPUT
    assert "sentimant is neither a scenario file nor an example: did you mean sentiment?" in capsys.readouterr().err


def test_saved_takes_two_results(shop: str, other: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A scenario has no figures until it is forecast."""
    result = saved(shop, "1.json", capsys)
    for arguments in ((result, other), (result, result, "--seed", "1")):
        assert main(["diff", *arguments, "--saved"]) == Exit.BAD_INPUT
        assert "servecast: --saved compares two saved results as they are" in capsys.readouterr().err


def test_side_without_an_honest_answer_is_named(shop: str, other: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A refusal says which of both it is about; exit code 3."""
    text = Path(other).read_text(encoding="utf-8")
    text = text.replace("rate: 200/s", "rate: 900/s").replace(", timeout: 2s", "").replace("queue: {cap: 64}\n", "")
    Path(other).write_text(text, encoding="utf-8")
    assert main(["diff", shop, other]) == Exit.REFUSED
    assert capsys.readouterr().err.startswith(f"servecast: {other}: The load of 900/s")


def test_notebook_compares_forecasts_scenarios_and_mappings(shop: str, other: str) -> None:
    """sc.diff takes what sc.forecast takes and what it returns; sc.as_text shows it."""
    forecasts = [sc.forecast(path, seed=2) for path in (shop, other)]
    scenarios = [sc.load_scenario(path) for path in (shop, other)]
    found = sc.diff(*forecasts)
    assert sc.diff(*scenarios, seed=2).figures == found.figures
    assert sc.diff(forecasts[0].to_json(), scenarios[1]).figures == found.figures
    assert sc.as_text(found).startswith("B against A: p50 +")
