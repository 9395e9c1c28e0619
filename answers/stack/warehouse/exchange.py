"""Holds one HTTP request and its answer for the thread that works on it: ASGI is asynchronous, the engine is not."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import uuid4

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from answers.stack.warehouse import compression
from answers.stack.warehouse.errors import QueryError

T = TypeVar("T")
FORM = "multipart/form-data"
MOST = 256 << 20  # bytes of a statement
PIECE = 1 << 20  # bytes that are read from a client at a time
KILL_AGAIN = 0.2  # seconds: a query that has just begun is not yet among those that can be killed


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


class Exchange:
    """A request and its answer. Its methods are called by one thread, which is none of the event loop."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Make it in the event loop."""
        self.request = Request(scope, receive)
        self.params = dict(self.request.query_params)
        given = self.params.get("query_id", "")  # it goes into a header and into the log
        self.query_id = given if given.isascii() and given.isprintable() and given else str(uuid4())
        self.headers = {"X-ClickHouse-Query-Id": self.query_id}
        self.gone = False
        self._loop = asyncio.get_running_loop()
        self._receive, self._send = receive, send
        self._begun = False
        self._packer: Any = None
        self._body = self._unpacked()

    def on(self, name: str) -> bool:
        """Tell whether a switch among the parameters is on."""
        return self.params.get(name, "0").lower() in ("1", "true")

    def credentials(self) -> tuple[str, str]:
        """Return the user and the password that the client gives."""
        headers = self.request.headers
        scheme, _, encoded = headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                user, _, password = base64.b64decode(encoded).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return "", ""
            return user, password
        user = headers.get("X-ClickHouse-User") or self.params.get("user", "")
        return user, headers.get("X-ClickHouse-Key") or self.params.get("password", "")

    # -- the request

    def form(self) -> None:
        """Take the parameters of a form among those of the address.

        :raises QueryError: the form has a file
        """
        if self.request.headers.get("Content-Type", "").startswith(FORM):
            fields: dict[str, Any] = self._wait(self._form())
            if not all(isinstance(value, str) for value in fields.values()):
                raise QueryError(48, "external data are not supported by the embedded warehouse", "NOT_IMPLEMENTED")
            self.params |= fields
            self._body = _nothing()

    async def _form(self) -> dict[str, Any]:
        return dict(await self.request.form(max_part_size=MOST))

    def pieces(self) -> Iterator[bytes]:
        """Yield the body, unpacked, in pieces of about PIECE bytes. May be called again for the rest.

        :raises QueryError: it is not packed as it says
        :raises starlette.requests.ClientDisconnect: the client has gone
        """
        while piece := self._wait(self._piece()):
            yield piece

    async def _piece(self) -> bytes:
        got = bytearray()
        while len(got) < PIECE and (chunk := await anext(self._body, b"")):
            got += chunk
        return bytes(got)

    async def _unpacked(self) -> AsyncIterator[bytes]:
        encoding = self.request.headers.get("Content-Encoding", "")
        async for chunk in compression.unpacked(self.request.stream(), encoding):
            if chunk:
                yield chunk

    @contextmanager
    def calling_when_gone(self, kill: Callable[[], None]) -> Iterator[None]:
        """Call `kill`, again and again, once the client has gone. After the whole body was read."""

        async def watch() -> None:
            while (await self._receive())["type"] != "http.disconnect":
                pass
            self.gone = True
            while True:
                await asyncio.to_thread(kill)
                await asyncio.sleep(KILL_AGAIN)

        watcher = asyncio.run_coroutine_threadsafe(watch(), self._loop)
        try:
            yield
        finally:
            watcher.cancel()

    # -- the answer

    def pack(self) -> None:
        """Pack the answer, if the client wants that."""
        encoding = compression.chosen(self.request.headers.get("Accept-Encoding", ""))
        if encoding and self.on("enable_http_compression"):
            self._packer = compression.PACKERS[encoding]()
            self.headers["Content-Encoding"] = encoding

    def send(self, data: bytes, more: bool = True) -> None:
        """Send a piece of the answer. The first one that is the last, too, has its length in the headers."""
        body = data
        if self._packer:
            body = self._packer.compress(data) + (b"" if more else self._packer.flush())
        if not self._begun:
            self._start(200, None if more else len(body))
        self._wait(self._send({"type": "http.response.body", "body": body, "more_body": more}))

    def fail(self, error: QueryError, version: str) -> None:
        """Say that the statement failed: by the status, or where rows are under way already, behind them."""
        body = error.body(version)
        if not self._begun:
            self._packer = None
            self.headers.pop("Content-Encoding", None)
            self.headers["X-ClickHouse-Exception-Code"] = str(error.code)
            self._start(error.status, len(body))
            self._wait(self._send({"type": "http.response.body", "body": body}))
            return
        tag = self.headers["X-ClickHouse-Exception-Tag"].encode()
        self.send(
            b"\r\n__exception__\r\n%s\r\n%s\r\n%d %s\r\n__exception__\r\n" % (tag, body, len(body), tag), more=False
        )

    def _start(self, status: int, length: int | None) -> None:
        headers = {"Content-Type": "text/plain; charset=UTF-8", **self.headers}
        if length is not None:
            headers["Content-Length"] = str(length)
        self._begun = True
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._wait(self._send({"type": "http.response.start", "status": status, "headers": raw}))

    def _wait(self, coroutine: Awaitable[T]) -> T:
        async def wait() -> T:
            return await coroutine

        return asyncio.run_coroutine_threadsafe(wait(), self._loop).result()
