"""Tells which files two parses can differ for, and what counts as the same document."""

from __future__ import annotations

import dis
import sys
from pathlib import Path
from types import CodeType
from typing import Any

UNSTABLE_NAMES = {
    "now", "today", "utcnow", "time", "time_ns", "monotonic", "perf_counter", "ctime", "days_ago", "random", "randint",
    "randrange", "choice", "choices", "sample", "shuffle", "uniform", "uuid1", "uuid4", "urandom", "getpid", "token_hex",
    "token_urlsafe", "token_bytes", "mktemp", "mkdtemp", "mkstemp", "id", "hash", "set", "frozenset", "object", "listdir",
    "scandir", "iterdir", "glob", "rglob", "walk", "getmtime", "stat", "localtime", "gmtime", "strftime", "asctime", "yesterday",
    "tomorrow",
}  # fmt: skip
UNSTABLE_MODULES = {
    "random",
    "uuid",
    "secrets",
    "time",
    "tempfile",
    "socket",
    "subprocess",
    "threading",
    "multiprocessing",
}
STABLE_PACKAGES = (set(sys.stdlib_module_names) - UNSTABLE_MODULES) | {"airflow", "pendulum", "yaml", "jinja2"}
BUILD_SET, SET_ADD = dis.opmap["BUILD_SET"], dis.opmap["SET_ADD"]


class Suspicion:
    """Tells whether two parses of a file can differ: it uses time, chance, sets or a package unknown here."""

    def __init__(self) -> None:
        self._unstable: dict[str, bool] = {}

    def of(self, file: str, code: CodeType | None, packages: set[str], local: dict[str, bool]) -> bool:
        """Judge the file and the modules beside it. Errs on the side of yes, which costs a second parse.

        :param packages: the packages that the file asks for
        :param local: module -> whether it belongs to the project
        """
        own = {name.partition(".")[0] for name, is_local in local.items() if is_local}
        if packages - STABLE_PACKAGES - own - {"", "None"} or code is None or varies(code):
            return True
        modules = (sys.modules.get(name) for name, is_local in local.items() if is_local)
        origins = {origin for module in modules if (origin := getattr(module, "__file__", None)) and origin != file}
        return any(self._of_module(origin) for origin in origins)

    def _of_module(self, file: str) -> bool:
        if file not in self._unstable:
            try:
                self._unstable[file] = varies(compile(Path(file).read_bytes(), file, "exec"))
            except (OSError, SyntaxError, ValueError):
                self._unstable[file] = True
        return self._unstable[file]


def canonical(document: Any) -> Any:
    """Return the document as Airflow compares it to decide on a new version: the order of lists of strings does not count."""
    if isinstance(document, dict):
        left_out = ("fileloc", "_processor_dags_folder", "relative_fileloc")
        return {key: canonical(item) for key, item in sorted(document.items()) if key not in left_out}
    if isinstance(document, list):
        if document and all(isinstance(item, str) for item in document):
            return sorted(document)
        items = [canonical(item) for item in document]
        if items and all(isinstance(item, dict) and "task_id" in (item.get("__var") or {}) for item in items):
            return sorted(items, key=lambda item: item["__var"]["task_id"])
        return items
    return document


def varies(code: CodeType) -> bool:
    """Tell whether code uses a name that gives another value each time, or makes a set."""
    if not UNSTABLE_NAMES.isdisjoint(code.co_names):
        return True
    operations = code.co_code[::2]
    if BUILD_SET in operations or SET_ADD in operations:
        return True
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if varies(constant):
                return True
        elif isinstance(constant, frozenset) and len(constant) > 1:
            return True
    return False
