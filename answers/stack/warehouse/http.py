"""Serves ClickHouse's HTTP interface over the engine, as an ASGI application."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import re
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from uuid import uuid4

from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from answers.stack.warehouse import statement
from answers.stack.warehouse.connection import Connection
from answers.stack.warehouse.engine import Engine
from answers.stack.warehouse.errors import AUTHENTICATION_FAILED, QUERY_WAS_CANCELLED, QueryError
from answers.stack.warehouse.exchange import MOST, Exchange
from answers.stack.warehouse.statement import Statement

log = logging.getLogger(__name__)

AT_ONCE = 64  # requests that are worked on; others wait
HEAD = 1 << 16  # bytes of an INSERT in which its FORMAT stands
SESSION_SECONDS, MOST_SECONDS = 60, 3600  # that an unused session is kept: if the client does not say, and at most
PIECE = 1 << 20  # bytes that are sent at a time
IN_MEMORY = 16 << 20  # bytes of a result that a client wants whole; a larger one waits in a file
STOPPING = "the warehouse is being stopped: send the statement again once it is up (answers status)"
# Parameters of the interface, which are no settings of the engine, or are of no use to it.
OF_HTTP = re.compile(
    r"query|query_id|database|default_format|user|password|quota_key|role|session_(id|timeout|check)|close_session|stacktrace"
    r"|wait_end_of_query|buffer_size|compress|decompress|enable_http_compression|client_protocol_version"
    r"|send_progress_in_http_headers|http_headers_progress_interval_ms|cancel_http_readonly_queries_on_client_close|param_\w+"
)


class Application:
    """The interface. One user has it."""

    def __init__(self, engine: Engine, user: str, password: str) -> None:
        self._engine = engine
        self._user, self._password = user, password
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="query")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["path"] == "/ping":
            await PlainTextResponse("Ok.\n")(scope, receive, send)
        elif scope["path"] != "/" or scope["method"] not in ("GET", "HEAD", "POST"):
            await PlainTextResponse("There are / and /ping\n", 404)(scope, receive, send)
        else:
            exchange = Exchange(scope, receive, send)
            try:
                await asyncio.get_running_loop().run_in_executor(self._threads, self._serve, exchange)
            except asyncio.CancelledError:  # the part is stopped, and the client has neither sent all nor read all
                log.warning("query %s: given up, the warehouse is being stopped", exchange.query_id)

    def _serve(self, exchange: Exchange) -> None:
        """Handle a request; what fails is told to the client, and without the statement, which may hold a secret, to the log."""
        began = time.perf_counter()
        try:
            self._check(exchange)
            exchange.form()
            exchange.send(self._run(exchange), more=False)
        except ClientDisconnect:
            log.warning("query %s: its client has gone", exchange.query_id)
        except Exception as failed:
            error = QueryError.of(failed)
            if self._engine.ending and error.code == QUERY_WAS_CANCELLED:
                error = QueryError(error.code, STOPPING, "QUERY_WAS_CANCELLED")
            log.warning(
                "query %s: %s %s, %.3f s", exchange.query_id, error.code, error.name, time.perf_counter() - began
            )
            exchange.fail(error, self._engine.version)

    def _check(self, exchange: Exchange) -> None:
        """Refuse whoever is not the user.

        :raises QueryError: the password is another one
        """
        user, password = exchange.credentials()
        right = hmac.compare_digest(user.encode(), self._user.encode())
        if not (hmac.compare_digest(password.encode(), self._password.encode()) and right):
            raise QueryError(
                AUTHENTICATION_FAILED,
                f"{user or 'default'}: Authentication failed: password is incorrect, or there is no user with such name.",
                "AUTHENTICATION_FAILED",
            )

    def _run(self, exchange: Exchange) -> bytes:
        """Run the statement, and return the last piece of the answer.

        It is sent once the session is free again: with it the client knows that it may ask for the next thing.
        """
        text = _text(exchange)
        read = statement.read(text)
        if exchange.request.method != "POST" and not read.gives_rows:
            raise QueryError(164, "Cannot execute query in readonly mode: use POST", "READONLY")
        seconds = _session_seconds(exchange)
        with ExitStack() as stack:
            lent = self._engine.lent(exchange.params.get("session_id"), seconds, exchange.on("session_check"))
            connection = stack.enter_context(lent)
            stack.enter_context(self._engine.running(exchange.query_id, connection.mark))
            _prepare(connection, exchange, read.verb, stack)
            if read.data_at is not None:
                return _insert(connection, exchange, text, read)
            if read.gives_rows and exchange.on("cancel_http_readonly_queries_on_client_close"):
                stack.enter_context(exchange.calling_when_gone(lambda: self._engine.kill(connection.mark)))
            if read.gives_rows:
                return self._rows(connection, exchange, text, read)
            return self._other(connection, exchange, text)

    def _other(self, connection: Connection, exchange: Exchange, text: bytes) -> bytes:
        began = time.perf_counter()
        with self._engine.replacements.noted(connection, text):
            answer = connection.run(text, params=_values(exchange))
        _summarise(exchange, began)
        return answer

    def _rows(self, connection: Connection, exchange: Exchange, text: bytes, read: Statement) -> bytes:
        """Send rows as they come, or once all are there where the client wants that: it then sees an error instead of a part."""
        exchange.headers["X-ClickHouse-Timezone"] = self._engine.timezone
        exchange.headers["X-ClickHouse-Format"] = format_ = (
            read.format or exchange.params.get("default_format") or "TabSeparated"
        )
        exchange.headers["X-ClickHouse-Exception-Tag"] = uuid4().hex[:16]
        exchange.pack()
        with closing(connection.rows(self._engine.translated(text), read.verb, format_, _values(exchange))) as rows:
            if not exchange.on("wait_end_of_query"):
                return _send(exchange, _joined(rows))
            with tempfile.SpooledTemporaryFile(IN_MEMORY) as whole:
                for piece in rows:
                    whole.write(piece)
                whole.seek(0)
                return _send(exchange, iter(lambda: whole.read(PIECE), b""))


def _text(exchange: Exchange) -> bytes:
    """Read the statement; of an INSERT with data no more than its beginning and what came with it.

    :raises QueryError: it is too long
    """
    text = exchange.params.get("query", "").encode()
    if text:
        text += b"\n"
    with_data: bool | None = None
    for piece in exchange.pieces():
        text += piece
        if with_data is None and len(text) > HEAD:
            with_data = statement.is_insert_with_data(text[:HEAD])
        if with_data:
            break
        if len(text) > MOST:
            raise QueryError(307, f"a statement has at most {MOST} bytes", "TOO_MANY_BYTES")
    return text


def _session_seconds(exchange: Exchange) -> int:
    """Return for how long the session is kept unused.

    :raises QueryError: the client gives no number of seconds
    """
    given = exchange.params.get("session_timeout", str(SESSION_SECONDS))
    if not given.isdecimal():
        raise QueryError(374, f"Invalid session timeout: '{given}'", "INVALID_SESSION_TIMEOUT")
    return min(int(given), MOST_SECONDS)


def _prepare(connection: Connection, exchange: Exchange, verb: str, stack: ExitStack) -> None:
    """Give the connection the settings and the database of this request. A SET is meant for the whole session."""
    settings = {name: value for name, value in exchange.params.items() if not OF_HTTP.fullmatch(name)}
    connection.apply({} if verb == "SET" else settings)
    if verb == "USE":
        stack.callback(connection.forget_database)
    elif (database := exchange.params.get("database")) and database != (before := connection.database()):
        connection.use(database)
        stack.callback(connection.use, before)


def _values(exchange: Exchange) -> dict[str, str]:
    """Return the values of `{name:Type}`."""
    return {name[6:]: value for name, value in exchange.params.items() if name.startswith("param_")}


def _insert(connection: Connection, exchange: Exchange, text: bytes, read: Statement) -> bytes:
    """Insert what is in the body, piece by piece."""
    began = time.perf_counter()
    command = re.sub(r"\bFORMAT\s+\w+\s*$", "", text[: read.data_at].decode(), flags=re.IGNORECASE)
    with connection.insert(command, read.format or "Values") as inserter:
        if data := text[read.data_at :]:
            inserter.append(data)
        for piece in exchange.pieces():
            inserter.append(piece)
        done = inserter.finish()
    _summarise(exchange, began, written_rows=done.rows_written, written_bytes=done.bytes_written)
    return b""


def _summarise(exchange: Exchange, began: float, **counts: int) -> None:
    counts["elapsed_ns"] = round((time.perf_counter() - began) * 1e9)
    exchange.headers["X-ClickHouse-Summary"] = json.dumps({name: str(count) for name, count in counts.items()})


def _joined(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield small chunks together, PIECE bytes or more at a time; the last one may be shorter."""
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= PIECE:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)


def _send(exchange: Exchange, pieces: Iterator[bytes]) -> bytes:
    """Send pieces but for the last one, and return that."""
    last = next(pieces, b"")
    for piece in pieces:
        if exchange.gone:
            break
        exchange.send(last)
        last = piece
    return last
