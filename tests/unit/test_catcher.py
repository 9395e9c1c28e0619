"""The catcher of webhooks, over real HTTP."""

import json
import socket
import threading

import httpx
import pytest

from answers.stack import catcher
from answers.stack.parameters.contents import compose_connections
from answers.stack.settings import Settings
from support import catching


@pytest.fixture
def server(tmp_path):
    with catching(tmp_path / "new") as server:
        yield server


@pytest.fixture
def http(server):
    with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}", trust_env=False) as client:
        yield client


def test_messages_are_kept_in_order_and_asked_for_by_path(http, server):
    for path, body in (("/alerts", {"n": 1}), ("/deadline", ["ä"]), ("/alerts", {"n": 2})):
        assert http.post(path, json=body).json() == {"status": "ok"}
    everything = http.get("/messages").json()
    assert [(each["path"], each["body"]) for each in everything] == [
        ("/alerts", {"n": 1}),
        ("/deadline", ["ä"]),
        ("/alerts", {"n": 2}),
    ]
    assert [each["at"] for each in everything] == sorted(each["at"] for each in everything)
    assert [each["body"] for each in http.get("/messages", params={"path": "/alerts"}).json()] == [{"n": 1}, {"n": 2}]
    assert http.get("/messages", params={"path": "/none"}).json() == []
    assert [json.loads(line) for line in server.file.read_text().splitlines()] == everything


def test_forgetting_keeps_the_file(http, server):
    http.post("/alerts", json={})
    assert http.delete("/messages").is_success
    assert http.get("/messages").json() == []
    assert len(server.file.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("body", "code", "why"),
    [
        (b"{", 400, "not JSON"),
        (b"\xff", 400, "not JSON"),
        (b"", 400, "not JSON"),
        (b" " * (catcher.MAX_BODY + 1), 413, "too many"),
    ],
)
def test_a_body_that_is_no_json_or_too_long_is_refused_and_the_next_one_kept(http, body, code, why):
    answer = http.post("/x", content=body)
    assert (answer.status_code, why in answer.json()["error"]) == (code, True)
    assert http.post("/x", json=1).is_success
    assert [each["body"] for each in http.get("/messages").json()] == [1]


def test_a_body_of_unknown_length_is_refused(http):
    assert http.post("/x", content=iter([b"{}"])).status_code == 411


def test_other_addresses_do_not_exist(http):
    assert http.get("/").status_code == 404
    assert http.delete("/x").status_code == 404
    assert http.get("/health").json() == {"status": "ok"}


def test_memory_and_file_are_bounded(http, server, monkeypatch):
    monkeypatch.setattr(catcher, "MAX_FILE", 2000)
    for number in range(catcher.KEPT + 5):
        server.keep_message("/x", number)
    assert [each["body"] for each in http.get("/messages").json()] == list(range(5, catcher.KEPT + 5))
    assert {each.name for each in server.file.parent.iterdir()} == {"catcher.jsonl", "catcher.jsonl.1"}
    assert all(each.stat().st_size < 2200 for each in server.file.parent.iterdir())


def test_messages_that_come_at_once_are_all_kept(http, server):
    address = str(http.base_url)
    threads = [threading.Thread(target=httpx.post, args=(address,), kwargs={"json": n}) for n in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each["body"] for each in http.get("/messages").json()) == list(range(30))
    assert sorted(json.loads(line)["body"] for line in server.file.read_text().splitlines()) == list(range(30))


def test_it_listens_on_loopback_unless_told_otherwise(monkeypatch, tmp_path):
    served = []
    monkeypatch.setattr(catcher.Catcher, "serve_forever", lambda server: served.append(server.server_address))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    catcher.main(["--port", str(port), "--file", str(tmp_path / "x")])
    assert served == [("127.0.0.1", port)]


def test_both_stacks_point_the_connection_at_their_catcher(tmp_path):
    connections = Settings(tmp_path, {}, {"catcher": 4711}).connections()
    assert json.loads(connections["AIRFLOW_CONN_OPS_WEBHOOK"]) == {
        "conn_type": "http",
        "host": "127.0.0.1",
        "port": 4711,
    }
    compose = compose_connections({"CLICKHOUSE_PASSWORD": "x", "PARTNER_SECRET": "y"})
    assert compose["ops_webhook"] == {"conn_type": "http", "host": "catcher", "port": 9080}
