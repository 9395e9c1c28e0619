"""RollbackPartitionOperator: the last good version of a day is live again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from plugins.failures import permanent
from plugins.warehouse import open_warehouse

if TYPE_CHECKING:
    from airflow.sdk import Context


class RollbackPartitionOperator(BaseOperator):
    """Restore the last good version of a day, all of its tables, as include.flights.versions keeps them.

    As often as it runs in one DAG run (retries, kills, clearing), it goes back once; it goes back again only after another
    publication. An unavailable warehouse is retried; that there is nothing to restore is permanent.

    :param day: local day, YYYY-MM-DD (templated)
    :param undo: take the last rollback back instead
    :param clickhouse_conn_id: the warehouse, a server and chDB alike
    """

    template_fields: Sequence[str] = ("day", "undo")

    def __init__(
        self, *, day: str, undo: Any = False, clickhouse_conn_id: str = "clickhouse_default", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.day = day
        self.undo = undo
        self.clickhouse_conn_id = clickhouse_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Restore; returns day, action, from, to and rows by table."""
        from include.flights import versions

        ti = context["ti"]
        by = f"{ti.dag_id} {ti.run_id} {ti.task_id}" + (f" {ti.map_index}" if (ti.map_index or -1) >= 0 else "")
        act = versions.undo if self.undo in (True, "True", "true") else versions.rollback
        with permanent(versions.NothingToRestore), open_warehouse(self.clickhouse_conn_id) as client:
            report = act(client, date.fromisoformat(self.day), by)
        self.log.info("restored %s", report)
        return report
