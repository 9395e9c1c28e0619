"""Finds tests that mock the code of their own claim. Such a test passes whatever that code does.

A seam is where the world outside comes in: a connection, a clock, an argument, a patience in seconds. Tests replace what
is there. What a claim's anchors point at is what the claim's tests must run. This reads the test files and imports nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from answers.proof.anchors import claimed_tests
from answers.proof.catalog import ROOT, load_questions

OURS = ("answers", "dag_integrity", "include", "plugins", "dags")
Names = dict[str, str]  # a name in a test -> its dotted meaning


@dataclass(frozen=True)
class Replacement:
    """Describes one place in a test file that replaces code of the project.

    `test` is the test's function; None where a fixture or a helper does it, so that all tests of the file are concerned.
    `symbols` are the places in the code, as anchors name them: where the name is used, and where it is imported from.
    """

    file: str
    line: int
    test: str | None
    symbols: frozenset[str]


def replacements(file: Path, root: Path = ROOT) -> list[Replacement]:
    """List what a test file replaces by `monkeypatch.setattr`, `mock.patch`, `patch.object` or an assignment, without spies.

    A spy is a function of the test that calls what it stands in for.
    """
    module = ast.parse(file.read_text(encoding="utf-8"))
    name = file.relative_to(root).as_posix()
    shared = _names(module.body, {})
    found = []
    for function in _functions(module.body):
        names = _names(list(ast.walk(function)), shared)
        test = function.name if function.name.startswith("test") else None
        for node in ast.walk(function):
            for target, stand_in in _replaced(node, names):
                symbols = _symbols(target, root)
                if symbols and not _is_spy(stand_in, target, function, names):
                    found.append(Replacement(name, getattr(node, "lineno", function.lineno), test, symbols))
    return found


def mocked_symbols(root: Path = ROOT) -> list[str]:
    """Return a line for each test that replaces an anchor of its claim: file, line, test, claim and symbol."""
    anchors = {claim.id: claim.anchor for question in load_questions(root) for claim in question.claims}
    claims: dict[tuple[str, str], set[str]] = {}
    for marked in claimed_tests(root):
        claims.setdefault((marked.file, marked.node_id.rpartition("::")[2]), set()).add(marked.claim)
    lines = []
    for file in sorted({file for file, _ in claims}):
        for each in replacements(root / file, root):
            for (where, test), ids in sorted(claims.items()):
                if where != file or each.test not in (None, test):
                    continue
                for claim in sorted(ids):
                    for anchor in anchors.get(claim, []):
                        if any(_is_part(symbol, anchor) or _is_part(anchor, symbol) for symbol in each.symbols):
                            lines.append(f"{file}:{each.line}: {test} proves {claim} and replaces {anchor}")
    return lines


def _is_part(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(f"{outer}.")


def _functions(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body)


def _names(nodes: list[ast.stmt] | list[ast.AST], known: Names) -> Names:
    """Return what the names mean after these statements: imports, and assignments of known names."""
    names = dict(known)
    for node in nodes:
        match node:
            case ast.Import(names=aliases):
                names |= {
                    each.asname or each.name.partition(".")[0]: (each.asname and each.name)
                    or each.name.partition(".")[0]
                    for each in aliases
                }
            case ast.ImportFrom(module=str(module), names=aliases, level=0):
                names |= {each.asname or each.name: f"{module}.{each.name}" for each in aliases}
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if dotted := _dotted(value, names):
                names[name] = dotted
    return names


def _dotted(node: ast.AST | None, names: Names) -> str | None:
    match node:
        case ast.Name(id=name):
            return names.get(name)
        case ast.Attribute(value=value, attr=attribute) if before := _dotted(value, names):
            return f"{before}.{attribute}"
    return None


def _replaced(node: ast.AST, names: Names) -> Iterator[tuple[str, ast.AST | None]]:
    """Return the dotted name that this node replaces, and what replaces it."""
    match node:
        case ast.Call(func=ast.Attribute(attr="setattr" | "delattr"), args=[ast.Constant(value=str(path)), *rest]):
            yield path, rest[0] if rest else None
        case ast.Call(
            func=ast.Attribute(attr="setattr" | "delattr" | "object"), args=[of, ast.Constant(value=str(name)), *rest]
        ) if owner := _dotted(of, names):
            yield f"{owner}.{name}", rest[0] if rest else None
        case ast.Call(
            func=ast.Name(id="patch") | ast.Attribute(attr="patch"), args=[ast.Constant(value=str(path)), *rest]
        ):
            yield path, rest[0] if rest else None
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                if isinstance(target, ast.Attribute) and (dotted := _dotted(target, names)):
                    yield dotted, value


def _is_spy(stand_in: ast.AST | None, target: str, function: ast.AST, names: Names) -> bool:
    """Tells whether the replacement is a function of the test that calls the original."""
    if not isinstance(stand_in, ast.Name):
        return False
    bodies = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == stand_in.id
    ]
    called = {_dotted(call.func, names) for body in bodies for call in ast.walk(body) if isinstance(call, ast.Call)}
    last = target.rpartition(".")[2]
    return any(each and each.rpartition(".")[2] == last for each in called)


def _symbols(target: str, root: Path) -> frozenset[str]:
    """Return the anchors (`path:symbol`) of a dotted name of the project; none for a name of another package."""
    parts = target.split(".")
    if parts[0] not in OURS:
        return frozenset()
    for cut in range(len(parts) - 1, 0, -1):
        for file in (Path(*parts[:cut]).with_suffix(".py"), Path(*parts[:cut], "__init__.py")):
            if not (root / file).is_file():
                continue
            own = f"{file.as_posix()}:{'.'.join(parts[cut:])}"
            names = _names(list(ast.walk(ast.parse((root / file).read_text(encoding="utf-8")))), {})
            source = names.get(parts[cut])
            further = _symbols(".".join([source, *parts[cut + 1 :]]), root) if source else frozenset()
            return frozenset({own}) | further
    return frozenset()
