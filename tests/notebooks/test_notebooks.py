"""Each notebook runs from its first cell to its last, with public names alone."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

import servecast as sc

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
LIVE = ("calibrate_a_server", "simulator_against_server")  # they measure, so nothing else may run meanwhile


def whole(path: Path) -> object:
    """Return a notebook as a case, to be run alone if it measures."""
    return pytest.param(path, id=path.stem, marks=[pytest.mark.alone] if path.stem in LIVE else [])


def test_there_are_notebooks() -> None:
    """The tests below have something to run."""
    assert [path.stem for path in NOTEBOOKS] == [
        "autoscaler_and_cold_start",
        "calibrate_a_server",
        "canary_and_ab",
        "first_forecast",
        "how_sure_are_we",
        "plan_a_launch",
        "simulator_against_server",
    ]


@pytest.mark.parametrize("path", [whole(path) for path in NOTEBOOKS])
def test_notebook_runs_and_ends_with_a_picture(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell runs in a fresh kernel; the last one shows a picture."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = jupytext.read(path)
    try:
        NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    except CellExecutionError as error:
        if path.stem in LIVE and "disturbed" in str(error):
            pytest.skip(f"the host was too busy to measure on: {error.evalue}")
        raise
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert "image/png" in outputs[-1].data
    assert any(output.get("text", "").strip() for output in outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_uses_public_names_only(path: Path) -> None:
    """What a notebook shows, a user may rely on: public names, or the command line."""
    used = set(re.findall(r"\bsc\.(\w+)", path.read_text(encoding="utf-8")))
    imported = re.findall(r"^(?:from|import) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert used <= set(sc.__all__)
    assert set(imported) <= {"servecast", "matplotlib", "IPython", *sys.stdlib_module_names}
    assert "servecast" in imported or '"-m", "servecast"' in path.read_text(encoding="utf-8")
