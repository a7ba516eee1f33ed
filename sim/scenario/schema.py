"""The JSON Schema of a scenario file, for editors and other programs; docs/scenario.schema.json is its output."""

from __future__ import annotations

from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from sim.scenario.spec import Scenario

__all__ = ["scenario_schema"]

SCHEMA_ID: Final = "urn:servecast:scenario:1"


def scenario_schema() -> dict[str, Any]:
    """Return the schema (JSON Schema, draft 2020-12) of what load_scenario reads.

    It describes shapes, units and ranges of one key; what keys say to each other is checked by load_scenario only.
    """
    schema = Scenario.model_json_schema(schema_generator=_WithoutTitles, mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, **schema}


class _WithoutTitles(GenerateJsonSchema):
    """Leaves out titles that only repeat the keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False
