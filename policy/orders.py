"""What an operator may order of versions while a server runs, and what is refused and why.

Orders are taken one at a time, each seeing what the one before has done. Versions are never overwritten: one is
deployed, gets a weight, loses it, is retired. While a rollout is under way the weights of its two versions are its own.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from policy.rollout import Command, Phase
from policy.versions import WEIGHT_ONE

__all__ = ["Order", "OrderKind", "OrderView", "Refusal", "deploys", "refusal"]


class OrderKind(IntEnum):
    """What is ordered."""

    ROLLOUT = 0  # a Command to the rollout, `value`
    WEIGHT = 1  # of a version, `value` in parts of WEIGHT_ONE; the stable one gives or has back what that changes
    SHADOW = 2  # share of requests of which a version gets a copy, `value` in parts of WEIGHT_ONE
    DEPLOY = 3  # start the replicas of a version
    RETIRE = 4  # drain and end them


class Refusal(IntEnum):
    """Why an order is refused."""

    NONE = 0
    UNKNOWN_VERSION = 1
    NO_ROLLOUT = 2  # there are no settings of one
    NOTHING_TO_ACT_ON = 3  # the rollout is not where this command would do anything
    UNDER_WAY = 4  # a rollout is, and the version is one of its two
    STABLE = 5  # the stable version has what the others leave
    TOO_MUCH = 6  # more than this version and the stable one have together, or than all
    NOT_LOADED = 7
    LOADED = 8
    IN_USE = 9  # it has a weight, gets copies, or requests wait for it


class Order(NamedTuple):
    """One order."""

    kind: int  # OrderKind
    version: int  # UNSET for a command to the rollout
    value: int  # 0 where there is none


class OrderView(NamedTuple):
    """What is looked at for an order; `weight` to `held` are of the version that it names, 0 where it names none."""

    versions: int  # how many there are
    stable: int
    canary: int  # UNSET: none
    has_rollout: bool
    phase: int  # of the rollout, a Phase
    canary_loaded: bool
    stable_loaded: bool
    stable_weight: int
    weight: int
    shadow: int
    loaded: bool
    held: int  # requests in front of its fleet


def refusal(view: OrderView, order: Order) -> Refusal:
    """Return why an order is refused, Refusal.NONE if it is not.

    Whether a command to the rollout has anything to act on is the rollout's to say (policy.rollout.command).
    """
    if order.kind == OrderKind.ROLLOUT:
        return _of_command(view)
    if not 0 <= order.version < view.versions:
        return Refusal.UNKNOWN_VERSION
    is_under_way = view.phase in (Phase.PROGRESSING, Phase.PAUSED, Phase.CONDEMNED)
    if is_under_way and order.version in (view.stable, view.canary):
        return Refusal.UNDER_WAY
    if order.kind == OrderKind.DEPLOY:
        return Refusal.LOADED if view.loaded else Refusal.NONE
    if not view.loaded:
        return Refusal.NOT_LOADED
    if order.kind == OrderKind.RETIRE:
        return Refusal.IN_USE if view.weight > 0 or view.shadow > 0 or view.held > 0 else Refusal.NONE
    if order.version == view.stable:
        return Refusal.STABLE
    if order.kind == OrderKind.SHADOW:
        return Refusal.NONE if 0 <= order.value <= WEIGHT_ONE else Refusal.TOO_MUCH
    return _of_weight(view, order.value)


def deploys(view: OrderView, order: Order) -> bool:
    """Return whether a command that is carried out starts the canary's replicas: a rollout begins with them."""
    begins = order.value == Command.START or order.value == Command.RETRY
    return order.kind == OrderKind.ROLLOUT and begins and not view.canary_loaded


def _of_command(view: OrderView) -> Refusal:
    if not view.has_rollout:
        return Refusal.NO_ROLLOUT
    return Refusal.NONE if view.stable_loaded else Refusal.NOT_LOADED


def _of_weight(view: OrderView, weight: int) -> Refusal:
    if not 0 <= weight <= view.weight + view.stable_weight:
        return Refusal.TOO_MUCH
    # What it gives back needs somebody to take it.
    return Refusal.NONE if weight >= view.weight or view.stable_loaded else Refusal.NOT_LOADED
