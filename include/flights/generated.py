"""Compares what the warehouse has of generated days with their control totals (question 7)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from include.flights.generate import NUMBERS, Chunk
from include.flights.warehouse import GENERATED, ValidationError

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


def verify(client: Client, chunks: Iterable[Chunk]) -> dict[str, int]:
    """Compare each day's rows, cancelled flights and sums with the control totals that came with its feed.

    :returns: {"chunks", "rows", "raw_bytes"}
    :raises ValidationError: listing every total that is another one
    """
    due = {chunk.day: chunk for chunk in chunks}
    sums = ", ".join(f"sum({name})" for name in NUMBERS)
    found = {
        str(day): dict(zip(("rows", "cancelled", *NUMBERS), map(int, values), strict=True))
        for day, *values in client.query(
            f"SELECT flight_date, count(), countIf(cancelled), {sums} FROM warehouse.{GENERATED.prefix}flights "
            "WHERE flight_date IN {days:Array(Date)} GROUP BY flight_date",
            parameters={"days": sorted(due)},
        ).result_rows
    }
    wrong = [
        f"{day}: {name} is {found.get(day, {}).get(name, 0)}, should be {wanted}"
        for day, chunk in due.items()
        for name, wanted in chunk.control.items()
        if found.get(day, {}).get(name, 0) != wanted
    ]
    if wrong:
        raise ValidationError("; ".join(wrong))
    return {
        "chunks": len(due),
        "rows": sum(chunk.rows for chunk in due.values()),
        "raw_bytes": sum(chunk.raw_bytes for chunk in due.values()),
    }
