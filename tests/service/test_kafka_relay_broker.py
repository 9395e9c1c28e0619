"""Relays messages of a real broker, with Airflow's REST API replaced at the transport."""

import pytest

from answers.operate import kafka_events, relay
from answers.stack import health
from include.flight_status import broker
from support import wait_for
from support.health import check
from support.relay_api import Api

TOPIC = broker.WAYS["webhook"]


@pytest.fixture
def api(monkeypatch):
    return Api(monkeypatch)


@pytest.mark.claim("5.2")
def test_messages_are_posted_once_each_with_retries_and_committed_after(api, kafka):
    sent = list(kafka_events.make_events(5, "relay"))
    kafka_events.produce_all(kafka.options, TOPIC, sent)
    api.answers = [503, None, 200, 500]
    assert relay.relay_messages(api.airflow, kafka.options, most=5) == 5
    bounds = broker.find_topic(kafka.options, TOPIC).bounds
    places = {f"kafka__{TOPIC}-{part}-{offset}" for part, (_, high) in bounds.items() for offset in range(high)}
    assert set(api.runs) == places
    assert api.asked == 5 + 3
    ends = {part: high for part, (_, high) in bounds.items() if high}
    assert broker.committed_offsets(kafka.options, TOPIC, broker.GROUPS["webhook"]) == ends


@pytest.mark.claim("5.2")
def test_what_airflow_did_not_take_is_not_committed_and_comes_again(api, kafka, monkeypatch):
    kafka_events.produce_all(kafka.options, TOPIC, [(b"k", b"1"), (b"k", b"2")])
    monkeypatch.setattr(relay, "PATIENCE", 0.01)
    api.answers = [200] + [503] * 1000
    with pytest.raises(relay.RunNotTaken):
        relay.relay_messages(api.airflow, kafka.options, most=2)
    assert sum(broker.committed_offsets(kafka.options, TOPIC, broker.GROUPS["webhook"]).values()) == 1
    api.answers = []
    assert relay.relay_messages(api.airflow, kafka.options, most=1) == 1
    assert len(api.runs) == 2


def batches_of(api) -> list[tuple[int, int, int]]:
    """Return the partition, the first and the last offset of each run."""
    return sorted((conf["partition"], conf["offset"], conf["last"]) for conf in api.runs.values())


@pytest.mark.claim("5.2")
def test_a_batch_that_was_taken_before_a_kill_is_not_taken_again_with_what_has_come_since(api, kafka, monkeypatch):
    in_tens = relay.Batches(10, 5)
    kafka_events.produce_all(kafka.options, TOPIC, [(b"same", b"%d" % number) for number in range(13)])
    with monkeypatch.context() as killed:
        killed.setattr(relay, "_commit", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            relay.relay_messages(api.airflow, kafka.options, most=10, batches=in_tens)
    ((partition, first, last),) = batches_of(api)
    assert last == first + 9
    assert relay.relay_messages(api.airflow, kafka.options, most=3, batches=in_tens) == 3
    assert batches_of(api) == [(partition, first, last), (partition, last + 1, last + 3)]
    assert broker.committed_offsets(kafka.options, TOPIC, broker.GROUPS["webhook"])[partition] == last + 4


def test_a_batch_has_messages_of_one_partition_and_not_more_than_asked_for(api, kafka):
    sent = list(kafka_events.make_events(40, "batches"))
    kafka_events.produce_all(kafka.options, TOPIC, sent)
    assert relay.relay_messages(api.airflow, kafka.options, most=40, batches=relay.Batches(7, 1)) == 40
    bounds = broker.find_topic(kafka.options, TOPIC).bounds
    places = [(part, offset) for part, first, last in batches_of(api) for offset in range(first, last + 1)]
    assert sorted(places) == [
        (part, offset) for part, (low, high) in sorted(bounds.items()) for offset in range(low, high)
    ]
    assert max(last - first for _, first, last in batches_of(api)) < 7


def test_the_relay_is_healthy_as_long_as_it_is_in_its_group(kafka, monkeypatch):
    from confluent_kafka import Consumer

    monkeypatch.setenv("ANSWERS_KAFKA", kafka.options["bootstrap.servers"])
    assert check("kafka-relay", monkeypatch) == "kafka-relay does not report"
    relay = Consumer({**kafka.options, "group.id": health.RELAY_GROUP})
    relay.subscribe([broker.WAYS["webhook"]])
    try:
        wait_for("the relay to join its group", lambda: relay.poll(0.1) or relay.assignment(), 30)
        assert check("kafka-relay", monkeypatch) == ""
    finally:
        relay.close()
    assert check("kafka-relay", monkeypatch) == "kafka-relay does not report"
