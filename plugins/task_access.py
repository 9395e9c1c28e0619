"""Refuses what one DAG's task asks of another DAG's: rules in config/task_access.yaml, applied by the API server.

The execution API of Airflow 3.3.2 checks that a task's token is valid, and that a task changes only its own state. All else
is open to every task: `has_connection_access` and `has_variable_access` (airflow/api_fastapi/execution_api/routes) return
True, and the route that starts a run asks for no permission. This middleware stands before these routes. It reads the
task's id from the unverified token. That is safe: the route behind it verifies the signature.

The DAG processor and the triggerer ask no API server, but the database: the rules do not hold there.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from include.documents import Strict, error_lines, read_yaml

FILE = Path(__file__).resolve().parents[1] / "config/task_access.yaml"
# Of an ASGI path, which is decoded already. The routes are those of airflow/api_fastapi/execution_api/routes/__init__.py.
ROUTE = re.compile(r".*?/execution/(?P<kind>connections|variables|dag-runs|xcoms)/(?P<name>.+)", re.DOTALL)
READS = ("GET", "HEAD", "OPTIONS")

log = logging.getLogger(__name__)
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Rules(Strict):
    """Holds which DAGs may use what: name -> DAG ids."""

    connections: Mapping[str, list[str]] = {}
    variables: Mapping[str, list[str]] = {}
    queues: Mapping[str, list[str]] = {}
    changed_variables: Mapping[str, list[str]] = {}
    runs: Mapping[str, list[str]] = {}
    xcoms: Mapping[str, list[str]] = {}

    @classmethod
    def read(cls, file: Path) -> Rules:
        """Read the rules of a file.

        :raises ValueError: naming the file and what is wrong, a key that is given twice among it: a typo must not grant a right
        """
        try:
            return cls.model_validate(read_yaml(file, file) or {})
        except ValidationError as error:
            known = ", ".join(cls.model_fields)
            lines = "\n  ".join(error_lines(error))
            raise ValueError(f"{file}: should have lists of DAG ids by name below {known}\n  {lines}") from error

    def may_use_queue(self, dag_id: str, queue: str) -> bool:
        """Tell whether tasks of a DAG may say that they belong into a queue."""
        return dag_id in self.queues.get(queue, [dag_id])

    def refusal(self, dag_id: str, method: str, path: str) -> str:
        """Say what a task of a DAG may not do by a request to the execution API; empty where it may.

        :param path: of the request, decoded: "/execution/connections/clickhouse_default"
        """
        if not (asked := ROUTE.fullmatch(path)):
            return ""
        kind, name = asked.groups()
        other = name.partition("/")[0]
        if kind == "connections":
            return "" if dag_id in self.connections.get(name, [dag_id]) else f"use the connection {name}"
        if kind == "variables" and method in READS:
            return "" if dag_id in self.variables.get(name, [dag_id]) else f"read the Variable {name}"
        if kind == "variables":
            return "" if dag_id in self.changed_variables.get(name, []) else f"change the Variable {name}"
        if other == dag_id or (kind == "dag-runs" and method in READS):
            return ""
        if kind == "dag-runs":
            return "" if dag_id in self.runs.get(other, []) else f"start or clear runs of {other}"
        if method in READS and dag_id in self.xcoms.get(other, []):
            return ""
        return f"{'read' if method in READS else 'write'} XComs of {other}"


@cache
def rules() -> Rules:
    """Read the rules of the platform, once a process."""
    return Rules.read(FILE)


class TaskAccess:
    """An ASGI middleware of the API server that answers 403 to what the rules refuse."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self.app = app
        self.rules = rules()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "http" and ROUTE.fullmatch(scope["path"]) and (task := _subject(scope["headers"])):
            dag_id = await asyncio.to_thread(_dag_of, task)
            if refused := self.rules.refusal(dag_id, scope["method"], scope["path"]):
                who = f"a task of DAG {dag_id}" if dag_id else "a task that the database does not have (any more)"
                message = f"{who} may not {refused}: config/task_access.yaml does not allow it"
                log.warning("Refused: %s", message)
                await _deny(send, message)
                return
        await self.app(scope, receive, send)


def _subject(headers: list[tuple[bytes, bytes]]) -> UUID | None:
    """Read which task instance a token is of, whoever signed it; None where there is none: the route then refuses."""
    try:
        # The first of several is the one that the route checks.
        scheme, _, token = next(value for name, value in headers if name == b"authorization").decode().partition(" ")
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return UUID(claims["sub"]) if scheme.lower() == "bearer" else None
    except (StopIteration, KeyError, IndexError, ValueError, TypeError, AttributeError, binascii.Error):
        return None


class _Unknown(Exception):
    """There is no such task instance (yet): not to be remembered."""


@lru_cache(maxsize=4096)
def _known_dag(task: UUID) -> str:
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        dag_id = session.scalar(select(TaskInstance.dag_id).where(TaskInstance.id == task))
    if dag_id is None:
        raise _Unknown
    return str(dag_id)


def _dag_of(task: UUID) -> str:
    """Look up the DAG of a task instance; empty where the database has none of this id: each try has one of its own."""
    try:
        return _known_dag(task)
    except _Unknown:
        return ""


async def _deny(send: Send, message: str) -> None:
    body = json.dumps({"detail": {"reason": "access_denied", "message": message}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
