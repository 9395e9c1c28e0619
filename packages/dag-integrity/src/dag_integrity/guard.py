"""Tells what a parser process may not do unseen: databases, network, programs, look-ups, and what its imports cost.

Runs in the forked workers, and there for good: nothing here is undone.
"""

from __future__ import annotations

import contextlib
import functools
import json
import linecache
import os
import socket
import sys
import threading
import time
from collections.abc import Sequence
from types import ModuleType
from typing import Any

DRIVERS = ("psycopg2", "psycopg", "MySQLdb", "pyodbc", "oracledb", "duckdb")  # they connect in C, unseen by audit hooks


WAYS = (
    "os",
    "posixpath",
    "genericpath",
    "pathlib",
    "glob",
    "collections",
    "_collections_abc",
)  # modules that ask for others


class Refused(ConnectionError):
    """Holds what a DAG file gets for asking a database or the network while it is parsed, and for sleeping without end."""


class Watch:
    """Records what a file does at parse as (rule, line in the file, text), and refuses databases and the network."""

    def __init__(self) -> None:
        self.file = ""
        self.seen: list[tuple[str, int, str]] = []
        self.lookups: list[tuple[str, str, int]] = []
        self.slept = 0.0
        """Seconds that the file asked to sleep. What was asked for is the same on every machine; how long it took is not."""
        self.longest = float("inf")
        """Seconds of sleep that cannot end well: Airflow gives up before."""
        self.active = False
        self.environment_changed = False
        """Whether the file has set or removed a variable of the environment."""
        self._roots: tuple[str, ...] = ()

    def begin(self, file: str, roots: tuple[str, ...] = ()) -> None:
        """Watch the parsing of `file` from here on.

        :param roots: the folders of the project, each with a slash at its end
        """
        self._roots, self.environment_changed = roots, False
        self.file, self.seen, self.lookups, self.slept, self.active = file, [], [], 0.0, True

    def line(self) -> int:
        """Return the line of the file that led here, 1 when none of its code is running."""
        frame = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename == self.file:
                return frame.f_lineno
            frame = frame.f_back  # type: ignore[assignment]
        return 1

    def dag_line(self) -> int:
        """Return the line of the decorator for a DAG that `@dag` makes, otherwise that of the call."""
        frame = sys._getframe(2)
        if frame.f_code.co_name == "factory" and (function := frame.f_locals.get("f")) is not None:
            code = getattr(function, "__code__", None)
            if code is not None and code.co_filename == self.file:
                return code.co_firstlineno
        return self.line()

    def note(self, rule: str, text: str) -> None:
        """Record an access once a line."""
        entry = (rule, self.line(), text)
        if self.active and entry not in self.seen:
            self.seen.append(entry)

    def lookup(self, kind: str, key: object) -> None:
        """Record that a variable or connection is looked up."""
        if self.active:
            self.lookups.append((kind, str(key), self.line()))

    def install(self) -> None:
        """Put the watch in front of everything."""
        sys.addaudithook(self._audit)
        os.register_at_fork(after_in_child=self._in_child)
        self._guard_airflow()
        self._guard_sqlalchemy()
        self._count_sleep()
        self._watch_current_folder()

    def _asked_by_project(self, frame: Any) -> bool:
        """Tell whether code of the project asks, itself or through a library's function, not a library that is being imported."""
        while frame is not None:
            if self._is_project(frame):
                return True
            if frame.f_code.co_name == "<module>" or frame.f_code.co_filename.startswith("<frozen importlib"):
                return False
            frame = frame.f_back
        return False

    def _is_project(self, frame: Any) -> bool:
        name = frame.f_code.co_filename
        return name == self.file or (name.startswith(self._roots) and "site-packages" not in name)

    def _names(self, frame: Any, key: str) -> bool:
        """Tell whether a line of the project has this key: a copy of the whole environment reads it as well, and names no key."""
        return self._is_project(frame) and key in linecache.getline(frame.f_code.co_filename, frame.f_lineno)

    def _watch_current_folder(self) -> None:
        """Record where code of the project itself asks for the folder that it happens to run in."""
        current, item = os.getcwd, type(os.environ).__getitem__

        def getcwd() -> str:
            if self.active and self._is_project(_caller(sys._getframe(1))):
                self.note("AA409", "asks for the current folder, wherever Airflow happens to be started")
            return current()

        def getitem(environment: Any, key: Any) -> Any:
            if self.active and key in ("PWD", "OLDPWD") and self._names(_caller(sys._getframe(1)), key):
                self.note("AA409", f"reads {key}, the folder where Airflow happens to be started")
            return item(environment, key)

        status = os.stat

        @functools.wraps(status)
        def stat(path: Any, *arguments: Any, **named: Any) -> Any:
            name = _relative(path) if self.active and not named.get("dir_fd") else None
            if name and self._is_project(_caller(sys._getframe(1))):
                self.note("AA409", f"looks for {name!r}, wherever Airflow happens to be started")
            return status(path, *arguments, **named)

        os.getcwd = getcwd
        os.stat = stat
        type(os.environ).__getitem__ = getitem  # type: ignore[method-assign]

    def _count_sleep(self) -> None:
        sleep = time.sleep

        @functools.wraps(sleep)
        def counted(seconds: Any, /) -> None:
            if self.active and threading.current_thread() is threading.main_thread():
                self.slept += float(seconds)
                if self.slept >= self.longest:
                    self.note("AA102", f"sleeps for {self.slept:g} s")
                    raise Refused("answers integrity: no such sleep while a DAG file is parsed")
            sleep(seconds)

        time.sleep = counted

    def _in_child(self) -> None:
        self.active = False

    def _audit(self, event: str, args: Sequence[Any]) -> None:
        if not self.active:
            return
        if event in ("os.putenv", "os.unsetenv"):
            self.environment_changed = True
            return
        if event in ("open", "os.listdir", "os.scandir"):
            if (path := _relative(args[0])) is not None and self._asked_by_project(sys._getframe(1)):
                self.note("AA409", f"reads {path or '.'!r}, wherever Airflow happens to be started")
            return
        if event == "socket.connect":
            address = args[1]
            if getattr(args[0], "family", None) == socket.AF_UNIX:
                self.note("AA402", "connects to a local socket")
            else:
                host = address[0] if isinstance(address, tuple) and address else "?"
                port = address[1] if isinstance(address, tuple) and len(address) > 1 else "?"
                self.note("AA402", f"connects to {host} port {port}")
            raise Refused("answers integrity: no network while a DAG file is parsed")
        if event in ("socket.getaddrinfo", "socket.gethostbyname"):
            if args[0] in (None, "", "localhost", "127.0.0.1", "::1", socket.gethostname()):
                return
            host = args[0].decode("ascii", "replace") if isinstance(args[0], bytes) else args[0]
            self.note("AA402", f"looks up the address of {host}")
            raise Refused("answers integrity: no network while a DAG file is parsed")
        if event == "sqlite3.connect":
            if str(args[0]) == ":memory:":
                return
            self.note("AA401", "opens an SQLite database")
            raise Refused("answers integrity: no database while a DAG file is parsed")
        self._audit_processes(event, args)

    def _audit_processes(self, event: str, args: Sequence[Any]) -> None:
        """Note the start of a process. A Popen forks, too: it is one finding."""
        if event == "subprocess.Popen":
            self.note("AA404", f"starts {os.path.basename(str(args[0]))}")
        forks = event in ("os.system", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty")
        if forks and ("AA404", self.line()) not in [entry[:2] for entry in self.seen]:
            self.note("AA404", f"starts a process ({event})")

    _audit.__cantrace__ = True  # type: ignore[attr-defined]  # Python hides audit hooks from debuggers and coverage otherwise

    def _guard_airflow(self) -> None:
        """Take Airflow's own seams: where look-ups arrive, and the session that Airflow 3 keeps from DAG files.

        The environment (AIRFLOW_VAR_..., AIRFLOW_CONN_...) still answers; no other secrets backend is asked.
        """
        from airflow import settings
        from airflow.exceptions import AirflowNotFoundException
        from airflow.models.connection import Connection
        from airflow.models.variable import Variable
        from airflow.sdk import Connection as GivenConnection
        from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
        from airflow.sdk.execution_time import context
        from airflow.sdk.execution_time.comms import ErrorResponse
        from airflow.secrets.environment_variables import EnvironmentVariablesBackend

        environment = EnvironmentVariablesBackend()
        with contextlib.suppress(
            AttributeError
        ):  # Airflow 3.2 and later; the metadata database's own needs all of its models
            environment._set_connection_class(GivenConnection)

        def get_variable(key: str, deserialize_json: bool = False) -> Any:
            self.lookup("variable", key)
            value = environment.get_variable(key)
            if value is None:
                detail = {"message": f"Variable {key} not found"}
                raise AirflowRuntimeError(ErrorResponse(error=ErrorType.VARIABLE_NOT_FOUND, detail=detail))
            return json.loads(value) if deserialize_json else value

        def get_connection(conn_id: str) -> Any:
            self.lookup("connection", conn_id)
            if connection := environment.get_connection(conn_id):
                return connection
            raise AirflowNotFoundException(f"The conn_id `{conn_id}` isn't defined")

        def variable_of_core(key: str, *_: Any, **__: Any) -> str | None:
            self.lookup("variable", key)
            return environment.get_variable(key)

        context._get_variable = get_variable
        context._get_connection = get_connection
        Variable.get_variable_from_secrets = staticmethod(variable_of_core)  # type: ignore[method-assign,unused-ignore]
        Connection.get_connection_from_secrets = staticmethod(get_connection)  # type: ignore[method-assign,assignment,unused-ignore]

        def no_session(*_: Any, **__: Any) -> Any:
            self.note("AA401", "asks Airflow's metadata database")
            raise RuntimeError("direct database access from a DAG file is not possible in Airflow 3")

        settings.Session = no_session  # type: ignore[assignment,unused-ignore]
        settings.NonScopedSession = no_session  # type: ignore[assignment,unused-ignore]

    def _guard_sqlalchemy(self) -> None:
        with contextlib.suppress(ImportError):
            from sqlalchemy import event
            from sqlalchemy.engine import Engine
            from sqlalchemy.orm import Mapper

            # A DAG file may make a Connection without asking any database: its class refers to others, which Airflow has loaded.
            event.listen(Mapper, "before_configured", _load_models)

            def refuse(dialect: Any, *_: Any) -> None:
                if not self.active:
                    return
                self.note("AA401", f"connects to a database ({dialect.name})")
                raise Refused("answers integrity: no database while a DAG file is parsed")

            event.listen(Engine, "do_connect", refuse)

    def guard_driver(self, module: ModuleType) -> None:
        """Refuse connections through a driver that was just imported."""

        def refuse(*_: Any, **__: Any) -> Any:
            self.note("AA401", f"connects to a database ({module.__name__})")
            raise Refused("answers integrity: no database while a DAG file is parsed")

        module.__dict__["connect"] = refuse


def _load_models() -> None:
    from airflow import models

    getattr(models, "import_all_models", lambda: None)()


def _relative(path: Any) -> str | None:
    """Return the path when it is relative; `<unknown>` and its like are Python's names for code without a file."""
    text = path if isinstance(path, str) else os.fspath(path) if isinstance(path, os.PathLike) else None
    return text if isinstance(text, str) and text[:1] != "/" and not (text[:1] == "<" and text[-1:] == ">") else None


def _caller(frame: Any) -> Any:
    """Return who asked, past the standard library's own ways to ask."""
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in WAYS:
        frame = frame.f_back
    return frame
