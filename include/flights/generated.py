"""Reads the days of a generated feed, and compares what the warehouse has of them with their control totals (question 7)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from include.flights.contract import FeedNotMade
from include.flights.warehouse import GENERATED, ValidationError

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


CONTROL_FILE = "control.json"  # the control totals of a day's feed
TOTALLED = ("dep_delay", "arr_delay", "air_time", "distance", "flight")  # those with a total


@dataclass(frozen=True)
class Chunk:
    """A generated day, with its control totals: sums over all flights, missing values left out."""

    day: str
    folder: str
    copies: int
    rows: int
    raw_bytes: int  # of the flights as CSV, whatever the format of the file
    cancelled: int
    totals: dict[str, int]

    @property
    def control(self) -> dict[str, int]:
        """Return what the warehouse must say of the day: rows, cancelled and the sums."""
        return {"rows": self.rows, "cancelled": self.cancelled, **self.totals}


def read_chunks(folder: Path) -> list[Chunk]:
    """List the days of a generated feed, by date.

    :raises FeedNotMade: there is none
    """
    found = sorted(folder.glob(f"*/{CONTROL_FILE}"))
    if not found:
        raise FeedNotMade(f"{folder} holds no generated feed: answers flights generate --to {folder}")
    return [Chunk(**json.loads(path.read_text()) | {"folder": str(path.parent)}) for path in found]


def verify_totals(client: Client, chunks: Iterable[Chunk]) -> dict[str, int]:
    """Compare each day's rows, cancelled flights and sums with the control totals that came with its feed.

    :returns: {"chunks", "rows", "raw_bytes"}
    :raises ValidationError: listing every total that is another one
    """
    due = {chunk.day: chunk for chunk in chunks}
    sums = ", ".join(f"sum({name})" for name in TOTALLED)
    found = {
        str(day): dict(zip(("rows", "cancelled", *TOTALLED), map(int, values), strict=True))
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
