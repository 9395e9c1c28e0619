"""Explains in one line why a file cannot be parsed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from dag_integrity.guard import Refused, Watch


class Failure:
    """An exception that a file ended with, and where it came from.

    :param roots: the folders of the project, each with a slash at its end
    :param watch: what the file did before
    """

    def __init__(self, error: BaseException, file: str, roots: tuple[str, ...], watch: Watch) -> None:
        self.error, self.file, self._roots, self._watch = error, file, roots, watch
        self.line, self._where = self._place()

    @property
    def refused(self) -> bool:
        """Tell whether the watch refused something, which is a finding of its own."""
        chain = list(self._chain())
        if any(isinstance(each, Refused) for each in chain) or any(rule == "AA401" for rule, *_ in self._watch.seen):
            return True
        undefined = {"AirflowRuntimeError", "AirflowNotFoundException"} & {type(each).__name__ for each in chain}
        of_a_variable = isinstance(self.error, KeyError) and "Variable" in str(self.error)
        return bool(self._watch.lookups and (undefined or of_a_variable))

    @property
    def missing(self) -> bool:
        """Tell whether a package is not installed: parsing the file again does not help."""
        if not isinstance(self.error, ModuleNotFoundError) or not self.error.name:
            return False
        package = self.error.name.partition(".")[0]
        return not any(os.path.exists(f"{root}{package}") for root in self._roots)

    @property
    def text(self) -> str:
        """Return what went wrong, where, and what to do."""
        return self._what() + self._advice() + self._where

    def _chain(self) -> Iterator[BaseException]:
        seen: list[BaseException] = []
        each: BaseException | None = self.error
        while each is not None and each not in seen:
            seen.append(each)
            yield each
            each = each.__cause__ or each.__context__

    def _place(self) -> tuple[int, str]:
        """Return the line of the file, and the place in a module of the project that it led to."""
        line, where, trace = 1, "", self.error.__traceback__
        while trace is not None:
            name = trace.tb_frame.f_code.co_filename
            if name == self.file:
                line, where = trace.tb_lineno, ""
            elif name.startswith(self._roots) and "site-packages" not in name:
                where = self._in_module(name, trace.tb_lineno)
            trace = trace.tb_next
        if isinstance(self.error, SyntaxError):
            if self.error.filename == self.file:
                line = self.error.lineno or 1
            elif self.error.filename:
                where = self._in_module(self.error.filename, self.error.lineno)
        return line, where

    def _in_module(self, name: str, line: int | None) -> str:
        return f" ({os.path.relpath(name, os.path.dirname(self.file))}, line {line})"

    def _what(self) -> str:
        error = self.error
        if isinstance(error, SyntaxError):
            return f"{type(error).__name__}: {error.msg}"
        if isinstance(error, SystemExit):
            return f"the file ends its own parsing: sys.exit({error.code!r})"
        if isinstance(error, KeyError) and raised_by(error) == "os":
            return f"the environment variable {error} is not set here: env-file gives the check a value"
        if isinstance(error, ImportError):
            return re.sub(r" \((?:/[^()]*|unknown location)\)$", "", short(error))
        return short(error)

    def _advice(self) -> str:
        error = self.error
        if isinstance(error, ModuleNotFoundError) and error.name:
            package = error.name.partition(".")[0]
            if package == "airflow":
                return ": moved or removed in Airflow 3, or its provider is not installed here"
            return f": install what provides {package!r} where the check runs, or put it on the path"
        if isinstance(error, ImportError) and (error.name or "").startswith("airflow."):
            return ": moved or removed in Airflow 3"
        if self._watch.lookups and not (isinstance(error, KeyError) and raised_by(error) == "os"):
            kind, key, _ = self._watch.lookups[-1]
            prefix = "VAR" if kind == "variable" else "CONN"
            return f" (after a look-up of {kind} {key!r}: AIRFLOW_{prefix}_{key.upper()} gives the check a value)"
        return ""


def raised_by(error: BaseException) -> str:
    """Return the name of the module whose code raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return str(trace.tb_frame.f_globals.get("__name__", "")) if trace is not None else ""


def short(error: BaseException, most: int = 300) -> str:
    """Shorten what an exception says to one line."""
    text = " ".join(str(error).split())
    text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text if len(text) <= most else f"{text[:most]} ..."
