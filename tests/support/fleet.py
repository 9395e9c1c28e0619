"""Tells what tests of the fleet share: its totals computed with pandas, and smaller fleets."""

from __future__ import annotations

import pandas as pd
import yaml

from include.fleet.model import FILE
from support import expected


def totals(day: str, carriers: list[str], by: list[str]) -> pd.DataFrame:
    """Flights, cancellations and delays of a day for some carriers, grouped; from the raw files."""
    flights = expected.flights(day, day)
    flights = flights[flights["carrier"].isin(carriers)].copy()
    flights["hour"] = pd.to_datetime(flights["sched_dep_utc"], utc=True).dt.tz_convert("America/New_York").dt.hour
    flights["on_time"] = (flights["arr_delay"] <= 15).astype("Float64").where(flights["arr_delay"].notna())
    groups = flights.groupby(by, sort=True)
    table = groups.agg(
        carriers=("carrier", "nunique"),
        flights=("flight", "size"),
        cancelled=("cancelled", "sum"),
        destinations=("dest", "nunique"),
        mean_dep_delay=("dep_delay", "mean"),
        worst_dep_delay=("dep_delay", "max"),
        on_time_share=("on_time", "mean"),
    )
    table["p90_dep_delay"] = groups["dep_delay"].quantile(0.9, interpolation="linear")
    return table.reset_index()


AIRPORTS = ["origin", "carriers", "flights", "cancelled", "mean_dep_delay", "p90_dep_delay", "on_time_share"]
HOURS = ["hour", "flights", "cancelled", "mean_dep_delay"]
REPORT = ["carrier", "flights", "cancelled", "destinations", "mean_dep_delay", "worst_dep_delay", "on_time_share"]


def document(**changes) -> dict:
    """The fleet's own document with some fields changed."""
    return yaml.safe_load(FILE.read_text()) | changes


def write(folder, document) -> str:
    """A document as file. Text is written as it is."""
    file = folder / "fleet.yaml"
    file.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return str(file)
