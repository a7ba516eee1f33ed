"""From pydantic's findings to one sentence with the key as its author wrote it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError

from sim.scenario.fields import Section
from sim.scenario.messages import sentence


class Cat(Section):
    """One of two."""

    process: Literal["cat"]
    lives: int
    toys: tuple[int, ...] = ()


class Toys(Section):
    """One of two, with a key that is called like the tag of the union."""

    process: Literal["toys"]
    toys: tuple[Cat, ...] = Field(max_length=1)


class Inner(Section):
    """A section below the first."""

    volume: int = 1
    name: Annotated[str, Field(max_length=3)] = "x"


class House(Section):
    """The root."""

    animal: Annotated[Cat | Toys, Field(discriminator="process")]
    radio: Inner = Inner()
    table: dict[int, int] = {}


def said(**written: Any) -> str:
    """Return the sentence about a house."""
    with pytest.raises(ValidationError) as error:
        House.model_validate(written)
    return sentence(error.value, written, House)


CAT = {"process": "cat", "lives": 9}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({}, "animal is missing: it has no default."),
        ({"animal": {"process": "cat"}}, "animal.lives is missing: it has no default."),
        ({"animal": {"process": "cat", "lives": "x"}}, "animal.lives must be a whole number. Got 'x'."),
        ({"animal": {**CAT, "toys": (1, "y")}}, "animal.toys.1 must be a whole number. Got 'y'."),
        ({"animal": {**CAT, "toys": 1}}, "animal.toys must be a list. Got 1."),
        (
            {"animal": {"process": "toys", "toys": ({"process": "cat"},)}},
            "animal.toys.0.lives is missing: it has no default.",
        ),
        ({"animal": {"process": "toys"}}, "animal.toys is missing: it has no default."),
        ({"animal": {"process": "toys", "toys": (CAT, CAT)}}, "animal.toys must have at most 1 entries. Got 2."),
        ({"animal": {"process": "dog"}}, "animal.process must be one of cat, toys. Got 'dog'."),
        ({"animal": {"process": "toy"}}, "animal.process must be one of cat, toys. Got 'toy'. Did you mean toys?"),
        ({"animal": {**CAT, "live": 1}}, "animal.live is not a known key: did you mean animal.lives?"),
        ({"animal": CAT, "volume": 1}, "volume is not a known key: did you mean radio.volume?"),
        ({"animal": CAT, "zebra": 1}, "zebra is not a known key: known here are animal, radio, table."),
        ({"animal": CAT, "x\ny": 1}, "x\\ny is not a known key: known here are animal, radio, table."),
        ({"animal": CAT, "radio": {"volume": 1.5}}, "radio.volume must be a whole number. Got 1.5."),
        ({"animal": CAT, "radio": {"name": "long"}}, "radio.name must have at most 3 characters. Got 'long'."),
        ({"animal": CAT, "radio": None}, "radio must be a mapping of keys (volume, name). Got nothing."),
        ({"animal": CAT, "table": {"a": 1}}, "table must have whole numbers as keys. Got 'a'."),
        ({"animal": CAT, "table": {1: "a"}}, "table.1 must be a whole number. Got 'a'."),
    ],
)
def test_sentence_names_the_key_without_union_tags(written: dict[str, Any], expected: str) -> None:
    """The path is the one in the file: no tag of a union, whatever keys are called."""
    assert said(**written) == expected


def test_root_that_is_no_mapping_is_named_by_its_model() -> None:
    """Without any key the sentence still has a subject."""
    with pytest.raises(ValidationError) as error:
        House.model_validate(3)
    assert sentence(error.value, {}, House) == "house must be a mapping of keys (animal, radio, table). Got {}."
