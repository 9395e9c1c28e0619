"""The webhook relay, with Airflow's REST API replaced at the transport."""

import pytest

from answers.operate import relay
from answers.stack import health
from include.flight_status import broker
from support.relay_api import Api

TOPIC = broker.WAYS["webhook"]
PLACE = {"topic": TOPIC, "topic_id": "first", "partition": 2, "offset": 7}
RUN = f"kafka__{TOPIC}-2-7"


@pytest.fixture
def api(monkeypatch):
    return Api(monkeypatch)


@pytest.mark.claim("5.2")
def test_the_runs_id_is_the_messages_place_and_a_repeated_delivery_is_success(api):
    assert relay.post_run(api.airflow, PLACE) is True
    assert relay.post_run(api.airflow, PLACE) is False
    assert api.runs == {RUN: PLACE}


@pytest.mark.claim("5.2")
def test_a_topic_made_again_has_other_messages_at_the_same_offsets(api):
    relay.post_run(api.airflow, PLACE)
    second = PLACE | {"topic_id": "second"}
    assert relay.post_run(api.airflow, second) is True
    assert relay.post_run(api.airflow, second) is False
    assert api.runs == {RUN: PLACE, f"{RUN}__second": second}


@pytest.mark.claim("5.2")
@pytest.mark.parametrize("answer", [500, 503, 404, 429, None], ids=str)
def test_an_answer_that_another_try_may_change_is_no_success(api, answer):
    api.answers = [answer]
    with pytest.raises(relay.RunNotTaken):
        relay.post_run(api.airflow, PLACE)
    assert api.runs == {}


BATCH = PLACE | {"last": 11}


@pytest.mark.claim("5.2")
def test_a_batch_is_one_run_whose_id_has_its_first_and_its_last_offset(api):
    assert relay.post_run(api.airflow, BATCH) is True
    assert relay.post_run(api.airflow, BATCH) is False
    assert api.runs == {f"{RUN}-11": BATCH}


def test_what_batches_have_been_taken_from_a_place_on_is_found_again(api):
    assert relay.taken_until(api.airflow, PLACE) == 7
    for batch in (BATCH, PLACE | {"offset": 12, "last": 12}, PLACE | {"offset": 70, "last": 99}):
        relay.post_run(api.airflow, batch)
    assert relay.taken_until(api.airflow, PLACE) == 13
    assert relay.taken_until(api.airflow, PLACE | {"topic_id": "second"}) == 7
    assert relay.taken_until(api.airflow, PLACE | {"partition": 1}) == 7


def test_one_message_a_run_unless_the_environment_asks_for_batches(monkeypatch):
    assert relay.Batches.from_environment() == relay.Batches(1, 0)
    monkeypatch.setenv("ANSWERS_RELAY_BATCH", "100")
    monkeypatch.setenv("ANSWERS_RELAY_WAIT_MS", "250")
    assert relay.Batches.from_environment() == relay.Batches(100, 0.25)


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5"])
def test_a_size_that_is_none_is_refused_by_its_name(monkeypatch, text):
    monkeypatch.setenv("ANSWERS_RELAY_BATCH", text)
    with pytest.raises(ValueError, match=f"ANSWERS_RELAY_BATCH={text}: a whole number from 1 is needed"):
        relay.Batches.from_environment()


def test_the_containers_health_check_asks_for_the_relays_group():
    assert broker.GROUPS["webhook"] == health.RELAY_GROUP
