"""Finds where claims touch the code: the lines of their anchors, and the tests that carry their markers."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from answers.proof.catalog import ROOT, CatalogError

ELSEWHERE = ("compose", "kubernetes")  # tiers that need more than this machine and its packages
SLOW_TIERS = (*ELSEWHERE, "stack")


def resolve_anchor(anchor: str, root: Path | None = None) -> int:
    """Return the line (from 1) that an anchor points at.

    :param anchor: `path:symbol`. In Python files the symbol is a function, class or assigned name, also within `with`,
        `for`, `if` and `try` blocks, dotted for what is inside (`Class.method`). In other files it is text that must occur:
        a line that begins with it comes first, and a comment comes last.
    :param root: the project's folder; this project when None.
    :raises CatalogError: the file or the symbol does not exist.
    """
    path = anchor.partition(":")[0]
    try:
        source = ((root or ROOT) / path).read_text(encoding="utf-8")
    except OSError as error:
        raise CatalogError(f"anchor {anchor!r}: no file {path}") from error
    return line_in(source, anchor)


def line_in(source: str, anchor: str) -> int:
    """Return the line (from 1) that an anchor points at in the content of its file.

    :raises CatalogError: the symbol does not exist.
    """
    path, _, symbol = anchor.partition(":")
    line = _python_line(source, symbol, anchor) if path.endswith(".py") else _text_line(source, symbol)
    if line is None:
        raise CatalogError(f"anchor {anchor!r}: {path} has no {symbol!r}")
    return line


def _text_line(source: str, text: str) -> int | None:
    """Return the line that begins with the text, such as a service, a key or a target; else the first outside of comments."""
    found = [(number, line.strip()) for number, line in enumerate(source.splitlines(), 1) if text in line]
    begins = re.compile(rf"\W*{re.escape(text)}(?![\w-])")
    code = [(number, line) for number, line in found if not line.startswith(("#", "--", "//"))]
    named = [(number, line) for number, line in code if begins.match(line)]
    return next((number for number, _ in named or code or found), None)


@lru_cache(maxsize=4)  # the anchors of a claim are in one file or two
def _statements(source: str) -> list[ast.stmt]:
    return ast.parse(source).body


def _python_line(source: str, symbol: str, anchor: str) -> int | None:
    try:
        body = _statements(source)
    except SyntaxError as error:
        raise CatalogError(f"anchor {anchor!r}: the file is not valid Python: {error}") from error
    line = None
    for name in symbol.split("."):
        found = next(((node, line) for node, names, line in _definitions(body) if name in names), None)
        if found is None:
            return None
        node, line = found
        body = node.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else []
    return line


def _definitions(body: list[ast.stmt]) -> Iterator[tuple[ast.stmt, set[str], int]]:
    """Yield the names that the statements define in their own scope: inside blocks, not inside functions or classes."""
    for node in body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node, {node.name}, node.lineno
                continue
            case ast.Assign():
                yield node, _names(*node.targets), node.lineno
            case ast.AnnAssign():
                yield node, _names(node.target), node.lineno
            case ast.For():
                yield node, _names(node.target), node.lineno
            case ast.With() | ast.AsyncWith():
                yield node, _names(*(i.optional_vars for i in node.items if i.optional_vars)), node.lineno
        for block in ("body", "orelse", "finalbody"):
            yield from _definitions(getattr(node, block, []))
        for handler in getattr(node, "handlers", []):
            yield from _definitions(handler.body)


def _names(*targets: ast.expr) -> set[str]:
    return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}


@dataclass(frozen=True)
class ClaimedTest:
    """Describes a test function that carries a claim's marker. It is found without importing it."""

    claim: str
    node_id: str
    file: str
    line: int
    tier: str  # "fast" (unit, service and dag), "stack", "compose" or "kubernetes"
    long: bool = False  # `make test-long` alone runs it


def claimed_tests(root: Path | None = None) -> list[ClaimedTest]:
    """List every test of a claim: `@pytest.mark.claim("x.y")` is on the test, its class, or in the module's pytestmark.

    Looks below tests/ and packages/*/tests/.

    :param root: the project's folder; this project when None.
    :raises CatalogError: a test file is not valid Python, or a marker's argument is not a literal string.
    """
    root = root or ROOT
    found: list[ClaimedTest] = []
    folders = (root, *(root / "packages").glob("*"))
    for path in sorted(file for folder in folders for file in (folder / "tests").rglob("test_*.py")):
        name = path.relative_to(root).as_posix()
        try:
            module = ast.parse(path.read_text(encoding="utf-8"))
        except SyntaxError as error:
            raise CatalogError(f"{name}: not valid Python: {error}") from error
        marks = _pytestmark(module.body, name)
        found += _tests_in(module.body, name, name, marks | set(SLOW_TIERS) & set(path.relative_to(root).parts))
    return found


def _tests_in(body: list[ast.stmt], prefix: str, file: str, outer: set[str]) -> Iterator[ClaimedTest]:
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            marks = outer | _marks(node.decorator_list, file) | _pytestmark(node.body, file)
            yield from _tests_in(node.body, f"{prefix}::{node.name}", file, marks)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            marks = outer | _marks(node.decorator_list, file)
            tier = next((tier for tier in SLOW_TIERS if tier in marks), "fast")
            for mark in sorted(marks):
                if mark.startswith("claim "):
                    claim = mark.removeprefix("claim ")
                    yield ClaimedTest(claim, f"{prefix}::{node.name}", file, node.lineno, tier, "long" in marks)


def _pytestmark(body: list[ast.stmt], file: str) -> set[str]:
    values = [node.value for node, names, _ in _definitions(body) if "pytestmark" in names and hasattr(node, "value")]
    return _marks([value for value in values if value is not None], file)


def _marks(expressions: list[ast.expr], file: str) -> set[str]:
    """Return the names of the pytest marks in the expressions; a claim's mark as `claim 1.4`."""
    marks: set[str] = set()
    for node in (node for expression in expressions for node in ast.walk(expression)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr == "mark":
            marks.add(node.attr)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "claim":
            for argument in node.args:
                if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
                    raise CatalogError(f"{file}:{node.lineno}: pytest.mark.claim takes literal claim ids")
                marks.add(f"claim {argument.value}")
    return marks
