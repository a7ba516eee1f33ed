"""Varied keys, and the configurations that follow from them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import ScenarioError
from sim.planner.grid import CONFIGURATIONS_MAX, Axis, configurations, parse_axis
from sim.scenario.arrival_spec import Even
from sim.scenario.units import parse_time_ns

CONTENT: dict[str, object] = {
    "traffic": {"arrivals": {"process": "poisson", "rate": "200/s"}, "timeout": "1s"},
    "model": {"pass_time": {"base": "8ms"}},
    "batching": {"max_batch": 8, "max_wait": "5ms"},
    "versions": [{"name": "v1"}, {"name": "v2", "weight": "10%"}],
}


@pytest.mark.parametrize(
    ("text", "key", "values"),
    [
        ("batching.max_batch=4,8,16", "batching.max_batch", ("4", "8", "16")),
        (" a.b = 4 , 8 ", "a.b", ("4", "8")),
        ("a=8", "a", ("8",)),
        ("a=2..5", "a", ("2", "3", "4", "5")),
        ("a=1..9:3", "a", ("1", "5", "9")),
        ("a=0.5..2:4", "a", ("0.5", "1", "1.5", "2")),
        ("a=0ms..10ms:5", "a", ("0ms", "2.5ms", "5ms", "7.5ms", "10ms")),
        ("a=0..10ms:3", "a", ("0ms", "5ms", "10ms")),
        ("a=200/s..800/s:4", "a", ("200/s", "400/s", "600/s", "800/s")),
        ("a=10%..50%:5", "a", ("10%", "20%", "30%", "40%", "50%")),
        ("a=0ms..10ms:4", "a", ("0ms", "3.333333ms", "6.666667ms", "10ms")),
        ("a=1ns..4ns:3", "a", ("1ns", "2ns", "4ns")),
        ("a=0min..10min:4", "a", ("0min", "200s", "400s", "10min")),
        ("a=100/s..200/s:4", "a", ("100/s", "133.3333/s", "166.6667/s", "200/s")),
        ("a=[1, 2],[3]", "a", ("[1, 2]", "[3]")),
        ("a={process: even, rate: 1/s},{process: poisson, rate: 1/s}", "a", None),
        ("a='x,y',z", "a", ("'x,y'", "z")),
        ("a=../x.csv,../y.csv", "a", ("../x.csv", "../y.csv")),
    ],
)
def test_axis_is_read_as_people_write_it(text: str, key: str, values: tuple[str, ...] | None) -> None:
    """Lists, even ranges that keep their unit, whole numbers; commas in brackets and quotes are no separators.

    Values that never end are rounded: a time to the nanosecond, a rate to what tells it from its neighbours.
    """
    axis = parse_axis(text)
    assert axis.key == key
    assert axis.values == (values or ("{process: even, rate: 1/s}", "{process: poisson, rate: 1/s}"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a", "A varied key must be like batching.max_batch=4,8,16, "),
        ("=1,2", "A varied key must be like "),
        ("a..b=1", "A varied key must be like "),
        ("a=", "a must have values, with a comma between any two: one is empty."),
        ("a=4,,8", "a must have values, with a comma between any two: one is empty."),
        ("a=4,8,4", "a must have each value once. Got 4 twice."),
        ("a=1..4:1", "a must have a range of at least 2 values. Got '1..4:1'."),
        ("a=1..4:x", "a must be a range like 1..5 or 0ms..10ms:5. Got '1..4:x'."),
        ("a=1..4:", "a must be a range like 1..5 or 0ms..10ms:5. Got '1..4:'."),
        ("a=1..4:2.5", "a must be a range like 1..5 or 0ms..10ms:5. Got '1..4:2.5'."),
        ("a=1...5", "a must be a range like 1..5 or 0ms..10ms:5. Got '1...5'."),  # and not from 1 to .5
        ("a=..5", "a must be a range like 1..5 or 0ms..10ms:5. Got '..5'."),
        ("a=..10ms:5", "a must be a range like 1..5 or 0ms..10ms:5. Got '..10ms:5'."),
        ("a=4..1", "a must have a range from its lower to its higher end, as in 1..4. Got '4..1'."),
        ("a=10ms..0:5", "a must have a range from its lower to its higher end, as in 0..10ms:5. Got '10ms..0:5'."),
        ("a=4ms..4ms:3", "a must have a range from its lower to its higher end. Got '4ms..4ms:3'."),
        ("a=0ms..10ms", "a must say how many values its range has, as in 0ms..10ms:5; "),
        ("a=0.5..2", "a must say how many values its range has, as in 0.5..2:5; "),
        ("a=1ms..2s:3", "a must have one unit at both ends of its range. Got '1ms..2s:3'."),
        ("a=1-4", "a must have a range written with two dots: 1..4."),
        ("a=1..", "a must be a range like 1..5 or 0ms..10ms:5. Got '1..'."),
        ("a=1..2..3", "a must be a range like 1..5 or 0ms..10ms:5. Got '1..2..3'."),
        ("a=1..999999999", f"a must have at most {CONFIGURATIONS_MAX} values. Got 999999999."),
    ],
)
def test_axis_that_cannot_be_read_is_refused(text: str, said: str) -> None:
    """One sentence: the key, what is allowed, what was got."""
    with pytest.raises(ScenarioError) as error:
        parse_axis(text)
    assert str(error.value).startswith(said)


def test_path_of_a_folder_above_is_no_range() -> None:
    """Two dots begin it, and no number follows."""
    assert parse_axis("model.profile=../t4.json").values == ("../t4.json",)


def test_range_of_one_value_is_that_value() -> None:
    """Scripts make such ones; several values between equal ends there are none."""
    assert parse_axis("fleet.replicas=2..2").values == ("2",)
    assert parse_axis("batching.max_wait=5ms..5ms:1").values == ("5ms",)
    with pytest.raises(ScenarioError, match=r"a must have a range from its lower to its higher end\. Got '2\.\.2:3'"):
        parse_axis("a=2..2:3")


@given(
    low=st.integers(0, 10**6),
    width=st.integers(1, 10**6),
    count=st.integers(2, 50),
    unit=st.sampled_from(["ns", "us", "ms", "s", "min", "h"]),
)
def test_range_of_times_is_even_to_the_nanosecond(low: int, width: int, count: int, unit: str) -> None:
    """Both ends are exact, and each value is the time that an even division gives, rounded to a nanosecond."""
    values = [f"{low}{unit}", f"{low + width}{unit}"]
    first, last = map(parse_time_ns, values)
    if last - first < count:
        return  # values would coincide, and are refused
    axis = parse_axis(f"a={values[0]}..{values[1]}:{count}")
    times = [parse_time_ns(value) for value in axis.values]
    assert (len(times), times[0], times[-1]) == (count, first, last)
    for place, time_ns in enumerate(times):
        assert abs(time_ns * (count - 1) - (first * (count - 1) + place * (last - first))) * 2 <= count - 1


def test_grid_holds_every_combination_with_the_last_key_fastest() -> None:
    """Changes are the texts that were given; the scenario has them; places in lists count as in --set."""
    axes = [Axis("batching.max_batch", ("4", "16")), Axis("versions.1.weight", ("20%", "30%"))]
    made = configurations(CONTENT, axes)
    assert [tuple(one.changes.values()) for one in made] == [("4", "20%"), ("4", "30%"), ("16", "20%"), ("16", "30%")]
    assert [(one.scenario.batching.max_batch, one.scenario.versions[1].weight) for one in made] == [
        (4, 0.2),
        (4, 0.3),
        (16, 0.2),
        (16, 0.3),
    ]
    assert CONTENT["batching"] == {"max_batch": 8, "max_wait": "5ms"}


def test_one_at_a_time_changes_one_key_from_the_scenario_itself() -> None:
    """The scenario comes first, without changes; keys with one value are changed in all of them."""
    axes = [parse_axis("batching.max_batch=4,16"), parse_axis("queue.cap=32"), parse_axis("batching.max_wait=1ms,2ms")]
    made = configurations(CONTENT, axes, grid=False)
    assert [one.changes for one in made] == [
        {"queue.cap": "32"},
        {"queue.cap": "32", "batching.max_batch": "4"},
        {"queue.cap": "32", "batching.max_batch": "16"},
        {"queue.cap": "32", "batching.max_wait": "1ms"},
        {"queue.cap": "32", "batching.max_wait": "2ms"},
    ]
    assert {one.scenario.queue.cap for one in made} == {32}
    assert made[0].scenario.batching.max_batch == 8


def test_no_axis_gives_the_scenario_itself() -> None:
    """Nothing varied is one configuration."""
    assert [one.changes for one in configurations(CONTENT, [])] == [{}]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (
            ["batching.max_bach=4,8"],
            "With batching.max_bach=4: batching.max_bach is not a known key: did you mean batching.max_batch?",
        ),
        (
            ["traffic.arrivals.rte=4/s,8/s"],
            "With traffic.arrivals.rte=4/s: traffic.arrivals.rte is not a known key: did you mean traffic.arrivals.rat",
        ),
        (["batching.max_batch=4", "batching.max_batch=8"], "batching.max_batch must be given once, "),
        (["batching.max_batch=4,8", "batching.max_batch=2,3"], "batching.max_batch must be given once, "),
        (
            ["batching.max_batch=2", "batching.max_batch=4,8"],
            "batching.max_batch must be either set or varied. Got both: it is set to 2, and varied too.",
        ),
        (["batching.max_batch=4,8", "batching.max_batch=2"], "batching.max_batch must be either set or varied. "),
        (
            ["traffic.arrivals={process: even, rate: 9/s},{process: even, rate: 8/s}", "traffic.arrivals.rate=1/s"],
            "traffic.arrivals.rate and traffic.arrivals must not both be varied: one stands inside the other.",
        ),
        (
            ["traffic.arrivals.rate=1/s,2/s", "traffic.arrivals={process: even, rate: 9/s}"],  # which would be lost
            "traffic.arrivals and traffic.arrivals.rate must not both be varied: one stands inside the other.",
        ),
        (
            ["queue.cap=8", "batching.max_batch=4,0"],
            "With queue.cap=8, batching.max_batch=0: batching.max_batch must be ",
        ),
        (["batching.max_batch=1..4:3"], "With batching.max_batch=2.5: batching.max_batch must be a whole number. Got "),
        (["versions.7.weight=1%,2%"], "With versions.7.weight=1%: --set versions.7.weight must have a place from 0 to"),
        (["queue.cap=1..1000", "fleet.replicas=1..1000"], "There must be at most 100000 configurations. Got 1000000."),
    ],
)
def test_configuration_that_is_not_allowed_is_named(texts: list[str], said: str) -> None:
    """The sentence begins with the changes of the first configuration that is not allowed."""
    with pytest.raises(ScenarioError) as error:
        configurations(CONTENT, [parse_axis(text) for text in texts])
    assert str(error.value).startswith(said)


def test_section_is_set_as_a_whole_before_its_keys_vary() -> None:
    """An autoscaler with a preset, and several targets of it."""
    axes = [
        parse_axis(text) for text in ("traffic.arrivals={process: even, rate: 9/s}", "traffic.arrivals.rate=1/s,2/s")
    ]
    arrivals = [one.scenario.traffic.arrivals for one in configurations(CONTENT, axes)]
    assert [(each.process, each.rate) for each in arrivals if isinstance(each, Even)] == [("even", 1.0), ("even", 2.0)]


def test_paths_count_from_the_folder_of_the_scenario_file(tmp_path: Path) -> None:
    """A file is read once, and each configuration still knows where it lay."""
    path = tmp_path / "shop.yaml"
    path.write_text(
        "traffic: {arrivals: {process: poisson, rate: 9/s}}\nmodel: {pass_time: {base: 1ms}}\nbatching: {max_batch: 1}",
        encoding="utf-8",
    )
    (one, _) = configurations(path, [parse_axis("batching.max_batch=1,2")])
    assert one.scenario.path_of("x.csv") == tmp_path / "x.csv"
