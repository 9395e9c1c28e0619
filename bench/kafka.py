"""Three ways from a Kafka message to its effect, beside the stock trigger: latency, events/s, loss under kills."""

from __future__ import annotations

import json
import math
import os
import statistics
import threading
import uuid

from bench.fleet import BUNDLES, live, until
from include.waiting import poll

STOCK = "flight-status-stock"
SEED = int(os.environ.get("BENCH_KAFKA_SEED", "2013"))
KILLS, WITHIN, RATE = int(os.environ.get("BENCH_KAFKA_KILLS", "20")), 60, 4.0
PARTS = ("triggerer", "scheduler", "kafka", "task", "warehouse")
STEADY, BURST = 30, 200


def kafka() -> dict:
    """Each on one live stack: what comes in, what has an effect, how soon."""
    from answers.operate.kafka import start
    from answers.stack.connections import kafka_options
    from include.flight_status import broker

    with live(AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=json.dumps(BUNDLES)) as (settings, airflow):
        start()
        opts = kafka_options()
        broker.create_topics(opts, names=[STOCK])
        extra = json.dumps(opts | {"group.id": "stock"})
        airflow.add_connection("kafka_stock", "kafka", extra=extra)
        airflow.find_dag("kafka_stock")
        airflow.unpause("kafka_stock")
        topics = {**broker.WAYS, "stock": STOCK}
        for topic in topics.values():  # everything is awake once each has had an effect
            _send(opts, topic, 1)
        until(lambda: all(_effects(settings, topic) for topic in topics.values()))
        result: dict = {"latency_s": _latency(settings, opts, topics)}
        result["events_per_s"] = {way: _burst(settings, opts, topic, way) for way, topic in topics.items()}
        result["under_kills"] = _loss(settings, opts, {way: topics[way] for way in ("event", "sensor", "stock")})
    return result


def _send(opts: dict, topic: str, count: int, rate: float | None = None) -> None:
    from answers.operate import kafka_events

    kafka_events.produce_all(opts, topic, kafka_events.make_events(count, uuid.uuid4().hex), rate)


def _query(settings, query: str) -> list:
    from answers.stack.connections import open_warehouse
    from include.flight_status import process

    with open_warehouse() as client:
        process.create_tables(client)
        return client.query(query).result_rows


def _effects(settings, topic: str) -> dict:
    """(partition, offset) -> when it was handled, seconds since 1970."""
    rows = _query(
        settings,
        "SELECT partition, offset, toUnixTimestamp64Milli(handled_at) FROM warehouse.flight_status_inbox FINAL "
        f"WHERE topic = '{topic}'",
    )
    return {(partition, offset): at / 1000 for partition, offset, at in rows}


def _sent(opts: dict, topic: str) -> dict:
    """(partition, offset) -> when it was sent."""
    from include.flight_status import broker

    batches = broker.read_batches(opts, broker.slices_to_read(broker.find_topic(opts, topic), {}))
    return {(each.partition(), each.offset()): each.timestamp()[1] / 1000 for batch in batches for each in batch}


def _delays(settings, opts: dict, topic: str, known: set, patience: float) -> tuple[list[float], int, float]:
    """Seconds to the effect of what was sent beyond `known`, how many have none in time, and events a second."""
    for _ in poll(patience, 2):
        sent, done = _sent(opts, topic), _effects(settings, topic)
        new = sent.keys() - known
        if new <= done.keys():
            break
    had = new & done.keys()
    span = max((done[each] for each in had), default=math.inf) - min(sent[each] for each in new)
    return sorted(done[each] - sent[each] for each in had), len(new - had), len(had) / span


def _latency(settings, opts: dict, topics: dict) -> dict:
    """One message every two seconds to each way at the same time."""
    known = {way: set(_sent(opts, topic)) for way, topic in topics.items()}
    threads = [threading.Thread(target=_send, args=(opts, topic, STEADY, 0.5)) for topic in topics.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {}
    for way, topic in topics.items():
        delays, without, _ = _delays(settings, opts, topic, known[way], 20)
        found[way] = {"messages": STEADY, "without_effect_after_20_s": without}
        if delays:
            found[way] |= {
                "p50": round(statistics.median(delays), 1),
                "p95": round(delays[int(0.95 * (len(delays) - 1))], 1),
            }
        print(f"latency, {way}: {found[way]}", flush=True)
    return found


def _burst(settings, opts: dict, topic: str, way: str) -> dict:
    """Messages as fast as they go, then silence."""
    known, count = set(_sent(opts, topic)), BURST if way in ("event", "sensor") else BURST // 5
    _send(opts, topic, count)
    _, without, speed = _delays(settings, opts, topic, known, 60)
    found = {"messages": count, "events_per_s": round(speed, 1), "without_effect_after_60_s": without}
    print(f"burst, {way}: {found}", flush=True)
    return found


def _loss(settings, opts: dict, topics: dict) -> dict:
    """Send each the same messages at the same rate while the same parts are killed; count once the stack has settled."""
    from answers.operate import kills
    from answers.stack import parts
    from include.flight_status import broker

    threads = [
        threading.Thread(target=_send, args=(opts, topic, int(RATE * WITHIN), RATE)) for topic in topics.values()
    ]
    for thread in threads:
        thread.start()
    done = list(kills.carry_out(settings, kills.make_schedule(SEED, KILLS, WITHIN, PARTS), SEED))
    for thread in threads:
        thread.join()
    until(lambda: parts.healthy(settings))
    groups = {"event": broker.GROUPS["event"], "sensor": broker.GROUPS["sensor"], "stock": "stock"}
    found: dict = {
        "kills": len(done),
        "of_them_triggerer": sum(each.part == "triggerer" for each in done),
        "seed": SEED,
    }
    for way, topic in topics.items():

        def consumed(way: str = way, topic: str = topic) -> bool:
            ends = {part: high for part, (_, high) in broker.find_topic(opts, topic).bounds.items()}
            return broker.committed_offsets(opts, topic, groups[way]) == ends

        try:
            until(consumed, 180)
        except SystemExit:
            found[f"{way}_not_consumed_after_180_s"] = True
        for _ in poll(90 if way == "stock" else 180, 2):
            if not (missing := _sent(opts, topic).keys() - _effects(settings, topic).keys()):
                break
        each = {"messages": len(_sent(opts, topic)), "without_effect": len(missing)}
        if way == "stock":
            announced = _stored(settings, topic)
            each["of_them_lost"] = len(missing - announced)  # committed, but in no event: nothing will bring them back
            each["of_them_stranded"] = len(missing & announced)
        found[way] = each
        print(f"under kills, {way}: {each}", flush=True)
    return found


def _stored(settings, topic: str) -> set:
    """Return the messages whose events Airflow has stored."""
    import psycopg2

    with psycopg2.connect(settings.database().replace("+psycopg2", "")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT extra FROM asset_event")
        extras = [row[0] if isinstance(row[0], dict) else json.loads(row[0]) for row in cursor.fetchall()]
    places = [extra.get("payload") for extra in extras]
    return {
        (p["partition"], p["offset"])
        for p in places
        if isinstance(p, dict) and p.get("topic") == topic and "offset" in p
    }
