"""When there are runs enough, and that stopping then does not spoil the intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pytest

from sim.errors import ScenarioError
from sim.forecast import settling
from sim.forecast.enough_runs import FIRST_RUNS, MadeRuns, Precision, Why, enough_runs, first_runs, runs_after
from sim.forecast.estimates import METRICS, Figure, estimate
from sim.forecast.intervals import Bounds, half_width
from sim.forecast.replications import Replication, ReplicationTask
from sim.forecast.settling import RunBatch
from tests.sim.forecast.made_runs import made_run
from tests.sim.forecast.waiting_times import Floats, mm1_responses
from tests.sim.scenario.example import calibrated, scenario

STATED = "horizon={duration: 10s, warm_up: 0s}"
MEAN = "latency_ms.mean"

Runs = Callable[[int], Sequence[float]]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[ReplicationTask]:
    """Let run r have 200 exponential latencies of its own, without a simulator; return the tasks that were done."""
    done: list[ReplicationTask] = []

    def replicate_all(tasks: Sequence[ReplicationTask], **_: object) -> list[Replication]:
        done.extend(tasks)
        latencies = [np.random.default_rng(task.run).exponential(10.0, 200) for task in tasks]
        return [Replication(made_run(each), {}, None) for each in latencies]

    monkeypatch.setattr(settling, "replicate_all", replicate_all)
    return done


def mean_of(central: Sequence[Replication]) -> dict[str, Figure]:
    """Look at the mean alone."""
    return {MEAN: estimate(METRICS[MEAN], [run.measures for run in central])}


def runs_for(precision: Precision, clock: Callable[[], float] = lambda: 0.0) -> MadeRuns:
    """Return the runs that a precision of the mean takes."""
    return enough_runs(
        RunBatch(scenario(STATED), 1, first_runs(precision, 2), 1, None), precision, mean_of, clock=clock
    )


def ticking(seconds: float) -> Callable[[], float]:
    """Return a clock that goes on by so much each time that it is read."""
    readings: Iterator[float] = (place * seconds for place in range(10**6))
    return lambda: next(readings)


@pytest.mark.parametrize(
    ("count", "excess", "most", "expected"),
    [
        (20, 1.05, 400, 30),  # 22 seem to be needed, 29 with the margin; at least ten more
        (40, 1.1, 400, 63),  # 1.3 times 48.4
        (40, 1.5, 400, 80),  # 117 with the margin; doubled at most
        (40, 50.0, 400, 80),
        (40, math.inf, 400, 80),
        (40, 1.5, 50, 50),
    ],
)
def test_runs_grow_by_what_their_width_asks_for(count: int, excess: float, most: int, expected: int) -> None:
    """The width falls with the root of the number."""
    assert runs_after(count, excess, most) == expected


@pytest.mark.parametrize(("stated", "most", "expected"), [(2, 400, FIRST_RUNS), (50, 400, 50), (50, 30, 30), (5, 4, 4)])
def test_first_look_is_behind_the_stated_runs(stated: int, most: int, expected: int) -> None:
    """And behind no fewer than a spread can be read from, unless fewer are allowed."""
    assert first_runs(Precision(runs_max=most), stated) == expected


def test_few_runs_that_seem_to_be_precise_are_not_enough(made: list[ReplicationTask]) -> None:
    """A budget makes the first ones few; it takes FIRST_RUNS to believe them, if there is time."""
    assert len(runs_for(Precision(0.5, budget_s=1e6)).central) == FIRST_RUNS
    late = runs_for(Precision(0.5, budget_s=1.0), ticking(2.0))
    assert late.stopped is not None
    assert (len(late.central), late.stopped.why, late.stopped.missed) == (2, Why.TIME, ())


def test_runs_are_added_until_the_mean_is_as_sure_as_is_wanted(made: list[ReplicationTask]) -> None:
    """Each run once, in order; what is reached is told, and is not missed by much more than the margin."""
    found = runs_for(Precision(0.01))
    count = len(found.central)
    assert [task.run for task in made] == list(range(count))
    assert found.stopped is not None
    assert (found.stopped.why, found.stopped.missed) == (Why.PRECISE, ())
    assert 0.007 < found.stopped.reached[MEAN] <= 0.01
    figure = mean_of(found.central)[MEAN]
    assert figure.sampling is not None
    assert figure.value is not None
    assert found.stopped.reached[MEAN] == pytest.approx((figure.sampling.high - figure.value) / figure.value)


def test_runs_that_are_precise_at_once_are_not_added_to(made: list[ReplicationTask]) -> None:
    """The first look is the last."""
    found = runs_for(Precision(0.5))
    assert len(found.central) == len(made) == FIRST_RUNS


def test_no_more_runs_than_are_allowed(made: list[ReplicationTask]) -> None:
    """And it is said which figure that leaves less sure than is wanted."""
    found = runs_for(Precision(0.001, runs_max=70))
    assert len(found.central) == 70
    assert found.stopped is not None
    assert (found.stopped.why, found.stopped.missed) == (Why.RUNS, (MEAN,))
    assert found.stopped.reached[MEAN] > 0.001
    assert found.stopped.to_json()["stopped"] == "max_runs reached"


def test_no_more_runs_than_there_is_time_for(made: list[ReplicationTask]) -> None:
    """2 runs took 2 s: of 5 s there is time for 3 more, and after 4 s for one."""
    found = runs_for(Precision(0.001, budget_s=5.0), ticking(2.0))
    assert len(found.central) == 2 + 3 + 1
    assert found.stopped is not None
    assert found.stopped.why == Why.TIME


def test_forecast_that_is_made_again_looks_at_no_clock(made: list[ReplicationTask]) -> None:
    """As many runs as it took the first time, the first ones apart as then, and the same is said of why it stopped."""
    first = runs_for(Precision(0.001, budget_s=5.0), ticking(2.0))
    tasks = made.copy()
    made.clear()
    again = runs_for(Precision(0.001, budget_s=5.0, made=len(first.central)), ticking(1e6))
    assert made == tasks
    assert again.stopped is not None
    assert first.stopped is not None
    assert again.stopped.to_json() == first.stopped.to_json()


def test_budget_that_the_first_runs_spend_is_no_reason_to_have_none(made: list[ReplicationTask]) -> None:
    """Those that are stated are made all the same: without them there is no interval at all."""
    found = runs_for(Precision(0.001, budget_s=1.0), ticking(2.0))
    assert len(found.central) == 2
    assert found.stopped is not None
    assert found.stopped.why == Why.TIME


def test_figure_that_more_runs_cannot_give_is_not_waited_for(made: list[ReplicationTask]) -> None:
    """A quantile that single runs do not support stays without a value, however many there are."""

    def look(central: Sequence[Replication]) -> Mapping[str, Figure]:
        return {"latency_ms.p999": estimate(METRICS["latency_ms.p999"], [run.measures for run in central])}

    found = enough_runs(RunBatch(scenario(STATED), 1, 20, 1, None), Precision(), look)
    assert found.stopped is not None
    assert (found.stopped.why, len(made)) == (Why.NOTHING, 20)


@pytest.mark.parametrize(
    ("value", "half", "why"),
    [(0.0, 0.0009, Why.PRECISE), (0.0, 0.0011, Why.RUNS), (0.2, 0.0039, Why.PRECISE), (0.2, 0.0041, Why.RUNS)],
)
def test_share_may_be_open_by_a_tenth_of_a_point(
    value: float, half: float, why: Why, made: list[ReplicationTask]
) -> None:
    """Where that is more than the wanted part of the share: 2 % of nothing is nothing."""
    figure = Figure(value, sampling=Bounds(max(value - half, 0.0), value + half))
    batch = RunBatch(scenario(STATED), 1, 20, 1, None)
    found = enough_runs(batch, Precision(0.02, runs_max=30), lambda _: {"refused_share": figure})
    assert found.stopped is not None
    assert found.stopped.why == why
    assert found.stopped.reached["refused_share"] == pytest.approx(half)


def test_runs_on_drawn_calibrations_stay_paired(made: list[ReplicationTask]) -> None:
    """Whatever number of central ones there is in the end, each has its own."""
    batch = RunBatch(calibrated(STATED, "traffic.arrivals.rate=200/s"), 1, 20, 1, None)
    found = enough_runs(batch, Precision(0.01), mean_of)
    assert found.drawn is not None
    assert len(found.drawn) == len(found.central) > 20
    central = [task.run for task in made if task.profile_draw is None]
    drawn = [task.run for task in made if task.profile_draw is not None]
    assert central == drawn == list(range(len(found.central)))
    assert {task.profile_draw for task in made if task.run == 5} == {None, 5 % batch.draws}


def test_without_a_wanted_precision_nothing_is_looked_at(made: list[ReplicationTask]) -> None:
    """The runs that are stated."""

    def look(_: Sequence[Replication]) -> Mapping[str, Figure]:
        raise AssertionError

    found = enough_runs(RunBatch(scenario(STATED), 1, 3, 1, None), None, look)
    assert (len(found.central), found.stopped) == (3, None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"share": 0.0}, r"^precision must be above 0 and below 1, as in 0\.02 for 2 %\. Got 0\.$"),
        ({"share": 2.0}, r"Got 2\.$"),
        ({"share": math.nan}, r"Got nan\.$"),
        ({"budget_s": 0.0}, r"^budget_s must be above 0 seconds\. Got 0\.$"),
        ({"runs_max": 1}, r"^max_runs must be from 2 to 10000\. Got 1\.$"),
        ({"runs_max": 10_001}, r"Got 10001\.$"),
    ],
)
def test_what_is_out_of_range_is_one_sentence(options: dict[str, float], words: str) -> None:
    """Key, what is allowed, what was got."""
    with pytest.raises(ScenarioError, match=words):
        Precision(**options)  # type: ignore[arg-type]


# What stopping by the runs themselves costs


EXPERIMENTS, RUNS_EACH = 400, 100


@pytest.fixture(scope="module")
def responses() -> Floats:
    """(experiments, runs, requests) of M/M/1 at load 0.5: short runs, whose means are skew and 15 % off."""
    runs = mm1_responses(0.5, requests=300, runs=EXPERIMENTS * RUNS_EACH, seed=11, warm_up=60)
    return runs.reshape(EXPERIMENTS, RUNS_EACH, 300)


def outcomes_of(responses: Floats, share: float, monkeypatch: pytest.MonkeyPatch) -> tuple[float, float, float]:
    """Return how often the interval of the mean holds the truth, how many runs were made, and where the middle lies."""
    hits, counts, centres = [], [], []
    for runs in responses:

        def replicate_all(tasks: Sequence[ReplicationTask], runs: Floats = runs, **_: object) -> list[Replication]:
            return [Replication(made_run(runs[task.run]), {}, None) for task in tasks]

        monkeypatch.setattr(settling, "replicate_all", replicate_all)
        found = runs_for(Precision(share, runs_max=RUNS_EACH))
        figure = mean_of(found.central)[MEAN]
        assert figure.low is not None
        assert figure.high is not None
        hits.append(figure.low <= 2.0 <= figure.high)
        counts.append(len(found.central))
        centres.append((figure.value or math.nan) / 2.0 - 1.0)
    return float(np.mean(hits)), float(np.mean(counts)), float(np.mean(centres))


@pytest.mark.parametrize(("share", "runs"), [(0.07, (20, 35)), (0.05, (40, 70))])
def test_stopped_intervals_hold_the_truth_as_often_as_they_say(
    share: float, runs: tuple[int, int], responses: Floats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """95 % intervals of 400 experiments, each stopped by its own runs: 92 to 98 % hold the mean of M/M/1.

    Its middle is moved by less than a tenth of what is left open.
    """
    covered, count, shift = outcomes_of(responses, share, monkeypatch)
    assert 0.92 <= covered <= 0.98
    assert runs[0] <= count <= runs[1]
    assert abs(shift) < share / 10


def test_stopping_at_the_first_narrow_interval_would_not(responses: Floats) -> None:
    """The counterfact: a look behind every run from the third on, and fewer than 90 % hold it."""
    means = responses.mean(axis=2)
    hits = []
    for runs in means:
        for count in range(3, RUNS_EACH + 1):
            centre = float(runs[:count].mean())
            half = half_width(centre, runs[:count].tolist())
            if half <= 0.07 * centre:
                break
        hits.append(abs(centre - 2.0) <= half)
    assert np.mean(hits) < 0.9
