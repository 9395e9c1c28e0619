"""Holds chDB: its connections, the sessions of clients, and what runs at this moment.

A connection of chDB is what a session is to a server: it has a current database, settings and temporary tables, and does one
thing at a time. A request without a session has a connection of its own. A query is killed by a mark that its connection has in
the setting `query_cache_tag`, as chDB takes no `query_id`.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import chdb

from answers.stack.warehouse.errors import QueryError
from answers.stack.warehouse.replacements import Replacements
from include.flights.warehouse import quoted

# Each block of these formats stands for itself: their results are sent as they come. Others have a beginning or an end.
SEQUENCES = {"Native", "TabSeparated", "TSV", "CSV", "RowBinary", "JSONEachRow"}
KILL_BY_ID = re.compile(rb"^\s*KILL\s+QUERY\s+WHERE\s+query_id\s*=\s*'([^'\\]*)'", re.IGNORECASE)
NAME = re.compile(r"\w+")


class Connection:
    """A connection of chDB. One thing at a time: whoever has it is alone with it."""

    def __init__(self, path: Path, defaults: Mapping[str, str]) -> None:
        self.mark = uuid4().hex
        self._chdb = chdb.connect(str(path))
        self._applied: dict[
            str, tuple[str, str | None]
        ] = {}  # setting -> its value, and the one before; None: the default
        self._set({**defaults, "query_cache_tag": self.mark})

    def apply(self, settings: Mapping[str, str]) -> None:
        """Give settings the values of one request; those of the request before are as they were.

        :raises QueryError: the engine does not know one, or its value
        """
        gone = {name: before for name, (_, before) in self._applied.items() if name not in settings}
        self._set({name: before for name, before in gone.items() if before is not None})
        for name in gone:
            if gone[name] is None:
                self.run(f"SET {name} = DEFAULT")
            del self._applied[name]
        new = {name: value for name, value in settings.items() if self._applied.get(name, ("",))[0] != value}
        if new:
            before = self._changed([name for name in new if name not in self._applied])
            self._set(new)
            for name, value in new.items():
                self._applied[name] = (value, self._applied[name][1] if name in self._applied else before.get(name))

    def run(self, text: str | bytes, format_: str = "TabSeparated", params: Mapping[str, str] | None = None) -> bytes:
        """Run a statement; returns all that it gives.

        :raises QueryError: with the engine's code
        """
        try:
            return bytes(self._chdb.query(_text(text), format_, params=dict(params or {})).bytes() or b"")
        except Exception as error:  # chDB's own is a RuntimeError, its parameters' a ValueError
            raise QueryError.of(error) from error

    def rows(self, text: bytes, verb: str, format_: str, params: Mapping[str, str]) -> Generator[bytes, None, None]:
        """Yield what a statement gives, as it comes where the engine and the format allow it.

        :raises QueryError: with the engine's code
        """
        if verb not in ("SELECT", "WITH") or format_ not in SEQUENCES:
            yield self.run(text, format_, params)
            return
        try:
            with self._chdb.send_query(_text(text), format_, params=dict(params)) as stream:
                for block in stream:
                    yield block.bytes()
        except Exception as error:
            raise QueryError.of(error) from error

    @contextmanager
    def insert(self, text: str, format_: str) -> Iterator[Any]:
        """Open an INSERT that takes its data by `append`, and is complete with `finish`. Left before, it inserts nothing more.

        :raises QueryError: with the engine's code
        """
        try:
            with self._chdb.send_insert(text, format_) as inserter:
                yield inserter
        except RuntimeError as error:
            raise QueryError.of(error) from error

    def database(self) -> str:
        """Return the name of the current database."""
        return self.run("SELECT currentDatabase()", "TabSeparatedRaw").decode().removesuffix("\n")

    def use(self, database: str) -> None:
        """Make a database the current one.

        :raises QueryError: there is none of this name
        """
        name = database.replace("\\", "\\\\").replace("`", "\\`")
        self.run(f"USE `{name}`")

    def close(self) -> None:
        """Give the connection back. Its temporary tables are gone."""
        self._chdb.close()

    def _set(self, settings: Mapping[str, str]) -> None:
        for name in settings:
            if not NAME.fullmatch(name):
                raise QueryError(115, f"Unknown setting '{name}'", "UNKNOWN_SETTING")
        if settings:
            self.run("SET " + ", ".join(f"{name} = {quoted(value)}" for name, value in settings.items()))

    def _changed(self, names: list[str]) -> dict[str, str]:
        """Return the values of those of these settings that are not the default."""
        sql = "SELECT name, value FROM system.settings WHERE changed AND has({names:Array(String)}, name)"
        wanted = ", ".join(quoted(name) for name in names)
        rows = self.run(sql, "JSONEachRow", {"names": f"[{wanted}]"}).splitlines()
        return {row["name"]: row["value"] for row in map(json.loads, rows)}


@dataclass
class Session:
    """A client's session: its connection for as long as it is used within `timeout` seconds."""

    connection: Connection
    timeout: float
    used: float
    busy: bool = True


class Engine:
    """chDB on one path. Any number of threads may use it, each with connections of its own."""

    def __init__(self, path: Path, defaults: Mapping[str, str]) -> None:
        """Open it.

        :param path: of its data; what a REPLACE PARTITION left unfinished there is put right first
        :param defaults: settings that all connections begin with
        :raises QueryError: it cannot be opened, e.g. as another process holds it
        """
        self.path, self._defaults = path, defaults
        path.parent.mkdir(parents=True, exist_ok=True)
        self.replacements = Replacements(path.with_name(f"{path.name}.replacing"))
        self.repaired = self.replacements.recover()
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._running: dict[str, str] = {}  # query id -> mark of its connection
        try:
            self._anchor = Connection(path, defaults)  # chDB ends when its last connection is closed
        except RuntimeError as error:
            raise QueryError.of(error) from error
        self.version, self.timezone = self._anchor.run("SELECT version(), timezone()").decode().split()

    @contextmanager
    def lent(self, session: str | None, timeout: float, must_exist: bool) -> Iterator[Connection]:
        """Lend a session's connection, or a new one.

        :param timeout: seconds for which the session is kept, unused, from then on
        :raises QueryError: the session is in use, or it must exist and does not
        """
        if session is None:
            connection = Connection(self.path, self._defaults)
            try:
                yield connection
            finally:
                connection.close()
            return
        mine = self._take(session, timeout, must_exist)
        try:
            yield mine.connection
        finally:
            with self._lock:
                mine.used, mine.busy = time.monotonic(), False

    def _take(self, name: str, timeout: float, must_exist: bool) -> Session:
        self.end_idle()
        with self._lock:
            found = self._sessions.get(name)
            if found is None:
                if must_exist:
                    raise QueryError(372, f"Session {name} not found", "SESSION_NOT_FOUND")
                found = Session(Connection(self.path, self._defaults), timeout, time.monotonic())
                self._sessions[name] = found
            elif found.busy:
                raise QueryError(373, f"Session {name} is locked by a concurrent client", "SESSION_IS_LOCKED")
            found.busy, found.timeout = True, timeout
            return found

    def end_idle(self) -> None:
        """End the sessions whose time is up."""
        with self._lock:
            now = time.monotonic()
            over = [name for name, each in self._sessions.items() if not each.busy and now - each.used > each.timeout]
            ended = [self._sessions.pop(name) for name in over]
        for session in ended:
            session.connection.close()
        self.replacements.forget()

    @contextmanager
    def running(self, query_id: str, mark: str) -> Iterator[None]:
        """Note under which mark a query runs, so that KILL QUERY finds it by its id."""
        self._running[query_id] = mark
        try:
            yield
        finally:
            self._running.pop(query_id, None)

    def translated(self, text: bytes) -> bytes:
        """Return `KILL QUERY WHERE query_id = '…'` as the engine understands it, and any other text as it is."""
        if found := KILL_BY_ID.match(text):
            mark = self._running.get(found[1].decode(), "")
            return f"KILL QUERY WHERE {_marked(mark)}".encode() + text[found.end() :]
        return text

    def kill(self, mark: str) -> None:
        """End what a connection runs, if anything."""
        connection = Connection(self.path, {})
        try:
            connection.run(f"KILL QUERY WHERE {_marked(mark)} ASYNC")
        finally:
            connection.close()

    def close(self) -> None:
        """Close all of it."""
        for session in self._sessions.values():
            session.connection.close()
        self._anchor.close()


def _text(text: str | bytes) -> str:
    """Return a statement as text. chDB takes bytes as they are, too: clickhouse-connect may put binary values into them."""
    return cast(str, text)


def _marked(mark: str) -> str:
    return f"Settings['query_cache_tag'] = {quoted(mark or 'none')}"
