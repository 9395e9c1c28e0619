"""Tells which packages an import of a module of this project loads, by the imports at the top of the files that it leads to."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from support import PROJECT

OWN = ("answers", "bench", "include", "plugins")  # not the checker, which is a package in its own right


def file_of(module: str) -> Path | None:
    """Return the file of a module of this project."""
    path = PROJECT / module.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def modules_of(statement: ast.AST) -> list[str]:
    """Return the modules that an import statement names."""
    if isinstance(statement, ast.Import):
        return [each.name for each in statement.names]
    if isinstance(statement, ast.ImportFrom) and statement.module:
        inner = [f"{statement.module}.{each.name}" for each in statement.names]
        return [statement.module, *(module for module in inner if file_of(module))]
    return []


def at_the_top(file: Path) -> list[str]:
    """Return the modules that a file names outside of its functions."""
    return [module for statement in ast.parse(file.read_text()).body for module in modules_of(statement)]


@cache
def packages(module: str) -> frozenset[str]:
    """Return the packages of others that an import of the module loads. The standard library is none."""
    found, seen, waiting = set(), set(), [module]
    while waiting:
        name = waiting.pop()
        first, *others = name.split(".")
        if name in seen or first in sys.stdlib_module_names:
            continue
        seen.add(name)
        if first not in OWN:
            found.add(first)
            continue
        for end in range(len(others) + 1):
            if file := file_of(".".join((first, *others[:end]))):
                waiting += at_the_top(file)
    return frozenset(found)


def that_save_nothing(file: Path) -> Iterator[str]:
    """Yield the imports inside functions that load no package which the file has not loaded by itself.

    A part of Airflow may be much heavier than another one: only airflow.sdk, which plugins import, counts as loaded.
    """
    top = at_the_top(file)
    loaded = frozenset().union(*(packages(module) for module in top)) - {"airflow"}
    for function in ast.walk(ast.parse(file.read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for statement in ast.walk(function):
                modules = modules_of(statement)
                lacking = frozenset().union(*(packages(module) for module in modules)) - loaded
                if modules and (not lacking or set(modules) <= set(top)):
                    yield f"{file.relative_to(PROJECT)}:{statement.lineno}: {ast.unparse(statement)}"
