"""Finds the DAGs that a file makes and Airflow never sees. It takes globals, `with` statements and called `@dag` functions."""

from __future__ import annotations

import ast
import sys
from types import CodeType, ModuleType
from typing import Any

from dag_integrity.sources import read

DECORATOR = "factory"  # the function that @dag returns


class Made:
    """The DAGs that are made while a file is parsed."""

    def __init__(self) -> None:
        self._file = ""
        self._dags: list[tuple[Any, int]] = []
        self._called: set[tuple[str, int]] = set()

    def begin(self, file: str) -> None:
        """Watch the parsing of `file` from here on."""
        self._file = file
        self._dags.clear()
        self._called.clear()

    def add(self, dag: Any, line: int) -> None:
        """Note a DAG that is being made, and the `@dag` function that makes it.

        Those that a module makes which the file imports are that module's own.
        """
        frame: Any = sys._getframe(2)
        while frame is not None and frame.f_code.co_name != "<module>":
            if frame.f_code.co_name == DECORATOR and (code := _code(frame.f_locals.get("f"))) is not None:
                self._called.add((code.co_filename, code.co_firstlineno))
            frame = frame.f_back
        if frame is not None and frame.f_code.co_filename == self._file:
            self._dags.append((dag, line))

    def end(self, module: ModuleType, taken: list[Any]) -> dict[str, Any]:
        """Return what became of them, as plain data.

        :param taken: the DAGs that Airflow sees
        :returns: `lost`: [line, DAG]; `functions`: [line, name] of the file's own `@dag` functions; `called`: [file, line];
            `program`: whether the lost ones are made only when the file is run as a program
        """
        seen = {id(dag) for dag in taken}
        lost = [
            [line, dag.dag_id] for dag, line in self._dags
            if id(dag) not in seen and getattr(dag, "auto_register", True) and hasattr(dag, "dag_id")
        ]  # fmt: skip
        functions, program = [], False
        for name, value in module.__dict__.items():
            own, code = _code(value), _code(getattr(value, "__wrapped__", None))
            if own is not None and code is not None and own.co_name == DECORATOR and code.co_filename == self._file:
                functions.append([code.co_firstlineno, name])
        if not taken and not lost and not functions:
            lost, program = only_as_program(self._file), True
        called = [list(each) for each in sorted(self._called)]
        self._dags.clear()
        return {"lost": lost, "functions": functions, "called": called, "program": program}


def only_as_program(file: str) -> list[list[Any]]:
    """Return [line, name] of what makes a DAG below `if __name__ == "__main__":`, which Airflow never runs."""
    try:
        tree = ast.parse(read(file))
    except (OSError, SyntaxError, ValueError):
        return []
    makers = {"DAG"} | {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and "DAG" in _calls(node)
    }  # fmt: skip
    blocks = [node for node in tree.body if isinstance(node, ast.If) and _asks_for_main(node.test)]
    return [[block.lineno, name] for block in blocks for name in sorted(_calls(block) & makers)[:1]]


def _calls(node: ast.AST) -> set[str]:
    functions = [each.func for each in ast.walk(node) if isinstance(each, ast.Call)]
    return {each.id if isinstance(each, ast.Name) else getattr(each, "attr", "") for each in functions}


def _asks_for_main(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and {"__name__", "'__main__'"} == {
        ast.unparse(each) for each in (test.left, *test.comparators)
    }


def _code(function: Any) -> CodeType | None:
    code = getattr(function, "__code__", None)
    return code if isinstance(code, CodeType) else None
