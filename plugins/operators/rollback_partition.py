"""Takes back what a run published and restores the last good version of the day: RollbackPartitionOperator."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from include.flights import versions
from plugins.warehouse import open_warehouse

if TYPE_CHECKING:
    from airflow.sdk import Context


class RollbackPartitionOperator(BaseOperator):
    """Restore the last good version of a day, all of its tables, as include.flights.versions keeps them.

    As often as it runs in one DAG run (retries, kills, clearing), it goes back once; it goes back again only after another
    publication. An unavailable warehouse is retried; that there is nothing to restore is permanent.

    :param published: what PublishPartitionOperator returned, whose first day's version is rolled back if it is live. Where
        that task published nothing, there is nothing to roll back and this one is skipped
    :param clickhouse_conn_id: the warehouse
    """

    template_fields: Sequence[str] = ("published",)

    def __init__(self, *, published: Any, clickhouse_conn_id: str = "clickhouse_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.published = published
        self.clickhouse_conn_id = clickhouse_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Restore; returns day, action, from, to and rows by table."""
        if not self.published:
            raise AirflowSkipException("this run has published nothing: what is live is not of its making")
        ti, day = context["ti"], self.published["first_day"]
        by = f"{ti.dag_id} {ti.run_id} {ti.task_id}"
        with open_warehouse(self.clickhouse_conn_id) as client:
            bad = self.published["versions"][day]
            report = versions.rollback_day(client, date.fromisoformat(day), by, bad=bad)
        self.log.info("restored %s", report)
        return report
