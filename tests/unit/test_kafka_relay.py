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


def test_the_containers_health_check_asks_for_the_relays_group():
    assert broker.GROUPS["webhook"] == health.RELAY_GROUP
