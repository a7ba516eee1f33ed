"""Plain settings -> the checked rule of an autoscaler; policy/settings.py does the same for every other rule.

Times come in as integer nanoseconds, shares and ratios as floats, names as the lower-case names of the enums. Settings
that would have no effect beside others are refused, for whoever gives them expects one.
"""

from __future__ import annotations

from typing import Any

from policy.autoscaling_rule import (
    REPLICAS_MAX,
    Activation,
    AutoscalingRule,
    Cooldown,
    Direction,
    Formula,
    Mean,
    NotReady,
    Select,
    Signal,
    Stabilisation,
    ZeroFrom,
)
from policy.errors import SettingError
from policy.recommendation import ceil_replicas
from policy.settings import COUNT_MAX, check_count, check_name, check_time_ns, exact_time

__all__ = ["ENTRIES_MAX", "PERIOD_MIN_NS", "autoscaling_in_words", "autoscaling_rule", "fixed_fleet", "target_in_words"]

PERIOD_MIN_NS = 1_000_000
"""The shortest period of samples, ticks and polls: a millisecond."""

ENTRIES_MAX = 100_000
"""The most entries of one history."""

TARGET_MIN, TARGET_MAX = 1e-6, 1e9
"""The range of a load per replica, and of the load that a poll looks for."""

FACTOR_MAX = 1e6
"""The largest gain, rate or threshold."""

KEY = "fleet.autoscaler"


def autoscaling_rule(
    *,
    target: float,
    max_replicas: int | None,
    min_replicas: int = 1,
    formula: str = "total",
    signal: str = "in_flight",
    sample_ns: int = 1_000_000_000,
    mean: str = "samples",
    window_ns: int = 0,
    report_ns: int = 0,
    lag_ns: int = 0,
    tick_ns: int = 15_000_000_000,
    not_ready: str = "idle",
    dead_band_up: float = 0.0,
    dead_band_down: float = 0.0,
    gain_up: float = 1.0,
    gain_down: float = 1.0,
    rate_up: float = 0.0,
    rate_down: float = 0.0,
    stabilisation: str = "between",
    stabilisation_up_ns: int = 0,
    stabilisation_down_ns: int = 0,
    delay_up_ns: int = 0,
    delay_down_ns: int = 0,
    delay_restarts: bool = True,
    cooldown: str = "block",
    cooldown_up_ns: int = 0,
    cooldown_down_ns: int = 0,
    step_up_count: int = 0,
    step_up_count_period_ns: int = 0,
    step_up_percent: int = 0,
    step_up_percent_period_ns: int = 0,
    step_up_select: str = "most",
    step_up_least: int = 0,
    step_down_count: int = 0,
    step_down_count_period_ns: int = 0,
    step_down_percent: int = 0,
    step_down_percent_period_ns: int = 0,
    step_down_select: str = "most",
    panic_window_ns: int = 0,
    panic_threshold: float = 2.0,
    scale_to_zero: bool | None = None,
    zero_from: str = "one",
    idle_ns: int = 0,
    active_ns: int = 0,
    activation: str = "at_once",
    activation_above: float = 0.0,
    activation_replicas: int = 1,
    poll_ns: int = 0,
) -> AutoscalingRule:
    """Return the autoscaling rule; policy/autoscaling_rule.py says what each setting means.

    `target` is the load per replica in the unit of the signal: requests, requests per second, or busy devices (0.8: of
    one device, 80 per cent). `max_replicas` None means REPLICAS_MAX. `scale_to_zero` None means: if min_replicas is 0;
    with a larger min_replicas the fleet has none or at least as many. Step limits and rates of 0 are none, a step
    period of 0 is one tick. Raises SettingError.
    """
    chosen = check_name(f"{KEY}.formula", formula, Formula)
    of_signal = check_name(f"{KEY}.signal", signal, Signal)
    of_samples = check_name(f"{KEY}.mean", mean, Mean)
    recent = check_name(f"{KEY}.stabilisation", stabilisation, Stabilisation)
    is_counter = of_signal in (Signal.RATE, Signal.BUSY)

    _check_number("target", target, TARGET_MIN, TARGET_MAX)
    most = REPLICAS_MAX if max_replicas is None else check_count(f"{KEY}.max_replicas", max_replicas, 1, REPLICAS_MAX)
    check_count(f"{KEY}.min_replicas", min_replicas, 0, most)
    to_zero = min_replicas == 0 if scale_to_zero is None else bool(scale_to_zero)
    if min_replicas == 0 and not to_zero:
        raise SettingError(f"{KEY}.min_replicas", "at least 1 without scale_to_zero", min_replicas)

    check_time_ns(f"{KEY}.sample", sample_ns, PERIOD_MIN_NS)
    check_time_ns(f"{KEY}.tick", tick_ns, PERIOD_MIN_NS)
    if poll_ns != 0:
        check_time_ns(f"{KEY}.poll", poll_ns, PERIOD_MIN_NS)
    for key, time_ns in (
        ("window", window_ns),
        ("report", report_ns),
        ("lag", lag_ns),
        ("panic_window", panic_window_ns),
        ("idle", idle_ns),
        ("active", active_ns),
    ):
        check_time_ns(f"{KEY}.{key}", time_ns)
    _check_number("activation_above", activation_above, 0.0, TARGET_MAX)
    _check_number("panic_threshold", panic_threshold, 1.0, FACTOR_MAX)
    check_count(f"{KEY}.activation_replicas", activation_replicas, 1, REPLICAS_MAX)
    check_count(f"{KEY}.step_up_least", step_up_least, 0, REPLICAS_MAX)

    up = _direction(
        "up",
        dead_band=dead_band_up,
        gain=gain_up,
        rate=rate_up,
        stabilisation_ns=stabilisation_up_ns,
        delay_ns=delay_up_ns,
        cooldown_ns=cooldown_up_ns,
        step_count=step_up_count,
        step_count_period_ns=step_up_count_period_ns,
        step_percent=step_up_percent,
        step_percent_period_ns=step_up_percent_period_ns,
        step_select=step_up_select,
    )
    down = _direction(
        "down",
        dead_band=dead_band_down,
        gain=gain_down,
        rate=rate_down,
        stabilisation_ns=stabilisation_down_ns,
        delay_ns=delay_down_ns,
        cooldown_ns=cooldown_down_ns,
        step_count=step_down_count,
        step_count_period_ns=step_down_count_period_ns,
        step_percent=step_down_percent,
        step_percent_period_ns=step_down_percent_period_ns,
        step_select=step_down_select,
    )

    if chosen == Formula.FIXED:
        raise SettingError(f"{KEY}.formula", "one that scales; a fixed fleet has no autoscaler", formula)
    if chosen != Formula.GAIN and (gain_up, gain_down) != (1.0, 1.0):
        raise SettingError(f"{KEY}.formula", "gain where gain_up or gain_down is not 1", formula)
    if chosen == Formula.GAIN and (dead_band_up, dead_band_down) != (0.0, 0.0):
        raise SettingError(f"{KEY}.formula", "another than gain where there is a dead band", formula)
    if of_samples == Mean.TIME and is_counter:
        raise SettingError(f"{KEY}.mean", f"samples where signal is {signal}: that is a difference over time", mean)
    if recent == Stabilisation.HIGHEST and stabilisation_up_ns > 0:
        raise SettingError(f"{KEY}.stabilisation", "between where there is a stabilisation_up", stabilisation)
    if panic_window_ns > 0 and chosen != Formula.TOTAL:
        raise SettingError(f"{KEY}.formula", "total where there is a panic_window", formula)
    if panic_window_ns > 0 and panic_window_ns >= window_ns:
        window = exact_time(window_ns) if window_ns else "none: state a longer one too"
        allowed = f"shorter than {KEY}.window ({window})"
        raise SettingError(f"{KEY}.panic_window", allowed, exact_time(panic_window_ns))
    goal = float(target)
    if chosen == Formula.UTILISATION:
        goal = _whole_percent(of_signal, signal, goal)

    longest_step_ns = max(
        step_up_count_period_ns, step_up_percent_period_ns, step_down_count_period_ns, step_down_percent_period_ns
    )
    return AutoscalingRule(
        formula=int(chosen),
        signal=int(of_signal),
        target=goal,
        sample_ns=sample_ns,
        mean=int(of_samples),
        window_ns=window_ns,
        report_ns=report_ns,
        lag_ns=lag_ns,
        tick_ns=tick_ns,
        not_ready=int(check_name(f"{KEY}.not_ready", not_ready, NotReady)),
        stabilisation=int(recent),
        delay_restarts=int(delay_restarts),
        cooldown=int(check_name(f"{KEY}.cooldown", cooldown, Cooldown)),
        step_up_least=step_up_least,
        up=up,
        down=down,
        panic_window_ns=panic_window_ns,
        panic_threshold=float(panic_threshold),
        replicas_min=max(min_replicas, 1),
        replicas_max=most,
        to_zero=int(to_zero),
        zero_from=int(check_name(f"{KEY}.zero_from", zero_from, ZeroFrom)),
        idle_ns=idle_ns,
        active_ns=active_ns,
        activation=int(check_name(f"{KEY}.activation", activation, Activation)),
        activation_above=float(activation_above),
        # Ray Serve multiplies the one replica that a request needs by its factor.
        activation_replicas=max(activation_replicas, ceil_replicas(gain_up) if chosen == Formula.GAIN else 1),
        poll_ns=poll_ns,
        # Late samples may lie closer than a period; one before the window is needed for differences and means.
        samples_kept=_entries("window", window_ns + report_ns + lag_ns, sample_ns) + 4,
        recommendations_kept=_entries("stabilisation", max(stabilisation_up_ns, stabilisation_down_ns), tick_ns),
        moves_kept=_entries("step_period", longest_step_ns, tick_ns),
    )


def fixed_fleet() -> AutoscalingRule:
    """Return the rule of a fleet without an autoscaler: it keeps what it was told to have."""
    rule = autoscaling_rule(target=1.0, max_replicas=None)
    return rule._replace(formula=int(Formula.FIXED))


def autoscaling_in_words(rule: AutoscalingRule) -> dict[str, Any] | None:
    """Return the settings of a rule, for JSON; autoscaling_rule(**words) is the same rule. None: a fixed fleet."""
    if rule.formula == Formula.FIXED:
        return None
    words: dict[str, Any] = {
        "formula": _word(Formula, rule.formula),
        "signal": _word(Signal, rule.signal),
        "target": target_in_words(rule),
        "mean": _word(Mean, rule.mean),
        "not_ready": _word(NotReady, rule.not_ready),
        "stabilisation": _word(Stabilisation, rule.stabilisation),
        "delay_restarts": bool(rule.delay_restarts),
        "cooldown": _word(Cooldown, rule.cooldown),
        "min_replicas": rule.replicas_min,
        "max_replicas": rule.replicas_max,
        "scale_to_zero": bool(rule.to_zero),
        "zero_from": _word(ZeroFrom, rule.zero_from),
        "activation": _word(Activation, rule.activation),
    }
    for key in (
        *("sample_ns", "window_ns", "report_ns", "lag_ns", "tick_ns", "step_up_least", "panic_window_ns"),
        *("panic_threshold", "idle_ns", "active_ns", "activation_above", "activation_replicas", "poll_ns"),
    ):
        words[key] = getattr(rule, key)
    for side, direction in (("up", rule.up), ("down", rule.down)):
        for key in ("dead_band", "gain", "rate"):
            words[f"{key}_{side}"] = getattr(direction, key)
        for key in ("stabilisation", "delay", "cooldown"):
            words[f"{key}_{side}_ns"] = getattr(direction, f"{key}_ns")
        for key in ("count", "count_period_ns", "percent", "percent_period_ns"):
            words[f"step_{side}_{key}"] = getattr(direction, f"step_{key}")
        words[f"step_{side}_select"] = _word(Select, direction.step_select)
    return words


def target_in_words(rule: AutoscalingRule) -> float:
    """Return the target as settings have it: the rule of a utilisation holds per cent."""
    return rule.target / 100.0 if rule.formula == Formula.UTILISATION else rule.target


def _direction(
    side: str,
    *,
    dead_band: float,
    gain: float,
    rate: float,
    stabilisation_ns: int,
    delay_ns: int,
    cooldown_ns: int,
    step_count: int,
    step_count_period_ns: int,
    step_percent: int,
    step_percent_period_ns: int,
    step_select: str,
) -> Direction:
    """Return what holds for moves up, or down."""
    _check_number(f"dead_band_{side}", dead_band, 0.0, 1.0 if side == "down" else FACTOR_MAX)
    _check_number(f"gain_{side}", gain, 1e-6, FACTOR_MAX)
    if rate != 0.0:
        # A rate of 1 would hold the fleet where it is.
        _check_number(f"rate_{side}", rate, 1.001, FACTOR_MAX)
    check_time_ns(f"{KEY}.stabilisation_{side}", stabilisation_ns)
    check_time_ns(f"{KEY}.delay_{side}", delay_ns)
    check_time_ns(f"{KEY}.cooldown_{side}", cooldown_ns)
    check_count(f"{KEY}.step_{side}_count", step_count, 0, REPLICAS_MAX)
    check_count(f"{KEY}.step_{side}_percent", step_percent, 0, 100 if side == "down" else COUNT_MAX)
    for key, limit, period_ns in (
        ("count", step_count, step_count_period_ns),
        ("percent", step_percent, step_percent_period_ns),
    ):
        check_time_ns(f"{KEY}.step_{side}_{key}_period", period_ns, 0)
        if limit == 0 and period_ns > 0:
            raise SettingError(f"{KEY}.step_{side}_{key}", "at least 1 where it has a period", limit)
    return Direction(
        dead_band=float(dead_band),
        gain=float(gain),
        rate=float(rate),
        stabilisation_ns=stabilisation_ns,
        delay_ns=delay_ns,
        cooldown_ns=cooldown_ns,
        step_count=step_count,
        step_count_period_ns=step_count_period_ns,
        step_percent=step_percent,
        step_percent_period_ns=step_percent_period_ns,
        step_select=int(check_name(f"{KEY}.step_{side}_select", step_select, Select)),
    )


def _whole_percent(signal: Signal, name: str, share: float) -> float:
    """Return a target share of one device in whole per cent."""
    if signal != Signal.BUSY:
        raise SettingError(
            f"{KEY}.signal", "busy where formula is utilisation (with another one say formula: ratio)", name
        )
    percent = round(100.0 * share)
    if percent < 1 or abs(100.0 * share - percent) > 1e-6:
        raise SettingError(f"{KEY}.target", "in whole per cent (0.8: 80 %) where formula is utilisation", share)
    return float(percent)


def _entries(key: str, span_ns: int, period_ns: int) -> int:
    """Return how many entries a history of that span needs, 0 without one."""
    if span_ns == 0:
        return 0
    entries = span_ns // period_ns + 2
    if entries > ENTRIES_MAX:
        raise SettingError(f"{KEY}.{key}", f"at most {ENTRIES_MAX} periods long", f"{entries} periods")
    return entries


def _check_number(key: str, value: float, least: float, most: float) -> None:
    """Raise SettingError where a number is not in [least, most]."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise SettingError(f"{KEY}.{key}", f"a number from {least:g} to {most:g}", value)


def _word(names: type[Any], number: int) -> str:
    """Return the name of a member as settings write it."""
    name: str = names(number).name
    return name.lower()
