"""`servecast check`: which server, which calibration, and the exit code. Scores are tested in tests/calibration/."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.check import CheckEffort
from calibration.check_report import AttemptReport, CheckReport, PointReport
from calibration.host import HostLoad, Validity
from calibration.load_plan import Lateness
from servecast.cli import main
from servecast.errors import Exit
from sim.forecast.latency_curve import LatencyCurve
from sim.forecast.prediction import PredictedFigure, Prediction
from sim.scenario.calibrated import ONE_REPLICA
from sim.scenario.profile import Profile, load_profile
from sim.scenario.spec import Scenario


def report_of(measured_p50_ms: float, *, valid: bool = True) -> CheckReport:
    """Return a check of one load whose forecast p50 is 20 ms."""
    figures = {"latency_ms.p50": measured_p50_ms, "latency_ms.p99": 40.0, "refused_share": 0.0}
    validity = Validity(valid, () if valid else ("The load generator was late.",))
    attempt = AttemptReport(
        validity, Lateness(1, 2, 3), HostLoad(None, None), {}, figures if valid else {}, np.linspace(10.0, 40.0, 50)
    )
    predicted = {name: PredictedFigure(value, value, value, "empirical", 200) for name, value in figures.items()}
    predicted["latency_ms.p50"] = PredictedFigure(20.0, 19.0, 21.0, "empirical", 200)
    middle = np.array([20.0, 40.0])
    curve = LatencyCurve(np.array([0.5, 0.99]), middle, middle, middle)
    prediction = Prediction(predicted, curve, 200) if valid else None
    return CheckReport((PointReport(0.6, 300.0, 300.0, 500.0, 3000, 1, (attempt,), prediction),), {"scenario": "shop"})


class Seen:
    """What the command asked for."""

    def __init__(self) -> None:
        self.served: list[list[str]] = []
        self.tokens: list[str | None] = []
        self.calibrated: list[str] = []
        self.checked: list[str] = []
        self.profiles: list[Profile] = []
        self.options: dict[str, Any] = {}
        self.measured: list[int] = []  # how many servers had been measured before each part of the runs
        self.report = report_of(20.0)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch, profile_file: Path) -> Seen:
    """Put fakes in place of servers, calibration and measurement."""
    seen = Seen()

    @contextmanager
    def server(arguments: Sequence[str], token: str | None = None) -> Iterator[str]:
        seen.served.append(list(arguments))
        seen.tokens.append(token)
        yield f"http://127.0.0.1:{len(seen.served)}"

    def calibrate(
        urls: Sequence[str], scenario: Scenario, after_each: Callable[[Any], None] | None = None, **_: object
    ) -> Profile:
        for number, url in enumerate(urls, 1):
            seen.calibrated.append(url)
            if after_each is not None:
                after_each([url] * number)
        return load_profile(profile_file)

    def check(url: str, scenario: Scenario, **options: object) -> CheckReport:
        seen.checked.append(url)
        seen.options = options
        assert scenario.model.profile is not None
        seen.profiles.append(load_profile(scenario.path_of(scenario.model.profile)))
        return seen.report

    monkeypatch.setattr("servecast.commands.calibrate.own_server", server)
    monkeypatch.setattr("servecast.commands.check.own_server", server)
    monkeypatch.setattr("calibration.calibrate.calibrate", calibrate)

    class Interleaved:
        def __init__(self, url: str, scenario: Scenario, processes: int, **options: object) -> None:
            self._url = url
            seen.options = {**options, "processes": processes}

        def measure(self, samples: Sequence[object]) -> None:
            seen.measured.append(len(samples))

        def report(self, scenario: Scenario, progress: object) -> CheckReport:
            return check(self._url, scenario, **seen.options)

    monkeypatch.setattr("calibration.check.check", check)
    monkeypatch.setattr("calibration.check.InterleavedCheck", Interleaved)
    return seen


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (report_of(20.0), Exit.DONE),
        (report_of(25.0), Exit.MISSED),
        (report_of(20.0, valid=False), Exit.REFUSED),
    ],
)
def test_exit_code_says_agrees_out_of_tolerance_or_not_valid(
    report: CheckReport, code: Exit, seen: Seen, shop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A forecast out of tolerance is 1; a measurement that does not count is 3, whatever it would have shown."""
    seen.report = report
    assert main(["check", shop, "--quiet"]) == code
    printed = capsys.readouterr()
    assert printed.out.startswith("shop: forecast and live server agree at ")
    assert printed.err == ""


def test_without_url_fresh_servers_are_calibrated_and_another_is_checked(seen: Seen, shop: str) -> None:
    """The process that is checked is none of those that are measured, and its runs lie between; --set reaches all."""
    assert main(["check", shop, "--processes", "2", "--set", "queue.cap=9"]) == Exit.DONE
    one_replica = [argument for change in ONE_REPLICA for argument in ("--set", change)]
    changed = [shop, "--set", "queue.cap=9"]
    assert seen.served == [changed, [*changed, *one_replica], [*changed, *one_replica]]
    assert seen.calibrated == ["http://127.0.0.1:2", "http://127.0.0.1:3"]
    assert (seen.measured, seen.options["processes"]) == ([1, 2], 2)
    assert seen.checked == ["http://127.0.0.1:1"]


@pytest.mark.parametrize("options", [["--url", "http://127.0.0.1:80"], ["--own-traffic"]])
def test_runs_come_after_the_calibration_where_they_cannot_lie_between(
    options: list[str], seen: Seen, shop: str
) -> None:
    """Of a server of the user's there is one; a scenario's own traffic may need a fresh server for each run."""
    assert main(["check", shop, *options, "--processes", "2"]) == Exit.DONE
    assert (seen.measured, len(seen.checked)) == ([], 1)


def test_with_url_that_server_is_calibrated_and_checked(seen: Seen, shop: str) -> None:
    """Nothing is started where the user has a server."""
    assert main(["check", shop, "--url", "http://127.0.0.1:80"]) == Exit.DONE
    assert (seen.served, seen.calibrated, seen.checked) == ([], ["http://127.0.0.1:80"], ["http://127.0.0.1:80"])


def test_given_calibration_is_used_and_nothing_measured_for_it(seen: Seen, shop: str, profile_file: Path) -> None:
    """--calibration goes before the times of the scenario."""
    assert main(["check", shop, "--calibration", str(profile_file)]) == Exit.DONE
    assert seen.calibrated == []
    assert seen.profiles[0].parts.front_end_request.value_ms == 0.15


def test_profile_of_the_scenario_is_used(seen: Seen, shop: str, profile_file: Path) -> None:
    """A scenario that names a calibration needs no other."""
    text = (
        Path(shop)
        .read_text(encoding="utf-8")
        .replace("{pass_time: {base: 8ms, per_item: 0.5ms}}", "{profile: profile.json}")
    )
    Path(shop).write_text(text, encoding="utf-8")
    assert main(["check", shop]) == Exit.DONE
    assert (seen.calibrated, len(seen.profiles)) == ([], 1)


def test_options_reach_the_check(seen: Seen, shop: str, profile_file: Path) -> None:
    """Loads are shares of the capacity, durations carry units."""
    options = ["--calibration", str(profile_file), "--loads", "40%,130%", "--duration", "1.5s", "--repeats", "3"]
    assert main(["check", shop, *options, "--seed", "7", "--draws", "50"]) == Exit.DONE
    assert seen.options["effort"].draws == 50
    assert (seen.options["loads"], seen.options["seed"]) == ((0.4, 1.3), 7)
    effort = seen.options["effort"]
    assert isinstance(effort, CheckEffort)
    assert (effort.duration_s, effort.repeats) == (1.5, 3)
    assert effort.attempts > 3


def test_json_and_picture_are_written(
    seen: Seen, shop: str, profile_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file holds what --json prints; the picture is named on stderr."""
    file, picture = tmp_path / "check.json", tmp_path / "check.png"
    options = ["--calibration", str(profile_file), "--json", "--json-file", str(file), "--picture", str(picture)]
    assert main(["check", shop, *options]) == Exit.DONE
    printed = capsys.readouterr()
    assert json.loads(file.read_text(encoding="utf-8")) == json.loads(printed.out)
    assert json.loads(printed.out)["version"] == "servecast-check/2"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert str(picture) in printed.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--loads", "30"], "must carry a unit, for example 30%"),
        (["--draws", "5"], "--draws must be at least 20"),
        (["--loads", "30%,0%"], "must be shares above 0%"),
        (["--duration", "10"], "must carry a unit, for example 10ms"),
        (["--calibration", "none.json"], "none.json cannot be read"),
        (["--processes", "0"], "--processes must be at least 1"),
        (["--repeats", "0"], "--repeats must be at least 1"),
    ],
)
def test_bad_option_is_one_sentence(
    options: list[str], words: str, seen: Seen, shop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong is said before anything is measured."""
    assert main(["check", shop, "--quiet", *options]) == Exit.BAD_INPUT
    printed = capsys.readouterr()
    assert words in printed.err
    assert (printed.out, printed.err.count("\n"), seen.checked) == ("", 1, [])


@pytest.mark.slow
def test_check_of_a_live_server_has_every_part(
    shop: str, profile_file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """From the scenario through a real server to scores; whether the host was quiet enough is not what is tested."""
    options = ["--loads", "40%", "--duration", "1.5s", "--json", "--picture", str(tmp_path / "check.png")]
    code = main(["check", shop, "--calibration", str(profile_file), *options])
    said = capsys.readouterr()
    assert said.out, said.err
    result = json.loads(said.out)
    (point,) = result["points"]
    assert code in {Exit.DONE, Exit.MISSED, Exit.REFUSED}
    assert code == Exit.REFUSED or {"latency_ms.p50", "refused_share"} <= {each["figure"] for each in point["scores"]}
    assert all(attempt["attempts"]["answered"] == point["requests"] for attempt in point["attempts"])
    assert (tmp_path / "check.png").exists()


CANARY = [
    argument
    for change in ("versions=[{name: v1}, {name: v2, role: canary}]", "rollout={steps: [{weight: 10%}], start: 1s}")
    for argument in ("--set", change)
]


def test_rollout_has_an_operator_with_a_fresh_server_for_each_run(seen: Seen, shop: str) -> None:
    """The servers that it starts have one token, which the operator knows; nobody else starts a rollout."""
    assert main(["check", shop, "--processes", "1", *CANARY]) == Exit.DONE
    operator = seen.options["operator"]
    with operator.fresh_server() as url:
        assert url == "http://127.0.0.1:3"
    with operator.fresh_server():
        pass
    assert seen.tokens == [None, *[operator.token] * 3]
    assert [arguments[-2:] for arguments in seen.served[2:]] == [["--seed", "0"], ["--seed", "1"]]
    assert len(operator.token) > 20
    assert main(["check", shop, "--processes", "1", "--own-traffic"]) == Exit.DONE
    assert seen.options["operator"] is None
    assert seen.tokens[-1] is None


def test_given_server_needs_its_token_and_one_run(
    seen: Seen, shop: str, profile_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rollout has one start in a server's life."""
    given = ["check", shop, "--calibration", str(profile_file), "--url", "http://127.0.0.1:9", *CANARY]
    monkeypatch.delenv("SERVECAST_ADMIN_TOKEN", raising=False)
    assert main(given) == Exit.BAD_INPUT
    assert "--url needs SERVECAST_ADMIN_TOKEN" in capsys.readouterr().err
    monkeypatch.setenv("SERVECAST_ADMIN_TOKEN", "correct-horse-battery")
    assert main([*given, "--repeats", "2"]) == Exit.BAD_INPUT
    assert "--repeats must be 1 with --url" in capsys.readouterr().err
    assert main(given) == Exit.DONE
    assert seen.options["operator"].token == "correct-horse-battery"
