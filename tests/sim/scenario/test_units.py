"""Quantities: exact numbers from text, and a plain sentence for everything else."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.scenario.units import (
    RATE_PATTERN,
    SHARE_PATTERN,
    TIME_PATTERN,
    in_words,
    listed,
    parse_go_duration_ns,
    parse_rate_per_s,
    parse_ratio,
    parse_share,
    parse_time_ns,
    shown,
    time_in_words,
    write_go_duration,
    write_rate,
    write_share,
    write_time,
)


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("5ms", 5_000_000),
        ("0.5ms", 500_000),
        ("1.10s", 1_100_000_000),
        ("7 us", 7_000),
        ("7µs", 7_000),
        ("3ns", 3),
        ("10min", 600_000_000_000),
        ("2h", 7_200_000_000_000),
        ("31d", 2_678_400_000_000_000),
        (" .25s ", 250_000_000),
        ("-5ms", -5_000_000),
        ("0s", 0),
        ("0.000000001s", 1),
        ("2678399.999999999s", 2_678_399_999_999_999),
    ],
)
def test_time_is_an_exact_integer(text: str, time_ns: int) -> None:
    """No digit passes through a float: the last one has 16 digits and keeps them all."""
    assert parse_time_ns(text) == time_ns
    assert re.fullmatch(TIME_PATTERN, text.strip())


@given(st.integers(0, 10**15), st.sampled_from(["ns", "us", "ms", "s"]), st.integers(0, 3))
def test_time_equals_the_fraction_it_writes(whole: int, unit: str, digits: int) -> None:
    """Any decimal that is a whole number of nanoseconds is read as exactly that number."""
    unit_ns = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}[unit]
    exact = Fraction(whole, 10**digits) * unit_ns
    text = f"{whole // 10**digits}.{whole % 10**digits:0{digits}d}{unit}" if digits else f"{whole}{unit}"
    if exact.denominator == 1:
        assert parse_time_ns(text) == exact
    else:
        with pytest.raises(ValueError, match="whole number of nanoseconds"):
            parse_time_ns(text)


@pytest.mark.parametrize(
    ("text", "rate_per_s"), [("600/s", 600.0), ("36000/min", 600.0), ("90/h", 0.025), ("1 / s", 1.0), ("-5/s", -5.0)]
)
def test_rate_is_per_second(text: str, rate_per_s: float) -> None:
    """Rates per minute and hour become rates per second."""
    assert parse_rate_per_s(text) == rate_per_s
    assert re.fullmatch(RATE_PATTERN, text)


@pytest.mark.parametrize(("text", "share"), [("95%", 0.95), ("0.1%", 0.001), ("100 %", 1.0)])
def test_percentage_is_a_share(text: str, share: float) -> None:
    """A percentage becomes a share of 1, rounded once."""
    assert parse_share(text) == share
    assert re.fullmatch(SHARE_PATTERN, text)


@pytest.mark.parametrize(("value", "ratio"), [(2, 2.0), (0.3, 0.3), ("5%", 0.05), ("150%", 1.5)])
def test_ratio_is_a_number_or_a_percentage(value: object, ratio: float) -> None:
    """A cv of 0.05 may be written 0.05 or 5%."""
    assert parse_ratio(value) == ratio


@pytest.mark.parametrize(
    ("parse", "value", "said"),
    [
        (parse_time_ns, 5, "must carry a unit, for example 5ms or 5s. Got 5."),
        (parse_time_ns, 0.5, "must carry a unit, for example 0.5s or 0.5ms. Got 0.5."),
        (parse_time_ns, 500, "must carry a unit, for example 500ms or 500s. Got 500."),
        (parse_time_ns, -5, "must carry a unit, for example 5ms. Got -5."),
        (parse_time_ns, 0, "must carry a unit, for example 5ms. Got 0."),
        (parse_time_ns, "5", "must carry a unit, for example 5ms or 5s. Got 5."),
        (parse_time_ns, "1:30", "must be a number with a unit, for example 5ms. Got 1:30."),
        (parse_time_ns, "5m", "must be in ns, us, ms, s, min, h or d. Got 5m."),
        (parse_time_ns, "5MS", "must be in ns, us, ms, s, min, h or d. Got 5MS."),
        (parse_time_ns, "5%", "must be a number with a unit, for example 5ms. Got 5%."),
        (parse_time_ns, "1e3ms", "must be a number with a unit, for example 5ms. Got 1e3ms."),
        (parse_time_ns, "1_000ms", "must be a number with a unit, for example 5ms. Got 1_000ms."),
        (parse_time_ns, "0.5ns", "must be a whole number of nanoseconds. Got 0.5ns."),
        (parse_time_ns, "", "must be a number with a unit, for example 5ms. Got nothing."),
        (parse_time_ns, None, "must be a number with a unit, for example 5ms. Got nothing."),
        (parse_time_ns, True, "must be a number with a unit, for example 5ms. Got true."),
        (parse_time_ns, [5], "must be a number with a unit, for example 5ms. Got [5]."),
        (parse_time_ns, "\u0665ms", "must be a number with a unit, for example 5ms. Got \u0665ms."),
        (parse_rate_per_s, 0.25, "must carry a unit, for example 0.25/s. Got 0.25."),
        (parse_rate_per_s, 600, "must carry a unit, for example 600/s. Got 600."),
        (parse_rate_per_s, "600/d", "must be per s, min or h, for example 600/s. Got 600/d."),
        (parse_rate_per_s, "600rps", "must be a number with a unit, for example 600/s. Got 600rps."),
        (parse_rate_per_s, "1.5k/s", "must be a number with a unit, for example 600/s. Got 1.5k/s."),
        (parse_share, 0.95, "must carry a unit, for example 0.95% or 95%. Got 0.95."),
        (parse_share, "0.1", "must carry a unit, for example 0.1% or 10%. Got 0.1."),
        (parse_share, 5, "must carry a unit, for example 5%. Got 5."),
        (parse_share, "95 percent", "must be a number with a unit, for example 95%. Got 95 percent."),
        (parse_ratio, "1.5", "must be a number or a percentage, for example 1.5 or 150%. Got 1.5."),
        (parse_ratio, True, "must be a number or a percentage, for example 1.5 or 150%. Got true."),
    ],
)
def test_anything_else_is_refused_with_an_example(parse: Callable[[object], object], value: object, said: str) -> None:
    """The message is the rest of a sentence that begins with the key."""
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        parse(value)
    assert str(error.value) == said


@pytest.mark.parametrize(
    ("value", "quoted", "plain"),
    [
        ("8", "'8'", "8"),
        (8, "8", "8"),
        (True, "true", "true"),
        (None, "nothing", "nothing"),
        ("a\nb", "'a\\nb'", "a b"),
    ],
)
def test_values_are_shown_on_one_line(value: object, quoted: str, plain: str) -> None:
    """Text stands in quotes where its type is in doubt, and nothing breaks the line."""
    assert in_words(value) == quoted
    assert shown(value) == plain


def test_words_are_listed_as_a_sentence_has_them() -> None:
    """Commas, and a word before the last one."""
    for words, text in (([], ""), (["a"], "a"), (["a", "b"], "a or b"), (iter(["a", "b", "c"]), "a, b or c")):
        assert listed(words, "or") == text
    assert listed(["a", "b"]) == "a and b"


def test_long_values_are_cut() -> None:
    """A message never repeats a page of input."""
    assert len(shown("x" * 10_000)) == 60
    assert len(in_words(["x"] * 10_000)) == 60


@pytest.mark.parametrize(
    ("time_ns", "words"),
    [
        (5_000_000, "5ms"),
        (90 * 10**9, "1.5min"),
        (86_400 * 10**9, "1d"),
        (7_200 * 10**9, "2h"),
        (12, "12ns"),
        (999_900_000, "1s"),
    ],
)
def test_times_are_told_in_their_largest_unit(time_ns: int, words: str) -> None:
    """A message says 1.5min and not 90000000000ns."""
    assert time_in_words(time_ns) == words


@pytest.mark.parametrize(
    ("written", "time_ns"),
    [("30s", 30 * 10**9), ("10m", 600 * 10**9), ("1h30m", 5_400 * 10**9), ("1.5m0.5s", 90_500_000_000), ("7ns", 7)],
)
def test_go_duration_is_read_as_go_reads_it(written: str, time_ns: int) -> None:
    """Parts add up, and m is a minute where our own units say min."""
    assert parse_go_duration_ns(written) == time_ns


@pytest.mark.parametrize("written", ["", "10", "10min", "1d", "-5s", "s", "1h 5m", 10, None, "0.5ns"])
def test_go_duration_of_another_form_is_refused(written: object) -> None:
    """A number without unit too: where Argo takes seconds, its key says so."""
    with pytest.raises(ValueError, match=r"^must be a "):
        parse_go_duration_ns(written)


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "0s"),
        (5_000_000, "5ms"),
        (500_000, "0.5ms"),
        (20_000, "20us"),
        (1_500_000_000, "1.5s"),
        (90 * 10**9, "90s"),
        (600 * 10**9, "10min"),
        (7_200 * 10**9, "2h"),
        (86_400 * 10**9, "1d"),
        (5_000_001, "5.000001ms"),
        (12, "12ns"),
    ],
)
def test_time_is_written_as_people_do(time_ns: int, text: str) -> None:
    """In the unit that suits it, with all of its digits; 90s and not 1.5min."""
    assert write_time(time_ns) == text


def test_go_writes_a_minute_as_m() -> None:
    """Where 10min would be refused, and a day has no unit."""
    assert [write_go_duration(seconds * 10**9) for seconds in (600, 90, 86_400)] == ["10m", "90s", "24h"]


@given(st.integers(0, 31 * 86_400 * 10**9))
def test_written_times_are_read_as_the_same(time_ns: int) -> None:
    """Nothing is rounded on the way out and back."""
    assert parse_time_ns(write_time(time_ns)) == parse_go_duration_ns(write_go_duration(time_ns)) == time_ns


@given(st.floats(1e-12, 1e7))
def test_written_rates_and_shares_are_read_as_the_same(value: float) -> None:
    """The very float, whatever its digits: a third of a request per second, or 1 in 7."""
    assert parse_rate_per_s(write_rate(value)) == value
    assert parse_share(write_share(value)) == value


@pytest.mark.parametrize(("share", "text"), [(0.001, "0.1%"), (1.0, "100%"), (0.0, "0%"), (1e-7, "0.00001%")])
def test_share_is_written_without_an_exponent(share: float, text: str) -> None:
    """A file knows plain decimals only."""
    assert (write_share(share), write_rate(600.0)) == (text, "600/s")
