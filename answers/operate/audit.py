"""Compares broker, warehouse and XCom for `answers kafka audit`, and accounts for each offset: lost, doubled, waiting."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from include.flight_status import broker, process

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from answers.stack.client import Airflow

DAGS = {
    "event": ("q05_kafka_event", "process_backlog"),
    "sensor": ("q05_kafka_sensor", "process_uncommitted"),
    "webhook": ("q05_kafka_webhook", "process_message"),
}
Places = set[tuple[int, int]]  # (partition, offset)


@dataclass
class TopicAccount:
    """Accounts for a topic's messages. `lag`: none of its consumers has come that far. `lost`: one has, without effect.

    `untracked`: handled, but in no run's XCom; None if Airflow was not asked. `doubled`: events with more than one effect.
    """

    way: str
    topic: str
    messages: int = 0
    applied: int = 0
    dead: int = 0
    repeated: int = 0
    lag: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: int = 0
    untracked: int | None = None

    @property
    def clean(self) -> bool:
        """Tell whether nothing is lost, doubled, untracked or waiting."""
        return not (self.lost or self.doubled or self.lag or self.untracked)


def audit(
    opts: broker.Options, client: Client, airflow: Airflow | None = None, ways: Iterable[str] = ()
) -> list[TopicAccount]:
    """Return the account of each way's topic as it is now.

    :param airflow: None to leave XCom and unfinished runs out
    """
    process.create_tables(client)
    return [_account_of_way(way, opts, client, airflow) for way in ways or broker.WAYS]


def _account_of_way(way: str, opts: broker.Options, client: Client, airflow: Airflow | None) -> TopicAccount:
    now = broker.find_topic(opts, broker.WAYS[way])
    account = TopicAccount(way, now.name)
    # Everything that was ever on this topic; what retention has removed unseen is lost, too.
    sent = {(number, offset) for number, (_, high) in now.bounds.items() for offset in range(high)}
    # Before the effects: what is processed meanwhile has its effect and must not seem lost.
    position = _consumer_position(way, opts, client, now)
    unfinished = _unfinished_places(airflow, now) if way == "webhook" and airflow else set()
    where = "topic = {topic:String} AND topic_id = {id:String}"
    given = {"topic": now.name, "id": now.id}
    rows = client.query(
        f"SELECT partition, offset, outcome FROM {process.INBOX} FINAL WHERE {where}", parameters=given
    ).result_rows
    outcomes = {(partition, offset): outcome for partition, offset, outcome in rows}
    effects = client.query(
        "SELECT count(), uniqExact(event_id) FROM warehouse.flight_status WHERE topic = {topic:String}",
        parameters=given,
    ).result_rows[0]
    ids = client.query(
        f"SELECT uniqExact(event_id) FROM {process.INBOX} FINAL WHERE {where} AND outcome = 'applied'", parameters=given
    ).result_rows[0][0]
    account.messages = len(sent)
    account.dead = sum(outcome == "dead" for outcome in outcomes.values())
    account.applied = len(outcomes) - account.dead
    account.repeated = account.applied - ids
    account.doubled = effects[0] - effects[1]
    missing = sent - set(outcomes)
    waiting = {place for place in missing if place[1] >= position.get(place[0], 0) or place in unfinished}
    account.lag = len(waiting)
    account.lost = [f"{now.name}-{partition}-{offset}" for partition, offset in sorted(missing - waiting)]
    if airflow:
        account.untracked = len(set(outcomes) - tracked_places(airflow, way, now.name))
    return account


def _consumer_position(way: str, opts: broker.Options, client: Client, now: broker.Topic) -> dict[int, int]:
    """Return how far the way's consumer has come."""
    if way == "event":
        return process.next_offsets(client, now)
    return broker.committed_offsets(opts, now.name, broker.GROUPS[way])


def runs_of_way(airflow: Airflow, way: str, *states: str) -> list[dict[str, Any]]:
    """Return the runs of a way's DAG that are in one of the states."""
    return airflow.runs(DAGS[way][0], state=states)


def _unfinished_places(airflow: Airflow, now: broker.Topic) -> Places:
    confs = [each["conf"] or {} for each in runs_of_way(airflow, "webhook", "queued", "running")]
    return {
        (conf["partition"], offset)
        for conf in confs
        if conf.get("topic_id") == now.id
        for offset in range(conf["offset"], conf.get("last", conf["offset"]) + 1)
    }


def tracked_places(airflow: Airflow, way: str, topic: str) -> Places:
    """Return the offsets of a topic in the XComs of the way's runs."""
    dag_id, task_id = DAGS[way]
    found: Places = set()
    for run in runs_of_way(airflow, way, "success"):
        value = airflow.xcom(dag_id, run["dag_run_id"], task_id, required=False)  # None: the sensor had timed out
        for place, pairs in (value or {}).get("offsets", {}).items():
            name, _, partition = place.rpartition("-")
            if name == topic:
                found |= {(int(partition), offset) for first, last in pairs for offset in range(first, last + 1)}
    return found
