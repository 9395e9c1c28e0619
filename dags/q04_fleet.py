"""Q4 · More than fifty DAGs from one YAML file: ingest, transform and report for each carrier, roll-ups above them.

Look at: the last lines (a task's process builds its own DAG and no other), `wait_for` (a sensor where the date must match),
`schedule=[published(...)]` (an event where that suffices), the EmptyOperators that fan out and in, and the weights.
Produces warehouse.carrier_flights, carrier_daily_delays, fleet_reports, fleet_airports, fleet_hours, fleet_scorecard.

    ingest UA ──sensor──> transform UA ──sensor──> roll-ups ──sensor──> network ──event──> scorecard
                               └──event──> report UA
"""

from datetime import timedelta
from pathlib import Path

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.sdk import DAG, Asset, CronDataIntervalTimetable, get_parsing_context, task
from pendulum import datetime

from include.fleet.model import Member, load_fleet
from plugins.failures import RETRY_POLICY
from plugins.operators.publish_partition import PublishPartitionOperator

ZONE = "America/New_York"
fleet = load_fleet()
members = {each.dag_id: each for each in fleet.members}


def landed(carrier: str) -> Asset:
    """Return what ingest left for transform; the event's `extra` says where."""
    return Asset(f"fleet.landed.{carrier}")


def published(name: str) -> Asset:
    """Return the asset for a carrier's or roll-up's partition in the warehouse; the event's `extra` says of which day."""
    return Asset(f"fleet.published.{name}")


def dag_of(member: Member, schedule=None) -> DAG:
    """Make the member's DAG: one run a local day, or one when an asset says so."""
    waits = f" Waits for {', '.join(f'`{each}`' for each in member.waits_for)}." if member.waits_for else ""
    return DAG(
        member.dag_id,
        description=member.title,
        schedule=schedule or CronDataIntervalTimetable("@daily", timezone=ZONE),
        start_date=datetime(2013, 1, 1, tz=ZONE),
        end_date=datetime(2013, 12, 31, tz=ZONE),
        catchup=False,
        tags=["q04", "fleet", member.layer, *filter(None, [member.key])],
        doc_md=f"{member.title}.{waits} Weight {member.weight}. Built by dags/q04_fleet.py; explained in docs/q04.md.",
        # The weights cross DAGs, so they are computed from the YAML; Airflow's rules would add up within one DAG.
        default_args={
            "owner": member.owner,
            "priority_weight": member.weight,
            "weight_rule": "absolute",
            "retry_policy": RETRY_POLICY,
        },
    )


def wait_for(upstream: Member) -> ExternalTaskSensor:
    """Hold until `upstream` is done for the same date; fail within seconds when it failed."""
    return ExternalTaskSensor(
        task_id=f"wait_for_{upstream.layer}_{upstream.key}",
        external_dag_id=upstream.dag_id,
        external_task_id="done",  # one: with several, a deferred sensor overlooks that some of them failed
        allowed_states=["success"],
        failed_states=["failed", "upstream_failed", "skipped"],  # `done` itself is upstream_failed, never failed
        deferrable=True,
        poke_interval=fleet.settings.poke_seconds,
        timeout=fleet.settings.sensor_timeout,
        # The platform's three times five minutes would hide the failure; without any, the scheduler could fail a
        # sensor whose trigger fires before it has read that the task left its slot.
        retries=1,
        retry_delay=timedelta(seconds=2),
    )


@task
def land(carrier: str, feed: str, data_root: str, **context) -> dict:
    """Land the carrier's records of this data interval as Parquet; a breach of the feed's contract is permanent."""
    from include.flights.feed import land_interval
    from plugins.events import attach_to_events

    run = f"{context['dag'].dag_id} {context['run_id']}"
    edges = context["data_interval_start"], context["data_interval_end"]
    result = land_interval(Path(feed), Path(data_root), *edges, run, carrier=carrier)
    attach_to_events(context, result)
    return result


@task
def transform(**context) -> dict:
    """Transform what was landed for this date: types, UTC, weather, aircraft. Return its folder, for `publish`."""
    from include.flights.days import local_days
    from include.flights.engine import transform_files
    from plugins.events import latest_of_day
    from plugins.warehouse import open_warehouse

    (day,) = local_days(context["data_interval_start"], context["data_interval_end"])
    result = latest_of_day(context["inlet_events"][0], day)
    with open_warehouse() as client:
        transform_files(client, Path(result["folder"]))
    return result


@task
def total(table: str, carriers: list[str], keys: dict[str, str], **context) -> list[dict]:
    """Total one partition of a fleet table for this run's day; without one, the days of the events and the missed ones."""
    from include.fleet.totals import missed_days, publish_totals
    from include.flights.days import local_days
    from plugins.events import attach_to_events, days_of_events
    from plugins.warehouse import open_warehouse

    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    run = f"{context['dag'].dag_id} {context['run_id']}"
    with open_warehouse() as client:
        if start:
            wanted = local_days(start, end)
        else:  # events are a signal: Airflow may have kept some of them back
            announced = days_of_events(context["triggering_asset_events"])
            wanted = sorted({*announced, *missed_days(client, fleet, members[context["dag"].dag_id])})
        results = [publish_totals(client, table, day, carriers, run, keys) for day in wanted]
    if results:
        attach_to_events(context, results[-1])
    return results


def ingest_dag(member: Member) -> None:
    """Make the DAG that lands a carrier's day: the root."""
    with dag_of(member):
        paths = "{{ var.value.flights_feed }}", "{{ var.value.data_root }}"
        work = land.override(outlets=[landed(member.key)], pool=fleet.settings.pool)(member.key, *paths)
        work >> EmptyOperator(task_id="done")


def transform_dag(member: Member) -> None:
    """Make the DAG that needs the landing of the same date: a sensor."""
    (upstream,) = member.waits_for
    with dag_of(member):
        work = transform.override(inlets=[landed(member.key)], pool=fleet.settings.pool)()
        publish = PublishPartitionOperator(
            task_id="publish", landed=work, layout="carriers", outlets=[published(member.key)], pool="warehouse"
        )
        wait_for(members[upstream]) >> work >> publish >> EmptyOperator(task_id="done")


def report_dag(member: Member) -> None:
    """Make the DAG that reports any day that was published, and that nothing waits for: an asset event."""
    with dag_of(member, schedule=[published(member.key)]):
        total.override(task_id="report", pool="warehouse")(*fleet.products(member)[0])


def rollup_dag(member: Member) -> None:
    """Make the DAG that needs the same date of all that it adds up: sensors, which fan out and in through EmptyOperators."""
    with dag_of(member):
        sensors = [wait_for(members[upstream]) for upstream in member.waits_for]
        airports, hours = fleet.products(member)
        by_airport = total.override(task_id="by_airport", outlets=[published(member.key)], pool="warehouse")
        by_hour = total.override(task_id="by_hour", pool="warehouse")
        work = [by_airport(*airports), by_hour(*hours)]
        start, ready, done = (EmptyOperator(task_id=name) for name in ("start", "ready", "done"))
        start >> sensors >> ready >> work >> done


def scorecard_dag(member: Member) -> None:
    """Make the DAG that ranks after a roll-up. An event starts it, as the ranking can only follow."""
    with dag_of(member, schedule=[published(fleet.scorecard_after)]):
        total.override(task_id="rank", pool="warehouse")(*fleet.products(member)[0])


BUILD = {
    "ingest": ingest_dag,
    "transform": transform_dag,
    "report": report_dag,
    "rollup": rollup_dag,
    "scorecard": scorecard_dag,
}
only = get_parsing_context().dag_id  # in the process of a task: its DAG; None in the DAG processor
for each in members.values():
    if only in (None, each.dag_id):
        BUILD[each.layer](each)
