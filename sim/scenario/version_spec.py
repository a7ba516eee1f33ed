"""How a scenario writes its versions, who gets which, and the rollout from one to another.

Ranges of rules are rejected in policy/rollout_settings.py; what versions must be among themselves is checked in
sim/scenario/versions.py.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from policy.rollout import LIMITS_MAX, SHARE_ONE, STEPS_MAX, Against, Counted, FailureScope, Metric, NoData
from policy.rollout_settings import (
    RATIO_MAX,
    VERSION_NAME,
    VERSION_NAME_ALLOWED,
    AnalysisSettings,
    LimitSettings,
    RolloutSettings,
    StepSettings,
)
from policy.settings import COUNT_MAX
from policy.versions import WEIGHT_ONE
from sim.scenario.fields import (
    Count,
    Duration,
    Kind,
    OrNone,
    PolicyTime,
    PositivePolicyTime,
    Section,
    Share,
    count_up_to,
    name_of,
    parts,
    ratio,
    written,
)
from sim.scenario.fleet_spec import Fleet
from sim.scenario.model_spec import Model
from sim.scenario.rollout_systems_spec import ArgoRollouts, Flagger, KServe

__all__ = ["Analysis", "Rollout", "RolloutLimit", "RolloutStep", "Split", "Version"]


def _version_name(name: str) -> str:
    """Raise ValueError for what cannot stand in a path or a header."""
    if not re.fullmatch(VERSION_NAME, name):
        raise ValueError(f"must be {VERSION_NAME_ALLOWED}")
    return name


_NAME_SCHEMA = {"type": "string", "pattern": f"^{VERSION_NAME}$"}
_NAME_KIND = Kind("text", VERSION_NAME_ALLOWED, _NAME_SCHEMA, None, _version_name)
_FEW = count_up_to(COUNT_MAX, 0)


class Version(Section):
    """One version of the model. It never changes once it is loaded: what changes is who gets it."""

    name: Annotated[str, _NAME_KIND] = Field(description="By which reports, headers and metrics know it.")
    role: Literal["stable", "canary", "arm", "shadow"] | None = Field(
        None,
        description=(
            "stable: takes what the others leave; one version is. canary: the one that `rollout` is about. arm: has a "
            "weight that nothing changes. shadow: gets copies, and its answers go nowhere. Default: the first is "
            "stable if no other is, all others are arms."
        ),
    )
    weight: Share | None = Field(
        None, description="Share of the requests that it takes. Default: of stable what the others leave, else 0%."
    )
    copies: Share | None = Field(
        None, description="Share of the requests of which it gets a copy. Default: of a shadow 100%, else 0%."
    )
    pinned: Share = written("0%", "Share of the requests that name this version, whatever its weight.")
    error_rate: Share = written("0%", "Share of the requests on which it fails (500).")
    success_rate: Share | None = Field(
        None,
        description=(
            "Share of its answers that are followed by what an A/B test is about, for example a purchase. Default: "
            "nothing is tested."
        ),
    )
    loaded: bool = Field(
        True, description="Whether its replicas are there from the start, or when a rollout or an operator starts them."
    )
    model: Model | None = Field(None, description="What a pass of it costs. Default: as `model`.")
    fleet: Fleet | None = Field(
        None,
        description="What serves it, a pool of its own, of which nothing holds that `fleet` says. Default: as `fleet`.",
    )


class Split(Section):
    """Whether a user stays with the version that he had."""

    users: Annotated[Count | None, OrNone] = Field(
        None, description="Users who send the requests, each always to the same version. Default: a die for a request."
    )
    salt: Annotated[int, count_up_to(2**63 - 1, 0)] = Field(
        0, description="Of the users' keys: with another salt other users are the canary's first."
    )


class RolloutStep(Section):
    """One step: over when its pause has passed and its analysis, if it has one, has succeeded."""

    weight: Share = Field(description="The canary's share of the requests.")
    pause: Annotated[PolicyTime | None, OrNone] = written(
        "0s", "How long it lasts. none: until it is promoted by hand."
    )
    analysis: bool = Field(False, description="Whether `analysis` must succeed before the next step.")
    copies: Share = written("0%", "Share of the requests of which the canary gets a copy besides.")

    def settings(self, key: str) -> StepSettings:
        """Return it as policy.rollout_settings.rollout_rule takes it; `key` is where it stands. Raises SettingError."""
        return {
            "weight": parts(f"{key}.weight", self.weight, WEIGHT_ONE),
            "shadow": parts(f"{key}.copies", self.copies, WEIGHT_ONE),
            "pause_ns": self.pause,
            "analysis": self.analysis,
        }


class RolloutLimit(Section):
    """One limit: a check is good up to and with `pass_most`, bad beyond `fail_over`, between them neither."""

    metric: Annotated[str, name_of(Metric)] = Field(
        description=(
            "failed: of answered and failed requests those that failed. slow: of answered ones those over slow_over."
        )
    )
    against: Annotated[str, name_of(Against)] = Field(
        "nothing",
        description=(
            "nothing: the canary's share itself. stable_difference: its excess over the stable version's. "
            "stable_ratio: its multiple of that one's."
        ),
    )
    pass_most: Annotated[float, ratio(0, RATIO_MAX / SHARE_ONE)] = Field(description="The most that is good.")
    fail_over: Annotated[float | None, ratio(0, RATIO_MAX / SHARE_ONE)] = Field(
        None, description="More than this is bad. Default: more than pass_most."
    )

    def settings(self, key: str) -> LimitSettings:
        """Return it as policy.rollout_settings.rollout_rule takes it; `key` is where it stands. Raises SettingError."""
        settings: LimitSettings = {
            "metric": self.metric,
            "against": self.against,
            "pass_most": parts(f"{key}.pass_most", self.pass_most, SHARE_ONE),
        }
        if self.fail_over is not None:
            settings["fail_over"] = parts(f"{key}.fail_over", self.fail_over, SHARE_ONE)
        return settings


class Analysis(Section):
    """How a step with analysis is checked: every check looks at what was counted since the last one."""

    limits: Annotated[tuple[RolloutLimit, ...], Field(min_length=1, max_length=LIMITS_MAX)] = Field(
        description="All of them must be kept."
    )
    interval: PositivePolicyTime = Field(description="Between two checks.")
    initial_delay: PositivePolicyTime | None = Field(
        None, description="From the begin of a step to its first check. Default: one interval."
    )
    count: Annotated[int, _FEW] = Field(1, description="Checks of a step. 0: as many as its pause has room for.")
    counted: Annotated[str, name_of(Counted)] = Field(
        "good", description="Which checks count towards `count`: good, so that a bad one holds the step up; or all."
    )
    failure_limit: Annotated[int, _FEW] = Field(0, description="Bad checks that are let pass; one more rolls back.")
    failure_scope: Annotated[str, name_of(FailureScope)] = Field(
        "rollout", description="Over what bad checks add up: rollout, step, or consecutive (a good one ends the row)."
    )
    inconclusive_limit: Annotated[int, _FEW] = Field(0, description="Checks that may be neither good nor bad.")
    samples_min: Count = Field(1, description="Requests of the canary below which a check has too few.")
    no_data: Annotated[str, name_of(NoData)] = Field(
        "hold", description="What a check with too few is: fail, pass, or hold (the next one sees its requests too)."
    )
    no_data_limit: Annotated[Annotated[int, _FEW] | None, OrNone] = Field(
        None, description="Checks in a row that may be held for too few; one more rolls back. Default: any number."
    )
    no_data_interval: PositivePolicyTime | None = Field(
        None, description="From a check held for too few to the next. Default: one interval."
    )
    roll_back_delay: PolicyTime = written("0s", "From the bad check that is too many to the rollback.")

    def settings(self) -> AnalysisSettings:
        """Return it as policy.rollout_settings.rollout_rule takes it."""
        return {
            "limits": [limit.settings(f"rollout.analysis.limits.{index}") for index, limit in enumerate(self.limits)],
            "interval_ns": self.interval,
            "initial_delay_ns": self.initial_delay,
            "count": self.count,
            "counted": self.counted,
            "failure_limit": self.failure_limit,
            "failure_scope": self.failure_scope,
            "inconclusive_limit": self.inconclusive_limit,
            "samples_min": self.samples_min,
            "no_data": self.no_data,
            "no_data_limit": self.no_data_limit,
            "no_data_interval_ns": self.no_data_interval,
            "roll_back_delay_ns": self.roll_back_delay,
        }


SYSTEMS: Final = ("argo", "flagger", "kserve")
"""The keys under which a rollout stands in the words of another system."""


class Rollout(Section):
    """How the canary gets more and more, and when it is rolled back."""

    start: Annotated[Duration | None, OrNone] = written(
        "0s",
        "When it begins, from the begin of the measured time; a server is told to by `servecast rollout start`. "
        "none: not at all.",
    )
    steps: Annotated[tuple[RolloutStep, ...], Field(max_length=STEPS_MAX)] = Field(
        (), description="Behind the last one it is promoted. Without any it gets all at once."
    )
    analysis: Analysis | None = Field(None, description="How steps with analysis are checked.")
    slow_over: Annotated[PositivePolicyTime | None, OrNone] = Field(
        None, description="The time in the server beyond which an answer is slow. Needed for a limit on slow ones."
    )
    refusals_fail: bool = Field(True, description="Whether a refusal counts as failed.")
    ready_share: Share = written("100%", "Share of the wanted replicas of either version that must be ready.")
    ready_deadline: Annotated[PositivePolicyTime | None, OrNone] = Field(
        None, description="For the canary's replicas to become ready; then it is rolled back. Default: no limit."
    )
    argo: ArgoRollouts | None = Field(None, description="All of this as Argo Rollouts has it, in its words.")
    flagger: Flagger | None = Field(None, description="All of this as Flagger has it, in its words.")
    kserve: KServe | None = Field(None, description="All of this as KServe has it, in its words.")

    @model_validator(mode="after")
    def _one_way(self) -> Rollout:
        system = self.system
        others = self.model_fields_set - {"start", system}
        if system is not None and others:
            raise ValueError(f"must have either {system} or {min(others)}.")
        return self

    @property
    def system(self) -> str | None:
        """The key of the system in whose words it is written, None for our own."""
        return next((name for name in SYSTEMS if getattr(self, name) is not None), None)

    def settings(self) -> RolloutSettings:
        """Return it as policy.rollout_settings.rollout_rule takes it. Raises SettingError."""
        for system in (self.argo, self.flagger, self.kserve):
            if system is not None:
                return system.settings()
        return {
            "steps": [step.settings(f"rollout.steps.{index}") for index, step in enumerate(self.steps)],
            "analysis": None if self.analysis is None else self.analysis.settings(),
            "slow_over_ns": self.slow_over,
            "refusals_fail": self.refusals_fail,
            "ready_share": parts("rollout.ready_share", self.ready_share, WEIGHT_ONE),
            "ready_deadline_ns": self.ready_deadline,
        }
