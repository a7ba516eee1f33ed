"""What `servecast rollout` prints: the answer first, then a table of versions, moves or orders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from sim.outcome.rollout_theory import ProportionTest
from sim.report.units import new_table, quantity

__all__ = ["rollout_report"]

_LEVEL = 0.05
"""Below it a p-value says that two versions differ."""


def rollout_report(action: str, content: Mapping[str, Any]) -> RenderableType:
    """Return what an action of the command has to show."""
    reports = {"status": _status, "outcomes": _outcomes, "log": _log}
    return reports.get(action, _ordered)(content)


def _ordered(content: Mapping[str, Any]) -> RenderableType:
    return Text(f"{content['ordered']}: from {content['from']} to {content['to']}.", style="bold")


def _status(content: Mapping[str, Any]) -> RenderableType:
    """Return what each version gets, and where the rollout stands."""
    table = new_table(
        "version", "", "requests", "copies", "ready", "wanted", "waiting", "answered", "failed", "refused", words=2
    )
    for version in content["versions"]:
        role = "stable" if version["stable"] else "canary" if version["canary"] else ""
        ends = version["requests"]
        table.add_row(
            version["name"],
            role if version["loaded"] else f"{role} not loaded".strip(),
            quantity("_share", version["weight"]),
            quantity("_share", version["shadow"]),
            *(
                str(value)
                for value in (version["replicas"]["ready"], version["replicas"]["wanted"], version["waiting"])
            ),
            *(str(ends[name]) for name in ("answered", "failed", "refused")),
        )
    lines: list[RenderableType] = [Text(_standing(content["rollout"]), style="bold"), "", table]
    for version in content["versions"]:
        copies = version["copies"]
        if copies["agreed"] or copies["disagreed"]:
            compared = copies["agreed"] + copies["disagreed"]
            lines.append(Text(f"{version['name']} as a shadow: {copies['disagreed']} of {compared} answers disagree."))
    return Group(*lines)


def _standing(rollout: Mapping[str, Any] | None) -> str:
    """Return where the rollout stands, in one sentence."""
    if rollout is None:
        return "There is no rollout."
    phase = str(rollout["phase"]).replace("_", " ")
    if phase == "idle":
        return f"The rollout of {rollout['canary']} has not been started."
    step = f"step {min(rollout['step'] + 1, rollout['steps'])} of {rollout['steps']}"
    checks = f"{rollout['checks_passed']} checks passed, {rollout['checks_failed']} failed"
    return f"{rollout['canary']} is {phase}: {step}, {quantity('_share', rollout['weight'])} of the requests, {checks}."


def _outcomes(content: Mapping[str, Any]) -> RenderableType:
    """Return the successes of each version, and whether they differ from the stable one's."""
    stable = content["stable"]
    table = new_table("version", "answered", "reported", "successes", "share", "less stable's", "95 % confidence", "p")
    said = []
    for name, counts in content["versions"].items():
        share = quantity("_share", counts["successes"] / counts["reported"]) if counts["reported"] else "-"
        row = [str(counts[key]) for key in ("answered", "reported", "successes")]
        test = None if name == stable else _test(content["versions"][stable], counts)
        if test is None:
            table.add_row(name, *row, share, "", "", "")
            continue
        low, high = test.interval()
        difference, ends = f"{100 * test.difference:+.2f} points", f"{100 * low:+.2f} .. {100 * high:+.2f}"
        table.add_row(name, *row, share, difference, ends, f"{test.p_value:.2g}")
        better = "more often" if test.difference > 0 else "less often"
        verdict = f"succeeds {better} than {stable}" if test.p_value < _LEVEL else f"cannot be told from {stable} yet"
        said.append(Text(f"{name} {verdict} (p = {test.p_value:.2g}).", style="bold"))
    note = "The p-value holds for one look, at the end of the planned time: who stops at the first small one is misled."
    return Group(*(said or [Text("Nothing can be compared yet.", style="bold")]), "", table, Text(note, style="dim"))


def _test(stable: Mapping[str, int], other: Mapping[str, int]) -> ProportionTest | None:
    """Return the test of two versions, None before both have reports."""
    if not stable["reported"] or not other["reported"]:
        return None
    return ProportionTest(stable["successes"], stable["reported"], other["successes"], other["reported"])


def _log(content: Mapping[str, Any]) -> RenderableType:
    """Return who ordered what."""
    table = new_table("when", "by", "what", "from", "to", "", words=6)
    for order in content["orders"]:
        refused = f"refused: {order['refused'].replace('_', ' ')}" if order["refused"] else ""
        table.add_row(*(str(order[key]) for key in ("when", "by", "what", "from", "to")), refused)
    count = len(content["orders"])
    return Group(
        Text(f"{count} order{'' if count == 1 else 's'} since the server was started.", style="bold"), "", table
    )
