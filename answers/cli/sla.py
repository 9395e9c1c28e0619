"""Defines `answers sla`: judges the history, keeps the verdicts in the warehouse, prints and plots them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from answers.console import AsJson, out, readable_errors
from answers.operate.sla import judge_history, keep_verdicts
from answers.operate.sla_judge import Row, compliance


def sla(
    dags: Annotated[list[str] | None, typer.Option("--dag", help="A DAG's id; may be repeated.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="First local day; that of the first run.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last local day; that of the last run.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the picture to this PNG or SVG file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show on-time runs / scheduled runs of every DAG with a deadline, by ISO week.

    Failed, missing and late runs are misses.

    The verdict on each interval is written to warehouse.sla_intervals; warehouse.sla_compliance sums them up.
    """
    with readable_errors():
        start, stop = (date.fromisoformat(text) if text else None for text in (first, last))
        judged = judge_history(dags or [], start, stop, datetime.now(UTC))
        keep_verdicts(judged)
        rows = compliance(judged)
        if plot:
            from answers.operate.sla_plot import draw_compliance

            draw_compliance(rows, plot)
        if as_json:
            print(json.dumps([_document(row) for row in rows]))
        else:
            _print_compliance(rows, pending=sum(each.verdict == "pending" for each in judged))


def _document(row: Row) -> dict[str, object]:
    return {
        "dag_id": row.dag_id,
        "week": row.week and str(row.week),
        "on_time": row.on_time,
        "late": row.late,
        "failed": row.failed,
        "missing": row.missing,
        "scheduled": row.scheduled,
        "compliance": row.compliance,
    }


def _print_compliance(rows: list[Row], pending: int) -> None:
    for dag_id in dict.fromkeys(row.dag_id for row in rows):
        columns = ("week", "scheduled", "on time", "late", "failed", "missing", "compliance")
        table = Table(*columns, title=dag_id, title_justify="left")
        for row in (each for each in rows if each.dag_id == dag_id):
            counts = (row.scheduled, row.on_time, row.late, row.failed, row.missing)
            share = "" if row.compliance is None else f"{row.compliance:.2%}"
            week = f"{row.week:%G-W%V}" if row.week else "all"
            table.add_row(week, *map(str, counts), share, style=None if row.week else "bold")
        out.print(table)
    if not rows:
        out.print("no run of a DAG with a deadline is due yet")
    if pending:
        out.print(f"{pending} pending: their deadline has not passed yet")
