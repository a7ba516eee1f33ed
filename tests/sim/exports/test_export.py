"""No key of a scenario is lost: each is in the files of a format, or told in a sentence, or the export is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest

from sim.errors import ScenarioError
from sim.exports.export import export, fitting
from sim.exports.formats import FORMATS, close_format
from sim.exports.names import Names
from sim.exports.stated import SAYS_NOTHING
from sim.scenario.fields import Section
from sim.scenario.load import load_scenario
from sim.scenario.spec import Scenario
from tests.sim.scenario.example import content, scenario

ALL = [one.name for one in FORMATS]

HPA: dict[str, Any] = {"formula": "ratio", "target": 5, "max_replicas": 9}
KEDA: dict[str, Any] = {"preset": "keda", "target": 5}
RAY: dict[str, Any] = {"preset": "ray_serve"}
KPA: dict[str, Any] = {"preset": "knative"}
FEW: dict[str, Any] = {"metric": "failed", "pass_most": "1%"}


def with_autoscaler(before: dict[str, Any], **after: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return two scenarios' contents that differ in settings of the autoscaler."""
    first, second = ({"fleet": {"autoscaler": one}} for one in (before, {**before, **after}))
    return first, second


def with_versions(before: dict[str, Any], **after: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return two scenarios' contents that differ in their second version."""
    first, second = ({"versions": [{"name": "v1"}, {"name": "v2", **one}]} for one in (before, {**before, **after}))
    return first, second


def with_rollout(before: dict[str, Any], after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return two scenarios' contents that differ in their rollout."""
    versions = [{"name": "v1"}, {"name": "v2", "role": "canary"}]
    first, second = ({"versions": versions, "rollout": one} for one in (before, after))
    return first, second


def with_analysis(before: dict[str, Any], **after: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return two scenarios' contents that differ in the analysis of their rollout."""
    steps = [{"weight": "5%", "analysis": True, "pause": "1s"}, {"weight": "9%", "analysis": True, "pause": "1s"}]
    one: dict[str, Any] = {"limits": [FEW], "interval": "30s", "failure_limit": 1, **before}
    return with_rollout(
        {"steps": steps, "slow_over": "1s", "analysis": one},
        {"steps": steps, "slow_over": "1s", "analysis": {**one, **after}},
    )


def batching(**own: Any) -> dict[str, Any]:
    """Return a scenario's content with that batching."""
    return {"batching": {"max_batch": 8, "max_wait": "5ms", **own}}


PLAIN: dict[str, Any] = {}
STEP = {"weight": "5%", "pause": "1min"}
CHECKED: dict[str, Any] = {
    "steps": [{**STEP, "analysis": True}],
    "analysis": {"limits": [FEW], "interval": "30s"},
}
SLOW: dict[str, Any] = {**CHECKED, "analysis": {"limits": [{**FEW, "metric": "slow"}], "interval": "30s"}}

CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "batching.max_batch": (batching(), batching(max_batch=16)),
    "batching.max_wait": (batching(max_wait="0s"), batching(max_wait="6ms")),
    "batching.timer_origin": (batching(), batching(timer_origin="collect")),
    "batching.freeze": (batching(), batching(freeze="timer")),
    "batching.collector": (batching(), batching(collector="exclusive")),
    "batching.slots": (batching(), batching(slots=2)),
    "batching.preferred_sizes": (batching(), batching(preferred_sizes=[4])),
    "queue.cap": (PLAIN, {"queue": {"cap": 64}}),
    "queue.deadline": (PLAIN, {"queue": {"deadline": "2s"}}),
    "front_end.workers": (PLAIN, {"front_end": {"workers": 2}}),
    "front_end.blocking": (PLAIN, {"front_end": {"blocking": True}}),
    "model.device": (PLAIN, {"model": {**content()["model"], "device": "cuda"}}),
    "model.pass_time.padded_sizes": (PLAIN, {"model": {"pass_time": {"base": "8ms", "padded_sizes": [4, 8]}}}),
    "fleet.replicas": (PLAIN, {"fleet": {"replicas": 2}}),
    "fleet.instances": (PLAIN, {"fleet": {"instances": 2}}),
    "fleet.routing.balance": ({"fleet": {"replicas": 2}}, {"fleet": {"replicas": 2, "routing": {"balance": "random"}}}),
    "fleet.routing.tie": (
        {"fleet": {"replicas": 2, "routing": {"balance": "least_outstanding"}}},
        {"fleet": {"replicas": 2, "routing": {"balance": "least_outstanding", "tie": "first"}}},
    ),
    "fleet.routing.outstanding_max": (PLAIN, {"fleet": {"routing": {"outstanding_max": 8}}}),
    "fleet.routing.held_max": (PLAIN, {"fleet": {"routing": {"held_max": 8}}}),
    "fleet.drain": ({"fleet": {"autoscaler": HPA}}, {"fleet": {"autoscaler": HPA, "drain": "idlest"}}),
    **{
        f"fleet.cold_start.{part}": ({}, {"fleet": {"cold_start": {part: "9s"}}})
        for part in ("provision", "image", "load", "warm_up")
    },
    "fleet.machine": (
        {"cost": {"replica_hour": 1, "machines": {"a100": {"replica_hour": 2}}}},
        {"cost": {"replica_hour": 1, "machines": {"a100": {"replica_hour": 2}}}, "fleet": {"machine": "a100"}},
    ),
    "fleet.autoscaler.preset": with_autoscaler(
        {**HPA, "signal": "in_flight"}, preset="kubernetes_hpa_behavior"
    ),
    "fleet.autoscaler.target": with_autoscaler(HPA, target=6),
    "fleet.autoscaler.min_replicas": with_autoscaler(KPA, min_replicas=1),
    "fleet.autoscaler.max_replicas": with_autoscaler(HPA, max_replicas=10),
    "fleet.autoscaler.formula": with_autoscaler(HPA, formula="total"),
    "fleet.autoscaler.signal": with_autoscaler(HPA, signal="waiting"),
    "fleet.autoscaler.sample": with_autoscaler(HPA, sample="2s"),
    "fleet.autoscaler.mean": with_autoscaler({**HPA, "window": "1min"}, mean="time"),
    "fleet.autoscaler.window": with_autoscaler(HPA, window="1min"),
    "fleet.autoscaler.report": with_autoscaler(RAY, report="5s"),
    "fleet.autoscaler.lag": with_autoscaler(HPA, lag="5s"),
    "fleet.autoscaler.tick": with_autoscaler(HPA, tick="5s"),
    "fleet.autoscaler.not_ready": with_autoscaler(HPA, not_ready="left_out"),
    "fleet.autoscaler.dead_band_up": with_autoscaler(HPA, dead_band_up=0.2),
    "fleet.autoscaler.dead_band_down": with_autoscaler(HPA, dead_band_down=0.2),
    "fleet.autoscaler.gain_up": with_autoscaler(RAY, gain_up=0.5),
    "fleet.autoscaler.gain_down": with_autoscaler(RAY, gain_down=0.5),
    "fleet.autoscaler.rate_up": with_autoscaler(KPA, rate_up=3),
    "fleet.autoscaler.rate_down": with_autoscaler(KPA, rate_down=3),
    "fleet.autoscaler.stabilisation": with_autoscaler({**HPA, "stabilisation_down": "1min"}, stabilisation="highest"),
    "fleet.autoscaler.stabilisation_up": with_autoscaler(HPA, stabilisation_up="5s"),
    "fleet.autoscaler.stabilisation_down": with_autoscaler(HPA, stabilisation_down="5s"),
    "fleet.autoscaler.delay_up": with_autoscaler(RAY, delay_up="5s"),
    "fleet.autoscaler.delay_down": with_autoscaler(RAY, delay_down="5s"),
    "fleet.autoscaler.delay_restarts": with_autoscaler(RAY, delay_restarts=False),
    "fleet.autoscaler.cooldown": with_autoscaler({**HPA, "cooldown_up": "5s"}, cooldown="larger"),
    "fleet.autoscaler.cooldown_up": with_autoscaler(HPA, cooldown_up="5s"),
    "fleet.autoscaler.cooldown_down": with_autoscaler(HPA, cooldown_down="5s"),
    "fleet.autoscaler.step_up_count": with_autoscaler(HPA, step_up_count=3),
    "fleet.autoscaler.step_up_count_period": with_autoscaler({**HPA, "step_up_count": 3}, step_up_count_period="7s"),
    "fleet.autoscaler.step_up_percent": with_autoscaler(HPA, step_up_percent=30),
    "fleet.autoscaler.step_up_percent_period": with_autoscaler(
        {**HPA, "step_up_percent": 30}, step_up_percent_period="7s"
    ),
    "fleet.autoscaler.step_up_select": with_autoscaler(HPA, step_up_select="disabled"),
    "fleet.autoscaler.step_up_least": with_autoscaler({**HPA, "step_up_count": 3}, step_up_least=4),
    "fleet.autoscaler.step_down_count": with_autoscaler(HPA, step_down_count=3),
    "fleet.autoscaler.step_down_count_period": with_autoscaler(
        {**HPA, "step_down_count": 3}, step_down_count_period="7s"
    ),
    "fleet.autoscaler.step_down_percent": with_autoscaler(HPA, step_down_percent=30),
    "fleet.autoscaler.step_down_percent_period": with_autoscaler(
        {**HPA, "step_down_percent": 30}, step_down_percent_period="7s"
    ),
    "fleet.autoscaler.step_down_select": with_autoscaler(HPA, step_down_select="disabled"),
    "fleet.autoscaler.panic_window": with_autoscaler(KPA, panic_window="9s"),
    "fleet.autoscaler.panic_threshold": with_autoscaler(KPA, panic_threshold=3),
    "fleet.autoscaler.scale_to_zero": with_autoscaler({**KPA, "min_replicas": 1}, scale_to_zero=True),
    "fleet.autoscaler.zero_from": with_autoscaler(KEDA, zero_from="one"),
    "fleet.autoscaler.idle": with_autoscaler(KPA, idle="20s"),
    "fleet.autoscaler.active": with_autoscaler(KPA, active="20s"),
    "fleet.autoscaler.activation": with_autoscaler(KEDA, activation="at_once"),
    "fleet.autoscaler.activation_above": with_autoscaler(KEDA, activation_above=2),
    "fleet.autoscaler.activation_replicas": with_autoscaler(KPA, activation_replicas=2),
    "fleet.autoscaler.poll": with_autoscaler(KEDA, poll="20s"),
    "versions.role": with_versions({}, role="shadow"),
    "versions.weight": with_versions({}, weight="5%"),
    "versions.copies": with_versions({}, copies="5%"),
    "versions.pinned": with_versions({}, pinned="5%"),
    "versions.model": with_versions({}, model={**content()["model"], "device": "cuda"}),
    "versions.fleet": with_versions({}, fleet={"replicas": 2}),
    "split.users": (with_versions({})[0], {**with_versions({})[0], "split": {"users": 100}}),
    "rollout.steps.weight": with_rollout({"steps": [STEP]}, {"steps": [{**STEP, "weight": "6%"}]}),
    "rollout.steps.pause": with_rollout({"steps": [STEP]}, {"steps": [{**STEP, "pause": "2min"}]}),
    "rollout.steps.copies": with_rollout({"steps": [STEP]}, {"steps": [{**STEP, "copies": "6%"}]}),
    "rollout.steps.analysis": with_rollout(
        {"steps": [STEP], "analysis": {"limits": [FEW], "interval": "30s"}},
        {"steps": [{**STEP, "analysis": True}], "analysis": {"limits": [FEW], "interval": "30s"}},
    ),
    "rollout.analysis.limits.metric": with_analysis({}, limits=[{**FEW, "metric": "slow"}]),
    "rollout.analysis.limits.against": with_analysis({}, limits=[{**FEW, "against": "stable_ratio"}]),
    "rollout.analysis.limits.pass_most": with_analysis({}, limits=[{**FEW, "pass_most": "2%"}]),
    "rollout.analysis.limits.fail_over": with_analysis({}, limits=[{**FEW, "fail_over": "2%"}]),
    "rollout.analysis.interval": with_analysis({}, interval="40s"),
    "rollout.analysis.initial_delay": with_analysis({}, initial_delay="40s"),
    "rollout.analysis.count": with_analysis({}, count=2),
    "rollout.analysis.counted": with_analysis({}, counted="all"),
    "rollout.analysis.failure_limit": with_analysis({}, failure_limit=2),
    "rollout.analysis.failure_scope": with_analysis({}, failure_scope="step"),
    "rollout.analysis.inconclusive_limit": with_analysis(
        {"limits": [{**FEW, "fail_over": "2%"}]}, inconclusive_limit=1
    ),
    "rollout.analysis.samples_min": with_analysis({}, samples_min=9),
    "rollout.analysis.no_data": with_analysis({}, no_data="pass"),
    "rollout.analysis.no_data_limit": with_analysis({}, no_data_limit=3),
    "rollout.analysis.no_data_interval": with_analysis({}, no_data_interval="9s"),
    "rollout.analysis.roll_back_delay": with_analysis({}, roll_back_delay="9s"),
    "rollout.slow_over": with_rollout({**SLOW, "slow_over": "1s"}, {**SLOW, "slow_over": "2s"}),
    "rollout.refusals_fail": with_rollout(CHECKED, {**CHECKED, "refusals_fail": False}),
    "rollout.ready_share": with_rollout({"steps": [STEP]}, {"steps": [STEP], "ready_share": "50%"}),
    "rollout.ready_deadline": with_rollout({"steps": [STEP]}, {"steps": [STEP], "ready_deadline": "1min"}),
    "rollout.argo": with_rollout({"argo": {"steps": [{"setWeight": 5}]}}, {"argo": {"steps": [{"setWeight": 6}]}}),
    "rollout.flagger": with_rollout({"flagger": {"stepWeight": 10}}, {"flagger": {"stepWeight": 50}}),
    "rollout.kserve": with_rollout({"kserve": {}}, {"kserve": {"canaryTrafficPercent": 6}}),
}  # fmt: skip
"""Two scenarios for each key that configures something, which differ in it alone, and in which it matters."""


def keys_of(section: type[Section], path: str = "") -> Iterator[str]:
    """Yield the keys of a section, and of those inside it that are not known as another's."""
    for key, field in section.model_fields.items():
        place = f"{path}{key}"
        inner = sections_in(field.annotation)
        if place in CHANGES or says_nothing(place) or not inner:
            yield place
        else:
            for one in inner:
                yield from keys_of(one, f"{place}.")


def says_nothing(key: str) -> bool:
    """Return whether a key, or what stands above it, is among those that configure nothing."""
    return any(key == one or key.startswith(f"{one}.") for one in SAYS_NOTHING)


def sections_in(annotation: Any) -> list[type[Section]]:
    """Return the sections that a field can hold."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [section for part in get_args(annotation) for section in sections_in(part)]


def made(change: dict[str, Any]) -> Scenario:
    """Return the minimal scenario with these sections in place of its own."""
    return load_scenario({**content(), **change})


def outcomes(given_scenario: Scenario) -> dict[str, tuple[str, ...] | None]:
    """Return of each format its files, without the line that says what they were made from; None if it is refused."""
    return {
        fit.format.name: None
        if fit.exported is None
        else tuple(text.partition("\n")[2] for text in fit.exported.files.values())
        for fit in fitting(given_scenario)
    }


def test_every_key_of_a_scenario_is_known_to_say_something_or_nothing() -> None:
    """A key that is added to the scenario has to be told here which it is."""
    known = [
        key for key in keys_of(Scenario) if not any(key == one or key.startswith(f"{one}.") for one in SAYS_NOTHING)
    ]
    assert sorted(set(known) - set(CHANGES)) == []
    assert sorted(set(CHANGES) - set(known)) == []


@pytest.mark.parametrize("key", CHANGES)
def test_no_format_drops_a_key_in_silence(key: str) -> None:
    """A change of a key changes the files or their comments in each format that is not refused before or after.

    And there is such a format.
    """
    before, after = (outcomes(made(change)) for change in CHANGES[key])
    written = [to for to in ALL if before[to] is not None]
    assert [to for to in written if before[to] == after[to]] == []
    assert written != []


def test_what_configures_nothing_changes_nothing() -> None:
    """Traffic, times, costs, goals: the files are the same but for the hash of what they were made from."""
    others = ("traffic.arrivals.rate=1/s", "model.pass_time.base=9ms", "goals.p99=1s", "cost={replica_hour: 1.0}")
    for own in ((), ("batching.timer_origin=collect",), ("fleet.autoscaler={preset: keda, target: 5}",)):
        assert outcomes(scenario(*own)) == outcomes(scenario(*own, *others))


def test_notes_stand_in_the_first_file_and_name_who_can() -> None:
    """Keys that the same others can say are told in one sentence, with their values."""
    exported = export(scenario("queue.cap=64"), "kubernetes")
    assert exported.notes == (
        "The image is a placeholder: --image says another.",
        "The template of the pods has no ports, no probes and no resources, and no Service stands before them, since a "
        "scenario says nothing of these: add a readinessProbe that passes once the model is loaded, or pods get "
        "requests during their cold start; and resources, GPUs too.",
        "There may be one pod: while it is replaced or lost, nobody answers. With fleet.spare a plan keeps more.",
        "batching.max_batch (8), .freeze (pull), .collector (dispatcher), .max_wait (5ms), .timer_origin (enqueue) and "
        "queue.cap (64): kubernetes has no word for that; --to triton or tf-serving has.",
    )
    (text,) = exported.files.values()
    assert text.startswith("# Written by servecast export --to kubernetes from scenario (")
    assert all(len(line) <= 110 for line in text.splitlines() if line.startswith("#"))


@pytest.mark.parametrize("to", ["kubernetes", "knative"])
def test_pods_are_told_to_need_probes_and_time_to_start(to: str) -> None:
    """Without a readinessProbe a pod gets requests while it loads, which the forecast does not have."""
    start = "fleet.cold_start={load: 40s, warm_up: {distribution: exponential, mean: 2s}}"
    told = export(scenario(start), to).notes
    assert (
        "fleet.cold_start.load is 40s and fleet.cold_start.warm_up is drawn (exponential): no object sets how long a "
        "start takes; a startupProbe has to allow for it." in told
    )
    assert any(note.startswith("The template of the pods has no ports, no probes and no resources,") for note in told)


def test_server_without_pods_names_the_cold_start_as_left_over() -> None:
    """config.pbtxt starts nothing; the key is not dropped in silence all the same."""
    (note,) = [note for note in export(scenario("fleet.cold_start.load=40s"), "triton").notes if "cold_start" in note]
    assert note == "fleet.cold_start.load (40s): triton has no word for that, nor has any other format that fits."


def test_weight_of_a_version_names_who_has_weights() -> None:
    """Knative has shares of revisions; Argo Rollouts leads a rollout, and of a scenario without one says none."""
    weighed = load_scenario({**content(), **with_versions({}, weight="5%")[1]})
    (note,) = [note for note in export(weighed, "kubernetes").notes if "weight" in note]
    assert note == "versions.1.weight (5%): kubernetes has no word for that; --to knative has."


@pytest.mark.parametrize(
    ("to", "without", "told"),
    [
        ("triton", ("v2", "v3"), "v2 and v3 are in none of the files of triton, only v1; --to kubernetes has all."),
        ("knative", ("v3",), "v3 is in none of the files of knative, only v1 and v2; --to kubernetes has all."),
        ("kubernetes", (), ""),
    ],
)
def test_version_that_is_in_no_file_is_named(to: str, without: tuple[str, ...], told: str) -> None:
    """As a whole, and not only by its weight; a shadow has no weight, and Knative no word for copies."""
    versions = [{"name": "v1"}, {"name": "v2", "weight": "5%"}, {"name": "v3", "role": "shadow", "copies": "5%"}]
    exported = export(load_scenario({**content(), "versions": versions}), to)
    assert exported.without == without
    assert [note for note in exported.notes if "none of the files" in note] == ([told] if told else [])


@pytest.mark.parametrize("to", ["kubernetes", "knative", "triton"])
def test_another_name_in_the_files_is_told_once(to: str) -> None:
    """Not where it is the scenario's, or was given; Triton finds a model by the name of its folder."""
    named = load_scenario({**content(), "name": "My Model_1"})
    told = [note for note in export(named, to).notes if "my-model-1" in note]
    folder = ["The folder of the model must be called my-model-1, as `name` says."] if to == "triton" else []
    assert told == ["name is My Model_1: the files have my-model-1, and --name says another.", *folder]
    assert not [note for note in export(named, to, Names(name="shop")).notes if "--name" in note]
    assert not [note for note in export(scenario(), to).notes if "name" in note]


def test_name_of_a_scenario_cannot_leave_the_comment() -> None:
    """It may hold line ends."""
    given_scenario = load_scenario({**content(), "name": "a\nb: c"})
    (text,) = export(given_scenario, "triton").files.values()
    assert text.splitlines()[0].startswith("# Written by servecast export --to triton from a b: c (")
    assert 'name: "a-b-c"' in text


def test_fits_are_told_with_their_reasons() -> None:
    """What does not fit says the key."""
    fits = {fit.format.name: fit for fit in fitting(scenario())}
    assert list(fits) == ALL
    fitted = [name for name, fit in fits.items() if fit.exported is not None]
    assert fitted == ["kubernetes", "knative", "triton", "tf-serving"]
    assert fits["torchserve"].refusal.startswith("batching.timer_origin is enqueue, and TorchServe has collect there: ")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("k8s", "kubernetes"),
        ("HPA", "kubernetes"),
        ("kubernets", "kubernetes"),
        ("argo_rollout", "argo-rollouts"),
        ("ray", "ray-serve"),
        ("tensorflow-serving", "tf-serving"),
        ("nomad", None),
    ],
)
def test_usual_name_of_a_system_suggests_its_format(said: str, meant: str | None) -> None:
    """People say k8s and hpa, which are like no format's name."""
    assert close_format(said) == meant


def test_unknown_format_and_useless_names_are_bad_input() -> None:
    """One sentence each."""
    with pytest.raises(ScenarioError, match=r"^to must be kubernetes, .* or tf-serving\. Got nomad\.$"):
        export(scenario(), "nomad")
    with pytest.raises(ScenarioError, match=r"^image stands in files of kubernetes, .* only, and in none of triton\.$"):
        export(scenario(), "triton", Names(image="x"))
