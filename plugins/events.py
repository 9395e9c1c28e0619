"""Puts days into the `extra` of asset events, and reads them: a run that an event started has no date of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from plugins.errors import EventMissing


def attach_to_events(context: Mapping[str, Any], what: Mapping[str, Any]) -> None:
    """Attach `what` (JSON, with `first_day`) to the event of each asset that the running task has as outlet."""
    for asset in context["task"].outlets:
        context["outlet_events"][asset].extra = dict(what)


def extras_of_events(triggering_asset_events: Mapping[Any, Iterable[Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the extra of *all* events that started this run: those that came while it was queued are merged into one run."""
    for of_asset in triggering_asset_events.values():
        for event in of_asset:
            yield event.extra or {}


def days_of_events(triggering_asset_events: Mapping[Any, Iterable[Any]]) -> list[date]:
    """List the days of all events that started this run, each once."""
    return sorted({date.fromisoformat(extra["first_day"]) for extra in extras_of_events(triggering_asset_events)})


def latest_of_day(events: Iterable[Any], day: date) -> dict[str, Any]:
    """Return what the newest event about a day says.

    :raises EventMissing: there is none
    """
    found = [event for event in events if (event.extra or {}).get("first_day") == str(day)]
    if not found:
        raise EventMissing(
            f"no event about {day}: was it landed by another Airflow, or its history purged? Ingest it again"
        )
    return dict(max(found, key=lambda event: event.timestamp).extra)
