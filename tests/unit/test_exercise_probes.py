"""Finds calls of tickets' probes and judges that are not there, so that a renamed function is seen before the nightly proof."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from answers.exercise import catalogue
from answers.exercise.probe import Probe
from answers.proof.catalog import ROOT
from answers.stack.catcher import Catcher

FILES = [ticket.folder / name for ticket in catalogue.load_all(ROOT) for name in ("probe.py", "judge.py")]
ROOMS = ("answers", "dags", "include", "plugins", "tests")
STEPS = Probe(
    {
        "variant": {"told": {}, "hidden": {}},
        **dict.fromkeys(("project", "start", "home", "evidence", "ticket"), "."),
        "tier": "call",
        "patience": 1.0,
        "quick": True,
    }
)


def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def names_of(module: str) -> set[str]:
    """Return the names that a module of the project defines or imports, and the modules below it."""
    path = ROOT / module.replace(".", "/")
    below = {each.stem for each in path.glob("*.py")} | {each.name for each in path.glob("*/")}
    file = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
    found = set(below)
    for node in ast.walk(tree_of(file)) if file.is_file() else ():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def attributes_of(tree: ast.Module, name: str) -> set[str]:
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name
    }


def catchers(tree: ast.Module) -> Iterator[str]:
    """Yield the names of the receivers that `with p.catcher(...) as NAME` makes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.withitem) and isinstance(node.optional_vars, ast.Name):
            called = node.context_expr
            if (
                isinstance(called, ast.Call)
                and isinstance(called.func, ast.Attribute)
                and called.func.attr == "catcher"
            ):
                yield node.optional_vars.id


def is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").is_file() or path.is_dir()


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_what_is_used_of_the_project_is_there(file):
    tree, missing = tree_of(file), []
    for node in ast.walk(tree):
        if not (isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in ROOMS):
            continue
        for alias in node.names:
            used, module = {alias.name}, f"{node.module}.{alias.name}"
            missing += sorted(f"{node.module}.{name}" for name in used - names_of(node.module))
            if is_module(module):
                used = attributes_of(tree, alias.asname or alias.name)
                missing += sorted(f"{module}.{name}" for name in used - names_of(module))
    assert missing == []


@pytest.mark.parametrize("file", [file for file in FILES if file.stem == "probe"], ids=lambda file: file.parent.name)
def test_the_steps_and_what_is_asked_of_a_receiver_are_there(file):
    tree = tree_of(file)
    assert {name for name in attributes_of(tree, "p") if not hasattr(STEPS, name)} == set()
    receivers = set(catchers(tree))
    known = {*dir(Catcher), "server_port", "behaviour", "messages"}
    assert {name for each in receivers for name in attributes_of(tree, each)} <= known
