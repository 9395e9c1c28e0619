"""Keeps verdicts in the warehouse: one row per interval, and compliance as a view over them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from answers.operate.sla_judge import PENDING, Judged

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

INTERVALS = """
CREATE TABLE IF NOT EXISTS warehouse.sla_intervals
(
    dag_id         LowCardinality(String),
    interval_start DateTime('UTC')           COMMENT 'start of the scheduled data interval',
    week           Date                      COMMENT 'Monday of its ISO week, by local days',
    verdict        LowCardinality(String)    COMMENT 'on time, late, failed, missing',
    deadline       DateTime64(3, 'UTC'),
    ended          Nullable(DateTime64(3, 'UTC')),
    run_id         String                    COMMENT 'of the run that decided; empty without one',
    judged_at      DateTime64(3, 'UTC')      COMMENT 'the row with the latest one counts'
)
ENGINE = ReplacingMergeTree(judged_at)
ORDER BY (dag_id, interval_start)
"""
COMPLIANCE = """
CREATE OR REPLACE VIEW warehouse.sla_compliance AS
SELECT
    dag_id,
    week,
    countIf(verdict = 'on time') AS on_time,
    countIf(verdict = 'late') AS late,
    countIf(verdict = 'failed') AS failed,
    countIf(verdict = 'missing') AS missing,
    count() AS scheduled,
    on_time / scheduled AS compliance
FROM warehouse.sla_intervals FINAL
GROUP BY dag_id, week
"""


def write_verdicts(client: Client, judged: Iterable[Judged]) -> int:
    """Write what is decided; an interval judged again replaces its row. Returns how many rows."""
    client.command("CREATE DATABASE IF NOT EXISTS warehouse")
    client.command(INTERVALS)
    client.command(COMPLIANCE)
    now = datetime.now(UTC)
    rows = [
        (each.slot.dag_id, each.slot.start, each.week, each.verdict, each.deadline, each.ended, each.run_id, now)
        for each in judged
        if each.verdict != PENDING
    ]
    columns = ["dag_id", "interval_start", "week", "verdict", "deadline", "ended", "run_id", "judged_at"]
    if rows:
        client.insert("sla_intervals", rows, column_names=columns, database="warehouse")
    return len(rows)
