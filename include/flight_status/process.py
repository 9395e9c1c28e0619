"""Processes messages: whichever way a message was announced, the one function here gives it its effect.

At least once, and deduplicated. What is known by topic, topic id, partition and offset is skipped. What comes twice with one
event id has one effect. A message that is no event becomes a dead letter first, and is noted after.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.flight_status import broker, dead_letters
from include.flight_status.events import BadEvent, parse_event

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

SQL = Path(__file__).with_name("sql")
INBOX = "warehouse.flight_status_inbox"
COLUMNS = (
    "topic",
    "topic_id",
    "partition",
    "offset",
    "outcome",
    "reason",
    "event_id",
    "flight",
    "status",
    "at",
    "run_id",
)


def create_tables(client: Client) -> None:
    """Create the inbox and the views on it where they are missing."""
    client.command("CREATE DATABASE IF NOT EXISTS warehouse")
    for name in ("inbox", "flight_status", "flight_status_now"):
        client.command((SQL / f"{name}.sql").read_text())


def process_slices(opts: broker.Options, client: Client, wanted: Iterable[broker.Slice], run_id: str) -> dict[str, Any]:
    """Handle the messages of some slices.

    :param client: of the warehouse
    :param run_id: of the run that does it, DAG/RUN; its retry finds what the first try has done
    :returns: what the run has handled, over all its tries: {"offsets": {"TOPIC-PARTITION": [[first, last], ...]},
        "applied": count, "dead": count, "at": instant}; small, for XCom
    """
    create_tables(client)
    ids: dict[str, str] = {}
    id_of = broker.topic_ids(opts)
    for batch in broker.read_batches(opts, wanted):
        ids |= {name: id_of(name) for name in {each.topic() for each in batch} - set(ids)}
        known = handled_places(client, ids, batch)
        fresh = [each for each in batch if (each.topic(), each.partition(), each.offset()) not in known]
        rows, bad = [], []
        for message in fresh:
            row, reason = _row(message, ids[message.topic()], run_id)
            rows.append(row)
            if reason:
                bad.append((message, reason))
        # First the dead letter, then the note that it is done: killed in between, it is sent again, never forgotten.
        dead_letters.send_dead_letters(opts, bad, ids)
        if rows:
            client.insert(INBOX, rows, column_names=COLUMNS)
    return handled_by_run(client, run_id)


def _row(message: broker.Message, topic_id: str, run_id: str) -> tuple[tuple[Any, ...], str]:
    place = (message.topic(), topic_id, message.partition(), message.offset())
    try:
        event = parse_event(message.value())
    except BadEvent as error:
        return (*place, "dead", str(error), "", "", "", None, run_id), str(error)
    return (*place, "applied", "", event.event_id, event.flight, event.status, event.at.astimezone(UTC), run_id), ""


def handled_places(client: Client, ids: dict[str, str], batch: Iterable[broker.Message]) -> set[tuple[str, int, int]]:
    """Return the places of a batch's messages that the inbox knows."""
    found: set[tuple[str, int, int]] = set()
    places: dict[tuple[str, int], list[int]] = {}
    for message in batch:
        places.setdefault((message.topic(), message.partition()), []).append(message.offset())
    for (topic, partition), offsets in places.items():
        rows = client.query(
            f"SELECT DISTINCT offset FROM {INBOX} WHERE topic = {{topic:String}} AND topic_id = {{id:String}} "
            "AND partition = {partition:UInt16} AND offset BETWEEN {first:UInt64} AND {last:UInt64}",
            parameters={
                "topic": topic,
                "id": ids[topic],
                "partition": partition,
                "first": min(offsets),
                "last": max(offsets),
            },
        ).result_rows
        found |= {(topic, partition, offset) for (offset,) in rows}
    return found


def next_offsets(client: Client, now: broker.Topic) -> dict[int, int]:
    """Return where processing goes on, by partition: behind the last message that the inbox knows of this very topic."""
    create_tables(client)
    rows = client.query(
        f"SELECT partition, max(offset) + 1 FROM {INBOX} "
        "WHERE topic = {topic:String} AND topic_id = {id:String} GROUP BY partition",
        parameters={"topic": now.name, "id": now.id},
    ).result_rows
    return {int(partition): int(position) for partition, position in rows}


def handled_by_run(client: Client, run_id: str) -> dict[str, Any]:
    """Return what a run has handled, see `process_slices`."""
    rows = client.query(
        f"SELECT topic, partition, offset, outcome FROM {INBOX} FINAL WHERE run_id = {{run:String}} "
        "ORDER BY topic, partition, offset",
        parameters={"run": run_id},
    ).result_rows
    offsets: dict[str, list[list[int]]] = {}
    for topic, partition, offset, _ in rows:
        ranges = offsets.setdefault(f"{topic}-{partition}", [])
        if ranges and ranges[-1][1] == offset - 1:
            ranges[-1][1] = offset
        else:
            ranges.append([offset, offset])
    dead = sum(outcome == "dead" for *_, outcome in rows)
    return {"offsets": offsets, "applied": len(rows) - dead, "dead": dead, "at": datetime.now(UTC).isoformat()}
