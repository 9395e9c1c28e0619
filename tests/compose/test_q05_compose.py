"""Question 5 on the docker compose stack: a Kafka broker, Celery workers and a ClickHouse server; all three ways."""

import json

import pytest

from answers.operate import audit
from include.flight_status import broker
from support import wait_for

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

SENT = {"event": 120, "sensor": 60, "webhook": 8}
POISON = """
from answers.operate import kafka_events
from answers.stack.connections import kafka_options
from include.flight_status import broker
kafka_events.produce_all(kafka_options(), broker.WAYS["event"], [(b"poison", b"\\xff"), (b"poison", None)])
"""


def inside(stack, *command: str) -> str:
    """Return what a command prints that runs in a worker."""
    return stack.run("exec", "-T", "airflow-worker", "python", *command).decode()


def accounts(stack) -> dict:
    code = """
import json
from dataclasses import asdict
from answers.operate import audit
from answers.stack.connections import kafka_options
from include.flight_status import broker
from plugins.warehouse import open_warehouse
with open_warehouse() as client:
    print(json.dumps([asdict(each) for each in audit.audit(kafka_options(), client)]))
"""
    return {each["way"]: each for each in json.loads(inside(stack, "-c", code).splitlines()[-1])}


@pytest.mark.claim("5.1")
@pytest.mark.claim("5.2")
@pytest.mark.claim("5.3")
@pytest.mark.claim("5.5")
def test_all_three_ways_process_every_message_once_and_the_audit_is_clean(stack):
    for dag_id, _ in audit.DAGS.values():
        stack.airflow.find_dag(dag_id, patience=120)
        stack.airflow.unpause(dag_id)
    for way, count in SENT.items():
        inside(stack, "-m", "answers", "kafka", "produce", "--way", way, "--count", str(count), "--batch", "compose")
    inside(stack, "-c", POISON)

    def done():
        found = accounts(stack)
        return not any(each["lag"] for each in found.values()) and found

    found = wait_for("the backlog to empty", done, 240, pause=2)
    for way, count in SENT.items():
        each = found[way]
        dead = 2 if way == "event" else 0
        assert (each["messages"], each["applied"], each["dead"]) == (count + dead, count, dead)
        assert (each["lost"], each["doubled"], each["repeated"]) == ([], 0, 0)
        rows = stack.sql(f"SELECT event_id FROM warehouse.flight_status WHERE topic = '{broker.WAYS[way]}'")
        assert len(rows) == rows["event_id"].nunique() == count

        def all_tracked(way=way, messages=count + dead):
            return len(audit.tracked_places(stack.airflow, way, broker.WAYS[way])) == messages

        wait_for("every offset to be in an XCom", all_tracked, 60)
    runs = stack.airflow.runs("q05_kafka_webhook")
    assert len(runs) == SENT["webhook"]
    assert all(each["dag_run_id"].startswith(f"kafka__{broker.WAYS['webhook']}-") for each in runs)
    letters = json.loads(inside(stack, "-m", "answers", "kafka", "dead-letters", "--json").splitlines()[-1])
    assert sorted(each["reason"] for each in letters) == ["no value (a tombstone)", "not UTF-8: byte 0xff at 0"]
    for dag_id, _ in audit.DAGS.values():
        stack.airflow.pause(dag_id)
