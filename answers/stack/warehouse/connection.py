"""Wraps a connection of chDB, as the embedded warehouse uses it.

It is what a session is to a server: it has a current database, settings and temporary tables, and does one thing at a time. A
request without a session has a connection of its own. A query is killed by a mark that its connection has in the setting
`query_cache_tag`, as chDB takes no `query_id`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import chdb

from answers.stack.warehouse.errors import QueryError
from include.flights.warehouse import quoted

# Each block of these formats stands for itself: their results are sent as they come. Others have a beginning or an end.
SEQUENCES = {"Native", "TabSeparated", "TSV", "CSV", "RowBinary", "JSONEachRow"}
NAME = re.compile(r"\w+")


class Connection:
    """A connection of chDB. One thing at a time: whoever has it is alone with it."""

    def __init__(self, path: Path, defaults: Mapping[str, str]) -> None:
        self.mark = uuid4().hex
        self._chdb = chdb.connect(str(path))
        self._applied: dict[
            str, tuple[str, str | None]
        ] = {}  # setting -> its value, and the one before; None: the default
        self._database: str | None = None  # the current one, if it is known
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
        if self._database is None:
            self._database = self.run("SELECT currentDatabase()", "TabSeparatedRaw").decode().removesuffix("\n")
        return self._database

    def forget_database(self) -> None:
        """Ask for the current database again, after a USE of the client's own."""
        self._database = None

    def use(self, database: str) -> None:
        """Make a database the current one.

        :raises QueryError: there is none of this name
        """
        name = database.replace("\\", "\\\\").replace("`", "\\`")
        self.run(f"USE `{name}`")
        self._database = database

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


def _text(text: str | bytes) -> str:
    """Return a statement as text. chDB takes bytes as they are, too: clickhouse-connect may put binary values into them."""
    return cast(str, text)
