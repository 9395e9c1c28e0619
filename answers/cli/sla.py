"""`answers sla`: judge the history, keep the verdicts in the warehouse, print and plot them."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from include.sla.judge import Judged, Row, Slot, compliance, judge


def sla(
    dags: Annotated[list[str] | None, typer.Option("--dag", help="A DAG's id; may be repeated.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="First local day; that of the first run.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last local day; that of the last run.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the picture to this PNG or SVG file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")] = False,
) -> None:
    """On-time runs / scheduled runs of every DAG with a deadline, by ISO week; failed, missing and late ones are misses.

    The verdict on each interval is written to warehouse.sla_intervals; warehouse.sla_compliance sums them up.
    """
    from answers.cli.app import readable_errors

    with readable_errors():
        start, stop = (date.fromisoformat(text) if text else None for text in (first, last))
        judged = judge_history(dags or [], start, stop, datetime.now(UTC))
        keep(judged)
        rows = compliance(judged)
        if plot:
            from include.sla.plot import draw

            draw(rows, plot)
        if as_json:
            print(json.dumps([_document(row) for row in rows]))
        else:
            _print(rows, pending=sum(each.verdict == "pending" for each in judged))


EARLIEST = date(2000, 1, 1)


def judge_history(dags: list[str], first: date | None, last: date | None, now: datetime) -> list[Judged]:
    """Judge what the DAG files schedule by what Airflow's REST API remembers.

    :param first: local day on which an interval begins, like `last`; None for that of the DAG's first and last run
    :raises ValueError: the days are the wrong way round, or a DAG cannot be judged; :raises ApiError: no answer
    """
    from answers.operate.sla_history import runs_of, within
    from answers.operate.sla_schedule import scheduled
    from answers.stack.client import Airflow
    from answers.stack.settings import Settings

    if first and last and last < first:
        raise ValueError(f"--to {last} lies before --from {first}")
    # In a container of Airflow the environment is set up already.
    environment = dict(os.environ) if "AIRFLOW_HOME" in os.environ else Settings.load().environment()
    airflow = Airflow()
    slots, runs, deadlines = [], [], {}
    for dag_id, plan in scheduled(first or EARLIEST, last or now.date(), dags, environment).items():
        deadlines[dag_id] = within(airflow, plan["within"])
        history = runs_of(airflow, dag_id)
        begins = [run.start for run in history]
        for start, end in (map(datetime.fromisoformat, pair) for pair in plan["slots"]):
            if (first or (begins and start >= min(begins))) and (last or (begins and start <= max(begins))):
                slots.append(Slot(dag_id, start, end))
        runs += history
    return judge(slots, runs, deadlines, now)


def keep(judged: list[Judged]) -> None:
    """Write the verdicts to the warehouse that is configured.

    :raises WarehouseUnavailable: it does not answer
    """
    from answers.stack.connections import open_warehouse
    from include.sla.store import write

    with open_warehouse() as client:
        write(client, judged)


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


def _print(rows: list[Row], pending: int) -> None:
    console = Console()
    for dag_id in dict.fromkeys(row.dag_id for row in rows):
        columns = ("week", "scheduled", "on time", "late", "failed", "missing", "compliance")
        table = Table(*columns, title=dag_id, title_justify="left")
        for row in (each for each in rows if each.dag_id == dag_id):
            counts = (row.scheduled, row.on_time, row.late, row.failed, row.missing)
            share = "" if row.compliance is None else f"{row.compliance:.2%}"
            week = f"{row.week:%G-W%V}" if row.week else "all"
            table.add_row(week, *map(str, counts), share, style=None if row.week else "bold")
        console.print(table)
    if not rows:
        console.print("no run of a DAG with a deadline is due yet")
    if pending:
        console.print(f"{pending} pending: their deadline is still ahead")
