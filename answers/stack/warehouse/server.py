"""Runs the HTTP server of the embedded warehouse, and stops it without leaving a client in doubt."""

from __future__ import annotations

import asyncio
import socket

import uvicorn

from answers.stack.warehouse.engine import CLOSING, Engine
from answers.stack.warehouse.http import Application

GRACE = 4  # seconds for queries to end by themselves once the part is stopped
ANSWERING = 1  # seconds for the answers of those that were killed


class Server(uvicorn.Server):
    """Serve as uvicorn does. When it is stopped, queries that do not end are killed: their clients get an error that says why."""

    def __init__(self, engine: Engine, application: Application, port: int) -> None:
        self._engine = engine
        super().__init__(
            uvicorn.Config(
                application,
                host="127.0.0.1",
                port=port,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=GRACE + CLOSING + ANSWERING,
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new connection, let queries end, kill the others. uvicorn alone would drop their connections."""
        ending = asyncio.create_task(self._end_queries())
        try:
            await super().shutdown(sockets)
        finally:
            ending.cancel()

    async def _end_queries(self) -> None:
        await asyncio.sleep(GRACE)
        await asyncio.to_thread(self._engine.end_queries)
