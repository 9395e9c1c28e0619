"""Writes the daily punctuality report: a day of warehouse.daily_delays, by airline, as Markdown."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.errors import DayMissing
from include.files import write_atomically

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

# Rows are (origin, carrier); a mean over departed flights is put together again by how many departed.
BY_CARRIER = """
SELECT
    carrier,
    sum(d.flights) AS flights,
    sum(d.cancelled) AS cancelled,
    sum(ifNull(d.mean_dep_delay, 0) * (d.flights - d.cancelled)) / nullif(sum(d.flights - d.cancelled), 0) AS delay
FROM warehouse.daily_delays AS d
WHERE d.flight_date = {day:Date}
GROUP BY carrier
ORDER BY delay DESC NULLS FIRST, carrier
"""


def airline_names(register: str) -> dict[str, str]:
    """Read carrier code -> name from the text of the register (CSV: carrier, name)."""
    return {row["carrier"]: row["name"] for row in csv.DictReader(register.splitlines())}


def delays_by_carrier(client: Client, day: date) -> list[dict[str, Any]]:
    """Compute a row per carrier, the most delayed first: carrier, flights, cancelled, delay (mean, minutes, or None).

    :param day: local date of the scheduled departure
    :raises DayMissing: question 1 has not published the day
    """
    rows: list[dict[str, Any]] = []
    if client.command("EXISTS TABLE warehouse.daily_delays"):
        answer = client.query(BY_CARRIER, parameters={"day": day})
        rows = [dict(zip(answer.column_names, row, strict=True)) for row in answer.result_rows]
    if not rows:
        raise DayMissing(
            f"warehouse.daily_delays has no flights for {day}: publish the day (answers run q01 --date {day}), then clear "
            "this task"
        )
    return rows


def write_report(rows: list[dict[str, Any]], names: dict[str, str], day: date, folder: Path) -> dict[str, Any]:
    """Write FOLDER/DAY.md, whole or not at all; again replaces it.

    :returns: {"file", "flights", "cancelled", "worst": name of the most delayed airline}
    """
    flights, cancelled = (sum(row[key] for row in rows) for key in ("flights", "cancelled"))
    lines = [
        f"# Departures from New York, {day}",
        "",
        f"{flights} flights, {cancelled} cancelled ({cancelled / flights:.1%}).",
        "",
        "| airline | flights | cancelled | mean departure delay, minutes |",
        "|---|---:|---:|---:|",
    ]
    for row in rows:
        name = names.get(row["carrier"], row["carrier"])
        delay = "none departed" if row["delay"] is None else f"{row['delay']:.1f}"
        lines.append(f"| {name} | {row['flights']} | {row['cancelled']} | {delay} |")
    file = folder / f"{day}.md"
    write_atomically(file, "\n".join(lines) + "\n")
    worst = names.get(rows[0]["carrier"], rows[0]["carrier"])
    return {"file": str(file), "flights": flights, "cancelled": cancelled, "worst": worst}
