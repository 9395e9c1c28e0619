"""Chunks of a day: one carrier's flights from one airport. Which there are, and which path each takes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from include.flights.contract import ZONE
from include.partitions.config import Config

AIRPORTS = ("EWR", "JFK", "LGA")
Path_ = Literal["skip", "light", "spark"]


def local_day(instant: datetime) -> str:
    """The date in New York at an instant, YYYY-MM-DD: a macro. (`ds` is the date in UTC.)"""
    return str(instant.astimezone(ZONE).date())


def count_flights(feed_dir: Path, start: datetime, end: datetime) -> dict[str, dict[str, int]]:
    """Flights of the data interval [start, end) per airport and carrier, without the pairs that have none.

    :raises FeedMissing: a file is not there; :raises FeedError: the feed breaks its contract
    """
    from include.flights.feed import read_interval

    flights = read_interval(feed_dir, start, end)["flights"]
    counts: dict[str, dict[str, int]] = {airport: {} for airport in AIRPORTS}
    for row in flights.group_by(["origin", "carrier"]).aggregate([([], "count_all")]).to_pylist():
        counts[row["origin"]][row["carrier"]] = row["count_all"]
    return counts


def plan(document: Mapping[str, Any], airport: str, counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """The chunks of one airport, largest first: [{"carrier": "UA", "rows": 141}, ...]; none where it is left out.

    :param document: the configuration in force, as JSON
    :param counts: flights of the day from this airport, per carrier
    """
    config = Config.model_validate(document)
    if airport not in config.airports:
        return []
    carriers = config.carriers or sorted(counts)
    chunks: list[dict[str, Any]] = [{"carrier": carrier, "rows": counts.get(carrier, 0)} for carrier in carriers]
    return sorted(chunks, key=lambda chunk: -chunk["rows"])


def path_of(document: Mapping[str, Any], airport: str, rows: int, spark_from_rows: int | None = None) -> Path_:
    """The path that a chunk of so many rows takes.

    :param spark_from_rows: in place of the configuration's, for one run; what would be skipped still is
    """
    rules = Config.model_validate(document).thresholds_of(airport)
    if rows <= rules.skip_up_to_rows:
        return "skip"
    return "spark" if rows >= (spark_from_rows or rules.spark_from_rows) else "light"
