"""Measures three ways from a Kafka message to its effect, and the stock trigger: latency, events/s, loss under kills."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime

from bench.fleet import BUNDLES, live, until
from bench.harness import PROJECT
from include.waiting import poll

STOCK = "flight-status-stock"
SEED = int(os.environ.get("BENCH_KAFKA_SEED", "2013"))
KILLS, WITHIN, RATE = int(os.environ.get("BENCH_KAFKA_KILLS", "20")), 60, 4.0
PARTS = ("triggerer", "scheduler", "kafka", "task", "warehouse")
STEADY = 30
# Messages at once. One message a run is a matter of runs a second, so fewer say the same.
BURSTS = {"event": 1000, "sensor": 1000, "webhook": 40, "webhook in batches": 1000, "stock": 40}
BATCH, WAIT = 100, 500  # messages and milliseconds of the relay's batches


def kafka() -> dict:
    """Measure each way on one live stack: what comes in, what has an effect, how soon."""
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
        result: dict = {"latency_s": {way: _latency(airflow, settings, opts, topics, way) for way in topics}}
        result["events_per_s"] = {way: _burst(airflow, settings, opts, topics, way) for way in BURSTS}
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
    """Return (partition, offset) -> when it was handled, seconds since 1970."""
    return {(partition, offset): at / 1000 for partition, offset, at, _ in _inbox(settings, topic)}


def _inbox(settings, topic: str) -> list:
    """Return of each message that was handled: partition, offset, when (milliseconds since 1970), and by which run."""
    return _query(
        settings,
        "SELECT partition, offset, toUnixTimestamp64Milli(handled_at), run_id FROM warehouse.flight_status_inbox FINAL "
        f"WHERE topic = '{topic}'",
    )


def _sent(opts: dict, topic: str) -> dict:
    """Return (partition, offset) -> when it was sent."""
    from include.flight_status import broker

    batches = broker.read_batches(opts, broker.slices_to_read(broker.find_topic(opts, topic), {}))
    return {(each.partition(), each.offset()): each.timestamp()[1] / 1000 for batch in batches for each in batch}


def _delays(settings, opts: dict, topic: str, known: set, patience: float) -> tuple[list[float], int, float]:
    """Return seconds to the effect of what was sent beyond `known`, how many have none in time, and events a second."""
    for _ in poll(patience, 2):
        sent, done = _sent(opts, topic), _effects(settings, topic)
        new = sent.keys() - known
        if new <= done.keys():
            break
    had = new & done.keys()
    span = max((done[each] for each in had), default=math.inf) - min(sent[each] for each in new)
    return sorted(done[each] - sent[each] for each in had), len(new - had), len(had) / span


@contextmanager
def _alone(airflow, way: str) -> Iterator[None]:
    """Pause the DAGs of the other ways meanwhile, so that each way is measured with the machine to itself."""
    from answers.operate import audit

    dags = {each: dag_id for each, (dag_id, _) in audit.DAGS.items()} | {"stock": "kafka_stock"}
    others = [dag_id for each, dag_id in dags.items() if each != way]
    # The sensor's run never ends. The others' do, but not while their DAG is paused.
    ending = [dag_id for dag_id in others if dag_id != dags["sensor"]]
    until(lambda: not any(airflow.runs(dag_id, state=["running", "queued"]) for dag_id in ending))
    for dag_id in others:
        airflow.pause(dag_id)
    try:
        yield
    finally:
        for dag_id in others:
            airflow.unpause(dag_id)


def _wake(settings, opts: dict, topic: str) -> None:
    """Send one message and wait a minute for its effect: the stock trigger may lose it.

    A DAG's watcher begins some time after the DAG was unpaused, which is not to be measured.
    """
    before = len(_effects(settings, topic))
    _send(opts, topic, 1)
    for _ in poll(60):
        if len(_effects(settings, topic)) > before:
            return


def _latency(airflow, settings, opts: dict, topics: dict, way: str) -> dict:
    """Send one message every two seconds; the warehouse is asked after the last one only."""
    topic = topics[way]
    with _alone(airflow, way):
        _wake(settings, opts, topic)
        known = set(_sent(opts, topic))
        _send(opts, topic, STEADY, 0.5)
        delays, without, _ = _delays(settings, opts, topic, known, 20)
    found: dict = {"messages": STEADY, "without_effect_after_20_s": without}
    if delays:
        found |= {"p50": _share(delays, 0.5), "p95": _share(delays, 0.95)}
        found["made_of"] = _stages(airflow, settings, opts, topic, known)
    print(f"latency, {way}: {found}", flush=True)
    return found


def _share(values: list[float], share: float) -> float:
    return round(sorted(values)[int(share * (len(values) - 1))], 1)


STAGES = ("run made", "run begun", "task queued", "task begun", "handled")


def _stages(airflow, settings, opts: dict, topic: str, known: set) -> dict:
    """Return what the delays are made of: stage -> p50 and p95 of the seconds from the stage before, or from the message."""
    sent, runs = _sent(opts, topic), {}
    spent: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for partition, offset, handled, name in _inbox(settings, topic):
        if (partition, offset) in known:
            continue
        if name not in runs:
            dag_id, _, run_id = name.partition("/")
            run, tasks = airflow.run_record(dag_id, run_id), airflow.task_instances(dag_id, run_id)
            task = max(tasks, key=lambda each: each["start_date"] or "")
            stamps = (run["queued_at"], run["start_date"], task["queued_when"], task["start_date"])
            runs[name] = [datetime.fromisoformat(stamp).timestamp() for stamp in stamps]
        at = sent[partition, offset]
        for stage, stamp in zip(STAGES, (*runs[name], handled / 1000), strict=True):
            spent[stage].append(max(stamp - at, 0))
            at = max(stamp, at)
    return {stage: {"p50": _share(each, 0.5), "p95": _share(each, 0.95)} for stage, each in spent.items()}


def _burst(airflow, settings, opts: dict, topics: dict, way: str) -> dict:
    """Send messages as fast as they go, then none."""
    name = way.removesuffix(" in batches")
    topic, count = topics[name], BURSTS[way]
    with _alone(airflow, name), _relay_in_batches(settings) if name != way else nullcontext():
        _wake(settings, opts, topic)
        known = set(_sent(opts, topic))
        _send(opts, topic, count)
        _, without, speed = _delays(settings, opts, topic, known, 60)
    found = {"messages": count, "events_per_s": round(speed, 1), "without_effect_after_60_s": without}
    print(f"burst, {way}: {found}", flush=True)
    return found


@contextmanager
def _relay_in_batches(settings) -> Iterator[None]:
    """Put a relay that makes batches in the place of the stack's own."""
    from answers.stack import kafka as stack

    stack.stop(settings, "kafka-relay")
    command = [PROJECT / ".venv/bin/answers", "kafka", "relay", "--batch", str(BATCH), "--wait", str(WAIT)]
    relay = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        relay.send_signal(signal.SIGINT)
        relay.wait(60)
        stack.start(settings, "kafka-relay")


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
