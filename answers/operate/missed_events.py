"""Hands over to a DAG the asset events that it was not given.

Airflow 3.3 queues a consumer when an event comes, and only if the DAG is not paused at that moment (`AssetManager.
register_asset_change`); what came meanwhile stays in its table of events. Resuming the DAG queues nothing. The run that the
next event makes is given all events since the DAG's last such run (`SchedulerJobRunner._create_dag_runs_asset_triggered`), so
one more event is enough: the newest one that was missed, announced again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from answers.stack.client import Airflow, ApiError
from include.waiting import poll

BEGIN_PATIENCE = 60.0  # seconds for a queued run to begin


@dataclass(frozen=True)
class MissedEvents:
    """The events of one asset that a DAG was not given. `others`: DAGs that are scheduled on the asset, too."""

    asset: str
    events: int
    others: tuple[str, ...]

    def __str__(self) -> str:
        also = f" (also to {', '.join(self.others)})" if self.others else ""
        return f"{self.events} of {self.asset}{also}"


def hand_over_events(airflow: Airflow, dag_id: str) -> list[MissedEvents]:
    """Announce the newest missed event of each asset again, so that Airflow makes a run that is given all of them.

    Doing it again does nothing once that run is made. Every DAG that is scheduled on the asset gets the event.

    :returns: what was missed, by asset; empty for a DAG that Airflow does not know, or that no asset starts
    :raises ApiError: Airflow does not answer
    """
    assets = airflow.assets(dag_id)
    consumed = _consumed_until(airflow, dag_id)
    found = []
    for asset in assets:
        for reference in asset["scheduled_dags"]:
            if reference["dag_id"] == dag_id:
                since = consumed or reference["created_at"]
                found.append((asset, _events(airflow, asset["id"], since)))
    found = [(asset, events) for asset, events in found if events]
    if not found:
        return []
    # A run is given the events up to the moment at which its DAG was queued: an old place in the queue would leave out the rest.
    airflow.drop_queued_events(dag_id)
    for asset, events in found:
        airflow.announce(asset["id"], events[-1]["extra"], events[-1]["partition_key"])
    return [MissedEvents(asset["name"], len(events), _others(asset, dag_id)) for asset, events in found]


def _events(airflow: Airflow, asset_id: int, since: str) -> list[dict[str, Any]]:
    """Return an asset's events since an instant.

    Airflow 3.3.2 answers 500 while a run that one of them has started is queued, so that is waited out.
    """
    for _ in poll(BEGIN_PATIENCE):
        try:
            return airflow.asset_events(asset_id=asset_id, timestamp_gt=since)
        except ApiError as error:
            if error.status != 500:
                raise
    raise ApiError("Airflow does not tell the events: a run that one of them started has not begun. Is its DAG paused?")


def _consumed_until(airflow: Airflow, dag_id: str) -> str | None:
    """Return the instant up to which the DAG's runs were given events, as ISO 8601; None without such a run."""
    run = airflow.newest_run(dag_id, run_type="asset_triggered")
    return run["run_after"] if run else None


def _others(asset: dict[str, Any], dag_id: str) -> tuple[str, ...]:
    return tuple(sorted(each["dag_id"] for each in asset["scheduled_dags"] if each["dag_id"] != dag_id))
