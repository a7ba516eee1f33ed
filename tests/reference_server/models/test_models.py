"""The table of models, and the page that says how to serve one of your own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from reference_server.models import MODELS
from sim.scenario.model_spec import OWN_BACKENDS

ROOT = Path(__file__).parents[3]


def test_scenario_knows_the_models_by_the_same_names() -> None:
    """The simulator may not import the server, so the names stand in two places."""
    assert set(OWN_BACKENDS) == {"emulated", *MODELS}


def test_table_of_models_imports_no_torch() -> None:
    """The server's process reads it."""
    code = "import sys, reference_server.models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_page_gives_the_figures_that_were_measured() -> None:
    """docs/models.md says of the weights what stands beside them."""
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    folder = ROOT / "reference_server" / "models"
    head = json.loads((folder / "label_head.json").read_text(encoding="utf-8"))["made"]
    for found in head["held_out"].values():
        shares = (found["accuracy"], found["mean_confidence"], found["clear_accuracy"])
        assert f"| {found['sentences']:,} | " + " | ".join(f"{100 * share:.1f} %" for share in shares) in page
    assert f"{head['sentences']['train']:,} sentences" in page
    cnn = json.loads((folder / "digit_cnn.json").read_text(encoding="utf-8"))
    assert f"{100 * cnn['held_out_accuracy']:.1f} % of {cnn['images']['held_out']}" in page
    assert f"{cnn['weights']:,} weights" in page
