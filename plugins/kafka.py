"""Gives tasks Kafka: the connection, and the one processing function with the warehouse opened around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from plugins.events import extras_of_events
from plugins.warehouse import open_warehouse

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from include.flight_status.broker import Options, Slice

Find = Callable[["Options", "Client"], "list[Slice]"]


def options(kafka_conn_id: str = "kafka_default") -> dict[str, Any]:
    """Look up the client's options of a connection."""
    from airflow.sdk.bases.hook import BaseHook

    return dict(BaseHook.get_connection(kafka_conn_id).extra_dejson)


def handle_messages(find: Find, dag_run: Any) -> tuple[dict[str, Any], list[Slice]]:
    """Process the messages that `find` names. A task that calls it belongs in the pool `warehouse`.

    :param find: (options, warehouse) -> slices; :param dag_run: the run that does it
    :returns: what `include.flight_status.process.process_slices` returns, and the slices
    """
    from include.flight_status.process import process_slices

    opts = options()
    with open_warehouse() as client:
        wanted = find(opts, client)
        return process_slices(opts, client, wanted, f"{dag_run.dag_id}/{dag_run.run_id}"), wanted


def backlog(topic: str) -> Find:
    """Make the `find` that selects everything after the last message that the inbox knows."""

    def find(opts: Options, client: Client) -> list[Slice]:
        from include.flight_status import broker, process

        now = broker.find_topic(opts, topic)
        return broker.slices_to_read(now, process.next_offsets(client, now))

    return find


def uncommitted(topic: str, group: str) -> Find:
    """Make the `find` that selects everything after what a consumer group has committed."""

    def find(opts: Options, client: Client) -> list[Slice]:
        from include.flight_status import broker

        return broker.slices_to_read(broker.find_topic(opts, topic), broker.committed_offsets(opts, topic, group))

    return find


def posted_messages(place: Mapping[str, Any]) -> Find:
    """Make the `find` that selects the message at {"topic", "topic_id", "partition", "offset"}, with "last" those up to it.

    :raises include.flight_status.broker.MessageGone: the place names none, or the topic is gone, or was made again
    """

    def find(opts: Options, client: Client) -> list[Slice]:
        from include.flight_status import broker

        if lacking := {"topic", "topic_id", "partition", "offset"} - place.keys():
            raise broker.MessageGone(f"the run's conf names no message, it lacks {', '.join(sorted(lacking))}")
        try:
            now = broker.find_topic(opts, place["topic"])
        except broker.TopicMissing as error:
            raise broker.MessageGone(str(error)) from error
        if now.id != place["topic_id"]:
            raise broker.MessageGone(f"{now.name} was deleted and made again: its message {dict(place)} is gone")
        return [broker.slice_of(place)]

    return find


def announced_slices(triggering_asset_events: Mapping[Any, Iterable[Any]]) -> list[dict[str, Any]]:
    """Return what *all* events that started a run say has arrived; none where the clock started it."""
    payloads = (extra.get("payload") for extra in extras_of_events(triggering_asset_events))
    return [dict(each) for each in payloads if isinstance(each, Mapping)]
