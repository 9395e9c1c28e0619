"""Question 2 on a live stack: late, punctual and failed runs, a triggerer that is killed, and compliance from history."""

import json
import os
import shutil
import signal
from datetime import UTC, datetime
from functools import cache

import httpx
import psutil
import pytest

from include.alerts import records
from include.flights.feed import default_feed
from support import expected, interval, wait_for

Q01, Q02 = "q01_flights_to_clickhouse", "q02_daily_punctuality_report"
# Days; the first two are published, the third is not.
LATE, PUNCTUAL, FAILING = "2013-03-10", "2013-12-31", "2013-12-30"


@cache
def api(stack):
    """One client for all calls: each new one would sign in again."""
    return stack.airflow


def start(stack, day: str, dag_id: str = Q02) -> str:
    return api(stack).start(dag_id, interval(day)[0].date())


def finish(stack, run_id: str, dag_id: str = Q02):
    *_, (run,) = api(stack).watch(dag_id, [run_id], 300)
    return run


def recorded(stack, *run_ids: str) -> list[dict]:
    """The records of these runs' misses."""
    return [each for each in records.recorded_misses(stack.home / "data") if each["run_id"] in run_ids]


def notified(stack, *run_ids: str) -> list[dict]:
    """Return what the catcher got about these runs."""
    address = f"http://127.0.0.1:{stack.settings.ports['catcher']}/messages"
    messages = httpx.get(address, params={"path": "/deadline"}, trust_env=False).json()
    return [each["body"] for each in messages if each["body"]["run_id"] in run_ids]


def set_variable(stack, key: str, value: str) -> None:
    api(stack).set_variable(key, value)


def states(stack, run_ids: list[str], task: str) -> list[str]:
    path = f"/dags/{Q02}/dagRuns/~/taskInstances?task_id={task}&limit=100"
    found = api(stack).request("GET", path).json()["task_instances"]
    return [each["state"] for each in found if each["dag_run_id"] in run_ids]


@pytest.fixture
def feed(stack, tmp_path):
    """The address of a register of airlines that is not there; `feed.deliver()` brings it, whole."""

    class Feed:
        file = tmp_path / "airlines.csv"

        def deliver(self) -> None:
            part = self.file.with_suffix(".part")
            shutil.copy(default_feed() / "airlines.csv", part)
            part.replace(self.file)

    before = {key: api(stack).variable(key) for key in ("airlines_feed", "q02_report_within")}
    set_variable(stack, "airlines_feed", f"file://{Feed.file}")
    yield Feed()
    for key, value in before.items():
        set_variable(stack, key, value)


@pytest.fixture(scope="module")
def published(stack) -> None:
    """LATE and PUNCTUAL are published by question 1 (its own tests may have done so)."""
    there = {row["day"] for row in _published(stack)}
    assert FAILING not in there
    runs = {day: start(stack, day, Q01) for day in (LATE, PUNCTUAL) if day not in there}
    assert all(finish(stack, run, Q01).state == "success" for run in runs.values())


def _published(stack) -> list[dict]:
    if not stack.sql("SELECT name FROM system.tables WHERE database = 'warehouse' AND name = 'daily_delays'"):
        return []
    return stack.sql("SELECT DISTINCT toString(flight_date) AS day FROM warehouse.daily_delays")


@pytest.mark.claim("2.1")
@pytest.mark.claim("2.6")
def test_late_and_failed_runs_are_recorded_and_notified_once_and_a_punctual_one_never(stack, published, feed, tmp_path):
    """The failed run's deadline is the last one: when it is handled, all others have been passed again and again."""
    set_variable(stack, "q02_report_within", "1")
    late = start(stack, LATE)
    wait_for("the late run's notification", lambda: notified(stack, late))
    assert api(stack).run(Q02, late).state == "running", "it still waits for its feed"
    feed.deliver()
    assert finish(stack, late).state == "success"

    set_variable(stack, "q02_report_within", "30")
    punctual, failed = start(stack, PUNCTUAL), start(stack, FAILING)
    assert (finish(stack, punctual).state, finish(stack, failed).state) == ("success", "failed")
    assert notified(stack, failed, punctual) == [], "this machine is too slow for 30 seconds"
    wait_for("the failed run's notification", lambda: notified(stack, failed))

    everything = {late: ("running", LATE), failed: ("failed", FAILING)}
    for run_id, (state, _) in everything.items():
        (record,), (message,) = recorded(stack, run_id), notified(stack, run_id)
        assert message == {key: value for key, value in record.items() if key != "notified"}
        assert (record["state"], record["owner"], record["notified"]) == (state, "flight-reports", True)
        assert record["link"] == f"{stack.settings.url}/dags/{Q02}/runs/{run_id}"
    path = f"/dags/{Q02}/dagRuns/~/deadlines?missed=true&limit=100"
    missed = api(stack).request("GET", path, api="/ui").json()["deadlines"]
    assert {each["dag_run_id"] for each in missed} >= {late, failed}
    assert punctual not in {each["dag_run_id"] for each in missed}
    assert recorded(stack, punctual) == notified(stack, punctual) == []

    report = (stack.home / "data" / "reports" / "punctuality" / f"{LATE}.md").read_text()
    assert f"{len(expected.flights(LATE, LATE))} flights, " in report
    error = api(stack).log(Q02, failed, "write_report", 1)
    assert f"warehouse.daily_delays has no flights for {FAILING}: publish the day (answers run q01" in error

    # The history of these runs, through the REST API: the 29th has no run.
    done = stack.answers("sla", "--json", "--dag", Q02, "--from", "2013-12-29", "--to", PUNCTUAL)
    *weeks, total = json.loads(done.stdout)
    assert [(week["week"], week["scheduled"], week["on_time"]) for week in weeks] == [
        ("2013-12-23", 1, 0),
        ("2013-12-30", 2, 1),
    ]
    assert {key: total[key] for key in ("on_time", "late", "failed", "missing", "scheduled", "compliance")} == {
        "on_time": 1,
        "late": 0,
        "failed": 1,
        "missing": 1,
        "scheduled": 3,
        "compliance": 1 / 3,
    }
    picture = tmp_path / "sla.png"
    told = stack.answers("sla", "--dag", Q02, "--from", LATE, "--to", LATE, "--plot", str(picture)).stdout
    assert "0.00%" in told
    assert picture.read_bytes().startswith(b"\x89PNG")
    weeks = "('2013-03-04', '2013-12-23', '2013-12-30')"
    kept = f"SELECT toString(week) AS week, late, on_time FROM warehouse.sla_compliance WHERE week IN {weeks} "
    kept += f"AND dag_id = '{Q02}' ORDER BY week"
    assert stack.sql(kept) == [
        {"week": "2013-03-04", "late": 1, "on_time": 0},
        {"week": "2013-12-23", "late": 0, "on_time": 0},
        {"week": "2013-12-30", "late": 0, "on_time": 1},
    ]


@pytest.mark.claim("2.5")
def test_twenty_sensors_hold_no_slot_and_outlive_a_triggerer_that_is_killed(stack, feed):
    from answers.stack import parts

    def triggerer() -> int | None:
        return next(part["pid"] for part in parts.status(stack.settings) if part["part"] == "triggerer")

    def pool(name: str) -> dict:
        return api(stack).pools()[name]

    slots = pool("warehouse")["slots"]
    resize = {
        "pool": "warehouse",
        "slots": 0,
        "include_deferred": False,
    }  # what comes after the sensors is not of interest here
    api(stack).request("PATCH", "/pools/warehouse?update_mask=slots", json=resize)
    run_ids = [start(stack, f"2013-08-{day:02}") for day in range(1, 21)]
    try:
        wait_for("20 waiting sensors", lambda: states(stack, run_ids, "wait_for_airlines").count("deferred") == 20)
        waiting_since = datetime.now(UTC)
        assert {key: pool("default_pool")[key] for key in ("occupied_slots", "deferred_slots")} == {
            "occupied_slots": 0,
            "deferred_slots": 20,
        }
        killed = triggerer()
        os.kill(killed, signal.SIGKILL)
        wait_for("the triggerer's death", lambda: not psutil.pid_exists(killed) or triggerer() != killed)
        feed.deliver()
        delivered = datetime.now(UTC)

        def all_there() -> bool:
            seen = states(stack, run_ids, "wait_for_airlines")
            assert "failed" not in seen, seen
            return seen.count("success") == 20

        wait_for("all sensors to see the feed", all_there)
        assert triggerer() != killed
        # The clock was not started again by the restart: all say that they waited since before the kill. (One whose trigger
        # fired before the scheduler had read that the task left its slot was failed by it, and covered by a retry.)
        at_once = [each for each in run_ids if api(stack).run(Q02, each).tasks["wait_for_airlines"][1] == 1]
        assert len(at_once) >= 10
        waited = [api(stack).xcom(Q02, run_id, "wait_for_airlines")["waited"] for run_id in at_once]
        assert min(waited) >= (delivered - waiting_since).total_seconds()
        ended = (datetime.now(UTC) - delivered).total_seconds()
        assert max(waited) - min(waited) < 60 + ended
    finally:
        for run_id in run_ids:
            api(stack).request("PATCH", f"/dags/{Q02}/dagRuns/{run_id}", json={"state": "failed"})
            api(stack).delete_run(Q02, run_id)
        api(stack).request("PATCH", "/pools/warehouse?update_mask=slots", json=resize | {"slots": slots})
