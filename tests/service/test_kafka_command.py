"""`answers kafka` against a real broker: what is sent, accounted for, refused and sent again."""

import json

import pytest
from typer.testing import CliRunner

from answers.cli import app as cli
from answers.operate import kafka_events
from include.flight_status import broker, process
from support import open_warehouse


@pytest.fixture
def answers(kafka, warehouse, monkeypatch):
    """Runs `answers kafka ARGUMENTS` and gives what it prints."""
    monkeypatch.setenv("COLUMNS", "300")
    process.create_tables(warehouse)
    warehouse.close()  # the command opens it

    def run(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(cli.app, ["kafka", *arguments])
        assert done.exit_code == code, f"{done.output}\n{done.exception!r}"
        return done.output

    return run


@pytest.mark.claim("5.3")
def test_what_was_produced_is_on_the_topic_and_waits(answers, kafka):
    assert "7 messages in " in answers("produce", "--way", "sensor", "--count", "7", "--rate", "100")
    bounds = broker.find_topic(kafka.options, broker.WAYS["sensor"]).bounds
    assert sum(high for _, high in bounds.values()) == 7
    accounts = {each["way"]: each for each in json.loads(answers("audit", "--no-xcom", "--json", code=1))}
    assert (accounts["sensor"]["messages"], accounts["sensor"]["lag"], accounts["sensor"]["lost"]) == (7, 7, [])
    assert (accounts["event"]["lag"], accounts["event"]["clean"]) == (0, True)
    assert "sensor" in answers("audit", "--no-xcom", code=1)
    assert "--way pigeon: there are event, sensor, webhook" in answers("produce", "--way", "pigeon", code=1)


@pytest.mark.claim("5.3")
def test_what_is_lost_is_told_beside_the_one_document(answers, kafka):
    answers("produce", "--way", "sensor", "--count", "3")
    now = broker.find_topic(kafka.options, broker.WAYS["sensor"])
    broker.commit_offsets(kafka.options, broker.GROUPS["sensor"], broker.slices_to_read(now, {}))
    done = CliRunner().invoke(cli.app, ["kafka", "audit", "--no-xcom", "--json"])
    accounts = {each["way"]: each for each in json.loads(done.stdout)}
    assert (done.exit_code, len(accounts["sensor"]["lost"])) == (1, 3)
    assert done.stderr.startswith("lost: flight-status-sensor-")


@pytest.mark.claim("5.5")
def test_dead_letters_are_listed_and_replayed(answers, kafka):
    assert "there is no dead letter" in answers("dead-letters")
    topic = broker.WAYS["event"]
    kafka_events.produce_all(kafka.options, topic, [(b"k", b"\xff")])
    now = broker.find_topic(kafka.options, topic)
    with open_warehouse() as client:
        process.process_slices(
            kafka.options, client, broker.slices_to_read(now, process.next_offsets(client, now)), "d/run"
        )
    (letter,) = json.loads(answers("dead-letters", "--json"))
    assert letter["reason"] == "not UTF-8: byte 0xff at 0"
    assert "not UTF-8" in answers("dead-letters")
    assert "1 dead letters sent again" in answers("replay")
    assert "0 dead letters sent again" in answers("replay")
