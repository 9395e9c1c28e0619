"""Lands days of the real feed and publishes them, as the DAGs do."""

from datetime import date
from pathlib import Path

from include.flights import warehouse as loader
from include.flights.feed import default_feed, land_interval
from include.flights.publish import publish_day
from support import interval


def landed_day(folder: Path, day: str, run: str = "run", feed: Path | None = None, **slice: str) -> dict:
    """Land a day, or a slice of it."""
    return land_interval(feed or default_feed(), folder, *interval(day), run=run, **slice)


def publish(client, landed: dict, layout=loader.DAYS, run: str = "run"):
    """Publish what was landed and transformed."""
    first, last = (date.fromisoformat(landed[key]) for key in ("first_day", "last_day"))
    folder, rows = Path(landed["folder"]), landed["rows"]
    return publish_day(client, folder, first, last, rows, run, layout, landed["slice"])
