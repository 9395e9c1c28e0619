"""Question 5 on a live stack: three ways from a message to its effect, while the parts are killed.

The long version, `make soak`, sets SOAK_MESSAGES, SOAK_RATE, SOAK_KILLS and SOAK_SEED.
"""

import json
import os
import threading
import time
import uuid

import pytest

from answers.operate import kafka_events, kills
from answers.operate.audit import DAGS
from answers.stack.client import Airflow
from include.flight_status import broker
from support import wait_for

MESSAGES = int(os.environ.get("SOAK_MESSAGES", "120"))
RATE = float(os.environ.get("SOAK_RATE", "5"))
KILLS = int(os.environ.get("SOAK_KILLS", "6"))
SEED = int(os.environ.get("SOAK_SEED", "2013"))
LONG = "SOAK_MESSAGES" in os.environ
# One run a message is the slow way: a run takes about a second of two cores.
SHARE = {"event": 1.0, "sensor": 1.0, "webhook": 0.1}


@pytest.fixture(scope="module")
def kafka(stack):
    """The stack with its broker, relay and DAGs running; gives the client's options."""
    stack.answers("kafka", "up")
    yield json.loads(stack.settings.connections()["AIRFLOW_CONN_KAFKA_DEFAULT"])["extra"]
    stack.answers("kafka", "down")


def audit(stack) -> dict:
    """Return the accounts by way."""
    done = stack.answers("kafka", "audit", "--json", check=False)
    assert done.stdout, done.stderr
    return {each["way"]: each for each in json.loads(done.stdout)}


def settled(stack):
    """Return the accounts, once nothing waits any more. What is lost and doubled is for the test to say."""
    accounts: list[dict] = []

    def look():
        done = stack.answers("kafka", "audit", "--json", check=False)
        accounts[:] = json.loads(done.stdout) if done.stdout else []  # no answer while the broker is away
        return accounts and not any(each["lag"] or each["untracked"] for each in accounts)

    def seen():
        """Tell which runs have not succeeded, and what their tasks said last."""
        return "\n".join([str(accounts), *unsuccessful(stack.airflow)])

    wait_for("the backlog to empty", look, 420 if LONG else 150, pause=1, seen=seen)
    return {each["way"]: each for each in accounts}


def unsuccessful(airflow: Airflow):
    """Yield of each task of a run that failed or is unfinished: its state, its tries, and the end of its logs."""
    for dag_id, _ in DAGS.values():
        for run in airflow.runs(dag_id, state=["failed", "queued", "running"]):
            run_id = run["dag_run_id"]
            for task in airflow.task_instances(dag_id, run_id):
                state, tries = task["state"], task["try_number"]
                yield f"{dag_id} {run_id} {run['state']}: {task['task_id']} {state}, try {tries}"
                if state in ("running", "failed", "up_for_retry", "queued"):
                    for number in range(max(tries - 1, 1), tries + 1):
                        yield airflow.log(dag_id, run_id, task["task_id"], number)[-1500:]


def effects(stack, way: str) -> list[str]:
    topic = broker.WAYS[way]
    return [
        row["event_id"] for row in stack.sql(f"SELECT event_id FROM warehouse.flight_status WHERE topic = '{topic}'")
    ]


@pytest.mark.timeout(2400 if LONG else 400)
@pytest.mark.claim("5.4")
def test_under_sigkill_every_message_has_its_effect_once(stack, kafka):
    """Then silence: nothing else is sent that could wake what is left, and the backlog must be empty all the same."""
    batch = uuid.uuid4().hex
    sent: dict[str, list] = {way: [] for way in SHARE}
    before = {way: each["applied"] - each["repeated"] for way, each in audit(stack).items()}
    problems, killing = [], threading.Event()
    killing.set()

    def messages(way: str):
        """As many as are asked for, and then a few a second while parts are still being killed."""
        for number, message in enumerate(kafka_events.make_events(50_000, batch)):
            if number >= MESSAGES * SHARE[way]:
                if not killing.is_set():
                    return
                time.sleep(0.5 / SHARE[way])
            sent[way].append(message)
            yield message

    def send(way: str) -> None:
        try:
            kafka_events.produce_all(kafka, broker.WAYS[way], messages(way), RATE * SHARE[way])
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=send, args=(way,)) for way in sent]
    for thread in threads:
        thread.start()
    plan = kills.make_schedule(SEED, KILLS, MESSAGES / RATE, kills.PARTS if LONG else kills.PARTS_MISSED_AT_ONCE)
    try:
        done = list(kills.carry_out(stack.settings, plan, SEED))
    finally:
        killing.clear()
    for thread in threads:
        thread.join()
    assert not problems, "what the producer was told is lost does not count"
    assert len(done) == KILLS
    silence = time.monotonic()
    accounts = settled(stack)
    total, took = sum(map(len, sent.values())), time.monotonic() - silence
    print(f"{total} messages, {len(done)} kills; the backlog was empty {took:.0f} s after the last message")
    for way, given in sent.items():
        assert len(given) >= MESSAGES * SHARE[way]
        assert accounts[way]["lost"] == []
        assert accounts[way]["doubled"] == 0
        got = effects(stack, way)
        assert len(got) == before[way] + len(given)
        wanted = {json.loads(value)["event_id"] for _, value in given}
        assert len(wanted) == len(given)
        assert wanted <= set(got)
        assert len(got) == len(set(got))


@pytest.mark.claim("5.2")
@pytest.mark.claim("5.5")
def test_a_topic_that_is_delivered_again_starts_no_run_and_poison_has_its_reason(stack, kafka):
    topic = broker.WAYS["webhook"]
    poison = [(b"p", b"\xff\xfe"), (b"p", None)]
    fine = list(kafka_events.make_events(2, uuid.uuid4().hex))
    kafka_events.produce_all(kafka, topic, [*poison, *fine])
    airflow: Airflow = stack.airflow
    lost = settled(stack)["webhook"]["lost"]
    assert lost == [], [airflow.run_record("q05_kafka_webhook", f"kafka__{place}") for place in lost]
    before = len(airflow.runs("q05_kafka_webhook"))
    places = {f"{topic}-{each}" for each in _places(kafka, topic)}
    assert before == len(places)
    letters = json.loads(stack.answers("kafka", "dead-letters", "--json").stdout)
    reasons = [each["reason"] for each in letters if each["source"] in places]
    assert sorted(reasons)[-2:] == ["no value (a tombstone)", "not UTF-8: byte 0xff at 0"]
    # The group forgets what it has done: everything comes again.
    from answers.stack.kafka import start, stop

    stop(stack.settings, "kafka-relay")
    now = broker.find_topic(kafka, topic)
    broker.commit_offsets(kafka, broker.GROUPS["webhook"], [broker.Slice(topic, part, 0, 0) for part in now.bounds])
    start(stack.settings, "kafka-relay")
    ends = {part: high for part, (_, high) in now.bounds.items() if high}
    wait_for(
        "all to be relayed again",
        lambda: ends.items() <= broker.committed_offsets(kafka, topic, "answers-relay").items(),
    )
    assert len(airflow.runs("q05_kafka_webhook")) == before
    log = (stack.home / "logs" / "kafka-relay.log").read_text()
    assert log.count(": known") >= before, "each of them was answered 409"


def _places(kafka, topic: str) -> list[str]:
    bounds = broker.find_topic(kafka, topic).bounds
    return [f"{part}-{offset}" for part, (_, high) in bounds.items() for offset in range(high)]
