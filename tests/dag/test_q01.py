"""Question 1: the DAG's wiring, and whole runs of it for real days in this process."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from answers.stack import dotenv
from support import PROJECT, contents, expected, interval, open_warehouse

Q01 = "q01_flights_to_clickhouse"
FILE = PROJECT / "dags" / f"{Q01}.py"
DAY = "2013-06-13"
TRIED = """
from airflow.sdk import DAG, task
from include.flights import contract
from plugins.failures import RETRY_POLICY

with DAG("tried", schedule=None, default_args={"retries": 2, "retry_delay": 0, "retry_policy": RETRY_POLICY}):
    @task
    def fail(error):
        raise getattr(contract, error)("as it was told")

    fail("{{ dag_run.conf.error }}")
"""


@pytest.mark.claim("1.1")
def test_one_file_wires_bash_python_and_spark_tasks(dag_of):
    kinds = {task.task_id: task.task_type for task in dag_of(Q01).tasks}
    assert kinds == {
        "inspect_feed": "BashOperator",
        "ingest": "_PythonDecoratedOperator",
        "transform": "SparkSubmitOperator",
        "publish": "PublishPartitionOperator",
        "summarise": "_PythonDecoratedOperator",
    }


@pytest.mark.claim("1.2")
def test_shift_and_set_downstream_build_the_same_edge(dag_of, tmp_path):
    from airflow.dag_processing.dagbag import DagBag

    dag = dag_of(Q01)
    edges = {task.task_id: task.downstream_task_ids for task in dag.tasks}
    assert edges["inspect_feed"] == {"ingest"}
    assert edges["ingest"] == {"transform", "publish"}
    assert edges["transform"] == {"publish"}
    assert edges["publish"] == {"summarise"}
    text, edges_rewritten = re.subn(r"(\w+)\.set_downstream\((\w+)\)", r"\1 >> \2", FILE.read_text())
    assert edges_rewritten == 1
    other = tmp_path / FILE.name
    other.write_text(text)
    (shifted,) = DagBag(dag_folder=other).dags.values()
    assert edges == {task.task_id: task.downstream_task_ids for task in shifted.tasks}


@pytest.mark.claim("1.5")
def test_retries_are_the_platforms_default(dag_of):
    shared = dotenv.read(PROJECT / "config" / "airflow.env")
    assert shared["AIRFLOW__CORE__DEFAULT_TASK_RETRIES"] == "3"
    assert shared["AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY"] == "300"
    assert "retries" not in FILE.read_text().split('"""', 2)[2], "the file must not set them itself"
    from airflow.serialization.serialized_objects import DagSerialization

    as_the_scheduler_sees_it = DagSerialization.from_dict(DagSerialization.to_dict(dag_of(Q01)))
    assert {(task.task_id, task.retries) for task in as_the_scheduler_sees_it.tasks} == {
        (task, 3) for task in ("inspect_feed", "ingest", "transform", "publish", "summarise")
    }


def test_the_trap_dag_test_forgets_retries_that_come_from_configuration(dag_of):
    """Airflow 3.3.2: dag.test() drops the defaults of the client from the document. Retries are proven on a live stack."""
    from airflow.serialization.serialized_objects import DagSerialization

    seen_by_dag_test = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag_of(Q01)))
    assert {task.retries for task in seen_by_dag_test.tasks} == {0}


@pytest.mark.claim("1.6")
def test_every_scheduled_run_has_its_local_day_as_interval_across_daylight_saving_time(dag_of):
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import TimeRestriction

    dag = dag_of(Q01)
    timetable = coerce_to_core_timetable(dag.timetable)
    everything = TimeRestriction(dag.start_date, dag.end_date, catchup=True)
    intervals, last = [], None
    while info := timetable.next_dagrun_info(last_automated_data_interval=last, restriction=everything):
        intervals.append(last := info.data_interval)
    days = [str(datetime(2013, 1, 1) + timedelta(days=n))[:10] for n in range(365)]
    assert [(each.start, each.end) for each in intervals] == [interval(day) for day in days]
    hours = [(each.end - each.start).total_seconds() / 3600 for each in intervals]
    assert (hours.count(24), hours[days.index("2013-03-10")], hours[days.index("2013-11-03")]) == (363, 23, 25)
    assert not dag.catchup


@pytest.mark.claim("1.6")
def test_the_trap_a_bare_cron_string_has_an_empty_interval(metadata_database):
    from airflow.sdk import DAG
    from airflow.serialization.encoders import coerce_to_core_timetable

    dag = DAG("trap", schedule="@daily", start_date=datetime(2013, 1, 1, tzinfo=UTC))
    timetable = coerce_to_core_timetable(dag.timetable)
    found = timetable.infer_manual_data_interval(run_after=interval(DAY)[0])
    assert found.start == found.end


@pytest.mark.claim("1.6")
def test_the_trap_a_manual_run_gets_the_interval_before_its_logical_date(dag_of):
    from airflow.serialization.encoders import coerce_to_core_timetable

    timetable = coerce_to_core_timetable(dag_of(Q01).timetable)
    found = timetable.infer_manual_data_interval(run_after=interval(DAY)[0])
    assert (found.start, found.end) == interval("2013-06-12")


@pytest.mark.claim("1.3")
@pytest.mark.claim("1.4")
@pytest.mark.claim("1.6")
def test_a_run_publishes_its_day_and_a_second_run_changes_nothing(run_day, warehouse):
    warehouse.close()  # the tasks open it
    state, tasks, run = run_day(Q01, DAY)
    assert state == "success"
    assert set(tasks.values()) == {("success", 1)}
    with open_warehouse() as client:
        expected.assert_equal(
            client.query_df("SELECT * FROM warehouse.flights"), expected.flights(DAY, DAY), expected.FLIGHT_KEY
        )
        wanted = expected.daily_delays(DAY, DAY)
        expected.assert_equal(
            client.query_df("SELECT * FROM warehouse.daily_delays"), wanted, expected.DAILY_DELAYS_KEY
        )
        before = contents(client)
    again, tasks, second = run_day(Q01, DAY)
    assert again == "success"
    assert second.id == run.id, "the run was cleared and ran again"
    with open_warehouse() as client:
        assert contents(client) == before


@pytest.mark.claim("1.5")
def test_a_broken_contract_is_raised_as_an_error_that_is_not_retried(dag_of, make_feed, tmp_path):
    """Asked of the task itself: dag.test() forgets the configured retries, so a run there ends at its first try anyway."""
    from airflow.sdk import RetryAction

    feed = make_feed(DAY, flights=lambda text: text.replace(",1400,", ",far,", 1))
    start, end = interval(DAY)
    task = dag_of(Q01).get_task("ingest")

    def fate(folder) -> tuple[RetryAction, str]:
        """Return what Airflow does after the error of a first try of four, and what the error says."""
        with pytest.raises(Exception, match=r"flights\.csv") as caught:
            task.python_callable(
                str(folder), str(tmp_path), run_id="bad", data_interval_start=start, data_interval_end=end
            )
        return task.retry_policy.evaluate(caught.value, try_number=1, max_tries=3).action, str(caught.value)

    action, text = fate(feed)
    assert re.search(r"flights\.csv, row [0-9]+, column distance: 'far'", text)
    assert action is RetryAction.FAIL
    assert fate(tmp_path / "not delivered yet")[0] is RetryAction.DEFAULT


@pytest.mark.claim("1.5")
@pytest.mark.parametrize(("error", "tries"), [("FeedError", 1), ("FeedMissing", 3)])
def test_with_retries_left_a_task_fails_at_once_or_is_tried_again(metadata_database, tmp_path, error, tries):
    """A run whose tasks have retries of their own, which dag.test() keeps."""
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models import DagRun
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session

    (tmp_path / "tried.py").write_text(TRIED)
    with create_session() as session:
        session.merge(DagBundleModel(name="tried"))
    bag = DagBag(dag_folder=tmp_path, bundle_path=tmp_path, bundle_name="tried")
    sync_bag_to_db(bag, "tried", None)
    result = bag.dags["tried"].test(run_conf={"error": error})
    with create_session() as session:
        (task,) = session.get(DagRun, result.id).task_instances
        assert (task.state, task.try_number) == ("failed", tries)


@pytest.mark.claim("1.5")
def test_a_broken_contract_fails_at_once_and_leaves_the_published_day_untouched(run_day, warehouse, make_feed, caplog):
    from include.flights import warehouse as loader

    loader.create_tables(warehouse)
    warehouse.command(f"INSERT INTO warehouse.daily_delays VALUES ('{DAY}', 'EWR', 'UA', 1, 0, 0, 0, 1)")
    before = contents(warehouse)
    warehouse.close()
    state, tasks, _ = run_day(Q01, DAY, feed=make_feed(DAY, flights=lambda text: text.replace(",1400,", ",far,", 1)))
    assert state == "failed"
    assert tasks["ingest"] == ("failed", 1), "no retry is used up on what cannot succeed"
    assert tasks["publish"][0] == "upstream_failed"
    with open_warehouse() as client:
        assert contents(client) == before


def test_the_document_of_the_dag_tells_question_and_claims(dag_of):
    text = dag_of(Q01).doc_md
    assert all(f"**1.{number}**" in text for number in range(1, 7))
    json.dumps(text)
