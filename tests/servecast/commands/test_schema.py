"""`servecast schema`: the published schema, fit for an editor."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from yaml import safe_load

from servecast.cli import main
from servecast.errors import Exit
from servecast.examples import EXAMPLES, example_path


def printed_schema(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """Return what the command prints."""
    assert main(["schema"]) == Exit.DONE
    schema = json.loads(capsys.readouterr().out)
    assert isinstance(schema, dict)
    return schema


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_schema_takes_every_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What servecast itself takes, an editor with the schema takes too."""
    schema = printed_schema(capsys)
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(safe_load(example_path(name).read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "change", [{"batching": {"max_bach": 8}}, {"batching": {"max_batch": 8, "max_wait": 5}}, {"traffic": None}]
)
def test_schema_refuses_what_servecast_refuses(change: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown key, a time without a unit and a missing part are marked in an editor."""
    content = safe_load(example_path("sentiment").read_text(encoding="utf-8")) | change
    with pytest.raises(ValidationError):
        Draft202012Validator(printed_schema(capsys)).validate(content)


def test_reference_is_a_page_with_every_section(capsys: pytest.CaptureFixture[str]) -> None:
    """For people there are tables of keys with units, ranges and defaults."""
    assert main(["schema", "--reference"]) == Exit.DONE
    page = capsys.readouterr().out
    assert all(f"| `{key}` |" in page for key in ("traffic", "max_batch", "pass_time", "cap", "goals"))
