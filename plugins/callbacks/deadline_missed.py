"""Records that a DAG run has missed its deadline, and notifies somebody.

The triggerer imports this by its path. (A function in a DAG file cannot be imported there.)
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from include.alerts import records
from plugins.links import link_of_run
from plugins.webhook import poster

log = logging.getLogger(__name__)

ATTEMPTS = 4  # to notify, with pauses of 1, 2 and 4 seconds
PATIENCE = 5.0  # seconds for an attempt


async def deadline_missed(context: dict[str, Any], owner: str, conn_id: str = "ops_webhook") -> str:
    """Record the miss under the Variable data_root, then POST it to /deadline of the connection. Never raises.

    :param context: of the deadline: `dag_run`, as the REST API shows it, and `deadline` with id and time
    :param owner: who is to act
    :returns: what happened, in words (Airflow stores it with the callback, in a column of text: a dict would not fit)
    """
    miss = _miss(context, owner)
    said, file = [], None
    try:
        file = await asyncio.to_thread(records.record_miss, Path(await _variable("data_root")), miss)
        said.append(f"recorded in {file}")
        if records.is_notified(file):
            return f"{said[0]} and notified before"
    except Exception as error:  # a full disk must not keep anybody from being told
        log.exception("the missed deadline of %s %s is not recorded", miss["dag_id"], miss["run_id"])
        said.append(f"not recorded: {type(error).__name__}")
    try:
        await _notify(conn_id, miss)
        said.append("notified")
        if file:
            records.mark_notified(file)
    except Exception as error:
        log.exception("nobody was told that %s %s missed its deadline", miss["dag_id"], miss["run_id"])
        said.append(f"not notified: {type(error).__name__}")
    return ", ".join(said)


def _miss(context: dict[str, Any], owner: str) -> dict[str, Any]:
    run, deadline = context["dag_run"], context["deadline"]
    due = deadline["deadline_time"]
    return {
        "id": str(deadline["id"]),
        "dag_id": run["dag_id"],
        "run_id": run["dag_run_id"],
        "deadline": due if isinstance(due, str) else due.isoformat(),
        "state": run["state"],
        "owner": owner,
        "link": link_of_run(run["dag_id"], run["dag_run_id"]),
        "recorded_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }


async def _variable(key: str) -> str:
    from airflow.sdk import Variable

    # In a thread: looked up in the triggerer's event loop, it would wait for an answer that the same loop has to bring.
    return str(await asyncio.to_thread(Variable.get, key))


async def _notify(conn_id: str, miss: dict[str, Any]) -> None:
    from airflow.sdk import BaseHook
    from tenacity import AsyncRetrying, stop_after_attempt, wait_exponential

    post = poster(await BaseHook.aget_connection(conn_id), PATIENCE)
    retrying = AsyncRetrying(stop=stop_after_attempt(ATTEMPTS), wait=wait_exponential(multiplier=1), reraise=True)
    async for attempt in retrying:
        with attempt:
            await asyncio.to_thread(post, "/deadline", miss)
