"""The arrows: servecast -> calibration -> sim -> policy <- reference_server."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

POLICY_MAY_IMPORT = {"__future__", "collections.abc", "enum", "itertools", "typing"}
"""What rules and their settings need. Neither clock nor dice nor I/O is among it."""


def test_import_contracts_of_pyproject_are_kept() -> None:
    """import-linter finds no arrow that points the wrong way."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("path", sorted((ROOT / "policy").glob("*.py")), ids=lambda path: path.stem)
def test_policy_imports_neither_clock_nor_dice_nor_io(path: Path) -> None:
    """A rule is a function of its arguments: nothing that it could import tells the time or rolls a die."""
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    foreign = {name for name in imported if name.split(".")[0] != "policy"}
    assert foreign - POLICY_MAY_IMPORT == set()
