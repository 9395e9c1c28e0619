"""Defines `answers rollback`: restores the last good version of a day, undoes that, or lists the versions."""

from __future__ import annotations

import getpass
import json
import socket
from datetime import date
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer
from rich.console import Console
from rich.table import Table

from answers.console import deadline_of_option, default_help, out, readable_errors

if TYPE_CHECKING:
    from include.flights.versions import History


def rollback(
    day: Annotated[str, typer.Option("--date", help="Local day, YYYY-MM-DD.")],
    undo: Annotated[bool, typer.Option("--undo", help="Take the last rollback of the day back.")] = False,
    to: Annotated[int | None, typer.Option("--to", help="This version, in place of the last good one.")] = None,
    show: Annotated[bool, typer.Option("--list", help="Only show what happened to the day, and what is kept.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
    timeout: Annotated[
        float | None, typer.Option(help=f"Seconds to wait while the warehouse is down{default_help(60)}")
    ] = None,
) -> None:
    """Make the last good version of a published day live again: all of its tables, each in one step.

    A rollback that was killed half-way, or a day that was damaged since, is put right first, and nothing else.
    """
    from clickhouse_connect.driver.exceptions import Error

    from answers.stack.connections import open_warehouse
    from include.flights import versions, warehouse

    with readable_errors():
        if undo and to is not None:
            raise ValueError("--undo restores the version from before the rollback: give --undo or --to, not both")
        chosen = date.fromisoformat(day)
        by = f"{getpass.getuser()}@{socket.gethostname()} {uuid4().hex[:8]}"  # two commands are two orders
        with open_warehouse(deadline_of_option(timeout, 60)) as client:
            try:
                if show:
                    _print_versions(versions.history(client, chosen), out, as_json)
                    return
                report = (
                    versions.undo_rollback(client, chosen, by)
                    if undo
                    else versions.rollback_day(client, chosen, by, to)
                )
            except versions.NothingToRestore as error:
                raise ValueError(f"nothing was changed: {error}") from error
            except Error as error:
                raise warehouse.WarehouseUnavailable(
                    f"the warehouse failed half-way; run the same command again to complete the rollback: {error}"
                ) from error
        if as_json:
            print(json.dumps(report))
            return
        rows = ", ".join(f"{table} {count}" for table, count in report["rows"].items())
        said = f"repaired, it is version {report['to']}" if report["action"] == "repair" else ""
        said = said or f"version {report['to']} is live again instead of {report['from']}"
        out.print(f"{day}: {said} (rows: {rows})", highlight=False)


def _print_versions(past: History, out: Console, as_json: bool) -> None:
    from include.flights.versions import row_counts

    rows = [
        {
            "event": event.action,
            "version": event.version,
            "before": event.before,
            "by": event.by,
            "flights": row_counts(event.prints)["flights"],
            "kept": event.version in past.restorable,
        }
        for event in past.events
    ]
    if as_json:
        print(json.dumps(rows))
        return
    table = Table("event", "live since then", "before", "by", "flights", "kept")
    for row in rows:
        table.add_row(*(str(cell) for cell in row.values()))
    out.print(table)
