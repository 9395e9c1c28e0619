"""Holds chDB: the sessions of clients, and what runs at this moment."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from answers.stack.warehouse.connection import Connection
from answers.stack.warehouse.errors import QueryError
from answers.stack.warehouse.replacements import Replacements
from include.flights.warehouse import quoted
from include.waiting import poll

CLOSING = 5  # seconds for killed queries to end
KILL_BY_ID = re.compile(rb"^\s*KILL\s+QUERY\s+WHERE\s+query_id\s*=\s*'([^'\\]*)'", re.IGNORECASE)


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
        self.replacements = Replacements(path.with_name(f"{path.name}.replacing"))
        self.repaired = self.replacements.recover()
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._running: dict[str, str] = {}  # query id -> mark of its connection
        self.ending = False  # what runs is killed since the part is stopped
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

    def end_queries(self) -> None:
        """Kill what still runs, and wait until it has ended."""
        self.ending = True
        for _ in poll(CLOSING, 0.1):
            marks = list(self._running.values())
            if not marks:
                break
            for mark in marks:
                self.kill(mark)

    def close(self) -> None:
        """End what still runs, and close all of it."""
        self.end_queries()
        for session in self._sessions.values():
            session.connection.close()
        self._anchor.close()


def _marked(mark: str) -> str:
    return f"Settings['query_cache_tag'] = {quoted(mark or 'none')}"
