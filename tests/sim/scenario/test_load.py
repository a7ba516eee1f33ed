"""Loading: files of three kinds, and one clear sentence for everything that is wrong with them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from policy.errors import SettingError
from sim.errors import ScenarioError
from sim.scenario.load import load_scenario
from sim.scenario.spec import Goals
from tests.sim.scenario.example import DATA, content, scenario

ONLY_ONE = "Only one value can stand here: servecast whatif SCENARIO --set batching.max_batch"

TOML = """
name = "sentiment"
[traffic]
timeout = "1s"
arrivals = {process = "poisson", rate = "600/s"}
[model.pass_time]
base = "8ms"
per_item = "0.5ms"
[batching]
max_batch = 8
max_wait = "5ms"
[queue]
cap = 256
[fleet]
replicas = 1
instances = 1
[horizon]
duration = "60s"
warm_up = "5s"
runs = 10
[goals]
p99 = "200ms"
refused = "0.1%"
"""


def complaint(source: object, *overrides: str) -> str:
    """Return the sentence with which a scenario is refused."""
    with pytest.raises((ScenarioError, SettingError)) as error:
        load_scenario(source, overrides)  # type: ignore[arg-type]
    said = str(error.value)
    assert "\n" not in said
    assert said.rstrip().endswith((".", "?"))
    return said


def test_example_of_the_documentation_is_read() -> None:
    """The example holds what it says, in integer ns, rates per second and shares of 1."""
    loaded = load_scenario(DATA / "sentiment.yaml")
    assert loaded.name == "sentiment"
    assert loaded.traffic.arrivals is not None
    assert loaded.traffic.arrivals.model_dump() == {"process": "poisson", "rate": 600.0}
    assert loaded.traffic.timeout == 1_000_000_000
    assert loaded.model.pass_time is not None
    assert loaded.model.pass_time.per_item == 500_000
    assert loaded.batching.max_batch == 8
    assert loaded.queue.cap == 256
    assert loaded.horizon.warm_up == 5_000_000_000
    assert loaded.goals.refused == 0.001


def test_three_kinds_of_files_and_a_mapping_hold_the_same(tmp_path: Path) -> None:
    """YAML, TOML, JSON and a mapping with equal content are equal scenarios."""
    loaded = load_scenario(DATA / "sentiment.yaml")
    (tmp_path / "s.toml").write_text(TOML)
    as_mapping = {
        "name": "sentiment",
        "traffic": {"arrivals": {"process": "poisson", "rate": "600/s"}, "timeout": "1s"},
        "model": {"pass_time": {"base": "8ms", "per_item": "0.5ms"}},
        "batching": {"max_batch": 8, "max_wait": "5ms"},
        "queue": {"cap": 256},
        "fleet": {"replicas": 1, "instances": 1},
        "horizon": {"duration": "60s", "warm_up": "5s", "runs": 10},
        "goals": {"p99": "200ms", "refused": "0.1%"},
    }
    (tmp_path / "s.json").write_text(json.dumps(as_mapping))
    for source in (tmp_path / "s.toml", tmp_path / "s.json", str(tmp_path / "s.json"), as_mapping):
        assert load_scenario(source).model_dump() == loaded.model_dump()


def test_overrides_come_before_the_check() -> None:
    """An override can supply what is missing, and is checked like the rest."""
    assert scenario("batching.max_batch=4", "queue.cap=9").queue.cap == 9
    assert load_scenario({**content(), "batching": {}}, ["batching.max_batch=4"]).batching.max_batch == 4


def test_relative_paths_count_from_the_scenario_file(tmp_path: Path) -> None:
    """A trace beside the scenario file is found from any working folder."""
    (tmp_path / "my.csv").write_text((DATA / "timestamps_seconds.csv").read_text())
    file = tmp_path / "s.json"
    arrivals = {"process": "trace", "file": "my.csv", "repeat": True}
    file.write_text(json.dumps({**content(), "traffic": {"arrivals": arrivals}}))
    loaded = load_scenario(file)
    assert loaded.path_of("my.csv") == tmp_path / "my.csv"
    # Worker processes and what-ifs keep it.
    assert pickle.loads(pickle.dumps(loaded)).path_of("my.csv") == tmp_path / "my.csv"
    assert loaded.model_copy(update={"name": "x"}).path_of("my.csv") == tmp_path / "my.csv"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("batching.max_bach=8", "batching.max_bach is not a known key: did you mean batching.max_batch?"),
        ("max_batch=8", "max_batch is not a known key: did you mean batching.max_batch?"),
        ("cap=8", "cap is not a known key: did you mean queue.cap?"),
        ("queue.foo=8", "queue.foo is not a known key: known here are cap, deadline."),
        ("goals.p98=1s", "goals.p98 is not a known key: known here are mean, p50, p90, p95, p99, p999, refused, "),
        ("batching.max_wait=5", "batching.max_wait must carry a unit, for example 5ms or 5s. Got 5."),
        ("batching.max_wait=1:30", "batching.max_wait must be a number with a unit, for example 5ms. Got 1:30."),
        ("batching.max_wait=-5ms", "batching.max_wait must be a time from 0ns to 31d. Got -5ms."),
        ("batching.max_batch=0", "batching.max_batch must be a whole number from 1 to 1000000. Got 0."),
        ("batching.max_batch='8'", "batching.max_batch must be a whole number. Got '8'."),
        ("batching.max_batch=8.0", "batching.max_batch must be a whole number. Got 8.0."),
        ("batching.max_batch=true", "batching.max_batch must be a whole number. Got true."),
        ("batching.max_batch=", "batching.max_batch must be a whole number. Got nothing."),
        ("batching.freeze=pul", "batching.freeze must be one of pull, timer. Got pul."),
        ("batching.slots=many", "batching.slots must be a whole number. Got 'many'."),
        ("batching.preferred_sizes=[4, 2]", "batching.preferred_sizes must be in ascending order, each size once."),
        ("batching.preferred_sizes=[2, 9]", "batching.preferred_sizes must be at most batching.max_batch (8). Got 9."),
        ("batching=8", "batching must be a mapping of keys (max_batch, max_wait, timer_origin, freeze, "),
        ("traffic.arrivals.rate=-5/s", "traffic.arrivals.rate must be a rate above 0/s, at most 10000000/s. Got -5/s."),
        ("traffic.arrivals.rate=600", "traffic.arrivals.rate must carry a unit, for example 600/s. Got 600."),
        (
            "traffic.arrivals.process=poison",
            "traffic.arrivals.process must be one of even, poisson, gamma, mmpp, steps, day_curve, spike, trace. "
            "Got 'poison'. Did you mean poisson?",
        ),
        (
            "traffic.arrivals={rate: 5/s}",
            "traffic.arrivals must be a mapping with the key process, which says what it is. Got {'rate': '5/s'}.",
        ),
        ("traffic.arrivals=null", "traffic must have either arrivals or clients."),
        ("traffic.clients.count=3", "traffic must have either arrivals or clients."),
        ("traffic.timeout=0ms", "traffic.timeout must be a time from 1ns to 31d. Got 0ns."),
        (
            "traffic.timeout={distribution: expo, mean: 1s}",
            "traffic.timeout.distribution must be one of exponential, uniform, lognormal, gamma, choices. Got 'expo'.",
        ),
        ("traffic.timeout={distribution: exponential}", "traffic.timeout.mean is missing: it has no default."),
        (
            "traffic.timeout={distribution: exponential, mean: 40d}",
            "traffic.timeout.mean must be a time above 0s, at most 31d. Got 40d.",
        ),
        ("traffic.sizes=0", "traffic.sizes must be a whole number from 1 to 10000000. Got 0."),
        ("traffic.retries.attempts=0", "traffic.retries.attempts must be a whole number from 1 to 100. Got 0."),
        ("traffic.retries.jitter=yes", "traffic.retries.jitter must be true or false. Got 'yes'."),
        ("traffic.network.there=-1ms", "traffic.network.there must be a time from 0s to 31d. Got -1ms."),
        ("model.pass_time=null", "model must have either pass_time or profile."),
        ("model.profile=x.json", "model must have either pass_time or profile."),
        (
            "model.pass_time={}",
            "model.pass_time must be more than zero: give base, per_item, per_unit or table. Got 0 ns.",
        ),
        ("model.pass_time.table={1: 8ms}", "model.pass_time must have either base and per_item, or a table."),
        (
            "model.pass_time={table: {1: 8ms, 4: 9ms}}",
            "model.pass_time.table must be a table up to the largest padded batch (8): it is not extrapolated. "
            "Got a largest size of 4.",
        ),
        ("model.pass_time={table: {x: 8ms}}", "model.pass_time.table must have whole numbers as keys. Got 'x'."),
        (
            "model.pass_time={table: {1: 8}}",
            "model.pass_time.table.1 must carry a unit, for example 8ms or 8s. Got 8.",
        ),
        (
            "model.pass_time.spread=5%",
            "model.pass_time.spread must be a mapping with the key distribution, which says what it is. Got '5%'.",
        ),
        ("queue.cap=0", "queue.cap must be a whole number from 1 to 1000000. Got 0."),
        ("queue.deadline=0s", "queue.deadline must be a time from 1ns to 31d. Got 0ns."),
        ("front_end.workers=0", "front_end.workers must be a whole number from 1 to 1000000. Got 0."),
        ("front_end.request=-1ms", "front_end.request must be a time from 0s to 31d. Got -1ms."),
        (
            "fleet.replicas=0",
            "fleet.replicas must be a whole number from 1 to 100000. Got 0.",
        ),
        ("fleet.instances=0", "fleet.instances must be a whole number from 1 to 1000000. Got 0."),
        ("horizon.duration=0s", "horizon.duration must be a time above 0s, at most 31d. Got 0s."),
        ("horizon.warm_up=soon", "horizon.warm_up must be a number with a unit, for example 5ms. Got soon."),
        ("horizon.warm_up=-3s", "horizon.warm_up must be a time from 0s to 31d. Got -3s."),
        ("horizon.runs=1", "horizon.runs must be a whole number from 2 to 10000. Got 1."),
        ("goals.p99=200", "goals.p99 must carry a unit, for example 200ms or 200s. Got 200."),
        ("goals.refused=0.001", "goals.refused must carry a unit, for example 0.001% or 0.1%. Got 0.001."),
        ("goals.refused=150%", "goals.refused must be a percentage from 0% to 100%. Got 150%."),
        ("cost={currency: USD}", "cost.replica_hour is missing: it has no default."),
        ("cost.replica_hour=-1", "cost.replica_hour must be a number above 0. Got -1."),
        ("cost.replica_hour=1e999", "cost.replica_hour must be a finite number. Got inf."),
        ("seed=-1", "seed must be a whole number from 0 to 9223372036854775807. Got -1."),
        ("seed=18446744073709551616", "seed must be a whole number from 0 to 9223372036854775807. Got 1844674407370"),
        ("name=1.10", "name must be text, in quotes if it looks like a number. Got 1.1."),
        ("name=''", "name must not be empty."),
        (
            "traffic.arrivals={process: steps, steps: [{rate: 5/s, durtion: 5s}]}",
            "traffic.arrivals.steps.0.durtion is not a known key: did you mean traffic.arrivals.steps.0.duration?",
        ),
        (
            "traffic.arrivals={process: steps, steps: []}",
            "traffic.arrivals.steps must have at least 1 entries. Got 0.",
        ),
        ("traffic.arrivals={process: steps}", "traffic.arrivals.steps is missing: it has no default."),
        (
            "traffic.arrivals={process: mmpp, rates: [1/s, 2/s], dwells: [1s, 1s], jumps: [[0, 1], [0, 1]]}",
            "traffic.arrivals must have jumps with the weight 0 for staying in a state.",
        ),
        (
            "traffic.arrivals={process: trace, file: nowhere.csv}",
            f"The trace nowhere.csv cannot be read: No such file or directory in {Path.cwd()}.",
        ),
        ("batching.max_batch=4,8", f"batching.max_batch must be a whole number. Got '4,8'. {ONLY_ONE}=4,8 compares"),
        ("batching.max_batch=2..8", f"batching.max_batch must be a whole number. Got '2..8'. {ONLY_ONE}=2..8 compares"),
    ],
)
def test_bad_value_is_refused_in_one_sentence(override: str, said: str) -> None:
    """The sentence names the key, what is allowed and what was got; a slip gets a suggestion."""
    assert complaint(content(), override).startswith(said)


def test_list_of_a_key_that_has_one_is_not_taken_for_several_values() -> None:
    """Brackets are a list; a wrong one is not sent to whatif."""
    assert "whatif" not in complaint(content(), "batching.max_batch=[4, 8]")
    assert "whatif" not in complaint(content(), "batching.max_bach=8")


def test_no_goals_may_be_said() -> None:
    """`--set goals=none`, as `--set queue.cap=none`, and a key that is left empty in a file."""
    wanted = {**content(), "goals": {"p99": "50ms"}}
    assert load_scenario(wanted).goals.p99 == 50 * 10**6
    for nothing in ("goals=none", "goals=null", "goals={}"):
        assert load_scenario(wanted, [nothing]).goals == Goals()
    assert load_scenario(wanted, ["goals=none", "goals.p50=9ms"]).goals == Goals(p50="9ms")
    assert load_scenario({**content(), "cost": {"replica_hour": 1.0}}, ["cost=none"]).cost is None
    assert load_scenario({**content(), "versions": [{"name": "v1"}]}, ["versions=none"]).versions == ()
    assert complaint(content(), "goals=fast") == (
        "goals must be a mapping of keys (mean, p50, p90, p95, p99, p999 ...). Got 'fast'."
    )


@pytest.mark.parametrize("section", ["traffic", "model", "batching"])
def test_missing_section_is_named(section: str) -> None:
    """Three sections have no default."""
    short = content()
    del short[section]
    assert complaint(short) == f"{section} is missing: it has no default."


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("s.yaml", "", "must hold a mapping with traffic, model and batching. Got nothing."),
        ("s.yaml", "- 1", "must hold a mapping with traffic, model and batching. Got [1]."),
        ("s.yaml", "a: &x [y]\nb: *x", "has an anchor (&x) at line 1, column 4, which a scenario may not have."),
        ("s.yaml", "name: a\nname: b", "has the key name twice in one mapping at line 2, column 1"),
        ("s.yaml", "name: !!str a", "has a tag (tag:yaml.org,2002:str) at line 1, column 7"),
        ("s.yaml", "name: [a", "is not valid YAML at line "),
        ("s.yaml", "# " + "x" * 1_000_000, "is larger than 1 MB: a scenario is a page or two of text."),
        ("s.toml", "a = 1\na = 2", "is not valid TOML: Cannot overwrite a value (at end of document)."),
        ("s.toml", "a = " + "[" * 20_000, "is not valid TOML: it is nested too deeply."),
        ("s.json", '{"a": 1, "a": 2}', "is not valid JSON: the key 'a' stands twice in one mapping."),
        ("s.json", '{"a": NaN}', "is not valid JSON: NaN is not a number of JSON."),
        ("s.json", "[" * 200_000, "is not valid JSON: it is nested too deeply."),
        ("s.json", "{", "is not valid JSON: Expecting property name"),
        ("s.ini", "[x]", "must be a scenario file that ends in .yaml, .yml, .toml or .json."),
    ],
)
def test_file_that_is_no_scenario_is_refused(name: str, text: str, said: str, tmp_path: Path) -> None:
    """The sentence begins with the file and says what is wrong with it, and where."""
    file = tmp_path / name
    file.write_text(text)
    assert complaint(file).startswith(f"{file} {said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '{"version": "servecast-forecast/1", "name": "x"}',
            "is a saved result of servecast forecast and no scenario: servecast rerun or diff takes it.",
        ),
        (
            '{"version": "servecast-plan/1"}',
            "is a saved result of servecast plan and no scenario: servecast rerun takes it.",
        ),
        ('{"version": "servecast-check/2"}', "is a saved result of servecast check and no scenario."),
        (
            '{"version": "servecast-manifest/1"}',
            "is the manifest of a saved result and no scenario: servecast rerun takes it.",
        ),
        (
            '{"format": "servecast-calibration/2"}',
            "is a calibration and no scenario: model.profile of a scenario takes it.",
        ),
        (
            '{"format": "servecast-sweep/1", "seed": 0}\n{"configuration": "x"}\n',
            "holds the runs of a sweep and no scenario: servecast whatif --save takes it.",
        ),
    ],
)
@pytest.mark.parametrize("name", ["saved.json", "saved.yaml"])
def test_file_that_servecast_saved_is_refused_with_what_takes_it(
    name: str, text: str, said: str, tmp_path: Path
) -> None:
    """And not with that its version is an unknown key."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError) as error:
        load_scenario(path)
    assert str(error.value) == f"{path} {said}"


def test_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A missing file, a folder, and bytes that are no text each get their reason."""
    assert complaint(tmp_path / "no.yaml").endswith("no.yaml cannot be read: No such file or directory.")
    (tmp_path / "fleet.yaml").write_text("")
    (tmp_path / "flet.csv").write_text("")
    assert complaint(tmp_path / "flet.yaml").endswith(f"No such file or directory. Did you mean {tmp_path}/fleet.yaml?")
    (tmp_path / "folder.yaml").mkdir()
    assert complaint(tmp_path / "folder.yaml").endswith("cannot be read: Is a directory.")
    (tmp_path / "binary.yaml").write_bytes(b"name: \xff\xfe")
    assert complaint(tmp_path / "binary.yaml").endswith("is not UTF-8 text: byte 6 is not.")


def test_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    """Editors of some systems put one at the start."""
    file = tmp_path / "s.json"
    file.write_text(json.dumps(content()), encoding="utf-8-sig")
    assert load_scenario(file).batching.max_batch == 8


def test_dates_of_toml_are_no_text(tmp_path: Path) -> None:
    """TOML has types of its own; a date where a name belongs is refused like any other type."""
    file = tmp_path / "s.toml"
    file.write_text("name = 2026-01-01\n" + TOML.replace('name = "sentiment"', ""))
    assert complaint(file) == "name must be text, in quotes if it looks like a number. Got 2026-01-01."


@pytest.mark.parametrize("override", ["goals.p99.9=250ms", "goals={p99.9: 250ms}"])
def test_point_in_a_percentile_is_answered_with_its_key(override: str) -> None:
    """A dot separates the steps of a key, so p99.9 is written p999."""
    assert complaint(content(), override) == "goals.p99.9 is not a known key: did you mean goals.p999?"


def test_each_goal_can_be_dropped() -> None:
    """The word none leaves the others as they are."""
    stated = {**content(), "goals": {"p99": "200ms", "refused": "0.1%"}}
    assert load_scenario(stated, ["goals.p99=none"]).goals == Goals.model_validate({"refused": "0.1%"})
    assert load_scenario(stated, ["goals.refused=none"]).goals == Goals.model_validate({"p99": "200ms"})


@pytest.mark.parametrize(
    ("process", "whole"),
    [("poisson", "{process: poisson, rate: 400/s}"), ("spike", "{process: spike, ...}")],
)
def test_other_process_of_a_trace_is_answered_with_the_whole_of_it(process: str, whole: str) -> None:
    """The trace's own keys stay, and the other process does not know them."""
    traced = content() | {"traffic": {"arrivals": {"process": "trace", "file": "trace.csv"}}}
    said = complaint(traced, f"traffic.arrivals.process={process}")
    assert said.startswith("traffic.arrivals.file is not a known key: ")
    assert said.endswith(f"change all of it, --set 'traffic.arrivals={whole}'.")


def test_scenario_without_a_name_has_its_file_s(tmp_path: Path) -> None:
    """Reports and exported objects are told apart by it; a stated name goes before, and a mapping has no file."""
    path = tmp_path / "day.yaml"
    path.write_text(json.dumps(content()), encoding="utf-8")
    assert load_scenario(path).name == "day"
    assert load_scenario(path, ["name=shop"]).name == "shop"
    assert load_scenario({**content(), "name": "mine"}).name == "mine"
