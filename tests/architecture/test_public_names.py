"""`__all__` is the promise of a module, and the other modules rely on nothing else."""

from __future__ import annotations

import ast
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("servecast", "calibration", "sim", "policy", "reference_server")


def module_name(path: Path) -> str:
    """Return the dotted name of a source file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}
IMPORTABLE = [name for name in SOURCES if not name.endswith("__main__")]


@cache
def tree_of(name: str) -> ast.Module:
    """Return the syntax tree of a module of the project."""
    return ast.parse(SOURCES[name].read_text(encoding="utf-8"))


@cache
def promised(name: str) -> frozenset[str] | None:
    """Return the names in `__all__` as the source says them, None without one."""
    for node in tree_of(name).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            value = getattr(node, "value", None)
            assert value is not None
            return frozenset(ast.literal_eval(value))
    return None


def test_modules_are_found() -> None:
    """The tests below look at all five packages."""
    assert {name.split(".")[0] for name in SOURCES} == set(PACKAGES)


@pytest.mark.parametrize("name", IMPORTABLE)
def test_all_names_what_is_there(name: str) -> None:
    """Each module has an `__all__`, and each name in it can be had."""
    names = promised(name)
    body = [node for node in tree_of(name).body if not isinstance(node, ast.Expr)]
    assert names is not None or not body, f"{name} has no __all__"
    module = import_module(name)
    assert [promise for promise in names or () if not hasattr(module, promise)] == []


@pytest.mark.parametrize("name", IMPORTABLE)
def test_all_names_every_public_function_and_class(name: str) -> None:
    """What is not promised has a name that says so: private by default."""
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    public = {
        node.name for node in tree_of(name).body if isinstance(node, definitions) and not node.name.startswith("_")
    }
    assert public - (promised(name) or frozenset()) == set()


@pytest.mark.parametrize("name", list(SOURCES))
def test_imports_take_only_what_is_promised(name: str) -> None:
    """A module takes from another module of the project what that one's `__all__` names, or a whole module."""
    unpromised = []
    for node in ast.walk(tree_of(name)):
        if not isinstance(node, ast.ImportFrom) or node.module not in SOURCES:
            continue
        for alias in node.names:
            if f"{node.module}.{alias.name}" not in SOURCES and alias.name not in (promised(node.module) or ()):
                unpromised.append(f"{node.module}.{alias.name}")
    assert unpromised == []
