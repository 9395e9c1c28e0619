"""Measures what the imports of a DAG file cost in CPU seconds, whatever was imported before it in the process."""

from __future__ import annotations

import builtins
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

from dag_integrity.guard import DRIVERS, Watch


class Imports:
    """Records which imports a file asks for, and their CPU seconds."""

    def __init__(self, watch: Watch) -> None:
        self.cost: dict[str, float] = {}
        self.needs: dict[str, set[str]] = {}
        self.asked: dict[str, int] = {}
        self._stack: list[list[Any]] = []
        self._watch = watch
        self._original = builtins.__import__
        self._local: Callable[[str], bool] = lambda name: False
        self._drivers = set(DRIVERS)
        self._known: set[str] = set()
        self._free: set[str] = set()
        self._foreign: set[str] = set()
        self.spent = 0.0
        """CPU seconds that imports took in this parse."""

    def begin(self, local: Callable[[str], bool]) -> None:
        """Count for a new file. `local` tells by a module's name whether the file or a module beside it imports."""
        self.asked, self._local, self._stack, self._foreign, self.spent = {}, local, [], set(), 0.0
        builtins.__import__ = self._import

    def end(self) -> None:
        """Stop counting: Airflow imports hundreds of times while it serialises a DAG, for which this would be slow."""
        builtins.__import__ = self._original

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        importer = globals.get("__name__") or "" if globals else ""
        if not self._watch.active or (importer in self._foreign and not self._stack):
            return self._original(name, globals, locals, fromlist or (), level)
        if not self._stack and not self._local(importer):
            self._foreign.add(importer)  # a function of a loaded module, of which Airflow calls a hundred for a file
            return self._original(name, globals, locals, fromlist or (), level)
        key = name if not level else f"{(globals or {}).get('__package__')}{'.' * level}{name}"
        if fromlist:
            key = f"{key} {','.join(fromlist)}"
        if self._stack:
            self._stack[-1][1].add(key)
        if self._local(importer) and key not in self.asked:
            self.asked[key] = self._watch.line()
        if key in self._known:
            return self._original(name, globals, locals, fromlist or (), level)
        before, start = len(sys.modules), time.thread_time()
        entry: list[Any] = [0.0, set()]
        self._stack.append(entry)
        try:
            return self._original(name, globals, locals, fromlist or (), level)
        finally:
            took = time.thread_time() - start
            if self._stack and self._stack[-1] is entry:
                self._stack.pop()
            if self._stack:
                self._stack[-1][0] += took
            else:
                self.spent += took
            if len(sys.modules) > before:
                # A module of the project is run anew for each file: its cost is remembered, but always measured again.
                self.cost[key] = max(took - entry[0], 0.0)
            self.needs.setdefault(key, set()).update(entry[1])
            if not self._local(name):
                self._known.add(key)
            # One that is still being imported has it later.
            for driver in [each for each in self._drivers if hasattr(sys.modules.get(each), "connect")]:
                self._drivers.discard(driver)
                self._watch.guard_driver(sys.modules[driver])

    def dearest(self) -> Iterator[tuple[str, int, float]]:
        """Return what the file asked for, dearest first: (module, line, CPU seconds), each module's cost counted once."""
        counted: set[str] = set()
        result = []
        for key, line in self.asked.items():
            total, todo = 0.0, [] if key in self._free else [key]
            while todo:
                each = todo.pop()
                if each in counted:
                    continue
                counted.add(each)
                total += self.cost.get(each, 0.0)
                todo += self.needs.get(each, ())
            if not total and key in self._known:
                self._free.add(key)
            result.append((key.partition(" ")[0], line, total))
        yield from sorted(result, key=lambda entry: -entry[2])
