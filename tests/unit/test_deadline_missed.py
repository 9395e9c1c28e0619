"""The callback of a missed deadline, against a real HTTP server: one record, at least one notification, never an error."""

import asyncio
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from include.alerts import records as store
from plugins.callbacks import deadline_missed as module
from support import catching

DUE = datetime(2013, 6, 14, 4, 30, tzinfo=UTC)


@pytest.fixture
def catcher(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_VAR_DATA_ROOT", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow.example:8080")
    with catching(tmp_path) as server:
        point_to(monkeypatch, server.server_port)
        yield server


def point_to(monkeypatch, port: int) -> None:
    connection = {"conn_type": "http", "host": "127.0.0.1", "port": port}
    monkeypatch.setenv("AIRFLOW_CONN_OPS_WEBHOOK", json.dumps(connection))


def context(run_id="scheduled__2013-06-14T04:00:00+00:00", deadline="0190-aa"):
    run = {"dag_id": "q02_daily_punctuality_report", "dag_run_id": run_id, "state": "running"}
    return {"dag_run": run, "deadline": {"id": deadline, "deadline_time": DUE}}


def miss(**changes) -> str:
    return asyncio.run(module.deadline_missed(context=context(**changes), owner="flight-reports"))


@pytest.mark.claim("2.1")
def test_a_miss_is_recorded_and_notified_with_dag_run_deadline_owner_and_link(catcher, tmp_path):
    said = miss()
    (message,) = catcher.received("/deadline")
    body = message["body"]
    assert {key: body[key] for key in ("id", "dag_id", "run_id", "deadline", "owner", "state", "link")} == {
        "id": "0190-aa",
        "dag_id": "q02_daily_punctuality_report",
        "run_id": "scheduled__2013-06-14T04:00:00+00:00",
        "deadline": "2013-06-14T04:30:00+00:00",
        "owner": "flight-reports",
        "state": "running",
        "link": "http://airflow.example:8080/dags/q02_daily_punctuality_report/runs/"
        "scheduled__2013-06-14T04%3A00%3A00%2B00%3A00",
    }
    assert store.recorded_misses(tmp_path) == [{**body, "notified": True}]
    assert said.endswith(", notified"), "Airflow stores it in a column of text"


@pytest.mark.claim("2.1")
def test_a_replay_leaves_the_one_record_and_the_one_notification(catcher, tmp_path):
    miss()
    before = store.recorded_misses(tmp_path)
    assert miss().endswith("and notified before")
    assert store.recorded_misses(tmp_path) == before
    assert len(catcher.received("/deadline")) == 1


@pytest.mark.claim("2.1")
def test_a_replay_notifies_where_no_notification_is_known_to_have_arrived(catcher, tmp_path):
    """The triggerer was killed between record and notification."""
    miss()
    (record,) = (tmp_path / store.MISSED_DEADLINES).glob("*/*.json")
    record.with_suffix(".notified").unlink()
    before = record.read_text()
    miss()
    assert record.read_text() == before, "the record stays as it was written"
    bodies = [message["body"] for message in catcher.received("/deadline")]
    assert [body["id"] for body in bodies] == ["0190-aa", "0190-aa"], "a receiver can tell that it is the same"


@pytest.mark.claim("2.1")
def test_misses_of_other_runs_and_deadlines_have_records_of_their_own(catcher, tmp_path):
    long = "manual__" + "x" * 240
    for changes in (
        {},
        {"run_id": "a/../b"},
        {"deadline": "0190-bb"},
        {"run_id": long},
        {"run_id": long, "deadline": "0190-cc"},
    ):
        miss(**changes)
    records = store.recorded_misses(tmp_path)
    assert len(records) == len(catcher.received("/deadline")) == 5
    assert {record["run_id"] for record in records} >= {"a/../b", long}


def test_a_record_is_written_once_however_many_write_it(tmp_path):
    def write(number: int):
        return store.record_miss(tmp_path, {"dag_id": "d", "run_id": "r", "id": "1", "by": number})

    with ThreadPoolExecutor(16) as pool:
        files = set(pool.map(write, range(64)))
    (file,) = files
    assert json.loads(file.read_text())["by"] in range(64)
    assert list(file.parent.iterdir()) == [file], "no part is left"


@pytest.mark.claim("2.1")
@pytest.mark.parametrize("silent", [False, True], ids=["down", "does not answer"])
def test_a_receiver_that_is_down_or_silent_never_raises_and_costs_no_record(catcher, tmp_path, monkeypatch, silent):
    monkeypatch.setattr(module, "ATTEMPTS", 2)
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        if silent:
            port.listen()  # accepts, and says nothing
        point_to(monkeypatch, port.getsockname()[1])
        said = miss()
    assert "recorded in" in said
    assert "not notified: " in said
    assert [record["notified"] for record in store.recorded_misses(tmp_path)] == [False]
    monkeypatch.undo()
    monkeypatch.setenv("AIRFLOW_VAR_DATA_ROOT", str(tmp_path))
    point_to(monkeypatch, catcher.server_port)
    assert miss().endswith(", notified"), "a replay makes up for it"


@pytest.mark.claim("2.1")
def test_a_receiver_that_fails_once_is_asked_again(catcher, monkeypatch):
    keep, failures = catcher.keep_message, []

    def keep_at_the_second_try(path, body):
        if not failures:
            failures.append(path)
            raise OSError("disk full")
        keep(path, body)

    monkeypatch.setattr(catcher, "keep_message", keep_at_the_second_try)
    monkeypatch.setattr(catcher, "handle_error", lambda *_: None)
    assert miss().endswith(", notified")
    assert len(catcher.received("/deadline")) == len(failures) == 1


@pytest.mark.claim("2.1")
def test_a_record_that_cannot_be_written_does_not_keep_anybody_from_being_told(catcher, tmp_path, monkeypatch):
    (tmp_path / store.MISSED_DEADLINES).write_text("a file is in the way")
    assert miss() == "not recorded: NotADirectoryError, notified"
    assert len(catcher.received("/deadline")) == 1
    monkeypatch.delenv("AIRFLOW_CONN_OPS_WEBHOOK")
    assert miss().startswith("not recorded: NotADirectoryError, not notified: ")
