"""Question 5's triggers on a real broker: when they commit, and what the stock one does instead."""

import asyncio
import threading

import pytest

from answers.operate import kafka_events, kills
from include.flight_status import broker
from support import wait_for

TOPIC = broker.WAYS["event"]
GROUP = "answers-event"


def committed(kafka, group: str = GROUP, topic: str = TOPIC) -> int:
    return sum(broker.committed_offsets(kafka.options, topic, group).values())


async def announced(producer, count: int) -> list:
    """(event, payload) of the producer, until `count` messages are in them."""
    found, seen = [], 0
    async for event, payload in producer.open_stream():
        found.append((event, payload))
        seen += event["last"] - event["first"] + 1
        if seen >= count:
            break
    return found


def acked(payload):
    from airflow.triggers.shared_stream import AdvanceItem, AdvanceOutcome

    return AdvanceItem(broker_payload=payload, outcome=AdvanceOutcome(acked=1, rejected=0, failed=0))


def new_producer():
    from plugins.triggers.kafka_events import KafkaEventsTrigger

    trigger = KafkaEventsTrigger(topics=[TOPIC], group=GROUP)
    return type(trigger).create_shared_stream_producer(trigger.serialize()[1])


@pytest.mark.claim("5.1")
def test_arrivals_are_announced_by_partition_and_committed_only_once_they_are_stored(kafka):
    kafka_events.produce_all(kafka.options, TOPIC, kafka_events.make_events(30, "t"))

    async def scenario() -> None:
        producer = new_producer()
        events = await asyncio.wait_for(announced(producer, 30), 30)
        assert committed(kafka) == 0, "announced, but nobody has stored it yet"
        for _, payload in events:
            await producer.advance([acked(payload)])
        await producer.aclose()
        places = {(event["partition"], n) for event, _ in events for n in range(event["first"], event["last"] + 1)}
        bounds = broker.find_topic(kafka.options, TOPIC).bounds
        assert places == {(part, offset) for part, (_, high) in bounds.items() for offset in range(high)}
        assert len(events) < 30, "not an event a message"

    asyncio.run(scenario())
    assert committed(kafka) == 30


@pytest.mark.claim("5.1")
def test_what_a_killed_triggerer_had_announced_is_announced_again(kafka):
    kafka_events.produce_all(kafka.options, TOPIC, kafka_events.make_events(12, "t"))

    async def scenario() -> int:
        producer = new_producer()
        events = await asyncio.wait_for(announced(producer, 12), 30)
        await producer.aclose()
        return sum(event["last"] - event["first"] + 1 for event, _ in events)

    assert asyncio.run(scenario()) == 12
    assert asyncio.run(scenario()) == 12


@pytest.mark.claim("5.1")
def test_watching_outlives_a_missing_topic_and_a_broker_that_is_killed(kafka, kafka_broker):
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": kafka.options["bootstrap.servers"]})
    admin.delete_topics([TOPIC])[TOPIC].result()

    async def scenario() -> None:
        producer = new_producer()
        task = asyncio.create_task(announced(producer, 5))
        await asyncio.sleep(2)  # it meets the missing topic
        assert not task.done()
        kafka_broker.kill()
        await asyncio.to_thread(kafka_broker.start)
        await asyncio.to_thread(broker.create_topics, kafka.options)
        await asyncio.to_thread(kafka_events.produce_all, kafka.options, TOPIC, kafka_events.make_events(5, "late"))
        assert await asyncio.wait_for(task, 60)
        await producer.aclose()

    asyncio.run(scenario())


def test_the_trigger_finds_itself_again_from_what_is_stored():
    from plugins.triggers.kafka_events import KafkaEventsTrigger

    trigger = KafkaEventsTrigger(topics=["b", "a"], group="g", poll_timeout=2)
    path, arguments = trigger.serialize()
    assert path == "plugins.triggers.kafka_events.KafkaEventsTrigger"
    same = KafkaEventsTrigger(**arguments)
    assert same.serialize() == trigger.serialize()
    assert same.shared_stream_key() == trigger.shared_stream_key()
    assert KafkaEventsTrigger(topics=["a", "b"], group="other").shared_stream_key() != trigger.shared_stream_key()


@pytest.mark.parametrize(("commit", "wanted"), [(True, 1), (False, 0)], ids=["stock", "commit_offset=False"])
def test_the_trap_the_stock_trigger_commits_before_anybody_has_the_event(kafka, commit, wanted):
    """A triggerer that is killed between the two has lost the message. q05_kafka_sensor commits after processing."""
    from airflow.providers.apache.kafka.triggers.await_message import AwaitMessageTrigger

    topic = broker.WAYS["sensor"]
    kafka_events.produce_all(kafka.options, topic, kafka_events.make_events(1, "stock"))

    async def first_event() -> None:
        trigger = AwaitMessageTrigger(topics=[topic], commit_offset=commit)
        events = trigger.run()
        await asyncio.wait_for(anext(events), 30)
        assert committed(kafka, "answers", topic) == wanted  # before the event has left the trigger's process
        await events.aclose()
        await trigger.cleanup()

    asyncio.run(first_event())


def members(kafka, group: str) -> int:
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": kafka.options["bootstrap.servers"]})
    return len(admin.describe_consumer_groups([group])[group].result().members)


@pytest.mark.claim("5.1")
def test_a_trigger_that_is_cancelled_while_it_ends_leaves_its_group(kafka):
    """Leave no consumer behind. It would be a member for minutes, and the commit of the run that it started refused as long."""
    from airflow.providers.apache.kafka.triggers.await_message import sync_to_async

    from plugins.triggers.kafka_messages import KafkaMessageTrigger

    topic = broker.WAYS["sensor"]
    kafka_events.produce_all(kafka.options, topic, kafka_events.make_events(1, "cancelled"))
    kept = []  # else Python's collector might close the consumer that was forgotten

    async def scenario() -> None:
        trigger = KafkaMessageTrigger(topics=[topic], commit_offset=False)
        events = trigger.run()
        await asyncio.wait_for(anext(events), 30)
        kept.append(trigger._consumer)
        assert members(kafka, "answers") == 1
        # Another trigger is using the thread that all of them share.
        busy, in_use = threading.Event(), threading.Event()
        other = asyncio.create_task(sync_to_async(lambda: (in_use.set(), busy.wait(30)))())
        await asyncio.to_thread(in_use.wait, 30)
        ending = asyncio.create_task(trigger.cleanup())
        await asyncio.sleep(0)  # it has begun, and waits for the thread
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
        busy.set()
        await other
        await asyncio.to_thread(wait_for, "the group to be empty", lambda: members(kafka, "answers") == 0, 30)

    asyncio.run(scenario())


def test_the_sensor_waits_with_this_trigger():
    from airflow.sdk.exceptions import TaskDeferred

    from plugins.sensors.kafka_messages import KafkaMessageSensor

    sensor = KafkaMessageSensor(
        task_id="wait", topics=["t"], apply_function="a.b", commit_offset=False, poll_interval=1
    )
    with pytest.raises(TaskDeferred) as deferral:
        sensor.execute({})
    path, arguments = deferral.value.trigger.serialize()
    assert path == "plugins.triggers.kafka_messages.KafkaMessageTrigger"
    assert (arguments["topics"], arguments["apply_function"], arguments["commit_offset"]) == (["t"], "a.b", False)


@pytest.mark.claim("5.4")
def test_the_schedule_of_kills_can_be_repeated_and_spares_no_part():
    plan = kills.make_schedule(7, 20, 60)
    assert plan == kills.make_schedule(7, 20, 60)
    assert plan != kills.make_schedule(8, 20, 60)
    assert len(plan) == 20
    assert [each.at for each in plan] == sorted(each.at for each in plan)
    assert 0 <= plan[0].at <= plan[-1].at <= 60
    assert {each.part for each in plan[: len(kills.PARTS)]} == set(kills.PARTS)


def test_a_partition_without_a_leader_is_waited_for(kafka, monkeypatch):
    """A topic was just made, or its broker has just come back: the client says "not leader" for a moment."""
    from confluent_kafka import Consumer, KafkaError, KafkaException

    refused = [KafkaException(KafkaError(code)) for code in broker.LEADERLESS]

    class Early(Consumer):
        def get_watermark_offsets(self, *arguments, **options):
            if refused:
                raise refused.pop()
            return super().get_watermark_offsets(*arguments, **options)

    monkeypatch.setattr(broker, "Consumer", Early)
    assert len(broker.find_topic(kafka.options, broker.WAYS["event"]).bounds) == broker.PARTITIONS
    assert refused == []
