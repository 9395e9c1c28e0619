"""The webhook relay, with Airflow's REST API replaced at the transport, and a real broker."""

import json

import httpx
import pytest

from answers.operate import relay
from answers.stack import health
from answers.stack.client import Airflow
from include.flight_status import broker, produce

TOPIC = broker.WAYS["webhook"]
PLACE = {"topic": TOPIC, "topic_id": "first", "partition": 2, "offset": 7}
RUN = f"kafka__{TOPIC}-2-7"


class Api:
    """What the relay needs of Airflow: runs with unique ids. `answers` come first: a status code, or None to hang up."""

    def __init__(self) -> None:
        self.runs: dict[str, dict] = {}
        self.answers: list[int | None] = []
        self.asked = 0
        self.airflow = Airflow("http://airflow", "secret")
        self.airflow._http = httpx.Client(base_url="http://airflow", transport=httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            return httpx.Response(201, json={"access_token": "token"})
        assert request.headers["Authorization"] == "Bearer token"
        if request.method == "GET":
            return httpx.Response(200, json={"conf": self.runs[request.url.path.rpartition("/")[2]]})
        self.asked += 1
        if self.answers and (first := self.answers.pop(0)) != 200:
            if first is None:
                raise httpx.ReadError("connection lost")
            return httpx.Response(first, json={"detail": "not now"})
        body = json.loads(request.content)
        assert request.url.path == "/api/v2/dags/q05_kafka_webhook/dagRuns"
        if body["dag_run_id"] in self.runs:
            return httpx.Response(409, json={"detail": "already exists"})
        self.runs[body["dag_run_id"]] = body["conf"]
        return httpx.Response(200, json=body)


@pytest.fixture
def api(monkeypatch):
    import tenacity.nap

    monkeypatch.setattr(tenacity.nap.time, "sleep", lambda _: None)  # the pauses between its tries
    return Api()


@pytest.mark.claim("5.2")
def test_the_runs_id_is_the_messages_place_and_a_repeated_delivery_is_success(api):
    assert relay.post(api.airflow, PLACE) is True
    assert relay.post(api.airflow, PLACE) is False
    assert api.runs == {RUN: PLACE}


@pytest.mark.claim("5.2")
def test_a_topic_made_again_has_other_messages_at_the_same_offsets(api):
    relay.post(api.airflow, PLACE)
    second = PLACE | {"topic_id": "second"}
    assert relay.post(api.airflow, second) is True
    assert relay.post(api.airflow, second) is False
    assert api.runs == {RUN: PLACE, f"{RUN}__second": second}


@pytest.mark.claim("5.2")
@pytest.mark.parametrize("answer", [500, 503, 404, 429, None], ids=str)
def test_an_answer_that_another_try_may_change_is_no_success(api, answer):
    api.answers = [answer]
    with pytest.raises(relay.NotTaken):
        relay.post(api.airflow, PLACE)
    assert api.runs == {}


@pytest.mark.claim("5.2")
def test_messages_are_posted_once_each_with_retries_and_committed_after(api, kafka):
    sent = list(produce.events(5, "relay"))
    produce.produce_all(kafka.options, TOPIC, sent)
    api.answers = [503, None, 200, 500]
    assert relay.relay(api.airflow, kafka.options, most=5) == 5
    bounds = broker.topic(kafka.options, TOPIC).bounds
    places = {f"kafka__{TOPIC}-{part}-{offset}" for part, (_, high) in bounds.items() for offset in range(high)}
    assert set(api.runs) == places
    assert api.asked == 5 + 3
    ends = {part: high for part, (_, high) in bounds.items() if high}
    assert broker.committed(kafka.options, TOPIC, broker.GROUPS["webhook"]) == ends


@pytest.mark.claim("5.2")
def test_what_airflow_did_not_take_is_not_committed_and_comes_again(api, kafka, monkeypatch):
    produce.produce_all(kafka.options, TOPIC, [(b"k", b"1"), (b"k", b"2")])
    monkeypatch.setattr(relay, "PATIENCE", 0.01)
    api.answers = [200] + [503] * 1000
    with pytest.raises(relay.NotTaken):
        relay.relay(api.airflow, kafka.options, most=2)
    assert sum(broker.committed(kafka.options, TOPIC, broker.GROUPS["webhook"]).values()) == 1
    api.answers = []
    assert relay.relay(api.airflow, kafka.options, most=1) == 1
    assert len(api.runs) == 2


def test_the_containers_health_check_asks_for_the_relays_group():
    assert broker.GROUPS["webhook"] == health.RELAY_GROUP
