"""Settings of autoscalers that a HorizontalPodAutoscaler can say, as a scenario writes them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Settings = dict[str, Any]


def seconds(least: int, most: int) -> st.SearchStrategy[str]:
    """Return whole seconds."""
    return st.integers(least, most).map(lambda count: f"{count}s")


def steps(side: str) -> st.SearchStrategy[Settings]:
    """Return step limits in one direction: none, one, both with their choice, or no move at all."""
    count = st.fixed_dictionaries(
        {f"step_{side}_count": st.integers(1, 9), f"step_{side}_count_period": seconds(1, 1800)}
    )
    percent = st.fixed_dictionaries(
        {f"step_{side}_percent": st.integers(1, 99), f"step_{side}_percent_period": seconds(1, 1800)}
    )
    select = st.sampled_from(["most", "least"]).map(lambda word: {f"step_{side}_select": word})
    both = st.tuples(count, percent, select).map(lambda parts: {**parts[0], **parts[1], **parts[2]})
    return st.one_of(st.just({}), count, percent, both, st.just({f"step_{side}_select": "disabled"}))


@st.composite
def hpa_autoscalers(draw: st.DrawFn, formula: str) -> Settings:
    """Return an autoscaler with `behavior` of its own."""
    least = draw(st.integers(1, 5))
    settings: Settings = {
        "formula": formula,
        "target": draw(st.integers(1, 99_000)) / 1000 if formula != "utilisation" else draw(st.integers(1, 99)) / 100,
        "signal": "busy" if formula == "utilisation" else draw(st.sampled_from(["in_flight", "waiting", "rate"])),
        "min_replicas": least,
        "max_replicas": least + draw(st.integers(0, 50)),
        "tick": draw(st.sampled_from(["15s", "2s"])),
        "sample": draw(st.sampled_from(["1s", "15s"])),
        "stabilisation_up": draw(seconds(0, 3600)),
        "stabilisation_down": draw(seconds(0, 3600)),
        "dead_band_up": draw(st.sampled_from([0, 0.05, 0.1, 0.333])),
        "dead_band_down": draw(st.sampled_from([0, 0.05, 0.1, 1])),
    }
    return settings | draw(steps("up")) | draw(steps("down"))
