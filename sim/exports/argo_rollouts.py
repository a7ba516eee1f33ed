"""Argo Rollouts: a Rollout with the steps of a canary, and the AnalysisTemplate that checks it.

A setWeight is done at once, so a step of a rollout is one and what follows it. Weights need a router: Istio stands
here, and its own metrics are what the analysis asks for.
"""

from __future__ import annotations

from typing import Any, Final

from policy.autoscaling_rule import Formula
from policy.instant import NEVER_NS
from policy.rollout import SHARE_ONE, Against, Counted, FailureScope, Metric, NoData, RolloutRule
from policy.settings import COUNT_MAX
from policy.versions import WEIGHT_ONE
from sim.exports.kubernetes import note_what_no_pod_says, pod_template
from sim.exports.names import Image, Names
from sim.exports.stated import stated_of_fleet, stated_of_others, stated_of_versions
from sim.exports.telling import Draft, Telling
from sim.exports.texts import number, prometheus_span, yaml_text
from sim.scenario.rules import serving_rules
from sim.scenario.spec import Scenario
from sim.scenario.units import write_go_duration
from sim.scenario.versions import each_version, version_rules

__all__ = ["write"]

_S: Final = 10**9
_MIRROR: Final = "mirror"
_ERROR_RETRY_NS: Final = 10 * _S
"""From a measurement of Argo's without a result to the next one."""

_WITHOUT_ROLLOUT: Final = (
    "no --set alone helps, since it takes versions, of which one has the role canary, and a rollout (servecast "
    "example canary prints one)"
)

_TOO_MUCH: Final = "1e6"
"""What no limit lets pass."""


def write(scenario: Scenario, names: Names) -> Draft:
    """Return argo-rollouts.yaml. Raises DoesNotFit without a rollout, ScenarioError for a name."""
    rules = version_rules(scenario)
    stable, canary = rules.weights.stable, rules.weights.canary
    others = {**stated_of_versions(scenario), **stated_of_others(scenario, stable, canary)}
    telling = Telling("Argo Rollouts", {**stated_of_fleet(scenario, stable), **others})
    if rules.rollout is None:
        telling.refuse("rollout", "Argo Rollouts leads one", hint=_WITHOUT_ROLLOUT)
    of_canary = Telling("Argo Rollouts", stated_of_fleet(scenario, canary))
    name, alone, images = names.of(scenario), each_version(scenario), names.images(scenario)
    scaled = serving_rules(alone[stable]).autoscaler
    telling.say("fleet.replicas", f"versions.{canary}")
    if scaled.formula != Formula.FIXED:
        telling.remark("The HPA of --to kubernetes scales a Rollout too: scaleTargetRef argoproj.io/v1alpha1, Rollout.")
    rollout = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": alone[stable].fleet.replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": pod_template(name, scaled, images[stable]),
            **_deadline(rules.rollout, telling),
            "strategy": {"canary": _canary(name, rules.rollout, alone[canary].fleet.replicas, telling)},
        },
    }
    of_canary.say("fleet.replicas")
    for account in (telling, of_canary):
        note_what_no_pod_says(scaled, account, images[stable])
    _note_the_image(name, images[canary], images[stable].version, telling)
    documents = [rollout]
    if any(rules.rollout.step_analysis):
        documents.append(_template(name, rules.rollout, names, telling))
    telling.remark(
        f"Services {name}-stable and {name}-canary and the VirtualService {name} of Istio have to be there; another "
        "router takes the place of trafficRouting.istio, and its metrics that of istio_*."
    )
    telling.note("Argo Rollouts deals out requests: what keeps a user with a version is the router's", "split.users")
    return telling.draft({"argo-rollouts.yaml": yaml_text(*documents)}, of_canary)


def _note_the_image(name: str, image: Image, stable: str, telling: Telling) -> None:
    """Tell that the Rollout has one image, and that the canary's is what begins its steps."""
    telling.remark(
        f"The Rollout has the image of {stable}. Once its pods are up, `kubectl argo rollouts set image {name} "
        f"server={image.given or 'IMAGE'}` begins the steps with {image.version}, which needs an image of its own"
        f"{'' if image.given else f' (--image {image.version}=IMAGE)'}."
    )


def _deadline(rule: RolloutRule, telling: Telling) -> dict[str, Any]:
    """Return for how long the canary's pods may take to be ready."""
    if rule.ready_deadline_ns == NEVER_NS:
        return {}
    deadline_s = telling.whole("rollout.ready_deadline", rule.ready_deadline_ns, "s", _S, 1)
    return {"progressDeadlineSeconds": deadline_s, "progressDeadlineAbort": True}


def _canary(name: str, rule: RolloutRule, replicas: int, telling: Telling) -> dict[str, Any]:
    """Return strategy.canary; the canary keeps the replicas that it has in the forecast until it is promoted."""
    routing: dict[str, Any] = {"istio": {"virtualService": {"name": name}}}
    if any(rule.step_shadow):
        routing = {"managedRoutes": [{"name": _MIRROR}], **routing}
    strategy: dict[str, Any] = {
        "stableService": f"{name}-stable",
        "canaryService": f"{name}-canary",
        "trafficRouting": routing,
    }
    if rule.ready_share < WEIGHT_ONE:
        percent = telling.whole_percent("rollout.ready_share", rule.ready_share)
        strategy["replicaProgressThreshold"] = {"type": "Percent", "value": percent}
    telling.say("rollout.ready_share", "rollout.steps", "rollout.steps.copies")
    steps, first_analysed = _steps(name, rule, telling)
    if rule.check_count == 0 and first_analysed is not None:
        analysis = {"templates": [{"templateName": name}], "startingStep": first_analysed + 1}
        strategy["analysis"] = analysis
    strategy["steps"] = [{"setCanaryScale": {"replicas": replicas}}, *steps]
    telling.remark(f"Until it is promoted the canary keeps its own fleet.replicas ({replicas}), by setCanaryScale.")
    return strategy


def _steps(name: str, rule: RolloutRule, telling: Telling) -> tuple[list[dict[str, Any]], int | None]:
    """Return the steps, and the place of the first one that is checked in the background."""
    steps: list[dict[str, Any]] = []
    weight, shadow, first = 0, 0, None
    for place in range(rule.step_count):
        key = f"rollout.steps.{place}"
        if rule.step_shadow[place] != shadow:
            shadow = rule.step_shadow[place]
            steps.append({"setMirrorRoute": _mirror(key, shadow, telling)})
        if rule.step_weight[place] != weight or place == 0:
            weight = rule.step_weight[place]
            steps.append({"setWeight": telling.whole_percent(f"{key}.weight", weight)})
        pause_ns, is_checked = rule.step_pause_ns[place], rule.step_analysis[place] == 1
        if is_checked and rule.check_count == 0:
            first = len(steps) if first is None else first
        elif first is not None and pause_ns > 0:
            checked = {
                f"rollout.steps.{later}.analysis": "true"
                for later in range(place, rule.step_count)
                if not rule.step_analysis[later]
            }
            why = "an analysis in the background goes on from its first step to the last"
            telling.refuse("rollout.steps", why, checked)
        if is_checked and rule.check_count > 0:
            steps.append({"analysis": {"templates": [{"templateName": name}]}})
            if pause_ns != NEVER_NS:
                # A pause begins with the checks: what of it is left when they are over still has to pass.
                pause_ns = max(pause_ns - rule.initial_delay_ns - (rule.check_count - 1) * rule.interval_ns, 0)
        if pause_ns == NEVER_NS:
            steps.append({"pause": {}})
        elif pause_ns > 0:
            steps.append({"pause": {"duration": f"{telling.whole(f'{key}.pause', pause_ns, 's', _S, 1)}s"}})
    return steps, first


def _mirror(key: str, shadow: int, telling: Telling) -> dict[str, Any]:
    """Return the route of copies; one without a match is taken away."""
    if shadow == 0:
        return {"name": _MIRROR}
    percent = telling.whole_percent(f"{key}.copies", shadow)
    return {"name": _MIRROR, "percentage": percent, "match": [{"path": {"prefix": "/"}}]}


def _template(name: str, rule: RolloutRule, names: Names, telling: Telling) -> dict[str, Any]:
    """Return the AnalysisTemplate: a metric for each limit, all else alike."""
    common: dict[str, Any] = {
        "interval": write_go_duration(rule.interval_ns),
        "initialDelay": write_go_duration(rule.initial_delay_ns),
        **({"count": rule.check_count} if rule.check_count > 0 else {}),
        "failureLimit": rule.failure_limit,
        "inconclusiveLimit": rule.inconclusive_limit,
    }
    a = "rollout.analysis"
    keys = ("interval", "initial_delay", "count", "failure_limit", "inconclusive_limit", "samples_min", "no_data")
    telling.say("rollout.slow_over", "rollout.refusals_fail", *(f"{a}.{key}" for key in keys))
    if rule.no_data == NoData.HOLD:
        common["consecutiveErrorLimit"] = COUNT_MAX if rule.no_data_limit < 0 else rule.no_data_limit
        telling.say(f"{a}.no_data_limit")
        if rule.no_data_interval_ns == _ERROR_RETRY_NS:
            telling.say(f"{a}.no_data_interval")
        telling.note("Argo Rollouts asks again after 10s", f"{a}.no_data_interval")
    _note_the_rest(rule, telling)
    address = names.prometheus_address()
    metrics = []
    for place in range(rule.limit_count):
        query, said = _limit(name, rule, place, telling)
        provider = {"prometheus": {"address": address, "query": query}}
        metrics.append({**said, **common, "provider": provider})
    metadata = {"name": name, "labels": {"app": name}}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": metadata,
        "spec": {"metrics": metrics},
    }


def _note_the_rest(rule: RolloutRule, telling: Telling) -> None:
    """Tell how Argo Rollouts counts otherwise."""
    a = "rollout.analysis"
    if rule.counted == Counted.ALL:
        telling.say(f"{a}.counted")
    telling.note("Argo Rollouts counts every check, a bad one too (all)", f"{a}.counted")
    scope = FailureScope.ROLLOUT if rule.check_count == 0 else FailureScope.STEP
    if rule.failure_scope == scope or (sum(rule.step_analysis) == 1 and rule.failure_scope != FailureScope.CONSECUTIVE):
        telling.say(f"{a}.failure_scope")
    telling.note(f"Argo Rollouts adds bad checks up over the {scope.name.lower()} here", f"{a}.failure_scope")
    telling.note("Argo Rollouts rolls back at once", f"{a}.roll_back_delay")
    if rule.limit_count > 1 and rule.failure_limit > 0:
        telling.remark("Argo Rollouts counts bad checks of each metric by itself, not those of all together.")


def _limit(name: str, rule: RolloutRule, place: int, telling: Telling) -> tuple[str, dict[str, str]]:
    """Return the query of one limit, and its name and conditions."""
    key = f"rollout.analysis.limits.{place}"
    good, bad = rule.limit_pass[place] / SHARE_ONE, rule.limit_fail[place] / SHARE_ONE
    telling.say(key)
    if rule.limit_metric[place] == Metric.SLOW:
        telling.note("a quantile of the canary is held against a time alone", f"{key}.against")
        telling.note("a quantile is good up to slow_over, and bad beyond it", f"{key}.fail_over")
        percent = number(round(100.0 * (1.0 - good), 4))
        said = {"name": f"latency-p{percent}", "successCondition": f"result[0] <= {number(rule.slow_over_ns / _S)}"}
        return _with_too_few(_quantile(name, rule, 1.0 - good), rule, "Inf"), said
    telling.say(f"{key}.against", f"{key}.fail_over")
    against = Against(rule.limit_against[place])
    said = {"name": "error-rate", "successCondition": f"result[0] <= {number(good)}"}
    if good != bad:
        said["failureCondition"] = f"result[0] > {number(bad)}"
    share = _error_share(f"{name}-canary", rule)
    if against == Against.STABLE_DIFFERENCE:
        share = f"{share} - {_error_share(f'{name}-stable', rule)}"
    elif against == Against.STABLE_RATIO:
        share = _multiple(share, _error_share(f"{name}-stable", rule))
    return _with_too_few(share, rule, _TOO_MUCH), said


def _error_share(service: str, rule: RolloutRule) -> str:
    """Return the share of bad answers of a service since the last check; nothing where there were too few."""
    codes = "5..|429" if rule.refusals_fail else "5.."
    every = f'istio_requests_total{{reporter="source",destination_service_name="{service}"}}'
    failed = every.replace("}", f',response_code=~"{codes}"}}')
    span = _span(rule)
    return f"(sum(increase({failed}[{span}])) or vector(0)) / (sum(increase({every}[{span}])) >= {rule.samples_min})"


def _multiple(share: str, of_stable: str) -> str:
    """Return a share over the stable version's; while that one is 0, any share is too much, and none is good."""
    return f"({share}) / (({of_stable}) > 0) or (({share}) > bool 0) * {_TOO_MUCH} and on() ({of_stable})"


def _quantile(name: str, rule: RolloutRule, quantile: float) -> str:
    """Return a quantile of the canary's latency since the last check, in seconds; nothing where there were too few."""
    labels = f'{{reporter="source",destination_service_name="{name}-canary"}}'
    span = _span(rule)
    buckets = f"sum by (le) (increase(istio_request_duration_milliseconds_bucket{labels}[{span}]))"
    enough = f"(sum(increase(istio_requests_total{labels}[{span}])) >= {rule.samples_min})"
    return f"histogram_quantile({number(round(quantile, 6))}, {buckets}) / 1000 and on() {enough}"


def _with_too_few(query: str, rule: RolloutRule, worst: str) -> str:
    """Return the query with what stands for too few requests: nothing, which is an error, or the best or the worst."""
    if rule.no_data == NoData.HOLD:
        return query
    return f"({query}) or vector({'0' if rule.no_data == NoData.PASS else worst})"


def _span(rule: RolloutRule) -> str:
    """Return the time between two checks as Prometheus writes it."""
    return prometheus_span(max(round(rule.interval_ns / 10**6), 1))
