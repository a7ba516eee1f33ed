"""Strict YAML: plain values as written, and a refusal of everything that surprises."""

from __future__ import annotations

import math
import re

import pytest
import yaml

from sim.errors import ScenarioError
from sim.scenario import strict_yaml
from sim.scenario.strict_yaml import read_yaml

LOADERS = ["CSafeLoader", "SafeLoader"]


@pytest.fixture(params=LOADERS)
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Read with each of PyYAML's parsers: the one in C is missing on some machines."""
    if request.param == "SafeLoader":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    elif not hasattr(yaml, "CSafeLoader"):
        pytest.skip("PyYAML without its parser in C")
    return str(request.param)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8),
        ("-3", -3),
        ("0.5", 0.5),
        ("1e3", 1000.0),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("# only a comment", None),
        ("'8'", "8"),
        ('"true"', "true"),
        ("''", ""),
        ("5ms", "5ms"),
        ("yes", "yes"),
        ("No", "No"),
        ("on", "on"),
        ("True", "True"),
        ("1:30", "1:30"),
        ("190:20:30", "190:20:30"),
        ("010", "010"),
        ("0x10", "0x10"),
        ("0o17", "0o17"),
        ("1_000", "1_000"),
        (".5", ".5"),
        ("5.", "5."),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("2026-01-01", "2026-01-01"),
        ("=", "="),
        ("{a: {b: [1, x, 2.5]}, '1': y}", {"a": {"b": [1, "x", 2.5]}, "1": "y"}),
        ("a:\n  - 1\n  - b: 2\n", {"a": [1, {"b": 2}]}),
        ("{1: 8ms}", {1: "8ms"}),
        ("a: |\n  text\n", {"a": "text\n"}),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
    ],
)
def test_values_are_what_was_written(text: str, value: object, loader: str) -> None:
    """Only null, true, false and decimal numbers are anything but text: the Norway problem and 1:30 stay text."""
    read = read_yaml(text, "x.yaml")
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x 1\nb: *x", "x.yaml has an anchor (&x) at line 1, column 4, which a scenario may not have."),
        ("b: *x", "x.yaml has an alias (*x) at line 1, column 4, which a scenario may not have."),
        ("a: !!int 3", "x.yaml has a tag (tag:yaml.org,2002:int) at line 1, column 4, which a scenario may not have."),
        ("a: !x 3", "x.yaml has a tag (!x) at line 1, column 4, which a scenario may not have."),
        (
            "a: !!python/object/apply:os.system [x]",
            "x.yaml has a tag (tag:yaml.org,2002:python/object/apply:os.system)",
        ),
        ("a: 1\na: 2", "x.yaml has the key a twice in one mapping at line 2, column 1, which a scenario may not have."),
        ("{a: {b: 1, b: 1}}", "x.yaml has the key b twice in one mapping at line 1, column 12"),
        ("? [1, 2]\n: 3", "x.yaml has a key that is neither text nor a whole number at line 1, column 3"),
        ("true: 3", "x.yaml has a key that is neither text nor a whole number at line 1, column 1"),
        ("null: 3", "x.yaml has a key that is neither text nor a whole number at line 1, column 1"),
        ("a: 1\n---\nb: 2", "x.yaml has a second document at line 2, column 1, which a scenario may not have."),
        ("[" * 60 + "]" * 60, "x.yaml has a nesting of more than 50 levels at line 1, column 52"),
        ("a: [1, 2\nb: 3", "x.yaml is not valid YAML at line "),
        ("a:\n\t- 1", "x.yaml is not valid YAML at line 2, column 1: a tab indents the line"),
        ("a: [1\n", "x.yaml is not valid YAML at line 2, column 1"),
        ("a: \x01", "x.yaml is not valid YAML: "),
        ("a: b: c", "x.yaml is not valid YAML at line 1, column 5"),
    ],
)
def test_what_yaml_has_and_a_scenario_may_not_have_is_refused(text: str, said: str, loader: str) -> None:
    """Each refusal is one line with the place, whichever parser reads."""
    with pytest.raises(ScenarioError, match="^" + re.escape(said)) as error:
        read_yaml(text, "x.yaml")
    assert "\n" not in str(error.value)


def test_alias_bomb_is_refused_before_it_grows(loader: str) -> None:
    """A "billion laughs" text of a few lines stops at its first anchor; expanded it would have 9**9 entries."""
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 10)]
    with pytest.raises(ScenarioError, match=r"has an anchor \(&a0\) at line 1"):
        read_yaml("\n".join(lines), "bomb.yaml")


def test_text_above_a_megabyte_is_refused() -> None:
    """The limit counts bytes: half a million two-byte letters are too many, a megabyte of one-byte ones is not."""
    with pytest.raises(ScenarioError, match="larger than 1 MB"):
        read_yaml("é" * (strict_yaml.SIZE_MAX_BYTES // 2 + 1), "x.yaml")
    assert read_yaml("# " + "e" * (strict_yaml.SIZE_MAX_BYTES - 2), "x.yaml") is None


def test_huge_numbers_do_not_become_infinite() -> None:
    """A decimal beyond floats is still refused later, as infinity is no finite number."""
    assert read_yaml("1e999", "x.yaml") == math.inf
