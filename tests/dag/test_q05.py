"""Question 5's DAGs, whole runs of them on a real broker, and the trap of asset events that strand."""

from datetime import UTC, datetime, timedelta

import pytest

from answers.operate import audit, kafka_events
from include.flight_status import broker, process
from support import loose_session, open_warehouse

FILE = "q05_kafka_events"
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def run(dag_of, kafka, warehouse):
    """Run a DAG of the file with dag.test(); returns (state, {task: (state, XCom)}). The warehouse is closed meanwhile."""
    warehouse.close()  # the tasks open it
    counter = iter(range(100))

    def run_way(way: str, conf: dict | None = None):
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session

        dag = dag_of(FILE, audit.DAGS[way][0])
        for task in dag.tasks:
            task.retries = 0
        result = dag.test(logical_date=NOW + timedelta(hours=next(counter)), run_conf=conf)
        with create_session() as session:
            from airflow.models import DagRun

            found = session.get(DagRun, result.id)
            states = {each.task_id: str(each.state) for each in found.task_instances}
            query = XComModel.get_many(run_id=found.run_id, key="return_value", dag_ids=dag.dag_id)
            values = {each.task_id: XComModel.deserialize_value(each) for each in session.scalars(query)}
        return str(result.state), {task: (state, values.get(task)) for task, state in states.items()}

    return run_way


def account(kafka, way: str) -> audit.TopicAccount:
    with open_warehouse() as client:
        return audit.audit(kafka.options, client, ways=[way])[0]


def everything(kafka, way: str) -> dict:
    """The offsets of a topic as XCom has them, from the broker."""
    bounds = broker.find_topic(kafka.options, broker.WAYS[way]).bounds
    return {f"{broker.WAYS[way]}-{part}": [[0, high - 1]] for part, (_, high) in bounds.items() if high}


@pytest.mark.claim("5.1")
def test_the_ways_are_wired_to_lose_nothing(dag_of):
    from plugins.triggers.kafka_events import KafkaEventsTrigger

    dags = {way: dag_of(FILE, dag_id) for way, (dag_id, _) in audit.DAGS.items()}
    (asset,) = dags["event"].timetable.asset_condition.objects
    (watcher,) = asset.watchers
    assert isinstance(watcher.trigger, KafkaEventsTrigger)
    assert watcher.trigger.topics == [broker.WAYS["event"]]
    assert watcher.trigger.group == broker.GROUPS["event"]
    assert dags["event"].max_active_runs == 1, "two would read the same backlog"
    sensor = dags["sensor"].get_task("wait_for_message")
    assert sensor.commit_offset is False
    assert sensor.topics == [broker.WAYS["sensor"]]
    for dag in dags.values():
        assert dag.is_paused_upon_creation, "without a broker they would only fail"
        assert all(task.pool == "warehouse" for task in dag.tasks if task.task_id.startswith("process"))


@pytest.mark.claim("5.1")
@pytest.mark.claim("5.3")
def test_a_run_reads_to_the_end_of_the_topic_whatever_its_events_announce(run, kafka):
    """Here it has no events at all, as when they stranded; the next run finds nothing left to do."""
    kafka_events.produce_all(kafka.options, broker.WAYS["event"], kafka_events.make_events(25, "dag"))
    state, tasks = run("event")
    assert state == "success"
    returned = tasks["process_backlog"][1]
    assert (returned["applied"], returned["announced"]) == (25, [])
    assert returned["offsets"] == everything(kafka, "event")
    assert run("event")[1]["process_backlog"][1]["offsets"] == {}
    assert account(kafka, "event").clean


@pytest.mark.claim("5.1")
def test_every_triggering_event_is_looked_at():
    from types import SimpleNamespace

    from plugins.kafka import announced_slices

    payloads = [{"topic": "t", "partition": 0, "first": n, "last": n} for n in range(3)]
    events = [SimpleNamespace(extra={"from_trigger": True, "payload": each}) for each in payloads]
    assert announced_slices({"asset": events[:2], "other": events[2:]}) == payloads
    assert announced_slices({"asset": [SimpleNamespace(extra={}), SimpleNamespace(extra=None)]}) == [], (
        "made by hand, in the UI"
    )


@pytest.mark.claim("5.1")
@pytest.mark.claim("5.3")
def test_the_sensor_wakes_a_run_that_processes_then_commits_and_tells_its_offsets(run, kafka):
    kafka_events.produce_all(kafka.options, broker.WAYS["sensor"], kafka_events.make_events(10, "dag"))
    state, tasks = run("sensor")
    assert state == "success"
    assert tasks["wait_for_message"][1]["topic"] == broker.WAYS["sensor"]
    assert tasks["process_uncommitted"][1]["offsets"] == everything(kafka, "sensor")
    assert sum(broker.committed_offsets(kafka.options, broker.WAYS["sensor"], "answers").values()) == 10
    assert account(kafka, "sensor").clean


@pytest.mark.claim("5.3")
def test_processing_that_fails_commits_nothing_and_the_next_run_does_it(run, kafka, monkeypatch):
    kafka_events.produce_all(kafka.options, broker.WAYS["sensor"], kafka_events.make_events(4, "dag"))

    def broken(*_):
        raise RuntimeError("the warehouse is full")

    with monkeypatch.context() as patch:
        patch.setattr(process, "_row", broken)
        assert run("sensor")[0] == "failed"
    assert broker.committed_offsets(kafka.options, broker.WAYS["sensor"], "answers") == {}
    assert account(kafka, "sensor").lag == 4
    assert run("sensor")[1]["process_uncommitted"][1]["applied"] == 4
    assert account(kafka, "sensor").clean


@pytest.mark.claim("5.4")
def test_the_reset_of_a_consumer_group_doubles_nothing(run, kafka):
    topic = broker.WAYS["sensor"]
    kafka_events.produce_all(kafka.options, topic, kafka_events.make_events(8, "dag"))
    run("sensor")
    bounds = broker.find_topic(kafka.options, topic).bounds
    broker.commit_offsets(kafka.options, "answers", [broker.Slice(topic, part, 0, 0) for part in bounds])
    assert run("sensor")[1]["process_uncommitted"][1]["applied"] == 0
    found = account(kafka, "sensor")
    assert found.clean
    assert (found.messages, found.applied, found.repeated) == (8, 8, 0)


@pytest.mark.claim("5.2")
def test_a_webhooks_run_handles_the_message_that_it_points_at_and_no_other(run, kafka):
    topic = broker.WAYS["webhook"]
    kafka_events.produce_all(kafka.options, topic, [(b"k", value) for _, value in kafka_events.make_events(3, "dag")])
    now = broker.find_topic(kafka.options, topic)
    ((part, _),) = [(part, high) for part, (_, high) in now.bounds.items() if high]
    place = {"topic": topic, "topic_id": now.id, "partition": part, "offset": 1}
    state, tasks = run("webhook", place)
    assert state == "success"
    assert tasks["process_message"][1]["offsets"] == {f"{topic}-{part}": [[1, 1]]}
    assert run("webhook", place)[1]["process_message"][1]["applied"] == 0
    batch = run("webhook", place | {"last": 2})[1]["process_message"][1]
    assert batch["offsets"] == {f"{topic}-{part}": [[2, 2]]}, "of a batch what no other run has handled"
    assert run("webhook", place | {"topic_id": "of a topic that was deleted"})[0] == "failed"
    assert run("webhook", {})[0] == "failed"


def test_the_trap_a_queued_event_keeps_the_instant_of_the_first_so_the_later_ones_strand(metadata_database, dag_of):
    """Airflow 3.3.2: a run takes the events up to `created_at` of the queue's row, which later events do not move.

    What came while the row waited belongs to no run until yet another event comes. q05_kafka_event does not depend on it.
    """
    from airflow.assets.manager import AssetManager
    from airflow.models.asset import AssetDagRunQueue, AssetModel
    from airflow.models.dag import DagModel
    from sqlalchemy import select

    with loose_session() as session:
        asset = AssetModel(name="strand", uri="kafka://strand/t", group="asset")
        session.add(asset)
        session.flush()
        target = DagModel(dag_id="stranded", bundle_name="dags-folder")
        queued = []
        for _ in range(2):
            AssetManager._queue_dagruns_nonpartitioned_slow_path(asset.id, {target}, session)
            session.flush()
            session.expire_all()
            row = session.scalars(select(AssetDagRunQueue).where(AssetDagRunQueue.asset_id == asset.id)).one()
            queued.append(row.created_at)
        assert queued[0] == queued[1]
