"""Question 9's second tier: whole runs by dag.test(). The connections lead to an engine and a server of the test's own."""

import json
from datetime import date

import pytest

from include.flights import warehouse as loader
from support import catching, expected

FILE, DAY = "q09_refunds", "2013-06-13"
DUE, OVERDUE = "2013-07-03T23:00:00-04:00", "2013-07-04T00:00:00-04:00"


@pytest.fixture
def published(warehouse):
    """DAY as question 1 would leave it, as far as it matters here, computed by pandas."""
    loader.create_tables(warehouse)
    flights = expected.flights(DAY, DAY)
    columns = ["flight_date", "carrier", "flight", "origin", "dest", "sched_dep_utc", "arr_delay", "cancelled"]
    warehouse.insert_df("warehouse.flights", flights[columns].astype({"arr_delay": "Int32"}))
    warehouse.close()  # the tasks open it
    return flights


@pytest.fixture
def receiver(tmp_path, monkeypatch):
    """A real HTTP server behind the connection ops_webhook."""
    with catching(tmp_path) as server:
        connection = {"conn_type": "http", "host": "127.0.0.1", "port": server.server_port}
        monkeypatch.setenv("AIRFLOW_CONN_OPS_WEBHOOK", json.dumps(connection))
        yield server


def notices(receiver) -> list[dict]:
    return [each["body"] for each in receiver.received("/refunds")]


@pytest.mark.claim("9.1")
@pytest.mark.claim("9.2")
@pytest.mark.parametrize(("now", "days_left"), [(DUE, 0), (OVERDUE, -1)])
def test_a_run_tells_each_airline_what_it_owes_by_the_clock_of_the_run(run_day, published, receiver, now, days_left):
    state, tasks, _ = run_day(FILE, DAY, conf={"now": now})
    assert (state, tasks) == ("success", {"find_owed": ("success", 1), "tell_airlines": ("success", 1)})
    counts = published.assign(late=published["arr_delay"] >= 180).groupby("carrier")[["cancelled", "late"]].sum()
    wanted = {carrier: (row.cancelled, row.late) for carrier, row in counts.iterrows() if row.cancelled or row.late}
    found = notices(receiver)
    assert {each["carrier"]: (each["cancelled"], each["late"]) for each in found} == wanted
    assert {(each["day"], each["pay_by"], each["days_left"]) for each in found} == {(DAY, "2013-07-03", days_left)}


@pytest.mark.claim("9.2")
def test_without_a_clock_of_its_own_a_run_has_the_machines(run_day, published, receiver):
    state, _, _ = run_day(FILE, DAY)
    assert state == "success"
    days = {each["days_left"] for each in notices(receiver)}
    assert days <= {(date(2013, 7, 3) - date.today()).days + shift for shift in (-1, 0, 1)}  # New York is not here


@pytest.mark.claim("9.1")
def test_a_refused_notice_fails_the_task_and_keeps_no_other_back(run_day, published, receiver, capsys, caplog):
    """dag.test() tries each task once, whatever its retries are: that the next try succeeds is for the live stack to show."""
    receiver.behaviour = {"path": "/refunds", "code": 503}
    state, tasks, _ = run_day(FILE, DAY, conf={"now": DUE})
    assert (state, tasks["tell_airlines"]) == ("failed", ("failed", 1))
    told = [each["carrier"] for each in notices(receiver)]
    assert len(told) > 5
    assert f"1 of {len(told) + 1} notices were not taken: 9E (answer 503)" in capsys.readouterr().out + caplog.text


@pytest.mark.claim("9.1")
def test_a_day_that_is_not_published_fails_at_once_and_nobody_is_told(run_day, warehouse, receiver, capsys, caplog):
    warehouse.close()
    state, tasks, _ = run_day(FILE, DAY)
    assert (state, tasks["find_owed"]) == ("failed", ("failed", 1))
    assert "publish the day (answers run q01 --date 2013-06-13)" in capsys.readouterr().out + caplog.text
    assert notices(receiver) == []


@pytest.mark.claim("9.2")
@pytest.mark.parametrize("now", ["yesterday", "2013-07-03T12:00:00", 20130703])
def test_a_clock_that_is_none_is_refused_before_anything_runs(run_day, receiver, now):
    with pytest.raises(ValueError, match="Invalid input for param now"):
        run_day(FILE, DAY, conf={"now": now})
    assert notices(receiver) == []
