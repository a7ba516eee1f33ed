"""What a server's versions and its rollout do, who ordered what, and what outcome reports say, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from servecast.ab_test import Arm, Comparison
from sim.report.units import new_table, quantity

__all__ = ["answer_of", "log_report", "outcomes_report", "status_report"]

_MOVES = 5
"""Moves that are shown; --json has all that the server tells."""

_CAUSES = {
    "command": "somebody said abort",
    "failure_limit": "more checks failed than may",
    "no_data": "too many checks in a row had no request to look at",
    "not_ready": "its replicas were not ready in time",
}
"""Why a rollout is rolled back."""

Told = Mapping[str, Any]


def status_report(versions: Sequence[Told], rollout: Told | None) -> RenderableType:
    """Return the answer, the versions, and of a rollout what its checks have seen and what it did last."""
    parts: list[RenderableType] = [Text(answer_of(versions, rollout), style="bold"), "", _versions_table(versions)]
    if rollout is not None and rollout["phase"] == "progressing":
        parts += ["", _counted_table(rollout)]
    if rollout is not None and rollout["moves"]:
        parts += ["", _moves_table(rollout["moves"][-_MOVES:])]
    return Group(*parts)


def answer_of(versions: Sequence[Told], rollout: Told | None) -> str:
    """Return where things stand in one sentence."""
    if rollout is None:
        weights = ", ".join(f"{each['name']} {_share(each['weight'])}" for each in versions)
        return f"There is no rollout; the weights are {weights}."
    canary, phase = rollout["canary"], rollout["phase"]
    (weight,) = (each["weight"] for each in versions if each["name"] == canary)
    at = f"at step {rollout['step'] + 1} of {rollout['steps']}, with {_share(weight)} of the requests"
    match phase:
        case "idle":
            return f"The rollout of {canary} has not been started."
        case "promoted":
            return f"{canary} is promoted: it has all that it shares with {rollout['stable']}."
        case "rolled_back":
            return f"The rollout of {canary} was rolled back at step {rollout['step'] + 1}: {_why(rollout)}."
        case "condemned":
            return f"The rollout of {canary} has failed and is rolled back soon; it is {at}."
        case "progressing" if rollout["step_since"] is None:
            return f"The rollout of {canary} waits for replicas; it is {at}."
    return f"The rollout of {canary} is {phase}: {at}."


def log_report(orders: Sequence[Told]) -> RenderableType:
    """Return the latest orders, the oldest first: when, what, from what to what, by whom, and why it was refused."""
    refused = sum(order["refused"] is not None for order in orders)
    answer = (
        f"{len(orders)} orders are remembered, of which {refused} were refused."
        if orders
        else "Nobody has ordered anything."
    )
    if not orders:
        return Text(answer, style="bold")
    table = new_table("when (UTC)", "what", "from", "to", "by", "refused", words=6)
    for order in orders:
        states = (_state(order["from"]), _state(order["to"]))
        table.add_row(_moment(order["when"]), order["what"], *states, order["by"], order["refused"] or "")
    return Group(Text(answer, style="bold"), "", table)


def _moment(told: str) -> str:
    """Return a moment of the server, ISO 8601 in UTC, so that it can be wrapped."""
    return told.removesuffix("+00:00").replace("T", " ")


def _state(told: object) -> str:
    """Return what an order changed, as it was or was to be: a share, whether it is loaded, or a rollout."""
    if isinstance(told, Mapping):
        return f"{told['phase'].replace('_', ' ')}, step {told['step'] + 1}, {_share(told['weight'])}"
    if told is None or isinstance(told, bool):
        return {None: "-", True: "yes", False: "no"}[told]
    return _share(float(str(told)))


def outcomes_report(arms: Sequence[Arm], compared: Sequence[Comparison]) -> RenderableType:
    """Return what each comparison means, the counts, and the differences."""
    counts = new_table("version", "answered", "reported", "successes", "share")
    for arm in arms:
        share = quantity("success_share", arm.successes / arm.reported) if arm.reported else "-"
        counts.add_row(arm.name, str(arm.answered), str(arm.reported), str(arm.successes), share)
    differences = new_table("version", "against", "difference", "95 % interval", "p-value", words=2)
    for each in compared:
        differences.add_row(each.arm.name, each.stable.name, *_cells(each))
    answers = [Text(each.sentence, style="bold") for each in compared]
    caution = "The p-values hold for one look, at a number of reports that was fixed beforehand."
    if any(each.test is not None and each.test.exact for each in compared):
        caution += " Where a star stands there are few reports: it is that of Fisher's exact test."
    return Group(*answers, "", counts, "", differences, "", Text(caution, style="dim"))


def _cells(comparison: Comparison) -> tuple[str, str, str]:
    """Return difference, interval and p-value of a comparison."""
    test = comparison.test
    if test is None:
        return "-", "-", "-"
    low, high = test.interval()
    p_value = "< 0.0001" if test.p_value < 1e-4 else f"{test.p_value:.4f}"
    interval = f"{100 * low:+.2f} .. {100 * high:+.2f} points"
    return f"{100 * test.difference:+.2f} points", interval, p_value + (" *" if test.exact else "")


def _versions_table(versions: Sequence[Told]) -> RenderableType:
    table = new_table(
        *("version", "", "weight", "copies", "replicas", "waiting", "answered", "failed", "refused", "others"),
        "shadow agrees",
        words=2,
    )
    for each in versions:
        role = "stable" if each["stable"] else "canary" if each["canary"] else ""
        ends, agreement = each["attempts"], each["agreement"]
        compared = agreement["agreed"] + agreement["disagreed"]
        table.add_row(
            each["name"],
            role if each["loaded"] else f"{role} not loaded".strip(),
            _share(each["weight"]),
            _share(each["shadow"]),
            f"{each['replicas_ready']} of {each['replicas_wanted']}",
            *(str(count) for count in (each["waiting"], ends["answered"], ends["failed"], ends["refused"])),
            str(ends["timed_out"] + ends["abandoned"]),
            f"{agreement['agreed']} of {compared}" if compared else "-",
        )
    return table


def _counted_table(rollout: Told) -> RenderableType:
    table = new_table("since the last check", "answered", "failed", "slow")
    for name, counts in rollout["counted"].items():
        table.add_row(name, *(str(counts[what]) for what in ("answered", "failed", "slow")))
    if rollout["due"] is None:
        return table
    needed = f" of {rollout['checks_needed']}" if rollout["checks_needed"] else ""
    failed = f"failed: {rollout['checks_failed']}, and {rollout['checks_failed_most']} may"
    said = f"Checks of this step: {rollout['checks']}{needed}; {failed}. The next is due at {rollout['due']}."
    return Group(table, Text(said))


def _moves_table(moves: Sequence[Told]) -> RenderableType:
    table = new_table("at", "the rollout", "because", "step", "weight", words=3)
    for move in moves:
        words = move["action"].replace("_", " "), move["cause"].replace("_", " ")
        table.add_row(move["at"], *words, str(move["step"] + 1), _share(move["weight"]))
    return table


def _why(rollout: Told) -> str:
    """Return the cause of the latest move, which was the rollback."""
    return _CAUSES[rollout["moves"][-1]["cause"]]


def _share(share: float) -> str:
    return quantity("_share", share)
