"""The samples of `make export-check`, read without the systems' own parsers."""

from __future__ import annotations

import pytest
import yaml

from sim.exports.export import export
from sim.scenario.load import load_scenario
from tests.export_check.parsers import READERS, at
from tests.export_check.samples import SAMPLES, Sample
from tests.sim.scenario.example import content


@pytest.mark.parametrize("sample", SAMPLES, ids=[f"{sample.to}, {sample.what}" for sample in SAMPLES])
def test_exports_hold_what_was_worked_out_by_hand(sample: Sample) -> None:
    """Each value at its path, in the files that are YAML; the others have readers there alone."""
    exported = export(load_scenario({**content(), **sample.sections}), sample.to)
    assert set(exported.files) == set(sample.expected) <= set(READERS)
    for name, expected in sample.expected.items():
        if name.endswith(".yaml"):
            documents = list(yaml.safe_load_all(exported.files[name]))
            held = documents[0] if name == "model-config.yaml" else documents
            assert {path: at(held, path) for path in expected} == expected
