"""What an operator orders, read strictly, and the one sentence of each refusal of policy/orders.py."""

from __future__ import annotations

from collections.abc import Sequence

from policy.instant import UNSET
from policy.orders import Order, OrderKind, Refusal
from policy.rollout import Action, Command, Phase, RolloutRule, RolloutState, command
from policy.versions import WEIGHT_ONE
from reference_server.errors import BadRequest
from reference_server.replica_pool import ReplicaPool
from reference_server.request_text import parse_object
from reference_server.version_shares import VersionShares

__all__ = ["NO_ROLLOUT", "allowed_commands", "parse_command", "parse_version_order", "sentence_of"]

NO_ROLLOUT = "This server was started without a rollout; weights are set version by version."

_PHASES = {
    Phase.IDLE: "is idle",
    Phase.PROGRESSING: "is progressing",
    Phase.PAUSED: "is paused",
    Phase.CONDEMNED: "is about to be rolled back",
    Phase.PROMOTED: "is promoted",
    Phase.ROLLED_BACK: "is rolled back",
}
_COMMANDS = {each.name.lower(): each for each in Command}
_SHARES = {"weight": OrderKind.WEIGHT, "shadow": OrderKind.SHADOW}
_EXACT = 1e-9  # how far a share may be from a whole part of WEIGHT_ONE: no further than a float's rounding


def parse_version_order(body: bytes, version: int) -> Order:
    """Return the order on a version, UNSET for one that is not known. Raises BadRequest."""
    fields = parse_object(body)
    if len(fields) != 1 or next(iter(fields)) not in (*_SHARES, "loaded"):
        raise BadRequest('The body must be one of {"weight": 0.1}, {"shadow": 0.1}, {"loaded": true}.')
    ((what, value),) = fields.items()
    if what != "loaded":
        return Order(_SHARES[what], version, _parts(what, value))
    if not isinstance(value, bool):
        raise BadRequest("loaded must be true or false.")
    return Order(OrderKind.DEPLOY if value else OrderKind.RETIRE, version, 0)


def parse_command(body: bytes) -> Command:
    """Return a command to the rollout. Raises BadRequest."""
    fields = parse_object(body)
    said = fields.get("command")
    if len(fields) != 1 or not isinstance(said, str) or said not in _COMMANDS:
        raise BadRequest(f'The body must be {{"command": NAME}} with one of the names {", ".join(_COMMANDS)}.')
    return _COMMANDS[said]


def _parts(what: str, share: object) -> int:
    """Return a share of 1 in parts of WEIGHT_ONE."""
    if isinstance(share, (int, float)) and not isinstance(share, bool) and 0 <= share <= 1:
        parts = round(share * WEIGHT_ONE)
        if abs(share * WEIGHT_ONE - parts) < _EXACT * WEIGHT_ONE:
            return parts
    raise BadRequest(f"{what} must be a share from 0 to 1 in steps of {1 / WEIGHT_ONE:g}.")


def allowed_commands(rule: RolloutRule, state: RolloutState) -> list[str]:
    """Return the names of the commands that have something to act on."""
    # Whether a command is refused does not depend on the moment.
    return [name for name, said in _COMMANDS.items() if command(rule, state, said, 0)[1].action != Action.REFUSE]


def sentence_of(
    refusal: Refusal, order: Order, names: Sequence[str], shares: VersionShares, pools: Sequence[ReplicaPool]
) -> str:
    """Return why an order was refused and what would be allowed."""
    weights = shares.weights
    stable, named = names[weights.stable], "" if order.version == UNSET else names[order.version]
    match refusal:
        case Refusal.UNKNOWN_VERSION:
            return f"There is no such version; this server has {', '.join(names)}."
        case Refusal.NO_ROLLOUT:
            return NO_ROLLOUT
        case Refusal.NOTHING_TO_ACT_ON:
            assert shares.rule is not None
            said, phase = Command(order.value).name.lower(), _PHASES[Phase(shares.rollout.phase)]
            allowed = " or ".join(allowed_commands(shares.rule, shares.rollout))
            return f"The rollout {phase}, so there is nothing to {said}" + (
                f"; it takes {allowed}." if allowed else "."
            )
        case Refusal.UNDER_WAY:
            assert shares.rule is not None
            canary, now = names[weights.canary], allowed_commands(shares.rule, shares.rollout)
            ends = " or ".join(name for name in ("promote_full", "abort") if name in now)
            return f"A rollout is under way and has the say over {stable} and {canary}: end it by {ends}."
        case Refusal.STABLE:
            return f"{stable} is the stable version, which has what the others leave: give another version its share."
        case Refusal.TOO_MUCH:
            most = (shares.of(order.version)[0] + shares.of(weights.stable)[0]) / WEIGHT_ONE
            return f"{named} can have {most:g} at most: what it and {stable}, the stable version, have together."
        case Refusal.NOT_LOADED:
            is_named = order.version != UNSET and not pools[order.version].loaded
            absent = named if is_named else stable
            return f"{absent} is not loaded" + (
                "." if order.kind == OrderKind.RETIRE else f': deploy {absent} first, by {{"loaded": true}}.'
            )
        case Refusal.LOADED:
            return f"{named} is loaded already."
        case Refusal.IN_USE:
            return f"{named} is in use, {_use(order.version, shares, pools)}: free it of that, then retire it."
        case Refusal.NONE:
            raise ValueError("an order that was carried out has no sentence")


def _use(version: int, shares: VersionShares, pools: Sequence[ReplicaPool]) -> str:
    """Return what a version is in use for."""
    weight, shadow = (share / WEIGHT_ONE for share in shares.of(version))
    uses = [f"a weight of {weight:g}"] * (weight > 0) + [f"copies of {shadow:g} of the requests"] * (shadow > 0)
    uses += ["requests that wait for its replicas"] * (pools[version].held > 0)
    return "with " + " and ".join(uses)
