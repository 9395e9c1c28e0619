"""Question 5 against a real broker and the embedded warehouse: one processing function, the audit, the dead letters."""

import json
import threading
import time

import pytest

from answers.operate import audit, dead_letters, kafka_events
from answers.stack.connections import kafka_options
from include.flight_status import broker, process
from include.flight_status.events import LARGEST_EVENT, parse_event
from support.kafka_broker import event

TOPIC = broker.WAYS["event"]


def send(kafka, *messages, topic: str = TOPIC) -> None:
    kafka_events.produce_all(
        kafka.options, topic, [each if isinstance(each, tuple) else (b"k", each) for each in messages]
    )


def handle(kafka, client, run: str = "d/r", topic: str = TOPIC) -> dict:
    """Return what the event-driven DAG does: from the inbox's position to the end."""
    now = broker.find_topic(kafka.options, topic)
    return process.process_slices(
        kafka.options, client, broker.slices_to_read(now, process.next_offsets(client, now)), run
    )


def handle_again(kafka, client, run: str = "d/again") -> dict:
    """Everything once more, as after the reset of a consumer group."""
    return process.process_slices(
        kafka.options, client, broker.slices_to_read(broker.find_topic(kafka.options, TOPIC), {}), run
    )


def rows(client, query: str) -> list:
    return client.query(query).result_rows


def account(kafka, client, way: str = "event") -> audit.TopicAccount:
    (found,) = audit.audit(kafka.options, client, ways=[way])
    return found


# -- the event


# -- one processing function


@pytest.mark.claim("5.4")
def test_each_event_has_one_effect_however_often_it_is_handled(kafka, warehouse):
    sent = list(kafka_events.make_events(60, "once"))
    send(kafka, *sent)
    first = handle(kafka, warehouse)
    assert first["applied"] == 60
    assert handle(kafka, warehouse, "d/next")["applied"] == 0
    assert handle_again(kafka, warehouse)["applied"] == 0
    got = [event_id for (event_id,) in rows(warehouse, "SELECT event_id FROM warehouse.flight_status")]
    assert sorted(got) == sorted(json.loads(value)["event_id"] for _, value in sent)
    assert account(kafka, warehouse).clean


@pytest.mark.claim("5.4")
def test_an_event_that_is_sent_twice_has_one_effect_and_the_last_status_is_by_the_events_clock(kafka, warehouse):
    """The second and third are the same event; the fourth came late, and is older."""
    send(
        kafka,
        event(event_id="a", status="boarding", at="2013-06-13T09:00:00Z"),
        event(event_id="b", status="departed", at="2013-06-13T09:15:00Z"),
        event(event_id="b", status="departed", at="2013-06-13T09:15:00Z"),
        event(event_id="c", status="scheduled", at="2013-06-12T00:00:00Z"),
    )
    handle(kafka, warehouse)
    assert rows(warehouse, "SELECT count(), uniqExact(event_id) FROM warehouse.flight_status") == [(3, 3)]
    assert rows(warehouse, "SELECT status FROM warehouse.flight_status_now") == [("departed",)]
    found = account(kafka, warehouse)
    assert (found.messages, found.applied, found.repeated, found.doubled) == (4, 4, 1, 0)


@pytest.mark.claim("5.4")
def test_two_runs_that_handle_the_same_messages_at_once_have_one_effect(kafka, warehouse, monkeypatch):
    """As when a task is started again while its first try still runs: neither knows of the other's rows."""
    send(kafka, *kafka_events.make_events(20, "race"))
    monkeypatch.setattr(process, "handled_places", lambda *_: set())
    handle_again(kafka, warehouse, "d/one")
    handle_again(kafka, warehouse, "d/two")
    assert rows(warehouse, f"SELECT count() FROM {process.INBOX} FINAL") == [(20,)]
    assert rows(warehouse, "SELECT count() FROM warehouse.flight_status") == [(20,)]
    assert account(kafka, warehouse).clean


class Killed(BaseException):
    """Holds what a SIGKILL does to this function's progress."""


class DiesOnInsert:
    """Stands for a client of the warehouse that lets the task die when it is to write."""

    def __init__(self, client) -> None:
        self.client = client

    def __getattr__(self, name: str):
        return getattr(self.client, name)

    def insert(self, *args, **kwargs):
        raise Killed


@pytest.mark.claim("5.5")
def test_a_run_killed_between_dead_letter_and_note_sends_it_again_and_never_forgets_it(kafka, warehouse):
    send(kafka, b"\xff", event())
    with pytest.raises(Killed):
        handle(kafka, DiesOnInsert(warehouse))
    assert account(kafka, warehouse).lag == 2
    done = handle(kafka, warehouse)
    assert (done["applied"], done["dead"]) == (1, 1)
    letters = list(dead_letters.read_dead_letters(kafka.options))
    assert len(letters) == 2
    assert letters[0].source == letters[1].source
    assert letters[0].source.startswith(f"{TOPIC}-")
    assert account(kafka, warehouse).clean


@pytest.mark.claim("5.3")
def test_a_retry_reports_the_offsets_of_its_first_try_too(kafka, warehouse):
    """XCom says what the run has handled. The first try died after writing, before it could return anything."""
    send(kafka, *[(b"k", value) for _, value in kafka_events.make_events(5, "x")])
    handle(kafka, warehouse, "d/r")
    send(kafka, *[(b"k", value) for _, value in kafka_events.make_events(2, "y")])
    done = handle(kafka, warehouse, "d/r")
    ((place, ranges),) = done["offsets"].items()
    assert place.startswith(TOPIC)
    assert ranges == [[0, 6]]
    assert done["applied"] == 7


# -- the broker's adversities


@pytest.mark.claim("5.4")
def test_a_broker_that_is_killed_in_the_middle_loses_nothing(kafka, warehouse):
    """Half of the messages are sent before, half while it is away; the producer and the reader wait for it."""
    messages = list(kafka_events.make_events(100, "restart"))
    send(kafka, *messages[:50])
    kafka.kill()
    back = threading.Timer(1.0, kafka.start)
    back.start()
    send(kafka, *messages[50:])
    back.join()
    assert handle(kafka, warehouse)["applied"] == 100
    assert account(kafka, warehouse).clean


@pytest.mark.claim("5.4")
def test_a_topic_that_is_deleted_and_made_again_begins_anew(kafka, warehouse):
    """Its offsets are those that were there before; its messages are others."""
    send(kafka, *[(b"k", value) for _, value in kafka_events.make_events(10, "old")])
    handle(kafka, warehouse)
    old = broker.find_topic(kafka.options, TOPIC)
    kafka.forget()
    send(kafka, *[(b"k", value) for _, value in kafka_events.make_events(4, "new")])
    now = broker.find_topic(kafka.options, TOPIC)
    assert handle(kafka, warehouse, "d/r2")["applied"] == 4
    assert now.id != old.id
    assert account(kafka, warehouse).clean
    assert rows(warehouse, "SELECT count() FROM warehouse.flight_status") == [(14,)]


def test_a_broker_that_is_away_and_a_topic_that_is_missing_say_what_to_do(kafka, monkeypatch):
    with pytest.raises(broker.TopicMissing, match="answers kafka up"):
        broker.find_topic(kafka.options, "nowhere")
    monkeypatch.setattr(broker, "PATIENCE", 1)
    with pytest.raises(broker.BrokerUnavailable, match="does it run"):
        broker.find_topic(kafka.options | {"bootstrap.servers": "127.0.0.1:1"}, TOPIC)


# -- dead letters


@pytest.mark.claim("5.5")
def test_poison_goes_to_the_dead_letter_topic_as_it_was_and_the_rest_goes_on(kafka, warehouse):
    big = b"x" * (10 << 20)
    send(kafka, (b"a", b"\xff\xfe"), (b"b", None), (b"c", big), *kafka_events.make_events(3, "poison"))
    done = handle(kafka, warehouse)
    assert (done["applied"], done["dead"]) == (3, 3)
    letters = {each.key: each for each in dead_letters.read_dead_letters(kafka.options)}
    assert {key: each.reason for key, each in letters.items()} == {
        b"a": "not UTF-8: byte 0xff at 0",
        b"b": "no value (a tombstone)",
        b"c": f"too large: {10 << 20} bytes, an event has at most {LARGEST_EVENT}",
    }
    assert (letters[b"a"].value, letters[b"b"].value, letters[b"c"].value) == (b"\xff\xfe", None, big)
    assert all(each.topic == TOPIC and each.source.startswith(f"{TOPIC}-") for each in letters.values())
    assert account(kafka, warehouse).clean


@pytest.mark.claim("5.5")
def test_a_replay_sends_each_dead_letter_once_more_and_ends(kafka, warehouse, monkeypatch):
    """Mend what refused it: here a status that the schema did not know."""
    send(kafka, event(status="diverted"), b"\xff")
    handle(kafka, warehouse)
    from include.flight_status import events

    def lenient(value):
        return events.parse_event(value.replace(b"diverted", b"landed"))

    monkeypatch.setattr(process, "parse_event", lenient)
    assert dead_letters.replay_dead_letters(kafka.options) == 2
    done = handle(kafka, warehouse, "d/replayed")
    assert (done["applied"], done["dead"]) == (1, 1)
    assert dead_letters.replay_dead_letters(kafka.options) == 1, (
        "the one that is still no event came back as a new dead letter"
    )
    assert dead_letters.replay_dead_letters(kafka.options) == 0
    assert rows(warehouse, "SELECT status FROM warehouse.flight_status") == [("landed",)]


# -- the audit convicts


@pytest.mark.claim("5.3")
def test_the_audit_tells_waiting_from_lost(kafka, warehouse):
    process.create_tables(warehouse)
    send(kafka, *[(b"k", value) for _, value in kafka_events.make_events(6, "a")])
    assert account(kafka, warehouse).lag == 6
    handle(kafka, warehouse)
    warehouse.command(f"DELETE FROM {process.INBOX} WHERE offset = 2")
    send(kafka, *[(b"k", value) for _, value in kafka_events.make_events(1, "b")])
    found = account(kafka, warehouse)
    assert [place.rpartition("-")[2] for place in found.lost] == ["2"]
    assert (found.lag, found.clean) == (1, False)


@pytest.mark.claim("5.3")
def test_what_a_group_has_committed_without_an_effect_is_lost(kafka, warehouse):
    """Make what the stock trigger's early commit leaves behind."""
    topic = broker.WAYS["sensor"]
    send(kafka, *kafka_events.make_events(9, "s"), topic=topic)
    now = broker.find_topic(kafka.options, topic)
    broker.commit_offsets(kafka.options, broker.GROUPS["sensor"], broker.slices_to_read(now, {}))
    found = account(kafka, warehouse, "sensor")
    assert (len(found.lost), found.lag) == (9, 0)


@pytest.mark.claim("5.3")
def test_what_is_processed_while_the_audit_looks_does_not_seem_lost(kafka, warehouse, monkeypatch):
    """Found on a slow machine, where the instant between two looks is long."""
    process.create_tables(warehouse)
    send(kafka, *kafka_events.make_events(6, "meanwhile"))
    position = audit._consumer_position

    def after_all_is_processed(*arguments):
        handle(kafka, warehouse)
        return position(*arguments)

    monkeypatch.setattr(audit, "_consumer_position", after_all_is_processed)
    found = account(kafka, warehouse)
    assert (found.lost, found.lag, found.applied) == ([], 0, 6)


def test_the_options_are_those_of_a_named_broker_or_of_the_connection(kafka, monkeypatch):
    assert kafka_options() == kafka.options
    monkeypatch.setenv("ANSWERS_KAFKA", "kafka:9092")
    assert kafka_options() == kafka.options | {"bootstrap.servers": "kafka:9092"}
    monkeypatch.delenv("ANSWERS_KAFKA")
    monkeypatch.delenv("AIRFLOW_CONN_KAFKA_DEFAULT")
    with pytest.raises(broker.BrokerUnavailable, match="answers kafka up"):
        kafka_options()


# -- producing


def test_a_rate_is_kept_and_ids_are_those_of_the_batch(kafka):
    began = time.monotonic()
    kafka_events.produce_all(kafka.options, TOPIC, kafka_events.make_events(20, "rate"), rate=40)
    assert time.monotonic() - began > 0.45
    ids = [
        [json.loads(value)["event_id"] for _, value in kafka_events.make_events(3, batch)] for batch in ("a", "a", "b")
    ]
    assert ids[0] == ids[1]
    assert not set(ids[0]) & set(ids[2])
    assert all(parse_event(value) for _, value in kafka_events.make_events(50))
