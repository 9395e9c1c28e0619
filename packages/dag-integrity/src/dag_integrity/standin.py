"""Replaces packages that are not installed where the check runs, so that the rest of a file can be checked.

Only what the project's own files import is replaced: a library that does without an optional package still does. An import
that the file itself guards with `try ... except ImportError` fails as it would, so that the file takes its other way.
Airflow's own modules have none: what Airflow 3 removed stays an error. Its providers do, which are packages of their own.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.bases.sensor import BaseSensorOperator

OWN = str(Path(__file__).parent)
CATCH = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


class StandIn:
    """Anything that a missing package may have: it can be called, subclassed, decorated with, compared, read from."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Be called. A decorator gives back what it decorates."""
        return arguments[0] if len(arguments) == 1 and not named and inspect.isroutine(arguments[0]) else StandIn()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return StandIn()

    def __class_getitem__(cls, _: Any) -> Any:
        return cls

    def __getitem__(self, _: Any) -> Any:
        return StandIn()

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return True

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def __repr__(self) -> str:
        return "<stand-in>"


@cache
def _accepted() -> frozenset[str]:
    return frozenset(inspect.signature(BaseOperator.__init__).parameters) - {"self", "kwargs"}


def _operator(name: str, base: Any) -> type:
    """Return an operator that takes whatever it is given and keeps what every operator has."""

    def __init__(self: Any, *_: Any, **named: Any) -> None:
        own = _accepted() | ({"timeout", "mode", "poke_interval", "soft_fail"} if base is BaseSensorOperator else set())
        base.__init__(self, **{key: value for key, value in named.items() if key in own and value is not None})

    return type(name, (base,), {"__init__": __init__, "__module__": "dag_integrity.standin"})


class _Module(ModuleType):
    """A module that has every name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        made: Any
        if name.endswith("Sensor"):
            made = _operator(name, BaseSensorOperator)
        elif name.endswith("Operator"):
            made = _operator(name, BaseOperator)
        elif name[:1].isupper():
            made = type(name, (StandIn,), {"__module__": "dag_integrity.standin"})
        else:
            made = StandIn()
        setattr(self, name, made)
        return made


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The last finder on sys.meta_path: asked when no other one has found the module.

    :param local: tells by the path of a file whether it belongs to the project
    """

    def __init__(self, local: Callable[[str], bool]) -> None:
        self._local = local
        self.used: dict[str, int] = {}
        """The packages that were replaced for the current file, and the line that asked first."""

    def begin(self) -> None:
        """Start with a new file: forget the stand-ins of the one before."""
        for name in [name for name, module in sys.modules.items() if isinstance(module, _Module)]:
            del sys.modules[name]
        self.used = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Stand in for a package that the project imports and that nothing provides."""
        parent, _, _ = fullname.rpartition(".")
        if not isinstance(sys.modules.get(parent), _Module):
            if not _is_package_of_others(fullname):
                return None
            frame = _importer()
            if frame is None or not self._local(frame.f_code.co_filename) or _guarded(frame):
                return None
            self.used.setdefault(_distribution(fullname), frame.f_lineno)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """Make the module."""
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Leave it as it is."""


def _is_package_of_others(fullname: str) -> bool:
    parts = fullname.split(".")
    if parts[0] != "airflow":
        return len(parts) == 1
    if parts[:2] != ["airflow", "providers"] or len(parts) < 3:
        return False
    # A provider that is installed has an __init__.py; folders of several, such as `apache`, have none.
    return all(getattr(sys.modules.get(".".join(parts[:n])), "__file__", None) is None for n in range(3, len(parts)))


def _distribution(fullname: str) -> str:
    parts = fullname.split(".")
    return "apache-airflow-providers-" + "-".join(parts[2:]) if parts[0] == "airflow" else parts[0]


def _importer() -> FrameType | None:
    """Return the frame with the import statement."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(("<frozen importlib", OWN)) and "/importlib/" not in file:
            return frame
        frame = frame.f_back
    return None


def _guarded(frame: FrameType) -> bool:
    return any(first <= frame.f_lineno <= last for first, last in _guards(frame.f_code.co_filename))


@cache
def _guards(file: str) -> tuple[tuple[int, int], ...]:
    """Return the lines, from and to, of a file's `try` blocks that take a failed import for possible."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ()
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Try) and any(_catches(handler.type) for handler in node.handlers):
            found.append((node.body[0].lineno, node.body[-1].end_lineno or node.body[-1].lineno))
    return tuple(found)


def _catches(kind: ast.expr | None) -> bool:
    if kind is None:
        return True
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(isinstance(each, ast.Name) and each.id in CATCH for each in kinds)
