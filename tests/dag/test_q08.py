"""Question 8: whole runs that fail, are told and taken back; damaged days; missed intervals; the matrix's wiring."""

import json
import subprocess
import sys
from datetime import date

import pytest

from include.alerts import failure_matrix, records
from include.flights import versions
from support import PROJECT, expected, failure_matrix_expected, interval, open_warehouse
from support.notifications import catching_notifications, mails, texts

Q08 = "q08_recovery"
DAY = "2013-06-13"


@pytest.fixture
def catcher(tmp_path, monkeypatch):
    with catching_notifications(tmp_path, monkeypatch) as server:
        yield server


def without(*carriers: str):
    """A change of the feed: these carriers' lines are lost on the way."""

    def lose(text: str) -> str:
        return "".join(line for line in text.splitlines(True) if not any(f",{each}," in line for each in carriers))

    return lose


def assert_live(client, day: str = DAY, lost: tuple = ()) -> None:
    for table, wanted, key in (
        ("flights", expected.flights(day, day), expected.FLIGHT_KEY),
        ("daily_delays", expected.daily_delays(day, day), expected.DAILY_DELAYS_KEY),
    ):
        actual = client.query_df(f"SELECT * FROM warehouse.{table} WHERE flight_date = '{day}'")
        expected.assert_equal(actual, wanted[~wanted["carrier"].isin(lost)], key)


@pytest.fixture
def run(run_day, warehouse, monkeypatch, tmp_path):
    """Run the DAG for DAY in this process; the engine is free meanwhile, and open to the test afterwards."""
    monkeypatch.setenv("AIRFLOW_VAR_DATA_ROOT", str(tmp_path))
    warehouse.close()

    def run_with_feed(feed=None):
        from include.flights.feed import default_feed

        return run_day(Q08, DAY, feed or default_feed())[:2]

    return run_with_feed


@pytest.mark.claim("8.1")
@pytest.mark.claim("8.4")
def test_an_implausible_day_is_taken_back_and_the_run_fails_and_its_owner_is_told(run, make_feed, catcher):
    state, tasks = run()
    assert (state, tasks["rollback"][0]) == ("success", "skipped")
    state, tasks = run(make_feed(DAY, flights=without("UA", "B6")))
    assert {task: each[0] for task, each in tasks.items()} == {
        "prepare": "success",
        "publish": "success",
        "check": "failed",
        "rollback": "success",
        "done": "upstream_failed",
    }
    assert state == "failed", "the rollback's success is not the run's"
    with open_warehouse() as client:
        assert_live(client)
        events = versions.history(client, date.fromisoformat(DAY)).events
        assert [(each.action, each.version) for each in events] == [("publish", 1), ("publish", 2), ("rollback", 1)]
    (mail,), (text,) = mails(catcher), texts(catcher)
    assert mail["subject"] == "q08_recovery check failed"
    assert mail["to"] == ["data-platform@example.org"]
    lost = expected.flights(DAY, DAY)["carrier"].isin(["UA", "B6"]).sum()
    assert f"Implausible: {DAY} has {989 - lost} flights and had 989: {lost / 989:.0%} are gone" in text


@pytest.mark.claim("8.4")
def test_a_run_that_publishes_nothing_takes_nothing_back(run, make_feed):
    run()
    run(make_feed(DAY, flights=without("UA")))
    with open_warehouse() as client:
        before = versions.history(client, date.fromisoformat(DAY)).current
    state, tasks = run(make_feed(DAY, flights=lambda text: text.replace(",2475,", ",far,", 1)))
    assert (state, tasks["prepare"][0], tasks["rollback"][0]) == ("failed", "failed", "skipped")
    with open_warehouse() as client:
        assert versions.history(client, date.fromisoformat(DAY)).current == before


@pytest.mark.claim("8.3")
def test_running_a_damaged_day_again_repairs_it_although_its_contents_are_no_news(run):
    run()
    with open_warehouse() as client:
        client.command("ALTER TABLE warehouse.flights DELETE WHERE carrier = 'DL' SETTINGS mutations_sync = 2")
        client.command("TRUNCATE TABLE warehouse.daily_delays")
    assert run()[0] == "success"
    with open_warehouse() as client:
        assert_live(client)
        assert len(versions.history(client, date.fromisoformat(DAY)).events) == 1


@pytest.mark.claim("8.1")
@pytest.mark.parametrize(("file", "dag_id"), [("q01_flights_to_clickhouse", None), (Q08, None)])
def test_every_task_and_the_dag_itself_tell_their_failures(dag_of, file, dag_id):
    from plugins.notifiers.failure import FailureNotifier

    dag = dag_of(file, dag_id)
    assert isinstance(dag.on_failure_callback, FailureNotifier)
    for task in dag.tasks:
        (failed,), (retry,) = task.on_failure_callback, task.on_retry_callback
        assert isinstance(failed, FailureNotifier)
        assert isinstance(retry, FailureNotifier)
        assert (failed.retry, retry.retry) == (False, True)


@pytest.mark.claim("8.2")
def test_with_catchup_every_missed_interval_is_due_and_without_it_the_last_one_alone(dag_of):
    def missed(dag_id: str) -> list:
        return due(dag_of("q08_missed_intervals", dag_id))

    five = [interval(f"2013-07-0{day}") for day in range(1, 6)]
    assert [(each.start, each.end) for each in missed("q08_missed_caught_up")] == five
    (last,) = missed("q08_missed_skipped")
    from pendulum import now

    today = now("America/New_York").start_of("day")
    assert (last.start, last.end) == (today.subtract(days=1), today)


@pytest.mark.claim("8.2")
def test_the_trap_without_catchup_and_with_an_end_that_has_passed_nothing_is_due(dag_of):
    dag = dag_of("q08_missed_intervals", "q08_missed_caught_up")
    dag.catchup = False
    assert due(dag) == []


@pytest.mark.claim("8.2")
def test_catchup_is_off_where_nobody_says_otherwise_since_3_0(metadata_database):
    from airflow.sdk import DAG

    assert not DAG("x", schedule="@daily").catchup


def due(dag) -> list:
    """The intervals that the scheduler would start now, one after the other, if the DAG had never run."""
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import TimeRestriction
    from pendulum import now

    timetable = coerce_to_core_timetable(dag.timetable)
    restriction = TimeRestriction(dag.start_date, dag.end_date, dag.catchup)
    intervals, last = [], None
    while info := timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction):
        if info.run_after > now("UTC"):
            break
        intervals.append(last := info.data_interval)
    return intervals


@pytest.mark.claim("8.5")
@pytest.mark.parametrize("scenario", failure_matrix.SCENARIOS)
def test_each_dag_of_the_matrix_has_all_five_nets(dag_of, scenario):
    from airflow.sdk import TriggerRule

    dag = dag_of("q08_failure_matrix", f"q08_matrix_{scenario}")
    assert dag.on_failure_callback[0].__name__ == "dag_failed"
    assert dag.deadline
    work, tidy, recover = (dag.get_task(name) for name in ("work", "tidy_up", "recover"))
    assert [each.__name__ for each in work.on_failure_callback] == ["task_failed"]
    assert tidy.is_teardown
    assert recover.trigger_rule == TriggerRule.ONE_FAILED
    assert {"tidy_up", "recover", "done"} <= work.downstream_task_ids


@pytest.mark.claim("8.5")
def test_a_witness_is_found_by_its_run_with_the_process_it_was_in(dag_of, monkeypatch, tmp_path):
    """Both callbacks of a run leave their mark, once each; another run has none."""
    from callbacks import witness

    monkeypatch.setenv("AIRFLOW_VAR_DATA_ROOT", str(tmp_path))
    dag = dag_of("q08_failure_matrix", "q08_matrix_raise")
    context = {"dag": dag, "run_id": "one", "reason": "task_failure", "exception": ValueError("as it was told")}
    for _ in range(2):
        witness.task_failed(context)
    witness.dag_failed(context)
    failure_matrix.record_effect(
        tmp_path, dag.dag_id, "two", "teardown", {"dag_id": dag.dag_id, "run_id": "two", "process": "task"}
    )
    records.record_miss(tmp_path, {"dag_id": dag.dag_id, "run_id": "two", "id": "1"})
    assert failure_matrix_expected.observed_effects(tmp_path, dag.dag_id, "one") == {
        "task_callback": "task",
        "dag_callback": "task",
    }
    assert failure_matrix_expected.observed_effects(tmp_path, dag.dag_id, "two") == {
        "teardown": "task",
        "deadline": "triggerer",
    }
    assert failure_matrix_expected.observed_effects(tmp_path, dag.dag_id, "three") == {}
    written = "".join(file.read_text() for file in tmp_path.rglob("*.json"))
    assert "ValueError('as it was told')" in written


@pytest.mark.claim("8.5")
@pytest.mark.parametrize(
    ("scenario", "code", "says"),
    [
        ("raise", 1, "ValueError: as it was told"),
        ("fail", 1, "AirflowFailException: as it was told"),
        ("out_of_memory", 1, "MemoryError"),
        ("sigterm", -15, ""),
        ("sigkill", -9, ""),
    ],
)
def test_a_process_dies_as_its_scenario_says(scenario, code, says):
    done = subprocess.run(
        [sys.executable, "-c", f"from include.alerts.failure_matrix import run_scenario; run_scenario({scenario!r})"],
        capture_output=True,
        text=True,
        cwd=PROJECT,
    )
    assert (done.returncode, says in done.stderr) == (code, True)


def test_the_table_of_the_docs_is_what_was_measured():
    measured = json.loads((PROJECT / "bench/results/failure_matrix.json").read_text())["result"]
    assert failure_matrix_expected.matrix_table(measured) in (PROJECT / "docs/q08.md").read_text()
