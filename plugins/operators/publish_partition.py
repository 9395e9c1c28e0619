"""Publishes one data interval to the warehouse, all of it or nothing: PublishPartitionOperator."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from include.flights import publish, warehouse
from plugins.events import attach_to_events
from plugins.warehouse import open_warehouse

if TYPE_CHECKING:
    from airflow.sdk import Context


class PublishPartitionOperator(BaseOperator):
    """Load what the Spark job wrote: staging tables -> validation -> atomic REPLACE PARTITION.

    :param landed: what `include.flights.feed.land_interval` returned: folder, rows, first_day, last_day, slice (templated)
    :param layout: "days", "generated" (question 7), or a slice's: "carriers", "chunks" (include.flights.warehouse.LAYOUTS)
    :param outlets: the report goes with the event of each asset
    :param tables: of the layout, those to publish; all when None (templated)
    :param clickhouse_conn_id: the warehouse; the official `ClickHouseHook` opens it
    """

    template_fields: Sequence[str] = ("landed", "tables")

    def __init__(
        self,
        *,
        landed: Any,
        layout: str = "days",
        tables: Any = None,
        clickhouse_conn_id: str = "clickhouse_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.landed = landed
        self.layout = layout
        self.tables = tables
        self.clickhouse_conn_id = clickhouse_conn_id

    def execute(self, context: Context) -> dict[str, object]:
        """Publish. A failed validation is permanent; an unavailable warehouse is retried."""
        with open_warehouse(self.clickhouse_conn_id) as client:
            report = publish.publish_day(
                client,
                Path(self.landed["folder"]),
                date.fromisoformat(self.landed["first_day"]),
                date.fromisoformat(self.landed["last_day"]),
                self.landed["rows"],
                run=f"{context['dag'].dag_id} {context['run_id']}",
                layout=warehouse.LAYOUTS[self.layout],
                slice=self.landed["slice"],
                tables=self.tables,
            )
        attach_to_events(context, report)
        self.log.info("published %s", report)
        return report
