"""Judges what ruff calls removed or moved in Airflow 3: what works in the installed Airflow is neither.

ruff knows names, not the installation. Three things are looked at here that it does not see: whether a name can be imported
all the same (Airflow redirects many), whether a name is the task's own, and whether code is only for Airflow 2.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

CONTEXT_KEYS = {
    "conf", "execution_date", "next_ds", "next_ds_nodash", "next_execution_date", "prev_ds", "prev_ds_nodash",
    "prev_execution_date", "prev_execution_date_success", "tomorrow_ds", "tomorrow_ds_nodash", "yesterday_ds",
    "yesterday_ds_nodash",
}  # fmt: skip
METHODS = re.compile(r"execute|execute_complete|poke|pre_execute|post_execute|on_kill|notify|async_notify")
CALLBACK = re.compile(r"python_callable|condition|\w+_callback|\w+_fn")
VERSION = re.compile(r"version|airflow_?v?_?[23]|af_?[23]", re.IGNORECASE)
DOTTED = re.compile(r"`(airflow(?:\.\w+)+)`")
BARE = re.compile(r"`(\w+)`")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Remark:
    """Holds what ruff says of a line."""

    file: str
    line: int
    code: str
    rule: str
    message: str

    @property
    def name(self) -> str | None:
        """Return the full name of what is said to be gone: `airflow.operators.email.EmailOperator`."""
        match = DOTTED.match(self.message)
        return match.group(1) if match else None

    @property
    def key(self) -> str | None:
        """Return the bare name that is said to be gone: an argument, an attribute or a key of the context."""
        match = BARE.match(self.message)
        return match.group(1) if match else None


def judge(remarks: Iterable[Remark], sources: dict[str, Path], home: Path) -> Iterator[Remark]:
    """Return the remarks that hold for the installed Airflow; what still works is AA604.

    :param sources: file -> where its text can be read
    :param home: a folder that Airflow may write into
    """
    listed = list(remarks)
    doubtful = [each for each in listed if each.rule in ("AA601", "AA603")]
    works = importable({each.name for each in doubtful if each.name}, home)
    codes = {each.file: Code(sources[each.file].read_bytes()) for each in doubtful}
    for each in listed:
        if each.rule not in ("AA601", "AA603"):
            yield each
        elif each.name in works:
            text = each.message.partition(" is ")[0]
            advice = each.message.partition(": ")[2]
            yield Remark(
                each.file, each.line, each.code, "AA604", f"{text} still works here{': ' + advice if advice else ''}"
            )
        elif not codes[each.file].harmless(each):
            yield each


def importable(names: set[str], home: Path) -> set[str]:
    """Return those that the installed Airflow still has, under these names."""
    if not names:
        return set()
    own = str(Path(__file__).resolve().parents[1])
    environment = {
        **os.environ, "AIRFLOW_HOME": str(home), "_AIRFLOW__AS_LIBRARY": "1", "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:///:memory:",
        "PYTHONPATH": os.pathsep.join(filter(None, [own, os.environ.get("PYTHONPATH")])),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "dag_integrity.resolve"], input="\n".join(sorted(names)), cwd="/",
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    return set(json.loads(done.stdout)) if done.returncode == 0 else set()


class Code:
    """The text of a file, asked about names."""

    def __init__(self, source: bytes) -> None:
        try:
            self.tree: ast.Module = ast.parse(source)
        except (SyntaxError, ValueError):
            self.tree = ast.Module([], [])  # the parser reports it
        self._parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    def harmless(self, remark: Remark) -> bool:
        """Tell whether the line is for another version of Airflow, or the name is the author's own."""
        return self._guarded(remark.line) or (remark.key in CONTEXT_KEYS and self._own(remark.line, remark.key or ""))

    def _guarded(self, line: int) -> bool:
        """Tell whether the line lies in a branch that asks for the version, or in an attempt whose failure is expected."""
        for node in ast.walk(self.tree):
            if not _covers(node, line):
                continue
            if isinstance(node, ast.If | ast.IfExp) and VERSION.search(ast.unparse(node.test)):
                return True
            if isinstance(node, ast.Try) and any(_expects_import_error(handler) for handler in node.handlers):
                return True
        return False

    def _own(self, line: int, key: str) -> bool:
        """Tell whether a key or parameter called as one of the context of Airflow 2 is given by the author."""
        around = [node for node in ast.walk(self.tree) if isinstance(node, Function) and _covers(node, line)]
        if not around:
            return True  # a variable that happens to be called context
        function = max(around, key=lambda node: node.lineno)
        return not self._run_by_airflow(function) or self._passes(function, key) or self._sets(function, key)

    def _run_by_airflow(self, function: Function) -> bool:
        if any("task" in re.split(r"\W+", ast.unparse(each).partition("(")[0]) for each in function.decorator_list):
            return True
        if isinstance(self._parents.get(function), ast.ClassDef):
            return METHODS.fullmatch(function.name) is not None
        if any(
            isinstance(node, ast.Call) and _named(node.func) == "get_current_context" for node in ast.walk(function)
        ):
            return True
        return any(
            isinstance(node, ast.keyword) and CALLBACK.fullmatch(node.arg or "")
            and any(_named(each) == function.name for each in ast.walk(node.value))
            for node in ast.walk(self.tree)
        )  # fmt: skip

    def _passes(self, function: Function, key: str) -> bool:
        """Tell whether a call gives the function this argument, or an operator hands it over in op_kwargs."""
        names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
        position = names.index(key) if key in names else None
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and _root(node.func) == function.name:
                given = {each.arg for each in node.keywords}
                if key in given or None in given or (position is not None and len(node.args) > position):
                    return True
            if (
                isinstance(node, ast.keyword)
                and node.arg in ("op_kwargs", "templates_dict")
                and _mentions(node.value, key)
            ):
                return True
        return False

    def _sets(self, function: Function, key: str) -> bool:
        stored = (
            node for node in ast.walk(function) if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)
        )
        return any(_constant(node.slice) == key for node in stored)


def _mentions(node: ast.AST, key: str) -> bool:
    return any(_constant(each) == key or getattr(each, "arg", None) == key for each in ast.walk(node))


def _covers(node: ast.AST, line: int) -> bool:
    first = getattr(node, "lineno", 0)
    return bool(first) and first <= line <= (getattr(node, "end_lineno", None) or first)


def _expects_import_error(handler: ast.ExceptHandler) -> bool:
    return handler.type is not None and any(
        _named(each) in ("ImportError", "ModuleNotFoundError", "AttributeError", "TypeError", "Exception")
        for each in ast.walk(handler.type)
    )


def _named(node: ast.AST) -> str | None:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


def _root(node: ast.AST) -> str | None:
    """Return the name that a chain such as `f.override(...).expand(...)` begins with."""
    while isinstance(node, ast.Attribute | ast.Call):
        node = node.value if isinstance(node, ast.Attribute) else node.func
    return node.id if isinstance(node, ast.Name) else None


def _constant(node: ast.AST) -> object:
    return node.value if isinstance(node, ast.Constant) else None
