"""The account of an export."""

from __future__ import annotations

import pytest

from sim.errors import RefusedToAnswer
from sim.exports.stated import Stated
from sim.exports.telling import Telling, listed


def telling() -> Telling:
    """Return an account of three keys, one of which is a version's own."""
    stated = {"a": Stated("a", "1"), "b": Stated("versions.1.b", "2s"), "c": Stated("c", "3")}
    return Telling("It", stated)


def test_what_nobody_takes_off_is_left() -> None:
    """Said keys and noted ones are off; others stand there with their values, as their author finds them."""
    account = telling()
    account.say("a", "unknown")
    account.note("it has none", "c", "a")
    draft = account.draft({})
    assert draft.notes == ("c is 3: it has none.",)
    assert draft.said == {"a"}
    assert draft.left == {"versions.1.b": "2s"}


def test_one_note_names_several_keys() -> None:
    """In one sentence."""
    account = telling()
    account.note("it has neither", "b", "c")
    assert account.draft({}).notes == ("versions.1.b is 2s and c is 3: it has neither.",)


@pytest.mark.parametrize(
    ("time_ns", "units", "notes"),
    [
        (2_000, 2, ()),
        (2_500, 3, ("versions.1.b is 2.5us: rounded to 3 us.",)),
        (1, 1, ("versions.1.b is 1ns: rounded to 1 us.",)),
    ],
)
def test_times_are_rounded_to_the_nearest_unit_and_told(time_ns: int, units: int, notes: tuple[str, ...]) -> None:
    """At least one where nothing would mean something else."""
    account = telling()
    assert account.whole("b", time_ns, "us", 1_000, least=1) == units
    assert account.draft({}).notes == notes


def test_times_beyond_the_most_are_refused() -> None:
    """To cut them would be another rule."""
    with pytest.raises(RefusedToAnswer, match=r"^versions\.1\.b is 2s, and It takes 5 us at most\.$"):
        telling().whole("b", 6_000, "us", 1_000, most=5)


def test_accounts_of_the_same_files_are_one() -> None:
    """A sentence that two of them have is told once; what one says is left by none."""
    first, second = telling(), telling()
    first.say("a")
    first.note("it has none", "c")
    second.note("it has none", "c")
    draft = first.draft({}, second)
    assert draft.notes == ("c is 3: it has none.",)
    assert set(draft.left) == {"versions.1.b"}


def test_words_are_listed_as_in_a_sentence() -> None:
    """None, one, two, three."""
    assert [listed(words, "or") for words in ([], ["a"], ["a", "b"], "abc")] == ["", "a", "a or b", "a, b or c"]
