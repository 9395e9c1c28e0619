"""Question 1 on a live stack: real runs, retries, kills, and contents that equal pandas every time."""

import json
import os
import signal
import subprocess
from datetime import date, timedelta

import psutil
import pytest

from answers.stack import parts
from include.flights.warehouse import FINGERPRINT, STAGING
from include.waiting import patience
from support import expected, interval, wait_for

Q01 = "q01_flights_to_clickhouse"
Q08 = "q08_recovery"


def assert_published(stack, first: str, last: str) -> None:
    """The days' tables equal pandas, and no staging table is left."""
    expected.assert_published(stack.frame, first, last)
    tables = {row["name"] for row in stack.sql("SHOW TABLES FROM warehouse")}
    assert tables >= {"flights", "daily_delays", "delay_features"}
    assert not any(name.startswith(STAGING) for name in tables)


def fingerprint(stack, day: str) -> list:
    return [
        stack.sql(f"SELECT {FINGERPRINT} FROM warehouse.{table} WHERE flight_date = '{day}'")
        for table in ("flights", "daily_delays", "delay_features")
    ]


def finish(stack, run_ids: list[str], patience: float = 300) -> list:
    *_, runs = stack.airflow.watch(Q01, run_ids, patience)
    return runs


@pytest.fixture
def feed_variable(stack):
    """Point the stack's feed to another folder for one test."""
    before = stack.airflow.variable("flights_feed")

    def point(folder) -> None:
        stack.airflow.set_variable("flights_feed", str(folder))

    yield point
    point(before)


@pytest.mark.claim("1.3")
@pytest.mark.claim("1.4")
@pytest.mark.claim("1.6")
def test_two_days_and_a_second_run_of_one_of_them_at_the_same_time(stack):
    airflow = stack.airflow
    run_ids = [airflow.start(Q01, interval(day)[0].date()) for day in ("2013-03-10", "2013-12-31")]
    start, end = interval("2013-03-10")
    run_id = "the_same_day_at_the_same_time"
    dates = {
        "logical_date": (start + timedelta(seconds=1)).isoformat(),
        "data_interval_start": start.isoformat(),
        "data_interval_end": end.isoformat(),
    }
    assert airflow.trigger(Q01, run_id, dates=dates)
    runs = finish(stack, [*run_ids, run_id])
    assert {run.state for run in runs} == {"success"}
    for day in ("2013-03-10", "2013-12-31"):
        assert_published(stack, day, day)


@pytest.mark.claim("1.5")
def test_a_transient_failure_is_retried_and_succeeds(stack, feed_variable, make_feed, tmp_path):
    """The feed is delivered only after the first try has failed."""
    late = tmp_path / "late"
    feed_variable(late)
    run_id = stack.airflow.start(Q01, interval("2013-02-09")[0].date())

    def failed_once() -> bool:
        return stack.airflow.run(Q01, run_id).tasks["inspect_feed"][1] >= 2

    wait_for("a second try of inspect_feed", failed_once)
    make_feed("2013-02-09").rename(late)
    (run,) = finish(stack, [run_id])
    assert run.state == "success"
    assert_published(stack, "2013-02-09", "2013-02-09")


@pytest.mark.claim("1.5")
def test_answers_run_shows_a_permanent_failure_by_file_row_and_column(stack, feed_variable, make_feed):
    day = "2013-06-13"
    stack.answers("run", "q01", "--date", day)
    before = fingerprint(stack, day)
    feed_variable(make_feed(day, flights=lambda text: text.replace(",2475,", ",far,", 1)))
    done = stack.answers("run", "q01", "--date", day, check=False)
    assert done.returncode == 1
    assert "ingest failed at try 2;" in done.stderr, "after the good run's try one more, and none of its retries"
    assert "Retry policy decision" in done.stderr
    assert "FeedError: flights.csv, row " in done.stderr
    assert "column distance: 'far' is not an integer" in done.stderr.replace("\n", " ")
    assert fingerprint(stack, day) == before


@pytest.mark.claim("1.4")
def test_clearing_a_task_that_succeeded_runs_it_again(stack):
    day = "2013-06-14"
    stack.answers("run", "q01", "--date", day)
    run_id, before = f"answers__{day}", fingerprint(stack, day)
    for task in ("transform", "publish"):
        tries = stack.airflow.run(Q01, run_id).tasks[task][1]
        stack.airflow.clear(Q01, run_id, [task])
        (run,) = finish(stack, [run_id])
        assert run.state == "success"
        assert run.tasks[task][1] == tries + 1
        log = stack.airflow.log(Q01, run_id, task, tries + 1)
        assert ("rows written" if task == "transform" else "published {") in log, "it did not only turn green"
    assert fingerprint(stack, day) == before


@pytest.mark.claim("1.5")
def test_while_the_warehouse_is_down_tasks_and_answers_sql_wait(stack):
    rpc = parts.supervisor(stack.settings)
    rpc.stopProcess("warehouse", True)
    try:
        run_id = stack.airflow.start(Q01, interval("2013-06-15")[0].date())
        waiting = subprocess.Popen(
            stack.command("sql", "SELECT 1", "--format", "CSV", "--timeout", "600"),
            env=stack.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert "waiting, the warehouse does not answer" in waiting.stderr.readline()
        state = json.loads(stack.answers("status", "--json", check=False).stdout)
        assert (state["state"], state["health"]["warehouse"]) == ("incomplete", "no answer")
        wait_for("publish to run", lambda: stack.airflow.run(Q01, run_id).tasks.get("publish", ("",))[0] == "running")
        wait_for(
            "publish to wait",
            lambda: "waiting, the warehouse does not answer" in stack.airflow.log(Q01, run_id, "publish", 1),
        )
    finally:
        rpc.startProcess("warehouse", False)
    assert waiting.communicate(timeout=patience(120))[0] == "1\n"
    (run,) = finish(stack, [run_id])
    assert run.state == "success"
    assert_published(stack, "2013-06-15", "2013-06-15")


@pytest.mark.claim("1.4")
def test_the_warehouse_is_killed_under_eight_publications(stack):
    """Supervisor starts it again, tasks try again; every day is there once, and the log has no secret. (Spark is left out.)"""
    notes, killed = stack.home / "warehouse.replacing", []
    known = {note.stem for note in notes.glob("*")}  # the next start of the warehouse forgets them
    days = [f"2013-07-{day:02}" for day in range(1, 9)]
    run_ids = [stack.airflow.start(Q08, date.fromisoformat(day)) for day in days]

    def started_again() -> int | None:
        record = next(part for part in parts.status(stack.settings) if part["part"] == "warehouse")
        return record["pid"] if record["pid"] not in killed else None

    for _ in range(2):
        pid = wait_for("the warehouse to run", started_again)
        wait_for(
            "a partition to be replaced", lambda: {note.stem for note in notes.glob("*")} - known, 600, pause=0.002
        )
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)
    *_, runs = stack.airflow.watch(Q08, run_ids, 600)
    assert {run.state for run in runs} == {"success"}
    expected.assert_published(stack.frame, days[0], days[-1])
    log = (stack.home / "logs" / "warehouse.log").read_text()
    assert "Started server process" in log
    assert stack.settings.secrets["CLICKHOUSE_PASSWORD"] not in log


@pytest.mark.long("a backfill of two days, killed tasks of question 8's matrix, a killed scheduler in test_stack.py")
@pytest.mark.claim("1.4")
def test_a_backfill_of_ten_days_survives_a_kill_of_every_task_and_of_the_scheduler(stack):
    """SIGKILL one attempt of each task of the DAG, and the scheduler, while `backfill` works through ten days."""
    first, last = "2013-10-27", "2013-11-05"  # across the end of daylight saving time
    body = {
        "dag_id": Q01,
        "from_date": interval(first)[0].isoformat(),
        "to_date": interval(last)[0].isoformat(),
        "max_active_runs": 4,
        "reprocess_behavior": "completed",
        "run_on_latest_version": True,
    }
    airflow = stack.airflow
    backfill = airflow.request("POST", "/backfills", json=body).json()
    runs_path = f"/dags/{Q01}/dagRuns?run_type=backfill&limit=100"
    tasks = ["inspect_feed", "ingest", "transform", "publish", "summarise"]
    killed: dict[str, int] = {}

    def kill_one_of_each() -> bool:
        query = f"/dags/{Q01}/dagRuns/~/taskInstances?state=running&limit=100"
        for instance in airflow.request("GET", query).json()["task_instances"]:
            task, pid = instance["task_id"], instance["pid"]
            if task not in killed and pid and psutil.pid_exists(pid):
                os.kill(pid, signal.SIGKILL)
                killed[task] = pid
        return len(killed) == len(tasks)

    wait_for("an attempt of every task to be killed", kill_one_of_each, patience=400, pause=0.02)
    scheduler = next(part["pid"] for part in parts.status(stack.settings) if part["part"] == "scheduler")
    os.kill(scheduler, signal.SIGKILL)

    def all_done() -> bool:
        runs = airflow.request("GET", runs_path).json()["dag_runs"]
        states = [run["state"] for run in runs]
        assert "failed" not in states, states
        return states.count("success") == 10

    wait_for(f"backfill {backfill['id']} to end", all_done, patience=500, pause=1)
    assert_published(stack, first, last)
