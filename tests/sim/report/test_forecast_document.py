"""The report of a forecast: the answer is that of the goals, and everything behind it is there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sim.forecast.estimates import Figure
from sim.forecast.forecast import Forecast
from sim.forecast.goals import GoalResult
from sim.report.document import Document, Image, Paragraph, Table, Verdict
from sim.report.forecast_document import calibration_section, forecast_document
from sim.scenario.calibrated import calibrated
from sim.scenario.identity import scenario_hash
from sim.scenario.load import load_scenario
from sim.scenario.profile import load_profile
from sim.scenario.spec import Scenario

PROFILE = Path(__file__).parents[2] / "data" / "profile.json"

MET = GoalResult("p99", "latency_ms.p99", 200.0, 20.0, 19.0, 21.0)
MISSED = GoalResult("p50", "latency_ms.p50", 5.0, 10.0, 9.0, 11.0)
UNCLEAR = GoalResult("refused", "refused_share", 0.001, 0.001, 0.0005, 0.0015)


@pytest.mark.parametrize(
    ("goals", "headline", "verdict"),
    [
        ([MET], "The goal is met.", Verdict.GOOD),
        ([MET, MET], "Both goals are met.", Verdict.GOOD),
        ([MET, MET, MET], "All 3 goals are met.", Verdict.GOOD),
        ([MISSED], "The goal is missed.", Verdict.BAD),
        ([MET, MISSED], "1 of 2 goals is missed.", Verdict.BAD),
        ([MISSED, MISSED, UNCLEAR], "2 of 3 goals are missed.", Verdict.BAD),
        ([MET, UNCLEAR], "Whether both goals are met is not clear.", Verdict.OPEN),
    ],
)
def test_headline_says_what_became_of_the_goals(
    goals: list[GoalResult], headline: str, verdict: Verdict, plain: tuple[Scenario, Forecast]
) -> None:
    """One that is missed outweighs one that is not clear, and that one those that are met."""
    scenario, forecast = plain
    answer = forecast_document(replace(forecast, goals=goals), scenario).answer
    assert (answer.headline, answer.verdict) == (headline, verdict)
    assert len(answer.sentences) == len(goals)


def test_each_goal_is_a_sentence_with_figure_interval_and_limit(plain: tuple[Scenario, Forecast]) -> None:
    """What a manager reads first holds the numbers: a goal inside the interval is not called met."""
    scenario, forecast = plain
    figures = forecast.figures | {
        "latency_ms.p99": Figure(18.4, 18.1, 18.8),
        "refused_share": Figure(0.001, 0.0005, 0.0015),
    }
    goals = [replace(MET, value=18.4, low=18.1, high=18.8), UNCLEAR]
    answer = forecast_document(replace(forecast, figures=figures, goals=goals), scenario).answer
    assert answer.sentences == (
        "p99 is 18.4 ms (18.1 .. 18.8 ms): the goal of at most 200 ms is met.",
        "0.100 % (0.0500 .. 0.150 %) of the requests are refused: the goal of at most 0.1 % lies inside this interval, "
        "so it is not clear whether it is met.",
    )


def test_without_goals_the_answer_is_p99(scaled: tuple[Scenario, Forecast]) -> None:
    """A forecast that nobody wants anything of is neither good nor bad, and says what it is; so does a rollout."""
    scenario, forecast = scaled
    answer = forecast_document(forecast, scenario).answer
    assert answer.verdict is Verdict.PLAIN
    assert answer.headline.startswith("p99 is ")
    assert answer.sentences[0].startswith("p50 is ")
    assert "of the requests are refused" in answer.sentences[1]
    assert answer.sentences[2].startswith("v2 is promoted in 100 % ")


def test_what_is_down_stands_before_the_answer(plain: tuple[Scenario, Forecast]) -> None:
    """Goals that hold with a replica down hold for that, and the headline says so."""
    scenario, forecast = plain
    with_spare = replace(forecast, provenance=forecast.provenance | {"spare": 1})
    assert forecast_document(with_spare, scenario).answer.headline == "With 1 replica down: Both goals are met."


def test_figure_that_is_not_known_is_said_to_be(plain: tuple[Scenario, Forecast]) -> None:
    """No number stands where there is none."""
    scenario, forecast = plain
    figures = forecast.figures | {"latency_ms.p99": Figure(None, why="too few")}
    document = forecast_document(replace(forecast, figures=figures, goals=[]), scenario)
    assert document.answer.headline == "p99 is not known."
    assert ("p99", "not known") in [(each.name, each.value) for each in document.highlights]


def images_of(document: Document) -> list[str]:
    """Return the captions of the pictures."""
    return [block.caption for section in document.sections for block in section.blocks if isinstance(block, Image)]


def test_pictures_are_those_that_have_something_to_show(
    plain: tuple[Scenario, Forecast], scaled: tuple[Scenario, Forecast]
) -> None:
    """Steady load on a fixed fleet has no course over time, and one version is compared with none."""
    steady, changing = (images_of(forecast_document(forecast, scenario)) for scenario, forecast in (plain, scaled))
    assert [caption.partition(" ")[0] for caption in steady] == ["How", "Where"]
    assert [caption.partition(" ")[0] for caption in changing] == ["How", "Where", "Each", "Over"]


def test_report_says_where_it_comes_from(plain: tuple[Scenario, Forecast]) -> None:
    """The manifest holds scenario, hash, seed, versions and host; the command is there if there was one."""
    scenario, forecast = plain
    document = forecast_document(forecast, scenario, command="servecast forecast shop.yaml --seed 0")
    assert document.command == "servecast forecast shop.yaml --seed 0"
    assert document.manifest == forecast.to_json()["manifest"]
    assert document.manifest["scenario_hash"] == scenario_hash(scenario)
    assert document.manifest["scenario"]["batching"]["max_wait"] == "5ms"
    assert forecast_document(forecast, scenario).command is None


def test_stated_times_are_not_called_calibrated(plain: tuple[Scenario, Forecast]) -> None:
    """What nobody measured is said to be stated."""
    (block,) = calibration_section(plain[0]).blocks
    assert isinstance(block, Paragraph)
    assert block.text.startswith("Not calibrated: ")


def test_calibration_tells_its_own_error_and_its_parts(plain: tuple[Scenario, Forecast], tmp_path: Path) -> None:
    """A calibration that tells how far the model is off at its loads is quoted; one that does not, is not made up."""
    profile = load_profile(PROFILE)
    told = {"latency_ms.p50": 0.012, "latency_ms.p99": 0.034, "batch_size_mean": 0.5}
    for discrepancy, words in (
        (told, "At the loads of its fit the model was off by: p50 1.2 %, p99 3.4 %."),
        ({}, "How far the model is off, it does not tell."),
    ):
        changed = profile.model_copy(
            update={"discrepancy": discrepancy, "not_identified": ("The timer was not seen.",)}
        )
        file = tmp_path / f"{len(discrepancy)}.json"
        file.write_text(changed.model_dump_json(), encoding="utf-8")
        blocks = calibration_section(calibrated(plain[0], file)).blocks
        assert isinstance(blocks[0], Paragraph)
        assert blocks[0].text == f"Calibrated: {profile.name}, measured {profile.created}. {words}"
        (table,) = [block for block in blocks if isinstance(block, Table)]
        assert table.rows[0][0] == "base"
        assert blocks[-1] == Paragraph("The timer was not seen.", quiet=True)


def test_two_calibrations_are_told_apart_by_their_versions(tmp_path: Path) -> None:
    """Versions with a calibration each have both in the report; versions that share one have it once."""
    profile = load_profile(PROFILE)
    for name in ("one", "two"):
        changed = profile.model_copy(update={"name": name})
        (tmp_path / f"{name}.json").write_text(changed.model_dump_json(), encoding="utf-8")
    content = {
        "traffic": {"arrivals": {"process": "poisson", "rate": "100/s"}},
        "model": {"profile": str(tmp_path / "one.json")},
        "batching": {"max_batch": 2},
        "versions": [{"name": "v1"}, {"name": "v2"}, {"name": "v3", "model": {"profile": str(tmp_path / "two.json")}}],
    }
    firsts = [
        block.text
        for block in calibration_section(load_scenario(content)).blocks
        if isinstance(block, Paragraph) and "Calibrated: " in block.text
    ]
    assert [text.partition(",")[0] for text in firsts] == ["v1: Calibrated: one", "v3: Calibrated: two"]
